#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "runs/form.h"
#include "runs/row.h"

#include <cmocka.h>

static const char *const words[] = {"one", "two", NULL};

enum { TEXT, LINE, WORD, NUMBER, AMOUNT, SCALAR, TIME, SPAN, OBJECT, FIELDS };
static const struct form_field fields[FIELDS] = {
    [TEXT] = {"text", FORM_TEXT, .max = 5, .nullable = true},
    [LINE] = {"line", FORM_LINE, .max = 3},
    [WORD] = {"word", FORM_WORD, .words = words},
    [NUMBER] = {.name = "number", .kind = FORM_NUMBER},
    [AMOUNT] = {"amount", FORM_AMOUNT, .max = 8},
    [SCALAR] = {"scalar", FORM_SCALAR, .max = 8},
    [TIME] = {.name = "time", .kind = FORM_TIME},
    [SPAN] = {.name = "span", .kind = FORM_SPAN},
    [OBJECT] = {"object", FORM_OBJECT, .max = 10},
};

static struct form_value values[FIELDS];
static char *body, *room;

/* In blocks of their own size: what is read behind them is found. */
static bool read_form(const char *text, char why[200])
{
    size_t n = strlen(text);
    struct buf b = buf_on(why, 199);
    free(body);
    free(room);
    body = malloc(n > 0 ? n : 1);
    room = malloc(n > 0 ? n : 1);
    memcpy(body, text, n);
    bool ok = form_read((struct str){body, n}, fields, FIELDS, values, room, &b);
    why[b.len] = '\0';
    return ok;
}

static void test_values(void **state)
{
    char why[200];
    (void)state;
    assert_true(
        read_form("{\"text\":\"a\\u00e7\",\"line\":\"\xC3\xA7\xC3\xA7\xC3\xA7\",\"word\":"
                  "\"t\\u0077o\",\"number\":7,\"amount\":-1.50,\"scalar\":\"\\n\","
                  "\"time\":\"1970-01-02\",\"span\":\"1m\",\"object\":{\"a\":[1]},\"else\":[]}",
                  why));
    assert_true(str_eq(values[TEXT].s, STR("a\xC3\xA7")));
    assert_true(str_eq(values[WORD].s, STR("two")));
    assert_int_equal(values[NUMBER].i, 7);
    assert_true(str_eq(values[AMOUNT].s, STR("-1.50")));
    assert_true(str_eq(values[SCALAR].s, STR("\"\\n\"")));
    assert_int_equal(values[TIME].i, 86400000);
    assert_int_equal(values[SPAN].i, 60000);
    assert_true(str_eq(values[OBJECT].s, STR("{\"a\":[1]}")));
    assert_true(
        read_form("{\"time\":5,\"span\":2,\"scalar\":1e3,\"line\":\"a\",\"line\":\"b\"}", why));
    assert_int_equal(values[TIME].i, 5);
    assert_int_equal(values[SPAN].i, 2000);
    assert_true(str_eq(values[LINE].s, STR("b"))); // of equal names the last
    assert_false(values[TEXT].given);
}

static void test_nothing(void **state)
{
    char why[200];
    (void)state;
    assert_true(read_form("", why));
    assert_true(read_form(" {} ", why));
    assert_true(read_form("{\"text\":null,\"line\":null,\"line2\":null}", why));
    assert_true(values[TEXT].given && values[TEXT].is_null);
    assert_false(values[LINE].given); // as if it were not there
}

static void test_what_is_wrong(void **state)
{
    static const struct {
        const char *body, *why;
    } cases[] = {
        {"[]", "the body must be a JSON object"},
        {"7", "the body must be a JSON object"},
        {"{\"text\":1}", "text: must be a string"},
        {"{\"text\":\"abcdef\"}", "text: is longer than 5 bytes"},
        {"{\"text\":\"\\ud800\"}", "text: has half a surrogate pair"},
        {"{\"text\":\"\\u0000\"}", "text: must not hold the character U+0000"},
        {"{\"line\":\"\"}", "line: must not be empty"},
        {"{\"line\":\"abcd\"}", "line: is longer than 3 characters"},
        {"{\"word\":\"three\"}", "word: must be one of one, two"},
        {"{\"word\":{}}", "word: must be one of one, two"},
        {"{\"number\":-1}", "number: must be an integer from 0"},
        {"{\"number\":1.5}", "number: must be an integer from 0"},
        {"{\"number\":9007199254740993}", "number: must be an integer from 0"},
        {"{\"amount\":\"1\"}", "amount: must be a number"},
        {"{\"amount\":1.23456789}", "amount: is longer than 8 bytes"},
        {"{\"scalar\":true}", "scalar: must be a string or a number"},
        {"{\"time\":\"yesterday\"}", "time: must be a time such as 2025-11-02T22:59:18.123Z"},
        {"{\"time\":\"1969-12-31\"}", "time: must be a time such as 2025-11-02T22:59:18.123Z"},
        {"{\"time\":253402300800000}", "time: must be a time such as 2025-11-02T22:59:18.123Z"},
        {"{\"span\":\"soon\"}", "span: must be a duration such as \"10m\", or seconds"},
        {"{\"span\":0}", "span: must be more than nothing"},
        {"{\"span\":9007199254740992}", "span: must be a duration such as \"10m\", or seconds"},
        {"{\"object\":[]}", "object: must be an object"},
        {"{\"object\":{\"a\":\"bcdefg\"}}", "object: is longer than 10 bytes"},
        {"{\"text\":1,\"line\":2}", "text: must be a string"}, // the first of them
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char why[200];
        assert_false(read_form(cases[i].body, why));
        assert_string_equal(why, cases[i].why);
    }
}

/* No text that is cut off anywhere is taken, and none is read behind its end. */
static void test_every_cut(void **state)
{
    static const char whole[] =
        "{\"text\":\"a\\u00e7\",\"word\":\"one\",\"time\":\"1970-01-02T00:00Z\","
        "\"object\":{\"a\":[1]},\"amount\":1}";
    char why[200], cut[sizeof(whole)];
    (void)state;
    for (size_t n = 1; n < sizeof(whole) - 1; n++) {
        memcpy(cut, whole, n);
        cut[n] = '\0';
        assert_false(read_form(cut, why));
        assert_true(str_starts(str_from(why), STR("the body is not JSON: ")));
    }
    assert_true(read_form(whole, why));
    free(body);
    free(room);
    body = room = NULL;
}

static void test_rows(void **state)
{
    static const struct row_column columns[] = {{"n", ROW_NUMBER}, {"s", ROW_TEXT},
                                                {"t", ROW_TIME},   {"j", ROW_JSON},
                                                {"x", ROW_SKIP},   {"z", ROW_TEXT}};
    const struct sql_value row[] = {sql_int(-7), sql_text(STR("a\"b")),
                                    sql_int(0),  sql_text(STR("[1.50]")),
                                    sql_int(1),  {.type = SQL_NULL}};
    char at[256];
    struct buf b = buf_on(at, sizeof(at));
    struct json_writer w;
    (void)state;
    json_writer_init(&w, &b);
    json_open_object(&w);
    row_put(&w, columns, row, 6);
    json_close_object(&w);
    assert_true(json_done(&w));
    assert_true(
        str_eq(buf_str(&b), STR("{\"n\":-7,\"s\":\"a\\\"b\",\"t\":\"1970-01-01T00:00:00.000Z\","
                                "\"j\":[1.50],\"z\":null}")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values),        cmocka_unit_test(test_nothing),
        cmocka_unit_test(test_what_is_wrong), cmocka_unit_test(test_every_cut),
        cmocka_unit_test(test_rows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
