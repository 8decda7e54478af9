/*
 * ledger.c - from the changes of all loops to transactions of many, and back.
 *
 * Always true between two calls, on the ledger's loop:
 *   L1. at most one job with changes is with the store; `running` holds its changes, and what has
 *       come since is in `queue`.
 *   L2. what a job could not write goes back to the front of the queue when it is of events, and is
 *       answered when somebody waits.
 *   L3. an update is published after the commit that it tells of, in the order of the changes.
 */
#include "base/clock.h"
#include "base/log.h"
#include "base/must.h"
#include "runs/ledger_priv.h"

#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>

enum { RETRY_FIRST_MS = 100, RETRY_MOST_MS = 5000, LEASE_LOOK_MOST_MS = 3600000 };

static void batch_start(struct ledger *l);

static uint64_t get(const _Atomic uint64_t *c)
{
    return atomic_load_explicit((_Atomic uint64_t *)(uintptr_t)c, memory_order_relaxed);
}

/* ---- giving ---- */

static bool has_room(const struct ledger *l)
{
    return get(&l->waiting) < l->o.queue_max && get(&l->waiting_bytes) < l->o.queue_bytes_max;
}

bool ledger_has_room(struct ledger *l)
{
    if (has_room(l))
        return true;
    atomic_fetch_add(&l->dropped, 1);
    if (!atomic_exchange(&l->complained, true))
        log_warn("runs: the store takes no changes, and too many events wait for it: those that "
                 "come now leave no rows");
    return false;
}

static void given(struct mail *m, struct loop *loop)
{
    struct run_change *c = container_of(m, struct run_change, mail);
    struct ledger *l = c->ledger;
    (void)loop;
    list_add(&l->queue, &c->link);
    batch_start(l);
}

bool ledger_give(struct ledger *l, struct run_change *c)
{
    if (c->done != NULL && !has_room(l))
        return false;
    atomic_fetch_add(&l->waiting, 1);
    atomic_fetch_add(&l->waiting_bytes, c->bytes);
    c->ledger = l;
    c->mail.deliver = given;
    loop_post(l->o.loop, &c->mail);
    return true;
}

/* ---- answering ---- */

static void answered(struct mail *m, struct loop *loop)
{
    struct run_change *c = container_of(m, struct run_change, mail);
    (void)loop;
    c->done(c, c->ctx);
}

static void settle(struct ledger *l, struct run_change *c)
{
    list_remove(&c->link);
    atomic_fetch_sub(&l->waiting, 1);
    atomic_fetch_sub(&l->waiting_bytes, c->bytes);
    if (c->done == NULL) {
        run_change_free(c);
        return;
    }
    c->mail.deliver = answered;
    loop_post(c->loop, &c->mail);
}

static void publish(struct ledger *l, const struct run_change *c)
{
    struct str rest = buf_str(&c->updates);
    while (rest.n > 0) {
        struct str tenant = str_cut(&rest, '\0');
        struct str update = str_cut(&rest, '\0');
        l->o.publish(l->o.ctx, tenant, update);
    }
}

/* ---- leases ---- */

static void leases_arm(struct ledger *l)
{
    int64_t in_ms = l->lease_next - loop_wall_ms(l->o.loop);
    if (l->lease_next == 0) {
        timer_cancel(&l->leases);
        return;
    }
    if (in_ms > LEASE_LOOK_MOST_MS)
        in_ms = LEASE_LOOK_MOST_MS;
    timer_arm(l->o.loop, &l->leases, in_ms > 0 ? (uint64_t)in_ms + 1 : 1);
}

static void leases_due(struct timer *t)
{
    struct ledger *l = container_of(t, struct ledger, leases);
    struct str text;
    if (loop_wall_ms(l->o.loop) < l->lease_next) {
        leases_arm(l);
        return;
    }
    struct run_change *c =
        run_change_make(RUN_SWEEP, STR_NONE, STR_NONE, STR_NONE, loop_wall_ms(l->o.loop), &text);
    if (c != NULL)
        (void)ledger_give(l, c);
    else
        timer_arm(l->o.loop, &l->leases, RETRY_MOST_MS);
}

