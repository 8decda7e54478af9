/*
 * serve_figures.c - the machine's figures as events of the channel "monitor", and those of the last
 * day.
 *
 * Why it exists: readings are taken on the monitor's thread, and only a loop may publish. A reading
 * is written once and goes by mail to the first loop, which keeps it and publishes it in every
 * tenant that a dialect names.
 */
#include "app/server.h"

#include "base/name_set.h"
#include "base/must.h"
#include "monitor/samples.h"
#include "monitor/monitor.h"

#include <stdlib.h>

enum {
    TENANTS_MAX = 10000000, // never reached: there are no more than sessions
    KEPT_MS = 24 * 3600 * 1000,
    KEPT_MAX = KEPT_MS / 1000, // readings are at least a second apart
    WAIT_TURN_MS = 100
};

struct reading {
    struct mail mail;
    struct node *node;
    struct samples *samples;
    struct sample sample;
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
    samples_add(g->samples, &g->sample);
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
    g->samples = s->api.samples;
    g->sample = sample_of(f);
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

static bool figures_make(struct server *s, struct buf *ret_why)
{
    (void)ret_why;
    s->api.monitor_interval_ms = s->config->monitor_interval_ms;
    s->api.samples = samples_create(&(struct samples_options){
        .loop = s->workers[0].loop, .store = s->store, .keep = KEPT_MAX, .keep_ms = KEPT_MS});
    return s->api.samples != NULL;
}

struct loaded {
    bool done, ok;
};

static void history_loaded(void *ctx, bool ok)
{
    *(struct loaded *)ctx = (struct loaded){true, ok};
}

static bool load_history(struct server *s, struct buf *ret_why)
{
    struct loaded loaded = {0};
    samples_load(s->api.samples, history_loaded, &loaded);
    while (!loaded.done) // no thread turns it yet
        loop_turn(s->workers[0].loop, WAIT_TURN_MS);
    return loaded.ok ||
           (buf_add(ret_why, STR("the figures cannot be read from the store\n")), false);
}

static bool figures_start(struct server *s, struct buf *ret_why)
{
    if (!load_history(s, ret_why))
        return false;
    s->monitor = monitor_create(&(struct monitor_options){
        .interval_ms = s->config->monitor_interval_ms, .taken = taken, .ctx = s});
    s->api.monitor = s->monitor;
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

static void figures_drop(struct server *s)
{
    samples_destroy(&s->api.samples);
}

const struct service figures_service = {
    .name = "figures",
    .make = figures_make,
    .start = figures_start,
    .stop = figures_stop,
    .drop = figures_drop,
};
