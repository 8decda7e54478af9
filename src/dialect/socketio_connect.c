/*
 * socketio_connect.c - how a client comes to be connected to a namespace, or is refused.
 *
 * Why it exists: the token, recovery, the application's rules and the back end have a say, in this
 * order, and some of them later. Until one of them has decided there is a socket, but no session.
 *
 * A token is looked at when its client connects, and not again: that is how Socket.IO servers do
 * it, and clients count on it.
 */
#include "dialect/socketio_priv.h"

static bool identity_set(struct sio_socket *sk, struct str tenant, struct str user, struct str info)
{
    char *at = malloc(tenant.n + user.n + info.n + 1);
    char *old = sk->identity;
    if (at == NULL)
        return false;
    sk->identity = at;
    sk->session.tenant = str_put(&at, tenant);
    sk->session.user = str_put(&at, user);
    sk->session.info = str_put(&at, info);
    free(old);
    return true;
}

void sio_reject(struct sio_socket *sk, struct str data)
{
    if (sk->state != SIO_ASKING)
        return;
    sio_packet_send(sk, SIO_CONNECT_ERROR, NULL, &(struct sio_message){.data = data});
    sio_socket_leave(sk, STR_NONE);
}

static void send_connected(struct sio_socket *sk)
{
    char at[512], sid[UUID_TEXT];
    const struct sio_recovery *recovery = sio_socket_shared(sk)->recovery;
    struct buf out = sio_buf_on(at, sizeof(at));
    uuid_format(sk->session.client, sid);
    bool ok = buf_add(&out, STR("{\"sid\":\"")) && buf_add(&out, (struct str){sid, UUID_TEXT});
    if (recovery != NULL) {
        size_t len = out.len;
        if (!buf_add(&out, STR("\",\"pid\":\"")) || !recovery->write_pid(sk, &out))
            out.len = len;
    }
    MUST(ok && buf_add(&out, STR("\"}")));
    sio_packet_send(sk, SIO_CONNECT, NULL, &(struct sio_message){.data = buf_str(&out)});
}

static void join_own(struct sio_socket *sk)
{
    char at[SIO_NSP_MAX + UUID_TEXT], sid[UUID_TEXT];
    struct buf channel = sio_buf_on(at, sizeof(at));
    uuid_format(sk->session.client, sid);
    if (socketio_namespace_channel(&channel, sk->space->name))
        sio_join_channel(sk, buf_str(&channel), true, NULL, NULL);
    buf_clear(&channel);
    if (socketio_socket_channel(&channel, (struct str){sid, UUID_TEXT}))
        sio_join_channel(sk, buf_str(&channel), true, NULL, NULL);
}

void sio_joining_ends(struct sio_socket *sk)
{
    struct sio_conn *c = sk->conn;
    if (--c->joining == 0 && c->carrier != NULL)
        sink_release(hub_outflow(c->hub), carrier_sink(c->carrier));
}

static void tell_connected(struct sio_socket *sk)
{
    const struct sio_shared *sh = sio_socket_shared(sk);
    const struct sio_app *rules[] = {sh->app, sh->backend};
    for (size_t i = 0; i < 2 && sk->state == SIO_CONNECTED; i++) {
        if (rules[i] != NULL && rules[i]->on_connected != NULL)
            rules[i]->on_connected(sk);
    }
}

void sio_joining_goes_on(struct sio_socket *sk)
{
    if (--sk->pending > 0 || sk->state != SIO_JOINING)
        return;
    sio_joining_ends(sk);
    sk->state = SIO_CONNECTED;
    send_connected(sk);
    tell_connected(sk);
}

static void join_first(struct sio_socket *sk, const struct sio_admission *a)
{
    const struct sio_shared *sh = sio_socket_shared(sk);
    const struct sio_app *rules[] = {sh->app, sh->backend};
    join_own(sk);
    if (sh->recovery != NULL)
        sh->recovery->rejoin(sk);
    for (size_t i = 0; i < a->room_count; i++)
        sio_join(sk, a->rooms[i], NULL, NULL);
    for (size_t i = 0; i < 2; i++) {
        if (rules[i] != NULL && rules[i]->on_joining != NULL)
            rules[i]->on_joining(sk);
    }
}

/* The client is told that it is connected when every loop knows what it follows: whoever has read
 * it may publish at once. No publication comes before that. One that comes back is told first,
 * since what it missed is sent as soon as a channel answers; nothing can be lost to it. */
static void connected(struct sio_socket *sk, const struct sio_admission *a)
{
    sk->conn->has_connected = true;
    if (sk->conn->socket_count == 1)
        timer_cancel(&sk->conn->timer);
    if (sk->recovered) {
        sk->state = SIO_CONNECTED;
        send_connected(sk);
        join_first(sk, a);
        tell_connected(sk);
        return;
    }
    sk->state = SIO_JOINING;
    sk->conn->joining++;
    sk->pending = 1;
    sink_hold(carrier_sink(sk->conn->carrier));
    join_first(sk, a);
    sio_joining_goes_on(sk);
}

static struct str or_own(struct str given, struct str own)
{
    return given.p != NULL ? given : own;
}

static bool enter_hub(struct sio_socket *sk)
{
    struct sio_conn *c = sk->conn;
    if (!session_open(&sk->session, c->hub, &sio_socket_shared(sk)->session_ops,
                      carrier_sink(c->carrier)))
        return false;
    sio_socket_ref(sk); // the hub's
    return sio_sids_add(sk->space->shared, sk);
}

