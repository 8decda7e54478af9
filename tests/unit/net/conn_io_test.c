/*
 * conn_io_test.c - a connection's own side: more input than one event reads, ends and half-ends,
 * closing from inside every callback, limits that change, messages across connections.
 */
#include "unit/net/conn_world.h"

#include <netinet/in.h>

/* ---- reading ---- */

/* More than a connection reads at once: others get their turn, and nothing is left lying. */
static void all_input_is_read(void **state)
{
    (void)state;
    enum { BIG = 8 << 20 };
    struct world *w = world_make();
    struct peer *p = peer_make(w), *other = peer_make(w);
    int buffer = BIG;
    setsockopt(p->fd, SOL_SOCKET, SO_SNDBUF, &buffer, sizeof(buffer));
    char *block = malloc(BIG);
    for (size_t i = 0; i < BIG; i++)
        block[i] = (char)(i % 251);
    size_t sent = 0;
    while (sent < BIG) {
        ssize_t n = send(p->fd, block + sent, BIG - sent, MSG_DONTWAIT);
        sent += n > 0 ? (size_t)n : 0;
        assert_int_equal(send(other->fd, "x", 1, 0), 1);
        turns(w, 1);
    }
    for (int quiet = 0; quiet < 3 && p->data.len < BIG;) {
        size_t before = p->data.len;
        turns(w, 1);
        quiet = p->data.len > before ? 0 : quiet + 1;
    }
    assert_int_equal(p->data.len, BIG);
    assert_memory_equal(p->data.p, block, BIG);
    assert_true(other->data.len > 0);
    free(block);
    peer_end(p);
    peer_end(other);
    world_end(w);
}

/* Much input, and the end right behind it: everything is read, then the end is seen. */
static void the_end_comes_behind_all_input(void **state)
{
    (void)state;
    enum { BIG = 3 << 20 };
    struct world *w = world_make();
    struct peer *p = peer_make_with(w, &half_handler, SMALL_SOCKET);
    int buffer = 2 * BIG;
    setsockopt(p->fd, SOL_SOCKET, SO_SNDBUF, &buffer, sizeof(buffer));
    char *block = calloc(1, BIG);
    size_t sent = 0;
    for (ssize_t n = 1; n > 0 && sent<BIG; sent += n> 0 ? (size_t)n : 0)
        n = send(p->fd, block, BIG - sent, MSG_DONTWAIT);
    shutdown(p->fd, SHUT_WR);
    for (int i = 0; i < 40 && p->ended == 0; i++)
        turns(w, 1);
    assert_int_equal(p->ended, 1);
    assert_int_equal(p->data.len, sent);
    free(block);
    peer_end(p);
    world_end(w);
}

static void pauses(struct peer *p)
{
    conn_pause_reading(&p->conn);
}

/* Paused inside data(), with more lying there: nothing is read until it goes on, nothing lost. */
static void a_pause_holds_input_back(void **state)
{
    (void)state;
    struct world *w = world_make();
    struct peer *p = peer_make(w);
    p->on_data = pauses;
    for (int i = 1; i <= 5; i++) {
        assert_int_equal(send(p->fd, "12345", 5, 0), 5);
        turns(w, 2);
        assert_int_equal(p->data.len, 5);
    }
    conn_resume_reading(&p->conn);
    turns(w, 2);
    assert_int_equal(p->data.len, 25);
    close(p->fd); // seen when it reads again
    p->fd = -1;
    turns(w, 2);
    assert_false(p->closed);
    conn_resume_reading(&p->conn);
    turns(w, 2);
    assert_true(p->closed);
    peer_end(p);
    world_end(w);
}

/* ---- half-ends ---- */

