/*
 * plataforma_read.c - what clients and back ends of the plataforma say, understood.
 *
 * Why it exists: these are the bytes of strangers; here and nowhere else they become words. A
 * client that says something else is not answered, a back end is told what is wrong.
 */
#include "dialect/plataforma_priv.h"

#include "monitor/logbook.h"

/* ---- clients ---- */

static enum plat_verb verb_named(struct str raw)
{
    static const struct {
        struct str name;
        enum plat_verb verb;
    } verbs[] = {
        {{"ping", 4}, PLAT_PING},
        {{"subscribe", 9}, PLAT_SUBSCRIBE},
        {{"unsubscribe", 11}, PLAT_UNSUBSCRIBE},
        {{"stats", 5}, PLAT_STATS},
    };
    for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
        if (json_key_is(raw, verbs[i].name))
            return verbs[i].verb;
    }
    return PLAT_IGNORED;
}

/* A string's verb; anything else names none. */
static enum plat_verb read_verb(struct json *j)
{
    struct str raw = STR_NONE;
    if (json_peek(j) != JSON_STRING)
        json_skip(j);
    else
        json_read_string_raw(j, &raw);
    return verb_named(raw);
}

static void read_project(struct json *j, struct plat_command *ret)
{
    struct str raw = STR_NONE;
    ret->project = STR_NONE;
    if (json_peek(j) != JSON_STRING)
        json_skip(j);
    else if (json_read_string_raw(j, &raw))
        (void)json_string_decode(raw, ret->project_at, sizeof(ret->project_at), &ret->project);
    if (ret->project.n > PLAT_PROJECT_MAX)
        ret->project = STR_NONE;
}

void plat_command_read(struct str text, struct plat_command *ret)
{
    struct json j;
    struct str key;
    enum plat_verb action = PLAT_IGNORED, type = PLAT_IGNORED;
    bool has_action = false;
    ret->verb = PLAT_IGNORED;
    ret->project = STR_NONE;
    if (str_eq(text, STR("ping"))) {
        ret->verb = PLAT_PING;
        return;
    }
    json_init(&j, text);
    json_object_begin(&j);
    while (json_object_next(&j, &key)) {
        if (json_key_is(key, STR("action"))) {
            has_action = true;
            action = read_verb(&j);
        } else if (json_key_is(key, STR("type"))) {
            type = read_verb(&j);
        } else if (json_key_is(key, STR("project_id"))) {
            read_project(&j, ret);
        }
    }
    if (json_end(&j))
        ret->verb = has_action ? action : type;
}

/* ---- projects ---- */

struct str plat_project_channel(struct str project, char at[PLAT_CHANNEL_MAX])
{
    struct buf b = buf_on(at, PLAT_CHANNEL_MAX);
    MUST(buf_add(&b, PLAT_PREFIX) && buf_add(&b, project));
    return buf_str(&b);
}

struct str plat_channel_project(struct str channel)
{
    return str_starts(channel, PLAT_PREFIX) ? str_skip(channel, PLAT_PREFIX.n) : STR_NONE;
}

/* ---- log messages ---- */

enum plat_level plat_level_read(struct str text)
{
    enum log_rank rank = RANK_INFO;
    (void)log_rank_read(text, &rank);
    return (enum plat_level)rank;
}

/* Lines of the logbook say their number in their tags. */
static uint64_t seq_read(const struct publication *p)
{
    struct str raw;
    uint64_t seq;
    if (p->tags.n == 0 || !str_eq(p->type, STR("log_message")) ||
        !json_find(p->tags, STR("log"), &raw) || raw.n < 3)
        return 0;
    return str_to_u64((struct str){raw.p + 1, raw.n - 2}, &seq) ? seq : 0;
}

void plat_note_read(const struct publication *p, struct plat_note *ret)
{
    struct json j;
    struct str key, raw;
    *ret = (struct plat_note){.publication = p, .level = LEVEL_INFO, .seq = seq_read(p)};
    json_init(&j, p->data);
    if (json_peek(&j) != JSON_OBJECT)
        return;
    json_object_begin(&j);
    while (json_object_next(&j, &key)) {
        bool level = json_key_is(key, STR("level"));
        if ((!level && !json_key_is(key, STR("source"))) || json_peek(&j) != JSON_STRING)
            continue;
        if (!json_read_string_raw(&j, &raw))
            break;
        if (level)
            ret->level = plat_level_read(raw);
        else
            ret->source = raw;
    }
}

