/* admit.c: who is let in, and into which tenant. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include "dialect/admit.h"

#include <cmocka.h>

enum { NOW_S = 1700000000 };
#define SECRET "a secret of thirty-two characters"

static struct auth *auth;
static struct admission admission;
static admission_slot slot;
static struct endpoint endpoint;

static int set_up(void **state)
{
    (void)state;
    auth = auth_create(&(struct auth_options){.hmac_secret = STR(SECRET)}, NULL);
    admission = (struct admission){.auth = auth};
    atomic_init(&slot, &admission);
    endpoint =
        (struct endpoint){.admission = &slot, .tenant = STR("own"), .tenant_from = TENANT_CLAIM};
    return auth == NULL;
}

static int tear_down(void **state)
{
    (void)state;
    auth_destroy(&auth);
    return 0;
}

/* "": no token; otherwise one of ana for this tenant, "-": that says none. */
static enum err try(const char *tenant, const char *asked, char ret_tenant[32])
{
    struct buf token;
    struct identity id;
    buf_init(&token, 4096);
    if (tenant[0] != '\0')
        assert_true(token_sign(STR(SECRET),
                               &(struct token_spec){
                                   .sub = STR("ana"),
                                   .tenant = str_from(tenant[0] == '-' ? "" : tenant),
                                   .expires_at_s = NOW_S + 60,
                               },
                               &token));
    struct buf request; // is gone before the identity
    buf_init(&request, 256);
    assert_true(buf_add(&request, str_from(asked)));
    enum err err = admit(&endpoint, buf_str(&token), buf_str(&request), NOW_S, false, &id);
    buf_fini(&request);
    ret_tenant[0] = '\0';
    if (err == ERR_OK) {
        assert_true(id.tenant.n < 32);
        memcpy(ret_tenant, id.tenant.p, id.tenant.n);
        ret_tenant[id.tenant.n] = '\0';
        assert_true(str_eq(id.user, tenant[0] == '\0' ? STR("") : STR("ana")));
    } else {
        assert_true(strlen(id.why) > 0);
    }
    identity_fini(&id);
    buf_fini(&token);
    return err;
}

static void test_tenants(void **state)
{
    (void)state;
    static const struct {
        enum tenant_from from;
        const char *claim, *asked, *tenant; // tenant "": refused
    } rows[] = {
        {TENANT_CLAIM, "", "", "own"},  {TENANT_CLAIM, "x", "", "x"},
        {TENANT_CLAIM, "-", "", "own"}, {TENANT_CLAIM, "x", "x", "x"},
        {TENANT_CLAIM, "x", "y", ""},   {TENANT_FIXED, "", "", "own"},
        {TENANT_FIXED, "", "x", "own"}, {TENANT_FIXED, "own", "", "own"},
        {TENANT_FIXED, "-", "", "own"}, {TENANT_FIXED, "x", "", ""},
        {TENANT_FIXED, "x", "x", ""},   {TENANT_QUERY, "", "", "own"},
        {TENANT_QUERY, "", "x", "x"},   {TENANT_QUERY, "x", "", "x"},
        {TENANT_QUERY, "x", "x", "x"},  {TENANT_QUERY, "x", "y", ""},
        {TENANT_QUERY, "-", "y", ""},   {TENANT_QUERY, "-", "own", "own"},
        {TENANT_CLAIM, "", "x", ""},    {TENANT_CLAIM, "", "own", "own"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char tenant[32];
        endpoint.tenant_from = rows[i].from;
        enum err err = try(rows[i].claim, rows[i].asked, tenant);
        bool let_in = rows[i].tenant[0] != '\0';
        if (strcmp(tenant, rows[i].tenant) != 0 || err != (let_in ? ERR_OK : ERR_PERMISSION_DENIED))
            fail_msg("row %zu: error %d, tenant %s", i, (int)err, tenant);
    }
}

static void test_who_needs_a_token(void **state)
{
    (void)state;
    static const struct {
        enum endpoint_auth auth;
        bool required;
        enum err without;
    } rows[] = {
        {AUTH_AUTO, false, ERR_OK},
        {AUTH_AUTO, true, ERR_UNAUTHORIZED},
        {AUTH_REQUIRED, false, ERR_UNAUTHORIZED},
        {AUTH_OPTIONAL, true, ERR_OK},
        {AUTH_NONE, true, ERR_OK},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char tenant[32];
        endpoint.auth = rows[i].auth;
        admission.token_required = rows[i].required;
        assert_int_equal(try("", "", tenant), rows[i].without);
        struct identity id;
        enum err bad = admit(&endpoint, STR("x.y.z"), STR_NONE, NOW_S, false, &id);
        assert_int_equal(bad, rows[i].auth == AUTH_NONE ? ERR_OK : ERR_UNAUTHORIZED);
        identity_fini(&id);
    }
}

static void sign(struct buf *token, const struct token_spec *spec)
{
    buf_clear(token);
    assert_true(token_sign(STR(SECRET), spec, token));
}

static enum err try_names(struct str user, struct str tenant)
{
    struct buf token;
    struct identity id;
    buf_init(&token, 4096);
    sign(&token, &(struct token_spec){.sub = user, .tenant = tenant});
    enum err err = admit(&endpoint, buf_str(&token), STR_NONE, NOW_S, false, &id);
    identity_fini(&id);
    buf_fini(&token);
    return err;
}

static void test_names(void **state)
{
    (void)state;
    struct str wrong[] = {STR("a\0b"), STR("a\nb"), STR("\x7f"), {NULL, NAME_BYTES_MAX + 1}};
    char tenant[32], longest[NAME_BYTES_MAX + 1];
    memset(longest, 'a', sizeof(longest));
    wrong[3].p = longest;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        assert_int_equal(try_names(wrong[i], STR("t")), ERR_UNAUTHORIZED);
        assert_int_equal(try_names(STR("ana"), wrong[i]), ERR_BAD_REQUEST);
    }
    struct str fits = {longest, NAME_BYTES_MAX};
    assert_int_equal(try_names(fits, fits), ERR_OK);
    assert_int_equal(try_names(STR("Ana Maria"), STR("Caf\xC3\xA9 do Z\xC3\xA9")), ERR_OK);
    endpoint.tenant_from = TENANT_QUERY;
    assert_int_equal(try("", "a\tb", tenant), ERR_BAD_REQUEST);
    assert_int_equal(try("", "a\xff", tenant), ERR_BAD_REQUEST);
}

