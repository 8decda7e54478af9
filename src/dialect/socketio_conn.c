/*
 * socketio_conn.c - an Engine.IO session: packets come in, and go to the socket of their namespace.
 *
 * Always true between two calls:
 *   I1. nothing is handled once ending is set, and ending never goes back.
 *   I2. every socket in the list is asking or connected, and knows this conn.
 *   I3. while a packet waits for attachments nothing but them may come.
 */
#include "dialect/socketio_priv.h"

/* A packet whose attachments are coming. */
struct sio_partial {
    struct sio_packet packet; // points into text
    char *text;
    size_t bytes; // of all of it
    uint32_t have;
    struct str attachments[];
};

static void partial_free(struct sio_partial **pp)
{
    struct sio_partial *pt = *pp;
    *pp = NULL;
    if (pt == NULL)
        return;
    for (uint32_t i = 0; i < pt->have; i++)
        free((void *)(uintptr_t)pt->attachments[i].p);
    free(pt->text);
    free(pt);
}

static struct sio_partial *partial_make(struct str text, uint32_t count)
{
    struct sio_partial *pt = calloc(1, sizeof(*pt) + count * sizeof(pt->attachments[0]));
    char *copy = malloc(text.n);
    if (pt == NULL || copy == NULL) {
        free(pt);
        free(copy);
        return NULL;
    }
    memcpy(copy, text.p, text.n);
    pt->text = copy;
    pt->bytes = text.n;
    MUST(sio_packet_read((struct str){copy, text.n}, &pt->packet) == NULL);
    return pt;
}

static bool partial_add(struct sio_partial *pt, struct str bytes, size_t bytes_max)
{
    if (bytes.n > bytes_max || pt->bytes > bytes_max - bytes.n)
        return false;
    char *copy = malloc(bytes.n + 1); // of nothing there is a copy, too
    if (copy == NULL)
        return false;
    if (bytes.n > 0)
        memcpy(copy, bytes.p, bytes.n);
    pt->attachments[pt->have++] = (struct str){copy, bytes.n};
    pt->bytes += bytes.n;
    return true;
}

/* ---- the end ---- */

void sio_conn_wake(struct sio_conn *c)
{
    timer_arm(hub_loop(c->hub), &c->timer, 0);
}

void sio_conn_end(struct sio_conn *c, enum close_reason reason)
{
    if (c->ending)
        return;
    c->ending = true;
    partial_free(&c->partial);
    carrier_close(c->carrier, reason);
    sio_conn_wake(c); // the hub may be walking its lists
}

static void leave_all(struct sio_conn *c, struct str reason)
{
    while (c->sockets != NULL)
        sio_socket_leave(c->sockets, reason);
}

static struct str reason_text(enum close_reason reason)
{
    switch (reason) {
    case CLOSE_NO_PONG:
        return STR("ping timeout");
    case CLOSE_SHUTDOWN:
        return STR("server shutting down");
    case CLOSE_PEER_ASKED:
    case CLOSE_PEER_GONE:
        return STR("transport close");
    case CLOSE_IO_ERROR:
    case CLOSE_TLS_FAILED:
        return STR("transport error");
    default:
        return STR("forced close");
    }
}

static void conn_closed(struct carrier *carrier, void *ctx, enum close_reason reason, unsigned code)
{
    struct sio_conn *c = ctx;
    (void)carrier;
    (void)code;
    c->ending = true;
    c->carrier = NULL;
    leave_all(c, reason_text(reason));
    timer_cancel(&c->timer);
    partial_free(&c->partial);
    free((void *)(uintptr_t)c->remembered.p);
    free(c->handshake);
    free(c);
}

/* Those that the server has told to go. Hooks may tell others meanwhile, so from the start. */
static void leave_told(struct sio_conn *c)
{
    struct sio_socket *sk = c->sockets;
    while (sk != NULL) {
        if (!sk->leaving) {
            sk = sk->next;
            continue;
        }
        sio_packet_send(sk, SIO_DISCONNECT, NULL, NULL);
        sio_socket_leave(sk, STR("server namespace disconnect"));
        sk = c->sockets;
    }
}

static void conn_timer_fired(struct timer *t)
{
    struct sio_conn *c = container_of(t, struct sio_conn, timer);
    if (c->ending) {
        leave_all(c, STR("forced close"));
        return;
    }
    bool was_empty = c->sockets == NULL;
    leave_told(c);
    if (was_empty)
        sio_conn_end(c, CLOSE_IDLE); // it had its time to connect to something
}

/* ---- packets ---- */

/* The client does not speak the protocol. */
static void conn_break(struct sio_conn *c, const char *why)
{
    (void)why;
    sio_conn_end(c, CLOSE_BAD_FRAME);
}

static struct sio_socket *socket_find(const struct sio_conn *c, struct str nsp)
{
    struct sio_socket *sk = c->sockets;
    while (sk != NULL && !str_eq(sk->space->name, nsp))
        sk = sk->next;
    return sk;
}

static void take_event(struct sio_socket *sk, const struct sio_packet *p)
{
    const struct sio_shared *sh = sio_socket_shared(sk);
    const struct sio_app *rules[] = {sh->app, sh->backend};
    for (size_t i = 0; i < 2; i++) {
        if (rules[i] != NULL && rules[i]->on_event != NULL && rules[i]->on_event(sk, p))
            return;
    }
}

