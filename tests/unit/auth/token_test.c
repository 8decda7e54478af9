/*
 * token_test.c - tokens that hold, and many that must not.
 *
 * Always true: every token is verified in a heap block of exactly its size, so that reading past
 * either end is found.
 */
#include "auth/token.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <jose/jose.h>
#include <jose/openssl.h>
#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#define SECRET "0123456789abcdef0123456789abcdef"

enum { NOW_S = 1700000000, TEXT_MAX = 64 * 1024 };

static struct auth *make(struct auth_options o)
{
    struct auth *a = auth_create(&o, NULL);
    assert_non_null(a);
    return a;
}

static struct auth *with_secret(void)
{
    return make((struct auth_options){.hmac_secret = STR(SECRET)});
}

static void *exact(struct str s)
{
    char *p = malloc(s.n ? s.n : 1);
    assert_non_null(p);
    if (s.n)
        memcpy(p, s.p, s.n);
    return p;
}

static enum err verify(const struct auth *a, struct str jwt, struct claims *ret)
{
    char *p = exact(jwt);
    enum err e = auth_verify_connection(a, (struct str){p, jwt.n}, NOW_S, ret);
    free(p); // claims own what they point to
    return e;
}

static enum err verify_sub(const struct auth *a, struct str jwt, struct sub_claims *ret)
{
    char *p = exact(jwt);
    enum err e = auth_verify_subscription(a, (struct str){p, jwt.n}, NOW_S, ret);
    free(p);
    return e;
}

/* José signs any payload with any key: what an application's own library does. */
static struct str sign(const char *header, const char *payload, const json_t *jwk, struct buf *out)
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

static json_t *oct(const char *secret)
{
    return json_pack("{s:s,s:o}", "kty", "oct", "k", jose_b64_enc(secret, strlen(secret)));
}

static struct str sign_hs256(const char *payload, struct buf *out)
{
    json_t *jwk = oct(SECRET);
    struct str jwt = sign("{\"alg\":\"HS256\"}", payload, jwk, out);
    json_decref(jwk);
    return jwt;
}

static enum err verify_payload(const struct auth *a, const char *payload, struct claims *ret)
{
    struct buf out;
    enum err e = verify(a, sign_hs256(payload, &out), ret);
    buf_fini(&out);
    return e;
}

static void assert_str(struct str s, const char *want)
{
    if (!str_eq(s, str_from(want)))
        fail_msg("\"%.*s\" is not \"%s\"", STR_FMT(s), want);
}

/* ---- signatures ---- */

/* The example that everybody knows, from another implementation; its secret is short. */
static void test_known_token(void **state)
{
    (void)state;
    struct auth *a = make((struct auth_options){.hmac_secret = STR("your-256-bit-secret")});
    struct claims c;
    struct str jwt =
        STR("eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9"
            ".eyJzdWIiOiIxMjM0NTY3ODkwIiwibmFtZSI6IkpvaG4gRG9lIiwiaWF0IjoxNTE2MjM5MDIyfQ"
            ".SflKxwRJSMeKKF2QT4fwpMeJf36POk6yJV_adQssw5c");
    assert_int_equal(verify(a, jwt, &c), ERR_OK);
    assert_str(c.user, "1234567890");
    assert_int_equal(c.expire_at_s, 0);
    claims_fini(&c);
    auth_destroy(&a);
}

static void test_every_hmac(void **state)
{
    (void)state;
    const char *secrets[] = {"x", SECRET, SECRET SECRET SECRET SECRET SECRET};
    const char *algorithms[] = {"HS256", "HS384", "HS512"};
    for (size_t s = 0; s < 3; s++) {
        struct auth *a = make((struct auth_options){.hmac_secret = str_from(secrets[s])});
        for (size_t i = 0; i < 3; i++) {
            struct claims c;
            struct buf out;
            buf_init(&out, TEXT_MAX);
            struct token_spec t = {.algorithm = str_from(algorithms[i]), .sub = STR("ana")};
            assert_true(token_sign(str_from(secrets[s]), &t, &out));
            assert_int_equal(verify(a, buf_str(&out), &c), ERR_OK);
            assert_str(c.user, "ana");
            claims_fini(&c);
            buf_fini(&out);
        }
        auth_destroy(&a);
    }
}

