/*
 * bridge.c - messages of a broker, read and turned into verbs of the hub.
 *
 * Why it exists: back ends in Python emit to Socket.IO clients through Redis, and others publish
 * plain events there. They go on doing so, and need to know nothing of this server.
 *
 * How it maps: a room is a channel (dialect/socketio.h). A message names no tenant, so it goes to
 * every tenant that has the room, unless the configuration names one. A client that is in several
 * of the rooms of one emit gets it once: the second channel's event spares whoever follows the
 * first, and skipped sockets are spared as followers of their own channels.
 */
#include "dialect/bridge.h"

#include "base/json.h"
#include "base/log.h"
#include "base/map.h"
#include "base/pool.h"
#include "dialect/socketio_priv.h"

enum {
    LOG_EVERY_MS = 60000,
    ROOMS_MAX = 256, // of one message; as many sockets are skipped
    TENANTS_MAX = 1 << 20,
    CHANNELS_MAX_BYTES = 4 << 20,
    ATTACHMENTS_MAX_BYTES = 64 << 20,
};

/* ---- complaints ---- */

void bridge_complain(struct bridge *b, enum bridge_complaint kind, const char *why, uint64_t now_ms)
{
    static const char *const texts[BRIDGE_COMPLAINTS] = {
        [BRIDGE_PICKLE] = "a message is a Python pickle, which is never read: use python-socketio "
                          "5.14 or newer in the back end, which writes JSON",
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

/* ---- a message ---- */

struct names {
    struct str all[ROOMS_MAX];
    size_t count;
};

struct message {
    struct str method, event, data, nsp, room, sid, skip_sid; // raw JSON as it came; "": none
    bool binary;
    const char *wrong; // NULL: nothing so far
    char *at;          // room for decoded strings, as much as the message has bytes
    size_t left;
};

static bool wrong(struct message *m, const char *why)
{
    if (m->wrong == NULL)
        m->wrong = why;
    return false;
}

static bool is_null(struct str raw)
{
    return raw.n == 0 || str_eq(raw, STR("null"));
}

static void take_member(struct json *j, struct str key, struct message *m)
{
    const struct {
        struct str key;
        struct str *to;
    } members[] = {
        {STR("method"), &m->method},     {STR("event"), &m->event}, {STR("data"), &m->data},
        {STR("namespace"), &m->nsp},     {STR("room"), &m->room},   {STR("sid"), &m->sid},
        {STR("skip_sid"), &m->skip_sid},
    };
    struct str raw;
    if (json_key_is(key, STR("binary")) && json_peek(j) == JSON_BOOL) {
        json_read_bool(j, &m->binary);
        return;
    }
    if (!json_read_raw(j, &raw))
        return;
    for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
        if (json_key_is(key, members[i].key))
            *members[i].to = raw;
    }
}

static bool message_read(struct str payload, struct message *ret)
{
    struct json j;
    struct str key;
    json_init(&j, payload);
    if (json_peek(&j) != JSON_OBJECT)
        return false;
    json_object_begin(&j);
    while (json_object_next(&j, &key))
        take_member(&j, key, ret);
    return json_end(&j);
}

/* A JSON string, decoded. */
static bool take_text(struct message *m, struct str raw, struct str *ret)
{
    struct json j;
    json_init(&j, raw);
    if (json_peek(&j) != JSON_STRING || !json_read_string(&j, m->at, m->left, ret))
        return false;
    if (ret->p == m->at) {
        m->at += ret->n;
        m->left -= ret->n;
    }
    return true;
}

/* Rooms may have been named by numbers. */
static bool take_name(struct message *m, struct str raw, struct names *ret)
{
    struct str name = raw;
    struct json j;
    json_init(&j, raw);
    if (json_peek(&j) != JSON_NUMBER && !take_text(m, raw, &name))
        return false;
    if (ret->count == ROOMS_MAX)
        return false;
    ret->all[ret->count++] = name;
    return true;
}

/* A name, or an array of names. */
static bool take_names(struct message *m, struct str raw, struct names *ret)
{
    struct json j;
    struct str one;
    ret->count = 0;
    json_init(&j, raw);
    if (json_peek(&j) != JSON_ARRAY)
        return take_name(m, raw, ret);
    json_array_begin(&j);
    while (json_array_next(&j)) {
        if (!json_read_raw(&j, &one) || !take_name(m, one, ret))
            return false;
    }
    return true;
}

static bool take_namespace(struct message *m, struct str *ret)
{
    *ret = STR("/");
    if (is_null(m->nsp))
        return true;
    return take_text(m, m->nsp, ret) && sio_nsp_ok(*ret);
}

/* ---- tenants ---- */

struct tenant {
    struct map_node node;
    char name[];
};

/* Those that one verb is for. */
struct tenants {
    struct map all;
};

static void tenant_note(void *ctx, struct str name)
{
    struct tenants *ts = ctx;
    if (map_find(&ts->all, name) != NULL)
        return;
    struct tenant *t = malloc(sizeof(*t) + name.n);
    if (t == NULL)
        return;
    char *at = t->name;
    t->node.key = str_put(&at, name);
    if (!map_add(&ts->all, &t->node))
        free(t);
}

static void tenants_find(struct bridge *b, enum bridge_where where, struct str nsp, struct str name,
                         struct tenants *ret)
{
    map_init(&ret->all, TENANTS_MAX);
    if (str_eq(b->tenant, STR("*")))
        b->ops->tenants(b->ctx, where, nsp, name, tenant_note, ret);
    else
        tenant_note(ret, b->tenant);
}

static void tenants_drop(struct tenants *ts)
{
    struct map_node *n;
    while ((n = map_first(&ts->all)) != NULL) {
        map_remove(&ts->all, n);
        free(container_of(n, struct tenant, node));
    }
    map_fini(&ts->all);
}

static void publish_to_all(struct bridge *b, struct tenants *ts, struct publish_params *p)
{
    for (struct map_node *n = map_first(&ts->all); n != NULL; n = map_next(&ts->all, n)) {
        p->tenant = n->key;
        b->ops->publish(b->ctx, p);
    }
}

static void control_all(struct bridge *b, struct tenants *ts, struct control_params *p)
{
    for (struct map_node *n = map_first(&ts->all); n != NULL; n = map_next(&ts->all, n)) {
        p->tenant = n->key;
        b->ops->control(b->ctx, p);
    }
}

/* ---- emit ---- */

/* How many arguments, and the only one. */
static size_t arguments_count(struct str array, struct str *ret_one)
{
    struct json j;
    size_t count = 0;
    json_init(&j, array);
    json_array_begin(&j);
    while (json_array_next(&j) && json_read_raw(&j, ret_one))
        count++;
    return count;
}

/* The arguments and, of a binary event, its attachments as base64 behind commas. */
static bool take_attachments(struct message *m, struct buf *encoded, uint32_t *ret_count)
{
    struct json j;
    struct str one, text;
    json_init(&j, m->data);
    if (json_peek(&j) != JSON_ARRAY)
        return false;
    json_array_begin(&j);
    if (!json_array_next(&j) || !json_read_raw(&j, &m->data))
        return false;
    *ret_count = 0;
    while (json_array_next(&j)) {
        bool ok = json_read_raw(&j, &one) && take_text(m, one, &text) && text.n % 4 == 0 &&
                  memchr(text.p, ',', text.n) == NULL && ++*ret_count <= SIO_ATTACHMENTS_MAX &&
                  (*ret_count == 1 || buf_add_char(encoded, ',')) && buf_add(encoded, text);
        if (!ok)
            return false;
    }
    return true;
}

static bool tags_write(struct buf *out, bool is_array, struct str attachments)
{
    struct json_writer w;
    if (!is_array && attachments.n == 0)
        return true;
    json_writer_init(&w, out);
    json_open_object(&w);
    if (is_array)
        json_put_string(json_key(&w, STR("socketio")), STR("args"));
    if (attachments.n > 0)
        json_put_string(json_key(&w, STR("attachments")), attachments);
    json_close_object(&w);
    return json_done(&w);
}

/* What is published, wherever it goes. The data is one argument, or an array of them; null alone
 * is none, as the manager has it. */
static bool event_read(struct message *m, struct publish_params *p, struct buf *tags)
{
    struct buf encoded;
    struct str one = STR_NONE;
    uint32_t attachment_count = 0;
    buf_init(&encoded, ATTACHMENTS_MAX_BYTES);
    bool ok = take_text(m, m->event, &p->type) && p->type.n > 0 && !sio_name_is_reserved(m->event);
    if (!ok)
        wrong(m, "event: must be a string that is not reserved");
    if (ok && m->binary) {
        ok = take_attachments(m, &encoded, &attachment_count) &&
             sio_placeholders_ok(m->data, attachment_count);
        if (!ok)
            wrong(m, "data: not a binary event");
    }
    if (ok && attachment_count == 1 && encoded.len == 0)
        ok = buf_add_char(&encoded, ','); // one that is empty needs another to be seen
    struct json j;
    json_init(&j, m->data);
    p->data = m->data.n > 0 ? m->data : STR("[]");
    bool is_array = m->data.n == 0 || json_peek(&j) == JSON_ARRAY;
    if (is_array && arguments_count(p->data, &one) == 1) {
        p->data = one;
        is_array = false;
    }
    if (!is_array && is_null(p->data)) {
        p->data = STR("[]");
        is_array = true;
    }
    ok = ok && tags_write(tags, is_array, buf_str(&encoded));
    p->tags = buf_str(tags);
    buf_fini(&encoded);
    return ok;
}

/* One more that the next events spare. */
static bool spare(struct buf *spared, struct str channel)
{
    return (spared->len == 0 || buf_add_char(spared, ' ')) && buf_add(spared, channel);
}

static bool spare_sockets(struct message *m, struct buf *spared)
{
    struct names sids;
    uint8_t id[16];
    if (is_null(m->skip_sid))
        return true;
    if (!take_names(m, m->skip_sid, &sids))
        return wrong(m, "skip_sid: must be a string or an array of at most 256");
    for (size_t i = 0; i < sids.count; i++) {
        if (!sio_sid_parse(sids.all[i], id))
            continue; // of another server
        if (spared->len > 0 && !buf_add_char(spared, ' '))
            return wrong(m, "skip_sid: too long");
        if (!socketio_socket_channel(spared, sids.all[i]))
            return wrong(m, "skip_sid: too long");
    }
    return true;
}

static bool is_word(struct str name)
{
    for (size_t i = 0; i < name.n; i++) {
        if ((unsigned char)name.p[i] <= ' ')
            return false;
    }
    return name.n > 0;
}

/* A room's channel, or that of the socket whose id the room is; NULL in tenants: nobody. */
static bool room_find(struct bridge *b, struct str nsp, struct str room, struct tenants *ret,
                      struct buf *channel)
{
    uint8_t id[16];
    buf_clear(channel);
    if (sio_sid_parse(room, id)) {
        struct tenants sockets;
        map_init(&sockets.all, TENANTS_MAX);
        b->ops->tenants(b->ctx, BRIDGE_SOCKET, nsp, room, tenant_note, &sockets);
        bool is_socket = sockets.all.count > 0;
        tenants_drop(&sockets);
        if (is_socket) {
            tenants_find(b, BRIDGE_SOCKET, nsp, room, ret);
            return socketio_socket_channel(channel, room);
        }
    }
    tenants_find(b, BRIDGE_ROOM, nsp, room, ret);
    return socketio_room_channel(channel, nsp, room);
}

static void emit_to_rooms(struct bridge *b, struct message *m, struct str nsp,
                          struct publish_params *p, struct buf *spared)
{
    struct names *rooms = pool_alloc(sizeof(*rooms));
    char at[CHANNEL_NAME_MOST];
    struct buf channel = buf_on(at, sizeof(at));
    if (rooms == NULL || !take_names(m, m->room, rooms)) {
        wrong(m, "room: must be a string or an array of at most 256");
        pool_free(rooms);
        return;
    }
    for (size_t i = 0; i < rooms->count; i++) {
        struct tenants ts;
        if (!is_word(rooms->all[i])) { // nobody can be in it
            wrong(m, "room: must be a name without spaces");
            continue;
        }
        bool ok = room_find(b, nsp, rooms->all[i], &ts, &channel);
        p->channel = buf_str(&channel);
        p->exclude_channels = buf_str(spared);
        if (ok)
            publish_to_all(b, &ts, p);
        tenants_drop(&ts);
        if (!ok || !spare(spared, p->channel))
            wrong(m, "room: too long");
    }
    pool_free(rooms);
}

static void emit_to_namespace(struct bridge *b, struct str nsp, struct publish_params *p,
                              const struct buf *spared)
{
    char at[CHANNEL_NAME_MOST];
    struct buf channel = buf_on(at, sizeof(at));
    struct tenants ts;
    if (!socketio_namespace_channel(&channel, nsp))
        return;
    tenants_find(b, BRIDGE_NAMESPACE, nsp, STR_NONE, &ts);
    p->channel = buf_str(&channel);
    p->exclude_channels = buf_str(spared);
    publish_to_all(b, &ts, p);
    tenants_drop(&ts);
}

static void do_emit(struct bridge *b, struct message *m, struct str nsp)
{
    struct publish_params p = {0};
    struct buf tags, spared;
    buf_init(&tags, ATTACHMENTS_MAX_BYTES);
    buf_init(&spared, CHANNELS_MAX_BYTES);
    if (event_read(m, &p, &tags) && spare_sockets(m, &spared)) {
        if (is_null(m->room))
            emit_to_namespace(b, nsp, &p, &spared);
        else
            emit_to_rooms(b, m, nsp, &p, &spared);
    }
    buf_fini(&tags);
    buf_fini(&spared);
}

/* ---- sockets and rooms ---- */

static void control_socket(struct bridge *b, struct message *m, struct str nsp,
                           struct control_params *p)
{
    uint8_t id[16];
    struct tenants ts;
    if (!take_text(m, m->sid, &p->client)) {
        wrong(m, "sid: must be a string");
        return;
    }
    if (!sio_sid_parse(p->client, id))
        return; // of another server
    tenants_find(b, BRIDGE_SOCKET, nsp, p->client, &ts);
    p->dialect = "socketio";
    control_all(b, &ts, p);
    tenants_drop(&ts);
}

static void do_disconnect(struct bridge *b, struct message *m, struct str nsp)
{
    control_socket(
        b, m, nsp,
        &(struct control_params){.verb = CONTROL_DISCONNECT, .reason = CLOSE_FORCE_DISCONNECT});
}

static bool take_room(struct message *m, struct str nsp, struct str *ret, struct buf *channel)
{
    struct names room;
    room.count = 0;
    if (is_null(m->room) || !take_name(m, m->room, &room) || !is_word(room.all[0]))
        return wrong(m, "room: must be a name without spaces");
    *ret = room.all[0];
    return socketio_room_channel(channel, nsp, *ret) || wrong(m, "room: too long");
}

static void move_socket(struct bridge *b, struct message *m, struct str nsp, enum control verb)
{
    char at[CHANNEL_NAME_MOST];
    struct buf channel = buf_on(at, sizeof(at));
    struct str room;
    if (take_room(m, nsp, &room, &channel))
        control_socket(b, m, nsp,
                       &(struct control_params){.verb = verb, .channel = buf_str(&channel)});
}

static void do_enter_room(struct bridge *b, struct message *m, struct str nsp)
{
    move_socket(b, m, nsp, CONTROL_SUBSCRIBE);
}

static void do_leave_room(struct bridge *b, struct message *m, struct str nsp)
{
    move_socket(b, m, nsp, CONTROL_UNSUBSCRIBE);
}

static void do_close_room(struct bridge *b, struct message *m, struct str nsp)
{
    char at[CHANNEL_NAME_MOST];
    struct buf channel = buf_on(at, sizeof(at));
    struct tenants ts;
    struct str room;
    if (!take_room(m, nsp, &room, &channel))
        return;
    tenants_find(b, BRIDGE_ROOM, nsp, room, &ts);
    control_all(b, &ts,
                &(struct control_params){.verb = CONTROL_UNSUBSCRIBE,
                                         .everybody = true,
                                         .dialect = "socketio",
                                         .channel = buf_str(&channel)});
    tenants_drop(&ts);
}

/* Answers to acknowledgements are between the servers that asked for them. */
static void do_nothing(struct bridge *b, struct message *m, struct str nsp)
{
    (void)b;
    (void)m;
    (void)nsp;
}

static void socketio_do(struct bridge *b, struct message *m)
{
    static const struct {
        struct str method;
        void (*run)(struct bridge *b, struct message *m, struct str nsp);
    } methods[] = {
        {{"emit", 4}, do_emit},
        {{"enter_room", 10}, do_enter_room},
        {{"leave_room", 10}, do_leave_room},
        {{"close_room", 10}, do_close_room},
        {{"disconnect", 10}, do_disconnect},
        {{"callback", 8}, do_nothing},
    };
    struct str method, nsp;
    if (!take_text(m, m->method, &method)) {
        wrong(m, "method: must be a string");
        return;
    }
    if (!take_namespace(m, &nsp)) {
        wrong(m, "namespace: not one");
        return;
    }
    for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
        if (!str_eq(method, methods[i].method))
            continue;
        methods[i].run(b, m, nsp);
        return;
    }
    wrong(m, "method: not known");
}

/* ---- events of the conductor ---- */

static void gamification_do(struct bridge *b, struct message *m)
{
    struct str type;
    if (!take_text(m, m->event, &type) || type.n == 0) {
        wrong(m, "type: must be a string");
        return;
    }
    b->ops->publish(b->ctx,
                    &(struct publish_params){
                        .tenant = str_eq(b->tenant, STR("*")) ? b->tenant_default : b->tenant,
                        .channel = STR("gamification"),
                        .type = type,
                        .data = is_null(m->data) ? STR("{}") : m->data,
                    });
}

static bool gamification_read(struct str payload, struct message *ret)
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
    struct message m = {.left = payload.n};
    bool events = b->gamification.n > 0 && str_eq(channel, b->gamification);
    if (!events && (b->socketio.n == 0 || !str_eq(channel, b->socketio)))
        return;
    if (is_pickle(payload)) {
        bridge_complain(b, BRIDGE_PICKLE, "", now_ms);
        return;
    }
    if (!(events ? gamification_read(payload, &m) : message_read(payload, &m))) {
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
