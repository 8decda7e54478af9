/* metrics.h - figures for Prometheus, and whether the server is alive and ready.
 * Thread:  routes run on any loop; everything they read is atomic or constant.
 * Memory:  the source is the app's and outlives the routes.
 * Failure: none. */
#ifndef METRICS_METRICS_H
#define METRICS_METRICS_H

#include "auth/admission.h"
#include "base/stats.h"
#include "http/http.h"
#include "hub/hub.h"

/* What one loop has to show. */
struct metrics_loop {
    const struct loop *loop;
    const struct flusher *flusher;
    const struct http_server *servers[2]; // public, internal; NULL: none
    const struct http_client *client;     // requests to back ends; NULL: none
    struct histogram publish_to_write;    // seconds; filled by metrics_observe()
};

/* What a service shows beside that. */
enum { METRICS_MORE_MAX = 16 };
struct metrics_more {
    void (*put)(void *ctx, struct buf *page);
    void *ctx;
};

struct metrics_source {
    const struct node *node;
    const admission_slot *admission;
    struct metrics_loop *loops;
    unsigned loop_count;
    const char *version;
    uint64_t started_ns; // monotonic
    int64_t started_ms;  // wall clock
    atomic_bool draining;
    atomic_bool bus_ok;
    _Atomic uint64_t refused_connections; // over a limit
    uint64_t connections_max;
    struct metrics_more more[METRICS_MORE_MAX]; // before the loops run
    unsigned more_count;
};

/* Before the loops run. */
void metrics_add(struct metrics_source *source, void (*put)(void *ctx, struct buf *page),
                 void *ctx);
/* Lines of the page, for those. */
void metrics_put_counter(struct buf *b, const char *name, const char *help, uint64_t v);
void metrics_put_gauge(struct buf *b, const char *name, const char *help, uint64_t v);
/* The lines about the lines, then one for each label's value. */
void metrics_put_head(struct buf *b, const char *name, const char *type, const char *help);
void metrics_put_labelled(struct buf *b, const char *name, const char *label, const char *value,
                          uint64_t v);
/* unit: of the histogram's bounds, in seconds. */
void metrics_put_seconds(struct buf *b, const char *name, const char *help,
                         const struct histogram *h, double unit);

/* Before anything else is done with it. */
void metrics_loop_init(struct metrics_loop *m);
/* For flusher.observe_latency; ctx: the struct metrics_loop. */
void metrics_observe(void *ctx, uint64_t ns);

/* /metrics: without a key, but not for pages of other sites. */
bool metrics_routes(struct http_router *rt, const struct metrics_source *source);
/* /health, /healthz/live, /healthz/ready */
bool health_routes(struct http_router *rt, const struct metrics_source *source);

#endif
