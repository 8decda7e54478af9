/*
 * json_lines_test.c - values from a file: one a line, or over several.
 */
#include "app/json_lines.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

/* Values joined with '|', and what was wrong at the end, if anything. */
static void check(const char *text, const char *want, const char *want_why)
{
    struct json_lines l;
    struct str value;
    char why[256] = "", got[512] = "";
    enum json_lines_result r;
    FILE *f = tmpfile();
    fputs(text, f);
    rewind(f);
    json_lines_init(&l, f);
    while ((r = json_lines_next(&l, &value, why, sizeof(why))) == JSON_LINES_VALUE) {
        size_t n = strlen(got);
        snprintf(got + n, sizeof(got) - n, "%.*s|", STR_FMT(value));
    }
    assert_string_equal(got, want);
    assert_int_equal(r, *want_why != '\0' ? JSON_LINES_BAD : JSON_LINES_END);
    if (strstr(why, want_why) == NULL)
        fail_msg("%s: %s", text, why);
    json_lines_fini(&l);
    fclose(f);
}

static void test_values(void **state)
{
    (void)state;
    check("", "", "");
    check("\n  \n", "", "");
    check("1\n2\n", "1|2|", "");
    check("{\"a\":1}", "{\"a\":1}|", "");
    check(" {\n \"a\":\n 1}\n[]\n", "{\n \"a\":\n 1}|[]|", "");
    check("\"}{\\\"[\"\n\"x\"\n", "\"}{\\\"[\"|\"x\"|", "");
}

static void test_what_is_wrong_is_shown_with_its_place(void **state)
{
    (void)state;
    check("1\nx\n", "1|", "line 2, column 1: ");
    check("1 2\n", "", "line 1, column 3: ");
    check("\n\n{\n\"a\" 1}\n", "", "line 4, column 5: ");
    check("{\"a\":[1,2\n\n", "", "line ");
    check("}\n", "", "line 1, column 1: ");
    check("\"a\n", "", "line 1, ");
    check("1\n]\n2\n", "1|", "line 2, column 1: ");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_what_is_wrong_is_shown_with_its_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
