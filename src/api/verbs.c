/*
 * verbs.c - each command: which fields it has, which verb of the hub it is, how its result looks.
 *
 * Why it exists: the requests and results are those of Centrifugo's HTTP API, so that back ends
 * written for it work unchanged; type, tenant, user and exclude of a publish, and sessions, are
 * ours.
 *
 * Always true: what a command does not say is left at the hub's default; nothing is done before
 * every field was found right.
 */
#include "api/api_priv.h"

#include "base/clock.h"
#include "base/must.h"
#include "base/random.h"

#define FIELD(kind, member)                                                                        \
    {                                                                                              \
#member, FIELD_##kind, offsetof(struct params, member)                                     \
    }
#define FIELD_AS(kind, name, member)                                                               \
    {                                                                                              \
        name, FIELD_##kind, offsetof(struct params, member)                                        \
    }
#define FIELD_NOT(name)                                                                            \
    {                                                                                              \
        name, FIELD_UNSUPPORTED, 0                                                                 \
    }

static void write_nothing(struct json_writer *w, const struct slot *s, const struct answer *a)
{
    (void)s, (void)a;
    json_open_object(w);
    json_close_object(w);
}

static void put_epoch(struct json_writer *w, uint32_t epoch)
{
    char text[EPOCH_TEXT];
    epoch_format(epoch, text);
    json_put_string(json_key(w, STR("epoch")), (struct str){text, sizeof(text)});
}

static void put_uuid(struct json_writer *w, const uint8_t uuid[16])
{
    char text[UUID_TEXT];
    uuid_format(uuid, text);
    json_put_string(w, (struct str){text, sizeof(text)});
}

static bool has_channel(struct slot *s, const struct params *p)
{
    if (p->channel.n == 0)
        slot_refuse(s, "channel", "is required");
    return p->channel.n > 0;
}

static bool has_somebody(struct slot *s, const struct params *p)
{
    bool is = p->user.n > 0 || p->client.n > 0;
    if (!is)
        slot_refuse(s, "user", "is required");
    return is;
}

static bool fits_code(struct slot *s, const struct params *p)
{
    bool is = p->code == 0 || (p->code >= 1000 && p->code <= 4999);
    if (!is)
        slot_refuse(s, "disconnect", "code must be from 1000 to 4999");
    return is;
}

/* ---- publish, broadcast ---- */

static const struct field publish_fields[] = {
    FIELD(STRING, channel),
    FIELD(JSON, data),
    FIELD(STRING, type),
    FIELD(TAGS, tags),
    FIELD(STRING, idempotency_key),
    FIELD(BOOL, skip_history),
    FIELD(STRING, exclude),
    FIELD(STRING, user),
    FIELD(STRING, tenant),
    FIELD_NOT("b64data"),
    FIELD_NOT("version"),
    {0},
};

static const struct field broadcast_fields[] = {
    FIELD(STRINGS, channels),
    FIELD(JSON, data),
    FIELD(STRING, type),
    FIELD(TAGS, tags),
    FIELD(STRING, idempotency_key),
    FIELD(BOOL, skip_history),
    FIELD(STRING, exclude),
    FIELD(STRING, tenant),
    FIELD_NOT("b64data"),
    FIELD_NOT("version"),
    {0},
};

void publish_start(struct slot *s, const struct params *p)
{
    uint8_t excluded[16];
    if (p->exclude.n > 0 && !uuid_parse(p->exclude, excluded)) {
        slot_refuse(s, "exclude", "must be a client's id (a UUID)");
        return;
    }
    s->verb = &api_verbs[0];
    hub_publish(s->ask->hub,
                &(struct publish_params){
                    .tenant = p->tenant,
                    .channel = p->channel,
                    .type = p->type,
                    .data = p->data,
                    .tags = p->tags,
                    .idempotency_key = p->idempotency_key,
                    .exclude_client = p->exclude.n > 0 ? excluded : NULL,
                    .skip_history = p->skip_history,
                },
                slot_done, s);
}

/* A publish to a user without a channel goes to the user's own. */
static bool channel_of_user(struct params *p)
{
    struct str head = STR("user:");
    char *at = params_room(p, head.n + p->user.n);
    if (at == NULL)
        return params_fail(p, "user", "is too long");
    memcpy(at, head.p, head.n);
    memcpy(at + head.n, p->user.p, p->user.n);
    p->channel = (struct str){at, head.n + p->user.n};
    return true;
}

