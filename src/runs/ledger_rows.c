/*
 * ledger_rows.c - the statements of the tables recado_runs, recado_run_steps and
 * recado_task_events.
 *
 * Always true: a run has one row per attempt, and one of them is the newest.
 */
#include "base/date.h"
#include "runs/ledger_priv.h"

enum { COLUMN_COUNT = 32, ROW_TEXT_MAX = 2 << 20 };

#define COLUMNS                                                                                    \
    "seq, tenant, id, attempt, newest, status, match_key, kind, name, agent_id, agent_name, "      \
    "task_id, parent_id, method, severity, error, metadata, tokens_in, tokens_out, started_at, "   \
    "completed_at, duration_ms, lease_until, lease_ms, created_at, updated_at, run_at, run_day, "  \
    "former_status"
#define SELECT_ALL "SELECT " COLUMNS ", input, result FROM recado_runs "

const char run_columns_list[] = COLUMNS ", CASE WHEN LENGTH(input) > 16384 THEN '' ELSE input END,"
                                        " CASE WHEN LENGTH(result) > 16384 THEN '' ELSE result END";
_Static_assert(RUN_LIST_JSON_MAX == 16384, "as the statement says");

/* ---- a row and its values ---- */

void run_row_init(struct run_row *row)
{
    *row = (struct run_row){0};
    buf_init(&row->text, ROW_TEXT_MAX);
}

void run_row_fini(struct run_row *row)
{
    buf_fini(&row->text);
}

void run_from_values(struct run *r, const struct sql_value *v)
{
    if (!run_state_find(v[5].s, &r->state))
        r->state = RUN_FAILED; // somebody else has written it
    r->seq = v[0].i;
    r->tenant = v[1].s;
    r->id = v[2].s;
    r->attempt = v[3].i;
    r->newest = v[4].i != 0;
    struct str *const texts[] = {&r->match,      &r->kind,    &r->name,      &r->agent_id,
                                 &r->agent_name, &r->task_id, &r->parent_id, &r->method,
                                 &r->severity,   &r->error,   &r->metadata};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        *texts[i] = v[6 + i].s;
    int64_t *const figures[] = {&r->tokens_in,    &r->tokens_out,  &r->started_at,
                                &r->completed_at, &r->duration_ms, &r->lease_until,
                                &r->lease_ms,     &r->created_at,  &r->updated_at};
    for (size_t i = 0; i < sizeof(figures) / sizeof(figures[0]); i++)
        *figures[i] = v[17 + i].i;
    r->former_status = v[28].s;
    r->input = v[29].s;
    r->result = v[30].s;
}

static size_t run_to_values(const struct run *r, struct buf *search,
                            struct sql_value v[COLUMN_COUNT])
{
    const struct str texts[] = {r->match,      r->kind,    r->name,      r->agent_id,
                                r->agent_name, r->task_id, r->parent_id, r->method,
                                r->severity,   r->error,   r->metadata};
    const int64_t figures[] = {r->tokens_in,   r->tokens_out,  r->started_at,      r->completed_at,
                               r->duration_ms, r->lease_until, r->lease_ms,        r->created_at,
                               r->updated_at,  run_at(r),      date_day(run_at(r))};
    size_t n = 0;
    v[n++] = sql_text(r->tenant);
    v[n++] = sql_text(r->id);
    v[n++] = sql_int(r->attempt);
    v[n++] = sql_int(r->newest);
    v[n++] = sql_text(str_from(run_state_name(r->state)));
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        v[n++] = sql_text(texts[i]);
    for (size_t i = 0; i < sizeof(figures) / sizeof(figures[0]); i++)
        v[n++] = sql_int(figures[i]);
    v[n++] = sql_text(r->former_status);
    v[n++] = sql_text(r->input);
    v[n++] = sql_text(r->result);
    search_text(search, r);
    v[n++] = sql_text(buf_str(search));
    v[n++] = sql_int(r->seq);
    return n;
}

