/*
 * static_test.c - the console's files: tags, compression, caching, and paths that lead nowhere.
 */
#include <stdio.h>

#include "http/static.h"
#include "unit/http/http_world.h"

#define BYTES(lit) (const unsigned char *)(lit), sizeof(lit) - 1

static const struct asset assets[] = {
    {"/", "text/html; charset=utf-8", BYTES("<p>page"), NULL, 0, "\"p1\"", false},
    {"/assets/app-1.js", "text/javascript", BYTES("let a;"), BYTES("GZ"), "\"s1\"", true},
};
static const struct asset_set set = {assets, 2, "default-src 'self'"};

static void route_page(struct http_request *r)
{
    http_reply_asset(r, &set, &assets[0]);
}

static void check(const char *method, const char *path, const char *headers,
                  const char *const *expected)
{
    struct http_world w;
    char input[512];
    world_begin(&w);
    assert_true(http_static_add(w.router, &set));
    assert_true(http_router_add(w.router, 1u << HTTP_GET, "/app/{rest...}", route_page, NULL));
    world_start(&w);
    snprintf(input, sizeof(input), "%s %s HTTP/1.1\r\nHost: h\r\n%s\r\n", method, path, headers);
    struct fake_peer *p = world_ask(&w, str_from(input));
    for (; *expected != NULL; expected++) {
        bool unwanted = **expected == '!';
        if (saw(p, *expected + unwanted) == unwanted)
            fail_msg("%s\nexpected %s, got %.*s", input, *expected, STR_FMT(peer_saw(p)));
    }
    world_end(&w);
}

#define ALL(...) ((const char *const[]){__VA_ARGS__, NULL})

static void test_plain(void **state)
{
    (void)state;
    check("GET", "/", "Accept-Encoding: gzip\r\n",
          ALL("HTTP/1.1 200 OK\r\n", "Content-Type: text/html; charset=utf-8\r\n",
              "Content-Length: 7\r\n", "ETag: \"p1\"\r\n", "Cache-Control: no-cache\r\n",
              "X-Content-Type-Options: nosniff\r\n", "Referrer-Policy: no-referrer\r\n",
              "Content-Security-Policy: default-src 'self'\r\n", "\r\n\r\n<p>page",
              "!Content-Encoding", "!Vary"));
    check("HEAD", "/", "", ALL("HTTP/1.1 200 OK\r\n", "Content-Length: 7\r\n", "!<p>page"));
    check("POST", "/", "Content-Length: 0\r\n", ALL(" 200 OK")); // another route of that path
    check("GET", "/app/x", "", ALL("\r\n\r\n<p>page"));
}

static void test_gzip(void **state)
{
    (void)state;
    const char *js = "/assets/app-1.js";
    check("GET", js, "Accept-Encoding: br, gzip;q=0.5\r\n",
          ALL("\r\n\r\nGZ", "Content-Encoding: gzip\r\n", "Vary: Accept-Encoding\r\n",
              "Content-Length: 2\r\n", "ETag: \"s1-gz\"\r\n",
              "Cache-Control: public, max-age=31536000, immutable\r\n"));
    check("GET", js, "Accept-Encoding: *\r\n", ALL("\r\n\r\nGZ"));
    check("GET", js, "", ALL("\r\n\r\nlet a;", "!Content-Encoding", "Vary: Accept-Encoding\r\n"));
    check("GET", js, "Accept-Encoding: gzip;q=0, br\r\n", ALL("\r\n\r\nlet a;"));
    check("GET", js, "Accept-Encoding: gzip;q=0.000\r\n", ALL("\r\n\r\nlet a;"));
    check("GET", js, "Accept-Encoding: gzipped\r\n", ALL("\r\n\r\nlet a;"));
}

static void test_not_modified(void **state)
{
    (void)state;
    const char *js = "/assets/app-1.js";
    check("GET", "/", "If-None-Match: \"p1\"\r\n",
          ALL("HTTP/1.1 304 Not Modified\r\n", "ETag: \"p1\"\r\n", "!Content-Length",
              "!Content-Type:", "!<p>page"));
    check("GET", "/", "If-None-Match: \"x\", W/\"p1\"\r\n", ALL("HTTP/1.1 304 "));
    check("GET", "/", "If-None-Match: *\r\n", ALL("HTTP/1.1 304 "));
    check("GET", "/", "If-None-Match: \"p2\"\r\n", ALL("HTTP/1.1 200 "));
    check("GET", js, "If-None-Match: \"s1\"\r\nAccept-Encoding: gzip\r\n", ALL("HTTP/1.1 200 "));
    check("GET", js, "If-None-Match: \"s1-gz\"\r\nAccept-Encoding: gzip\r\n",
          ALL("HTTP/1.1 304 ", "ETag: \"s1-gz\"\r\n"));
}

static void test_paths_that_lead_nowhere(void **state)
{
    (void)state;
    check("GET", "/assets/../assets/app-1.js", "", ALL("HTTP/1.1 404 "));
    check("GET", "/assets/%2e%2e/assets/app-1.js", "", ALL("HTTP/1.1 404 "));
    check("GET", "/../../etc/passwd", "", ALL("HTTP/1.1 404 "));
    check("GET", "/assets/", "", ALL("HTTP/1.1 404 "));
    check("GET", "//", "", ALL("HTTP/1.1 404 "));
    assert_null(asset_find(&set, STR("/./assets/app-1.js")));
    assert_ptr_equal(asset_find(&set, STR("/assets/app-1.js")), &assets[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain),
        cmocka_unit_test(test_gzip),
        cmocka_unit_test(test_not_modified),
        cmocka_unit_test(test_paths_that_lead_nowhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
