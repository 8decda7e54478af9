/*
 * bench_modes.c - fanout, echo and connections: what each sends, counts and prints.
 *
 * Always true: a message is completed when all subscribers have it; messages are completed in the
 * order in which they were published.
 */
#include "app/bench.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"

enum { FEED_MAX = 4096, SETTLE_MS = 200 };

static int failed(const struct bench *b)
{
    return cli_fail(b->spec, "%s", b->why);
}

static void settle(struct bench *b, uint64_t ms)
{
    uint64_t until = clock_mono_ns() + ms * 1000000;
    while (clock_mono_ns() < until && b->lost == 0)
        bench_poll(b, 10);
}

/* ---- fanout ---- */

static void count_fanout(struct bench *b, struct bench_conn *c, unsigned count)
{
    b->deliveries += count;
    for (unsigned i = 0; i < count; i++, c->got++) {
        if (c->got >= b->published) {
            bench_fail(b, "a subscriber got a message that was not published: is somebody else "
                          "publishing to the channel?");
            return;
        }
        if (++b->received_by[c->got % BENCH_RING] == b->conn_count)
            b->completed = c->got + 1;
    }
}

static void publish(struct bench *b, uint64_t time_ns)
{
    bench_payload_stamp(&b->payload, time_ns, b->published);
    b->received_by[b->published % BENCH_RING] = 0;
    b->published++;
    bench_queue(b, &b->publisher, (struct str){b->payload.bytes, b->payload.n});
}

/* At a fixed rate the stamp is the time at which the message was due: a server that stalls is seen
 * with the latency that its clients would have. */
static void feed_rate(struct bench *b, uint64_t start_ns)
{
    uint64_t now = clock_mono_ns();
    for (unsigned i = 0; i < FEED_MAX; i++) {
        uint64_t due = start_ns + (uint64_t)((double)b->published * 1e9 / (double)b->rate);
        if (due > now || b->published - b->completed >= BENCH_RING - 1)
            break;
        publish(b, due);
    }
    bench_flush(b, &b->publisher);
}

static void feed_window(struct bench *b, uint64_t start_ns)
{
    (void)start_ns;
    while (b->published - b->completed < b->window && b->publisher.state == BENCH_OPEN)
        publish(b, clock_mono_ns());
    bench_flush(b, &b->publisher);
}

int bench_fanout(struct bench *b)
{
    b->messages = count_fanout;
    b->ordered = true;
    if (!bench_open_all(b, true))
        return failed(b);
    settle(b, SETTLE_MS);
    bool ok = b->lost == 0 && bench_run(b, b->rate > 0 ? feed_rate : feed_window);
    if (ok && b->deliveries == 0)
        ok = bench_fail(b, "no message came back: may this client publish to the channel?");
    return ok ? CLI_DONE : failed(b);
}

/* ---- echo ---- */

static void send_copies(struct bench *b, struct bench_conn *c, uint64_t count)
{
    struct buf burst;
    struct str one = {b->payload.bytes, b->payload.n};
    bench_payload_stamp(&b->payload, clock_mono_ns(), 0);
    if (count == 1) {
        bench_send(b, c, one);
        return;
    }
    buf_init(&burst, count * one.n);
    buf_reserve(&burst, count * one.n);
    for (uint64_t i = 0; i < count; i++)
        buf_add(&burst, one);
    bench_send(b, c, buf_str(&burst));
    buf_fini(&burst);
}

static void count_echo(struct bench *b, struct bench_conn *c, unsigned count)
{
    b->deliveries += count;
    b->completed += count;
    send_copies(b, c, count);
}

int bench_echo(struct bench *b)
{
    b->messages = count_echo;
    b->rate = 0;
    if (!bench_open_all(b, false))
        return failed(b);
    settle(b, SETTLE_MS);
    b->running = true;
    for (uint64_t i = 0; i < b->conn_count; i++)
        send_copies(b, &b->conns[i], b->window);
    bool ok = b->lost == 0 && bench_run(b, NULL);
    if (ok && b->deliveries == 0)
        ok = bench_fail(b, "no message came back: does the server echo?");
    return ok ? CLI_DONE : failed(b);
}

/* ---- connections ---- */

static uint64_t per_conn(const struct bench *b, uint64_t before_kb, uint64_t after_kb)
{
    return after_kb > before_kb ? (after_kb - before_kb) * 1024 / b->conn_count : 0;
}

static void report_memory(const struct bench *b, const struct proc_memory *before, double seconds)
{
    struct proc_memory after = proc_memory_read((pid_t)b->server_pid);
    struct proc_memory own = proc_memory_read(getpid());
    unsigned long long n = b->conn_count, rss = per_conn(b, before->rss_kb, after.rss_kb);
    unsigned long long slab = per_conn(b, before->slab_kb, after.slab_kb);
    unsigned long long used = per_conn(b, after.available_kb, before->available_kb);
    if (b->out.json) {
        printf("{\"mode\":\"connections\",\"protocol\":\"%s\",\"connections\":%llu,"
               "\"open_s\":%.2f,\"connections_per_s\":%.0f,",
               b->protocol_name, n, seconds, (double)n / seconds);
        if (b->server_pid > 0)
            printf("\"server_rss_kb\":%llu,\"server_bytes_per_connection\":%llu,",
                   (unsigned long long)after.rss_kb, rss);
        printf("\"kernel_slab_bytes_per_connection_both_ends\":%llu,"
               "\"machine_bytes_per_connection_both_ends\":%llu,\"client_rss_kb\":%llu}\n",
               slab, used, (unsigned long long)own.rss_kb);
    } else {
        printf("%llu connections open after %.2f s (%.0f/s)\n", n, seconds, (double)n / seconds);
        if (b->server_pid > 0)
            printf("  server          %8llu bytes each, %llu KiB in all\n", rss,
                   (unsigned long long)after.rss_kb);
        printf("  kernel          %8llu bytes each (slab, both ends)\n", slab);
        printf("  machine         %8llu bytes each (both ends, this program included)\n", used);
    }
    fflush(stdout);
}

int bench_connections(struct bench *b)
{
    struct proc_memory before = proc_memory_read((pid_t)b->server_pid);
    uint64_t start = clock_mono_ns();
    if (!bench_open_all(b, false))
        return failed(b);
    double seconds = (double)(clock_mono_ns() - start) / 1e9;
    settle(b, SETTLE_MS);
    if (b->lost == 0)
        report_memory(b, &before, seconds);
    settle(b, b->time_ms);
    return b->lost == 0 ? CLI_DONE : failed(b);
}
