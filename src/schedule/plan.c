/*
 * plan.c - when a schedule is due next, whatever the clocks do.
 *
 * Always true: next_ms of an interval is anchor_ms and a whole number of intervals, and never more
 * than one interval away once the plan has seen the present.
 */
#include "schedule/plan.h"

enum {
    STEP_LEAST_MS = 2000,      // less is no jump: clocks are slewed, and loops are late
    CRON_BACK_LEAST_MS = 60000 // cron counts minutes: less would only repeat the last one
};

static void next_of_interval(struct plan *p, int64_t now_ms)
{
    int64_t gone_ms = now_ms - p->anchor_ms;
    int64_t steps = gone_ms < 0 ? 0 : gone_ms / p->interval_ms;
    p->next_ms = p->anchor_ms + (steps + 1) * p->interval_ms;
}

void plan_begin(struct plan *p, int64_t now_ms)
{
    p->anchor_ms = now_ms;
    plan_advance(p, now_ms);
}

void plan_advance(struct plan *p, int64_t now_ms)
{
    if (p->interval_ms > 0)
        next_of_interval(p, now_ms);
    else if (!cron_next(&p->cron, now_ms, &p->next_ms))
        p->next_ms = PLAN_NEVER;
}

void plan_wake(struct plan *p, int64_t now_ms)
{
    if (plan_is_due(p, now_ms))
        return;
    if (p->interval_ms > 0 && p->next_ms - now_ms > p->interval_ms)
        plan_begin(p, now_ms); // from a future that is not there yet
    else if (p->interval_ms == 0)
        plan_advance(p, now_ms);
}

void plan_clock_moved(struct plan *p, int64_t now_ms, int64_t jump_ms)
{
    if (p->interval_ms > 0) {
        p->anchor_ms += jump_ms;
        p->next_ms += jump_ms;
    } else if (jump_ms <= -CRON_BACK_LEAST_MS) {
        plan_advance(p, now_ms);
    } // forward: what was skipped is due now, once
}

int64_t clock_pair_step(struct clock_pair *seen, int64_t wall_ms, uint64_t mono_ms)
{
    int64_t step_ms = wall_ms - seen->wall_ms - (int64_t)(mono_ms - seen->mono_ms);
    *seen = (struct clock_pair){wall_ms, mono_ms};
    return step_ms > -STEP_LEAST_MS && step_ms < STEP_LEAST_MS ? 0 : step_ms;
}
