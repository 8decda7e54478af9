/* conductor_read.c and conductor_write.c: what clients and back ends say, and what is written. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include "dialect/conductor_priv.h"

#include <cmocka.h>

static struct council_command cmd;
static struct council_event event;

/* In a block of its own, so that reading past it is a sanitizer's report. */
static struct str block_of(const char *text, size_t n)
{
    char *p = malloc(n > 0 ? n : 1);
    assert_non_null(p);
    memcpy(p, text, n);
    return (struct str){p, n};
}

static void drop(struct str block)
{
    free((char *)(uintptr_t)block.p);
}

static void assert_str(struct str got, const char *want)
{
    if (!str_eq(got, str_from(want)))
        fail_msg("%.*s, not %s", STR_FMT(got), want);
}

static void test_stamps(void **state)
{
    (void)state;
    static const struct {
        int64_t wall_ms;
        const char *want;
    } rows[] = {
        {1761447539123, "1761447539.123000"},
        {1761447539000, "1761447539.000000"},
        {1761447539007, "1761447539.007000"},
        {0, "0.000000"},
        {-5, "0.000000"},
        {INT64_MAX, "9223372036854775.807000"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char at[STAMP_MAX];
        struct str got = {at, stamp_write(rows[i].wall_ms, at)};
        assert_str(got, rows[i].want);
    }
}

static void test_frames(void **state)
{
    (void)state;
    char at[256];
    struct buf b = buf_on(at, sizeof(at));
    assert_true(frame_write(&b, STR("a\"b"), STR("{\"x\":\n 1}"), 1500));
    assert_str(buf_str(&b), "{\"type\":\"a\\\"b\",\"data\":{\"x\":  1},\"timestamp\":1.500000}");
    buf_clear(&b);
    assert_true(frame_write(&b, STR_NONE, STR("null"), 1500));
    assert_str(buf_str(&b), "{\"type\":\"message\",\"data\":{},\"timestamp\":1.500000}");
    buf_clear(&b);
    struct publication p = {.type = STR("result"), .data = STR("[1]"), .time_ms = 2};
    assert_true(job_frame_write(&b, &p, STR("job_1")));
    assert_str(buf_str(&b), "{\"event\":\"result\",\"data\":[1],\"timestamp\":0.002000,"
                            "\"job_id\":\"job_1\"}");
    size_t whole = b.len;
    for (size_t n = 0; n < whole; n++) { // all of it or nothing
        struct buf little = buf_on(at, n);
        assert_false(job_frame_write(&little, &p, STR("job_1")));
        assert_int_equal(little.len, 0);
    }
}

static void test_commands(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum command_kind kind;
        const char *said; // of an unknown one
    } rows[] = {
        {"{\"command\":\"subscribe\",\"topics\":[\"a\"]}", COMMAND_SUBSCRIBE, NULL},
        {" { \"command\" : \"p\\u0069ng\" } ", COMMAND_PING, NULL},
        {"{\"command\":\"get_stats\"}", COMMAND_STATS, NULL},
        {"{\"command\":\"pause_councilor\",\"councilor_id\":7}", COMMAND_PAUSE, NULL},
        {"{\"command\":\"ping \"}", COMMAND_OTHER, "ping "},
        {"{\"command\":\"\"}", COMMAND_OTHER, ""},
        {"{}", COMMAND_OTHER, "None"},
        {"{\"command\":null}", COMMAND_OTHER, "None"},
        {"{\"command\":true}", COMMAND_OTHER, "True"},
        {"{\"command\":false}", COMMAND_OTHER, "False"},
        {"{\"command\":1.50}", COMMAND_OTHER, "1.50"},
        {"{\"command\":[1]}", COMMAND_OTHER, "[1]"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char at[64];
        struct buf b = buf_on(at, sizeof(at));
        struct str text = block_of(rows[i].text, strlen(rows[i].text));
        assert_true(council_command_read(text, &cmd));
        assert_int_equal(cmd.kind, rows[i].kind);
        if (rows[i].said != NULL) {
            assert_true(command_name_write(&b, cmd.name));
            assert_str(buf_str(&b), rows[i].said);
        }
        drop(text);
    }
}

static void test_no_commands(void **state)
{
    (void)state;
    static const char *const bad[] = {"",
                                      " ",
                                      "ping",
                                      "1",
                                      "[]",
                                      "null",
                                      "\"ping\"",
                                      "{\"command\":}",
                                      "{\"command\":\"ping\"}x",
                                      "{\"command\":\"ping\"}{}",
                                      "{'command':'ping'}",
                                      "{\"command\":\"\xff\"}"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct str text = block_of(bad[i], strlen(bad[i]));
        if (council_command_read(text, &cmd))
            fail_msg("%s", bad[i]);
        drop(text);
    }
    const char *whole = "{\"command\":\"subscribe\",\"topics\":[\"a\",\"\\u0062\"],\"x\":[{}]}";
    for (size_t n = 0; n < strlen(whole); n++) {
        struct str text = block_of(whole, n);
        assert_false(council_command_read(text, &cmd));
        drop(text);
    }
}

static void test_topics(void **state)
{
    (void)state;
    struct topics *t = topics_make(STR("[\"a\", \"\\u0062\"]"));
    assert_non_null(t);
    assert_int_equal(t->count, 2);
    assert_str(t->raw, "[\"a\", \"\\u0062\"]");
    assert_true(topics_want(t, STR("a")) && topics_want(t, STR("b")));
    assert_false(topics_want(t, STR("c")) || topics_want(t, STR_NONE));
    free(t);
    t = topics_make(STR("[\"x\",\"all\"]"));
    assert_true(t != NULL && topics_want(t, STR("anything")));
    free(t);
    t = topics_make(STR("[]"));
    assert_true(t != NULL && !topics_want(t, STR("all")));
    free(t);
    assert_true(topics_want(NULL, STR("a")));
    static const char *const bad[] = {
        "",       "null",     "\"all\"",       "{}",     "[1]",     "[[]]",
        "[\"a\"", "[\"a\",]", "[\"\\ud800\"]", "[null]", "[\"a\"]x"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (topics_make(str_from(bad[i])) != NULL)
            fail_msg("%s", bad[i]);
    }
}

static void test_too_many_topics(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 1 << 16);
    assert_true(buf_add_char(&b, '['));
    for (int i = 0; i < TOPICS_MAX; i++)
        assert_true(buf_add(&b, i > 0 ? STR(",\"t\"") : STR("\"t\"")));
    assert_true(buf_add_char(&b, ']'));
    struct topics *t = topics_make(buf_str(&b));
    assert_non_null(t);
    free(t);
    b.len--;
    assert_true(buf_add(&b, STR(",\"t\"]")));
    assert_null(topics_make(buf_str(&b)));
    buf_fini(&b);
}

