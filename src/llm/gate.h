/* gate.h - whose turn it is: so many at once in the whole node, the others wait in lines, one for
 * each tenant, and the lines take turns.
 *
 * Thread:  any loop; a lock is held for a few pointers. Its holder never waits.
 * Memory:  a waiter is embedded in its owner's object, which must live until gate_leave() says that
 *          no mail is under way to it, or until that mail has come.
 * Failure: GATE_FULL when the queue is full, or three quarters of it are this tenant's alone. */
#ifndef LLM_GATE_H
#define LLM_GATE_H

#include "base/list.h"
#include "base/map.h"
#include "loop/loop.h"

#include <pthread.h>

struct gate {
    pthread_mutex_t lock;
    uint32_t inside, inside_max;
    uint32_t waiting, waiting_max;
    struct map lines;  // by tenant: those where somebody waits
    struct list turns; // the same lines, next one first
};

struct gate_line;

enum waiter_state {
    WAITER_OUTSIDE,
    WAITER_IN_LINE,
    WAITER_CALLED, // it is inside, and the mail that tells so is under way
    WAITER_INSIDE,
    WAITER_GONE // it left while that mail was under way
};

struct waiter {
    struct mail mail; // deliver() is its owner's; gate_arrived() first
    struct loop *loop;
    struct list link; // in its line
    struct gate_line *line;
    enum waiter_state state; // under the lock
};

enum gate_answer { GATE_OPEN, GATE_WAIT, GATE_FULL };

void gate_init(struct gate *g, uint32_t inside_max, uint32_t waiting_max);
void gate_fini(struct gate *g); // nobody is inside or waits
void waiter_init(struct waiter *w, struct loop *l, void (*deliver)(struct mail *m, struct loop *l));
/* GATE_WAIT: the mail comes when it is this one's turn. */
enum gate_answer gate_enter(struct gate *g, struct waiter *w, struct str tenant);
/* In deliver(): false, the waiter has left meanwhile. */
bool gate_arrived(struct gate *g, struct waiter *w);
/* From wherever it is. True: its mail is still under way. */
bool gate_leave(struct gate *g, struct waiter *w);
void gate_read(struct gate *g, uint32_t *ret_inside, uint32_t *ret_waiting);

#endif
