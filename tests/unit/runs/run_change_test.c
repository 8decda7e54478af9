/*
 * run_change_test.c - what back ends say of a run, and what is wrong with it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "runs/run_change.h"

#include <cmocka.h>

/* What is wrong: "field: why", or "" */
static const char *wrong(enum run_verb verb, const char *body, char at[256])
{
    struct json j;
    struct str text, field = STR_NONE;
    const char *why = NULL;
    char *copy = strdup(body); // its own block: reading past it is seen
    struct run_change *c = run_change_make(verb, STR("t"), STR("id"), str_from(copy), 5, &text);
    assert_non_null(c);
    free(copy);
    bool ok = run_change_read(c, text, &j, &field, &why);
    snprintf(at, 256, "%.*s%s%s", STR_FMT(field), ok ? "" : ": ",
             ok            ? ""
             : field.n > 0 ? why
                           : j.error);
    if (ok)
        at[0] = '\0';
    run_change_free(c);
    return at;
}

static void refused(void **state)
{
    static const struct {
        enum run_verb verb;
        const char *body, *want;
    } rows[] = {
        {RUN_CREATE, "", ""},
        {RUN_CREATE, "{}", ""},
        {RUN_CREATE, "{\"unknown\":[{}]}", ""},
        {RUN_CREATE, "{\"id\":\"\"}", "id: must not be empty"},
        {RUN_CREATE, "{\"id\":\"a\\u0000b\"}", "id: must not hold a zero character"},
        {RUN_CREATE, "{\"name\":\"\\ud800\"}", "name: has half a surrogate pair"},
        {RUN_CREATE, "{\"name\":[1]}", "name: must be a string"},
        {RUN_CREATE, "{\"name\":17,\"agent_id\":-3}", ""},
        {RUN_CREATE, "{\"name\":null,\"tokens_in\":null,\"input\":null}", ""},
        {RUN_CREATE, "{\"metadata\":[]}", "metadata: must be an object"},
        {RUN_CREATE, "{\"tokens_in\":-1}", "tokens_in: must be a whole number, not negative"},
        {RUN_CREATE, "{\"tokens_in\":1.5}", "tokens_in: must be a whole number, not negative"},
        {RUN_CREATE, "{\"status\":\"lost\"}",
         "status: must be queued, running, completed, failed, cancelled or timeout"},
        {RUN_CREATE, "{\"status\":1}",
         "status: must be queued, running, completed, failed, cancelled or timeout"},
        {RUN_CREATE, "{\"started_at\":\"yesterday\"}",
         "started_at: must be a date and time as 2026-11-30T08:15:00Z"},
        {RUN_CREATE, "{\"started_at\":1762124358123}", ""},
        {RUN_CREATE, "{\"lease\":\"soon\"}",
         "lease: must be a duration as \"30s\", or milliseconds; a week at most"},
        {RUN_CREATE, "{\"lease\":\"8d\"}",
         "lease: must be a duration as \"30s\", or milliseconds; a week at most"},
        {RUN_FINISH, "{\"status\":\"running\"}",
         "status: a finished run is completed, failed, cancelled or timeout"},
        {RUN_RETRY, "{\"status\":\"failed\"}", "status: a new attempt is queued or running"},
        {RUN_STEP, "{}", "name: is required"},
        {RUN_STEP, "{\"name\":\"s\",\"detail\":{\"a\":1}}", ""},
        {RUN_CREATE, "[]", ": expected an object"},
    };
    char at[256];
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const char *got = wrong(rows[i].verb, rows[i].body, at);
        if (rows[i].want[0] == ':')
            assert_true(got[0] == ':'); // the text itself, in the reader's words
        else
            assert_string_equal(got, rows[i].want);
    }
}

static void cut_off(void **state)
{
    const char *body = "{\"id\":\"a\",\"metadata\":{\"x\":[1,2]},\"tokens_in\":12}";
    char at[256], part[128];
    (void)state;
    for (size_t n = 1; n < strlen(body); n++) {
        snprintf(part, sizeof(part), "%.*s", (int)n, body);
        assert_true(wrong(RUN_CREATE, part, at)[0] == ':');
    }
    assert_string_equal(wrong(RUN_CREATE, body, at), "");
}

static void too_long(void **state)
{
    char *body = malloc(RUN_JSON_MAX + 64), at[256];
    (void)state;
    int n = snprintf(body, 64, "{\"input\":\"");
    memset(body + n, 'x', RUN_JSON_MAX);
    memcpy(body + n + RUN_JSON_MAX, "\"}", 3);
    assert_string_equal(wrong(RUN_CREATE, body, at), "input: is too long");
    free(body);
}

static void merged(void **state)
{
    static const struct {
        const char *a, *b, *want;
    } rows[] = {{"", "", "{}"},
                {"{}", "{\"a\":1}", "{\"a\":1}"},
                {"{\"a\":1}", "", "{\"a\":1}"},
                {"{\"a\":1,\"b\":[2]}", "{\"a\":{}}", "{\"b\":[2],\"a\":{}}"},
                {"{ \"a\" : 1 }", "{ \"c\" : \"}\" }", "{\"a\":1,\"c\":\"}\"}"}};
    char at[256];
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct buf b = buf_on(at, sizeof(at));
        assert_true(run_metadata_merge(&b, str_from(rows[i].a), str_from(rows[i].b)));
        assert_true(str_eq(buf_str(&b), str_from(rows[i].want)));
    }
    struct buf small = buf_on(at, 6);
    assert_false(run_metadata_merge(&small, STR("{\"a\":1}"), STR("{}")));
    assert_int_equal(small.len, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(refused), cmocka_unit_test(cut_off),
                                       cmocka_unit_test(too_long), cmocka_unit_test(merged)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
