/*
 * socketio_emit.c - what is said to one socket, and the answers that its client owes.
 *
 * Always true: every ack that was asked for is answered, forgotten, or reported as never to come
 * when the socket goes; there are at most SIO_ACKS_MAX of them.
 */
#include "dialect/socketio_priv.h"

#include "base/pool.h"

/* An ack that the client owes. */
struct sio_pending {
    struct sio_pending *next;
    const struct sio_app *from;
    uint64_t id, cookie;
};

void sio_packet_send(struct sio_socket *sk, enum sio_type type, const uint64_t *id,
                     const struct sio_message *m)
{
    static const struct sio_message nothing;
    if (sk->conn == NULL || sk->conn->carrier == NULL || sk->conn->ending)
        return;
    if (m == NULL)
        m = &nothing;
    size_t most = m->data.n + sk->space->name.n + 64;
    char *at = pool_alloc(most);
    if (at == NULL) {
        sio_conn_end(sk->conn, CLOSE_INTERNAL); // nothing may be left out
        return;
    }
    struct buf out = {.p = at, .cap = most, .max = most};
    struct carrier *carrier = sk->conn->carrier;
    bool ok = sio_head_write(&out, type, m->attachment_count, sk->space->name);
    ok = ok && (id == NULL || buf_add_u64(&out, *id)) && buf_add(&out, m->data);
    MUST(ok);
    carrier_send(carrier, buf_str(&out));
    for (uint32_t i = 0; i < m->attachment_count; i++)
        carrier->ops->send(carrier, m->attachments[i], true);
    pool_free(at);
}

void sio_emit(struct sio_socket *sk, const struct sio_message *m)
{
    if (sk->state == SIO_CONNECTED)
        sio_packet_send(sk, m->attachment_count > 0 ? SIO_BINARY_EVENT : SIO_EVENT, NULL, m);
}

void sio_ack(struct sio_socket *sk, uint64_t id, const struct sio_message *m)
{
    if (sk->state == SIO_CONNECTED)
        sio_packet_send(sk, m->attachment_count > 0 ? SIO_BINARY_ACK : SIO_ACK, &id, m);
}

bool sio_emit_ack(struct sio_socket *sk, const struct sio_app *from, uint64_t cookie,
                  const struct sio_message *m)
{
    if (sk->state != SIO_CONNECTED || sk->ack_count >= SIO_ACKS_MAX)
        return false;
    struct sio_pending *pending = malloc(sizeof(*pending));
    if (pending == NULL)
        return false;
    *pending = (struct sio_pending){sk->acks, from, sk->ack_serial++, cookie};
    sk->acks = pending;
    sk->ack_count++;
    sio_packet_send(sk, m->attachment_count > 0 ? SIO_BINARY_EVENT : SIO_EVENT, &pending->id, m);
    return true;
}

static struct sio_pending **pending_find(struct sio_socket *sk, uint64_t id)
{
    struct sio_pending **at = &sk->acks;
    while (*at != NULL && (*at)->id != id)
        at = &(*at)->next;
    return at;
}

static struct sio_pending pending_take(struct sio_socket *sk, struct sio_pending **at)
{
    struct sio_pending *found = *at;
    struct sio_pending copy = *found;
    *at = found->next;
    sk->ack_count--;
    free(found);
    return copy;
}

void sio_socket_acked(struct sio_socket *sk, const struct sio_packet *p)
{
    struct sio_pending **at = pending_find(sk, p->id);
    if (*at == NULL)
        return; // forgotten, or never asked for
    struct sio_pending pending = pending_take(sk, at);
    if (pending.from->on_ack != NULL)
        pending.from->on_ack(sk, pending.cookie, p);
}

void sio_ack_forget(struct sio_socket *sk, uint64_t cookie)
{
    struct sio_pending **at = &sk->acks;
    while (*at != NULL && (*at)->cookie != cookie)
        at = &(*at)->next;
    if (*at != NULL)
        pending_take(sk, at);
}

void sio_acks_end(struct sio_socket *sk)
{
    while (sk->acks != NULL) {
        struct sio_pending pending = pending_take(sk, &sk->acks);
        if (pending.from->on_ack != NULL)
            pending.from->on_ack(sk, pending.cookie, NULL);
    }
}
