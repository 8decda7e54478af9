/* events.h - reads an event stream (SSE) that comes in pieces cut anywhere.
 * Thread:  the owner's.
 * Memory:  the struct is the caller's; the event under way is kept up to a limit of birth.
 * Failure: only an event over the limit is one; whatever else comes is read as the standard says.
 */
#ifndef LLM_EVENTS_H
#define LLM_EVENTS_H

#include "base/buf.h"

struct event_reader {
    struct buf line; // begun in an earlier piece
    struct buf data; // of the event under way
    bool has_data;
    bool after_cr; // the last byte was a carriage return: a newline right after it is none
    bool begun;    // the stream has had its first line: no byte order mark any more
    bool stopped;  // event() said so: nothing is read any more
    /* The data of one event, its lines joined by newlines. False: no further ones are wanted. */
    bool (*event)(void *ctx, struct str data);
    void *ctx;
};

void event_reader_init(struct event_reader *r, size_t event_max_bytes,
                       bool (*event)(void *ctx, struct str data), void *ctx);
void event_reader_fini(struct event_reader *r);
/* False: an event is over the limit; nothing must be fed any more. */
bool event_reader_feed(struct event_reader *r, struct str piece);
/* The stream has ended: an event whose empty line never came is handed out all the same, for there
 * are servers that leave it out. */
bool event_reader_end(struct event_reader *r);

#endif
