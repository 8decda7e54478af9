/*
 * cors_test.c - what pages of other origins are told.
 */
#include <stdio.h>

#include "http/origin.h"
#include "unit/http/http_world.h"

static void route_allowed(struct http_request *r)
{
    http_reply(r, 200, STR_NONE, http_origin_allowed(r) ? STR("yes") : STR("no"), STR_NONE);
}

struct rules {
    struct str origins[3];
    size_t count;
};
static const struct rules own_only = {.count = 0};
static const struct rules any = {{{"*", 1}}, 1};
static const struct rules listed = {
    {{"https://app.example", 19}, {"https://*.example.org", 21}, {"null", 4}}, 3};

/* Every one of the expected texts is there; "!text": is not. */
static void check(const struct rules *rules, const char *input, const char *const *expected)
{
    struct http_world w;
    world_begin(&w);
    w.options.origins = rules->origins;
    w.options.origin_count = rules->count;
    assert_true(
        http_router_add(w.router, 1u << HTTP_GET | 1u << HTTP_POST, "/o", route_allowed, NULL));
    world_start(&w);
    struct fake_peer *p = world_ask(&w, str_from(input));
    for (; *expected != NULL; expected++) {
        bool unwanted = **expected == '!';
        if (saw(p, *expected + unwanted) == unwanted)
            fail_msg("%s\nexpected %s, got %.*s", input, *expected, STR_FMT(peer_saw(p)));
    }
    world_end(&w);
}

static void test_replaced_origins(void **state)
{
    (void)state;
    const char *ask = "GET /o HTTP/1.1\r\nHost: h\r\nOrigin: https://app.example\r\n\r\n";
    struct http_world w;
    world_begin(&w);
    assert_true(http_router_add(w.router, 1u << HTTP_GET, "/o", route_allowed, NULL));
    world_start(&w);
    assert_true(saw(world_ask(&w, str_from(ask)), "\r\n\r\nno"));
    http_server_set_origins(w.server, listed.origins, listed.count);
    struct fake_peer *p = world_ask(&w, str_from(ask));
    assert_true(saw(p, "\r\n\r\nyes"));
    assert_true(saw(p, "Access-Control-Allow-Origin: https://app.example\r\n"));
    http_server_set_origins(w.server, NULL, 0);
    assert_true(saw(world_ask(&w, str_from(ask)), "\r\n\r\nno"));
    world_end(&w);
}

#define ALL(...)         ((const char *const[]){__VA_ARGS__, NULL})
#define GET_FROM(origin) "GET /o HTTP/1.1\r\nHost: h:80\r\nOrigin: " origin "\r\n\r\n"

static void test_answers(void **state)
{
    (void)state;
    check(&own_only, "GET /o HTTP/1.1\r\nHost: h\r\n\r\n", ALL("\r\n\r\nyes", "!Access-", "!Vary"));
    check(&own_only, GET_FROM("http://h:80"), ALL("\r\n\r\nyes", "!Access-"));
    check(&own_only, GET_FROM("http://h"), // another port: it may read, the API says no
          ALL("\r\n\r\nno", "Access-Control-Allow-Origin: http://h\r\n"));
    check(&own_only, GET_FROM("https://h:4200"),
          ALL("\r\n\r\nno", "Access-Control-Allow-Origin: https://h:4200\r\n"));
    check(&own_only, GET_FROM("http://hh"), ALL("\r\n\r\nno", "!Access-"));
    check(&own_only, GET_FROM("https://evil.example"), ALL("\r\n\r\nno", "!Access-"));
    check(&own_only, GET_FROM("null"), ALL("\r\n\r\nno", "!Access-"));
    check(&any, GET_FROM("https://evil.example"),
          ALL("\r\n\r\nyes", "Access-Control-Allow-Origin: https://evil.example\r\n",
              "Access-Control-Allow-Credentials: true\r\n", "Vary: Origin\r\n"));
    check(&listed, "GET /o HTTP/1.1\r\nHost: h\r\n\r\n",
          ALL("\r\n\r\nyes", "!Access-", "Vary: Origin\r\n"));
    check(&listed, GET_FROM("https://app.example"),
          ALL("\r\n\r\nyes", "Access-Control-Allow-Origin: https://app.example\r\n"));
    check(&listed, GET_FROM("https://APP.example"), ALL("\r\n\r\nyes"));
    check(&listed, GET_FROM("https://app.example.evil"), ALL("\r\n\r\nno", "!Access-"));
    check(&listed, GET_FROM("http://app.example"), ALL("\r\n\r\nno", "!Access-"));
    check(&listed, GET_FROM("https://a.b.example.org"), ALL("\r\n\r\nyes"));
    check(&listed, GET_FROM("https://example.org"), ALL("\r\n\r\nno"));
    check(&listed, GET_FROM("null"), ALL("\r\n\r\nyes"));
}

