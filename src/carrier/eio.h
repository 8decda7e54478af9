/* eio.h - Engine.IO 4: messages over long polling, over a WebSocket, or over one and then the
 * other.
 *
 * A session outlives its requests. It lives on the loop where it was opened, and its id says which:
 * a request that comes in on another loop is moved there with its connection.
 *
 * Publications are framed as for a WebSocket (carrier->framing is one of ws.h); while the client
 * polls, what goes out is unpacked from that. So an upgrade changes the sink, and no encoding.
 *
 * Thread:  eio_create() and eio_destroy() while no loop runs; the rest on the request's loop.
 * Memory:  one small object per session, and what waits for the next poll, bounded by out_max.
 * Failure: requests that are wrong are answered as the protocol says; a session whose client does
 *          not answer pings, or asks for nothing, ends with CLOSE_NO_PONG. */
#ifndef CARRIER_EIO_H
#define CARRIER_EIO_H

#include "carrier/carrier.h"
#include "carrier/ws.h"
#include "http/http.h"

struct eio_options {
    uint32_t ping_interval_ms, ping_timeout_ms;
    uint32_t payload_max_bytes; // of a message, and of the body of a polling request
    uint32_t out_max_bytes;     // own bytes waiting for the client
    struct ws_options ws;       // without pings of its own
};

/* All sessions of an endpoint, on every loop. */
struct eio;
struct eio *eio_create(const struct eio_options *o, unsigned loop_count);
/* The loops have ended and every session has gone. */
void eio_destroy(struct eio **ep);

/* A session begins; r can be looked at (query, headers, peer) during the call. Sets c->handler and
 * c->ctx. False: it cannot be had, and the client is told so. From inside, carrier_send() and
 * carrier_sink() may be used already: what is sent follows the open packet. */
typedef bool eio_open_fn(struct carrier *c, const struct http_request *r, void *ctx);

/* Answers any request for the endpoint: GET, POST, OPTIONS, WebSocket. */
void eio_handle(struct http_request *r, struct eio *e, eio_open_fn *open, void *ctx);

/* The session's id, as the client knows it. */
struct str eio_session_id(const struct carrier *c);
/* The client talks through a WebSocket now. */
bool eio_is_websocket(const struct carrier *c);

#endif
