/*
 * eio.c - Engine.IO sessions: born with an id, kept alive by pings, ended once.
 *
 * Why it exists: a client that polls has no connection that would tell when it is there. Here is
 * what stays between its requests.
 *
 * Always true between two calls:
 *   I1. state moves along eio_moves only; closed() is called once, by eio_bury().
 *   I2. a session is found by its id while it is polling, on a WebSocket or leaving.
 *   I3. while polling, the outlet is open, and it is not blocked if and only if a poll waits.
 *   I4. poll and ws are the session's to answer or to close until it ends.
 */
#include "carrier/eio_priv.h"

#include <assert.h>
#include <stdlib.h>

#include "base/pool.h"
#include "base/random.h"

static_assert(sizeof(struct eio_session) <= 400, "idle sessions are counted in bytes");

#define TO(s) (1u << (s))
static const uint8_t eio_moves[EIO_STATE_COUNT] = {
    [EIO_POLLING] = TO(EIO_WEBSOCKET) | TO(EIO_LEAVING) | TO(EIO_ENDED),
    [EIO_WEBSOCKET] = TO(EIO_ENDED),
    [EIO_LEAVING] = TO(EIO_ENDED),
    [EIO_ENDED] = 0,
};

void eio_go(struct eio_session *s, enum eio_state to)
{
    MUST(eio_moves[s->state] & TO(to));
    s->state = (uint8_t)to;
}

/* ---- ids ---- */

