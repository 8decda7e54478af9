/*
 * eio_packet_test.c - Engine.IO packets in both directions, whole and cut off anywhere.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <zlib.h>

#include "base/must.h"
#include "carrier/eio.h"
#include "carrier/eio_packet.h"

#include <cmocka.h>

/* In a block of its own, so that a step outside is seen. */
static bool is_valid(struct str payload)
{
    char *block = malloc(payload.n > 0 ? payload.n : 1);
    memcpy(block, payload.p, payload.n);
    bool ok = eio_payload_valid((struct str){block, payload.n});
    free(block);
    return ok;
}

static void tells_payloads_of_clients(void **state)
{
    (void)state;
    static const struct {
        struct str payload;
        bool valid;
    } rows[] = {
        {STR(""), true},
        {STR("4"), true},
        {STR("4hello"), true},
        {STR("4a\x1e"
             "4b\x1e"
             "3"),
         true},
        {STR("4a\x1e"
             "bAQIDBA=="),
         true},
        {STR("bAQIDBA"), true}, // without its padding
        {STR("b-_-_"), true},   // the other alphabet
        {STR("b"), true},
        {STR("1"), true},
        {STR("5"), true},
        {STR("6"), true},
        {STR("4\xc3\xa4"), true},
        {STR("abc"), false},
        {STR("0"), false},
        {STR("2"), false}, // servers ping
        {STR("2probe"), false},
        {STR("7"), false},
        {STR("\x1e"), false},
        {STR("4a\x1e"), false},
        {STR("\x1e"
             "4a"),
         false},
        {STR("4a\x1e\x1e"
             "4b"),
         false},
        {STR("4a\x1exyz"), false},
        {STR("bA"
             "Q=D"),
         false},
        {STR("bAQID="), false},
        {STR("bA"), false},
        {STR("b==="), false},
        {STR("b*QID"), false},
        {STR("4\xc3"), false},
        {STR("4\xff"), false},
        {STR("\0"), false},
        {STR("{\"type\":\"ping\"}"), false},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (is_valid(rows[i].payload) != rows[i].valid)
            fail_msg("row %zu: %.*s", i, STR_FMT(rows[i].payload));
    }
}

static void takes_sixteen_packets_at_most(void **state)
{
    (void)state;
    char text[2 * EIO_PACKETS_MAX + 1];
    for (size_t i = 0; i < sizeof(text); i++)
        text[i] = i % 2 ? EIO_SEPARATOR : '3';
    assert_true(is_valid((struct str){text, 2 * EIO_PACKETS_MAX - 1}));
    assert_false(is_valid((struct str){text, 2 * EIO_PACKETS_MAX + 1}));
}

/* Whatever is left of a payload that was cut off: what is valid is taken apart to its end. */
static void takes_every_cut_apart(void **state)
{
    (void)state;
    const struct str whole = STR("4h\xc3\xa4llo\x1e"
                                 "bAQIDBAUG\x1e"
                                 "3\x1e"
                                 "42[\"a\",1]\x1e"
                                 "1");
    for (size_t n = 0; n <= whole.n; n++) {
        char *block = malloc(n + 1);
        memcpy(block, whole.p, n);
        struct str payload = {block, n};
        struct eio_packet packet;
        unsigned count = 0;
        if (eio_payload_valid(payload)) {
            while (eio_packet_next(&payload, &packet)) {
                count++;
                assert_true(packet.data.n == 0 ||
                            (packet.data.p > block && packet.data.p + packet.data.n <= block + n));
            }
            assert_int_equal(payload.n, 0);
            assert_true(n == 0 ? count == 0 : count > 0 && count <= 5);
        }
        free(block);
    }
}

static void decodes_what_it_encodes(void **state)
{
    (void)state;
    for (size_t n = 0; n < 70; n++) {
        char bytes[70], back[80];
        for (size_t i = 0; i < n; i++)
            bytes[i] = (char)(i * 37 + n);
        struct buf frames, payload;
        buf_init(&frames, 4096);
        buf_init(&payload, 4096);
        assert_true(eio_frame(&ws_framing_text, &frames, (struct str){bytes, n}, true));
        assert_true(eio_payload_add(&payload, buf_str(&frames)));
        assert_true(is_valid(buf_str(&payload)));
        struct str text = str_skip(buf_str(&payload), 1);
        assert_int_equal(payload.p[0], 'b');
        assert_int_equal(eio_base64_decode(text, back), n);
        assert_memory_equal(back, bytes, n);
        buf_fini(&frames);
        buf_fini(&payload);
    }
}