void sio_accept(struct sio_socket *sk, const struct sio_admission *a)
{
    const struct sio_recovery *recovery = sio_socket_shared(sk)->recovery;
    struct session *s = &sk->session;
    if (sk->state != SIO_ASKING || sk->conn->ending)
        return;
    sk->has_organization = sk->has_organization || a->tenant.n > 0;
    bool as_it_is = a->tenant.p == NULL && a->user.p == NULL && a->info.p == NULL;
    if (!as_it_is && !identity_set(sk, or_own(a->tenant, s->tenant), or_own(a->user, s->user),
                                   or_own(a->info, s->info))) {
        sio_reject(sk, STR("{\"message\":\"Internal error\"}"));
        return;
    }
    if (recovery != NULL)
        recovery->on_accept(sk);
    if (!enter_hub(sk))
        sio_reject(sk, STR("{\"message\":\"Too many connections\"}"));
    else
        connected(sk, a);
}

static struct sio_socket *socket_make(struct sio_conn *c, struct sio_space *space,
                                      const struct identity *id)
{
    struct sio_socket *sk = calloc(1, sizeof(*sk));
    if (sk == NULL)
        return NULL;
    sk->refs = 1; // the conn's
    sk->space = space;
    uuid_make(sk->session.client);
    if (!identity_set(sk, id->tenant, id->user, id->claims.info)) {
        free(sk);
        return NULL;
    }
    sk->conn = c;
    sk->next = c->sockets;
    c->sockets = sk;
    c->socket_count++;
    return sk;
}

/* A refusal of a namespace in which there is no socket yet. */
static void refuse(struct sio_conn *c, struct str nsp, struct str own, struct str usual)
{
    char at[1024];
    struct buf out = sio_buf_on(at, sizeof(at));
    if (sio_head_write(&out, SIO_CONNECT_ERROR, 0, nsp) && buf_add(&out, own.n > 0 ? own : usual))
        carrier_send(c->carrier, buf_str(&out));
}

static void refuse_token(struct sio_conn *c, const struct sio_packet *p, const char *why)
{
    const struct sio_app *app = sio_shared_of(c->endpoint)->app;
    char at[512];
    struct buf out = sio_buf_on(at, sizeof(at));
    struct str own = app != NULL ? app->unauthorized : STR_NONE;
    if (buf_add(&out, STR("{\"message\":")) && json_write_string(&out, str_from(why)) &&
        buf_add_char(&out, '}'))
        refuse(c, p->nsp, own, buf_str(&out));
}

/* The payload's token counts before that of the handshake. False: it is no token at all. */
static bool token_of(const struct sio_conn *c, struct str auth, char *at, size_t cap,
                     struct str *ret)
{
    struct json j;
    struct str raw;
    *ret = c->token;
    if (auth.n == 0 || !json_find(auth, STR("token"), &raw) || str_eq(raw, STR("null")))
        return true;
    json_init(&j, raw);
    return json_read_string(&j, at, cap, ret) && json_end(&j);
}

static bool admit_connect(struct sio_conn *c, const struct sio_packet *p, struct identity *ret,
                          bool *ret_with_token)
{
    const struct sio_shared *sh = sio_shared_of(c->endpoint);
    char at[AUTH_TOKEN_MAX_BYTES];
    struct str token = STR_NONE;
    // Without a key to check it with, a token is a word between the client and its back end.
    bool ours =
        sh->backend == NULL || auth_has_token_key(admission_now(c->endpoint->admission)->auth);
    if (ours && !token_of(c, p->data, at, sizeof(at), &token)) {
        refuse_token(c, p, "token: must be a string");
        return false;
    }
    int64_t now_s = loop_wall_ms(hub_loop(c->hub)) / 1000;
    enum err err = admit(c->endpoint, token, c->tenant, now_s, sh->backend != NULL, ret);
    *ret_with_token = token.n > 0 && c->endpoint->auth != AUTH_NONE;
    if (err == ERR_OK)
        return true;
    refuse_token(c, p, ret->why);
    return false;
}

/* Who decides? Nobody that wants to: then the token, or that none is needed, has. */
static void ask(struct sio_socket *sk, struct str auth, const struct identity *id)
{
    const struct sio_shared *sh = sio_socket_shared(sk);
    const struct sio_app *rules[] = {sh->app, sh->backend};
    if (sh->recovery != NULL)
        sh->recovery->on_connect(sk, auth);
    for (size_t i = 0; i < 2; i++) {
        if (rules[i] != NULL && rules[i]->on_connect != NULL && rules[i]->on_connect(sk, auth, id))
            return;
    }
    sio_accept(sk, &(struct sio_admission){0});
}

void sio_connect(struct sio_conn *c, const struct sio_packet *p)
{
    struct sio_shared *sh = sio_shared_of(c->endpoint);
    struct sio_space *space = sio_space_find(sh, p->nsp);
    struct identity id;
    bool with_token;
    if (space == NULL || c->socket_count >= SIO_SOCKETS_MAX) {
        refuse(c, p->nsp, sh->app != NULL && sh->backend == NULL ? sh->app->no_namespace : STR_NONE,
               STR("{\"message\":\"Invalid namespace\"}"));
        return;
    }
    if (!admit_connect(c, p, &id, &with_token))
        return;
    struct sio_socket *sk = socket_make(c, space, &id);
    if (sk == NULL) {
        refuse(c, p->nsp, STR("{\"message\":\"Internal error\"}"), STR_NONE);
    } else {
        sk->from_token = with_token;
        sk->has_organization = with_token && id.claims.tenant.n > 0;
        sio_socket_ref(sk);
        ask(sk, p->data, with_token ? &id : NULL);
        sio_socket_unref(sk);
    }
    identity_fini(&id);
}
