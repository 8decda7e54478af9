/*
 * claims.c - from a verified payload to claims.
 *
 * Why it exists: what a token may say, and what each claim must look like, is one table here.
 *
 * Always true:
 *   C1. only text whose signature holds is read.
 *   C2. claims point into their own block: [subs][payload][room for decoded strings], and the
 *       decoded strings of a payload, base64 included, fit in twice its length.
 *   C3. info, data and meta are pieces of the payload, byte for byte.
 */
#include "auth/token.h"

#include <openssl/evp.h>
#include <stdlib.h>

#include "auth/auth_priv.h"
#include "base/json.h"

struct when {
    bool set;
    int64_t s;
};

/* All that a payload can say, before anything is judged. Raw fields hold JSON text. */
struct payload {
    struct str user, role, token_id, client, channel, issuer, tenant, tenant_alias;
    struct str info, data, meta, b64info, b64data;
    struct str audience, channels, subs, override; // raw
    struct when exp, nbf, expire_at;
};

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

/* C2: where decoded strings go. */
struct scratch {
    char *at;
    size_t left;
};

static void scratch_take(struct scratch *s, size_t n)
{
    s->at += n;
    s->left -= n;
}

static bool read_string(struct json *j, struct scratch *s, struct str *ret)
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
        return read_string(j, s, ret);
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
        return read_string(j, s, field);
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

/* Returns the reason, "" when all was read. */
static const char *payload_read(const struct auth_policy *policy, struct str text,
                                struct scratch *s, struct payload *ret)
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

static bool audience_matches(struct str raw, struct str want, struct scratch s)
{
    struct json j;
    struct str one;
    bool found = false;
    json_init(&j, raw);
    if (json_peek(&j) == JSON_STRING)
        return json_read_string(&j, s.at, s.left, &one) && str_eq(one, want);
    json_array_begin(&j);
    while (json_array_next(&j)) {
        if (json_read_string(&j, s.at, s.left, &one))
            found |= str_eq(one, want);
    }
    return json_end(&j) && found;
}

static enum err refuse(enum err e, const char *text, const char **ret_reason)
{
    *ret_reason = text;
    return e;
}

static enum err payload_judge(const struct auth_policy *policy, const struct payload *p,
                              struct scratch s, int64_t now_s, const char **ret_reason)
{
    if (policy->issuer.n > 0 && !str_eq(p->issuer, policy->issuer))
        return refuse(ERR_UNAUTHORIZED, "the token's issuer is not the configured one", ret_reason);
    if (policy->audience.n > 0 && !audience_matches(p->audience, policy->audience, s))
        return refuse(ERR_UNAUTHORIZED, "the token is not for the configured audience", ret_reason);
    if (p->tenant.n > 0 && p->tenant_alias.n > 0 && !str_eq(p->tenant, p->tenant_alias))
        return refuse(ERR_UNAUTHORIZED, "org and organization_id differ", ret_reason);
    if (p->exp.set && now_s >= p->exp.s + policy->leeway_s)
        return refuse(ERR_TOKEN_EXPIRED, "the token has expired", ret_reason);
    if (p->nbf.set && now_s + policy->leeway_s < p->nbf.s)
        return refuse(ERR_TOKEN_EXPIRED, "the token is not valid yet", ret_reason);
    *ret_reason = "";
    return ERR_OK;
}

static int64_t expire_at_s(const struct payload *p)
{
    if (p->expire_at.set)
        return p->expire_at.s > 0 ? p->expire_at.s : 0;
    return p->exp.set ? p->exp.s : 0;
}

static struct str tenant_of(const struct payload *p)
{
    return p->tenant.n > 0 ? p->tenant : p->tenant_alias;
}

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

/* Replaces *json by the JSON text that b64 holds, when there is any. */
static bool prefer_base64(struct str b64, struct scratch *s, struct str *json)
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

static bool override_read(struct str raw, struct claim_override *ret)
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
            read_string(j, s, &b64info);
        else if (!null && json_key_is(key, STR("b64data")))
            read_string(j, s, &b64data);
        else
            json_skip(j);
    }
    return j->error == NULL && override_read(override, &ret->override) &&
           prefer_base64(b64info, s, &ret->info) && prefer_base64(b64data, s, &ret->data);
}

static bool subs_read(struct str raw, struct scratch *s, struct claims *ret)
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

static bool channels_read(struct str raw, struct scratch *s, struct claims *ret)
{
    struct json j;
    json_init(&j, raw);
    json_array_begin(&j);
    while (json_array_next(&j)) {
        struct claim_sub *sub = &ret->subs[ret->sub_count];
        if (!read_string(&j, s, &sub->channel) || sub->channel.n == 0)
            return false;
        ret->sub_count++;
    }
    return json_end(&j);
}

/* No more subscriptions than this can be in the text: each stands behind a quote, twice. */
static size_t subs_max(struct str text)
{
    size_t quotes = 0;
    for (size_t i = 0; i < text.n; i++)
        quotes += text.p[i] == '"';
    return quotes / 2;
}

