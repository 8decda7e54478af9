/*
 * flush_test.c - connections over real socket pairs on a real loop: order, partial writes, slow
 * readers, frames that fall off the log.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/must.h"
#include "net/conn.h"
#include "net/priv.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { OUT_MAX = 1 << 20, SMALL_SOCKET = 4096 };

struct peer {
    struct conn conn;
    int fd; // our end of the pair
    bool closed;
    enum close_reason reason;
    struct buf got; // what the connection's handler was given
    int drained;
};

struct world {
    struct loop *loop;
    struct flusher flusher;
    int overruns;
};

static struct peer *peer_of(struct conn *c)
{
    return container_of(c, struct peer, conn);
}

static void on_data(struct conn *c, char *p, size_t n)
{
    assert_true(buf_add(&peer_of(c)->got, (struct str){p, n}));
}

static void on_drained(struct conn *c)
{
    peer_of(c)->drained++;
}

static void on_closed(struct conn *c, enum close_reason reason)
{
    struct peer *p = peer_of(c);
    assert_false(p->closed);
    p->closed = true;
    p->reason = reason;
    while (c->sink.cursors != NULL)
        cursor_leave(c->sink.cursors);
}

static const struct conn_handler handler = {
    .data = on_data, .drained = on_drained, .closed = on_closed};

static struct world *world_make(void)
{
    struct world *w = calloc(1, sizeof(*w));
    w->loop = loop_create(0);
    assert_non_null(w->loop);
    assert_true(flusher_init(&w->flusher, w->loop));
    return w;
}

static void world_end(struct world *w)
{
    flusher_abort_all(&w->flusher, CLOSE_GOING_AWAY);
    loop_turn(w->loop, 0);
    flusher_fini(&w->flusher);
    loop_destroy(&w->loop);
    free(w);
}

static struct peer *peer_make(struct world *w)
{
    struct peer *p = calloc(1, sizeof(*p));
    int fds[2], small = SMALL_SOCKET;
    struct addr unknown = {0};
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
    p->fd = fds[1];
    buf_init(&p->got, 1 << 20);
    assert_true(conn_open(&p->conn, &w->flusher, fds[0], NULL, &unknown, &handler, OUT_MAX));
    return p;
}

static void peer_end(struct world *w, struct peer *p)
{
    if (!p->closed)
        conn_abort(&p->conn, CLOSE_GOING_AWAY);
    loop_turn(w->loop, 0);
    assert_true(p->closed);
    if (p->fd >= 0)
        close(p->fd);
    buf_fini(&p->got);
    free(p);
}

static void turns(struct world *w, int n)
{
    while (n-- > 0)
        loop_turn(w->loop, 0);
}

/* Everything that comes to our end, turning the loop until nothing more does. */
static void read_all(struct world *w, struct peer *p, struct buf *to)
{
    char chunk[1000];
    for (int quiet = 0; quiet < 3;) {
        ssize_t n = recv(p->fd, chunk, sizeof(chunk), MSG_DONTWAIT);
        if (n > 0) {
            quiet = 0;
            assert_true(buf_add(to, (struct str){chunk, (size_t)n}));
        } else {
            quiet++;
        }
        turns(w, 2);
    }
}

/* ---- a feed of our own ---- */

static int published; // how many publication references are out

static bool wants(const struct cursor *c, const struct frame_note *note)
{
    (void)c;
    return note->publication == &published;
}

static void release(void *publication)
{
    (void)publication;
    published--;
}

static struct world *overrun_world;

static void overrun(struct cursor *c)
{
    overrun_world->overruns++;
    cursor_lose(c);
}

static const struct feed_ops ops = {.wants = wants, .release = release, .overrun = overrun};

static void append(struct feed *f, const char *text)
{
    published++;
    assert_true(feed_append(f, str_from(text),
                            (struct frame_info){.class = FRAME_PUBLICATION,
                                                .offset = f->head,
                                                .publication = &published,
                                                .now_ns = 1}));
}

/* ---- own bytes ---- */

static void own_bytes_leave_in_order(void **state)
{
    (void)state;
    struct world *w = world_make();
    struct peer *p = peer_make(w);
    struct buf got;
    buf_init(&got, 1 << 22);
    char line[32];
    struct buf want;
    buf_init(&want, 1 << 22);
    for (int i = 0; i < 20000; i++) { // far more than the socket holds
        int n = snprintf(line, sizeof(line), "line %d\n", i);
        assert_true(conn_send(&p->conn, (struct str){line, (size_t)n}));
        assert_true(buf_add(&want, (struct str){line, (size_t)n}));
    }
    read_all(w, p, &got);
    assert_int_equal(got.len, want.len);
    assert_memory_equal(got.p, want.p, want.len);
    assert_int_equal(p->drained, 1);
    assert_null(p->conn.out); // nothing is kept for an idle connection
    buf_fini(&got);
    buf_fini(&want);
    peer_end(w, p);
    world_end(w);
}

