/*
 * ws.c - the WebSocket carrier: frames and messages on a connection, pings, goodbyes.
 *
 * Why it exists: a dialect wants whole messages and a reason at the end. What lies between (frames,
 * deflate, pings, the closing handshake) is this file's business.
 *
 * Always true between two calls:
 *   I1. after our close frame nothing follows: state is not OPEN, and the feeds are stopped.
 *   I2. the timer serves one thing at a time: the next ping, the wait for a sign of life, or the
 *       wait for the peer's half of the closing handshake.
 *   I3. an idle carrier holds this object and nothing else.
 */
#include "carrier/ws.h"

#include <assert.h>
#include <stdlib.h>

#include "base/must.h"
#include "base/utf8.h"
#include "carrier/ws_frame.h"
#include "carrier/ws_handshake.h"

enum ws_state {
    WS_OPEN,
    WS_CLOSING, // our close frame is out, the peer's is awaited
    WS_DONE     // the connection has been told to end
};

struct ws {
    struct carrier carrier;
    const struct ws_options *options;
    struct timer timer;
    struct ws_parser parser;
    uint16_t peer_code;
    uint8_t state;  // enum ws_state
    uint8_t reason; // enum close_reason, once not open
    bool pinged;    // the timer waits for a sign of life after a ping
    bool waiting;   // none has come yet
};
static_assert(sizeof(struct ws) <= 160, "idle connections are counted in bytes");

static struct ws *ws_from_carrier(struct carrier *c)
{
    return container_of(c, struct ws, carrier);
}

static bool ws_frame_send(struct ws *w, enum ws_opcode op, struct str payload)
{
    size_t head_n = ws_head_size(payload.n);
    char *at = conn_reserve(w->carrier.conn, head_n + payload.n);
    if (at == NULL)
        return false;
    ws_head_write(at, WS_FIN | (unsigned)op, payload.n);
    if (payload.n > 0)
        memcpy(at + head_n, payload.p, payload.n);
    conn_commit(w->carrier.conn, head_n + payload.n);
    return true;
}

static bool ws_deflated_send(struct ws *w, enum ws_opcode op, struct str payload)
{
    char *at = conn_reserve(w->carrier.conn, ws_deflated_room(payload.n));
    if (at == NULL)
        return true; // the connection has ended: nothing else is to be tried
    size_t n = ws_deflated_write(at, op, w->carrier.framing->window_bits, payload);
    conn_commit(w->carrier.conn, n);
    return n > 0;
}

static void ws_send(struct carrier *c, struct str payload, bool binary)
{
    struct ws *w = ws_from_carrier(c);
    if (w->state != WS_OPEN)
        return;
    enum ws_opcode op = binary ? WS_OP_BINARY : WS_OP_TEXT;
    if (c->framing->window_bits == 0 || payload.n < WS_DEFLATE_MIN ||
        !ws_deflated_send(w, op, payload))
        (void)ws_frame_send(w, op, payload); // false: the connection ends, and closed() says so
}

/* The most of text that fits into a close frame without cutting a character. */
static size_t close_text_fit(struct str text)
{
    size_t n = text.n;
    if (n <= WS_CONTROL_MAX - 2)
        return n;
    n = WS_CONTROL_MAX - 2;
    while (n > 0 && ((uint8_t)text.p[n] & 0xc0) == 0x80)
        n--;
    return n;
}

/* code 0: an empty close frame. */
static void ws_close_frame_send(struct ws *w, unsigned code, struct str text)
{
    char payload[WS_CONTROL_MAX];
    size_t n = 0;
    if (code != 0) {
        payload[0] = (char)(code >> 8);
        payload[1] = (char)code;
        n = close_text_fit(text);
        if (n > 0)
            memcpy(payload + 2, text.p, n);
        n += 2;
    }
    (void)ws_frame_send(w, WS_OP_CLOSE, (struct str){payload, n});
    conn_stop_feeds(w->carrier.conn);
}

