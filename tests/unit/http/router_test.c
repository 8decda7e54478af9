/*
 * router_test.c - which route answers which path, and what happens when none does.
 */
#include <stdio.h>

#include "base/log.h"
#include "unit/http/http_world.h"

static void route_name(struct http_request *r)
{
    char body[256];
    int n =
        snprintf(body, sizeof(body), "<%s|%.*s>", (const char *)r->route_ctx, STR_FMT(r->param));
    http_reply(r, 200, STR_NONE, (struct str){body, (size_t)n}, STR_NONE);
}

static void route_big(struct http_request *r)
{
    assert_true(r->body_too_big && r->body.n == 0);
    http_reply(r, 400, STR_NONE, STR("<big>"), STR_NONE);
}

static void add(struct http_world *w, unsigned methods, const char *pattern, const char *name)
{
    assert_true(http_router_add(w->router, methods, pattern, route_name, (void *)(uintptr_t)name));
}

static void routes_begin(struct http_world *w)
{
    unsigned get = 1u << HTTP_GET, post = 1u << HTTP_POST;
    world_begin(w);
    add(w, get, "/a", "exact");
    add(w, get, "/a/b", "old");
    add(w, get, "/a/b", "new");
    add(w, post, "/a/b", "post");
    add(w, get, "/a/{id}", "one");
    add(w, get, "/a/only-post/{id}", "deep");
    add(w, post, "/a/only-post", "only-post");
    add(w, get, "/files/{path...}", "rest");
    add(w, get, "/files/deep/{path...}", "deeper");
    add(w, 1u << HTTP_OTHER, "/any", "other");
    assert_true(http_router_add(w->router, ~0u, "/any/body", route_big, NULL));
}

static void check(const char *method, const char *path, const char *expected)
{
    struct http_world w;
    char input[512];
    routes_begin(&w);
    world_start(&w);
    snprintf(input, sizeof(input), "%s %s HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n", method,
             path);
    struct fake_peer *p = world_ask(&w, str_from(input));
    if (!saw(p, expected))
        fail_msg("%s %s: expected %s, got %.*s", method, path, expected, STR_FMT(peer_saw(p)));
    world_end(&w);
}

/* Who takes any body says in its own words that one is too big, and the connection ends. */
static void test_body_over_the_limit(void **state)
{
    static const struct {
        const char *head, *expected;
    } rows[] = {
        {"POST /any/body HTTP/1.1\r\nHost: h\r\nContent-Length: 1048577\r\n\r\n", "<big>"},
        {"POST /any/body HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n100001\r\n",
         "<big>"},
        {"POST /any/no HTTP/1.1\r\nHost: h\r\nContent-Length: 1048577\r\n\r\n", "HTTP/1.1 413 "},
        {"POST /a/b HTTP/1.1\r\nHost: h\r\nContent-Length: 1048577\r\n\r\n", "HTTP/1.1 413 "},
    };
    char *body = calloc(1, 1 << 20 | 1);
    assert_non_null(body);
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct http_world w;
        routes_begin(&w);
        world_start(&w);
        struct fake_peer *p = world_ask(&w, str_from(rows[i].head));
        if (p->conn != NULL)
            fake_feed(&w.net, p, (struct str){body, 1 << 20 | 1});
        fake_settle(&w.net);
        if (!saw(p, rows[i].expected) || p->conn != NULL)
            fail_msg("%s: got %.*s", rows[i].head, STR_FMT(peer_saw(p)));
        world_end(&w);
    }
    free(body);
}

static void test_patterns(void **state)
{
    (void)state;
    check("GET", "/a", "<exact|>");
    check("GET", "/%61", "<exact|>");
    check("GET", "/a?x", "<exact|>");
    check("GET", "/a/b", "<new|>");
    check("POST", "/a/b", "<post|>");
    check("GET", "/a/c", "<one|c>");
    check("GET", "/a/c%20d", "<one|c d>");
    check("GET", "/a/x%2Fy", "<one|x/y>");    // an encoded slash is no separator
    check("GET", "/a%2Fb", " 404 Not Found"); // and names no other path
    check("GET", "/a/only-post", "<one|only-post>");
    check("POST", "/a/only-post", "<only-post|>");
    check("GET", "/a/only-post/7", "<deep|7>");
    check("GET", "/files/x/y", "<rest|x/y>");
    check("GET", "/files/", "<rest|>");
    check("GET", "/files/deep/x", "<deeper|x>");
    check("PURGE", "/any", "<other|>");
}

