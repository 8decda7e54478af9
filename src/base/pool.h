/* pool.h - memory for short-lived blocks that come and go at message rate.
 *
 * Each thread keeps lists of free blocks by size. A block that another thread gives back returns to
 * the thread that made it, so that after warm-up nothing is asked of malloc().
 *
 * Thread:  any; blocks may be freed on another thread than they were made on.
 * Memory:  what a thread keeps for reuse is bounded per size (POOL_KEEP_BYTES), and what other
 *          threads have given back to it but it has not yet looked at is bounded as well.
 * Failure: pool_alloc() returns NULL when memory has run out. */
#ifndef BASE_POOL_H
#define BASE_POOL_H

#include <stddef.h>
#include <stdint.h>

enum { POOL_KEEP_BYTES = 8 << 20 };

void *pool_alloc(size_t n);
/* NULL is fine. */
void pool_free(void *p);
/* Bytes usable at p: n rounded up to the block's size. */
size_t pool_size(const void *p);

/* Blocks the calling thread had to take from malloc() so far: for the test that counts. */
uint64_t pool_misses(void);
/* Gives back what the calling thread keeps. Before a thread ends. */
void pool_drop(void);

#endif
