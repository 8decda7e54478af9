/* forget.h - rows of one table that are too old or too many go: the oldest first, some hundred at
 * a time.
 *
 * Thread:  forgetter_start() and forgetter_stop() on the loop, or on the main thread while it does
 *          not run; look() and forget() on the store's threads; forgetter_count() on any.
 * Memory:  embedded; it stays until the store has been stopped and the loop has turned.
 * Failure: the next look tries again; what is to go is known by the rows alone. */
#ifndef RUNS_FORGET_H
#define RUNS_FORGET_H

#include "store/sweep.h"

struct forgetter_options {
    struct store *store; // NULL: there is none, and nothing to forget
    struct loop *loop;
    uint64_t keep_ms;
    uint64_t rows_max; // 0: as many as there are
    /* How many rows there are, and from when the oldest is; 0: there is none. */
    enum sql_result (*look)(struct sql *db, int64_t *ret_count, int64_t *ret_oldest_ms);
    /* Forgets those from before, and so many at least; at most most. */
    enum sql_result (*forget)(struct sql *db, int64_t before_ms, int64_t excess, int64_t most,
                              int64_t *ret_count);
};

struct forgetter {
    struct forgetter_options o;
    struct sweep sweep;        // private, as is all that follows
    int64_t rows, oldest_ms;   // as the look has found them
    int64_t before_ms, excess; // what has to go
    int64_t gone;              // in the last step
    _Atomic uint64_t gone_count;
};

void forgetter_init(struct forgetter *f, const struct forgetter_options *o);
void forgetter_start(struct forgetter *f);
/* No step follows the one that is under way. */
void forgetter_stop(struct forgetter *f);
uint64_t forgetter_count(const struct forgetter *f);

#endif
