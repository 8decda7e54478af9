/* The orchestrator's dialect: what is read of a message, and the words about what cannot be. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/json.h"
#include "dialect/orquestrador_priv.h"

#include <cmocka.h>

/* A heap block of exactly this size: reading past it is a sanitizer's report. */
static struct str exact(struct str s)
{
    char *p = malloc(s.n > 0 ? s.n : 1);
    assert_non_null(p);
    return (struct str){memcpy(p, s.n > 0 ? s.p : "", s.n), s.n};
}

static void drop(struct str s)
{
    free((void *)(uintptr_t)s.p);
}

/* As Node 20 says it, but for "SyntaxError: ". */
static const struct {
    const char *text, *words;
} syntax[] = {
    {"", "Unexpected end of JSON input"},
    {" ", "Unexpected end of JSON input"},
    {"hello", "Unexpected token 'h', \"hello\" is not valid JSON"},
    {"{", "Expected property name or '}' in JSON at position 1"},
    {"{\"a\"", "Expected ':' after property name in JSON at position 4"},
    {"{\"a\":", "Unexpected end of JSON input"},
    {"{\"a\":1", "Expected ',' or '}' after property value in JSON at position 6"},
    {"{\"a\":1,", "Expected double-quoted property name in JSON at position 7"},
    {"{\"a\":1,}", "Expected double-quoted property name in JSON at position 7"},
    {"{a:1}", "Expected property name or '}' in JSON at position 1"},
    {"{'a':1}", "Expected property name or '}' in JSON at position 1"},
    {"[1,]", "Unexpected token ']', \"[1,]\" is not valid JSON"},
    {"[1", "Expected ',' or ']' after array element in JSON at position 2"},
    {"[1 2]", "Expected ',' or ']' after array element in JSON at position 3"},
    {"{\"a\" 1}", "Expected ':' after property name in JSON at position 5"},
    {"{\"a\":1 \"b\":2}", "Expected ',' or '}' after property value in JSON at position 7"},
    {"\"abc", "Unterminated string in JSON at position 4"},
    {"\"a\012b\"", "Bad control character in string literal in JSON at position 2"},
    {"\"\\x\"", "Bad escaped character in JSON at position 2"},
    {"\"\\u12g4\"", "Bad Unicode escape in JSON at position 5"},
    {"-", "No number after minus sign in JSON at position 1"},
    {"-a", "No number after minus sign in JSON at position 1"},
    {"1.", "Unterminated fractional number in JSON at position 2"},
    {"1.a", "Unterminated fractional number in JSON at position 2"},
    {"1e", "Exponent part is missing a number in JSON at position 2"},
    {"1e+", "Exponent part is missing a number in JSON at position 3"},
    {"01", "Unexpected number in JSON at position 1"},
    {"1 2", "Unexpected non-whitespace character after JSON at position 2"},
    {"{} {}", "Unexpected non-whitespace character after JSON at position 3"},
    {"undefined", "\"undefined\" is not valid JSON"},
    {"[object Object]", "\"[object Object]\" is not valid JSON"},
    {"NaN", "\"NaN\" is not valid JSON"},
    {"nul", "Unexpected end of JSON input"},
    {"tru", "Unexpected end of JSON input"},
    {"truex", "Unexpected non-whitespace character after JSON at position 4"},
    {"[nul]", "Unexpected token ']', \"[nul]\" is not valid JSON"},
    {"ping", "Unexpected token 'p', \"ping\" is not valid JSON"},
    {"{\"type\":\"ping\"} x", "Unexpected non-whitespace character after JSON at position 16"},
    {"{\"type\":ping}", "Unexpected token 'p', \"{\"type\":ping}\" is not valid JSON"},
    {"{\"type\":\"task:subscribe\",\"data\":{taskId:1}}",
     "Expected property name or '}' in JSON at position 33"},
    {"{\"type\":\"chat:send\",\"data\":{\"message\":\"a\"}}}",
     "Unexpected non-whitespace character after JSON at position 43"},
    {"+1", "Unexpected token '+', \"+1\" is not valid JSON"},
    {".5", "Unexpected token '.', \".5\" is not valid JSON"},
    {"{\"a\":\"b\"", "Expected ',' or '}' after property value in JSON at position 8"},
    {"{\"type\":\"pin", "Unterminated string in JSON at position 12"},
    {"{\"a\":1e5,", "Expected double-quoted property name in JSON at position 9"},
    {"{\"a\":tru", "Unexpected end of JSON input"},
    {"{\"a\":-}", "No number after minus sign in JSON at position 6"},
    {"{\"a\":1.}", "Unterminated fractional number in JSON at position 7"},
    {"{\"a\":01}", "Unexpected number in JSON at position 6"},
    {"{\"a\":\"\\q\"}", "Bad escaped character in JSON at position 7"},
    {"{\"a\":\"\011\"}", "Bad control character in string literal in JSON at position 6"},
    {"\357\273\277{}", "Unexpected token '\357\273\277', \"\357\273\277{}\" is not valid JSON"},
    {"{,}", "Expected property name or '}' in JSON at position 1"},
    {"[,]", "Unexpected token ',', \"[,]\" is not valid JSON"},
    {"{\"a\":}", "Unexpected token '}', \"{\"a\":}\" is not valid JSON"},
    {"}", "Unexpected token '}', \"}\" is not valid JSON"},
    {"]", "Unexpected token ']', \"]\" is not valid JSON"},
    {"\303\251", "Unexpected token '\303\251', \"\303\251\" is not valid JSON"},
    {"{\"\303\251\":x}", "Unexpected token 'x', \"{\"\303\251\":x}\" is not valid JSON"},
    {"\360\237\230\200", "Unexpected token '\357\277\275', \"\360\237\230\200\" is not valid JSON"},
    {"{\"a\":\360\237\230\200}",
     "Unexpected token '\357\277\275', \"{\"a\":\360\237\230\200}\" is not valid JSON"},
    {"{\"a\":\"\\u00", "Bad Unicode escape in JSON at position 10"},
    {"{\"a\":\"\\", "Unexpected end of JSON input"},
    {"{\"a\":1,\"b\"}", "Unexpected token '}', \"{\"a\":1,\"b\"}\" is not valid JSON"},
    {"{\"a\":[1,2}", "Expected ',' or ']' after array element in JSON at position 9"},
    {"[{]", "Expected property name or '}' in JSON at position 2"},
    {"{\"aaaaaaaaaaaaaaaaaaaaaaaaaaaa\":x,\"bbbbbbbbbbbbbbbbbbbbbbb\":1}",
     "Unexpected token 'x', ...\"aaaaaaaa\":x,\"bbbbbbb\"... is not valid JSON"},
    {"x{\"aaaaaaaaaaaaaaaaaaaaaaaaaaaa\":1}",
     "Unexpected token 'x', \"x{\"aaaaaaa\"... is not valid JSON"},
    {"{\"aaaaaaaaaaaaaaaaaaaaaaaaaaaa\":1}x",
     "Unexpected non-whitespace character after JSON at position 34"},
    {"[1] 5", "Unexpected non-whitespace character after JSON at position 4"},
    {"[1] \"a\"", "Unexpected non-whitespace character after JSON at position 4"},
    {"{\"a\":1 5}", "Expected ',' or '}' after property value in JSON at position 7"},
    {"{\"a\":1 \"b\"}", "Expected ',' or '}' after property value in JSON at position 7"},
    {"{\"a\":\"b\" true}", "Expected ',' or '}' after property value in JSON at position 9"},
    {"{5:1}", "Expected property name or '}' in JSON at position 1"},
    {"{\"a\":5 5}", "Expected ',' or '}' after property value in JSON at position 7"},
    {"5 5", "Unexpected non-whitespace character after JSON at position 2"},
    {"\"a\" \"b\"", "Unexpected non-whitespace character after JSON at position 4"},
    {"[5 \"a\"]", "Expected ',' or ']' after array element in JSON at position 3"},
    {"{\"type\":\"ping\"", "Expected ',' or '}' after property value in JSON at position 14"},
    {"nulll", "Unexpected non-whitespace character after JSON at position 4"},
    {"{\"a\":nulll}", "Expected ',' or '}' after property value in JSON at position 9"},
    {"-01", "Unexpected number in JSON at position 2"},
    {"1ex", "Exponent part is missing a number in JSON at position 2"},
    {"\"\177", "Unterminated string in JSON at position 2"},
    {"{\"a\":'b'}", "Unexpected token ''', \"{\"a\":'b'}\" is not valid JSON"},
    {"/", "Unexpected token '/', \"/\" is not valid JSON"},
    {"{\"a\":1}/*x*/", "Unexpected non-whitespace character after JSON at position 7"},
    {"\001", "Unexpected token '\001', \"\001\" is not valid JSON"},
    {"{\"x\":\"\360\237\230\200\360\237\230\200\",\"y\":z}",
     "Unexpected token 'z', \"{\"x\":\"\360\237\230\200\360\237\230\200\",\"y\":z}\" is not valid "
     "JSON"},
    {"{\"aaaaaaaaaaaaaaaaaaaaaaaaaaa\":tx}",
     "Unexpected token 'x', ...\"aaaaaaa\":tx}\" is not valid JSON"},
    {"Infinity", "\"Infinity\" is not valid JSON"},
    {"{\"\360\237\230\200\":"
     "\"\360\237\230\200\360\237\230\200\360\237\230\200\360\237\230\200\360\237\230\200\360\237"
     "\230\200\360\237\230\200\360\237\230\200\360\237\230\200\360\237\230\200\360\237\230\200\","
     "\"a\":z,\"b\":"
     "\"\360\237\230\200\360\237\230\200\360\237\230\200\360\237\230\200\360\237\230\200\360\237"
     "\230\200\360\237\230\200\360\237\230\200\360\237\230\200\360\237\230\200\360\237\230\200\360"
     "\237\230\200\"}",
     "Unexpected token 'z', "
     "...\"\360\237\230\200\360\237\230\200\",\"a\":z,\"b\":\"\360\237\230\200\357\277\275\"... is "
     "not valid JSON"},
    {"{\"a\":[\"\360\237\230\200\360\237\230\200\360\237\230\200\360\237\230\200\360\237\230\200\","
     "x\360\237\230\200\360\237\230\200\360\237\230\200\360\237\230\200\360\237\230\200\360\237\230"
     "\200\360\237\230\200\360\237\230\200]}",
     "Unexpected token 'x', "
     "...\"\360\237\230\200\360\237\230\200\360\237\230\200\360\237\230\200\","
     "x\360\237\230\200\360\237\230\200\360\237\230\200\360\237\230\200\357\277\275\"... is not "
     "valid JSON"},

    {"{\"a\":{\"b\":e[true,false]}}",
     "Unexpected token 'e', ...\"{\"a\":{\"b\":e[true,fal\"... is not valid JSON"},
    {"\"\\\303\251\"", "Bad escaped character in JSON at position 2"},
    {"\"\\\304\200\"", "Unexpected token '\304\200', \"\"\\\304\200\"\" is not valid JSON"},
};