/* ---- a batch ---- */

static enum sql_result batch_run(struct store_job *j, struct sql *db)
{
    struct ledger *l = container_of(j, struct ledger, job);
    enum sql_result r = SQL_OK;
    list_each(it, &l->running)
    {
        r = change_apply(l, container_of(it, struct run_change, link), db);
        if (r != SQL_OK)
            break;
    }
    if (r == SQL_OK)
        r = rows_lease_next(db, &l->job_lease_next);
    if (r != SQL_OK)
        snprintf(l->why, sizeof(l->why), "%s", sql_why(db));
    return r;
}

static void count(struct ledger *l, const struct run_change *c)
{
    if (c->verb == RUN_SWEEP)
        atomic_fetch_add(&l->lost_leases, (uint64_t)c->step.seq);
    else if (c->verb == RUN_EVENT)
        atomic_fetch_add(c->outcome == RUN_IGNORED ? &l->ignored : &l->events, 1);
    else
        atomic_fetch_add(&l->changes, 1);
}

static void batch_written(struct ledger *l)
{
    l->retry_ms = 0;
    if (l->alone > 0)
        l->alone--;
    atomic_store(&l->complained, false);
    list_each_safe(it, &l->running)
    {
        struct run_change *c = container_of(it, struct run_change, link);
        count(l, c);
        publish(l, c);
        settle(l, c);
    }
    l->lease_next = l->job_lease_next;
    leases_arm(l);
}

static bool is_patient(const struct run_change *c)
{
    return c->verb == RUN_EVENT || c->verb == RUN_SWEEP;
}

static void give_up(struct ledger *l, struct run_change *c)
{
    c->outcome = RUN_UNSTORED;
    if (is_patient(c))
        atomic_fetch_add(&l->dropped, 1);
    settle(l, c);
}

/* Nobody can wait for ever: who asked is told, and events wait for better times. */
static void put_back(struct ledger *l, struct list *from, struct list *waiting)
{
    list_each_safe(it, from)
    {
        struct run_change *c = container_of(it, struct run_change, link);
        if (is_patient(c) && !l->stopping)
            list_move_to_end(waiting, it);
        else
            give_up(l, c);
    }
}

static void batch_put_back(struct ledger *l)
{
    struct list waiting;
    list_init(&waiting);
    put_back(l, &l->running, &waiting);
    put_back(l, &l->queue, &waiting);
    list_each_safe(it, &waiting) list_move_to_end(&l->queue, it);
}

/* The database took offence at one of them: it is found by trying each alone, and left out. */
static void batch_refused(struct ledger *l, enum sql_result r)
{
    if (l->alone == 0) {
        struct list all;
        list_init(&all);
        list_each_safe(it, &l->running)
        {
            list_move_to_end(&all, it);
            l->alone++;
        }
        list_each_safe(it, &l->queue) list_move_to_end(&all, it);
        list_each_safe(it, &all) list_move_to_end(&l->queue, it);
        return;
    }
    list_each_safe(it, &l->running)
    {
        struct run_change *c = container_of(it, struct run_change, link);
        log_error("runs: a change could not be written and is left out: %s: %s", sql_result_name(r),
                  l->why);
        give_up(l, c);
    }
    l->alone--;
}

static void tell_stopped(struct ledger *l)
{
    if (!l->stopping || l->stopped == NULL || !list_empty(&l->queue) || l->busy)
        return;
    void (*stopped)(struct ledger *) = l->stopped;
    l->stopped = NULL;
    stopped(l);
}