static void a_half_end_is_told_once(void **state)
{
    (void)state;
    struct world *w = world_make();
    struct peer *p = peer_make_with(w, &half_handler, SMALL_SOCKET);
    char *block = calloc(1, 200000);
    shutdown(p->fd, SHUT_WR);
    turns(w, 2);
    assert_int_equal(p->ended, 1);
    assert_true(conn_send(&p->conn, (struct str){block, 200000})); // it still reads
    peer_read_all(p);                                              // many wake-ups for writing
    assert_int_equal(p->got.len, 200000);
    assert_int_equal(p->ended, 1);
    assert_false(p->closed);
    close(p->fd); // and now it does not even read
    p->fd = -1;
    turns(w, 2);
    assert_true(p->closed);
    assert_int_equal(p->reason, CLOSE_PEER_GONE);
    free(block);
    peer_end(p);
    world_end(w);
}

/* TCP: the peer is gone with a reset while the connection has nothing to write. */
static void a_reset_is_noticed(void **state)
{
    (void)state;
    struct world *w = world_make();
    struct peer *p = calloc(1, sizeof(*p));
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(at);
    struct addr peer = {.family = AF_INET};
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&at, len), 0);
    assert_int_equal(listen(listener, 1), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&at, &len), 0);
    p->fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(p->fd, (struct sockaddr *)&at, len), 0);
    p->world = w;
    buf_init(&p->data, GOT_MAX);
    buf_init(&p->got, GOT_MAX);
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
    assert_true(conn_open(&p->conn, &w->flusher, fd, NULL, &peer, &half_handler, OUT_MAX));
    struct linger rst = {.l_onoff = 1, .l_linger = 0};
    setsockopt(p->fd, SOL_SOCKET, SO_LINGER, &rst, sizeof(rst));
    close(p->fd);
    p->fd = -1;
    for (int i = 0; i < 100 && !p->closed; i++)
        loop_turn(w->loop, 100);
    assert_true(p->closed);
    assert_int_equal(p->reason, CLOSE_PEER_GONE);
    close(listener);
    peer_end(p);
    world_end(w);
}

/* ---- closing from inside ---- */

static void says_and_closes(struct peer *p)
{
    assert_true(conn_send(&p->conn, STR("bye")));
    conn_close(&p->conn, CLOSE_NORMAL, 60000);
    assert_false(conn_send(&p->conn, STR("too late")));
    assert_false(p->closed);
}

static void closing_inside_data(void **state)
{
    (void)state;
    struct world *w = world_make();
    struct peer *p = peer_make(w);
    p->on_data = says_and_closes;
    assert_int_equal(send(p->fd, "hello", 5, 0), 5);
    turns(w, 1);
    peer_read(p, SIZE_MAX);
    assert_int_equal(p->got.len, 3);
    assert_int_equal(send(p->fd, "more", 4, 0), 4); // thrown away
    turns(w, 2);
    assert_int_equal(p->data.len, 5);
    assert_false(p->closed);
    shutdown(p->fd, SHUT_WR);
    turns(w, 2);
    assert_true(p->closed);
    peer_end(p);
    world_end(w);
}

static void closes_at_once(struct peer *p)
{
    conn_close(&p->conn, CLOSE_NORMAL, 0);
}

static void aborts(struct peer *p)
{
    conn_abort(&p->conn, CLOSE_EXPIRED);
    conn_abort(&p->conn, CLOSE_NORMAL); // the first reason stays
    assert_false(p->closed);            // never inside
}

static void aborting_inside_callbacks(void **state)
{
    (void)state;
    static void (*const ways[])(struct peer *) = {aborts, closes_at_once};
    struct world *w = world_make();
    for (int in_data = 0; in_data < 2; in_data++) {
        for (int way = 0; way < 2; way++) {
            struct peer *p = peer_make(w);
            if (in_data)
                p->on_data = ways[way];
            else
                p->on_drained = ways[way];
            assert_int_equal(send(p->fd, "hello", 5, 0), 5);
            assert_true(conn_send(&p->conn, STR("hello")));
            while (!p->closed)
                loop_turn(w->loop, 1000);
            assert_int_equal(p->reason, way == 0 ? CLOSE_EXPIRED : CLOSE_NORMAL);
            peer_end(p);
        }
    }
    world_end(w);
}

