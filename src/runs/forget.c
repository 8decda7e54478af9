/*
 * forget.c - what has to go of a table's rows, step by step.
 */
#include "runs/forget.h"

#include "base/must.h"

/* The first look comes soon: a server that is started again and again forgets as well. */
enum { FIRST_MS = 3000, LOOK_MS = 60000, STEP_ROWS = 500 };

static struct forgetter *of_sweep(struct sweep *s)
{
    return container_of(s, struct forgetter, sweep);
}

static enum sql_result look(struct sweep *s, struct sql *db)
{
    struct forgetter *f = of_sweep(s);
    return f->o.look(db, &f->rows, &f->oldest_ms);
}

static void looked(struct sweep *s)
{
    struct forgetter *f = of_sweep(s);
    f->before_ms = loop_wall_ms(f->o.loop) - (int64_t)f->o.keep_ms;
    f->excess = f->o.rows_max > 0 ? f->rows - (int64_t)f->o.rows_max : 0;
    if (f->oldest_ms > 0 && (f->excess > 0 || f->oldest_ms < f->before_ms))
        sweep_step(s);
    else
        sweep_rest(s);
}

static enum sql_result step(struct sweep *s, struct sql *db)
{
    struct forgetter *f = of_sweep(s);
    return f->o.forget(db, f->before_ms, f->excess, STEP_ROWS, &f->gone);
}

static void stepped(struct sweep *s)
{
    struct forgetter *f = of_sweep(s);
    atomic_fetch_add(&f->gone_count, (uint64_t)f->gone);
    f->excess -= f->gone;
    if (f->gone == STEP_ROWS)
        sweep_step(s);
    else
        sweep_rest(s);
}

static const struct sweep_ops ops = {
    .look = look, .step = step, .looked = looked, .stepped = stepped, .every_ms = LOOK_MS};

void forgetter_init(struct forgetter *f, const struct forgetter_options *o)
{
    *f = (struct forgetter){.o = *o};
    sweep_init(&f->sweep, &ops, o->store, o->loop);
}

void forgetter_start(struct forgetter *f)
{
    if (f->o.store != NULL)
        sweep_start(&f->sweep, FIRST_MS);
}

void forgetter_stop(struct forgetter *f)
{
    sweep_stop(&f->sweep);
}

uint64_t forgetter_count(const struct forgetter *f)
{
    return atomic_load(&((struct forgetter *)(uintptr_t)f)->gone_count);
}
