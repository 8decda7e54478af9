/*
 * run.c - the drawing of a run's states, and a run as JSON.
 */
#include "runs/run.h"

#include "base/clock.h"
#include "base/must.h"

#define TO(s) (1u << RUN_##s)

enum { ENDS = TO(COMPLETED) | TO(FAILED) | TO(CANCELLED) | TO(TIMEOUT) };

/* Row: where it is. Bits: where it may go. What was lost may show itself again. */
static const unsigned moves[RUN_STATE_COUNT] = {
    [RUN_QUEUED] = TO(RUNNING) | TO(LOST) | TO(SUPERSEDED) | ENDS,
    [RUN_RUNNING] = TO(LOST) | TO(SUPERSEDED) | ENDS,
    [RUN_COMPLETED] = TO(SUPERSEDED),
    [RUN_FAILED] = TO(SUPERSEDED),
    [RUN_CANCELLED] = TO(SUPERSEDED),
    [RUN_TIMEOUT] = TO(SUPERSEDED),
    [RUN_LOST] = TO(RUNNING) | TO(SUPERSEDED) | ENDS,
    [RUN_SUPERSEDED] = 0,
};

static const char *const names[RUN_STATE_COUNT] = {
    [RUN_QUEUED] = "queued", [RUN_RUNNING] = "running",       [RUN_COMPLETED] = "completed",
    [RUN_FAILED] = "failed", [RUN_CANCELLED] = "cancelled",   [RUN_TIMEOUT] = "timeout",
    [RUN_LOST] = "lost",     [RUN_SUPERSEDED] = "superseded",
};

const char *run_state_name(enum run_state s)
{
    MUST((unsigned)s < RUN_STATE_COUNT);
    return names[s];
}

bool run_state_find(struct str name, enum run_state *ret)
{
    for (unsigned i = 0; i < RUN_STATE_COUNT; i++) {
        if (str_eq(name, str_from(names[i]))) {
            *ret = (enum run_state)i;
            return true;
        }
    }
    return false;
}

bool run_may_go(enum run_state from, enum run_state to)
{
    return (moves[from] & 1u << to) != 0;
}

bool run_is_open(enum run_state s)
{
    return s == RUN_QUEUED || s == RUN_RUNNING || s == RUN_LOST;
}

/* ---- as JSON ---- */

void run_put_time(struct json_writer *w, int64_t at_ms)
{
    char at[ISO_TIME_MAX];
    if (at_ms > 0)
        json_put_string(w, (struct str){at, iso_time_ms(at_ms, at)});
    else
        json_put_null(w);
}

void run_put_figure(struct json_writer *w, int64_t v)
{
    if (v >= 0)
        json_put_i64(w, v);
    else
        json_put_null(w);
}

void run_put_text(struct json_writer *w, struct str s)
{
    if (s.n > 0)
        json_put_string(w, s);
    else
        json_put_null(w);
}

void run_put_json(struct json_writer *w, struct str raw)
{
    if (raw.n > 0)
        json_put_raw(w, raw);
    else
        json_put_null(w);
}

static void put_names(struct json_writer *w, const struct run *r)
{
    json_put_string(json_key(w, STR("id")), r->id);
    json_put_string(json_key(w, STR("kind")), r->kind);
    run_put_text(json_key(w, STR("name")), r->name);
    run_put_text(json_key(w, STR("agent_id")), r->agent_id);
    run_put_text(json_key(w, STR("agent_name")), r->agent_name);
    run_put_text(json_key(w, STR("task_id")), r->task_id);
    run_put_text(json_key(w, STR("parent_id")), r->parent_id);
    run_put_text(json_key(w, STR("method")), r->method);
}

static void put_times(struct json_writer *w, const struct run *r)
{
    run_put_time(json_key(w, STR("started_at")), r->started_at);
    run_put_time(json_key(w, STR("completed_at")), r->completed_at);
    run_put_figure(json_key(w, STR("duration_ms")), r->duration_ms);
    run_put_time(json_key(w, STR("lease_until")), r->lease_until);
}

void run_put_members(struct json_writer *w, const struct run *r, bool whole)
{
    put_names(w, r);
    json_put_string(json_key(w, STR("status")), str_from(run_state_name(r->state)));
    json_put_i64(json_key(w, STR("attempt")), r->attempt);
    if (r->state == RUN_SUPERSEDED)
        run_put_text(json_key(w, STR("former_status")), r->former_status);
    run_put_text(json_key(w, STR("severity")), r->severity);
    if (whole) {
        run_put_json(json_key(w, STR("input")), r->input);
        run_put_json(json_key(w, STR("result")), r->result);
    }
    run_put_text(json_key(w, STR("error")), r->error);
    run_put_figure(json_key(w, STR("tokens_in")), r->tokens_in);
    run_put_figure(json_key(w, STR("tokens_out")), r->tokens_out);
    put_times(w, r);
    json_put_raw(json_key(w, STR("metadata")), r->metadata.n > 0 ? r->metadata : STR("{}"));
    run_put_time(json_key(w, STR("created_at")), r->created_at);
    run_put_time(json_key(w, STR("updated_at")), r->updated_at);
}

void run_put(struct json_writer *w, const struct run *r)
{
    json_open_object(w);
    run_put_members(w, r, true);
    json_close_object(w);
}

void run_put_step(struct json_writer *w, const struct run_step *s)
{
    json_open_object(w);
    json_put_i64(json_key(w, STR("seq")), s->seq);
    json_put_string(json_key(w, STR("name")), s->name);
    run_put_text(json_key(w, STR("status")), s->status);
    run_put_time(json_key(w, STR("started_at")), s->started_at);
    run_put_time(json_key(w, STR("completed_at")), s->completed_at);
    run_put_figure(json_key(w, STR("duration_ms")), s->duration_ms);
    run_put_json(json_key(w, STR("detail")), s->detail);
    json_close_object(w);
}
