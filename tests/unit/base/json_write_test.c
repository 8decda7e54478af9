/*
 * json_write_test.c - what is written is JSON, and a buffer that is too small is left as it was.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include "base/json.h"

#include <cmocka.h>

static void reply(struct json_writer *w)
{
    json_open_object(w);
    json_open_object(json_key(w, STR("result")));
    json_put_u64(json_key(w, STR("offset")), 1);
    json_put_string(json_key(w, STR("epoch")), STR("x\"y"));
    json_put_raw(json_key(w, STR("data")), STR("{ \"a\" : 1.0 }"));
    json_open_array(json_key(w, STR("list")));
    json_put_null(w);
    json_put_bool(w, true);
    json_put_bool(w, false);
    json_put_i64(w, -5);
    json_put_double(w, 0.5);
    json_open_array(w);
    json_close_array(w);
    json_open_object(w);
    json_close_object(w);
    json_close_array(w);
    json_close_object(w);
    json_put_u64(json_key(w, STR("id")), 7);
    json_close_object(w);
}

#define REPLY                                                                                      \
    "{\"result\":{\"offset\":1,\"epoch\":\"x\\\"y\",\"data\":{ \"a\" : 1.0 },"                     \
    "\"list\":[null,true,false,-5,0.5,[],{}]},\"id\":7}"

static void replies_are_written(void **state)
{
    (void)state;
    struct buf out;
    struct json_writer w;
    buf_init(&out, 1024);
    assert_true(buf_add(&out, STR("before ")));
    json_writer_init(&w, &out);
    reply(&w);
    assert_true(json_done(&w));
    assert_true(str_eq(buf_str(&out), STR("before " REPLY)));
    buf_fini(&out);
}

static void a_full_buffer_is_left_as_it_was(void **state)
{
    (void)state;
    for (size_t max = 3; max <= sizeof(REPLY) + 4; max++) {
        struct buf out;
        struct json_writer w;
        buf_init(&out, max);
        assert_true(buf_add(&out, STR("abc")));
        json_writer_init(&w, &out);
        reply(&w);
        bool fits = max >= 3 + sizeof(REPLY) - 1;
        assert_int_equal(json_done(&w), fits);
        assert_true(str_eq(buf_str(&out), fits ? STR("abc" REPLY) : STR("abc")));
        buf_fini(&out);
    }
}

static void written_string_is(struct str s, struct str expected)
{
    struct buf out;
    buf_init(&out, expected.n);
    if (!json_write_string(&out, s) || !str_eq(buf_str(&out), expected))
        fail_msg("expected %.*s, got %.*s", STR_FMT(expected), STR_FMT(buf_str(&out)));
    assert_true(json_valid(buf_str(&out)));
    buf_fini(&out);
    buf_init(&out, expected.n - 1);
    assert_false(json_write_string(&out, s));
    assert_int_equal(out.len, 0);
    buf_fini(&out);
}

static void strings_are_escaped(void **state)
{
    (void)state;
    written_string_is(STR_NONE, STR("\"\""));
    written_string_is(STR("plain, and longer than eight"), STR("\"plain, and longer than eight\""));
    written_string_is(STR("\"\\/\b\f\n\r\t"), STR("\"\\\"\\\\/\\b\\f\\n\\r\\t\""));
    written_string_is(STR("\0\x01\x0b\x1f\x7f"), STR("\"\\u0000\\u0001\\u000b\\u001f\x7f\""));
    written_string_is(STR("\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"),
                      STR("\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\""));
}

static void invalid_utf8_is_replaced(void **state)
{
    (void)state;
    written_string_is(STR("a\xff"), STR("\"a\xef\xbf\xbd\""));
    written_string_is(STR("\xc3"), STR("\"\xef\xbf\xbd\""));
    written_string_is(STR("\xe2\x82x"), STR("\"\xef\xbf\xbd\xef\xbf\xbdx\""));
    written_string_is(STR("\xed\xa0\x80"), STR("\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""));
}

/* Every byte, in every place of the eight that are looked at together, comes back. */
static void strings_round_trip(void **state)
{
    (void)state;
    for (size_t before = 0; before < 10; before++) {
        for (unsigned c = 0; c < 128; c++) {
            char text[32], at[32];
            struct str s = {text, before + 9}, back;
            struct buf out;
            struct json j;
            memset(text, 'a', sizeof(text));
            text[before] = (char)c;
            buf_init(&out, 64);
            assert_true(json_write_string(&out, s));
            json_init(&j, buf_str(&out));
            assert_true(json_read_string(&j, at, sizeof(at), &back) && json_end(&j));
            assert_true(str_eq(s, back));
            buf_fini(&out);
        }
    }
}

static void integers_are_written(void **state)
{
    (void)state;
    struct buf out;
    buf_init(&out, 64);
    assert_true(json_write_i64(&out, INT64_MIN) && buf_add_char(&out, ' '));
    assert_true(json_write_i64(&out, INT64_MAX) && buf_add_char(&out, ' '));
    assert_true(json_write_i64(&out, 0) && json_write_i64(&out, -1));
    assert_true(str_eq(buf_str(&out), STR("-9223372036854775808 9223372036854775807 0-1")));
    buf_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(replies_are_written), cmocka_unit_test(a_full_buffer_is_left_as_it_was),
        cmocka_unit_test(strings_are_escaped), cmocka_unit_test(invalid_utf8_is_replaced),
        cmocka_unit_test(strings_round_trip),  cmocka_unit_test(integers_are_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
