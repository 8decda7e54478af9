/*
 * json_read_test.c - the reader accepts exactly RFC 8259, hands out exact pieces and says what was
 * wrong and where.
 *
 * Every text lives in a heap block of its own size, so that reading past it is a sanitizer's
 * report.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include "base/json.h"

#include <cmocka.h>

static char *heap_copy(struct str s)
{
    char *p = malloc(s.n > 0 ? s.n : 1);
    assert_non_null(p);
    if (s.n > 0)
        memcpy(p, s.p, s.n);
    return p;
}

static bool valid(struct str s)
{
    char *p = heap_copy(s);
    bool ok = json_valid((struct str){p, s.n});
    free(p);
    return ok;
}

// y: must be accepted, n: must be refused, i: the RFC leaves it open, and this is what we do.
static const struct {
    const char *name;
    struct str text;
    bool ok;
} syntax[] = {
#define Y(name, lit)                                                                               \
    {                                                                                              \
        "y " name, {lit, sizeof(lit) - 1}, true                                                    \
    }
#define N(name, lit)                                                                               \
    {                                                                                              \
        "n " name, {lit, sizeof(lit) - 1}, false                                                   \
    }
#define I_YES(name, lit)                                                                           \
    {                                                                                              \
        "i " name, {lit, sizeof(lit) - 1}, true                                                    \
    }
#define I_NO(name, lit)                                                                            \
    {                                                                                              \
        "i " name, {lit, sizeof(lit) - 1}, false                                                   \
    }
    Y("array empty", "[]"),
    Y("array of arrays", "[[],[[]]]"),
    Y("array with spaces", "[ 1 , 2\t,\r\n3 ]"),
    Y("array of mixed values", "[null,1,\"1\",{},[],true,false]"),
    Y("array ends with newline", "[\"a\"]\n"),
    Y("array with several nulls", "[1,null,null,null,2]"),
    Y("object empty", "{}"),
    Y("object with empty key", "{\"\":0}"),
    Y("object with duplicate keys", "{\"a\":\"b\",\"a\":\"c\"}"),
    Y("object with escaped null in key", "{\"foo\\u0000bar\":42}"),
    Y("object with spaces", " { \"a\" : 1 , \"b\" : { } } "),
    Y("object with newlines", "{\n\"a\":\n[\n]\n}"),
    Y("top level string", "\"asd\""),
    Y("top level number", "42"),
    Y("top level negative", "-0.1"),
    Y("top level true", "true"),
    Y("top level false", "false"),
    Y("top level null", "null"),
    Y("top level empty string", "\"\""),
    Y("space around", " \t\r\n1 \t\r\n"),
    Y("number zero", "[0]"),
    Y("number minus zero", "[-0]"),
    Y("number with fraction", "[123.456789]"),
    Y("number 0e1", "[0e1]"),
    Y("number 0E+1", "[0E+1]"),
    Y("number 1e-2", "[1e-2]"),
    Y("number 1.5E10", "[-1.5E10]"),
    Y("number tiny", "[-0.000000000000000000000000000000000000000000000000000000000000000001]"),
    Y("string with all escapes", "[\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"]"),
    Y("string with \\u", "[\"\\u0060\\u012a\\u12AB\"]"),
    Y("string with surrogate pair", "[\"\\uD801\\udc37\"]"),
    Y("string with two pairs", "[\"\\ud83d\\ude39\\ud83d\\udc8d\"]"),
    Y("string with DEL", "[\"a\x7f\"]"),
    Y("string with comment inside", "[\"a/*b*/c\"]"),
    Y("string with UTF-8", "[\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\"]"),
    Y("string with U+2028", "[\"\xe2\x80\xa8\"]"),
    Y("string with noncharacter", "[\"\xef\xbf\xbf\"]"),
    Y("string with U+10FFFF", "[\"\xf4\x8f\xbf\xbf\"]"),
    Y("string escape at each eighth", "[\"1234567\\n1234567\\\\12345678\"]"),
    N("nothing", ""),
    N("only space", " "),
    N("only a BOM", "\xef\xbb\xbf"),
    N("array without end", "["),
    N("array without end after value", "[1"),
    N("array without end after comma", "[1,"),
    N("array with comma at end", "[1,]"),
    N("array with comma at start", "[,1]"),
    N("array with comma only", "[,]"),
    N("array with two commas", "[1,,2]"),
    N("array without comma", "[1 2]"),
    N("array without comma, strings", "[\"a\" \"b\"]"),
    N("array with colon", "[\"a\":1]"),
    N("array closed twice", "[]]"),
    N("array closed as object", "[1}"),
    N("array with open inner", "[[1]"),
    N("array of a star", "[*]"),
    N("array of minus", "[-]"),
    N("array with form feed", "[\f]"),
    N("array with vertical tab", "[\"a\",\v1]"),
    N("array with NUL", "[\0]"),
    N("array with NBSP", "[\xc2\xa0]"),
    N("object without end", "{"),
    N("object without end after key", "{\"a\""),
    N("object without end after colon", "{\"a\":"),
    N("object without end after value", "{\"a\":1"),
    N("object without end after comma", "{\"a\":1,"),
    N("object with comma at end", "{\"a\":0,}"),
    N("object with comma at start", "{,\"a\":0}"),
    N("object with two commas", "{\"a\":0,,\"b\":1}"),
    N("object without colon", "{\"a\" 1}"),
    N("object with two colons", "{\"a\"::1}"),
    N("object with comma for colon", "{\"a\",1}"),
    N("object with bare key", "{a:1}"),
    N("object with number key", "{1:1}"),
    N("object with single quotes", "{'a':0}"),
    N("object with key only", "{\"a\"}"),
    N("object without value", "{\"a\":}"),
    N("object without comma", "{\"a\":1 \"b\":2}"),
    N("object closed as array", "{\"a\":1]"),
    N("object closed twice", "{}}"),
    N("object with comment", "{\"a\":1/**/}"),
    N("object with line comment", "{\"a\":1}//x"),
    N("two values", "{} {}"),
    N("two values without space", "1 2"),
    N("tail", "[1]x"),
    N("tail NUL", "{}\0"),
    N("word cut", "[tru]"),
    N("word cut at end", "nul"),
    N("word in capitals", "[True]"),
    N("word too long", "[nulll]"),
    N("word NaN", "[NaN]"),
    N("word Infinity", "[-Infinity]"),
    N("word undefined", "[undefined]"),
    N("number plus", "[+1]"),
    N("number two minus", "[--1]"),
    N("number minus space", "[- 1]"),
    N("number leading zero", "[012]"),
    N("number minus leading zero", "[-012]"),
    N("number two zeros", "[00]"),
    N("number point first", "[.5]"),
    N("number minus point", "[-.5]"),
    N("number point last", "[1.]"),
    N("number point then e", "[1.e1]"),
    N("number two points", "[1.2.3]"),
    N("number e last", "[1e]"),
    N("number e plus last", "[1e+]"),
    N("number e twice", "[1e2e3]"),
    N("number e fraction", "[1e2.5]"),
    N("number e plus minus", "[1e+-2]"),
    N("number hex", "[0x1F]"),
    N("number with comma", "[1,000.5]"),
    N("number with letter", "[1a]"),
    N("number with space", "[1 000]"),
    N("number wide digits", "[\xef\xbc\x91]"),
    N("string without end", "\""),
    N("string without end after text", "[\"asdfghjkl"),
    N("string without end after escape", "[\"a\\"),
    N("string without end after quote", "[\"a\\\""),
    N("string single quotes", "['a']"),
    N("string unquoted", "[a]"),
    N("string with NUL", "[\"a\0b\"]"),
    N("string with newline", "[\"a\nb\"]"),
    N("string with tab", "[\"\t\"]"),
    N("string with 0x1f", "[\"12345678\x1f\"]"),
    N("string escape x", "[\"\\x00\"]"),
    N("string escape a", "[\"\\a\"]"),
    N("string escape U", "[\"\\U0041\"]"),
    N("string escape quote", "[\"\\'\"]"),
    N("string escape NUL", "[\"\\\0\"]"),
    N("string escape UTF-8", "[\"\\\xc3\xa9\"]"),
    N("string u no digits", "[\"\\u\"]"),
    N("string u one digit", "[\"\\u1\"]"),
    N("string u three digits", "[\"\\u123\"]"),
    N("string u bad digit", "[\"\\u12G4\"]"),
    N("string u at end", "\"\\u00"),
    N("string pair cut", "[\"\\ud800\\u\"]"),
    N("string pair bad", "[\"\\ud800\\u1\"]"),
    N("string with 0xff", "[\"\xff\"]"),
    N("string with lone continuation", "[\"\x81\"]"),
    N("string with overlong 2", "[\"\xc0\xaf\"]"),
    N("string with overlong 3", "[\"\xe0\x80\xaf\"]"),
    N("string with overlong 4", "[\"\xf0\x80\x80\xaf\"]"),
    N("string with UTF-8 surrogate", "[\"\xed\xa0\x80\"]"),
    N("string above U+10FFFF", "[\"\xf4\x90\x80\x80\"]"),
    N("string with cut sequence", "[\"\xe2\x82\"]"),
    N("string cut in sequence", "[\"\xe2\x82"),
    N("string Latin-1", "[\"\xe9\"]"),
    N("key with 0xff", "{\"\xff\":1}"),
    N("key with control", "{\"\x01\":1}"),
    N("outside of strings UTF-8", "[\xc3\xa9]"),
    I_YES("number overflows", "[1e400]"),
    I_YES("number underflows", "[123e-10000000]"),
    I_YES("number huge exponent", "[0.4e00669999999999999999999999999999999999]"),
    I_YES("number huge integer", "[100000000000000000000000000000000000000000]"),
    I_YES("string half pair, high", "[\"\\ud800\"]"),
    I_YES("string half pair, low", "[\"\\udc00\"]"),
    I_YES("string pair swapped", "[\"\\udd1e\\ud834\"]"),
    I_YES("string half pair and escape", "[\"\\ud800\\n\"]"),
    I_NO("BOM first", "\xef\xbb\xbf{}"),
    I_NO("UTF-16 little endian", "[\0]\0"),
    I_NO("UTF-16 with BOM", "\xff\xfe[\0]\0"),
