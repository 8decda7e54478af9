/*
 * bridge_emit.c - one emit of python-socketio's manager as publications.
 *
 * Always true: a client that is in several of the rooms gets the event once. The second channel's
 * event spares whoever follows the first; skipped sockets are spared as followers of their own
 * channels.
 */
#include "base/pool.h"
#include "dialect/bridge_priv.h"
#include "dialect/socketio_priv.h"

enum { CHANNELS_MAX_BYTES = 4 << 20, ATTACHMENTS_MAX_BYTES = 64 << 20 };

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
static bool take_attachments(struct bridge_message *m, struct buf *encoded, uint32_t *ret_count)
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
        bool ok = json_read_raw(&j, &one) && bridge_take_text(m, one, &text) && text.n % 4 == 0 &&
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
static bool event_read(struct bridge_message *m, struct publish_params *p, struct buf *tags)
{
    struct buf encoded;
    struct str one = STR_NONE;
    uint32_t attachment_count = 0;
    buf_init(&encoded, ATTACHMENTS_MAX_BYTES);
    bool ok =
        bridge_take_text(m, m->event, &p->type) && p->type.n > 0 && !sio_name_is_reserved(m->event);
    if (!ok)
        bridge_wrong(m, "event: must be a string that is not reserved");
    if (ok && m->binary) {
        ok = take_attachments(m, &encoded, &attachment_count) &&
             sio_placeholders_ok(m->data, attachment_count);
        if (!ok)
            bridge_wrong(m, "data: not a binary event");
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
    if (!is_array && bridge_is_null(p->data)) {
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

static bool spare_sockets(struct bridge_message *m, struct buf *spared)
{
    struct bridge_names sids;
    uint8_t id[16];
    if (bridge_is_null(m->skip_sid))
        return true;
    if (!bridge_take_names(m, m->skip_sid, &sids))
        return bridge_wrong(m, "skip_sid: must be a string or an array of at most 256");
    for (size_t i = 0; i < sids.count; i++) {
        if (!sio_sid_parse(sids.all[i], id))
            continue; // of another server
        if (spared->len > 0 && !buf_add_char(spared, ' '))
            return bridge_wrong(m, "skip_sid: too long");
        if (!socketio_socket_channel(spared, sids.all[i]))
            return bridge_wrong(m, "skip_sid: too long");
    }
    return true;
}

/* A room's channel, or that of the socket whose id the room is; NULL in tenants: nobody. */
static bool room_find(struct bridge *b, struct str nsp, struct str room, struct name_set *ret,
                      struct buf *channel)
{
    uint8_t id[16];
    buf_clear(channel);
    if (sio_sid_parse(room, id)) {
        struct name_set sockets;
        name_set_init(&sockets, BRIDGE_TENANTS_MAX);
        b->ops->tenants(b->ctx, BRIDGE_SOCKET, nsp, room, bridge_tenant_note, &sockets);
        bool is_socket = sockets.names.count > 0;
        name_set_fini(&sockets);
        if (is_socket) {
            bridge_tenants_find(b, BRIDGE_SOCKET, nsp, room, ret);
            return socketio_socket_channel(channel, room);
        }
    }
    bridge_tenants_find(b, BRIDGE_ROOM, nsp, room, ret);
    return socketio_room_channel(channel, nsp, room);
}

static void emit_to_rooms(struct bridge *b, struct bridge_message *m, struct str nsp,
                          struct publish_params *p, struct buf *spared)
{
    struct bridge_names *rooms = pool_alloc(sizeof(*rooms));
    char at[CHANNEL_NAME_MOST];
    struct buf channel = buf_on(at, sizeof(at));
    if (rooms == NULL || !bridge_take_names(m, m->room, rooms)) {
        bridge_wrong(m, "room: must be a string or an array of at most 256");
        pool_free(rooms);
        return;
    }
    for (size_t i = 0; i < rooms->count; i++) {
        struct name_set tenants;
        if (!bridge_is_word(rooms->all[i])) { // nobody can be in it
            bridge_wrong(m, "room: must be a name without spaces");
            continue;
        }
        bool ok = room_find(b, nsp, rooms->all[i], &tenants, &channel);
        p->channel = buf_str(&channel);
        p->exclude_channels = buf_str(spared);
        if (ok)
            bridge_publish(b, &tenants, p);
        name_set_fini(&tenants);
        if (!ok || !spare(spared, p->channel))
            bridge_wrong(m, "room: too long");
    }
    pool_free(rooms);
}

static void emit_to_namespace(struct bridge *b, struct str nsp, struct publish_params *p,
                              const struct buf *spared)
{
    char at[CHANNEL_NAME_MOST];
    struct buf channel = buf_on(at, sizeof(at));
    struct name_set tenants;
    if (!socketio_namespace_channel(&channel, nsp))
        return;
    bridge_tenants_find(b, BRIDGE_NAMESPACE, nsp, STR_NONE, &tenants);
    p->channel = buf_str(&channel);
    p->exclude_channels = buf_str(spared);
    bridge_publish(b, &tenants, p);
    name_set_fini(&tenants);
}

void bridge_emit(struct bridge *b, struct bridge_message *m, struct str nsp)
{
    struct publish_params p = {0};
    struct buf tags, spared;
    buf_init(&tags, ATTACHMENTS_MAX_BYTES);
    buf_init(&spared, CHANNELS_MAX_BYTES);
    if (event_read(m, &p, &tags) && spare_sockets(m, &spared)) {
        if (bridge_is_null(m->room))
            emit_to_namespace(b, nsp, &p, &spared);
        else
            emit_to_rooms(b, m, nsp, &p, &spared);
    }
    buf_fini(&tags);
    buf_fini(&spared);
}