static struct str pem_of(EVP_PKEY *key, BIO **ret)
{
    char *p;
    *ret = BIO_new(BIO_s_mem());
    assert_int_equal(PEM_write_bio_PUBKEY(*ret, key), 1);
    long n = BIO_get_mem_data(*ret, &p);
    return (struct str){p, (size_t)n};
}

static void check_key(const struct auth *a, EVP_PKEY *key, const char *alg, enum err want)
{
    struct claims c;
    struct buf out;
    char header[64];
    json_t *jwk = jose_openssl_jwk_from_EVP_PKEY(NULL, key);
    snprintf(header, sizeof(header), "{\"alg\":\"%s\"}", alg);
    assert_int_equal(verify(a, sign(header, "{\"sub\":\"ana\"}", jwk, &out), &c), want);
    claims_fini(&c);
    buf_fini(&out);
    json_decref(jwk);
}

static void test_rsa(void **state)
{
    (void)state;
    EVP_PKEY *key = EVP_RSA_gen(2048), *other = EVP_RSA_gen(2048);
    BIO *bio;
    struct str pem = pem_of(key, &bio);
    struct auth *a = make((struct auth_options){.rsa_public_key = pem});
    check_key(a, key, "RS256", ERR_OK);
    check_key(a, key, "RS384", ERR_OK);
    check_key(a, key, "RS512", ERR_OK);
    check_key(a, key, "PS256", ERR_UNAUTHORIZED); // not in the configured set
    check_key(a, other, "RS256", ERR_UNAUTHORIZED);

    /* The classic: the public key's text as the secret of an HMAC. */
    struct buf out;
    struct claims c;
    buf_init(&out, TEXT_MAX);
    struct token_spec t = {.sub = STR("eve")};
    assert_true(token_sign(pem, &t, &out));
    assert_int_equal(verify(a, buf_str(&out), &c), ERR_UNAUTHORIZED);
    assert_string_equal(c.reason, "the token's algorithm is not accepted");
    claims_fini(&c);
    buf_fini(&out);
    auth_destroy(&a);
    BIO_free(bio);
    EVP_PKEY_free(key);
    EVP_PKEY_free(other);
}

static void test_ecdsa(void **state)
{
    (void)state;
    const char *curves[] = {"P-256", "P-384", "P-521"};
    const char *algorithms[] = {"ES256", "ES384", "ES512"};
    for (size_t i = 0; i < 3; i++) {
        EVP_PKEY *key = EVP_EC_gen(curves[i]), *other = EVP_EC_gen(curves[(i + 1) % 3]);
        BIO *bio;
        struct auth *a = make((struct auth_options){.ecdsa_public_key = pem_of(key, &bio)});
        check_key(a, key, algorithms[i], ERR_OK);
        check_key(a, other, algorithms[(i + 1) % 3], ERR_UNAUTHORIZED);
        auth_destroy(&a);
        BIO_free(bio);
        EVP_PKEY_free(key);
        EVP_PKEY_free(other);
    }
}

static void test_unusable_keys(void **state)
{
    (void)state;
    EVP_PKEY *small = EVP_RSA_gen(1024), *curve = EVP_EC_gen("P-256");
    BIO *small_bio, *curve_bio;
    struct str small_pem = pem_of(small, &small_bio), curve_pem = pem_of(curve, &curve_bio);
    char long_secret[AUTH_SECRET_MAX_BYTES + 1];
    memset(long_secret, 'x', sizeof(long_secret));
    const struct str empty = STR("");
    const struct auth_options bad[] = {
        {.rsa_public_key = STR("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n")},
        {.rsa_public_key = curve_pem},
        {.rsa_public_key = small_pem},
        {.ecdsa_public_key = small_pem},
        {.ecdsa_public_key = STR("nonsense")},
        {.hmac_secret = {long_secret, sizeof(long_secret)}},
        {.api_keys = &empty, .api_key_count = 1},
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct buf why;
        buf_init(&why, 1024);
        assert_null(auth_create(&bad[i], &why));
        assert_true(why.len > 0);
        buf_fini(&why);
    }
    BIO_free(small_bio);
    BIO_free(curve_bio);
    EVP_PKEY_free(small);
    EVP_PKEY_free(curve);
}

