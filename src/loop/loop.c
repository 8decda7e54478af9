/*
 * loop.c - one thread, one loop, one turn order.
 *
 * A turn: wait for events (not at all while there is work), hand them out, deliver mail, fire
 * timers, do a portion of every work, bury the dead. When handing out takes long, the rest of the
 * events is the next turn's, which waits for no others.
 *
 * Always true:
 *   I1. nothing is buried while a callback of this loop runs.
 *   I2. whoever posts while the loop sleeps finds asleep set and rings the bell.
 */
#include "loop/loop.h"

#include "base/clock.h"
#include "base/must.h"
#include "base/pool.h"
#include "loop/priv.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { EVENTS_A_TURN = 512, MAILS_A_TURN = 4096, WAIT_MAX_MS = 60000 };
/* What events give is sent by the works behind them. When many events take long, the rest wait
 * until that has been done. */
enum { HAND_OUT_NS = 1000000, EVENTS_A_LOOK = 16 };

static _Thread_local struct loop *current_loop;

static void count(_Atomic uint64_t *counter, uint64_t n)
{
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + n,
                          memory_order_relaxed);
}

static void loop_read_clocks(struct loop *l)
{
    l->now_ns = clock_mono_ns();
    l->wall_ms = clock_wall_ms();
}

static void bell_ready(struct io *io, uint32_t events)
{
    uint64_t n;
    (void)events;
    while (read(io->fd, &n, sizeof(n)) > 0)
        continue;
}

struct loop *loop_create(unsigned index)
{
    struct loop *l = calloc(1, sizeof(*l));
    if (l == NULL)
        return NULL;
    l->index = index;
    l->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    l->bell = (struct io){.fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC), .ready = bell_ready};
    l->events = calloc(EVENTS_A_TURN, sizeof(*l->events));
    list_init(&l->works);
    l->last_grave = &l->graves;
    mailbox_init(&l->mailbox);
    loop_read_clocks(l);
    wheel_init(&l->wheel, loop_now_ms(l) / LOOP_TICK_MS);
    if (l->epoll_fd < 0 || l->bell.fd < 0 || l->events == NULL ||
        !loop_add_io(l, &l->bell, EPOLLIN)) {
        loop_destroy(&l);
        return NULL;
    }
    return l;
}

static void loop_bury_all(struct loop *l)
{
    while (l->graves != NULL) {
        struct grave *g = l->graves;
        l->graves = g->next; // bury() may add another grave: the list is already consistent
        if (l->graves == NULL)
            l->last_grave = &l->graves;
        g->bury(g);
    }
}

void loop_destroy(struct loop **lp)
{
    struct loop *l = *lp;
    *lp = NULL;
    if (l == NULL)
        return;
    loop_bury_all(l);
    if (l->bell.fd >= 0)
        close(l->bell.fd);
    if (l->epoll_fd >= 0)
        close(l->epoll_fd);
    free(l->events);
    free(l);
}

/* ---- the turn ---- */

static int loop_wait_ms(struct loop *l, int wait_ms)
{
    uint64_t next = wheel_next(&l->wheel);
    if (next == UINT64_MAX)
        return wait_ms;
    uint64_t due_ms = next * LOOP_TICK_MS, now_ms = clock_mono_ns() / 1000000;
    uint64_t ms = due_ms > now_ms ? due_ms - now_ms : 0;
    return ms < (uint64_t)wait_ms ? (int)ms : wait_ms;
}

static void loop_wait(struct loop *l, int wait_ms)
{
    if (wait_ms > 0)
        wait_ms = loop_wait_ms(l, wait_ms);
    if (wait_ms > 0) {
        atomic_store(&l->asleep, true);
        if (!mailbox_empty(&l->mailbox) || atomic_load(&l->stop))
            wait_ms = 0;
    }
    uint64_t before = wait_ms > 0 ? clock_mono_ns() : 0;
    int n = epoll_wait(l->epoll_fd, l->events, EVENTS_A_TURN, wait_ms);
    atomic_store(&l->asleep, false);
    MUST(n >= 0 || errno == EINTR);
    l->event_count = n < 0 ? 0 : n;
    l->event_next = 0;
    uint64_t last = l->now_ns;
    loop_read_clocks(l);
    count(&l->busy_ns, before > 0 ? before - last : l->now_ns - last);
}

/* Instead of waiting, while events of the turn before are left. */
static void loop_go_on(struct loop *l)
{
    uint64_t last = l->now_ns;
    loop_read_clocks(l);
    count(&l->busy_ns, l->now_ns - last);
}

/* Returns whether some are left for the next turn. */
static bool loop_hand_out(struct loop *l)
{
    int first = l->event_next;
    while (l->event_next < l->event_count) {
        const struct epoll_event *e = &l->events[l->event_next++];
        struct io *io = e->data.ptr;
        if (io != NULL) // not removed by an earlier one
            io->ready(io, e->events);
        if (l->event_next % EVENTS_A_LOOK == 0 && clock_mono_ns() - l->now_ns > HAND_OUT_NS)
            break;
    }
    count(&l->event_total, (uint64_t)(l->event_next - first));
    return l->event_next < l->event_count;
}

