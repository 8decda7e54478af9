/*
 * api.c - from an HTTP request to a command: who may ask, and whether it can be read.
 *
 * Always true: nothing is done for a request without the key, from a foreign page, or whose text is
 * not JSON to its end.
 */
#include "api/api_priv.h"

#include "base/pool.h"
#include "http/origin.h"

static bool key_ok(const struct api *api, const struct http_request *r)
{
    return admission_lets_back_end(admission_now(api->admission), http_header(r, STR("X-API-Key")),
                                   http_header(r, STR("Authorization")));
}

/* The API takes any content type, so a page of another site could post to it; browsers say whose
 * page it is, and under which name it found us. */
static const char *page_refusal(const struct api *api, const struct http_request *r)
{
    const struct admission *a = admission_now(api->admission);
    return http_page_refusal(r, auth_has_api_key(a->auth), a->origins, a->origin_count);
}

static bool admit(const struct api *api, struct http_request *r)
{
    const char *why = page_refusal(api, r);
    if (why != NULL) {
        http_reply_error(r, 403, err_code(ERR_PERMISSION_DENIED), str_from(why));
        return false;
    }
    if (!key_ok(api, r)) {
        http_reply_error(
            r, 401, err_code(ERR_UNAUTHORIZED),
            str_from(admission_back_end_refusal(http_header(r, STR("X-API-Key")),
                                                http_header(r, STR("Authorization")), false)));
        return false;
    }
    if (r->body.n > api->body_max_bytes) { // others may have a longer limit
        http_reply_error(r, 413, err_code(ERR_TOO_LARGE),
                         STR("the request is longer than api.body_max"));
        return false;
    }
    return true;
}

static void reply_unreadable(struct http_request *r, const struct json *j)
{
    char room[256];
    struct buf b = {.p = room, .cap = sizeof(room), .max = sizeof(room)};
    buf_add(&b, STR("bad request: "));
    json_error_write(j, &b);
    http_reply_error(r, 400, err_code(ERR_BAD_REQUEST), buf_str(&b));
}

static void ask_gone(struct http_request *r, void *ctx)
{
    struct ask *ask = ctx;
    (void)r;
    ask->http = NULL;
}

static struct ask *ask_make(const struct api *api, struct http_request *r)
{
    struct ask *ask = pool_alloc(sizeof(*ask));
    if (ask == NULL) {
        http_reply_error(r, 500, err_code(ERR_INTERNAL), STR("out of memory"));
        return NULL;
    }
    *ask = (struct ask){
        .api = api,
        .hub = node_hub(api->node, loop_index(http_server_loop(r->server))),
        .http = r,
        .transport_errors =
            str_eq(http_header(r, STR("X-Centrifugo-Error-Mode")), STR("transport")),
    };
    ask->only.ask = ask;
    r->gone = ask_gone;
    r->gone_ctx = ask;
    return ask;
}

/* A body that was left out says nothing: every field is missing. */
static struct str text_of(const struct http_request *r)
{
    return r->body.n > 0 ? r->body : STR("{}");
}

static void route_verb(struct http_request *r, const struct verb *verb)
{
    const struct api *api = r->route_ctx;
    struct params p;
    struct json j;
    if (!admit(api, r))
        return;
    json_init(&j, text_of(r));
    if (!api_params_read(&j, verb->fields, &p) || !json_end(&j)) {
        reply_unreadable(r, &j);
        return;
    }
    struct ask *ask = ask_make(api, r);
    if (ask == NULL)
        return;
    ask->only.verb = verb;
    slot_begin(&ask->only, &p);
}

static void route_command(struct http_request *r)
{
    const struct verb *verb = api_verb_find(str_skip(r->path, sizeof("/api/") - 1));
    if (verb != NULL)
        route_verb(r, verb);
    else
        http_reply_error(r, 404, err_code(ERR_METHOD_NOT_FOUND), err_message(ERR_METHOD_NOT_FOUND));
}

static void route_batch(struct http_request *r)
{
    route_verb(r, &api_batch);
}

/* The older form: rows of {"method":..,"params":..}. */
static void route_lines(struct http_request *r)
{
    const struct api *api = r->route_ctx;
    struct json j;
    if (!admit(api, r))
        return;
    json_init(&j, r->body);
    do
        json_skip(&j); // there is at least one
    while (json_more(&j));
    if (j.error != NULL) {
        reply_unreadable(r, &j);
        return;
    }
    struct ask *ask = ask_make(api, r);
    if (ask == NULL)
        return;
    ask->only.verb = &api_batch;
    lines_start(&ask->only, r->body);
}

bool api_routes(struct http_router *rt, const struct api *api)
{
    void *ctx = (void *)(uintptr_t)api;
    char path[64];
    unsigned post = 1u << HTTP_POST;
    bool ok = http_router_add(rt, post, "/api", route_lines, ctx) &&
              http_router_add(rt, post, "/api/batch", route_batch, ctx);
    for (size_t i = 0; i < api_verb_count && ok; i++) {
        struct buf b = {.p = path, .cap = sizeof(path), .max = sizeof(path)};
        ok = buf_add(&b, STR("/api/")) && buf_add(&b, str_from(api_verbs[i]->name)) &&
             buf_add(&b, (struct str){"", 1}) &&
             http_router_add(rt, post, path, route_command, ctx);
    }
    return ok;
}