/* ---- searching ---- */

/* Small letters, of ASCII and of the accented ones of western languages. */
void search_fold(struct buf *out, struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        unsigned char ch = (unsigned char)s.p[i];
        bool accented =
            i > 0 && (unsigned char)s.p[i - 1] == 0xc3 && ch >= 0x80 && ch <= 0x9e && ch != 0x97;
        if ((ch >= 'A' && ch <= 'Z') || accented)
            ch |= 0x20;
        if (!buf_add_char(out, (char)ch))
            return;
    }
}

void search_text(struct buf *out, const struct run *r)
{
    const struct str parts[] = {r->id,         r->name,    r->agent_id,
                                r->agent_name, r->task_id, {r->error.p, r->error.n}};
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        if (i > 0)
            (void)buf_add_char(out, '\n');
        search_fold(out, parts[i]);
    }
}

/* ---- finding ---- */

static bool keep_row(void *ctx, const struct sql_value *v, size_t count)
{
    struct run_row *row = ctx;
    struct run *r = &row->run;
    (void)count;
    run_from_values(r, v);
    struct str *const texts[] = {&r->tenant,    &r->id,       &r->match,      &r->kind,
                                 &r->name,      &r->agent_id, &r->agent_name, &r->task_id,
                                 &r->parent_id, &r->method,   &r->severity,   &r->error,
                                 &r->metadata,  &r->input,    &r->result,     &r->former_status};
    size_t bytes = 0;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        bytes += texts[i]->n;
    if (!buf_reserve(&row->text, bytes + 1))
        return false;
    char *at = row->text.p;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        *texts[i] = str_put(&at, *texts[i]);
    row->found = true;
    return false; // one is enough
}

static enum sql_result find(struct sql *db, const char *text, const struct sql_value *v,
                            size_t count, struct run_row *ret)
{
    ret->found = false;
    return sql_run(db, text, v, count, keep_row, ret);
}

enum sql_result row_by_id(struct sql *db, struct str tenant, struct str id, struct run_row *ret)
{
    const struct sql_value v[] = {sql_text(tenant), sql_text(id)};
    return find(db, SELECT_ALL "WHERE tenant = ? AND id = ? AND newest = 1", v, 2, ret);
}

enum sql_result row_by_match(struct sql *db, struct str tenant, struct str match, bool open,
                             struct run_row *ret)
{
    const struct sql_value v[] = {sql_text(tenant), sql_text(match)};
    return find(db,
                open ? SELECT_ALL "WHERE tenant = ? AND match_key = ? AND newest = 1 AND status IN "
                                  "('queued', 'running', 'lost') ORDER BY seq DESC LIMIT 1"
                     : SELECT_ALL "WHERE tenant = ? AND match_key = ? AND newest = 1 "
                                  "ORDER BY seq DESC LIMIT 1",
                v, 2, ret);
}

enum sql_result row_by_seq(struct sql *db, int64_t seq, struct run_row *ret)
{
    const struct sql_value v[] = {sql_int(seq)};
    return find(db, SELECT_ALL "WHERE seq = ?", v, 1, ret);
}

/* ---- writing ---- */

