/*
 * socketio_recovery.c - connection state recovery: a client that was cut off comes back with its
 * pid and the offset of the last event it received, and goes on under its old id, in its rooms,
 * with what it missed from the channels' history.
 *
 * Sockets that may come back are sent their events one by one, each with its serial as the last
 * argument, in place of frames that all subscribers share: that is the price of the protocol, which
 * has one offset for all rooms together.
 *
 * Always true between two calls:
 *   I1. a state is with its socket or among those who are away, never both.
 *   I2. it is given only to the user and tenant that it was made for.
 *   I3. who is told that it has recovered gets every event that the channels kept, or its
 *       connection ends and the state with it.
 */
#include "dialect/socketio_recovery.h"

#include "base/clock.h"

/* shared->of_recovery. */
struct sio_recoveries {
    pthread_mutex_t lock;
    struct map away;   // by pid
    struct list order; // the same, the oldest first
    uint64_t keep_ms;
};

/* sk->of_recovery. */
struct recovering {
    struct encoding encoding;
    struct recovery_state *state; // NULL: it cannot come back
    bool returning;               // not let in yet
};

static struct recovery_state *state_of(const struct sio_socket *sk)
{
    const struct recovering *own = sk->of_recovery;
    return own != NULL ? own->state : NULL;
}

/* ---- those who are away ---- */

static void away_remove(struct sio_recoveries *rs, struct recovery_state *st)
{
    map_remove(&rs->away, &st->node);
    list_remove(&st->link);
}

static void away_drop_oldest(struct sio_recoveries *rs)
{
    struct recovery_state *st = container_of(rs->order.next, struct recovery_state, link);
    away_remove(rs, st);
    recovery_state_free(st);
}

static bool away_expired(const struct sio_recoveries *rs, const struct recovery_state *st)
{
    return clock_mono_ns() / 1000000 - st->away_ms > rs->keep_ms;
}

static void away_put(struct sio_recoveries *rs, struct recovery_state *st)
{
    pthread_mutex_lock(&rs->lock);
    while (!list_empty(&rs->order) &&
           (rs->away.count >= RECOVERY_AWAY_MAX ||
            away_expired(rs, container_of(rs->order.next, struct recovery_state, link))))
        away_drop_oldest(rs);
    if (map_add(&rs->away, &st->node))
        list_add(&rs->order, &st->link);
    else
        recovery_state_free(st);
    pthread_mutex_unlock(&rs->lock);
}

/* Is it this socket's? A name that a back end has still to say is looked at in on_accept(). */
static bool state_fits(const struct recovery_state *st, const struct sio_socket *sk)
{
    bool named = sk->from_token || sio_socket_shared(sk)->backend == NULL;
    return st->space == sk->space && (!named || (str_eq(st->tenant, sk->session.tenant) &&
                                                 str_eq(st->user, sk->session.user)));
}

static struct recovery_state *away_take(const struct sio_socket *sk, struct str pid,
                                        uint64_t serial)
{
    struct sio_recoveries *rs = sio_socket_shared(sk)->of_recovery;
    struct recovery_state *st = NULL;
    pthread_mutex_lock(&rs->lock);
    struct map_node *n = map_find(&rs->away, pid);
    if (n != NULL)
        st = container_of(n, struct recovery_state, node);
    if (st != NULL && !state_fits(st, sk)) {
        st = NULL; // somebody else's: it stays for whom it belongs to
    } else if (st != NULL) {
        away_remove(rs, st);
        if (away_expired(rs, st) || !recovery_rewind(st, serial)) {
            recovery_state_free(st);
            st = NULL;
        }
    }
    pthread_mutex_unlock(&rs->lock);
    return st;
}

/* ---- events ---- */

/* In one of these channels it has the same event, or will get it when it has joined it again. */
static bool follows_one_of(struct sio_socket *sk, struct str channels)
{
    struct recovery_state *st = state_of(sk);
    while (channels.n > 0) {
        struct str channel = str_cut(&channels, ' ');
        const struct recovery_room *room = recovery_room_find(st, channel, false);
        if (session_find(&sk->session, channel) != NULL || (room != NULL && room->again))
            return true;
    }
    return false;
}

static bool is_excluded(const struct publication *p, struct sio_socket *sk)
{
    const struct session *s = &sk->session;
    return (p->exclude != 0 && p->exclude == s->id) ||
           (p->excludes_client && memcmp(p->exclude_client, s->client, sizeof(s->client)) == 0) ||
           follows_one_of(sk, p->exclude_channels);
}

