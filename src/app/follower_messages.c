/*
 * follower_messages.c - what the server says to a follower.
 *
 * Always true: a channel's position moves only behind an event that was handed out, or to where
 * the server says that a subscription without recovery begins.
 */
#include "app/follower.h"

#include <stdio.h>

#include "base/json.h"

enum { NAME_MAX_BYTES = 1024, UNSUBSCRIBE_COME_BACK = 2500, DISCONNECT_STAY_AWAY = 3500 };
enum { ALREADY_SUBSCRIBED = 105 };

/* A member as a number or a text; 0 or "" when it is not there or something else. */
static uint64_t find_u64(struct str object, struct str key)
{
    struct str raw;
    uint64_t v = 0;
    if (json_find(object, key, &raw))
        str_to_u64(raw, &v);
    return v;
}

static struct str find_text(struct str object, struct str key, char *at, size_t cap)
{
    struct str raw, text;
    struct json j;
    if (!json_find(object, key, &raw))
        return STR_NONE;
    json_init(&j, raw);
    return json_read_string(&j, at, cap, &text) ? text : STR_NONE;
}

static bool find_true(struct str object, struct str key)
{
    struct str raw;
    return json_find(object, key, &raw) && str_eq(raw, STR("true"));
}

static struct follower_channel *channel_named(struct follower *f, struct str name)
{
    for (unsigned i = 0; i < f->channel_count; i++)
        if (str_eq(str_from(f->channels[i].name), name))
            return &f->channels[i];
    return NULL;
}

static struct follower_channel *channel_asking(struct follower *f, uint64_t id)
{
    for (unsigned i = 0; i < f->channel_count; i++)
        if (f->channels[i].asked_id == id)
            return &f->channels[i];
    return NULL;
}

static void describe_error(struct str error, const char *about, char *ret, size_t size)
{
    char text[256];
    struct str message = find_text(error, STR("message"), text, sizeof(text));
    snprintf(ret, size, "%s: %.*s (code %llu)", about, STR_FMT(message),
             (unsigned long long)find_u64(error, STR("code")));
}

static enum follower_step end_channel(struct follower *f, struct follower_channel *ch,
                                      const char *text)
{
    ch->ended = true;
    ch->asked_id = 0;
    f->handler->warning(f->ctx, text);
    for (unsigned i = 0; i < f->channel_count; i++)
        if (!f->channels[i].ended)
            return FOLLOWER_ON;
    snprintf(f->why, sizeof(f->why), "no channel is left to follow");
    return FOLLOWER_GIVE_UP;
}

/* ---- events ---- */

static enum follower_step take_publication(struct follower *f, struct follower_channel *ch,
                                           struct str channel, struct str pub)
{
    char type[NAME_MAX_BYTES];
    struct str tags;
    struct follower_event e = {.channel = channel,
                               .offset = find_u64(pub, STR("offset")),
                               .time_ms = (int64_t)find_u64(pub, STR("time"))};
    if (ch != NULL && ch->resolving)
        return FOLLOWER_ON; // comes again, in its place
    if (!json_find(pub, STR("data"), &e.data))
        e.data = STR("null");
    if (json_find(pub, STR("tags"), &tags))
        e.type = find_text(tags, STR("type"), type, sizeof(type));
    if (ch != NULL && e.offset > 0) {
        ch->offset = e.offset;
        e.epoch = str_from(ch->epoch);
    }
    f->enough = !f->handler->event(f->ctx, &e);
    return f->enough ? FOLLOWER_GIVE_UP : FOLLOWER_ON;
}

static enum follower_step take_unsubscribed(struct follower *f, struct follower_channel *ch,
                                            struct str push)
{
    char text[256], reason[128];
    uint64_t code = find_u64(push, STR("code"));
    struct str said = find_text(push, STR("reason"), reason, sizeof(reason));
    if (ch == NULL)
        return FOLLOWER_ON;
    if (code >= UNSUBSCRIBE_COME_BACK)
        return follower_send_subscribe(f, ch) ? FOLLOWER_ON : FOLLOWER_AGAIN;
    snprintf(text, sizeof(text), "%s: ended by the server: %.*s (code %llu)", ch->name,
             STR_FMT(said), (unsigned long long)code);
    return end_channel(f, ch, text);
}

static enum follower_step take_disconnect(struct follower *f, struct str push)
{
    char reason[128];
    uint64_t code = find_u64(push, STR("code"));
    struct str said = find_text(push, STR("reason"), reason, sizeof(reason));
    snprintf(f->why, sizeof(f->why), "disconnected by the server: %llu %.*s",
             (unsigned long long)code, STR_FMT(said));
    return code >= DISCONNECT_STAY_AWAY && code < 4000 ? FOLLOWER_GIVE_UP : FOLLOWER_AGAIN;
}

static enum follower_step take_push(struct follower *f, struct str push)
{
    char name[NAME_MAX_BYTES];
    struct str body;
    struct str channel = find_text(push, STR("channel"), name, sizeof(name));
    struct follower_channel *ch = channel_named(f, channel);
    if (json_find(push, STR("pub"), &body))
        return take_publication(f, ch, channel, body);
    if (json_find(push, STR("unsubscribe"), &body))
        return take_unsubscribed(f, ch, body);
    if (json_find(push, STR("disconnect"), &body))
        return take_disconnect(f, body);
    return FOLLOWER_ON; // joins, leaves and what later versions may send
}

/* ---- answers ---- */

