/*
 * conn_feeds_test.c - connections that follow many feeds: whole frames in order whatever the socket
 * takes, own bytes between frames, nobody starved, nothing sent after a stop, and a loop that
 * sleeps while a slow peer is waited for.
 */
#include "unit/net/conn_world.h"

#include <sys/resource.h>

static unsigned random_state = 1;

static unsigned below(unsigned n)
{
    random_state = random_state * 1103515245u + 12345u;
    return (random_state >> 16) % n;
}

/* What came: per channel every number once, in order; "<o1 ...>" are own messages. */
static void assert_in_order(const struct peer *p, uint64_t next[256])
{
    struct str rest = buf_str(&p->got);
    while (rest.n > 0) {
        uint64_t number;
        unsigned char name = (unsigned char)frame_cut(&rest, &number);
        assert_int_equal(number, ++next[name]);
    }
}

static void send_own(struct peer *p, uint64_t number, size_t n)
{
    char *text = malloc(n + 64);
    int digits = snprintf(text, 64, "<o%lu ", (unsigned long)number);
    memset(text + digits, ',', n);
    text[digits + (int)n] = '>';
    assert_true(conn_send(&p->conn, (struct str){text, (size_t)digits + n + 1}));
    free(text);
}

/* The other end reads a few bytes at a time: every send is cut somewhere. */
static void run_many(int feeds, unsigned seed)
{
    enum { FEEDS_MAX = 20 };
    struct world *w = world_make();
    struct channel channels[FEEDS_MAX];
    struct cursor cursors[FEEDS_MAX];
    struct peer *p = peer_make(w);
    uint64_t own = 0, next[256] = {0};
    random_state = seed;
    for (int i = 0; i < feeds; i++) {
        channel_init(&channels[i], w, (char)('A' + i), 1 << 24);
        cursor_follow(&cursors[i], &channels[i], p);
    }
    for (int round = 0; round < 400; round++) {
        for (unsigned n = below(6); n > 0; n--)
            channel_append(&channels[below((unsigned)feeds)], 20 + below(below(8) ? 200 : 20000));
        if (below(3) == 0)
            send_own(p, ++own, 1 + below(3000));
        turns(w, (int)below(3));
        peer_read(p, below(5000));
    }
    peer_read_all(p);
    assert_in_order(p, next);
    assert_int_equal(next['o'], own);
    for (int i = 0; i < feeds; i++) {
        assert_int_equal(next['A' + i], channels[i].serial);
        assert_int_equal(cursors[i].offset, channels[i].serial);
        assert_null(channels[i].feed.oldest);
    }
    assert_int_equal(w->overruns, 0);
    assert_true(conn_is_drained(&p->conn));
    peer_end(p);
    for (int i = 0; i < feeds; i++)
        channel_fini(&channels[i]);
    world_end(w);
}

static void frames_of_many_feeds_stay_whole(void **state)
{
    (void)state;
    for (unsigned seed = 1; seed <= 4; seed++) {
        run_many(1, seed);
        run_many(5, seed);
        run_many(20, seed); // more than a feed's visit looks at
    }
}

/* Own bytes queued while half a frame has left: behind the frame, before the next one. */
static void own_bytes_wait_for_the_frame(void **state)
{
    (void)state;
    struct world *w = world_make();
    struct channel ch;
    struct cursor cur;
    struct peer *p = peer_make(w);
    uint64_t number;
    channel_init(&ch, w, 'A', 1 << 24);
    cursor_follow(&cur, &ch, p);
    channel_append(&ch, 100000);
    turns(w, 2);
    assert_non_null(p->conn.tail);
    channel_append(&ch, 100);
    send_own(p, 1, 10);
    peer_read_all(p);
    struct str rest = buf_str(&p->got);
    assert_int_equal(frame_cut(&rest, &number), 'A');
    assert_int_equal(frame_cut(&rest, &number), 'o');
    assert_int_equal(frame_cut(&rest, &number), 'A');
    assert_int_equal(rest.n, 0);
    peer_end(p);
    channel_fini(&ch);
    world_end(w);
}

/* A stop in the middle of a frame: the rest of that frame, the farewell, then nothing. */
static void a_stop_ends_behind_the_frame(void **state)
{
    (void)state;
    struct world *w = world_make();
    struct channel ch;
    struct cursor cur;
    struct peer *p = peer_make(w);
    uint64_t number;
    channel_init(&ch, w, 'A', 1 << 24);
    cursor_follow(&cur, &ch, p);
    channel_append(&ch, 100000);
    channel_append(&ch, 100);
    turns(w, 2);
    assert_non_null(p->conn.tail);
    conn_stop_feeds(&p->conn);
    send_own(p, 1, 10);
    conn_close(&p->conn, CLOSE_NORMAL, 60000);
    channel_append(&ch, 100);
    turns(w, 2);
    assert_null(ch.feed.oldest); // nothing is kept for one who will not get it
    peer_read_all(p);
    struct str rest = buf_str(&p->got);
    assert_int_equal(frame_cut(&rest, &number), 'A');
    assert_int_equal(frame_cut(&rest, &number), 'o');
    assert_int_equal(rest.n, 0);
    assert_false(p->closed);
    shutdown(p->fd, SHUT_WR);
    turns(w, 2);
    assert_true(p->closed);
    assert_int_equal(p->reason, CLOSE_NORMAL);
    peer_end(p);
    channel_fini(&ch);
    world_end(w);
}

