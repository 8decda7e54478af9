/* sse.h - server-sent events: one response without end.
 * Thread:  the connection's loop.
 * Memory:  one small object.
 * Failure: a peer that takes nothing for write_timeout_ms is closed. */
#ifndef CARRIER_SSE_H
#define CARRIER_SSE_H

#include "carrier/carrier.h"
#include "http/http.h"

struct sse_options {
    uint32_t heartbeat_ms;     // a comment ":\n\n" when carrier_send() wrote nothing; 0: none
    uint32_t write_timeout_ms; // for a vanished peer, give or take a half of it; 0: none
    uint32_t out_max_bytes;
};

/* Answers 200 text/event-stream (chunked for HTTP/1.1, until close for 1.0) with CORS headers and
 * takes the connection over; o must outlive the carrier. NULL: no memory, which has been answered.
 * extra: header lines or STR_NONE. carrier_send() and framing take whole
 * events ("id: ..\ndata: ..\n\n"). */
struct carrier *sse_accept(struct http_request *r, const struct sse_options *o, struct str extra,
                           const struct carrier_handler *handler, void *ctx);

/* The framings of this carrier: chunked for HTTP/1.1, as it is for 1.0. */
extern const struct framing sse_framing_chunked;
extern const struct framing sse_framing_raw;

/* Appends one event; empty id or type are left out; data is cut into data: lines at newlines. */
bool sse_event(struct buf *out, struct str id, struct str type, struct str data);

#endif
