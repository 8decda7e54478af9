/*
 * endpoints.c - which dialect answers at which path, with what it is given.
 */
#include "app/server.h"

#include <stdlib.h>

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
    if (k->message_max_bytes > 0)
        e->ws.message_max_bytes = k->message_max_bytes;
}

static void endpoint_handle(struct http_request *r)
{
    const struct endpoint *e = r->route_ctx;
    if (http_is_draining(r))
        http_reply_error(r, 503, close_code(CLOSE_GOING_AWAY), close_text(CLOSE_GOING_AWAY));
    else
        e->dialect->handle(r, e);
}

static bool endpoint_add(struct server *s, const struct dialect *d, const struct config_endpoint *k)
{
    struct endpoint *e = &s->endpoints[s->endpoint_count++];
    e->dialect = d;
    e->path = d->path;
    endpoint_fill(e, s);
    if (k != NULL)
        endpoint_configure(e, k);
    if (d->prepare != NULL)
        d->prepare(e);
    return http_router_add(s->routers[0], d->methods, e->path, endpoint_handle, e);
}

static void name_dialects(struct buf *out)
{
    for (size_t i = 0; i < dialect_count; i++)
        buf_add_format(out, "%s%s", i ? ", " : "", dialects[i]->name);
}

bool endpoints_check(const struct config *c, struct buf *ret_why)
{
    bool ok = true;
    for (size_t i = 0; i < c->endpoints.count; i++) {
        const struct config_endpoint *k = &c->endpoints.items[i];
        if (dialect_find(k->dialect) != NULL)
            continue;
        ok = false;
        buf_add_format(ret_why,
                       "%.*s:%u: endpoints[%zu].dialect: \"%.*s\" is not known; there are ",
                       STR_FMT(c->file), k->line, i, STR_FMT(k->dialect));
        name_dialects(ret_why);
        buf_add_char(ret_why, '\n');
    }
    return ok;
}

bool endpoints_make(struct server *s, struct buf *ret_why)
{
    const struct config *c = s->config;
    if (!endpoints_check(c, ret_why))
        return false;
    s->endpoints = calloc(c->endpoints.count + dialect_count, sizeof(*s->endpoints));
    if (s->endpoints == NULL)
        return false;
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