static void test_again(void **state)
{
    (void)state;
    struct session s = {.user = STR("ana"), .tenant = STR("own")};
    struct buf t;
    int64_t end_s = 0;
    buf_init(&t, 4096);
    sign(&t, &(struct token_spec){.sub = STR("ana"), .expires_at_s = NOW_S + 5});
    assert_int_equal(admit_again(&endpoint, &s, buf_str(&t), NOW_S, &end_s), ERR_OK);
    assert_int_equal(end_s, NOW_S + 5);
    assert_int_equal(admit_again(&endpoint, &s, buf_str(&t), NOW_S + 6, &end_s), ERR_TOKEN_EXPIRED);
    sign(&t, &(struct token_spec){.sub = STR("bob")});
    assert_int_equal(admit_again(&endpoint, &s, buf_str(&t), NOW_S, &end_s), ERR_UNAUTHORIZED);
    sign(&t, &(struct token_spec){.sub = STR("ana"), .tenant = STR("x")});
    assert_int_equal(admit_again(&endpoint, &s, buf_str(&t), NOW_S, &end_s), ERR_UNAUTHORIZED);
    buf_fini(&t);
}

static void test_subscriptions(void **state)
{
    (void)state;
    struct session s = {.user = STR("ana"), .tenant = STR("own"), .client = {1}};
    struct str mine = STR("01000000-0000-0000-0000-000000000000");
    const struct {
        struct token_spec spec;
        enum err want;
    } rows[] = {
        {{.sub = STR("ana"), .channel = STR("c")}, ERR_OK},
        {{.sub = STR("ana"), .channel = STR("c"), .tenant = STR("own")}, ERR_OK},
        {{.sub = STR("ana"), .channel = STR("c"), .client = mine}, ERR_OK},
        {{.sub = STR("bob"), .channel = STR("c")}, ERR_UNAUTHORIZED},
        {{.channel = STR("c")}, ERR_UNAUTHORIZED},
        {{.sub = STR("ana"), .channel = STR("d")}, ERR_UNAUTHORIZED},
        {{.sub = STR("ana"), .channel = STR("c"), .tenant = STR("x")}, ERR_UNAUTHORIZED},
        {{.sub = STR("ana"), .channel = STR("c"), .client = STR("x")}, ERR_UNAUTHORIZED},
        {{.sub = STR("ana"), .channel = STR("c"), .expires_at_s = 5}, ERR_TOKEN_EXPIRED},
        {{.sub = STR("ana")}, ERR_PERMISSION_DENIED}, // a token of a connection
    };
    struct session foreign = {.user = STR("ana"), .tenant = STR("x"), .client = {1}};
    struct buf t;
    buf_init(&t, 4096);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct sub_claims claims;
        sign(&t, &rows[i].spec);
        enum err err = admit_subscription(&endpoint, &s, buf_str(&t), STR("c"), NOW_S, &claims);
        if (err != rows[i].want)
            fail_msg("row %zu: %d", i, (int)err);
        sub_claims_fini(&claims);
    }
    struct sub_claims claims; // without a tenant: for the endpoint's own only
    sign(&t, &rows[0].spec);
    assert_int_equal(admit_subscription(&endpoint, &foreign, buf_str(&t), STR("c"), NOW_S, &claims),
                     ERR_UNAUTHORIZED);
    buf_fini(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_tenants, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_who_needs_a_token, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_names, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_again, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_subscriptions, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
