/*
 * chat_rows.c - the rows of conversations: every statement of theirs.
 *
 * Always true: a row of recado_answers stands for an answer that has not ended, or whose end its
 * channel may not know yet. A start after a crash looks at those alone.
 */
#include "chat/chat_rows.h"

#include "base/utf8.h"

enum { EXCERPT_BYTES = 200 };

#define MESSAGE_COLUMNS                                                                            \
    "id, conversation, role, content, state, model, error, tokens, created, updated"
#define CONVERSATION_COLUMNS                                                                       \
    "id, title, system_prompt, model, message_count, last_message, created, updated"

#define RUN(db, text, row, ctx, ...)                                                               \
    sql_run(db, text, (const struct sql_value[]){__VA_ARGS__},                                     \
            sizeof((const struct sql_value[]){__VA_ARGS__}) / sizeof(struct sql_value), row, ctx)

static struct sql_value text_or_null(struct str s)
{
    return s.n > 0 ? sql_text(s) : (struct sql_value){.type = SQL_NULL};
}

static struct sql_value tokens_value(int64_t tokens)
{
    return tokens >= 0 ? sql_int(tokens) : (struct sql_value){.type = SQL_NULL};
}

struct str chat_rows_excerpt(struct str text)
{
    if (text.n <= EXCERPT_BYTES)
        return text;
    size_t n = 0;
    while (n < text.n) {
        size_t one = utf8_sequence(text.p + n, text.p + text.n);
        if (one == 0 || n + one > EXCERPT_BYTES)
            break;
        n += one;
    }
    return (struct str){text.p, n};
}

/* ---- reading rows ---- */

struct message_reader {
    rows_message_fn *each;
    void *ctx;
};

static void message_read(const struct sql_value *row, struct chat_message *ret)
{
    *ret = (struct chat_message){
        .id = row[0].i,
        .conversation = row[1].i,
        .role = row[2].s,
        .content = row[3].s,
        .state = row[4].s,
        .model = row[5].s,
        .error = row[6].s,
        .tokens = row[7].type == SQL_INT ? row[7].i : -1,
        .seq = -1,
        .created_ms = row[8].i,
        .updated_ms = row[9].i,
    };
}

static bool message_row(void *ctx, const struct sql_value *row, size_t count)
{
    const struct message_reader *r = ctx;
    struct chat_message m;
    (void)count;
    message_read(row, &m);
    return r->each(r->ctx, &m);
}

struct conversation_reader {
    rows_conversation_fn *each;
    void *ctx;
};

static bool conversation_row(void *ctx, const struct sql_value *row, size_t count)
{
    const struct conversation_reader *r = ctx;
    (void)count;
    return r->each(r->ctx, &(struct chat_conversation){
                               .id = row[0].i,
                               .title = row[1].s,
                               .system_prompt = row[2].s,
                               .model = row[3].s,
                               .message_count = row[4].i,
                               .last_message = row[5].s,
                               .created_ms = row[6].i,
                               .updated_ms = row[7].i,
                           });
}

static bool number_row(void *ctx, const struct sql_value *row, size_t count)
{
    if (count > 0 && row[0].type == SQL_INT)
        *(int64_t *)ctx = row[0].i;
    return true;
}

/* ---- answers ---- */

static enum sql_result message_insert(struct sql *db, struct str tenant,
                                      const struct chat_message *m)
{
    return RUN(db,
               "INSERT INTO recado_messages (id, tenant, conversation, role, content, state, model,"
               " error, tokens, created, updated) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
               NULL, NULL, sql_int(m->id), sql_text(tenant), sql_int(m->conversation),
               sql_text(m->role), sql_text(m->content), sql_text(m->state), text_or_null(m->model),
               text_or_null(m->error), tokens_value(m->tokens), sql_int(m->created_ms),
               sql_int(m->updated_ms));
}

