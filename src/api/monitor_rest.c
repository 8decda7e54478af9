/*
 * monitor_rest.c - /api/monitor: the machine's figures now, and over the last day.
 */
#include "api/rest.h"

#include "base/clock.h"
#include "base/date.h"
#include "monitor/samples.h"

#include <stdlib.h>

enum { POINTS_WANTED = 1000, ANSWER_MAX = 64 << 20 };
static const int64_t range_default_ms = 24 * 3600 * 1000;

static const struct api *api_of(const struct http_request *r)
{
    return r->route_ctx;
}

/* ---- now ---- */

static void reply_latest(struct http_request *r, const struct monitor_figures *f)
{
    char at[MONITOR_JSON_MAX + 64], time[ISO_TIME_MAX];
    struct buf b = buf_on(at, sizeof(at));
    size_t n = iso_time_ms(f->time_ms, time);
    bool ok = monitor_write(&b, f);
    b.len -= ok; // its closing brace
    ok = ok && buf_add_format(&b, ",\"time\":\"%.*s\"}", (int)n, time);
    if (ok)
        http_reply(r, 200, STR("application/json"), buf_str(&b), STR_NONE);
    else
        http_refuse(r, ERR_INTERNAL, NULL);
}

static void route_latest(struct http_request *r)
{
    struct monitor *m = api_of(r)->monitor;
    struct monitor_figures f;
    struct asker who;
    if (!rest_admit(r, api_of(r), STR_NONE, &who))
        return;
    asker_fini(&who);
    if (m != NULL && monitor_latest(m, &f))
        reply_latest(r, &f);
    else
        rest_fail(r, ERR_NOT_AVAILABLE, STR("no reading was taken yet"));
}

/* ---- the last day ---- */

/* A time in milliseconds since 1970, or of ISO 8601; *ret stays when it is not said. */
static bool query_time(struct http_request *r, struct str name, int64_t *ret_ms)
{
    char at[64];
    struct str text;
    struct date date;
    uint64_t ms;
    if (!rest_query(r, name, at, sizeof(at), &text))
        return false;
    if (text.n == 0)
        return true;
    if (str_to_u64(text, &ms) && ms < INT64_MAX)
        *ret_ms = (int64_t)ms;
    else if (date_parse(text, &date))
        *ret_ms = date.at_ms;
    else
        return rest_refuse(r, name, "an ISO 8601 time or milliseconds since 1970 are wanted");
    return true;
}

/* "24h", "90s", or milliseconds. */
static bool query_duration(struct http_request *r, struct str name, int64_t *ret_ms)
{
    char at[32];
    struct str text;
    uint64_t ms;
    if (!rest_query(r, name, at, sizeof(at), &text))
        return false;
    if (text.n == 0)
        return true;
    if ((!str_to_u64(text, &ms) && !str_to_duration_ms(text, &ms)) || ms == 0 || ms > INT32_MAX)
        return rest_refuse(r, name, "a duration such as 60s or 24h is wanted, at most 24 days");
    *ret_ms = (int64_t)ms;
    return true;
}

/* Without a step, one that makes about a thousand points; less than the interval means none. */
static void step_choose(struct samples_range *g, int64_t interval_ms)
{
    int64_t span_ms = g->to_ms > g->from_ms ? g->to_ms - g->from_ms : 0;
    if (span_ms > range_default_ms)
        span_ms = range_default_ms; // no more is kept
    if (g->step_ms == 0)
        g->step_ms = (span_ms / POINTS_WANTED + interval_ms - 1) / interval_ms * interval_ms;
    if (g->step_ms < interval_ms)
        g->step_ms = interval_ms;
}

static bool range_read(struct http_request *r, struct samples_range *g)
{
    int64_t range_ms = range_default_ms, now_ms = loop_wall_ms(http_server_loop(r->server));
    *g = (struct samples_range){.from_ms = INT64_MIN, .to_ms = now_ms};
    if (!query_duration(r, STR("range"), &range_ms) || !query_time(r, STR("to"), &g->to_ms) ||
        !query_time(r, STR("from"), &g->from_ms) || !query_duration(r, STR("step"), &g->step_ms))
        return false;
    if (g->from_ms == INT64_MIN)
        g->from_ms = g->to_ms - range_ms;
    step_choose(g, api_of(r)->monitor_interval_ms);
    return true;
}

/* Samples of a step that is the interval are given as they are, unless they are of a time when they
 * were taken more often. False: no memory. */
static bool history_read(const struct api *api, const struct samples_range *g, struct sample **ret,
                         size_t *ret_count)
{
    struct samples_range raw = *g;
    raw.step_ms = 0;
    if (g->step_ms != api->monitor_interval_ms)
        return samples_read(api->samples, g, ret, ret_count);
    if (!samples_read(api->samples, &raw, ret, ret_count))
        return false;
    size_t n = *ret_count;
    if (n < 3 || ((*ret)[n - 1].time_ms - (*ret)[0].time_ms) / (int64_t)(n - 1) >= g->step_ms / 2)
        return true;
    free(*ret);
    return samples_read(api->samples, g, ret, ret_count);
}

static void reply_history(struct http_request *r, const struct samples_range *g)
{
    int64_t interval_ms = api_of(r)->monitor_interval_ms;
    struct sample *samples = NULL;
    size_t count = 0;
    struct json_writer w;
    struct buf b;
    if (!history_read(api_of(r), g, &samples, &count)) {
        http_refuse(r, ERR_INTERNAL, NULL);
        return;
    }
    buf_init(&b, ANSWER_MAX);
    json_writer_init(&w, &b);
    json_open_object(&w);
    json_put_i64(json_key(&w, STR("interval_ms")), interval_ms);
    json_put_i64(json_key(&w, STR("step_ms")), g->step_ms);
    sample_array_write(json_key(&w, STR("samples")), samples, count);
    json_close_object(&w);
    rest_reply(r, 200, &w);
    buf_fini(&b);
    free(samples);
}

static void route_history(struct http_request *r)
{
    struct samples_range g;
    struct asker who;
    if (!rest_admit(r, api_of(r), STR_NONE, &who))
        return;
    asker_fini(&who);
    if (range_read(r, &g))
        reply_history(r, &g);
}

bool monitor_routes(struct http_router *rt, const struct api *api)
{
    void *ctx = (void *)(uintptr_t)api;
    return http_router_add(rt, 1u << HTTP_GET, "/api/monitor", route_latest, ctx) &&
           http_router_add(rt, 1u << HTTP_GET, "/api/monitor/history", route_history, ctx);
}
