/* claims_priv.h - what the files that read a token's payload share.
 * Thread:  any; everything is the caller's.
 * Memory:  strings point into the payload's text or the scratch behind it.
 * Failure: a text that is not as it must be is refused with a reason of constant text. */
#ifndef AUTH_CLAIMS_PRIV_H
#define AUTH_CLAIMS_PRIV_H

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

/* Where decoded strings go: see C2 of claims.c. */
struct scratch {
    char *at;
    size_t left;
};

static inline void scratch_take(struct scratch *s, size_t n)
{
    s->at += n;
    s->left -= n;
}

/* Decoded into the scratch unless it stands in the text as it is. */
bool scratch_read_string(struct json *j, struct scratch *s, struct str *ret);

/* Returns the reason, "" when all was read. */
const char *payload_read(const struct auth_policy *policy, struct str text, struct scratch *s,
                         struct payload *ret);

/* Replaces *json by the JSON text that b64 holds, when there is any. */
bool claims_prefer_base64(struct str b64, struct scratch *s, struct str *json);
/* {"presence": {"value": true}, ..} */
bool claims_override_read(struct str raw, struct claim_override *ret);
/* {"channel": {..}, ..}; ret->subs has room for all. */
bool claims_subs_read(struct str raw, struct scratch *s, struct claims *ret);
/* ["channel", ..]; the same. */
bool claims_channels_read(struct str raw, struct scratch *s, struct claims *ret);

#endif