static void ws_end(struct ws *w, enum close_reason reason, uint32_t linger_ms)
{
    w->state = WS_DONE;
    w->reason = (uint8_t)reason;
    timer_cancel(&w->timer);
    conn_close(w->carrier.conn, reason, linger_ms);
}

static void ws_close(struct carrier *c, enum close_reason reason, unsigned code, struct str text)
{
    struct ws *w = ws_from_carrier(c);
    if (w->state != WS_OPEN)
        return;
    if (code == 0) {
        code = close_code(reason);
        text = close_text(reason);
    }
    if (code == 0 || code == 1006) { // there is nobody to tell
        ws_end(w, reason, 0);
        return;
    }
    ws_close_frame_send(w, code, text);
    w->state = WS_CLOSING;
    w->reason = (uint8_t)reason;
    timer_arm(conn_loop(c->conn), &w->timer, w->options->close_timeout_ms);
}

/* The peer broke the rules: it is told, and not listened to any more. */
static void ws_fail(struct ws *w, enum close_reason reason)
{
    if (w->state == WS_OPEN)
        ws_close_frame_send(w, close_code(reason), close_text(reason));
    else
        reason = (enum close_reason)w->reason;
    ws_end(w, reason, w->options->close_timeout_ms);
}

static void ws_peer_closed(struct ws *w, struct str payload)
{
    uint16_t code;
    struct str text;
    enum close_reason bad = ws_close_read(payload, &code, &text);
    if (bad != CLOSE_NONE) {
        ws_fail(w, bad);
        return;
    }
    w->peer_code = code;
    enum close_reason reason = (enum close_reason)w->reason;
    if (w->state == WS_OPEN) {
        reason = CLOSE_PEER_ASKED;
        ws_close_frame_send(w, code, STR_NONE);
    }
    ws_end(w, reason, w->options->close_timeout_ms);
}

static void ws_message(struct ws *w, const struct ws_item *item)
{
    struct str payload = {item->p, item->n};
    if (w->state != WS_OPEN)
        return;
    if (item->binary && w->options->text_only) {
        ws_fail(w, CLOSE_UNSUPPORTED);
        return;
    }
    if (item->deflated) {
        enum close_reason bad = ws_inflate(payload, w->options->message_max_bytes, &payload);
        if (bad == CLOSE_NONE && !item->binary && !utf8_valid(payload))
            bad = CLOSE_BAD_UTF8;
        if (bad != CLOSE_NONE) {
            ws_fail(w, bad);
            return;
        }
    }
    w->carrier.handler->message(&w->carrier, w->carrier.ctx, payload, item->binary);
}

static void ws_event(struct ws *w, enum ws_event event, const struct ws_item *item)
{
    switch (event) {
    case WS_MESSAGE:
        ws_message(w, item);
        break;
    case WS_PING:
        if (w->state == WS_OPEN)
            (void)ws_frame_send(w, WS_OP_PONG, (struct str){item->p, item->n});
        break;
    case WS_CLOSE:
        ws_peer_closed(w, (struct str){item->p, item->n});
        break;
    case WS_BROKEN:
        ws_fail(w, item->reason);
        break;
    case WS_PONG:
        w->waiting = false;
        break;
    case WS_MORE:
        break;
    }
}

static void ws_data(struct conn *c, char *p, size_t n)
{
    struct ws *w = c->owner;
    struct carrier *ca = &w->carrier;
    if (!w->options->pong_only) // any byte is a sign of life
        w->waiting = false;
    if (ca->handler->alive != NULL && w->state == WS_OPEN)
        ca->handler->alive(ca, ca->ctx);
    struct ws_input in = {p, n};
    struct ws_item item;
    while (w->state != WS_DONE && c->state == CONN_OPEN) {
        enum ws_event event = ws_parser_next(&w->parser, &in, &item);
        if (event == WS_MORE)
            break;
        ws_event(w, event, &item);
    }
}

