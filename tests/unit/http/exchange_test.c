/*
 * exchange_test.c - what happens around a request: order, time limits, take-over, long answers.
 */
#include "unit/http/http_world.h"

#define GET(path) "GET " path " HTTP/1.1\r\nHost: h\r\n\r\n"
static const char *const answer_200 = "HTTP/1.1 200 OK\r\n";

static void answer_waiting(struct http_world *w, const char *body)
{
    struct http_request *r = w->waiting;
    assert_non_null(r);
    w->waiting = NULL;
    http_reply(r, 200, STR_NONE, str_from(body), STR_NONE);
}

static void test_plain_answer(void **state)
{
    (void)state;
    struct http_world w;
    world_begin(&w);
    world_start(&w);
    struct fake_peer *p = world_ask(&w, STR("GET /echo HTTP/1.1\r\nHost: h\r\n\r\n"));
    struct str expected = STR("HTTP/1.1 200 OK\r\n"
                              "Date: Sun, 02 Nov 2025 22:59:18 GMT\r\n"
                              "Content-Type: text/plain\r\n"
                              "Content-Length: 45\r\n"
                              "\r\n"
                              "GET path=/echo query= param= [Host]=[h] body=");
    if (!str_eq(peer_saw(p), expected))
        fail_msg("got: %.*s", STR_FMT(peer_saw(p)));
    assert_non_null(p->conn);
    world_end(&w);
}

static void test_head_has_no_body(void **state)
{
    (void)state;
    struct http_world w;
    world_begin(&w);
    world_start(&w);
    struct fake_peer *p = world_ask(&w, STR("HEAD /echo HTTP/1.1\r\nHost: h\r\n\r\n" GET("/echo")));
    assert_int_equal(saw_count(p, answer_200), 2);
    assert_int_equal(saw_count(p, "Content-Length: 4"), 2);
    assert_int_equal(saw_count(p, "path=/echo"), 1);
    world_end(&w);
}

static void test_later_answers_keep_order(void **state)
{
    (void)state;
    struct http_world w;
    world_begin(&w);
    world_start(&w);
    struct fake_peer *p =
        world_ask(&w, STR(GET("/later") GET("/echo?2") GET("/later") GET("/echo?4")));
    assert_int_equal(p->taken, 0);
    assert_true(p->conn->reading_paused);
    fake_feed(&w.net, p, STR(GET("/echo?5")));
    answer_waiting(&w, "first");
    assert_int_equal(saw_count(p, "query=2"), 0); // never from inside http_reply()
    fake_settle(&w.net);
    assert_int_equal(saw_count(p, answer_200), 2);
    assert_true(saw(p, "first") && saw(p, "query=2"));
    answer_waiting(&w, "third");
    fake_settle(&w.net);
    assert_int_equal(saw_count(p, answer_200), 5);
    assert_true(saw(p, "query=5"));
    assert_false(p->conn->reading_paused);
    world_end(&w);
}

static void test_peer_goes_first(void **state)
{
    (void)state;
    struct http_world w;
    world_begin(&w);
    world_start(&w);
    struct fake_peer *p = world_ask(&w, STR(GET("/later")));
    fake_break(&w.net, p);
    assert_int_equal(w.gone_count, 1);
    assert_null(w.waiting);
    world_end(&w);
}

static void test_half_closed_peer_is_answered(void **state)
{
    (void)state;
    struct http_world w;
    world_begin(&w);
    world_start(&w);
    struct fake_peer *p = world_ask(&w, STR(GET("/later") GET("/echo")));
    fake_fin(&w.net, p);
    assert_non_null(p->conn);
    answer_waiting(&w, "late");
    fake_settle(&w.net);
    assert_int_equal(saw_count(p, answer_200), 2);
    assert_null(p->conn);
    p = world_connect(&w);
    fake_feed(&w.net, p, STR("GET /echo HTT"));
    fake_fin(&w.net, p);
    assert_null(p->conn);
    assert_int_equal(p->taken, 0);
    world_end(&w);
}

static void test_expect_continue(void **state)
{
    (void)state;
    struct http_world w;
    world_begin(&w);
    world_start(&w);
    struct fake_peer *p = world_ask(&w, STR("POST /echo HTTP/1.1\r\nHost: h\r\n"
                                            "Expect: 100-continue\r\nContent-Length: 2\r\n\r\n"));
    assert_true(str_eq(peer_saw(p), STR("HTTP/1.1 100 Continue\r\n\r\n")));
    fake_feed(&w.net, p, STR("ok"));
    fake_settle(&w.net);
    assert_true(saw(p, "body=ok"));
    p = world_ask(&w, STR("POST /echo HTTP/1.1\r\nHost: h\r\n"
                          "Expect: 100-continue\r\nContent-Length: 9999999\r\n\r\n"));
    assert_int_equal(status_of(p), 413);
    world_end(&w);
}

