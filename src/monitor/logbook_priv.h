/* logbook_priv.h - what the files of the logbook share.
 * Thread:  what stands below the lock is guarded by it; the timer is the loop's.
 * Memory:  the lines that are kept and those that wait to be told hold a reference each.
 * Failure: as logbook.h says. */
#ifndef MONITOR_LOGBOOK_PRIV_H
#define MONITOR_LOGBOOK_PRIV_H

#include "base/map.h"
#include "monitor/logbook.h"

#include <pthread.h>

enum {
    TELL_A_TURN = 256,
    TELL_MAX = 20000,          // lines that wait to be told, and
    TELL_MAX_BYTES = 64 << 20, // together
    STORE_PAUSE_MS = 1000,     // between two writes
    STORE_AT_ONCE = 10000,     // lines in one of them, and holes
};

struct logbook {
    struct logbook_options o;
    struct mail mail;    // lines wait to be told
    struct timer timer;  // to store
    bool failing;        // to store: the last write
    atomic_bool telling; // by the thread teller
    _Atomic pthread_t teller;

    pthread_mutex_t lock;
    struct map tenants;     // of struct shelf
    struct shelf **shelves; // o.keep places; the greatest first, as a heap
    size_t shelf_count;
    struct list lines; // all, by seq
    struct list holes; // before which rows may stand of what is not kept any more
    bool hole_at_end;  // the same before the line that comes next
    uint64_t count, bytes, newest;
    struct list *unsaved; // the first line that the store has not been given; &lines: none
    struct log_line *first, **last; // wait to be told
    uint32_t waiting_count;
    uint64_t waiting_bytes;
    bool mailed;
    uint64_t line_total, dropped_total;
};

struct log_line *log_line_make(struct str tenant, const struct log_entry *e);
size_t log_line_bytes(const struct log_line *l);

/* logbook_shelf.c, all of it under the lock */
/* Its seq is set. Without memory it is not kept. */
void logbook_keep(struct logbook *b, struct log_line *l);
void logbook_clear(struct logbook *b);
struct log_line *logbook_newest(const struct logbook *b, struct str tenant); // NULL: none
void logbook_mark_holes(struct logbook *b); // wherever there may be any

/* logbook_row.c */
/* On any thread: what the store has not been given yet, as much as one write takes. True: there is
 * more. */
bool logbook_store(struct logbook *b);
void logbook_store_soon(struct logbook *b); // on the loop

#endif
