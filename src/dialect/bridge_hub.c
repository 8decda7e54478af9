/*
 * bridge_hub.c - the bridge's verbs on a real hub and real endpoints.
 */
#include "dialect/bridge.h"

static void answered(void *ctx, const struct answer *a)
{
    struct bridge_hub *b = ctx;
    if (a->err != ERR_OK)
        bridge_complain(&b->bridge, BRIDGE_REFUSED, a->why != NULL ? a->why : err_message(a->err).p,
                        loop_now_ms(hub_loop(b->hub)));
}

static void publish(void *ctx, const struct publish_params *p)
{
    struct bridge_hub *b = ctx;
    hub_publish(b->hub, p, answered, b);
}

/* Sockets are counted under the name of their endpoint's dialect. */
static void control(void *ctx, const struct control_params *p)
{
    static const char *const names[] = {"socketio", "pytake"};
    struct bridge_hub *b = ctx;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        struct control_params one = *p;
        one.dialect = names[i];
        hub_control(b->hub, &one, answered, b);
    }
}

static void tenants(void *ctx, enum bridge_where where, struct str nsp, struct str name,
                    socketio_visitor *visit, void *visit_ctx)
{
    const struct bridge_hub *b = ctx;
    for (size_t i = 0; i < b->endpoint_count; i++) {
        const struct endpoint *e = &b->endpoints[i];
        if (!socketio_is(e))
            continue;
        if (where == BRIDGE_NAMESPACE)
            socketio_namespace_tenants(e, nsp, visit, visit_ctx);
        else if (where == BRIDGE_ROOM)
            socketio_room_tenants(e, nsp, name, visit, visit_ctx);
        else
            socketio_socket_tenant(e, nsp, name, visit, visit_ctx);
    }
}

static const struct bridge_ops hub_ops = {
    .publish = publish, .control = control, .tenants = tenants};

void bridge_hub_init(struct bridge_hub *b, struct hub *hub, const struct endpoint *endpoints,
                     size_t endpoint_count)
{
    b->hub = hub;
    b->endpoints = endpoints;
    b->endpoint_count = endpoint_count;
    b->bridge.ops = &hub_ops;
    b->bridge.ctx = b;
}
