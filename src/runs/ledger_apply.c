/*
 * ledger_apply.c - one change made to its run, inside the store's transaction.
 *
 * Always true: a change that was not written leaves nothing behind but its outcome, and may be
 * applied again.
 */
#include "base/random.h"
#include "runs/ledger_priv.h"

enum { ID_BYTES = 20 };

/* What one application works with. */
struct doing {
    struct ledger *ledger;
    struct run_change *change;
    struct sql *db;
    struct run_row row; // as found; then as it becomes
    struct buf metadata;
    char id[ID_BYTES];
};

/* ---- words to fields ---- */

static void set_text(struct str *to, struct str said)
{
    if (said.p != NULL)
        *to = said;
}

static void set_figure(int64_t *to, int64_t said)
{
    if (said != RUN_UNSAID)
        *to = said;
}

static void merge_metadata(struct doing *k, struct run *r, struct str said)
{
    if (said.p == NULL)
        return;
    if (said.n == 0) {
        r->metadata = STR("");
        return;
    }
    buf_clear(&k->metadata);
    if (run_metadata_merge(&k->metadata, r->metadata, said))
        r->metadata = buf_str(&k->metadata);
}

static void take_words(struct doing *k, struct run *r)
{
    const struct run_said *s = &k->change->said;
    set_text(&r->kind, s->kind);
    set_text(&r->name, s->name);
    set_text(&r->agent_id, s->agent_id);
    set_text(&r->agent_name, s->agent_name);
    set_text(&r->task_id, s->task_id);
    set_text(&r->parent_id, s->parent_id);
    set_text(&r->method, s->method);
    set_text(&r->severity, s->severity);
    set_text(&r->error, s->error);
    set_text(&r->input, s->input);
    set_text(&r->result, s->result);
    set_figure(&r->tokens_in, s->tokens_in);
    set_figure(&r->tokens_out, s->tokens_out);
    set_figure(&r->started_at, s->started_at);
    set_figure(&r->lease_ms, s->lease_ms);
    merge_metadata(k, r, s->metadata);
}

/* ---- states ---- */

static void arm_lease(struct run *r, int64_t now_ms)
{
    bool watched = (r->state == RUN_QUEUED || r->state == RUN_RUNNING) && r->lease_ms > 0;
    r->lease_until = watched ? now_ms + r->lease_ms : 0;
}

static void end_times(struct run *r, const struct run_said *s, int64_t now_ms)
{
    r->completed_at = s->completed_at != RUN_UNSAID ? s->completed_at : now_ms;
    if (s->duration_ms != RUN_UNSAID)
        r->duration_ms = s->duration_ms;
    else if (r->started_at > 0)
        r->duration_ms = r->completed_at > r->started_at ? r->completed_at - r->started_at : 0;
    if (r->started_at == 0 && r->duration_ms >= 0)
        r->started_at = r->completed_at - r->duration_ms;
}

static const struct str lease_error = {"the lease ran out: no sign of life from its worker", 50};

/* The only place where a state changes. */
static void enter(struct run *r, enum run_state to, const struct run_said *s, int64_t now_ms)
{
    if (r->state == RUN_LOST && str_eq(r->error, lease_error))
        r->error = STR(""); // it was not so
    r->state = to;
    if (to == RUN_RUNNING && r->started_at == 0)
        r->started_at = now_ms;
    if (!run_is_open(to) && to != RUN_SUPERSEDED)
        end_times(r, s, now_ms);
    arm_lease(r, now_ms);
}

/* False: it may not go there. Where it is already is no move. */
static bool go(struct run *r, enum run_state to, const struct run_said *s, int64_t now_ms)
{
    if (r->state == to)
        return true;
    if (!run_may_go(r->state, to))
        return false;
    enter(r, to, s, now_ms);
    return true;
}

/* ---- telling ---- */

static enum sql_result tell(struct run_change *c, const struct run *r)
{
    struct json_writer w;
    size_t before = c->updates.len;
    bool ok = buf_add(&c->updates, r->tenant) && buf_add_char(&c->updates, '\0');
    json_writer_init(&w, &c->updates);
    json_open_object(&w);
    run_put_members(&w, r, false);
    json_close_object(&w);
    if (!ok || !json_done(&w) || !buf_add_char(&c->updates, '\0'))
        c->updates.len = before; // nobody is told; the row says it
    if (c->done == NULL)
        return SQL_OK;
    buf_clear(&c->answer);
    json_writer_init(&w, &c->answer);
    run_put(&w, r);
    return json_done(&w) ? SQL_OK : SQL_FAILED;
}

