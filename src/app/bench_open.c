/*
 * bench_open.c - opens all connections of a load generator, a bounded number at a time.
 *
 * Every 8000 connections come from another source address (127.0.0.2, .3, ...): one address has
 * not many more ports, and the kernel's search gets slow when a third of them is taken. Several
 * generators on one machine begin at different addresses (source_first).
 */
#include "app/bench.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/clock.h"

enum { PER_ADDRESS = 8000, STUCK_MS = 10000 };

static bool bind_source(const struct bench *b, int fd, uint64_t index)
{
    int one = 1;
    struct sockaddr_in target, in = {.sin_family = AF_INET};
    if (b->target.ss_family != AF_INET)
        return true;
    memcpy(&target, &b->target, sizeof(target));
    if (ntohl(target.sin_addr.s_addr) >> 24 != 127)
        return true;
    in.sin_addr.s_addr =
        htonl(INADDR_LOOPBACK + 1 + (uint32_t)(b->source_first + index / PER_ADDRESS));
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof(one));
    return bind(fd, (struct sockaddr *)&in, sizeof(in)) == 0;
}

static bool start_connect(struct bench *b, struct bench_conn *c, uint64_t index)
{
    int one = 1;
    int fd = socket(b->target.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    struct epoll_event e = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = c};
    c->stream.fd = fd;
    c->state = BENCH_CONNECTING;
    b->opened++;
    if (fd < 0 || !bind_source(b, fd, index))
        return bench_fail(b, "socket %llu: %s", (unsigned long long)index, strerror(errno));
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    if (connect(fd, (struct sockaddr *)&b->target, b->target_len) != 0 && errno != EINPROGRESS)
        return bench_fail(b, "cannot connect to %s port %s: %s", b->url.host, b->url.port,
                          strerror(errno));
    if (epoll_ctl(b->epoll_fd, EPOLL_CTL_ADD, fd, &e) != 0)
        return bench_fail(b, "epoll: %s", strerror(errno));
    return true;
}

/* Nothing moves: says what the first one that waits has been told so far. */
static bool fail_stuck(struct bench *b)
{
    struct bench_conn *c = &b->publisher;
    for (uint64_t i = 0; i < b->conn_count; i++) {
        if (b->conns[i].state == BENCH_OPENING || b->conns[i].state == BENCH_SETUP) {
            c = &b->conns[i];
            break;
        }
    }
    char said[300];
    size_t n = 0;
    for (; c->early != NULL && n < c->early->len && n < sizeof(said) - 1; n++)
        said[n] = c->early->p[n] >= ' ' && c->early->p[n] < 0x7f ? c->early->p[n] : '.';
    said[n] = '\0';
    return bench_fail(b, "%llu connections are open, no more within %d s; the next one heard: %s",
                      (unsigned long long)b->ready, STUCK_MS / 1000, said);
}

bool bench_open_all(struct bench *b, bool with_publisher)
{
    uint64_t total = b->conn_count + with_publisher, seen = 0, moved_ns = clock_mono_ns();
    b->publisher.publisher = true;
    while (b->ready < total) {
        while (b->opened < total && b->opened - b->ready < b->opening_max) {
            uint64_t i = b->opened;
            if (!start_connect(b, i < b->conn_count ? &b->conns[i] : &b->publisher, i))
                return false;
        }
        bench_poll(b, 100);
        if (b->lost > 0)
            return false;
        uint64_t now = clock_mono_ns();
        if (b->ready != seen)
            moved_ns = now;
        seen = b->ready;
        if (now - moved_ns > STUCK_MS * 1000000ull)
            return fail_stuck(b);
    }
    return true;
}
