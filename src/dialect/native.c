/*
 * native.c - the Centrifuge client protocol in its JSON form: the life of a session.
 *
 * Why it exists: there are good clients for this protocol in six languages, and they connect as
 * they are.
 *
 * Always true between two calls:
 *   I1. the timer is armed while the connection lives: for the connect command, then for the next
 *       ping, pong or expiry; once ending, for leaving the hub.
 *   I2. nothing is sent once ending is set, and ending never goes back.
 *   I3. the object is freed by whoever lets go last: the carrier (closed) or the hub (bury).
 */
#include "dialect/native_priv.h"

#include <assert.h>

static_assert(sizeof(struct native_session) <= 320, "idle sessions are counted in bytes");

static struct native_session *native_of(struct session *s)
{
    return container_of(s, struct native_session, session);
}

static void native_free(struct native_session *ns)
{
    free(ns->identity);
    free(ns);
}

/* ---- the end ---- */

void native_end(struct native_session *ns, enum close_reason reason, unsigned code, struct str text)
{
    if (ns->ending || ns->carrier == NULL)
        return;
    if (reason == CLOSE_INTERNAL && code == 0) { // the protocol has a number of its own for it
        code = 3004;
        text = STR("internal server error");
    }
    struct batch *b = ns->batch;
    if (b != NULL && b->len > 0) { // what was answered before
        carrier_send(ns->carrier, (struct str){b->at, b->len});
        b->len = 0;
    }
    ns->ending = true;
    carrier_close_with(ns->carrier, reason, code, text);
    timer_arm(conn_loop(ns->carrier->conn), &ns->timer, 0); // the hub may be walking its lists
}

static void native_closed(struct carrier *c, void *ctx, enum close_reason reason, unsigned code)
{
    struct native_session *ns = ctx;
    (void)c;
    (void)reason;
    (void)code;
    timer_cancel(&ns->timer);
    ns->carrier = NULL;
    ns->ending = true;
    if (ns->buried || ns->session.state == SESSION_NEW)
        native_free(ns);
    else
        session_close(&ns->session);
}

static void native_bury(struct session *s)
{
    struct native_session *ns = native_of(s);
    ns->buried = true;
    if (ns->carrier == NULL)
        native_free(ns);
}

/* ---- time ---- */

/* When the timer has to look at s next, in ms from now. */
static uint64_t expiry_in_ms(int64_t expire_at_s, int64_t now_ms)
{
    int64_t in_ms = (expire_at_s + EXPIRED_GRACE_S) * 1000 - now_ms;
    return in_ms > 0 ? (uint64_t)in_ms + 1 : 1;
}

void native_timer_update(struct native_session *ns)
{
    if (ns->ending || ns->carrier == NULL)
        return;
    struct loop *l = conn_loop(ns->carrier->conn);
    uint64_t in_ms = UINT64_MAX;
    uint64_t now_ms = loop_now_ms(l);
    if (ns->endpoint->ping_interval_ms > 0)
        in_ms = ns->due_ms > now_ms ? ns->due_ms - now_ms : 1;
    if (ns->expire_at_s > 0 && expiry_in_ms(ns->expire_at_s, loop_wall_ms(l)) < in_ms)
        in_ms = expiry_in_ms(ns->expire_at_s, loop_wall_ms(l));
    for (struct subscription *sub = ns->session.subscriptions; sub != NULL; sub = sub->next) {
        if (sub->expire_at > 0 && expiry_in_ms(sub->expire_at, loop_wall_ms(l)) < in_ms)
            in_ms = expiry_in_ms(sub->expire_at, loop_wall_ms(l));
    }
    if (in_ms != UINT64_MAX)
        timer_arm(l, &ns->timer, in_ms);
}

static void native_ping(struct native_session *ns, uint64_t now_ms)
{
    const struct endpoint *e = ns->endpoint;
    if (e->ping_interval_ms == 0 || now_ms + LOOP_TICK_MS < ns->due_ms)
        return;
    if (ns->pinged && ns->due_ms > 0) {
        native_end(ns, CLOSE_NO_PONG, 0, STR_NONE);
        return;
    }
    carrier_send(ns->carrier, STR("{}"));
    ns->pinged = e->pong_timeout_ms > 0;
    uint32_t wait_ms = e->pong_timeout_ms;
    ns->due_ms =
        now_ms + (ns->pinged && wait_ms < e->ping_interval_ms ? wait_ms : e->ping_interval_ms);
}

