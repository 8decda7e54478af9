/*
 * run_change.c - a body's or an event's words, copied and read.
 *
 * Always true: what a change points to lies in its own block, so it can go to any thread.
 */
#include "runs/run_change.h"

#include "base/date.h"

#include <stddef.h>
#include <stdlib.h>

struct run_change *run_change_make(enum run_verb verb, struct str tenant, struct str id,
                                   struct str text, int64_t now_ms, struct str *ret_text)
{
    size_t room = tenant.n + id.n + 3 * text.n + RUN_NAME_MAX * 6 + 256;
    struct run_change *c = calloc(1, sizeof(*c) + room);
    if (c == NULL)
        return NULL;
    c->verb = verb;
    c->now_ms = now_ms;
    c->bytes = sizeof(*c) + room;
    c->room = c->at;
    c->room_end = c->at + room;
    c->tenant = str_put(&c->room, tenant);
    c->id = str_put(&c->room, id);
    *ret_text = str_put(&c->room, text);
    list_init(&c->link);
    c->said.tokens_in = c->said.tokens_out = c->said.started_at = c->said.completed_at =
        c->said.duration_ms = c->said.lease_ms = RUN_UNSAID;
    c->step.started_at = c->step.completed_at = 0;
    c->step.duration_ms = -1;
    buf_init(&c->updates, 8 << 20);
    buf_init(&c->answer, 16 << 20);
    return c;
}

void run_change_free(struct run_change *c)
{
    if (c == NULL)
        return;
    buf_fini(&c->updates);
    buf_fini(&c->answer);
    free(c);
}

/* ---- fields of a body ---- */

enum field_kind {
    FIELD_NAME,   // a string, or a number for its digits
    FIELD_TEXT,   // a longer string
    FIELD_JSON,   // any value
    FIELD_OBJECT, // an object
    FIELD_FIGURE, // a whole number, not negative
    FIELD_TIME,   // ISO 8601, or milliseconds since 1970
    FIELD_LEASE,  // "30s", or milliseconds
    FIELD_STATE,
};

struct field {
    const char *name;
    enum field_kind kind;
    size_t at;      // in struct run_change
    size_t max;     // bytes
    unsigned verbs; // bits of those that have it
};

#define SAID(member) offsetof(struct run_change, said.member)
#define STEP(member) offsetof(struct run_change, step.member)
#define OF(verb)     (1u << RUN_##verb)

enum {
    ALL_RUN = OF(CREATE) | OF(PATCH) | OF(FINISH) | OF(HEARTBEAT) | OF(RETRY) | OF(CANCEL),
    MAKES = OF(CREATE) | OF(PATCH) | OF(RETRY)
};

static const struct field fields[] = {
    {"id", FIELD_NAME, SAID(id), RUN_NAME_MAX, OF(CREATE)},
    {"kind", FIELD_NAME, SAID(kind), 64, OF(CREATE)},
    {"name", FIELD_NAME, SAID(name), RUN_NAME_MAX, MAKES},
    {"agent_id", FIELD_NAME, SAID(agent_id), RUN_NAME_MAX, MAKES},
    {"agent", FIELD_NAME, SAID(agent_id), RUN_NAME_MAX, MAKES}, // as the filter is called
    {"agent_name", FIELD_NAME, SAID(agent_name), RUN_NAME_MAX, MAKES},
    {"task_id", FIELD_NAME, SAID(task_id), RUN_NAME_MAX, MAKES},
    {"parent_id", FIELD_NAME, SAID(parent_id), RUN_NAME_MAX, MAKES},
    {"method", FIELD_NAME, SAID(method), 64, MAKES},
    {"severity", FIELD_NAME, SAID(severity), 64, ALL_RUN},
    {"status", FIELD_STATE, 0, 0, OF(CREATE) | OF(PATCH) | OF(FINISH) | OF(RETRY)},
    {"input", FIELD_JSON, SAID(input), RUN_JSON_MAX, MAKES},
    {"result", FIELD_JSON, SAID(result), RUN_JSON_MAX, ALL_RUN},
    {"error", FIELD_TEXT, SAID(error), RUN_ERROR_MAX, ALL_RUN},
    {"metadata", FIELD_OBJECT, SAID(metadata), RUN_METADATA_MAX, ALL_RUN},
    {"tokens_in", FIELD_FIGURE, SAID(tokens_in), 0, ALL_RUN},
    {"tokens_out", FIELD_FIGURE, SAID(tokens_out), 0, ALL_RUN},
    {"started_at", FIELD_TIME, SAID(started_at), 0, MAKES | OF(FINISH)},
    {"completed_at", FIELD_TIME, SAID(completed_at), 0, OF(CREATE) | OF(PATCH) | OF(FINISH)},
    {"duration_ms", FIELD_FIGURE, SAID(duration_ms), 0, OF(CREATE) | OF(PATCH) | OF(FINISH)},
    {"lease", FIELD_LEASE, SAID(lease_ms), 0, MAKES | OF(HEARTBEAT) | OF(STEP)},
    {"seq", FIELD_FIGURE, STEP(seq), 0, OF(STEP)},
    {"name", FIELD_NAME, STEP(name), RUN_NAME_MAX, OF(STEP)},
    {"status", FIELD_NAME, STEP(status), 64, OF(STEP)},
    {"started_at", FIELD_TIME, STEP(started_at), 0, OF(STEP)},
    {"completed_at", FIELD_TIME, STEP(completed_at), 0, OF(STEP)},
    {"duration_ms", FIELD_FIGURE, STEP(duration_ms), 0, OF(STEP)},
    {"detail", FIELD_JSON, STEP(detail), RUN_DETAIL_MAX, OF(STEP)},
};
enum { FIELD_COUNT = sizeof(fields) / sizeof(fields[0]) };

