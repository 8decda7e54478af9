/*
 * echo.c - answers every message with itself, on a WebSocket and by Engine.IO: for conformance
 * suites and for measuring the way in and out. It exists only where the configuration names it.
 */
#include "dialect/admit.h"

#include "carrier/eio.h"

static void echo_message(struct carrier *c, void *ctx, struct str payload, bool binary)
{
    (void)ctx;
    c->ops->send(c, payload, binary);
}

static void echo_closed(struct carrier *c, void *ctx, enum close_reason reason, unsigned code)
{
    (void)c;
    (void)ctx;
    (void)reason;
    (void)code;
}

static const struct carrier_handler echo_handler = {.message = echo_message, .closed = echo_closed};

static bool echo_admits(struct http_request *r, const struct endpoint *e)
{
    struct identity id;
    if (!admit_request(r, e, false, &id))
        return false;
    identity_fini(&id);
    return true;
}

static void echo_handle(struct http_request *r, const struct endpoint *e)
{
    if (echo_admits(r, e))
        (void)ws_accept(r, &e->ws, &echo_handler, NULL);
}

/* ---- Engine.IO ---- */

static bool echo_open(struct carrier *c, const struct http_request *r, void *ctx)
{
    (void)r;
    c->handler = &echo_handler;
    c->ctx = ctx;
    return true;
}

static void echo_handle_eio(struct http_request *r, const struct endpoint *e)
{
    if (e->shared == NULL)
        http_reply_error(r, 503, err_code(ERR_INTERNAL), err_message(ERR_INTERNAL));
    else if (echo_admits(r, e))
        eio_handle(r, e->shared, echo_open, NULL);
}

static void echo_prepare(struct endpoint *e)
{
    const struct eio_options o = {
        .ping_interval_ms = e->options->socketio.ping_interval_ms,
        .ping_timeout_ms = e->options->socketio.ping_timeout_ms,
        .payload_max_bytes = e->options->socketio.payload_max_bytes,
        .out_max_bytes = e->ws.out_max_bytes,
        .ws = e->ws,
    };
    e->shared = eio_create(&o, node_loop_count(e->node));
}

static void echo_release(struct endpoint *e)
{
    struct eio *eio = e->shared;
    eio_destroy(&eio);
    e->shared = NULL;
}

static const struct dialect_route echo_routes[] = {
    {~0u, "/engine.io/", echo_handle_eio},
};

const struct dialect dialect_echo = {
    .name = "echo",
    .path = NULL,
    .methods = 1u << HTTP_GET,
    .handle = echo_handle,
    .prepare = echo_prepare,
    .release = echo_release,
    .routes = echo_routes,
    .route_count = sizeof(echo_routes) / sizeof(echo_routes[0]),
};
