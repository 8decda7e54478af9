/* Whether the model's server can be reached: what the log says of it, and how its URL is shown. */
#include "llm/reach.h"

#include "base/log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

static char told[2048];
static unsigned lines;

static void keep_line(void *ctx, enum log_level level, int64_t time_ms, struct str text)
{
    (void)ctx;
    (void)time_ms;
    lines++;
    snprintf(told, sizeof(told), "%s %.*s", level == LOG_WARN ? "warn" : "info", STR_FMT(text));
}

static int begin(void **state)
{
    (void)state;
    log_set_sink(keep_line, NULL);
    return 0;
}

static int end(void **state)
{
    (void)state;
    log_set_sink(NULL, NULL);
    return 0;
}

static void shown_as(const char *url, const char *want)
{
    struct reach r;
    char text[REACH_URL_MAX + 1];
    reach_init(&r, str_from(url));
    snprintf(text, sizeof(text), "%.*s", STR_FMT(reach_url(&r)));
    assert_string_equal(text, want);
    reach_fini(&r);
}

static void urls_are_shown_without_secrets(void **state)
{
    (void)state;
    shown_as("http://127.0.0.1:1234/v1", "http://127.0.0.1:1234/v1");
    shown_as("https://me:secret@models.example:8443/v1", "https://models.example:8443/v1");
    shown_as("http://me:se@cr@et@host/v1", "http://host/v1");
    shown_as("http://key@host", "http://host");
    shown_as("http://host/v1/a@b", "http://host/v1/a@b");
    shown_as("http://host/v1?key=secret", "http://host/v1");
    shown_as("http://host?key=a@b/c", "http://host");
    shown_as("http://u:p@host#secret", "http://host");
    shown_as("u:secret@not a URL", "not a URL");
    shown_as("", "");
}

static void a_long_url_is_left_out(void **state)
{
    char url[2 * REACH_URL_MAX];
    (void)state;
    snprintf(url, sizeof(url), "http://host/%0*d", REACH_URL_MAX, 0);
    shown_as(url, "http://");
}

static void only_changes_are_told(void **state)
{
    struct reach r;
    (void)state;
    reach_init(&r, STR("http://u:secret@host/v1"));
    lines = 0;
    reach_answered(&r);
    assert_int_equal(lines, 0);
    for (int i = 0; i < 5; i++)
        reach_failed(&r, i == 0 ? STR("nobody listens") : STR("another reason"));
    assert_int_equal(lines, 1);
    assert_string_equal(told, "warn llm: the model's server at http://host/v1 cannot be reached: "
                              "nobody listens; asks fail until it can");
    for (int i = 0; i < 3; i++)
        reach_answered(&r);
    assert_int_equal(lines, 2);
    assert_non_null(strstr(told, "info llm: the model's server at http://host/v1 answers again"));
    assert_non_null(strstr(told, "; tries that failed: 5"));
    reach_failed(&r, STR("nobody listens"));
    assert_int_equal(lines, 3);
    reach_answered(&r);
    assert_non_null(strstr(told, "; tries that failed: 1"));
    reach_fini(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(urls_are_shown_without_secrets),
        cmocka_unit_test(a_long_url_is_left_out),
        cmocka_unit_test(only_changes_are_told),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