static bool has_expired(int64_t expire_at_s, int64_t now_s)
{
    return expire_at_s > 0 && now_s >= expire_at_s + EXPIRED_GRACE_S;
}

static void push_unsubscribe(struct native_session *ns, struct str channel, unsigned code,
                             struct str reason)
{
    struct json_writer w;
    struct buf heap;
    buf_init(&heap, 64 << 10);
    json_writer_init(&w, &heap);
    json_open_object(&w);
    json_open_object(json_key(&w, STR("push")));
    json_put_string(json_key(&w, STR("channel")), channel);
    json_open_object(json_key(&w, STR("unsubscribe")));
    json_put_u64(json_key(&w, STR("code")), code);
    json_put_string(json_key(&w, STR("reason")), reason);
    json_close_object(&w);
    json_close_object(&w);
    json_close_object(&w);
    if (json_done(&w))
        native_reply_send(ns, buf_str(&heap));
    buf_fini(&heap);
}

static void expire_subscriptions(struct native_session *ns, int64_t now_s)
{
    struct subscription *next;
    for (struct subscription *sub = ns->session.subscriptions; sub != NULL; sub = next) {
        next = sub->next;
        if (sub->state != SUBSCRIPTION_ACTIVE || !has_expired(sub->expire_at, now_s))
            continue;
        if (sub->server_side) {
            native_end(ns, CLOSE_EXPIRED, 3006, STR("subscription expired"));
            return;
        }
        push_unsubscribe(ns, subscription_channel(sub), 2501, STR("subscription expired"));
        hub_unsubscribe(sub);
    }
}

static void native_timer_fired(struct timer *t)
{
    struct native_session *ns = container_of(t, struct native_session, timer);
    if (ns->ending) {
        session_close(&ns->session); // of a session that never opened it knows nothing
        return;
    }
    if (!ns->connected) {
        native_end(ns, CLOSE_STALE, 0, STR_NONE);
        return;
    }
    struct loop *l = conn_loop(ns->carrier->conn);
    int64_t now_s = loop_wall_ms(l) / 1000;
    if (has_expired(ns->expire_at_s, now_s))
        native_end(ns, CLOSE_EXPIRED, 0, STR_NONE);
    if (!ns->ending)
        expire_subscriptions(ns, now_s);
    if (!ns->ending)
        native_ping(ns, loop_now_ms(l));
    native_timer_update(ns);
}

/* {}: the answer to a ping. */
static void native_pong(struct native_session *ns)
{
    const struct endpoint *e = ns->endpoint;
    if (!ns->pinged) {
        native_end(ns, CLOSE_BAD_REQUEST, 0, STR_NONE);
        return;
    }
    ns->pinged = false; // the next ping: an interval after the last one
    if (e->pong_timeout_ms < e->ping_interval_ms)
        ns->due_ms += e->ping_interval_ms - e->pong_timeout_ms;
}

/* ---- messages ---- */

/* False: too fast, and it has been answered. */
static bool native_may(struct native_session *ns, const struct command *cmd)
{
    const struct endpoint *e = ns->endpoint;
    uint64_t now_ms = loop_now_ms(conn_loop(ns->carrier->conn));
    if (bucket_take(&ns->bucket, e->messages_per_second, e->messages_burst, now_ms)) {
        ns->refused = 0;
        return true;
    }
    if (++ns->refused > REFUSED_IN_A_ROW_MAX)
        native_end(ns, CLOSE_TOO_MANY_REQUESTS, 0, STR_NONE);
    else
        native_reply_error(ns, cmd->id, ERR_TOO_MANY_REQUESTS);
    return false;
}

