/*
 * bridge_read.c - a message of the broker, taken apart, and the tenants it is for.
 *
 * Always true: the scratch has as many bytes as the message, and no text of it is decoded twice.
 */
#include "dialect/bridge_priv.h"

bool bridge_wrong(struct bridge_message *m, const char *why)
{
    if (m->wrong == NULL)
        m->wrong = why;
    return false;
}

bool bridge_is_null(struct str raw)
{
    return raw.n == 0 || str_eq(raw, STR("null"));
}

static void take_member(struct json *j, struct str key, struct bridge_message *m)
{
    const struct {
        struct str key;
        struct str *to;
    } members[] = {
        {STR("method"), &m->method},     {STR("event"), &m->event}, {STR("data"), &m->data},
        {STR("namespace"), &m->nsp},     {STR("room"), &m->room},   {STR("sid"), &m->sid},
        {STR("skip_sid"), &m->skip_sid},
    };
    struct str raw;
    if (json_key_is(key, STR("binary")) && json_peek(j) == JSON_BOOL) {
        json_read_bool(j, &m->binary);
        return;
    }
    if (!json_read_raw(j, &raw))
        return;
    for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
        if (json_key_is(key, members[i].key))
            *members[i].to = raw;
    }
}

bool bridge_message_read(struct str payload, struct bridge_message *ret)
{
    struct json j;
    struct str key;
    json_init(&j, payload);
    if (json_peek(&j) != JSON_OBJECT)
        return false;
    json_object_begin(&j);
    while (json_object_next(&j, &key))
        take_member(&j, key, ret);
    return json_end(&j);
}

bool bridge_take_text(struct bridge_message *m, struct str raw, struct str *ret)
{
    struct json j;
    json_init(&j, raw);
    if (json_peek(&j) != JSON_STRING || !json_read_string(&j, m->at, m->left, ret))
        return false;
    if (ret->p == m->at) {
        m->at += ret->n;
        m->left -= ret->n;
    }
    return true;
}

bool bridge_take_name(struct bridge_message *m, struct str raw, struct bridge_names *ret)
{
    struct str name = raw;
    struct json j;
    json_init(&j, raw);
    if (json_peek(&j) != JSON_NUMBER && !bridge_take_text(m, raw, &name))
        return false;
    if (ret->count == BRIDGE_ROOMS_MAX)
        return false;
    ret->all[ret->count++] = name;
    return true;
}

bool bridge_take_names(struct bridge_message *m, struct str raw, struct bridge_names *ret)
{
    struct json j;
    struct str one;
    ret->count = 0;
    json_init(&j, raw);
    if (json_peek(&j) != JSON_ARRAY)
        return bridge_take_name(m, raw, ret);
    json_array_begin(&j);
    while (json_array_next(&j)) {
        if (!json_read_raw(&j, &one) || !bridge_take_name(m, one, ret))
            return false;
    }
    return true;
}

bool bridge_is_word(struct str name)
{
    for (size_t i = 0; i < name.n; i++) {
        if ((unsigned char)name.p[i] <= ' ')
            return false;
    }
    return name.n > 0;
}

/* ---- tenants ---- */

/* Without memory a tenant goes without this message. */
void bridge_tenant_note(void *ctx, struct str name)
{
    (void)name_set_add(ctx, name);
}

void bridge_tenants_find(struct bridge *b, enum bridge_where where, struct str nsp, struct str name,
                         struct name_set *ret)
{
    name_set_init(ret, BRIDGE_TENANTS_MAX);
    if (str_eq(b->tenant, STR("*")))
        b->ops->tenants(b->ctx, where, nsp, name, bridge_tenant_note, ret);
    else
        bridge_tenant_note(ret, b->tenant);
}

void bridge_publish(struct bridge *b, const struct name_set *tenants, struct publish_params *p)
{
    for (struct map_node *n = map_first(&tenants->names); n != NULL;
         n = map_next(&tenants->names, n)) {
        p->tenant = n->key;
        b->ops->publish(b->ctx, p);
    }
}

void bridge_control(struct bridge *b, const struct name_set *tenants, struct control_params *p)
{
    for (struct map_node *n = map_first(&tenants->names); n != NULL;
         n = map_next(&tenants->names, n)) {
        p->tenant = n->key;
        b->ops->control(b->ctx, p);
    }
}
