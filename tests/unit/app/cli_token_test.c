/*
 * cli_token_test.c - the exit codes of recado token and recado config: scripts rely on them.
 */
#include "app/cli.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "auth/token.h"
#include "base/clock.h"

#define SECRET "0123456789abcdef0123456789abcdef"

static int forget_environment(void **state)
{
    (void)state;
    return clearenv();
}

/* The command's words, up to NULL. */
static int run(int (*command)(int, char **), const char *const *words)
{
    char *argv[16];
    int argc = 0;
    for (; words[argc] != NULL; argc++) {
        argv[argc] = strdup(words[argc]);
        assert_non_null(argv[argc]);
    }
    argv[argc] = NULL;
    int code = command(argc, argv);
    for (int i = 0; i < argc; i++)
        free(argv[i]);
    return code;
}

#define TOKEN(...)  run(cli_token, (const char *const[]){"token", __VA_ARGS__, NULL})
#define CONFIG(...) run(cli_config, (const char *const[]){"config", __VA_ARGS__, NULL})

static char *make(int64_t expires_at_s, const char *channel)
{
    struct buf out;
    struct token_spec t = {
        .sub = STR("ana"), .channel = str_from(channel), .expires_at_s = expires_at_s};
    buf_init(&out, 4096);
    assert_true(token_sign(STR(SECRET), &t, &out));
    char *text = str_dup(buf_str(&out));
    buf_fini(&out);
    return text;
}

static void test_check(void **state)
{
    (void)state;
    int64_t now_s = clock_wall_ms() / 1000;
    char *good = make(now_s + 3600, NULL), *old = make(now_s - 3600, NULL);
    char *sub = make(now_s + 3600, "chat:1");
    assert_int_equal(TOKEN("check", good, "--secret", SECRET), CLI_DONE);
    assert_int_equal(TOKEN("check", sub, "--secret", SECRET), CLI_DONE);
    assert_int_equal(TOKEN("check", old, "--secret", SECRET), CLI_FAILED);
    assert_int_equal(TOKEN("check", good, "--secret", "another"), CLI_FAILED);
    assert_int_equal(TOKEN("check", good), CLI_FAILED); // nothing to check it with
    assert_int_equal(TOKEN("check", "nonsense", "--secret", SECRET), CLI_FAILED);
    assert_int_equal(TOKEN("check", good, good, "--secret", SECRET), CLI_WRONG);
    free(good);
    free(old);
    free(sub);
}

static void test_make(void **state)
{
    (void)state;
    assert_int_equal(TOKEN("--sub", "ana", "--secret", SECRET), CLI_DONE);
    assert_int_equal(TOKEN("--sub", "ana", "--secret", SECRET, "--info", "{"), CLI_WRONG);
    assert_int_equal(TOKEN("--sub", "ana", "--secret", SECRET, "--alg", "none"), CLI_WRONG);
    assert_int_equal(TOKEN("--sub", "ana", "--secret", SECRET, "--expires", "soon"), CLI_WRONG);
    assert_int_equal(TOKEN("--subscription", "--secret", SECRET), CLI_WRONG);
    assert_int_equal(TOKEN("--sub", "ana"), CLI_WRONG);
    assert_int_equal(TOKEN("--sub", "ana", "-c", "/nonexistent"), CLI_WRONG);
    assert_int_equal(TOKEN("--help"), CLI_DONE);
    assert_int_equal(setenv("JWT_SECRET_KEY", SECRET, 1), 0);
    assert_int_equal(TOKEN("--sub", "ana", "--channel", "a", "--channel", "b"), CLI_DONE);
    assert_int_equal(unsetenv("JWT_SECRET_KEY"), 0);
}

static void test_config(void **state)
{
    (void)state;
    assert_int_equal(CONFIG("check"), CLI_DONE);
    assert_int_equal(CONFIG("check", "--http.head_max", "1"), CLI_WRONG);
    assert_int_equal(CONFIG("check", "--listen", "0.0.0.0:80"), CLI_WRONG);
    assert_int_equal(CONFIG("check", "--listen", "0.0.0.0:80", "--insecure"), CLI_DONE);
    assert_int_equal(CONFIG("check", "-c", "/nonexistent"), CLI_WRONG);
    assert_int_equal(CONFIG("print", "--loops=2"), CLI_DONE);
    assert_int_equal(CONFIG("default"), CLI_DONE);
    assert_int_equal(CONFIG("doc"), CLI_DONE);
    assert_int_equal(CONFIG("doc", "too much"), CLI_WRONG);
    assert_int_equal(CONFIG("chek"), CLI_WRONG);
    assert_int_equal(run(cli_config, (const char *const[]){"config", NULL}), CLI_WRONG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_check),
        cmocka_unit_test(test_make),
        cmocka_unit_test(test_config),
    };
    return cmocka_run_group_tests(tests, forget_environment, NULL);
}
