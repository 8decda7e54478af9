/* llm_priv.h - what the files of the model's client share: a call, and the seat of each loop.
 * Thread:  a seat and its calls are their loop's; the gate has a lock.
 * Memory:  a call is freed at the end of a turn after it has ended, and after the gate's mail to
 * it. Failure: as in llm.h. */
#ifndef LLM_LLM_PRIV_H
#define LLM_LLM_PRIV_H

#include "http/client.h"
#include "llm/completion.h"
#include "llm/gate.h"
#include "llm/llm.h"
#include "llm/reach.h"

#include <stdatomic.h>

enum {
    LLM_ERROR_BODY_MAX = 64 << 10, // of an answer that is an error
    LLM_WHY_MAX = 1024,
    LLM_URL_MAX = 4096,
};

/* What one loop has of the model. */
struct llm_seat {
    struct llm *llm;
    struct loop *loop;
    struct http_client *client;
    struct list calls;
    struct counter answers, cancelled, retries, tokens;
    struct counter failures[LLM_FAILURE_COUNT];
    struct histogram first_token_ms;
};

struct llm {
    struct llm_options options;
    struct gate gate;
    struct reach reach;
    atomic_bool ending;
    unsigned seat_count;
    struct llm_seat seats[];
};

enum llm_call_state {
    LLM_CALL_WAITS,  // for its turn
    LLM_CALL_ASKS,   // the request is with the HTTP client
    LLM_CALL_PAUSES, // before it asks again
    LLM_CALL_ENDED
};

struct llm_call {
    struct list link; // in seat.calls
    struct llm_seat *seat;
    struct waiter waiter;
    struct http_call *http; // NULL: none
    struct timer timer;     // of the state: the turn, silence, the pause
    struct grave grave;
    enum llm_call_state state;
    struct completion reader;
    struct buf error_body; // of an answer that is an error
    struct buf why;
    bool raw, reads; // raw: not made from messages; reads: its text is looked at
    bool heard;      // a first byte has come
    bool spoke;      // text was handed out
    bool whole;      // the HTTP answer came to its end
    unsigned status;
    uint32_t retries;
    uint64_t started_ms, deadline_ms; // the deadline counts from its turn
    void (*piece)(void *ctx, struct llm_call *call, unsigned status, struct str bytes);
    void (*token)(void *ctx, struct str text);
    void (*done)(void *ctx, const struct llm_result *r);
    void *ctx;
    struct str path, type, body;
    struct buf made; // the body of one made from messages
    char bytes[];    // path, type, raw body
};

/* The request's JSON. False: no memory. */
bool request_write(struct buf *out, const struct llm_settings *s, const struct llm_ask *ask,
                   bool count_tokens);
/* Ends with done(). */
void llm_call_end(struct llm_call *call, enum llm_failure f);

#endif
