/*
 * auth.c - keys, and whether a signature was made with one of them.
 *
 * Why it exists: José knows how to verify; which key may verify which algorithm is ours to say.
 *
 * Always true:
 *   A1. a token's algorithm picks a key of its own kind or none: no `none`, and no HMAC with the
 *       text of a public key.
 *   A2. nothing in a struct auth changes after auth_create(), so loops share it without a lock.
 *   A3. API keys are kept as digests of one length: comparing them tells nothing about their
 * length.
 */
#include "auth/admission.h"

#include <jansson.h>
#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <stdlib.h>

#include "auth/auth_priv.h"

enum algorithm { HS256, HS384, HS512, RS256, RS384, RS512, ES256, ES384, ES512, ALGORITHM_COUNT };

static const char *const algorithm_names[ALGORITHM_COUNT] = {
    "HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "ES256", "ES384", "ES512",
};

struct digest {
    unsigned char bytes[SHA256_DIGEST_LENGTH];
};

struct auth {
    json_t *keys[ALGORITHM_COUNT]; // A1; NULL: not accepted
    struct auth_policy policy;
    char *texts[3]; // what policy points at
    size_t token_max_bytes;
    struct digest *api_keys;
    size_t api_key_count;
};

static bool refuse(struct buf *why, const char *text)
{
    if (why != NULL)
        (void)buf_add(why, str_from(text)); // a reason that does not fit is still a refusal
    return false;
}

static bool add_secret(struct auth *a, struct str secret, struct buf *why)
{
    if (secret.n == 0)
        return true;
    if (secret.n > AUTH_SECRET_MAX_BYTES)
        return refuse(why, "the HMAC secret is longer than 1024 bytes");
    json_t *jwk = secret_to_jwk(secret);
    if (jwk == NULL)
        return refuse(why, "out of memory");
    a->keys[HS256] = jwk;
    a->keys[HS384] = json_incref(jwk);
    a->keys[HS512] = json_incref(jwk);
    return true;
}

static bool add_rsa(struct auth *a, struct str pem, struct buf *why)
{
    const char *reason;
    if (pem.n == 0)
        return true;
    json_t *jwk = rsa_to_jwk(pem, &reason);
    if (jwk == NULL)
        return refuse(why, reason);
    a->keys[RS256] = jwk;
    a->keys[RS384] = json_incref(jwk);
    a->keys[RS512] = json_incref(jwk);
    return true;
}

/* RFC 7518 gives each curve one algorithm. */
static enum algorithm algorithm_of_curve(const json_t *jwk)
{
    struct str crv = str_from(json_string_value(json_object_get(jwk, "crv")));
    if (str_eq(crv, STR("P-256")))
        return ES256;
    if (str_eq(crv, STR("P-384")))
        return ES384;
    return str_eq(crv, STR("P-521")) ? ES512 : ALGORITHM_COUNT;
}

static bool add_ecdsa(struct auth *a, struct str pem, struct buf *why)
{
    const char *reason;
    if (pem.n == 0)
        return true;
    json_t *jwk = ecdsa_to_jwk(pem, &reason);
    enum algorithm alg = jwk ? algorithm_of_curve(jwk) : ALGORITHM_COUNT;
    if (alg == ALGORITHM_COUNT) {
        json_decref(jwk);
        return refuse(why, reason);
    }
    a->keys[alg] = jwk;
    return true;
}

static bool keep_text(struct auth *a, size_t slot, struct str text, struct str *ret)
{
    a->texts[slot] = str_dup(text);
    *ret = (struct str){a->texts[slot], text.n};
    return a->texts[slot] != NULL;
}

static bool add_policy(struct auth *a, const struct auth_options *o, struct buf *why)
{
    struct str claim = o->tenant_claim.n ? o->tenant_claim : STR("org");
    a->policy.tenant_alias = str_eq(claim, STR("org"));
    a->policy.leeway_s = o->leeway_s;
    a->token_max_bytes = o->token_max_bytes ? o->token_max_bytes : AUTH_TOKEN_MAX_BYTES;
    bool ok = keep_text(a, 0, o->audience, &a->policy.audience) &&
              keep_text(a, 1, o->issuer, &a->policy.issuer) &&
              keep_text(a, 2, claim, &a->policy.tenant_claim);
    return ok || refuse(why, "out of memory");
}

static struct digest digest_of(struct str key)
{
    struct digest d;
    SHA256((const unsigned char *)(key.n ? key.p : ""), key.n, d.bytes);
    return d;
}

static bool add_api_keys(struct auth *a, const struct auth_options *o, struct buf *why)
{
    if (o->api_key_count == 0)
        return true;
    if (o->api_key_count > AUTH_API_KEYS_MAX)
        return refuse(why, "more than 1024 API keys");
    a->api_keys = calloc(o->api_key_count, sizeof(*a->api_keys));
    if (a->api_keys == NULL)
        return refuse(why, "out of memory");
    for (size_t i = 0; i < o->api_key_count; i++) {
        if (o->api_keys[i].n == 0)
            return refuse(why, "an API key is empty");
        a->api_keys[a->api_key_count++] = digest_of(o->api_keys[i]);
    }
    return true;
}

struct auth *auth_create(const struct auth_options *o, struct buf *ret_why)
{
    struct auth *a = calloc(1, sizeof(*a));
    if (a == NULL) {
        refuse(ret_why, "out of memory");
        return NULL;
    }
    bool ok = add_secret(a, o->hmac_secret, ret_why) && add_rsa(a, o->rsa_public_key, ret_why) &&
              add_ecdsa(a, o->ecdsa_public_key, ret_why) && add_policy(a, o, ret_why) &&
              add_api_keys(a, o, ret_why);
    if (!ok)
        auth_destroy(&a);
    return a;
}

