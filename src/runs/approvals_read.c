/*
 * approvals_read.c - approvals out of their rows, and what is told of them.
 */
#include "runs/approvals_priv.h"

#include "base/must.h"
#include "runs/row.h"

#define COLUMNS                                                                                    \
    "id, action, agent_id, task_id, status, requested_at, expires_at, decided_at, decided_by,"     \
    " note, for_user, data"
enum { COLUMN_ID, COLUMN_STATUS = 4, COLUMN_USER = 10, COLUMN_DATA = 11 };

static const struct row_column columns[] = {
    {"id", ROW_TEXT},         {"action", ROW_TEXT},     {"agent_id", ROW_JSON},
    {"task_id", ROW_JSON},    {"status", ROW_TEXT},     {"requested_at", ROW_TIME},
    {"expires_at", ROW_TIME}, {"decided_at", ROW_TIME}, {"decided_by", ROW_TEXT},
    {"note", ROW_TEXT},
};

bool approval_may(const struct approvals_by *by, struct str for_user)
{
    return by->back_end || for_user.n == 0 || str_eq(for_user, by->user);
}

/* ---- rows ---- */

static struct str details_of(struct str data)
{
    struct str details;
    bool own = json_find(data, STR("details"), &details) && details.n > 0 && details.p[0] == '{';
    return own ? details : data;
}

struct writing {
    struct json_writer *w;
    const struct approvals_by *by; // NULL: may see everything
    size_t count;
};

static bool put_approval(void *ctx, const struct sql_value *row, size_t count)
{
    struct writing *wr = ctx;
    struct json_writer *w = wr->w;
    MUST(count == COLUMN_DATA + 1);
    if (wr->by != NULL && !approval_may(wr->by, row[COLUMN_USER].s))
        return true;
    json_open_object(w);
    row_put(w, columns, row, sizeof(columns) / sizeof(columns[0]));
    json_key(w, STR("user"));
    if (row[COLUMN_USER].s.n > 0)
        json_put_string(w, row[COLUMN_USER].s);
    else
        json_put_null(w);
    json_put_raw(json_key(w, STR("details")), details_of(row[COLUMN_DATA].s));
    json_close_object(w);
    wr->count++;
    return true;
}

static enum sql_result run_one(struct sql *db, struct str tenant, struct str id, sql_row_fn *row,
                               void *ctx)
{
    struct sql_value params[] = {sql_text(tenant), sql_text(id)};
    return sql_run(db, "SELECT " COLUMNS " FROM recado_approvals WHERE tenant = ? AND id = ?",
                   params, 2, row, ctx);
}

enum sql_result approval_answer(struct approval_ask *a, struct sql *db)
{
    struct json_writer w;
    struct writing wr = {&w, &a->by, 0};
    json_writer_init(&w, &a->ask.body);
    enum sql_result r = run_one(db, a->ask.tenant, a->id, put_approval, &wr);
    if (r == SQL_OK && wr.count == 0)
        return desk_ask_say(&a->ask, DESK_MISSING, "there is no such approval");
    return r == SQL_OK && !json_done(&w) ? SQL_FAILED : r;
}

enum sql_result approval_find_run(struct desk_ask *ask, struct sql *db)
{
    return approval_answer(container_of(ask, struct approval_ask, ask), db);
}

static void keep(struct str s, char *at, size_t cap)
{
    size_t n = s.n < cap - 1 ? s.n : cap - 1;
    if (n > 0)
        memcpy(at, s.p, n);
    at[n] = '\0';
}

static bool take_row(void *ctx, const struct sql_value *row, size_t count)
{
    struct approval_row *ret = ctx;
    (void)count;
    ret->found = true;
    keep(row[0].s, ret->status, sizeof(ret->status));
    keep(row[1].s, ret->for_user, sizeof(ret->for_user));
    ret->expires_at = row[2].type == SQL_INT ? row[2].i : 0;
    ret->decided_at = row[3].type == SQL_INT ? row[3].i : 0;
    return false;
}

enum sql_result approval_look(struct approval_ask *a, struct sql *db)
{
    struct sql_value params[] = {sql_text(a->ask.tenant), sql_text(a->id)};
    a->row = (struct approval_row){0};
    return sql_run(db,
                   "SELECT status, for_user, expires_at, decided_at FROM recado_approvals"
                   " WHERE tenant = ? AND id = ?",
                   params, 2, take_row, &a->row);
}

/* ---- lists ---- */

/* A status that may be any is compared so that no index is of use: those that say one have texts of
 * their own, or whoever looks at what is pending would wait for all that was ever decided. */
#define FROM_ALL    " FROM recado_approvals WHERE tenant = ? AND (? = '' OR status = ?)"
#define FROM_STATUS " FROM recado_approvals WHERE tenant = ? AND ? <> '' AND status = ?"
#define FILTER      " AND (? = '' OR for_user = ?) AND (? = 1 OR for_user = '' OR for_user = ?)"
#define LIST(from)  "SELECT " COLUMNS from FILTER " ORDER BY seq DESC LIMIT ? OFFSET ?"
#define COUNT(from) "SELECT count(*)" from FILTER
enum { FILTER_PARAMS = 7 };

const char *approvals_list_text(bool any_status)
{
    return any_status ? LIST(FROM_ALL) : LIST(FROM_STATUS);
}

