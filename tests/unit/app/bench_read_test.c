/*
 * bench_read_test.c - the load generator counts the same messages however the bytes are cut.
 */
#include "app/bench.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"

enum { SIZE = 70 };

struct stage {
    struct bench *b;
    struct bench_conn c;
    int peer;
};

static void open_stage(struct stage *s, bool lines)
{
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    *s = (struct stage){.b = calloc(1, sizeof(struct bench)), .peer = fds[1]};
    s->b->size = SIZE;
    s->b->running = s->b->measuring = s->b->ordered = true;
    s->b->protocol = (struct bench_protocol){.head = "", .tail = "", .pong = "{}", .lines = lines};
    assert_true(bench_payload_make(s->b));
    s->c = (struct bench_conn){.stream = {.fd = fds[0]}, .state = BENCH_OPEN};
    s->c.sample = calloc(1, sizeof(struct bench_sample));
}

static void close_stage(struct stage *s)
{
    bench_lost(s->b, &s->c, "done");
    free(s->c.sample);
    free(s->b->payload.bytes);
    free(s->b);
    close(s->peer);
}

/* A server's frame: not masked. */
static void add_frame(struct buf *out, uint8_t first, struct str payload)
{
    buf_add_char(out, (char)first);
    if (payload.n < 126) {
        buf_add_char(out, (char)payload.n);
    } else {
        buf_add_char(out, 126);
        buf_add_char(out, (char)(payload.n >> 8));
        buf_add_char(out, (char)payload.n);
    }
    buf_add(out, payload);
}

/* The JSON of message number, as it was published. */
static struct str message(struct stage *s, uint64_t number, char ret[SIZE])
{
    struct bench_payload *p = &s->b->payload;
    bench_payload_stamp(p, clock_mono_ns(), number);
    assert_int_equal(p->n - p->body, SIZE);
    for (size_t i = 0; i < SIZE; i++)
        ret[i] = (char)((uint8_t)p->bytes[p->body + i] ^ p->mask[i & 3]);
    return (struct str){ret, SIZE};
}

static unsigned feed(struct stage *s, struct str bytes)
{
    char *copy = malloc(bytes.n ? bytes.n : 1);
    memcpy(copy, bytes.p, bytes.n);
    unsigned n = bench_count(s->b, &s->c, (struct str){copy, bytes.n});
    free(copy);
    return n;
}

static void make_wire(struct stage *s, struct buf *wire, bool lines)
{
    struct buf batch;
    char text[SIZE];
    buf_init(&batch, 4096);
    add_frame(wire, 0x81, message(s, 0, text));
    add_frame(wire, 0x89, STR("ping"));
    add_frame(wire, 0x81, STR("{}"));
    add_frame(wire, 0x81, STR("{\"id\":7,\"publish\":{}}"));
    add_frame(wire, 0x01, (struct str){message(s, 1, text).p, 10}); // in two frames
    add_frame(wire, 0x80, (struct str){text + 10, SIZE - 10});
    add_frame(wire, 0x81, STR(""));
    if (lines) {
        buf_add(&batch, message(s, 2, text));
        buf_add_char(&batch, '\n');
        buf_add(&batch, message(s, 3, text));
        add_frame(wire, 0x81, buf_str(&batch));
    }
    buf_fini(&batch);
}

static void check_cuts(bool lines)
{
    struct buf wire;
    struct stage s;
    buf_init(&wire, 8192);
    open_stage(&s, lines);
    make_wire(&s, &wire, lines);
    close_stage(&s);
    unsigned want = lines ? 4 : 2;
    for (size_t cut = 0; cut <= wire.len; cut++) {
        open_stage(&s, lines);
        unsigned n = feed(&s, (struct str){wire.p, cut});
        n += feed(&s, (struct str){wire.p + cut, wire.len - cut});
        assert_int_equal(n, want);
        assert_int_equal(s.b->disorder, 0);
        assert_int_equal(s.b->latency.count, want);
        close_stage(&s);
    }
    open_stage(&s, lines);
    unsigned n = 0;
    for (size_t i = 0; i < wire.len; i++)
        n += feed(&s, (struct str){wire.p + i, 1});
    assert_int_equal(n, want);
    char got[64];
    assert_true(recv(s.peer, got, sizeof(got), 0) >= 8); // the answer to {}
    close_stage(&s);
    buf_fini(&wire);
}

static void test_every_cut(void **state)
{
    (void)state;
    check_cuts(false);
    check_cuts(true);
}

static void test_disorder_is_seen(void **state)
{
    (void)state;
    struct stage s;
    struct buf wire;
    char text[SIZE];
    open_stage(&s, false);
    buf_init(&wire, 4096);
    add_frame(&wire, 0x81, message(&s, 0, text));
    add_frame(&wire, 0x81, message(&s, 2, text));
    memset(text, 'x', SIZE);
    add_frame(&wire, 0x81, (struct str){text, SIZE});
    assert_int_equal(feed(&s, buf_str(&wire)), 3);
    assert_int_equal(s.b->disorder, 2);
    buf_fini(&wire);
    close_stage(&s);
}

/* A newline among compressed bytes divides nothing. */
static void test_a_compressed_frame_is_one_message(void **state)
{
    (void)state;
    struct stage s;
    struct buf wire;
    buf_init(&wire, 4096);
    open_stage(&s, true);
    add_frame(&wire, 0xc1, STR("\x01\n compressed \n bytes"));
    add_frame(&wire, 0xc1, STR("\x02 short"));
    for (size_t cut = 0; cut <= wire.len; cut++) {
        s.b->deflated = 0;
        unsigned n = feed(&s, (struct str){wire.p, cut});
        n += feed(&s, (struct str){wire.p + cut, wire.len - cut});
        assert_int_equal(n, 1);
        assert_int_equal(s.b->deflated, 1);
    }
    assert_int_equal(s.b->disorder, 0);
    assert_int_equal(s.b->latency.count, 0);
    buf_fini(&wire);
    close_stage(&s);
}

static void test_a_close_or_nonsense_ends_the_connection(void **state)
{
    static const char *const wires[] = {"\x88\x02\x03\xe8", "\x81\x81zzzzz", "\xf1\x01y"};
    (void)state;
    for (size_t i = 0; i < sizeof(wires) / sizeof(wires[0]); i++) {
        struct stage s;
        open_stage(&s, true);
        assert_int_equal(feed(&s, str_from(wires[i])), 0);
        assert_int_equal(s.c.state, BENCH_CLOSED);
        assert_int_equal(s.b->lost, 1);
        close_stage(&s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_cut),
        cmocka_unit_test(test_disorder_is_seen),
        cmocka_unit_test(test_a_compressed_frame_is_one_message),
        cmocka_unit_test(test_a_close_or_nonsense_ends_the_connection),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
