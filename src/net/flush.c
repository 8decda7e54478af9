/*
 * flush.c - the only place where bytes leave: one gathered send a visit.
 *
 * Why it exists: a send of 32 KB costs what one of 64 bytes costs. So nobody writes when something
 * happens; things that happened are noted (own bytes, frames in feeds) and a walker visits those
 * that are behind, taking everything from the cursor to the head at once. After VISITS_A_TURN
 * visits the loop looks for input, which only moves heads.
 *
 * Always true between two visits:
 *   I1. every cursor stands between two frames; the rest of a frame that the socket took half of
 *       hangs on the connection (tail) and leaves before anything else.
 *   I2. a connection (or outlet) that has something to write is blocked, or in outflow.sinks, or
 *       follows a feed in outflow.feeds.
 */
#include "net/conn.h"

#include "base/clock.h"
#include "base/must.h"
#include "net/outlet.h"
#include "net/priv.h"
#include "net/tls.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum { VISITS_A_TURN = 128, VISIT_BYTES = 32768, VISIT_PIECES = 48, CURSORS_A_FEED_VISIT = 8 };
/* While a feed is over its limit, input waits longer: its publishers are too fast. */
enum { VISITS_CROWDED = 16 * VISITS_A_TURN };
enum { STARVED_RETRY_MS = 20 };

/* What one visit gathers: the pieces of feeds stand behind the own bytes, in order. */
struct gather {
    struct iovec iov[VISIT_PIECES];
    int count;
    int first_piece; // iov[first_piece] belongs to pieces[0]
    struct {
        struct cursor *cursor;
        struct piece piece;
    } pieces[VISIT_PIECES];
    size_t bytes;
    bool more; // something was left for the next visit
};

static struct conn *conn_from_sink(struct sink *s)
{
    return container_of(s, struct conn, sink);
}

static void gather_add(struct gather *g, const void *p, size_t n)
{
    g->iov[g->count++] = (struct iovec){(void *)(uintptr_t)p, n};
    g->bytes += n;
}

static void gather_own(struct gather *g, const struct conn *c)
{
    if (c->tail != NULL)
        gather_add(g, c->tail->bytes + c->tail_at, c->tail_end - c->tail_at);
    if (c->out != NULL)
        gather_add(g, c->out->bytes + c->out->sent, c->out->len - c->out->sent);
    g->first_piece = g->count;
}

/* Pieces of one cursor, as far as the visit reaches. */
static void gather_cursor(struct gather *g, struct cursor *cur)
{
    uint64_t at = cur->next;
    struct piece p;
    bool any = false;
    for (;;) {
        if (g->count == VISIT_PIECES || g->bytes >= VISIT_BYTES) {
            g->more |= at < cur->feed->head;
            return;
        }
        if (!cursor_piece(cur, &at, &p))
            break;
        int i = g->count - g->first_piece;
        g->pieces[i].cursor = cur;
        g->pieces[i].piece = p;
        gather_add(g, p.chunk->bytes + p.start, p.end - p.start);
        any = true;
    }
    if (!any)
        cursor_advance(cur, NULL, at); // all of it was for others
}

/* Lost cursors wait until the socket has taken everything else. Each is asked about once: one that
 * cannot be helped yet does not keep the others waiting. */
static void settle_overruns(struct conn *c)
{
    struct sink *s = &c->sink;
    struct cursor *next;
    s->has_lost = false;
    for (struct cursor *cur = s->cursors; cur != NULL && !s->closed; cur = next) {
        next = cur->next_in_sink;
        if (cursor_overrun(cur))
            cur->feed->ops->overrun(cur);
    }
}

static void gather_one(struct gather *g, struct conn *c, struct cursor *cur)
{
    if (cursor_overrun(cur))
        c->sink.has_lost = true; // settled when the rest has been written
    else if (cursor_behind(cur))
        gather_cursor(g, cur);
}

/* The cursor of the feed that is walked goes first, the others in a circle: none that always has a
 * visit's worth of frames keeps the others from being served. */
static void gather_feeds(struct gather *g, struct conn *c, struct cursor *walked)
{
    struct sink *s = &c->sink;
    if (s->closed || s->held)
        return;
    if (walked != NULL)
        gather_one(g, c, walked);
    if (walked != NULL && s->cursor_count > CURSORS_A_FEED_VISIT)
        return;
    struct cursor *cur = s->first != NULL ? s->first : s->cursors;
    for (uint32_t i = 0; i < s->cursor_count; i++) {
        if (cur != walked)
            gather_one(g, c, cur);
        cur = cur->next_in_sink != NULL ? cur->next_in_sink : s->cursors;
    }
    if (g->more && cur != NULL)
        s->first = cur->next_in_sink;
}

