/*
 * idempotency.c - the publishers' own ids that one channel has seen lately.
 *
 * Always true between two calls: a key is in by_key and in order, oldest first, or in neither; no
 * more than the policy's idempotency_max of them.
 */
#include "hub/priv.h"

struct seen {
    struct map_node node;
    struct list link;
    struct position at;
    uint64_t since_ms;
    char key[];
};

struct idempotency {
    struct map by_key;
    struct list order;
};

static void seen_drop(struct idempotency *ids, struct seen *s)
{
    map_remove(&ids->by_key, &s->node);
    list_remove(&s->link);
    pool_free(s);
}

/* Those that are too old, and the oldest for as long as there are more than room. */
static void drop_old(struct channel *ch, uint32_t room)
{
    struct idempotency *ids = ch->idempotency;
    const struct policy *policy = hub_rules(ch->hub);
    uint64_t now_ms = loop_now_ms(ch->hub->loop);
    while (!list_empty(&ids->order)) {
        struct seen *oldest = container_of(ids->order.next, struct seen, link);
        if (oldest->since_ms + policy->idempotency_ttl_ms > now_ms && ids->by_key.count <= room)
            return;
        seen_drop(ids, oldest);
    }
}

bool idempotency_find(struct channel *ch, struct str key, struct position *ret)
{
    if (ch->idempotency == NULL)
        return false;
    drop_old(ch, hub_rules(ch->hub)->idempotency_max);
    struct map_node *n = map_find(&ch->idempotency->by_key, key);
    if (n == NULL)
        return false;
    *ret = container_of(n, struct seen, node)->at;
    return true;
}

bool idempotency_expire(struct channel *ch)
{
    if (ch->idempotency == NULL)
        return true;
    drop_old(ch, hub_rules(ch->hub)->idempotency_max);
    if (!list_empty(&ch->idempotency->order))
        return false;
    idempotency_destroy(&ch->idempotency);
    return true;
}

static struct idempotency *idempotency_create(void)
{
    struct idempotency *ids = calloc(1, sizeof(*ids));
    if (ids == NULL)
        return NULL;
    map_init(&ids->by_key, UINT32_MAX);
    list_init(&ids->order);
    return ids;
}

void idempotency_add(struct channel *ch, struct str key, struct position at)
{
    if (ch->idempotency == NULL && (ch->idempotency = idempotency_create()) == NULL)
        return;
    uint32_t most = hub_rules(ch->hub)->idempotency_max;
    drop_old(ch, most > 0 ? most - 1 : 0);
    struct seen *s = most > 0 ? pool_alloc(sizeof(*s) + key.n) : NULL;
    if (s == NULL)
        return;
    *s = (struct seen){.at = at, .since_ms = loop_now_ms(ch->hub->loop)};
    memcpy(s->key, key.p, key.n);
    s->node.key = (struct str){s->key, key.n};
    if (!map_add(&ch->idempotency->by_key, &s->node)) {
        pool_free(s);
        return;
    }
    list_init(&s->link);
    list_add(&ch->idempotency->order, &s->link);
}

void idempotency_destroy(struct idempotency **ip)
{
    struct idempotency *ids = *ip;
    *ip = NULL;
    if (ids == NULL)
        return;
    while (!list_empty(&ids->order))
        seen_drop(ids, container_of(ids->order.next, struct seen, link));
    map_fini(&ids->by_key);
    free(ids);
}
