/*
 * ws_encoding.c - one encoding per framing of the WebSocket carrier: what a dialect says once is
 * framed, and deflated, once for all who negotiated the same.
 */
#include "dialect/ws_session.h"

#include "base/pool.h"

const int ws_window_bits[WS_FRAMINGS] = {0, 9, 10, 11, 12, 13, 14, 15};

const struct encoding *ws_encoding(const struct encoding table[WS_FRAMINGS],
                                   const struct framing *framing)
{
    return &table[ws_framing_index(framing)];
}

bool ws_encoding_frame(const struct encoding *e, struct str payload, struct buf *out)
{
    const int *bits = e->extra;
    const struct framing *f = *bits == 0 ? &ws_framing_text : ws_framing_deflate(*bits);
    return f->frame(f, out, payload);
}

bool ws_encoding_event(const struct encoding *e, const struct ws_writer *w, struct str channel,
                       const struct publication *p, struct buf *out)
{
    size_t most = w->bytes_max(channel, p);
    char *at = pool_alloc(most);
    if (at == NULL)
        return false;
    struct buf payload = buf_on(at, most);
    bool ok = w->write(&payload, channel, p) && ws_encoding_frame(e, buf_str(&payload), out);
    pool_free(at);
    return ok;
}
