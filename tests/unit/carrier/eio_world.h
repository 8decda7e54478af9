/* eio_world.h - Engine.IO over real sockets on real loops (two, turned by the test in turn), a
 * dialect that notes what it is told, and clients that poll or speak WebSocket.
 * Thread:  one.
 * Memory:  world_begin() to world_end(), which checks that every session was closed once.
 * Failure: fails the test. */
#ifndef UNIT_CARRIER_EIO_WORLD_H
#define UNIT_CARRIER_EIO_WORLD_H

#include "client_wire.h"

#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/must.h"
#include "carrier/eio.h"

#include <cmocka.h>

enum { LOOPS = 2, SEATS_MAX = 64, TURNS_MAX = 200000 };

/* A session as its dialect sees it. */
struct seat {
    struct carrier *carrier; // NULL: closed
    struct cursor cursor;
    struct buf heard; // "text:...;" or "binary:...;"
    unsigned closed_count, moved_count, overrun_count;
    enum close_reason reason;
};

struct world {
    struct loop *loops[LOOPS];
    struct flusher flushers[LOOPS];
    struct http_server *servers[LOOPS];
    struct http_router *router;
    struct feed feeds[LOOPS]; // one channel
    struct eio *eio;
    struct eio_options options;
    struct seat seats[SEATS_MAX];
    size_t seat_count;
    bool refuses;                                     // the next session
    void (*on_open)(struct seat *s);                  // more to be done inside
    void (*on_message)(struct seat *s, struct str m); // instead of nothing
    unsigned published;
};

static struct world world;

/* ---- the dialect ---- */

/* An on_message. */
static inline void seat_echo(struct seat *s, struct str m)
{
    carrier_send(s->carrier, m);
}

static inline void seat_message(struct carrier *c, void *ctx, struct str payload, bool binary)
{
    struct seat *s = ctx;
    assert_ptr_equal(s->carrier, c);
    assert_true(buf_add(&s->heard, binary ? STR("binary:") : STR("text:")) &&
                buf_add(&s->heard, payload) && buf_add_char(&s->heard, ';'));
    if (world.on_message != NULL)
        world.on_message(s, payload);
}

static inline void seat_closed(struct carrier *c, void *ctx, enum close_reason reason,
                               unsigned code)
{
    struct seat *s = ctx;
    (void)code;
    assert_ptr_equal(s->carrier, c);
    s->carrier = NULL;
    s->closed_count++;
    s->reason = reason;
    cursor_leave(&s->cursor);
}

static inline void seat_moved(struct carrier *c, void *ctx)
{
    struct seat *s = ctx;
    s->moved_count++;
    assert_true(eio_is_websocket(c));
    if (s->cursor.feed != NULL)
        assert_ptr_equal(s->cursor.sink, carrier_sink(c));
}

static const struct carrier_handler seat_handler = {
    .message = seat_message, .closed = seat_closed, .moved = seat_moved};

static inline struct feed *feed_of(const struct carrier *c)
{
    /* The id tells the loop; the test knows how. */
    return &world.feeds[eio_session_id(c).p[1] - 'A'];
}

static inline bool seat_open(struct carrier *c, const struct http_request *r, void *ctx)
{
    (void)r;
    (void)ctx;
    if (world.refuses)
        return false;
    assert_true(world.seat_count < SEATS_MAX);
    struct seat *s = &world.seats[world.seat_count++];
    *s = (struct seat){.carrier = c, .cursor = {.mask = FRAME_PUBLICATION}};
    buf_init(&s->heard, 16 << 20);
    c->handler = &seat_handler;
    c->ctx = s;
    assert_true(cursor_join(&s->cursor, feed_of(c), carrier_sink(c)));
    if (world.on_open != NULL)
        world.on_open(s);
    return true;
}

static inline void route(struct http_request *r)
{
    eio_handle(r, world.eio, seat_open, NULL);
}

/* ---- publications ---- */

