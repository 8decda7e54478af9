/*
 * ws_frame_test.c - every rule of RFC 6455 about frames, however the bytes come.
 */
#include "client_wire.h"
#include "unit/cuts.h"

#include <stdio.h>

enum { MESSAGE_MAX = 70000 };

struct reader {
    struct ws_parser parser;
    bool deflate, client, ended;
};

static void tell(struct buf *told, const char *what, struct str payload)
{
    assert_true(buf_add(told, str_from(what)) && buf_add(told, payload) && buf_add_char(told, ';'));
}

static void tell_close(struct buf *told, struct str payload)
{
    uint16_t code = 0;
    struct str text;
    enum close_reason bad = ws_close_read(payload, &code, &text);
    if (bad != CLOSE_NONE) {
        tell(told, "!", str_from(close_name(bad)));
        return;
    }
    assert_true(buf_add_format(told, "close%u:", code));
    tell(told, "", text);
}

static void tell_event(struct buf *told, enum ws_event event, const struct ws_item *item)
{
    struct str payload = {item->p, item->n};
    if (event == WS_MESSAGE)
        tell(told, item->binary ? (item->deflated ? "BZ:" : "B:") : (item->deflated ? "TZ:" : "T:"),
             payload);
    else if (event == WS_PING)
        tell(told, "ping:", payload);
    else if (event == WS_PONG)
        tell(told, "pong:", payload);
    else if (event == WS_CLOSE)
        tell_close(told, payload);
    else
        tell(told, "!", str_from(close_name(item->reason)));
}

static void reader_begin(void *ctx)
{
    struct reader *r = ctx;
    ws_parser_init(&r->parser, MESSAGE_MAX, r->deflate);
    r->parser.client = r->client;
    r->ended = false;
}

static void reader_feed(void *ctx, char *p, size_t n, struct buf *told)
{
    struct reader *r = ctx;
    struct ws_input in = {p, n};
    struct ws_item item;
    while (!r->ended) {
        enum ws_event event = ws_parser_next(&r->parser, &in, &item);
        if (event == WS_MORE) {
            assert_int_equal(in.n, 0);
            return;
        }
        tell_event(told, event, &item);
        r->ended = event == WS_BROKEN || event == WS_CLOSE;
    }
}

static void reader_end(void *ctx, struct buf *told)
{
    (void)told;
    struct reader *r = ctx;
    ws_parser_fini(&r->parser);
}

static void check_as(struct reader *r, const struct buf *wire, const char *expected)
{
    struct cuts c = {r, reader_begin, reader_feed, reader_end};
    cuts_check(&c, buf_str(wire), str_from(expected));
}

static void check(const struct buf *wire, const char *expected)
{
    struct reader r = {0};
    check_as(&r, wire, expected);
}

#define WIRE(name)                                                                                 \
    struct buf name;                                                                               \
    buf_init(&name, 1 << 20)

static void reads_whole_messages(void **state)
{
    (void)state;
    WIRE(w);
    wire_frame(&w, FIN | WS_OP_TEXT, STR("hello"));
    wire_frame(&w, FIN | WS_OP_BINARY, STR("\x01\xff\xfe"));
    wire_frame(&w, FIN | WS_OP_TEXT, STR_NONE);
    wire_frame(&w, FIN | WS_OP_TEXT, STR("\xce\xba\xe1\xbd\xb9"));
    check(&w, "T:hello;B:\x01\xff\xfe;T:;T:\xce\xba\xe1\xbd\xb9;");
    buf_fini(&w);
}

static void reads_fragments_and_control_frames_between(void **state)
{
    (void)state;
    WIRE(w);
    wire_frame(&w, WS_OP_TEXT, STR("one "));
    wire_frame(&w, FIN | WS_OP_PING, STR("are you there"));
    wire_frame(&w, WS_OP_CONTINUATION, STR_NONE);
    wire_frame(&w, WS_OP_CONTINUATION, STR("two \xe2"));
    wire_frame(&w, FIN | WS_OP_PONG, STR_NONE);
    wire_frame(&w, FIN | WS_OP_CONTINUATION, STR("\x82\xac"));
    wire_frame(&w, WS_OP_BINARY, STR_NONE);
    wire_frame(&w, FIN | WS_OP_CONTINUATION, STR_NONE);
    wire_frame(&w, FIN | WS_OP_CLOSE,
               STR("\x03\xe8"
                   "bye"));
    check(&w, "ping:are you there;pong:;T:one two \xe2\x82\xac;B:;close1000:bye;");
    buf_fini(&w);
}