static bool source_is(struct str raw, struct str want)
{
    char at[PLAT_ID_MAX];
    struct str text;
    if (memchr(raw.p, '\\', raw.n) == NULL)
        return str_eq(raw, want);
    return json_string_decode(raw, at, sizeof(at), &text) && str_eq(text, want);
}

bool plat_note_passes(const struct plat_note *note, enum plat_level least, struct str source)
{
    if (note->level < least)
        return false;
    return source.n == 0 || (note->source.n > 0 && source_is(note->source, source));
}

/* ---- back ends ---- */

bool plat_type_is_known(struct str type)
{
    static const char *const types[] = {
        "connection",     "heartbeat",       "ping",
        "pong",           "subscribed",      "unsubscribed",
        "story_created",  "story_updated",   "story_moved",
        "story_deleted",  "task_created",    "task_updated",
        "task_completed", "task_deleted",    "chat_message",
        "job_started",    "job_completed",   "job_progress",
        "job_failed",     "notification",    "error",
        "log_message",    "project_created", "project_updated",
        "broadcast",
    };
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        if (str_eq(type, str_from(types[i])))
            return true;
    }
    return false;
}

static bool refuse(struct plat_broadcast *b, struct str at, struct str type, struct str why)
{
    b->wrong_at = at;
    b->wrong_type = type;
    b->wrong = why;
    return false;
}

#define NOT_JSON(b) refuse(b, STR_NONE, STR("json_invalid"), STR("JSON decode error"))

/* null counts as not given; the first wrong field is told, when the whole is JSON. */
static void read_text(struct json *j, struct str field, char *at, size_t cap, struct str *ret,
                      struct plat_broadcast *b)
{
    struct str raw = STR_NONE;
    *ret = STR_NONE;
    enum json_type type = json_peek(j);
    if (type == JSON_NULL)
        json_skip(j);
    else if (type != JSON_STRING) {
        json_skip(j);
        refuse(b, field, STR("string_type"), STR("Input should be a valid string"));
    } else if (json_read_string_raw(j, &raw) &&
               (!json_string_decode(raw, at, cap, ret) || ret->n > cap)) {
        refuse(b, field, STR("string_too_long"), STR("String is too long"));
    } else {
        b->has_type |= str_eq(field, STR("event_type"));
    }
}

bool plat_broadcast_read_body(struct str body, struct plat_broadcast *b)
{
    struct json j;
    struct str key;
    json_init(&j, body);
    enum json_type type = json_peek(&j);
    if (type != JSON_OBJECT && json_valid(body))
        return refuse(b, STR_NONE, STR("model_attributes_type"),
                      STR("Input should be a valid dictionary"));
    json_object_begin(&j);
    while (json_object_next(&j, &key)) {
        if (json_key_is(key, STR("event_type")))
            read_text(&j, STR("event_type"), b->event_type_at, sizeof(b->event_type_at),
                      &b->event_type, b);
        else if (json_key_is(key, STR("project_id")))
            read_text(&j, STR("project_id"), b->project_at, sizeof(b->project_at), &b->project, b);
        else if (json_key_is(key, STR("exclude_client")))
            read_text(&j, STR("exclude_client"), b->exclude_at, sizeof(b->exclude_at), &b->exclude,
                      b);
        else if (json_key_is(key, STR("data")))
            json_read_raw(&j, &b->data);
    }
    if (!json_end(&j))
        return NOT_JSON(b);
    if (b->wrong.n > 0)
        return false;
    if (!b->has_type)
        return refuse(b, STR("event_type"), STR("missing"), STR("Field required"));
    if (b->data.n == 0)
        return refuse(b, STR("data"), STR("missing"), STR("Field required"));
    if (b->data.p[0] != '{')
        return refuse(b, STR("data"), STR("dict_type"), STR("Input should be a valid dictionary"));
    return true;
}

bool plat_broadcast_read_data(struct str body, struct plat_broadcast *b)
{
    struct json j;
    json_init(&j, body);
    enum json_type type = json_peek(&j);
    if (!json_read_raw(&j, &b->data) || !json_end(&j))
        return NOT_JSON(b);
    if (type != JSON_OBJECT)
        return refuse(b, STR_NONE, STR("dict_type"), STR("Input should be a valid dictionary"));
    return true;
}
