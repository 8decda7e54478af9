/*
 * pytake.c - WhatsApp conversations over Socket.IO: the rules of one application.
 *
 * Why it exists: who connects is told by a token, and follows the channels of his user and of his
 * organization; conversations are rooms that clients join and leave, and in which they are seen
 * typing. Messages come from the application's back end, through the channel of the conversation.
 *
 * A mistake is what the application's own server makes of it: an event with the wrong number of
 * arguments is dropped and not acknowledged, and only joining reports errors.
 */
#include "dialect/pytake_priv.h"
#include "dialect/socketio_priv.h"

enum { REPLY_BYTES_MAX = 1 << 20 };

/* ---- what is said ---- */

/* Opens ["event",{ into an empty buffer; reply_end() closes and sends. */
static void reply_begin(struct json_writer *w, struct buf *out, struct str event)
{
    buf_init(out, REPLY_BYTES_MAX);
    json_writer_init(w, out);
    json_open_array(w);
    json_put_string(w, event);
    json_open_object(w);
}

static void reply_end(struct sio_socket *sk, struct json_writer *w)
{
    json_close_object(w);
    json_close_array(w);
    if (json_done(w))
        sio_emit(sk, &(struct sio_message){.data = buf_str(w->out)});
    buf_fini(w->out);
}

static void reply_error(struct sio_socket *sk, struct str message)
{
    struct json_writer w;
    struct buf out;
    reply_begin(&w, &out, STR("error"));
    json_put_string(json_key(&w, STR("message")), message);
    reply_end(sk, &w);
}

static void acknowledge(struct sio_socket *sk, const struct sio_packet *p)
{
    if (p->has_id)
        sio_ack(sk, p->id, &(struct sio_message){.data = STR("[]")});
}

/* ---- rooms ---- */

/* prefix and name as one room; false: too long for one. */
static bool room_name(struct buf *out, struct str prefix, struct str name)
{
    return buf_add(out, prefix) && buf_add(out, name);
}

static bool is_somebody(const struct sio_socket *sk)
{
    return sk->session.user.n > 0 && sk->has_organization;
}

/* alone: nobody else is in it, so that it needs no presence. */
static void join_own(struct sio_socket *sk, struct str prefix, struct str name, bool alone)
{
    char at[NAME_BYTES_MAX + 32];
    struct buf room = sio_buf_on(at, sizeof(at));
    if (name.n > 0 && room_name(&room, prefix, name))
        sio_join_channel(sk, buf_str(&room), alone, NULL, NULL);
}

/* user:status to the others of the organization. */
static void tell_status(struct sio_socket *sk, struct str status)
{
    char at[NAME_BYTES_MAX + 32];
    struct buf room = sio_buf_on(at, sizeof(at));
    struct json_writer w;
    struct buf data;
    if (!is_somebody(sk) || !room_name(&room, STR("organization:"), sk->session.tenant))
        return;
    buf_init(&data, REPLY_BYTES_MAX);
    json_writer_init(&w, &data);
    json_open_object(&w);
    json_put_string(json_key(&w, STR("user_id")), sk->session.user);
    json_put_string(json_key(&w, STR("status")), status);
    json_close_object(&w);
    if (json_done(&w))
        sio_publish(sk, buf_str(&room), STR("user:status"), buf_str(&data), sk);
    buf_fini(&data);
}

static bool is_ours(const struct sio_socket *sk)
{
    return sk->space->name.n == 1;
}

static void pytake_joining(struct sio_socket *sk)
{
    if (!is_ours(sk))
        return;
    join_own(sk, STR("user:"), sk->session.user, true);
    if (sk->has_organization)
        join_own(sk, STR("organization:"), sk->session.tenant, false);
}

static void pytake_connected(struct sio_socket *sk)
{
    struct json_writer w;
    struct buf out;
    if (!is_ours(sk) || !sk->from_token)
        return;
    reply_begin(&w, &out, STR("connected"));
    json_put_string(json_key(&w, STR("message")), STR("Connected to PyTake WebSocket"));
    if (sk->session.user.n > 0)
        json_put_string(json_key(&w, STR("user_id")), sk->session.user);
    else
        json_put_null(json_key(&w, STR("user_id")));
    reply_end(sk, &w);
    if (!sk->recovered)
        tell_status(sk, STR("online"));
}

