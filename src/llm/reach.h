/* reach.h - whether the model's server can be reached, as the operator is told: a line when that
 * changes, and not one for each ask.
 *
 * Thread:  any loop; a server that answers all the time costs no lock.
 * Memory:  the struct is its owner's.
 * Failure: none. */
#ifndef LLM_REACH_H
#define LLM_REACH_H

#include "base/buf.h"

#include <pthread.h>
#include <stdatomic.h>

enum { REACH_URL_MAX = 512 };

struct reach {
    pthread_mutex_t lock;
    atomic_bool lost;
    uint64_t lost_at_ns; // both under the lock
    uint64_t tries;      // that failed since
    char url[REACH_URL_MAX];
    size_t url_n;
};

void reach_init(struct reach *r, struct str url);
void reach_fini(struct reach *r);
/* Where it is, for people: without user, password, query and fragment, and cut where it is long. */
struct str reach_url(const struct reach *r);
/* A try found no server: why not. */
void reach_failed(struct reach *r, struct str why);
/* A server has answered, whatever it says. */
void reach_answered(struct reach *r);

#endif
