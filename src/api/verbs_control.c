/*
 * verbs_control.c - what a back end does to its users' sessions.
 *
 * Always true: a command that names nobody is refused; it never means everybody.
 */
#include "api/api_fields.h"

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

static const struct field subscribe_fields[] = {
    FIELD(STRING, user),       FIELD(STRING, channel), FIELD(STRING, client),
    FIELD(JSON, info),         FIELD(JSON, data),      FIELD_AS(POSITION, "recover_since", since),
    FIELD(INTEGER, expire_at), FIELD(STRING, tenant),  FIELD_NOT("b64info"),
    FIELD_NOT("b64data"),      FIELD_NOT("session"),   {0},
};

static void start_subscribe(struct slot *s, struct params *p)
{
    const char *why;
    if (!has_somebody(s, p) || !api_has_channel(s, p))
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

const struct verb api_subscribe = {"subscribe", subscribe_fields, start_subscribe,
                                   api_write_nothing};
const struct verb api_unsubscribe = {"unsubscribe", unsubscribe_fields, start_unsubscribe,
                                     api_write_nothing};
const struct verb api_disconnect = {"disconnect", disconnect_fields, start_disconnect,
                                    api_write_nothing};
const struct verb api_refresh = {"refresh", refresh_fields, start_refresh, api_write_nothing};