#undef Y
#undef N
#undef I_YES
#undef I_NO
};

static void syntax_is_rfc_8259(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(syntax) / sizeof(syntax[0]); i++) {
        if (valid(syntax[i].text) != syntax[i].ok)
            fail_msg("%s: %.*s", syntax[i].name, STR_FMT(syntax[i].text));
    }
}

/* A prefix of an object, array or string is never a text; a longer one neither. */
static void cut_texts_are_refused(void **state)
{
    (void)state;
    struct str text =
        STR("{\"a\":[1,-2.5e+3,\"x\\u00e9\\n\xe2\x82\xac\",true,null,{\"b\":{}}],\"c\":\"\"}");
    assert_true(valid(text));
    for (size_t n = 0; n < text.n; n++)
        assert_false(valid((struct str){text.p, n}));
}

/* The scanner takes eight bytes at a time: the one that matters comes at every place of the eight,
 * and near the end of the block. */
static void every_byte_at_every_place(void **state)
{
    (void)state;
    for (size_t before = 0; before < 18; before++) {
        for (size_t after = 0; after < 18; after++) {
            for (unsigned c = 0; c < 256; c++) {
                char text[64] = "\"";
                memset(text + 1, 'x', before);
                text[1 + before] = (char)c;
                memset(text + 2 + before, 'y', after);
                size_t n = 2 + before + after;
                text[n++] = '"';
                bool plain = c >= 0x20 && c < 0x80 && c != '"' && c != '\\';
                assert_int_equal(valid((struct str){text, n}), plain);
            }
        }
    }
}

