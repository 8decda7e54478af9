/* ws_handshake.h - the opening handshake of a WebSocket (RFC 6455, section 4.2).
 * Thread:  the connection's loop.
 * Memory:  the caller's.
 * Failure: what is not a valid handshake has been answered when ws_handshake_read() says false. */
#ifndef CARRIER_WS_HANDSHAKE_H
#define CARRIER_WS_HANDSHAKE_H

#include "carrier/ws.h"
#include "carrier/ws_deflate.h"

struct ws_handshake {
    struct str key;
    struct str subprotocol; // chosen; STR_NONE: none
    struct ws_deflate_choice deflate;
    bool deflated; // deflate was offered and is accepted
};

bool ws_handshake_read(struct http_request *r, const struct ws_options *o,
                       struct ws_handshake *ret);

/* Appends the 101 response. */
bool ws_handshake_write(const struct ws_handshake *h, struct buf *out);

#endif
