/* priv.h - what conn.c and flush.c share.
 * Thread:  the connection's loop.
 * Memory:  none of its own.
 * Failure: as conn.h says. */
#ifndef NET_PRIV_H
#define NET_PRIV_H

#include "net/conn.h"

enum { READ_BUF_BYTES = 256 * 1024 };

/* Adds to a counter that only this thread writes. */
static inline void stat_add(_Atomic uint64_t *counter, uint64_t n)
{
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + n,
                          memory_order_relaxed);
}

/* The kernel had no memory for what c has to send, and will not say when it has: c is blocked until
 * the flusher tries again. */
void conn_starve(struct conn *c);
/* One visit: writes as much as one send takes. */
void flush_visit(struct conn *c);
/* Nothing of its own is left to write. */
bool conn_is_drained(const struct conn *c);
/* All own bytes of a lingering connection have left. */
void conn_lingered(struct conn *c);
/* Writing has failed. */
void conn_failed(struct conn *c, enum close_reason reason);
void conn_free_out(struct conn *c);

#endif