static void pytake_disconnected(struct sio_socket *sk, struct str reason)
{
    (void)reason;
    if (is_ours(sk) && sk->from_token)
        tell_status(sk, STR("offline"));
}

/* ---- events ---- */

/* A join under way: the id as it was sent, and the ack that is owed. */
struct join_call {
    uint64_t ack_id;
    bool has_ack;
    size_t n;
    char id[];
};

static void join_done(void *ctx, struct sio_socket *sk, enum err err)
{
    struct join_call *call = ctx;
    struct str id = {call->id, call->n};
    struct json_writer w;
    struct buf out, text;
    if (err == ERR_OK) {
        buf_init(&text, REPLY_BYTES_MAX);
        reply_begin(&w, &out, STR("joined_conversation"));
        json_put_string(json_key(&w, STR("conversation_id")), id);
        if (buf_add(&text, STR("Joined conversation ")) && buf_add(&text, id))
            json_put_string(json_key(&w, STR("message")), buf_str(&text));
        reply_end(sk, &w);
        buf_fini(&text);
    } else if (err != ERR_EXPIRED) { // it has left again meanwhile
        reply_error(sk, STR("Failed to join conversation"));
    }
    if (call->has_ack)
        sio_ack(sk, call->ack_id, &(struct sio_message){.data = STR("[]")});
    free(call);
}

static void join_start(struct sio_socket *sk, const struct sio_packet *p, struct str id)
{
    char at[CHANNEL_NAME_MOST];
    struct buf room = sio_buf_on(at, sizeof(at));
    struct join_call *call = malloc(sizeof(*call) + id.n);
    if (call == NULL || !room_name(&room, STR("conversation:"), id)) {
        free(call);
        reply_error(sk, STR("Failed to join conversation"));
        acknowledge(sk, p);
        return;
    }
    *call = (struct join_call){.ack_id = p->id, .has_ack = p->has_id, .n = id.n};
    memcpy(call->id, id.p, id.n);
    sio_join(sk, buf_str(&room), join_done, call);
}

static void on_join(struct sio_socket *sk, const struct sio_packet *p,
                    const struct pytake_conversation *c)
{
    struct str why = STR_NONE;
    if (c->named == PYTAKE_BADLY || c->named == PYTAKE_OTHER)
        why = STR("Failed to join conversation");
    else if (c->named == PYTAKE_NOTHING)
        why = STR("conversation_id is required");
    else if (!pytake_id_ok(c->id))
        why = STR("Invalid conversation_id format");
    else if (!is_somebody(sk))
        why = STR("Not authenticated");
    if (why.n == 0) {
        join_start(sk, p, c->id);
        return;
    }
    reply_error(sk, why);
    acknowledge(sk, p);
}

static void on_leave(struct sio_socket *sk, const struct sio_packet *p,
                     const struct pytake_conversation *c)
{
    char at[CHANNEL_NAME_MOST];
    struct buf room = sio_buf_on(at, sizeof(at));
    struct json_writer w;
    struct buf out;
    if (c->named == PYTAKE_TEXT && room_name(&room, STR("conversation:"), c->id))
        sio_leave(sk, buf_str(&room));
    if (c->named == PYTAKE_TEXT || c->named == PYTAKE_OTHER) {
        reply_begin(&w, &out, STR("left_conversation"));
        json_put_raw(json_key(&w, STR("conversation_id")), c->raw);
        reply_end(sk, &w);
    }
    acknowledge(sk, p);
}

static void tell_typing(struct sio_socket *sk, const struct pytake_conversation *c, bool typing)
{
    char at[CHANNEL_NAME_MOST];
    struct buf room = sio_buf_on(at, sizeof(at));
    struct json_writer w;
    struct buf data;
    // Nobody can be in the room of an id that is no text.
    if (c->named != PYTAKE_TEXT || sk->session.user.n == 0 ||
        !room_name(&room, STR("conversation:"), c->id))
        return;
    buf_init(&data, REPLY_BYTES_MAX);
    json_writer_init(&w, &data);
    json_open_object(&w);
    json_put_raw(json_key(&w, STR("conversation_id")), c->raw);
    json_put_string(json_key(&w, STR("user_id")), sk->session.user);
    json_put_bool(json_key(&w, STR("typing")), typing);
    json_close_object(&w);
    if (json_done(&w))
        sio_publish(sk, buf_str(&room), STR("user_typing"), buf_str(&data), sk);
    buf_fini(&data);
}