static void native_command(struct native_session *ns, struct str text)
{
    struct command cmd;
    bool ok = native_command_read(text, &cmd);
    bool is_connect = ok && cmd.verb != NULL && cmd.verb->run == native_connect;
    bool is_send = ok && cmd.verb != NULL && str_eq(cmd.verb->name, STR("send"));
    if (!ok || (!ns->connected && !is_connect)) {
        native_end(ns, CLOSE_BAD_REQUEST, 0, STR_NONE);
    } else if (cmd.id == 0 && cmd.verb == NULL) {
        native_pong(ns);
    } else if (cmd.verb == NULL || (cmd.id == 0 && !is_send)) {
        native_end(ns, CLOSE_BAD_REQUEST, 0, STR_NONE);
    } else if (native_may(ns, &cmd)) {
        cmd.verb->run(ns, &cmd);
    }
}

static void native_commands(struct native_session *ns, struct str payload)
{
    unsigned count = 0;
    while (payload.n > 0 && !ns->ending) {
        struct str line = str_cut(&payload, '\n');
        if (line.n == 0)
            continue;
        if (++count > COMMANDS_PER_FRAME_MAX) {
            native_end(ns, CLOSE_BAD_REQUEST, 0, STR_NONE);
            return;
        }
        native_command(ns, line);
    }
    if (count == 0)
        native_end(ns, CLOSE_BAD_REQUEST, 0, STR_NONE);
}

static void native_message(struct carrier *c, void *ctx, struct str payload, bool binary)
{
    struct native_session *ns = ctx;
    struct batch batch;
    (void)binary;
    if (ns->ending)
        return;
    batch.len = 0;
    ns->batch = &batch;
    native_commands(ns, payload);
    ns->batch = NULL;
    if (batch.len > 0)
        carrier_send(c, (struct str){batch.at, batch.len});
}

/* ---- what the hub asks of a session ---- */

static const struct encoding *ops_encoding(struct session *s)
{
    const struct native_session *ns = native_of(s);
    return ns->carrier != NULL ? native_encoding(ns->carrier->framing) : NULL;
}

static void ops_subscribed(struct session *s, struct subscription *sub, const struct answer *a)
{
    struct native_session *ns = native_of(s);
    struct json_writer w;
    struct buf heap;
    buf_init(&heap, 64 << 10);
    json_writer_init(&w, &heap);
    json_open_object(&w);
    json_open_object(json_key(&w, STR("push")));
    json_put_string(json_key(&w, STR("channel")), subscription_channel(sub));
    json_open_object(json_key(&w, STR("subscribe")));
    if (a->recoverable)
        json_put_bool(json_key(&w, STR("recoverable")), true);
    native_put_position(&w, a);
    if (a->positioned)
        json_put_bool(json_key(&w, STR("positioned")), true);
    if (a->data.n > 0)
        json_put_raw(json_key(&w, STR("data")), a->data);
    json_close_object(&w);
    json_close_object(&w);
    json_close_object(&w);
    if (json_done(&w))
        native_reply_send(ns, buf_str(&heap));
    buf_fini(&heap);
}

static void ops_unsubscribed(struct session *s, struct str channel, unsigned code,
                             struct str reason)
{
    push_unsubscribe(native_of(s), channel, code, reason);
}

static void ops_disconnect(struct session *s, enum close_reason reason, unsigned code,
                           struct str text)
{
    native_end(native_of(s), reason, code, text);
}

static void ops_refreshed(struct session *s, int64_t expire_at_s)
{
    struct native_session *ns = native_of(s);
    char at[128];
    struct buf b = buf_on(at, sizeof(at));
    struct json_writer w;
    ns->expire_at_s = expire_at_s;
    native_timer_update(ns);
    json_writer_init(&w, &b);
    json_open_object(&w);
    json_open_object(json_key(&w, STR("push")));
    json_open_object(json_key(&w, STR("refresh")));
    native_put_expiry(ns, &w, expire_at_s);
    json_close_object(&w);
    json_close_object(&w);
    json_close_object(&w);
    if (json_done(&w))
        native_reply_send(ns, buf_str(&b));
}

