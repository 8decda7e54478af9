/*
 * metrics.c - the server's figures as Prometheus text (format 0.0.4).
 *
 * Always true: labels come from tables of ours (dialects, close reasons, loops, statuses), never
 * from what a client said, so the number of series is bounded.
 */
#include "metrics/metrics.h"

#include "base/must.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "http/client.h"
#include "http/origin.h"
#include "loop/loop.h"

enum { PAGE_MAX = 1 << 20, DIALECTS_MAX = 64 };

static const uint64_t latency_bounds_ns[] = {
    50000,    100000,   250000,    500000,    1000000,   2500000,    5000000,    10000000,
    25000000, 50000000, 100000000, 250000000, 500000000, 1000000000, 2500000000, 5000000000,
};
enum { LATENCY_BOUND_COUNT = sizeof(latency_bounds_ns) / sizeof(latency_bounds_ns[0]) };

void metrics_loop_init(struct metrics_loop *m)
{
    *m = (struct metrics_loop){0};
    histogram_init(&m->publish_to_write, latency_bounds_ns, LATENCY_BOUND_COUNT);
}

void metrics_observe(void *ctx, uint64_t ns)
{
    struct metrics_loop *m = ctx;
    histogram_observe(&m->publish_to_write, ns);
}

/* ---- lines ---- */

