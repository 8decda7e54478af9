/*
 * timer.c - one-shot timers on a hierarchical wheel.
 *
 * Why it exists: every connection has a timer, and nearly none fires. Arming, moving and cancelling
 * are a few pointer writes, whatever the number of timers.
 *
 * Always true between two calls:
 *   I1. a timer with due_tick - tick < 64^(k+1), and no less level that fits, is in level k, slot
 *       (due_tick >> 6k) & 63.
 *   I2. no armed timer has due_tick < tick.
 */
#include "loop/priv.h"

#include "base/must.h"

/* A century: what is longer is for ever. */
static const uint64_t delay_max_ms = (uint64_t)100 * 366 * 86400 * 1000;

void wheel_init(struct wheel *w, uint64_t tick)
{
    for (int level = 0; level < WHEEL_LEVELS; level++) {
        for (int i = 0; i < WHEEL_SLOTS; i++)
            list_init(&w->slots[level][i]);
    }
    w->tick = tick;
}

static void wheel_place(struct wheel *w, struct timer *t)
{
    uint64_t delta = t->due_tick - w->tick;
    int level = 0;
    while (level < WHEEL_LEVELS - 1 && delta >> (WHEEL_BITS * (level + 1)) != 0)
        level++;
    uint64_t reach = (uint64_t)1 << (WHEEL_BITS * WHEEL_LEVELS);
    uint64_t at = delta < reach ? t->due_tick : w->tick + reach - 1; // replaced when it comes near
    list_add(&w->slots[level][(at >> (WHEEL_BITS * level)) & (WHEEL_SLOTS - 1)], &t->link);
}

void timer_init(struct timer *t, void (*fire)(struct timer *t))
{
    list_init(&t->link);
    t->due_tick = 0;
    t->fire = fire;
}

void timer_arm(struct loop *l, struct timer *t, uint64_t delay_ms)
{
    struct wheel *w = &l->wheel;
    MUST(t->fire != NULL);
    list_remove(&t->link);
    uint64_t now_ms = loop_now_ms(l);
    if (delay_ms > delay_max_ms)
        delay_ms = delay_max_ms;
    uint64_t due = (now_ms + delay_ms) / LOOP_TICK_MS + 1; // never early
    t->due_tick = due < w->tick ? w->tick : due;
    wheel_place(w, t);
}

void timer_cancel(struct timer *t)
{
    list_remove(&t->link);
}

/* Takes the slot's timers down to the levels where they now belong. */
static void wheel_cascade(struct wheel *w, int level)
{
    struct list *slot = &w->slots[level][(w->tick >> (WHEEL_BITS * level)) & (WHEEL_SLOTS - 1)];
    struct list taken;
    list_init(&taken);
    while (!list_empty(slot))
        list_move_to_end(&taken, slot->next);
    while (!list_empty(&taken)) {
        struct timer *t = container_of(taken.next, struct timer, link);
        list_remove(&t->link);
        wheel_place(w, t);
    }
}

static uint64_t wheel_fire_slot(struct wheel *w)
{
    struct list *slot = &w->slots[0][w->tick & (WHEEL_SLOTS - 1)];
    struct list due;
    uint64_t fired = 0;
    list_init(&due);
    while (!list_empty(slot))
        list_move_to_end(&due, slot->next);
    w->tick++; // a timer armed from now on goes to a later tick
    while (!list_empty(&due)) {
        struct timer *t = container_of(due.next, struct timer, link);
        list_remove(&t->link);
        if (t->due_tick >= w->tick) { // was placed at the wheel's reach only
            wheel_place(w, t);
            continue;
        }
        fired++;
        t->fire(t);
    }
    return fired;
}

uint64_t wheel_turn(struct wheel *w, uint64_t tick)
{
    uint64_t fired = 0;
    while (w->tick <= tick) {
        for (int level = WHEEL_LEVELS - 1; level > 0; level--) {
            uint64_t below = ((uint64_t)1 << (WHEEL_BITS * level)) - 1;
            if ((w->tick & below) == 0)
                wheel_cascade(w, level);
        }
        fired += wheel_fire_slot(w);
    }
    return fired;
}

/* The first tick at which a slot of the level is emptied: fired, or taken down. */
static uint64_t level_next(const struct wheel *w, int level)
{
    int shift = WHEEL_BITS * level;
    uint64_t below = ((uint64_t)1 << shift) - 1;
    uint64_t at = (w->tick + below) >> shift; // the slot that is looked at next
    for (uint64_t i = at; i < at + WHEEL_SLOTS; i++) {
        if (!list_empty(&w->slots[level][i & (WHEEL_SLOTS - 1)]))
            return i << shift;
    }
    return UINT64_MAX;
}

uint64_t wheel_next(const struct wheel *w)
{
    uint64_t next = UINT64_MAX;
    for (int level = 0; level < WHEEL_LEVELS; level++) {
        uint64_t tick = level_next(w, level);
        if (tick < next)
            next = tick;
    }
    return next;
}