/* {"alg":"none"} and its spellings, with and without a signature. */
static void test_none(void **state)
{
    (void)state;
    struct auth *a = with_secret();
    const char *bad[] = {
        "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbmEifQ.",
        "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbmEifQ.AAAA",
        "eyJhbGciOiJOT05FIn0.eyJzdWIiOiJhbmEifQ.AAAA", // NONE
        "eyJhbGciOiIifQ.eyJzdWIiOiJhbmEifQ.AAAA",      // empty
        "eyJ0eXAiOiJKV1QifQ.eyJzdWIiOiJhbmEifQ.AAAA",  // no alg
        "eyJhbGciOjF9.eyJzdWIiOiJhbmEifQ.AAAA",        // alg 1
        "W10.eyJzdWIiOiJhbmEifQ.AAAA",                 // an array
        "",
        ".",
        "..",
        "...",
        "a.b",
        "a.b.c.d",
        "a.b.c",
        "=.=.=",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct claims c;
        struct sub_claims s;
        assert_int_equal(verify(a, str_from(bad[i]), &c), ERR_UNAUTHORIZED);
        assert_true(c.reason[0] != '\0');
        assert_int_equal(verify_sub(a, str_from(bad[i]), &s), ERR_UNAUTHORIZED);
        claims_fini(&c);
        sub_claims_fini(&s);
    }
    auth_destroy(&a);
}

static void test_extension_asked_for(void **state)
{
    (void)state;
    struct auth *a = with_secret();
    struct buf out;
    struct claims c;
    json_t *jwk = oct(SECRET);
    struct str jwt = sign("{\"alg\":\"HS256\",\"crit\":[\"exp\"]}", "{}", jwk, &out);
    assert_int_equal(verify(a, jwt, &c), ERR_UNAUTHORIZED);
    json_decref(jwk);
    buf_fini(&out);
    auth_destroy(&a);
}

static void test_damaged(void **state)
{
    (void)state;
    struct auth *a = with_secret();
    struct buf out;
    struct claims c;
    struct str jwt = sign_hs256("{\"sub\":\"ana\",\"info\":{\"a\":1}}", &out);
    for (size_t n = 0; n < jwt.n; n++) // every beginning
        assert_int_equal(verify(a, (struct str){jwt.p, n}, &c), ERR_UNAUTHORIZED);
    /* Every byte but the last, whose low bits say nothing. */
    for (size_t i = 0; i + 1 < jwt.n; i++) {
        char kept = out.p[i];
        out.p[i] = kept == 'A' ? 'B' : 'A';
        assert_int_not_equal(verify(a, jwt, &c), ERR_OK);
        out.p[i] = kept;
    }
    assert_int_equal(verify(a, jwt, &c), ERR_OK);
    claims_fini(&c);
    buf_fini(&out);

    struct auth *other = make((struct auth_options){.hmac_secret = STR("another secret")});
    assert_int_equal(verify_payload(other, "{\"sub\":\"ana\"}", &c), ERR_UNAUTHORIZED);
    assert_string_equal(c.reason, "the token's signature is wrong");
    auth_destroy(&other);
    auth_destroy(&a);
}

static void test_too_long(void **state)
{
    (void)state;
    struct auth *a =
        make((struct auth_options){.hmac_secret = STR(SECRET), .token_max_bytes = 100});
    struct claims c;
    assert_int_equal(verify_payload(a, "{}", &c), ERR_OK);
    claims_fini(&c);
    assert_int_equal(verify_payload(a, "{\"sub\":\"somebody with quite a long name\"}", &c),
                     ERR_UNAUTHORIZED);
    assert_string_equal(c.reason, "the token is too long");
    auth_destroy(&a);
}

static void test_no_key(void **state)
{
    (void)state;
    struct auth *a = make((struct auth_options){0});
    struct claims c;
    assert_false(auth_has_token_key(a));
    assert_false(auth_has_api_key(a));
    assert_false(auth_api_key_ok(a, STR("")));
    assert_int_equal(verify_payload(a, "{\"sub\":\"ana\"}", &c), ERR_UNAUTHORIZED);
    auth_destroy(&a);
}

