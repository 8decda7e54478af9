/*
 * sse_read.c - what a request for events asks: channels, types, and where to go on.
 */
#include "dialect/sse_priv.h"

/* ---- names ---- */

struct name_list {
    struct str *items;
    size_t count, max;
    const char *too_many, *unreadable;
};

static bool name_add(struct http_request *r, struct sse_ask *ask, struct name_list *l,
                     struct str name)
{
    if (name.n == 0)
        return true;
    for (size_t i = 0; i < l->count; i++) {
        if (str_eq(l->items[i], name))
            return true;
    }
    if (l->count == l->max || name.n > sizeof(ask->names) - ask->name_bytes)
        return http_refuse(r, ERR_LIMIT_EXCEEDED, l->too_many);
    char *at = ask->names + ask->name_bytes;
    memcpy(at, name.p, name.n);
    ask->name_bytes += name.n;
    l->items[l->count++] = (struct str){at, name.n};
    return true;
}

/* ?name=a&name=b and ?name=a,b */
static bool names_read(struct http_request *r, struct sse_ask *ask, struct str name,
                       struct name_list *l)
{
    char at[4096];
    struct str value;
    size_t count = http_query_count(r, name);
    for (size_t i = 0; i < count; i++) {
        if (!http_query_nth(r, name, i, at, sizeof(at), &value))
            return http_refuse(r, ERR_BAD_REQUEST,
                               l->unreadable); // never fewer than were asked for
        while (value.n > 0) {
            if (!name_add(r, ask, l, str_cut(&value, ',')))
                return false;
        }
    }
    return true;
}

static bool is_granted(const struct claims *claims, struct str channel)
{
    for (size_t i = 0; i < claims->sub_count; i++) {
        if (str_eq(claims->subs[i].channel, channel))
            return true;
    }
    return false;
}

static bool channels_check(struct http_request *r, const struct policy *policy,
                           const struct claims *claims, const struct sse_ask *ask)
{
    if (ask->channel_count == 0)
        return http_refuse(r, ERR_BAD_REQUEST, "channel: at least one is needed");
    if (ask->channel_count > policy->channels_per_session_max)
        return http_refuse(r, ERR_LIMIT_EXCEEDED, "channel: channels_per_session_max is reached");
    for (size_t i = 0; i < ask->channel_count; i++) {
        const char *why;
        struct str name = ask->channels[i];
        if (!channel_name_ok(policy, name, &why))
            return http_refuse(r, ERR_BAD_REQUEST, why);
        if (!policy_lets_subscribe(policy, name, claims->user) && !is_granted(claims, name))
            return http_refuse(r, ERR_PERMISSION_DENIED, "channel: needs a token that names it");
    }
    return true;
}

/* ---- where to go on ---- */

static bool position_read(struct str s, struct position *ret)
{
    struct str epoch = str_cut(&s, ':');
    *ret = (struct position){0};
    if (str_eq(epoch, STR("?")) && s.n == 0)
        ret->offset = OFFSET_LOST;
    if (ret->offset == OFFSET_LOST)
        return true;
    if (str_eq(epoch, STR("-")) && s.n == 0)
        return true;
    return str_to_u64(s, &ret->offset) && epoch_parse(epoch, &ret->epoch);
}

/* One position per channel, in the order of the request. */
static bool positions_read(struct str id, struct sse_ask *ask)
{
    size_t n = 0;
    while (id.n > 0 && n < ask->channel_count) {
        if (!position_read(str_cut(&id, ','), &ask->since[n++]))
            return false;
    }
    return id.n == 0 && n == ask->channel_count;
}

static void resume_read(struct http_request *r, struct sse_ask *ask)
{
    char at[EVENT_ID_MAX];
    struct str id = http_header(r, STR("Last-Event-ID"));
    bool unreadable = id.n == 0 && !http_query(r, STR("last_event_id"), at, sizeof(at), &id) &&
                      http_query_count(r, STR("last_event_id")) > 0;
    ask->resume = id.n > 0 || unreadable; // who resumes is told when he cannot
    ask->resume_ok = id.n > 0 && positions_read(id, ask);
}

bool sse_ask_read(struct http_request *r, struct hub *hub, const struct claims *claims,
                  struct sse_ask *ret)
{
    struct name_list channels = {ret->channels, 0, STREAM_CHANNELS_MAX, "channel: too many",
                                 "channel: too long, or not well percent-encoded"};
    struct name_list types = {ret->types, 0, STREAM_TYPES_MAX, "type: too many",
                              "type: too long, or not well percent-encoded"};
    ret->channel_count = ret->type_count = ret->name_bytes = 0;
    ret->resume = ret->resume_ok = false;
    if (!names_read(r, ret, STR("channel"), &channels) || !names_read(r, ret, STR("type"), &types))
        return false;
    bool named = channels.count > 0;
    for (size_t i = 0; !named && i < claims->sub_count; i++) {
        if (!name_add(r, ret, &channels, claims->subs[i].channel))
            return false;
    }
    ret->channel_count = channels.count;
    ret->type_count = types.count;
    if (!channels_check(r, hub_policy(hub), claims, ret))
        return false;
    resume_read(r, ret);
    return true;
}
