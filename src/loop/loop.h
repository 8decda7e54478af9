/* loop.h - one thread, one loop, one turn order: events, mail, timers, work, burials.
 * Thread:  the loop's own, except loop_post() and loop_stop(), which any thread may call.
 * Memory:  struct io, timer, mail, work and grave are embedded in their owner's objects; the loop
 *          allocates nothing after loop_create().
 * Failure: loop_add_io() says false when the kernel refuses; nothing else can fail. */
#ifndef LOOP_LOOP_H
#define LOOP_LOOP_H

#include "base/list.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>

struct loop;

/* A descriptor and who is called when it is ready. Edge-triggered: read or write until EAGAIN;
 * level: called in every turn for as long as it is ready, for libraries that read what they like.
 */
struct io {
    int fd;
    bool level;
    void (*ready)(struct io *io, uint32_t events); // EPOLLIN, EPOLLOUT, EPOLLRDHUP, EPOLLHUP...
};

/* A one-shot timer on the loop's wheel; resolution LOOP_TICK_MS. */
enum { LOOP_TICK_MS = 16 };
struct timer {
    struct list link;  // private to timer.c
    uint64_t due_tick; // private to timer.c
    void (*fire)(struct timer *t);
};

/* A message to a loop. deliver() owns the mail from then on. */
struct mail {
    _Atomic(struct mail *) next; // private to mailbox.c
    void (*deliver)(struct mail *m, struct loop *l);
};

/* A job of every turn. run() returns true while it has more to do: the loop then does not sleep. */
struct work {
    struct list link;
    bool (*run)(struct work *w);
};

/* An object that dies at the end of the turn, when no callback of its own can be on the stack. */
struct grave {
    struct grave *next;
    void (*bury)(struct grave *g);
};

/* index: 0 to the number of loops less one. NULL: the kernel or memory refused. */
struct loop *loop_create(unsigned index);
void loop_destroy(struct loop **lp);

/* Turns until loop_stop(). The calling thread becomes the loop's. */
void loop_run(struct loop *l);

/* One turn; waits at most wait_ms (0: does not wait) when there is nothing to do. True: it left
 * something for the next one. */
bool loop_turn(struct loop *l, int wait_ms);

/* From any thread. */
void loop_stop(struct loop *l);
void loop_post(struct loop *l, struct mail *m);

unsigned loop_index(const struct loop *l);
/* The loop of the calling thread, or NULL. For assertions and pools only. */
struct loop *loop_current(void);

/* Monotonic and wall clock, read once a turn. */
uint64_t loop_now_ns(const struct loop *l);
uint64_t loop_now_ms(const struct loop *l);
int64_t loop_wall_ms(const struct loop *l);

/* events: EPOLLIN and so on; EPOLLET is added unless io says level. */
bool loop_add_io(struct loop *l, struct io *io, uint32_t events);
bool loop_change_io(struct loop *l, struct io *io, uint32_t events);
/* Before close(fd). Events that were already fetched for io are dropped. */
void loop_remove_io(struct loop *l, struct io *io);

void timer_init(struct timer *t, void (*fire)(struct timer *t));
/* (Re)arms t to fire once, delay_ms from now. Arming an armed timer moves it. */
void timer_arm(struct loop *l, struct timer *t, uint64_t delay_ms);
/* Harmless on a timer that is not armed, and inside its own fire(). */
void timer_cancel(struct timer *t);
static inline bool timer_armed(const struct timer *t)
{
    return !list_empty(&t->link);
}

void loop_add_work(struct loop *l, struct work *w);
void loop_remove_work(struct work *w);

void loop_bury_later(struct loop *l, struct grave *g, void (*bury)(struct grave *g));

/* Figures for the metrics. */
struct loop_stats {
    uint64_t turns, events, mails, timers_fired;
    uint64_t busy_ns; // time not spent waiting in the kernel
};
void loop_read_stats(const struct loop *l, struct loop_stats *ret);

#endif
