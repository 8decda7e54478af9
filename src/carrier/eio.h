/* eio.h - Engine.IO 4: messages over long polling, over a WebSocket, or over one and then the
 * other.
 *
 * Packet types are this carrier's alone. What a dialect sends and is given are messages: a text
 * (of Socket.IO: "2[...]", never "42[...]") or binary bytes. Everywhere in this interface:
 *   message()        gets the text behind the '4', or the bytes of a binary message (decoded when
 *                    it came as "b<base64>");
 *   carrier_send()   takes the text without the '4'; carrier->ops->send(c, bytes, true) sends one
 *                    binary message;
 *   publications     are framed by eio_frame(), which puts the '4' in. Whoever has several messages
 *                    that must stay together (an event and its attachments) appends all of them to
 *                    the same buffer: they are one frame of the feed.
 * A text must not hold the byte 0x1e (which stands between packets): no JSON does.
 *
 * A session outlives its requests. It lives on the loop where it was opened, and its id says which:
 * a request that comes in on another loop is moved there with its connection.
 *
 * Publications are framed as for a WebSocket (carrier->framing is one of ws.h, and constant for
 * the session: deflated only when it began on a WebSocket that negotiated this); while the client
 * polls, what goes out is unpacked from that. So an upgrade changes the sink, and no encoding:
 * handler->moved() says that carrier_sink(c) is another one now, with all cursors in it.
 * carrier->conn is NULL while the client polls.
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
    uint32_t sessions_max;      // on each loop; 0: a million
    bool as_python;       // where the reference servers of JavaScript and Python answer differently
    struct ws_options ws; // without pings of its own; binary must be allowed
};

/* All sessions of an endpoint, on every loop. */
struct eio;
struct eio *eio_create(const struct eio_options *o, unsigned loop_count);
/* The loops have ended and every session has gone. */
void eio_destroy(struct eio **ep);

/* A session begins; r can be looked at (query, headers, peer) during the call. Sets c->handler and
 * c->ctx. False: it cannot be had, and the client is told so (503); nothing of c is called then.
 * From inside, carrier_send() and carrier_sink() may be used already: what is sent follows the
 * open packet. carrier_close() from inside works as well. */
typedef bool eio_open_fn(struct carrier *c, const struct http_request *r, void *ctx);

/* Answers any request for the endpoint, whatever its method: the routes must let all of them
 * through. r's strings are gone after this. Answers name any Origin back (CORS): whoever wants
 * fewer refuses before this call. open is called from inside only. A request for a session of
 * another loop is handed to its route once more, over there. */
void eio_handle(struct http_request *r, struct eio *e, eio_open_fn *open, void *ctx);

/* Appends one message as the bytes that carry it on a WebSocket, to be appended to a feed. f: the
 * session's carrier->framing. Texts are deflated where f does that; binary messages are not. */
bool eio_frame(const struct framing *f, struct buf *out, struct str payload, bool binary);

/* The session's id, as the client knows it. */
struct str eio_session_id(const struct carrier *c);
/* The client talks through a WebSocket now. */
bool eio_is_websocket(const struct carrier *c);

#endif
