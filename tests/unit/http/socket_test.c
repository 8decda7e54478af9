/*
 * socket_test.c - the same server over real sockets and the real loop: what the twin cannot show.
 */
#include "http/http.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

enum { TURNS_MAX = 20000, LONG_BYTES = 8 << 20 };

struct site {
    struct loop *loop;
    struct flusher flusher;
    struct http_router *router;
    struct http_server *server;
    char *long_body;
    int fd; // the client's
    struct buf got;
    bool ended;
};

static void route_path(struct http_request *r)
{
    http_reply(r, 200, STR_NONE, r->body.n > 0 ? r->body : r->path, STR_NONE);
}

static void route_long(struct http_request *r)
{
    http_reply(r, 200, STR_NONE, (struct str){r->route_ctx, LONG_BYTES}, STR_NONE);
}

static void connect_pair(int ret[2])
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(at);
    int l = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(l >= 0);
    assert_return_code(bind(l, (struct sockaddr *)&at, sizeof(at)), errno);
    assert_return_code(listen(l, 1), errno);
    assert_return_code(getsockname(l, (struct sockaddr *)&at, &len), errno);
    ret[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_return_code(connect(ret[0], (struct sockaddr *)&at, sizeof(at)), errno);
    ret[1] = accept4(l, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    assert_true(ret[1] >= 0);
    close(l);
}

static void site_open(struct site *s)
{
    const struct http_options o = {.head_max_bytes = 16384,
                                   .body_max_bytes = 1 << 20,
                                   .head_timeout_ms = 10000,
                                   .body_timeout_ms = 30000,
                                   .idle_timeout_ms = 75000,
                                   .out_max_bytes = 1 << 20};
    const struct addr peer = {.family = AF_INET, .ip = {127, 0, 0, 1}};
    int fds[2];
    *s = (struct site){.loop = loop_create(0), .long_body = malloc(LONG_BYTES)};
    assert_true(s->loop != NULL && s->long_body != NULL);
    memset(s->long_body, 'x', LONG_BYTES);
    assert_true(flusher_init(&s->flusher, s->loop));
    s->router = http_router_create();
    assert_true(http_router_add(s->router, ~HTTP_ANY_BODY, "/{path...}", route_path, NULL));
    assert_true(http_router_add(s->router, 1u << HTTP_GET, "/long", route_long, s->long_body));
    s->server = http_server_create(&s->flusher, s->router, &o);
    assert_non_null(s->server);
    connect_pair(fds);
    s->fd = fds[0];
    http_server_accept(s->server, fds[1], &peer, NULL);
    buf_init(&s->got, 64 << 20);
}

static void site_close(struct site *s)
{
    http_server_stop(s->server);
    for (int i = 0; i < 4; i++)
        loop_turn(s->loop, 0);
    http_server_destroy(&s->server);
    http_router_destroy(&s->router);
    flusher_fini(&s->flusher);
    loop_destroy(&s->loop);
    close(s->fd);
    free(s->long_body);
    buf_fini(&s->got);
}

static void read_some(struct site *s)
{
    assert_true(buf_reserve(&s->got, 65536));
    ssize_t n = recv(s->fd, s->got.p + s->got.len, 65536, MSG_DONTWAIT);
    s->ended |= n == 0 || (n < 0 && errno != EAGAIN);
    s->got.len += n > 0 ? (size_t)n : 0;
}

/* Turns until the text is there or the server has closed. */
static bool wait_for(struct site *s, struct str text)
{
    for (int i = 0; i < TURNS_MAX && !s->ended; i++) {
        loop_turn(s->loop, 1);
        read_some(s);
        if (str_find(buf_str(&s->got), text) < s->got.len)
            return true;
    }
    return false;
}

static void wait_for_end(struct site *s)
{
    for (int i = 0; i < TURNS_MAX && !s->ended; i++) {
        loop_turn(s->loop, 1);
        read_some(s);
    }
    assert_true(s->ended);
}

static void say(struct site *s, struct str text)
{
    while (text.n > 0) {
        ssize_t n = send(s->fd, text.p, text.n, MSG_DONTWAIT | MSG_NOSIGNAL);
        assert_true(n > 0 || errno == EAGAIN);
        text = str_skip(text, n > 0 ? (size_t)n : 0);
        loop_turn(s->loop, 0);
        read_some(s);
    }
}

static void test_keep_alive_then_close(void **state)
{
    (void)state;
    struct site s;
    site_open(&s);
    say(&s, STR("GET /one HTTP/1.1\r\nHost: h\r\n\r\n"));
    assert_true(wait_for(&s, STR("\r\n\r\n/one")));
    say(&s, STR("GET /two HTTP/1.1\r\nHost: h\r\n\r\nGET /three HTTP/1.0\r\n\r\n"));
    wait_for_end(&s);
    assert_true(str_find(buf_str(&s.got), STR("/two")) < str_find(buf_str(&s.got), STR("/three")));
    assert_true(str_find(buf_str(&s.got), STR("/three")) < s.got.len);
    site_close(&s);
}

static void test_long_answer(void **state)
{
    (void)state;
    struct site s;
    site_open(&s);
    say(&s, STR("GET /long HTTP/1.1\r\nHost: h\r\n\r\nGET /after HTTP/1.1\r\nHost: h\r\n\r\n"));
    assert_true(wait_for(&s, STR("/after")));
    assert_true(s.got.len > LONG_BYTES);
    site_close(&s);
}

/* The answer reaches a client that is still sending what nobody wants. */
static void test_refusal_reaches_an_uploader(void **state)
{
    (void)state;
    struct site s;
    site_open(&s);
    say(&s, STR("POST /up HTTP/1.1\r\nHost: h\r\nContent-Length: 4000000\r\n\r\n"));
    say(&s, (struct str){s.long_body, 4000000});
    wait_for_end(&s);
    assert_true(str_starts(buf_str(&s.got), STR("HTTP/1.1 413 ")));
    site_close(&s);
}

static void test_peer_goes(void **state)
{
    (void)state;
    struct site s;
    struct http_stats stats;
    site_open(&s);
    say(&s, STR("GET /one HTTP/1.1\r\nHost: h\r\n\r\n"));
    assert_true(wait_for(&s, STR("/one")));
    shutdown(s.fd, SHUT_WR);
    wait_for_end(&s);
    loop_turn(s.loop, 1);
    http_server_read_stats(s.server, &stats);
    assert_int_equal(stats.open_count, 0);
    assert_int_equal(stats.requests, 1);
    site_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keep_alive_then_close),
        cmocka_unit_test(test_long_answer),
        cmocka_unit_test(test_refusal_reaches_an_uploader),
        cmocka_unit_test(test_peer_goes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
