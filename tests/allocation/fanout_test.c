/*
 * fanout_test.c - the promise that the hot path allocates nothing after warm-up, counted: publish,
 * order, keep, encode, compress, fan out and write to real sockets, on one loop and across two;
 * and what a thread may be left with that others have given back to.
 *
 * It is built without sanitizers: they take malloc() for themselves, and the pool keeps nothing
 * under them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/must.h"
#include "base/pool.h"
#include "carrier/ws.h"
#include "dialect/native_priv.h"
#include "hub/hub.h"
#include "net/conn.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- malloc() and its kin, counted ---- */

void *__libc_malloc(size_t n);
void *__libc_calloc(size_t count, size_t n);
void *__libc_realloc(void *p, size_t n);
void __libc_free(void *p);

static atomic_bool counting;
static atomic_ulong calls;

static void note(void)
{
    if (atomic_load_explicit(&counting, memory_order_relaxed))
        atomic_fetch_add(&calls, 1);
}

void *malloc(size_t n)
{
    note();
    return __libc_malloc(n);
}

void *calloc(size_t count, size_t n)
{
    note();
    return __libc_calloc(count, n);
}

void *realloc(void *p, size_t n)
{
    note();
    return __libc_realloc(p, n);
}

void free(void *p)
{
    if (p != NULL)
        note();
    __libc_free(p);
}

/* ---- clients: a session on a real connection, and our end of it ---- */

enum { CLIENTS = 100, LOOPS_MAX = 2, ROUNDS = 600, BURST = 8 };

struct client {
    struct conn conn;
    struct session session;
    int fd;
    bool closed;
};

struct node_world {
    struct loop *loops[LOOPS_MAX];
    struct flusher flushers[LOOPS_MAX];
    unsigned count;
    struct node *node;
    struct client *clients; // client i is on loop i % count
    pthread_t thread;
    uint64_t answers, received;
};

static void on_data(struct conn *c, char *p, size_t n)
{
    /* An answer for whatever the client said, as a dialect gives. */
    MUST(conn_send(c, (struct str){p, n}));
}

static void on_closed(struct conn *c, enum close_reason reason)
{
    struct client *cl = c->owner;
    (void)reason;
    session_close(&cl->session);
    cl->closed = true;
}

static const struct conn_handler handler = {.data = on_data, .closed = on_closed};

static void on_disconnect(struct session *s, enum close_reason reason, unsigned code,
                          struct str text)
{
    (void)s;
    (void)code;
    (void)text;
    fprintf(stderr, "unexpected: %s\n", close_name(reason));
    MUST(false);
}

static void on_bury(struct session *s)
{
    (void)s;
}

static const struct session_ops ops = {
    .dialect = "test", .disconnect = on_disconnect, .bury = on_bury};

static void subscribed(void *ctx, const struct answer *a)
{
    struct node_world *w = ctx;
    MUST(a->err == ERR_OK);
    w->answers++;
}

static void published(void *ctx, const struct answer *a)
{
    struct node_world *w = ctx;
    MUST(a->err == ERR_OK);
    w->answers++;
}

/* Half of the clients take compressed messages. */
static const struct encoding *encoding_of(int i)
{
    return native_encoding(i / 2 % 2 == 0 ? &ws_framing_text : ws_framing_deflate(15));
}

static void client_open(struct node_world *w, int i)
{
    struct client *cl = &w->clients[i];
    unsigned loop = (unsigned)i % w->count;
    struct addr unknown = {.family = AF_UNIX};
    int fds[2], small = 16384;
    MUST(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds) == 0);
    setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
    cl->fd = fds[1];
    MUST(conn_open(&cl->conn, &w->flushers[loop], fds[0], NULL, &unknown, &handler, 1 << 20));
    cl->conn.owner = cl;
    memset(cl->session.client, i + 1, sizeof(cl->session.client));
    cl->session.tenant = STR("t");
    MUST(session_open(&cl->session, node_hub(w->node, loop), &ops, &cl->conn.sink));
    static const char *const channels[] = {"plain:1", "plain:2", "kept:1", "kept:2"};
    for (int k = 0; k < 4; k++)
        hub_subscribe(&cl->session,
                      &(struct subscribe_params){.channel = str_from(channels[k]),
                                                 .encoding = encoding_of(i)},
                      subscribed, w);
}

