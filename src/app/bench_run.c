/*
 * bench_run.c - the beginning, the middle and the end of every measurement.
 *
 * Always true: what happens before measuring is set is not in the latencies, and the figures are
 * the difference of two snapshots.
 */
#include "app/bench.h"

#include <errno.h>
#include <netdb.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"

enum { READ_SIZE = 512 * 1024, SPARE_FDS = 64, REST_MS = 3000 };

bool bench_fail(struct bench *b, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    if (!b->failed)
        vsnprintf(b->why, sizeof(b->why), format, args);
    va_end(args);
    b->failed = true;
    return false;
}

static bool raise_fd_limit(struct bench *b)
{
    struct rlimit r;
    rlim_t need = (rlim_t)b->conn_count + SPARE_FDS;
    getrlimit(RLIMIT_NOFILE, &r);
    if (r.rlim_cur >= need)
        return true;
    r.rlim_cur = need;
    if (r.rlim_max < need)
        r.rlim_max = need;
    if (setrlimit(RLIMIT_NOFILE, &r) == 0)
        return true;
    return bench_fail(b, "%llu connections need a higher limit of open files (ulimit -n): %s",
                      (unsigned long long)b->conn_count, strerror(errno));
}

static bool resolve(struct bench *b)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found = NULL;
    int e = getaddrinfo(b->url.host, b->url.port, &hints, &found);
    if (e != 0)
        return bench_fail(b, "%s: %s", b->url.host, gai_strerror(e));
    memcpy(&b->target, found->ai_addr, found->ai_addrlen);
    b->target_len = found->ai_addrlen;
    freeaddrinfo(found);
    return true;
}

bool bench_init(struct bench *b)
{
    b->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    b->publisher.stream.fd = -1;
    if (!raise_fd_limit(b) || !resolve(b))
        return false;
    if (b->server_pid > 0 && !proc_exists((pid_t)b->server_pid))
        return bench_fail(b, "--pid: there is no process %llu", (unsigned long long)b->server_pid);
    b->tls = b->url.tls ? stream_tls_context(!b->insecure) : NULL;
    b->read_buf = malloc(READ_SIZE);
    b->conns = calloc(b->conn_count, sizeof(*b->conns));
    b->received_by = calloc(BENCH_RING, sizeof(*b->received_by));
    if (b->epoll_fd < 0 || b->read_buf == NULL || b->conns == NULL || b->received_by == NULL)
        return bench_fail(b, "out of memory");
    for (uint64_t i = 0; i < b->conn_count; i++) {
        b->conns[i].stream.fd = -1;
        b->conns[i].state = BENCH_CLOSED;
    }
    b->publisher.state = BENCH_CLOSED;
    uint64_t n = b->sample_count < b->conn_count ? b->sample_count : b->conn_count;
    for (uint64_t i = 0; i < n; i++) {
        struct bench_conn *c = &b->conns[i * b->conn_count / n];
        c->sample = calloc(1, sizeof(*c->sample));
    }
    proc_softirq_find(&b->softirq, (pid_t)b->server_pid);
    return bench_payload_make(b);
}

static void conn_fini(struct bench *b, struct bench_conn *c)
{
    bench_lost(b, c, "done"); // closes and frees
    free(c->sample);
    free(c->sid);
}

void bench_fini(struct bench *b)
{
    for (uint64_t i = 0; b->conns != NULL && i < b->conn_count; i++)
        conn_fini(b, &b->conns[i]);
    if (b->conns != NULL)
        conn_fini(b, &b->publisher);
    for (unsigned i = 0; i < b->text_count; i++)
        buf_fini(&b->texts[i]);
    SSL_CTX_free(b->tls);
    free(b->payload.bytes);
    free(b->read_buf);
    free(b->conns);
    free(b->received_by);
    free(b->sent_ns);
    if (b->epoll_fd >= 0)
        close(b->epoll_fd);
}

struct bench_snapshot bench_snapshot_take(struct bench *b)
{
    return (struct bench_snapshot){
        .time_ns = clock_mono_ns(),
        .server_ns = proc_cpu_ns((pid_t)b->server_pid),
        .softirq_ns = proc_softirq_ns(&b->softirq),
        .own_ns = proc_cpu_ns(getpid()),
        .deliveries = b->deliveries,
        .bytes = b->bytes,
        .completed = b->completed,
        .published = b->published,
    };
}

/* What was published last is still under way; false: a connection was lost. */
static bool wait_for_rest(struct bench *b)
{
    uint64_t until = clock_mono_ns() + REST_MS * 1000000ull;
    while (b->completed < b->published && clock_mono_ns() < until && b->lost == 0)
        bench_poll(b, 1);
    b->missing = b->published - b->completed;
    return b->lost == 0 && !b->failed;
}

bool bench_run(struct bench *b, void (*feed)(struct bench *b, uint64_t start_ns))
{
    uint64_t start = clock_mono_ns();
    uint64_t begin = start + b->warmup_ms * 1000000, end = begin + b->time_ms * 1000000;
    struct bench_snapshot from = {0}, to;
    b->running = true;
    for (;;) {
        uint64_t now = clock_mono_ns();
        if (!b->measuring && now >= begin) {
            from = bench_snapshot_take(b);
            b->measuring = true;
        }
        if (now >= end)
            break;
        if (feed != NULL)
            feed(b, start);
        bench_poll(b, b->rate > 0 ? 0 : 1);
        if (b->lost > 0 || b->failed)
            return false;
    }
    to = bench_snapshot_take(b);
    b->measuring = false;
    if (b->ordered && !wait_for_rest(b))
        return false;
    b->running = false;
    bench_report(b, &from, &to);
    return true;
}
