/*
 * orquestrador_read.c - a message of the orchestrator's pages as a command.
 *
 * Why it exists: the original reads any JSON value with JavaScript's rules (of equal keys the last
 * counts, a field of a number is undefined), and answers by what it finds there.
 */
#include "dialect/orquestrador_priv.h"

#include "base/json.h"
#include "base/utf8.h"

static enum orq_verb verb_named(struct str raw)
{
    static const struct {
        struct str name;
        enum orq_verb verb;
    } verbs[] = {
        {{"ping", 4}, ORQ_PING},
        {{"monitoring:subscribe", 20}, ORQ_MONITORING_SUBSCRIBE},
        {{"monitoring:unsubscribe", 22}, ORQ_MONITORING_UNSUBSCRIBE},
        {{"task:subscribe", 14}, ORQ_TASK_SUBSCRIBE},
        {{"task:unsubscribe", 16}, ORQ_TASK_UNSUBSCRIBE},
        {{"chat:send", 9}, ORQ_CHAT_SEND},
        {{"chat:history", 12}, ORQ_CHAT_HISTORY},
        {{"chat:cancel", 11}, ORQ_CHAT_CANCEL},
    };
    for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
        if (json_key_is(raw, verbs[i].name))
            return verbs[i].verb;
    }
    return ORQ_UNKNOWN;
}

static void read_type(struct json *j, struct orq_command *ret)
{
    struct str raw;
    ret->verb = ORQ_UNKNOWN;
    if (json_peek(j) != JSON_STRING)
        json_skip(j);
    else if (json_read_string_raw(j, &raw))
        ret->verb = verb_named(raw);
}

static void read_data(struct json *j, struct orq_command *ret)
{
    struct str key;
    enum json_type type = json_peek(j);
    ret->no_data = type == JSON_NULL ? "null" : NULL;
    ret->task_id = ret->message = ret->conversation_id = ret->limit = STR_NONE;
    if (type != JSON_OBJECT) {
        json_skip(j);
        return;
    }
    json_object_begin(j);
    while (json_object_next(j, &key)) {
        if (json_key_is(key, STR("taskId")))
            json_read_raw(j, &ret->task_id);
        else if (json_key_is(key, STR("message")))
            json_read_raw(j, &ret->message);
        else if (json_key_is(key, STR("conversationId")))
            json_read_raw(j, &ret->conversation_id);
        else if (json_key_is(key, STR("limit")))
            json_read_raw(j, &ret->limit);
    }
}

bool orq_command_read(struct str text, struct orq_command *ret)
{
    struct json j;
    struct str key;
    *ret = (struct orq_command){.verb = ORQ_UNKNOWN, .no_data = "undefined"};
    json_init(&j, text);
    enum json_type type = json_peek(&j);
    if (type != JSON_OBJECT) {
        ret->verb = type == JSON_NULL ? ORQ_TYPELESS : ORQ_UNKNOWN;
        return json_skip(&j) && json_end(&j);
    }
    json_object_begin(&j);
    while (json_object_next(&j, &key)) {
        if (json_key_is(key, STR("type")))
            read_type(&j, ret);
        else if (json_key_is(key, STR("data")))
            read_data(&j, ret);
    }
    return json_end(&j);
}

/* A whole number of any notation that a double holds exactly. */
static bool read_integer(struct str number, int64_t *ret)
{
    const double most = 9007199254740992.0;
    struct json j;
    double d;
    json_init(&j, number);
    if (json_read_i64(&j, ret))
        return true;
    json_init(&j, number);
    if (!json_read_double(&j, &d) || d <= -most || d >= most || (double)(int64_t)d != d)
        return false;
    *ret = (int64_t)d;
    return true;
}

static bool is_falsy(struct str raw)
{
    return raw.n == 0 || str_eq(raw, STR("null")) || str_eq(raw, STR("false")) ||
           str_eq(raw, STR("\"\""));
}

bool orq_number_read(struct str raw, int64_t otherwise, int64_t *ret)
{
    int64_t n = 0;
    if (raw.n > 1 && raw.p[0] == '"' && raw.n > 2)
        raw = (struct str){raw.p + 1, raw.n - 2}; // a number in quotes is one to the database
    if (!is_falsy(raw) && !read_integer(raw, &n))
        return false;
    *ret = n != 0 ? n : otherwise;
    return *ret > 0;
}

bool orq_task_channel(struct str task_id, char at[ORQ_CHANNEL_MAX], struct str *ret)
{
    struct buf b = buf_on(at, ORQ_CHANNEL_MAX);
    struct json j;
    int64_t whole;
    double d = 0;
    json_init(&j, task_id);
    if (json_peek(&j) != JSON_NUMBER || !buf_add(&b, STR("task:")))
        return false;
    bool ok = read_integer(task_id, &whole) ? json_write_i64(&b, whole)
                                            : json_read_double(&j, &d) && json_write_double(&b, d);
    *ret = buf_str(&b);
    return ok;
}

bool orq_text_write(struct buf *out, struct str bytes)
{
    if (bytes.n == 0)
        return true;
    const char *p = bytes.p, *end = bytes.p + bytes.n;
    while (p < end) {
        const char *from = p;
        size_t n = 0;
        while (p < end && (n = utf8_sequence(p, end)) > 0)
            p += n;
        if (p > from && !buf_add(out, (struct str){from, (size_t)(p - from)}))
            return false;
        if (p == end)
            break;
        if (!buf_add(out, STR("\xEF\xBF\xBD")))
            return false;
        p++;
    }
    return true;
}
