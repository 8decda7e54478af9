/*
 * sse.c - the server-sent events carrier: one HTTP response that does not end.
 *
 * Why it exists: a browser's EventSource needs nothing but HTTP. With HTTP/1.1 every write is one
 * chunk of the chunked coding; with 1.0 the bytes go as they are and the close is the end.
 *
 * Always true between two calls:
 *   I1. the timer is armed while the carrier is open and has a heartbeat or a write deadline.
 *   I2. after the last chunk nothing follows: state is not open, and conn has been told to close.
 */
#include "carrier/sse.h"

#include <assert.h>
#include <stdlib.h>

#include "base/must.h"

enum {
    HEAD_MAX_BYTES = 8192,
    IGNORED_MAX_BYTES = 65536, // what a peer may send behind its request
    CHUNK_HEAD_MAX = 18,       // 16 hexadecimal digits and an end of line
    LINGER_MS = 1000
};

struct sse {
    struct carrier carrier;
    const struct sse_options *options;
    struct timer timer;
    uint64_t taken_mark;     // what the peer had taken at the last look
    uint64_t stuck_since_ms; // it has taken nothing since; 0: it does, or nothing waits
    uint64_t heartbeat_at_ms;
    uint64_t written_bytes;
    uint32_t ignored_bytes;
    bool open;
};
static_assert(sizeof(struct sse) <= 160, "idle connections are counted in bytes");

/* ---- framing ---- */

static size_t chunk_head(char *at, size_t n)
{
    static const char hex[] = "0123456789abcdef";
    size_t digits = 1;
    while (digits < 16 && n >> (4 * digits) != 0)
        digits++;
    for (size_t i = 0; i < digits; i++)
        at[i] = hex[n >> (4 * (digits - 1 - i)) & 15];
    at[digits] = '\r';
    at[digits + 1] = '\n';
    return digits + 2;
}

static size_t chunk_write(char *at, struct str payload)
{
    size_t n = chunk_head(at, payload.n);
    memcpy(at + n, payload.p, payload.n);
    memcpy(at + n + payload.n, "\r\n", 2);
    return n + payload.n + 2;
}

static bool frame_chunk(const struct framing *f, struct buf *out, struct str payload)
{
    (void)f;
    if (payload.n == 0) // an empty chunk would be the end
        return true;
    if (!buf_reserve(out, CHUNK_HEAD_MAX + payload.n + 2))
        return false;
    out->len += chunk_write(out->p + out->len, payload);
    return true;
}

static bool frame_raw(const struct framing *f, struct buf *out, struct str payload)
{
    (void)f;
    return buf_add(out, payload);
}

const struct framing sse_framing_chunked = {.name = "sse", .frame = frame_chunk};
const struct framing sse_framing_raw = {.name = "sse-raw", .frame = frame_raw};

/* ---- events ---- */

static bool add_field(struct buf *out, struct str name, struct str value)
{
    return buf_add(out, name) && buf_add(out, value) && buf_add_char(out, '\n');
}

/* Up to the first end of line, of whichever of the three kinds; it is stepped over. */
static struct str cut_line(struct str *s, bool *ret_more)
{
    size_t n = 0;
    while (n < s->n && s->p[n] != '\n' && s->p[n] != '\r')
        n++;
    struct str line = {s->p, n};
    *ret_more = n < s->n;
    size_t end = *ret_more && s->p[n] == '\r' && n + 1 < s->n && s->p[n + 1] == '\n' ? 2 : 1;
    *s = str_skip(*s, n + end);
    return line;
}

static bool add_event(struct buf *out, struct str id, struct str type, struct str data)
{
    bool more;
    struct str id_line = cut_line(&id, &more); // one line each: nobody smuggles in a field
    struct str type_line = cut_line(&type, &more);
    if (id_line.n > 0 && !add_field(out, STR("id: "), id_line))
        return false;
    if (type_line.n > 0 && !add_field(out, STR("event: "), type_line))
        return false;
    do {
        struct str line = cut_line(&data, &more);
        if (!add_field(out, STR("data: "), line))
            return false;
    } while (more);
    return buf_add_char(out, '\n');
}

bool sse_event(struct buf *out, struct str id, struct str type, struct str data)
{
    size_t len = out->len;
    if (add_event(out, id, type, data))
        return true;
    out->len = len; // all of it or nothing
    return false;
}

/* ---- the carrier ---- */

static void sse_write(struct sse *s, struct str payload)
{
    struct conn *c = s->carrier.conn;
    bool chunked = s->carrier.framing == &sse_framing_chunked;
    char *at = conn_reserve(c, payload.n + (chunked ? CHUNK_HEAD_MAX + 2 : 0));
    if (at == NULL)
        return; // the connection ends, and closed() says so
    size_t n = payload.n;
    if (chunked)
        n = chunk_write(at, payload);
    else
        memcpy(at, payload.p, n);
    conn_commit(c, n);
    s->written_bytes += n;
    s->heartbeat_at_ms = loop_now_ms(conn_loop(c)) + s->options->heartbeat_ms;
}

static void sse_send(struct carrier *c, struct str payload, bool binary)
{
    struct sse *s = container_of(c, struct sse, carrier);
    (void)binary;
    if (s->open && payload.n > 0)
        sse_write(s, payload);
}

/* Neither a code nor a text exists here: the response ends. */
static void sse_close(struct carrier *c, enum close_reason reason, unsigned code, struct str text)
{
    struct sse *s = container_of(c, struct sse, carrier);
    (void)code;
    (void)text;
    if (!s->open)
        return;
    s->open = false;
    timer_cancel(&s->timer);
    if (c->framing == &sse_framing_chunked)
        (void)conn_send(c->conn, STR("0\r\n\r\n"));
    conn_close(c->conn, reason, LINGER_MS);
}

