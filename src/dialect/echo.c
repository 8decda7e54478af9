/*
 * echo.c - answers every message with itself: for conformance suites and for measuring the way in
 * and out. It exists only where the configuration names it.
 */
#include "dialect/admit.h"

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

static void echo_handle(struct http_request *r, const struct endpoint *e)
{
    struct handshake h;
    struct identity id;
    if (!admit_origin(r, e) || !handshake_read(r, e, &h))
        return;
    int64_t now_s = loop_wall_ms(http_server_loop(r->server)) / 1000;
    enum err err = admit(e, h.token, h.tenant, now_s, false, &id);
    if (err != ERR_OK) {
        http_reply_error(r, err_http_status(err), err_code(err), str_from(id.why));
        return;
    }
    identity_fini(&id);
    (void)ws_accept(r, &e->ws, &echo_handler, NULL);
}

const struct dialect dialect_echo = {
    .name = "echo", .path = NULL, .methods = 1u << HTTP_GET, .handle = echo_handle};
