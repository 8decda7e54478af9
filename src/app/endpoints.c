/*
 * endpoints.c - which dialect answers at which path, with what it is given.
 */
#include "app/server.h"

#include <stdlib.h>
#include <sys/socket.h>

enum { PATH_MAX_BYTES = 4096 };

/* A further path of a dialect, at one of its endpoints. */
struct bound_route {
    struct bound_route *next;
    const struct dialect_route *route;
    const struct endpoint *endpoint;
    struct buf path; // with a terminator
};

static const struct config_endpoint *configured_for(const struct config *c, const struct dialect *d)
{
    for (size_t i = 0; i < c->endpoints.count; i++) {
        if (str_eq(c->endpoints.items[i].dialect, str_from(d->name)))
            return &c->endpoints.items[i];
    }
    return NULL;
}

static void endpoint_fill(struct endpoint *e, struct server *s)
{
    const struct config *c = s->config;
    e->node = s->node;
    e->admission = &s->admission;
    e->version = STR("recado " RECADO_VERSION);
    e->tenant = c->auth.default_tenant;
    e->tenant_from = TENANT_CLAIM;
    e->ws = (struct ws_options){
        .message_max_bytes = c->websocket.message_max_bytes,
        .ping_interval_ms = c->websocket.ping_interval_ms,
        .pong_timeout_ms = c->websocket.pong_timeout_ms,
        .close_timeout_ms = c->websocket.close_timeout_ms,
        .out_max_bytes = c->client.out_max_bytes,
        .deflate = c->websocket.deflate,
    };
    e->sse = (struct sse_options){
        .heartbeat_ms = c->sse.heartbeat_ms,
        .write_timeout_ms = c->sse.write_timeout_ms,
        .out_max_bytes = c->client.out_max_bytes,
    };
    e->messages_per_second = c->client.messages_per_second;
    e->messages_burst = c->client.messages_burst;
    e->connect_timeout_ms = c->client.connect_timeout_ms;
    e->ping_interval_ms = c->websocket.ping_interval_ms;
    e->pong_timeout_ms = c->websocket.pong_timeout_ms;
    e->history_limit_max = c->api.history_limit_max;
    e->filter_max_bytes = c->client.filter_max_bytes;
    e->options = &s->dialect_options;
    e->clients = s->clients;
    e->monitor = s->monitor;
    e->approvals = s->api.approvals;
    e->chat = s->api.chat;
    e->schedules = s->api.schedules;
    e->logbook = s->api.logbook;
    e->llm = llm_settings_none();
    e->ledger = s->ledger;
}

/* What single dialects are told; the configuration of birth outlives them. */
static void dialect_options_fill(struct dialect_options *o, const struct config *c)
{
    *o = (struct dialect_options){
        .heartbeat_interval_ms = c->websocket.heartbeat_interval_ms,
        .heartbeat_timeout_ms = c->websocket.heartbeat_timeout_ms,
        .connections_max = c->websocket.connections_max,
        .socketio = c->dialects.socketio,
        .conductor = c->dialects.conductor,
    };
}

static void endpoint_configure(struct endpoint *e, const struct config_endpoint *k)
{
    static const enum endpoint_auth auth_of[] = {
        [ENDPOINT_AUTH_AUTO] = AUTH_AUTO,
        [ENDPOINT_REQUIRED] = AUTH_REQUIRED,
        [ENDPOINT_OPTIONAL] = AUTH_OPTIONAL,
        [ENDPOINT_NONE] = AUTH_NONE,
    };
    e->path = k->path.p;
    e->tenant_given = k->tenant.n > 0 || k->tenant_query.n > 0 || k->tenant_from.n > 0;
    e->connections_max = k->connections_max;
    e->auth = auth_of[k->auth];
    if (k->tenant.n > 0) {
        e->tenant = k->tenant;
        e->tenant_from = TENANT_FIXED;
    }
    if (k->tenant_query.n > 0) {
        e->tenant_from = TENANT_QUERY;
        e->tenant_query = k->tenant_query;
    } else if (k->tenant_from.n > 0) {
        e->tenant_from = str_eq(k->tenant_from, STR("claim")) ? TENANT_CLAIM : TENANT_FIXED;
    }
    if (k->origins.count > 0) {
        e->origins = k->origins.items;
        e->origin_count = k->origins.count;
    }
    e->llm = k->llm;
    if (k->message_max_bytes > 0)
        e->ws.message_max_bytes = k->message_max_bytes;
}

static void endpoint_handle(struct http_request *r)
{
    const struct endpoint *e = r->route_ctx;
    if (http_is_draining(r) && !e->dialect->outlives_requests)
        http_reply_error(r, 503, close_code(CLOSE_GOING_AWAY), close_text(CLOSE_GOING_AWAY));
    else
        e->dialect->handle(r, e);
}

static void route_handle(struct http_request *r)
{
    const struct bound_route *b = r->route_ctx;
    b->route->handle(r, b->endpoint);
}

/* What stands before the dialect's own path where the endpoint is bound: "/board" of
 * "/board/ws/agents"; "" when it is bound to something else. */
static struct str path_prefix(const struct endpoint *e)
{
    struct str path = str_from(e->path);
    struct str own = e->dialect->path != NULL ? str_from(e->dialect->path) : STR_NONE;
    if (own.n == 0 || path.n < own.n || !str_eq(str_skip(path, path.n - own.n), own))
        return STR_NONE;
    return (struct str){path.p, path.n - own.n};
}

