/* filter.c: the tags filter of the protocol, and types. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include "base/buf.h"
#include "hub/filter.h"

#include <cmocka.h>

static struct filter *parse(const char *text, const char **ret_why)
{
    size_t n = strlen(text);
    char *block = malloc(n + 1); // a block of its own, to be gone when the filter is asked
    assert_non_null(block);
    memcpy(block, text, n);
    struct filter *f = filter_parse((struct str){block, n}, ret_why);
    memset(block, 'x', n);
    free(block);
    return f;
}

static bool matches(const char *filter, const char *type, const char *tags)
{
    const char *why = "";
    struct filter *f = parse(filter, &why);
    if (f == NULL)
        fail_msg("%s: %s", filter, why);
    struct publication p = {.type = str_from(type), .tags = str_from(tags)};
    bool yes = filter_match(f, &p);
    filter_destroy(&f);
    assert_null(f);
    return yes;
}

static void test_comparisons(void **state)
{
    (void)state;
    static const struct {
        const char *filter;
        bool yes;
    } rows[] = {
        {"{\"key\":\"a\",\"cmp\":\"eq\",\"val\":\"one\"}", true},
        {"{\"key\":\"a\",\"cmp\":\"eq\",\"val\":\"On\\u0065\"}", false},
        {"{\"key\":\"a\",\"cmp\":\"eq\",\"val\":\"on\\u0065\"}", true},
        {"{\"key\":\"z\",\"cmp\":\"eq\",\"val\":\"one\"}", false},
        {"{\"key\":\"z\",\"cmp\":\"neq\",\"val\":\"one\"}", true},
        {"{\"key\":\"a\",\"cmp\":\"neq\",\"val\":\"one\"}", false},
        {"{\"key\":\"a\",\"cmp\":\"in\",\"vals\":[\"x\",\"one\"]}", true},
        {"{\"key\":\"a\",\"cmp\":\"in\",\"vals\":[\"x\"]}", false},
        {"{\"key\":\"z\",\"cmp\":\"nin\",\"vals\":[\"x\"]}", true},
        {"{\"key\":\"a\",\"cmp\":\"nin\",\"vals\":[\"one\"]}", false},
        {"{\"key\":\"a\",\"cmp\":\"ex\"}", true},
        {"{\"key\":\"z\",\"cmp\":\"ex\"}", false},
        {"{\"key\":\"z\",\"cmp\":\"nex\"}", true},
        {"{\"key\":\"a\",\"cmp\":\"sw\",\"val\":\"on\"}", true},
        {"{\"key\":\"a\",\"cmp\":\"ew\",\"val\":\"ne\"}", true},
        {"{\"key\":\"a\",\"cmp\":\"ew\",\"val\":\"none\"}", false},
        {"{\"key\":\"a\",\"cmp\":\"ct\",\"val\":\"n\"}", true},
        {"{\"key\":\"a\",\"cmp\":\"ct\",\"val\":\"x\"}", false},
        {"{\"key\":\"n\",\"cmp\":\"lt\",\"val\":\"10\"}", true},
        {"{\"key\":\"n\",\"cmp\":\"lte\",\"val\":\"9.50\"}", true},
        {"{\"key\":\"n\",\"cmp\":\"gt\",\"val\":\"9.5\"}", false},
        {"{\"key\":\"n\",\"cmp\":\"gte\",\"val\":\"-1e2\"}", true},
        {"{\"key\":\"n\",\"cmp\":\"gte\",\"val\":\"ten\"}", false},
        {"{\"key\":\"a\",\"cmp\":\"gte\",\"val\":\"1\"}", false},
        {"{\"key\":\"e\",\"cmp\":\"eq\",\"val\":\"a\\\"b\"}", true},
        {"{\"key\":\"type\",\"cmp\":\"eq\",\"val\":\"done\"}", true},
    };
    const char *tags = "{\"a\":\"one\",\"n\":\"9.5\",\"e\":\"a\\\"b\"}";
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (matches(rows[i].filter, "done", tags) != rows[i].yes)
            fail_msg("%s", rows[i].filter);
    }
}

static void test_logic(void **state)
{
    (void)state;
#define A "{\"key\":\"a\",\"cmp\":\"ex\"}"
#define Z "{\"key\":\"z\",\"cmp\":\"ex\"}"
    const char *tags = "{\"a\":\"\"}";
    assert_true(matches("{\"op\":\"and\",\"nodes\":[" A "]}", "", tags));
    assert_false(matches("{\"op\":\"and\",\"nodes\":[" A "," Z "]}", "", tags));
    assert_true(matches("{\"op\":\"or\",\"nodes\":[" Z "," A "]}", "", tags));
    assert_false(matches("{\"nodes\":[" Z "," Z "],\"op\":\"or\"}", "", tags));
    assert_true(matches("{\"op\":\"not\",\"nodes\":[" Z "]}", "", tags));
    assert_true(matches("{\"op\":\"or\",\"nodes\":[{\"op\":\"and\",\"nodes\":[" A "," Z
                        "]},{\"op\":\"not\",\"nodes\":[{\"op\":\"or\",\"nodes\":[" Z "," Z "]}]}]}",
                        "", tags));
#undef A
#undef Z
}

static void test_refusals(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "{}",
        "[]",
        "null",
        "{\"cmp\":\"eq\",\"val\":\"x\"}",
        "{\"key\":\"a\",\"cmp\":\"eq\"}",
        "{\"key\":\"a\",\"cmp\":\"is\",\"val\":\"x\"}",
        "{\"key\":\"a\",\"cmp\":\"eq\",\"val\":\"x\",\"vals\":[\"y\"]}",
        "{\"key\":\"a\",\"cmp\":\"in\",\"vals\":[]}",
        "{\"key\":\"a\",\"cmp\":\"in\",\"val\":\"x\"}",
        "{\"key\":\"a\",\"cmp\":\"ex\",\"val\":\"x\"}",
        "{\"key\":5,\"cmp\":\"ex\"}",
        "{\"op\":\"xor\",\"nodes\":[{\"key\":\"a\",\"cmp\":\"ex\"}]}",
        "{\"op\":\"and\"}",
        "{\"op\":\"and\",\"nodes\":[]}",
        "{\"op\":\"eq\",\"key\":\"a\",\"val\":\"x\"}",
        "{\"op\":\"not\",\"nodes\":[{\"key\":\"a\",\"cmp\":\"ex\"},{\"key\":\"b\",\"cmp\":\"ex\"}]"
        "}",
        "{\"key\":\"a\",\"cmp\":\"in\",\"vals\":[\"x\",\"y\"],\"vals\":[\"z\"]}",
        "{\"key\":\"a\",\"cmp\":\"ex\"} ,",
        "{\"key\":\"a\",\"cmp\":\"ex\"",
        "{\"key\":\"\\ud800\",\"cmp\":\"ex\"}",
        "{\"op\":\"and\",\"nodes\":[{\"key\":\"a\",\"cmp\":\"ex\"}],\"nodes\":[{\"key\":\"a\","
        "\"cmp\":\"ex\"}]}",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        const char *why = NULL;
        struct filter *f = parse(bad[i], &why);
        if (f != NULL)
            fail_msg("%s", bad[i]);
        assert_non_null(why);
    }
}

/* Too deep and too many: refused, whatever it would have meant. */
static void test_bounds(void **state)
{
    (void)state;
    struct buf b;
    const char *why = NULL;
    buf_init(&b, 32768);
    for (int i = 0; i < 20; i++)
        assert_true(buf_add(&b, STR("{\"op\":\"not\",\"nodes\":[")));
    assert_null(filter_parse(buf_str(&b), &why));
    assert_string_equal(why, "tf: nested too deep");
    buf_clear(&b);
    assert_true(buf_add(&b, STR("{\"op\":\"and\",\"nodes\":[")));
    for (int i = 0; i < 200; i++)
        assert_true(buf_add_format(&b, "%s{\"key\":\"a\",\"cmp\":\"ex\"}", i ? "," : ""));
    assert_true(buf_add(&b, STR("]}")));
    assert_null(filter_parse(buf_str(&b), &why));
    buf_fini(&b);
    assert_string_equal(why, "tf: too many nodes");
}

