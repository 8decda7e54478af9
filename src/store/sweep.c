/*
 * sweep.c - forgetting rows that are too old, in bounded steps.
 *
 * Always true: at most one round is under way, and of it at most one job.
 */
#include "store/sweep.h"

#include "base/must.h"

static struct sweep *of_job(struct store_job *j)
{
    return container_of(j, struct sweep, job);
}

static enum sql_result look_run(struct store_job *j, struct sql *db)
{
    return of_job(j)->ops->look(of_job(j), db);
}

static enum sql_result step_run(struct store_job *j, struct sql *db)
{
    return of_job(j)->ops->step(of_job(j), db);
}

static void job_done(struct sweep *s, void (*next)(struct sweep *s))
{
    if (s->job.result == SQL_OK && !s->stopped) {
        next(s);
        return;
    }
    sweep_rest(s);
    if (s->ops->failed != NULL)
        s->ops->failed(s);
}

static void look_done(struct store_job *j)
{
    job_done(of_job(j), of_job(j)->ops->looked);
}

static void step_done(struct store_job *j)
{
    job_done(of_job(j), of_job(j)->ops->stepped);
}

void sweep_look(struct sweep *s)
{
    s->busy = !s->stopped;
    if (s->stopped)
        return;
    s->job = (struct store_job){.loop = s->loop,
                                .reads = true,
                                .search = s->ops->search,
                                .run = look_run,
                                .done = look_done};
    store_do(s->store, &s->job);
}

void sweep_step(struct sweep *s)
{
    s->busy = !s->stopped;
    if (s->stopped)
        return;
    s->job = (struct store_job){.loop = s->loop, .run = step_run, .done = step_done};
    store_do(s->store, &s->job);
}

void sweep_rest(struct sweep *s)
{
    s->busy = false;
}

static void due(struct timer *t)
{
    struct sweep *s = container_of(t, struct sweep, timer);
    timer_arm(s->loop, &s->timer, s->ops->every_ms);
    if (!s->busy)
        sweep_look(s);
}

void sweep_init(struct sweep *s, const struct sweep_ops *ops, struct store *store, struct loop *l)
{
    *s = (struct sweep){.ops = ops, .store = store, .loop = l};
    timer_init(&s->timer, due);
}

void sweep_start(struct sweep *s, uint64_t first_ms)
{
    timer_arm(s->loop, &s->timer, first_ms);
}

void sweep_stop(struct sweep *s)
{
    s->stopped = true;
    timer_cancel(&s->timer);
}