static void makes_payloads_of_frames(void **state)
{
    (void)state;
    struct buf frames, payload, big;
    buf_init(&frames, 1 << 20);
    buf_init(&payload, 1 << 20);
    buf_init(&big, 1 << 20);
    for (int i = 0; i < 70000; i++)
        assert_true(buf_add_char(&big, 'x'));
    assert_true(eio_frame(&ws_framing_text, &frames, STR("2[\"a\"]"), false));
    assert_true(eio_frame(&ws_framing_text, &frames, STR("\1\2\3\4"), true));
    assert_true(eio_packet_frame(&frames, EIO_PING, STR_NONE));
    assert_true(eio_frame(&ws_framing_text, &frames, (struct str){big.p, 200}, false));
    assert_true(eio_frame(&ws_framing_text, &frames, buf_str(&big), false));
    assert_true(eio_frame(&ws_framing_text, &frames,
                          STR("2\x1e"
                              "41"),
                          false)); // nobody's text becomes two packets
    assert_true(eio_payload_add(&payload, buf_str(&frames)));
    struct str rest = buf_str(&payload), head = STR("42[\"a\"]\x1e"
                                                    "bAQIDBA==\x1e"
                                                    "2\x1e"
                                                    "4xxx");
    assert_true(str_starts(rest, head));
    size_t lengths[] = {7, 9, 1, 201, 70001, 5};
    for (size_t i = 0; i < 6; i++)
        assert_int_equal(str_cut(&rest, EIO_SEPARATOR).n, lengths[i]);
    assert_int_equal(rest.n, 0);
    buf_fini(&frames);
    buf_fini(&payload);
    buf_fini(&big);
}

/* A session that began on a WebSocket with deflate gets these; none of them is ever unpacked. */
static void deflates_texts_only(void **state)
{
    (void)state;
    struct buf out;
    char text[300];
    memset(text, 'a', sizeof(text));
    buf_init(&out, 4096);
    const struct framing *f = ws_framing_deflate(15);
    assert_true(eio_frame(f, &out, (struct str){text, sizeof(text)}, false));
    assert_true((out.p[0] & 0x40) != 0 && out.len < 60);
    buf_clear(&out);
    assert_true(eio_frame(f, &out, (struct str){text, sizeof(text)}, true));
    assert_true((out.p[0] & 0x40) == 0 && out.len == sizeof(text) + 4);
    buf_clear(&out);
    assert_true(eio_frame(f, &out, STR("short"), false));
    assert_int_equal(out.len, 2 + 6);
    assert_memory_equal(out.p + 2, "4short", 6);
    buf_fini(&out);
}

static void chooses_a_coding(void **state)
{
    (void)state;
    static const struct {
        struct str accept;
        enum eio_coding coding;
    } rows[] = {
        {STR(""), EIO_IDENTITY},
        {STR("br"), EIO_IDENTITY},
        {STR("gzip, deflate, br"), EIO_GZIP},
        {STR("deflate, gzip"), EIO_GZIP},
        {STR("deflate"), EIO_DEFLATE},
        {STR("GZIP;q=0.5"), EIO_GZIP},
        {STR("gzip;q=0, deflate"), EIO_DEFLATE},
        {STR("gzip; q=0.000"), EIO_IDENTITY},
        {STR(",;,"), EIO_IDENTITY},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        assert_int_equal(eio_coding_choose(rows[i].accept), rows[i].coding);
}

static void compresses_so_that_zlib_reads_it(void **state)
{
    (void)state;
    static const size_t lengths[] = {1025, 5000, 200000};
    for (size_t i = 0; i < 6; i++) {
        size_t n = lengths[i / 2];
        enum eio_coding coding = i % 2 ? EIO_GZIP : EIO_DEFLATE;
        char *body = malloc(n), *back = malloc(n);
        for (size_t k = 0; k < n; k++)
            body[k] = "abcdefgh"[k * k % 8];
        struct buf out;
        buf_init(&out, 1 << 20);
        assert_true(eio_compress(coding, (struct str){body, n}, &out));
        z_stream z = {0};
        assert_int_equal(inflateInit2(&z, coding == EIO_GZIP ? 31 : 15), Z_OK);
        z.next_in = (Bytef *)out.p;
        z.avail_in = (uInt)out.len;
        z.next_out = (Bytef *)back;
        z.avail_out = (uInt)n;
        assert_int_equal(inflate(&z, Z_FINISH), Z_STREAM_END); // sum and length are right as well
        assert_int_equal(z.total_out, n);
        assert_int_equal(z.avail_in, 0);
        assert_memory_equal(back, body, n);
        inflateEnd(&z);
        buf_fini(&out);
        free(body);
        free(back);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tells_payloads_of_clients),
        cmocka_unit_test(takes_sixteen_packets_at_most),
        cmocka_unit_test(takes_every_cut_apart),
        cmocka_unit_test(decodes_what_it_encodes),
        cmocka_unit_test(makes_payloads_of_frames),
        cmocka_unit_test(deflates_texts_only),
        cmocka_unit_test(chooses_a_coding),
        cmocka_unit_test(compresses_so_that_zlib_reads_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
