/*
 * socketio_socket.c - a socket: one client in one namespace, and a session of the hub.
 *
 * Always true between two calls:
 *   I1. the conn holds one reference of every socket in its list, the hub one of every socket whose
 *       session was opened and not buried.
 *   I2. a socket is told of to on_disconnect() exactly once if it was connected.
 */
#include "dialect/socketio_priv.h"

struct sio_socket *sio_socket_ref(struct sio_socket *sk)
{
    MUST(sk->refs > 0);
    sk->refs++;
    return sk;
}

void sio_socket_unref(struct sio_socket *sk)
{
    const struct sio_shared *sh = sio_socket_shared(sk);
    MUST(sk->refs > 0);
    if (--sk->refs > 0)
        return;
    if (sh->backend != NULL && sh->backend->on_free != NULL)
        sh->backend->on_free(sk);
    if (sh->recovery != NULL)
        sh->recovery->on_free(sk);
    free(sk->identity);
    free(sk);
}

/* ---- leaving ---- */

static void tell_gone(struct sio_socket *sk, struct str reason)
{
    const struct sio_shared *sh = sio_socket_shared(sk);
    const struct sio_app *rules[] = {sh->app, sh->backend};
    if (sh->recovery != NULL)
        sh->recovery->on_disconnect(sk, reason);
    for (size_t i = 0; i < 2; i++) {
        if (rules[i] != NULL && rules[i]->on_disconnect != NULL)
            rules[i]->on_disconnect(sk, reason);
    }
    sio_acks_end(sk);
}

static void socket_unlink(struct sio_socket *sk)
{
    struct sio_conn *c = sk->conn;
    struct sio_socket **at = &c->sockets;
    while (*at != sk)
        at = &(*at)->next;
    *at = sk->next;
    sk->next = NULL;
    sk->conn = NULL;
    if (--c->socket_count == 0 && !c->ending)
        timer_arm(hub_loop(c->hub), &c->timer, c->endpoint->options->socketio.connect_timeout_ms);
}

void sio_socket_leave(struct sio_socket *sk, struct str reason)
{
    struct sio_shared *sh = sk->space->shared;
    if (sk->state == SIO_GONE)
        return;
    bool connected = sk->state == SIO_CONNECTED;
    if (sk->state == SIO_JOINING) {
        sio_joining_ends(sk);
        if (sh->backend != NULL && sh->backend->on_lost != NULL)
            sh->backend->on_lost(sk);
    }
    if (connected)
        tell_gone(sk, reason);
    sk->state = SIO_GONE;
    for (struct subscription *sub = sk->session.subscriptions; sub != NULL; sub = sub->next)
        sio_forget_room(sk, sub);
    sio_sids_remove(sh, sk);
    socket_unlink(sk);
    if (sk->session.state == SESSION_OPEN)
        session_close(&sk->session);
    sio_socket_unref(sk);
}

void sio_disconnect(struct sio_socket *sk, bool close)
{
    if (sk->state == SIO_GONE || sk->conn->ending)
        return;
    if (close) {
        sio_packet_send(sk, SIO_DISCONNECT, NULL, NULL);
        sio_conn_end(sk->conn, CLOSE_NORMAL);
        return;
    }
    sk->leaving = true;
    sio_conn_wake(sk->conn);
}

/* ---- what the hub asks of a session ---- */

/* A DISCONNECT packet is final for a client; when the whole session ends without one it comes back
 * by itself. */
static bool may_come_back(enum close_reason reason, unsigned code)
{
    if (code == 0)
        code = close_code(reason);
    return code < 3500 || (code >= 4000 && code < 4500);
}

static void ops_disconnect(struct session *s, enum close_reason reason, unsigned code,
                           struct str text)
{
    struct sio_socket *sk = sio_socket_of(s);
    (void)text;
    if (sk->conn == NULL)
        return;
    if (may_come_back(reason, code))
        sio_conn_end(sk->conn, reason);
    else
        sio_disconnect(sk, false);
}

static const struct encoding *ops_encoding(struct session *s)
{
    struct sio_socket *sk = sio_socket_of(s);
    if (sk->conn == NULL || sk->conn->carrier == NULL)
        return NULL;
    return sio_socket_encoding(sk);
}

/* Clients know nothing of the rooms they are in: none of this is told to them. */
static void ops_subscribed(struct session *s, struct subscription *sub, const struct answer *a)
{
    (void)sub;
    sio_note_room(sio_socket_of(s), a);
}

static void ops_unsubscribed(struct session *s, struct str channel, unsigned code, struct str text)
{
    (void)code;
    (void)text;
    sio_rooms_remove(sio_socket_shared(sio_socket_of(s)), channel, s->tenant);
}

static void ops_resync(struct session *s, struct subscription *sub, struct publication *const *pubs,
                       size_t count)
{
    struct sio_socket *sk = sio_socket_of(s);
    (void)sub;
    sio_send_publications(sk, pubs, count);
}

static size_t ops_address(const struct session *s, char *at, size_t cap)
{
    const struct sio_socket *sk = sio_socket_of(s);
    MUST(cap >= ADDR_TEXT_MAX);
    const struct carrier *carrier = sk->conn != NULL ? sk->conn->carrier : NULL;
    bool known = carrier != NULL && carrier->conn != NULL;
    return known ? addr_format_ip(&carrier->conn->peer, at) : 0;
}

static void ops_bury(struct session *s)
{
    sio_socket_unref(sio_socket_of(s));
}

const struct session_ops sio_socket_ops = {
    .dialect = "socketio",
    .encoding = ops_encoding,
    .subscribed = ops_subscribed,
    .unsubscribed = ops_unsubscribed,
    .disconnect = ops_disconnect,
    .resync = ops_resync,
    .address = ops_address,
    .bury = ops_bury,
};
