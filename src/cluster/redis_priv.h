/* redis_priv.h - between the files of the Redis subscriber: a name looked up without blocking, and
 * a look at what a server says.
 * Thread:  start and forget on the loop (or while it does not run); done() on the loop, once.
 * Memory:  a lookup frees itself after done(), or when it is forgotten and the thread has ended.
 * Failure: done() gets no address and a constant text. start returns NULL: no memory, no thread. */
#ifndef CLUSTER_REDIS_PRIV_H
#define CLUSTER_REDIS_PRIV_H

#include "cluster/redis.h"

#include <hiredis/hiredis.h>

struct redis_lookup;
/* ip: as text, or NULL with why. */
typedef void redis_lookup_fn(void *ctx, const char *ip, const char *why);
/* done() is never called from inside. */
struct redis_lookup *redis_lookup_start(struct loop *l, const char *host, redis_lookup_fn *done,
                                        void *ctx);
/* done() will not be called. NULL is fine. */
void redis_lookup_forget(struct redis_lookup **lp);

#if HIREDIS_MAJOR >= 1
typedef size_t redis_vet_count;
#else
typedef int redis_vet_count;
#endif

struct redis_vet {
    redisReplyObjectFunctions own;
    const redisReplyObjectFunctions *inner;
    bool refused; // something that is nothing a subscriber is told
};
/* Every reply that r reads is looked at from here on. v outlives r. */
void redis_vet_begin(struct redis_vet *v, redisReader *r);

#endif
