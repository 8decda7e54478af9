/* ws_wire.h - the client's side of the WebSocket wire: the opening, frame heads, masks.
 * Thread:  any.
 * Memory:  the caller's.
 * Failure: what the server may not send is WIRE_BAD. */
#ifndef APP_WS_WIRE_H
#define APP_WS_WIRE_H

#include "app/url.h"
#include "base/buf.h"

enum { WIRE_CONTINUATION = 0, WIRE_TEXT = 1, WIRE_BINARY = 2 };
enum { WIRE_CLOSE = 8, WIRE_PING = 9, WIRE_PONG = 10 };
enum { WIRE_HEAD_MAX = 14, WIRE_KEY_TEXT = 24 };

struct wire_head {
    uint8_t opcode;
    bool fin, deflated;
    uint64_t n;      // bytes of payload
    uint32_t head_n; // bytes of the head itself
};

enum wire_result { WIRE_MORE, WIRE_OK, WIRE_BAD };
enum wire_result wire_read_head(const uint8_t *p, size_t avail, struct wire_head *ret);

/* Writes the head of a final frame of n bytes; returns its length. */
size_t wire_write_head(uint8_t ret[WIRE_HEAD_MAX], uint8_t opcode, uint64_t n,
                       const uint8_t mask[4]);
void wire_mask(char *p, size_t n, const uint8_t mask[4]);
/* A whole frame, masked with a random mask. */
bool wire_add_frame(struct buf *out, uint8_t opcode, struct str payload);

/* The request; headers: more lines, each with its CR LF. ret_key is for wire_check_reply(). */
bool wire_add_request(struct buf *out, const struct url *u, struct str headers,
                      char ret_key[WIRE_KEY_TEXT + 1]);
/* head: through the empty line. What is wrong, a constant; NULL: the connection is open. */
const char *wire_check_reply(struct str head, const char *key);
/* Of a line of the head, by its name in lower case; "": there is none. */
struct str wire_header(struct str head, struct str name);
/* The number in the status line, 0: none. */
unsigned wire_status(struct str head);

#endif
