/*
 * map.c - a hash map from bytes to the object that embeds the node.
 *
 * Always true between two calls:
 *   I1. every node hangs in slots[hash & (slot_count - 1)].
 *   I2. count <= max.
 */
#include "base/map.h"

#include "base/must.h"
#include "base/random.h"

#include <stdlib.h>

enum { MAP_FIRST_SLOTS = 16 };

void map_init(struct map *m, size_t max)
{
    *m = (struct map){.max = max};
    random_bytes(&m->seed, sizeof(m->seed));
}

void map_fini(struct map *m)
{
    free(m->slots);
    m->slots = NULL;
    m->slot_count = m->count = 0;
}

static bool map_grow(struct map *m)
{
    size_t want = m->slot_count ? m->slot_count * 2 : MAP_FIRST_SLOTS;
    struct map_node **slots = calloc(want, sizeof(*slots));
    if (slots == NULL)
        return m->slot_count > 0; // a full table still works, only slower
    for (size_t i = 0; i < m->slot_count; i++) {
        struct map_node *next;
        for (struct map_node *n = m->slots[i]; n != NULL; n = next) {
            next = n->next;
            struct map_node **slot = &slots[n->hash & (want - 1)];
            n->next = *slot;
            *slot = n;
        }
    }
    free(m->slots);
    m->slots = slots;
    m->slot_count = want;
    return true;
}

struct map_node *map_find(const struct map *m, struct str key)
{
    if (m->count == 0)
        return NULL;
    uint64_t hash = str_hash(key, m->seed);
    struct map_node *n = m->slots[hash & (m->slot_count - 1)];
    while (n != NULL && !(n->hash == hash && str_eq(n->key, key)))
        n = n->next;
    return n;
}

bool map_add(struct map *m, struct map_node *node)
{
    if (m->count >= m->max)
        return false;
    if (m->count >= m->slot_count && !map_grow(m))
        return false;
    node->hash = str_hash(node->key, m->seed);
    struct map_node **slot = &m->slots[node->hash & (m->slot_count - 1)];
    node->next = *slot;
    *slot = node;
    m->count++;
    return true;
}

void map_remove(struct map *m, struct map_node *node)
{
    MUST(m->count > 0);
    struct map_node **at = &m->slots[node->hash & (m->slot_count - 1)];
    while (*at != node) {
        MUST(*at != NULL);
        at = &(*at)->next;
    }
    *at = node->next;
    node->next = NULL;
    m->count--;
}

static struct map_node *map_from_slot(const struct map *m, size_t slot)
{
    for (; slot < m->slot_count; slot++) {
        if (m->slots[slot] != NULL)
            return m->slots[slot];
    }
    return NULL;
}

struct map_node *map_first(const struct map *m)
{
    return map_from_slot(m, 0);
}

struct map_node *map_next(const struct map *m, const struct map_node *node)
{
    if (node->next != NULL)
        return node->next;
    return map_from_slot(m, (node->hash & (m->slot_count - 1)) + 1);
}