/* C2. Allocates the block: *ret_text is the payload in it, *ret_scratch the room behind. */
static void *block_create(const struct buf *payload, size_t sub_count, struct str *ret_text,
                          struct scratch *ret_scratch)
{
    size_t head = sub_count * sizeof(struct claim_sub);
    char *block = calloc(1, head + 3 * payload->len + 1);
    if (block == NULL)
        return NULL;
    if (payload->len > 0)
        memcpy(block + head, payload->p, payload->len);
    *ret_text = (struct str){block + head, payload->len};
    *ret_scratch = (struct scratch){block + head + payload->len, 2 * payload->len + 1};
    return block;
}

static enum err connection_fill(const struct payload *p, struct scratch *s, struct claims *ret)
{
    const char **why = &ret->reason;
    *ret = (struct claims){
        .user = p->user,
        .tenant = tenant_of(p),
        .role = p->role,
        .token_id = p->token_id,
        .info = p->info,
        .meta = p->meta,
        .expire_at_s = expire_at_s(p),
        .subs = ret->subs,
        .reason = "",
        .block = ret->block,
    };
    if (!prefer_base64(p->b64info, s, &ret->info))
        return refuse(ERR_UNAUTHORIZED, "b64info must be base64 of JSON", why);
    if (p->subs.n > 0 && !subs_read(p->subs, s, ret))
        return refuse(ERR_UNAUTHORIZED, "subs must map channels to their options", why);
    if (ret->sub_count == 0 && p->channels.n > 0 && !channels_read(p->channels, s, ret))
        return refuse(ERR_UNAUTHORIZED, "channels must be an array of channel names", why);
    return ERR_OK;
}

static enum err connection_read(const struct auth *a, const struct buf *payload, int64_t now_s,
                                struct claims *ret)
{
    const struct auth_policy *policy = auth_policy(a);
    struct payload p = {0};
    struct scratch s;
    struct str text;
    ret->block = block_create(payload, subs_max(buf_str(payload)), &text, &s);
    if (ret->block == NULL)
        return refuse(ERR_INTERNAL, "out of memory", &ret->reason);
    ret->subs = ret->block;
    ret->reason = payload_read(policy, text, &s, &p);
    if (*ret->reason != '\0')
        return ERR_UNAUTHORIZED;
    if (p.channel.n > 0)
        return refuse(ERR_UNAUTHORIZED, "a subscription token is not for connecting", &ret->reason);
    enum err e = payload_judge(policy, &p, s, now_s, &ret->reason);
    return e == ERR_OK ? connection_fill(&p, &s, ret) : e;
}

static enum err subscription_read(const struct auth *a, const struct buf *payload, int64_t now_s,
                                  struct sub_claims *ret)
{
    const struct auth_policy *policy = auth_policy(a);
    struct payload p = {0};
    struct scratch s;
    struct str text;
    void *block = block_create(payload, 0, &text, &s);
    if (block == NULL)
        return refuse(ERR_INTERNAL, "out of memory", &ret->reason);
    *ret = (struct sub_claims){.reason = payload_read(policy, text, &s, &p), .block = block};
    if (*ret->reason != '\0')
        return ERR_UNAUTHORIZED;
    enum err e = payload_judge(policy, &p, s, now_s, &ret->reason);
    if (e != ERR_OK)
        return e;
    if (p.channel.n == 0)
        return refuse(ERR_UNAUTHORIZED, "a subscription token must name its channel", &ret->reason);
    if (!override_read(p.override, &ret->override))
        return refuse(ERR_UNAUTHORIZED, "override must hold {\"value\": true or false}",
                      &ret->reason);
    ret->user = p.user;
    ret->tenant = tenant_of(&p);
    ret->client = p.client;
    ret->channel = p.channel;
    ret->info = p.info;
    ret->data = p.data;
    ret->expire_at_s = expire_at_s(&p);
    if (!prefer_base64(p.b64info, &s, &ret->info) || !prefer_base64(p.b64data, &s, &ret->data))
        return refuse(ERR_UNAUTHORIZED, "b64info and b64data must be base64 of JSON", &ret->reason);
    return ERR_OK;
}

enum err auth_verify_connection(const struct auth *a, struct str jwt, int64_t now_s,
                                struct claims *ret)
{
    struct buf payload;
    buf_init(&payload, jwt.n + 1); // decoding never makes it longer
    *ret = (struct claims){0};
    enum err e = token_open(a, jwt, &payload, &ret->reason);
    if (e == ERR_OK)
        e = connection_read(a, &payload, now_s, ret);
    buf_fini(&payload);
    if (e != ERR_OK) {
        const char *reason = ret->reason;
        claims_fini(ret);
        ret->reason = reason;
    }
    return e;
}

enum err auth_verify_subscription(const struct auth *a, struct str jwt, int64_t now_s,
                                  struct sub_claims *ret)
{
    struct buf payload;
    buf_init(&payload, jwt.n + 1);
    *ret = (struct sub_claims){0};
    enum err e = token_open(a, jwt, &payload, &ret->reason);
    if (e == ERR_OK)
        e = subscription_read(a, &payload, now_s, ret);
    buf_fini(&payload);
    if (e != ERR_OK) {
        const char *reason = ret->reason;
        sub_claims_fini(ret);
        ret->reason = reason;
    }
    return e;
}

void claims_fini(struct claims *c)
{
    free(c->block);
    *c = (struct claims){.reason = ""};
}

void sub_claims_fini(struct sub_claims *c)
{
    free(c->block);
    *c = (struct sub_claims){.reason = ""};
}
