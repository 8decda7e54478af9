/*
 * ws_encoding.c - one encoding per framing of the WebSocket carrier: what a dialect says once is
 * framed, and deflated, once for all who negotiated the same.
 */
#include "dialect/ws_session.h"

const int ws_window_bits[WS_FRAMINGS] = {0, 9, 10, 11, 12, 13, 14, 15};

const struct encoding *ws_encoding(const struct encoding table[WS_FRAMINGS],
                                   const struct framing *framing)
{
    return &table[framing->window_bits == 0 ? 0 : framing->window_bits - 8];
}

bool ws_encoding_frame(const struct encoding *e, struct str payload, struct buf *out)
{
    const int *bits = e->extra;
    const struct framing *f = *bits == 0 ? &ws_framing_text : ws_framing_deflate(*bits);
    return f->frame(f, out, payload);
}
