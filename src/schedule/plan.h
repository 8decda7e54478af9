/* plan.h - when a schedule is due next, whatever the clocks do.
 *
 * The wall clock says when: an interval counts from its anchor in whole steps, so it does not
 * drift, and cron means what a clock on the wall shows. The monotonic clock says whether the wall
 * clock was moved: then an interval goes on as if it had not been, and cron's next moment is looked
 * up anew.
 *
 * Thread:  the owner's.
 * Memory:  values.
 * Failure: none. A cron that never comes again is never due. */
#ifndef SCHEDULE_PLAN_H
#define SCHEDULE_PLAN_H

#include "schedule/cron.h"

struct plan {
    int64_t interval_ms; // 0: it is cron
    struct cron cron;
    int64_t anchor_ms; // from which the interval counts
    int64_t next_ms;   // PLAN_NEVER: never
};
static const int64_t PLAN_NEVER = INT64_MAX;

/* Begins now: an interval's first moment is one interval away. */
void plan_begin(struct plan *p, int64_t now_ms);
/* The next moment after now; those before it are gone. */
void plan_advance(struct plan *p, int64_t now_ms);
/* anchor_ms and next_ms are from an earlier life: what was missed is due now, once, and a clock
 * that went back meanwhile does not make it wait. */
void plan_wake(struct plan *p, int64_t now_ms);
/* The wall clock, now at now_ms, was moved by jump_ms. */
void plan_clock_moved(struct plan *p, int64_t now_ms, int64_t jump_ms);
static inline bool plan_is_due(const struct plan *p, int64_t now_ms)
{
    return p->next_ms <= now_ms;
}

/* Both clocks, as they were last seen. */
struct clock_pair {
    int64_t wall_ms;
    uint64_t mono_ms;
};
/* By how much the wall clock was moved since then; 0: by less than a second or two. */
int64_t clock_pair_step(struct clock_pair *seen, int64_t wall_ms, uint64_t mono_ms);

#endif