static bool routes_add(struct server *s, const struct endpoint *e)
{
    const struct dialect *d = e->dialect;
    struct str prefix = path_prefix(e);
    for (size_t i = 0; i < d->route_count; i++) {
        struct bound_route *b = calloc(1, sizeof(*b));
        if (b == NULL)
            return false;
        *b = (struct bound_route){s->bound_routes, &d->routes[i], e, {0}};
        s->bound_routes = b;
        buf_init(&b->path, PATH_MAX_BYTES);
        if (!buf_add(&b->path, prefix) || !buf_add(&b->path, str_from(d->routes[i].path)) ||
            !buf_add_char(&b->path, '\0') ||
            !http_router_add(s->routers[0], d->routes[i].methods, b->path.p, route_handle, b))
            return false;
    }
    return true;
}

static bool endpoint_add(struct server *s, const struct dialect *d, const struct config_endpoint *k)
{
    struct endpoint *e = &s->endpoints[s->endpoint_count++];
    e->dialect = d;
    e->path = d->path;
    endpoint_fill(e, s);
    if (d->message_max_bytes > 0)
        e->ws.message_max_bytes = d->message_max_bytes;
    if (k != NULL)
        endpoint_configure(e, k);
    if (d->prepare != NULL)
        d->prepare(e);
    return http_router_add(s->routers[0], d->methods, e->path, endpoint_handle, e) &&
           routes_add(s, e);
}

static void name_dialects(struct buf *out)
{
    for (size_t i = 0; i < dialect_count; i++)
        buf_add_format(out, "%s%s", i ? ", " : "", dialects[i]->name);
}

static bool dialect_is_known(const struct config *c, unsigned line, const char *where, size_t i,
                             struct str name, struct buf *ret_why)
{
    if (dialect_find(name) != NULL)
        return true;
    buf_add_format(ret_why, "%.*s:%u: %s[%zu].dialect: \"%.*s\" is not known; there are ",
                   STR_FMT(c->file), line, where, i, STR_FMT(name));
    name_dialects(ret_why);
    buf_add_char(ret_why, '\n');
    return false;
}

bool endpoints_check(const struct config *c, struct buf *ret_why)
{
    bool ok = true;
    for (size_t i = 0; i < c->endpoints.count; i++) {
        const struct config_endpoint *k = &c->endpoints.items[i];
        ok &= dialect_is_known(c, k->line, "endpoints", i, k->dialect, ret_why);
    }
    for (size_t i = 0; i < c->listen.count; i++) {
        const struct config_listener *l = &c->listen.items[i];
        ok &= l->dialect.n == 0 || dialect_is_known(c, l->line, "listen", i, l->dialect, ret_why);
    }
    return ok;
}

/* ---- paths that nobody has ---- */

/* The dialect of the listener that the request came in by; NULL: the listener has none. */
static const struct dialect *dialect_of_listener(const struct server *s,
                                                 const struct http_request *r)
{
    struct sockaddr_storage ss = {0};
    socklen_t len = sizeof(ss);
    struct addr local, own;
    if (getsockname(http_conn(r)->io.fd, (struct sockaddr *)&ss, &len) != 0)
        return NULL;
    addr_from_sockaddr(&local, &ss);
    const struct config_listeners *listen = &s->config->listen;
    for (size_t i = 0; i < listen->count && i < s->door_count; i++) {
        addr_from_sockaddr(&own, &s->doors[i].addr.ss);
        if (own.port == local.port && listen->items[i].dialect.n > 0)
            return dialect_find(listen->items[i].dialect);
    }
    return NULL;
}

static void path_unknown(struct http_request *r)
{
    const struct dialect *d = dialect_of_listener(r->route_ctx, r);
    if (d == NULL && ws_is_handshake(r)) // clients of the orchestrator know this answer
        d = dialect_find(STR("orquestrador"));
    if (d == NULL || d->refuse_path == NULL || !d->refuse_path(r))
        http_reply_error(r, 404, 404, STR("no such path"));
}

void endpoints_drop(struct server *s)
{
    for (size_t i = 0; i < s->endpoint_count; i++) {
        struct endpoint *e = &s->endpoints[i];
        if (e->dialect->release != NULL)
            e->dialect->release(e);
    }
    while (s->bound_routes != NULL) {
        struct bound_route *b = s->bound_routes;
        s->bound_routes = b->next;
        buf_fini(&b->path);
        free(b);
    }
    free(s->endpoints);
    s->endpoints = NULL;
    s->endpoint_count = 0;
}

bool endpoints_make(struct server *s, struct buf *ret_why)
{
    const struct config *c = s->config;
    if (!endpoints_check(c, ret_why))
        return false;
    s->endpoints = calloc(c->endpoints.count + dialect_count, sizeof(*s->endpoints));
    if (s->endpoints == NULL)
        return false;
    dialect_options_fill(&s->dialect_options, c);
    http_router_set_fallback(s->routers[0], path_unknown, s);
    for (size_t i = 0; c->endpoints_default && i < dialect_count; i++) {
        const struct dialect *d = dialects[i];
        if (d->path != NULL && configured_for(c, d) == NULL && !endpoint_add(s, d, NULL))
            return false;
    }
    for (size_t i = 0; i < c->endpoints.count; i++) {
        const struct config_endpoint *k = &c->endpoints.items[i];
        if (!endpoint_add(s, dialect_find(k->dialect), k))
            return false;
    }
    return true;
}
