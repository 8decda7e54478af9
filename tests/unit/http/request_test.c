/*
 * request_test.c - requests in every cut, and what a malformed one is told.
 */
#include <stdio.h>

#include "unit/http/http_world.h"

#include "unit/cuts.h"

struct run {
    struct http_world world;
    struct fake_peer *peer;
};

static void run_begin(void *ctx)
{
    struct run *run = ctx;
    world_begin(&run->world);
    world_start(&run->world);
    run->peer = world_connect(&run->world);
}

static void run_feed(void *ctx, char *p, size_t n, struct buf *told)
{
    struct run *run = ctx;
    (void)told;
    fake_feed(&run->world.net, run->peer, (struct str){p, n});
    fake_settle(&run->world.net);
}

static void run_end(void *ctx, struct buf *told)
{
    struct run *run = ctx;
    buf_add(told, peer_saw(run->peer));
    buf_add(told, run->peer->conn == NULL ? STR("<closed>") : STR("<open>"));
    world_end(&run->world);
}

static void check_cuts(const char *input, const char *expected_end)
{
    struct run run;
    struct buf told;
    const struct cuts cuts = {&run, run_begin, run_feed, run_end};
    cuts_check(&cuts, str_from(input), STR_NONE);
    buf_init(&told, 1 << 20);
    cuts_run(&cuts, str_from(input), strlen(input), 1, &told);
    size_t n = strlen(expected_end);
    if (told.len < n || memcmp(told.p + told.len - n, expected_end, n) != 0)
        fail_msg("expected at the end: %s\n got: %.*s", expected_end, STR_FMT(buf_str(&told)));
    buf_fini(&told);
}

static void test_good_requests(void **state)
{
    (void)state;
    check_cuts("GET /echo?a=b%20c HTTP/1.1\r\nHost: h\r\nX-Empty:\r\nX-Two:  a b \r\n\r\n",
               "GET path=/echo query=a=b%20c param= [Host]=[h] [X-Empty]=[] [X-Two]=[a b] "
               "body=<open>");
    check_cuts("POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello",
               " body=hello<open>");
    check_cuts("POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
               "5\r\nhello\r\n6;x=\"y\"\r\n world\r\n0\r\nX-Trailer: t\r\n\r\n",
               " body=hello world<open>");
    check_cuts("\r\n\r\nGET http://h:1/%65cho HTTP/1.1\r\nHost: h\r\n\r\n",
               "path=/echo query= param= [Host]=[h] body=<open>");
    check_cuts("GET http://h?q HTTP/1.1\r\nHost: h\r\n\r\n",
               "path=/ query=q param= [Host]=[h] body=<open>");
    check_cuts("GET /echo HTTP/1.0\r\n\r\n", " body=<closed>");
    check_cuts("GET /echo HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", " body=<open>");
    check_cuts("GET /echo HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", " body=<closed>");
    check_cuts("GET /echo HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n",
               " body=<open>");
}

static void test_pipelined_in_every_cut(void **state)
{
    (void)state;
    check_cuts("GET /echo?1 HTTP/1.1\r\nHost: h\r\n\r\n"
               "POST /echo?2 HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nab"
               "\r\nPOST /echo?3 HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
               "1\r\nx\r\n0\r\n\r\n"
               "GET /echo?4 HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"
               "GET /echo?never HTTP/1.1\r\nHost: h\r\n\r\n",
               "query=4 param= [Host]=[h] [Connection]=[close] body=<closed>");
}

