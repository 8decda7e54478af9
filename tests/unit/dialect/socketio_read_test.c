/* socketio_read.c and pytake_read.c: packets as they are read, and the ids that pytake takes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include "dialect/pytake_priv.h"
#include "dialect/socketio_priv.h"

#include <cmocka.h>

/* From a heap block of its own size. */
static const char *read_text(struct str text, struct sio_packet *ret)
{
    char *block = malloc(text.n + 1);
    assert_non_null(block);
    memcpy(block + 1, text.p, text.n);
    const char *why = sio_packet_read((struct str){block + 1, text.n}, ret);
    free(block);
    return why;
}

static struct sio_packet read_good(const char *text)
{
    struct sio_packet p;
    const char *why = sio_packet_read(str_from(text), &p);
    if (why != NULL)
        fail_msg("%s: %s", text, why);
    return p;
}

static void assert_str(struct str got, const char *want)
{
    if (!str_eq(got, str_from(want)))
        fail_msg("%.*s, not %s", STR_FMT(got), want);
}

static void test_connects(void **state)
{
    (void)state;
    struct sio_packet p = read_good("0");
    assert_int_equal(p.type, SIO_CONNECT);
    assert_str(p.nsp, "/");
    assert_int_equal(p.data.n, 0);
    p = read_good("0{\"token\":\"1,2\"}");
    assert_str(p.nsp, "/");
    assert_str(p.data, "{\"token\":\"1,2\"}");
    p = read_good("0/custom");
    assert_str(p.nsp, "/custom");
    p = read_good("0/custom?a=b,{}");
    assert_str(p.nsp, "/custom");
    assert_str(p.data, "{}");
    assert_str(read_good("0/?x").nsp, "/");
    p = read_good("0/,{}");
    assert_str(p.nsp, "/");
    assert_int_equal(read_good("1").type, SIO_DISCONNECT);
    assert_str(read_good("1/admin,").nsp, "/admin");
    assert_str(read_good("1/admin").nsp, "/admin");
}

static void test_events(void **state)
{
    (void)state;
    struct sio_packet p = read_good("2[\"foo\"]");
    assert_str(p.name, "\"foo\"");
    assert_int_equal(p.argument_count, 0);
    assert_false(p.has_id);
    p = read_good("2/admin,456[ \"project:delete\" , 123, {\"a\":[]} ]");
    assert_str(p.nsp, "/admin");
    assert_true(p.has_id && p.id == 456);
    assert_str(p.name, "\"project:delete\"");
    assert_int_equal(p.argument_count, 2);
    assert_str(read_good("2[7,1]").name, "7");
    p = read_good("218446744073709551615[\"x\"]");
    assert_true(p.id == UINT64_MAX);
    p = read_good("3/admin,13[]");
    assert_int_equal(p.type, SIO_ACK);
    assert_int_equal(p.argument_count, 0);
    assert_int_equal(read_good("30[1,2]").argument_count, 2);
    p = read_good("51-[\"hello\",{\"_placeholder\":true,\"num\":0}]");
    assert_int_equal(p.type, SIO_BINARY_EVENT);
    assert_int_equal(p.attachment_count, 1);
    p = read_good("62-/a,5[{\"num\":1,\"_placeholder\":true},[{\"_placeholder\":true,\"num\":0}]]");
    assert_int_equal(p.attachment_count, 2);
    assert_true(p.id == 5);
    read_good("50-[\"none\"]");
    read_good("51-[\"x\",{\"_placeholder\":false,\"num\":\"x\"},{\"_placeholder\":\"yes\"}]");
}

static void test_no_packets(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "a",
        "abc",
        "7",
        "9[\"x\"]",
        "-1",
        "0[]",
        "0null",
        "0\"token\"",
        "0{",
        "0{}{}",
        "0/a,[]",
        "0/a b",
        "0/\xff",
        "0/\n",
        "0{\"a\":\"\xff\"}",
        "1{}",
        "1[]",
        "1/a,{}",
        "2",
        "2/a,",
        "212",
        "2{}",
        "2\"x\"",
        "2[]",
        "2[",
        "2[\"x\"",
        "2[\"x\",]",
        "2[\"x\"]]",
        "2[\"x\"] x",
        "2[null]",
        "2[true]",
        "2[{}]",
        "2[[\"x\"]]",
        "2abc[\"message-with-ack\"]",
        "2-1[\"x\"]",
        "21.5[\"x\"]",
        "21-[\"x\"]",
        "218446744073709551616[\"x\"]",
        "2[\"connect\"]",
        "2[\"connect_error\"]",
        "2[\"disconnect\"]",
        "2[\"disconnecting\"]",
        "2[\"newListener\"]",
        "2[\"removeListener\"]",
        "2[\"\\u0063onnect\"]",
        "3[]",
        "31",
        "31{}",
        "31[",
        "4{\"message\":\"x\"}",
        "4",
        "5[\"x\"]",
        "5-[\"x\"]",
        "51[\"x\"]",
        "51",
        "5a-[\"x\"]",
        "565-[\"x\"]",
        "599999999999999999999-[\"x\"]",
        "51-[\"x\",{\"_placeholder\":true,\"num\":1}]",
        "51-[\"x\",{\"_placeholder\":true,\"num\":-1}]",
        "51-[\"x\",{\"_placeholder\":true,\"num\":0.0}]",
        "51-[\"x\",{\"_placeholder\":true,\"num\":\"0\"}]",
        "51-[\"x\",{\"_placeholder\":true}]",
        "51-[\"x\",[[{\"a\":{\"num\":3,\"_placeholder\":true}}]]]",
        "50-[\"x\",{\"_placeholder\":true,\"num\":0}]",
        "61-[{\"_placeholder\":true,\"num\":0}]",
        "51-{}",
        "51-[]",
    };
    struct sio_packet p;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (read_text(str_from(bad[i]), &p) == NULL)
            fail_msg("%s", bad[i]);
    }
}

