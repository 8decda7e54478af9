/* chat_priv.h - what the files of chat share.
 * Thread:  a conversation belongs to the home loop of its channel, and its answers with it; an
 *          asker belongs to the loop that asked.
 * Memory:  see each struct.
 * Failure: as chat.h says. */
#ifndef CHAT_CHAT_PRIV_H
#define CHAT_CHAT_PRIV_H

#include "base/list.h"
#include "base/map.h"
#include "base/must.h"
#include "base/pool.h"
#include "chat/chat.h"
#include "chat/chat_rows.h"
#include "store/store.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

enum {
    CHAT_ANSWER_MAX = 512 << 10,      // bytes; an answer is told as one message in the end
    CHAT_CONTEXT_BYTES_MAX = 1 << 20, // of what the model is told
    CHAT_WHY_MAX = 512,
};

/* ---- the service ---- */

struct chat_loop {
    struct chat *chat;
    struct hub *hub;
    struct loop *loop;
    struct map conversations; // in which answers are given or wait
    struct list answers;      // all of them, by answer.of_loop
    struct list holds;        // on conversations that are being removed
    struct mail stop;
};

struct chat {
    struct node *node;
    struct store *store;
    struct llm *llm;
    struct chat_options options;
    struct chat_loop *loops; // one for each
    unsigned loop_count;
    atomic_bool stopping;
    _Atomic int64_t last_id;
    /* Answers whose rows are not settled; chat_stop() waits for none. */
    pthread_mutex_t lock;
    pthread_cond_t settled;
    uint64_t open;
    int64_t left_up_to;   // ids of an earlier run
    struct left *left;    // NULL: all of them are ended
    struct chat_age *age; // NULL: conversations stay for ever
    _Atomic uint64_t questions, complete, cancelled, failed, saves, forgotten;
};

void chat_loop_fini(struct chat_loop *l);
void chat_open_add(struct chat *c);
void chat_open_remove(struct chat *c);
/* Ends what an earlier run left half done; in loop 0's mail. */
bool chat_left_start(struct chat *c);
void chat_left_drop(struct chat *c);
/* What is too old goes, in loop 0's time: age.c. False: no memory. */
bool chat_age_start(struct chat *c);
void chat_age_drop(struct chat *c);
/* The home of a conversation. */
struct chat_loop *chat_home(struct chat *c, struct hub *hub, struct str tenant,
                            int64_t conversation);
void chat_publish(struct hub *hub, struct str tenant, const struct chat_message *m, answer_fn *done,
                  void *ctx);

/* ---- askers: send.c ---- */

/* A question on its way to the home, where it becomes an answer. From the pool. */
struct ask {
    struct mail mail;
    struct list link; // of a hold
    struct chat_loop *home;
    struct chat_asker *asker;
    int64_t conversation;
    enum chat_form form;
    struct str tenant, text;
    struct llm_settings request, endpoint;
    char bytes[];
};
/* At the home: it becomes an answer, or waits until its conversation is removed. */
void ask_begin(struct ask *ask);
size_t settings_bytes(const struct llm_settings *s);
struct llm_settings settings_put(char **at, const struct llm_settings *s);
void asker_tell_accepted(struct chat_asker *a, const struct chat_message *question,
                         const struct chat_message *answer);
/* on: the loop that has the text. */
void asker_tell_token(struct chat_asker *a, const struct chat_loop *on, struct str text);
/* The last that it is told. */
void asker_tell_end(struct chat_asker *a, const struct chat_end *end);

/* ---- answers ---- */

struct conversation {
    struct map_node node; // tenant\0number, in bytes
    struct chat_loop *at;
    int64_t id;
    struct list answers; // the first is given, the others wait
    uint32_t count;
    char bytes[];
};

enum response_phase {
    RESPONSE_STORING, // question and answer get their rows
    RESPONSE_WAITING, // for its turn
    RESPONSE_READING, // what was said before
    RESPONSE_GIVEN,   // by the model
    RESPONSE_ENDING   // its row gets its last form, then its channel hears of it
};