static void on_typing_start(struct sio_socket *sk, const struct sio_packet *p,
                            const struct pytake_conversation *c)
{
    tell_typing(sk, c, true);
    acknowledge(sk, p);
}

static void on_typing_stop(struct sio_socket *sk, const struct sio_packet *p,
                           const struct pytake_conversation *c)
{
    tell_typing(sk, c, false);
    acknowledge(sk, p);
}

static void on_ping(struct sio_socket *sk, const struct sio_packet *p,
                    const struct pytake_conversation *c)
{
    (void)c;
    sio_emit(sk, &(struct sio_message){.data = STR("[\"pong\",{\"timestamp\":\"now\"}]")});
    acknowledge(sk, p);
}

static const struct rule {
    struct str name;
    uint32_t argument_count;
    void (*run)(struct sio_socket *sk, const struct sio_packet *p,
                const struct pytake_conversation *c);
} rules[] = {
    {{"join_conversation", 17}, 1, on_join},
    {{"leave_conversation", 18}, 1, on_leave},
    {{"typing_start", 12}, 1, on_typing_start},
    {{"typing_stop", 11}, 1, on_typing_stop},
    {{"ping", 4}, 0, on_ping},
};

static const struct rule *rule_find(struct str name)
{
    if (name.p[0] != '"')
        return NULL;
    struct str body = {name.p + 1, name.n - 2};
    for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
        if (json_key_is(body, rules[i].name))
            return &rules[i];
    }
    return NULL;
}

/* What stands behind the event's name. */
static struct str first_argument(const struct sio_packet *p)
{
    struct json j;
    struct str raw = STR_NONE;
    json_init(&j, p->data);
    if (json_array_begin(&j) && json_array_next(&j) && json_skip(&j) && json_array_next(&j))
        json_read_raw(&j, &raw);
    return raw;
}

static bool pytake_event(struct sio_socket *sk, const struct sio_packet *p)
{
    char at[CHANNEL_NAME_MOST];
    struct pytake_conversation c = {.named = PYTAKE_NOTHING};
    const struct rule *rule = is_ours(sk) ? rule_find(p->name) : NULL;
    if (rule == NULL)
        return false;
    if (p->argument_count != rule->argument_count)
        return true;
    if (p->argument_count > 0)
        pytake_conversation_read(first_argument(p), at, sizeof(at), &c);
    rule->run(sk, p, &c);
    return true;
}

static const struct sio_app pytake_app = {
    .name = "pytake",
    .no_namespace = {"\"Unable to connect\"", 19},
    .unauthorized = {"{\"message\":\"Connection rejected by server\"}", 43},
    .token_required = true,
    .on_joining = pytake_joining,
    .on_connected = pytake_connected,
    .on_event = pytake_event,
    .on_disconnect = pytake_disconnected,
};

static void pytake_prepare(struct endpoint *e)
{
    sio_prepare(e, &pytake_app);
}

/* Its clients ask for /socket.io/, some without the slash, and behind some versions of the
 * application's framework for the doubled path. */
static const struct dialect_route pytake_routes[] = {
    {~0u, "/socket.io", sio_handle},
    {~0u, "/socket.io/socket.io/", sio_handle},
    {~0u, "/socket.io/socket.io", sio_handle},
};

/* What its framework makes of a WebSocket that is closed before it was accepted. */
static bool pytake_refuse_path(struct http_request *r)
{
    if (!ws_is_handshake(r))
        return false;
    http_reply(r, 403, STR("text/plain; charset=utf-8"), STR_NONE, STR_NONE);
    return true;
}

const struct dialect dialect_pytake = {
    .name = "pytake",
    .path = "/socket.io/",
    .methods = ~0u,
    .handle = sio_handle,
    .prepare = pytake_prepare,
    .release = sio_release,
    .routes = pytake_routes,
    .route_count = sizeof(pytake_routes) / sizeof(pytake_routes[0]),
    .outlives_requests = true,
    .refuse_path = pytake_refuse_path,
};
