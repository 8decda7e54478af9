/*
 * chat_write.c - rows as JSON.
 */
#include "chat/chat_write.h"

#include "base/clock.h"

struct str chat_channel(int64_t conversation, char at[CHAT_CHANNEL_MAX])
{
    struct buf b = buf_on(at, CHAT_CHANNEL_MAX);
    MUST(buf_add(&b, STR("chat:")) && json_write_i64(&b, conversation));
    return buf_str(&b);
}

bool chat_channel_read(struct str channel, int64_t *ret)
{
    uint64_t n;
    if (!str_starts(channel, STR("chat:")) || !str_to_u64(str_skip(channel, 5), &n) || n == 0 ||
        n > (uint64_t)CHAT_CONVERSATION_MAX)
        return false;
    *ret = (int64_t)n;
    return true;
}

static void put_time(struct json_writer *w, struct str key, int64_t ms)
{
    char at[ISO_TIME_MAX];
    json_put_string(json_key(w, key), (struct str){at, iso_time_ms(ms, at)});
}

static void put_text(struct json_writer *w, struct str key, struct str s)
{
    json_key(w, key);
    if (s.n > 0)
        json_put_string(w, s);
    else
        json_put_null(w);
}

/* Behind the model's name: what an answer's record says only at its end. */
static void put_end(struct json_writer *w, const struct chat_message *m)
{
    put_text(w, STR("error"), m->error);
    json_key(w, STR("tokens"));
    if (m->tokens >= 0)
        json_put_i64(w, m->tokens);
    else
        json_put_null(w);
    put_time(w, STR("updated_at"), m->updated_ms);
}

void chat_message_put(struct json_writer *w, const struct chat_message *m)
{
    json_open_object(w);
    json_put_i64(json_key(w, STR("id")), m->id);
    json_put_i64(json_key(w, STR("conversation_id")), m->conversation);
    json_put_string(json_key(w, STR("role")), m->role);
    json_put_string(json_key(w, STR("content")), m->content);
    json_put_string(json_key(w, STR("state")), m->state);
    put_text(w, STR("model"), m->model);
    put_time(w, STR("created_at"), m->created_ms);
    put_end(w, m);
    if (m->seq >= 0 && str_eq(m->state, record_state_name(RECORD_STREAMING)))
        json_put_i64(json_key(w, STR("seq")), m->seq);
    json_close_object(w);
}

bool chat_message_write(struct buf *out, const struct chat_message *m)
{
    struct json_writer w;
    json_writer_init(&w, out);
    chat_message_put(&w, m);
    return json_done(&w);
}

/* Members without their braces, which the record puts around all of it. */
static bool members_write(struct buf *out, const struct chat_message *m,
                          void (*put)(struct json_writer *w, const struct chat_message *m))
{
    struct json_writer w;
    struct buf b;
    buf_init(&b, 64 << 10);
    json_writer_init(&w, &b);
    json_open_object(&w);
    put(&w, m);
    json_close_object(&w);
    bool ok = json_done(&w) && buf_add(out, (struct str){b.p + 1, b.len - 2});
    buf_fini(&b);
    return ok;
}

static void put_head(struct json_writer *w, const struct chat_message *m)
{
    json_put_i64(json_key(w, STR("conversation_id")), m->conversation);
    put_time(w, STR("created_at"), m->created_ms);
}

static void put_tail(struct json_writer *w, const struct chat_message *m)
{
    put_text(w, STR("model"), m->model);
    put_end(w, m);
}

bool chat_record_head_write(struct buf *out, const struct chat_message *m)
{
    return members_write(out, m, put_head);
}

bool chat_record_tail_write(struct buf *out, const struct chat_message *m)
{
    return members_write(out, m, put_tail);
}

void chat_history_put(struct json_writer *w, const struct chat_message *m)
{
    json_open_object(w);
    json_put_i64(json_key(w, STR("id")), m->id);
    json_put_string(json_key(w, STR("role")), m->role);
    json_put_string(json_key(w, STR("content")), m->content);
    put_time(w, STR("timestamp"), m->created_ms);
    json_close_object(w);
}

bool chat_history_write(struct buf *out, const struct chat_message *m)
{
    struct json_writer w;
    json_writer_init(&w, out);
    chat_history_put(&w, m);
    return json_done(&w);
}

void chat_conversation_put(struct json_writer *w, const struct chat_conversation *c)
{
    json_open_object(w);
    json_put_i64(json_key(w, STR("id")), c->id);
    put_text(w, STR("title"), c->title);
    put_text(w, STR("system_prompt"), c->system_prompt);
    put_text(w, STR("model"), c->model);
    json_put_i64(json_key(w, STR("message_count")), c->message_count);
    put_text(w, STR("last_message"), c->last_message);
    put_time(w, STR("created_at"), c->created_ms);
    put_time(w, STR("updated_at"), c->updated_ms);
    json_close_object(w);
}
