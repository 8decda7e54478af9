/*
 * clock_test.c - the clocks move forward and times are written as ISO 8601 has them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/str.h"

#include <cmocka.h>

static void never_backwards(void **state)
{
    (void)state;
    uint64_t last = clock_mono_ns();
    for (int i = 0; i < 1000; i++) {
        uint64_t now = clock_mono_ns();
        assert_true(now >= last);
        last = now;
    }
    assert_true(clock_wall_ms() > 1700000000000); // this test is younger than that
}

static void times_are_written(void **state)
{
    (void)state;
    static const struct {
        int64_t ms;
        const char *text;
    } cases[] = {
        {0, "1970-01-01T00:00:00.000Z"},
        {1, "1970-01-01T00:00:00.001Z"},
        {1762124358123, "2025-11-02T22:59:18.123Z"},
        {1709164800000, "2024-02-29T00:00:00.000Z"},
        {253402300799999, "9999-12-31T23:59:59.999Z"},
        {-1, "1969-12-31T23:59:59.999Z"},
        {-1000, "1969-12-31T23:59:59.000Z"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[ISO_TIME_MAX];
        struct str s = {text, iso_time_ms(cases[i].ms, text)};
        if (!str_eq(s, str_from(cases[i].text)))
            fail_msg("expected %s, got %.*s", cases[i].text, STR_FMT(s));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(never_backwards),
        cmocka_unit_test(times_are_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