/* Sends the event to the one socket whose encoding this is, and leaves nothing for the log. */
static bool own_encode(const struct encoding *e, struct str channel, const struct publication *p,
                       struct buf *out)
{
    struct sio_socket *sk = (struct sio_socket *)(uintptr_t)e->extra;
    const struct subscription *sub = session_find(&sk->session, channel);
    struct recovery_state *st = state_of(sk);
    (void)out;
    if (st == NULL || sub == NULL || p->kind != EVENT_PUBLICATION)
        return false;
    if (sub->cursor.lost || sub->resyncing)
        return false; // it comes with what was missed
    if (is_excluded(p, sk)) {
        struct recovery_room *room = recovery_room_find(st, channel, false);
        if (room != NULL && p->offset > 0 && room->at.epoch == p->epoch)
            room->at.offset = p->offset;
        return false;
    }
    struct publication *one = (struct publication *)(uintptr_t)p;
    sio_send_publications(sk, &one, 1);
    return false;
}

/* What is not kept by its channel is told with the serial of the event before it: the client
 * remembers the last argument of whatever came last. */
static bool write_offset(struct sio_socket *sk, const struct publication *p, struct buf *out)
{
    struct recovery_state *st = state_of(sk);
    if (st == NULL)
        return false;
    struct recovery_room *room = recovery_room_find(st, p->channel, false);
    if (room != NULL && p->offset > room->at.offset && room->at.epoch == p->epoch)
        recovery_note(st, room, p->offset);
    return buf_add_u64(out, st->serial);
}

/* ---- coming ---- */

/* A string of the payload that needs no escapes. */
static struct str payload_string(struct str auth, const char *key)
{
    struct str raw;
    if (auth.n == 0 || !json_find(auth, str_from(key), &raw) || raw.n < 2 || raw.p[0] != '"')
        return STR_NONE;
    return (struct str){raw.p + 1, raw.n - 2};
}

static struct recovering *own_make(struct sio_socket *sk)
{
    struct recovering *own = calloc(1, sizeof(*own));
    if (own != NULL)
        own->encoding =
            (struct encoding){.name = "socketio-own", .encode = own_encode, .extra = sk};
    sk->of_recovery = own;
    return own;
}

static void on_connect(struct sio_socket *sk, struct str auth)
{
    struct str pid = payload_string(auth, "pid"), offset = payload_string(auth, "offset");
    uint64_t serial;
    if (pid.n != PID_CHARS || !str_to_u64(offset, &serial))
        return;
    struct recovering *own = own_make(sk);
    if (own == NULL)
        return;
    own->state = away_take(sk, pid, serial);
    if (own->state == NULL)
        return;
    own->returning = true;
    sk->recovered = true;
    memcpy(sk->session.client, own->state->sid, sizeof(own->state->sid));
}

/* A state for a socket that begins. */
static struct recovery_state *state_begin(const struct sio_socket *sk)
{
    struct recovery_state *st = recovery_state_make();
    const struct session *s = &sk->session;
    char *at = st != NULL ? malloc(s->tenant.n + s->user.n + 1) : NULL;
    if (at == NULL) {
        recovery_state_free(st);
        return NULL;
    }
    st->names = at;
    st->tenant = str_put(&at, s->tenant);
    st->user = str_put(&at, s->user);
    st->space = sk->space;
    memcpy(st->sid, s->client, sizeof(st->sid));
    return st;
}

static void on_accept(struct sio_socket *sk)
{
    struct recovering *own = sk->of_recovery != NULL ? sk->of_recovery : own_make(sk);
    if (own == NULL)
        return;
    const struct recovery_state *st = own->state;
    own->returning = false;
    if (st != NULL && str_eq(st->tenant, sk->session.tenant) && str_eq(st->user, sk->session.user))
        return;
    recovery_state_free(own->state); // it says that it is somebody else
    sk->recovered = false;
    own->state = state_begin(sk);
}

static void rejoin(struct sio_socket *sk)
{
    struct recovery_state *st = state_of(sk);
    if (st == NULL || !sk->recovered)
        return;
    uint32_t count = st->room_count; // answers may come at once, and add nothing
    for (uint32_t i = 0; i < count; i++) {
        struct str channel = st->rooms[i].channel;
        if (st->rooms[i].again && session_find(&sk->session, channel) == NULL)
            sio_join_channel(sk, channel, str_starts(channel, STR("socketio:")), NULL, NULL);
    }
}

static bool write_pid(struct sio_socket *sk, struct buf *out)
{
    const struct recovery_state *st = state_of(sk);
    return st != NULL && buf_add(out, (struct str){st->pid, PID_CHARS});
}