static void dispatch(struct sio_conn *c, const struct sio_packet *p)
{
    struct sio_socket *sk = socket_find(c, p->nsp);
    if (p->type == SIO_CONNECT) {
        if (sk == NULL)
            sio_connect(c, p);
        else
            conn_break(c, "connect: it is connected");
        return;
    }
    if (sk == NULL) {
        // What was under way when the server disconnected the socket is nobody's fault.
        if (!c->has_connected)
            conn_break(c, "the first packet must be a connect");
        return;
    }
    if (p->type == SIO_DISCONNECT)
        sio_socket_leave(sk, STR("client namespace disconnect"));
    else if (!sio_is_connected(sk))
        conn_break(c, "not connected yet");
    else if (sk->leaving)
        return;
    else if (p->type == SIO_ACK || p->type == SIO_BINARY_ACK)
        sio_socket_acked(sk, p);
    else
        take_event(sk, p);
}

static void take_text(struct sio_conn *c, struct str text)
{
    struct sio_packet p;
    if (c->partial != NULL) {
        conn_break(c, "a text where an attachment was due");
        return;
    }
    const char *why = sio_packet_read(text, &p);
    if (why != NULL) {
        conn_break(c, why);
        return;
    }
    if (p.attachment_count == 0) {
        dispatch(c, &p);
        return;
    }
    c->partial = partial_make(text, p.attachment_count);
    if (c->partial == NULL)
        sio_conn_end(c, CLOSE_INTERNAL);
}

static void take_binary(struct sio_conn *c, struct str bytes)
{
    struct sio_partial *pt = c->partial;
    if (pt == NULL) {
        conn_break(c, "an attachment that no packet has");
        return;
    }
    if (!partial_add(pt, bytes, sio_shared_of(c->endpoint)->eio_options.payload_max_bytes)) {
        sio_conn_end(c, CLOSE_TOO_BIG);
        return;
    }
    if (pt->have < pt->packet.attachment_count)
        return;
    c->partial = NULL;
    pt->packet.attachments = pt->attachments;
    dispatch(c, &pt->packet);
    partial_free(&pt);
}

static void conn_message(struct carrier *carrier, void *ctx, struct str payload, bool binary)
{
    struct sio_conn *c = ctx;
    const struct endpoint *e = c->endpoint;
    (void)carrier;
    if (c->ending)
        return;
    if (!bucket_take(&c->bucket, e->messages_per_second, e->messages_burst,
                     loop_now_ms(hub_loop(c->hub))))
        sio_conn_end(c, CLOSE_RATE_LIMIT);
    else if (binary)
        take_binary(c, payload);
    else
        take_text(c, payload);
}

/* An upgrade: the cursors are in the new sink, and so is what joins from here on. */
static void conn_moved(struct carrier *carrier, void *ctx)
{
    struct sio_conn *c = ctx;
    for (struct sio_socket *sk = c->sockets; sk != NULL; sk = sk->next)
        sk->session.sink = carrier_sink(carrier);
}

static const struct carrier_handler conn_handler = {
    .message = conn_message, .closed = conn_closed, .moved = conn_moved};

/* ---- birth ---- */

struct opening {
    const struct endpoint *endpoint;
    struct handshake handshake;
};

static bool keep_handshake(struct sio_conn *c, const struct handshake *h)
{
    if (h->token.n + h->tenant.n == 0)
        return true;
    char *at = malloc(h->token.n + h->tenant.n);
    c->handshake = at;
    if (at == NULL)
        return false;
    c->token = str_put(&at, h->token);
    c->tenant = str_put(&at, h->tenant);
    return true;
}

static bool conn_opened(struct carrier *carrier, const struct http_request *r, void *ctx)
{
    const struct opening *o = ctx;
    const struct endpoint *e = o->endpoint;
    const struct sio_shared *sh = sio_shared_of(e);
    struct sio_conn *c = calloc(1, sizeof(*c));
    if (c == NULL || !keep_handshake(c, &o->handshake)) {
        free(c);
        return false;
    }
    *c = (struct sio_conn){.carrier = carrier,
                           .endpoint = e,
                           .hub = endpoint_hub(e, r),
                           .handshake = c->handshake,
                           .token = c->token,
                           .tenant = c->tenant};
    if (sh->backend != NULL && sh->backend->remember != NULL)
        c->remembered.p = sh->backend->remember(r, &c->remembered.n);
    timer_init(&c->timer, conn_timer_fired);
    timer_arm(hub_loop(c->hub), &c->timer, e->options->socketio.connect_timeout_ms);
    carrier->handler = &conn_handler;
    carrier->ctx = c;
    return true;
}

/* A token, or the back end, decides about who connects, and a page of another origin has neither
 * by itself (cookies are not looked at): so any origin may ask, as the applications' own servers
 * let them, unless the endpoint or the server lists those it wants. Where nobody decides, the
 * server's own pages are let in only, as everywhere. */
static bool origin_ok(struct http_request *r, const struct endpoint *e)
{
    const struct sio_shared *sh = sio_shared_of(e);
    const struct admission *a = admission_now(e->admission);
    bool required = e->auth == AUTH_REQUIRED || (e->auth == AUTH_AUTO && a->token_required);
    bool decided = required || sh->backend != NULL;
    bool listed = e->origins != NULL || a->origin_count > 0;
    return (decided && !listed) || admit_origin(r, e);
}

void sio_handle(struct http_request *r, const struct endpoint *e)
{
    struct opening o = {.endpoint = e};
    if (!origin_ok(r, e))
        return;
    if (http_query_count(r, STR("sid")) == 0 && !handshake_read(r, e, &o.handshake))
        return;
    eio_handle(r, sio_shared_of(e)->eio, conn_opened, &o);
}