#define HOST "Host: h\r\n"
static const struct {
    const char *input;
    unsigned status;
} malformed[] = {
    {"GET /echo HTTP/1.1\r\n\r\n", 400}, // no Host
    {"GET /echo HTTP/1.1\r\n" HOST HOST "\r\n", 400},
    {"GET /echo HTTP/1.1\r\nHost: a/b\r\n\r\n", 400},
    {"GET  /echo HTTP/1.1\r\n" HOST "\r\n", 400},
    {"GET /echo  HTTP/1.1\r\n" HOST "\r\n", 400},
    {"GET /echo\r\n" HOST "\r\n", 400},
    {"GET echo HTTP/1.1\r\n" HOST "\r\n", 400},
    {"GET /%zz HTTP/1.1\r\n" HOST "\r\n", 400},
    {"GET /%4 HTTP/1.1\r\n" HOST "\r\n", 400},
    {"GET /%00 HTTP/1.1\r\n" HOST "\r\n", 400},
    {"GET /\xc3\xa7 HTTP/1.1\r\n" HOST "\r\n", 400},
    {"GET /a#b HTTP/1.1\r\n" HOST "\r\n", 400},
    {"GET * HTTP/1.1\r\n" HOST "\r\n", 400},
    {"GET /echo HTTP/1.1\n" HOST "\r\n", 400}, // bare LF
    {"GET /echo HTTP/1.1\r\nHost: h\n\r\n", 400},
    {"GET /echo HTTP/1.1\r\nHost: h\rX: y\r\n\r\n", 400},      // bare CR
    {"GET /echo HTTP/1.1\r\n" HOST "X: a\r\n b\r\n\r\n", 400}, // folded
    {"GET /echo HTTP/1.1\r\n X: a\r\n" HOST "\r\n", 400},
    {"GET /echo HTTP/1.1\r\n" HOST "X : a\r\n\r\n", 400},
    {"GET /echo HTTP/1.1\r\n" HOST "X\r\n\r\n", 400},
    {"GET /echo HTTP/1.1\r\n" HOST ": a\r\n\r\n", 400},
    {"GET /echo HTTP/1.1\r\n" HOST "X: a\x01\r\n\r\n", 400},
    {"GET /echo HTTP/1.1\r\n" HOST "X\xc3: a\r\n\r\n", 400},
    {"\x16\x03\x01\x02", 400}, // TLS to a plain port
    {"hello\r\n\r\n", 400},
    {"BREW /echo HTTP/1.1\r\n" HOST "\r\n", 501},
    {"CONNECT h:1 HTTP/1.1\r\n" HOST "\r\n", 400},
    {"GET /echo HTTP/1.2\r\n" HOST "\r\n", 505},
    {"GET /echo HTTP/2.0\r\n" HOST "\r\n", 505},
    {"GET /echo HTTP/0.9\r\n" HOST "\r\n", 505},
    {"GET /echo HTTP/3.1\r\n" HOST "\r\n", 505},
    {"GET /echo HTTX/1.1\r\n" HOST "\r\n", 400},
    {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505},
    {"POST /echo HTTP/1.1\r\n" HOST "Content-Length: 1\r\nContent-Length: 2\r\n\r\nxy", 400},
    {"POST /echo HTTP/1.1\r\n" HOST "Content-Length: 1\r\nContent-Length: 1\r\n\r\nx", 400},
    {"POST /echo HTTP/1.1\r\n" HOST "Content-Length: +1\r\n\r\nx", 400},
    {"POST /echo HTTP/1.1\r\n" HOST "Content-Length: 1,1\r\n\r\nx", 400},
    {"POST /echo HTTP/1.1\r\n" HOST "Content-Length: -1\r\n\r\nx", 400},
    {"POST /echo HTTP/1.1\r\n" HOST "Content-Length: 0x1\r\n\r\nx", 400},
    {"POST /echo HTTP/1.1\r\n" HOST "Content-Length:\r\n\r\n", 400},
    {"POST /echo HTTP/1.1\r\n" HOST "Content-Length: 18446744073709551616\r\n\r\nx", 400},
    {"POST /echo HTTP/1.1\r\n" HOST "Content-Length: 1048577\r\n\r\n", 413},
    {"POST /echo HTTP/1.1\r\n" HOST
     "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
     400},
    {"POST /echo HTTP/1.1\r\n" HOST
     "Transfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n0\r\n\r\n",
     400},
    {"POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: gzip\r\n\r\n", 501},
    {"POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501},
    {"POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n", 501},
    {"POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 501},
    {"POST /echo HTTP/1.1\r\n" HOST
     "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
     501},
    {"POST /echo HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
    {"POST /echo HTTP/1.0\r\n\r\n", 411},
    {"POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\nzz\r\n", 400},
    {"POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n-1\r\n", 400},
    {"POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n1\nx\r\n0\r\n\r\n", 400},
    {"POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n1\r\nx\n0\r\n\r\n", 400},
    {"POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n1\r\nxy\r\n", 400},
    {"POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n0\r\nX: y\rZ: w\r\n\r\n",
     400},
    {"POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n0\r\nX: y\n\n", 400},
    {"POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n",
     400},
    {"POST /echo HTTP/1.1\r\n" HOST "Expect: tea\r\nContent-Length: 1\r\n\r\nx", 417},
    {"GET /nowhere HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n", 404},
    {"OPTIONS * HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n", 404},
};

static void test_malformed(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(malformed) / sizeof(malformed[0]); i++) {
        struct http_world w;
        world_begin(&w);
        world_start(&w);
        struct fake_peer *p = world_ask(&w, str_from(malformed[i].input));
        if (status_of(p) != malformed[i].status || p->conn != NULL ||
            !saw(p, "Connection: close\r\n") || !saw(p, "{\"error\":{\"code\":"))
            fail_msg("expected %u for: %s\n got: %.*s", malformed[i].status, malformed[i].input,
                     STR_FMT(peer_saw(p)));
        assert_int_equal(saw_count(p, "\r\nContent-Length: "), 1);
        world_end(&w);
    }
}

static void test_malformed_in_every_cut(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(malformed) / sizeof(malformed[0]); i++) {
        struct run run;
        const struct cuts cuts = {&run, run_begin, run_feed, run_end};
        cuts_check(&cuts, str_from(malformed[i].input), STR_NONE);
    }
}

/* before, then `count` times `unit`, then after. */
static struct buf repeat(const char *before, const char *unit, size_t count, const char *after)
{
    struct buf b;
    buf_init(&b, 8 << 20);
    buf_add(&b, str_from(before));
    for (size_t i = 0; i < count; i++)
        buf_add(&b, str_from(unit));
    buf_add(&b, str_from(after));
    return b;
}

static void check_limit(struct buf input, unsigned status, size_t piece)
{
    struct http_world w;
    world_begin(&w);
    world_start(&w);
    struct fake_peer *p = world_connect(&w);
    for (size_t at = 0; at < input.len && p->conn != NULL; at += piece) {
        size_t n = input.len - at < piece ? input.len - at : piece;
        fake_feed(&w.net, p, (struct str){input.p + at, n});
        fake_settle(&w.net);
    }
    if (status_of(p) != status)
        fail_msg("expected %u, got: %.200s", status, p->taken > 0 ? p->sent.p : "nothing");
    assert_true((p->conn == NULL) == (status >= 400));
    world_end(&w);
    buf_fini(&input);
}

static void test_limits(void **state)
{
    (void)state;
    const char *head = "GET /echo HTTP/1.1\r\n" HOST;
    const char *chunked = "POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n";
    for (size_t piece = 1 << 20; piece > 0; piece /= 1021) {
        check_limit(repeat("GET /", "a", 20000, ""), 414, piece);
        check_limit(repeat("GET /echo?", "a", 16000, " HTTP/1.1\r\n" HOST "\r\n"), 200, piece);
        check_limit(repeat(head, "X: yyyyyyyyyyyyyyyy\r\n", 2000, "\r\n"), 431, piece);
        check_limit(repeat(head, "X: y\r\n", 100, "\r\n"), 431, piece);
        check_limit(repeat(head, "X: y\r\n", 99, "\r\n"), 200, piece);
        check_limit(repeat(head, "X:\r\n", 100, "\r\n"), 431, piece);
        check_limit(repeat(head, "X:\r\n", 99, "\r\n"), 200, piece);
    }
    for (size_t piece = 1 << 20; piece > 1; piece /= 1021) {
        check_limit(repeat(chunked, "10000\r\n", 1, ""), 0, piece);
        check_limit(repeat(chunked, "1\r\nx\r\n", 100000, "0\r\n\r\n"), 200, piece);
        check_limit(repeat(chunked, "8\r\n12345678\r\n", 131072, "0\r\n\r\n"), 200, piece);
        check_limit(repeat(chunked, "8\r\n12345678\r\n", 131073, "0\r\n\r\n"), 413, piece);
        check_limit(
            repeat(chunked, "1;aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\nx\r\n", 20000, "0\r\n\r\n"), 400,
            piece);
        check_limit(repeat("POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n"
                           "0\r\n",
                           "X: y\r\n", 100000, "\r\n"),
                    431, piece);
    }
}

static void test_error_says_where(void **state)
{
    (void)state;
    struct http_world w;
    world_begin(&w);
    world_start(&w);
    struct fake_peer *p = world_ask(&w, STR("GET /echo HTTP/1.1\r\n" HOST "bad name: x\r\n\r\n"));
    assert_true(saw(p, "{\"error\":{\"code\":400,\"message\":\"line 3 of the head: "));
    struct http_stats stats;
    http_server_read_stats(w.server, &stats);
    assert_int_equal(stats.bad_requests, 1);
    assert_int_equal(stats.by_status[4], 1);
    assert_int_equal(stats.open_count, 0);
    world_end(&w);
}

static void route_query(struct http_request *r)
{
    char at[8];
    struct str v;
    if (http_query(r, STR("a b"), at, sizeof(at), &v))
        http_reply(r, 200, STR_NONE, v, STR_NONE);
    else if (http_query_nth(r, STR("c"), 1, at, sizeof(at), &v))
        http_reply(r, 201, STR_NONE, v, STR_NONE);
    else
        http_reply(r, 404, STR_NONE, STR_NONE, STR_NONE);
}

static void check_query(const char *query, unsigned status, const char *value)
{
    struct http_world w;
    char input[256];
    world_begin(&w);
    assert_true(http_router_add(w.router, 1u << HTTP_GET, "/q", route_query, NULL));
    world_start(&w);
    snprintf(input, sizeof(input), "GET /q%s HTTP/1.1\r\n" HOST "\r\n", query);
    struct fake_peer *p = world_ask(&w, str_from(input));
    snprintf(input, sizeof(input), "\r\n\r\n%s", value);
    assert_int_equal(status_of(p), status);
    assert_true(saw(p, input));
    world_end(&w);
}

static void test_query_names(void **state)
{
    struct str rest = STR("&a%20b=1&&=&c&=x&d=&"), name;
    static const char *const names[] = {"a b", "", "c", "", "d"};
    (void)state;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        assert_true(http_query_next(&rest, &name));
        assert_true(http_query_is(name, str_from(names[i])));
        assert_false(http_query_is(name, STR("a")));
    }
    assert_false(http_query_next(&rest, &name));
    assert_false(http_query_is(STR("a%2"), STR("a%2")));
}

static void test_query(void **state)
{
    (void)state;
    check_query("?a+b=1%2b+2", 200, "1+ 2");
    check_query("?x=y&a%20b=", 200, "");
    check_query("?a+b=12345678", 200, "12345678");
    check_query("?a+b=123456789", 404, ""); // longer than the caller's room
    check_query("?a+b=%4&c=1", 404, "");
    check_query("?c=1&c=%32", 201, "2");
    check_query("?&&=&c&c", 201, "");
    check_query("?c=1", 404, "");
    check_query("", 404, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good_requests), cmocka_unit_test(test_pipelined_in_every_cut),
        cmocka_unit_test(test_malformed),     cmocka_unit_test(test_malformed_in_every_cut),
        cmocka_unit_test(test_limits),        cmocka_unit_test(test_error_says_where),
        cmocka_unit_test(test_query),         cmocka_unit_test(test_query_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
