/* auth_priv.h - what the files of this layer share: keys, and a token whose signature holds.
 * Thread:  any.
 * Memory:  a JWK is the caller's, to json_decref(); buffers are the caller's.
 * Failure: NULL or false, with a reason of constant text where a person has to know it. */
#ifndef AUTH_AUTH_PRIV_H
#define AUTH_AUTH_PRIV_H

#include "auth/token.h"

/* Of jansson, whose header cannot be included together with base/json.h: the names collide. */
struct json_t;

/* The options that reading claims needs; they live in the auth. */
struct auth_policy {
    struct str audience, issuer, tenant_claim;
    bool tenant_alias; // organization_id says the same as org
    int64_t leeway_s;
};

const struct auth_policy *auth_policy(const struct auth *a);

/* Checks form, algorithm and signature, and appends the payload's text. */
enum err token_open(const struct auth *a, struct str jwt, struct buf *ret_payload,
                    const char **ret_reason);

/* NULL: the secret is empty or too long, or memory has run out. */
struct json_t *secret_to_jwk(struct str secret);
struct json_t *rsa_to_jwk(struct str pem, const char **ret_reason);
struct json_t *ecdsa_to_jwk(struct str pem, const char **ret_reason);

bool signature_holds(const struct json_t *jws, const struct json_t *key);

/* Appends the whole token: header, payload and signature. */
bool secret_sign(struct str secret, struct str algorithm, struct str payload, struct buf *ret);

/* Appends the bytes; false for what is not base64url. */
bool base64url_decode(struct str text, struct buf *ret);

#endif
