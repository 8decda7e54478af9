/* logbook_priv.h - what the files of the logbook share.
 * Thread:  what stands below the lock is guarded by it; the timer is the loop's.
 * Memory:  the ring and the lines that wait to be told hold a reference each.
 * Failure: as logbook.h says. */
#ifndef MONITOR_LOGBOOK_PRIV_H
#define MONITOR_LOGBOOK_PRIV_H

#include "monitor/logbook.h"

#include <pthread.h>

enum {
    TELL_A_TURN = 256,
    TELL_MAX = 20000,          // lines that wait to be told, and
    TELL_MAX_BYTES = 64 << 20, // together
    STORE_PAUSE_MS = 1000,     // between two writes
    STORE_AT_ONCE = 10000,     // lines in one of them
};

struct logbook {
    struct logbook_options o;
    struct mail mail;    // lines wait to be told
    struct timer timer;  // to store
    atomic_bool telling; // by the thread teller
    _Atomic pthread_t teller;

    pthread_mutex_t lock;
    struct log_line **ring; // o.keep places; seqs follow each other
    uint32_t head, count;
    uint64_t bytes, newest;
    struct log_line *first, **last; // wait to be told
    uint32_t waiting_count;
    uint64_t waiting_bytes;
    bool mailed;
    uint64_t given; // to the store, up to this one
    uint64_t line_total, dropped_total;
};

struct log_line *log_line_make(struct str tenant, const struct log_entry *e);
size_t log_line_bytes(const struct log_line *l);
/* Under the lock: its seq is set. */
void logbook_keep(struct logbook *b, struct log_line *l);
void logbook_clear(struct logbook *b);
/* On any thread: everything that the store has not been given yet. */
void logbook_store(struct logbook *b);
void logbook_store_soon(struct logbook *b); // on the loop

#endif