static void ops_resync(struct session *s, struct subscription *sub, struct publication *const *pubs,
                       size_t count)
{
    enum { MESSAGE_BYTES = 64 << 10 };
    struct native_session *ns = native_of(s);
    struct str channel = subscription_channel(sub);
    struct buf out;
    buf_init(&out, 64 << 20);
    for (size_t i = 0; i < count; i++) {
        size_t len = out.len;
        if ((len > 0 && !buf_add_char(&out, '\n')) || !native_push_write(&out, channel, pubs[i])) {
            native_end(ns, CLOSE_INSUFFICIENT_STATE, 0, STR_NONE); // nothing may be left out
            break;
        }
        if (out.len >= MESSAGE_BYTES || i + 1 == count) {
            native_reply_send(ns, buf_str(&out));
            buf_clear(&out);
        }
    }
    buf_fini(&out);
}

static size_t ops_address(const struct session *s, char *at, size_t cap)
{
    const struct native_session *ns = native_of((struct session *)(uintptr_t)s);
    MUST(cap >= ADDR_TEXT_MAX);
    return ns->carrier != NULL ? addr_format_ip(&ns->carrier->conn->peer, at) : 0;
}

const struct session_ops native_ops = {
    .dialect = "native",
    .address = ops_address,
    .encoding = ops_encoding,
    .subscribed = ops_subscribed,
    .unsubscribed = ops_unsubscribed,
    .disconnect = ops_disconnect,
    .refreshed = ops_refreshed,
    .resync = ops_resync,
    .bury = native_bury,
};

/* ---- birth ---- */

static const struct carrier_handler native_handler = {.message = native_message,
                                                      .closed = native_closed};

/* Token and tenant of the handshake wait in the session's strings for the connect command. */
static struct native_session *native_make(const struct endpoint *e, const struct handshake *h)
{
    struct native_session *ns = calloc(1, sizeof(*ns));
    if (ns == NULL)
        return NULL;
    ns->endpoint = e;
    timer_init(&ns->timer, native_timer_fired);
    size_t n = h->token.n + h->tenant.n;
    if (n == 0)
        return ns;
    ns->identity = malloc(n);
    if (ns->identity == NULL) {
        free(ns);
        return NULL;
    }
    if (h->token.n > 0)
        memcpy(ns->identity, h->token.p, h->token.n);
    ns->session.info = (struct str){ns->identity, h->token.n};
    if (h->tenant.n > 0)
        memcpy(ns->identity + h->token.n, h->tenant.p, h->tenant.n);
    ns->session.tenant = (struct str){ns->identity + h->token.n, h->tenant.n};
    return ns;
}

/* The binary form of the protocol is asked for in one of three ways. */
static bool wants_protobuf(const struct http_request *r)
{
    char at[16];
    struct str value;
    if (http_query(r, STR("cf_protocol"), at, sizeof(at), &value) ||
        http_query(r, STR("format"), at, sizeof(at), &value))
        return str_eq(value, STR("protobuf"));
    return http_header_has(r, STR("Sec-WebSocket-Protocol"), STR("centrifuge-protobuf"));
}

static void native_handle(struct http_request *r, const struct endpoint *e)
{
    struct handshake h;
    if (wants_protobuf(r)) {
        http_reply_error(r, 400, err_code(ERR_NOT_AVAILABLE),
                         STR("protobuf: this server speaks the JSON form of the protocol"));
        return;
    }
    if (!admit_origin(r, e) || !handshake_read(r, e, &h))
        return;
    struct native_session *ns = native_make(e, &h);
    if (ns == NULL) {
        http_refuse(r, ERR_INTERNAL, NULL);
        return;
    }
    ns->carrier = ws_accept(r, &e->ws, &native_handler, ns);
    if (ns->carrier == NULL) {
        native_free(ns);
        return;
    }
    timer_arm(conn_loop(ns->carrier->conn), &ns->timer, e->connect_timeout_ms);
}

/* The protocol has pings of its own, which show that the client's program lives. */
static void native_prepare(struct endpoint *e)
{
    static const struct str subprotocols[] = {{"centrifuge-json", 15}};
    e->ws.ping_interval_ms = 0;
    e->ws.subprotocols = subprotocols;
    e->ws.subprotocol_count = 1;
}

const struct dialect dialect_native = {
    .name = "native",
    .path = "/connection/websocket",
    .methods = 1u << HTTP_GET,
    .handle = native_handle,
    .prepare = native_prepare,
};