static inline bool feed_wants(const struct cursor *c, const struct frame_note *note)
{
    (void)c;
    (void)note;
    return true;
}

/* What a hub does, in short: lost until everything has been fetched, then told what was missed. */
static inline void feed_overrun(struct cursor *c)
{
    struct seat *s = container_of(c, struct seat, cursor);
    s->overrun_count++;
    if (!c->lost) {
        cursor_lose(c);
        sink_wake(c->feed->outflow, c->sink);
        return;
    }
    c->lost = false;
    cursor_skip(c);
    carrier_send(s->carrier, STR("resync"));
}

static const struct feed_ops feed_ops = {.wants = feed_wants, .overrun = feed_overrun};

static inline void publish(struct str text, bool binary)
{
    for (int i = 0; i < LOOPS; i++) {
        struct buf frame;
        buf_init(&frame, 1 << 20);
        assert_true(eio_frame(&ws_framing_text, &frame, text, binary));
        assert_true(feed_append(&world.feeds[i], buf_str(&frame),
                                (struct frame_info){.class = FRAME_PUBLICATION, .now_ns = 1}));
        buf_fini(&frame);
    }
}

/* "<n>", n counting from 1, in up to pad bytes more. */
static inline void publish_next(size_t pad)
{
    struct buf text;
    buf_init(&text, 1 << 20);
    assert_true(buf_add_format(&text, "<%u>", ++world.published));
    for (size_t i = 0; i < pad; i++)
        assert_true(buf_add_char(&text, '.'));
    publish(buf_str(&text), false);
    buf_fini(&text);
}

/* ---- the world ---- */

static inline void turn(void)
{
    for (int i = 0; i < LOOPS; i++)
        loop_turn(world.loops[i], 0);
}

static inline void turns(int n)
{
    while (n-- > 0)
        turn();
}

static inline void world_begin(void)
{
    world = (struct world){
        .options = {.ping_interval_ms = 25000,
                    .ping_timeout_ms = 20000,
                    .payload_max_bytes = 1000000,
                    .out_max_bytes = 1 << 20,
                    .ws = {.close_timeout_ms = 5000, .out_max_bytes = 1 << 20, .deflate = true}}};
    world.router = http_router_create();
    assert_true(http_router_add(world.router, ~0u, "/e/", route, NULL));
}

static inline void world_start(uint64_t feed_bytes_max)
{
    static const struct http_options o = {.head_max_bytes = 16384,
                                          .body_max_bytes = 2 << 20,
                                          .head_timeout_ms = 60000,
                                          .body_timeout_ms = 60000,
                                          .idle_timeout_ms = 60000,
                                          .out_max_bytes = 1 << 20};
    world.eio = eio_create(&world.options, LOOPS);
    assert_non_null(world.eio);
    for (unsigned i = 0; i < LOOPS; i++) {
        world.loops[i] = loop_create(i);
        assert_true(flusher_init(&world.flushers[i], world.loops[i]));
        world.servers[i] = http_server_create(&world.flushers[i], world.router, &o);
        feed_init(&world.feeds[i], &world.flushers[i].outflow, &feed_ops, feed_bytes_max);
    }
    for (unsigned i = 0; i < LOOPS; i++)
        http_server_set_peers(world.servers[i], world.servers, LOOPS);
}

static inline void world_end(void)
{
    for (int i = 0; i < LOOPS; i++) {
        http_server_stop(world.servers[i]);
        flusher_abort_all(&world.flushers[i], CLOSE_GOING_AWAY);
    }
    turns(10);
    for (int i = 0; i < LOOPS; i++) {
        assert_int_equal(atomic_load(&world.flushers[i].open_count), 0);
        assert_int_equal(atomic_load(&world.flushers[i].own_bytes_waiting), 0);
        feed_fini(&world.feeds[i]);
        http_server_destroy(&world.servers[i]);
        flusher_fini(&world.flushers[i]);
        loop_destroy(&world.loops[i]);
    }
    for (size_t i = 0; i < world.seat_count; i++) {
        assert_int_equal(world.seats[i].closed_count, 1);
        buf_fini(&world.seats[i].heard);
    }
    eio_destroy(&world.eio);
    http_router_destroy(&world.router);
}