/* ---- claims ---- */

static void test_all_claims(void **state)
{
    (void)state;
    struct auth *a = with_secret();
    struct claims c;
    assert_int_equal(
        verify_payload(a,
                       "{\"sub\":\"an\\u0061\",\"org\":\"acme\",\"role\":\"admin\",\"jti\":\"t-1\","
                       "\"iat\":1,\"info\": {\"name\" : \"A\",\"n\":1.50} ,\"meta\":[1, 2],"
                       "\"exp\":1700000100,\"unknown\":{\"deep\":[[[]]]},"
                       "\"channels\":[\"a\",\"b:\\\"c\"]}",
                       &c),
        ERR_OK);
    assert_string_equal(c.reason, "");
    assert_str(c.user, "ana");
    assert_str(c.tenant, "acme");
    assert_str(c.role, "admin");
    assert_str(c.token_id, "t-1");
    assert_str(c.info, "{\"name\" : \"A\",\"n\":1.50}"); // byte for byte
    assert_str(c.meta, "[1, 2]");
    assert_int_equal(c.expire_at_s, 1700000100);
    assert_int_equal(c.sub_count, 2);
    assert_str(c.subs[0].channel, "a");
    assert_str(c.subs[1].channel, "b:\"c");
    claims_fini(&c);
    claims_fini(&c); // harmless
    auth_destroy(&a);
}

static void test_subs(void **state)
{
    (void)state;
    struct auth *a = with_secret();
    struct claims c;
    assert_int_equal(
        verify_payload(a,
                       "{\"channels\":[\"ignored\"],\"subs\":{\"x\":{},\"y\":null,"
                       "\"z\\n\":{\"info\":{\"i\":1},\"data\":\"d\",\"override\":{"
                       "\"presence\":{\"value\":false},\"join_leave\":{\"value\":true},"
                       "\"force_recovery\":null,\"other\":1}},"
                       "\"b\":{\"b64info\":\"eyJpIjoyfQ==\",\"b64data\":\"WzFd\"}}}",
                       &c),
        ERR_OK);
    assert_int_equal(c.sub_count, 4);
    assert_str(c.subs[0].channel, "x");
    assert_int_equal(c.subs[0].info.n, 0);
    assert_str(c.subs[2].channel, "z\n");
    assert_str(c.subs[2].info, "{\"i\":1}");
    assert_str(c.subs[2].data, "\"d\"");
    assert_int_equal(c.subs[2].override.presence, CLAIM_OFF);
    assert_int_equal(c.subs[2].override.join_leave, CLAIM_ON);
    assert_int_equal(c.subs[2].override.force_recovery, CLAIM_UNSET);
    assert_str(c.subs[3].info, "{\"i\":2}");
    assert_str(c.subs[3].data, "[1]");
    claims_fini(&c);
    auth_destroy(&a);
}