static void test_events(void **state)
{
    (void)state;
    assert_null(council_event_read(
        STR("{\"type\":\"task_\\u0065rror\",\"data\":{\"a\": 1},\"tenant\":\"acme\",\"x\":0}"),
        &event));
    assert_str(event.type, "task_error");
    assert_str(event.data, "{\"a\": 1}");
    assert_str(event.tenant, "acme");
    assert_null(council_event_read(STR("{\"type\":null,\"data\":null}"), &event));
    assert_int_equal(event.type.n, 0);
    assert_str(event.data, "{}");
    static const struct {
        const char *text, *why;
    } bad[] = {
        {"[]", "the body is not a JSON object"},
        {"{", "the body is not a JSON object"},
        {"{\"type\":\"a\",\"data\":{}", "the body is not a JSON object"},
        {"{\"type\":1}", "type is not a string"},
        {"{\"tenant\":[]}", "tenant is not a string"},
        {"{\"data\":[]}", "data is not an object"},
        {"{\"data\":\"x\"}", "data is not an object"},
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        const char *why = council_event_read(str_from(bad[i].text), &event);
        assert_non_null(why);
        assert_string_equal(why, bad[i].why);
    }
    char text[EVENT_TYPE_MAX + 64];
    struct buf b = buf_on(text, sizeof(text));
    assert_true(buf_add(&b, STR("{\"type\":\"")));
    for (int i = 0; i <= EVENT_TYPE_MAX; i++)
        assert_true(buf_add_char(&b, 'x'));
    assert_true(buf_add(&b, STR("\"}")));
    const char *why = council_event_read(buf_str(&b), &event);
    assert_true(why != NULL && str_eq(str_from(why), STR("type is too long")));
}

