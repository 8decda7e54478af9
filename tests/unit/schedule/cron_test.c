/* cron_test.c - intervals and cron: what is understood, what is refused, and which moment is next,
 * held against a search minute by minute with the C library's calendar. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "schedule/cron.h"

static struct cron parsed(const char *text)
{
    struct cron c;
    char why[CRON_WHY_MAX];
    if (!cron_parse(str_from(text), &c, why))
        fail_msg("%s: %s", text, why);
    return c;
}

static int64_t at(int year, int month, int day, int hour, int minute)
{
    struct tm tm = {.tm_year = year - 1900,
                    .tm_mon = month - 1,
                    .tm_mday = day,
                    .tm_hour = hour,
                    .tm_min = minute};
    return (int64_t)timegm(&tm) * 1000;
}

static void assert_next(const char *text, int64_t after_ms, int64_t want_ms)
{
    struct cron c = parsed(text);
    int64_t next_ms = 0;
    assert_true(cron_next(&c, after_ms, &next_ms));
    if (next_ms != want_ms)
        fail_msg("%s after %lld: %lld, not %lld", text, (long long)after_ms, (long long)next_ms,
                 (long long)want_ms);
}

static void intervals(void **state)
{
    static const struct {
        const char *text;
        int64_t ms; // 0: refused
    } rows[] = {
        {"30s", 30000},
        {"5m", 300000},
        {"2h", 7200000},
        {"1d", 86400000},
        {"366d", 31622400000},
        {"367d", 0},
        {"0s", 0},
        {"5", 0},
        {"m", 0},
        {"", 0},
        {"5M", 0},
        {"1h30m", 0},
        {"-5m", 0},
        {"5ms", 0},
        {" 5m", 0},
        {"5m ", 0},
        {"9999999999999m", 0},
        {"1w", 0},
        {"005m", 300000},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        int64_t ms = 0;
        bool ok = interval_parse(str_from(rows[i].text), &ms);
        assert_int_equal(ok, rows[i].ms != 0);
        assert_int_equal(ms, rows[i].ms);
    }
}

static void known_moments(void **state)
{
    (void)state;
    int64_t monday = at(2026, 11, 30, 8, 15); // a Monday
    assert_next("*/5 * * * *", monday, at(2026, 11, 30, 8, 20));
    assert_next("*/5 * * * *", monday + 59999, at(2026, 11, 30, 8, 20));
    assert_next("15 8 * * *", monday - 1, monday);
    assert_next("15 8 * * *", monday, at(2026, 12, 1, 8, 15)); // strictly after
    assert_next("0 0 1 1 *", monday, at(2027, 1, 1, 0, 0));
    assert_next("0 9 * * MON-FRI", at(2026, 12, 4, 9, 0), at(2026, 12, 7, 9, 0));
    assert_next("0 9 * * 0", monday, at(2026, 12, 6, 9, 0));
    assert_next("0 9 * * 7", monday, at(2026, 12, 6, 9, 0));
    assert_next("0 9 * * sat-sun", at(2026, 12, 5, 9, 0), at(2026, 12, 6, 9, 0));
    assert_next("0 9 * * 5-7", at(2026, 12, 5, 9, 0), at(2026, 12, 6, 9, 0));
    assert_next("0 0 13 * FRI", monday, at(2026, 12, 4, 0, 0)); // either day is enough
    assert_next("0 0 29 2 *", monday, at(2028, 2, 29, 0, 0));
    assert_next("0 0 29 2 *", at(2096, 3, 1, 0, 0), at(2104, 2, 29, 0, 0)); // 2100 has none
    assert_next("0 0 29 2 */7", monday, at(2032, 2, 29, 0, 0));             // a Sunday
    assert_next("0 0 31 * *", at(2027, 1, 31, 0, 0), at(2027, 3, 31, 0, 0));
    assert_next("10-50/20 3/10 * JAN,jul *", monday, at(2027, 1, 1, 3, 10));
    assert_next("0 12 * * 1/2", monday, at(2026, 11, 30, 12, 0));
    assert_next("59 23 31 12 *", -1, at(1970, 12, 31, 23, 59));
    assert_next("* * * * *", at(1969, 12, 31, 23, 59) - 1, at(1969, 12, 31, 23, 59));
    assert_next("\t0   9\t* * * ", monday, at(2026, 11, 30, 9, 0));
}

#define FIVE                                                                                       \
    "minute, hour, day of the month, month and day of the week are wanted: five fields, not "
