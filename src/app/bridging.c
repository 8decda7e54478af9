/*
 * bridging.c - the bridge from Redis: which server, which channels, on which loop.
 *
 * Why it exists: the subscriber knows nothing of hubs, and the bridge nothing of Redis.
 *
 * Readiness does not ask the bridge: without Redis clients are served as well, by everything else.
 */
#include "app/server.h"

#include "base/log.h"
#include "cluster/redis.h"
#include "dialect/bridge.h"

#include <stdlib.h>

enum { MESSAGE_MAX_BYTES = 32 << 20 };

struct bridging {
    struct bridge_hub to;
    struct redis_subscriber *from;
    struct str channels[2];
    struct loop *loop;
};

static void message(void *ctx, struct str channel, struct str payload)
{
    struct bridging *g = ctx;
    bridge_take(&g->to.bridge, channel, payload, loop_now_ms(g->loop));
}

/* The server's address: said, or that of the cluster. False: none that can be used. */
static bool find_address(const struct config *c, struct redis_address *ret)
{
    const char *why;
    bool own = c->bridge.redis.n > 0;
    if (!own && str_eq(c->cluster, STR("local")))
        return false;
    if (redis_address_parse(own ? c->bridge.redis : c->cluster, ret, &why))
        return true;
    log_warn("bridge: %s: %s; nothing is read from there", own ? "bridge.redis" : "cluster", why);
    return false;
}

static size_t fill_channels(struct bridging *g, const struct config *c)
{
    size_t n = 0;
    if (c->bridge.socketio.n > 0)
        g->channels[n++] = c->bridge.socketio;
    if (c->bridge.gamification.n > 0 && !str_eq(c->bridge.gamification, c->bridge.socketio))
        g->channels[n++] = c->bridge.gamification;
    return n;
}

bool bridging_make(struct server *s)
{
    const struct config *c = s->config;
    struct redis_subscriber_options o = {
        .message_max_bytes = MESSAGE_MAX_BYTES, .name = "bridge", .message = message};
    if (!find_address(c, &o.address))
        return true;
    struct bridging *g = calloc(1, sizeof(*g));
    if (g == NULL)
        return false;
    s->bridging = g;
    g->loop = s->workers[0].loop;
    g->to.bridge.socketio = c->bridge.socketio;
    g->to.bridge.gamification = c->bridge.gamification;
    g->to.bridge.tenant = c->bridge.tenant.n > 0 ? c->bridge.tenant : c->auth.default_tenant;
    g->to.bridge.tenant_default = c->auth.default_tenant;
    bridge_hub_init(&g->to, node_hub(s->node, 0), s->endpoints, s->endpoint_count);
    o.channels = g->channels;
    o.channel_count = fill_channels(g, c);
    o.ctx = g;
    if (o.channel_count == 0)
        return true;
    g->from = redis_subscriber_create(g->loop, &o);
    return g->from != NULL;
}

void bridging_stop(struct server *s)
{
    if (s->bridging != NULL)
        redis_subscriber_destroy(&s->bridging->from);
}

void bridging_drop(struct server *s)
{
    free(s->bridging);
    s->bridging = NULL;
}
