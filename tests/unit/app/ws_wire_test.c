/*
 * ws_wire_test.c - the client's side of frames and of the opening.
 */
#include "app/ws_wire.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

/* From a heap block of exactly n bytes. */
static enum wire_result read_head(const uint8_t *wire, size_t n, struct wire_head *ret)
{
    uint8_t *copy = malloc(n ? n : 1);
    memcpy(copy, wire, n);
    enum wire_result r = wire_read_head(copy, n, ret);
    free(copy);
    return r;
}

static void check_head(const uint8_t *wire, size_t n, uint64_t payload)
{
    struct wire_head h;
    for (size_t cut = 0; cut < n; cut++)
        assert_int_equal(read_head(wire, cut, &h), WIRE_MORE);
    assert_int_equal(read_head(wire, n, &h), WIRE_OK);
    assert_int_equal(h.n, payload);
    assert_int_equal(h.head_n, n);
    assert_true(h.fin);
    assert_int_equal(h.opcode, WIRE_TEXT);
}

static void test_heads_at_every_cut(void **state)
{
    (void)state;
    check_head((const uint8_t[]){0x81, 0}, 2, 0);
    check_head((const uint8_t[]){0x81, 125}, 2, 125);
    check_head((const uint8_t[]){0x81, 126, 1, 0}, 4, 256);
    check_head((const uint8_t[]){0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0}, 10, 65536);
}

static void test_what_a_server_may_not_send(void **state)
{
    static const uint8_t bad[][2] = {
        {0x81, 0x80},            // masked
        {0xa1, 0},               // reserved bits
        {0x91, 0},    {0x83, 0}, // unknown opcodes
        {0x8b, 0},    {0x09, 0}, // a ping in pieces
        {0x89, 126},             // a ping over 125 bytes
        {0xc8, 0},               // a deflated close
    };
    struct wire_head h;
    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(read_head(bad[i], 2, &h), WIRE_BAD);
    assert_int_equal(read_head((const uint8_t[]){0xc1, 5}, 2, &h), WIRE_OK);
    assert_true(h.deflated);
}

static void check_frame(size_t n, size_t head_n)
{
    struct buf out;
    char *text = malloc(n + 1);
    memset(text, 'a', n);
    buf_init(&out, n + WIRE_HEAD_MAX);
    assert_true(wire_add_frame(&out, WIRE_TEXT, (struct str){text, n}));
    assert_int_equal(out.len, head_n + n);
    assert_true((out.p[1] & 0x80) != 0);
    wire_mask(out.p + head_n, n, (const uint8_t *)out.p + head_n - 4);
    assert_true(n == 0 || memcmp(out.p + head_n, text, n) == 0);
    buf_fini(&out);
    free(text);
}

static void test_frames(void **state)
{
    (void)state;
    check_frame(0, 6);
    check_frame(125, 6);
    check_frame(126, 8);
    check_frame(65535, 8);
    check_frame(65536, 14);
}

static void test_the_opening(void **state)
{
    (void)state;
    /* The example of RFC 6455, section 1.3. */
    static const char key[] = "dGhlIHNhbXBsZSBub25jZQ==";
    static const char good[] = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                               "sec-websocket-accept:  s3pPLMBiTxaQ9kYGzzhZRbK+xOo= \r\n\r\n";
    assert_null(wire_check_reply(str_from(good), key));
    assert_non_null(wire_check_reply(str_from(good), "AAAAAAAAAAAAAAAAAAAAAA=="));
    assert_non_null(wire_check_reply(STR("HTTP/1.1 101 X\r\n\r\n"), key));
    assert_non_null(wire_check_reply(STR("HTTP/1.1 401 No\r\n\r\n"), key));
    assert_non_null(wire_check_reply(STR("SSH-2.0\r\n\r\n"), key));
    assert_non_null(wire_check_reply(STR_NONE, key));
    assert_int_equal(wire_status(STR("HTTP/1.0 404 Not Found\r\n")), 404);
    assert_int_equal(wire_status(STR("HTTP/1.1 4")), 4);
    assert_int_equal(wire_status(STR("HTTP/1.1")), 0);
}

static void test_the_request(void **state)
{
    (void)state;
    struct url u;
    struct buf out;
    const char *why;
    char made[WIRE_KEY_TEXT + 1];
    assert_true(url_parse(STR("ws://h:9/p?q"), &u, &why));
    buf_init(&out, 4096);
    assert_true(wire_add_request(&out, &u, STR("A: b\r\n"), made));
    assert_int_equal(strlen(made), WIRE_KEY_TEXT);
    assert_true(str_starts(buf_str(&out), STR("GET /p?q HTTP/1.1\r\nHost: h:9\r\n")));
    assert_true(str_find(buf_str(&out), str_from(made)) < out.len);
    assert_int_equal(str_find(buf_str(&out), STR("\r\nA: b\r\n\r\n")), out.len - 10);
    buf_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_heads_at_every_cut),
        cmocka_unit_test(test_what_a_server_may_not_send),
        cmocka_unit_test(test_frames),
        cmocka_unit_test(test_the_opening),
        cmocka_unit_test(test_the_request),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
