/*
 * str_test.c - borrowed bytes are compared, cut and read.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include "base/str.h"

#include <cmocka.h>

static void compared(void **state)
{
    (void)state;
    assert_true(str_eq(STR("abc"), STR("abc")));
    assert_true(str_eq(STR("a\0b"), STR("a\0b")));
    assert_false(str_eq(STR("a\0b"), STR("a\0c")));
    assert_false(str_eq(STR("abc"), STR("ab")));
    assert_true(str_eq(STR_NONE, STR("")));
    assert_true(str_eq(str_from(NULL), STR_NONE));
    assert_true(str_eq(str_from("xy"), STR("xy")));
    assert_true(str_eq_nocase(STR("Content-TYPE"), STR("content-type")));
    assert_false(str_eq_nocase(STR("[abc"), STR("{abc"))); // 32 apart, but no letters
    assert_false(str_eq_nocase(STR("\xc3\xa9"), STR("\xc3\x89")));
    assert_false(str_eq_nocase(STR("a"), STR("aa")));
    assert_true(str_starts(STR("project:1"), STR("project:")));
    assert_true(str_starts(STR("x"), STR_NONE));
    assert_false(str_starts(STR("proj"), STR("project:")));
}

static void cut_and_trimmed(void **state)
{
    (void)state;
    struct str s = STR("a,b,,c");
    assert_true(str_eq(str_cut(&s, ','), STR("a")));
    assert_true(str_eq(str_cut(&s, ','), STR("b")));
    assert_true(str_eq(str_cut(&s, ','), STR("")));
    assert_true(str_eq(s, STR("c")));
    assert_true(str_eq(str_cut(&s, ','), STR("c")));
    assert_int_equal(s.n, 0);
    assert_int_equal(str_cut(&s, ',').n, 0);
    s = STR_NONE;
    assert_int_equal(str_cut(&s, ',').n, 0);
    assert_true(str_eq(str_trim(STR(" \t a b\t ")), STR("a b")));
    assert_int_equal(str_trim(STR(" \t ")).n, 0);
    assert_int_equal(str_trim(STR_NONE).n, 0);
    assert_true(str_eq(str_skip(STR("abc"), 1), STR("bc")));
    assert_int_equal(str_skip(STR("abc"), 3).n, 0);
    assert_int_equal(str_skip(STR("abc"), 99).n, 0);
}

static void found(void **state)
{
    (void)state;
    assert_int_equal(str_find(STR("hello"), STR("ll")), 2);
    assert_int_equal(str_find(STR("hello"), STR("hello")), 0);
    assert_int_equal(str_find(STR("hello"), STR("lo!")), 5);
    assert_int_equal(str_find(STR("he"), STR("hello")), 2);
    assert_int_equal(str_find(STR("hello"), STR_NONE), 0);
    assert_int_equal(str_find(STR_NONE, STR("x")), 0);
}

typedef bool number_parser(struct str s, uint64_t *ret);

struct number {
    const char *text;
    bool ok;
    uint64_t value;
};

static void check_numbers(number_parser *parse, const struct number *cases, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint64_t v = 42;
        bool ok = parse(str_from(cases[i].text), &v);
        if (ok != cases[i].ok || v != (ok ? cases[i].value : 42))
            fail_msg("\"%s\": %d %llu", cases[i].text, ok, (unsigned long long)v);
    }
}

static void numbers_read(void **state)
{
    (void)state;
    static const struct number cases[] = {
        {"0", true, 0},
        {"007", true, 7},
        {"18446744073709551615", true, UINT64_MAX},
        {"18446744073709551616", false, 0},
        {"99999999999999999999999", false, 0},
        {"", false, 0},
        {"-1", false, 0},
        {"+1", false, 0},
        {" 1", false, 0},
        {"1 ", false, 0},
        {"0x10", false, 0},
    };
    check_numbers(str_to_u64, cases, sizeof(cases) / sizeof(cases[0]));
}

static void durations_read(void **state)
{
    (void)state;
    static const struct number cases[] = {
        {"0", true, 0},
        {"25s", true, 25000},
        {"1h30m", true, 5400000},
        {"500ms", true, 500},
        {"7d", true, 604800000},
        {"1m1ms", true, 60001},
        {"5", false, 0},
        {"s", false, 0},
        {"", false, 0},
        {"1s2", false, 0},
        {"1 s", false, 0},
        {"-1s", false, 0},
        {"1y", false, 0},
        {"99999999999999999d", false, 0},
        {"18446744073709551615ms1ms", false, 0},
    };
    check_numbers(str_to_duration_ms, cases, sizeof(cases) / sizeof(cases[0]));
}

static void sizes_read(void **state)
{
    (void)state;
    static const struct number cases[] = {
        {"65536", true, 65536},
        {"64KiB", true, 65536},
        {"1MiB", true, 1048576},
        {"2GiB", true, 2147483648u},
        {"7B", true, 7},
        {"0", true, 0},
        {"KiB", false, 0},
        {"1kb", false, 0},
        {"1KiB1", false, 0},
        {"", false, 0},
        {"99999999999GiB", false, 0},
    };
    check_numbers(str_to_bytes, cases, sizeof(cases) / sizeof(cases[0]));
}

static void hashed(void **state)
{
    (void)state;
    char text[64];
    memset(text, 0, sizeof(text));
    for (size_t n = 0; n < sizeof(text); n++) { // zeros of different lengths differ
        for (size_t m = 0; m < n; m++)
            assert_true(str_hash((struct str){text, n}, 1) != str_hash((struct str){text, m}, 1));
    }
    assert_true(str_hash(STR("abc"), 1) == str_hash(STR("abc"), 1));
    assert_true(str_hash(STR("abc"), 1) != str_hash(STR("abc"), 2));
    assert_true(str_hash(STR("abcdefgh1"), 1) != str_hash(STR("abcdefgh2"), 1));
}

static void duplicated(void **state)
{
    (void)state;
    char *z = str_dup(STR("ab"));
    assert_string_equal(z, "ab");
    free(z);
    z = str_dup(STR_NONE);
    assert_string_equal(z, "");
    free(z);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(compared),       cmocka_unit_test(cut_and_trimmed),
        cmocka_unit_test(found),          cmocka_unit_test(numbers_read),
        cmocka_unit_test(durations_read), cmocka_unit_test(sizes_read),
        cmocka_unit_test(hashed),         cmocka_unit_test(duplicated),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