/* ---- clients ---- */

struct client {
    int fd;
    struct buf in;  // not yet looked at
    struct buf got; // the body of the last answer
    struct buf head;
    unsigned status;
    struct ws_parser parser;
    bool ended;
};

static inline void client_open(struct client *c, int loop)
{
    int fds[2];
    struct addr unknown = {.family = AF_UNIX};
    *c = (struct client){0};
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    assert_true(http_server_accept(world.servers[loop], fds[1], &unknown, NULL));
    c->fd = fds[0];
    buf_init(&c->in, 64 << 20);
    buf_init(&c->got, 64 << 20);
    buf_init(&c->head, 1 << 16);
    ws_parser_init(&c->parser, 64 << 20, true);
    c->parser.client = true;
}

static inline void client_close(struct client *c)
{
    if (c->fd >= 0)
        close(c->fd);
    c->fd = -1;
    buf_fini(&c->in);
    buf_fini(&c->got);
    buf_fini(&c->head);
    ws_parser_fini(&c->parser);
}

static inline void client_write(struct client *c, struct str bytes)
{
    while (bytes.n > 0) {
        ssize_t n = send(c->fd, bytes.p, bytes.n, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n > 0)
            bytes = str_skip(bytes, (size_t)n);
        turn();
    }
}

static inline void client_read(struct client *c)
{
    char piece[16384];
    ssize_t n;
    while ((n = recv(c->fd, piece, sizeof(piece), MSG_DONTWAIT)) > 0)
        assert_true(buf_add(&c->in, (struct str){piece, (size_t)n}));
    c->ended |= n == 0;
}

/* One whole answer has come: taken over into status, head and got. */
static inline bool client_answered(struct client *c)
{
    client_read(c);
    struct str in = buf_str(&c->in);
    size_t head_n = str_find(in, STR("\r\n\r\n")) + 4;
    if (head_n > in.n)
        return false;
    struct str head = {in.p, head_n};
    size_t at = str_find(head, STR("Content-Length: "));
    size_t body_n = at < head.n ? strtoul(in.p + at + 16, NULL, 10) : 0;
    if (in.n - head_n < body_n)
        return false;
    buf_clear(&c->got);
    buf_clear(&c->head);
    c->status = (unsigned)strtoul(in.p + 9, NULL, 10);
    assert_true(buf_add(&c->head, head));
    assert_true(buf_add(&c->got, (struct str){in.p + head_n, body_n}));
    buf_take(&c->in, head_n + body_n);
    return true;
}

static inline unsigned client_wait(struct client *c)
{
    for (int i = 0; i < TURNS_MAX; i++) {
        if (client_answered(c))
            return c->status;
        turn();
    }
    fail_msg("no answer");
    return 0;
}

static inline void client_ask(struct client *c, const char *method, const char *query,
                              const char *headers, struct str body)
{
    struct buf b;
    buf_init(&b, 4 << 20);
    assert_true(buf_add_format(&b, "%s /e/?%s HTTP/1.1\r\nHost: a\r\n%s", method, query, headers));
    if (body.p != NULL)
        assert_true(buf_add_format(&b, "Content-Length: %zu\r\n", body.n));
    assert_true(buf_add(&b, STR("\r\n")) && buf_add(&b, body));
    client_write(c, buf_str(&b));
    buf_fini(&b);
}

static inline unsigned ask(struct client *c, const char *method, const char *query, struct str body)
{
    client_ask(c, method, query, "", body);
    return client_wait(c);
}

static inline bool got(const struct client *c, const char *text)
{
    return str_eq(buf_str(&c->got), str_from(text));
}

static inline bool head_has(const struct client *c, const char *text)
{
    return str_find(buf_str(&c->head), str_from(text)) < c->head.len;
}

