/* chat_stream.h - a question whose answer is the event stream of that answer.
 * Thread:  the request's loop.
 * Memory:  one object per stream, which goes with the reader and with the answer's end.
 * Failure: before both rows are there as any request is; later by the answer's own state. */
#ifndef API_CHAT_STREAM_H
#define API_CHAT_STREAM_H

#include "api/api.h"
#include "chat/verbs.h"

/* The request is answered, now or later. The answer goes on when its reader leaves. */
void chat_stream_start(struct http_request *r, const struct api *api, struct hub *hub,
                       const struct chat_question *q);

#endif
