/*
 * claims_subs.c - the subscriptions of a token, and the JSON that it carries along.
 *
 * Always true: info and data are JSON, byte for byte as in the payload or as decoded from base64.
 */
#include "auth/claims_priv.h"

#include <openssl/evp.h>

/* Standard base64 with its padding, and nothing else: OpenSSL would skip white space. */
static bool base64_is(struct str s)
{
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t n = s.n;
    if (n == 0 || n % 4 != 0)
        return false;
    for (int i = 0; i < 2 && s.p[n - 1] == '='; i++)
        n--;
    for (size_t i = 0; i < n; i++) {
        if (memchr(letters, s.p[i], sizeof(letters) - 1) == NULL)
            return false;
    }
    return true;
}

bool claims_prefer_base64(struct str b64, struct scratch *s, struct str *json)
{
    if (b64.n == 0)
        return true;
    if (!base64_is(b64) || s->left < b64.n)
        return false;
    int n = EVP_DecodeBlock((unsigned char *)s->at, (const unsigned char *)b64.p, (int)b64.n);
    if (n < 0)
        return false;
    size_t padding = (size_t)(b64.p[b64.n - 1] == '=') + (size_t)(b64.p[b64.n - 2] == '=');
    struct str text = {s->at, (size_t)n - padding};
    scratch_take(s, (size_t)n);
    if (!json_valid(text))
        return false;
    *json = text;
    return true;
}

/* {"value": true} */
static bool switch_read(struct json *j, enum claim_switch *ret)
{
    struct str key;
    bool on;
    if (json_peek(j) == JSON_NULL)
        return json_read_null(j);
    json_object_begin(j);
    while (json_object_next(j, &key)) {
        if (!json_key_is(key, STR("value")))
            json_skip(j);
        else if (json_read_bool(j, &on))
            *ret = on ? CLAIM_ON : CLAIM_OFF;
    }
    return j->error == NULL;
}

bool claims_override_read(struct str raw, struct claim_override *ret)
{
    const struct {
        struct str name;
        enum claim_switch *at;
    } known[] = {
        {STR("presence"), &ret->presence},
        {STR("join_leave"), &ret->join_leave},
        {STR("force_push_join_leave"), &ret->force_push_join_leave},
        {STR("force_recovery"), &ret->force_recovery},
        {STR("force_positioning"), &ret->force_positioning},
    };
    struct json j;
    struct str key;
    if (raw.n == 0)
        return true;
    json_init(&j, raw);
    json_object_begin(&j);
    while (json_object_next(&j, &key)) {
        size_t i = 0;
        while (i < sizeof(known) / sizeof(known[0]) && !json_key_is(key, known[i].name))
            i++;
        if (i == sizeof(known) / sizeof(known[0]))
            json_skip(&j);
        else
            switch_read(&j, known[i].at);
    }
    return json_end(&j);
}

/* The value of one member of subs: an object, or null for no options. */
static bool sub_read(struct json *j, struct scratch *s, struct claim_sub *ret)
{
    struct str key, b64info = STR_NONE, b64data = STR_NONE, override = STR_NONE;
    if (json_peek(j) == JSON_NULL)
        return json_read_null(j);
    json_object_begin(j);
    while (json_object_next(j, &key)) {
        bool null = json_peek(j) == JSON_NULL;
        if (!null && json_key_is(key, STR("info")))
            json_read_raw(j, &ret->info);
        else if (!null && json_key_is(key, STR("data")))
            json_read_raw(j, &ret->data);
        else if (!null && json_key_is(key, STR("override")))
            json_read_raw(j, &override);
        else if (!null && json_key_is(key, STR("b64info")))
            scratch_read_string(j, s, &b64info);
        else if (!null && json_key_is(key, STR("b64data")))
            scratch_read_string(j, s, &b64data);
        else
            json_skip(j);
    }
    return j->error == NULL && claims_override_read(override, &ret->override) &&
           claims_prefer_base64(b64info, s, &ret->info) &&
           claims_prefer_base64(b64data, s, &ret->data);
}

bool claims_subs_read(struct str raw, struct scratch *s, struct claims *ret)
{
    struct json j;
    struct str key;
    json_init(&j, raw);
    json_object_begin(&j);
    while (json_object_next(&j, &key)) {
        struct claim_sub *sub = &ret->subs[ret->sub_count];
        if (!json_string_decode(key, s->at, s->left, &sub->channel) || sub->channel.n == 0)
            return false;
        if (sub->channel.p == s->at)
            scratch_take(s, sub->channel.n);
        if (!sub_read(&j, s, sub))
            return false;
        ret->sub_count++;
    }
    return json_end(&j);
}

bool claims_channels_read(struct str raw, struct scratch *s, struct claims *ret)
{
    struct json j;
    json_init(&j, raw);
    json_array_begin(&j);
    while (json_array_next(&j)) {
        struct claim_sub *sub = &ret->subs[ret->sub_count];
        if (!scratch_read_string(&j, s, &sub->channel) || sub->channel.n == 0)
            return false;
        ret->sub_count++;
    }
    return json_end(&j);
}