/* Each reader consumes one value and says what is wrong with it; NULL: nothing. */

static const char *read_string(struct run_change *c, struct json *j, size_t max, struct str *ret)
{
    struct str raw;
    if (json_peek(j) != JSON_STRING && json_peek(j) != JSON_NUMBER) {
        json_skip(j);
        return "must be a string";
    }
    bool is_number = json_peek(j) == JSON_NUMBER;
    if (is_number ? !json_read_raw(j, &raw) : !json_read_string_raw(j, &raw))
        return NULL; // the text's fault, which is told
    struct str s = raw;
    if (!is_number && !json_string_decode(raw, c->room, (size_t)(c->room_end - c->room), &s))
        return "has half a surrogate pair";
    if (s.p == c->room)
        c->room += s.n;
    if (s.n > max)
        return "is too long";
    if (s.n > 0 && memchr(s.p, '\0', s.n) != NULL)
        return "must not hold a zero character";
    *ret = s.p != NULL ? s : STR("");
    return NULL;
}

static const char *read_json(struct json *j, bool object, size_t max, struct str *ret)
{
    struct str raw;
    bool is_object = json_peek(j) == JSON_OBJECT;
    if (!json_read_raw(j, &raw))
        return NULL;
    if (object && !is_object)
        return "must be an object";
    if (raw.n > max)
        return "is too long";
    *ret = raw;
    return NULL;
}

static const char *read_figure(struct json *j, int64_t *ret)
{
    struct json before = *j;
    int64_t v;
    if (json_peek(j) == JSON_NUMBER && json_read_i64(j, &v) && v >= 0) {
        *ret = v;
        return NULL;
    }
    *j = before;
    json_skip(j);
    return "must be a whole number, not negative";
}

static const char *read_time(struct json *j, int64_t *ret)
{
    struct str raw;
    struct date d;
    if (json_peek(j) == JSON_NUMBER)
        return read_figure(j, ret) == NULL ? NULL : "must be milliseconds since 1970";
    if (json_peek(j) == JSON_STRING && json_read_string_raw(j, &raw)) {
        if (!date_parse(raw, &d))
            return "must be a date and time as 2026-11-30T08:15:00Z";
        *ret = d.at_ms;
        return NULL;
    }
    json_skip(j);
    return "must be a date and time as 2026-11-30T08:15:00Z";
}

static const char *read_lease(struct json *j, int64_t *ret)
{
    struct str raw;
    uint64_t ms = 0;
    int64_t v = 0;
    bool ok = false;
    if (json_peek(j) == JSON_STRING) {
        ok = json_read_string_raw(j, &raw) && str_to_duration_ms(raw, &ms);
    } else {
        ok = read_figure(j, &v) == NULL;
        ms = (uint64_t)v;
    }
    if (!ok || ms > RUN_LEASE_MAX_MS)
        return "must be a duration as \"30s\", or milliseconds; a week at most";
    *ret = (int64_t)ms;
    return NULL;
}

static const char *read_state(struct run_change *c, struct json *j)
{
    struct str raw = STR_NONE;
    if (json_peek(j) == JSON_STRING ? !json_read_string_raw(j, &raw) : !json_skip(j))
        return NULL;
    if (!run_state_find(raw, &c->said.state) || c->said.state == RUN_SUPERSEDED ||
        c->said.state == RUN_LOST)
        return "must be queued, running, completed, failed, cancelled or timeout";
    c->said.has_state = true;
    return NULL;
}