static void syntax_is_told_as_by_node(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(syntax) / sizeof(syntax[0]); i++) {
        char at[ORQ_SYNTAX_MAX], want[ORQ_SYNTAX_MAX + 16];
        struct buf out = buf_on(at, sizeof(at));
        struct orq_command c;
        struct str text = exact(str_from(syntax[i].text));
        assert_false(orq_command_read(text, &c));
        assert_true(orq_syntax_write(&out, text));
        snprintf(want, sizeof(want), "SyntaxError: %s", syntax[i].words);
        if (!str_eq(buf_str(&out), str_from(want)))
            fail_msg("%s\nwanted %s\ngot    %.*s", syntax[i].text, want, (int)out.len, out.p);
        drop(text);
    }
}

static void a_zero_byte_is_no_end(void **state)
{
    char at[ORQ_SYNTAX_MAX];
    struct buf out = buf_on(at, sizeof(at));
    (void)state;
    assert_true(orq_syntax_write(&out, STR("\"\0\"")));
    assert_true(str_eq(buf_str(&out), STR("SyntaxError: Bad control character in string literal "
                                          "in JSON at position 1")));
    buf_clear(&out);
    assert_true(orq_syntax_write(&out, STR("\"\\\0\"")));
    assert_true(
        str_eq(buf_str(&out), STR("SyntaxError: Bad escaped character in JSON at position 2")));
}

