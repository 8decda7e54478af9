/*
 * run_event.c - which events are about runs, and what they say.
 *
 * Why it exists: five applications tell of executions in words of their own. One line of the first
 * table for a type, one of the second for a field; what has no line there is kept as metadata.
 *
 * Always true: an event whose data is not an object, or that names neither an execution nor an
 * agent or task, is about none.
 */
#include "base/date.h"
#include "base/utf8.h"
#include "runs/run_change.h"

#include <stddef.h>

/* Where the name of the execution is found. */
enum identity { BY_EXECUTION, BY_JOB, BY_TASK };

static const struct line {
    struct str type;
    const char *kind;
    enum run_event_act act;
    enum run_state state; // where it ends, unless the event says a worse one
    enum identity identity;
    bool of_job_channel; // on channels job:<id> only: elsewhere the type means anything
} lines[] = {
    {{"agent:execution:start", 21}, "agent", EVENT_STARTS, RUN_RUNNING, BY_EXECUTION, false},
    {{"agent:execution:progress", 24}, "agent", EVENT_PROGRESSES, RUN_RUNNING, BY_EXECUTION, false},
    {{"agent:execution:complete", 24}, "agent", EVENT_ENDS, RUN_COMPLETED, BY_EXECUTION, false},
    {{"agent:execution:error", 21}, "agent", EVENT_ENDS, RUN_FAILED, BY_EXECUTION, false},
    {{"agent_execution_started", 23}, "agent", EVENT_STARTS, RUN_RUNNING, BY_EXECUTION, false},
    {{"agent_execution_completed", 25}, "agent", EVENT_ENDS, RUN_COMPLETED, BY_EXECUTION, false},
    {{"agent_execution_error", 21}, "agent", EVENT_ENDS, RUN_FAILED, BY_EXECUTION, false},
    {{"councilor_started", 17}, "councilor", EVENT_STARTS, RUN_RUNNING, BY_EXECUTION, false},
    {{"councilor_completed", 19}, "councilor", EVENT_ENDS, RUN_COMPLETED, BY_EXECUTION, false},
    {{"councilor_error", 15}, "councilor", EVENT_ENDS, RUN_FAILED, BY_EXECUTION, false},
    {{"job_started", 11}, "job", EVENT_STARTS, RUN_RUNNING, BY_JOB, false},
    {{"job_progress", 12}, "job", EVENT_PROGRESSES, RUN_RUNNING, BY_JOB, false},
    {{"job_completed", 13}, "job", EVENT_ENDS, RUN_COMPLETED, BY_JOB, false},
    {{"job_failed", 10}, "job", EVENT_ENDS, RUN_FAILED, BY_JOB, false},
    {{"result", 6}, "job", EVENT_ENDS, RUN_COMPLETED, BY_JOB, true},
    {{"error", 5}, "job", EVENT_ENDS, RUN_FAILED, BY_JOB, true},
    {{"task_inputted", 13}, "task", EVENT_QUEUES, RUN_QUEUED, BY_TASK, false},
    {{"task_submitted", 14}, "task", EVENT_QUEUES, RUN_QUEUED, BY_TASK, false},
    {{"task_picked", 11}, "task", EVENT_STARTS, RUN_RUNNING, BY_TASK, false},
    {{"task_started", 12}, "task", EVENT_STARTS, RUN_RUNNING, BY_TASK, false},
    {{"task_completed", 14}, "task", EVENT_ENDS, RUN_COMPLETED, BY_TASK, false},
    {{"task_error", 10}, "task", EVENT_ENDS, RUN_FAILED, BY_TASK, false},
};

static const struct line *line_of(struct str type, struct str channel)
{
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        if (str_eq(lines[i].type, type))
            return !lines[i].of_job_channel || str_starts(channel, STR("job:")) ? &lines[i] : NULL;
    }
    return NULL;
}

/* ---- fields ---- */

struct seen {
    struct str execution, job, councilor, display_name, status, progress, story, title;
};

/* What reading an event fills. */
struct reading {
    struct run_change *change;
    struct seen seen;
};

enum event_kind { NAME, TEXT, JSON_VALUE, FIGURE, MOMENT };

#define C(member) offsetof(struct reading, seen.member)
#define S(member) offsetof(struct run_said, member)

