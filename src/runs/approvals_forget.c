/*
 * approvals_forget.c - requests that are over, and old.
 *
 * Always true: what is pending stays.
 */
#include "runs/approvals_priv.h"

/* When a request was over is the moment of its decision, or the one until which it could be
 * decided. */
struct oldest {
    int64_t settled_at, seq, count; // the last of those that go
};

enum sql_result approvals_look(struct sql *db, int64_t *ret_count, int64_t *ret_oldest_ms)
{
    *ret_count = 0; // they are not counted
    return desk_number(db,
                       "SELECT settled_at FROM recado_approvals WHERE settled_at > 0"
                       " ORDER BY settled_at LIMIT 1",
                       NULL, 0, ret_oldest_ms);
}

static bool take_old(void *ctx, const struct sql_value *row, size_t count)
{
    struct oldest *o = ctx;
    (void)count;
    *o = (struct oldest){row[0].i, row[1].i, o->count + 1};
    return true;
}

enum sql_result approvals_forget(struct sql *db, int64_t before_ms, int64_t excess, int64_t most,
                                 int64_t *ret_count)
{
    struct oldest o = {0};
    struct sql_value params[] = {sql_int(before_ms), sql_int(most), sql_int(0)};
    (void)excess;
    *ret_count = 0;
    enum sql_result r = sql_run(db,
                                "SELECT settled_at, seq FROM recado_approvals WHERE settled_at > 0"
                                " AND settled_at < ? ORDER BY settled_at, seq LIMIT ?",
                                params, 2, take_old, &o);
    if (r != SQL_OK || o.count == 0)
        return r;
    params[0] = params[1] = sql_int(o.settled_at);
    params[2] = sql_int(o.seq);
    *ret_count = o.count;
    return sql_run(db,
                   "DELETE FROM recado_approvals WHERE settled_at > 0 AND settled_at <= ?"
                   " AND (settled_at < ? OR seq <= ?)",
                   params, 3, NULL, NULL);
}