static void too_many_own_bytes_close(void **state)
{
    (void)state;
    struct world *w = world_make();
    struct peer *p = peer_make(w);
    char *block = calloc(1, OUT_MAX);
    assert_true(conn_send(&p->conn, (struct str){block, OUT_MAX}));
    turns(w, 3); // the socket takes a little
    assert_false(conn_send(&p->conn, (struct str){block, OUT_MAX}));
    turns(w, 1);
    assert_true(p->closed);
    assert_int_equal(p->reason, CLOSE_SLOW);
    free(block);
    peer_end(w, p);
    world_end(w);
}

static void close_writes_what_is_queued(void **state)
{
    (void)state;
    struct world *w = world_make();
    struct peer *p = peer_make(w);
    struct buf got;
    buf_init(&got, 1 << 20);
    assert_true(conn_send(&p->conn, STR("farewell")));
    conn_close(&p->conn, CLOSE_NORMAL, 1000);
    assert_false(conn_send(&p->conn, STR("too late")));
    read_all(w, p, &got);
    assert_int_equal(got.len, 8);
    char c;
    assert_int_equal(recv(p->fd, &c, 1, 0), 0); // FIN
    assert_false(p->closed);                    // waits for the peer's end
    close(p->fd);
    p->fd = -1;
    turns(w, 2);
    assert_true(p->closed);
    assert_int_equal(p->reason, CLOSE_NORMAL);
    buf_fini(&got);
    peer_end(w, p);
    world_end(w);
}

static void input_reaches_the_handler(void **state)
{
    (void)state;
    struct world *w = world_make();
    struct peer *p = peer_make(w);
    assert_int_equal(send(p->fd, "hello", 5, 0), 5);
    turns(w, 2);
    assert_int_equal(p->got.len, 5);
    conn_pause_reading(&p->conn);
    assert_int_equal(send(p->fd, " there", 6, 0), 6);
    turns(w, 3);
    assert_int_equal(p->got.len, 5);
    conn_resume_reading(&p->conn);
    turns(w, 3);
    assert_int_equal(p->got.len, 11);
    close(p->fd);
    p->fd = -1;
    turns(w, 2);
    assert_true(p->closed);
    assert_int_equal(p->reason, CLOSE_PEER_GONE);
    peer_end(w, p);
    world_end(w);
}

/* ---- feeds ---- */

enum { PEERS = 300 };

static void everybody_gets_everything_in_order(void **state)
{
    (void)state;
    struct world *w = world_make();
    struct feed f;
    struct peer *peers[PEERS];
    struct cursor cursors[PEERS] = {0};
    published = 0;
    feed_init(&f, &w->flusher.outflow, &ops, 1 << 20);
    for (int i = 0; i < PEERS; i++) {
        peers[i] = peer_make(w);
        cursors[i].mask = FRAME_PUBLICATION;
        assert_true(cursor_join(&cursors[i], &f, &peers[i]->conn.sink));
    }
    struct buf want;
    buf_init(&want, 1 << 20);
    char line[64];
    for (int i = 0; i < 500; i++) {
        snprintf(line, sizeof(line), "publication number %d\n", i);
        append(&f, line);
        assert_true(buf_add(&want, str_from(line)));
        if (i % 7 == 0)
            turns(w, 1); // some leave while others come
    }
    for (int i = 0; i < PEERS; i++) {
        struct buf got;
        buf_init(&got, 1 << 20);
        read_all(w, peers[i], &got);
        assert_int_equal(got.len, want.len);
        assert_memory_equal(got.p, want.p, want.len);
        assert_int_equal(cursors[i].offset, 500);
        buf_fini(&got);
    }
    assert_null(f.oldest); // an idle feed holds nothing
    assert_int_equal(f.bytes, 0);
    assert_int_equal(published, 0);
    buf_fini(&want);
    for (int i = 0; i < PEERS; i++) {
        peer_end(w, peers[i]);
    }
    feed_fini(&f);
    world_end(w);
}

/* A slow reader's log runs out: it is told so once its socket is empty, and never gets half a frame
 * or a gap in silence. */
