/*
 * conductor_read.c - what clients and back ends of the conductor say, read from JSON.
 *
 * Why it exists: everything here sees the wire, and nothing here knows a session: it can be fed any
 * bytes.
 */
#include "dialect/conductor_priv.h"

/* ---- commands ---- */

static enum command_kind command_kind(struct str raw)
{
    static const struct {
        struct str name;
        enum command_kind kind;
    } known[] = {
        {{"subscribe", 9}, COMMAND_SUBSCRIBE},
        {{"ping", 4}, COMMAND_PING},
        {{"get_stats", 9}, COMMAND_STATS},
        {{"pause_councilor", 15}, COMMAND_PAUSE},
    };
    if (raw.n < 2 || raw.p[0] != '"')
        return COMMAND_OTHER;
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (json_key_is((struct str){raw.p + 1, raw.n - 2}, known[i].name))
            return known[i].kind;
    }
    return COMMAND_OTHER;
}

bool council_command_read(struct str text, struct council_command *ret)
{
    struct json j;
    struct str key;
    *ret = (struct council_command){0};
    json_init(&j, text);
    json_object_begin(&j);
    while (json_object_next(&j, &key)) {
        if (json_key_is(key, STR("command")))
            json_read_raw(&j, &ret->name);
        else if (json_key_is(key, STR("topics")))
            json_read_raw(&j, &ret->topics);
        else if (json_key_is(key, STR("councilor_id")))
            json_read_raw(&j, &ret->councilor_id);
    }
    ret->kind = command_kind(ret->name);
    return json_end(&j);
}

bool command_name_write(struct buf *out, struct str raw)
{
    if (raw.n == 0 || str_eq(raw, STR("null")))
        return buf_add(out, STR("None"));
    if (str_eq(raw, STR("true")))
        return buf_add(out, STR("True"));
    if (str_eq(raw, STR("false")))
        return buf_add(out, STR("False"));
    if (raw.p[0] != '"')
        return buf_add(out, raw);
    return json_string_decode_to((struct str){raw.p + 1, raw.n - 2}, out);
}

/* ---- topics ---- */

static bool topics_count(struct str raw, size_t *ret)
{
    struct json j;
    struct str item;
    json_init(&j, raw);
    if (raw.n > TOPICS_MAX_BYTES || !json_array_begin(&j))
        return false;
    while (json_array_next(&j)) {
        if (json_read_string_raw(&j, &item))
            ++*ret;
    }
    return json_end(&j) && *ret <= TOPICS_MAX;
}

struct topics *topics_make(struct str raw)
{
    size_t count = 0;
    struct json j;
    struct str item;
    if (!topics_count(raw, &count))
        return NULL;
    struct topics *t = malloc(sizeof(*t) + count * sizeof(t->items[0]) + 2 * raw.n);
    if (t == NULL)
        return NULL;
    char *at = (char *)&t->items[count];
    t->count = 0;
    t->raw = str_put(&at, raw);
    json_init(&j, t->raw);
    json_array_begin(&j);
    while (json_array_next(&j)) {
        struct str text;
        if (!json_read_string_raw(&j, &item) || !json_string_decode(item, at, item.n, &text)) {
            free(t);
            return NULL;
        }
        if (text.p == at)
            at += text.n;
        t->items[t->count++] = text;
    }
    return t;
}

bool topics_want(const struct topics *t, struct str type)
{
    if (t == NULL)
        return true;
    for (uint32_t i = 0; i < t->count; i++) {
        if (str_eq(t->items[i], STR("all")) || str_eq(t->items[i], type))
            return true;
    }
    return false;
}

/* ---- events of back ends ---- */

const char *council_event_read(struct str text, struct council_event *ret)
{
    struct json j;
    struct str key;
    const char *why = NULL;
    ret->type = ret->tenant = STR_NONE;
    ret->data = STR("{}");
    json_init(&j, text);
    if (!json_object_begin(&j))
        return "the body is not a JSON object";
    while (json_object_next(&j, &key)) {
        bool is_type = json_key_is(key, STR("type"));
        if (is_type || json_key_is(key, STR("tenant"))) {
            struct str raw;
            char *at = is_type ? ret->type_at : ret->tenant_at;
            size_t cap = is_type ? sizeof(ret->type_at) : sizeof(ret->tenant_at);
            struct str *to = is_type ? &ret->type : &ret->tenant;
            if (json_peek(&j) == JSON_NULL) {
                json_skip(&j);
            } else if (json_peek(&j) != JSON_STRING || !json_read_string_raw(&j, &raw)) {
                why = is_type ? "type is not a string" : "tenant is not a string";
                json_skip(&j);
            } else if (raw.n >= cap || !json_string_decode(raw, at, cap, to)) {
                why = is_type ? "type is too long" : "tenant is too long";
            }
        } else if (json_key_is(key, STR("data"))) {
            enum json_type what = json_peek(&j);
            if (what != JSON_OBJECT && what != JSON_NULL)
                why = "data is not an object";
            if (what == JSON_OBJECT)
                json_read_raw(&j, &ret->data);
            else
                json_skip(&j);
        }
    }
    if (!json_end(&j))
        return "the body is not a JSON object";
    return why;
}

bool debug_data_write(struct buf *out, struct str data)
{
    struct json j;
    struct str key, value;
    json_init(&j, data);
    json_object_begin(&j);
    bool ok = buf_add_char(out, '{');
    while (json_object_next(&j, &key)) {
        if (!json_read_raw(&j, &value) || json_key_is(key, STR("level")))
            continue;
        ok = ok && buf_add_char(out, '"') && buf_add(out, key) && buf_add(out, STR("\":")) &&
             buf_add(out, value) && buf_add_char(out, ',');
    }
    return json_end(&j) && ok && buf_add(out, STR("\"level\":\"debug\"}"));
}

/* ---- jobs ---- */

/* A string that is not empty, without its quotes. */
static bool text_of(struct str object, struct str key, struct str *ret)
{
    struct str raw;
    if (!json_find(object, key, &raw) || raw.n < 3 || raw.p[0] != '"')
        return false;
    *ret = (struct str){raw.p + 1, raw.n - 2};
    return true;
}

static bool first_entry(struct str body, struct str *ret)
{
    struct json j;
    struct str entries, entry;
    if (!json_find(body, STR("textEntries"), &entries))
        return false;
    json_init(&j, entries);
    if (json_peek(&j) != JSON_ARRAY || !json_array_begin(&j) || !json_array_next(&j) ||
        json_peek(&j) != JSON_OBJECT || !json_read_raw(&j, &entry))
        return false;
    return text_of(entry, STR("content"), ret);
}

bool job_text_find(struct str body, struct str *ret_raw)
{
    return first_entry(body, ret_raw) || text_of(body, STR("input"), ret_raw) ||
           text_of(body, STR("command"), ret_raw);
}
