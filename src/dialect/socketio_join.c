/*
 * socketio_join.c - the rooms of a socket, which are channels of the hub.
 *
 * Always true: what a connected socket follows is noted in the rooms of its endpoint, from when the
 * hub has said so until it leaves.
 */
#include "dialect/socketio_priv.h"

#include "base/pool.h"

struct joining {
    struct sio_socket *sk; // referenced
    sio_joined_fn *done;
    void *ctx;
    bool awaited; // before the client is told that it is connected
};

enum err sio_note_room(struct sio_socket *sk, const struct answer *a)
{
    struct sio_shared *sh = sio_socket_shared(sk);
    if (!sio_rooms_add(sh, subscription_channel(a->subscription), sk->session.tenant)) {
        hub_unsubscribe(a->subscription);
        return ERR_INTERNAL;
    }
    if (sh->recovery != NULL)
        sh->recovery->on_joined(sk, a);
    return ERR_OK;
}

const struct encoding *sio_socket_encoding(struct sio_socket *sk)
{
    const struct sio_recovery *recovery = sio_socket_shared(sk)->recovery;
    const struct encoding *own = recovery != NULL ? recovery->encoding(sk) : NULL;
    return own != NULL ? own : sio_encoding(sk->space, sk->conn->carrier->framing);
}

/* Messages that are being written, as far as they have come (hub/record.h); what was missed has
 * been sent by whoever looks after recovery. */
static void send_records(struct sio_socket *sk, const struct answer *a)
{
    for (size_t i = 0; i < a->publication_count && sk->state == SIO_CONNECTED; i++) {
        if (a->publications[i]->offset == 0 && !a->recovered)
            sio_send_publications(sk, &a->publications[i], 1);
    }
}

static void joined(void *ctx, const struct answer *a)
{
    struct joining j = *(struct joining *)ctx;
    pool_free(ctx);
    enum err err = a->err == ERR_ALREADY_SUBSCRIBED ? ERR_OK : a->err;
    if (a->err == ERR_OK)
        err = sio_note_room(j.sk, a);
    if (j.done != NULL)
        j.done(j.ctx, j.sk, err);
    if (a->err == ERR_OK)
        send_records(j.sk, a);
    if (j.awaited)
        sio_joining_goes_on(j.sk);
    sio_socket_unref(j.sk);
}

void sio_join_channel(struct sio_socket *sk, struct str channel, bool own, sio_joined_fn *done,
                      void *ctx)
{
    struct joining *j = pool_alloc(sizeof(*j));
    if (j == NULL || sk->conn == NULL || sk->conn->carrier == NULL || channel_is_pattern(channel)) {
        pool_free(j);
        if (done != NULL)
            done(ctx, sk, channel_is_pattern(channel) ? ERR_BAD_REQUEST : ERR_EXPIRED);
        return;
    }
    const struct sio_recovery *recovery = sio_socket_shared(sk)->recovery;
    struct position since = {0};
    bool goes_on = recovery != NULL && recovery->since(sk, channel, &since);
    bool awaited = sk->state == SIO_JOINING;
    sk->pending += awaited;
    *j = (struct joining){sio_socket_ref(sk), done, ctx, awaited};
    hub_subscribe(&sk->session,
                  &(struct subscribe_params){
                      .channel = channel,
                      .encoding = sio_socket_encoding(sk),
                      .recover = goes_on,
                      .since = since,
                      .server_side = true,
                      .authorized = true,
                      .presence_off = own,
                  },
                  joined, j);
}

void sio_join(struct sio_socket *sk, struct str room, sio_joined_fn *done, void *ctx)
{
    char at[CHANNEL_NAME_MOST];
    struct buf channel = sio_buf_on(at, sizeof(at));
    if (socketio_room_channel(&channel, sk->space->name, room))
        sio_join_channel(sk, buf_str(&channel), false, done, ctx);
    else if (done != NULL)
        done(ctx, sk, ERR_BAD_REQUEST);
}

void sio_forget_room(struct sio_socket *sk, const struct subscription *sub)
{
    if (sub->state == SUBSCRIPTION_ACTIVE)
        sio_rooms_remove(sio_socket_shared(sk), subscription_channel(sub), sk->session.tenant);
}

bool sio_leave(struct sio_socket *sk, struct str room)
{
    char at[CHANNEL_NAME_MOST];
    struct buf channel = sio_buf_on(at, sizeof(at));
    if (sk->state != SIO_CONNECTED || !socketio_room_channel(&channel, sk->space->name, room))
        return false;
    struct subscription *sub = session_find(&sk->session, buf_str(&channel));
    if (sub == NULL)
        return false;
    sio_forget_room(sk, sub);
    hub_unsubscribe(sub);
    return true;
}

void sio_each_room(const struct sio_socket *sk, sio_room_fn *visit, void *ctx)
{
    struct str nsp = sk->space->name;
    for (const struct subscription *sub = sk->session.subscriptions; sub != NULL; sub = sub->next) {
        struct str room = subscription_channel(sub);
        if (str_starts(room, STR("socketio:")))
            continue;
        if (nsp.n > 1 && (!str_starts(room, nsp) || room.n <= nsp.n || room.p[nsp.n] != ':'))
            continue; // followed by order of the API
        visit(ctx, nsp.n > 1 ? str_skip(room, nsp.n + 1) : room);
    }
}

void sio_publish(struct sio_socket *sk, struct str room, struct str type, struct str data,
                 const struct sio_socket *but)
{
    char at[CHANNEL_NAME_MOST];
    struct buf channel = sio_buf_on(at, sizeof(at));
    if (sk->session.state != SESSION_OPEN ||
        !socketio_room_channel(&channel, sk->space->name, room))
        return;
    hub_publish(sk->session.hub,
                &(struct publish_params){
                    .tenant = sk->session.tenant,
                    .channel = buf_str(&channel),
                    .type = type,
                    .data = data,
                    .exclude = but != NULL ? but->session.id : 0,
                    .skip_history = true,
                },
                NULL, NULL);
}