#define MINUTE "is not 0 to 59"
#define RANGE  "is not a range: a value, '-' and a value are wanted"
#define STEP   "has a wrong step: a whole number from 1 on is wanted"
#define COMMA  "lacks a value at a comma"
#define NEVER  "never comes: no such day is in these months"

static void what_is_refused(void **state)
{
    static const struct {
        const char *text, *why;
    } rows[] = {
        {"", FIVE "0"},
        {"* * * *", FIVE "4"},
        {"* * * * * *", FIVE "6"},
        {"@daily", FIVE "1"},
        {"60 * * * *", "minute: 60 " MINUTE},
        {"* 24 * * *", "hour: 24 is not 0 to 23"},
        {"0 9,25 * * *", "hour: 25 is not 0 to 23"},
        {"* * 0 * *", "day of the month: 0 is not 1 to 31"},
        {"* * 32 * *", "day of the month: 32 is not 1 to 31"},
        {"* * * 0 *", "month: 0 is not 1 to 12 or JAN to DEC"},
        {"* * * 13 *", "month: 13 is not 1 to 12 or JAN to DEC"},
        {"* * * * 8", "day of the week: 8 is not 0 to 7 or SUN to SAT"},
        {"*/0 * * * *", "minute: */0 " STEP},
        {"5-1 * * * *", "minute: 5-1 ends before it begins"},
        {"a * * * *", "minute: a " MINUTE},
        {"1, * * * *", "minute: 1, " COMMA},
        {",1 * * * *", "minute: ,1 " COMMA},
        {", * * * *", "minute: , " COMMA},
        {"1,,2 * * * *", "minute: 1,,2 " COMMA},
        {"1-2-3 * * * *", "minute: 2-3 " MINUTE},
        {"1/2/3 * * * *", "minute: 1/2/3 " STEP},
        {"- * * * *", "minute: - " RANGE},
        {"-1 * * * *", "minute: -1 " RANGE},
        {"1- * * * *", "minute: 1- " RANGE},
        {"/5 * * * *", "minute: /5 lacks a value"},
        {"*/ * * * *", "minute: */ " STEP},
        {"** * * * *", "minute: ** " MINUTE},
        {"*-5 * * * *", "minute: * " MINUTE},
        {"* * * foo *", "month: foo is not 1 to 12 or JAN to DEC"},
        {"* * * * mond", "day of the week: mond is not 0 to 7 or SUN to SAT"},
        {"1.5 * * * *", "minute: 1.5 " MINUTE},
        {"99999999999 * * * *", "minute: 99999999999 " MINUTE},
        {"0 0 31 2 *", "day of the month: 31 " NEVER},
        {"0 0 30 2 *", "day of the month: 30 " NEVER},
        {"0 0 31 4,6,9,11 *", "day of the month: 31 " NEVER},
        {"0 0 31 FEB *", "day of the month: 31 " NEVER},
        {"* * * jan-foo *", "month: foo is not 1 to 12 or JAN to DEC"},
        {"+1 * * * *", "minute: +1 " MINUTE},
        {"0x1 * * * *", "minute: 0x1 " MINUTE},
        {"* * * * fri-mon", "day of the week: fri-mon ends before it begins"},
        {"a\x1b\xc3\xa9 * * * *", "minute: a??? " MINUTE},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct cron c;
        char why[CRON_WHY_MAX];
        if (cron_parse(str_from(rows[i].text), &c, why))
            fail_msg("\"%s\" was understood", rows[i].text);
        assert_string_equal(why, rows[i].why);
    }
}

/* Whatever is said, what is wrong with it fits. */
static void long_texts(void **state)
{
    char text[300], why[CRON_WHY_MAX];
    struct cron c;
    (void)state;
    memset(text, 'x', sizeof(text));
    assert_false(cron_parse((struct str){text, sizeof(text)}, &c, why));
    assert_string_equal(why, "longer than 256 bytes");
    for (int field = 0; field < 5; field++) {
        memset(text, 'x', sizeof(text));
        for (int i = 0; i < 5; i++) {
            text[2 * i] = '*';
            text[2 * i + 1] = ' ';
        }
        text[2 * field] = '1';
        text[2 * field + 1] = field < 4 ? '-' : 'x'; // and what follows, of the last all of it
        assert_false(cron_parse((struct str){text, CRON_TEXT_MAX}, &c, why));
        assert_true(strlen(why) > 10);
    }
}

static void years_that_are_not_searched(void **state)
{
    struct cron c = parsed("* * * * *");
    int64_t next_ms = 7;
    (void)state;
    assert_false(cron_next(&c, INT64_MAX, &next_ms));
    assert_false(cron_next(&c, INT64_MIN, &next_ms));
    assert_false(cron_next(&c, at(9999, 12, 31, 23, 59), &next_ms));
    assert_int_equal(next_ms, 7);
}

