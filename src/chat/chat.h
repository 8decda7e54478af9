/* chat.h - conversations with a model: messages kept as rows, answers that go on without a reader.
 *
 * A conversation is a number within a tenant, and there from its first message on. What is said in
 * it is published on its channel, "chat:<number>"; an answer is a record there (hub/record.h).
 * Answers of one conversation are given one after the other.
 *
 * Thread:  chat_create() to chat_destroy() on the main thread; the rest on any loop, which is
 *          answered on itself.
 * Memory:  what is given is copied; what a callback is given is gone when it returns.
 * Failure: every ask ends exactly once, from the loop's mail and never inside the call; `why` is
 *          for people. An answer that was shown is kept as far as it came, whatever happens. */
#ifndef CHAT_CHAT_H
#define CHAT_CHAT_H

#include "hub/hub.h"
#include "hub/record.h"
#include "llm/llm.h"

struct chat;
struct store;

struct chat_options {
    uint32_t context_count;     // messages that the model is told, the new one included
    uint32_t message_max_bytes; // of a question
    uint32_t queue_max;         // answers of one conversation that wait
    uint32_t model_queue_max;   // questions that wait for the model, of all
    uint64_t keep_ms;           // conversations without activity go after it; 0: never
};

/* NULL: no memory. store and llm (NULL: there is no model) must outlive the loops. */
struct chat *chat_create(struct node *node, struct store *store, struct llm *llm,
                         const struct chat_options *o);
/* The store is asked where its rows end; answers that an earlier run left half done are ended as
 * failed when the loops run. False: ret_why. */
bool chat_start(struct chat *c, struct buf *ret_why);
/* Answers under way are ended, and kept; waits for that while the loops run. */
void chat_stop(struct chat *c);
/* The loops have ended. */
void chat_destroy(struct chat **cp);
/* Rows can be read and written now. */
bool chat_is_usable(const struct chat *c);

enum { CHAT_CHANNEL_MAX = 32 };
#define CHAT_CONVERSATION_MAX INT64_C(9007199254740991)
/* "chat:7"; the text is in at. */
struct str chat_channel(int64_t conversation, char at[CHAT_CHANNEL_MAX]);
/* False: it is no conversation's, and ret is as it was. */
bool chat_channel_read(struct str channel, int64_t *ret);

struct chat_message {
    int64_t id, conversation;
    struct str role, content, state;
    struct str model, error; // "": none
    int64_t tokens;          // of an answer; negative: not known
    int64_t seq; // of one that is being written: the last append in content; negative: not known
    int64_t created_ms, updated_ms;
};
/* The row as JSON. False: no room. */
bool chat_message_write(struct buf *out, const struct chat_message *m);

/* As the orchestrator's pages read it: {"id","role","content","timestamp"}. */
bool chat_history_write(struct buf *out, const struct chat_message *m);

/* ---- asking ---- */

/* How the model is told what was said before. */
enum chat_form {
    CHAT_PLAIN,       // a message for each message
    CHAT_ORQUESTRADOR // everything in one message of the user, with that application's words
};

struct chat_question {
    struct str tenant;
    int64_t conversation;
    struct str text;
    enum chat_form form;
    struct llm_settings request, endpoint; // a conversation's own stand between them
};

struct chat_end {
    enum err err;                      // ERR_OK: the answer came, or was cancelled
    struct str why;                    // unless ERR_OK, for people
    bool by_model;                     // the model failed, or could not be reached
    const struct chat_message *answer; // as it is kept; NULL: nothing was, not even the question
};

struct chat_asker_ops {
    /* Question and answer (streaming, empty) have their rows. */
    void (*accepted)(void *ctx, const struct chat_message *question,
                     const struct chat_message *answer);
    /* May be NULL. */
    void (*token)(void *ctx, struct str text);
    void (*ended)(void *ctx, const struct chat_end *end);
};

struct chat_asker;
/* NULL: no memory; nothing is called. */
struct chat_asker *chat_send(struct chat *c, struct hub *hub, const struct chat_question *q,
                             const struct chat_asker_ops *ops, void *ctx);
/* Nothing more is called, and the answer goes on. Not from inside ended(). */
void chat_leave(struct chat_asker **ap);

/* Ends the answers of a conversation that are given or wait; message > 0: that one only. What was
 * said is kept. done() is told how many. */
typedef void chat_cancelled_fn(void *ctx, uint32_t count);
/* False: no memory. */
bool chat_cancel(struct chat *c, struct hub *hub, struct str tenant, int64_t conversation,
                 int64_t message, chat_cancelled_fn *done, void *ctx);

/* ---- looking ---- */

enum chat_look {
    CHAT_MESSAGES,      // {"messages":[..],"has_more":..,"epoch":..,"offset":..}: the channel's
                        // position before they were read, where it has one; see live.c
    CHAT_HISTORY,       // of the orchestrator: [{"id","role","content","timestamp"}]
    CHAT_CONVERSATIONS, // {"conversations":[..],"total":..}
    CHAT_CONVERSATION,  // one
    CHAT_CREATE,        // a new one, and it
    CHAT_CHANGE,        // what is given, and it
    CHAT_DELETE         // with its messages: {}
};

struct chat_lookup {
    enum chat_look look;
    struct str tenant;
    int64_t conversation;
    int64_t before; // messages with a smaller id; 0: the newest
    int64_t limit, offset;
    size_t bytes_max; // of messages: older ones than fit are left out; 0: as much as a reply may be
    bool has_title, has_system_prompt, has_model; // of CREATE and CHANGE: given, "" is none
    struct str title, system_prompt, model;
};
/* err: ERR_UNKNOWN_CHANNEL: there is no such conversation; ERR_NOT_STORED. */
typedef void chat_looked_fn(void *ctx, enum err err, struct str json);
/* False: no memory. */
bool chat_look_up(struct chat *c, struct hub *hub, const struct chat_lookup *l,
                  chat_looked_fn *done, void *ctx);

uint32_t chat_message_max_bytes(const struct chat *c);
struct chat_stats {
    uint64_t questions, complete, cancelled, failed, saves, open;
    uint64_t forgotten; // conversations that were too old
};
void chat_read_stats(const struct chat *c, struct chat_stats *ret);

#endif