static const struct event_field {
    struct str name;
    enum event_kind kind;
    bool seen; // of struct seen; else of struct run_said
    size_t at;
} event_fields[] = {
    {{"executionId", 11}, NAME, true, C(execution)},
    {{"execution_id", 12}, NAME, true, C(execution)},
    {{"runId", 5}, NAME, true, C(execution)},
    {{"run_id", 6}, NAME, true, C(execution)},
    {{"job_id", 6}, NAME, true, C(job)},
    {{"jobId", 5}, NAME, true, C(job)},
    {{"agentId", 7}, NAME, false, S(agent_id)},
    {{"agent_id", 8}, NAME, false, S(agent_id)},
    {{"councilor_id", 12}, NAME, true, C(councilor)},
    {{"agentName", 9}, NAME, false, S(agent_name)},
    {{"agent_name", 10}, NAME, false, S(agent_name)},
    {{"display_name", 12}, NAME, true, C(display_name)},
    {{"taskId", 6}, NAME, false, S(task_id)},
    {{"task_id", 7}, NAME, false, S(task_id)},
    {{"task_name", 9}, NAME, false, S(name)},
    {{"taskName", 8}, NAME, false, S(name)},
    {{"title", 5}, NAME, true, C(title)},
    {{"parentId", 8}, NAME, false, S(parent_id)},
    {{"parent_id", 9}, NAME, false, S(parent_id)},
    {{"method", 6}, NAME, false, S(method)},
    {{"severity", 8}, NAME, false, S(severity)},
    {{"status", 6}, NAME, true, C(status)},
    {{"story_id", 8}, NAME, true, C(story)},
    {{"error", 5}, TEXT, false, S(error)},
    {{"errorMessage", 12}, TEXT, false, S(error)},
    {{"error_message", 13}, TEXT, false, S(error)},
    {{"input", 5}, JSON_VALUE, false, S(input)},
    {{"result", 6}, JSON_VALUE, false, S(result)},
    {{"result_summary", 14}, JSON_VALUE, false, S(result)},
    {{"summary", 7}, JSON_VALUE, false, S(result)},
    {{"progress", 8}, JSON_VALUE, true, C(progress)},
    {{"duration", 8}, FIGURE, false, S(duration_ms)},
    {{"duration_ms", 11}, FIGURE, false, S(duration_ms)},
    {{"durationMs", 10}, FIGURE, false, S(duration_ms)},
    {{"tokens_in", 9}, FIGURE, false, S(tokens_in)},
    {{"tokensIn", 8}, FIGURE, false, S(tokens_in)},
    {{"tokens_out", 10}, FIGURE, false, S(tokens_out)},
    {{"tokensOut", 9}, FIGURE, false, S(tokens_out)},
    {{"started_at", 10}, MOMENT, false, S(started_at)},
    {{"startedAt", 9}, MOMENT, false, S(started_at)},
    {{"completed_at", 12}, MOMENT, false, S(completed_at)},
    {{"completedAt", 11}, MOMENT, false, S(completed_at)},
};
enum { EVENT_FIELD_COUNT = sizeof(event_fields) / sizeof(event_fields[0]) };

static const struct event_field *event_field_find(struct str key)
{
    for (size_t i = 0; i < EVENT_FIELD_COUNT; i++) {
        if (json_key_is(key, event_fields[i].name))
            return &event_fields[i];
    }
    return NULL;
}

/* Whole characters of it, at most so many bytes. */
static struct str cut(struct str s, size_t max)
{
    if (s.n <= max)
        return s;
    size_t n = max;
    while (n > 0 && ((unsigned char)s.p[n] & 0xc0) == 0x80)
        n--;
    return (struct str){s.p, n};
}

/* In the change's own bytes; a zero character has no place in a database's text. */
static struct str decoded(struct run_change *c, struct str raw, size_t max)
{
    struct str s;
    char *at = c->room;
    size_t room = (size_t)(c->room_end - at);
    if (!json_string_decode(raw, at, room, &s))
        return STR_NONE;
    if (s.p != at) {
        if (s.n > room)
            return STR_NONE;
        s = str_put(&c->room, s);
    } else {
        c->room += s.n;
    }
    for (char *p = (char *)(uintptr_t)s.p; s.n > 0 && p < s.p + s.n; p++) {
        if (*p == '\0')
            *p = ' ';
    }
    return cut(s, max);
}

static void read_name(struct run_change *c, struct str raw, size_t max, struct str *ret)
{
    if (raw.n >= 2 && raw.p[0] == '"')
        *ret = decoded(c, (struct str){raw.p + 1, raw.n - 2}, max);
    else if (max > RUN_NAME_MAX || (raw.p[0] != '{' && raw.p[0] != '[' && raw.p[0] != 'n'))
        *ret = cut(raw, max);
}

