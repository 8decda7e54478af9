/*
 * tally.c - names, and how many sessions stand for each.
 *
 * Why it exists: statistics and readings are about all loops together, and only the sessions know
 * which tenants there are.
 *
 * Always true with the lock free: a name is in the map as long as its count is above 0, and total
 * is the sum of all counts.
 */
#include "dialect/tally.h"

#include "base/must.h"

#include <pthread.h>
#include <stdlib.h>

enum { NAMES_MAX = 10000000 }; // never reached: there are no more than sessions

struct tally {
    pthread_mutex_t lock;
    struct map names;
    uint64_t total;
};

struct tally *tally_create(void)
{
    struct tally *t = calloc(1, sizeof(*t));
    if (t == NULL || pthread_mutex_init(&t->lock, NULL) != 0) {
        free(t);
        return NULL;
    }
    map_init(&t->names, NAMES_MAX);
    return t;
}

void tally_destroy(struct tally **tp)
{
    struct tally *t = *tp;
    struct map_node *n;
    *tp = NULL;
    if (t == NULL)
        return;
    while ((n = map_first(&t->names)) != NULL) {
        map_remove(&t->names, n);
        free(container_of(n, struct tally_name, node));
    }
    map_fini(&t->names);
    pthread_mutex_destroy(&t->lock);
    free(t);
}

static struct tally_name *name_get(struct tally *t, struct str name)
{
    struct map_node *found = map_find(&t->names, name);
    if (found != NULL)
        return container_of(found, struct tally_name, node);
    struct tally_name *n = calloc(1, sizeof(*n) + name.n);
    if (n == NULL)
        return NULL;
    char *at = n->bytes;
    n->node.key = str_put(&at, name);
    if (map_add(&t->names, &n->node))
        return n;
    free(n);
    return NULL;
}

struct tally_name *tally_enter(struct tally *t, struct str name)
{
    pthread_mutex_lock(&t->lock);
    struct tally_name *n = name_get(t, name);
    if (n != NULL) {
        n->count++;
        t->total++;
    }
    pthread_mutex_unlock(&t->lock);
    return n;
}

void tally_leave(struct tally *t, struct tally_name *n)
{
    pthread_mutex_lock(&t->lock);
    MUST(n->count > 0);
    t->total--;
    if (--n->count == 0) {
        map_remove(&t->names, &n->node);
        free(n);
    }
    pthread_mutex_unlock(&t->lock);
}

void tally_read(struct tally *t, void (*read)(void *ctx, const struct map *names, uint64_t total),
                void *ctx)
{
    pthread_mutex_lock(&t->lock);
    read(ctx, &t->names, t->total);
    pthread_mutex_unlock(&t->lock);
}
