/* token.h - who somebody is and what they may do: JSON Web Tokens and API keys.
 * Thread:  a struct auth never changes after auth_create(): every loop may use it at once. A
 *          reload makes a new one. Claims belong to whoever asked for them.
 * Memory:  auth_create() copies what it needs. Claims own one block, released by claims_fini().
 * Failure: a bad token is an answer with a reason, never an assertion; with a result other than
 *          ERR_OK the claims hold the reason alone, and claims_fini() is harmless on them. */
#ifndef AUTH_TOKEN_H
#define AUTH_TOKEN_H

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

enum {
    AUTH_TOKEN_MAX_BYTES = 8192, // default of token_max_bytes
    AUTH_SECRET_MAX_BYTES = 1024,
    AUTH_API_KEYS_MAX = 1024,
};

struct auth;

struct auth_options {
    struct str hmac_secret;      // HS256, HS384, HS512; empty: not accepted
    struct str rsa_public_key;   // PEM text; RS256, RS384, RS512; empty: not accepted
    struct str ecdsa_public_key; // PEM text; ES256, ES384 or ES512 by its curve; empty: none
    struct str audience;         // empty: not checked; else one of the token's aud
    struct str issuer;           // empty: not checked
    struct str tenant_claim;     // empty or "org": org, and organization_id as its alias
    const struct str *api_keys;
    size_t api_key_count;
    uint32_t leeway_s;      // tolerated difference of clocks, for exp and nbf
    size_t token_max_bytes; // 0: AUTH_TOKEN_MAX_BYTES
};

/* NULL when a key cannot be used; why is then added to ret_why (which may be NULL). */
struct auth *auth_create(const struct auth_options *options, struct buf *ret_why);
void auth_destroy(struct auth **a);

/* Whether any token could be valid, and whether any API key is configured. */
bool auth_has_token_key(const struct auth *a);
bool auth_has_api_key(const struct auth *a);

/* What a token says against the namespace's own option; UNSET leaves the option alone. */
enum claim_switch { CLAIM_UNSET, CLAIM_OFF, CLAIM_ON };

struct claim_override {
    enum claim_switch presence, join_leave;
    enum claim_switch force_push_join_leave, force_recovery, force_positioning;
};

/* One server-side subscription: from subs, or only its name from channels. */
struct claim_sub {
    struct str channel;
    struct str info, data; // JSON exactly as in the token, or empty
    struct claim_override override;
};

struct claims {
    struct str user;   // sub; empty: anonymous
    struct str tenant; // empty: the token does not say
    struct str role, token_id;
    struct str info;     // JSON exactly as in the token (or decoded from b64info), or empty
    struct str meta;     // likewise
    int64_t expire_at_s; // when the connection ends: expire_at, else exp; 0: never
    struct claim_sub *subs;
    size_t sub_count;
    const char *reason; // "" with ERR_OK, else what is wrong with the token: constant text
    void *block;        // private
};

struct sub_claims {
    struct str user;    // must be the connection's user
    struct str tenant;  // empty: the token does not say
    struct str client;  // empty: any; otherwise must be the session's id
    struct str channel; // never empty
    struct str info, data;
    struct claim_override override;
    int64_t expire_at_s;
    const char *reason;
    void *block; // private
};

/* ERR_OK, ERR_TOKEN_EXPIRED (also: not valid yet), ERR_UNAUTHORIZED for every other fault,
 * ERR_INTERNAL when memory has run out. *ret is overwritten. */
enum err auth_verify_connection(const struct auth *a, struct str jwt, int64_t now_s,
                                struct claims *ret);
enum err auth_verify_subscription(const struct auth *a, struct str jwt, int64_t now_s,
                                  struct sub_claims *ret);

void claims_fini(struct claims *c);
void sub_claims_fini(struct sub_claims *c);

/* Takes the same time whichever key matches, or none. */
bool auth_api_key_ok(const struct auth *a, struct str key);

/* What token_sign() writes; empty and zero fields are left out. */
struct token_spec {
    struct str algorithm; // "HS256" when empty; HS384, HS512
    struct str sub;
    struct str tenant_claim; // "org" when empty
    struct str tenant, role;
    struct str audience, issuer, token_id, client;
    struct str info, meta; // JSON text
    const struct str *channels;
    size_t channel_count;
    struct str channel; // makes it a subscription token
    int64_t issued_at_s, expires_at_s;
};

/* Appends the token to ret; false when it cannot be made (no secret, JSON text or UTF-8 that is
 * not, no room). */
bool token_sign(struct str secret, const struct token_spec *spec, struct buf *ret);

/* Appends the two JSON texts of a token without verifying anything: to show them to people. */
bool token_decode(struct str jwt, struct buf *ret_header, struct buf *ret_payload);

#endif