/* An abort in the middle of a frame gives the chunk back. */
static void an_abort_lets_go_of_the_frame(void **state)
{
    (void)state;
    struct world *w = world_make();
    struct channel ch;
    struct cursor cur;
    struct peer *p = peer_make(w);
    channel_init(&ch, w, 'A', 1 << 24);
    cursor_follow(&cur, &ch, p);
    channel_append(&ch, 100000);
    turns(w, 2);
    assert_non_null(p->conn.tail);
    cursor_leave(&cur);
    assert_int_equal(ch.publications, 1); // held by the tail only
    conn_abort(&p->conn, CLOSE_SLOW);
    assert_int_equal(ch.publications, 0);
    peer_end(p);
    channel_fini(&ch);
    world_end(w);
}

/* ---- fairness ---- */

/* One feed always has more than the peer takes; the frames of the others come through. */
static void a_busy_feed_starves_no_other(int feeds)
{
    enum { FEEDS_MAX = 12 };
    struct world *w = world_make();
    struct channel channels[FEEDS_MAX];
    struct cursor cursors[FEEDS_MAX];
    uint64_t next[256] = {0};
    for (int busy = 0; busy < 2; busy++) {
        struct peer *p = peer_make(w);
        for (int i = 0; i < feeds; i++) {
            channel_init(&channels[i], w, (char)('A' + i), 1 << 26);
            cursor_follow(&cursors[i], &channels[i], p);
        }
        int hog = busy == 0 ? 0 : feeds - 1; // the first and the last of the sink's list
        for (int i = 0; i < 50; i++)
            channel_append(&channels[hog], 30000);
        turns(w, 3);
        for (int i = 0; i < feeds; i++) {
            if (i != hog)
                channel_append(&channels[i], 50);
        }
        for (int i = 0; i < 120; i++) {
            channel_append(&channels[hog], 30000);
            peer_read(p, 30000); // a little less than a visit
            turns(w, 2);
        }
        for (int i = 0; i < feeds; i++)
            assert_true(i == hog ? cursor_behind(&cursors[i]) : !cursor_behind(&cursors[i]));
        peer_read_all(p);
        memset(next, 0, sizeof(next));
        assert_in_order(p, next);
        peer_end(p);
        for (int i = 0; i < feeds; i++)
            channel_fini(&channels[i]);
    }
    world_end(w);
}

static void a_sink_serves_its_feeds_in_turn(void **state)
{
    (void)state;
    a_busy_feed_starves_no_other(3);
    a_busy_feed_starves_no_other(12);
}

enum { CROWD_MOST = 2000, CROWD_LEAST = 400 };

/* As many pairs of sockets as the system gives us. */
static int crowd_count(void)
{
    struct rlimit files;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &files), 0);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    return files.rlim_max > 2 * CROWD_MOST + 100 ? CROWD_MOST : CROWD_LEAST;
}

/* Messages to single connections, more of them than a turn has visits, and a feed: both go on. */
static void many_sinks_starve_no_feed(void **state)
{
    (void)state;
    struct world *w = world_make();
    struct channel ch;
    static struct peer *peers[CROWD_LEAST];
    struct cursor cur;
    channel_init(&ch, w, 'A', 1 << 24);
    for (int i = 0; i < CROWD_LEAST; i++)
        peers[i] = peer_make(w);
    cursor_follow(&cur, &ch, peers[0]);
    for (int i = 1; i < CROWD_LEAST; i++)
        send_own(peers[i], 1, 20);
    channel_append(&ch, 100);
    turns(w, 1);
    assert_false(cursor_behind(&cur));
    assert_true(conn_pending(&peers[CROWD_LEAST - 1]->conn) > 0); // the last one waits for a turn
    assert_true(world_is_quiet(w));
    for (int i = 0; i < CROWD_LEAST; i++) {
        peer_read(peers[i], SIZE_MAX);
        assert_true(peers[i]->got.len > 0);
        peer_end(peers[i]);
    }
    channel_fini(&ch);
    world_end(w);
}

