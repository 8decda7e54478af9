/*
 * conn.c - one connection's bytes: reading, queueing its own bytes, closing once.
 *
 * Always true between two calls:
 *   I1. state moves along conn_moves only, and closed() is called once, after CONN_CLOSED, at the
 *       end of a turn.
 *   I2. out is NULL when nothing of its own waits: an idle connection holds no buffer.
 *   I3. the descriptor is watched for both directions, edge-triggered, from birth to close; the
 *       sink is blocked from a short write until the kernel says that there is room, or, when it
 * had no memory, until the flusher tries again.
 */
#include "net/conn.h"

#include "base/must.h"
#include "base/pool.h"
#include "net/priv.h"
#include "net/tls.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define TO(s) (1u << (s))
static const uint8_t conn_moves[CONN_STATE_COUNT] = {
    [CONN_OPEN] = TO(CONN_LINGERING) | TO(CONN_CLOSED),
    [CONN_LINGERING] = TO(CONN_CLOSED),
    [CONN_CLOSED] = 0,
};

enum { READS_AN_EVENT = 4, OUT_FIRST_BYTES = 512 };
enum { WATCH = EPOLLIN | EPOLLOUT | EPOLLRDHUP };

static void conn_go(struct conn *c, enum conn_state to)
{
    MUST(conn_moves[c->state] & TO(to));
    c->state = (uint8_t)to;
}

static struct conn *conn_from_io(struct io *io)
{
    return container_of(io, struct conn, io);
}

/* ---- own bytes ---- */

void conn_free_out(struct conn *c)
{
    if (c->out == NULL)
        return;
    stat_add(&c->flusher->own_bytes_waiting, (uint64_t)0 - pool_size(c->out));
    pool_free(c->out);
    c->out = NULL;
}

static struct own_bytes *out_grow(struct conn *c, size_t need)
{
    struct own_bytes *old = c->out;
    size_t size = old != NULL ? pool_size(old) : OUT_FIRST_BYTES;
    while (size < need)
        size *= 2;
    struct own_bytes *o = pool_alloc(size);
    if (o == NULL)
        return NULL;
    *o = (struct own_bytes){0};
    if (old != NULL) {
        o->len = old->len - old->sent;
        memcpy(o->bytes, old->bytes + old->sent, o->len);
    }
    conn_free_out(c);
    c->out = o;
    stat_add(&c->flusher->own_bytes_waiting, pool_size(o));
    return o;
}

char *conn_reserve(struct conn *c, size_t n)
{
    if (c->state != CONN_OPEN)
        return NULL;
    struct own_bytes *o = c->out;
    size_t waiting = o != NULL ? o->len - o->sent : 0;
    bool fits = waiting <= c->out_max && n <= c->out_max - waiting;
    if (!fits && waiting > c->out_max / 2) { // what is too long in itself goes when little waits
        conn_abort(c, CLOSE_SLOW);
        return NULL;
    }
    if (o == NULL || o->len + n + sizeof(*o) > pool_size(o))
        o = out_grow(c, waiting + n + sizeof(*o));
    if (o == NULL) {
        conn_abort(c, CLOSE_INTERNAL);
        return NULL;
    }
    return o->bytes + o->len;
}

