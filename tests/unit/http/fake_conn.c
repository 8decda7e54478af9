/*
 * fake_conn.c - a twin of net's connections and of the loop (see fake_conn.h).
 * Always true: closed() is called at the end of a turn, data() never while reading is paused, and
 * every piece of input stands in a heap block of its own size.
 */
#include "unit/http/fake_conn.h"

#include <stdlib.h>

#include "base/must.h"

enum { FAKE_SENT_MAX = 16 << 20, FAKE_START_MS = 1000000, FAKE_TURNS_MAX = 100000 };
static const int64_t fake_wall_ms = 1762124358123; // 2025-11-02 22:59:18

struct loop {
    uint64_t now_ms;
    struct list timers;
    struct grave *graves;
    struct fake_world *world;
};

/* ---- the loop ---- */

uint64_t loop_now_ms(const struct loop *l)
{
    return l->now_ms;
}

uint64_t loop_now_ns(const struct loop *l)
{
    return l->now_ms * 1000000;
}

int64_t loop_wall_ms(const struct loop *l)
{
    return fake_wall_ms + (int64_t)(l->now_ms - FAKE_START_MS);
}

void loop_bury_later(struct loop *l, struct grave *g, void (*bury)(struct grave *g))
{
    g->bury = bury;
    g->next = l->graves;
    l->graves = g;
}

void timer_init(struct timer *t, void (*fire)(struct timer *t))
{
    list_init(&t->link);
    t->fire = fire;
}

void timer_arm(struct loop *l, struct timer *t, uint64_t delay_ms)
{
    list_remove(&t->link);
    t->due_tick = l->now_ms + delay_ms; // the fake's tick is a millisecond
    list_add(&l->timers, &t->link);
}

void timer_cancel(struct timer *t)
{
    list_remove(&t->link);
}

/* ---- connections ---- */

static struct fake_peer *peer_of(const struct conn *c)
{
    struct fake_world *w = c->flusher->loop->world;
    size_t i = 0;
    while (i < w->peer_count && w->peers[i].conn != c)
        i++;
    MUST(i < w->peer_count); // a connection of this world
    return &w->peers[i];
}

bool conn_open(struct conn *c, struct flusher *f, int fd, struct tls *tls, const struct addr *peer,
               const struct conn_handler *handler, uint32_t out_max)
{
    struct fake_world *w = f->loop->world;
    MUST(fd == -1 && w->peer_count < FAKE_CONNS_MAX);
    *c = (struct conn){
        .flusher = f, .handler = handler, .tls = tls, .out_max = out_max, .peer = *peer};
    sink_init(&c->sink);
    struct fake_peer *p = &w->peers[w->peer_count++];
    *p = (struct fake_peer){.conn = c};
    buf_init(&p->sent, FAKE_SENT_MAX);
    buf_init(&p->inbox, FAKE_SENT_MAX);
    return true;
}

/* There is one loop here: nothing moves to another. */
void conn_leave(struct conn *c)
{
    (void)c;
    MUST(false); // there is no second loop
}

bool conn_enter(struct conn *c, struct flusher *f)
{
    (void)c, (void)f;
    MUST(false); // there is no second loop
    return false;
}

void loop_post(struct loop *l, struct mail *m)
{
    (void)l, (void)m;
    MUST(false); // there is no second loop
}

void conn_set_handler(struct conn *c, const struct conn_handler *handler)
{
    c->handler = handler;
}

size_t conn_pending(const struct conn *c)
{
    const struct fake_peer *p = peer_of(c);
    return p->sent.len - p->taken;
}

static void conn_bury(struct grave *g)
{
    struct conn *c = container_of(g, struct conn, grave);
    struct fake_peer *p = peer_of(c);
    p->reason = c->reason;
    c->handler->closed(c, (enum close_reason)c->reason);
    p->conn = NULL;
}

static void conn_finish(struct conn *c)
{
    c->state = CONN_CLOSED;
    loop_bury_later(c->flusher->loop, &c->grave, conn_bury);
}

void conn_abort(struct conn *c, enum close_reason reason)
{
    if (c->state == CONN_CLOSED)
        return;
    if (c->state == CONN_OPEN)
        c->reason = (uint8_t)reason;
    peer_of(c)->aborted = true;
    conn_finish(c);
}

void conn_close(struct conn *c, enum close_reason reason, uint32_t linger_ms)
{
    (void)linger_ms;
    if (c->state != CONN_OPEN)
        return;
    c->reason = (uint8_t)reason;
    c->state = CONN_LINGERING;
}

char *conn_reserve(struct conn *c, size_t n)
{
    struct fake_peer *p = peer_of(c);
    if (c->state != CONN_OPEN)
        return NULL;
    if (n > c->out_max - conn_pending(c) && conn_pending(c) > c->out_max / 2) {
        conn_abort(c, CLOSE_SLOW);
        return NULL;
    }
    MUST(buf_reserve(&p->sent, n));
    return p->sent.p + p->sent.len;
}