#define assert_got(c, text)                                                                        \
    do {                                                                                           \
        if (!got(c, text))                                                                         \
            fail_msg("got %u %.*s", (c)->status, STR_FMT(buf_str(&(c)->got)));                     \
    } while (0)

/* A client that polls: its session's requests. */
struct poller {
    struct client get, post;
    char query[128];
    struct seat *seat;
};

static inline void poller_open_on(struct poller *p, int loop, int other)
{
    client_open(&p->get, loop);
    client_open(&p->post, other);
    assert_int_equal(ask(&p->get, "GET", "EIO=4&transport=polling", STR_NONE), 200);
    struct str open = buf_str(&p->get.got);
    assert_true(str_starts(open, STR("0{\"sid\":\"")));
    struct str sid = str_skip(open, 9);
    sid = str_cut(&sid, '"');
    snprintf(p->query, sizeof(p->query), "EIO=4&transport=polling&sid=%.*s", STR_FMT(sid));
    p->seat = &world.seats[world.seat_count - 1];
}

static inline void poller_open(struct poller *p)
{
    poller_open_on(p, 0, 0);
}

static inline void poller_close(struct poller *p)
{
    client_close(&p->get);
    client_close(&p->post);
}

static inline unsigned poll_now(struct poller *p)
{
    return ask(&p->get, "GET", p->query, STR_NONE);
}

static inline void poll_begin(struct poller *p)
{
    client_ask(&p->get, "GET", p->query, "", STR_NONE);
    turns(4);
    assert_false(client_answered(&p->get));
}

static inline unsigned post(struct poller *p, struct str body)
{
    return ask(&p->post, "POST", p->query, body);
}

/* ---- WebSockets ---- */

static inline void ws_ask(struct client *c, const char *query, const char *extensions)
{
    char headers[512];
    snprintf(headers, sizeof(headers),
             "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
             "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n%s",
             extensions);
    client_ask(c, "GET", query, headers, STR_NONE);
}

static inline void ws_open(struct client *c, int loop, const char *query)
{
    client_open(c, loop);
    ws_ask(c, query, "");
    assert_int_equal(client_wait(c), 101);
}

static inline void ws_say(struct client *c, unsigned first, struct str payload)
{
    struct buf w;
    buf_init(&w, 4 << 20);
    wire_frame(&w, first, payload);
    client_write(c, buf_str(&w));
    buf_fini(&w);
}

static inline void ws_text(struct client *c, const char *text)
{
    ws_say(c, WS_FIN | WS_OP_TEXT, str_from(text));
}

/* The next message, taken over into got; false: not here yet. status: its event. */
static inline bool ws_heard(struct client *c)
{
    client_read(c);
    struct ws_item item;
    struct ws_input in = {c->in.p, c->in.len};
    enum ws_event event = ws_parser_next(&c->parser, &in, &item);
    if (event != WS_MORE) {
        buf_clear(&c->got);
        assert_true(buf_add(&c->got, (struct str){item.p, item.n}));
        c->status = event;
    }
    buf_take(&c->in, c->in.len - in.n);
    return event != WS_MORE;
}

static inline void ws_wait(struct client *c)
{
    for (int i = 0; i < TURNS_MAX; i++) {
        if (ws_heard(c))
            return;
        assert_false(c->ended);
        turn();
    }
    fail_msg("no message");
}

/* "transport=websocket" with the sid of a session that polls. */
static inline const char *ws_query(const struct poller *p, char at[128])
{
    snprintf(at, 128, "EIO=4&transport=websocket&sid=%s", strstr(p->query, "sid=") + 4);
    return at;
}

static inline void upgrade(struct client *c, const struct poller *p, int loop)
{
    char query[128];
    ws_open(c, loop, ws_query(p, query));
    ws_text(c, "2probe");
    ws_wait(c);
    assert_got(c, "3probe");
    ws_text(c, "5");
    turns(2);
}

#endif