static void test_level(void **state)
{
    (void)state;
    static const struct {
        const char *data, *want;
    } rows[] = {
        {"{}", "{\"level\":\"debug\"}"},
        {"{\"a\":[1, 2]}", "{\"a\":[1, 2],\"level\":\"debug\"}"},
        {"{\"level\":\"x\"}", "{\"level\":\"debug\"}"},
        {"{\"l\\u0065vel\":{},\"b\":1}", "{\"b\":1,\"level\":\"debug\"}"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char at[128];
        struct buf b = buf_on(at, sizeof(at));
        assert_true(debug_data_write(&b, str_from(rows[i].data)));
        assert_str(buf_str(&b), rows[i].want);
    }
}

static void test_job_texts(void **state)
{
    (void)state;
    static const struct {
        const char *body, *want;
    } rows[] = {
        {"{\"textEntries\":[{\"content\":\"a\"}],\"input\":\"b\",\"command\":\"c\"}", "a"},
        {"{\"textEntries\":[{\"x\":1,\"content\":\"\\u0061\"},{\"content\":\"z\"}]}", "\\u0061"},
        {"{\"textEntries\":[],\"input\":\"b\"}", "b"},
        {"{\"textEntries\":[{\"content\":\"\"}],\"input\":\"b\"}", "b"},
        {"{\"textEntries\":{},\"input\":7,\"command\":\"c\"}", "c"},
        {"{\"textEntries\":[5],\"command\":\"c\"}", "c"},
        {"{\"input\":\"\",\"command\":null}", NULL},
        {"{\"textEntries\":[[]]}", NULL},
        {"{}", NULL},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct str raw;
        bool found = job_text_find(str_from(rows[i].body), &raw);
        assert_int_equal(found, rows[i].want != NULL);
        if (found)
            assert_str(raw, rows[i].want);
    }
}

/* Whatever room there is, what is said of who watches is JSON, and the count is of all. */
static void test_statistics_fit(void **state)
{
    (void)state;
    struct conductor c = {.lock = PTHREAD_MUTEX_INITIALIZER};
    struct council cc = {.conductor = &c};
    struct endpoint e = {0};
    struct watcher watchers[6] = {0};
    struct topics topics = {.raw = STR("[\"task_submitted\",\"task_completed\",\"task_error\"]")};
    list_init(&cc.watchers);
    for (size_t i = 0; i < sizeof(watchers) / sizeof(watchers[0]); i++) {
        watchers[i].conductor = &c;
        watchers[i].council = &cc;
        watchers[i].ws.endpoint = &e;
        watchers[i].topics = &topics; // long ones: there is no more room for them than for ids
        list_add(&cc.watchers, &watchers[i].link);
        cc.watcher_count++;
    }
    for (e.ws.out_max_bytes = 0; e.ws.out_max_bytes < 2048; e.ws.out_max_bytes++) {
        struct buf out;
        buf_init(&out, 4096);
        assert_true(council_stats_write(watchers, &out));
        assert_true(json_valid(buf_str(&out)));
        assert_true(str_starts(buf_str(&out), STR("{\"active_connections\":6,")));
        buf_fini(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stamps),    cmocka_unit_test(test_frames),
        cmocka_unit_test(test_commands),  cmocka_unit_test(test_no_commands),
        cmocka_unit_test(test_topics),    cmocka_unit_test(test_too_many_topics),
        cmocka_unit_test(test_events),    cmocka_unit_test(test_level),
        cmocka_unit_test(test_job_texts), cmocka_unit_test(test_statistics_fit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