/* A feed with thousands of followers, and another one with a single follower. */
static void a_crowd_is_served_in_turns(void **state)
{
    (void)state;
    struct world *w = world_make();
    struct channel big, little;
    static struct peer *peers[CROWD_MOST];
    static struct cursor cursors[CROWD_MOST];
    struct cursor alone;
    int count = crowd_count();
    channel_init(&big, w, 'A', 1 << 24);
    channel_init(&little, w, 'B', 1 << 24);
    for (int i = 0; i < count; i++) {
        peers[i] = peer_make(w);
        cursor_follow(&cursors[i], &big, peers[i]);
    }
    struct peer *p = peer_make(w);
    cursor_follow(&alone, &little, p);
    for (int i = 0; i < 10; i++) {
        channel_append(&big, 100);
        channel_append(&little, 100);
        turns(w, 2); // far fewer visits than the crowd wants
        assert_false(cursor_behind(&alone));
    }
    assert_true(world_is_quiet(w));
    assert_null(big.feed.oldest);
    for (int i = 0; i < count; i++) {
        uint64_t next[256] = {0};
        peer_read(peers[i], SIZE_MAX);
        assert_in_order(peers[i], next);
        assert_int_equal(next['A'], 10);
        peer_end(peers[i]);
    }
    peer_end(p);
    channel_fini(&big);
    channel_fini(&little);
    world_end(w);
}

/* ---- slow peers ---- */

/* While a slow peer is blocked, with a lost cursor and without, the loop has nothing to do. */
static void a_blocked_peer_lets_the_loop_sleep(void **state)
{
    (void)state;
    struct world *w = world_make();
    struct channel a, b;
    struct cursor on_a, on_b;
    struct peer *p = peer_make(w);
    channel_init(&a, w, 'A', 8192);
    channel_init(&b, w, 'B', 1 << 24);
    cursor_follow(&on_a, &a, p);
    cursor_follow(&on_b, &b, p);
    channel_append(&b, 100000);
    assert_true(world_is_quiet(w));
    assert_true(p->conn.sink.blocked);
    for (int i = 0; i < 3000; i++) {
        channel_append(&a, 100);
        if (i % 50 == 0)
            turns(w, 1);
    }
    assert_true(world_is_quiet(w));
    assert_true(w->overruns > 0 && on_a.lost);
    peer_read(p, 2000);
    assert_true(world_is_quiet(w)); // woken, blocked again
    channel_append(&a, 100);
    channel_append(&b, 100);
    assert_true(world_is_quiet(w));
    peer_read_all(p);
    assert_true(world_is_quiet(w)); // nobody helps the lost one: it is not asked about for ever
    assert_true(on_a.lost && !p->conn.sink.blocked);
    channel_append(&b, 100);
    peer_read_all(p);
    assert_true(world_is_quiet(w));
    assert_false(cursor_behind(&on_b));
    peer_end(p);
    channel_fini(&a);
    channel_fini(&b);
    world_end(w);
}

/* Several are lost on one connection; helping the first takes its time. All are asked about. */
static struct cursor *slow_to_help;

static void help_all_but_one(struct cursor *c)
{
    struct peer *p = peer_of(container_of(c->sink, struct conn, sink));
    p->world->overruns++;
    if (!c->lost) {
        cursor_lose(c);
        sink_wake(&p->world->flusher.outflow, c->sink);
    } else if (c != slow_to_help) {
        c->lost = false;
        cursor_skip(c);
    }
}

static void all_lost_cursors_are_settled(void **state)
{
    (void)state;
    static const struct feed_ops ops = {
        .wants = feed_wants, .release = feed_release, .overrun = help_all_but_one};
    struct world *w = world_make();
    struct channel channels[4];
    struct cursor cursors[4];
    struct peer *p = peer_make(w);
    for (int i = 0; i < 4; i++) {
        channel_init(&channels[i], w, (char)('A' + i), 8192);
        channels[i].feed.ops = &ops;
        cursor_follow(&cursors[i], &channels[i], p);
    }
    slow_to_help = &cursors[3]; // first in the sink's list
    send_own(p, 1, 100000);
    turns(w, 2);
    for (int i = 0; i < 3000; i++) {
        channel_append(&channels[i % 4], 400);
        if (i % 50 == 0)
            turns(w, 1);
    }
    turns(w, 4);
    for (int i = 0; i < 4; i++)
        assert_true(cursors[i].lost);
    peer_read_all(p);
    for (int i = 0; i < 4; i++)
        assert_int_equal(cursors[i].lost, i == 3);
    assert_true(world_is_quiet(w));
    for (int i = 0; i < 4; i++)
        channel_append(&channels[i], 50);
    buf_clear(&p->got);
    peer_read_all(p);
    assert_int_equal(p->got.len, 150);
    peer_end(p);
    for (int i = 0; i < 4; i++)
        channel_fini(&channels[i]);
    world_end(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_of_many_feeds_stay_whole),
        cmocka_unit_test(own_bytes_wait_for_the_frame),
        cmocka_unit_test(a_stop_ends_behind_the_frame),
        cmocka_unit_test(an_abort_lets_go_of_the_frame),
        cmocka_unit_test(a_sink_serves_its_feeds_in_turn),
        cmocka_unit_test(many_sinks_starve_no_feed),
        cmocka_unit_test(a_crowd_is_served_in_turns),
        cmocka_unit_test(a_blocked_peer_lets_the_loop_sleep),
        cmocka_unit_test(all_lost_cursors_are_settled),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