enum sql_result approvals_list_run(struct desk_ask *ask, struct sql *db)
{
    struct approval_ask *a = container_of(ask, struct approval_ask, ask);
    const struct approvals_filter *f = &a->filter;
    const struct sql_value params[FILTER_PARAMS + 2] = {
        sql_text(ask->tenant), sql_text(f->status), sql_text(f->status),
        sql_text(f->user),     sql_text(f->user),   sql_int(a->by.back_end),
        sql_text(a->by.user),  sql_int(f->limit),   sql_int((int64_t)f->offset),
    };
    struct json_writer w;
    bool any = f->status.n == 0;
    return desk_ask_page(ask, db,
                         &(struct desk_page){.key = "approvals",
                                             .rows = approvals_list_text(any),
                                             .count = any ? COUNT(FROM_ALL) : COUNT(FROM_STATUS),
                                             .params = params,
                                             .count_params = FILTER_PARAMS,
                                             .put = put_approval,
                                             .ctx = &(struct writing){&w, NULL, 0},
                                             .w = &w});
}

static bool put_waiting(void *ctx, const struct sql_value *row, size_t count)
{
    struct json_writer *w = ctx;
    (void)count;
    json_open_object(w);
    json_put_raw(json_key(w, STR("data")), row[0].s);
    json_put_i64(json_key(w, STR("at")), row[1].i);
    json_close_object(w);
    return true;
}

enum sql_result approvals_waiting_run(struct desk_ask *ask, struct sql *db)
{
    struct approval_ask *a = container_of(ask, struct approval_ask, ask);
    struct sql_value params[] = {sql_text(ask->tenant), sql_text(a->by.user), sql_int(a->now_ms),
                                 sql_int(APPROVALS_WAITING_MAX)};
    struct json_writer w;
    json_writer_init(&w, &ask->body);
    json_open_array(&w);
    enum sql_result r = sql_run(
        db,
        "SELECT data, requested_at FROM (SELECT seq, data, requested_at FROM recado_approvals"
        " WHERE status = 'pending' AND tenant = ? AND (for_user = '' OR for_user = ?)"
        " AND (expires_at IS NULL OR expires_at > ?) ORDER BY seq DESC LIMIT ?) AS newest"
        " ORDER BY seq",
        params, 4, put_waiting, &w);
    json_close_array(&w);
    return r == SQL_OK && !json_done(&w) ? SQL_FAILED : r;
}

/* ---- what is told ---- */

/* Everybody of the tenant may hear it: of what one user is asked no more than that it has changed.
 */
static bool put_update(void *ctx, const struct sql_value *row, size_t count)
{
    const struct writing *wr = ctx;
    if (row[COLUMN_USER].s.n == 0)
        return put_approval(ctx, row, count);
    json_open_object(wr->w);
    json_put_string(json_key(wr->w, STR("id")), row[COLUMN_ID].s);
    json_put_string(json_key(wr->w, STR("status")), row[COLUMN_STATUS].s);
    json_close_object(wr->w);
    return true;
}

enum sql_result approval_tell_update(struct approval_ask *a, struct sql *db, struct str tenant,
                                     struct str id)
{
    struct json_writer w;
    struct buf b;
    buf_init(&b, 8 * APPROVAL_DATA_MAX);
    json_writer_init(&w, &b);
    enum sql_result r = run_one(db, tenant, id, put_update, &(struct writing){&w, NULL, 0});
    if (r == SQL_OK && (!json_done(&w) || !desk_ask_tell(&a->ask, tenant, STR("approvals"),
                                                         "approval:update", buf_str(&b))))
        r = SQL_FAILED;
    buf_fini(&b);
    return r;
}

struct telling {
    struct approval_ask *a;
    bool approved, ok;
};

static void put_or_null(struct json_writer *w, struct sql_value v)
{
    if (v.type == SQL_NULL)
        json_put_null(w);
    else
        json_put_string(w, v.s);
}

/* permissionId comes back as it was asked: a number, or a string. */
static void put_decision(struct json_writer *w, const struct sql_value *row, bool approved)
{
    struct str permission;
    json_open_object(w);
    json_put_raw(json_key(w, STR("taskId")), row[3].type == SQL_NULL ? STR("null") : row[3].s);
    json_key(w, STR("permissionId"));
    if (json_find(row[COLUMN_DATA].s, STR("permissionId"), &permission))
        json_put_raw(w, permission);
    else
        json_put_string(w, row[0].s);
    put_or_null(json_key(w, approved ? STR("approvedBy") : STR("deniedBy")), row[8]);
    put_or_null(json_key(w, STR("action")), row[1]);
    json_put_raw(json_key(w, STR("agentId")), row[2].type == SQL_NULL ? STR("null") : row[2].s);
    put_or_null(json_key(w, STR("note")), row[9]);
    json_close_object(w);
}

static bool tell_decision(void *ctx, const struct sql_value *row, size_t count)
{
    struct telling *t = ctx;
    struct json_writer w;
    struct buf b;
    MUST(count == COLUMN_DATA + 1);
    buf_init(&b, 8 * APPROVAL_DATA_MAX);
    json_writer_init(&w, &b);
    bool approved = str_eq(row[4].s, STR("approved"));
    put_decision(&w, row, approved);
    t->ok = json_done(&w) &&
            desk_ask_tell(&t->a->ask, t->a->ask.tenant, STR("agents"),
                          approved ? "task:approved" : "permission:denied", buf_str(&b));
    buf_fini(&b);
    return false;
}

enum sql_result approval_tell_decision(struct approval_ask *a, struct sql *db)
{
    struct telling t = {.a = a};
    enum sql_result r = run_one(db, a->ask.tenant, a->id, tell_decision, &t);
    return r == SQL_OK && !t.ok ? SQL_FAILED : r;
}
