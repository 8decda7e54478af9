/*
 * verbs_query.c - the commands that ask: presence, history, channels, sessions, the node itself.
 *
 * Always true: the results are those of Centrifugo's HTTP API; sessions is ours. Lists are bounded.
 */
#include "api/api_fields.h"

#include "base/clock.h"
#include "base/random.h"

static void put_uuid(struct json_writer *w, const uint8_t uuid[16])
{
    char text[UUID_TEXT];
    uuid_format(uuid, text);
    json_put_string(w, (struct str){text, sizeof(text)});
}

/* ---- presence ---- */

static const struct field channel_fields[] = {
    FIELD(STRING, channel),
    FIELD(STRING, tenant),
    {0},
};

static void start_presence(struct slot *s, struct params *p)
{
    if (api_has_channel(s, p))
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
    if (api_has_channel(s, p))
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
    if (!api_has_channel(s, p))
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
    api_put_epoch(w, a->position.epoch);
    json_put_u64(json_key(w, STR("offset")), a->position.offset);
    json_close_object(w);
}

static void start_history_remove(struct slot *s, struct params *p)
{
    if (api_has_channel(s, p))
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
        if (e->address.n > 0)
            json_put_string(json_key(w, STR("address")), e->address);
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

const struct verb api_presence = {"presence", channel_fields, start_presence, write_presence};
const struct verb api_presence_stats = {"presence_stats", channel_fields, start_presence_stats,
                                        write_presence_stats};
const struct verb api_history = {"history", history_fields, start_history, write_history};
const struct verb api_history_remove = {"history_remove", channel_fields, start_history_remove,
                                        api_write_nothing};
const struct verb api_channels = {"channels", channels_fields, start_channels, write_channels};
const struct verb api_sessions = {"sessions", sessions_fields, start_sessions, write_sessions};
const struct verb api_info = {"info", no_fields, start_info, write_info};
const struct verb api_rpc = {"rpc", no_fields, start_rpc, api_write_nothing};