/* With frames of a feed leaving in the same send. */
static void aborting_when_drained_in_a_feeds_visit(void **state)
{
    (void)state;
    struct world *w = world_make();
    struct channel ch;
    struct cursor cursors[3];
    struct peer *peers[3];
    channel_init(&ch, w, 'A', 1 << 20);
    for (int i = 0; i < 3; i++) {
        peers[i] = peer_make(w);
        peers[i]->on_drained = i == 1 ? aborts : NULL;
        cursor_follow(&cursors[i], &ch, peers[i]);
    }
    for (int i = 0; i < 3; i++)
        assert_true(conn_send(&peers[i]->conn, STR("<o1 >")));
    channel_append(&ch, 100);
    turns(w, 3);
    assert_true(peers[1]->closed && !peers[0]->closed && !peers[2]->closed);
    assert_null(ch.feed.oldest);
    for (int i = 0; i < 3; i++)
        peer_end(peers[i]);
    channel_fini(&ch);
    world_end(w);
}

static void sends_again(struct peer *p)
{
    if (p->drained < 50)
        assert_true(conn_send(&p->conn, STR("again ")));
}

static void sending_when_drained(void **state)
{
    (void)state;
    struct world *w = world_make();
    struct peer *p = peer_make(w);
    p->on_drained = sends_again;
    assert_true(conn_send(&p->conn, STR("first ")));
    peer_read_all(p);
    assert_int_equal(p->drained, 50);
    assert_int_equal(p->got.len, 50 * 6);
    assert_true(world_is_quiet(w));
    peer_end(p);
    world_end(w);
}

/* A farewell that the peer does not read ends with the linger time. */
static void lingering_has_an_end(void **state)
{
    (void)state;
    struct world *w = world_make();
    struct peer *p = peer_make(w);
    char *block = calloc(1, 500000);
    assert_true(conn_send(&p->conn, (struct str){block, 500000}));
    conn_close(&p->conn, CLOSE_NORMAL, 50);
    conn_close(&p->conn, CLOSE_EXPIRED, 50);
    turns(w, 2);
    assert_false(p->closed);
    while (!p->closed)
        loop_turn(w->loop, 1000);
    assert_int_equal(p->reason, CLOSE_NORMAL);
    free(block);
    peer_end(p);
    world_end(w);
}

/* ---- own bytes ---- */

/* The limit is lowered below what waits already. */
static void a_lowered_limit_holds(void **state)
{
    (void)state;
    struct world *w = world_make();
    struct peer *p = peer_make(w);
    char *block = calloc(1, 100000);
    assert_true(conn_send(&p->conn, (struct str){block, 100000}));
    turns(w, 1);
    p->conn.out_max = 1000;
    assert_null(conn_reserve(&p->conn, 10));
    turns(w, 1);
    assert_true(p->closed);
    assert_int_equal(p->reason, CLOSE_SLOW);
    free(block);
    peer_end(p);
    world_end(w);
}

/* A limit for what waits is none for what is said: it could never be said otherwise. */
static void one_that_is_too_long_goes_alone(void **state)
{
    (void)state;
    struct world *w = world_make();
    struct peer *p = peer_make(w);
    size_t n = 4u * p->conn.out_max;
    char *block = calloc(1, n);
    assert_true(conn_send(&p->conn, STR("something that waits")));
    assert_true(conn_send(&p->conn, (struct str){block, n}));
    assert_false(conn_send(&p->conn, STR("x")));
    turns(w, 1);
    assert_int_equal(p->reason, CLOSE_SLOW);
    free(block);
    peer_end(p);
    world_end(w);
}

static void what_was_reserved_need_not_be_used(void **state)
{
    (void)state;
    struct world *w = world_make();
    struct peer *p = peer_make(w);
    assert_non_null(conn_reserve(&p->conn, 1000));
    conn_commit(&p->conn, 0);
    assert_null(p->conn.out);
    char *at = conn_reserve(&p->conn, 1000);
    memcpy(at, "abc", 3);
    conn_commit(&p->conn, 3);
    assert_non_null(conn_reserve(&p->conn, 100000)); // moves what is there
    conn_commit(&p->conn, 0);
    assert_int_equal(conn_pending(&p->conn), 3);
    peer_read_all(p);
    assert_int_equal(p->got.len, 3);
    assert_memory_equal(p->got.p, "abc", 3);
    peer_end(p);
    world_end(w);
}

