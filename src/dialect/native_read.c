/*
 * native_read.c - what a client says: one command, in one walk over its bytes.
 *
 * Why it exists: a publish is the hot path on the way in. The parameters of all commands are read
 * into one struct, so that nothing is looked at twice and nothing is allocated.
 */
#include "dialect/native_priv.h"

static bool read_id(struct json *j, uint32_t *ret)
{
    uint64_t v;
    if (!json_read_u64(j, &v) || v > UINT32_MAX)
        return false;
    *ret = (uint32_t)v;
    return true;
}

static bool read_epoch(struct json *j, struct params *p, uint32_t *ret)
{
    struct str raw;
    if (!json_read_string_raw(j, &raw))
        return false;
    p->epoch_unknown |= !epoch_parse(raw, ret);
    return true;
}

static bool read_since(struct json *j, struct params *p)
{
    struct str key;
    if (!json_object_begin(j))
        return false;
    p->has_since = true;
    while (json_object_next(j, &key)) {
        if (json_key_is(key, STR("offset")))
            json_read_u64(j, &p->since.offset);
        else if (json_key_is(key, STR("epoch")))
            read_epoch(j, p, &p->since.epoch);
    }
    return j->error == NULL;
}

/* Where decoded strings go; NULL: they are not asked for. */
struct scratch {
    char *channel, *token;
};

static bool read_word(struct json *j, struct str key, struct params *p, const struct scratch *s)
{
    if (json_key_is(key, STR("channel")))
        return s != NULL ? json_read_string(j, s->channel, CHANNEL_TEXT_MAX, &p->channel)
                         : json_skip(j);
    if (json_key_is(key, STR("token")))
        return s != NULL ? json_read_string(j, s->token, AUTH_TOKEN_MAX_BYTES, &p->token)
                         : json_skip(j);
    if (json_key_is(key, STR("data")))
        return json_read_raw(j, &p->data);
    if (json_key_is(key, STR("method")) && json_peek(j) == JSON_STRING)
        return json_read_string_raw(j, &p->method);
    if (json_key_is(key, STR("epoch")))
        return json_read_string_raw(j, &p->epoch);
    if (json_key_is(key, STR("tf")))
        return json_read_raw(j, &p->tf);
    if (json_key_is(key, STR("subs")))
        return json_read_raw(j, &p->subs);
    if (json_key_is(key, STR("headers")))
        return json_read_raw(j, &p->headers);
    if (json_key_is(key, STR("since")))
        return read_since(j, p);
    return json_skip(j);
}

static bool read_param(struct json *j, struct str key, struct params *p, const struct scratch *s)
{
    if (json_peek(j) == JSON_NULL && !json_key_is(key, STR("data")))
        return json_skip(j);
    if (json_key_is(key, STR("recover")))
        return json_read_bool(j, &p->recover);
    if (json_key_is(key, STR("offset")))
        return json_read_u64(j, &p->offset);
    if (json_key_is(key, STR("limit")))
        return json_read_i64(j, &p->limit);
    if (json_key_is(key, STR("reverse")))
        return json_read_bool(j, &p->reverse);
    if (json_key_is(key, STR("positioned")))
        return json_read_bool(j, &p->positioned);
    if (json_key_is(key, STR("recoverable")))
        return json_read_bool(j, &p->recoverable);
    if (json_key_is(key, STR("join_leave")))
        return json_read_bool(j, &p->join_leave);
    return read_word(j, key, p, s);
}

static bool read_params(struct json *j, struct params *p, const struct scratch *s)
{
    struct str key;
    if (!json_object_begin(j))
        return false;
    while (json_object_next(j, &key)) {
        if (!read_param(j, key, p, s))
            return false;
    }
    return j->error == NULL;
}

/* The position that a recovering client says it has. */
static void settle_position(struct params *p)
{
    if (p->recover) {
        p->epoch_unknown |= !epoch_parse(p->epoch, &p->since.epoch);
        p->since.offset = p->offset;
    }
}

bool native_params_read(struct str text, struct params *ret)
{
    struct json j;
    *ret = (struct params){0};
    json_init(&j, text);
    bool ok = read_params(&j, ret, NULL) && json_end(&j);
    settle_position(ret);
    return ok;
}

static bool read_command(struct json *j, struct command *c)
{
    struct scratch s = {c->channel_at, c->token_at};
    struct str key;
    if (!json_object_begin(j))
        return false;
    while (json_object_next(j, &key)) {
        const struct verb *verb = NULL;
        if (json_key_is(key, STR("id"))) {
            if (!read_id(j, &c->id))
                return false;
        } else if (c->verb == NULL && json_peek(j) != JSON_NULL && (verb = native_verb_find(key))) {
            c->verb = verb;
            if (!read_params(j, &c->params, &s))
                return false;
        }
    }
    return json_end(j);
}

bool native_command_read(struct str text, struct command *ret)
{
    struct json j;
    ret->id = 0;
    ret->verb = NULL;
    ret->params = (struct params){0};
    json_init(&j, text);
    bool ok = read_command(&j, ret);
    settle_position(&ret->params);
    return ok;
}