static void start_publish(struct slot *s, struct params *p)
{
    if (p->channel.n == 0 && p->user.n > 0 && !channel_of_user(p))
        slot_refuse(s, p->wrong_field, p->wrong);
    else if (!has_channel(s, p))
        return;
    else if (p->data.n == 0)
        slot_refuse(s, "data", "is required");
    else
        publish_start(s, p);
}

static void write_publish(struct json_writer *w, const struct slot *s, const struct answer *a)
{
    (void)s;
    json_open_object(w);
    if (a->position.epoch != 0) {
        json_put_u64(json_key(w, STR("offset")), a->position.offset);
        put_epoch(w, a->position.epoch);
    }
    json_close_object(w);
}

/* ---- control ---- */

static const struct field subscribe_fields[] = {
    FIELD(STRING, user),       FIELD(STRING, channel), FIELD(STRING, client),
    FIELD(JSON, info),         FIELD(JSON, data),      FIELD_AS(POSITION, "recover_since", since),
    FIELD(INTEGER, expire_at), FIELD(STRING, tenant),  FIELD_NOT("b64info"),
    FIELD_NOT("b64data"),      FIELD_NOT("session"),   {0},
};

static void start_subscribe(struct slot *s, struct params *p)
{
    const char *why;
    if (!has_somebody(s, p) || !has_channel(s, p))
        return;
    if (!channel_name_ok(hub_policy(s->ask->hub), p->channel, &why)) {
        slot_fail(s, ERR_BAD_REQUEST, why);
        return;
    }
    hub_control(s->ask->hub,
                &(struct control_params){
                    .verb = CONTROL_SUBSCRIBE,
                    .tenant = p->tenant,
                    .user = p->user,
                    .client = p->client,
                    .channel = p->channel,
                    .info = p->info,
                    .data = p->data,
                    .recover = p->since.given,
                    .epoch_unknown = p->since.unknown,
                    .since = p->since.at,
                    .expire_at = p->expire_at,
                },
                slot_done, s);
}

static const struct field unsubscribe_fields[] = {
    FIELD(STRING, user),   FIELD(STRING, channel), FIELD(STRING, client),
    FIELD(STRING, tenant), FIELD_NOT("session"),   {0},
};

static void start_unsubscribe(struct slot *s, struct params *p)
{
    if (!has_somebody(s, p))
        return;
    hub_control(s->ask->hub,
                &(struct control_params){
                    .verb = CONTROL_UNSUBSCRIBE,
                    .tenant = p->tenant,
                    .user = p->user,
                    .client = p->client,
                    .channel = p->channel, // none: all of them
                },
                slot_done, s);
}

static const struct field disconnect_fields[] = {
    FIELD(STRING, user),
    FIELD(STRING, client),
    FIELD_AS(DISCONNECT, "disconnect", code),
    FIELD(STRINGS, whitelist),
    FIELD(STRING, tenant),
    FIELD_NOT("session"),
    {0},
};

static void start_disconnect(struct slot *s, struct params *p)
{
    if (!has_somebody(s, p) || !fits_code(s, p))
        return;
    hub_control(s->ask->hub,
                &(struct control_params){
                    .verb = CONTROL_DISCONNECT,
                    .tenant = p->tenant,
                    .user = p->user,
                    .client = p->client,
                    .except_clients = p->whitelist,
                    .reason = CLOSE_FORCE_DISCONNECT,
                    .code = (unsigned)p->code,
                    .text = p->reason,
                },
                slot_done, s);
}

static const struct field refresh_fields[] = {
    FIELD(STRING, user),   FIELD(STRING, client), FIELD(BOOL, expired), FIELD(INTEGER, expire_at),
    FIELD(STRING, tenant), FIELD_NOT("info"),     FIELD_NOT("session"), {0},
};

static void start_refresh(struct slot *s, struct params *p)
{
    if (!has_somebody(s, p))
        return;
    hub_control(s->ask->hub,
                &(struct control_params){
                    .verb = CONTROL_REFRESH,
                    .tenant = p->tenant,
                    .user = p->user,
                    .client = p->client,
                    .expired = p->expired,
                    .expire_at = p->expire_at,
                },
                slot_done, s);
}

/* ---- presence ---- */

static const struct field channel_fields[] = {
    FIELD(STRING, channel),
    FIELD(STRING, tenant),
    {0},
};