static void test_time_limits(void **state)
{
    (void)state;
    struct http_world w;
    world_begin(&w);
    world_start(&w);
    struct fake_peer *silent = world_connect(&w);
    struct fake_peer *slow = world_connect(&w);
    struct fake_peer *body = world_connect(&w);
    struct fake_peer *idle = world_ask(&w, STR(GET("/echo")));
    struct fake_peer *again = world_ask(&w, STR(GET("/echo")));
    struct fake_peer *later = world_ask(&w, STR(GET("/later")));
    fake_feed(&w.net, body, STR("POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\n"));
    fake_feed(&w.net, slow, STR("GET /"));
    fake_advance(&w.net, 9000);
    fake_feed(&w.net, slow, STR("echo"));
    fake_feed(&w.net, body, STR("x"));
    assert_non_null(silent->conn);
    fake_advance(&w.net, 1000);
    assert_null(silent->conn);
    assert_int_equal(silent->taken, 0);
    assert_int_equal(silent->reason, CLOSE_SLOW_HEAD);
    assert_null(slow->conn);
    assert_int_equal(status_of(slow), 408);
    assert_non_null(body->conn);
    fake_advance(&w.net, 20000);
    assert_null(body->conn);
    assert_int_equal(status_of(body), 408);
    assert_non_null(idle->conn);
    fake_feed(&w.net, again, STR("GET /echo HTTP/1.1\r\nHost:"));
    fake_advance(&w.net, 10000);
    assert_null(again->conn);
    assert_true(saw(again, "HTTP/1.1 408 Request Timeout\r\n"));
    fake_advance(&w.net, 35000);
    assert_null(idle->conn);
    assert_int_equal(idle->reason, CLOSE_IDLE);
    assert_non_null(later->conn); // a route takes the time that it takes
    world_end(&w);
    assert_int_equal(w.gone_count, 1);
}

/* The head is needed for the refusal, and the body has made its buffer move. */
static void test_slow_long_body(void **state)
{
    (void)state;
    static const struct str any = {"*", 1};
    static char part[100000];
    struct http_world w;
    world_begin(&w);
    w.options.origins = &any;
    w.options.origin_count = 1;
    world_start(&w);
    struct fake_peer *p = world_ask(&w, STR("POST /echo HTTP/1.1\r\nHost: h\r\n"
                                            "Origin: https://a.example\r\n"
                                            "Content-Length: 200000\r\n\r\n"));
    fake_feed(&w.net, p, (struct str){part, sizeof(part)});
    fake_advance(&w.net, 30000);
    assert_int_equal(status_of(p), 408);
    assert_true(saw(p, "Access-Control-Allow-Origin: https://a.example\r\n"));
    world_end(&w);
}

static void test_slow_head(void **state)
{
    (void)state;
    struct http_world w;
    struct str head = STR("GET /echo HTTP/1.1\r\nHost: h\r\nX: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy");
    world_begin(&w);
    world_start(&w);
    struct fake_peer *p = world_connect(&w);
    for (size_t i = 0; i < head.n && p->conn != NULL; i++) {
        fake_feed(&w.net, p, (struct str){head.p + i, 1});
        fake_advance(&w.net, 500);
    }
    assert_null(p->conn);
    assert_int_equal(status_of(p), 408);
    world_end(&w);
}

static void test_requests_per_connection(void **state)
{
    (void)state;
    struct http_world w;
    world_begin(&w);
    w.options.requests_per_connection_max = 2;
    world_start(&w);
    struct fake_peer *p = world_ask(&w, STR(GET("/echo") GET("/echo") GET("/echo")));
    assert_int_equal(saw_count(p, answer_200), 2);
    assert_int_equal(saw_count(p, "Connection: close\r\n"), 1);
    assert_null(p->conn);
    world_end(&w);
}

static void test_drain(void **state)
{
    (void)state;
    struct http_world w;
    world_begin(&w);
    world_start(&w);
    struct fake_peer *idle = world_ask(&w, STR(GET("/echo")));
    struct fake_peer *busy = world_ask(&w, STR(GET("/later") GET("/echo")));
    http_server_drain(w.server);
    fake_settle(&w.net);
    assert_null(idle->conn);
    assert_int_equal(idle->reason, CLOSE_GOING_AWAY);
    answer_waiting(&w, "done");
    fake_settle(&w.net);
    assert_null(busy->conn);
    assert_true(saw(busy, "Connection: close\r\n"));
    assert_int_equal(saw_count(busy, answer_200), 1);
    world_end(&w);
}

/* ---- long answers ---- */

enum { LONG_BYTES = 3 << 20 };