void conn_commit(struct conn *c, size_t n)
{
    MUST(c->out != NULL && c->out->len + n + sizeof(*c->out) <= pool_size(c->out));
    c->out->len += (uint32_t)n;
    if (c->out->len == 0)
        conn_free_out(c);
    else if (!c->in_handler && !c->sink.blocked)
        sink_wake(&c->flusher->outflow, &c->sink);
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

size_t conn_pending(const struct conn *c)
{
    size_t n = c->out != NULL ? c->out->len - c->out->sent : 0;
    return n + (c->tail != NULL ? c->tail_end - c->tail_at : 0);
}

bool conn_is_drained(const struct conn *c)
{
    return c->out == NULL && c->tail == NULL && (c->tls == NULL || !tls_pending(c->tls));
}

/* ---- closing ---- */

static void conn_bury(struct grave *g)
{
    struct conn *c = container_of(g, struct conn, grave);
    stat_add(&c->flusher->closes[c->reason], 1);
    if (c->flusher->conn_closed != NULL)
        c->flusher->conn_closed(c->flusher->closed_ctx, c);
    list_remove(&c->sink.link); // who held a cursor may have woken it since
    c->handler->closed(c, (enum close_reason)c->reason);
}

static void conn_finish(struct conn *c)
{
    conn_go(c, CONN_CLOSED);
    c->sink.closed = true;
    timer_cancel(&c->linger);
    list_remove(&c->sink.link);
    list_remove(&c->link);
    loop_remove_io(conn_loop(c), &c->io);
    tls_destroy(&c->tls);
    close(c->io.fd);
    c->io.fd = -1;
    conn_free_out(c);
    if (c->tail != NULL)
        chunk_unref(c->tail);
    c->tail = NULL;
    stat_add(&c->flusher->open_count, (uint64_t)0 - 1);
    loop_bury_later(conn_loop(c), &c->grave, conn_bury);
}

static void conn_linger_fired(struct timer *t)
{
    conn_finish(container_of(t, struct conn, linger));
}

/* Everything has been said: the peer gets FIN now and may still close in its own time. */
void conn_lingered(struct conn *c)
{
    if (c->state == CONN_OPEN) {
        if (c->handler->drained != NULL)
            c->handler->drained(c);
        return;
    }
    if (c->state != CONN_LINGERING)
        return;
    if (c->tls != NULL)
        tls_shutdown(c->tls);
    shutdown(c->io.fd, SHUT_WR);
    if (c->saw_end)
        conn_finish(c);
}

void conn_stop_feeds(struct conn *c)
{
    c->sink.closed = true;
}

void conn_close(struct conn *c, enum close_reason reason, uint32_t linger_ms)
{
    if (c->state != CONN_OPEN)
        return;
    conn_go(c, CONN_LINGERING);
    c->reason = (uint8_t)reason;
    conn_stop_feeds(c);
    if (linger_ms == 0 && conn_is_drained(c)) {
        conn_finish(c);
        return;
    }
    timer_arm(conn_loop(c), &c->linger, linger_ms);
    if (c->reading_paused)
        conn_resume_reading(c);
    if (!c->sink.blocked)
        sink_wake(&c->flusher->outflow, &c->sink);
    if (conn_is_drained(c))
        conn_lingered(c);
}

void conn_abort(struct conn *c, enum close_reason reason)
{
    if (c->state == CONN_CLOSED)
        return;
    if (c->state == CONN_OPEN)
        c->reason = (uint8_t)reason;
    struct linger rst = {.l_onoff = 1, .l_linger = 0};
    if (c->peer.family != AF_UNIX)
        setsockopt(c->io.fd, SOL_SOCKET, SO_LINGER, &rst, sizeof(rst));
    conn_finish(c);
}

void conn_failed(struct conn *c, enum close_reason reason)
{
    if (c->state == CONN_CLOSED)
        return;
    if (c->state == CONN_OPEN)
        c->reason = (uint8_t)reason;
    conn_finish(c);
}

/* ---- reading ---- */

static void conn_at_end(struct conn *c)
{
    bool known = c->saw_end; // every later event says it again
    c->saw_end = true;
    if (c->state == CONN_LINGERING) {
        if (conn_is_drained(c))
            conn_finish(c);
        return;
    }
    if (known)
        return;
    if (c->handler->ended != NULL)
        c->handler->ended(c);
    else
        conn_failed(c, CLOSE_PEER_GONE);
}

/* As for sending: without the C library's point of cancellation. */
static ssize_t plain_recv(int fd, char *p, size_t n)
{
    return syscall(SYS_recvfrom, fd, p, n, MSG_DONTWAIT, NULL, NULL);
}

static ssize_t conn_recv(struct conn *c, char *p, size_t n)
{
    ssize_t got = c->tls != NULL ? tls_recv(c->tls, p, n) : plain_recv(c->io.fd, p, n);
    if (got > 0)
        stat_add(&c->flusher->bytes_in, (uint64_t)got);
    return got;
}

/* False: stop reading for now. */
static bool conn_read_once(struct conn *c, bool until_end)
{
    ssize_t n = conn_recv(c, c->flusher->read_buf, READ_BUF_BYTES);
    if (n == 0) {
        conn_at_end(c);
        return false;
    }
    if (n < 0) {
        if (errno != EAGAIN && errno != EINTR)
            conn_failed(c, errno == EPROTO ? CLOSE_TLS_FAILED : CLOSE_PEER_GONE);
        return false;
    }
    if (c->state == CONN_OPEN) {
        c->in_handler = true;
        c->handler->data(c, c->flusher->read_buf, (size_t)n);
        c->in_handler = false;
    }
    if (c->state == CONN_CLOSED || c->reading_paused)
        return false;
    /* A short read has emptied the socket; only its end could still be behind it. */
    return n == READ_BUF_BYTES || until_end || c->tls != NULL;
}

static void conn_read(struct conn *c, bool until_end)
{
    for (int i = 0; i < READS_AN_EVENT && !c->reading_paused; i++) {
        if (!conn_read_once(c, until_end))
            break;
        if (i == READS_AN_EVENT - 1) /* others first: the kernel is asked to say it again */
            loop_change_io(conn_loop(c), &c->io, WATCH);
    }
    if (c->state != CONN_CLOSED && !conn_is_drained(c))
        flush_visit(c);
}

static void conn_ready(struct io *io, uint32_t events)
{
    struct conn *c = conn_from_io(io);
    if ((events & EPOLLOUT) && c->sink.blocked) {
        c->sink.blocked = false;
        sink_wake(&c->flusher->outflow, &c->sink);
    }
    bool end = events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR);
    if (end || (events & EPOLLIN) || c->tls != NULL)
        conn_read(c, end);
    if (c->state == CONN_OPEN && c->saw_end && (events & (EPOLLHUP | EPOLLERR)))
        conn_failed(c, CLOSE_PEER_GONE); // it does not read any more either
}

