/* openai_priv.h - what the files of /v1 share: an answer on its way from the model to its reader.
 * Thread:  a relay is its loop's; the list of those that write into a channel has a lock.
 * Memory:  a relay is buried when its call, its reader, its record's opening and the mail that
 *          cancels it have all let go.
 * Failure: as in openai.h. */
#ifndef API_OPENAI_PRIV_H
#define API_OPENAI_PRIV_H

#include "api/openai.h"
#include "carrier/sse_reply.h"
#include "hub/record.h"

#include <pthread.h>

enum { OPENAI_EXTRA_MAX = 8192 };

struct openai {
    pthread_mutex_t lock;
    struct list writing; // relays with a channel whose answer is under way
};

struct relay {
    const struct api *api;
    struct loop *loop;
    struct llm_call *call; // NULL: it has ended
    struct sse_reply reply;
    struct buf held;  // of the answer: all until its head is sent, then half an event
    size_t held_seen; // so much of it has been looked through for the end of an event
    unsigned status;
    bool decided, streams; // streams: the answer is one of events
    bool dead;

    bool published; // has a channel; everything below is for that
    bool opening;   // the record's position is not known yet
    bool asked;     // the record was asked for
    bool cancelled;
    bool full; // the record has ended before the answer, which was too long for it
    enum err open_err;
    const char *open_why;
    struct position before; // where the channel stood
    struct record *record;
    struct str tenant, channel;
    struct list link; // in openai.writing, under its lock
    struct mail mail; // cancels
    bool mailed;      // under the lock

    bool ended; // the model's answer has; what it came to is kept for a record that is opening
    enum llm_failure failure;
    bool whole;
    struct buf why, content_type, retry_after;
    struct grave grave;
    char bytes[]; // tenant, channel
};

/* What a route asks for. */
struct relay_ask {
    struct str path;    // behind /v1
    struct str channel; // "": none
    struct str tenant;
};
/* The request is answered, now or later. */
void relay_start(struct http_request *r, const struct api *api, const struct relay_ask *ask);

/* {"error":{..}}; code: a word. extra: header lines. Returns false. */
bool openai_refuse(struct http_request *r, unsigned status, struct str code, struct str message,
                   struct str extra);
bool openai_error_write(struct buf *out, struct str code, struct str message, unsigned status);

#endif
