/*
 * client_test.c - the client against a real server over sockets: a thread that answers as it is
 * told, with everything that a server can do wrong.
 */
#include "http/client.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/must.h"

enum { TURNS_MAX = 200000, PEERS_MAX = 4096, PARALLEL = 1000, SEQUENTIAL = 3000, BIG = 3 << 20 };

/* ---- the server: one thread, one epoll, a small buffer for each connection ---- */

struct peer {
    int fd;
    size_t len;
    char head[2048];
};

struct site {
    pthread_t thread;
    int listen_fd, epoll_fd, stop_pipe[2];
    unsigned port;
    atomic_uint accepted, asked;
    struct peer *peers; // by descriptor
};

static void say(int fd, const char *p, size_t n)
{
    while (n > 0) {
        ssize_t sent = send(fd, p, n, MSG_NOSIGNAL);
        if (sent <= 0)
            return;
        p += sent;
        n -= (size_t)sent;
    }
}

static void say_text(int fd, const char *z)
{
    say(fd, z, strlen(z));
}

static void say_big(int fd)
{
    char *big = malloc(BIG);
    assert_non_null(big);
    memset(big, 'b', BIG);
    say_text(fd, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n300000\r\n");
    say(fd, big, BIG);
    say_text(fd, "\r\n0\r\n\r\n");
    free(big);
}

static void say_echo(int fd, const char *body)
{
    char head[128];
    snprintf(head, sizeof(head), "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", strlen(body));
    say_text(fd, head);
    say_text(fd, body);
}

/* False: the connection ends. */
static bool answer(struct peer *p, const char *body)
{
    const char *path = strchr(p->head, ' ') + 1;
    if (strncmp(path, "/ok", 3) == 0)
        say_text(p->fd, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
                        "Content-Length: 5\r\n\r\nhello");
    else if (strncmp(path, "/500", 4) == 0)
        say_text(p->fd, "HTTP/1.1 500 No\r\nContent-Length: 4\r\n\r\nsick");
    else if (strncmp(path, "/chunked", 8) == 0)
        say_text(p->fd, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                        "3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n");
    else if (strncmp(path, "/redirect", 9) == 0)
        say_text(p->fd, "HTTP/1.1 302 Found\r\nLocation: /ok\r\nContent-Length: 0\r\n\r\n");
    else if (strncmp(path, "/big", 4) == 0)
        say_big(p->fd);
    else if (strncmp(path, "/echo", 5) == 0)
        say_echo(p->fd, body);
    else if (strncmp(path, "/head", 5) == 0)
        say_echo(p->fd, p->head);
    else if (strncmp(path, "/cut", 4) == 0) {
        say_text(p->fd, "HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\nhalf");
        return false;
    } else if (strncmp(path, "/start", 6) == 0)
        say_text(p->fd, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n");
    else if (strncmp(path, "/garbage", 8) == 0) {
        say_text(p->fd, "what?\r\n\r\n");
        return false;
    } else if (strncmp(path, "/close", 6) == 0) {
        say_text(p->fd, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nby");
        return false;
    } else if (strncmp(path, "/hangup", 7) == 0)
        return false;
    return true; // "/never": no answer
}

/* Answers every whole request that is there. */
static bool peer_read(struct site *s, struct peer *p)
{
    ssize_t n = recv(p->fd, p->head + p->len, sizeof(p->head) - 1 - p->len, 0);
    if (n <= 0)
        return false;
    p->len += (size_t)n;
    p->head[p->len] = '\0';
    const char *end = strstr(p->head, "\r\n\r\n");
    const char *length = strstr(p->head, "Content-Length: ");
    if (end == NULL || (length != NULL && strlen(end + 4) < strtoul(length + 16, NULL, 10)))
        return p->len < sizeof(p->head) - 1;
    atomic_fetch_add(&s->asked, 1);
    bool goes_on = answer(p, end + 4);
    p->len = 0;
    return goes_on;
}

static void site_accept(struct site *s)
{
    int fd = accept4(s->listen_fd, NULL, NULL, SOCK_CLOEXEC);
    if (fd < 0)
        return;
    assert_true(fd < PEERS_MAX);
    atomic_fetch_add(&s->accepted, 1);
    s->peers[fd] = (struct peer){.fd = fd};
    struct epoll_event ev = {.events = EPOLLIN, .data.fd = fd};
    epoll_ctl(s->epoll_fd, EPOLL_CTL_ADD, fd, &ev);
}

static void *site_run(void *arg)
{
    struct site *s = arg;
    for (;;) {
        struct epoll_event ev;
        if (epoll_wait(s->epoll_fd, &ev, 1, -1) != 1)
            continue;
        if (ev.data.fd == s->stop_pipe[0])
            return NULL;
        if (ev.data.fd == s->listen_fd) {
            site_accept(s);
        } else if (!peer_read(s, &s->peers[ev.data.fd])) {
            s->peers[ev.data.fd].fd = -1;
            close(ev.data.fd);
        }
    }
}

static int listen_somewhere(unsigned *ret_port)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(at);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_return_code(bind(fd, (struct sockaddr *)&at, sizeof(at)), errno);
    assert_return_code(listen(fd, 1024), errno);
    assert_return_code(getsockname(fd, (struct sockaddr *)&at, &len), errno);
    *ret_port = ntohs(at.sin_port);
    return fd;
}

static void watch(struct site *s, int fd)
{
    struct epoll_event ev = {.events = EPOLLIN, .data.fd = fd};
    assert_return_code(epoll_ctl(s->epoll_fd, EPOLL_CTL_ADD, fd, &ev), errno);
}

static void site_open(struct site *s)
{
    *s = (struct site){.peers = calloc(PEERS_MAX, sizeof(struct peer))};
    assert_non_null(s->peers);
    for (int i = 0; i < PEERS_MAX; i++)
        s->peers[i].fd = -1;
    s->listen_fd = listen_somewhere(&s->port);
    s->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    assert_return_code(pipe2(s->stop_pipe, O_CLOEXEC), errno);
    watch(s, s->listen_fd);
    watch(s, s->stop_pipe[0]);
    assert_int_equal(pthread_create(&s->thread, NULL, site_run, s), 0);
}

static void site_close(struct site *s)
{
    assert_int_equal(write(s->stop_pipe[1], "x", 1), 1);
    pthread_join(s->thread, NULL);
    for (int i = 0; i < PEERS_MAX; i++) {
        if (s->peers[i].fd >= 0)
            close(s->peers[i].fd);
    }
    close(s->stop_pipe[0]);
    close(s->stop_pipe[1]);
    close(s->listen_fd);
    close(s->epoll_fd);
    free(s->peers);
}

/* ---- the asking side ---- */

struct world {
    struct site site;
    struct loop *loop;
    struct http_client *client;
};

struct asked {
    struct world *world;
    struct http_call *call;
    unsigned done, status, pieces, piece_status;
    bool cancel_at_piece;
    char why[128], body[2048], type[64];
    struct asked *victim; // is cancelled at the first piece, or in done()
    struct asked *next;   // is started at the first piece, or in done()
    const char *next_path;
};

static int set_up(void **state)
{
    struct world *w = calloc(1, sizeof(*w));
    assert_non_null(w);
    site_open(&w->site);
    w->loop = loop_create(0);
    w->client = http_client_create(
        w->loop, &(struct http_client_options){.calls_max = 2 * PARALLEL, .agent = STR("test/1")});
    assert_true(w->loop != NULL && w->client != NULL);
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;
    http_client_destroy(&w->client);
    loop_turn(w->loop, 0);
    loop_destroy(&w->loop);
    site_close(&w->site);
    free(w);
    return 0;
}

static struct str url_of(const struct world *w, const char *path, char *at, size_t cap)
{
    int n = snprintf(at, cap, "http://127.0.0.1:%u%s", w->site.port, path);
    return (struct str){at, (size_t)n};
}

static void keep(char *at, size_t cap, struct str s)
{
    snprintf(at, cap, "%.*s", STR_FMT(s));
}

static void on_done(void *ctx, const struct http_result *r);
static void on_piece(void *ctx, unsigned status, struct str bytes);

static struct http_call_params params_of(struct asked *a, struct str url)
{
    return (struct http_call_params){.method = HTTP_GET,
                                     .url = url,
                                     .timeout_ms = 20000,
                                     .body_max_bytes = 4096,
                                     .done = on_done,
                                     .ctx = a};
}

static void start(struct world *w, struct asked *a, const char *path, bool pieces)
{
    char at[128];
    struct http_call_params p = params_of(a, url_of(w, path, at, sizeof(at)));
    p.piece = pieces ? on_piece : NULL;
    a->world = w;
    a->call = http_call_start(w->client, &p);
    assert_non_null(a->call);
    assert_int_equal(a->done, 0);
}

static void meddle(struct asked *a)
{
    if (a->victim != NULL)
        http_call_cancel(&a->victim->call);
    a->victim = NULL;
    if (a->next != NULL)
        start(a->world, a->next, a->next_path, false);
    a->next = NULL;
}

static void on_done(void *ctx, const struct http_result *r)
{
    struct asked *a = ctx;
    a->done++;
    a->status = r->status;
    keep(a->why, sizeof(a->why), str_from(r->why));
    keep(a->body, sizeof(a->body), r->body);
    keep(a->type, sizeof(a->type), r->content_type);
    meddle(a);
    http_call_cancel(&a->call); // too late, and harmless
}

static void on_piece(void *ctx, unsigned status, struct str bytes)
{
    struct asked *a = ctx;
    size_t len = strlen(a->body);
    a->pieces++;
    a->piece_status = status;
    if (len + bytes.n < sizeof(a->body))
        keep(a->body + len, sizeof(a->body) - len, bytes);
    meddle(a);
    if (a->cancel_at_piece)
        http_call_cancel(&a->call);
}

static void turn_until(struct world *w, const unsigned *what, unsigned wanted)
{
    for (int i = 0; i < TURNS_MAX && *what < wanted; i++)
        loop_turn(w->loop, i == 0 ? 0 : 5);
    assert_true(*what >= wanted);
}

static void ask(struct world *w, struct asked *a, const char *path)
{
    *a = (struct asked){0};
    start(w, a, path, false);
    turn_until(w, &a->done, 1);
    assert_int_equal(a->done, 1);
}

static void assert_failed(const struct asked *a, const char *why)
{
    assert_int_equal(a->status, 0);
    assert_string_equal(a->why, why);
    assert_string_equal(a->body, "");
}

static void wait_for_requests(struct world *w, unsigned wanted)
{
    for (int i = 0; i < TURNS_MAX && atomic_load(&w->site.asked) < wanted; i++)
        loop_turn(w->loop, i == 0 ? 0 : 5);
    assert_true(atomic_load(&w->site.asked) >= wanted);
}

static uint64_t under_way(const struct world *w)
{
    struct http_client_stats stats;
    http_client_read_stats(w->client, &stats);
    return stats.under_way;
}

/* ---- tests ---- */

static void test_answers(void **state)
{
    struct world *w = *state;
    struct asked a;
    ask(w, &a, "/ok");
    assert_int_equal(a.status, 200);
    assert_string_equal(a.why, "");
    assert_string_equal(a.body, "hello");
    assert_string_equal(a.type, "text/plain");
    ask(w, &a, "/500");
    assert_int_equal(a.status, 500);
    assert_string_equal(a.body, "sick");
    ask(w, &a, "/chunked");
    assert_string_equal(a.body, "onetwo");
    ask(w, &a, "/redirect");
    assert_int_equal(a.status, 302);
    ask(w, &a, "/close");
    assert_string_equal(a.body, "by");
    assert_int_equal(under_way(w), 0);
}

static void test_posts_what_it_is_given(void **state)
{
    struct world *w = *state;
    struct asked a = {0};
    char at[128], body[] = "{\"a\":1}";
    const struct http_header headers[] = {{STR("Content-Type"), STR("application/json")},
                                          {STR("X-Nothing"), STR_NONE}};
    struct http_call_params p = params_of(&a, url_of(w, "/echo", at, sizeof(at)));
    p.method = HTTP_POST;
    p.headers = headers;
    p.header_count = 2;
    p.body = STR(body);
    assert_non_null(http_call_start(w->client, &p));
    memset(at, 'x', sizeof(at) - 1); // it has been copied
    memset(body, 'x', sizeof(body) - 1);
    turn_until(w, &a.done, 1);
    assert_string_equal(a.body, "{\"a\":1}");
    a = (struct asked){0};
    p.url = url_of(w, "/head", at, sizeof(at));
    assert_non_null(http_call_start(w->client, &p));
    turn_until(w, &a.done, 1);
    assert_non_null(strstr(a.body, "POST /head HTTP/1.1\r\n"));
    assert_non_null(strstr(a.body, "\r\nUser-Agent: test/1\r\n"));
    assert_non_null(strstr(a.body, "\r\nContent-Type: application/json\r\n"));
    assert_non_null(strstr(a.body, "\r\nX-Nothing:"));
    assert_null(strstr(a.body, "Expect"));
}

static void test_refuses_what_is_no_request(void **state)
{
    struct world *w = *state;
    static const char *const urls[] = {
        "",           "ftp://127.0.0.1/", "file:///etc/passwd", "http://",
        "127.0.0.1/", "http://a b/",      "http://h/\r\nX: y"};
    struct asked a = {0};
    for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
        struct http_call_params p = params_of(&a, str_from(urls[i]));
        assert_null(http_call_start(w->client, &p));
    }
    char at[128];
    const struct http_header split = {STR("X-A"), STR("b\r\nX-C: d")};
    struct http_call_params p = params_of(&a, url_of(w, "/ok", at, sizeof(at)));
    p.headers = &split;
    p.header_count = 1;
    assert_null(http_call_start(w->client, &p));
    p.header_count = 0;
    p.method = HTTP_PUT;
    assert_null(http_call_start(w->client, &p));
    assert_int_equal(under_way(w), 0);
}

static void test_failures(void **state)
{
    struct world *w = *state;
    struct asked a;
    unsigned port;
    ask(w, &a, "/cut");
    assert_failed(&a, "the answer was cut off");
    ask(w, &a, "/big");
    assert_failed(&a, "the answer is too long");
    ask(w, &a, "/garbage");
    assert_int_equal(a.status, 0);
    ask(w, &a, "/hangup");
    assert_int_equal(a.status, 0);
    close(listen_somewhere(&port)); // nobody is there any more
    char at[64];
    snprintf(at, sizeof(at), "http://127.0.0.1:%u/", port);
    a = (struct asked){.world = w};
    struct http_call_params p = params_of(&a, str_from(at));
    assert_non_null(http_call_start(w->client, &p));
    turn_until(w, &a.done, 1);
    assert_int_equal(a.status, 0);
    assert_string_not_equal(a.why, "");
}

static void test_timeouts(void **state)
{
    struct world *w = *state;
    struct asked a[3] = {0};
    char at[128];
    struct http_call_params p = params_of(&a[0], url_of(w, "/never", at, sizeof(at)));
    p.timeout_ms = 40;
    assert_non_null(http_call_start(w->client, &p));
    p = params_of(&a[1], url_of(w, "/never", at, sizeof(at)));
    p.timeout_ms = 0;
    p.idle_timeout_ms = 40;
    assert_non_null(http_call_start(w->client, &p));
    p = params_of(&a[2], url_of(w, "/start", at, sizeof(at)));
    p.idle_timeout_ms = 60;
    p.piece = on_piece;
    assert_non_null(http_call_start(w->client, &p));
    for (int i = 0; i < 3; i++) {
        turn_until(w, &a[i].done, 1);
        assert_int_equal(a[i].status, 0);
        assert_string_equal(a[i].why, "no answer in time");
    }
    assert_string_equal(a[2].body, "");
    assert_int_equal(under_way(w), 0);
}

static void test_pieces(void **state)
{
    struct world *w = *state;
    struct asked a = {0};
    start(w, &a, "/chunked", true);
    turn_until(w, &a.done, 1);
    assert_int_equal(a.status, 200);
    assert_int_equal(a.piece_status, 200);
    assert_true(a.pieces >= 1);
    a = (struct asked){0};
    start(w, &a, "/big", true); // no limit holds for what is not kept
    turn_until(w, &a.done, 1);
    assert_int_equal(a.status, 200);
    assert_true(a.pieces > BIG / (64 << 10));
}

static void test_cancels_at_any_time(void **state)
{
    struct world *w = *state;
    struct asked a = {0};
    unsigned asked = atomic_load(&w->site.asked);
    start(w, &a, "/ok", false); // before anything has happened
    http_call_cancel(&a.call);
    assert_null(a.call);
    http_call_cancel(&a.call);
    start(w, &a, "/never", false); // while it waits
    wait_for_requests(w, asked + 1);
    http_call_cancel(&a.call);
    start(w, &a, "/start", true); // in the middle of the answer
    turn_until(w, &a.pieces, 1);
    http_call_cancel(&a.call);
    a.pieces = 0;
    a.cancel_at_piece = true; // inside its own callback
    start(w, &a, "/chunked", true);
    turn_until(w, &a.pieces, 1);
    for (int i = 0; i < 20; i++)
        loop_turn(w->loop, 1);
    assert_int_equal(a.done, 0);
    assert_int_equal(a.pieces, 1);
    assert_int_equal(under_way(w), 0);
}

static void test_meddles_from_callbacks(void **state)
{
    struct world *w = *state;
    for (int pieces = 0; pieces < 2; pieces++) {
        struct asked victim = {0}, next = {0};
        struct asked a = {.victim = &victim, .next = &next, .next_path = "/ok"};
        start(w, &victim, "/never", false);
        start(w, &a, "/chunked", pieces > 0);
        turn_until(w, &a.done, 1);
        turn_until(w, &next.done, 1);
        assert_int_equal(next.status, 200);
        assert_int_equal(victim.done, 0);
        assert_null(victim.call);
        assert_int_equal(under_way(w), 0);
    }
}

static void test_many_in_turn_on_one_connection(void **state)
{
    struct world *w = *state;
    struct asked a;
    for (int i = 0; i < SEQUENTIAL; i++) {
        ask(w, &a, "/ok");
        assert_int_equal(a.status, 200);
    }
    assert_int_equal(atomic_load(&w->site.accepted), 1);
}

static void test_many_at_once(void **state)
{
    struct world *w = *state;
    static const char *const paths[] = {"/ok", "/500", "/cut", "/chunked", "/close"};
    struct asked *all = calloc(PARALLEL, sizeof(*all));
    assert_non_null(all);
    for (int i = 0; i < PARALLEL; i++)
        start(w, &all[i], paths[i % 5], false);
    for (int i = 0; i < PARALLEL; i++)
        turn_until(w, &all[i].done, 1);
    for (int i = 0; i < PARALLEL; i++) {
        static const unsigned statuses[] = {200, 500, 0, 200, 200};
        assert_int_equal(all[i].done, 1);
        assert_int_equal(all[i].status, statuses[i % 5]);
    }
    assert_int_equal(under_way(w), 0);
    free(all);
}

static void test_refuses_too_many(void **state)
{
    struct world *w = *state;
    struct http_client *few =
        http_client_create(w->loop, &(struct http_client_options){.calls_max = 1});
    struct asked a = {0};
    char at[128];
    struct http_call_params p = params_of(&a, url_of(w, "/never", at, sizeof(at)));
    assert_non_null(few);
    struct http_call *call = http_call_start(few, &p);
    assert_non_null(call);
    assert_null(http_call_start(few, &p));
    http_call_cancel(&call);
    call = http_call_start(few, &p);
    assert_non_null(call);
    http_client_destroy(&few); // with a call under way
    loop_turn(w->loop, 0);
    assert_int_equal(a.done, 1);
    assert_failed(&a, "the server ends");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_answers, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_posts_what_it_is_given, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_refuses_what_is_no_request, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_failures, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_timeouts, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_pieces, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_cancels_at_any_time, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_meddles_from_callbacks, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_many_in_turn_on_one_connection, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_many_at_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_refuses_too_many, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
