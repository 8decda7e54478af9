/*
 * serve_figures.c - the machine's figures as events of the channel "monitor".
 *
 * Why it exists: readings are taken on the monitor's thread, and only a loop may publish. A reading
 * is written once and goes by mail to the first loop, which publishes it in every tenant that a
 * dialect names.
 */
#include "app/server.h"

#include "base/name_set.h"
#include "base/must.h"
#include "monitor/monitor.h"

#include <stdlib.h>

enum { TENANTS_MAX = 10000000 }; // never reached: there are no more than sessions

struct reading {
    struct mail mail;
    struct node *node;
    struct name_set tenants;
    struct buf json;
};

static void reading_destroy(struct reading *g)
{
    name_set_fini(&g->tenants);
    buf_fini(&g->json);
    free(g);
}

static void reading_arrived(struct mail *m, struct loop *l)
{
    struct reading *g = container_of(m, struct reading, mail);
    struct hub *hub = node_hub(g->node, loop_index(l));
    struct map_node *n = map_first(&g->tenants.names);
    for (; n != NULL; n = map_next(&g->tenants.names, n)) {
        // Figures grow stale at once: nobody who comes back wants those he missed.
        struct publish_params p = {.tenant = n->key,
                                   .channel = STR("monitor"),
                                   .type = STR("metrics"),
                                   .data = buf_str(&g->json),
                                   .skip_history = true};
        hub_publish(hub, &p, NULL, NULL);
    }
    reading_destroy(g);
}

/* Without memory a tenant goes without this reading. */
static void add_tenant(void *ctx, struct str name)
{
    struct reading *g = ctx;
    (void)name_set_add(&g->tenants, name);
}

static void taken(void *ctx, const struct monitor_figures *f)
{
    struct server *s = ctx;
    struct reading *g = calloc(1, sizeof(*g));
    if (g == NULL)
        return;
    g->node = s->node;
    g->mail.deliver = reading_arrived;
    name_set_init(&g->tenants, TENANTS_MAX);
    buf_init(&g->json, MONITOR_JSON_MAX);
    for (size_t i = 0; i < s->endpoint_count; i++) {
        const struct endpoint *e = &s->endpoints[i];
        if (e->dialect->monitor_tenants != NULL)
            e->dialect->monitor_tenants(e, add_tenant, g);
    }
    if (monitor_write(&g->json, f))
        loop_post(s->workers[0].loop, &g->mail);
    else
        reading_destroy(g);
}

static bool figures_start(struct server *s, struct buf *ret_why)
{
    bool wanted = false;
    for (size_t i = 0; i < s->endpoint_count; i++)
        wanted |= s->endpoints[i].dialect->monitor_tenants != NULL;
    if (!wanted)
        return true;
    s->monitor = monitor_create(&(struct monitor_options){
        .interval_ms = s->config->monitor_interval_ms, .taken = taken, .ctx = s});
    for (size_t i = 0; i < s->endpoint_count; i++)
        s->endpoints[i].monitor = s->monitor;
    if (s->monitor == NULL)
        buf_add(ret_why, STR("the monitor's thread cannot be started\n"));
    return s->monitor != NULL;
}

static void figures_stop(struct server *s)
{
    monitor_destroy(&s->monitor); // from here on no reading is under way to a loop
}

const struct service figures_service = {
    .name = "figures",
    .start = figures_start,
    .stop = figures_stop,
};
