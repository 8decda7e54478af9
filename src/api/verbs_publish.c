/*
 * verbs_publish.c - publish and broadcast: the commands that come most.
 *
 * Why type, tenant, user and exclude: they are ours; the rest is as in Centrifugo's HTTP API.
 */
#include "api/api_fields.h"
#include "base/random.h"

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
    s->verb = &api_publish;
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

/* What is meant for one user must not reach all of a channel. */
static void start_publish(struct slot *s, struct params *p)
{
    bool says_both = p->channel.n > 0 && p->user.n > 0;
    if (p->channel.n == 0 && p->user.n > 0 && !channel_of_user(p))
        slot_refuse(s, p->wrong_field, p->wrong);
    else if (!api_has_channel(s, p))
        return;
    else if (says_both)
        slot_refuse(s, "user", "goes instead of channel, not with it");
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
        api_put_epoch(w, a->position.epoch);
    }
    json_close_object(w);
}

const struct verb api_publish = {"publish", publish_fields, start_publish, write_publish};
const struct verb api_broadcast = {"broadcast", broadcast_fields, broadcast_start, NULL};
