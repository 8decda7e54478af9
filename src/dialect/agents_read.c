/*
 * agents_read.c - a message of an agents' page as a command.
 *
 * Why the last of equal keys counts: the original reads JSON as JavaScript does.
 */
#include "dialect/agents.h"

#include "base/json.h"

static enum agents_verb verb_named(struct str raw)
{
    return json_key_is(raw, STR("ping"))                 ? AGENTS_PING
           : json_key_is(raw, STR("permission:approve")) ? AGENTS_APPROVE
           : json_key_is(raw, STR("permission:deny"))    ? AGENTS_DENY
                                                         : AGENTS_OTHER;
}

static void read_data(struct json *j, struct agents_command *c)
{
    struct str key;
    c->data = c->permission = STR_NONE;
    if (json_peek(j) != JSON_OBJECT) {
        json_skip(j);
        return;
    }
    const char *start = j->p;
    json_object_begin(j);
    while (json_object_next(j, &key)) {
        if (!json_key_is(key, STR("permissionId")))
            continue;
        enum json_type type = json_peek(j);
        if (type == JSON_STRING || type == JSON_NUMBER)
            json_read_raw(j, &c->permission);
        else
            c->permission = STR_NONE;
    }
    if (j->error == NULL)
        c->data = (struct str){start, (size_t)(j->p - start)};
}

static void read_type(struct json *j, struct agents_command *c)
{
    struct str raw;
    c->verb = AGENTS_OTHER;
    if (json_peek(j) == JSON_STRING && json_read_string_raw(j, &raw))
        c->verb = verb_named(raw);
}

struct agents_command agents_read(struct str message)
{
    struct agents_command c = {AGENTS_OTHER, STR_NONE, STR_NONE};
    struct json j;
    struct str key;
    json_init(&j, message);
    if (json_peek(&j) != JSON_OBJECT || !json_object_begin(&j))
        return c;
    while (json_object_next(&j, &key)) {
        if (json_key_is(key, STR("type")))
            read_type(&j, &c);
        else if (json_key_is(key, STR("data")))
            read_data(&j, &c);
    }
    return json_end(&j) ? c : (struct agents_command){AGENTS_OTHER, STR_NONE, STR_NONE};
}
