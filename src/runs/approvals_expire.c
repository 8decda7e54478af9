/*
 * approvals_expire.c - requests that nobody has decided in time.
 *
 * Why the time is looked at by the wall clock again and again: it may be set, and a request expires
 * at a moment, not after so many ticks.
 */
#include "runs/approvals_priv.h"

#include "base/clock.h"
#include "base/must.h"

#include <stdlib.h>

enum { LOOK_MS = 30000, AGAIN_MS = 2000, SWEEP_MAX = 50 };

static void arm(struct approvals *a)
{
    int64_t in_ms = a->expires_at - clock_wall_ms();
    if (a->expires_at == 0)
        return;
    timer_arm(a->home, &a->expiry,
              in_ms <= 0        ? 1
              : in_ms > LOOK_MS ? LOOK_MS
                                : (uint64_t)in_ms + 1);
}

void approvals_expect(struct approvals *a, int64_t expires_at)
{
    if (a->expires_at > 0 && a->expires_at <= expires_at)
        return;
    a->expires_at = expires_at;
    arm(a);
}

/* ---- the sweep ---- */

struct due {
    struct approval_ask *ask;
    struct buf names; // tenant, 0, id, 0, ...
    uint32_t count;
};

static bool take_due(void *ctx, const struct sql_value *row, size_t count)
{
    struct due *d = ctx;
    (void)count;
    if (!buf_add(&d->names, row[0].s) || !buf_add_char(&d->names, '\0') ||
        !buf_add(&d->names, row[1].s) || !buf_add_char(&d->names, '\0'))
        return false;
    d->count++;
    return true;
}

static enum sql_result find_next(struct approval_ask *a, struct sql *db)
{
    return desk_number(db,
                       "SELECT min(expires_at) FROM recado_approvals WHERE status = 'pending'"
                       " AND expires_at IS NOT NULL",
                       NULL, 0, &a->next_expiry_ms);
}

static enum sql_result expire(struct approval_ask *a, struct sql *db, struct str tenant,
                              struct str id)
{
    struct sql_value params[] = {sql_text(tenant), sql_text(id)};
    enum sql_result r =
        sql_run(db,
                "UPDATE recado_approvals SET status = 'expired', settled_at = expires_at"
                " WHERE tenant = ? AND id = ? AND status = 'pending'",
                params, 2, NULL, NULL);
    return r == SQL_OK ? approval_tell_update(a, db, tenant, id) : r;
}

static enum sql_result sweep_run(struct desk_ask *ask, struct sql *db)
{
    struct approval_ask *a = container_of(ask, struct approval_ask, ask);
    struct due d = {.ask = a};
    struct sql_value params[] = {sql_int(clock_wall_ms()), sql_int(SWEEP_MAX)};
    buf_init(&d.names, SWEEP_MAX * 2048);
    enum sql_result r = sql_run(db,
                                "SELECT tenant, id FROM recado_approvals WHERE status = 'pending'"
                                " AND expires_at <= ? ORDER BY expires_at LIMIT ?",
                                params, 2, take_due, &d);
    struct str rest = buf_str(&d.names);
    for (uint32_t i = 0; r == SQL_OK && i < d.count; i++) {
        struct str tenant = str_cut(&rest, '\0');
        struct str id = str_cut(&rest, '\0');
        r = expire(a, db, tenant, id);
    }
    buf_fini(&d.names);
    return r == SQL_OK ? find_next(a, db) : r;
}

/* Only the store's reader is asked, where nothing has to be changed: an idle server rests. */
static enum sql_result next_run(struct desk_ask *ask, struct sql *db)
{
    return find_next(container_of(ask, struct approval_ask, ask), db);
}

/* The answer's body would be for people; what was found goes by this. */
struct looking {
    struct approvals *approvals;
    struct approval_ask *ask;
};

static void looked(void *ctx, const struct desk_reply *r)
{
    struct looking *l = ctx;
    struct approvals *a = l->approvals;
    int64_t next = r->state == DESK_DONE && l->ask != NULL ? l->ask->next_expiry_ms : 0;
    bool failed = r->state != DESK_DONE;
    free(l);
    if (failed && a->expires_at == 0)
        a->expires_at = clock_wall_ms();
    if (failed) {
        timer_arm(a->home, &a->expiry, AGAIN_MS);
        return;
    }
    if (next > 0)
        approvals_expect(a, next);
}

static void look(struct approvals *a, bool sweep)
{
    struct looking *l = malloc(sizeof(*l));
    if (l == NULL)
        return;
    *l = (struct looking){.approvals = a};
    struct desk_from from = {a->home, STR_NONE, looked, l};
    l->ask = approval_ask_make(a, &from, STR_NONE, STR_NONE, 0, sweep ? sweep_run : next_run);
    if (l->ask == NULL)
        return;
    l->ask->ask.reads = !sweep;
    a->expires_at = 0;
    desk_ask_start(&l->ask->ask);
}

void approvals_expiry_fired(struct timer *t)
{
    struct approvals *a = container_of(t, struct approvals, expiry);
    if (a->expires_at > 0 && a->expires_at <= clock_wall_ms())
        look(a, true);
    else
        arm(a);
}

void approvals_start(struct approvals *a)
{
    look(a, false);
    forgetter_start(&a->forgetter);
}
