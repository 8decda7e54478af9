/* priv.h - what the files of the loop share.
 * Thread:  as loop.h says.
 * Memory:  inside struct loop.
 * Failure: none. */
#ifndef LOOP_PRIV_H
#define LOOP_PRIV_H

#include "loop/loop.h"

/* ---- timer wheel: four levels of 64 slots ---- */

enum { WHEEL_BITS = 6, WHEEL_SLOTS = 1 << WHEEL_BITS, WHEEL_LEVELS = 4 };

struct wheel {
    struct list slots[WHEEL_LEVELS][WHEEL_SLOTS];
    uint64_t tick; // all timers due before it have fired
};

void wheel_init(struct wheel *w, uint64_t tick);
/* Fires what is due up to and including tick; returns how many. */
uint64_t wheel_turn(struct wheel *w, uint64_t tick);
/* A tick at which wheel_turn() should be called at the latest; UINT64_MAX: no timer is armed. */
uint64_t wheel_next(const struct wheel *w);

/* ---- mailbox: many writers, one reader, first in first out per writer ---- */

struct mailbox {
    _Atomic(struct mail *) newest; // writers
    struct mail *oldest;           // the reader
    struct mail sentinel;
};

void mailbox_init(struct mailbox *b);
void mailbox_put(struct mailbox *b, struct mail *m);
/* NULL: empty, or a writer is just between its two steps (it will ring afterwards). */
struct mail *mailbox_take(struct mailbox *b);
bool mailbox_empty(struct mailbox *b);

struct loop {
    unsigned index;
    int epoll_fd;
    struct io bell;     // an eventfd: somebody has posted
    atomic_bool asleep; // the bell has to be rung
    atomic_bool stop;
    struct mailbox mailbox;
    struct wheel wheel;
    struct list works;
    struct grave *graves, **last_grave; // in the order of their deaths
    struct epoll_event *events;         // of this turn, or of one before
    int event_count, event_next;        // those from event_next on have not been handed out
    uint64_t now_ns;
    int64_t wall_ms;
    _Atomic uint64_t turns, event_total, mail_total, timer_total, busy_ns;
};

#endif
