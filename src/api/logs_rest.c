/*
 * logs_rest.c - /api/logs: what back ends send, and the newest lines of a tenant.
 */
#include "api/log_lines.h"
#include "api/rest.h"

#include <stdlib.h>

enum { ANSWER_MAX = 128 << 20 };

static const struct api *api_of(const struct http_request *r)
{
    return r->route_ctx;
}

/* ---- sent ---- */

static void take(struct http_request *r, const struct asker *who, const struct log_batch *b)
{
    char at[64];
    struct buf out = buf_on(at, sizeof(at));
    struct json_writer w;
    if (!logbook_add(api_of(r)->logbook, who->tenant, b->entries, b->count)) {
        rest_fail(r, ERR_TOO_MANY_REQUESTS,
                  STR("too many lines wait to be told; send these again later"));
        return;
    }
    json_writer_init(&w, &out);
    json_open_object(&w);
    json_put_u64(json_key(&w, STR("accepted")), b->count);
    json_close_object(&w);
    rest_reply(r, 200, &w);
}

/* The server's own lines are told by their source. */
static bool names_the_server(const struct log_batch *b)
{
    for (size_t i = 0; i < b->count; i++) {
        if (str_eq(b->entries[i].source, STR("recado")))
            return true;
    }
    return false;
}

static void route_add(struct http_request *r)
{
    const struct api *api = api_of(r);
    struct log_batch b;
    struct asker who;
    if (!rest_body_fits(r, api))
        return;
    bool ok = log_batch_read(r->body, loop_wall_ms(http_server_loop(r->server)), &b);
    if (rest_admit(r, api, ok ? b.tenant : STR_NONE, &who)) {
        if (ok && !who.back_end && names_the_server(&b))
            rest_refuse(r, STR("source"), "recado is the server's own");
        else if (ok)
            take(r, &who, &b);
        else
            rest_refuse_json(r, &b.j);
        asker_fini(&who);
    }
    log_batch_fini(&b);
}

/* ---- asked ---- */

static bool level_read(struct http_request *r, enum log_rank *ret)
{
    char at[LOG_LEVEL_MAX];
    struct str text;
    *ret = RANK_DEBUG;
    if (!rest_query(r, STR("level"), at, sizeof(at), &text))
        return false;
    return text.n == 0 || log_rank_read(text, ret) ||
           rest_refuse(r, STR("level"), "one of debug, info, warning and error is wanted");
}

static void put_line(struct json_writer *w, const struct log_line *l)
{
    struct buf one;
    buf_init(&one, ANSWER_MAX);
    if (log_line_write(&one, l, true))
        json_put_raw(w, buf_str(&one));
    buf_fini(&one);
}

static void reply_lines(struct http_request *r, struct log_line *const *lines, size_t count,
                        bool more)
{
    struct buf b;
    struct json_writer w;
    buf_init(&b, ANSWER_MAX);
    json_writer_init(&w, &b);
    json_open_object(&w);
    json_open_array(json_key(&w, STR("logs")));
    for (size_t i = 0; i < count; i++)
        put_line(&w, lines[i]);
    json_close_array(&w);
    json_put_bool(json_key(&w, STR("has_more")), more);
    json_close_object(&w);
    rest_reply(r, 200, &w);
    buf_fini(&b);
}

static void search(struct http_request *r, const struct logbook_query *q)
{
    struct log_line **lines = malloc(q->limit * sizeof(*lines));
    uint64_t newest;
    bool more;
    if (lines == NULL) {
        http_refuse(r, ERR_INTERNAL, NULL);
        return;
    }
    size_t count = logbook_read(api_of(r)->logbook, q, lines, &more, &newest);
    reply_lines(r, lines, count, more);
    for (size_t i = 0; i < count; i++)
        log_line_unref(lines[i]);
    free(lines);
}

static bool query_read(struct http_request *r, char source_at[LOG_SOURCE_MAX], char text_at[256],
                       struct logbook_query *q)
{
    uint64_t limit = 200;
    if (!level_read(r, &q->least) ||
        !rest_query(r, STR("source"), source_at, LOG_SOURCE_MAX, &q->source) ||
        !rest_query(r, STR("q"), text_at, 256, &q->text) ||
        !rest_query_number(r, STR("limit"), 1, LOGBOOK_LINES_MAX, &limit) ||
        !rest_query_number(r, STR("before"), 1, INT64_MAX, &q->before))
        return false;
    q->limit = (uint32_t)limit;
    return true;
}

static void route_read(struct http_request *r)
{
    struct asker who;
    struct logbook_query q = {.least = RANK_DEBUG};
    char source_at[LOG_SOURCE_MAX], text_at[256];
    if (!rest_admit(r, api_of(r), STR_NONE, &who))
        return;
    q.tenant = who.tenant;
    if (query_read(r, source_at, text_at, &q))
        search(r, &q);
    asker_fini(&who);
}

bool logs_routes(struct http_router *rt, const struct api *api)
{
    void *ctx = (void *)(uintptr_t)api;
    return http_router_add(rt, 1u << HTTP_GET, "/api/logs", route_read, ctx) &&
           http_router_add(rt, 1u << HTTP_POST, "/api/logs", route_add, ctx);
}