static struct str nested(char *at, size_t depth, char open, char close)
{
    memset(at, open, depth);
    memset(at + depth, close, depth);
    return (struct str){at, 2 * depth};
}

static void depth_has_a_limit(void **state)
{
    (void)state;
    char text[2 * JSON_DEPTH_MAX + 4];
    assert_true(valid(nested(text, JSON_DEPTH_MAX, '[', ']')));
    assert_false(valid(nested(text, JSON_DEPTH_MAX + 1, '[', ']')));

    struct json j; // levels entered count as well as those skipped
    json_init(&j, nested(text, JSON_DEPTH_MAX + 1, '[', ']'));
    for (int i = 0; i < JSON_DEPTH_MAX; i++) {
        assert_true(json_array_begin(&j));
        assert_true(json_array_next(&j));
    }
    struct json copy = j;
    assert_false(json_array_begin(&j));
    assert_string_equal(j.error, "nested too deeply");
    assert_int_equal(json_error_offset(&j), JSON_DEPTH_MAX);
    assert_false(json_skip(&copy));
    assert_string_equal(copy.error, "nested too deeply");
}

static void objects_are_walked(void **state)
{
    (void)state;
    struct str text =
        STR(" { \"id\" : 7, \"skipped\":{\"a\":[1,{}]}, \"data\" : [1, {\"x\" : 1e3}] ,"
            "\"ok\":true,\"off\":false,\"name\":\"a\\tb\",\"none\":null,"
            "\"f\":-2.5,\"neg\":-9223372036854775808} ");
    char *p = heap_copy(text), name[8];
    struct json j;
    struct str key, data = STR_NONE, s = STR_NONE;
    uint64_t id = 0;
    int64_t neg = 0;
    double f = 0;
    bool ok = false, off = true;
    unsigned keys = 0;
    json_init(&j, (struct str){p, text.n});
    assert_int_equal(json_peek(&j), JSON_OBJECT);
    assert_true(json_object_begin(&j));
    while (json_object_next(&j, &key)) {
        keys++;
        if (json_key_is(key, STR("id")))
            assert_true(json_read_u64(&j, &id));
        else if (json_key_is(key, STR("data")))
            assert_true(json_read_raw(&j, &data));
        else if (json_key_is(key, STR("ok")))
            assert_true(json_read_bool(&j, &ok));
        else if (json_key_is(key, STR("off")))
            assert_true(json_read_bool(&j, &off));
        else if (json_key_is(key, STR("name")))
            assert_true(json_read_string(&j, name, sizeof(name), &s));
        else if (json_key_is(key, STR("none")))
            assert_true(json_read_null(&j));
        else if (json_key_is(key, STR("f")))
            assert_true(json_read_double(&j, &f));
        else if (json_key_is(key, STR("neg")))
            assert_true(json_read_i64(&j, &neg));
    }
    assert_true(json_end(&j));
    assert_int_equal(keys, 9);
    assert_int_equal(id, 7);
    assert_true(str_eq(data, STR("[1, {\"x\" : 1e3}]")));
    assert_ptr_equal(data.p, p + (strstr(text.p, "[1, {") - text.p));
    assert_true(ok && !off && f == -2.5 && neg == INT64_MIN);
    assert_true(str_eq(s, STR("a\tb")));
    free(p);
}