static const struct namespace_options namespaces[] = {
    {STR("plain"), {.client_subscribe = true}},
    {STR("kept"), {.client_subscribe = true, .history_count = 50, .recover = true}},
};

static const struct policy policy = {
    .namespaces = namespaces,
    .namespace_count = 2,
    .channel_name_max = 64,
    .channels_max = 100,
    .channels_per_session_max = 8,
    .feed_bytes_max = 8 << 20,
    .feeds_bytes_max = 256 << 20,
    .epoch_idle_ms = 3600000,
};

static struct node_world *world_make(unsigned count)
{
    struct node_world *w = calloc(1, sizeof(*w));
    w->count = count;
    w->clients = calloc(CLIENTS, sizeof(*w->clients));
    for (unsigned i = 0; i < count; i++) {
        w->loops[i] = loop_create(i);
        MUST(w->loops[i] != NULL && flusher_init(&w->flushers[i], w->loops[i]));
    }
    w->node = node_create(w->loops, count, &policy, CLIENTS);
    for (unsigned i = 0; i < count; i++)
        hub_set_outflow(node_hub(w->node, i), &w->flushers[i].outflow);
    for (int i = 0; i < CLIENTS; i++)
        client_open(w, i);
    while (w->answers < 4 * CLIENTS) {
        for (unsigned i = 0; i < count; i++)
            loop_turn(w->loops[i], 0);
    }
    return w;
}

static void world_end(struct node_world *w)
{
    for (unsigned i = 0; i < w->count; i++)
        flusher_abort_all(&w->flushers[i], CLOSE_GOING_AWAY);
    for (unsigned i = 0; i < 8 * w->count; i++)
        loop_turn(w->loops[i % w->count], 0);
    for (int i = 0; i < CLIENTS; i++) {
        MUST(w->clients[i].closed);
        close(w->clients[i].fd);
    }
    node_destroy(&w->node);
    for (unsigned i = 0; i < w->count; i++) {
        flusher_fini(&w->flushers[i]);
        loop_destroy(&w->loops[i]);
    }
    free(w->clients);
    free(w);
}

static void publish(struct node_world *w, int number)
{
    static const char *const channels[] = {"plain:1", "plain:2", "kept:1", "kept:2"};
    static char text[4096];
    size_t n = (size_t)(number * 389 % 3000) + 30;
    memset(text, 'a' + number % 26, n);
    text[0] = text[n - 1] = '"';
    hub_publish(node_hub(w->node, 0),
                &(struct publish_params){.tenant = STR("t"),
                                         .channel = str_from(channels[number % 4]),
                                         .type = STR("said"),
                                         .data = {text, n}},
                published, w);
}

/* Reads what has come to the clients' ends. */
static uint64_t read_clients(struct node_world *w)
{
    static char chunk[65536];
    uint64_t before = w->received;
    for (int i = 0; i < CLIENTS; i++) {
        ssize_t n;
        while ((n = recv(w->clients[i].fd, chunk, sizeof(chunk), MSG_DONTWAIT)) > 0)
            w->received += (uint64_t)n;
    }
    return w->received - before;
}

static void say(struct node_world *w, int round, int count)
{
    for (int i = 0; i < count; i++)
        MUST(send(w->clients[(round + i * 4) % CLIENTS].fd, "hello", 5, 0) == 5);
}

/* Warm-up first goes further than what is measured. The pools may still see a new peak of some size
 * afterwards, once each: so the promise is a window without any, and it has to come soon. What
 * allocates per message, or per thousand, never lets one come. */
enum { WINDOWS_MAX = 10 };
typedef void rounds_fn(struct node_world *w, int rounds, int burst);