enum sql_result chat_rows_accept(struct sql *db, struct str tenant,
                                 const struct chat_message *question,
                                 const struct chat_message *answer)
{
    struct sql_value said = sql_text(chat_rows_excerpt(question->content));
    struct sql_value now = sql_int(question->created_ms), id = sql_int(question->conversation);
    enum sql_result r = RUN(db,
                            "UPDATE recado_conversations SET message_count = message_count + 2,"
                            " last_message = ?, updated = ? WHERE tenant = ? AND id = ?",
                            NULL, NULL, said, now, sql_text(tenant), id);
    if (r == SQL_OK && sql_changes(db) == 0)
        r = RUN(db,
                "INSERT INTO recado_conversations (tenant, id, message_count, last_message,"
                " created, updated) VALUES (?, ?, 2, ?, ?, ?)",
                NULL, NULL, sql_text(tenant), id, said, now, now);
    if (r == SQL_OK)
        r = message_insert(db, tenant, question);
    if (r == SQL_OK)
        r = message_insert(db, tenant, answer);
    if (r == SQL_OK)
        r = RUN(db, "INSERT INTO recado_answers (id) VALUES (?)", NULL, NULL, sql_int(answer->id));
    return r;
}

enum sql_result chat_rows_save(struct sql *db, int64_t id, struct str content, int64_t now_ms)
{
    return RUN(db, "UPDATE recado_messages SET content = ?, updated = ? WHERE id = ?", NULL, NULL,
               sql_text(content), sql_int(now_ms), sql_int(id));
}

enum sql_result chat_rows_finish(struct sql *db, struct str tenant,
                                 const struct chat_message *answer)
{
    enum sql_result r =
        RUN(db,
            "UPDATE recado_messages SET content = ?, state = ?, model = ?, error = ?, tokens = ?,"
            " updated = ? WHERE id = ?",
            NULL, NULL, sql_text(answer->content), sql_text(answer->state),
            text_or_null(answer->model), text_or_null(answer->error), tokens_value(answer->tokens),
            sql_int(answer->updated_ms), sql_int(answer->id));
    if (r == SQL_OK && answer->content.n > 0)
        r = RUN(db,
                "UPDATE recado_conversations SET last_message = ?, updated = ?"
                " WHERE tenant = ? AND id = ?",
                NULL, NULL, sql_text(chat_rows_excerpt(answer->content)),
                sql_int(answer->updated_ms), sql_text(tenant), sql_int(answer->conversation));
    return r;
}

enum sql_result chat_rows_forget(struct sql *db, int64_t id)
{
    return RUN(db, "DELETE FROM recado_answers WHERE id = ?", NULL, NULL, sql_int(id));
}

enum sql_result chat_rows_context(struct sql *db, struct str tenant, int64_t conversation,
                                  int64_t up_to, int64_t limit, rows_message_fn *each, void *ctx)
{
    struct message_reader reader = {each, ctx};
    return RUN(db,
               "SELECT " MESSAGE_COLUMNS " FROM recado_messages WHERE tenant = ? AND"
               " conversation = ? AND id <= ? AND content <> '' ORDER BY id DESC LIMIT ?",
               message_row, &reader, sql_text(tenant), sql_int(conversation), sql_int(up_to),
               sql_int(limit));
}

struct open_reader {
    rows_open_fn *each;
    void *ctx;
};

static bool open_row(void *ctx, const struct sql_value *row, size_t count)
{
    const struct open_reader *r = ctx;
    struct chat_message m;
    (void)count;
    message_read(row, &m);
    return r->each(r->ctx, row[10].s, &m);
}

enum sql_result chat_rows_open(struct sql *db, int64_t up_to, int64_t limit, rows_open_fn *each,
                               void *ctx)
{
    struct open_reader reader = {each, ctx};
    return RUN(db,
               "SELECT " MESSAGE_COLUMNS ", tenant FROM recado_messages WHERE id IN"
               " (SELECT id FROM recado_answers WHERE id <= ?) ORDER BY id LIMIT ?",
               open_row, &reader, sql_int(up_to), sql_int(limit));
}

enum sql_result chat_rows_last_id(struct sql *db, int64_t *ret)
{
    *ret = 0;
    return sql_run(db, "SELECT max(id) FROM recado_messages", NULL, 0, number_row, ret);
}

/* ---- conversations ---- */