static void arrays_are_walked(void **state)
{
    (void)state;
    struct json j;
    uint64_t v, sum = 0;
    json_init(&j, STR("[1,[2,3],[],\"skipped\",[4]]"));
    assert_true(json_array_begin(&j));
    while (json_array_next(&j)) {
        if (json_peek(&j) == JSON_NUMBER && json_read_u64(&j, &v))
            sum += v;
        else if (json_peek(&j) == JSON_ARRAY && json_array_begin(&j))
            while (json_array_next(&j) && json_read_u64(&j, &v))
                sum += v * 10;
    }
    assert_true(json_end(&j));
    assert_int_equal(sum, 91);
}

static void rows_of_values_are_read(void **state)
{
    (void)state;
    struct json j;
    struct str raw;
    unsigned count = 0;
    json_init(&j, STR("{\"id\":1}\n{\"id\":2}\n\n 3\n"));
    while (json_more(&j) && json_read_raw(&j, &raw))
        count++;
    assert_true(json_end(&j));
    assert_int_equal(count, 3);

    json_init(&j, STR("{\"id\":1}\n}"));
    while (json_more(&j) && json_skip(&j)) {
    }
    assert_false(json_end(&j));
    assert_int_equal(json_error_offset(&j), 9);
}

static void peek_names_the_type(void **state)
{
    (void)state;
    static const struct {
        struct str text;
        enum json_type type;
    } cases[] = {
        {{"null", 4}, JSON_NULL}, {{" true", 5}, JSON_BOOL}, {{"false", 5}, JSON_BOOL},
        {{"-1", 2}, JSON_NUMBER}, {{"\t9", 2}, JSON_NUMBER}, {{"\"\"", 2}, JSON_STRING},
        {{"{}", 2}, JSON_OBJECT}, {{"[]", 2}, JSON_ARRAY},   {{"", 0}, JSON_NONE},
        {{"]", 1}, JSON_NONE},    {{"x", 1}, JSON_NONE},     {{"\0", 1}, JSON_NONE},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct json j;
        json_init(&j, cases[i].text);
        assert_int_equal(json_peek(&j), cases[i].type);
        assert_null(j.error);
    }
}

