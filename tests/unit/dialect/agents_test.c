#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include "base/json.h"
#include "dialect/agents.h"

#include <cmocka.h>

static void check(const char *message, enum agents_verb verb, const char *permission,
                  const char *data)
{
    struct agents_command c = agents_read(str_from(message));
    if (c.verb != verb)
        fail_msg("%s: %d", message, c.verb);
    assert_true(str_eq(c.permission, str_from(permission)));
    assert_true(str_eq(c.data, str_from(data)));
}

static void test_commands(void **state)
{
    (void)state;
    check("{\"type\":\"ping\",\"data\":{}}", AGENTS_PING, "", "{}");
    check("{\"data\":[],\"\\u0074ype\":\"p\\u0069ng\"}", AGENTS_PING, "", "");
    check("{\"type\":\"permission:approve\",\"data\": {\"permissionId\" : \"p\\u0041\"} }",
          AGENTS_APPROVE, "\"p\\u0041\"", "{\"permissionId\" : \"p\\u0041\"}");
    check("{\"data\":{\"permissionId\":-1.5e3,\"note\":\"x\"},\"type\":\"permission:deny\"}",
          AGENTS_DENY, "-1.5e3", "{\"permissionId\":-1.5e3,\"note\":\"x\"}");
    check("{\"type\":\"permission:deny\",\"data\":{\"a\":{\"permissionId\":1}}}", AGENTS_DENY, "",
          "{\"a\":{\"permissionId\":1}}");
    check("{\"type\":\"permission:deny\",\"data\":{\"permissionId\":1,\"permissionId\":null}}",
          AGENTS_DENY, "", "{\"permissionId\":1,\"permissionId\":null}");
    check("{\"type\":\"permission:deny\",\"data\":{\"permissionId\":1},\"data\":7}", AGENTS_DENY,
          "", "");
}

static void test_what_is_none(void **state)
{
    static const char *const texts[] = {"",
                                        "ping",
                                        "{",
                                        "null",
                                        "[]",
                                        "\"ping\"",
                                        "{\"type\":7}",
                                        "{\"type\":\"PING\"}",
                                        "{\"type\":\"ping\"} 1",
                                        "{\"type\":\"ping\",\"type\":\"other\"}",
                                        "{\"type\":\"permission:approve\",\"data\":{]}"};
    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        check(texts[i], AGENTS_OTHER, "", "");
}

/* Nothing is a command before its last byte, and nothing is read behind it. */
static void test_every_cut(void **state)
{
    static const char whole[] =
        "{\"type\":\"permission:approve\",\"data\":{\"permissionId\":\"p\"}}";
    (void)state;
    for (size_t n = 0; n < sizeof(whole) - 1; n++) {
        char *cut = malloc(n > 0 ? n : 1);
        memcpy(cut, whole, n);
        assert_int_equal(agents_read((struct str){cut, n}).verb, AGENTS_OTHER);
        free(cut);
    }
    check(whole, AGENTS_APPROVE, "\"p\"", "{\"permissionId\":\"p\"}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_commands),
        cmocka_unit_test(test_what_is_none),
        cmocka_unit_test(test_every_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