static void assert_quiet_window(struct node_world *w, rounds_fn *run, int rounds)
{
    run(w, rounds, 3 * BURST);
    for (int i = 0; i < WINDOWS_MAX; i++) {
        uint64_t misses = pool_misses();
        atomic_store(&calls, 0);
        atomic_store(&counting, true);
        run(w, rounds, BURST);
        atomic_store(&counting, false);
        if (atomic_load(&calls) == 0) {
            assert_int_equal(pool_misses(), misses);
            return;
        }
    }
    fail_msg("%lu calls in the last window", atomic_load(&calls));
}

/* ---- one loop ---- */

static void run_rounds(struct node_world *w, int rounds, int burst)
{
    for (int round = 0; round < rounds; round++) {
        for (int i = 0; i < burst; i++)
            publish(w, round * burst + i);
        say(w, round, burst); // a few clients want an answer
        loop_turn(w->loops[0], 0);
        if (round % 8 != 0)
            continue; // sockets fill up: frames are cut, logs grow
        for (int quiet = 0; quiet < 2;) {
            loop_turn(w->loops[0], 0);
            quiet = read_clients(w) > 0 ? 0 : quiet + 1;
        }
    }
}

static void on_one_loop_nothing_is_allocated(void **state)
{
    (void)state;
    struct node_world *w = world_make(1);
    uint64_t sends = atomic_load(&w->flushers[0].sends);
    assert_quiet_window(w, run_rounds, ROUNDS);
    assert_true(atomic_load(&w->flushers[0].sends) > sends + 2 * ROUNDS);
    world_end(w);
}

/* ---- two loops on two threads ---- */

static void *run_second(void *arg)
{
    loop_run(((struct node_world *)arg)->loops[1]);
    return NULL;
}

/* A burst is published when the one before has reached everybody, so that no more is under way. */
static void run_steps(struct node_world *w, int rounds, int burst)
{
    for (int round = 0; round < rounds; round++) {
        uint64_t asked = w->answers + (uint64_t)burst, idle = 0;
        for (int i = 0; i < burst; i++)
            publish(w, round * burst + i);
        while (w->answers < asked || idle < 30) {
            loop_turn(w->loops[0], 0);
            idle = read_clients(w) > 0 ? 0 : idle + 1;
        }
    }
}

static void across_loops_nothing_is_allocated(void **state)
{
    (void)state;
    struct node_world *w = world_make(2);
    assert_int_equal(pthread_create(&w->thread, NULL, run_second, w), 0);
    assert_quiet_window(w, run_steps, ROUNDS / 3);
    loop_stop(w->loops[1]);
    pthread_join(w->thread, NULL);
    world_end(w);
}

/* ---- what others give back to a thread that has gone quiet ---- */

enum { BLOCK = 65536, MOST = 4 * POOL_KEEP_BYTES / BLOCK };

static void *free_blocks(void *arg)
{
    void **blocks = arg;
    for (int i = 0; i < 2 * MOST; i++)
        pool_free(blocks[i]);
    return NULL;
}

static void a_quiet_thread_does_not_collect_memory(void **state)
{
    (void)state;
    static void *blocks[2 * MOST];
    pthread_t thread;
    for (int i = 0; i < 2 * MOST; i++)
        blocks[i] = pool_alloc(BLOCK);
    atomic_store(&calls, 0);
    atomic_store(&counting, true);
    assert_int_equal(pthread_create(&thread, NULL, free_blocks, blocks), 0);
    pthread_join(thread, NULL);
    atomic_store(&counting, false);
    assert_in_range(atomic_load(&calls), MOST, MOST + 10); // the half of them
    uint64_t misses = pool_misses();
    for (int i = 0; i < MOST; i++)
        blocks[i] = pool_alloc(BLOCK);
    /* Of what has come back, it keeps what it may. */
    assert_int_equal(pool_misses() - misses, MOST - POOL_KEEP_BYTES / BLOCK);
    for (int i = 0; i < MOST; i++)
        pool_free(blocks[i]);
    pool_drop();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(on_one_loop_nothing_is_allocated),
        cmocka_unit_test(across_loops_nothing_is_allocated),
        cmocka_unit_test(a_quiet_thread_does_not_collect_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