static void route_long(struct http_request *r)
{
    char *body = malloc(LONG_BYTES);
    assert_non_null(body);
    for (size_t i = 0; i < LONG_BYTES; i++)
        body[i] = (char)('a' + i % 23);
    http_reply(r, 200, STR_NONE, (struct str){body, LONG_BYTES}, STR_NONE);
    free(body);
}

static void test_long_answer_in_pieces(void **state)
{
    (void)state;
    struct http_world w;
    world_begin(&w);
    w.options.out_max_bytes = 1; // becomes the least that is possible
    assert_true(http_router_add(w.router, 1u << HTTP_GET, "/long", route_long, NULL));
    world_start(&w);
    w.net.window = 10007;
    struct fake_peer *p = world_ask(&w, STR(GET("/long") GET("/echo")));
    size_t at = str_find(peer_saw(p), STR("\r\n\r\n")) + 4;
    assert_int_equal(saw_count(p, "Content-Length: 3145728\r\n"), 1);
    for (size_t i = 0; i < LONG_BYTES; i++)
        assert_int_equal(p->sent.p[at + i], 'a' + i % 23);
    assert_true(str_starts(str_skip(peer_saw(p), at + LONG_BYTES), str_from(answer_200)));
    assert_true(saw(p, "path=/echo"));
    world_end(&w);
}

static void test_who_does_not_read_gets_no_more(void **state)
{
    (void)state;
    struct http_world w;
    struct buf input;
    world_begin(&w);
    world_start(&w);
    w.net.window = 0;
    buf_init(&input, 4 << 20);
    for (int i = 0; i < 20000; i++)
        buf_add(&input, STR(GET("/echo")));
    struct fake_peer *p = world_ask(&w, buf_str(&input));
    struct http_stats stats;
    http_server_read_stats(w.server, &stats);
    assert_true(stats.requests > 100 && stats.requests < 1000);
    assert_non_null(p->conn);
    w.net.window = 1 << 20;
    fake_settle(&w.net);
    assert_int_equal(saw_count(p, answer_200), 20000);
    buf_fini(&input);
    world_end(&w);
}

static void test_long_answer_to_nobody(void **state)
{
    (void)state;
    struct http_world w;
    world_begin(&w);
    assert_true(http_router_add(w.router, 1u << HTTP_GET, "/long", route_long, NULL));
    world_start(&w);
    w.net.window = 0;
    struct fake_peer *p = world_ask(&w, STR(GET("/long")));
    fake_advance(&w.net, 75000);
    assert_null(p->conn);
    assert_true(p->aborted);
    assert_int_equal(p->reason, CLOSE_SLOW);
    world_end(&w);
}

static void route_raw(struct http_request *r)
{
    http_reply_raw(r, STR("HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\nBad Request"));
}

static void test_raw_answer(void **state)
{
    (void)state;
    struct http_world w;
    world_begin(&w);
    assert_true(http_router_add(w.router, 1u << HTTP_GET, "/raw", route_raw, NULL));
    world_start(&w);
    struct fake_peer *p = world_ask(&w, STR(GET("/raw") GET("/echo")));
    assert_true(str_eq(peer_saw(p),
                       STR("HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\nBad Request")));
    assert_null(p->conn);
    struct http_stats stats;
    http_server_read_stats(w.server, &stats);
    assert_int_equal(stats.by_status[4], 1);
    world_end(&w);
}

/* ---- taking over ---- */

struct taker {
    struct buf got;
    struct conn *conn;
    unsigned closed_count, ended_count;
};

static void taker_data(struct conn *c, char *p, size_t n)
{
    struct taker *t = c->owner;
    buf_add(&t->got, (struct str){p, n});
    conn_send(c, STR("<taken>"));
}

static void taker_ended(struct conn *c)
{
    struct taker *t = c->owner;
    t->ended_count++;
    conn_close(c, CLOSE_PEER_GONE, 0);
}

static void taker_closed(struct conn *c, enum close_reason reason)
{
    struct taker *t = c->owner;
    (void)reason;
    t->closed_count++;
    t->conn = NULL;
    free(c);
}

static const struct conn_handler taker_handler = {
    .data = taker_data, .ended = taker_ended, .closed = taker_closed};

static void take(struct http_request *r, struct taker *t)
{
    t->conn = http_take_conn(r, &taker_handler);
    t->conn->owner = t;
    assert_true(str_eq(r->path, STR("/take")) || str_eq(r->path, STR("/later")));
    conn_send(t->conn, STR("<hello>"));
}

static void route_take(struct http_request *r)
{
    take(r, r->route_ctx);
}

static void taker_begin(struct http_world *w, struct taker *t)
{
    *t = (struct taker){0};
    buf_init(&t->got, 1 << 20);
    world_begin(w);
    assert_true(http_router_add(w->router, 1u << HTTP_GET, "/take", route_take, t));
    world_start(w);
}

