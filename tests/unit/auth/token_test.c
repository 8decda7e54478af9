/*
 * token_test.c - signatures of tokens: those that hold, and many that must not; what we sign, and
 * API keys.
 */
#include "token_world.h"

#include <jose/openssl.h>
#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

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
        cmocka_unit_test(test_sign),
        cmocka_unit_test(test_api_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
