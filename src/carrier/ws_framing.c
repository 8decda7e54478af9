/*
 * ws_framing.c - a publication as the bytes of one frame, shared by all who negotiated the same.
 *
 * Why it exists: a server's frames are not masked, so the frame is the same for every subscriber of
 * a variant. It is made once, here, and deflated once per window size.
 */
#include "carrier/ws.h"
#include "carrier/ws_deflate.h"
#include "carrier/ws_frame.h"

static bool frame_plain(const struct framing *f, struct buf *out, struct str payload)
{
    size_t head_n = ws_head_size(payload.n);
    if (!buf_reserve(out, head_n + payload.n))
        return false;
    char *at = out->p + out->len;
    ws_head_write(at, WS_FIN | (f->binary ? WS_OP_BINARY : WS_OP_TEXT), payload.n);
    if (payload.n > 0)
        memcpy(at + head_n, payload.p, payload.n);
    out->len += head_n + payload.n;
    return true;
}

static bool frame_deflated(const struct framing *f, struct buf *out, struct str payload)
{
    if (payload.n < WS_DEFLATE_MIN)
        return frame_plain(f, out, payload);
    if (!buf_reserve(out, ws_deflated_room(payload.n)))
        return frame_plain(f, out, payload);
    size_t n = ws_deflated_write(out->p + out->len, WS_OP_TEXT, f->window_bits, payload);
    if (n == 0)
        return frame_plain(f, out, payload);
    out->len += n;
    return true;
}

size_t ws_deflated_write(char *at, enum ws_opcode op, int window_bits, struct str payload)
{
    size_t head_max = ws_head_size(payload.n);
    size_t n;
    if (!ws_deflate(window_bits, payload, at + head_max, &n))
        return 0;
    size_t head_n = ws_head_size(n);
    if (head_n < head_max)
        memmove(at + head_n, at + head_max, n);
    ws_head_write(at, WS_FIN | WS_RSV1 | (unsigned)op, n);
    return head_n + n;
}

const struct framing ws_framing_text = {.name = "ws", .frame = frame_plain};
const struct framing ws_framing_binary = {
    .name = "ws-binary", .frame = frame_plain, .binary = true};

const struct framing *ws_framing_deflate(int window_bits)
{
#define DEFLATE(bits)                                                                              \
    {                                                                                              \
        .name = "ws-deflate-" #bits, .frame = frame_deflated, .window_bits = bits                  \
    }
    static const struct framing framings[] = {
        DEFLATE(9), DEFLATE(10), DEFLATE(11), DEFLATE(12), DEFLATE(13), DEFLATE(14), DEFLATE(15),
    };
#undef DEFLATE
    return &framings[window_bits - WS_WINDOW_BITS_MIN];
}
