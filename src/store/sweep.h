/* sweep.h - forgetting rows that are too old: looks now and then, and then goes on step by step as
 * long as there is something, so that the work of others comes in between.
 *
 * Nothing is remembered of it but in the rows: what a crash leaves is found by the next look.
 *
 * Thread:  the loop's; look() and step() run on the store's threads, where nothing else of their
 *          owner runs meanwhile.
 * Memory:  the struct is its owner's, and is the store's while it is busy.
 * Failure: a look or a step that failed ends the round; the next one comes in its time. */
#ifndef STORE_SWEEP_H
#define STORE_SWEEP_H

#include "store/store.h"

struct sweep;

struct sweep_ops {
    /* Whether there is something. It changes nothing. */
    enum sql_result (*look)(struct sweep *s, struct sql *db);
    /* One step, in the writer's transaction; it may run again. */
    enum sql_result (*step)(struct sweep *s, struct sql *db);
    /* On the loop, behind look() and behind step(), unless it failed: calls sweep_step() or
     * sweep_look(), now or later, or sweep_rest(). */
    void (*looked)(struct sweep *s);
    void (*stepped)(struct sweep *s);
    void (*failed)(struct sweep *s); // instead: the round has ended. NULL: that is all
    uint64_t every_ms;
    bool search; // look() may have to read very many rows
};

struct sweep {
    const struct sweep_ops *ops;
    struct store *store;
    struct loop *loop;
    struct timer timer;
    struct store_job job;
    bool busy; // a round is under way
    bool stopped;
};

void sweep_init(struct sweep *s, const struct sweep_ops *ops, struct store *store, struct loop *l);
/* The first look comes after first_ms. */
void sweep_start(struct sweep *s, uint64_t first_ms);
/* No further step is made. */
void sweep_stop(struct sweep *s);
void sweep_look(struct sweep *s);
void sweep_step(struct sweep *s);
void sweep_rest(struct sweep *s);

#endif
