/*
 * native_encode_test.c - publications as one line each, whatever line breaks their publisher wrote.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "dialect/native_priv.h"

static void check_push(const struct publication_parts *parts, const char *expected)
{
    struct publication *p = publication_make(parts);
    struct buf out;
    assert_non_null(p);
    buf_init(&out, 4096);
    assert_true(buf_add(&out, STR("\n"))); // of another reply before it
    assert_true(native_push_write(&out, parts->channel, p));
    if (!str_eq(str_skip(buf_str(&out), 1), str_from(expected)) || out.p[0] != '\n')
        fail_msg("expected %s, got %.*s", expected, STR_FMT(buf_str(&out)));
    buf_fini(&out);
    publication_unref(p);
}

static void test_line_breaks_become_spaces(void **state)
{
    (void)state;
    check_push(&(struct publication_parts){.channel = STR("news"),
                                           .type = STR("a\nb"),
                                           .data = STR("{\n\"a\":\r\n[1,\n\"\\n\"]}\n"),
                                           .tags = STR("{\n\"k\":\"v\"\n}"),
                                           .info = STR("{\"user\":\n\"u\"}")},
               "{\"push\":{\"channel\":\"news\",\"pub\":{\"data\":{ \"a\":\r [1, \"\\n\"]} "
               ",\"info\":{\"user\": "
               "\"u\"},\"tags\":{ \"k\":\"v\" ,\"type\":\"a\\nb\"}}}}");
    check_push(&(struct publication_parts){.kind = EVENT_JOIN,
                                           .channel = STR("news"),
                                           .info = STR("{\"user\":\n\"u\"}")},
               "{\"push\":{\"channel\":\"news\",\"join\":{\"info\":{\"user\": \"u\"}}}}");
    check_push(&(struct publication_parts){.channel = STR("news")},
               "{\"push\":{\"channel\":\"news\",\"pub\":{\"data\":null}}}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_line_breaks_become_spaces),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