enum sql_result chat_rows_messages(struct sql *db, const struct chat_lookup *l, int64_t limit,
                                   bool spoken, rows_message_fn *each, void *ctx)
{
    struct message_reader reader = {each, ctx};
    int64_t before = l->before > 0 ? l->before : INT64_MAX;
    struct sql_value tenant = sql_text(l->tenant), id = sql_int(l->conversation);
    if (spoken)
        return RUN(db,
                   "SELECT " MESSAGE_COLUMNS " FROM recado_messages WHERE tenant = ? AND"
                   " conversation = ? AND id < ? AND content <> '' AND state <> 'streaming'"
                   " ORDER BY id DESC LIMIT ?",
                   message_row, &reader, tenant, id, sql_int(before), sql_int(limit));
    return RUN(db,
               "SELECT " MESSAGE_COLUMNS " FROM recado_messages WHERE tenant = ? AND"
               " conversation = ? AND id < ? ORDER BY id DESC LIMIT ?",
               message_row, &reader, tenant, id, sql_int(before), sql_int(limit));
}

enum sql_result chat_rows_conversations(struct sql *db, const struct chat_lookup *l,
                                        rows_conversation_fn *each, void *ctx, int64_t *ret_total)
{
    struct conversation_reader reader = {each, ctx};
    enum sql_result r = RUN(db, "SELECT count(*) FROM recado_conversations WHERE tenant = ?",
                            number_row, ret_total, sql_text(l->tenant));
    if (r != SQL_OK)
        return r;
    return RUN(db,
               "SELECT " CONVERSATION_COLUMNS " FROM recado_conversations WHERE tenant = ?"
               " ORDER BY updated DESC, id DESC LIMIT ? OFFSET ?",
               conversation_row, &reader, sql_text(l->tenant), sql_int(l->limit),
               sql_int(l->offset));
}

enum sql_result chat_rows_conversation(struct sql *db, struct str tenant, int64_t id,
                                       rows_conversation_fn *each, void *ctx)
{
    struct conversation_reader reader = {each, ctx};
    return RUN(db,
               "SELECT " CONVERSATION_COLUMNS " FROM recado_conversations WHERE tenant = ?"
               " AND id = ?",
               conversation_row, &reader, sql_text(tenant), sql_int(id));
}

enum sql_result chat_rows_create(struct sql *db, const struct chat_lookup *l, int64_t now_ms,
                                 int64_t *ret_id)
{
    int64_t last = 0;
    enum sql_result r = RUN(db, "SELECT max(id) FROM recado_conversations WHERE tenant = ?",
                            number_row, &last, sql_text(l->tenant));
    if (r != SQL_OK)
        return r;
    *ret_id = last + 1;
    return RUN(db,
               "INSERT INTO recado_conversations (tenant, id, title, system_prompt, model,"
               " message_count, created, updated) VALUES (?, ?, ?, ?, ?, 0, ?, ?)",
               NULL, NULL, sql_text(l->tenant), sql_int(*ret_id), text_or_null(l->title),
               text_or_null(l->system_prompt), text_or_null(l->model), sql_int(now_ms),
               sql_int(now_ms));
}

enum sql_result chat_rows_change(struct sql *db, const struct chat_lookup *l, int64_t now_ms)
{
    struct sql_value tenant = sql_text(l->tenant), id = sql_int(l->conversation);
    struct sql_value now = sql_int(now_ms);
    enum sql_result r = SQL_OK;
    if (l->has_title)
        r = RUN(
            db,
            "UPDATE recado_conversations SET title = ?, updated = ? WHERE tenant = ? AND id = ?",
            NULL, NULL, text_or_null(l->title), now, tenant, id);
    if (r == SQL_OK && l->has_system_prompt)
        r = RUN(db,
                "UPDATE recado_conversations SET system_prompt = ?, updated = ? WHERE tenant = ?"
                " AND id = ?",
                NULL, NULL, text_or_null(l->system_prompt), now, tenant, id);
    if (r == SQL_OK && l->has_model)
        r = RUN(
            db,
            "UPDATE recado_conversations SET model = ?, updated = ? WHERE tenant = ? AND id = ?",
            NULL, NULL, text_or_null(l->model), now, tenant, id);
    return r;
}