static void test_base64_info(void **state)
{
    (void)state;
    struct auth *a = with_secret();
    struct claims c;
    /* As PHP writes it: with the slashes escaped. {"a":"???"} */
    assert_int_equal(verify_payload(a, "{\"info\":1,\"b64info\":\"eyJhIjoiPz8\\/In0=\"}", &c),
                     ERR_OK);
    assert_str(c.info, "{\"a\":\"???\"}");
    claims_fini(&c);
    const char *bad[] = {
        "{\"b64info\":\"!!!!\"}",  "{\"b64info\":\"eyJ\"}",
        "{\"b64info\":\"====\"}",
        "{\"b64info\":\"Zm9v\"}", // foo: not JSON
        "{\"b64info\":\" eyJ9\"}", "{\"b64info\":\"eyJp\\n==\"}",
        "{\"b64info\":1}",         "{\"subs\":{\"a\":{\"b64info\":\"Zm9v\"}}}",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(verify_payload(a, bad[i], &c), ERR_UNAUTHORIZED);
    auth_destroy(&a);
}

static void test_times(void **state)
{
    (void)state;
    const struct {
        const char *payload;
        enum err want, with_leeway;
        int64_t expire_at_s;
    } cases[] = {
        {"{\"exp\":1700000001}", ERR_OK, ERR_OK, 1700000001},
        {"{\"exp\":1700000000}", ERR_TOKEN_EXPIRED, ERR_OK, 0},
        {"{\"exp\":1699999990.5}", ERR_TOKEN_EXPIRED, ERR_OK, 0},
        {"{\"exp\":1699999900}", ERR_TOKEN_EXPIRED, ERR_TOKEN_EXPIRED, 0},
        {"{\"exp\":0}", ERR_TOKEN_EXPIRED, ERR_TOKEN_EXPIRED, 0},
        {"{\"exp\":null}", ERR_OK, ERR_OK, 0},
        {"{\"nbf\":1700000000}", ERR_OK, ERR_OK, 0},
        {"{\"nbf\":1700000010}", ERR_TOKEN_EXPIRED, ERR_OK, 0},
        {"{\"nbf\":1700000100}", ERR_TOKEN_EXPIRED, ERR_TOKEN_EXPIRED, 0},
        {"{\"exp\":1700000001,\"expire_at\":1700000500}", ERR_OK, ERR_OK, 1700000500},
        {"{\"exp\":1700000001,\"expire_at\":0}", ERR_OK, ERR_OK, 0},
        {"{\"exp\":\"1700000001\"}", ERR_UNAUTHORIZED, ERR_UNAUTHORIZED, 0},
        {"{\"exp\":1e300}", ERR_UNAUTHORIZED, ERR_UNAUTHORIZED, 0},
    };
    struct auth *a = with_secret();
    struct auth *lenient = make((struct auth_options){.hmac_secret = STR(SECRET), .leeway_s = 30});
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct claims c;
        assert_int_equal(verify_payload(a, cases[i].payload, &c), cases[i].want);
        if (cases[i].want == ERR_OK)
            assert_int_equal(c.expire_at_s, cases[i].expire_at_s);
        claims_fini(&c);
        assert_int_equal(verify_payload(lenient, cases[i].payload, &c), cases[i].with_leeway);
        claims_fini(&c);
    }
    auth_destroy(&a);
    auth_destroy(&lenient);
}

static void test_audience_and_issuer(void **state)
{
    (void)state;
    const struct {
        const char *payload;
        enum err want;
    } cases[] = {
        {"{\"iss\":\"me\",\"aud\":\"app\"}", ERR_OK},
        {"{\"iss\":\"me\",\"aud\":[\"x\",\"ap\\u0070\"]}", ERR_OK},
        {"{\"iss\":\"me\",\"aud\":[\"x\"]}", ERR_UNAUTHORIZED},
        {"{\"iss\":\"me\",\"aud\":[]}", ERR_UNAUTHORIZED},
        {"{\"iss\":\"me\",\"aud\":[1,\"app\"]}", ERR_UNAUTHORIZED},
        {"{\"iss\":\"me\",\"aud\":{\"app\":1}}", ERR_UNAUTHORIZED},
        {"{\"iss\":\"me\"}", ERR_UNAUTHORIZED},
        {"{\"aud\":\"app\"}", ERR_UNAUTHORIZED},
        {"{\"iss\":\"you\",\"aud\":\"app\"}", ERR_UNAUTHORIZED},
    };
    struct auth *a = make((struct auth_options){
        .hmac_secret = STR(SECRET), .audience = STR("app"), .issuer = STR("me")});
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct claims c;
        assert_int_equal(verify_payload(a, cases[i].payload, &c), cases[i].want);
        claims_fini(&c);
    }
    auth_destroy(&a);
}

