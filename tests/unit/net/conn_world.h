/* conn_world.h - connections over real socket pairs on a real loop, and feeds without a hub.
 * Thread:  the test's.
 * Memory:  the test's; peer_end() and world_end() free.
 * Failure: asserted. */
#ifndef TESTS_NET_CONN_WORLD_H
#define TESTS_NET_CONN_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/must.h"
#include "loop/priv.h"
#include "net/conn.h"
#include "net/priv.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { OUT_MAX = 1 << 20, SMALL_SOCKET = 4096, GOT_MAX = 64 << 20 };

struct world {
    struct loop *loop;
    struct flusher flusher;
    int overruns;
};

/* One connection and the other end of its pair. */
struct peer {
    struct conn conn;
    struct world *world;
    int fd;
    struct buf data; // what the handler was given
    struct buf got;  // what came out at the other end
    bool closed;
    enum close_reason reason;
    int drained, ended;
    void (*on_data)(struct peer *p);
    void (*on_drained)(struct peer *p);
};

static inline struct peer *peer_of(struct conn *c)
{
    return container_of(c, struct peer, conn);
}

static inline void peer_data(struct conn *c, char *p, size_t n)
{
    struct peer *peer = peer_of(c);
    assert_true(buf_add(&peer->data, (struct str){p, n}));
    if (peer->on_data != NULL)
        peer->on_data(peer);
}

static inline void peer_drained(struct conn *c)
{
    struct peer *peer = peer_of(c);
    peer->drained++;
    if (peer->on_drained != NULL)
        peer->on_drained(peer);
}

static inline void peer_ended(struct conn *c)
{
    peer_of(c)->ended++;
}

static inline void peer_closed(struct conn *c, enum close_reason reason)
{
    struct peer *p = peer_of(c);
    assert_false(p->closed);
    p->closed = true;
    p->reason = reason;
    while (c->sink.cursors != NULL)
        cursor_leave(c->sink.cursors);
}

static const struct conn_handler peer_handler = {
    .data = peer_data, .drained = peer_drained, .closed = peer_closed};
/* One that goes on when the other end has said all it wanted. */
static const struct conn_handler half_handler = {
    .data = peer_data, .drained = peer_drained, .ended = peer_ended, .closed = peer_closed};

static inline struct world *world_make(void)
{
    struct world *w = calloc(1, sizeof(*w));
    w->loop = loop_create(0);
    assert_non_null(w->loop);
    assert_true(flusher_init(&w->flusher, w->loop));
    return w;
}

static inline void world_end(struct world *w)
{
    flusher_abort_all(&w->flusher, CLOSE_GOING_AWAY);
    loop_turn(w->loop, 0);
    assert_true(list_empty(&w->flusher.conns));
    assert_int_equal(atomic_load(&w->flusher.open_count), 0);
    assert_int_equal(atomic_load(&w->flusher.own_bytes_waiting), 0);
    flusher_fini(&w->flusher);
    loop_destroy(&w->loop);
    free(w);
}

static inline struct peer *peer_make_with(struct world *w, const struct conn_handler *handler,
                                          int buffer_bytes)
{
    struct peer *p = calloc(1, sizeof(*p));
    int fds[2];
    struct addr unknown = {.family = AF_UNIX};
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &buffer_bytes, sizeof(buffer_bytes));
    p->world = w;
    p->fd = fds[1];
    buf_init(&p->data, GOT_MAX);
    buf_init(&p->got, GOT_MAX);
    assert_true(conn_open(&p->conn, &w->flusher, fds[0], NULL, &unknown, handler, OUT_MAX));
    return p;
}

static inline struct peer *peer_make(struct world *w)
{
    return peer_make_with(w, &peer_handler, SMALL_SOCKET);
}

static inline void peer_end(struct peer *p)
{
    if (!p->closed)
        conn_abort(&p->conn, CLOSE_GOING_AWAY);
    loop_turn(p->world->loop, 0);
    assert_true(p->closed);
    if (p->fd >= 0)
        close(p->fd);
    buf_fini(&p->data);
    buf_fini(&p->got);
    free(p);
}