static void integers_fit_or_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool is_u64, is_i64;
        uint64_t value;
    } cases[] = {
        {"0", true, true, 0},
        {"-0", false, true, 0},
        {"1", true, true, 1},
        {"-1", false, true, UINT64_MAX},
        {"9223372036854775807", true, true, INT64_MAX},
        {"9223372036854775808", true, false, 9223372036854775808u},
        {"-9223372036854775808", false, true, 9223372036854775808u},
        {"-9223372036854775809", false, false, 0},
        {"18446744073709551615", true, false, UINT64_MAX},
        {"18446744073709551616", false, false, 0},
        {"99999999999999999999999", false, false, 0},
        {"1.0", false, false, 0},
        {"1e3", false, false, 0},
        {"\"1\"", false, false, 0},
        {"01", false, false, 0},
        {"--1", false, false, 0},
        {"-", false, false, 0},
        {"", false, false, 0},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct json j;
        uint64_t u = 42;
        int64_t v = 42;
        json_init(&j, str_from(cases[i].text));
        assert_int_equal(json_read_u64(&j, &u), cases[i].is_u64);
        assert_int_equal(u, cases[i].is_u64 ? cases[i].value : 42);
        json_init(&j, str_from(cases[i].text));
        assert_int_equal(json_read_i64(&j, &v), cases[i].is_i64);
        assert_int_equal((uint64_t)v, cases[i].is_i64 ? cases[i].value : 42);
    }
}

