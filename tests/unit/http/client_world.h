/* client_world.h - the HTTP client, and a real server over sockets for it: a thread that answers as
 * it is told, with everything that a server can do wrong.
 *
 * Thread:  the test's, and the server's own.
 * Memory:  set_up() to tear_down().
 * Failure: the test's. */
#ifndef UNIT_HTTP_CLIENT_WORLD_H
#define UNIT_HTTP_CLIENT_WORLD_H

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

static inline void say(int fd, const char *p, size_t n)
{
    while (n > 0) {
        ssize_t sent = send(fd, p, n, MSG_NOSIGNAL);
        if (sent <= 0)
            return;
        p += sent;
        n -= (size_t)sent;
    }
}

static inline void say_text(int fd, const char *z)
{
    say(fd, z, strlen(z));
}

static inline void say_big(int fd)
{
    char *big = malloc(BIG);
    assert_non_null(big);
    memset(big, 'b', BIG);
    say_text(fd, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n300000\r\n");
    say(fd, big, BIG);
    say_text(fd, "\r\n0\r\n\r\n");
    free(big);
}

static inline void say_echo(int fd, const char *body)
{
    char head[128];
    snprintf(head, sizeof(head), "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", strlen(body));
    say_text(fd, head);
    say_text(fd, body);
}

/* False: the connection ends. */
static inline bool answer(struct peer *p, const char *body)
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
    else if (strncmp(path, "/moved", 6) == 0) // and the connection stays open
        say_text(p->fd, "HTTP/1.1 302 Found\r\nLocation: /ok\r\n\r\nlook there");
    else if (strncmp(path, "/switch", 7) == 0)
        say_text(p->fd, "HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\n\r\n");
    else if (strncmp(path, "/early", 6) == 0)
        say_text(p->fd, "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
                        "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlate");
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
static inline bool peer_read(struct site *s, struct peer *p)
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

static inline void site_accept(struct site *s)
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

static inline void *site_run(void *arg)
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

static inline int listen_somewhere(unsigned *ret_port)
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

static inline void watch(struct site *s, int fd)
{
    struct epoll_event ev = {.events = EPOLLIN, .data.fd = fd};
    assert_return_code(epoll_ctl(s->epoll_fd, EPOLL_CTL_ADD, fd, &ev), errno);
}

static inline void site_open(struct site *s)
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

static inline void site_close(struct site *s)
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

static inline int set_up(void **state)
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

static inline int tear_down(void **state)
{
    struct world *w = *state;
    http_client_destroy(&w->client);
    loop_turn(w->loop, 0);
    loop_destroy(&w->loop);
    site_close(&w->site);
    free(w);
    return 0;
}

static inline struct str url_of(const struct world *w, const char *path, char *at, size_t cap)
{
    int n = snprintf(at, cap, "http://127.0.0.1:%u%s", w->site.port, path);
    return (struct str){at, (size_t)n};
}

static inline void keep(char *at, size_t cap, struct str s)
{
    snprintf(at, cap, "%.*s", STR_FMT(s));
}

static inline void on_done(void *ctx, const struct http_result *r);
static inline void on_piece(void *ctx, unsigned status, struct str bytes);

static inline struct http_call_params params_of(struct asked *a, struct str url)
{
    return (struct http_call_params){.method = HTTP_GET,
                                     .url = url,
                                     .timeout_ms = 20000,
                                     .body_max_bytes = 4096,
                                     .done = on_done,
                                     .ctx = a};
}

static inline void start(struct world *w, struct asked *a, const char *path, bool pieces)
{
    char at[128];
    struct http_call_params p = params_of(a, url_of(w, path, at, sizeof(at)));
    p.piece = pieces ? on_piece : NULL;
    a->world = w;
    a->call = http_call_start(w->client, &p);
    assert_non_null(a->call);
    assert_int_equal(a->done, 0);
}

static inline void meddle(struct asked *a)
{
    if (a->victim != NULL)
        http_call_cancel(&a->victim->call);
    a->victim = NULL;
    if (a->next != NULL)
        start(a->world, a->next, a->next_path, false);
    a->next = NULL;
}

static inline void on_done(void *ctx, const struct http_result *r)
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

static inline void on_piece(void *ctx, unsigned status, struct str bytes)
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

static inline void turn_until(struct world *w, const unsigned *what, unsigned wanted)
{
    for (int i = 0; i < TURNS_MAX && *what < wanted; i++)
        loop_turn(w->loop, i == 0 ? 0 : 5);
    assert_true(*what >= wanted);
}

static inline void ask(struct world *w, struct asked *a, const char *path)
{
    *a = (struct asked){0};
    start(w, a, path, false);
    turn_until(w, &a->done, 1);
    assert_int_equal(a->done, 1);
}

static inline void assert_failed(const struct asked *a, const char *why)
{
    assert_int_equal(a->status, 0);
    assert_string_equal(a->why, why);
    assert_string_equal(a->body, "");
}

static inline void wait_for_requests(struct world *w, unsigned wanted)
{
    for (int i = 0; i < TURNS_MAX && atomic_load(&w->site.asked) < wanted; i++)
        loop_turn(w->loop, i == 0 ? 0 : 5);
    assert_true(atomic_load(&w->site.asked) >= wanted);
}

static inline uint64_t under_way(const struct world *w)
{
    struct http_client_stats stats;
    http_client_read_stats(w->client, &stats);
    return stats.under_way;
}

#endif
