/*
 * verbs.c - the table of commands, and what several of them share.
 *
 * Why it exists: the requests and results are those of Centrifugo's HTTP API, so that back ends
 * written for it work unchanged.
 *
 * Always true: what a command does not say is left at the hub's default; nothing is done before
 * every field was found right.
 */
#include "api/api_fields.h"

void api_write_nothing(struct json_writer *w, const struct slot *s, const struct answer *a)
{
    (void)s, (void)a;
    json_open_object(w);
    json_close_object(w);
}

void api_put_epoch(struct json_writer *w, uint32_t epoch)
{
    char text[EPOCH_TEXT];
    epoch_format(epoch, text);
    json_put_string(json_key(w, STR("epoch")), (struct str){text, sizeof(text)});
}

bool api_has_channel(struct slot *s, const struct params *p)
{
    if (p->channel.n == 0)
        slot_refuse(s, "channel", "is required");
    return p->channel.n > 0;
}

static const struct field batch_fields[] = {
    FIELD(ARRAY, commands),
    FIELD(BOOL, parallel),
    {0},
};

const struct verb api_batch = {"batch", batch_fields, batch_start, NULL};

const struct verb *const api_verbs[] = {
    &api_publish, // first: it is what comes most
    &api_broadcast, &api_subscribe,      &api_unsubscribe, &api_disconnect,     &api_refresh,
    &api_presence,  &api_presence_stats, &api_history,     &api_history_remove, &api_channels,
    &api_sessions,  &api_info,           &api_rpc,
};
const size_t api_verb_count = sizeof(api_verbs) / sizeof(api_verbs[0]);

const struct verb *api_verb_find(struct str name)
{
    for (size_t i = 0; i < api_verb_count; i++) {
        if (str_eq(name, str_from(api_verbs[i]->name)))
            return api_verbs[i];
    }
    return NULL;
}