static void test_tenant(void **state)
{
    (void)state;
    struct auth *a = with_secret();
    struct auth *b =
        make((struct auth_options){.hmac_secret = STR(SECRET), .tenant_claim = STR("company")});
    struct claims c;
    assert_int_equal(verify_payload(a, "{\"organization_id\":\"o-1\"}", &c), ERR_OK);
    assert_str(c.tenant, "o-1");
    claims_fini(&c);
    assert_int_equal(verify_payload(a, "{\"org\":17}", &c), ERR_OK);
    assert_str(c.tenant, "17");
    claims_fini(&c);
    assert_int_equal(verify_payload(a, "{\"org\":\"x\",\"organization_id\":\"x\"}", &c), ERR_OK);
    claims_fini(&c);
    /* One of the two would be believed by somebody else. */
    assert_int_equal(verify_payload(a, "{\"org\":\"x\",\"organization_id\":\"y\"}", &c),
                     ERR_UNAUTHORIZED);
    assert_int_equal(verify_payload(a, "{\"org\":true}", &c), ERR_UNAUTHORIZED);
    assert_int_equal(verify_payload(a, "{\"org\":1.5}", &c), ERR_UNAUTHORIZED);
    assert_int_equal(verify_payload(b, "{\"org\":\"x\",\"company\":\"z\"}", &c), ERR_OK);
    assert_str(c.tenant, "z");
    claims_fini(&c);
    auth_destroy(&a);
    auth_destroy(&b);
}

static void test_wrong_types(void **state)
{
    (void)state;
    const char *bad[] = {
        "[]",
        "1",
        "",
        "{",
        "{}}",
        "{\"sub\":1}",
        "{\"sub\":[]}",
        "{\"sub\":\"\\ud800\"}",
        "{\"role\":1}",
        "{\"channels\":\"a\"}",
        "{\"channels\":[1]}",
        "{\"channels\":[\"\"]}",
        "{\"subs\":[]}",
        "{\"subs\":{\"\":{}}}",
        "{\"subs\":{\"a\":1}}",
        "{\"subs\":{\"a\":{\"override\":{\"presence\":true}}}}",
        "{\"subs\":{\"a\":{\"override\":{\"presence\":{\"value\":1}}}}}",
        "{\"channel\":\"only subscription tokens have one\"}",
    };
    struct auth *a = with_secret();
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct claims c;
        if (verify_payload(a, bad[i], &c) != ERR_UNAUTHORIZED)
            fail_msg("%s was accepted", bad[i]);
        assert_true(c.reason[0] != '\0');
        assert_null(c.subs);
        claims_fini(&c);
    }
    auth_destroy(&a);
}

static void test_subscription(void **state)
{
    (void)state;
    struct auth *a = with_secret();
    struct buf out;
    struct sub_claims c;
    struct str jwt = sign_hs256("{\"sub\":\"ana\",\"channel\":\"chat:1\",\"client\":\"c-1\","
                                "\"info\":{\"x\":1},\"exp\":1700000001,\"expire_at\":1700000900,"
                                "\"override\":{\"force_positioning\":{\"value\":true}}}",
                                &out);
    assert_int_equal(verify_sub(a, jwt, &c), ERR_OK);
    assert_str(c.user, "ana");
    assert_str(c.channel, "chat:1");
    assert_str(c.client, "c-1");
    assert_str(c.info, "{\"x\":1}");
    assert_int_equal(c.expire_at_s, 1700000900);
    assert_int_equal(c.override.force_positioning, CLAIM_ON);
    sub_claims_fini(&c);
    buf_fini(&out);

    const struct {
        const char *payload;
        enum err want;
    } cases[] = {
        {"{\"sub\":\"ana\"}", ERR_UNAUTHORIZED},
        {"{\"channel\":\"\"}", ERR_UNAUTHORIZED},
        {"{\"channel\":1}", ERR_UNAUTHORIZED},
        {"{\"channel\":\"a\",\"override\":1}", ERR_UNAUTHORIZED},
        {"{\"channel\":\"a\",\"b64data\":\"Zm9v\"}", ERR_UNAUTHORIZED},
        {"{\"channel\":\"a\",\"exp\":1}", ERR_TOKEN_EXPIRED},
        {"{\"channel\":\"a\"}", ERR_OK},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(verify_sub(a, sign_hs256(cases[i].payload, &out), &c), cases[i].want);
        sub_claims_fini(&c);
        buf_fini(&out);
    }
    auth_destroy(&a);
}

