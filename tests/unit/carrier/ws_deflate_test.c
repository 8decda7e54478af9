/*
 * ws_deflate_test.c - offers are accepted or declined, messages come back as they were, bombs are
 * cut.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "carrier/ws.h"
#include "carrier/ws_deflate.h"

#include <cmocka.h>
#include <zlib.h>

/* bits: 0 when the header must be declined. */
static const struct {
    const char *header;
    int bits;
    bool asked;
} offers[] = {
    {"permessage-deflate", 15, false},
    {"Permessage-Deflate", 15, false},
    {"permessage-deflate; client_max_window_bits", 15, false},
    {"permessage-deflate;client_max_window_bits=9 ; server_no_context_takeover", 15, false},
    {"permessage-deflate; server_no_context_takeover; client_no_context_takeover", 15, false},
    {"permessage-deflate; server_max_window_bits=9", 9, true},
    {"permessage-deflate; server_max_window_bits=\"1\\0\"", 10, true},
    {"permessage-deflate; server_max_window_bits = 15", 15, true},
    {"permessage-deflate; server_max_window_bits=8", 0, false},
    {"permessage-deflate; server_max_window_bits=16", 0, false},
    {"permessage-deflate; server_max_window_bits=09", 0, false},
    {"permessage-deflate; server_max_window_bits=", 0, false},
    {"permessage-deflate; server_max_window_bits", 0, false},
    {"permessage-deflate; server_max_window_bits=\"10", 0, false},
    {"permessage-deflate; server_max_window_bits=\"1 0\"", 0, false},
    {"permessage-deflate; server_max_window_bits=10; server_max_window_bits=10", 0, false},
    {"permessage-deflate; client_max_window_bits=7", 0, false},
    {"permessage-deflate; client_max_window_bits=+9", 0, false},
    {"permessage-deflate; server_no_context_takeover=1", 0, false},
    {"permessage-deflate; unknown", 0, false},
    {"permessage-deflate; unknown=\"a,b\", permessage-deflate", 0, false}, // not a token in quotes
    {"permessage-deflate; unknown=aaaaaaaaaaaaaaaaaaaaaaaaaaa, permessage-deflate", 15, false},
    {"permessage-deflate; server_max_window_bits=8, permessage-deflate", 15, false},
    {"x-webkit-deflate-frame; no_context_takeover, permessage-deflate; server_max_window_bits=12",
     12, true},
    {"permessage-bzip2, permessage-deflate-too", 0, false},
    {", ,permessage-deflate,", 15, false},
    {"permessage-deflate permessage-deflate", 0, false},
    {"permessage-deflate;", 0, false},
    {"permessage-deflate; =3", 0, false},
    {"", 0, false},
};

static void chooses_among_offers(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(offers) / sizeof(offers[0]); i++) {
        struct ws_deflate_choice choice = {0};
        size_t n = strlen(offers[i].header);
        char *exact = malloc(n + 1); // so that reading past the header is seen
        memcpy(exact, offers[i].header, n);
        bool ok = ws_deflate_choose((struct str){exact, n}, &choice);
        free(exact);
        if (ok != (offers[i].bits > 0) || choice.window_bits != offers[i].bits ||
            choice.bits_asked != offers[i].asked)
            fail_msg("%s: %d %d", offers[i].header, ok, choice.window_bits);
    }
}

static void answers_what_was_asked(void **state)
{
    (void)state;
    char at[WS_DEFLATE_ANSWER_MAX];
    struct ws_deflate_choice choice = {15, false};
    size_t n = ws_deflate_answer(&choice, at);
    assert_true(
        str_eq((struct str){at, n},
               STR("permessage-deflate; server_no_context_takeover; client_no_context_takeover")));
    choice = (struct ws_deflate_choice){9, true};
    n = ws_deflate_answer(&choice, at);
    assert_true(
        str_eq((struct str){at, n}, STR("permessage-deflate; server_no_context_takeover; "
                                        "client_no_context_takeover; server_max_window_bits=9")));
}

/* Words that deflate well and are not all the same. */
static struct str text_make(size_t n)
{
    char *p = malloc(n + 1);
    assert_non_null(p);
    uint32_t x = 12345;
    for (size_t i = 0; i < n; i++) {
        x = x * 1664525 + 1013904223;
        p[i] = "{\"type\":\"tick\",\"value\":0123456789}"[(x >> 24) % 34];
    }
    return (struct str){p, n};
}

