/*
 * completion.c - from an answer's bytes to its text.
 *
 * Always true:
 *   I1. text is handed out once, in order, in whole characters: a surrogate pair that was cut by
 *       the end of a chunk waits for its other half.
 *   I2. after a failure nothing is handed out.
 */
#include "llm/completion.h"

#include "base/json.h"
#include "base/utf8.h"

#define ID_NUMBER_MAX INT64_C(9007199254740991)

/* Of a chunk's first choice, as it stands there. */
struct choice {
    struct str content; // raw
    struct str finish_reason;
};

static bool fail(struct completion *c, enum llm_failure f)
{
    if (c->failure == LLM_NONE)
        c->failure = f;
    return false;
}

/* ---- errors ---- */

/* As much of a text as fits, cut between two characters and without control characters. */
static void add_words(struct buf *why, struct str text)
{
    if (text.n == 0)
        return;
    const char *p = text.p, *end = text.p + text.n;
    while (p < end) {
        size_t n = utf8_sequence(p, end);
        bool plain = n > 1 || (n == 1 && (unsigned char)*p >= 32 && *p != 127);
        struct str one = plain ? (struct str){p, n} : STR(" ");
        if (why->max - why->len < 4 || !buf_add(why, one))
            return;
        p += n > 0 ? n : 1;
    }
}

static void add_raw_words(struct buf *why, struct str raw)
{
    struct buf text;
    buf_init(&text, raw.n);
    if (json_string_decode_to(raw, &text))
        add_words(why, buf_str(&text));
    buf_fini(&text);
}

static bool is_string(struct str raw)
{
    return raw.n >= 2 && raw.p[0] == '"';
}

static struct str unquote(struct str raw)
{
    return (struct str){raw.p + 1, raw.n - 2};
}

/* {"error":{"message":".."}}, {"error":".."}, {"message":".."}, {"detail":".."}. */
static bool find_message(struct str object, struct str *ret_raw)
{
    static const struct str keys[] = {{"error", 5}, {"message", 7}, {"detail", 6}};
    struct str value;
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        if (!json_find(object, keys[i], &value))
            continue;
        if (value.n > 0 && value.p[0] == '{' && !json_find(value, STR("message"), &value))
            continue;
        if (is_string(value)) {
            *ret_raw = unquote(value);
            return true;
        }
    }
    return false;
}

void completion_read_error(struct str body, struct buf *why)
{
    struct str raw;
    body = json_trim(body);
    if (json_valid(body) && body.p[0] == '{') {
        if (find_message(body, &raw))
            add_raw_words(why, raw);
    } else if (body.n > 0 && body.p[0] != '<') {
        add_words(why, body);
    }
}

/* ---- text ---- */

static bool hand_out(struct completion *c, struct str text)
{
    if (text.n == 0)
        return true;
    if (text.n > c->answer_max_bytes - c->text_bytes)
        return fail(c, LLM_TOO_LONG);
    c->text_bytes += text.n;
    if (c->token != NULL)
        c->token(c->ctx, text);
    return !c->stopped;
}

/* The raw string ends with the first half of a pair, as an escape that is itself not escaped. */
static bool ends_with_half(struct str raw)
{
    if (raw.n < HALF_ESCAPE)
        return false;
    const char *p = raw.p + raw.n - HALF_ESCAPE;
    bool high = p[0] == '\\' && p[1] == 'u' && (p[2] | 0x20) == 'd' &&
                (p[3] == '8' || p[3] == '9' || (p[3] | 0x20) == 'a' || (p[3] | 0x20) == 'b');
    size_t slashes = 0;
    while (high && p - slashes > raw.p && p[-1 - (ptrdiff_t)slashes] == '\\')
        slashes++;
    return high && slashes % 2 == 0;
}

static bool decode(struct completion *c, struct str raw)
{
    struct buf joined;
    buf_init(&joined, HALF_ESCAPE + raw.n);
    bool ok = buf_add(&joined, (struct str){c->half, c->half_n}) && buf_add(&joined, raw);
    struct str all = buf_str(&joined);
    c->half_n = 0;
    if (ok && ends_with_half(all)) {
        all.n -= HALF_ESCAPE;
        c->half_n = HALF_ESCAPE;
        memcpy(c->half, all.p + all.n, HALF_ESCAPE);
    }
    ok = ok && json_string_decode_to(all, &c->text);
    buf_fini(&joined);
    return ok;
}