enum sql_result row_insert(struct sql *db, const struct run *r)
{
    struct sql_value v[COLUMN_COUNT + 1];
    struct buf search;
    buf_init(&search, RUN_ERROR_MAX + 8 * RUN_NAME_MAX);
    size_t n = run_to_values(r, &search, v);
    enum sql_result result = sql_run(
        db,
        "INSERT INTO recado_runs (tenant, id, attempt, newest, status, match_key, kind, name, "
        "agent_id, agent_name, task_id, parent_id, method, severity, error, metadata, tokens_in, "
        "tokens_out, started_at, completed_at, duration_ms, lease_until, lease_ms, created_at, "
        "updated_at, run_at, run_day, former_status, input, result, search, seq) VALUES (?, ?, ?, "
        "?, ?, ?, ?, ?, "
        "?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        v, n, NULL, NULL);
    buf_fini(&search);
    return result;
}

enum sql_result row_update(struct sql *db, const struct run *r)
{
    struct sql_value v[COLUMN_COUNT + 1];
    struct buf search;
    buf_init(&search, RUN_ERROR_MAX + 8 * RUN_NAME_MAX);
    size_t n = run_to_values(r, &search, v);
    enum sql_result result = sql_run(
        db,
        "UPDATE recado_runs SET tenant = ?, id = ?, attempt = ?, newest = ?, status = ?, "
        "match_key = ?, kind = ?, name = ?, agent_id = ?, agent_name = ?, task_id = ?, "
        "parent_id = ?, method = ?, severity = ?, error = ?, metadata = ?, tokens_in = ?, "
        "tokens_out = ?, started_at = ?, completed_at = ?, duration_ms = ?, lease_until = ?, "
        "lease_ms = ?, created_at = ?, updated_at = ?, run_at = ?, run_day = ?, former_status = ?, "
        "input = ?, "
        "result = ?, search = ? WHERE seq = ?",
        v, n, NULL, NULL);
    buf_fini(&search);
    return result;
}

static bool keep_numbers(void *ctx, const struct sql_value *v, size_t count)
{
    int64_t *to = ctx;
    for (size_t i = 0; i < count; i++)
        to[i] = v[i].type == SQL_INT ? v[i].i : 0;
    return true;
}

enum sql_result rows_load(struct numbering *n, struct sql *db)
{
    int64_t run = 0, kept = 0;
    if (n->loaded)
        return SQL_OK;
    enum sql_result r =
        sql_run(db, "SELECT MAX(seq) FROM recado_runs", NULL, 0, keep_numbers, &run);
    if (r == SQL_OK)
        r = sql_run(db, "SELECT MAX(seq) FROM recado_task_events", NULL, 0, keep_numbers, &kept);
    if (r == SQL_OK)
        *n = (struct numbering){true, run, kept};
    return r;
}

/* ---- attempts ---- */

struct seqs {
    int64_t *at;
    size_t count, max;
};

static bool add_seq(void *ctx, const struct sql_value *v, size_t count)
{
    struct seqs *s = ctx;
    (void)count;
    s->at[s->count++] = v[0].i;
    return s->count < s->max;
}

enum sql_result attempts_find(struct sql *db, struct str tenant, struct str id, int64_t *ret,
                              size_t *ret_count)
{
    struct seqs s = {ret, 0, RUN_ATTEMPTS_MAX};
    const struct sql_value v[] = {sql_text(tenant), sql_text(id), sql_int(RUN_ATTEMPTS_MAX)};
    enum sql_result r = sql_run(db,
                                "SELECT seq FROM recado_runs WHERE tenant = ? AND id = ? ORDER BY "
                                "attempt DESC LIMIT ?",
                                v, 3, add_seq, &s);
    *ret_count = s.count;
    return r;
}

enum sql_result attempt_read(struct sql *db, int64_t seq, sql_row_fn *row, void *ctx)
{
    const struct sql_value v[] = {sql_int(seq)};
    return sql_run(db, SELECT_ALL "WHERE seq = ?", v, 1, row, ctx);
}

enum sql_result attempts_forget(struct sql *db, struct str tenant, struct str id, int64_t last)
{
    const struct sql_value v[] = {sql_text(tenant), sql_text(id), sql_int(last)};
    enum sql_result r = sql_run(db,
                                "DELETE FROM recado_run_steps WHERE run IN (SELECT seq FROM "
                                "recado_runs WHERE tenant = ? AND id = ? AND attempt <= ?)",
                                v, 3, NULL, NULL);
    if (r != SQL_OK)
        return r;
    return sql_run(db, "DELETE FROM recado_runs WHERE tenant = ? AND id = ? AND attempt <= ?", v, 3,
                   NULL, NULL);
}

/* ---- leases ---- */

enum sql_result rows_late(struct sql *db, int64_t now_ms, int64_t *ret, size_t max,
                          size_t *ret_count)
{
    struct seqs s = {ret, 0, max};
    const struct sql_value v[] = {sql_int(now_ms), sql_int((int64_t)max)};
    enum sql_result r = sql_run(db,
                                "SELECT seq FROM recado_runs WHERE lease_until > 0 AND "
                                "lease_until <= ? ORDER BY lease_until LIMIT ?",
                                v, 2, add_seq, &s);
    *ret_count = s.count;
    return r;
}

enum sql_result rows_lease_next(struct sql *db, int64_t *ret)
{
    *ret = 0;
    return sql_run(db, "SELECT MIN(lease_until) FROM recado_runs WHERE lease_until > 0", NULL, 0,
                   keep_numbers, ret);
}

/* ---- forgetting ---- */

struct oldest {
    int64_t before_ms, excess;
    int64_t last_seq, count;
};

static bool is_to_go(void *ctx, const struct sql_value *v, size_t count)
{
    struct oldest *o = ctx;
    (void)count;
    if (o->count >= o->excess && v[1].i >= o->before_ms)
        return false;
    o->last_seq = v[0].i;
    o->count++;
    return true;
}

enum sql_result rows_forget(struct sql *db, int64_t before_ms, int64_t excess, int64_t most,
                            int64_t *ret_count)
{
    struct oldest o = {.before_ms = before_ms, .excess = excess};
    const struct sql_value limit[] = {sql_int(most)};
    *ret_count = 0;
    enum sql_result r = sql_run(db, "SELECT seq, created_at FROM recado_runs ORDER BY seq LIMIT ?",
                                limit, 1, is_to_go, &o);
    if (r != SQL_OK || o.count == 0)
        return r;
    const struct sql_value last[] = {sql_int(o.last_seq)};
    r = sql_run(db, "DELETE FROM recado_run_steps WHERE run <= ?", last, 1, NULL, NULL);
    if (r == SQL_OK)
        r = sql_run(db, "DELETE FROM recado_runs WHERE seq <= ?", last, 1, NULL, NULL);
    const struct sql_value before[] = {sql_int(before_ms)};
    if (r == SQL_OK && before_ms > 0)
        r = sql_run(db, "DELETE FROM recado_task_events WHERE at < ?", before, 1, NULL, NULL);
    *ret_count = o.count;
    return r;
}

enum sql_result rows_count(struct sql *db, int64_t *ret_count, int64_t *ret_oldest_ms)
{
    *ret_count = *ret_oldest_ms = 0;
    enum sql_result r =
        sql_run(db, "SELECT COUNT(*) FROM recado_runs", NULL, 0, keep_numbers, ret_count);
    return r != SQL_OK ? r
                       : sql_run(db, "SELECT created_at FROM recado_runs ORDER BY seq LIMIT 1",
                                 NULL, 0, keep_numbers, ret_oldest_ms);
}

/* ---- steps ---- */

static enum sql_result step_place(struct sql *db, int64_t run, const struct run_step *step,
                                  bool by_name, int64_t *ret_seq, int64_t *ret_last)
{
    int64_t last[2] = {0};
    const struct sql_value v[] = {sql_int(run), sql_text(step->name)};
    *ret_seq = step->seq;
    enum sql_result r = sql_run(db, "SELECT MAX(seq) FROM recado_run_steps WHERE run = ?", v, 1,
                                keep_numbers, last);
    if (r == SQL_OK && by_name)
        r = sql_run(db, "SELECT MAX(seq) FROM recado_run_steps WHERE run = ? AND name = ?", v, 2,
                    keep_numbers, ret_seq);
    *ret_last = last[0];
    if (*ret_seq == 0)
        *ret_seq = last[0] + 1;
    return r;
}

enum sql_result step_write(struct sql *db, int64_t run, const struct run_step *step, bool by_name,
                           bool *ret_full)
{
    int64_t seq, last, known = 0;
    enum sql_result r = step_place(db, run, step, by_name, &seq, &last);
    *ret_full = seq > RUN_STEPS_MAX;
    if (r != SQL_OK || *ret_full)
        return r;
    const struct sql_value v[] = {sql_text(step->name),
                                  sql_text(step->status),
                                  sql_int(step->started_at),
                                  sql_int(step->completed_at),
                                  sql_int(step->duration_ms),
                                  sql_text(step->detail),
                                  sql_int(run),
                                  sql_int(seq)};
    r = sql_run(db, "SELECT COUNT(*) FROM recado_run_steps WHERE run = ? AND seq = ?", v + 6, 2,
                keep_numbers, &known);
    if (r != SQL_OK)
        return r;
    if (known > 0)
        return sql_run(db,
                       "UPDATE recado_run_steps SET name = ?, status = ?, started_at = ?, "
                       "completed_at = ?, duration_ms = ?, detail = ? WHERE run = ? AND seq = ?",
                       v, 8, NULL, NULL);
    return sql_run(db,
                   "INSERT INTO recado_run_steps (name, status, started_at, completed_at, "
                   "duration_ms, detail, run, seq) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                   v, 8, NULL, NULL);
}

void step_from_values(struct run_step *s, const struct sql_value *v)
{
    *s = (struct run_step){.seq = v[0].i,
                           .name = v[1].s,
                           .status = v[2].s,
                           .started_at = v[3].i,
                           .completed_at = v[4].i,
                           .duration_ms = v[5].i,
                           .detail = v[6].s};
}

enum sql_result steps_each(struct sql *db, int64_t run, sql_row_fn *row, void *ctx)
{
    const struct sql_value v[] = {sql_int(run)};
    return sql_run(db,
                   "SELECT seq, name, status, started_at, completed_at, duration_ms, detail FROM "
                   "recado_run_steps WHERE run = ? ORDER BY seq",
                   v, 1, row, ctx);
}

/* ---- task events ---- */

static enum sql_result kept_forget(struct sql *db, struct str tenant)
{
    int64_t seq = 0;
    const struct sql_value ask[] = {sql_text(tenant), sql_int(KEPT_MAX)};
    enum sql_result r = sql_run(db,
                                "SELECT seq FROM recado_task_events WHERE tenant = ? "
                                "ORDER BY seq DESC LIMIT 1 OFFSET ?",
                                ask, 2, keep_numbers, &seq);
    const struct sql_value gone[] = {sql_text(tenant), sql_int(seq)};
    if (r != SQL_OK || seq == 0)
        return r;
    return sql_run(db, "DELETE FROM recado_task_events WHERE tenant = ? AND seq <= ?", gone, 2,
                   NULL, NULL);
}

enum sql_result kept_write(struct sql *db, int64_t seq, const struct run_change *c)
{
    const struct sql_value v[] = {sql_int(seq), sql_text(c->tenant), sql_text(c->kept),
                                  sql_text(c->kept_data), sql_int(c->now_ms)};
    enum sql_result r = sql_run(db,
                                "INSERT INTO recado_task_events (seq, tenant, type, data, at) "
                                "VALUES (?, ?, ?, ?, ?)",
                                v, 5, NULL, NULL);
    return r == SQL_OK && seq % 32 == 0 ? kept_forget(db, c->tenant) : r;
}

enum sql_result kept_each(struct sql *db, struct str tenant, sql_row_fn *row, void *ctx)
{
    const struct sql_value v[] = {sql_text(tenant), sql_int(KEPT_MAX)};
    return sql_run(db,
                   "SELECT type, data, at FROM recado_task_events WHERE tenant = ? "
                   "ORDER BY seq DESC LIMIT ?",
                   v, 2, row, ctx);
}