static enum sql_result save(struct doing *k, struct run *r)
{
    r->updated_at = k->change->now_ms;
    enum sql_result e = row_update(k->db, r);
    return e == SQL_OK ? tell(k->change, r) : e;
}

/* An answer without a change. */
static enum sql_result unchanged(struct doing *k, const struct run *r)
{
    struct json_writer w;
    json_writer_init(&w, &k->change->answer);
    run_put(&w, r);
    return json_done(&w) ? SQL_OK : SQL_FAILED;
}

static enum sql_result refuse(struct doing *k, enum run_outcome outcome)
{
    k->change->outcome = outcome;
    k->change->before.state = k->row.run.state;
    return SQL_OK;
}

/* ---- new rows ---- */

static struct str random_id(struct doing *k)
{
    static const char hex[] = "0123456789abcdef";
    uint64_t v = random_u64();
    memcpy(k->id, "run_", 4);
    for (int i = 4; i < ID_BYTES; i++, v >>= 4)
        k->id[i] = hex[v & 15];
    return (struct str){k->id, ID_BYTES};
}

static void fresh(struct run *r, const struct run_change *c)
{
    *r = (struct run){.tenant = c->tenant,
                      .attempt = 1,
                      .newest = true,
                      .state = RUN_QUEUED,
                      .tokens_in = -1,
                      .tokens_out = -1,
                      .duration_ms = -1,
                      .created_at = c->now_ms};
}

static enum sql_result insert(struct doing *k, struct run *r)
{
    r->seq = ++k->ledger->numbers.last_run;
    r->updated_at = k->change->now_ms;
    enum sql_result e = row_insert(k->db, r);
    return e == SQL_OK ? tell(k->change, r) : e;
}

static enum sql_result id_taken(struct doing *k, struct str id, bool *ret)
{
    struct run_row other;
    run_row_init(&other);
    enum sql_result e = row_by_id(k->db, k->change->tenant, id, &other);
    *ret = other.found;
    run_row_fini(&other);
    return e;
}

static void begin(struct run *r, enum run_state state, const struct run_said *s, int64_t now_ms)
{
    if (state != RUN_QUEUED)
        enter(r, state, s, now_ms);
    else
        arm_lease(r, now_ms);
}

/* "x:" or "job:" and the id: an event of the same execution finds the run of a back end. */
static void match_of(struct doing *k, struct run *r)
{
    struct str head = str_eq(r->kind, STR("job")) ? STR("job:") : STR("x:");
    struct run_change *c = k->change;
    char *at = c->room;
    if ((size_t)(c->room_end - at) < head.n + r->id.n)
        return;
    str_put(&at, head);
    str_put(&at, r->id);
    r->match = (struct str){c->room, head.n + r->id.n};
}

static enum sql_result create(struct doing *k)
{
    struct run_change *c = k->change;
    struct run r;
    bool taken = false;
    fresh(&r, c);
    r.id = c->said.id.n > 0 ? c->said.id : random_id(k);
    enum sql_result e = id_taken(k, r.id, &taken);
    if (e != SQL_OK || taken)
        return e != SQL_OK ? e : refuse(k, RUN_EXISTS);
    r.kind = STR("custom");
    take_words(k, &r);
    if (r.kind.n == 0)
        r.kind = STR("custom");
    match_of(k, &r);
    begin(&r, c->said.has_state ? c->said.state : RUN_RUNNING, &c->said, c->now_ms);
    return insert(k, &r);
}