static void reads_every_length_form(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 7, 8, 9, 125, 126, 127, 128, 65535, 65536, MESSAGE_MAX};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        WIRE(w);
        WIRE(expected);
        WIRE(payload);
        for (size_t k = 0; k < sizes[i]; k++)
            assert_true(buf_add_char(&payload, (char)('a' + k % 23)));
        wire_frame(&w, FIN | WS_OP_TEXT, buf_str(&payload));
        tell(&expected, "T:", buf_str(&payload));
        assert_true(buf_add_char(&expected, '\0'));
        check(&w, expected.p);
        buf_fini(&w);
        buf_fini(&expected);
        buf_fini(&payload);
    }
}

static void unmasks_from_every_alignment(void **state)
{
    (void)state;
    char plain[64], masked[64 + 8];
    for (size_t i = 0; i < sizeof(plain); i++)
        plain[i] = (char)(i * 7);
    for (size_t shift = 0; shift < 8; shift++) {
        for (unsigned phase = 0; phase < 4; phase++) {
            memcpy(masked + shift, plain, sizeof(plain));
            ws_mask(masked + shift, sizeof(plain), wire_key, phase);
            for (size_t i = 0; i < sizeof(plain); i++)
                assert_int_equal((uint8_t)masked[shift + i],
                                 (uint8_t)plain[i] ^ wire_key[(phase + i) & 3]);
        }
    }
}

struct bad_head {
    const char *name;
    unsigned first;
    uint64_t len;
    int length_bytes;
    bool unmasked;
};

static void refuses_bad_heads(void **state)
{
    (void)state;
    static const struct bad_head heads[] = {
        {"RSV1 without deflate", FIN | RSV1 | WS_OP_TEXT, 1, 0, false},
        {"RSV2", FIN | 0x20 | WS_OP_TEXT, 1, 0, false},
        {"RSV3", FIN | 0x10 | WS_OP_BINARY, 1, 0, false},
        {"opcode 3", FIN | 3, 0, 0, false},
        {"opcode 4", FIN | 4, 0, 0, false},
        {"opcode 5", FIN | 5, 0, 0, false},
        {"opcode 6", FIN | 6, 0, 0, false},
        {"opcode 7", FIN | 7, 0, 0, false},
        {"opcode 11", FIN | 11, 0, 0, false},
        {"opcode 12", FIN | 12, 0, 0, false},
        {"opcode 13", FIN | 13, 0, 0, false},
        {"opcode 14", FIN | 14, 0, 0, false},
        {"opcode 15", FIN | 15, 0, 0, false},
        {"fragmented ping", WS_OP_PING, 1, 0, false},
        {"fragmented pong", WS_OP_PONG, 1, 0, false},
        {"fragmented close", WS_OP_CLOSE, 0, 0, false},
        {"long ping", FIN | WS_OP_PING, 126, 2, false},
        {"long close", FIN | WS_OP_CLOSE, 65536, 8, false},
        {"continuation of nothing", FIN | WS_OP_CONTINUATION, 1, 0, false},
        {"no mask", FIN | WS_OP_TEXT, 1, 0, true},
        {"125 in two bytes", FIN | WS_OP_TEXT, 125, 2, false},
        {"65535 in eight bytes", FIN | WS_OP_TEXT, 65535, 8, false},
        {"top bit of the length", FIN | WS_OP_TEXT, 1ull << 63, 8, false},
    };
    for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
        WIRE(w);
        const struct bad_head *h = &heads[i];
        wire_frame(&w, FIN | WS_OP_TEXT, STR("ok"));
        wire_head(&w, h->first, h->len, h->length_bytes, !h->unmasked);
        print_message("%s\n", h->name);
        check(&w, "T:ok;!bad_frame;");
        buf_fini(&w);
    }
}