static void test_types(void **state)
{
    (void)state;
    const struct str types[] = {STR("a"), STR("bb")};
    struct filter *f = filter_types(types, 2);
    assert_non_null(f);
    assert_true(filter_match(f, &(struct publication){.type = STR("bb")}));
    assert_false(filter_match(f, &(struct publication){.type = STR("b")}));
    assert_false(filter_match(f, &(struct publication){.type = STR_NONE}));
    assert_true(filter_match(f, &(struct publication){.tags = STR("{\"type\":\"a\"}")}));
    filter_destroy(&f);
    f = filter_types(NULL, 0);
    assert_non_null(f);
    assert_false(filter_match(f, &(struct publication){.type = STR("a")}));
    filter_destroy(&f);
}

static bool is_wanted(void *ctx, const struct publication *p)
{
    return str_eq(p->type, *(const struct str *)ctx);
}

static void test_calls(void **state)
{
    (void)state;
    struct str wanted = STR("a");
    struct filter *f = filter_call(is_wanted, &wanted);
    assert_non_null(f);
    assert_true(filter_match(f, &(struct publication){.type = STR("a")}));
    wanted = STR("b"); // asked anew each time
    assert_false(filter_match(f, &(struct publication){.type = STR("a")}));
    filter_destroy(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_comparisons), cmocka_unit_test(test_logic),
        cmocka_unit_test(test_refusals),    cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_types),       cmocka_unit_test(test_calls),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