/* Bytes that the socket has taken, feeds included, up to a constant: it stands still when the peer
 * takes nothing. */
static uint64_t sse_taken(const struct sse *s)
{
    const struct conn *c = s->carrier.conn;
    uint64_t taken = s->written_bytes - conn_pending(c);
    for (const struct cursor *cur = c->sink.cursors; cur != NULL; cur = cur->next_in_sink)
        taken += cur->next;
    return taken;
}

static bool sse_is_stuck(struct sse *s, uint64_t now_ms)
{
    const struct conn *c = s->carrier.conn;
    uint64_t taken = sse_taken(s);
    bool waits = c->sink.blocked || conn_pending(c) > 0;
    if (!waits || taken != s->taken_mark)
        s->stuck_since_ms = waits ? now_ms : 0;
    s->taken_mark = taken;
    if (waits && s->stuck_since_ms == 0)
        s->stuck_since_ms = now_ms;
    return waits && now_ms - s->stuck_since_ms >= s->options->write_timeout_ms;
}

static void sse_timer_arm(struct sse *s)
{
    const struct sse_options *o = s->options;
    uint32_t look_ms = o->write_timeout_ms > 0 ? o->write_timeout_ms / 2 + 1 : 0;
    uint32_t delay_ms = o->heartbeat_ms;
    if (delay_ms == 0 || (look_ms > 0 && look_ms < delay_ms))
        delay_ms = look_ms;
    if (delay_ms > 0)
        timer_arm(conn_loop(s->carrier.conn), &s->timer, delay_ms);
}

static void sse_timer_fired(struct timer *t)
{
    struct sse *s = container_of(t, struct sse, timer);
    const struct sse_options *o = s->options;
    uint64_t now_ms = loop_now_ms(conn_loop(s->carrier.conn));
    if (!s->open)
        return;
    if (o->write_timeout_ms > 0 && sse_is_stuck(s, now_ms)) {
        s->open = false;
        conn_abort(s->carrier.conn, CLOSE_SLOW);
        return;
    }
    if (o->heartbeat_ms > 0 && now_ms + LOOP_TICK_MS >= s->heartbeat_at_ms)
        sse_write(s, STR(":\n\n"));
    sse_timer_arm(s);
}

/* A client has nothing to say behind its request. */
static void sse_data(struct conn *c, char *p, size_t n)
{
    struct sse *s = c->owner;
    (void)p;
    s->ignored_bytes += n > IGNORED_MAX_BYTES ? IGNORED_MAX_BYTES : (uint32_t)n;
    if (s->ignored_bytes > IGNORED_MAX_BYTES)
        sse_close(&s->carrier, CLOSE_BAD_REQUEST, 0, STR_NONE);
}

static void sse_closed(struct conn *c, enum close_reason reason)
{
    struct sse *s = c->owner;
    timer_cancel(&s->timer);
    s->open = false;
    s->carrier.handler->closed(&s->carrier, s->carrier.ctx, reason, 0);
    free(s);
    free(c);
}

static const struct conn_handler sse_conn_handler = {.data = sse_data, .closed = sse_closed};

static const struct carrier_ops sse_ops = {.name = "sse", .send = sse_send, .close = sse_close};

/* ---- birth ---- */

static bool head_write(const struct http_request *r, struct str extra, struct buf *out)
{
    char cors[1024];
    size_t cors_n = http_cors_headers(r, cors, sizeof(cors));
    bool ok = buf_add(out, STR("HTTP/1.1 200 OK\r\n"
                               "Content-Type: text/event-stream; charset=utf-8\r\n"
                               "Cache-Control: no-cache\r\n"
                               "X-Accel-Buffering: no\r\n"));
    ok = ok && buf_add(out, r->minor >= 1 ? STR("Connection: keep-alive\r\n"
                                                "Transfer-Encoding: chunked\r\n")
                                          : STR("Connection: close\r\n"));
    return ok && buf_add(out, (struct str){cors, cors_n}) && buf_add(out, extra) &&
           buf_add(out, STR("\r\n"));
}

static struct sse *sse_create(const struct http_request *r, const struct sse_options *o,
                              const struct carrier_handler *handler, void *ctx)
{
    struct sse *s = calloc(1, sizeof(*s));
    if (s == NULL)
        return NULL;
    s->carrier.ops = &sse_ops;
    s->carrier.framing = r->minor >= 1 ? &sse_framing_chunked : &sse_framing_raw;
    s->carrier.handler = handler;
    s->carrier.ctx = ctx;
    s->options = o;
    s->open = true;
    timer_init(&s->timer, sse_timer_fired);
    return s;
}

static void sse_take(struct sse *s, struct http_request *r, struct str head)
{
    struct conn *c = http_take_conn(r, &sse_conn_handler);
    c->owner = s;
    c->out_max = s->options->out_max_bytes;
    s->carrier.conn = c;
    s->heartbeat_at_ms = loop_now_ms(conn_loop(c)) + s->options->heartbeat_ms;
    s->written_bytes = head.n;
    if (conn_send(c, head))
        sse_timer_arm(s);
}

struct carrier *sse_accept(struct http_request *r, const struct sse_options *o, struct str extra,
                           const struct carrier_handler *handler, void *ctx)
{
    struct buf head;
    buf_init(&head, HEAD_MAX_BYTES);
    struct sse *s = sse_create(r, o, handler, ctx);
    if (s == NULL || !head_write(r, extra, &head)) {
        http_reply_error(r, 500, err_code(ERR_INTERNAL), err_message(ERR_INTERNAL));
        free(s);
        buf_fini(&head);
        return NULL;
    }
    sse_take(s, r, buf_str(&head));
    buf_fini(&head);
    return &s->carrier;
}