/* Random amounts against a reader that takes its time: the bytes are a counted sequence. */
static void own_bytes_are_a_sequence(void **state)
{
    (void)state;
    struct world *w = world_make();
    struct peer *p = peer_make(w);
    unsigned random = 7;
    size_t said = 0;
    for (int i = 0; i < 3000; i++) {
        random = random * 1103515245u + 12345u;
        size_t n = (random >> 16) % 2000;
        if (conn_pending(&p->conn) + n <= OUT_MAX) {
            char *at = conn_reserve(&p->conn, n + 1);
            assert_non_null(at);
            for (size_t k = 0; k < n; k++)
                at[k] = (char)((said + k) % 251);
            conn_commit(&p->conn, n);
            said += n;
        }
        if (i % 3 == 0)
            turns(w, 1);
        peer_read(p, (random >> 8) % 1500);
    }
    peer_read_all(p);
    assert_int_equal(p->got.len, said);
    for (size_t i = 0; i < said; i++)
        assert_int_equal((unsigned char)p->got.p[i], i % 251);
    peer_end(p);
    world_end(w);
}

/* ---- across connections ---- */

static struct peer *echo_to;

static void tells_both(struct peer *p)
{
    assert_true(conn_send(&echo_to->conn, buf_str(&p->data)));
    assert_true(conn_send(&p->conn, STR("ok")));
    buf_clear(&p->data);
}

static void a_handler_writes_to_others(void **state)
{
    (void)state;
    struct world *w = world_make();
    struct peer *a = peer_make(w), *b = peer_make(w);
    echo_to = b;
    a->on_data = tells_both;
    for (int i = 0; i < 100; i++) {
        assert_int_equal(send(a->fd, "ping", 4, 0), 4);
        turns(w, 1);
    }
    peer_read_all(a);
    peer_read_all(b);
    assert_int_equal(a->got.len, 200);
    assert_int_equal(b->got.len, 400);
    assert_true(world_is_quiet(w));
    peer_end(a);
    peer_end(b);
    world_end(w);
}

/* No event follows when the kernel has memory again: what waited leaves all the same. */
static void a_starved_connection_is_tried_again(void **state)
{
    (void)state;
    struct world *w = world_make();
    struct peer *p = peer_make(w);
    turns(w, 2); // the first event says that there is room
    conn_starve(&p->conn);
    assert_true(conn_send(&p->conn, STR("later")));
    assert_int_equal(peer_read(p, 5), 0);
    assert_true(timer_armed(&w->flusher.retry));
    for (int i = 0; i < 1000 && p->got.len == 0; i++) {
        loop_turn(w->loop, 100);
        peer_read(p, 5);
    }
    assert_true(str_eq(buf_str(&p->got), STR("later")));
    assert_false(p->conn.sink.blocked);
    assert_false(timer_armed(&w->flusher.retry));
    peer_end(p);
    world_end(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_starved_connection_is_tried_again),
        cmocka_unit_test(all_input_is_read),
        cmocka_unit_test(the_end_comes_behind_all_input),
        cmocka_unit_test(a_pause_holds_input_back),
        cmocka_unit_test(a_half_end_is_told_once),
        cmocka_unit_test(a_reset_is_noticed),
        cmocka_unit_test(closing_inside_data),
        cmocka_unit_test(aborting_inside_callbacks),
        cmocka_unit_test(aborting_when_drained_in_a_feeds_visit),
        cmocka_unit_test(sending_when_drained),
        cmocka_unit_test(lingering_has_an_end),
        cmocka_unit_test(a_lowered_limit_holds),
        cmocka_unit_test(one_that_is_too_long_goes_alone),
        cmocka_unit_test(what_was_reserved_need_not_be_used),
        cmocka_unit_test(own_bytes_are_a_sequence),
        cmocka_unit_test(a_handler_writes_to_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
