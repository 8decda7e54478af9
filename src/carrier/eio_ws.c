/*
 * eio_ws.c - a session on a WebSocket, from its beginning or after polling.
 *
 * Why it exists: the WebSocket is a carrier of its own (ws.c); this file is its dialect, and hands
 * on what it says as the session's.
 *
 * Always true:
 *   I1. while a WebSocket tries to take over nothing of the session is sent there but "3probe";
 * from "2probe" on polls are let go empty, so nothing is on two ways at once. I2. with "5" the
 * session's own waiting messages are written first, then its cursors move: the order stays, and
 * nothing is lost or sent twice.
 */
#include "carrier/eio_priv.h"

#include "carrier/ws_handshake.h"

static struct eio_session *session_of(void *ctx)
{
    return ctx;
}

/* ---- one that is nobody's any more ---- */

static void stray_message(struct carrier *c, void *ctx, struct str payload, bool binary)
{
    (void)c, (void)ctx, (void)payload, (void)binary;
}

static void stray_closed(struct carrier *c, void *ctx, enum close_reason reason, unsigned code)
{
    (void)c, (void)ctx, (void)reason, (void)code;
}

static const struct carrier_handler stray_handler = {.message = stray_message,
                                                     .closed = stray_closed};

static void let_go(struct eio_session *s)
{
    s->ws->handler = &stray_handler;
    s->ws->ctx = NULL;
    s->ws = NULL;
    s->probed = false;
    timer_cancel(&s->upgrade);
}

void eio_ws_forget(struct eio_session *s, enum close_reason reason)
{
    struct carrier *ws = s->ws;
    let_go(s);
    carrier_close_with(ws, reason, close_code(CLOSE_NORMAL), STR_NONE);
}

void eio_ws_turn_away(struct eio *e, struct http_request *r)
{
    struct carrier *ws = ws_accept(r, &e->options.ws, &stray_handler, NULL);
    if (ws != NULL)
        carrier_close_with(ws, CLOSE_BAD_REQUEST, close_code(CLOSE_NORMAL), STR_NONE);
}

/* ---- the session's own ---- */

static void ws_message_in(struct carrier *ws, void *ctx, struct str payload, bool binary)
{
    struct eio_session *s = session_of(ctx);
    struct eio_packet packet;
    if (binary) {
        eio_binary_in(s, payload);
    } else if (eio_packet_read(payload, &packet)) {
        eio_packet_in(s, &packet);
    } else if (s->state == EIO_WEBSOCKET) {
        eio_end(s, CLOSE_BAD_REQUEST, EIO_CLOSE);
        carrier_close_with(ws, CLOSE_BAD_REQUEST, close_code(CLOSE_BAD_FRAME),
                           STR("not a packet of Engine.IO 4"));
    }
}

static void ws_closed_in(struct carrier *ws, void *ctx, enum close_reason reason, unsigned code)
{
    struct eio_session *s = session_of(ctx);
    (void)ws;
    s->ws = NULL;
    s->code = (uint16_t)code;
    eio_end(s, reason, EIO_CLOSE); // unless it was the session that ended it
    eio_bury(s);
}

static const struct carrier_handler session_handler = {.message = ws_message_in,
                                                       .closed = ws_closed_in};

/* What was said before goes first, then everything of the feeds. */
static void settle_in(struct eio_session *s)
{
    struct conn *c = s->ws->conn;
    timer_cancel(&s->upgrade);
    s->probed = false;
    s->ws->handler = &session_handler;
    s->ws->ctx = s;
    eio_go(s, EIO_WEBSOCKET);
    if (s->out.len > 0)
        (void)conn_send(c, buf_str(&s->out)); // false: it ends, and ws_closed_in() says so
    buf_fini(&s->out);
    s->carrier.conn = c;
    outlet_close(&s->outlet);
}

bool eio_ws_begin(struct eio_session *s, struct http_request *r)
{
    s->ws = ws_accept(r, &s->eio->options.ws, &session_handler, s);
    if (s->ws == NULL)
        return false;
    settle_in(s);
    return true;
}

/* ---- one that tries ---- */

static void upgrade(struct eio_session *s)
{
    struct carrier *c = &s->carrier;
    eio_poll_end(s, EIO_NOOP); // before that takes what waits for a poll
    settle_in(s);
    sink_move(&c->conn->flusher->outflow, &s->outlet.sink, &c->conn->sink);
    if (c->handler->moved != NULL)
        c->handler->moved(c, c->ctx);
}

static void probe_in(struct eio_session *s)
{
    carrier_send(s->ws, STR("3probe"));
    s->probed = true;
    if (s->poll != NULL)
        eio_poll_end(s, EIO_NOOP);
}

static void try_message(struct carrier *ws, void *ctx, struct str payload, bool binary)
{
    struct eio_session *s = session_of(ctx);
    (void)ws;
    if (!binary && str_eq(payload, STR("2probe")) && !s->probed)
        probe_in(s);
    else if (!binary && str_eq(payload, STR("5")) && s->probed)
        upgrade(s);
    else
        eio_ws_forget(s, CLOSE_BAD_REQUEST);
}

/* The client goes on polling. */
static void try_closed(struct carrier *ws, void *ctx, enum close_reason reason, unsigned code)
{
    struct eio_session *s = session_of(ctx);
    (void)ws, (void)reason, (void)code;
    s->ws = NULL;
    s->probed = false;
    timer_cancel(&s->upgrade);
}

static const struct carrier_handler try_handler = {.message = try_message, .closed = try_closed};

void eio_ws_try(struct eio_session *s, struct http_request *r)
{
    s->ws = ws_accept(r, &s->eio->options.ws, &try_handler, s);
    if (s->ws != NULL)
        timer_arm(eio_session_loop(s), &s->upgrade, EIO_UPGRADE_MS);
}
