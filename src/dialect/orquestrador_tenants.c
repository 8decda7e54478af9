/*
 * orquestrador_tenants.c - in which tenants somebody follows the machine's figures.
 *
 * Why it exists: a reading is published where it is wanted, and only the sessions know where.
 *
 * Always true: a tenant is in the map as long as a session that follows the figures is counted in
 * it.
 */
#include "base/map.h"
#include "dialect/orquestrador_priv.h"

#include <pthread.h>
#include <stdlib.h>

enum { TENANTS_MAX = 10000000 }; // never reached: there are no more than sessions

struct followed_tenant {
    struct map_node node;
    uint64_t session_count;
    char name[];
};

/* Of one endpoint, on all loops; locked when somebody comes or goes, and once a reading. */
struct registry {
    pthread_mutex_t lock;
    struct map tenants;
};

static struct followed_tenant *tenant_find_or_make(struct registry *g, struct str name)
{
    struct map_node *n = map_find(&g->tenants, name);
    if (n != NULL)
        return container_of(n, struct followed_tenant, node);
    struct followed_tenant *t = calloc(1, sizeof(*t) + name.n);
    if (t == NULL)
        return NULL;
    char *at = t->name;
    t->node.key = str_put(&at, name);
    if (map_add(&g->tenants, &t->node))
        return t;
    free(t);
    return NULL;
}

/* Without memory the tenant's figures come when another session follows them. */
void orq_figures_follow(struct orq *o)
{
    struct registry *g = o->ws.endpoint->shared;
    if (o->followed != NULL)
        return;
    pthread_mutex_lock(&g->lock);
    o->followed = tenant_find_or_make(g, o->ws.session.tenant);
    if (o->followed != NULL)
        o->followed->session_count++;
    pthread_mutex_unlock(&g->lock);
}

void orq_figures_leave(struct orq *o)
{
    struct registry *g = o->ws.endpoint->shared;
    struct followed_tenant *t = o->followed;
    if (t == NULL)
        return;
    o->followed = NULL;
    pthread_mutex_lock(&g->lock);
    if (--t->session_count == 0) {
        map_remove(&g->tenants, &t->node);
        free(t);
    }
    pthread_mutex_unlock(&g->lock);
}

void orq_monitor_tenants(const struct endpoint *e, void (*each)(void *ctx, struct str tenant),
                         void *ctx)
{
    struct registry *g = e->shared;
    each(ctx, e->tenant); // where other dialects may follow them
    pthread_mutex_lock(&g->lock);
    struct map_node *n = map_first(&g->tenants);
    for (; n != NULL; n = map_next(&g->tenants, n))
        each(ctx, n->key);
    pthread_mutex_unlock(&g->lock);
}

bool orq_tenants_make(struct endpoint *e)
{
    struct registry *g = calloc(1, sizeof(*g));
    if (g == NULL || pthread_mutex_init(&g->lock, NULL) != 0) {
        free(g);
        return false;
    }
    map_init(&g->tenants, TENANTS_MAX);
    e->shared = g;
    return true;
}

void orq_tenants_drop(struct endpoint *e)
{
    struct registry *g = e->shared;
    struct map_node *n;
    while ((n = map_first(&g->tenants)) != NULL) { // of sessions that the end cut short
        map_remove(&g->tenants, n);
        free(container_of(n, struct followed_tenant, node));
    }
    map_fini(&g->tenants);
    pthread_mutex_destroy(&g->lock);
    free(g);
    e->shared = NULL;
}