static void refuses_a_new_message_inside_another(void **state)
{
    (void)state;
    WIRE(w);
    wire_frame(&w, WS_OP_TEXT, STR("one"));
    wire_frame(&w, FIN | WS_OP_TEXT, STR("two"));
    check(&w, "!bad_frame;");
    buf_clear(&w);
    wire_frame(&w, WS_OP_BINARY, STR("one"));
    wire_frame(&w, WS_OP_BINARY, STR("two"));
    check(&w, "!bad_frame;");
    buf_fini(&w);
}

static void refuses_what_is_too_long_by_its_head(void **state)
{
    (void)state;
    WIRE(w);
    wire_head(&w, FIN | WS_OP_TEXT, MESSAGE_MAX + 1, 8, true);
    check(&w, "!too_big;");
    buf_clear(&w);
    wire_head(&w, FIN | WS_OP_BINARY, INT64_MAX, 8, true);
    check(&w, "!too_big;");
    buf_clear(&w);
    wire_frame(&w, WS_OP_TEXT, STR("12345678"));
    wire_head(&w, FIN | WS_OP_CONTINUATION, MESSAGE_MAX - 7, 8, true);
    check(&w, "!too_big;");
    buf_fini(&w);
}

static void refuses_bad_text_at_its_first_bad_byte(void **state)
{
    (void)state;
    WIRE(w);
    wire_frame(&w, FIN | WS_OP_TEXT, STR("a\xed\xa0\x80z"));
    check(&w, "!bad_utf8;");
    buf_clear(&w);
    wire_frame(&w, FIN | WS_OP_TEXT, STR("half \xe2\x82"));
    check(&w, "!bad_utf8;");
    buf_clear(&w);
    wire_frame(&w, WS_OP_TEXT, STR("half \xe2\x82"));
    wire_frame(&w, FIN | WS_OP_CONTINUATION, STR_NONE);
    check(&w, "!bad_utf8;");
    buf_clear(&w);
    wire_head(&w, WS_OP_TEXT, 1000, 2, true); // the rest never comes: the verdict does not wait
    char c = '\xf5';
    ws_mask(&c, 1, wire_key, 0);
    assert_true(buf_add_char(&w, c));
    check(&w, "!bad_utf8;");
    buf_fini(&w);
}

static void takes_deflated_messages_when_agreed(void **state)
{
    (void)state;
    struct reader r = {.deflate = true};
    WIRE(w);
    wire_frame(&w, FIN | RSV1 | WS_OP_TEXT, STR("\xff\xfe"));
    wire_frame(&w, RSV1 | WS_OP_BINARY, STR("\xff"));
    wire_frame(&w, FIN | WS_OP_PING, STR("p"));
    wire_frame(&w, FIN | WS_OP_CONTINUATION, STR("\xfd"));
    wire_frame(&w, FIN | WS_OP_TEXT, STR("plain"));
    check_as(&r, &w, "TZ:\xff\xfe;ping:p;BZ:\xff\xfd;T:plain;");
    buf_clear(&w);
    wire_frame(&w, RSV1 | WS_OP_TEXT, STR("x"));
    wire_frame(&w, FIN | RSV1 | WS_OP_CONTINUATION, STR("y"));
    check_as(&r, &w, "!bad_frame;");
    buf_clear(&w);
    wire_frame(&w, FIN | RSV1 | WS_OP_PING, STR("x"));
    check_as(&r, &w, "!bad_frame;");
    buf_fini(&w);
}

static void reads_a_servers_frames(void **state)
{
    (void)state;
    struct reader r = {.client = true};
    WIRE(w);
    wire_head(&w, FIN | WS_OP_TEXT, 2, 0, false);
    assert_true(buf_add(&w, STR("hi")));
    wire_frame(&w, FIN | WS_OP_TEXT, STR("masked"));
    check_as(&r, &w, "T:hi;!bad_frame;");
    buf_fini(&w);
}