void conn_commit(struct conn *c, size_t n)
{
    peer_of(c)->sent.len += n;
}

bool conn_send(struct conn *c, struct str bytes)
{
    if (bytes.n == 0)
        return c->state == CONN_OPEN;
    char *at = conn_reserve(c, bytes.n);
    if (at == NULL)
        return false;
    memcpy(at, bytes.p, bytes.n);
    conn_commit(c, bytes.n);
    return true;
}

bool conn_has_input(const struct conn *c)
{
    (void)c;
    return false; // a fake peer's bytes are handed over at once
}

void conn_pause_reading(struct conn *c)
{
    c->reading_paused = true;
}

void conn_resume_reading(struct conn *c)
{
    c->reading_paused = false;
}

/* ---- the world ---- */

void fake_begin(struct fake_world *w)
{
    *w = (struct fake_world){.window = FAKE_SENT_MAX};
    w->loop = calloc(1, sizeof(*w->loop));
    MUST(w->loop != NULL);
    w->loop->now_ms = FAKE_START_MS;
    w->loop->world = w;
    list_init(&w->loop->timers);
    w->flusher.loop = w->loop;
}

void fake_end(struct fake_world *w)
{
    for (size_t i = 0; i < w->peer_count; i++) {
        MUST(w->peers[i].conn == NULL);
        buf_fini(&w->peers[i].sent);
        buf_fini(&w->peers[i].inbox);
    }
    MUST(list_empty(&w->loop->timers) && w->loop->graves == NULL);
    free(w->loop);
}

struct fake_peer *fake_last(struct fake_world *w)
{
    MUST(w->peer_count > 0);
    return &w->peers[w->peer_count - 1];
}

static void bury_all(struct loop *l)
{
    while (l->graves != NULL) {
        struct grave *g = l->graves;
        l->graves = g->next;
        g->bury(g);
    }
}

/* False: nothing to hand over. */
static bool pump_in(struct fake_peer *p)
{
    struct conn *c = p->conn;
    if (c == NULL || c->state != CONN_OPEN || c->reading_paused)
        return false;
    if (p->inbox.len > 0) {
        size_t n = p->inbox.len;
        char *block = malloc(n);
        MUST(block != NULL);
        memcpy(block, p->inbox.p, n);
        buf_clear(&p->inbox);
        c->handler->data(c, block, n);
        free(block);
        return true;
    }
    if (!p->fin || p->fin_told)
        return false;
    p->fin_told = true;
    if (c->handler->ended != NULL)
        c->handler->ended(c);
    else
        conn_close(c, CLOSE_PEER_GONE, 0);
    return true;
}

static bool pump_out(struct fake_world *w, struct fake_peer *p)
{
    struct conn *c = p->conn;
    if (c == NULL || c->state == CONN_CLOSED)
        return false;
    size_t waiting = p->sent.len - p->taken;
    size_t n = waiting < w->window ? waiting : w->window;
    p->taken += n;
    if (p->taken < p->sent.len)
        return n > 0;
    if (c->state == CONN_LINGERING) {
        conn_finish(c);
        return true;
    }
    if (n > 0 && c->handler->drained != NULL)
        c->handler->drained(c);
    return n > 0;
}

static bool turn(struct fake_world *w)
{
    bool moved = w->loop->graves != NULL;
    for (size_t i = 0; i < w->peer_count; i++) {
        moved |= pump_in(&w->peers[i]);
        moved |= pump_out(w, &w->peers[i]);
    }
    bury_all(w->loop);
    return moved;
}

void fake_settle(struct fake_world *w)
{
    for (int i = 0; turn(w); i++)
        MUST(i < FAKE_TURNS_MAX);
}

void fake_feed(struct fake_world *w, struct fake_peer *p, struct str bytes)
{
    (void)w;
    MUST(buf_add(&p->inbox, bytes));
    pump_in(p);
}

void fake_fin(struct fake_world *w, struct fake_peer *p)
{
    p->fin = true;
    fake_settle(w);
}

void fake_break(struct fake_world *w, struct fake_peer *p)
{
    if (p->conn != NULL && p->conn->state != CONN_CLOSED) {
        p->conn->reason = CLOSE_PEER_GONE;
        conn_finish(p->conn);
    }
    fake_settle(w);
}

static struct timer *first_due(struct loop *l, uint64_t until_ms)
{
    struct timer *first = NULL;
    list_each(it, &l->timers)
    {
        struct timer *t = container_of(it, struct timer, link);
        if (t->due_tick <= until_ms && (first == NULL || t->due_tick < first->due_tick))
            first = t;
    }
    return first;
}

void fake_advance(struct fake_world *w, uint64_t ms)
{
    uint64_t until_ms = w->loop->now_ms + ms;
    struct timer *t;
    while ((t = first_due(w->loop, until_ms)) != NULL) {
        w->loop->now_ms = t->due_tick;
        timer_cancel(t);
        t->fire(t);
        fake_settle(w);
    }
    w->loop->now_ms = until_ms;
    fake_settle(w);
}
