/* tally.h - names, and how many sessions of one endpoint stand for each, on all its loops.
 * Thread:  any. A lock is taken when somebody comes or goes, and while all are read; never for a
 *          message.
 * Memory:  a name lives as long as somebody is counted for it.
 * Failure: tally_create() and tally_enter() return NULL without memory. */
#ifndef DIALECT_TALLY_H
#define DIALECT_TALLY_H

#include "base/map.h"

struct tally;

struct tally_name {
    struct map_node node; // key: the name, in bytes
    uint64_t count;       // above 0
    char bytes[];
};

struct tally *tally_create(void);
/* After the loops have ended; who is still counted is forgotten. */
void tally_destroy(struct tally **tp);

/* One more for this name; tally_leave() takes it back. */
struct tally_name *tally_enter(struct tally *t, struct str name);
void tally_leave(struct tally *t, struct tally_name *n);

/* read() is called once, under the lock: names are of struct tally_name, total is the sum of their
 * counts. It must not call back. */
void tally_read(struct tally *t, void (*read)(void *ctx, const struct map *names, uint64_t total),
                void *ctx);

#endif