static void comes_back_as_it_was(void **state)
{
    (void)state;
    static const size_t sizes[] = {64, 65, 100, 200, 300, 4096, 4097, 65536, 300000};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct str text = text_make(sizes[i]);
        char *at = malloc(ws_deflate_room(text.n));
        for (int bits = WS_WINDOW_BITS_MIN; bits <= WS_WINDOW_BITS_MAX; bits++) {
            size_t n;
            if (!ws_deflate(bits, text, at, &n)) {
                assert_true(text.n < 200);
                continue;
            }
            assert_true(n < text.n);
            struct str back;
            char *exact = malloc(n);
            memcpy(exact, at, n);
            assert_int_equal(ws_inflate((struct str){exact, n}, text.n, &back), CLOSE_NONE);
            assert_true(str_eq(back, text));
            assert_int_equal(ws_inflate((struct str){exact, n}, text.n - 1, &back), CLOSE_TOO_BIG);
            free(exact);
        }
        free(at);
        free((void *)(uintptr_t)text.p);
    }
}

/* A decoder with no more than the agreed window must understand us. */
static void keeps_to_the_window(void **state)
{
    (void)state;
    struct str text = text_make(100000);
    char *at = malloc(ws_deflate_room(text.n) + 4);
    char *back = malloc(text.n);
    for (int bits = WS_WINDOW_BITS_MIN; bits <= WS_WINDOW_BITS_MAX; bits++) {
        size_t n;
        assert_true(ws_deflate(bits, text, at, &n));
        memcpy(at + n, "\0\0\xff\xff", 4);
        z_stream z = {0};
        assert_int_equal(inflateInit2(&z, -bits), Z_OK);
        z.next_in = (Bytef *)at;
        z.avail_in = (uInt)n + 4;
        z.next_out = (Bytef *)back;
        z.avail_out = (uInt)text.n;
        assert_int_equal(inflate(&z, Z_SYNC_FLUSH), Z_OK);
        assert_int_equal(z.avail_out, 0);
        assert_memory_equal(back, text.p, text.n);
        inflateEnd(&z);
    }
    free(back);
    free(at);
    free((void *)(uintptr_t)text.p);
}

static void leaves_alone_what_does_not_pay(void **state)
{
    (void)state;
    char noise[1000];
    uint32_t x = 1;
    for (size_t i = 0; i < sizeof(noise); i++) {
        x = x * 1664525 + 1013904223;
        noise[i] = (char)(x >> 24);
    }
    char at[1100];
    size_t n;
    assert_false(ws_deflate(15, (struct str){noise, sizeof(noise)}, at, &n));
    assert_false(ws_deflate(15, (struct str){noise, 0}, at, &n));
    memset(noise, 'a', sizeof(noise));
    assert_false(ws_deflate(15, (struct str){noise, WS_DEFLATE_MIN - 1}, at, &n));
    assert_true(ws_deflate(15, (struct str){noise, WS_DEFLATE_MIN}, at, &n));
}

static enum close_reason inflate_bytes(const char *p, size_t n, struct str *ret)
{
    char *exact = malloc(n + 1);
    memcpy(exact, p, n);
    enum close_reason reason = ws_inflate((struct str){exact, n}, 1000, ret);
    free(exact);
    return reason;
}

static void inflates_the_examples_of_the_standard(void **state)
{
    (void)state;
    static const struct {
        struct str deflated, plain;
    } examples[] = {
        {{"\xf2\x48\xcd\xc9\xc9\x07\x00", 7}, {"Hello", 5}},
        {{"\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00", 11}, {"Hello", 5}},         // stored
        {{"\xf3\x48\xcd\xc9\xc9\x07\x00\x00", 8}, {"Hello", 5}},                      // BFINAL
        {{"\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00", 13}, {"Hello", 5}}, // two blocks
        {{"\x00", 1}, {"", 0}},
        {{"\x02\x00", 2}, {"", 0}},
        {{"", 0}, {"", 0}},
        {{"\xf3\x48\xcd\xc9\xc9\x07\x00", 7}, {"Hello", 5}}, // BFINAL, and no byte behind
    };
    for (size_t i = 0; i < sizeof(examples) / sizeof(examples[0]); i++) {
        struct str back;
        enum close_reason reason =
            inflate_bytes(examples[i].deflated.p, examples[i].deflated.n, &back);
        if (reason != CLOSE_NONE || !str_eq(back, examples[i].plain))
            fail_msg("example %zu: %s", i, close_name(reason));
    }
}