static enum follower_step take_connected(struct follower *f, struct str result)
{
    f->connected = f->ever_connected = true;
    f->failures = 0;
    f->ping_ms = find_u64(result, STR("ping")) * 1000;
    f->pong = find_true(result, STR("pong"));
    for (unsigned i = 0; i < f->channel_count; i++)
        if (!f->channels[i].ended && !follower_send_subscribe(f, &f->channels[i]))
            return FOLLOWER_AGAIN;
    return FOLLOWER_ON;
}

/* A text without escapes is handed out where it stands, however long. */
static void keep_position(struct follower_channel *ch, struct str result)
{
    char at[FOLLOWER_EPOCH_MAX];
    struct str epoch = find_text(result, STR("epoch"), at, sizeof(at));
    if (epoch.n >= sizeof(ch->epoch))
        epoch = STR_NONE; // nobody's epoch: without one, nothing is asked for that could be wrong
    if (epoch.n > 0)
        memcpy(ch->epoch, epoch.p, epoch.n);
    ch->epoch[epoch.n] = '\0';
    ch->positioned = epoch.n > 0;
}

static void say_subscribed(struct follower *f, const struct follower_channel *ch, struct str result)
{
    char text[NAME_MAX_BYTES + 64];
    snprintf(text, sizeof(text), "subscribed to %s%s, offset %llu", ch->name,
             find_true(result, STR("recovered")) ? ", recovered" : "",
             (unsigned long long)find_u64(result, STR("offset")));
    f->handler->notice(f->ctx, text);
}

static void warn_of_gap(struct follower *f, const struct follower_channel *ch, uint64_t offset)
{
    char text[NAME_MAX_BYTES + 160];
    snprintf(text, sizeof(text),
             "%s: what came after offset %llu cannot be had any more; going on from %llu", ch->name,
             (unsigned long long)ch->offset, (unsigned long long)offset);
    f->handler->warning(f->ctx, text);
}

/* The recovered events, in their order. */
static enum follower_step take_missed(struct follower *f, struct follower_channel *ch,
                                      struct str result)
{
    struct str list, pub;
    struct json j;
    if (!json_find(result, STR("publications"), &list))
        return FOLLOWER_ON;
    json_init(&j, list);
    json_array_begin(&j);
    while (json_array_next(&j) && json_read_raw(&j, &pub)) {
        enum follower_step s = take_publication(f, ch, str_from(ch->name), pub);
        if (s != FOLLOWER_ON)
            return s;
    }
    return FOLLOWER_ON;
}

static enum follower_step take_subscribed(struct follower *f, struct follower_channel *ch,
                                          struct str result)
{
    bool recovering = ch->positioned, recovered = find_true(result, STR("recovered"));
    bool epoch_unknown = recovering && ch->epoch[0] == '\0';
    uint64_t head = find_u64(result, STR("offset"));
    ch->asked_id = 0;
    keep_position(ch, result);
    if (epoch_unknown && !recovered && ch->positioned && !ch->resolving) {
        /* Only the server knows the epoch, and now we do too: once more, with it. */
        ch->resolving = true;
        return follower_send_unsubscribe(f, ch) && follower_send_subscribe(f, ch) ? FOLLOWER_ON
                                                                                  : FOLLOWER_AGAIN;
    }
    ch->resolving = false;
    say_subscribed(f, ch, result);
    if (recovering && !recovered)
        warn_of_gap(f, ch, head);
    if (!recovering || !recovered)
        ch->offset = head;
    enum follower_step s = take_missed(f, ch, result);
    if (s == FOLLOWER_ON && head > ch->offset)
        ch->offset = head;
    return s;
}

static enum follower_step take_error(struct follower *f, uint64_t id, struct str error)
{
    char text[NAME_MAX_BYTES + 300];
    struct follower_channel *ch = channel_asking(f, id);
    if (!f->connected) {
        describe_error(error, "refused", f->why, sizeof(f->why));
        return find_true(error, STR("temporary")) ? FOLLOWER_AGAIN : FOLLOWER_GIVE_UP;
    }
    if (ch == NULL || id == 0)
        return FOLLOWER_ON;
    if (find_u64(error, STR("code")) == ALREADY_SUBSCRIBED) { // the token brought it
        ch->asked_id = 0;
        return FOLLOWER_ON;
    }
    describe_error(error, ch->name, text, sizeof(text));
    return end_channel(f, ch, text);
}

static enum follower_step take_reply(struct follower *f, struct str reply)
{
    struct str body;
    uint64_t id = find_u64(reply, STR("id"));
    if (json_find(reply, STR("push"), &body))
        return take_push(f, body);
    if (json_find(reply, STR("error"), &body))
        return take_error(f, id, body);
    if (json_find(reply, STR("connect"), &body))
        return take_connected(f, body);
    struct follower_channel *ch = id > 0 ? channel_asking(f, id) : NULL;
    if (ch != NULL && json_find(reply, STR("subscribe"), &body))
        return take_subscribed(f, ch, body);
    if (id == 0 && f->pong && !ws_client_send(&f->ws, STR("{}"))) // an empty one is a ping
        return FOLLOWER_AGAIN;
    return FOLLOWER_ON;
}

enum follower_step follower_take(struct follower *f, struct str message)
{
    struct str reply;
    struct json j;
    json_init(&j, message);
    do {
        if (!json_read_raw(&j, &reply)) {
            snprintf(f->why, sizeof(f->why), "the server sent what is no JSON");
            return FOLLOWER_AGAIN;
        }
        enum follower_step s = take_reply(f, reply);
        if (s != FOLLOWER_ON)
            return s;
    } while (json_more(&j));
    return FOLLOWER_ON;
}