static bool loop_deliver(struct loop *l)
{
    for (int i = 0; i < MAILS_A_TURN; i++) {
        struct mail *m = mailbox_take(&l->mailbox);
        if (m == NULL)
            return false;
        count(&l->mail_total, 1);
        m->deliver(m, l);
    }
    return true;
}

static bool loop_do_works(struct loop *l)
{
    bool more = false;
    struct list todo; // a work may remove itself, the next one, or add another
    list_init(&todo);
    while (!list_empty(&l->works))
        list_move_to_end(&todo, l->works.next);
    while (!list_empty(&todo)) {
        struct work *w = container_of(todo.next, struct work, link);
        list_move_to_end(&l->works, &w->link);
        more |= w->run(w);
    }
    return more;
}

/* Returns whether the next turn must not sleep. */
static bool loop_do_turn(struct loop *l, int wait_ms)
{
    current_loop = l;
    if (l->event_next < l->event_count)
        loop_go_on(l);
    else
        loop_wait(l, wait_ms);
    bool more = loop_hand_out(l);
    more |= loop_deliver(l);
    count(&l->timer_total, wheel_turn(&l->wheel, loop_now_ms(l) / LOOP_TICK_MS));
    more |= loop_do_works(l);
    more |= l->graves != NULL; // what is said at a burial may have to be sent
    loop_bury_all(l);
    count(&l->turns, 1);
    return more;
}

bool loop_turn(struct loop *l, int wait_ms)
{
    return loop_do_turn(l, wait_ms);
}

void loop_run(struct loop *l)
{
    bool more = true; // what was prepared before the first turn
    while (!atomic_load(&l->stop))
        more = loop_do_turn(l, more ? 0 : WAIT_MAX_MS);
    current_loop = NULL;
    pool_drop();
}

/* ---- from any thread ---- */

static void loop_ring(struct loop *l)
{
    uint64_t one = 1;
    if (atomic_exchange(&l->asleep, false))
        MUST(write(l->bell.fd, &one, sizeof(one)) == sizeof(one) || errno == EAGAIN);
}

void loop_stop(struct loop *l)
{
    atomic_store(&l->stop, true);
    loop_ring(l);
}

void loop_post(struct loop *l, struct mail *m)
{
    MUST(m->deliver != NULL);
    mailbox_put(&l->mailbox, m); // is seen before asleep is looked at
    if (atomic_load(&l->asleep))
        loop_ring(l);
}

/* ---- the rest ---- */

unsigned loop_index(const struct loop *l)
{
    return l->index;
}

struct loop *loop_current(void)
{
    return current_loop;
}

uint64_t loop_now_ns(const struct loop *l)
{
    return l->now_ns;
}

uint64_t loop_now_ms(const struct loop *l)
{
    return l->now_ns / 1000000;
}

int64_t loop_wall_ms(const struct loop *l)
{
    return l->wall_ms;
}

static struct epoll_event event_of(struct io *io, uint32_t events)
{
    return (struct epoll_event){.events = io->level ? events : events | EPOLLET, .data.ptr = io};
}

bool loop_add_io(struct loop *l, struct io *io, uint32_t events)
{
    struct epoll_event ev = event_of(io, events);
    return epoll_ctl(l->epoll_fd, EPOLL_CTL_ADD, io->fd, &ev) == 0;
}

bool loop_change_io(struct loop *l, struct io *io, uint32_t events)
{
    struct epoll_event ev = event_of(io, events);
    return epoll_ctl(l->epoll_fd, EPOLL_CTL_MOD, io->fd, &ev) == 0;
}

void loop_remove_io(struct loop *l, struct io *io)
{
    epoll_ctl(l->epoll_fd, EPOLL_CTL_DEL, io->fd, NULL);
    for (int i = l->event_next; i < l->event_count; i++) {
        if (l->events[i].data.ptr == io)
            l->events[i].data.ptr = NULL;
    }
}

void loop_add_work(struct loop *l, struct work *w)
{
    list_add(&l->works, &w->link);
}

void loop_remove_work(struct work *w)
{
    list_remove(&w->link);
}

void loop_bury_later(struct loop *l, struct grave *g, void (*bury)(struct grave *g))
{
    g->bury = bury;
    g->next = NULL;
    *l->last_grave = g;
    l->last_grave = &g->next;
}

void loop_read_stats(const struct loop *l, struct loop_stats *ret)
{
    *ret = (struct loop_stats){
        .turns = atomic_load_explicit(&l->turns, memory_order_relaxed),
        .events = atomic_load_explicit(&l->event_total, memory_order_relaxed),
        .mails = atomic_load_explicit(&l->mail_total, memory_order_relaxed),
        .timers_fired = atomic_load_explicit(&l->timer_total, memory_order_relaxed),
        .busy_ns = atomic_load_explicit(&l->busy_ns, memory_order_relaxed),
    };
}
