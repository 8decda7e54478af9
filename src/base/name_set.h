/* name_set.h - names, each of them once.
 * Thread:  the owner's.
 * Memory:  the struct is the caller's; the names are copies that go with name_set_fini().
 * Failure: name_set_add() says false when the set is full or memory has run out. */
#ifndef BASE_NAME_SET_H
#define BASE_NAME_SET_H

#include "base/map.h"

struct name_set {
    struct map names; // for walks: a node's key is the name
};

void name_set_init(struct name_set *s, size_t max);
void name_set_fini(struct name_set *s);
/* True as well when it is there already. */
bool name_set_add(struct name_set *s, struct str name);

#endif