enum sql_result chat_rows_delete(struct sql *db, struct str tenant, int64_t id)
{
    struct sql_value whose = sql_text(tenant), which = sql_int(id);
    enum sql_result r = RUN(db,
                            "DELETE FROM recado_answers WHERE id IN (SELECT id FROM"
                            " recado_messages WHERE tenant = ? AND conversation = ?)",
                            NULL, NULL, whose, which);
    if (r == SQL_OK)
        r = RUN(db, "DELETE FROM recado_messages WHERE tenant = ? AND conversation = ?", NULL, NULL,
                whose, which);
    if (r == SQL_OK)
        r = RUN(db, "DELETE FROM recado_conversations WHERE tenant = ? AND id = ?", NULL, NULL,
                whose, which);
    return r;
}

/* ---- what is too old ---- */

#define IS_OLD                                                                                     \
    "updated < ? AND NOT EXISTS (SELECT 1 FROM recado_answers JOIN recado_messages"                \
    " ON recado_messages.id = recado_answers.id"                                                   \
    " WHERE recado_messages.tenant = recado_conversations.tenant"                                  \
    " AND recado_messages.conversation = recado_conversations.id)"

struct old_reader {
    rows_old_fn *each;
    void *ctx;
};

static bool old_row(void *ctx, const struct sql_value *row, size_t count)
{
    const struct old_reader *r = ctx;
    (void)count;
    return r->each(r->ctx, row[0].s, row[1].i);
}

enum sql_result chat_rows_old(struct sql *db, int64_t before_ms, int64_t limit, rows_old_fn *each,
                              void *ctx)
{
    struct old_reader reader = {each, ctx};
    return RUN(db, "SELECT tenant, id FROM recado_conversations WHERE " IS_OLD " LIMIT ?", old_row,
               &reader, sql_int(before_ms), sql_int(limit));
}

/* Its messages up to last. */
static enum sql_result forget_some(struct sql *db, struct sql_value tenant, struct sql_value id,
                                   int64_t last)
{
    enum sql_result r =
        RUN(db, "DELETE FROM recado_messages WHERE tenant = ? AND conversation = ? AND id <= ?",
            NULL, NULL, tenant, id, sql_int(last));
    if (r == SQL_OK)
        r = RUN(db,
                "UPDATE recado_conversations SET message_count = message_count - ?"
                " WHERE tenant = ? AND id = ?",
                NULL, NULL, sql_int(sql_changes(db)), tenant, id);
    return r;
}

enum sql_result chat_rows_is_old(struct sql *db, struct str tenant, int64_t id, int64_t before_ms,
                                 bool *ret)
{
    int64_t is_there = 0;
    enum sql_result r =
        RUN(db, "SELECT id FROM recado_conversations WHERE tenant = ? AND id = ? AND " IS_OLD,
            number_row, &is_there, sql_text(tenant), sql_int(id), sql_int(before_ms));
    *ret = is_there > 0;
    return r;
}

enum sql_result chat_rows_forget_old(struct sql *db, struct str tenant, int64_t id,
                                     int64_t before_ms, int64_t most, enum chat_old *ret)
{
    struct sql_value whose = sql_text(tenant), which = sql_int(id);
    int64_t last = 0;
    bool is_old;
    *ret = CHAT_OLD_NO_MORE;
    enum sql_result r = chat_rows_is_old(db, tenant, id, before_ms, &is_old);
    if (r != SQL_OK || !is_old)
        return r;
    r = RUN(db,
            "SELECT id FROM recado_messages WHERE tenant = ? AND conversation = ? ORDER BY id"
            " LIMIT 1 OFFSET ?",
            number_row, &last, whose, which, sql_int(most - 1));
    if (r != SQL_OK)
        return r;
    *ret = last > 0 ? CHAT_OLD_BEGUN : CHAT_OLD_GONE;
    return last > 0 ? forget_some(db, whose, which, last) : chat_rows_delete(db, tenant, id);
}