static void taker_end(struct http_world *w, struct taker *t, struct fake_peer *p)
{
    fake_break(&w->net, p);
    assert_int_equal(t->closed_count, 1);
    buf_fini(&t->got);
    world_end(w);
}

static void test_take_over(void **state)
{
    (void)state;
    struct http_world w;
    struct taker t;
    taker_begin(&w, &t);
    struct fake_peer *p = world_ask(&w, STR(GET("/echo") GET("/take") "behind"));
    struct http_stats stats;
    http_server_read_stats(w.server, &stats);
    assert_int_equal(stats.open_count, 0);
    assert_true(str_eq(buf_str(&t.got), STR("behind")));
    assert_true(saw(p, "<hello><taken>"));
    fake_advance(&w.net, 100000); // HTTP's timer is gone
    assert_non_null(p->conn);
    fake_feed(&w.net, p, STR("+more"));
    assert_true(str_eq(buf_str(&t.got), STR("behind+more")));
    fake_settle(&w.net);
    taker_end(&w, &t, p);
}

static void test_take_over_from_kept_bytes(void **state)
{
    (void)state;
    struct http_world w;
    struct taker t;
    taker_begin(&w, &t);
    struct fake_peer *p = world_ask(&w, STR(GET("/later") GET("/take") "behind"));
    answer_waiting(&w, "first");
    fake_settle(&w.net);
    assert_true(str_eq(buf_str(&t.got), STR("behind")));
    assert_false(p->conn->reading_paused);
    fake_feed(&w.net, p, STR("+more"));
    assert_true(str_eq(buf_str(&t.got), STR("behind+more")));
    fake_settle(&w.net);
    taker_end(&w, &t, p);
}

static void test_take_over_later(void **state)
{
    (void)state;
    for (int with_bytes = 0; with_bytes < 2; with_bytes++) {
        struct http_world w;
        struct taker t;
        taker_begin(&w, &t);
        struct fake_peer *p = world_ask(&w, STR(GET("/later")));
        if (with_bytes)
            fake_feed(&w.net, p, STR("behind"));
        take(w.waiting, &t);
        assert_int_equal(t.got.len, 0);
        fake_settle(&w.net);
        assert_true(str_eq(buf_str(&t.got), with_bytes ? STR("behind") : STR("")));
        fake_feed(&w.net, p, STR("+more"));
        assert_true(str_eq(buf_str(&t.got), with_bytes ? STR("behind+more") : STR("+more")));
        assert_ptr_equal(p->conn->handler, &taker_handler);
        fake_settle(&w.net);
        taker_end(&w, &t, p);
    }
}

static void test_take_over_later_and_close_at_once(void **state)
{
    (void)state;
    struct http_world w;
    struct taker t;
    taker_begin(&w, &t);
    struct fake_peer *p = world_ask(&w, STR(GET("/later") "behind"));
    take(w.waiting, &t);
    conn_abort(t.conn, CLOSE_INTERNAL);
    fake_settle(&w.net);
    assert_int_equal(t.got.len, 0);
    assert_null(p->conn);
    taker_end(&w, &t, p);
}

static void test_take_over_after_the_peers_end(void **state)
{
    (void)state;
    struct http_world w;
    struct taker t;
    taker_begin(&w, &t);
    struct fake_peer *p = world_ask(&w, STR(GET("/later")));
    fake_fin(&w.net, p);
    take(w.waiting, &t);
    fake_settle(&w.net);
    assert_int_equal(t.ended_count, 1);
    assert_null(p->conn);
    taker_end(&w, &t, p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain_answer),
        cmocka_unit_test(test_head_has_no_body),
        cmocka_unit_test(test_later_answers_keep_order),
        cmocka_unit_test(test_peer_goes_first),
        cmocka_unit_test(test_half_closed_peer_is_answered),
        cmocka_unit_test(test_expect_continue),
        cmocka_unit_test(test_time_limits),
        cmocka_unit_test(test_slow_long_body),
        cmocka_unit_test(test_slow_head),
        cmocka_unit_test(test_requests_per_connection),
        cmocka_unit_test(test_drain),
        cmocka_unit_test(test_long_answer_in_pieces),
        cmocka_unit_test(test_who_does_not_read_gets_no_more),
        cmocka_unit_test(test_long_answer_to_nobody),
        cmocka_unit_test(test_raw_answer),
        cmocka_unit_test(test_take_over),
        cmocka_unit_test(test_take_over_from_kept_bytes),
        cmocka_unit_test(test_take_over_later),
        cmocka_unit_test(test_take_over_later_and_close_at_once),
        cmocka_unit_test(test_take_over_after_the_peers_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
