/*
 * claims_read.c - what a payload says, claim by claim.
 *
 * Why it exists: what a token may say, and what each claim must look like, is one table here.
 *
 * Always true: nothing is judged; a claim that is null is as if it were not there.
 */
#include "auth/claims_priv.h"

#include <stddef.h>

enum kind { KIND_STRING, KIND_NAME, KIND_TIME, KIND_RAW };

struct claim {
    struct str name;
    enum kind kind;
    size_t offset;
    const char *reason;
};

#define CLAIM(name, kind, field, wanted)                                                           \
    {                                                                                              \
        {name, sizeof(name) - 1}, kind, offsetof(struct payload, field), name " must be " wanted   \
    }

static const struct claim claims_known[] = {
    CLAIM("sub", KIND_STRING, user, "a string"),
    CLAIM("role", KIND_STRING, role, "a string"),
    CLAIM("jti", KIND_STRING, token_id, "a string"),
    CLAIM("client", KIND_STRING, client, "a string"),
    CLAIM("channel", KIND_STRING, channel, "a string"),
    CLAIM("iss", KIND_STRING, issuer, "a string"),
    CLAIM("b64info", KIND_STRING, b64info, "a string"),
    CLAIM("b64data", KIND_STRING, b64data, "a string"),
    CLAIM("exp", KIND_TIME, exp, "seconds since 1970"),
    CLAIM("nbf", KIND_TIME, nbf, "seconds since 1970"),
    CLAIM("expire_at", KIND_TIME, expire_at, "seconds since 1970"),
    CLAIM("info", KIND_RAW, info, "JSON"),
    CLAIM("data", KIND_RAW, data, "JSON"),
    CLAIM("meta", KIND_RAW, meta, "JSON"),
    CLAIM("aud", KIND_RAW, audience, "JSON"),
    CLAIM("channels", KIND_RAW, channels, "JSON"),
    CLAIM("subs", KIND_RAW, subs, "JSON"),
    CLAIM("override", KIND_RAW, override, "JSON"),
};

static const struct claim claim_tenant =
    CLAIM("the tenant's claim", KIND_NAME, tenant, "a string or an integer");
static const struct claim claim_tenant_alias =
    CLAIM("organization_id", KIND_NAME, tenant_alias, "a string or an integer");

bool scratch_read_string(struct json *j, struct scratch *s, struct str *ret)
{
    if (!json_read_string(j, s->at, s->left, ret))
        return false;
    if (ret->p == s->at)
        scratch_take(s, ret->n);
    return true;
}

static bool read_time(struct json *j, struct when *ret)
{
    double v;
    if (!json_read_double(j, &v) || v < -9e15 || v > 9e15) // whole numbers are exact up to there
        return false;
    *ret = (struct when){true, (int64_t)v};
    return true;
}

static bool read_name(struct json *j, struct scratch *s, struct str *ret)
{
    int64_t ignored;
    if (json_peek(j) == JSON_STRING)
        return scratch_read_string(j, s, ret);
    struct json number = *j; // read twice: as a number, then as its text
    return json_read_i64(&number, &ignored) && json_read_raw(j, ret);
}

static bool claim_read(const struct claim *c, struct json *j, struct scratch *s, struct payload *p)
{
    void *field = (char *)p + c->offset;
    if (json_peek(j) == JSON_NULL)
        return json_read_null(j);
    switch (c->kind) {
    case KIND_STRING:
        return scratch_read_string(j, s, field);
    case KIND_NAME:
        return read_name(j, s, field);
    case KIND_TIME:
        return read_time(j, field);
    case KIND_RAW:
        return json_read_raw(j, field);
    }
    return false;
}

static const struct claim *claim_find(const struct auth_policy *policy, struct str key)
{
    if (json_key_is(key, policy->tenant_claim))
        return &claim_tenant;
    if (policy->tenant_alias && json_key_is(key, STR("organization_id")))
        return &claim_tenant_alias;
    for (size_t i = 0; i < sizeof(claims_known) / sizeof(claims_known[0]); i++) {
        if (json_key_is(key, claims_known[i].name))
            return &claims_known[i];
    }
    return NULL;
}

const char *payload_read(const struct auth_policy *policy, struct str text, struct scratch *s,
                         struct payload *ret)
{
    struct json j;
    struct str key;
    json_init(&j, text);
    json_object_begin(&j);
    while (json_object_next(&j, &key)) {
        const struct claim *c = claim_find(policy, key);
        if (c == NULL)
            json_skip(&j);
        else if (!claim_read(c, &j, s, ret))
            return c->reason;
    }
    return json_end(&j) ? "" : "the token's payload is not a JSON object";
}