static void start_presence(struct slot *s, struct params *p)
{
    if (has_channel(s, p))
        hub_presence(s->ask->hub, p->tenant, p->channel, slot_done, s);
}

static void write_presence(struct json_writer *w, const struct slot *s, const struct answer *a)
{
    (void)s;
    json_open_object(w);
    json_open_object(json_key(w, STR("presence")));
    for (size_t i = 0; i < a->presence_count; i++) {
        const struct presence_entry *e = &a->presence[i];
        struct str client = {e->client, sizeof(e->client)};
        json_open_object(json_key(w, client));
        json_put_string(json_key(w, STR("client")), client);
        json_put_string(json_key(w, STR("user")), e->user);
        if (e->info.n > 0)
            json_put_raw(json_key(w, STR("conn_info")), e->info);
        if (e->channel_info.n > 0)
            json_put_raw(json_key(w, STR("chan_info")), e->channel_info);
        json_close_object(w);
    }
    json_close_object(w);
    json_close_object(w);
}

static void start_presence_stats(struct slot *s, struct params *p)
{
    if (has_channel(s, p))
        hub_presence_stats(s->ask->hub, p->tenant, p->channel, slot_done, s);
}

static void write_presence_stats(struct json_writer *w, const struct slot *s,
                                 const struct answer *a)
{
    (void)s;
    json_open_object(w);
    json_put_u64(json_key(w, STR("num_clients")), a->client_count);
    json_put_u64(json_key(w, STR("num_users")), a->user_count);
    json_close_object(w);
}

/* ---- history ---- */

static const struct field history_fields[] = {
    FIELD(STRING, channel), FIELD(INTEGER, limit), FIELD(POSITION, since),
    FIELD(BOOL, reverse),   FIELD(STRING, tenant), {0},
};

static void start_history(struct slot *s, struct params *p)
{
    int64_t most = s->ask->api->history_limit_max;
    if (!has_channel(s, p))
        return;
    if (p->since.unknown) {
        slot_fail(s, ERR_UNRECOVERABLE_POSITION, NULL);
        return;
    }
    hub_history(s->ask->hub,
                &(struct history_params){
                    .tenant = p->tenant,
                    .channel = p->channel,
                    .limit = p->limit < 0 || p->limit > most ? most : p->limit,
                    .has_since = p->since.given,
                    .since = p->since.at,
                    .reverse = p->reverse,
                },
                slot_done, s);
}

static void put_publication(struct json_writer *w, const struct publication *p)
{
    json_open_object(w);
    json_put_u64(json_key(w, STR("offset")), p->offset);
    if (p->type.n > 0)
        json_put_string(json_key(w, STR("type")), p->type);
    json_put_raw(json_key(w, STR("data")), p->data);
    if (p->tags.n > 0)
        json_put_raw(json_key(w, STR("tags")), p->tags);
    if (p->info.n > 0)
        json_put_raw(json_key(w, STR("info")), p->info);
    json_put_i64(json_key(w, STR("time")), p->time_ms);
    json_close_object(w);
}

static void write_history(struct json_writer *w, const struct slot *s, const struct answer *a)
{
    (void)s;
    json_open_object(w);
    json_open_array(json_key(w, STR("publications")));
    for (size_t i = 0; i < a->publication_count; i++)
        put_publication(w, a->publications[i]);
    json_close_array(w);
    put_epoch(w, a->position.epoch);
    json_put_u64(json_key(w, STR("offset")), a->position.offset);
    json_close_object(w);
}

static void start_history_remove(struct slot *s, struct params *p)
{
    if (has_channel(s, p))
        hub_history_remove(s->ask->hub, p->tenant, p->channel, slot_done, s);
}

/* ---- lists ---- */

static const struct field channels_fields[] = {
    FIELD(STRING, pattern),
    FIELD(STRING, tenant),
    {0},
};

static void start_channels(struct slot *s, struct params *p)
{
    hub_channels(s->ask->hub, p->tenant, p->pattern, s->ask->api->list_limit_max, slot_done, s);
}

static void write_channels(struct json_writer *w, const struct slot *s, const struct answer *a)
{
    (void)s;
    json_open_object(w);
    json_open_object(json_key(w, STR("channels")));
    for (size_t i = 0; i < a->channel_count; i++) {
        json_open_object(json_key(w, a->channels[i].channel));
        json_put_u64(json_key(w, STR("num_clients")), a->channels[i].client_count);
        json_close_object(w);
    }
    json_close_object(w);
    json_close_object(w);
}

