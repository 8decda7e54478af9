/* token_world.h - tokens that are signed as an application's own library does, and verified in a
 * heap block of exactly their size, so that reading past either end is found.
 *
 * Thread:  the test's.
 * Memory:  what is made is the test's to free.
 * Failure: the test's. */
#ifndef UNIT_AUTH_TOKEN_WORLD_H
#define UNIT_AUTH_TOKEN_WORLD_H

#include "auth/token.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <jose/jose.h>

#define SECRET "0123456789abcdef0123456789abcdef"

enum { NOW_S = 1700000000, TEXT_MAX = 64 * 1024 };

static inline struct auth *make(struct auth_options o)
{
    struct auth *a = auth_create(&o, NULL);
    assert_non_null(a);
    return a;
}

static inline struct auth *with_secret(void)
{
    return make((struct auth_options){.hmac_secret = STR(SECRET)});
}

static inline void *exact(struct str s)
{
    char *p = malloc(s.n ? s.n : 1);
    assert_non_null(p);
    if (s.n)
        memcpy(p, s.p, s.n);
    return p;
}

static inline enum err verify(const struct auth *a, struct str jwt, struct claims *ret)
{
    char *p = exact(jwt);
    enum err e = auth_verify_connection(a, (struct str){p, jwt.n}, NOW_S, ret);
    free(p); // claims own what they point to
    return e;
}

static inline enum err verify_sub(const struct auth *a, struct str jwt, struct sub_claims *ret)
{
    char *p = exact(jwt);
    enum err e = auth_verify_subscription(a, (struct str){p, jwt.n}, NOW_S, ret);
    free(p);
    return e;
}

/* José signs any payload with any key: what an application's own library does. */
static inline struct str sign(const char *header, const char *payload, const json_t *jwk,
                              struct buf *out)
{
    json_t *jws = json_pack("{s:o}", "payload", jose_b64_enc(payload, strlen(payload)));
    json_t *sig = json_pack("{s:o}", "protected", json_loads(header, 0, NULL));
    assert_true(jose_jws_sig(NULL, jws, sig, jwk));
    buf_init(out, TEXT_MAX);
    assert_true(buf_add_format(out, "%s.%s.%s",
                               json_string_value(json_object_get(jws, "protected")),
                               json_string_value(json_object_get(jws, "payload")),
                               json_string_value(json_object_get(jws, "signature"))));
    json_decref(sig);
    json_decref(jws);
    return buf_str(out);
}

static inline json_t *oct(const char *secret)
{
    return json_pack("{s:s,s:o}", "kty", "oct", "k", jose_b64_enc(secret, strlen(secret)));
}

static inline struct str sign_hs256(const char *payload, struct buf *out)
{
    json_t *jwk = oct(SECRET);
    struct str jwt = sign("{\"alg\":\"HS256\"}", payload, jwk, out);
    json_decref(jwk);
    return jwt;
}

static inline enum err verify_payload(const struct auth *a, const char *payload, struct claims *ret)
{
    struct buf out;
    enum err e = verify(a, sign_hs256(payload, &out), ret);
    buf_fini(&out);
    return e;
}

static inline void assert_str(struct str s, const char *want)
{
    if (!str_eq(s, str_from(want)))
        fail_msg("\"%.*s\" is not \"%s\"", STR_FMT(s), want);
}

#endif