struct response {
    struct list link;    // of its conversation; of nothing once its end is told
    struct list of_loop; // of chat_loop.answers
    struct chat_loop *at;
    struct conversation *conversation; // NULL once its end is told
    struct chat_asker *asker;          // NULL: its end is told
    enum response_phase phase;
    enum chat_form form;
    struct str tenant, question; // in bytes
    struct llm_settings request, endpoint;
    struct llm_settings own; // the conversation's; strings in own_text
    int64_t conversation_id, question_id, id, created_ms;
    /* Its end. */
    enum record_state state;
    enum err err;
    bool by_model;
    bool end_due, stopped; // it ends when what the store was asked for is there
    char why[CHAT_WHY_MAX];
    char model[256];
    int64_t tokens;
    /* What is said. */
    struct buf text;
    struct record *record;
    struct llm_call *call;
    /* Rows. */
    struct store_job accept, read, save, finish, forget;
    bool saving, finishing, forgetting;
    bool row_done;                 // has its last form
    bool record_done, record_kept; // its channel has heard of its end, and has stored it
    size_t saved_bytes;            // of text, as far as they were ever given to the store
    struct buf saving_text;
    int64_t saved_ms, updated_ms;
    struct timer timer; // the next save; once ending, the next try
    struct buf own_text;
    struct list said; // struct said, oldest first: what was said before
    size_t said_bytes;
    char bytes[];
};

/* As the row is now. */
struct chat_message response_message(const struct response *a);
/* Takes the ask over. */
void response_begin(struct chat_loop *at, struct ask *ask);
void response_cancel(struct response *a);
/* At the end of the process: as failed. */
void response_stop(struct response *a);
void response_free(struct response *a);
/* The first of the conversation, if it may begin. */
void conversation_goes_on(struct conversation *c);
struct conversation *conversation_find(struct chat_loop *at, struct str tenant, int64_t id);
/* Its answers; message > 0: that one. Returns how many there were to cancel. */
uint32_t conversation_cancel(struct chat_loop *at, struct str tenant, int64_t id, int64_t message);

/* ---- conversations that are being removed: hold.c ---- */

struct hold;
/* is_still: nothing is said there until the hold ends. False: somebody speaks. */
typedef void hold_fn(void *ctx, bool is_still);
/* cancels: answers there are ended, and is_still is true. done() comes from the loop's mail, once.
 * NULL: no memory. */
struct hold *hold_begin(struct chat *c, struct hub *hub, struct str tenant, int64_t conversation,
                        bool cancels, hold_fn *done, void *ctx);
/* Not before done() has come. */
void hold_end(struct hold **hp);
/* At the home, as the rest. True: the question waits for the end of a hold. */
bool hold_keeps(struct ask *ask);
/* It could not be kept. */
bool hold_is_full(const struct ask *ask);
/* An answer has told its channel its end, or is gone. */
void holds_go_on(struct chat_loop *at);
void holds_drop(struct chat_loop *at);

/* ---- rows of an answer: response_rows.c ---- */

void response_store(struct response *a); // response_stored() follows
void response_stored(struct response *a, enum sql_result r);
void response_read_context(struct response *a); // response_context_read() follows
void response_context_read(struct response *a, enum sql_result r);
/* Something was said: it is saved in a moment. */
void response_save_later(struct response *a);
void response_save_end(struct response *a); // response_end_saved() follows each try
void response_end_saved(struct response *a, enum sql_result r);
void response_forget(struct response *a); // response_settle() follows
/* Frees it when nothing of it is under way any more. */
void response_settle(struct response *a);

/* ---- what the model is told: prompt.c ---- */

struct said {
    struct list link;
    struct str role, content;
    char bytes[];
};
bool said_add(struct list *said, struct str role, struct str content); // in front
void said_drop(struct list *said);
/* Messages for the model, whose strings are in out or in said. NULL: no memory; to free(). */
struct llm_message *prompt_make(enum chat_form form, struct str system_prompt,
                                const struct list *said, struct buf *out, size_t *ret_count);

#endif