/* A time without a zone is somebody's local one, and nobody knows whose. */
static void read_moment(struct str raw, int64_t *ret)
{
    struct date d;
    struct json j;
    int64_t v;
    json_init(&j, raw);
    if (raw.p[0] == '"') {
        if (raw.n >= 2 && date_parse((struct str){raw.p + 1, raw.n - 2}, &d) && d.has_zone)
            *ret = d.at_ms;
    } else if (json_read_i64(&j, &v) && v > 100000000000) {
        *ret = v;
    }
}

static void read_figure(struct str raw, int64_t *ret)
{
    struct json j;
    double v;
    json_init(&j, raw);
    if (json_peek(&j) == JSON_NUMBER && json_read_double(&j, &v) && v >= 0 && v < 9e15)
        *ret = (int64_t)v;
}

static void read_value(struct reading *rd, const struct event_field *f, struct str raw)
{
    struct run_change *c = rd->change;
    void *to = f->seen ? (char *)rd + f->at : (char *)&c->said + f->at;
    if (str_eq(raw, STR("null")))
        return;
    if (f->kind == NAME)
        read_name(c, raw, RUN_NAME_MAX, to);
    else if (f->kind == TEXT)
        read_name(c, raw, RUN_ERROR_MAX, to);
    else if (f->kind == MOMENT)
        read_moment(raw, to);
    else if (f->kind == FIGURE)
        read_figure(raw, to);
    else
        *(struct str *)to = raw.n <= RUN_JSON_MAX ? raw : STR("\"(too long to be kept)\"");
}

/* What has no place of its own; it is cut where there is no room for more. */
static void add_metadata(struct buf *b, struct str key, struct str raw)
{
    size_t before = b->len;
    if (b->len + key.n + raw.n + 5 > RUN_METADATA_MAX)
        return;
    if (!(b->len == 1 || buf_add_char(b, ',')) || !buf_add_char(b, '"') || !buf_add(b, key) ||
        !buf_add(b, STR("\":")) || !buf_add(b, raw))
        b->len = before;
}

static bool read_data(struct reading *rd, struct str data, struct buf *metadata)
{
    struct json j;
    struct str key, raw;
    json_init(&j, data);
    if (json_peek(&j) != JSON_OBJECT || !json_object_begin(&j))
        return false;
    (void)buf_add_char(metadata, '{');
    while (json_object_next(&j, &key)) {
        if (!json_read_raw(&j, &raw))
            return false;
        const struct event_field *f = event_field_find(key);
        if (f != NULL)
            read_value(rd, f, raw);
        if (f == NULL || (f->seen && f->at != C(execution) && f->at != C(progress)))
            add_metadata(metadata, key, raw);
    }
    return json_end(&j) && buf_add_char(metadata, '}');
}

/* ---- what it is about ---- */

/* A task of a project's board, which nobody executes: it has a story, or a title and no agent. */
static bool is_board_item(const struct reading *rd)
{
    const struct run_said *s = &rd->change->said;
    return rd->seen.story.p != NULL ||
           (rd->seen.title.p != NULL && s->agent_id.n == 0 && rd->seen.execution.n == 0);
}

/* The worst that it says of its end. */
static enum run_state end_state(const struct line *l, struct str status)
{
    static const struct {
        struct str word;
        enum run_state state;
    } words[] = {{{"error", 5}, RUN_FAILED},      {{"failed", 6}, RUN_FAILED},
                 {{"FAILED", 6}, RUN_FAILED},     {{"timeout", 7}, RUN_TIMEOUT},
                 {{"TIMEOUT", 7}, RUN_TIMEOUT},   {{"cancelled", 9}, RUN_CANCELLED},
                 {{"canceled", 8}, RUN_CANCELLED}};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (str_eq(words[i].word, status))
            return words[i].state;
    }
    return l->state;
}

/* Puts the pieces together in the change's own room. STR_NONE: there is none left. */
static struct str joined(struct run_change *c, struct str a, struct str b, struct str d)
{
    struct str all = {c->room, a.n + b.n + d.n};
    if (all.n > (size_t)(c->room_end - c->room))
        return STR_NONE;
    str_put(&c->room, a);
    str_put(&c->room, b);
    str_put(&c->room, d);
    return all;
}

/* What every database takes. */
static bool is_text(struct str s)
{
    return utf8_valid(s) && (s.n == 0 || memchr(s.p, '\0', s.n) == NULL);
}