void auth_destroy(struct auth **ap)
{
    struct auth *a = *ap;
    *ap = NULL;
    if (a == NULL)
        return;
    for (size_t i = 0; i < ALGORITHM_COUNT; i++)
        json_decref(a->keys[i]);
    for (size_t i = 0; i < sizeof(a->texts) / sizeof(a->texts[0]); i++)
        free(a->texts[i]);
    free(a->api_keys);
    free(a);
}

const struct auth_policy *auth_policy(const struct auth *a)
{
    return &a->policy;
}

bool auth_has_token_key(const struct auth *a)
{
    for (size_t i = 0; i < ALGORITHM_COUNT; i++) {
        if (a->keys[i] != NULL)
            return true;
    }
    return false;
}

bool auth_has_api_key(const struct auth *a)
{
    return a->api_key_count > 0;
}

bool auth_api_key_ok(const struct auth *a, struct str key)
{
    struct digest given = digest_of(key);
    int found = 0;
    for (size_t i = 0; i < a->api_key_count; i++) // every key, whether or not one was found
        found |= CRYPTO_memcmp(given.bytes, a->api_keys[i].bytes, sizeof(given.bytes)) == 0;
    return found != 0;
}

struct parts {
    struct str header, payload, signature;
};

static bool split(struct str jwt, struct parts *ret)
{
    ret->header = str_cut(&jwt, '.');
    ret->payload = str_cut(&jwt, '.');
    ret->signature = jwt;
    return ret->header.n > 0 && ret->payload.n > 0 && jwt.n > 0 &&
           memchr(jwt.p, '.', jwt.n) == NULL;
}

/* The key for the algorithm that the header names, NULL with a reason. */
static const json_t *find_key(const struct auth *a, struct str header64, const char **ret_reason)
{
    const json_t *key = NULL;
    struct buf text;
    buf_init(&text, header64.n + 1);
    bool decoded = base64url_decode(header64, &text);
    json_t *header = decoded ? json_loadb(text.p, text.len, JSON_REJECT_DUPLICATES, NULL) : NULL;
    buf_fini(&text);
    const char *alg = json_string_value(json_object_get(header, "alg"));
    *ret_reason = "the token's header is not readable";
    if (alg != NULL) {
        *ret_reason = "the token's algorithm is not accepted";
        for (size_t i = 0; i < ALGORITHM_COUNT; i++) {
            if (strcmp(alg, algorithm_names[i]) == 0)
                key = a->keys[i];
        }
    }
    if (key != NULL && json_object_get(header, "crit") != NULL) {
        *ret_reason = "the token asks for an extension that is not known";
        key = NULL;
    }
    json_decref(header);
    return key;
}

static bool parts_verify(const struct parts *p, const json_t *key)
{
    json_t *jws =
        json_pack("{s:s%,s:s%,s:s%}", "protected", p->header.p, p->header.n, "payload",
                  p->payload.p, p->payload.n, "signature", p->signature.p, p->signature.n);
    bool ok = jws != NULL && signature_holds(jws, key);
    json_decref(jws);
    return ok;
}

enum err token_open(const struct auth *a, struct str jwt, struct buf *ret_payload,
                    const char **ret_reason)
{
    struct parts p;
    *ret_reason = "the token is too long";
    if (jwt.n > a->token_max_bytes)
        return ERR_UNAUTHORIZED;
    *ret_reason = "not a token: three parts with dots between them are wanted";
    if (!split(jwt, &p))
        return ERR_UNAUTHORIZED;
    const json_t *key = find_key(a, p.header, ret_reason);
    if (key == NULL)
        return ERR_UNAUTHORIZED;
    *ret_reason = "the token's signature is wrong";
    if (!parts_verify(&p, key))
        return ERR_UNAUTHORIZED;

    *ret_reason = "the token's payload is not readable";
    if (!base64url_decode(p.payload, ret_payload))
        return ERR_UNAUTHORIZED;
    *ret_reason = "";
    return ERR_OK;
}

bool token_decode(struct str jwt, struct buf *ret_header, struct buf *ret_payload)
{
    struct parts p;
    return split(jwt, &p) && base64url_decode(p.header, ret_header) &&
           base64url_decode(p.payload, ret_payload);
}

bool admission_lets_back_end(const struct admission *a, struct str x_api_key,
                             struct str authorization)
{
    if (!auth_has_api_key(a->auth))
        return true;
    struct str scheme = str_cut(&authorization, ' ');
    if (x_api_key.n == 0 && str_eq_nocase(scheme, STR("apikey")))
        x_api_key = str_trim(authorization);
    return x_api_key.n > 0 && auth_api_key_ok(a->auth, x_api_key);
}

const char *admission_back_end_refusal(struct str x_api_key, struct str authorization, bool tokens)
{
    struct str rest = authorization;
    if (x_api_key.n > 0 || str_eq_nocase(str_cut(&rest, ' '), STR("apikey")))
        return "unauthorized: the API key is not one of auth.api_keys";
    return tokens ? "unauthorized: an API key is needed, as X-API-Key or as Authorization: apikey, "
                    "or a client's token"
                  : "unauthorized: an API key is needed, as X-API-Key or as Authorization: apikey";
}
