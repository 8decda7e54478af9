/*
 * fields.c - what is asked about conversations.
 */
#include "chat/fields.h"

enum { TITLE_MAX = 1000, PROMPT_MAX = 64 << 10 };

struct reading {
    struct json j;
    struct chat_fields *to;
    char *room;
    struct buf *why;
    bool failed;
};

static void wrong(struct reading *r, struct str key, const char *what)
{
    if (!r->failed) {
        buf_clear(r->why);
        buf_add_format(r->why, "bad request: %.*s: %s", STR_FMT(key), what);
    }
    r->failed = true;
}

/* null is an empty text that was given. */
static void read_text(struct reading *r, struct str key, size_t most, struct str *ret, bool *given)
{
    struct json *j = &r->j;
    struct str s = STR_NONE;
    if (given != NULL)
        *given = true;
    if (json_peek(j) == JSON_NULL) {
        json_read_null(j);
        *ret = STR_NONE;
        return;
    }
    size_t left = (size_t)(j->end - j->p); // a decoded string is never longer than it was
    if (json_peek(j) != JSON_STRING) {
        json_skip(j);
        wrong(r, key, "must be a string");
        return;
    }
    if (!json_read_string(j, r->room, left, &s))
        return;
    if (s.n > 0 && s.p == r->room)
        r->room += s.n;
    if (s.n > most)
        wrong(r, key, "is too long");
    else if (s.n > 0 && memchr(s.p, '\0', s.n) != NULL)
        wrong(r, key, "must not hold a null character");
    *ret = s;
}

static void read_whole(struct reading *r, struct str key, int64_t least, int64_t most, int64_t *ret)
{
    struct str raw;
    struct json number;
    int64_t n = 0;
    if (!json_read_raw(&r->j, &raw) || str_eq(raw, STR("null")))
        return;
    json_init(&number, raw);
    if (!json_read_i64(&number, &n) || n < least || n > most)
        wrong(r, key, "is out of range, or not a whole number");
    else
        *ret = n;
}

static void read_flag(struct reading *r, struct str key, bool *ret)
{
    if (json_peek(&r->j) == JSON_BOOL) {
        json_read_bool(&r->j, ret);
        return;
    }
    json_skip(&r->j);
    wrong(r, key, "must be true or false");
}

static void read_temperature(struct reading *r, struct str key)
{
    struct str raw;
    struct json number;
    double d = 0;
    if (!json_read_raw(&r->j, &raw) || str_eq(raw, STR("null")))
        return;
    json_init(&number, raw);
    if (!json_read_double(&number, &d) || d < 0 || d > 10)
        wrong(r, key, "must be a number from 0 to 10");
    else
        r->to->temperature = d;
}

static void read_numbers(struct reading *r, struct str key)
{
    struct chat_fields *f = r->to;
    if (json_key_is(key, STR("conversation_id")) || json_key_is(key, STR("conversationId")) ||
        json_key_is(key, STR("conversation"))) {
        f->has_conversation = json_peek(&r->j) != JSON_NULL;
        read_whole(r, STR("conversation_id"), 1, CHAT_CONVERSATION_MAX, &f->conversation);
    } else if (json_key_is(key, STR("message_id"))) {
        read_whole(r, STR("message_id"), 1, CHAT_CONVERSATION_MAX, &f->message_id);
    } else if (json_key_is(key, STR("limit"))) {
        read_whole(r, STR("limit"), 1, CHAT_LIMIT_MAX, &f->limit);
    } else if (json_key_is(key, STR("offset"))) {
        read_whole(r, STR("offset"), 0, CHAT_CONVERSATION_MAX, &f->offset);
    } else if (json_key_is(key, STR("before"))) {
        read_whole(r, STR("before"), 1, CHAT_CONVERSATION_MAX, &f->before);
    } else if (json_key_is(key, STR("max_tokens"))) {
        read_whole(r, STR("max_tokens"), 1, 1000000, &f->max_tokens);
    } else if (json_key_is(key, STR("temperature"))) {
        read_temperature(r, STR("temperature"));
    } else if (json_key_is(key, STR("stream"))) {
        read_flag(r, STR("stream"), &f->stream);
    } else if (json_key_is(key, STR("wait"))) {
        read_flag(r, STR("wait"), &f->wait);
    }
}

static void read_field(struct reading *r, struct str key)
{
    struct chat_fields *f = r->to;
    if (json_key_is(key, STR("message")))
        read_text(r, STR("message"), SIZE_MAX, &f->message, NULL);
    else if (json_key_is(key, STR("tenant")))
        read_text(r, STR("tenant"), NAME_BYTES_MAX, &f->tenant, NULL);
    else if (json_key_is(key, STR("channel")))
        read_text(r, STR("channel"), CHANNEL_NAME_MOST, &f->channel, NULL);
    else if (json_key_is(key, STR("title")))
        read_text(r, STR("title"), TITLE_MAX, &f->title, &f->has_title);
    else if (json_key_is(key, STR("system")) || json_key_is(key, STR("system_prompt")))
        read_text(r, STR("system_prompt"), PROMPT_MAX, &f->system_prompt, &f->has_system_prompt);
    else if (json_key_is(key, STR("model")))
        read_text(r, STR("model"), TITLE_MAX, &f->model, &f->has_model);
    else
        read_numbers(r, key);
}

bool chat_fields_read(struct str text, char *room, struct chat_fields *ret, struct buf *why)
{
    struct reading r = {.to = ret, .room = room, .why = why};
    struct str key;
    *ret = (struct chat_fields){.conversation = 1, .limit = CHAT_LIMIT_DEFAULT, .temperature = -1};
    if (text.n == 0)
        return true;
    json_init(&r.j, text);
    json_object_begin(&r.j);
    while (json_object_next(&r.j, &key))
        read_field(&r, key);
    if (json_end(&r.j))
        return !r.failed;
    buf_clear(why);
    buf_add(why, STR("bad request: "));
    json_error_write(&r.j, why);
    return false;
}

struct llm_settings chat_fields_settings(const struct chat_fields *f)
{
    return (struct llm_settings){.model = f->model,
                                 .temperature = f->temperature,
                                 .max_tokens = (uint32_t)f->max_tokens,
                                 .system_prompt = f->system_prompt};
}

bool chat_fields_check_message(const struct chat_fields *f, uint32_t max_bytes, struct buf *why)
{
    buf_clear(why);
    if (f->message.n == 0)
        return !buf_add(why, STR("bad request: message: is required"));
    if (f->message.n > max_bytes)
        return !buf_add(why, STR("bad request: message: is longer than chat.message_max"));
    return true;
}
