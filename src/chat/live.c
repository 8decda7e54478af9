/*
 * live.c - answers under way, as a late joiner of their channel is told of them.
 *
 * Why it exists: a row is as old as its last save. Who reads a list and then follows the channel,
 * or the other way round, needs text and seq of one moment, and the channel has both.
 *
 * Always true: an answer of a conversation says conversation_id, and no other record of the channel
 * does: what /v1 writes there has ids of the model's server, which may look like ours.
 */
#include "chat/live.h"

#include "base/json.h"

#include <stdlib.h>

/* A record's message, as record_home.c writes it. */
struct told {
    int64_t id, seq;
    struct str state, content; // raw
    bool of_conversation;
};

static void read_member(struct json *j, struct str key, struct told *ret)
{
    if (json_key_is(key, STR("id")) && json_peek(j) == JSON_NUMBER)
        json_read_i64(j, &ret->id);
    else if (json_key_is(key, STR("seq")))
        json_read_i64(j, &ret->seq);
    else if (json_key_is(key, STR("state")))
        json_read_string_raw(j, &ret->state);
    else if (json_key_is(key, STR("content")))
        json_read_string_raw(j, &ret->content);
    else {
        ret->of_conversation |= json_key_is(key, STR("conversation_id"));
        json_skip(j);
    }
}

static bool told_read(struct str data, struct told *ret)
{
    struct json j;
    struct str key;
    *ret = (struct told){0};
    json_init(&j, data);
    json_object_begin(&j);
    while (json_object_next(&j, &key))
        read_member(&j, key, ret);
    return json_end(&j) && ret->id > 0 && ret->of_conversation &&
           str_eq(ret->state, record_state_name(RECORD_STREAMING));
}

/* NULL: no answer that is under way, or no memory. */
static struct live_answer *answer_make(struct str data)
{
    struct told t;
    if (!told_read(data, &t))
        return NULL;
    struct live_answer *a = malloc(sizeof(*a) + t.content.n);
    if (a == NULL)
        return NULL;
    struct str text;
    char *at = a->bytes;
    if (!json_string_decode(t.content, a->bytes, t.content.n, &text)) {
        free(a);
        return NULL;
    }
    a->id = t.id;
    a->seq = t.seq;
    a->content = text.p == at ? text : str_put(&at, text); // without escapes it is data's own
    return a;
}

void live_drop(struct live *l)
{
    for (size_t i = 0; i < l->count; i++)
        free(l->answers[i]);
    *l = (struct live){0};
}

void live_read(struct live *l, const struct answer *said)
{
    live_drop(l);
    if (said->err != ERR_OK)
        return;
    l->position = said->position;
    for (size_t i = 0; i < said->publication_count && l->count < RECORDS_PER_CHANNEL_MAX; i++) {
        struct live_answer *a = answer_make(said->publications[i]->data);
        if (a != NULL)
            l->answers[l->count++] = a;
    }
}

const struct live_answer *live_find(const struct live *l, int64_t id)
{
    for (size_t i = 0; i < l->count; i++) {
        if (l->answers[i]->id == id)
            return l->answers[i];
    }
    return NULL;
}