/* What the server does not read but JavaScript would is told, too, and never as a value. */
static void depth_has_its_limit(void **state)
{
    char at[ORQ_SYNTAX_MAX], text[256];
    struct buf out = buf_on(at, sizeof(at));
    struct orq_command c;
    (void)state;
    memset(text, '[', 128);
    memset(text + 128, ']', 128);
    assert_true(orq_command_read((struct str){text + 64, 128}, &c));
    assert_false(orq_command_read((struct str){text, 256}, &c));
    assert_true(orq_syntax_write(&out, (struct str){text, 256}));
    assert_true(str_eq(buf_str(&out), STR("SyntaxError: nested too deeply for this server: at "
                                          "most 64 levels")));
}

/* Every beginning of a command: the reader and the words agree about what is JSON. */
static void cut_commands_are_refused(void **state)
{
    static const char whole[] =
        "{\"type\":\"task:subscribe\",\"x\":[1.5e-3,true,\"\\u00e9\\n\xC3\xA9\",{}],\"data\":"
        "{\"taskId\":7}}";
    (void)state;
    for (size_t n = 0; n < sizeof(whole) - 1; n++) {
        char at[ORQ_SYNTAX_MAX];
        struct buf out = buf_on(at, sizeof(at));
        struct orq_command c;
        struct str text = exact((struct str){whole, n});
        assert_false(orq_command_read(text, &c));
        assert_true(orq_syntax_write(&out, text));
        assert_true(str_find(buf_str(&out), STR("cannot read")) == out.len);
        drop(text);
    }
}

