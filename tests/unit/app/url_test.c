/*
 * url_test.c - what people give as a server's address.
 */
#include "app/url.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static void check(const char *text, bool tls, const char *host, const char *port, const char *path)
{
    struct url u;
    const char *why = NULL;
    if (!url_parse(str_from(text), &u, &why))
        fail_msg("%s: %s", text, why);
    assert_int_equal(u.tls, tls);
    assert_string_equal(u.host, host);
    assert_string_equal(u.port, port);
    assert_string_equal(u.path, path);
}

static void test_what_is_understood(void **state)
{
    (void)state;
    check("http://127.0.0.1:8000", false, "127.0.0.1", "8000", "/");
    check("ws://localhost", false, "localhost", "80", "/");
    check("https://events.example/", true, "events.example", "443", "/");
    check("wss://e.example:9/a/b?c=d#e", true, "e.example", "9", "/a/b?c=d");
    check("127.0.0.1:8000", false, "127.0.0.1", "8000", "/");
    check("ws://[::1]:8000/x", false, "::1", "8000", "/x");
    check("[::1]", false, "::1", "80", "/");
    check("http://host?q=1", false, "host", "80", "/?q=1");
}

static void test_what_is_refused(void **state)
{
    static const char *const bad[] = {
        "",           "http://",       "ftp://x",        "http://host:0", "http://host:65536",
        "http://h:x", "http://[::1",   "http://[]:80",   "http://h/a b",  "http://h o",
        "http://:80", "http://[::1]x", "http://h:80:90",
    };
    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct url u = {.port = "77"};
        const char *why = NULL;
        if (url_parse(str_from(bad[i]), &u, &why))
            fail_msg("%s was taken", bad[i]);
        assert_non_null(why);
        assert_string_equal(u.port, "77");
    }
}

static void test_paths_queries_and_hosts(void **state)
{
    (void)state;
    struct url u;
    const char *why;
    char host[64];
    assert_true(url_parse(STR("ws://h"), &u, &why));
    assert_true(url_default_path(&u, "/connection/websocket"));
    assert_true(url_add_query(&u, "tenant", "a&b é"));
    assert_true(url_add_query(&u, "x", "1"));
    assert_string_equal(u.path, "/connection/websocket?tenant=a%26b%20%C3%A9&x=1");
    assert_true(url_default_path(&u, "/other"));
    assert_int_equal(strncmp(u.path, "/conn", 5), 0);
    url_format_host(&u, host, sizeof(host));
    assert_string_equal(host, "h:80");
    assert_true(url_parse(STR("ws://[::1]:9"), &u, &why));
    url_format_host(&u, host, sizeof(host));
    assert_string_equal(host, "[::1]:9");

    char *big = calloc(1, 4000);
    memset(big, 'x', 3999);
    assert_false(url_add_query(&u, "big", big));
    assert_false(url_parse((struct str){big, 3999}, &u, &why));
    free(big);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_understood),
        cmocka_unit_test(test_what_is_refused),
        cmocka_unit_test(test_paths_queries_and_hosts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
