/* ws_deflate.h - permessage-deflate (RFC 7692) without state between messages.
 * Thread:  any; each thread has its own compressors, made at their first use.
 * Memory:  nothing per connection. A thread keeps one compressor per window size in use, one
 *          decompressor and its output buffer; they go away with the thread.
 * Failure: offers that cannot be met are declined; deflating says false when it does not pay;
 *          inflating says what to close with. */
#ifndef CARRIER_WS_DEFLATE_H
#define CARRIER_WS_DEFLATE_H

#include "base/buf.h"
#include "base/close.h"
#include "carrier/ws_frame.h"

enum {
    WS_WINDOW_BITS_MIN = 9, // zlib cannot deflate with 8
    WS_WINDOW_BITS_MAX = 15,
    WS_DEFLATE_MIN = 64, // bytes: a shorter message is not worth it
    WS_DEFLATE_ANSWER_MAX = 128
};

struct ws_deflate_choice {
    int window_bits; // the largest window that our messages may use
    bool bits_asked; // the offer named it, so the answer must
};

/* Reads one Sec-WebSocket-Extensions header. True: *ret is the first offer of permessage-deflate in
 * it that we accept. */
bool ws_deflate_choose(struct str offers, struct ws_deflate_choice *ret);

/* What the server answers to it; returns the length. */
size_t ws_deflate_answer(const struct ws_deflate_choice *choice, char at[WS_DEFLATE_ANSWER_MAX]);

/* Room that ws_deflate() needs for n bytes. */
static inline size_t ws_deflate_room(size_t n)
{
    return n + 8;
}

/* Deflates payload to at (ws_deflate_room() bytes), as the payload of one frame with RSV1. False:
 * it is short, or does not shrink, or memory has run out: send it as it is. */
bool ws_deflate(int window_bits, struct str payload, char *at, size_t *ret_n);

/* The same as a whole frame: its length, or 0 where ws_deflate() says false. at has
 * ws_deflated_room() bytes. */
size_t ws_deflated_write(char *at, enum ws_opcode op, int window_bits, struct str payload);
static inline size_t ws_deflated_room(size_t n)
{
    return WS_SERVER_HEAD_MAX + ws_deflate_room(n);
}

/* Inflates the payload of a message. CLOSE_NONE: *ret lives until the thread's next call and may be
 * changed. CLOSE_TOO_BIG: it is larger than max; no more than that was inflated. */
enum close_reason ws_inflate(struct str deflated, size_t max, struct str *ret);

#endif