/* ---- commands ---- */

static const struct {
    const char *text;
    enum orq_verb verb;
    const char *no_data, *task_id;
} commands[] = {
    {"{\"type\":\"ping\"}", ORQ_PING, "undefined", ""},
    {" {\"type\" : \"ping\" } ", ORQ_PING, "undefined", ""},
    {"{\"type\":\"x\",\"type\":\"ping\"}", ORQ_PING, "undefined", ""},
    {"{\"type\":\"ping\",\"type\":null}", ORQ_UNKNOWN, "undefined", ""},
    {"{\"\\u0074ype\":\"\\u0070ing\"}", ORQ_PING, "undefined", ""},
    {"{\"Type\":\"ping\"}", ORQ_UNKNOWN, "undefined", ""},
    {"{\"type\":\"monitoring:subscribe\"}", ORQ_MONITORING_SUBSCRIBE, "undefined", ""},
    {"{\"type\":\"monitoring:unsubscribe\"}", ORQ_MONITORING_UNSUBSCRIBE, "undefined", ""},
    {"{\"type\":\"chat:send\",\"data\":null}", ORQ_CHAT_SEND, "null", ""},
    {"{\"type\":\"chat:history\",\"data\":0}", ORQ_CHAT_HISTORY, NULL, ""},
    {"{\"data\":{\"taskId\":1},\"type\":\"task:subscribe\"}", ORQ_TASK_SUBSCRIBE, NULL, "1"},
    {"{\"type\":\"task:unsubscribe\",\"data\":{\"taskId\":1,\"taskId\":[2]}}", ORQ_TASK_UNSUBSCRIBE,
     NULL, "[2]"},
    {"{\"type\":\"task:subscribe\",\"data\":{\"taskId\":1},\"data\":{}}", ORQ_TASK_SUBSCRIBE, NULL,
     ""},
    {"{\"type\":\"task:subscribe\",\"data\":{\"taskId\":1},\"data\":null}", ORQ_TASK_SUBSCRIBE,
     "null", ""},
    {"null", ORQ_TYPELESS, "undefined", ""},
    {"[]", ORQ_UNKNOWN, "undefined", ""},
    {"{}", ORQ_UNKNOWN, "undefined", ""},
};

static void commands_are_read_as_javascript_does(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        struct orq_command c;
        struct str text = exact(str_from(commands[i].text));
        assert_true(orq_command_read(text, &c));
        assert_int_equal(c.verb, commands[i].verb);
        assert_true(str_eq(str_from(c.no_data), str_from(commands[i].no_data)));
        assert_true(str_eq(c.task_id, str_from(commands[i].task_id)));
        drop(text);
    }
}

static const struct {
    const char *id, *channel; // NULL: none
} tasks[] = {
    {"1", "task:1"},     {"-5", "task:-5"},
    {"0", "task:0"},     {"-0", "task:0"},
    {"7.0", "task:7"},   {"7e0", "task:7"},
    {"70E-1", "task:7"}, {"1.5", "task:1.5"},
    {"1e400", NULL},     {"9223372036854775807", "task:9223372036854775807"},
    {"\"1\"", NULL},     {"null", NULL},
    {"true", NULL},      {"[1]", NULL},
    {"{\"a\":1}", NULL},
};

static void a_task_is_its_number(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(tasks) / sizeof(tasks[0]); i++) {
        char at[ORQ_CHANNEL_MAX];
        struct str channel = STR_NONE;
        bool ok = orq_task_channel(str_from(tasks[i].id), at, &channel);
        assert_int_equal(ok, tasks[i].channel != NULL);
        if (ok)
            assert_true(str_eq(channel, str_from(tasks[i].channel)));
    }
}

static void bytes_become_text(void **state)
{
    struct buf out;
    (void)state;
    buf_init(&out, 64);
    assert_true(orq_text_write(&out, STR("a\xFF\xC3\xA9\xC3(")));
    assert_true(str_eq(buf_str(&out), STR("a\xEF\xBF\xBD\xC3\xA9\xEF\xBF\xBD(")));
    buf_fini(&out);
}

/* ---- events ---- */

