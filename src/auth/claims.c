/*
 * claims.c - from a verified payload to claims.
 *
 * Why it exists: who a token lets in, and until when, is judged here and nowhere else.
 *
 * Always true:
 *   C1. only text whose signature holds is read.
 *   C2. claims point into their own block: [subs][payload][room for decoded strings], and the
 *       decoded strings of a payload, base64 included, fit in twice its length.
 *   C3. info, data and meta are pieces of the payload, byte for byte.
 */
#include "auth/token.h"

#include <stdlib.h>

#include "auth/claims_priv.h"

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
    if (!claims_prefer_base64(p->b64info, s, &ret->info))
        return refuse(ERR_UNAUTHORIZED, "b64info must be base64 of JSON", why);
    if (p->subs.n > 0 && !claims_subs_read(p->subs, s, ret))
        return refuse(ERR_UNAUTHORIZED, "subs must map channels to their options", why);
    if (ret->sub_count == 0 && p->channels.n > 0 && !claims_channels_read(p->channels, s, ret))
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
    if (!claims_override_read(p.override, &ret->override))
        return refuse(ERR_UNAUTHORIZED, "override must hold {\"value\": true or false}",
                      &ret->reason);
    ret->user = p.user;
    ret->tenant = tenant_of(&p);
    ret->client = p.client;
    ret->channel = p.channel;
    ret->info = p.info;
    ret->data = p.data;
    ret->expire_at_s = expire_at_s(&p);
    if (!claims_prefer_base64(p.b64info, &s, &ret->info) ||
        !claims_prefer_base64(p.b64data, &s, &ret->data))
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