/* The system calls without the C library's wrappers: in a program with threads those are points of
 * cancellation, which costs more than all else that is done here for one subscriber. */
static ssize_t plain_send(int fd, const struct iovec *iov, int count)
{
    enum { FLAGS = MSG_NOSIGNAL | MSG_DONTWAIT };
    if (count == 1)
        return syscall(SYS_sendto, fd, iov->iov_base, iov->iov_len, FLAGS, NULL, 0);
    struct msghdr m = {.msg_iov = (struct iovec *)(uintptr_t)iov, .msg_iovlen = (size_t)count};
    return syscall(SYS_sendmsg, fd, &m, FLAGS);
}

static ssize_t send_gathered(struct conn *c, const struct gather *g)
{
    if (c->tls != NULL && !tls_kernel_send(c->tls))
        return tls_sendv(c->tls, g->iov, g->count);
    return plain_send(c->io.fd, g->iov, g->count);
}

/* ---- after the send ---- */

static size_t take_tail(struct conn *c, size_t n)
{
    if (c->tail == NULL)
        return n;
    size_t left = c->tail_end - c->tail_at;
    if (n < left) {
        c->tail_at += (uint32_t)n;
        return 0;
    }
    chunk_unref(c->tail);
    c->tail = NULL;
    return n - left;
}

static size_t take_out(struct conn *c, size_t n)
{
    struct own_bytes *o = c->out;
    if (o == NULL)
        return n;
    size_t left = o->len - o->sent;
    if (n < left) {
        o->sent += (uint32_t)n;
        return 0;
    }
    conn_free_out(c);
    return n - left;
}

/* What is left of the log may be for others only. */
static void skip_unwanted(struct cursor *cur)
{
    uint64_t at = cur->next;
    struct piece p;
    if (cursor_behind(cur) && !cursor_piece(cur, &at, &p))
        cursor_advance(cur, NULL, at);
}

/* n bytes of the pieces have been written: moves the cursors, keeps what is left of a cut frame. */
static void take_pieces(struct conn *c, struct gather *g, size_t n)
{
    uint64_t frames = 0;
    int count = g->count - g->first_piece;
    for (int i = 0; i < count && n > 0; i++) {
        struct piece *p = &g->pieces[i].piece;
        size_t len = p->end - p->start;
        if (n >= len) {
            n -= len;
            frames += p->count;
            cursor_advance(g->pieces[i].cursor, p->chunk, p->next);
            skip_unwanted(g->pieces[i].cursor);
            continue;
        }
        uint32_t at = p->start + (uint32_t)n, end;
        uint64_t frame = chunk_frame_at(p->chunk, at, &end);
        frames += frame + 1 - (p->next - p->count); // counted when it has left in part
        c->tail = chunk_ref(p->chunk);              // before the cursor may let go of the chunk
        c->tail_at = at;
        c->tail_end = end;
        cursor_advance(g->pieces[i].cursor, p->chunk, frame + 1);
        n = 0;
    }
    stat_add(&c->flusher->frames_out, frames);
}

static bool would_block(int e)
{
    return e == EAGAIN || e == EWOULDBLOCK || e == ENOBUFS;
}

void conn_starve(struct conn *c)
{
    c->sink.blocked = c->starved = true;
    if (!timer_armed(&c->flusher->retry))
        timer_arm(c->flusher->loop, &c->flusher->retry, STARVED_RETRY_MS);
}

static void retry_starved(struct timer *t)
{
    struct flusher *f = container_of(t, struct flusher, retry);
    list_each(it, &f->conns)
    {
        struct conn *c = container_of(it, struct conn, link);
        if (!c->starved)
            continue;
        c->starved = c->sink.blocked = false;
        sink_wake(&f->outflow, &c->sink);
    }
}

static void flush_with(struct conn *c, struct cursor *walked)
{
    struct gather g;
    g.count = 0;
    g.bytes = 0;
    g.more = false;
    gather_own(&g, c);
    gather_feeds(&g, c, walked);
    bool tls_waits = c->tls != NULL && tls_pending(c->tls);
    if (g.count == 0 && !tls_waits)
        return;
    ssize_t n = send_gathered(c, &g);
    if (n < 0 && !would_block(errno)) {
        conn_failed(c, c->tls != NULL && errno == EPROTO ? CLOSE_TLS_FAILED : CLOSE_PEER_GONE);
        return;
    }
    bool starved = n < 0 && errno == ENOBUFS;
    size_t sent = n > 0 ? (size_t)n : 0;
    stat_add(&c->flusher->sends, 1);
    stat_add(&c->flusher->bytes_out, sent);
    size_t left = take_out(c, take_tail(c, sent));
    take_pieces(c, &g, left);
    if (starved)
        conn_starve(c);
    else if (sent < g.bytes || (c->tls != NULL && tls_pending(c->tls)))
        c->sink.blocked = true;
    else if (g.more || c->sink.has_lost)
        sink_wake(&c->flusher->outflow, &c->sink);
    if ((g.first_piece > 0 || c->state == CONN_LINGERING) && conn_is_drained(c))
        conn_lingered(c);
}