void metrics_put_head(struct buf *b, const char *name, const char *type, const char *help)
{
    buf_add_format(b, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void put_u64(struct buf *b, const char *name, uint64_t v)
{
    buf_add_format(b, "%s %llu\n", name, (unsigned long long)v);
}

void metrics_add(struct metrics_source *source, void (*put)(void *ctx, struct buf *page), void *ctx)
{
    MUST(source->more_count < METRICS_MORE_MAX);
    source->more[source->more_count++] = (struct metrics_more){put, ctx};
}

void metrics_put_counter(struct buf *b, const char *name, const char *help, uint64_t v)
{
    metrics_put_head(b, name, "counter", help);
    put_u64(b, name, v);
}

void metrics_put_gauge(struct buf *b, const char *name, const char *help, uint64_t v)
{
    metrics_put_head(b, name, "gauge", help);
    put_u64(b, name, v);
}

void metrics_put_labelled(struct buf *b, const char *name, const char *label, const char *value,
                          uint64_t v)
{
    buf_add_format(b, "%s{%s=\"%s\"} %llu\n", name, label, value, (unsigned long long)v);
}

/* ---- of the connections ---- */

static uint64_t bytes_in(const struct flusher *f)
{
    return atomic_load_explicit(&f->bytes_in, memory_order_relaxed);
}
static uint64_t bytes_out(const struct flusher *f)
{
    return atomic_load_explicit(&f->bytes_out, memory_order_relaxed);
}
static uint64_t sends(const struct flusher *f)
{
    return atomic_load_explicit(&f->sends, memory_order_relaxed);
}
static uint64_t frames_out(const struct flusher *f)
{
    return atomic_load_explicit(&f->frames_out, memory_order_relaxed);
}
static uint64_t own_bytes_waiting(const struct flusher *f)
{
    return atomic_load_explicit(&f->own_bytes_waiting, memory_order_relaxed);
}
static uint64_t log_bytes(const struct flusher *f)
{
    return (uint64_t)gauge_get(&f->outflow.log_bytes);
}
static uint64_t open_count(const struct flusher *f)
{
    return atomic_load_explicit(&f->open_count, memory_order_relaxed);
}

static uint64_t sum(const struct metrics_source *src, uint64_t (*figure)(const struct flusher *f))
{
    uint64_t total = 0;
    for (unsigned i = 0; i < src->loop_count; i++)
        total += figure(src->loops[i].flusher);
    return total;
}

static void put_closes(struct buf *b, const struct metrics_source *src)
{
    const char *name = "recado_closes_total";
    metrics_put_head(b, name, "counter", "Connections that have ended, by reason.");
    for (int reason = CLOSE_NONE + 1; reason < CLOSE_REASON_COUNT; reason++) {
        uint64_t total = 0;
        for (unsigned i = 0; i < src->loop_count; i++)
            total +=
                atomic_load_explicit(&src->loops[i].flusher->closes[reason], memory_order_relaxed);
        metrics_put_labelled(b, name, "reason", close_name((enum close_reason)reason), total);
    }
}

static void put_connections(struct buf *b, const struct metrics_source *src)
{
    metrics_put_gauge(b, "recado_connections", "Open connections of every kind.",
                      sum(src, open_count));
    metrics_put_gauge(b, "recado_connections_max", "The limit of recado_connections.",
                      src->connections_max);
    metrics_put_counter(b, "recado_connections_refused_total", "Connections refused over a limit.",
                        atomic_load_explicit(&src->refused_connections, memory_order_relaxed));
    metrics_put_counter(b, "recado_bytes_in_total", "Bytes read from connections.",
                        sum(src, bytes_in));
    metrics_put_counter(b, "recado_bytes_out_total", "Bytes written to connections.",
                        sum(src, bytes_out));
    metrics_put_counter(b, "recado_sends_total", "Writes to sockets; one may carry many frames.",
                        sum(src, sends));
    metrics_put_gauge(b, "recado_queue_bytes",
                      "Bytes of single connections that wait for their sockets.",
                      sum(src, own_bytes_waiting));
    put_closes(b, src);
}

static double seconds(uint64_t ns)
{
    return (double)ns / 1e9;
}

/* ---- of the hub ---- */

static void put_sessions(struct buf *b, const struct metrics_source *src)
{
    struct dialect_count dialects[DIALECTS_MAX];
    size_t count = node_read_dialects(src->node, dialects, DIALECTS_MAX);
    metrics_put_head(b, "recado_sessions", "gauge", "Connected clients, by dialect.");
    for (size_t i = 0; i < count; i++)
        metrics_put_labelled(b, "recado_sessions", "dialect", dialects[i].dialect,
                             dialects[i].sessions);
}

static void put_hub(struct buf *b, const struct metrics_source *src)
{
    struct hub_stats h;
    node_read_stats(src->node, &h);
    put_sessions(b, src);
    metrics_put_gauge(b, "recado_channels",
                      "Channels that have subscribers or something to remember.", h.channels);
    metrics_put_gauge(b, "recado_subscriptions", "Subscriptions of all sessions.", h.subscriptions);
    metrics_put_counter(b, "recado_publishes_total", "Events accepted from publishers.",
                        h.publishes);
    metrics_put_counter(b, "recado_publish_bytes_total", "Bytes of their data.", h.publish_bytes);
    metrics_put_counter(b, "recado_deliveries_total", "Frames of events written to subscribers.",
                        sum(src, frames_out));
    metrics_put_counter(b, "recado_duplicates_total", "Publishes dropped by their idempotency key.",
                        h.duplicates);
    metrics_put_counter(b, "recado_joins_total", "Clients that have appeared in a channel.",
                        h.joins);
    metrics_put_counter(b, "recado_leaves_total", "Clients that have left a channel.", h.leaves);
    metrics_put_head(b, "recado_recoveries_total", "counter",
                     "Subscriptions that asked for what they missed.");
    metrics_put_labelled(b, "recado_recoveries_total", "result", "recovered", h.recovered);
    metrics_put_labelled(b, "recado_recoveries_total", "result", "not_recovered", h.not_recovered);
    metrics_put_counter(b, "recado_resyncs_total",
                        "Slow subscribers brought up to date from history.", h.resyncs);
    metrics_put_counter(b, "recado_overruns_total",
                        "Subscribers that fell off the log of a channel.", h.overruns);
    metrics_put_gauge(b, "recado_records", "Messages that are being written piece by piece.",
                      h.records);
    metrics_put_counter(b, "recado_record_appends_total", "Pieces added to them.",
                        h.record_appends);
    metrics_put_gauge(b, "recado_feed_bytes",
                      "Encoded events kept for subscribers that are behind.", sum(src, log_bytes));
}

/* Only where there is one. */
static void put_store(struct buf *b, const struct metrics_source *src)
{
    struct node_store_stats s;
    if (!node_read_store(src->node, &s))
        return;
    metrics_put_gauge(b, "recado_store_up", "The store can be written to: 1, or 0.", s.usable);
    metrics_put_gauge(b, "recado_store_streams", "Streams of durable channels that are kept.",
                      s.streams);
    metrics_put_gauge(b, "recado_store_waiting_bytes", "Events that wait for their commit.",
                      s.waiting_bytes);
    metrics_put_counter(b, "recado_store_commits_total", "Transactions that were committed.",
                        s.commits);
    metrics_put_counter(b, "recado_store_events_total", "Events committed by them.", s.events);
    metrics_put_counter(b, "recado_store_bytes_total", "Bytes of these events.", s.events_bytes);
    metrics_put_counter(b, "recado_store_failures_total", "Transactions that failed.", s.failures);
    metrics_put_counter(b, "recado_store_reads_total", "Reads of what memory no longer held.",
                        s.reads);
    metrics_put_head(b, "recado_store_commit_seconds_total", "counter",
                     "Time spent in transactions.");
    buf_add_format(b, "recado_store_commit_seconds_total %.9f\n", seconds(s.commit_ns));
}

void metrics_put_seconds(struct buf *b, const char *name, const char *help,
                         const struct histogram *h, double unit)
{
    uint64_t below = 0;
    metrics_put_head(b, name, "histogram", help);
    for (uint32_t i = 0; i < h->bound_count; i++) {
        below += counter_get(&h->counts[i]);
        buf_add_format(b, "%s_bucket{le=\"%g\"} %llu\n", name, (double)h->bounds[i] * unit,
                       (unsigned long long)below);
    }
    below += counter_get(&h->counts[h->bound_count]);
    buf_add_format(b, "%s_bucket{le=\"+Inf\"} %llu\n", name, (unsigned long long)below);
    buf_add_format(b, "%s_sum %.9f\n", name, (double)counter_get(&h->sum) * unit);
    buf_add_format(b, "%s_count %llu\n", name, (unsigned long long)below);
}

static void put_latency(struct buf *b, const struct metrics_source *src)
{
    struct histogram all;
    histogram_init(&all, latency_bounds_ns, LATENCY_BOUND_COUNT);
    for (unsigned i = 0; i < src->loop_count; i++)
        histogram_merge(&all, &src->loops[i].publish_to_write);
    metrics_put_seconds(
        b, "recado_publish_to_write_seconds",
        "Time from an event's encoding until it was offered to every subscriber's socket.", &all,
        1e-9);
}

/* ---- of HTTP and the loops ---- */

static void put_http(struct buf *b, const struct metrics_source *src)
{
    struct http_stats all = {0};
    for (unsigned i = 0; i < src->loop_count * 2; i++) {
        const struct http_server *server = src->loops[i / 2].servers[i % 2];
        struct http_stats one;
        if (server == NULL)
            continue;
        http_server_read_stats(server, &one);
        all.bad_requests += one.bad_requests;
        for (int k = 1; k <= 5; k++)
            all.by_status[k] += one.by_status[k];
    }
    metrics_put_head(b, "recado_http_requests_total", "counter",
                     "HTTP answers, by class of status.");
    for (int k = 1; k <= 5; k++)
        buf_add_format(b, "recado_http_requests_total{status=\"%dxx\"} %llu\n", k,
                       (unsigned long long)all.by_status[k]);
    metrics_put_counter(b, "recado_http_bad_requests_total",
                        "Requests refused before any route saw them.", all.bad_requests);
}

static void put_loops(struct buf *b, const struct metrics_source *src)
{
    struct loop_stats stats[64];
    unsigned count = src->loop_count < 64 ? src->loop_count : 64;
    for (unsigned i = 0; i < count; i++)
        loop_read_stats(src->loops[i].loop, &stats[i]);
    metrics_put_head(b, "recado_loop_busy_seconds_total", "counter", "Time a loop did not sleep.");
    for (unsigned i = 0; i < count; i++)
        buf_add_format(b, "recado_loop_busy_seconds_total{loop=\"%u\"} %.6f\n", i,
                       seconds(stats[i].busy_ns));
    metrics_put_head(b, "recado_loop_turns_total", "counter", "Turns of a loop.");
    for (unsigned i = 0; i < count; i++)
        buf_add_format(b, "recado_loop_turns_total{loop=\"%u\"} %llu\n", i,
                       (unsigned long long)stats[i].turns);
    metrics_put_head(b, "recado_loop_events_total", "counter",
                     "Events of descriptors that a loop handled.");
    for (unsigned i = 0; i < count; i++)
        buf_add_format(b, "recado_loop_events_total{loop=\"%u\"} %llu\n", i,
                       (unsigned long long)stats[i].events);
}

static void put_calls(struct buf *b, const struct metrics_source *src)
{
    struct http_client_stats total = {0};
    for (unsigned i = 0; i < src->loop_count; i++) {
        struct http_client_stats stats;
        if (src->loops[i].client == NULL)
            continue;
        http_client_read_stats(src->loops[i].client, &stats);
        total.calls += stats.calls;
        total.failures += stats.failures;
        total.under_way += stats.under_way;
    }
    metrics_put_counter(b, "recado_backend_requests_total", "Requests sent to back ends.",
                        total.calls);
    metrics_put_counter(b, "recado_backend_failures_total",
                        "Requests to back ends that brought no whole answer.", total.failures);
    metrics_put_gauge(b, "recado_backend_requests_under_way", "Requests to back ends that wait.",
                      total.under_way);
}

/* ---- of the process ---- */

/* Resident bytes; 0: the kernel does not say. */
static uint64_t memory_bytes(void)
{
    unsigned long long size = 0, resident = 0;
    FILE *f = fopen("/proc/self/statm", "re");
    if (f == NULL)
        return 0;
    int got = fscanf(f, "%llu %llu", &size, &resident);
    fclose(f);
    return got == 2 ? resident * (uint64_t)sysconf(_SC_PAGESIZE) : 0;
}

static uint64_t open_fds(void)
{
    uint64_t count = 0;
    DIR *dir = opendir("/proc/self/fd");
    if (dir == NULL)
        return 0;
    for (const struct dirent *e; (e = readdir(dir)) != NULL;)
        count += e->d_name[0] != '.';
    closedir(dir);
    return count > 0 ? count - 1 : 0; // less the one of this look
}

static double cpu_seconds(void)
{
    struct rusage u;
    if (getrusage(RUSAGE_SELF, &u) != 0)
        return 0;
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static void put_process(struct buf *b, const struct metrics_source *src)
{
    metrics_put_head(b, "recado_info", "gauge", "Which program this is.");
    metrics_put_labelled(b, "recado_info", "version", src->version, 1);
    metrics_put_head(b, "recado_uptime_seconds", "gauge", "Time since the start.");
    buf_add_format(b, "recado_uptime_seconds %.3f\n", seconds(clock_mono_ns() - src->started_ns));
    metrics_put_head(b, "recado_start_time_seconds", "gauge",
                     "When it started, in seconds since 1970.");
    buf_add_format(b, "recado_start_time_seconds %.3f\n", (double)src->started_ms / 1e3);
    metrics_put_gauge(b, "recado_memory_bytes", "Resident memory.", memory_bytes());
    metrics_put_gauge(b, "recado_open_fds", "Open file descriptors.", open_fds());
    metrics_put_head(b, "process_cpu_seconds_total", "counter", "User and system CPU time spent.");
    buf_add_format(b, "process_cpu_seconds_total %.6f\n", cpu_seconds());
}

/* The page of another site, or of a name that was let point here, may not read what a scraper may:
 * as with the API. */
static bool page_ok(struct http_request *r, const struct admission *a)
{
    const char *why = http_page_refusal(r, auth_has_api_key(a->auth), a->origins, a->origin_count);
    return why == NULL || http_refuse(r, ERR_PERMISSION_DENIED, why);
}

static void route_metrics(struct http_request *r)
{
    const struct metrics_source *src = r->route_ctx;
    struct buf page;
    if (!page_ok(r, admission_now(src->admission)))
        return;
    buf_init(&page, PAGE_MAX);
    put_process(&page, src);
    put_connections(&page, src);
    put_hub(&page, src);
    put_store(&page, src);
    put_latency(&page, src);
    put_http(&page, src);
    put_loops(&page, src);
    put_calls(&page, src);
    for (unsigned i = 0; i < src->more_count; i++)
        src->more[i].put(src->more[i].ctx, &page);
    http_reply(r, 200, STR("text/plain; version=0.0.4; charset=utf-8"), buf_str(&page), STR_NONE);
    buf_fini(&page);
}

bool metrics_routes(struct http_router *rt, const struct metrics_source *source)
{
    return http_router_add(rt, 1u << HTTP_GET | 1u << HTTP_HEAD, "/metrics", route_metrics,
                           (void *)(uintptr_t)source);
}