/* ---- against a search ---- */

struct sets {
    bool minutes[60], hours[24], days[32], months[13], weekdays[8];
    bool day_star, weekday_star;
    char text[512];
};

static unsigned pick(unsigned n)
{
    return (unsigned)rand() % n;
}

/* A field as text, and what it means. */
static bool make_field(char *out, bool *set, unsigned least, unsigned most)
{
    unsigned entries = 1 + pick(3);
    bool star = false;
    out[0] = '\0';
    for (unsigned i = 0; i < entries; i++) {
        char entry[64];
        unsigned a = least + pick(most - least + 1), b = a + pick(most - a + 1), step = 1 + pick(9);
        unsigned first = a, last = a, every = 1;
        switch (pick(5)) {
        case 0:
            snprintf(entry, sizeof(entry), "*/%u", step);
            first = least;
            last = most;
            every = step;
            star |= i == 0;
            break;
        case 1:
            snprintf(entry, sizeof(entry), "%u-%u", a, b);
            last = b;
            break;
        case 2:
            snprintf(entry, sizeof(entry), "%u-%u/%u", a, b, step);
            last = b;
            every = step;
            break;
        case 3:
            snprintf(entry, sizeof(entry), "%u/%u", a, step);
            last = most;
            every = step;
            break;
        default:
            snprintf(entry, sizeof(entry), "%u", a);
        }
        for (unsigned v = first; v <= last; v += every)
            set[v] = true;
        strncat(out, i > 0 ? "," : "", 2);
        strncat(out, entry, 32);
    }
    return star;
}

static void make_sets(struct sets *s)
{
    char f[5][160];
    *s = (struct sets){0};
    make_field(f[0], s->minutes, 0, 59);
    make_field(f[1], s->hours, 0, 23);
    s->day_star = make_field(f[2], s->days, 1, 31);
    make_field(f[3], s->months, 1, 12);
    s->weekday_star = make_field(f[4], s->weekdays, 0, 6);
    snprintf(s->text, sizeof(s->text), "%.90s %.90s %.90s %.90s %.90s", f[0], f[1], f[2], f[3],
             f[4]);
}

static bool day_fits(const struct sets *s, const struct tm *tm)
{
    bool day = s->days[tm->tm_mday], weekday = s->weekdays[tm->tm_wday];
    if (!s->months[tm->tm_mon + 1])
        return false;
    return s->day_star || s->weekday_star ? day && weekday : day || weekday;
}

/* Minute by minute, over days that do not fit by the day. 0: none in twelve years. */
static int64_t search(const struct sets *s, int64_t after_ms)
{
    time_t t = (time_t)(after_ms / 60000 * 60) + 60, end = t + (time_t)12 * 366 * 86400;
    while (t < end) {
        struct tm tm;
        gmtime_r(&t, &tm);
        if (!day_fits(s, &tm)) {
            t += 86400 - tm.tm_hour * 3600 - tm.tm_min * 60;
            continue;
        }
        if (s->hours[tm.tm_hour] && s->minutes[tm.tm_min])
            return (int64_t)t * 1000;
        t += 60;
    }
    return 0;
}

static void the_next_moment_is_the_one_that_a_search_finds(void **state)
{
    unsigned seed = (unsigned)clock_mono_ns(), compared = 0;
    (void)state;
    srand(seed);
    for (int i = 0; i < 1500; i++) {
        struct sets s;
        struct cron c;
        char why[CRON_WHY_MAX];
        make_sets(&s);
        int64_t after_ms = (int64_t)pick(2000000000) * 1000 + (int64_t)pick(60000);
        int64_t want_ms = search(&s, after_ms), next_ms = 0;
        if (!cron_parse(str_from(s.text), &c, why)) {
            if (want_ms != 0)
                fail_msg("seed %u: %s was refused: %s", seed, s.text, why);
            continue;
        }
        bool found = cron_next(&c, after_ms, &next_ms);
        if (want_ms != 0 && (!found || next_ms != want_ms))
            fail_msg("seed %u: %s after %lld: %lld, not %lld", seed, s.text, (long long)after_ms,
                     (long long)next_ms, (long long)want_ms);
        compared += want_ms != 0;
    }
    assert_true(compared > 500);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(intervals),
        cmocka_unit_test(known_moments),
        cmocka_unit_test(what_is_refused),
        cmocka_unit_test(long_texts),
        cmocka_unit_test(years_that_are_not_searched),
        cmocka_unit_test(the_next_moment_is_the_one_that_a_search_finds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
