/* sse_reply.h - an answer that somebody reads: a request that waits for it, which is answered once,
 * or becomes an event stream.
 *
 * Thread:  the request's loop.
 * Memory:  the struct is its owner's, and stays until gone() or until it has been answered with
 *          what sse_reply_take() gave.
 * Failure: gone() comes at most once, when neither request nor stream is there any more: the peer
 *          has left, or a stream has ended, by sse_reply_close() as well; never from inside a call
 *          of this header. Not for a request that was taken. */
#ifndef CARRIER_SSE_REPLY_H
#define CARRIER_SSE_REPLY_H

#include "carrier/sse.h"

struct sse_reply {
    struct http_request *http; // NULL: answered, or its peer has gone
    struct carrier *carrier;   // NULL: there is no stream yet, or no more
    void (*gone)(struct sse_reply *y);
};

/* The request waits. */
void sse_reply_init(struct sse_reply *y, struct http_request *r, void (*gone)(struct sse_reply *y));
static inline bool sse_reply_has_reader(const struct sse_reply *y)
{
    return y->http != NULL || y->carrier != NULL;
}
/* The request that waits, to be answered at once. */
struct http_request *sse_reply_take(struct sse_reply *y);
/* It becomes a stream, as sse_accept() says. False: it has been answered, and nobody reads. */
bool sse_reply_open(struct sse_reply *y, const struct sse_options *o, struct str extra);
/* One event; type "": none. A stream that has no memory for it ends: nothing may be left out.
 * Nothing happens where no stream is. */
void sse_reply_event(struct sse_reply *y, struct str type, struct str data);
void sse_reply_close(struct sse_reply *y, enum close_reason reason);

#endif