static const struct encoding *encoding(struct sio_socket *sk)
{
    const struct recovering *own = sk->of_recovery;
    return own != NULL && own->state != NULL ? &own->encoding : NULL;
}

static bool since(struct sio_socket *sk, struct str channel, struct position *ret)
{
    struct recovery_state *st = state_of(sk);
    const struct recovery_room *room =
        st != NULL && sk->recovered ? recovery_room_find(st, channel, false) : NULL;
    if (room == NULL || !room->again || room->at.epoch == 0)
        return false;
    *ret = room->at;
    return true;
}

static void on_joined(struct sio_socket *sk, const struct answer *a)
{
    struct recovery_state *st = state_of(sk);
    struct recovery_room *room =
        st != NULL ? recovery_room_find(st, subscription_channel(a->subscription), true) : NULL;
    if (room == NULL)
        return;
    bool goes_on = room->again && room->at.epoch != 0;
    room->again = false;
    if (!goes_on) {
        room->at = a->recoverable ? a->position : (struct position){0};
        room->joined_serial = st->serial;
    } else if (!a->recovered) {
        st->broken = true; // it was told too early that it has missed nothing: it comes back as new
        sio_conn_end(sk->conn, CLOSE_INSUFFICIENT_STATE);
    } else {
        for (size_t i = 0; i < a->publication_count; i++) {
            if (!is_excluded(a->publications[i], sk))
                sio_send_publications(sk, &a->publications[i], 1);
        }
        if (a->subscription->cursor.offset > room->at.offset) // what was not for it counts as seen
            room->at.offset = a->subscription->cursor.offset;
    }
}

/* ---- going ---- */

static bool may_come_back(struct str reason)
{
    return !str_eq(reason, STR("client namespace disconnect")) &&
           !str_eq(reason, STR("server namespace disconnect"));
}

/* Notes what it still follows. A join without an answer is of unknown place. */
static bool note_rooms(struct recovery_state *st, const struct session *s)
{
    for (uint32_t i = 0; i < st->room_count; i++)
        st->rooms[i].again = false;
    for (const struct subscription *sub = s->subscriptions; sub != NULL; sub = sub->next) {
        struct recovery_room *room = recovery_room_find(st, subscription_channel(sub), false);
        if (sub->state != SUBSCRIPTION_ACTIVE || room == NULL)
            return false;
        room->again = true;
    }
    return true;
}

static void on_disconnect(struct sio_socket *sk, struct str reason)
{
    struct recovering *own = sk->of_recovery;
    struct recovery_state *st = state_of(sk);
    if (st == NULL)
        return;
    own->state = NULL;
    if (!may_come_back(reason) || st->broken || !note_rooms(st, &sk->session)) {
        recovery_state_free(st);
        return;
    }
    st->away_ms = clock_mono_ns() / 1000000;
    away_put(sio_socket_shared(sk)->of_recovery, st);
}

static void on_free(struct sio_socket *sk)
{
    struct recovering *own = sk->of_recovery;
    if (own == NULL)
        return;
    if (own->state != NULL && own->returning) // cut off again before it was let in
        away_put(sio_socket_shared(sk)->of_recovery, own->state);
    else
        recovery_state_free(own->state);
    free(own);
}

static const struct sio_recovery sio_recovery = {
    .on_connect = on_connect,
    .on_accept = on_accept,
    .rejoin = rejoin,
    .write_pid = write_pid,
    .encoding = encoding,
    .since = since,
    .on_joined = on_joined,
    .write_offset = write_offset,
    .on_disconnect = on_disconnect,
    .on_free = on_free,
};

/* ---- birth ---- */

void sio_recovery_prepare(struct sio_shared *sh)
{
    uint32_t keep_ms = sh->endpoint->options->socketio.recovery_ms;
    if (keep_ms == 0)
        return;
    struct sio_recoveries *rs = calloc(1, sizeof(*rs));
    MUST(rs != NULL && pthread_mutex_init(&rs->lock, NULL) == 0); // the server has not begun
    map_init(&rs->away, RECOVERY_AWAY_MAX);
    list_init(&rs->order);
    rs->keep_ms = keep_ms;
    sh->of_recovery = rs;
    sh->recovery = &sio_recovery;
}

void sio_recovery_release(struct sio_shared *sh)
{
    struct sio_recoveries *rs = sh->of_recovery;
    if (rs == NULL)
        return;
    while (!list_empty(&rs->order))
        away_drop_oldest(rs);
    map_fini(&rs->away);
    pthread_mutex_destroy(&rs->lock);
    free(rs);
    sh->of_recovery = NULL;
}