static const char id_chars[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static void id_make(char at[EIO_ID_CHARS], unsigned loop)
{
    uint8_t random[EIO_RANDOM_BYTES];
    random_bytes(random, sizeof(random));
    *at++ = id_chars[loop >> 6 & 63];
    *at++ = id_chars[loop & 63];
    for (size_t i = 0; i < sizeof(random); i += 3) {
        uint32_t bits = (uint32_t)random[i] << 16 | (uint32_t)random[i + 1] << 8 | random[i + 2];
        for (int shift = 18; shift >= 0; shift -= 6)
            *at++ = id_chars[bits >> shift & 63];
    }
}

bool eio_id_loop(const struct eio *e, struct str id, unsigned *ret)
{
    if (id.n != EIO_ID_CHARS || id.p[0] == '\0' || id.p[1] == '\0')
        return false;
    const char *high = strchr(id_chars, id.p[0]), *low = strchr(id_chars, id.p[1]);
    if (high == NULL || low == NULL)
        return false;
    unsigned loop = (unsigned)(high - id_chars) << 6 | (unsigned)(low - id_chars);
    *ret = loop;
    return loop < e->loop_count;
}

struct eio_session *eio_find(const struct eio *e, const struct loop *l, struct str id)
{
    struct map_node *n = map_find(&eio_loop_of(e, l)->sessions, id);
    return n != NULL ? container_of(n, struct eio_session, node) : NULL;
}

struct str eio_session_id(const struct carrier *c)
{
    return (struct str){eio_session_of(c)->id, EIO_ID_CHARS};
}

bool eio_is_websocket(const struct carrier *c)
{
    return eio_session_of(c)->state == EIO_WEBSOCKET;
}

/* ---- the end ---- */

static void session_free(struct eio_session *s)
{
    timer_cancel(&s->timer);
    timer_cancel(&s->upgrade);
    outlet_close(&s->outlet);
    buf_fini(&s->out);
    free(s);
}

/* No request finds it from here on. */
static void session_hide(struct eio_session *s)
{
    timer_cancel(&s->timer);
    timer_cancel(&s->upgrade);
    map_remove(&eio_loop_of(s->eio, eio_session_loop(s))->sessions, &s->node);
}

void eio_session_drop(struct eio_session *s)
{
    if (s->state == EIO_ENDED) { // too much was said inside; its grave waits
        s->carrier.handler = NULL;
        return;
    }
    session_hide(s);
    session_free(s);
}

void eio_bury(struct eio_session *s)
{
    struct carrier *c = &s->carrier;
    MUST(s->state == EIO_ENDED && s->poll == NULL);
    if (c->handler != NULL)
        c->handler->closed(c, c->ctx, (enum close_reason)s->reason, s->code);
    MUST(s->outlet.sink.cursors == NULL);
    session_free(s);
}

static void bury_later(struct grave *g)
{
    eio_bury(container_of(g, struct eio_session, grave));
}

void eio_end(struct eio_session *s, enum close_reason reason, enum eio_type last)
{
    bool on_websocket = s->state == EIO_WEBSOCKET;
    if (s->state == EIO_ENDED)
        return;
    if (s->state != EIO_LEAVING)
        s->reason = (uint8_t)reason;
    session_hide(s);
    eio_go(s, EIO_ENDED);
    outlet_close(&s->outlet);
    eio_poll_end(s, last);
    if (on_websocket)
        return; // its own end comes later, and then ours
    if (s->ws != NULL)
        eio_ws_forget(s, reason);
    loop_bury_later(eio_session_loop(s), &s->grave, bury_later);
}

/* ---- what the dialect says ---- */

/* As conn_send(): what is too long in itself goes when little waits. */
static bool may_wait(const struct eio_session *s, size_t n)
{
    size_t most = s->eio->options.out_max_bytes, waiting = s->out.len;
    return waiting + n <= most || waiting <= most / 2;
}

static void packet_out(struct eio_session *s, enum eio_type type, struct str data)
{
    if (s->state == EIO_WEBSOCKET && s->ws != NULL) {
        char *at = pool_alloc(data.n + 1);
        if (at == NULL) {
            carrier_close(s->ws, CLOSE_INTERNAL);
            return;
        }
        at[0] = (char)type;
        if (data.n > 0)
            memcpy(at + 1, data.p, data.n);
        carrier_send(s->ws, (struct str){at, data.n + 1});
        pool_free(at);
        return;
    }
    if (s->state == EIO_ENDED || s->state == EIO_LEAVING)
        return;
    if (!may_wait(s, data.n) || !eio_packet_frame(&s->out, type, data))
        eio_end(s, CLOSE_SLOW, EIO_CLOSE);
    else
        sink_wake(&s->outlet.flusher->outflow, &s->outlet.sink);
}

void eio_send_packet(struct eio_session *s, enum eio_type type, struct str data)
{
    packet_out(s, type, data);
}

static void binary_out(struct eio_session *s, struct str bytes)
{
    if (s->state == EIO_WEBSOCKET && s->ws != NULL) {
        s->ws->ops->send(s->ws, bytes, true);
    } else if (s->state == EIO_POLLING) {
        if (!may_wait(s, bytes.n) || !eio_frame(&ws_framing_text, &s->out, bytes, true))
            eio_end(s, CLOSE_SLOW, EIO_CLOSE);
        else
            sink_wake(&s->outlet.flusher->outflow, &s->outlet.sink);
    }
}

static void eio_send(struct carrier *c, struct str payload, bool binary)
{
    struct eio_session *s = eio_session_of(c);
    if (binary)
        binary_out(s, payload);
    else
        packet_out(s, EIO_MESSAGE, payload);
}

static void arm(struct eio_session *s, uint64_t delay_ms)
{
    s->due_ms = loop_now_ms(eio_session_loop(s)) + delay_ms;
    timer_arm(eio_session_loop(s), &s->timer, delay_ms);
}

/* Who polls may be between two polls just now: what is said to him waits for the next one. */
static void leave(struct eio_session *s, enum close_reason reason, enum eio_type last,
                  uint32_t wait_ms)
{
    if (s->poll != NULL || wait_ms == 0) {
        eio_end(s, reason, last);
        return;
    }
    eio_go(s, EIO_LEAVING);
    s->reason = (uint8_t)reason;
    s->last = (uint8_t)last;
    s->outlet.sink.closed = true; // of feeds nothing more is taken
    if (s->ws != NULL)
        eio_ws_forget(s, reason);
    arm(s, wait_ms);
}

static void eio_close(struct carrier *c, enum close_reason reason, unsigned code, struct str text)
{
    struct eio_session *s = eio_session_of(c);
    if (s->state == EIO_POLLING) {
        leave(s, reason, EIO_CLOSE,
              reason == CLOSE_NO_PONG ? 0 : s->eio->options.ws.close_timeout_ms);
    } else if (s->state == EIO_WEBSOCKET) {
        eio_send_packet(s, EIO_CLOSE, STR_NONE);
        struct carrier *ws = s->ws;
        eio_end(s, reason, EIO_CLOSE);
        carrier_close_with(ws, reason, code, text);
    }
}

static struct sink *eio_sink(struct carrier *c)
{
    struct eio_session *s = eio_session_of(c);
    return c->conn != NULL ? &c->conn->sink : &s->outlet.sink;
}

/* ---- what the client says ---- */

static void pong_in(struct eio_session *s)
{
    if (!s->pinged)
        return;
    s->pinged = false;
    arm(s, s->eio->options.ping_interval_ms);
}

static void alive(struct eio_session *s)
{
    struct carrier *c = &s->carrier;
    if (c->handler->alive != NULL)
        c->handler->alive(c, c->ctx);
}

static void goodbye_in(struct eio_session *s)
{
    if (s->state == EIO_POLLING) {
        leave(s, CLOSE_PEER_ASKED, EIO_NOOP, EIO_CROSSING_MS);
        return;
    }
    struct carrier *ws = s->ws;
    eio_end(s, CLOSE_PEER_ASKED, EIO_NOOP);
    carrier_close_with(ws, CLOSE_PEER_ASKED, close_code(CLOSE_NORMAL), STR_NONE);
}

static bool hears(const struct eio_session *s)
{
    return s->state == EIO_POLLING || s->state == EIO_WEBSOCKET;
}

void eio_packet_in(struct eio_session *s, const struct eio_packet *packet)
{
    if (!hears(s))
        return;
    alive(s);
    switch (packet->type) {
    case EIO_MESSAGE:
        s->carrier.handler->message(&s->carrier, s->carrier.ctx, packet->data, false);
        break;
    case EIO_PONG:
        pong_in(s);
        break;
    case EIO_CLOSE:
        goodbye_in(s);
        break;
    default: // noop, and an upgrade that has been done
        break;
    }
}

void eio_binary_in(struct eio_session *s, struct str bytes)
{
    if (!hears(s))
        return;
    alive(s);
    s->carrier.handler->message(&s->carrier, s->carrier.ctx, bytes, true);
}

/* ---- time ---- */

bool eio_is_late(const struct eio_session *s)
{
    return s->pinged && hears(s) && loop_now_ms(eio_session_loop(s)) >= s->due_ms;
}

void eio_ping_begin(struct eio_session *s)
{
    arm(s, s->eio->options.ping_interval_ms);
}

/* The pong's time counts from when the ping was due, not from when the clock ticked. */
static void ping(struct eio_session *s)
{
    uint64_t now_ms = loop_now_ms(eio_session_loop(s));
    uint64_t end_ms = s->due_ms + s->eio->options.ping_timeout_ms;
    s->pinged = true;
    eio_send_packet(s, EIO_PING, STR_NONE);
    if (s->state != EIO_ENDED) {
        arm(s, end_ms > now_ms ? end_ms - now_ms : 0);
        s->due_ms = end_ms;
    }
}

static void timer_fired(struct timer *t)
{
    struct eio_session *s = container_of(t, struct eio_session, timer);
    if (s->state == EIO_LEAVING)
        eio_end(s, (enum close_reason)s->reason, EIO_CLOSE);
    else if (s->pinged)
        eio_close(&s->carrier, CLOSE_NO_PONG, 0, STR_NONE);
    else
        ping(s);
}

static void upgrade_fired(struct timer *t)
{
    struct eio_session *s = container_of(t, struct eio_session, upgrade);
    if (s->state == EIO_POLLING && s->ws != NULL)
        eio_ws_forget(s, CLOSE_IDLE);
}

/* ---- birth ---- */

static const struct carrier_ops eio_ops = {
    .name = "engine.io", .send = eio_send, .close = eio_close, .sink = eio_sink};

struct eio_session *eio_session_create(struct eio *e, struct flusher *f)
{
    struct eio_session *s = calloc(1, sizeof(*s));
    if (s == NULL)
        return NULL;
    s->carrier.ops = &eio_ops;
    s->carrier.framing = &ws_framing_text;
    s->eio = e;
    outlet_open(&s->outlet, f, &eio_outlet_ops);
    buf_init(&s->out, UINT32_MAX);
    timer_init(&s->timer, timer_fired);
    timer_init(&s->upgrade, upgrade_fired);
    id_make(s->id, loop_index(f->loop));
    s->node.key = (struct str){s->id, EIO_ID_CHARS};
    if (map_add(&eio_loop_of(e, f->loop)->sessions, &s->node))
        return s;
    session_free(s);
    return NULL;
}

struct eio *eio_create(const struct eio_options *o, unsigned loop_count)
{
    struct eio *e = calloc(1, sizeof(*e));
    struct eio_loop *loops = calloc(loop_count, sizeof(*loops));
    if (e == NULL || loops == NULL) {
        free(e);
        free(loops);
        return NULL;
    }
    *e = (struct eio){*o, loop_count, loops};
    e->options.ws.ping_interval_ms = 0;
    e->options.ws.message_max_bytes = o->payload_max_bytes;
    e->options.ws.text_only = false;
    uint32_t most = o->sessions_max > 0 ? o->sessions_max : EIO_SESSIONS_MAX;
    for (unsigned i = 0; i < loop_count; i++) {
        map_init(&loops[i].sessions, most);
        buf_init(&loops[i].scratch, EIO_PAYLOAD_MAX);
    }
    return e;
}

void eio_destroy(struct eio **ep)
{
    struct eio *e = *ep;
    *ep = NULL;
    if (e == NULL)
        return;
    for (unsigned i = 0; i < e->loop_count; i++) {
        MUST(e->loops[i].sessions.count == 0);
        map_fini(&e->loops[i].sessions);
        buf_fini(&e->loops[i].scratch);
    }
    free(e->loops);
    free(e);
}