#define PREFLIGHT(path, origin, more)                                                              \
    "OPTIONS " path " HTTP/1.1\r\nHost: h\r\nOrigin: " origin "\r\n"                               \
    "Access-Control-Request-Method: POST\r\n" more "\r\n"

static void test_preflight(void **state)
{
    (void)state;
    check(&listed,
          PREFLIGHT("/o", "https://app.example", "Access-Control-Request-Headers: x-api-key\r\n"),
          ALL("HTTP/1.1 200 OK\r\n", "Access-Control-Allow-Methods: GET, HEAD, POST, OPTIONS\r\n",
              "Access-Control-Allow-Headers: x-api-key\r\n", "Access-Control-Max-Age: ",
              "Access-Control-Allow-Origin: https://app.example\r\n", "Content-Length: 0\r\n"));
    check(&own_only, PREFLIGHT("/o", "http://h:4200", ""),
          ALL("HTTP/1.1 200 OK\r\n", "Access-Control-Allow-Origin: http://h:4200\r\n"));
    check(&listed, PREFLIGHT("/o", "https://evil.example", ""),
          ALL("HTTP/1.1 403 Forbidden\r\n", "{\"error\":", "!Access-"));
    check(&any, PREFLIGHT("/later", "https://evil.example", ""),
          ALL("HTTP/1.1 200 OK\r\n", "Access-Control-Allow-Origin: https://evil.example\r\n",
              "!Access-Control-Allow-Headers"));
    check(&any, PREFLIGHT("/nowhere", "https://a.example", ""),
          ALL("HTTP/1.1 404 Not Found\r\n", "Access-Control-Allow-Origin: https://a.example\r\n"));
}

static void test_refusals_can_be_read_by_pages(void **state)
{
    (void)state;
    check(&any,
          "POST /o HTTP/1.1\r\nHost: h\r\nOrigin: https://a.example\r\n"
          "Transfer-Encoding: chunked\r\n\r\nzz\r\n",
          ALL("HTTP/1.1 400 ", "Access-Control-Allow-Origin: https://a.example\r\n"));
}

static void test_overlong_lists(void **state)
{
    (void)state;
    char input[8192], list[4000];
    memset(list, 'x', sizeof(list) - 1);
    list[sizeof(list) - 1] = '\0';
    snprintf(input, sizeof(input),
             PREFLIGHT("/o", "https://a.example", "Access-Control-Request-Headers: %s\r\n"), list);
    check(&any, input, ALL("HTTP/1.1 200 OK\r\n", "!Access-Control-Allow-Headers"));
    snprintf(input, sizeof(input), GET_FROM("https://%s"), list);
    check(&any, input, ALL("HTTP/1.1 200 OK\r\n", "!Access-"));
}

/* Of a request from this machine to a server with this list of origins. */
static bool host_expected(const char *host, const struct rules *rules, uint8_t family)
{
    struct http_header header = {STR("Host"), str_from(host)};
    struct http_request r = {.headers = &header, .header_count = 1};
    r.peer = (struct addr){.family = family, .ip = {127, 0, 0, 1}};
    return http_host_is_expected(&r, rules->origins, rules->count);
}

static void test_names_of_strangers(void **state)
{
    static const char *const ours[] = {
        "127.0.0.1:8000", "127.0.0.1", "[::1]:8000", "[::1]", "localhost", "localhost:8000",
        "a.localhost",    "box:80",    "LOCALHOST",  "",      "10.0.0.7"};
    static const char *const strangers[] = {"evil.example",           "evil.example:8000",
                                            "127.0.0.1.evil.example", "localhost.evil.example",
                                            "evil.example.",          "a.b:1"};
    (void)state;
    for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++)
        assert_true(host_expected(ours[i], &own_only, AF_INET));
    for (size_t i = 0; i < sizeof(strangers) / sizeof(strangers[0]); i++) {
        assert_false(host_expected(strangers[i], &own_only, AF_INET));
        assert_false(host_expected(strangers[i], &listed, AF_INET));
        assert_true(host_expected(strangers[i], &any, AF_INET));
        assert_true(host_expected(strangers[i], &own_only, AF_UNIX));
    }
    assert_true(host_expected("app.example", &listed, AF_INET));
    assert_true(host_expected("app.example:8000", &listed, AF_INET));
    assert_true(host_expected("a.example.org", &listed, AF_INET));
    assert_false(host_expected("example.org", &listed, AF_INET));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answers),        cmocka_unit_test(test_replaced_origins),
        cmocka_unit_test(test_preflight),      cmocka_unit_test(test_refusals_can_be_read_by_pages),
        cmocka_unit_test(test_overlong_lists), cmocka_unit_test(test_names_of_strangers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
