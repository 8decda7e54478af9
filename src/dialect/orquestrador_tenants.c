/*
 * orquestrador_tenants.c - in which tenants somebody follows the machine's figures.
 *
 * Why it exists: a reading is published where it is wanted, and only the sessions know where.
 */
#include "dialect/orquestrador_priv.h"
#include "dialect/tally.h"

/* Without memory the tenant's figures come when another session follows them. */
void orq_figures_follow(struct orq *o)
{
    if (o->followed == NULL)
        o->followed = tally_enter(o->ws.endpoint->shared, o->ws.session.tenant);
}

void orq_figures_leave(struct orq *o)
{
    if (o->followed != NULL)
        tally_leave(o->ws.endpoint->shared, o->followed);
    o->followed = NULL;
}

struct visit {
    void (*each)(void *ctx, struct str tenant);
    void *ctx;
};

static void visit_all(void *ctx, const struct map *tenants, uint64_t session_count)
{
    const struct visit *v = ctx;
    (void)session_count;
    for (struct map_node *n = map_first(tenants); n != NULL; n = map_next(tenants, n))
        v->each(v->ctx, n->key);
}

void orq_monitor_tenants(const struct endpoint *e, void (*each)(void *ctx, struct str tenant),
                         void *ctx)
{
    each(ctx, e->tenant); // where other dialects may follow them
    tally_read(e->shared, visit_all, &(struct visit){each, ctx});
}

bool orq_tenants_make(struct endpoint *e)
{
    e->shared = tally_create();
    return e->shared != NULL;
}

void orq_tenants_drop(struct endpoint *e)
{
    struct tally *tenants = e->shared;
    tally_destroy(&tenants);
    e->shared = NULL;
}
