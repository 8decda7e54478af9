/*
 * name_set.c - names, each of them once: a map whose members are nothing but their keys.
 */
#include "base/name_set.h"

#include "base/must.h"

#include <stdlib.h>

struct named {
    struct map_node node;
    char bytes[];
};

void name_set_init(struct name_set *s, size_t max)
{
    map_init(&s->names, max);
}

void name_set_fini(struct name_set *s)
{
    struct map_node *n;
    while ((n = map_first(&s->names)) != NULL) {
        map_remove(&s->names, n);
        free(container_of(n, struct named, node));
    }
    map_fini(&s->names);
}

bool name_set_add(struct name_set *s, struct str name)
{
    if (map_find(&s->names, name) != NULL)
        return true;
    struct named *one = calloc(1, sizeof(*one) + name.n);
    if (one == NULL)
        return false;
    char *at = one->bytes;
    one->node.key = str_put(&at, name);
    if (map_add(&s->names, &one->node))
        return true;
    free(one);
    return false;
}
