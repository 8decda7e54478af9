/*
 * cli_options_test.c - options by a table, and the words that are nearly right.
 */
#include "app/cli.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

struct got {
    bool flag;
    const char *text;
    struct cli_list list;
    uint64_t number, ms, bytes;
    struct cli_list rest;
};

/* words: separated by spaces. */
static enum cli_parsed parse(const char *words, struct got *g)
{
    static char copy[512];
    char *argv[32] = {copy};
    int argc = 1;
    *g = (struct got){0};
    const struct cli_option options[] = {{"flag", 'f', CLI_FLAG, &g->flag},
                                         {"text", 't', CLI_TEXT, &g->text},
                                         {"list", 0, CLI_LIST, &g->list},
                                         {"number", 'n', CLI_U64, &g->number},
                                         {"time", 0, CLI_DURATION, &g->ms},
                                         {"size", 0, CLI_BYTES, &g->bytes},
                                         {0}};
    const struct cli_spec spec = {"test", "the help\n", options};
    snprintf(copy, sizeof(copy), "test %s", words);
    char *rest = copy;
    strsep(&rest, " ");
    while ((argv[argc] = strsep(&rest, " ")) != NULL)
        argc++;
    return cli_parse(&spec, argc, argv, &g->rest);
}

static void test_forms(void **state)
{
    (void)state;
    struct got g;
    assert_int_equal(parse("a --flag -t x b --list=1 --list 2 -n 7 --time 25s --size 1KiB - c", &g),
                     CLI_GO);
    assert_true(g.flag);
    assert_string_equal(g.text, "x");
    assert_int_equal(g.list.count, 2);
    assert_string_equal(g.list.items[1], "2");
    assert_int_equal(g.number, 7);
    assert_int_equal(g.ms, 25000);
    assert_int_equal(g.bytes, 1024);
    assert_int_equal(g.rest.count, 4);
    assert_string_equal(g.rest.items[2], "-");
    assert_int_equal(parse("-- --flag -t", &g), CLI_GO);
    assert_false(g.flag);
    assert_int_equal(g.rest.count, 2);
    assert_int_equal(parse("--time 3 --text=", &g), CLI_GO);
    assert_int_equal(g.ms, 3000);
    assert_string_equal(g.text, "");
    assert_int_equal(parse("--text=a=b", &g), CLI_GO);
    assert_string_equal(g.text, "a=b");
    assert_int_equal(parse("-t --flag", &g), CLI_GO); // a value may begin with a dash
    assert_string_equal(g.text, "--flag");
}

static void test_refusals(void **state)
{
    static const char *const bad[] = {"--flog",   "-x",          "--text",    "--number x",
                                      "--flag=1", "--number -1", "--time 3x", "--size 9q",
                                      "-ft x",    "--=1",        "--number=", "-n"};
    struct got g;
    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        if (parse(bad[i], &g) != CLI_REFUSED)
            fail_msg("%s was taken", bad[i]);
    assert_int_equal(parse("x --help --flog", &g), CLI_HELPED);
    assert_int_equal(cli_parsed_exit(CLI_HELPED), CLI_DONE);
    assert_int_equal(cli_parsed_exit(CLI_REFUSED), CLI_WRONG);
}

static void test_nearest(void **state)
{
    static const char *const names[] = {"publish", "subscribe", "token", "config", "serve", NULL};
    (void)state;
    assert_string_equal(cli_nearest("pubish", names), "publish");
    assert_string_equal(cli_nearest("sub", names), "subscribe");
    assert_string_equal(cli_nearest("conifg", names), "config");
    assert_string_equal(cli_nearest("server", names), "serve");
    assert_null(cli_nearest("xyz", names));
    assert_null(cli_nearest("", names));
    assert_null(cli_nearest("a-word-that-is-far-longer-than-any-name-of-a-command", names));
}

static void test_commands(void **state)
{
    (void)state;
    char recado[] = "recado", wrong[] = "pubish", version[] = "--version", help[] = "help";
    char *none[] = {recado, NULL}, *bad[] = {recado, wrong, NULL};
    char *asked[] = {recado, version, NULL}, *helped[] = {recado, help, NULL};
    assert_int_equal(cli_run(1, none), CLI_WRONG);
    assert_int_equal(cli_run(2, bad), CLI_WRONG);
    assert_int_equal(cli_run(2, asked), CLI_DONE);
    assert_int_equal(cli_run(2, helped), CLI_DONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forms),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_nearest),
        cmocka_unit_test(test_commands),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