static inline void turns(struct world *w, int n)
{
    while (n-- > 0)
        loop_turn(w->loop, 0);
}

/* Reads at most n bytes at the other end; returns how many came. */
static inline size_t peer_read(struct peer *p, size_t n)
{
    static char chunk[65536];
    size_t total = 0;
    while (total < n) {
        size_t want = n - total < sizeof(chunk) ? n - total : sizeof(chunk);
        ssize_t got = recv(p->fd, chunk, want, MSG_DONTWAIT);
        if (got <= 0)
            break;
        assert_true(buf_add(&p->got, (struct str){chunk, (size_t)got}));
        total += (size_t)got;
    }
    return total;
}

/* Everything, turning the loop until nothing more comes. */
static inline void peer_read_all(struct peer *p)
{
    for (int quiet = 0; quiet < 3;) {
        quiet = peer_read(p, SIZE_MAX) > 0 ? 0 : quiet + 1;
        turns(p->world, 2);
    }
}

/* Would the loop go to sleep? Its works have nothing left, and nothing else is to be looked at. */
static inline bool world_is_quiet(struct world *w)
{
    for (int i = 0; i < 20; i++) { // what is there to be done is done in a few turns
        turns(w, 1);
        if (!w->flusher.work.run(&w->flusher.work))
            return true;
    }
    return false;
}

/* ---- feeds of our own: every frame is "<name number ...>" ---- */

static inline bool feed_wants(const struct cursor *c, const struct frame_note *note)
{
    (void)c;
    (void)note;
    return true;
}

static inline void feed_release(void *publication)
{
    --*(int *)publication;
}

static inline void feed_overrun(struct cursor *c)
{
    struct peer *p = peer_of(container_of(c->sink, struct conn, sink));
    p->world->overruns++;
    cursor_lose(c);
}

static const struct feed_ops feed_ops = {
    .wants = feed_wants, .release = feed_release, .overrun = feed_overrun};

/* A channel with its name; publications out are counted. */
struct channel {
    struct feed feed;
    char name;
    int publications;
    uint64_t serial;
};

static inline void channel_init(struct channel *ch, struct world *w, char name, uint64_t bytes_max)
{
    *ch = (struct channel){.name = name};
    feed_init(&ch->feed, &w->flusher.outflow, &feed_ops, bytes_max);
}

static inline void channel_fini(struct channel *ch)
{
    feed_fini(&ch->feed);
    assert_int_equal(ch->publications, 0);
}

/* n: of the whole frame. */
static inline void channel_append(struct channel *ch, size_t n)
{
    char *text = malloc(n + 64);
    int digits = snprintf(text, 64, "<%c%lu ", ch->name, (unsigned long)++ch->serial);
    assert_true((size_t)digits < n);
    memset(text + digits, '.', n - (size_t)digits);
    text[n - 1] = '>';
    ch->publications++;
    assert_true(feed_append(&ch->feed, (struct str){text, n},
                            (struct frame_info){.class = FRAME_PUBLICATION,
                                                .offset = ch->serial,
                                                .publication = &ch->publications,
                                                .now_ns = 1}));
    free(text);
}

static inline void cursor_follow(struct cursor *c, struct channel *ch, struct peer *p)
{
    *c = (struct cursor){.mask = FRAME_PUBLICATION};
    assert_true(cursor_join(c, &ch->feed, &p->conn.sink));
}

/* Cuts the next "<...>" off *rest: returns its name, and its number. */
static inline char frame_cut(struct str *rest, uint64_t *ret_number)
{
    assert_true(rest->n > 3 && rest->p[0] == '<');
    struct str frame = str_cut(rest, '>'), number = str_skip(frame, 2);
    assert_true(str_to_u64(str_cut(&number, ' '), ret_number));
    return frame.p[1];
}

#endif
