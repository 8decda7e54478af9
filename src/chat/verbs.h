/* verbs.h - what is asked about conversations, with answers that are JSON.
 *
 *   SEND           {"conversation_id","channel","message":{..},"answer":{..}}: when both have their
 *                  rows; with `wait` when the answer has come to its end
 *   CANCEL         {"cancelled":n}
 *   the rest       as chat_lookup has it
 *
 * Thread:  a loop, which is answered on itself.
 * Memory:  what is given is copied.
 * Failure: done() comes exactly once and never inside the call. */
#ifndef CHAT_VERBS_H
#define CHAT_VERBS_H

#include "chat/fields.h"

enum chat_verb {
    CHAT_VERB_SEND,
    CHAT_VERB_CANCEL,
    CHAT_VERB_MESSAGES,
    CHAT_VERB_CONVERSATIONS,
    CHAT_VERB_CONVERSATION,
    CHAT_VERB_CREATE,
    CHAT_VERB_CHANGE,
    CHAT_VERB_DELETE
};

struct chat_ask {
    enum chat_verb verb;
    struct str tenant;
    const struct chat_fields *fields; // conversation and so on
    struct llm_settings endpoint;     // of SEND: how the model is asked where it came in
    size_t bytes_max;                 // of MESSAGES, as chat_lookup has it
};

/* text: JSON, or with an error why, for people (may be ""). */
typedef void chat_done_fn(void *ctx, enum err err, struct str text);
/* What is wrong with it, before it is asked. True: nothing. */
bool chat_ask_check(const struct chat *c, const struct chat_ask *ask, struct buf *why);
/* What SEND asks, for who wants to hear every token. */
struct chat_question chat_ask_question(const struct chat_ask *ask);
/* False: no memory; done() does not come. */
bool chat_do(struct chat *c, struct hub *hub, const struct chat_ask *ask, chat_done_fn *done,
             void *ctx);

#endif