/* Another attempt: the row there was is the newest no more. */
static enum sql_result attempt_again(struct doing *k, enum run_state state)
{
    struct run_change *c = k->change;
    struct run *old = &k->row.run;
    struct run r;
    fresh(&r, c);
    r.id = old->id;
    r.match = old->match;
    r.kind = old->kind;
    r.name = old->name;
    r.agent_id = old->agent_id;
    r.agent_name = old->agent_name;
    r.task_id = old->task_id;
    r.parent_id = old->parent_id;
    r.method = old->method;
    r.input = old->input;
    r.metadata = old->metadata;
    r.lease_ms = old->lease_ms;
    r.attempt = old->attempt + 1;
    take_words(k, &r);
    if (run_is_open(old->state))
        end_times(old, &(struct run_said){.completed_at = RUN_UNSAID, .duration_ms = RUN_UNSAID},
                  c->now_ms);
    old->former_status = str_from(run_state_name(old->state));
    old->state = RUN_SUPERSEDED;
    old->newest = false;
    old->lease_until = 0;
    old->updated_at = c->now_ms;
    enum sql_result e = row_update(k->db, old);
    if (e == SQL_OK && r.attempt > RUN_ATTEMPTS_MAX)
        e = attempts_forget(k->db, r.tenant, r.id, r.attempt - RUN_ATTEMPTS_MAX);
    if (e != SQL_OK)
        return e;
    begin(&r, state, &c->said, c->now_ms);
    return insert(k, &r);
}

/* ---- asked for by a back end ---- */

static enum sql_result patch(struct doing *k)
{
    const struct run_change *c = k->change;
    struct run *r = &k->row.run;
    if (c->said.has_state && r->state != c->said.state && !run_may_go(r->state, c->said.state))
        return refuse(k, RUN_ILLEGAL);
    take_words(k, r);
    if (c->said.has_state)
        (void)go(r, c->said.state, &c->said, c->now_ms);
    set_figure(&r->completed_at, c->said.completed_at);
    set_figure(&r->duration_ms, c->said.duration_ms);
    if (c->said.lease_ms != RUN_UNSAID)
        arm_lease(r, c->now_ms);
    return save(k, r);
}

static enum sql_result finish(struct doing *k)
{
    const struct run_change *c = k->change;
    struct run *r = &k->row.run;
    enum run_state to = c->verb == RUN_CANCEL ? RUN_CANCELLED
                        : c->said.has_state   ? c->said.state
                        : c->said.error.n > 0 ? RUN_FAILED
                                              : RUN_COMPLETED;
    if (r->state == to)
        return unchanged(k, r); // said twice
    if (!run_may_go(r->state, to))
        return refuse(k, RUN_ILLEGAL);
    take_words(k, r);
    (void)go(r, to, &c->said, c->now_ms);
    return save(k, r);
}

static enum sql_result heartbeat(struct doing *k)
{
    const struct run_change *c = k->change;
    struct run *r = &k->row.run;
    if (!run_is_open(r->state))
        return refuse(k, RUN_ILLEGAL);
    take_words(k, r);
    if (r->state != RUN_RUNNING)
        (void)go(r, RUN_RUNNING, &c->said, c->now_ms);
    arm_lease(r, c->now_ms);
    return save(k, r);
}

static enum sql_result add_step(struct doing *k, bool by_name)
{
    struct run_change *c = k->change;
    struct run *r = &k->row.run;
    struct run_step step = c->step;
    bool full = false;
    if (!run_is_open(r->state))
        return refuse(k, RUN_ILLEGAL);
    if (step.started_at <= 0)
        step.started_at = c->now_ms;
    if (step.duration_ms < 0 && step.completed_at > 0)
        step.duration_ms =
            step.completed_at > step.started_at ? step.completed_at - step.started_at : 0;
    enum sql_result e = step_write(k->db, r->seq, &step, by_name, &full);
    if (e != SQL_OK || full)
        return e != SQL_OK ? e : refuse(k, RUN_FULL);
    return heartbeat(k);
}

static enum sql_result asked(struct doing *k)
{
    const struct run_change *c = k->change;
    enum sql_result e = row_by_id(k->db, c->tenant, c->id, &k->row);
    if (e != SQL_OK || !k->row.found)
        return e != SQL_OK ? e : refuse(k, RUN_ABSENT);
    switch (c->verb) {
    case RUN_PATCH:
        return patch(k);
    case RUN_STEP:
        return add_step(k, false);
    case RUN_HEARTBEAT:
        return heartbeat(k);
    case RUN_RETRY:
        return attempt_again(k, c->said.has_state ? c->said.state : RUN_RUNNING);
    default:
        return finish(k);
    }
}

/* ---- seen in events ---- */

/* The id that the event says, unless another kind of run has it. */
static enum sql_result event_id(struct doing *k, struct run *r)
{
    struct run_change *c = k->change;
    bool taken = false;
    r->id = random_id(k);
    if (c->said.id.n == 0)
        return SQL_OK;
    enum sql_result e = id_taken(k, c->said.id, &taken);
    if (e == SQL_OK && !taken)
        r->id = c->said.id;
    return e;
}

