/*
 * api_fuzz.c - arbitrary bodies to every command of the server API, on a real hub with somebody
 * connected. The first byte chooses the command; every body is answered once, in JSON.
 *
 * The functions of HTTP that the API calls are defined here, so nothing of net is behind it.
 */
// links: api
#include "fuzz.h"

#include <stdlib.h>

#include "api/api.h"
#include "base/json.h"
#include "http/origin.h"
#include "unit/hub/fake_session.h"

enum { ROUTES_MAX = 32, BODY_MAX = 8192 };

struct http_router {
    char names[ROUTES_MAX][32];
    http_route_fn *handlers[ROUTES_MAX];
    void *ctx;
    size_t count;
};

/* What an http_request's server is here. */
struct http_server {
    struct loop *loop;
    unsigned replies;
    bool rows; // the answer is a JSON value per line
};

bool http_router_add(struct http_router *rt, unsigned methods, const char *pattern,
                     http_route_fn *handle, void *ctx)
{
    MUST(methods == 1u << HTTP_POST && rt->count < ROUTES_MAX);
    MUST(strlen(pattern) < sizeof(rt->names[0]));
    memcpy(rt->names[rt->count], pattern, strlen(pattern) + 1);
    rt->handlers[rt->count++] = handle;
    rt->ctx = ctx;
    return true;
}

struct str http_header(const struct http_request *r, struct str name)
{
    (void)r, (void)name;
    return STR_NONE;
}

bool http_origin_allowed(const struct http_request *r)
{
    (void)r;
    return true;
}

bool http_host_is_expected(const struct http_request *r, const struct str *list, size_t count)
{
    (void)r, (void)list, (void)count;
    return true;
}

const char *http_page_refusal(const struct http_request *r, bool keyed, const struct str *list,
                              size_t count)
{
    (void)r, (void)keyed, (void)list, (void)count;
    return NULL;
}

struct loop *http_server_loop(const struct http_server *s)
{
    return s->loop;
}

void http_reply(struct http_request *r, unsigned status, struct str content_type, struct str body,
                struct str extra)
{
    struct http_server *s = (struct http_server *)(uintptr_t)r->server;
    struct json j;
    (void)content_type, (void)extra;
    MUST(status == 200 && s->replies++ == 0);
    json_init(&j, body);
    do
        MUST(json_skip(&j));
    while (s->rows && json_more(&j));
    MUST(json_end(&j));
}

void http_reply_error(struct http_request *r, unsigned status, unsigned code, struct str message)
{
    struct http_server *s = (struct http_server *)(uintptr_t)r->server;
    MUST(status == 400 && code == 107 && message.n > 0);
    MUST(s->replies++ == 0);
}

struct world {
    struct loop *loop;
    struct outflow outflow;
    struct policy policy;
    struct namespace_options any;
    struct node *node;
    struct auth *auth;
    struct admission admission;
    admission_slot slot;
    struct api api;
    struct http_router router;
    struct fake *fake;
};

static void world_begin(struct world *w)
{
    memset(w, 0, sizeof(*w));
    w->any = (struct namespace_options){
        STR("*"), {.history_count = 4, .history_bytes = 4096, .presence = true, .recover = true}};
    w->policy = (struct policy){.namespaces = &w->any,
                                .namespace_count = 1,
                                .channel_name_max = 64,
                                .channels_max = 8,
                                .channels_per_session_max = 4,
                                .feed_bytes_max = 1 << 16,
                                .idempotency_ttl_ms = 1000,
                                .idempotency_max = 2,
                                .epoch_idle_ms = 1000};
    w->loop = loop_create(0);
    MUST(w->loop != NULL);
    outflow_init(&w->outflow);
    w->node = node_create(&w->loop, 1, &w->policy, 4);
    w->auth = auth_create(&(struct auth_options){0}, NULL);
    MUST(w->node != NULL && w->auth != NULL);
    hub_set_outflow(node_hub(w->node, 0), &w->outflow);
    w->admission.auth = w->auth;
    atomic_init(&w->slot, &w->admission);
    w->api = (struct api){.node = w->node,
                          .admission = &w->slot,
                          .default_tenant = STR("t"),
                          .version = STR("1"),
                          .node_name = STR("n"),
                          .body_max_bytes = 1 << 20,
                          .commands_max = 8,
                          .history_limit_max = 4,
                          .list_limit_max = 2};
    MUST(api_routes(&w->router, &w->api));
    w->fake = fake_open(node_hub(w->node, 0), "t", "u");
}

static void world_end(struct world *w)
{
    fake_read(w->fake);
    fake_close(w->fake);
    loop_turn(w->loop, 0);
    fake_free(w->fake);
    node_destroy(&w->node);
    loop_destroy(&w->loop);
    auth_destroy(&w->auth);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct world w;
    if (size == 0 || size > BODY_MAX)
        return 0;
    world_begin(&w);
    size_t which = data[0] % w.router.count;
    struct http_server server = {.loop = w.loop, .rows = which == 0};
    struct http_request r = {
        .path = str_from(w.router.names[which]),
        .body = {(const char *)data + 1, size - 1},
        .route_ctx = w.router.ctx,
        .server = &server,
    };
    w.router.handlers[which](&r);
    MUST(server.replies == 1);
    world_end(&w);
    return 0;
}