bool conn_has_input(const struct conn *c)
{
    char byte;
    return c->state == CONN_OPEN && recv(c->io.fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}

void conn_pause_reading(struct conn *c)
{
    c->reading_paused = true;
}

void conn_resume_reading(struct conn *c)
{
    if (!c->reading_paused)
        return;
    c->reading_paused = false;
    if (c->state != CONN_CLOSED)
        loop_change_io(conn_loop(c), &c->io, WATCH); // what is there already is said again
}

/* ---- birth ---- */

void conn_set_handler(struct conn *c, const struct conn_handler *handler)
{
    c->handler = handler;
}

static bool conn_watch(struct conn *c)
{
    struct flusher *f = c->flusher;
    if (!loop_add_io(f->loop, &c->io, WATCH))
        return false;
    list_add(&f->conns, &c->link);
    stat_add(&f->open_count, 1);
    return true;
}

bool conn_open(struct conn *c, struct flusher *f, int fd, struct tls *tls, const struct addr *peer,
               const struct conn_handler *handler, uint32_t out_max)
{
    *c = (struct conn){
        .io = {.fd = fd, .ready = conn_ready},
        .flusher = f,
        .handler = handler,
        .tls = tls,
        .out_max = out_max,
        .state = CONN_OPEN,
        .peer = *peer,
    };
    sink_init(&c->sink);
    list_init(&c->link);
    timer_init(&c->linger, conn_linger_fired);
    return conn_watch(c);
}

/* ---- from loop to loop ---- */

void conn_leave(struct conn *c)
{
    struct flusher *f = c->flusher;
    MUST(c->state == CONN_OPEN && c->sink.cursors == NULL && c->tail == NULL && !c->in_handler);
    loop_remove_io(f->loop, &c->io);
    list_remove(&c->link);
    list_remove(&c->sink.link);
    c->sink.blocked = c->starved = false; // the new loop is told anew that there is room
    stat_add(&f->open_count, (uint64_t)0 - 1);
    if (c->out != NULL)
        stat_add(&f->own_bytes_waiting, (uint64_t)0 - pool_size(c->out));
    c->flusher = NULL;
}

bool conn_enter(struct conn *c, struct flusher *f)
{
    c->flusher = f;
    if (c->out != NULL)
        stat_add(&f->own_bytes_waiting, pool_size(c->out));
    if (conn_watch(c)) {
        sink_wake(&f->outflow, &c->sink);
        return true;
    }
    stat_add(&f->open_count, 1); // conn_finish() takes it back
    conn_failed(c, CLOSE_INTERNAL);
    return false;
}