static enum sql_result event_insert(struct doing *k, enum run_state state)
{
    struct run_change *c = k->change;
    struct run r;
    fresh(&r, c);
    enum sql_result e = event_id(k, &r);
    if (e != SQL_OK)
        return e;
    take_words(k, &r);
    r.match = c->match;
    begin(&r, state, &c->said, c->now_ms);
    e = insert(k, &r);
    k->row.run = r;
    return e;
}

static enum sql_result event_progress(struct doing *k)
{
    bool full;
    enum sql_result e = SQL_OK;
    if (!k->row.found)
        e = event_insert(k, RUN_RUNNING);
    else if (!run_is_open(k->row.run.state))
        return refuse(k, RUN_IGNORED);
    if (e != SQL_OK || k->row.found)
        return e != SQL_OK ? e : add_step(k, true);
    return step_write(k->db, k->row.run.seq, &k->change->step, true, &full);
}

static enum sql_result event_start(struct doing *k)
{
    struct run_change *c = k->change;
    struct run *r = &k->row.run;
    if (!k->row.found || c->by_agent)
        return event_insert(k, c->said.state);
    if (r->state == RUN_FAILED || r->state == RUN_TIMEOUT || r->state == RUN_CANCELLED)
        return attempt_again(k, c->said.state);
    if (!run_is_open(r->state))
        return refuse(k, RUN_IGNORED); // it came late
    take_words(k, r);
    if (run_may_go(r->state, c->said.state))
        enter(r, c->said.state, &c->said, c->now_ms);
    return save(k, r);
}

static enum sql_result event_end(struct doing *k)
{
    struct run_change *c = k->change;
    struct run *r = &k->row.run;
    if (!k->row.found)
        return event_insert(k, c->said.state);
    if (!run_may_go(r->state, c->said.state))
        return refuse(k, RUN_IGNORED);
    take_words(k, r);
    enter(r, c->said.state, &c->said, c->now_ms);
    return save(k, r);
}

static enum sql_result event(struct doing *k)
{
    struct run_change *c = k->change;
    enum sql_result e = SQL_OK;
    if (c->kept.n > 0)
        e = kept_write(k->db, ++k->ledger->numbers.last_kept, c);
    if (e != SQL_OK || c->act == EVENT_ONLY_KEPT)
        return e;
    e = row_by_match(k->db, c->tenant, c->match, c->by_agent, &k->row);
    if (e != SQL_OK)
        return e;
    if (c->act == EVENT_PROGRESSES)
        return event_progress(k);
    return c->act == EVENT_ENDS ? event_end(k) : event_start(k);
}

/* ---- leases ---- */

static enum sql_result lose(struct doing *k, int64_t seq)
{
    enum sql_result e = row_by_seq(k->db, seq, &k->row);
    struct run *r = &k->row.run;
    if (e != SQL_OK || !k->row.found)
        return e;
    r->lease_until = 0;
    if (r->error.n == 0)
        r->error = lease_error;
    (void)go(r, RUN_LOST, &k->change->said, k->change->now_ms);
    return save(k, r);
}

static enum sql_result sweep(struct doing *k)
{
    int64_t seqs[LEASE_CHUNK];
    size_t count;
    enum sql_result e = rows_late(k->db, k->change->now_ms, seqs, LEASE_CHUNK, &count);
    for (size_t i = 0; e == SQL_OK && i < count; i++)
        e = lose(k, seqs[i]);
    k->change->step.seq = (int64_t)count; // how many there were
    return e;
}

enum sql_result change_apply(struct ledger *l, struct run_change *c, struct sql *db)
{
    struct doing k = {.ledger = l, .change = c, .db = db};
    run_row_init(&k.row);
    buf_init(&k.metadata, 2 * RUN_METADATA_MAX);
    buf_clear(&c->updates);
    buf_clear(&c->answer);
    c->outcome = RUN_DONE;
    enum sql_result e = rows_load(&l->numbers, db);
    if (e == SQL_OK)
        e = c->verb == RUN_CREATE  ? create(&k)
            : c->verb == RUN_EVENT ? event(&k)
            : c->verb == RUN_SWEEP ? sweep(&k)
                                   : asked(&k);
    buf_fini(&k.metadata);
    run_row_fini(&k.row);
    return e;
}