static void ws_closed(struct conn *c, enum close_reason reason)
{
    struct ws *w = c->owner;
    struct carrier *ca = &w->carrier;
    timer_cancel(&w->timer);
    if (w->state != WS_OPEN) // the reason is why we said goodbye, however it ended
        reason = (enum close_reason)w->reason;
    ca->handler->closed(ca, ca->ctx, reason, w->peer_code);
    ws_parser_fini(&w->parser);
    free(w);
    free(c);
}

static const struct conn_handler ws_conn_handler = {.data = ws_data, .closed = ws_closed};

/* ---- time ---- */

static void ws_ping(struct ws *w)
{
    const struct ws_options *o = w->options;
    w->waiting = true;
    w->pinged = o->pong_timeout_ms > 0;
    if (ws_frame_send(w, WS_OP_PING, STR_NONE))
        timer_arm(conn_loop(w->carrier.conn), &w->timer,
                  w->pinged ? o->pong_timeout_ms : o->ping_interval_ms);
}

static void ws_no_pong(struct ws *w)
{
    if (!w->options->no_pong_aborts) {
        ws_close(&w->carrier, CLOSE_NO_PONG, w->carrier.handler->no_pong_code,
                 close_text(CLOSE_NO_PONG));
        return;
    }
    w->state = WS_DONE;
    w->reason = CLOSE_NO_PONG;
    conn_abort(w->carrier.conn, CLOSE_NO_PONG);
}

static void ws_timer_fired(struct timer *t)
{
    struct ws *w = container_of(t, struct ws, timer);
    const struct ws_options *o = w->options;
    if (w->state == WS_CLOSING) {
        ws_end(w, (enum close_reason)w->reason, 0);
    } else if (w->pinged && w->waiting) {
        ws_no_pong(w);
    } else if (w->pinged && o->ping_interval_ms > o->pong_timeout_ms) {
        w->pinged = false;
        timer_arm(conn_loop(w->carrier.conn), t, o->ping_interval_ms - o->pong_timeout_ms);
    } else {
        ws_ping(w);
    }
}

/* ---- birth ---- */

static const struct carrier_ops ws_ops = {.name = "websocket", .send = ws_send, .close = ws_close};

static struct ws *ws_create(const struct ws_options *o, const struct ws_handshake *h)
{
    struct ws *w = calloc(1, sizeof(*w));
    if (w == NULL)
        return NULL;
    w->carrier.ops = &ws_ops;
    w->carrier.framing =
        h->deflated ? ws_framing_deflate(h->deflate.window_bits) : &ws_framing_text;
    w->options = o;
    timer_init(&w->timer, ws_timer_fired);
    ws_parser_init(&w->parser, o->message_max_bytes, h->deflated);
    return w;
}

static void ws_take(struct ws *w, struct http_request *r, struct str response)
{
    struct conn *c = http_take_conn(r, &ws_conn_handler);
    c->owner = w;
    c->out_max = w->options->out_max_bytes;
    w->carrier.conn = c;
    if (conn_send(c, response) && w->options->ping_interval_ms > 0)
        timer_arm(conn_loop(c), &w->timer, w->options->ping_interval_ms);
}

struct carrier *ws_accept(struct http_request *r, const struct ws_options *o,
                          const struct carrier_handler *handler, void *ctx)
{
    struct ws_handshake h;
    if (!ws_handshake_read(r, o, &h))
        return NULL;
    struct buf response;
    buf_init(&response, 1024);
    struct ws *w = ws_create(o, &h);
    if (w == NULL || !ws_handshake_write(&h, &response)) {
        http_reply_error(r, 500, err_code(ERR_INTERNAL), err_message(ERR_INTERNAL));
        free(w);
        buf_fini(&response);
        return NULL;
    }
    w->carrier.handler = handler;
    w->carrier.ctx = ctx;
    ws_take(w, r, buf_str(&response));
    buf_fini(&response);
    return &w->carrier;
}