static void errors_say_what_and_where(void **state)
{
    (void)state;
    static const struct {
        const char *text, *error;
    } cases[] = {
        {"", "expected a value at byte 0"},
        {"{\"a\":1,}", "expected a key at byte 7"},
        {"{\"a\" 1}", "expected ':' at byte 5"},
        {"{\"a\":1]", "expected ',' or '}' at byte 6"},
        {"[1 2]", "expected ',' or ']' at byte 3"},
        {"[1,]", "expected a value at byte 3"},
        {"[\"abc", "the string has no end at byte 5"},
        {"[\"a\\q\"]", "there is no such escape at byte 3"},
        {"[\"\\u12\"]", "\\u needs four hexadecimal digits at byte 2"},
        {"[\"a\n\"]", "a control character must be escaped at byte 3"},
        {"[\"a\xff\"]", "the string is not UTF-8 at byte 3"},
        {"[01]", "a number must not start with 0 at byte 1"},
        {"[1.]", "a number needs a digit here at byte 3"},
        {"{} x", "expected the end of the text at byte 3"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct json j;
        struct buf text;
        buf_init(&text, 256);
        json_init(&j, str_from(cases[i].text));
        assert_false(json_skip(&j) && json_end(&j));
        assert_true(json_error_write(&j, &text));
        if (!str_eq(buf_str(&text), str_from(cases[i].error)))
            fail_msg("%s: %.*s", cases[i].text, STR_FMT(buf_str(&text)));
        buf_fini(&text);
    }
}

static void other_types_are_errors(void **state)
{
    (void)state;
    struct json j;
    struct str s = STR("kept"), key;
    bool b = true;
    double d = 1;
    json_init(&j, STR("[1]"));
    assert_false(json_object_begin(&j));
    assert_string_equal(j.error, "expected an object");
    assert_false(json_object_next(&j, &key)); // a walk after an error ends at once
    assert_false(json_array_begin(&j) || json_skip(&j) || json_more(&j) || json_end(&j));
    json_init(&j, STR("{}"));
    assert_false(json_array_begin(&j) || json_array_next(&j));
    json_init(&j, STR(" 1"));
    assert_false(json_read_string_raw(&j, &s));
    assert_int_equal(json_error_offset(&j), 1);
    assert_true(str_eq(s, STR("kept")));
    json_init(&j, STR("1"));
    assert_false(json_read_bool(&j, &b));
    json_init(&j, STR("1"));
    assert_false(json_read_null(&j));
    json_init(&j, STR("trux"));
    assert_false(json_read_bool(&j, &b));
    json_init(&j, STR("\"1\""));
    assert_false(json_read_double(&j, &d));
    json_init(&j, STR("1e400"));
    assert_false(json_read_double(&j, &d));
    assert_true(b && d == 1);
    json_init(&j, STR("[1"));
    assert_true(json_array_begin(&j) && json_array_next(&j) && json_skip(&j));
    assert_false(json_end(&j));
    assert_string_equal(j.error, "expected the end of an object or array");
}

static void callers_refuse_too(void **state)
{
    (void)state;
    struct json j;
    struct str key;
    uint64_t v;
    json_init(&j, STR("{\"limit\": 5000}"));
    assert_true(json_object_begin(&j) && json_object_next(&j, &key) && json_read_u64(&j, &v));
    assert_false(json_fail(&j, "limit is at most 1000"));
    assert_false(json_fail(&j, "the first error stays"));
    assert_false(json_object_next(&j, &key));
    assert_string_equal(j.error, "limit is at most 1000");
    assert_int_equal(json_error_offset(&j), 10);
}

static void keys_are_found(void **state)
{
    (void)state;
    struct str raw = STR_NONE;
    struct str text =
        STR("{\"a\":1,\"b\":{\"type\":\"inner\"},\"t\\u0079pe\":\"x\",\"type\":\"y\"}");
    assert_true(json_find(text, STR("type"), &raw));
    assert_true(str_eq(raw, STR("\"x\"")));
    assert_true(json_find(text, STR("b"), &raw));
    assert_true(str_eq(raw, STR("{\"type\":\"inner\"}")));
    assert_false(json_find(text, STR("c"), &raw));
    assert_false(json_find(STR("[1]"), STR("a"), &raw));
    assert_false(json_find(STR("{\"a\":"), STR("a"), &raw));
    assert_false(json_find(STR_NONE, STR("a"), &raw));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(syntax_is_rfc_8259),
        cmocka_unit_test(cut_texts_are_refused),
        cmocka_unit_test(every_byte_at_every_place),
        cmocka_unit_test(depth_has_a_limit),
        cmocka_unit_test(objects_are_walked),
        cmocka_unit_test(arrays_are_walked),
        cmocka_unit_test(rows_of_values_are_read),
        cmocka_unit_test(peek_names_the_type),
        cmocka_unit_test(integers_fit_or_are_refused),
        cmocka_unit_test(errors_say_what_and_where),
        cmocka_unit_test(other_types_are_errors),
        cmocka_unit_test(callers_refuse_too),
        cmocka_unit_test(keys_are_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
