/* run.h - one execution: what it is, which states it may have, how it is written.
 * Thread:  any; a run is a value whose strings are borrowed.
 * Memory:  nothing is owned.
 * Failure: a move that the drawing does not have is refused. */
#ifndef RUNS_RUN_H
#define RUNS_RUN_H

#include "base/json.h"

enum run_state {
    RUN_QUEUED,
    RUN_RUNNING,
    RUN_COMPLETED,
    RUN_FAILED,
    RUN_CANCELLED,
    RUN_TIMEOUT,
    RUN_LOST,       // its lease ran out
    RUN_SUPERSEDED, // another attempt has taken its place
    RUN_STATE_COUNT
};
const char *run_state_name(enum run_state s);
/* False: no such state. */
bool run_state_find(struct str name, enum run_state *ret);
bool run_may_go(enum run_state from, enum run_state to);
/* It is not over: queued, running, or lost and perhaps not dead. */
bool run_is_open(enum run_state s);

enum {
    RUN_NAME_MAX = 255,             // bytes of an id or name
    RUN_JSON_MAX = 256 << 10,       // of input or result
    RUN_METADATA_MAX = 16 << 10,    // and
    RUN_ERROR_MAX = 16 << 10,       // of the text of an error
    RUN_DETAIL_MAX = 16 << 10,      // of a step
    RUN_STEPS_MAX = 1000,           // of one attempt
    RUN_ATTEMPTS_MAX = 20,          // of a run; the oldest go
    RUN_SHORT_DETAIL_MAX = 1 << 10, // longer ones of steps are left out of an attempt among others
    RUN_LIST_JSON_MAX = 16 << 10,   // longer input and result are left out of lists
    RUN_LEASE_MAX_MS = 7 * 86400000 // a week
};

/* One attempt. Times are milliseconds since 1970, 0: not known; -1: a figure is not known. */
struct run {
    int64_t seq; // unique in the database
    int64_t attempt;
    bool newest; // of its id
    enum run_state state;
    struct str tenant, id, match, kind, name, agent_id, agent_name, task_id, parent_id, method;
    struct str severity, error;
    struct str former_status;           // of a superseded one: what it was; "": not known
    struct str input, result, metadata; // JSON texts; "": none
    int64_t tokens_in, tokens_out;
    int64_t started_at, completed_at, duration_ms;
    int64_t lease_until, lease_ms;
    int64_t created_at, updated_at;
};

struct run_step {
    int64_t seq; // from 1; 0: the next
    struct str name, status;
    struct str detail; // JSON; "": none
    int64_t started_at, completed_at, duration_ms;
};

/* What people sort and count by: when it began, or was made. */
static inline int64_t run_at(const struct run *r)
{
    return r->started_at > 0 ? r->started_at : r->created_at;
}

/* The members of the object; whole: with input and result. */
void run_put_members(struct json_writer *w, const struct run *r, bool whole);
void run_put(struct json_writer *w, const struct run *r);
void run_put_step(struct json_writer *w, const struct run_step *s);
/* "2026-11-30T04:20:00.000Z", or null. */
void run_put_time(struct json_writer *w, int64_t at_ms);
void run_put_figure(struct json_writer *w, int64_t v);
/* null when "". */
void run_put_text(struct json_writer *w, struct str s);
void run_put_json(struct json_writer *w, struct str raw);

#endif
