/* plan_test.c - when a plan is due while clocks run, are moved, and while nobody looked. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "schedule/plan.h"

enum { MINUTE = 60000, HOUR = 60 * MINUTE, FIVE = 5 * MINUTE };
static const int64_t noon = 1796040000000; // 2026-11-30T12:00:00Z

static struct plan every_five(int64_t now_ms)
{
    struct plan p = {.interval_ms = FIVE};
    plan_begin(&p, now_ms);
    return p;
}

static struct plan cron(const char *text, int64_t now_ms)
{
    struct plan p = {0};
    char why[CRON_WHY_MAX];
    assert_true(cron_parse(str_from(text), &p.cron, why));
    plan_begin(&p, now_ms);
    return p;
}

static void an_interval_does_not_drift(void **state)
{
    struct plan p = every_five(noon + 123);
    (void)state;
    for (int i = 1; i <= 1000; i++) {
        int64_t due_ms = noon + 123 + (int64_t)i * FIVE;
        assert_false(plan_is_due(&p, due_ms - 1));
        assert_true(plan_is_due(&p, due_ms));
        plan_advance(&p, due_ms + (i % 7) * 1000); // looked at late
    }
}

static void what_was_slept_through_is_due_once(void **state)
{
    struct plan p = every_five(noon);
    (void)state;
    int64_t late_ms = noon + HOUR + 1;
    plan_wake(&p, late_ms);
    assert_true(plan_is_due(&p, late_ms));
    plan_advance(&p, late_ms);
    assert_int_equal(p.next_ms, noon + HOUR + FIVE);
    struct plan c = cron("*/5 * * * *", noon);
    plan_wake(&c, late_ms);
    assert_true(plan_is_due(&c, late_ms));
    plan_advance(&c, late_ms);
    assert_int_equal(c.next_ms, noon + HOUR + FIVE);
}

static void a_clock_that_went_back_while_nobody_looked(void **state)
{
    struct plan p = every_five(noon);
    (void)state;
    plan_wake(&p, noon - 24 * HOUR);
    assert_int_equal(p.next_ms, noon - 24 * HOUR + FIVE);
    struct plan c = cron("*/5 * * * *", noon);
    plan_wake(&c, noon - 24 * HOUR);
    assert_int_equal(c.next_ms, noon - 24 * HOUR + FIVE);
    struct plan same = every_five(noon);
    plan_wake(&same, noon + MINUTE);
    assert_int_equal(same.next_ms, noon + FIVE);
}

static void an_interval_goes_on_as_if_the_clock_had_not_been_moved(void **state)
{
    (void)state;
    for (int sign = -1; sign <= 1; sign += 2) {
        struct plan p = every_five(noon);
        int64_t jump_ms = sign * 3 * (int64_t)HOUR, now_ms = noon + MINUTE + jump_ms;
        plan_clock_moved(&p, now_ms, jump_ms);
        assert_int_equal(p.next_ms - now_ms, FIVE - MINUTE);
        plan_advance(&p, p.next_ms);
        assert_int_equal(p.next_ms - now_ms, 2 * FIVE - MINUTE);
    }
}

static void cron_means_what_the_clock_shows(void **state)
{
    struct plan back = cron("*/5 * * * *", noon), ahead = cron("30 12 * * *", noon);
    (void)state;
    plan_clock_moved(&back, noon - 2 * HOUR + 1, -2 * HOUR);
    assert_int_equal(back.next_ms, noon - 2 * HOUR + FIVE); // no silence of two hours
    plan_clock_moved(&ahead, noon + 2 * HOUR, 2 * HOUR);
    assert_true(plan_is_due(&ahead, noon + 2 * HOUR)); // skipped: due now
    plan_advance(&ahead, noon + 2 * HOUR);
    assert_int_equal(ahead.next_ms, noon + 24 * HOUR + HOUR / 2); // and once
    struct plan little = cron("*/5 * * * *", noon);
    plan_clock_moved(&little, noon - 10000, -10000);
    assert_int_equal(little.next_ms, noon + FIVE); // noon is not there twice
}

static void steps_of_the_wall_clock_are_seen(void **state)
{
    struct clock_pair seen = {noon, 5000};
    (void)state;
    assert_int_equal(clock_pair_step(&seen, noon + 1000, 6000), 0);
    assert_int_equal(clock_pair_step(&seen, noon + 3500, 7000), 0); // slewed
    assert_int_equal(clock_pair_step(&seen, noon + 3500 + HOUR, 7000), HOUR);
    assert_int_equal(clock_pair_step(&seen, noon + 3500, 8000), -HOUR - 1000);
    assert_int_equal(clock_pair_step(&seen, noon + 4500, 9000), 0);
}

static void a_cron_without_a_future_is_never_due(void **state)
{
    struct plan p = cron("0 0 1 1 *", 253402300000000); // the last days of 9999
    (void)state;
    assert_true(p.next_ms == PLAN_NEVER);
    assert_false(plan_is_due(&p, 253402300799999));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_interval_does_not_drift),
        cmocka_unit_test(what_was_slept_through_is_due_once),
        cmocka_unit_test(a_clock_that_went_back_while_nobody_looked),
        cmocka_unit_test(an_interval_goes_on_as_if_the_clock_had_not_been_moved),
        cmocka_unit_test(cron_means_what_the_clock_shows),
        cmocka_unit_test(steps_of_the_wall_clock_are_seen),
        cmocka_unit_test(a_cron_without_a_future_is_never_due),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