static const char *read_field(struct run_change *c, const struct field *f, struct json *j)
{
    void *to = (char *)c + f->at;
    if (json_peek(j) == JSON_NULL && f->kind != FIELD_STATE) {
        json_read_null(j); // taken away, where it can be
        if (f->kind <= FIELD_OBJECT)
            *(struct str *)to = STR("");
        return NULL;
    }
    switch (f->kind) {
    case FIELD_NAME:
    case FIELD_TEXT:
        return read_string(c, j, f->max, to);
    case FIELD_JSON:
        return read_json(j, false, f->max, to);
    case FIELD_OBJECT:
        return read_json(j, true, f->max, to);
    case FIELD_FIGURE:
        return read_figure(j, to);
    case FIELD_TIME:
        return read_time(j, to);
    case FIELD_LEASE:
        return read_lease(j, to);
    case FIELD_STATE:
        break;
    }
    return read_state(c, j);
}

static const struct field *field_find(enum run_verb verb, struct str key)
{
    for (size_t i = 0; i < FIELD_COUNT; i++) {
        if ((fields[i].verbs & 1u << verb) && json_key_is(key, str_from(fields[i].name)))
            return &fields[i];
    }
    return NULL;
}

/* What is right for itself and wrong together. */
static bool check(const struct run_change *c, struct str *ret_field, const char **ret_why)
{
    *ret_field = STR("name");
    *ret_why = "is required";
    if (c->verb == RUN_STEP && c->step.name.n == 0)
        return false;
    *ret_field = STR("id");
    *ret_why = "must not be empty";
    if (c->verb == RUN_CREATE && c->said.id.p != NULL && c->said.id.n == 0)
        return false;
    *ret_field = STR("status");
    *ret_why = "a finished run is completed, failed, cancelled or timeout";
    if (c->verb == RUN_FINISH && c->said.has_state && run_is_open(c->said.state))
        return false;
    *ret_why = "a new attempt is queued or running";
    return c->verb != RUN_RETRY || !c->said.has_state || run_is_open(c->said.state);
}

bool run_change_read(struct run_change *c, struct str text, struct json *j, struct str *ret_field,
                     const char **ret_why)
{
    struct str key;
    const char *wrong = NULL;
    const struct field *at_fault = NULL;
    *ret_field = STR_NONE;
    json_init(j, text);
    if (json_trim(text).n == 0)
        return check(c, ret_field, ret_why);
    if (!json_object_begin(j))
        return false;
    while (json_object_next(j, &key)) {
        const struct field *f = field_find(c->verb, key);
        const char *why = f != NULL ? read_field(c, f, j) : NULL;
        if (f == NULL)
            json_skip(j);
        if (why != NULL && wrong == NULL) {
            wrong = why;
            at_fault = f;
        }
    }
    if (!json_end(j))
        return false;
    if (wrong != NULL) {
        *ret_field = str_from(at_fault->name);
        *ret_why = wrong;
        return false;
    }
    return check(c, ret_field, ret_why);
}

/* ---- metadata ---- */

static bool has_key(struct str object, struct str raw_key)
{
    struct json j;
    struct str key;
    json_init(&j, object);
    if (!json_object_begin(&j))
        return false;
    while (json_object_next(&j, &key)) {
        if (str_eq(key, raw_key))
            return true;
        json_skip(&j);
    }
    return false;
}

/* The members of from that are not in unless, raw. */
static bool add_members(struct buf *out, struct str from, struct str unless)
{
    struct json j;
    struct str key, value;
    json_init(&j, from);
    if (!json_object_begin(&j))
        return false;
    while (json_object_next(&j, &key)) {
        if (!json_read_raw(&j, &value))
            return false;
        if (unless.n > 0 && has_key(unless, key))
            continue;
        if ((out->p[out->len - 1] != '{' && !buf_add_char(out, ',')) || !buf_add_char(out, '"') ||
            !buf_add(out, key) || !buf_add(out, STR("\":")) || !buf_add(out, value))
            return false;
    }
    return json_end(&j);
}

bool run_metadata_merge(struct buf *out, struct str a, struct str b)
{
    size_t start = out->len;
    bool ok = buf_add_char(out, '{') && (a.n == 0 || add_members(out, a, b)) &&
              (b.n == 0 || add_members(out, b, STR_NONE)) && buf_add_char(out, '}');
    if (!ok)
        out->len = start;
    return ok;
}
