/* Every rule of tidy is broken once here, on purpose, and has to be noticed; and what looks like a
 * breach without being one has to pass. */
#include "tidy.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static char layers[] = "# a drawing\n"
                       "base:\n"
                       "loop: base\n"
                       "hub: store/store.h loop base\n";

/* The breaches of one file; *ret_told has their text, which the caller frees. */
static size_t breaches_of(const char *path, const char *text, char **ret_told)
{
    size_t size = 0;
    FILE *out = open_memstream(ret_told, &size);
    struct tidy t;
    assert_non_null(out);
    tidy_init(&t, out, layers);
    tidy_check_text(&t, path, text);
    fclose(out);
    return t.breaches;
}

static void expect_breach(const char *path, const char *text, const char *told)
{
    char *got = NULL;
    size_t count = breaches_of(path, text, &got);
    if (count != 1 || strstr(got, told) == NULL)
        fail_msg("expected one breach with \"%s\", got %zu: %s", told, count, got);
    free(got);
}

static void expect_clean(const char *path, const char *text)
{
    char *got = NULL;
    if (breaches_of(path, text, &got) != 0)
        fail_msg("expected no breach, got: %s", got);
    free(got);
}

/* lines: how many lines of filling between head and tail. */
static char *long_text(const char *head, size_t lines, const char *tail)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    assert_non_null(out);
    fputs(head, out);
    for (size_t i = 0; i < lines; i++)
        fputs("    x();\n", out);
    fputs(tail, out);
    fclose(out);
    return text;
}

static void layers_hold(void **state)
{
    (void)state;
    expect_clean("src/hub/a.c", "/* a */\n#include \"base/str.h\"\n#include \"hub/b_priv.h\"\n");
    expect_clean("src/hub/a.c", "/* a */\n#include \"store/store.h\"\n#include <net/if.h>\n");
    expect_breach("src/base/a.c", "/* a */\n#include \"loop/loop.h\"\n",
                  "src/base/a.c:2: base may not include \"loop/loop.h\"");
    expect_breach("src/hub/a.c", "/* a */\n#include \"store/sqlite.h\"\n", "may not include");
    expect_breach("src/hub/a.c", "/* a */\n#include \"loo/loop.h\"\n", "may not include");
    expect_breach("src/new/a.c", "/* a */\n#include \"base/str.h\"\n", "new may not include");
    expect_breach("src/hub/a.c", "/* a */\n#include \"loop/loop_priv.h\"\n", "private");
    expect_breach("src/hub/a.c", "/* a */\n#include \"loop/priv.h\"\n", "private");
}

static void includes_name_their_layer(void **state)
{
    (void)state;
    expect_breach("src/hub/a.c", "/* a */\n#include \"b.h\"\n", "\"layer/file.h\"");
    expect_breach("src/hub/a.c", "/* a */\n#include \"../base/str.h\"\n", "\"layer/file.h\"");
}

static void files_open_with_a_comment(void **state)
{
    (void)state;
    expect_clean("src/base/a.c", "// Why it exists.\nint x(void);\n");
    expect_breach("src/base/a.c", "int x(void);\n", "open with a comment");
    expect_clean("tests/unit/base/a_test.c", "int x(void);\n");
}

static void headers_say_three_things(void **state)
{
    (void)state;
    expect_clean("src/base/a.h", "/* Thread: any. Memory: none. Failure: none. */\n");
    expect_breach("src/base/a.h", "/* Thread: any. Memory: none. */\n", "Failure:");
    expect_clean("src/base/a_priv.h", "/* Shared by two files. */\n");
    expect_clean("src/base/priv.h", "/* Shared by two files. */\n");
}

static void columns_are_counted(void **state)
{
    (void)state;
    char text[512] = "/* ";
    memset(text + 3, 'x', 96);
    expect_clean("src/base/a.c", text); // 99
    memset(text + 3, 'x', 98);
    expect_breach("src/base/a.c", text, "101 columns");
    char *p = text + 3;
    for (size_t i = 0; i < 97; i++, p += 2)
        memcpy(p, "\xc3\xa7", 2);
    *p = '\0';
    expect_clean("src/base/a.c", text); // 100 letters of two bytes
}

static void sizes_are_limited(void **state)
{
    (void)state;
    char *text = long_text("/* a */\nvoid f(void)\n{\n", 69, "}\n");
    expect_clean("src/base/a.c", text);
    free(text);
    text = long_text("/* a */\nvoid f(void)\n{\n", 70, "}\n");
    expect_breach("src/base/a.c", text, "a.c:3: a function of 71 lines");
    expect_clean("tests/unit/base/a_test.c", text);
    free(text);
    text = long_text("/* a */\n", 599, "");
    expect_clean("src/base/a.c", text);
    free(text);
    text = long_text("/* a */\n", 600, "");
    expect_breach("src/base/a.c", text, "601 lines");
    free(text);
}

static void calls_are_banned(void **state)
{
    (void)state;
    static const char *const banned[] = {"strcpy", "strcat", "sprintf", "vsprintf", "gets",
                                         "system", "popen",  "atoi",    "atol",     "strtok"};
    for (size_t i = 0; i < sizeof(banned) / sizeof(banned[0]); i++) {
        char text[128];
        snprintf(text, sizeof(text), "/* a */\nint x = %s (y);\n", banned[i]);
        expect_breach("src/base/a.c", text, banned[i]);
        expect_breach("tests/unit/base/a_test.c", text, banned[i]);
    }
    expect_clean("src/base/a.c", "/* system() */\nchar *s = \"system(1)\"; // gets(s)\n"
                                 "int x = my_system(1) + snprintf(a) + o->system(1) + system;\n");
    expect_breach("src/base/a.c", "/* a */\nchar a = '\"', *b = \"\\\"\", c = atoi(b);\n", "atoi");
    expect_clean("src/base/a.c", "/* a */\nint a = 1'000'000;\n");
}

static void nothing_is_left_open(void **state)
{
    (void)state;
    expect_breach("src/base/a.c", "/* a */\n// TODO later\n", "a.c:2: something is left open");
    expect_breach("src/base/a.c", "/* FIXME */\n", "FIXME");
    expect_breach("tests/e2e/a.c", "/* a XXX b */\n", "XXX");
    expect_clean("src/base/a.c", "/* a */\nchar *s = \"/tmp/XXX\", *t = \"TODO\"; // XXXXXX\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(layers_hold),
        cmocka_unit_test(includes_name_their_layer),
        cmocka_unit_test(files_open_with_a_comment),
        cmocka_unit_test(headers_say_three_things),
        cmocka_unit_test(columns_are_counted),
        cmocka_unit_test(sizes_are_limited),
        cmocka_unit_test(calls_are_banned),
        cmocka_unit_test(nothing_is_left_open),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