static void a_slow_reader_is_lost_alone(void **state)
{
    (void)state;
    struct world *w = overrun_world = world_make();
    struct feed f;
    struct peer *slow = peer_make(w), *fast = peer_make(w);
    struct cursor a = {.mask = FRAME_PUBLICATION}, b = {.mask = FRAME_PUBLICATION};
    struct buf got, slow_got;
    published = 0;
    buf_init(&got, 1 << 22);
    buf_init(&slow_got, 1 << 22);
    feed_init(&f, &w->flusher.outflow, &ops, 16384);
    assert_true(cursor_join(&a, &f, &slow->conn.sink));
    assert_true(cursor_join(&b, &f, &fast->conn.sink));
    char line[101];
    size_t total = 0;
    for (int i = 0; i < 3000; i++) {
        int n = snprintf(line, sizeof(line), "%099d\n", i);
        append(&f, line);
        total += (size_t)n;
        if (i % 10 == 0)
            read_all(w, fast, &got);
    }
    read_all(w, fast, &got);
    assert_int_equal(got.len, total);
    assert_true(f.bytes <= 16384 + FEED_CHUNK_MAX);
    assert_int_equal(w->overruns, 1);
    assert_true(a.lost);
    read_all(w, slow, &slow_got);
    assert_true(w->overruns > 1); // now it can be helped
    assert_true(slow_got.len > 0 && slow_got.len % 100 == 0);
    assert_memory_equal(slow_got.p, got.p, slow_got.len);
    assert_int_equal(a.offset, slow_got.len / 100);
    a.lost = false;
    cursor_skip(&a);
    buf_clear(&slow_got);
    append(&f, "back again\n");
    read_all(w, slow, &slow_got);
    assert_int_equal(slow_got.len, 11);
    read_all(w, fast, &got);
    assert_int_equal(published, 0);
    buf_fini(&got);
    buf_fini(&slow_got);
    peer_end(w, slow);
    peer_end(w, fast);
    feed_fini(&f);
    world_end(w);
}

/* A burst longer than the log: whose socket has room just has not been served, and gets all of it.
 * At FEED_BURST times the limit that ends, too: memory has to have an end. */
static void a_burst_waits_for_who_has_room(void **state)
{
    (void)state;
    struct world *w = overrun_world = world_make();
    struct feed f;
    struct peer *fast = peer_make(w);
    struct cursor c = {.mask = FRAME_PUBLICATION};
    struct buf got;
    char line[101];
    int roomy = 1 << 17;
    setsockopt(fast->conn.io.fd, SOL_SOCKET, SO_SNDBUF, &roomy, sizeof(roomy));
    buf_init(&got, 1 << 22);
    feed_init(&f, &w->flusher.outflow, &ops, 16384);
    assert_true(cursor_join(&c, &f, &fast->conn.sink));
    for (int i = 0; i < 300; i++) {
        snprintf(line, sizeof(line), "%099d\n", i);
        append(&f, line);
    }
    assert_true(f.bytes > 16384);
    assert_int_equal(w->flusher.outflow.crowded_count, 1);
    read_all(w, fast, &got);
    assert_int_equal(got.len, 300 * 100);
    assert_int_equal(w->overruns, 0);
    assert_int_equal(w->flusher.outflow.crowded_count, 0);
    for (int i = 0; i < 3000; i++)
        append(&f, line);
    assert_true(f.bytes <= 16384 * FEED_BURST);
    turns(w, 2);
    assert_true(w->overruns > 0);
    peer_end(w, fast);
    assert_int_equal(w->flusher.outflow.crowded_count, 0);
    assert_int_equal(published, 0);
    buf_fini(&got);
    feed_fini(&f);
    world_end(w);
}

/* Frames that are not for everybody are cut out of the same log. */
static void frames_can_be_skipped(void **state)
{
    (void)state;
    struct world *w = world_make();
    struct feed f;
    struct peer *plain = peer_make(w), *nosy = peer_make(w);
    struct cursor a = {.mask = FRAME_PUBLICATION}, b = {.mask = FRAME_PUBLICATION | FRAME_JOIN};
    struct buf got;
    buf_init(&got, 1 << 20);
    feed_init(&f, &w->flusher.outflow, &ops, 1 << 20);
    assert_true(cursor_join(&a, &f, &plain->conn.sink));
    assert_true(cursor_join(&b, &f, &nosy->conn.sink));
    static const struct {
        const char *text;
        uint32_t class;
    } frames[] = {{"join ", FRAME_JOIN},       {"one ", FRAME_PUBLICATION},
                  {"two ", FRAME_PUBLICATION}, {"leave ", FRAME_LEAVE},
                  {"join ", FRAME_JOIN},       {"three ", FRAME_PUBLICATION},
                  {"leave ", FRAME_LEAVE}};
    for (size_t i = 0; i < sizeof(frames) / sizeof(frames[0]); i++)
        assert_true(feed_append(&f, str_from(frames[i].text),
                                (struct frame_info){.class = frames[i].class, .now_ns = 1}));
    read_all(w, plain, &got);
    assert_int_equal(got.len, 14);
    assert_memory_equal(got.p, "one two three ", 14);
    buf_clear(&got);
    read_all(w, nosy, &got);
    assert_int_equal(got.len, 24);
    assert_memory_equal(got.p, "join one two join three ", 24);
    assert_null(f.oldest);
    buf_fini(&got);
    peer_end(w, plain);
    peer_end(w, nosy);
    feed_fini(&f);
    world_end(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(own_bytes_leave_in_order),
        cmocka_unit_test(too_many_own_bytes_close),
        cmocka_unit_test(close_writes_what_is_queued),
        cmocka_unit_test(input_reaches_the_handler),
        cmocka_unit_test(everybody_gets_everything_in_order),
        cmocka_unit_test(a_slow_reader_is_lost_alone),
        cmocka_unit_test(a_burst_waits_for_who_has_room),
        cmocka_unit_test(frames_can_be_skipped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
