/* ws.h - WebSocket (RFC 6455) with permessage-deflate (RFC 7692), server side.
 * Thread:  the connection's loop.
 * Memory:  a carrier is one small object; a partial message lives in a bounded buffer that goes
 *          away with the message; no deflate state is kept between messages.
 * Failure: protocol errors close with their code (1002, 1003, 1007, 1009). */
#ifndef CARRIER_WS_H
#define CARRIER_WS_H

#include "carrier/carrier.h"
#include "http/http.h"

struct ws_options {
    uint32_t message_max_bytes;
    uint32_t ping_interval_ms;      // protocol pings; 0: none
    uint32_t pong_timeout_ms;       // without any sign of life after a ping: CLOSE_NO_PONG
    bool pong_only;                 // of these signs only a pong counts
    bool no_pong_aborts;            // CLOSE_NO_PONG without a close frame: the peer sees 1006
    uint32_t close_timeout_ms;      // for the peer's half of the close handshake
    uint32_t out_max_bytes;         // own bytes waiting for the socket
    bool deflate;                   // accept permessage-deflate when offered
    bool text_only;                 // a binary message closes with 1003
    const struct str *subprotocols; // accepted ones, in order of preference
    size_t subprotocol_count;
};

/* Answers the handshake (101) and takes the connection over; ret: the carrier. NULL: the
 * request was not a valid WebSocket handshake and has been answered (400, 426...). o must outlive
 * the carrier. */
struct carrier *ws_accept(struct http_request *r, const struct ws_options *o,
                          const struct carrier_handler *handler, void *ctx);

/* The framings of this carrier: what carrier->framing points to. */
extern const struct framing ws_framing_text;
extern const struct framing ws_framing_binary;
/* Text, deflated where it pays; window_bits: 9 to 15. */
const struct framing *ws_framing_deflate(int window_bits);

/* The request asks for a WebSocket. */
bool ws_is_handshake(const struct http_request *r);

#endif