static const struct {
    const char *channel, *type, *data, *frame;
} events[] = {
    {"task:1", "task:update", "{\"timestamp\":null}",
     "{\"type\":\"task:update\",\"data\":{\"timestamp\":null}}"},
    {"task:1", "task:update", "{\"task\":{\"timestamp\":1}} ",
     "{\"type\":\"task:update\",\"data\":{\"task\":{\"timestamp\":1},"
     "\"timestamp\":\"1970-01-01T00:00:00.001Z\"}}"},
    {"task:1", "task:update", " { } ",
     "{\"type\":\"task:update\",\"data\": { \"timestamp\":\"1970-01-01T00:00:00.001Z\"}}"},
    {"task:1", "", "7", "{\"type\":\"task:update\",\"data\":7}"},
    {"monitor", "", "{}", "{\"type\":\"metrics\",\"data\":{}}"},
    {"user:7", "", "", "{\"type\":\"message\",\"data\":null}"},
    {"user:7", "a\"b", "[1, 2]", "{\"type\":\"a\\\"b\",\"data\":[1, 2]}"},
};

static void events_fit_their_room(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++) {
        struct publication p = {.kind = EVENT_PUBLICATION,
                                .time_ms = 1,
                                .type = str_from(events[i].type),
                                .data = str_from(events[i].data)};
        struct buf out;
        buf_init(&out, orq_event_bytes_max(STR_NONE, &p));
        assert_true(orq_event_write(&out, str_from(events[i].channel), &p));
        if (!str_eq(buf_str(&out), str_from(events[i].frame)))
            fail_msg("wanted %s\ngot    %.*s", events[i].frame, (int)out.len, out.p);
        assert_true(json_valid(buf_str(&out)));
        buf_fini(&out);
    }
}

static void what_is_false_is_left_out(void **state)
{
    (void)state;
    static const struct {
        const char *raw;
        int64_t number; // 0: none
    } numbers[] = {
        {"", 50},    {"null", 50}, {"0", 50}, {"false", 50}, {"\"\"", 50},  {"7", 7},
        {"7.0", 7},  {"7e0", 7},   {"-1", 0}, {"1.5", 0},    {"\"7\"", 7},  {"\"x\"", 0},
        {"true", 0}, {"[7]", 0},   {"{}", 0}, {"1e300", 0},  {"\"0\"", 50}, {"\"", 0},
    };
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        int64_t n = 0;
        struct str raw = exact(str_from(numbers[i].raw));
        bool ok = orq_number_read(raw, 50, &n);
        if (ok != (numbers[i].number > 0) || (ok && n != numbers[i].number))
            fail_msg("%s: %d %lld", numbers[i].raw, ok, (long long)n);
        drop(raw);
    }
}

static void chat_is_read_and_written(void **state)
{
    (void)state;
    char at[256];
    struct buf b = buf_on(at, sizeof(at));
    struct orq_command c;
    assert_true(orq_command_read(STR("{\"type\":\"chat:send\",\"data\":{\"message\":\"a\","
                                     "\"conversationId\":2,\"limit\":3,\"x\":{}}}"),
                                 &c));
    assert_true(c.verb == ORQ_CHAT_SEND && c.no_data == NULL);
    assert_true(str_eq(c.message, STR("\"a\"")) && str_eq(c.conversation_id, STR("2")) &&
                str_eq(c.limit, STR("3")));
    assert_true(orq_command_read(STR("{\"type\":\"chat:cancel\"}"), &c));
    assert_true(c.verb == ORQ_CHAT_CANCEL && c.no_data != NULL);
    assert_true(orq_chunk_write(&b, STR("\"\n"), false) && orq_chunk_write(&b, STR_NONE, true));
    assert_true(
        str_eq(buf_str(&b),
               STR("{\"type\":\"chat:streaming\",\"data\":{\"chunk\":\"\\\"\\n\",\"done\":false}}"
                   "{\"type\":\"chat:streaming\",\"data\":{\"chunk\":\"\",\"done\":true}}")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(syntax_is_told_as_by_node),
        cmocka_unit_test(a_zero_byte_is_no_end),
        cmocka_unit_test(depth_has_its_limit),
        cmocka_unit_test(cut_commands_are_refused),
        cmocka_unit_test(commands_are_read_as_javascript_does),
        cmocka_unit_test(a_task_is_its_number),
        cmocka_unit_test(bytes_become_text),
        cmocka_unit_test(events_fit_their_room),
        cmocka_unit_test(what_is_false_is_left_out),
        cmocka_unit_test(chat_is_read_and_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