static const struct field sessions_fields[] = {
    FIELD(INTEGER, limit),
    FIELD(STRING, tenant),
    {0},
};

static void start_sessions(struct slot *s, struct params *p)
{
    int64_t most = s->ask->api->list_limit_max;
    int64_t limit = p->limit <= 0 || p->limit > most ? most : p->limit;
    hub_sessions(s->ask->hub, p->tenant, (uint32_t)limit, slot_done, s);
}

static void write_sessions(struct json_writer *w, const struct slot *s, const struct answer *a)
{
    (void)s;
    json_open_object(w);
    json_open_array(json_key(w, STR("sessions")));
    for (size_t i = 0; i < a->session_count; i++) {
        const struct session_entry *e = &a->sessions[i];
        json_open_object(w);
        put_uuid(json_key(w, STR("client")), e->client);
        json_put_string(json_key(w, STR("user")), e->user);
        json_put_string(json_key(w, STR("tenant")), e->tenant);
        json_put_string(json_key(w, STR("dialect")), str_from(e->dialect));
        json_put_u64(json_key(w, STR("channels")), e->channel_count);
        json_put_u64(json_key(w, STR("connected_ms")), e->connected_ms);
        json_close_object(w);
    }
    json_close_array(w);
    json_put_u64(json_key(w, STR("total")), a->session_total);
    json_close_object(w);
}

/* ---- the node ---- */

static const struct field no_fields[] = {{0}};

static void start_info(struct slot *s, struct params *p)
{
    (void)p;
    slot_done(s, &(struct answer){0});
}

static void write_info(struct json_writer *w, const struct slot *s, const struct answer *a)
{
    const struct api *api = s->ask->api;
    struct hub_stats stats;
    (void)a;
    node_read_stats(api->node, &stats);
    json_open_object(w);
    json_open_array(json_key(w, STR("nodes")));
    json_open_object(w);
    put_uuid(json_key(w, STR("uid")), api->node_id);
    json_put_string(json_key(w, STR("name")), api->node_name);
    json_put_string(json_key(w, STR("version")), api->version);
    json_put_u64(json_key(w, STR("num_clients")), stats.sessions);
    json_put_u64(json_key(w, STR("num_users")), stats.users);
    json_put_u64(json_key(w, STR("num_subs")), stats.subscriptions);
    json_put_u64(json_key(w, STR("num_channels")), stats.channels);
    json_put_u64(json_key(w, STR("uptime")), (clock_mono_ns() - api->started_ns) / 1000000000);
    json_close_object(w);
    json_close_array(w);
    json_close_object(w);
}

static void start_rpc(struct slot *s, struct params *p)
{
    (void)p;
    slot_fail(s, ERR_METHOD_NOT_FOUND, "the server has no procedures of its own");
}

static const struct field batch_fields[] = {
    FIELD(ARRAY, commands),
    FIELD(BOOL, parallel),
    {0},
};

const struct verb api_batch = {"batch", batch_fields, batch_start, NULL};

const struct verb api_verbs[] = {
    {"publish", publish_fields, start_publish, write_publish}, // first: it is what comes most
    {"broadcast", broadcast_fields, broadcast_start, NULL},
    {"subscribe", subscribe_fields, start_subscribe, write_nothing},
    {"unsubscribe", unsubscribe_fields, start_unsubscribe, write_nothing},
    {"disconnect", disconnect_fields, start_disconnect, write_nothing},
    {"refresh", refresh_fields, start_refresh, write_nothing},
    {"presence", channel_fields, start_presence, write_presence},
    {"presence_stats", channel_fields, start_presence_stats, write_presence_stats},
    {"history", history_fields, start_history, write_history},
    {"history_remove", channel_fields, start_history_remove, write_nothing},
    {"channels", channels_fields, start_channels, write_channels},
    {"sessions", sessions_fields, start_sessions, write_sessions},
    {"info", no_fields, start_info, write_info},
    {"rpc", no_fields, start_rpc, write_nothing},
};
const size_t api_verb_count = sizeof(api_verbs) / sizeof(api_verbs[0]);

const struct verb *api_verb_find(struct str name)
{
    for (size_t i = 0; i < api_verb_count; i++) {
        if (str_eq(name, str_from(api_verbs[i].name)))
            return &api_verbs[i];
    }
    return NULL;
}
