/* map.h - a hash map from bytes to the object that embeds the node.
 * Thread:  the owner's.
 * Memory:  nodes are the caller's; the map owns its table of pointers only.
 * Failure: map_add() returns false when the table cannot grow or the map is full. */
#ifndef BASE_MAP_H
#define BASE_MAP_H

#include "base/str.h"

struct map_node {
    struct map_node *next;
    uint64_t hash;
    struct str key; // borrowed: must live as long as the node is in the map
};

struct map {
    struct map_node **slots;
    size_t slot_count; // a power of two, or 0
    size_t count, max;
    uint64_t seed; // random: nobody can choose keys that collide
};

void map_init(struct map *m, size_t max);

/* Frees the table; the nodes still in it are the caller's business. */
void map_fini(struct map *m);

struct map_node *map_find(const struct map *m, struct str key);

/* node->key must be set and not be in the map. */
bool map_add(struct map *m, struct map_node *node);

/* node must be in the map. */
void map_remove(struct map *m, struct map_node *node);

/* For walks: the first node, the one after; NULL at the end. Nothing may be added meanwhile, and
 * of removals only that of a node whose successor was already asked for. */
struct map_node *map_first(const struct map *m);
struct map_node *map_next(const struct map *m, const struct map_node *node);

#endif