/* By what later events find the run again: an id of its own, else agent and task. */
static void identify(struct reading *rd, const struct line *l, struct str channel)
{
    struct run_change *c = rd->change;
    struct run_said *s = &c->said;
    struct str id = rd->seen.execution, head = STR("x:");
    if (l->identity == BY_JOB) {
        head = STR("job:");
        id = rd->seen.job;
        if (id.n == 0 && str_starts(channel, head))
            id = cut(str_skip(channel, head.n), RUN_NAME_MAX);
        if (!is_text(id))
            id = STR_NONE;
    } else if (l->identity == BY_TASK && id.n == 0) {
        id = s->task_id;
    }
    c->by_agent = id.n == 0;
    if (id.n > 0) {
        s->id = id.p >= c->at && id.p < c->room_end ? id : joined(c, id, STR_NONE, STR_NONE);
        c->match = joined(c, head, s->id, STR_NONE);
    } else if (l->identity == BY_EXECUTION && (s->agent_id.n > 0 || s->task_id.n > 0)) {
        struct str agent = joined(c, STR("at:"), s->agent_id, STR("\x1f"));
        struct str task = joined(c, s->task_id, STR_NONE, STR_NONE);
        if (agent.n > 0)
            c->match = (struct str){agent.p, agent.n + task.n}; // one behind the other
    }
    c->match = cut(c->match, 500);
}

static void understand(struct reading *rd, const struct line *l)
{
    struct run_change *c = rd->change;
    struct run_said *s = &c->said;
    bool is_councilor = str_eq(str_from(l->kind), STR("councilor"));
    s->kind = str_from(l->kind);
    c->act = l->act;
    s->has_state = true;
    s->state = l->act == EVENT_ENDS ? end_state(l, rd->seen.status) : l->state;
    if (s->agent_id.n == 0 && rd->seen.councilor.n > 0)
        s->agent_id = rd->seen.councilor;
    if (s->agent_name.n == 0 && is_councilor)
        s->agent_name = rd->seen.display_name;
    if (s->name.n == 0)
        s->name = rd->seen.title;
    if (l->act == EVENT_PROGRESSES) {
        c->step.name = STR("progress");
        c->step.status = rd->seen.status;
    }
}

/* The last progress, as the step says it: {"progress":45,...} with what else the event had. */
static void tell_progress(struct run_change *c, const struct reading *rd, struct buf *metadata)
{
    struct str progress = rd->seen.progress;
    if (c->act != EVENT_PROGRESSES)
        return;
    if (progress.n > 0 && metadata->len > 0) {
        metadata->len--; // the brace
        add_metadata(metadata, STR("progress"), progress);
        (void)buf_add_char(metadata, '}');
    }
    c->step.detail = joined(c, buf_str(metadata), STR_NONE, STR_NONE);
}

static bool event_read(struct run_change *c, const struct line *l, struct str channel,
                       struct str data)
{
    struct reading rd = {.change = c};
    char at[RUN_METADATA_MAX + 64];
    struct buf metadata = buf_on(at, sizeof(at));
    if (!read_data(&rd, data, &metadata))
        return false;
    if (l->identity == BY_TASK && is_board_item(&rd))
        return false;
    understand(&rd, l);
    identify(&rd, l, channel);
    if (c->act == EVENT_PROGRESSES)
        tell_progress(c, &rd, &metadata);
    else if (metadata.len > 2)
        c->said.metadata = joined(c, buf_str(&metadata), STR_NONE, STR_NONE);
    return c->match.n > 0;
}

/* Of what can be asked for at /api/tasks/events. */
static bool is_kept(struct str channel, struct str type, struct str data)
{
    return str_eq(channel, STR("gamification")) && str_starts(type, STR("task_")) &&
           type.n <= RUN_NAME_MAX && is_text(type) && data.n <= RUN_JSON_MAX;
}

struct run_change *run_event_change(struct str tenant, struct str channel, struct str type,
                                    struct str data, int64_t time_ms)
{
    const struct line *l = line_of(type, channel);
    bool kept = is_kept(channel, type, data);
    struct str text;
    if (l == NULL && !kept)
        return NULL;
    /* Behind tenant and data there is room for the strings, the metadata and the match. */
    struct run_change *c = run_change_make(RUN_EVENT, tenant, type, data, time_ms, &text);
    if (c == NULL)
        return NULL;
    if (kept) {
        c->kept = c->id;
        c->kept_data = text;
    }
    c->id = STR_NONE;
    if (l != NULL && event_read(c, l, channel, text))
        return c;
    if (!kept) {
        run_change_free(c);
        return NULL;
    }
    c->act = EVENT_ONLY_KEPT;
    return c;
}