/* A long name, and JSON that is too deep for anybody. */
static void test_limits(void **state)
{
    (void)state;
    char text[4096];
    struct sio_packet p;
    memset(text, 'n', sizeof(text));
    text[0] = '0';
    text[1] = '/';
    assert_null(read_text((struct str){text, 1 + SIO_NSP_MAX}, &p));
    assert_non_null(read_text((struct str){text, 2 + SIO_NSP_MAX}, &p));
    memset(text, '[', sizeof(text));
    memcpy(text, "2[\"x\",", 6);
    assert_non_null(read_text((struct str){text, sizeof(text)}, &p));
    memcpy(text, "51-[\"x\",", 8);
    assert_non_null(read_text((struct str){text, sizeof(text)}, &p));
}

/* No cut of an event is an event, and none is read beyond. */
static void test_cuts(void **state)
{
    (void)state;
    struct str text =
        STR("52-/admin,12[\"ev\\u0065nt\",{\"_placeholder\":true,\"num\":1},[1.5e3,null]]");
    struct sio_packet p;
    assert_null(read_text(text, &p));
    for (size_t n = 0; n < text.n; n++)
        assert_non_null(read_text((struct str){text.p, n}, &p));
}

/* ---- pytake ---- */

static void test_ids(void **state)
{
    (void)state;
    static const char *const good[] = {
        "123e4567-e89b-12d3-a456-426614174000",
        "123E4567-E89B-12D3-A456-426614174000",
        "123e4567e89b12d3a456426614174000",
        "{123e4567-e89b-12d3-a456-426614174000}",
        "urn:uuid:123e4567-e89b-12d3-a456-426614174000",
        "{urn:uuid:123e4567e89b12d3a456426614174000",
        "1-2-3-e-4567e89b12d3a456426614174000",
        "00000000000000000000000000000000",
        "}}123e4567e89b12d3a456426614174000{{",
    };
    static const char *const bad[] = {
        "",
        "1",
        "123e4567-e89b-12d3-a456-42661417400",
        "123e4567-e89b-12d3-a456-4266141740000",
        "123e4567-e89b-12d3-a456-42661417400g",
        "123e4567-{e89b}-12d3-a456-426614174000",
        "URN:UUID:123e4567-e89b-12d3-a456-426614174000",
        "(123e4567-e89b-12d3-a456-426614174000)",
        "123e4567 e89b 12d3 a456 426614174000",
    };
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        if (!pytake_id_ok(str_from(good[i])))
            fail_msg("%s", good[i]);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (pytake_id_ok(str_from(bad[i])))
            fail_msg("%s", bad[i]);
    }
}

static void test_conversations(void **state)
{
    (void)state;
    static const struct {
        const char *argument;
        enum pytake_named named;
        const char *id;
    } rows[] = {
        {"{\"conversation_id\":\"abc\"}", PYTAKE_TEXT, "abc"},
        {" {\"x\":1, \"conversation_id\" : \"a\\u0062c\" }", PYTAKE_TEXT, "abc"},
        {"{\"conversation_id\":5}", PYTAKE_OTHER, ""},
        {"{\"conversation_id\":true}", PYTAKE_OTHER, ""},
        {"{\"conversation_id\":[0]}", PYTAKE_OTHER, ""},
        {"{\"conversation_id\":{\"a\":1}}", PYTAKE_OTHER, ""},
        {"{\"conversation_id\":\"123456789\"}", PYTAKE_TEXT, "123456789"},
        {"{\"conversation_id\":\"\\n23456789\"}", PYTAKE_OTHER, ""}, // decoded, it has no room
        {"{}", PYTAKE_NOTHING, ""},
        {"{\"conversation_id\":null}", PYTAKE_NOTHING, ""},
        {"{\"conversation_id\":\"\"}", PYTAKE_NOTHING, ""},
        {"{\"conversation_id\":0}", PYTAKE_NOTHING, ""},
        {"{\"conversation_id\":-0.0e5}", PYTAKE_NOTHING, ""},
        {"{\"conversation_id\":false}", PYTAKE_NOTHING, ""},
        {"{\"conversation_id\":[ ]}", PYTAKE_NOTHING, ""},
        {"{\"conversation_id\":{ }}", PYTAKE_NOTHING, ""},
        {"[]", PYTAKE_BADLY, ""},
        {"\"abc\"", PYTAKE_BADLY, ""},
        {"null", PYTAKE_BADLY, ""},
        {"", PYTAKE_BADLY, ""},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char at[8];
        struct pytake_conversation c;
        pytake_conversation_read(str_from(rows[i].argument), at, sizeof(at), &c);
        if (c.named != rows[i].named || !str_eq(c.id, str_from(rows[i].id)))
            fail_msg("%s: %d, %.*s", rows[i].argument, c.named, STR_FMT(c.id));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_connects),      cmocka_unit_test(test_events),
        cmocka_unit_test(test_no_packets),    cmocka_unit_test(test_limits),
        cmocka_unit_test(test_cuts),          cmocka_unit_test(test_ids),
        cmocka_unit_test(test_conversations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
