/*
 * health.c - whether the server is alive, and whether it should be sent work.
 *
 * Why two answers: a server that drains, or whose store is away, is alive and must not be killed,
 * but new clients should go elsewhere.
 */
#include "metrics/metrics.h"

#include "base/clock.h"
#include "base/json.h"

enum { TEXT_MAX = 512 };

static void reply_status(struct http_request *r, unsigned http_status, struct str status)
{
    const struct metrics_source *src = r->route_ctx;
    char room[TEXT_MAX];
    struct buf body = {.p = room, .cap = sizeof(room), .max = sizeof(room)};
    struct json_writer w;
    json_writer_init(&w, &body);
    json_open_object(&w);
    json_put_string(json_key(&w, STR("status")), status);
    json_put_string(json_key(&w, STR("version")), str_from(src->version));
    json_put_u64(json_key(&w, STR("uptime")), (clock_mono_ns() - src->started_ns) / 1000000000);
    json_close_object(&w);
    json_done(&w);
    http_reply(r, http_status, STR("application/json"), buf_str(&body),
               STR("Cache-Control: no-store\r\n"));
}

static void route_live(struct http_request *r)
{
    reply_status(r, 200, STR("ok"));
}

static void route_ready(struct http_request *r)
{
    const struct metrics_source *src = r->route_ctx;
    if (atomic_load(&src->draining))
        reply_status(r, 503, STR("draining"));
    else if (!node_can_store(src->node))
        reply_status(r, 503, STR("store unusable"));
    else if (!atomic_load(&src->bus_ok))
        reply_status(r, 503, STR("bus unusable"));
    else
        reply_status(r, 200, STR("ok"));
}

bool health_routes(struct http_router *rt, const struct metrics_source *source)
{
    void *ctx = (void *)(uintptr_t)source;
    unsigned get = 1u << HTTP_GET | 1u << HTTP_HEAD;
    return http_router_add(rt, get, "/health", route_live, ctx) &&
           http_router_add(rt, get, "/healthz/live", route_live, ctx) &&
           http_router_add(rt, get, "/healthz/ready", route_ready, ctx);
}
