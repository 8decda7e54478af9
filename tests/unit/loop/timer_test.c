/*
 * timer_test.c - the wheel against a plain table of due ticks: nobody fires early, late or twice,
 * whatever is armed, moved and cancelled, also from inside fire(), over delays up to days.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/must.h"
#include "loop/priv.h"

#include <stdlib.h>

enum { TIMERS = 300 };

struct probe {
    struct timer timer;
    uint64_t due; // the model's: a tick; UINT64_MAX: not armed
    uint64_t fired;
};

struct world {
    struct loop *loop; // never turned: its clock is ours
    struct probe probes[TIMERS];
    unsigned random;
    uint64_t fired;
    bool meddling; // fire() arms and cancels others
};

static struct world *world;

static unsigned below(unsigned n)
{
    world->random = world->random * 1103515245u + 12345u;
    return (world->random >> 16) % n;
}

static uint64_t random_delay_ms(void)
{
    switch (below(6)) {
    case 0:
        return 0;
    case 1:
        return below(100);
    case 2:
        return below(3000);
    case 3:
        return (uint64_t)below(30000) * 10;
    case 4:
        return (uint64_t)below(30000) * 1000;
    default:
        return (uint64_t)below(30000) * 100000; // a month, beyond the wheel's reach
    }
}

static void arm(struct probe *p, uint64_t delay_ms)
{
    timer_arm(world->loop, &p->timer, delay_ms);
    p->due = (loop_now_ms(world->loop) + delay_ms) / LOOP_TICK_MS + 1;
    assert_true(timer_armed(&p->timer));
}

static void cancel(struct probe *p)
{
    timer_cancel(&p->timer);
    p->due = UINT64_MAX;
    assert_false(timer_armed(&p->timer));
}

static void meddle(void)
{
    struct probe *p = &world->probes[below(TIMERS)];
    if (below(3) == 0)
        cancel(p);
    else
        arm(p, random_delay_ms());
}

static void fire(struct timer *t)
{
    struct probe *p = container_of(t, struct probe, timer);
    uint64_t now = loop_now_ms(world->loop) / LOOP_TICK_MS;
    assert_false(timer_armed(t));
    assert_true(p->due <= now); // never early, and not when cancelled
    p->due = UINT64_MAX;
    p->fired++;
    world->fired++;
    if (world->meddling) {
        meddle();
        if (below(3) == 0)
            arm(p, random_delay_ms());
    }
}

static uint64_t first_due(void)
{
    uint64_t first = UINT64_MAX;
    for (int i = 0; i < TIMERS; i++)
        first = world->probes[i].due < first ? world->probes[i].due : first;
    return first;
}

/* To the given tick, as a loop would go there: never past what wheel_next() says. */
static void go_to(uint64_t tick)
{
    struct wheel *w = &world->loop->wheel;
    for (;;) {
        uint64_t next = wheel_next(w), first = first_due();
        assert_true(next <= first);
        assert_true((next == UINT64_MAX) == (first == UINT64_MAX));
        assert_true(next >= w->tick);
        uint64_t to = next < tick ? next : tick;
        world->loop->now_ns = to * LOOP_TICK_MS * 1000000;
        uint64_t before = world->fired, fired = wheel_turn(w, to);
        assert_int_equal(world->fired - before, fired);
        assert_true(first_due() > to); // nobody is late
        if (to == tick)
            return;
    }
}

static void world_make(unsigned seed)
{
    world = calloc(1, sizeof(*world));
    world->random = seed;
    world->loop = loop_create(0);
    world->loop->now_ns = (uint64_t)(seed * 7919 % 5000) * LOOP_TICK_MS * 1000000;
    wheel_init(&world->loop->wheel, loop_now_ms(world->loop) / LOOP_TICK_MS);
    for (int i = 0; i < TIMERS; i++) {
        timer_init(&world->probes[i].timer, fire);
        world->probes[i].due = UINT64_MAX;
    }
}

static void world_end(void)
{
    for (int i = 0; i < TIMERS; i++)
        timer_cancel(&world->probes[i].timer);
    assert_true(wheel_next(&world->loop->wheel) == UINT64_MAX);
    loop_destroy(&world->loop);
    free(world);
    world = NULL;
}

static void walk(unsigned seed)
{
    world_make(seed);
    world->meddling = seed % 2 == 0;
    for (int i = 0; i < 200; i++) {
        for (unsigned n = below(20); n > 0; n--)
            meddle();
        go_to(world->loop->wheel.tick + (below(40) == 0 ? below(30000) * 20 : below(3000)));
    }
    assert_true(world->fired > 100);
    world_end();
}

static void the_wheel_behaves_like_a_table(void **state)
{
    (void)state;
    for (unsigned seed = 1; seed <= 6; seed++)
        walk(seed);
}

/* The clock jumps: a machine that slept. What became due meanwhile fires at once, and once. */
static void a_long_jump_fires_all_that_is_due(void **state)
{
    (void)state;
    world_make(3);
    for (int i = 0; i < TIMERS; i++)
        arm(&world->probes[i], random_delay_ms());
    uint64_t to = world->loop->wheel.tick + (uint64_t)6 * 3600 * 1000 / LOOP_TICK_MS, due = 0;
    for (int i = 0; i < TIMERS; i++)
        due += world->probes[i].due <= to;
    world->loop->now_ns = to * LOOP_TICK_MS * 1000000;
    assert_int_equal(wheel_turn(&world->loop->wheel, to), due);
    assert_true(first_due() > to);
    world_end();
}

/* A level's slot is due to be taken down at the very tick that comes next. */
static void the_next_tick_may_be_a_cascade(void **state)
{
    (void)state;
    for (uint64_t start = 0; start < 200; start++) {
        for (uint64_t delay = 0; delay < 200; delay++) {
            struct timer t;
            if (world == NULL)
                world_make(0);
            struct wheel *w = &world->loop->wheel;
            world->loop->now_ns = 0;
            wheel_init(w, start);
            timer_init(&t, fire);
            timer_arm(world->loop, &t, delay * LOOP_TICK_MS);
            uint64_t due = t.due_tick;
            while (timer_armed(&t) && w->tick < due) {
                assert_true(wheel_next(w) <= due);
                world->loop->now_ns = w->tick * LOOP_TICK_MS * 1000000;
                wheel_turn(w, w->tick); // one tick at a time: empty ones fire nothing
            }
            assert_true(timer_armed(&t) && wheel_next(w) == due);
            timer_cancel(&t);
        }
    }
    world_end();
}

static void for_ever_is_not_at_once(void **state)
{
    (void)state;
    world_make(1);
    struct probe *p = &world->probes[0];
    timer_arm(world->loop, &p->timer, UINT64_MAX);
    p->due = UINT64_MAX - 1;
    wheel_turn(&world->loop->wheel, world->loop->wheel.tick + 20000);
    assert_true(timer_armed(&p->timer));
    assert_int_equal(p->fired, 0);
    world_end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_wheel_behaves_like_a_table),
        cmocka_unit_test(a_long_jump_fires_all_that_is_due),
        cmocka_unit_test(the_next_tick_may_be_a_cascade),
        cmocka_unit_test(for_ever_is_not_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
