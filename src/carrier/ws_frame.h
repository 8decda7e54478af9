/* ws_frame.h - WebSocket frames (RFC 6455): taken out of a stream of bytes, and their heads
 * written. Thread:  the owner's; a parser is a value without a lock. Memory:  a parser at rest
 * holds nothing. The rest of a split frame and the fragments of a message live in one bounded block
 * that goes away with the message. Failure: broken input gives WS_BROKEN with the reason to close
 * with; after that the parser must not be fed again. */
#ifndef CARRIER_WS_FRAME_H
#define CARRIER_WS_FRAME_H

#include "base/close.h"
#include "base/str.h"

enum ws_opcode {
    WS_OP_CONTINUATION = 0,
    WS_OP_TEXT = 1,
    WS_OP_BINARY = 2,
    WS_OP_CLOSE = 8,
    WS_OP_PING = 9,
    WS_OP_PONG = 10
};

enum {
    WS_FIN = 0x80,    // in the first byte of a head
    WS_RSV1 = 0x40,   // the message is deflated
    WS_MASKED = 0x80, // in the second byte
    WS_CONTROL_MAX = 125,
    WS_HEAD_MAX = 14, // with a mask; a server's own heads have at most 10
    WS_SERVER_HEAD_MAX = 10
};

struct ws_partial;

struct ws_parser {
    struct ws_partial *partial; // of an unfinished frame or message; NULL: none
    uint32_t message_max;       // bytes on the wire, all fragments together
    uint8_t head[WS_HEAD_MAX];  // the beginning of a head
    uint8_t head_len;
    bool deflate : 1; // RSV1 may be set on a message
    bool client : 1;  // frames come from a server: they must not be masked
};

/* message_max: the limit of a message; a deflated one may take a little more on the wire. */
void ws_parser_init(struct ws_parser *p, uint32_t message_max, bool deflate);
void ws_parser_fini(struct ws_parser *p);

enum ws_event { WS_MORE, WS_MESSAGE, WS_PING, WS_PONG, WS_CLOSE, WS_BROKEN };

struct ws_item {
    char *p; // payload, unmasked; may be changed
    size_t n;
    bool binary, deflated;    // of a WS_MESSAGE; a text that is not deflated is valid UTF-8
    enum close_reason reason; // of WS_BROKEN
};

/* The bytes that were read and are still to be parsed. They are unmasked in place. */
struct ws_input {
    char *p;
    size_t n;
};

/* The next event of the input; WS_MORE: all of it was taken. The payload lives until the next call
 * (in the input itself when a whole message lies there). */
enum ws_event ws_parser_next(struct ws_parser *p, struct ws_input *in, struct ws_item *ret);

/* What a close frame says. CLOSE_NONE: it is well formed, code is 0 when it has none; otherwise
 * the reason to fail with. */
enum close_reason ws_close_read(struct str payload, uint16_t *ret_code, struct str *ret_text);

/* XORs p with the key repeated, the key beginning at its byte phase (0..3). */
void ws_mask(char *p, size_t n, const uint8_t key[4], unsigned phase);

static inline size_t ws_head_size(size_t payload_n)
{
    return payload_n < 126 ? 2 : payload_n < 65536 ? 4 : 10;
}

/* Writes an unmasked head of ws_head_size(payload_n) bytes. first: WS_FIN | WS_OP_TEXT, say. */
static inline void ws_head_write(char *at, unsigned first, size_t payload_n)
{
    at[0] = (char)first;
    if (payload_n < 126) {
        at[1] = (char)payload_n;
    } else if (payload_n < 65536) {
        at[1] = 126;
        at[2] = (char)(payload_n >> 8);
        at[3] = (char)payload_n;
    } else {
        at[1] = 127;
        for (int i = 0; i < 8; i++)
            at[2 + i] = (char)((uint64_t)payload_n >> (56 - 8 * i));
    }
}

#endif
