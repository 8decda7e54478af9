/* plataforma_read.c: what clients and back ends say, from blocks that end where the text ends. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "dialect/plataforma_priv.h"

#include <cmocka.h>

/* A copy of its own: reading behind the end is an error that the sanitizers see. */
static struct str own(const char *text)
{
    size_t n = strlen(text);
    char *at = malloc(n + (n == 0));
    assert_non_null(at);
    if (n > 0)
        memcpy(at, text, n);
    return (struct str){at, n};
}

static void disown(struct str s)
{
    free((void *)(uintptr_t)s.p);
}

static void test_commands(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum plat_verb verb;
        const char *project;
    } rows[] = {
        {"ping", PLAT_PING, ""},
        {"{\"action\":\"ping\"}", PLAT_PING, ""},
        {"{\"type\":\"ping\"}", PLAT_PING, ""},
        {" { \"type\" : \"ping\" } ", PLAT_PING, ""},
        {"{\"type\":\"ping\",\"action\":\"stats\"}", PLAT_STATS, ""},
        {"{\"action\":\"stats\",\"type\":\"ping\"}", PLAT_STATS, ""},
        {"{\"type\":\"ping\",\"action\":null}", PLAT_IGNORED, ""},
        {"{\"type\":\"ping\",\"action\":\"dance\"}", PLAT_IGNORED, ""},
        {"{\"\\u0061ction\":\"st\\u0061ts\"}", PLAT_STATS, ""},
        {"{\"action\":\"subscribe\",\"project_id\":\"A\"}", PLAT_SUBSCRIBE, "A"},
        {"{\"project_id\":\"f\\u00e1\",\"type\":\"unsubscribe\"}", PLAT_UNSUBSCRIBE, "f\xc3\xa1"},
        {"{\"action\":\"subscribe\",\"project_id\":7}", PLAT_SUBSCRIBE, ""},
        {"{\"action\":\"subscribe\",\"project_id\":\"A\",\"project_id\":{}}", PLAT_SUBSCRIBE, ""},
        {"{\"action\":\"subscribe\",\"project_id\":\"\\ud800\"}", PLAT_SUBSCRIBE, ""},
        {"{\"action\":[\"ping\"]}", PLAT_IGNORED, ""},
        {"", PLAT_IGNORED, ""},
        {"pin", PLAT_IGNORED, ""},
        {"ping\n", PLAT_IGNORED, ""},
        {"\"ping\"", PLAT_IGNORED, ""},
        {"[]", PLAT_IGNORED, ""},
        {"null", PLAT_IGNORED, ""},
        {"{\"action\":\"ping\"", PLAT_IGNORED, ""},
        {"{\"action\":\"ping\"}}", PLAT_IGNORED, ""},
        {"{\"action\":\"ping\",}", PLAT_IGNORED, ""},
        {"{\"action\":\"pi\xff\"}", PLAT_IGNORED, ""},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct plat_command c;
        struct str text = own(rows[i].text);
        plat_command_read(text, &c);
        if (c.verb != rows[i].verb || !str_eq(c.project, str_from(rows[i].project)))
            fail_msg("row %zu: verb %d, project %.*s", i, (int)c.verb, STR_FMT(c.project));
        disown(text);
    }
}

static void test_commands_cut_anywhere(void **state)
{
    (void)state;
    const char *whole = "{\"action\":\"subscribe\",\"type\":\"ping\",\"project_id\":\"P\\u00e1\"}";
    char part[128];
    for (size_t n = 0; n < strlen(whole); n++) {
        memcpy(part, whole, n);
        part[n] = '\0';
        struct plat_command c;
        struct str text = own(part);
        plat_command_read(text, &c);
        assert_int_equal(c.verb, PLAT_IGNORED);
        disown(text);
    }
}

static void test_long_projects(void **state)
{
    (void)state;
    for (size_t n = PLAT_PROJECT_MAX - 1; n <= PLAT_PROJECT_MAX + 1; n++) {
        char text[PLAT_PROJECT_MAX + 64] = "{\"action\":\"subscribe\",\"project_id\":\"";
        size_t at = strlen(text);
        memset(text + at, 'a', n);
        memcpy(text + at + n, "\"}", 3);
        struct plat_command c;
        plat_command_read(str_from(text), &c);
        assert_int_equal(c.verb, PLAT_SUBSCRIBE);
        assert_int_equal(c.project.n, n <= PLAT_PROJECT_MAX ? n : 0);
    }
}

