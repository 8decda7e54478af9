/*
 * json_string_test.c - what escapes stand for, into blocks of exactly the size that is needed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include "base/json.h"

#include <cmocka.h>

#define CASE(raw, meant)                                                                           \
    {                                                                                              \
        {raw, sizeof(raw) - 1},                                                                    \
        {                                                                                          \
            meant, sizeof(meant) - 1                                                               \
        }                                                                                          \
    }

static const struct {
    struct str raw, meant;
} cases[] = {
    CASE("\\n", "\n"),
    CASE("a\\\"\\\\\\/\\b\\f\\n\\r\\tz", "a\"\\/\b\f\n\r\tz"),
    CASE("\\u0000", "\0"),
    CASE("\\u0041\\u00e9\\u20AC", "A\xc3\xa9\xe2\x82\xac"),
    CASE("\\u007f\\u0080\\u07ff\\u0800\\uffff", "\x7f\xc2\x80\xdf\xbf\xe0\xa0\x80\xef\xbf\xbf"),
    CASE("\\ud800\\udc00", "\xf0\x90\x80\x80"),
    CASE("\\uDBFF\\uDFFF", "\xf4\x8f\xbf\xbf"),
    CASE("\\ud7ff\\ue000", "\xed\x9f\xbf\xee\x80\x80"),
    CASE("x\\ud83d\\ude00y", "x\xf0\x9f\x98\x80y"),
    CASE("\xc3\xa9\\t\xc3\xa9", "\xc3\xa9\t\xc3\xa9"),
    CASE("\\\\u0041", "\\u0041"),
};

static const struct str refused[] = {
    {"\\ud800", 6},
    {"\\udc00", 6},
    {"\\ud800x", 7},
    {"\\ud800\\n", 8},
    {"\\ud800\\ud800", 12},
    {"\\udc00\\ud800", 12},
    {"\\ud800\\u0041", 12},
    {"\\ud800\\u00", 10},
    {"\\u12", 4},
    {"\\u12g4", 6},
    {"\\x", 2},
    {"abc\\", 4},
};

static void escapes_are_decoded(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct str raw = cases[i].raw, meant = cases[i].meant, s = STR("kept");
        char *at = malloc(meant.n);
        assert_non_null(at);
        assert_true(json_string_decode(raw, at, meant.n, &s));
        assert_true(str_eq(s, meant));
        s = STR("kept");
        assert_false(json_string_decode(raw, at, meant.n - 1, &s));
        assert_true(str_eq(s, STR("kept")));
        free(at);
    }
}

static void half_pairs_are_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        char at[32];
        struct buf out;
        struct str s = STR("kept");
        buf_init(&out, 64);
        assert_false(json_string_decode(refused[i], at, sizeof(at), &s));
        assert_false(json_string_decode_to(refused[i], &out));
        assert_false(json_string_is_escaped(refused[i], STR("x")));
        assert_true(str_eq(s, STR("kept")));
        assert_int_equal(out.len, 0);
        buf_fini(&out);
    }
}

static void plain_strings_are_not_copied(void **state)
{
    (void)state;
    struct str raw = STR("no escape \xc3\xa9"), s = STR_NONE;
    assert_true(json_string_decode(raw, NULL, 0, &s));
    assert_ptr_equal(s.p, raw.p);
    assert_true(json_string_decode(STR_NONE, NULL, 0, &s));
    assert_int_equal(s.n, 0);
}

static void buffers_take_what_fits(void **state)
{
    (void)state;
    struct buf out;
    buf_init(&out, 5);
    assert_true(json_string_decode_to(STR("ab"), &out));
    assert_true(json_string_decode_to(STR_NONE, &out));
    assert_true(json_string_decode_to(STR("\\u0041\\n"), &out)); // eight raw bytes stand for two
    assert_true(str_eq(buf_str(&out), STR("abA\n")));
    assert_false(json_string_decode_to(STR("xy"), &out));
    assert_true(str_eq(buf_str(&out), STR("abA\n")));
    assert_true(json_string_decode_to(STR("x"), &out));
    assert_false(json_string_decode_to(STR("x"), &out));
    buf_fini(&out);
}

static void keys_compare_decoded(void **state)
{
    (void)state;
    assert_true(json_key_is(STR("channel"), STR("channel")));
    assert_false(json_key_is(STR("channels"), STR("channel")));
    assert_false(json_key_is(STR("chan"), STR("channel")));
    assert_false(json_key_is(STR("Channel"), STR("channel")));
    assert_true(json_key_is(STR("ch\\u0061nnel"), STR("channel")));
    assert_true(json_key_is(STR("\\u0063\\u0068"), STR("ch")));
    assert_false(json_key_is(STR("ch\\u0062nnel"), STR("channel")));
    assert_false(json_key_is(STR("ch\\u0061nne"), STR("channel")));
    assert_false(json_key_is(STR("ch\\u0061nnelx"), STR("channel")));
    assert_false(json_key_is(STR("\\u00e9"), STR("channel")));
    assert_true(json_key_is(STR("\\u00e9"), STR("\xc3\xa9")));
    assert_true(json_key_is(STR(""), STR("")));
    assert_false(json_key_is(STR("x"), STR("")));
}

static void reading_decodes_within_a_limit(void **state)
{
    (void)state;
    struct json j;
    char at[4];
    struct str s = STR("kept");
    json_init(&j, STR("\"ab\\ncd\""));
    assert_false(json_read_string(&j, at, sizeof(at), &s));
    assert_non_null(j.error);
    assert_int_equal(json_error_offset(&j), 0);
    assert_true(str_eq(s, STR("kept")));
    json_init(&j, STR("\"a\\nb\" "));
    assert_true(json_read_string(&j, at, sizeof(at), &s) && json_end(&j));
    assert_true(str_eq(s, STR("a\nb")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(escapes_are_decoded),
        cmocka_unit_test(half_pairs_are_refused),
        cmocka_unit_test(plain_strings_are_not_copied),
        cmocka_unit_test(buffers_take_what_fits),
        cmocka_unit_test(keys_compare_decoded),
        cmocka_unit_test(reading_decodes_within_a_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