/* As many channels as a token can name. */
static void test_many_channels(void **state)
{
    (void)state;
    struct auth *a = with_secret();
    struct buf payload, out;
    struct claims c;
    buf_init(&payload, TEXT_MAX);
    assert_true(buf_add(&payload, STR("{\"channels\":[\"c\"")));
    for (int i = 1; i < 1400; i++)
        assert_true(buf_add(&payload, STR(",\"c\"")));
    assert_true(buf_add(&payload, STR("]}")) && buf_add_char(&payload, '\0'));
    assert_int_equal(verify(a, sign_hs256(payload.p, &out), &c), ERR_OK);
    assert_int_equal(c.sub_count, 1400);
    claims_fini(&c);
    buf_fini(&payload);
    buf_fini(&out);
    auth_destroy(&a);
}

/* ---- what we sign, and API keys ---- */

static void test_sign(void **state)
{
    (void)state;
    const struct str channels[] = {{"a", 1}, {"b", 1}};
    const struct token_spec t = {
        .sub = STR("an\"a"),
        .tenant = STR("acme"),
        .role = STR("admin"),
        .info = STR("{\"x\":1}"),
        .channels = channels,
        .channel_count = 2,
        .issued_at_s = NOW_S,
        .expires_at_s = NOW_S + 60,
    };
    struct auth *a = with_secret();
    struct buf out, header, payload;
    struct claims c;
    buf_init(&out, TEXT_MAX);
    buf_init(&header, TEXT_MAX);
    buf_init(&payload, TEXT_MAX);
    assert_true(token_sign(STR(SECRET), &t, &out));
    assert_int_equal(verify(a, buf_str(&out), &c), ERR_OK);
    assert_str(c.user, "an\"a");
    assert_str(c.tenant, "acme");
    assert_str(c.info, "{\"x\":1}");
    assert_int_equal(c.sub_count, 2);
    assert_int_equal(c.expire_at_s, NOW_S + 60);
    claims_fini(&c);
    assert_true(token_decode(buf_str(&out), &header, &payload));
    assert_str(buf_str(&header), "{\"alg\":\"HS256\",\"typ\":\"JWT\"}");
    assert_false(token_decode(STR("a.b"), &header, &payload));

    size_t before = out.len;
    struct token_spec bad = t;
    bad.info = STR("{");
    assert_false(token_sign(STR(SECRET), &bad, &out));
    bad = t;
    bad.algorithm = STR("none");
    assert_false(token_sign(STR(SECRET), &bad, &out));
    assert_false(token_sign(STR(""), &t, &out));
    assert_int_equal(out.len, before);
    buf_fini(&payload);
    buf_fini(&header);
    buf_fini(&out);
    auth_destroy(&a);
}

static void test_api_keys(void **state)
{
    (void)state;
    const struct str keys[] = {{"first", 5}, {"second-key", 10}};
    struct auth *a = make((struct auth_options){.api_keys = keys, .api_key_count = 2});
    assert_true(auth_has_api_key(a));
    assert_true(auth_api_key_ok(a, STR("first")));
    assert_true(auth_api_key_ok(a, STR("second-key")));
    assert_false(auth_api_key_ok(a, STR("second-ke")));
    assert_false(auth_api_key_ok(a, STR("second-key ")));
    assert_false(auth_api_key_ok(a, STR("First")));
    assert_false(auth_api_key_ok(a, STR("")));
    auth_destroy(&a);
    auth_destroy(&a); // harmless
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_token),
        cmocka_unit_test(test_every_hmac),
        cmocka_unit_test(test_rsa),
        cmocka_unit_test(test_ecdsa),
        cmocka_unit_test(test_unusable_keys),
        cmocka_unit_test(test_none),
        cmocka_unit_test(test_extension_asked_for),
        cmocka_unit_test(test_damaged),
        cmocka_unit_test(test_too_long),
        cmocka_unit_test(test_no_key),
        cmocka_unit_test(test_all_claims),
        cmocka_unit_test(test_subs),
        cmocka_unit_test(test_base64_info),
        cmocka_unit_test(test_times),
        cmocka_unit_test(test_audience_and_issuer),
        cmocka_unit_test(test_tenant),
        cmocka_unit_test(test_wrong_types),
        cmocka_unit_test(test_subscription),
        cmocka_unit_test(test_many_channels),
        cmocka_unit_test(test_sign),
        cmocka_unit_test(test_api_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
