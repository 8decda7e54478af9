/*
 * date_test.c - dates as people write them, and what is none.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/date.h"

#include <cmocka.h>

static int64_t at(const char *text)
{
    struct date d;
    return date_parse(str_from(text), &d) ? d.at_ms : -1;
}

static void understood(void **state)
{
    struct date d;
    (void)state;
    assert_int_equal(at("1970-01-01"), 0);
    assert_int_equal(at("1970-01-02T00:00:00Z"), DAY_MS);
    assert_int_equal(at("2025-11-02T22:59:18.123Z"), 1762124358123);
    assert_int_equal(at("2025-11-02 22:59:18.1239999"), 1762124358123);
    assert_int_equal(at("2025-11-02T19:59:18.123-03:00"), 1762124358123);
    assert_int_equal(at("2025-11-03T04:29:18.123+0530"), 1762124358123);
    assert_int_equal(at("2024-02-29"), 1709164800000);
    assert_true(date_parse(STR("2024-02-29"), &d) && !d.has_time && !d.has_zone);
    assert_true(date_parse(STR("2024-02-29T10:00"), &d) && d.has_time && !d.has_zone);
    assert_true(date_parse(STR("2024-02-29T10:00+01"), &d) && d.has_zone);
}

static void refused(void **state)
{
    static const char *const wrong[] = {"",
                                        "2025",
                                        "2025-1-1",
                                        "2025-13-01",
                                        "2025-02-29",
                                        "2100-02-29",
                                        "2025-04-31",
                                        "2025-00-10",
                                        "2025-01-00",
                                        "1969-12-31",
                                        "2025-01-01T",
                                        "2025-01-01T24:00",
                                        "2025-01-01T10:60",
                                        "2025-01-01T10:00:61",
                                        "2025-01-01x",
                                        "2025-01-01T10:00:00.Z",
                                        "2025-01-01T10:00Zx",
                                        "2025-01-01T10:00+25",
                                        "2025-01-01T10:00+1"};
    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        assert_int_equal(at(wrong[i]), -1);
}

static void written(void **state)
{
    char text[DATE_TEXT], iso[ISO_TIME_MAX];
    struct date d;
    (void)state;
    for (int64_t day = 0; day < 40000; day += 13) {
        date_format(day, text);
        assert_true(date_parse((struct str){text, DATE_TEXT}, &d));
        assert_int_equal(date_day(d.at_ms), day);
        assert_int_equal(date_day(d.at_ms + DAY_MS - 1), day);
        size_t n = iso_time_ms(d.at_ms + 12345678, iso);
        assert_true(date_parse((struct str){iso, n}, &d));
        assert_int_equal(d.at_ms, day * DAY_MS + 12345678);
    }
    assert_int_equal(date_day(-1), -1);
    assert_int_equal(date_day(-DAY_MS), -1);
}

static void test_bounds(void **state)
{
    int64_t at = 7;
    (void)state;
    assert_true(date_bound(STR("1970-01-02"), false, &at) && at == DAY_MS);
    assert_true(date_bound(STR("1970-01-02"), true, &at) && at == 2 * (int64_t)DAY_MS);
    assert_true(date_bound(STR("1970-01-02T00:00:01Z"), false, &at) && at == DAY_MS + 1000);
    assert_true(date_bound(STR("1970-01-02T00:00:01Z"), true, &at) && at == DAY_MS + 1001);
    assert_false(date_bound(STR("1970-13-02"), true, &at));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_bounds), cmocka_unit_test(understood),
                                       cmocka_unit_test(refused), cmocka_unit_test(written)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