static void check_close(struct str payload, const char *expected)
{
    WIRE(w);
    wire_frame(&w, FIN | WS_OP_CLOSE, payload);
    check(&w, expected);
    buf_fini(&w);
}

static void reads_close_frames(void **state)
{
    (void)state;
    check_close(STR_NONE, "close0:;");
    check_close(STR("\x03"), "!bad_frame;");
    check_close(STR("\x03\xe8\xed\xa0\x80"), "!bad_utf8;");
    check_close(STR("\x13\x87maximum"), "close4999:maximum;");
    static const unsigned good[] = {1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010,
                                    1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999};
    static const unsigned bad[] = {0,    1,    999,  1004, 1005, 1006, 1015,
                                   1016, 1100, 2000, 2999, 5000, 65535};
    char expected[32];
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        char code[2] = {(char)(good[i] >> 8), (char)good[i]};
        snprintf(expected, sizeof(expected), "close%u:;", good[i]);
        check_close((struct str){code, 2}, expected);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        char code[2] = {(char)(bad[i] >> 8), (char)bad[i]};
        check_close((struct str){code, 2}, "!bad_frame;");
    }
}

static void holds_nothing_between_messages(void **state)
{
    (void)state;
    struct ws_parser p;
    ws_parser_init(&p, MESSAGE_MAX, false);
    WIRE(w);
    wire_frame(&w, WS_OP_TEXT, STR("one"));
    wire_frame(&w, FIN | WS_OP_CONTINUATION, STR("two"));
    struct ws_input in = {w.p, w.len};
    struct ws_item item;
    assert_int_equal(ws_parser_next(&p, &in, &item), WS_MESSAGE);
    assert_memory_equal(item.p, "onetwo", 6);
    assert_int_equal(ws_parser_next(&p, &in, &item), WS_MORE);
    assert_null(p.partial);
    assert_true(sizeof(p) <= 40);
    buf_clear(&w);
    wire_frame(&w, FIN | WS_OP_TEXT, STR("whole"));
    in = (struct ws_input){w.p, w.len};
    assert_int_equal(ws_parser_next(&p, &in, &item), WS_MESSAGE);
    assert_ptr_equal(item.p, w.p + 6); // where it lay
    assert_null(p.partial);
    ws_parser_fini(&p);
    buf_fini(&w);
}

static void writes_heads(void **state)
{
    (void)state;
    char at[10];
    ws_head_write(at, FIN | WS_OP_TEXT, 125);
    assert_int_equal(ws_head_size(125), 2);
    assert_memory_equal(at, "\x81\x7d", 2);
    ws_head_write(at, FIN | WS_OP_TEXT, 126);
    assert_int_equal(ws_head_size(126), 4);
    assert_memory_equal(at, "\x81\x7e\x00\x7e", 4);
    ws_head_write(at, FIN | WS_OP_BINARY, 65535);
    assert_memory_equal(at, "\x82\x7e\xff\xff", 4);
    ws_head_write(at, FIN | WS_OP_BINARY, 0x123456);
    assert_int_equal(ws_head_size(65536), 10);
    assert_memory_equal(at, "\x82\x7f\x00\x00\x00\x00\x00\x12\x34\x56", 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_whole_messages),
        cmocka_unit_test(reads_fragments_and_control_frames_between),
        cmocka_unit_test(reads_every_length_form),
        cmocka_unit_test(unmasks_from_every_alignment),
        cmocka_unit_test(refuses_bad_heads),
        cmocka_unit_test(refuses_a_new_message_inside_another),
        cmocka_unit_test(refuses_what_is_too_long_by_its_head),
        cmocka_unit_test(refuses_bad_text_at_its_first_bad_byte),
        cmocka_unit_test(takes_deflated_messages_when_agreed),
        cmocka_unit_test(reads_a_servers_frames),
        cmocka_unit_test(reads_close_frames),
        cmocka_unit_test(holds_nothing_between_messages),
        cmocka_unit_test(writes_heads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
