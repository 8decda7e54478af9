/*
 * bridge.c - messages of a broker, turned into verbs of the hub.
 *
 * Why it exists: back ends in Python emit to Socket.IO clients through Redis, and others publish
 * plain events there. They go on doing so, and need to know nothing of this server.
 *
 * How it maps: a room is a channel (dialect/socketio.h). A message names no tenant, so it goes to
 * every tenant that has the room, unless the configuration names one.
 */
#include "base/log.h"
#include "base/pool.h"
#include "dialect/bridge_priv.h"
#include "dialect/socketio_priv.h"

enum { LOG_EVERY_MS = 60000 };

/* ---- complaints ---- */

void bridge_complain(struct bridge *b, enum bridge_complaint kind, const char *why, uint64_t now_ms)
{
    static const char *const texts[BRIDGE_COMPLAINTS] = {
        [BRIDGE_PICKLE] = ("a message is a Python pickle, which is never read: use python-socketio "
                           "5.14 or newer in the back end, which writes JSON"),
        [BRIDGE_NO_JSON] = "a message is no JSON object",
        [BRIDGE_FORM] = "a message was dropped",
        [BRIDGE_REFUSED] = "what a message asks was refused",
    };
    uint64_t *logged_ms = &b->complaints[kind].logged_ms;
    b->complaints[kind].count++;
    if (*logged_ms != 0 && now_ms - *logged_ms < LOG_EVERY_MS)
        return;
    log_warn("bridge: %s%s%s (%llu since the last such line)", texts[kind],
             why[0] != '\0' ? ": " : "", why, (unsigned long long)b->complaints[kind].count);
    *logged_ms = now_ms > 0 ? now_ms : 1;
    b->complaints[kind].count = 0;
}

static bool take_namespace(struct bridge_message *m, struct str *ret)
{
    *ret = STR("/");
    if (bridge_is_null(m->nsp))
        return true;
    return bridge_take_text(m, m->nsp, ret) && sio_nsp_ok(*ret);
}

/* ---- sockets and rooms ---- */

static void control_socket(struct bridge *b, struct bridge_message *m, struct str nsp,
                           struct control_params *p)
{
    uint8_t id[16];
    struct name_set tenants;
    if (!bridge_take_text(m, m->sid, &p->client)) {
        bridge_wrong(m, "sid: must be a string");
        return;
    }
    if (!sio_sid_parse(p->client, id))
        return; // of another server
    bridge_tenants_find(b, BRIDGE_SOCKET, nsp, p->client, &tenants);
    p->dialect = "socketio";
    bridge_control(b, &tenants, p);
    name_set_fini(&tenants);
}

static void do_disconnect(struct bridge *b, struct bridge_message *m, struct str nsp)
{
    control_socket(
        b, m, nsp,
        &(struct control_params){.verb = CONTROL_DISCONNECT, .reason = CLOSE_FORCE_DISCONNECT});
}

static bool take_room(struct bridge_message *m, struct str nsp, struct str *ret,
                      struct buf *channel)
{
    struct bridge_names room = {.count = 0};
    if (bridge_is_null(m->room) || !bridge_take_name(m, m->room, &room) ||
        !bridge_is_word(room.all[0]))
        return bridge_wrong(m, "room: must be a name without spaces");
    *ret = room.all[0];
    return socketio_room_channel(channel, nsp, *ret) || bridge_wrong(m, "room: too long");
}

static void move_socket(struct bridge *b, struct bridge_message *m, struct str nsp,
                        enum control verb)
{
    char at[CHANNEL_NAME_MOST];
    struct buf channel = buf_on(at, sizeof(at));
    struct str room;
    if (take_room(m, nsp, &room, &channel))
        control_socket(b, m, nsp,
                       &(struct control_params){.verb = verb, .channel = buf_str(&channel)});
}

static void do_enter_room(struct bridge *b, struct bridge_message *m, struct str nsp)
{
    move_socket(b, m, nsp, CONTROL_SUBSCRIBE);
}

static void do_leave_room(struct bridge *b, struct bridge_message *m, struct str nsp)
{
    move_socket(b, m, nsp, CONTROL_UNSUBSCRIBE);
}