static bool take_content(struct completion *c, struct str raw)
{
    bool plain = raw.n == 0 || memchr(raw.p, '\\', raw.n) == NULL;
    if (plain && c->half_n == 0)
        return hand_out(c, raw);
    if (raw.n == 0)
        return true;
    buf_clear(&c->text);
    if (!decode(c, raw))
        return fail(c, LLM_GARBAGE);
    return hand_out(c, buf_str(&c->text));
}

/* ---- chunks ---- */

static void read_string_or_skip(struct json *j, struct str *ret)
{
    if (json_peek(j) == JSON_STRING)
        json_read_string_raw(j, ret);
    else
        json_skip(j);
}

/* "delta" of a stream, "message" of an answer that is none. */
static void read_delta(struct json *j, struct choice *ret)
{
    struct str key;
    if (json_peek(j) != JSON_OBJECT) {
        json_skip(j);
        return;
    }
    json_object_begin(j);
    while (json_object_next(j, &key)) {
        if (json_key_is(key, STR("content")))
            read_string_or_skip(j, &ret->content);
    }
}

static void read_choice(struct json *j, struct choice *ret)
{
    struct choice choice = {0};
    uint64_t index = 0;
    struct str key;
    json_object_begin(j);
    while (json_object_next(j, &key)) {
        if (json_key_is(key, STR("index")))
            json_read_u64(j, &index);
        else if (json_key_is(key, STR("delta")) || json_key_is(key, STR("message")))
            read_delta(j, &choice);
        else if (json_key_is(key, STR("text")))
            read_string_or_skip(j, &choice.content);
        else if (json_key_is(key, STR("finish_reason")))
            read_string_or_skip(j, &choice.finish_reason);
    }
    if (index == 0 && j->error == NULL)
        *ret = choice;
}

static void read_choices(struct json *j, struct completion *c, struct choice *ret)
{
    if (json_peek(j) != JSON_ARRAY) {
        json_skip(j);
        return;
    }
    c->spoke = true;
    json_array_begin(j);
    while (json_array_next(j))
        read_choice(j, ret);
}

static void read_count(struct json *j, uint64_t *ret)
{
    if (json_peek(j) == JSON_NUMBER)
        json_read_u64(j, ret);
    else
        json_skip(j);
}

static void read_usage(struct json *j, struct completion *c)
{
    struct str key;
    if (json_peek(j) != JSON_OBJECT) {
        json_skip(j);
        return;
    }
    c->has_usage = true;
    json_object_begin(j);
    while (json_object_next(j, &key)) {
        if (json_key_is(key, STR("prompt_tokens")))
            read_count(j, &c->tokens_in);
        else if (json_key_is(key, STR("completion_tokens")))
            read_count(j, &c->tokens_out);
    }
}

static void keep_name(struct buf *into, struct str raw)
{
    if (into->len == 0)
        add_raw_words(into, raw);
}

/* Every reader's number is exact up to here. */
static bool is_id_number(struct str raw)
{
    struct json j;
    int64_t n = -1;
    json_init(&j, raw);
    return json_read_i64(&j, &n) && n >= 0 && n <= ID_NUMBER_MAX;
}

/* Text in every reader: some refuse half a surrogate pair, though it is JSON. */
static bool is_id_text(struct str raw)
{
    char at[COMPLETION_NAME_MAX];
    struct str text;
    if (!is_string(raw) || raw.n > sizeof(at) ||
        !json_string_decode(unquote(raw), at, sizeof(at), &text) || text.n == 0)
        return false;
    for (size_t i = 0; i < text.n; i++) {
        if ((unsigned char)text.p[i] < 32 || text.p[i] == 127)
            return false;
    }
    return true;
}

/* It becomes that of a message, as it stands. What readers could not tell from others is none. */
static void keep_id(struct completion *c, struct str raw)
{
    if (c->id.len == 0 && (is_id_number(raw) || is_id_text(raw)))
        (void)buf_add(&c->id, raw);
}

static bool take_error(struct completion *c, struct str object)
{
    if (c->failure == LLM_NONE)
        completion_read_error(object, &c->why);
    return fail(c, LLM_UPSTREAM);
}

