/* fake_wire.h - connection, request and clock in the test's own hands, under a real carrier.
 *
 * The functions of conn.h, http.h and loop.h that carriers use are defined here, so the linker
 * takes these and not the layers'. There is one connection and one timer.
 *
 * Thread:  the test's.
 * Memory:  wire_begin() to wire_finish(); what the carrier wrote is in wire.out.
 * Failure: a call that no carrier should make fails the test. */
#ifndef UNIT_CARRIER_FAKE_WIRE_H
#define UNIT_CARRIER_FAKE_WIRE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include "carrier/carrier.h"
#include "http/http.h"

#include <cmocka.h>

enum { WIRE_OUT_MAX = 4 << 20, WIRE_HEADERS_MAX = 16 };

static struct wire {
    struct conn *conn;
    struct flusher flusher;
    struct buf out; // all the carrier has written
    size_t pending; // of it, not taken by the peer
    size_t reserved;
    uint64_t now_ms;
    struct timer *timer; // armed, or NULL
    uint64_t due_ms;
    bool feeds_stopped;
    uint32_t linger_ms;
    unsigned status; // of the reply, when the request was not taken
    struct str reply_extra;
    struct http_request request;
    struct http_header headers[WIRE_HEADERS_MAX];
} wire;

/* ---- loop.h ---- */

void timer_init(struct timer *t, void (*fire)(struct timer *t))
{
    t->fire = fire;
}

void timer_arm(struct loop *l, struct timer *t, uint64_t delay_ms)
{
    (void)l;
    assert_true(wire.timer == NULL || wire.timer == t);
    wire.timer = t;
    wire.due_ms = wire.now_ms + delay_ms;
}

void timer_cancel(struct timer *t)
{
    if (wire.timer == t)
        wire.timer = NULL;
}

uint64_t loop_now_ms(const struct loop *l)
{
    (void)l;
    return wire.now_ms;
}

/* ---- conn.h ---- */

void conn_abort(struct conn *c, enum close_reason reason)
{
    c->state = CONN_CLOSED;
    c->reason = (uint8_t)reason;
}

char *conn_reserve(struct conn *c, size_t n)
{
    if (c->state != CONN_OPEN)
        return NULL;
    if (n > c->out_max - wire.pending && wire.pending > c->out_max / 2) {
        conn_abort(c, CLOSE_SLOW);
        return NULL;
    }
    assert_true(buf_reserve(&wire.out, n));
    wire.reserved = n;
    return wire.out.p + wire.out.len;
}

void conn_commit(struct conn *c, size_t n)
{
    assert_int_equal(c->state, CONN_OPEN);
    assert_true(n <= wire.reserved);
    wire.out.len += n;
    wire.pending += n;
}

bool conn_send(struct conn *c, struct str bytes)
{
    char *at = conn_reserve(c, bytes.n);
    if (at == NULL)
        return false;
    memcpy(at, bytes.p, bytes.n);
    conn_commit(c, bytes.n);
    return true;
}

size_t conn_pending(const struct conn *c)
{
    (void)c;
    return wire.pending;
}

void conn_stop_feeds(struct conn *c)
{
    (void)c;
    wire.feeds_stopped = true;
}

void conn_close(struct conn *c, enum close_reason reason, uint32_t linger_ms)
{
    if (c->state != CONN_OPEN)
        return;
    conn_stop_feeds(c);
    c->state = CONN_LINGERING;
    c->reason = (uint8_t)reason;
    wire.linger_ms = linger_ms;
}

/* ---- http.h ---- */

struct str http_header(const struct http_request *r, struct str name)
{
    for (size_t i = 0; i < r->header_count; i++) {
        if (str_eq_nocase(r->headers[i].name, name))
            return r->headers[i].value;
    }
    return STR_NONE;
}

bool http_header_has(const struct http_request *r, struct str name, struct str token)
{
    return str_eq_nocase(http_header(r, name), token);
}

void http_reply(struct http_request *r, unsigned status, struct str content_type, struct str body,
                struct str extra)
{
    (void)r;
    (void)content_type;
    assert_true(body.n > 0);
    wire.status = status;
    wire.reply_extra = extra;
}

void http_reply_error(struct http_request *r, unsigned status, unsigned code, struct str message)
{
    (void)code;
    http_reply(r, status, STR("application/json"), message, STR_NONE);
}

struct conn *http_take_conn(struct http_request *r, const struct conn_handler *handler)
{
    (void)r;
    assert_null(wire.conn);
    wire.conn = calloc(1, sizeof(*wire.conn));
    assert_non_null(wire.conn);
    wire.conn->handler = handler;
    wire.conn->flusher = &wire.flusher;
    return wire.conn;
}

size_t http_cors_headers(const struct http_request *r, char *at, size_t cap)
{
    (void)r;
    static const char line[] = "Access-Control-Allow-Origin: *\r\n";
    assert_true(cap >= sizeof(line));
    memcpy(at, line, sizeof(line) - 1);
    return sizeof(line) - 1;
}

/* ---- for the tests ---- */

static inline void wire_begin(void)
{
    wire = (struct wire){.now_ms = 1000};
    buf_init(&wire.out, WIRE_OUT_MAX);
    wire.request = (struct http_request){
        .method = HTTP_GET, .minor = 1, .upgrade = true, .headers = wire.headers};
}

static inline void wire_header(const char *name, const char *value)
{
    struct http_request *r = &wire.request;
    for (size_t i = 0; i < r->header_count; i++) {
        if (str_eq(r->headers[i].name, str_from(name))) {
            r->headers[i].value = str_from(value); // a test replaces what was usual
            return;
        }
    }
    assert_true(r->header_count < WIRE_HEADERS_MAX);
    r->headers[r->header_count++] = (struct http_header){str_from(name), str_from(value)};
}

/* What net would do: the bytes in a block of their own, and none once the connection ends. */
static inline void wire_feed(struct str bytes)
{
    if (wire.conn->state != CONN_OPEN || bytes.n == 0)
        return;
    char *block = malloc(bytes.n);
    assert_non_null(block);
    memcpy(block, bytes.p, bytes.n);
    wire.conn->handler->data(wire.conn, block, bytes.n);
    free(block);
}

/* Time passes; the timer fires as often as it is due. */
static inline void wire_wait(uint64_t ms)
{
    uint64_t end_ms = wire.now_ms + ms;
    while (wire.timer != NULL && wire.due_ms <= end_ms) {
        struct timer *t = wire.timer;
        wire.now_ms = wire.due_ms;
        wire.timer = NULL;
        t->fire(t);
    }
    wire.now_ms = end_ms;
}

static inline void wire_take_all(void)
{
    wire.pending = 0;
}

static inline void wire_clear(void)
{
    buf_clear(&wire.out);
    wire.pending = 0;
}

static inline struct str wire_said(void)
{
    return buf_str(&wire.out);
}

#define assert_said(lit)                                                                           \
    do {                                                                                           \
        assert_int_equal(wire.out.len, sizeof(lit) - 1);                                           \
        assert_memory_equal(wire.out.p, lit, sizeof(lit) - 1);                                     \
        wire_clear();                                                                              \
    } while (0)

/* The end of the connection, as the loop's end of turn would tell it. */
static inline void wire_finish(void)
{
    if (wire.conn != NULL) {
        if (wire.conn->state == CONN_OPEN)
            conn_abort(wire.conn, CLOSE_PEER_GONE);
        wire.conn->handler->closed(wire.conn, (enum close_reason)wire.conn->reason);
        wire.conn = NULL;
    }
    assert_null(wire.timer); // nobody is left to be called
    buf_fini(&wire.out);
}

#endif