void flush_visit(struct conn *c)
{
    if (c->state == CONN_CLOSED || c->sink.blocked)
        return;
    if (!c->sink.closed && !c->sink.held && conn_is_drained(c))
        settle_overruns(c);
    if (c->state != CONN_CLOSED)
        flush_with(c, NULL);
}

/* ---- the walk ---- */

static void outlet_visit(struct sink *s)
{
    struct outlet *o = container_of(s, struct outlet, sink);
    if (!s->blocked && !s->closed)
        o->ops->visit(o);
}

static void visit_cursor(struct feed *f, struct cursor *cur)
{
    struct sink *s = cur->sink;
    if (s->closed) {
        cursor_skip(cur); // nothing of the log will leave: it need not be kept
        return;
    }
    if (cursor_overrun(cur)) {
        if (!cur->lost)
            f->ops->overrun(cur); // may end the cursor: it is looked at no more in this visit
        return;
    }
    if (s->outlet)
        outlet_visit(s);
    else if (!s->blocked)
        flush_with(conn_from_sink(s), cur);
    if (cur->feed == f)
        feed_visited(f, cur);
}

/* Returns the visits used. */
static int walk_feed(struct flusher *fl, struct feed *f, int budget)
{
    int used = 0;
    while (used < budget) {
        struct cursor *cur = feed_next(f);
        if (cur == NULL) {
            if (fl->observe_latency != NULL && f->since_ns != 0)
                fl->observe_latency(fl->observe_ctx, clock_mono_ns() - f->since_ns);
            feed_pass_end(f);
            return used;
        }
        visit_cursor(f, cur);
        used++;
    }
    list_move_to_end(&fl->outflow.feeds, &f->link);
    return used;
}

static int walk_sinks(struct flusher *fl, int budget)
{
    struct list *sinks = &fl->outflow.sinks;
    int used = 0;
    while (used < budget && !list_empty(sinks)) {
        struct sink *s = container_of(sinks->next, struct sink, link);
        list_remove(&s->link);
        if (s->outlet)
            outlet_visit(s);
        else
            flush_visit(conn_from_sink(s));
        used++;
    }
    return used;
}

static bool flusher_run(struct work *w)
{
    struct flusher *fl = container_of(w, struct flusher, work);
    struct outflow *o = &fl->outflow;
    int budget = o->crowded_count > 0 ? VISITS_CROWDED : VISITS_A_TURN;
    /* Feeds keep their share however many sinks have something of their own. */
    budget -= walk_sinks(fl, list_empty(&o->feeds) ? budget : budget / 2);
    while (budget > 0 && !list_empty(&o->feeds)) {
        struct feed *f = container_of(o->feeds.next, struct feed, link);
        int used = walk_feed(fl, f, budget);
        budget -= used > 0 ? used : 1;
    }
    return !list_empty(&o->sinks) || !list_empty(&o->feeds);
}

bool flusher_init(struct flusher *f, struct loop *l)
{
    *f = (struct flusher){.loop = l, .work = {.run = flusher_run}};
    outflow_init(&f->outflow);
    list_init(&f->work.link);
    list_init(&f->conns);
    list_init(&f->outlets);
    timer_init(&f->retry, retry_starved);
    f->read_buf = malloc(READ_BUF_BYTES);
    if (f->read_buf == NULL)
        return false;
    loop_add_work(l, &f->work);
    return true;
}

void flusher_abort_all(struct flusher *f, enum close_reason reason)
{
    list_each_safe(it, &f->conns)
    {
        conn_abort(container_of(it, struct conn, link), reason);
    }
    /* What one of them ends may end others: the list is read anew. */
    while (!list_empty(&f->outlets)) {
        struct outlet *o = container_of(f->outlets.next, struct outlet, link);
        o->ops->abort(o, reason);
        outlet_close(o);
    }
}

void flusher_fini(struct flusher *f)
{
    loop_remove_work(&f->work);
    timer_cancel(&f->retry);
    free(f->read_buf);
    f->read_buf = NULL;
}