static bool take_object(struct completion *c, struct str text)
{
    struct choice choice = {0};
    struct str key, model = STR_NONE, error = STR_NONE, object = STR_NONE, id = STR_NONE;
    struct json j;
    json_init(&j, text);
    json_object_begin(&j);
    while (json_object_next(&j, &key)) {
        if (json_key_is(key, STR("choices")))
            read_choices(&j, c, &choice);
        else if (json_key_is(key, STR("usage")))
            read_usage(&j, c);
        else if (json_key_is(key, STR("model")))
            read_string_or_skip(&j, &model);
        else if (json_key_is(key, STR("error")))
            json_read_raw(&j, &error);
        else if (json_key_is(key, STR("object")))
            read_string_or_skip(&j, &object);
        else if (json_key_is(key, STR("id")))
            json_read_raw(&j, &id);
    }
    if (!json_end(&j))
        return fail(c, LLM_GARBAGE);
    if ((error.n > 0 && !str_eq(error, STR("null"))) || str_eq(object, STR("error")))
        return take_error(c, text);
    keep_id(c, id);
    keep_name(&c->model, model);
    if (!take_content(c, choice.content))
        return false;
    if (choice.finish_reason.n > 0) {
        keep_name(&c->finish_reason, choice.finish_reason);
        c->finished = true;
    }
    return true;
}

static bool take_event(void *ctx, struct str data)
{
    struct completion *c = ctx;
    data = json_trim(data);
    if (data.n == 0)
        return true;
    if (str_eq(data, STR("[DONE]"))) {
        c->ended = true;
        return false;
    }
    return take_object(c, data);
}

/* ---- the answer ---- */

void completion_init(struct completion *c, size_t answer_max_bytes,
                     void (*token)(void *ctx, struct str text), void *ctx)
{
    *c = (struct completion){.answer_max_bytes = answer_max_bytes, .token = token, .ctx = ctx};
    event_reader_init(&c->events, answer_max_bytes, take_event, c);
    buf_init(&c->object, answer_max_bytes);
    buf_init(&c->text, answer_max_bytes);
    buf_init(&c->why, COMPLETION_WHY_MAX);
    buf_init(&c->id, COMPLETION_NAME_MAX);
    buf_init(&c->model, COMPLETION_NAME_MAX);
    buf_init(&c->finish_reason, COMPLETION_NAME_MAX);
}

void completion_fini(struct completion *c)
{
    event_reader_fini(&c->events);
    buf_fini(&c->object);
    buf_fini(&c->text);
    buf_fini(&c->why);
    buf_fini(&c->id);
    buf_fini(&c->model);
    buf_fini(&c->finish_reason);
}

void completion_stop(struct completion *c)
{
    c->stopped = true;
}

/* Steps over white space and a byte order mark. False: the first byte has not come yet, or it is
 * that of neither form. */
static bool find_form(struct completion *c, struct str *piece)
{
    while (piece->n > 0 && memchr(" \t\r\n\xef\xbb\xbf", piece->p[0], 7) != NULL)
        *piece = str_skip(*piece, 1);
    if (piece->n == 0)
        return true;
    if (piece->p[0] == '{')
        c->form = FORM_OBJECT;
    else if (memchr(":deir", piece->p[0], 5) != NULL) // a comment, or data, event, id, retry
        c->form = FORM_EVENTS;
    else
        return fail(c, LLM_GARBAGE);
    return true;
}

bool completion_feed(struct completion *c, struct str piece)
{
    if (c->failure != LLM_NONE || c->stopped)
        return false;
    if (c->form == FORM_UNKNOWN && !find_form(c, &piece))
        return false;
    if (c->form == FORM_OBJECT)
        return buf_add(&c->object, piece) || fail(c, LLM_TOO_LONG);
    if (c->form == FORM_EVENTS && !event_reader_feed(&c->events, piece))
        return fail(c, LLM_TOO_LONG);
    return c->failure == LLM_NONE && !c->stopped;
}

/* An object that was cut off is not JSON, as it is when it never was. */
static bool end_object(struct completion *c)
{
    struct str text = buf_str(&c->object);
    if (!json_valid(text))
        return fail(c, LLM_BROKEN);
    if (!take_object(c, text))
        return false;
    c->ended = c->spoke;
    return c->spoke || fail(c, LLM_GARBAGE);
}

/* The last event may have been cut in its middle: that is no garbage, and behind the answer's last
 * word nothing is missed. */
static bool end_events(struct completion *c)
{
    if (!event_reader_end(&c->events))
        return fail(c, LLM_TOO_LONG);
    if (c->failure == LLM_GARBAGE && c->spoke)
        c->failure = c->finished ? LLM_NONE : LLM_BROKEN;
    if (c->failure != LLM_NONE || c->stopped)
        return false;
    if (c->ended || c->finished)
        return true;
    return fail(c, c->spoke ? LLM_BROKEN : LLM_GARBAGE);
}

bool completion_end(struct completion *c)
{
    if (c->failure != LLM_NONE || c->stopped)
        return false;
    if (c->form == FORM_OBJECT)
        return end_object(c);
    if (c->form == FORM_EVENTS)
        return end_events(c);
    return fail(c, LLM_BROKEN); // nothing came at all
}