static void do_close_room(struct bridge *b, struct bridge_message *m, struct str nsp)
{
    char at[CHANNEL_NAME_MOST];
    struct buf channel = buf_on(at, sizeof(at));
    struct name_set tenants;
    struct str room = STR_NONE;
    if (!take_room(m, nsp, &room, &channel))
        return;
    bridge_tenants_find(b, BRIDGE_ROOM, nsp, room, &tenants);
    bridge_control(b, &tenants,
                   &(struct control_params){.verb = CONTROL_UNSUBSCRIBE,
                                            .everybody = true,
                                            .dialect = "socketio",
                                            .channel = buf_str(&channel)});
    name_set_fini(&tenants);
}

/* Answers to acknowledgements are between the servers that asked for them. */
static void do_nothing(struct bridge *b, struct bridge_message *m, struct str nsp)
{
    (void)b;
    (void)m;
    (void)nsp;
}

static void socketio_do(struct bridge *b, struct bridge_message *m)
{
    static const struct {
        struct str method;
        void (*run)(struct bridge *b, struct bridge_message *m, struct str nsp);
    } methods[] = {
        {{"emit", 4}, bridge_emit},          {{"enter_room", 10}, do_enter_room},
        {{"leave_room", 10}, do_leave_room}, {{"close_room", 10}, do_close_room},
        {{"disconnect", 10}, do_disconnect}, {{"callback", 8}, do_nothing},
    };
    struct str method, nsp;
    if (!bridge_take_text(m, m->method, &method)) {
        bridge_wrong(m, "method: must be a string");
        return;
    }
    if (!take_namespace(m, &nsp)) {
        bridge_wrong(m, "namespace: not one");
        return;
    }
    for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
        if (!str_eq(method, methods[i].method))
            continue;
        methods[i].run(b, m, nsp);
        return;
    }
    bridge_wrong(m, "method: not known");
}

/* ---- events of the conductor ---- */

static void gamification_do(struct bridge *b, struct bridge_message *m)
{
    struct str type;
    if (!bridge_take_text(m, m->event, &type) || type.n == 0) {
        bridge_wrong(m, "type: must be a string");
        return;
    }
    b->ops->publish(b->ctx,
                    &(struct publish_params){
                        .tenant = str_eq(b->tenant, STR("*")) ? b->tenant_default : b->tenant,
                        .channel = STR("gamification"),
                        .type = type,
                        .data = bridge_is_null(m->data) ? STR("{}") : m->data,
                    });
}

static bool gamification_read(struct str payload, struct bridge_message *ret)
{
    struct json j;
    struct str key, raw;
    json_init(&j, payload);
    if (json_peek(&j) != JSON_OBJECT)
        return false;
    json_object_begin(&j);
    while (json_object_next(&j, &key) && json_read_raw(&j, &raw)) {
        if (json_key_is(key, STR("type")))
            ret->event = raw;
        else if (json_key_is(key, STR("data")))
            ret->data = raw;
    }
    return json_end(&j);
}

/* ---- */

/* 0x80 and the number of the protocol: what every pickle since Python 2.3 may begin with, and JSON
 * never. */
static bool is_pickle(struct str payload)
{
    return payload.n >= 2 && (uint8_t)payload.p[0] == 0x80 && payload.p[1] >= 2 &&
           payload.p[1] <= 5;
}

void bridge_take(struct bridge *b, struct str channel, struct str payload, uint64_t now_ms)
{
    struct bridge_message m = {.left = payload.n};
    bool events = b->gamification.n > 0 && str_eq(channel, b->gamification);
    if (!events && (b->socketio.n == 0 || !str_eq(channel, b->socketio)))
        return;
    if (is_pickle(payload)) {
        bridge_complain(b, BRIDGE_PICKLE, "", now_ms);
        return;
    }
    if (!(events ? gamification_read(payload, &m) : bridge_message_read(payload, &m))) {
        bridge_complain(b, BRIDGE_NO_JSON, "", now_ms);
        return;
    }
    char *scratch = pool_alloc(payload.n);
    if (scratch == NULL)
        return;
    m.at = scratch;
    if (events)
        gamification_do(b, &m);
    else
        socketio_do(b, &m);
    pool_free(scratch);
    if (m.wrong != NULL)
        bridge_complain(b, BRIDGE_FORM, m.wrong, now_ms);
}