static void test_no_route(void **state)
{
    (void)state;
    check("GET", "/a/", " 404 Not Found");
    check("GET", "/a/b/c", " 404 Not Found");
    check("GET", "/files", " 404 Not Found");
    check("GET", "/A", " 404 Not Found");
    check("DELETE", "/a/b", " 405 Method Not Allowed");
    check("DELETE", "/a/b", "Allow: GET, HEAD, POST, OPTIONS\r\n");
    check("POST", "/a/c", "Allow: GET, HEAD, OPTIONS\r\n");
    check("PURGE", "/a", " 405 Method Not Allowed");
    check("HEAD", "/a", " 200 OK");
    check("OPTIONS", "/a", " 200 OK");
    check("OPTIONS", "/a", "Allow: GET, HEAD, OPTIONS\r\n");
    check("OPTIONS", "/nowhere", " 404 Not Found");
}

static void test_fallback(void **state)
{
    (void)state;
    struct http_world w;
    routes_begin(&w);
    http_router_set_fallback(w.router, route_name, (void *)(uintptr_t) "fallback");
    world_start(&w);
    struct fake_peer *p = world_ask(&w, STR("GET /x/y HTTP/1.1\r\nHost: h\r\n\r\n"));
    assert_true(saw(p, "<fallback|>"));
    p = world_ask(&w, STR("PURGE /a HTTP/1.1\r\nHost: h\r\n\r\n"));
    assert_true(saw(p, " 405 Method Not Allowed"));
    world_end(&w);
}

/* ---- behind proxies ---- */

static void route_peer(struct http_request *r)
{
    char ip[ADDR_TEXT_MAX + 8];
    size_t n = addr_format_ip(&r->peer, ip);
    memcpy(ip + n, r->tls ? " tls" : " not", 4);
    http_reply(r, 200, STR_NONE, (struct str){ip, n + 4}, STR_NONE);
}

static void check_peer(struct addr from, const char *headers, const char *expected)
{
    static const struct str trusted[] = {
        {"10.0.0.0/9", 10}, {"::1", 3}, {"nonsense", 8}, {"1.2.3.4/33", 10}, {"unix", 4}};
    struct http_world w;
    char input[512], end[80];
    world_begin(&w);
    w.options.trusted_proxies = trusted;
    w.options.trusted_proxy_count = 5;
    assert_true(http_router_add(w.router, 1u << HTTP_GET, "/peer", route_peer, NULL));
    world_start(&w);
    snprintf(input, sizeof(input), "GET /peer HTTP/1.1\r\nHost: h\r\n%s\r\n", headers);
    snprintf(end, sizeof(end), "\r\n\r\n%s", expected);
    struct fake_peer *p = world_connect_from(&w, from);
    fake_feed(&w.net, p, str_from(input));
    fake_settle(&w.net);
    if (!saw(p, end))
        fail_msg("%s: expected %s, got %.*s", headers, expected, STR_FMT(peer_saw(p)));
    world_end(&w);
}

static void test_forwarded_for(void **state)
{
    (void)state;
    struct addr proxy = {.family = AF_INET, .ip = {10, 127, 1, 1}};
    struct addr other = {.family = AF_INET, .ip = {10, 128, 1, 1}};
    struct addr local = {.family = AF_INET6, .ip = {[15] = 1}};
    struct addr unix_peer = {.family = AF_UNIX};
    log_setup(LOG_NONE, false);
    check_peer(proxy, "", "10.127.1.1 not");
    check_peer(proxy, "X-Forwarded-For: 9.9.9.9\r\n", "9.9.9.9 not");
    check_peer(other, "X-Forwarded-For: 9.9.9.9\r\nX-Forwarded-Proto: https\r\n", "10.128.1.1 not");
    check_peer(local, "X-Forwarded-For: 9.9.9.9:77\r\n", "9.9.9.9 not");
    check_peer(unix_peer, "X-Forwarded-For: [2001:db8::1]:77\r\n", "2001:db8::1 not");
    check_peer(proxy, "X-Forwarded-For: 2001:db8::1\r\n", "2001:db8::1 not");
    check_peer(proxy, "X-Forwarded-For: 6.6.6.6, 9.9.9.9\r\n", "9.9.9.9 not"); // 6.6.6.6: forged
    check_peer(proxy, "X-Forwarded-For: 6.6.6.6, 9.9.9.9, 10.1.1.1\r\n", "9.9.9.9 not");
    check_peer(proxy, "X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-For: 9.9.9.9\r\n", "9.9.9.9 not");
    check_peer(proxy, "X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-For: 10.1.1.1\r\n", "6.6.6.6 not");
    check_peer(proxy, "X-Forwarded-For: 6.6.6.6, rubbish\r\n", "10.127.1.1 not");
    check_peer(proxy, "X-Forwarded-For: ,,\r\n", "10.127.1.1 not");
    check_peer(proxy, "X-Forwarded-Proto: https\r\n", "10.127.1.1 tls");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_patterns),      cmocka_unit_test(test_body_over_the_limit),
        cmocka_unit_test(test_no_route),      cmocka_unit_test(test_fallback),
        cmocka_unit_test(test_forwarded_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