static void batch_done(struct store_job *j)
{
    struct ledger *l = container_of(j, struct ledger, job);
    l->busy = false;
    if (j->result == SQL_OK) {
        batch_written(l);
    } else if (j->result == SQL_FAILED || j->result == SQL_CONSTRAINT) {
        batch_refused(l, j->result);
    } else {
        batch_put_back(l);
        l->retry_ms = l->retry_ms == 0 ? RETRY_FIRST_MS : l->retry_ms * 2;
        if (l->retry_ms > RETRY_MOST_MS)
            l->retry_ms = RETRY_MOST_MS;
        if (!list_empty(&l->queue))
            timer_arm(l->o.loop, &l->retry, l->retry_ms);
    }
    batch_start(l);
    tell_stopped(l);
}

/* While the store is known to be down, events wait; who asks is answered by a try of his own. */
static bool may_try(const struct ledger *l)
{
    if (l->retry_ms == 0 || !timer_armed(&l->retry))
        return true;
    const struct run_change *newest = container_of(l->queue.prev, struct run_change, link);
    return newest->done != NULL;
}

static void batch_start(struct ledger *l)
{
    if (l->busy || list_empty(&l->queue) || !may_try(l))
        return;
    unsigned most = l->alone > 0 ? 1 : BATCH_MAX;
    for (unsigned n = 0; n < most && !list_empty(&l->queue); n++)
        list_move_to_end(&l->running, l->queue.next);
    l->busy = true;
    l->job.loop = l->o.loop;
    l->job.reads = false;
    l->job.run = batch_run;
    l->job.done = batch_done;
    store_do(l->o.store, &l->job);
}

static void retry_now(struct timer *t)
{
    batch_start(container_of(t, struct ledger, retry));
}

/* ---- birth and end ---- */

struct ledger *ledger_create(const struct ledger_options *o)
{
    struct ledger *l = calloc(1, sizeof(*l));
    if (l == NULL)
        return NULL;
    l->o = *o;
    list_init(&l->queue);
    list_init(&l->running);
    timer_init(&l->retry, retry_now);
    timer_init(&l->leases, leases_due);
    forgetter_init(&l->forgetter, &(struct forgetter_options){.store = o->store,
                                                              .loop = o->loop,
                                                              .keep_ms = o->keep_ms,
                                                              .rows_max = o->runs_max,
                                                              .look = rows_count,
                                                              .forget = rows_forget});
    if (!query_texts_make(&l->texts))
        ledger_destroy(&l);
    return l;
}

void ledger_start(struct ledger *l)
{
    l->lease_next = 1; // those that ran out while nobody looked
    leases_arm(l);
    forgetter_start(&l->forgetter);
}

static void wake_up(struct ledger *l)
{
    sem_post(l->stopped_ctx);
}

static void stop_asked(struct mail *m, struct loop *loop)
{
    struct ledger *l = container_of(m, struct ledger, stop_mail);
    (void)loop;
    l->stopping = true;
    forgetter_stop(&l->forgetter);
    timer_cancel(&l->leases);
    timer_cancel(&l->retry);
    batch_start(l);
    tell_stopped(l);
}

void ledger_stop(struct ledger *l)
{
    sem_t done;
    sem_init(&done, 0, 0);
    l->stopped = wake_up;
    l->stopped_ctx = &done;
    l->stop_mail.deliver = stop_asked;
    loop_post(l->o.loop, &l->stop_mail);
    while (sem_wait(&done) != 0)
        continue;
    sem_destroy(&done);
}

void ledger_destroy(struct ledger **lp)
{
    struct ledger *l = *lp;
    *lp = NULL;
    if (l == NULL)
        return;
    list_each_safe(it, &l->queue) run_change_free(container_of(it, struct run_change, link));
    timer_cancel(&l->retry);
    timer_cancel(&l->leases);
    forgetter_stop(&l->forgetter);
    query_texts_drop(&l->texts);
    free(l);
}

void ledger_read_stats(const struct ledger *l, struct ledger_stats *ret)
{
    *ret = (struct ledger_stats){.events = get(&l->events),
                                 .changes = get(&l->changes),
                                 .ignored = get(&l->ignored),
                                 .dropped = get(&l->dropped),
                                 .waiting = get(&l->waiting),
                                 .lost_leases = get(&l->lost_leases),
                                 .forgotten = forgetter_count(&l->forgetter)};
}
