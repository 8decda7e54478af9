/*
 * claims_test.c - what a token with a good signature says, and what it may not say.
 */
#include "token_world.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_claims),          cmocka_unit_test(test_subs),
        cmocka_unit_test(test_base64_info),         cmocka_unit_test(test_times),
        cmocka_unit_test(test_audience_and_issuer), cmocka_unit_test(test_tenant),
        cmocka_unit_test(test_wrong_types),         cmocka_unit_test(test_subscription),
        cmocka_unit_test(test_many_channels),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