static void refuses_broken_streams(void **state)
{
    (void)state;
    struct str back;
    assert_int_equal(inflate_bytes("\xff\xff\xff", 3, &back), CLOSE_BAD_FRAME);
    assert_int_equal(inflate_bytes("\xf2\x48\xcd", 3, &back), CLOSE_BAD_FRAME); // cut short
    assert_int_equal(inflate_bytes("\x00\x09\x00\xf6\xff\x48", 6, &back), CLOSE_BAD_FRAME);
    assert_int_equal(inflate_bytes("\xf2\x48\xcd\xc9\xc9\x07\x00", 7, &back), CLOSE_NONE);
}

static void cuts_a_bomb_at_the_limit(void **state)
{
    (void)state;
    enum { BOMB = 64 << 20, LIMIT = 100000 };
    z_stream z = {0};
    assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY), Z_OK);
    char *zeros = calloc(1, BOMB);
    size_t cap = 1 << 20;
    char *small = malloc(cap);
    z.next_in = (Bytef *)zeros;
    z.avail_in = BOMB;
    z.next_out = (Bytef *)small;
    z.avail_out = (uInt)cap;
    assert_int_equal(deflate(&z, Z_SYNC_FLUSH), Z_OK);
    size_t n = cap - z.avail_out - 4;
    deflateEnd(&z);
    struct str back;
    assert_true(n < LIMIT);
    assert_int_equal(ws_inflate((struct str){small, n}, LIMIT, &back), CLOSE_TOO_BIG);
    assert_int_equal(ws_inflate((struct str){small, n}, BOMB - 1, &back), CLOSE_TOO_BIG);
    assert_int_equal(ws_inflate((struct str){small, n}, BOMB, &back), CLOSE_NONE);
    assert_int_equal(back.n, BOMB);
    assert_int_equal(inflate_bytes("\xf2\x48\xcd\xc9\xc9\x07\x00", 7, &back), CLOSE_NONE);
    free(zeros);
    free(small);
}

static void frames_once_for_all(void **state)
{
    (void)state;
    struct buf out;
    buf_init(&out, 1 << 20);
    const struct framing *f = ws_framing_deflate(12);
    assert_int_equal(f->window_bits, 12);
    assert_ptr_equal(f, ws_framing_deflate(12));
    assert_true(f->frame(f, &out, STR("short")));
    assert_memory_equal(out.p, "\x81\x05short", 7);
    assert_int_equal(out.len, 7);
    struct str text = text_make(1000);
    assert_true(f->frame(f, &out, text));
    assert_int_equal((uint8_t)out.p[7], 0xc1);
    assert_int_equal((uint8_t)out.p[8], 126);
    size_t n = (size_t)(uint8_t)out.p[9] << 8 | (uint8_t)out.p[10];
    assert_int_equal(out.len, 7 + 4 + n);
    struct str back;
    assert_int_equal(ws_inflate((struct str){out.p + 11, n}, 1000, &back), CLOSE_NONE);
    assert_true(str_eq(back, text));
    buf_clear(&out);
    char same[200];
    memset(same, 'x', sizeof(same));
    assert_true(
        f->frame(f, &out, (struct str){same, sizeof(same)})); // a shorter head than at first
    assert_true(out.len < 60 && (uint8_t)out.p[1] == out.len - 2);
    assert_int_equal(ws_inflate((struct str){out.p + 2, out.len - 2}, 1000, &back), CLOSE_NONE);
    assert_true(str_eq(back, (struct str){same, sizeof(same)}));
    buf_clear(&out);
    assert_true(ws_framing_binary.frame(&ws_framing_binary, &out, STR("ab")));
    assert_memory_equal(out.p,
                        "\x82\x02"
                        "ab",
                        4);
    buf_fini(&out);
    buf_init(&out, 10);
    assert_false(ws_framing_text.frame(&ws_framing_text, &out, STR("123456789")));
    assert_int_equal(out.len, 0);
    buf_fini(&out);
    free((void *)(uintptr_t)text.p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chooses_among_offers),
        cmocka_unit_test(answers_what_was_asked),
        cmocka_unit_test(comes_back_as_it_was),
        cmocka_unit_test(keeps_to_the_window),
        cmocka_unit_test(leaves_alone_what_does_not_pay),
        cmocka_unit_test(inflates_the_examples_of_the_standard),
        cmocka_unit_test(refuses_broken_streams),
        cmocka_unit_test(cuts_a_bomb_at_the_limit),
        cmocka_unit_test(frames_once_for_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
