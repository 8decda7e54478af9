/* chat_rows.h - the rows of conversations: every statement of theirs.
 * Thread:  the store's; inside a job.
 * Memory:  what a row function is given is gone when it returns.
 * Failure: results of SQL; a job that does not say SQL_OK is undone. */
#ifndef CHAT_CHAT_ROWS_H
#define CHAT_CHAT_ROWS_H

#include "chat/chat.h"
#include "store/sql.h"

/* ---- answers ---- */

/* A question and its answer to be; their conversation is made when it is not there. */
enum sql_result chat_rows_accept(struct sql *db, struct str tenant,
                                 const struct chat_message *question,
                                 const struct chat_message *answer);
/* The text of an answer that goes on. */
enum sql_result chat_rows_save(struct sql *db, int64_t id, struct str content, int64_t now_ms);
/* Its end: content, state, model, error, tokens, updated_ms. It still counts as open. */
enum sql_result chat_rows_finish(struct sql *db, struct str tenant,
                                 const struct chat_message *answer);

/* Its end is known in its channel as well. */
enum sql_result chat_rows_forget(struct sql *db, int64_t id);

typedef bool rows_message_fn(void *ctx, const struct chat_message *m);
/* The newest ones with id <= up_to that say something, newest first. */
enum sql_result chat_rows_context(struct sql *db, struct str tenant, int64_t conversation,
                                  int64_t up_to, int64_t limit, rows_message_fn *each, void *ctx);
/* Answers that are not ended, with id <= up_to; tenant is told beside the message. */
typedef bool rows_open_fn(void *ctx, struct str tenant, const struct chat_message *m);
enum sql_result chat_rows_open(struct sql *db, int64_t up_to, int64_t limit, rows_open_fn *each,
                               void *ctx);
enum sql_result chat_rows_last_id(struct sql *db, int64_t *ret);

/* ---- conversations ---- */

struct chat_conversation {
    int64_t id, message_count;
    struct str title, system_prompt, model, last_message; // "": none
    int64_t created_ms, updated_ms;
};
typedef bool rows_conversation_fn(void *ctx, const struct chat_conversation *c);

/* The newest with id < before (0: of all), newest first. spoken: without answers that are under
 * way, or say nothing.
 */
enum sql_result chat_rows_messages(struct sql *db, const struct chat_lookup *l, int64_t limit,
                                   bool spoken, rows_message_fn *each, void *ctx);
enum sql_result chat_rows_conversations(struct sql *db, const struct chat_lookup *l,
                                        rows_conversation_fn *each, void *ctx, int64_t *ret_total);
enum sql_result chat_rows_conversation(struct sql *db, struct str tenant, int64_t id,
                                       rows_conversation_fn *each, void *ctx);
/* *ret_id: its number. */
enum sql_result chat_rows_create(struct sql *db, const struct chat_lookup *l, int64_t now_ms,
                                 int64_t *ret_id);
enum sql_result chat_rows_change(struct sql *db, const struct chat_lookup *l, int64_t now_ms);
enum sql_result chat_rows_delete(struct sql *db, struct str tenant, int64_t id);

/* ---- what is too old ---- */

typedef bool rows_old_fn(void *ctx, struct str tenant, int64_t id);
/* Conversations in which nothing has been said or changed since, and no answer is under way. */
enum sql_result chat_rows_old(struct sql *db, int64_t before_ms, int64_t limit, rows_old_fn *each,
                              void *ctx);
/* That one is such a one. */
enum sql_result chat_rows_is_old(struct sql *db, struct str tenant, int64_t id, int64_t before_ms,
                                 bool *ret);
enum chat_old { CHAT_OLD_NO_MORE, CHAT_OLD_BEGUN, CHAT_OLD_GONE };
/* Such a one goes, at most so many messages at a time, the oldest first. NO_MORE: somebody has
 * spoken meanwhile, and it stays. */
enum sql_result chat_rows_forget_old(struct sql *db, struct str tenant, int64_t id,
                                     int64_t before_ms, int64_t most, enum chat_old *ret);

/* The head of a text that is shown in lists. */
struct str chat_rows_excerpt(struct str text);

#endif