static void test_logs(void **state)
{
    (void)state;
    static const struct {
        const char *data;
        enum plat_level least;
        const char *source;
        bool passes;
    } rows[] = {
        {"{\"level\":\"debug\"}", LEVEL_INFO, "", false},
        {"{\"level\":\"info\"}", LEVEL_INFO, "", true},
        {"{\"level\":\"Warning\"}", LEVEL_WARNING, "", true},
        {"{\"level\":\"warn\"}", LEVEL_ERROR, "", false},
        {"{\"level\":\"CRITICAL\"}", LEVEL_ERROR, "", true},
        {"{\"level\":7}", LEVEL_INFO, "", true},
        {"{}", LEVEL_WARNING, "", false},
        {"[1]", LEVEL_INFO, "", true},
        {"[1]", LEVEL_INFO, "api", false},
        {"{\"source\":\"api\"}", LEVEL_INFO, "api", true},
        {"{\"source\":\"api\"}", LEVEL_INFO, "ap", false},
        {"{\"source\":\"ap\"}", LEVEL_INFO, "api", false},
        {"{\"source\":\"\\u0061pi\"}", LEVEL_INFO, "api", true},
        {"{\"source\":[\"api\"]}", LEVEL_INFO, "api", false},
        {"{\"source\":\"api\",\"level\":\"debug\"}", LEVEL_INFO, "api", false},
        {"{\"deep\":{\"level\":\"error\",\"source\":\"api\"}}", LEVEL_WARNING, "", false},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct publication p = {.data = own(rows[i].data)};
        struct plat_note note;
        plat_note_read(&p, &note);
        if (plat_note_passes(&note, rows[i].least, str_from(rows[i].source)) != rows[i].passes)
            fail_msg("row %zu", i);
        disown(p.data);
    }
}

static void test_broadcasts(void **state)
{
    (void)state;
    static const struct {
        const char *body, *wrong_type, *wrong_at; // "": fine
    } rows[] = {
        {"{\"event_type\":\"error\",\"data\":{}}", "", ""},
        {"{\"event_type\":\"\",\"data\":{},\"project_id\":null}", "", ""},
        {"{\"data\":{\"event_type\":\"x\"}}", "missing", "event_type"},
        {"{\"event_type\":null,\"data\":{}}", "missing", "event_type"},
        {"{\"event_type\":1,\"data\":{}}", "string_type", "event_type"},
        {"{\"event_type\":\"error\"}", "missing", "data"},
        {"{\"event_type\":\"error\",\"data\":null}", "dict_type", "data"},
        {"{\"event_type\":\"error\",\"data\":[{}]}", "dict_type", "data"},
        {"{\"event_type\":\"error\",\"data\":{},\"project_id\":1}", "string_type", "project_id"},
        {"{\"event_type\":\"error\",\"data\":{},\"exclude_client\":[]}", "string_type",
         "exclude_client"},
        {"7", "model_attributes_type", ""},
        {"{\"event_type\":\"error\",\"data\":{}", "json_invalid", ""},
        {"", "json_invalid", ""},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct plat_broadcast b = {0};
        struct str body = own(rows[i].body);
        bool ok = plat_broadcast_read_body(body, &b);
        if (ok != (rows[i].wrong_type[0] == '\0') ||
            !str_eq(b.wrong_type, str_from(rows[i].wrong_type)) ||
            !str_eq(b.wrong_at, str_from(rows[i].wrong_at)))
            fail_msg("row %zu: %.*s %.*s", i, STR_FMT(b.wrong_type), STR_FMT(b.wrong_at));
        disown(body);
    }
}

static void test_long_texts_of_broadcasts(void **state)
{
    (void)state;
    char text[1024];
    static const char *const fields[] = {"event_type", "project_id", "exclude_client"};
    for (size_t i = 0; i < 3; i++) {
        struct plat_broadcast b = {0};
        snprintf(text, sizeof(text), "{\"%s\":\"%0300d\",\"data\":{}}", fields[i], 0);
        assert_false(plat_broadcast_read_body(str_from(text), &b));
        assert_true(str_eq(b.wrong_type, STR("string_too_long")));
        assert_true(str_eq(b.wrong_at, str_from(fields[i])));
    }
}

/* uuid.uuid5(uuid.NAMESPACE_OID, "painel") of Python, which back ends may use. */
static void test_client_ids(void **state)
{
    (void)state;
    char text[UUID_TEXT];
    uint8_t client[16];
    plat_client_from_id(STR("painel"), client);
    uuid_format(client, text);
    assert_memory_equal(text, "6f57d57e-b2cc-55c4-bde0-86b137eeb1d1", UUID_TEXT);
    plat_client_from_id(STR("7C9E6679-7425-40de-944b-e07fc1f90ae7"), client);
    uuid_format(client, text);
    assert_memory_equal(text, "7c9e6679-7425-40de-944b-e07fc1f90ae7", UUID_TEXT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_commands),      cmocka_unit_test(test_commands_cut_anywhere),
        cmocka_unit_test(test_long_projects), cmocka_unit_test(test_logs),
        cmocka_unit_test(test_broadcasts),    cmocka_unit_test(test_long_texts_of_broadcasts),
        cmocka_unit_test(test_client_ids),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
