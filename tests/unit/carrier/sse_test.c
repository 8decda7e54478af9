/*
 * sse_test.c - events, their framing, and the carrier's heartbeat, deadline and end.
 */
#include <stdio.h>

#include "fake_wire.h"

#include "carrier/sse.h"

static unsigned closed_count;
static enum close_reason closed_reason;

static void on_closed(struct carrier *c, void *ctx, enum close_reason reason, unsigned code)
{
    (void)c;
    assert_ptr_equal(ctx, &closed_count);
    assert_int_equal(code, 0);
    closed_count++;
    closed_reason = reason;
}

static const struct carrier_handler handler = {.closed = on_closed};
static const struct sse_options usual = {.out_max_bytes = 65536};

static struct carrier *start(const struct sse_options *o, unsigned minor)
{
    closed_count = 0;
    wire_begin();
    wire.request.minor = minor;
    struct carrier *c =
        sse_accept(&wire.request, o, STR("X-Extra: yes\r\n"), &handler, &closed_count);
    assert_non_null(c);
    assert_int_equal(wire.conn->out_max, o->out_max_bytes);
    return c;
}

static void finish(enum close_reason reason)
{
    wire_finish();
    assert_int_equal(closed_count, 1);
    assert_string_equal(close_name(closed_reason), close_name(reason));
}

static void check_event(struct str id, struct str type, struct str data, const char *expected)
{
    struct buf b;
    buf_init(&b, 4096);
    assert_true(buf_add(&b, STR("before")));
    assert_true(sse_event(&b, id, type, data));
    assert_true(str_eq(str_skip(buf_str(&b), 6), str_from(expected)));
    buf_fini(&b);
}

static void writes_events(void **state)
{
    (void)state;
    check_event(STR("e:1"), STR("tick"), STR("{}"), "id: e:1\nevent: tick\ndata: {}\n\n");
    check_event(STR_NONE, STR_NONE, STR("{}"), "data: {}\n\n");
    check_event(STR_NONE, STR_NONE, STR_NONE, "data: \n\n");
    check_event(STR_NONE, STR_NONE, STR("a\nb\r\nc\rd"), "data: a\ndata: b\ndata: c\ndata: d\n\n");
    check_event(STR_NONE, STR_NONE, STR("a\n"), "data: a\ndata: \n\n");
    check_event(STR_NONE, STR_NONE, STR("\r\n\r"), "data: \ndata: \ndata: \n\n");
    check_event(STR("1\ndata: forged"), STR("t\rid: 9"), STR("x"), "id: 1\nevent: t\ndata: x\n\n");
}

static void writes_an_event_whole_or_not(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 20);
    assert_true(buf_add(&b, STR("12345")));
    assert_false(sse_event(&b, STR("1"), STR("type"), STR("data")));
    assert_true(str_eq(buf_str(&b), STR("12345")));
    buf_fini(&b);
}

static void frames_chunks(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 1 << 20);
    const struct framing *f = &sse_framing_chunked;
    assert_true(f->frame(f, &b, STR("data: x\n\n")));
    assert_true(str_eq(buf_str(&b), STR("9\r\ndata: x\n\n\r\n")));
    buf_clear(&b);
    assert_true(f->frame(f, &b, STR_NONE)); // an empty chunk would end the response
    assert_int_equal(b.len, 0);
    static const size_t sizes[] = {1, 15, 16, 255, 256, 4095, 4096, 65535, 65536};
    static char payload[65536];
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        char head[32];
        buf_clear(&b);
        int n = snprintf(head, sizeof(head), "%zx\r\n", sizes[i]);
        assert_true(f->frame(f, &b, (struct str){payload, sizes[i]}));
        assert_int_equal(b.len, (size_t)n + sizes[i] + 2);
        assert_memory_equal(b.p, head, (size_t)n);
        assert_memory_equal(b.p + b.len - 2, "\r\n", 2);
    }
    buf_clear(&b);
    f = &sse_framing_raw;
    assert_true(f->frame(f, &b, STR("data: x\n\n")));
    assert_true(str_eq(buf_str(&b), STR("data: x\n\n")));
    buf_fini(&b);
}

static void streams_chunks_to_http_1_1(void **state)
{
    (void)state;
    struct carrier *c = start(&usual, 1);
    assert_said("HTTP/1.1 200 OK\r\n"
                "Content-Type: text/event-stream; charset=utf-8\r\n"
                "Cache-Control: no-cache\r\n"
                "X-Accel-Buffering: no\r\n"
                "Connection: keep-alive\r\n"
                "Transfer-Encoding: chunked\r\n"
                "Access-Control-Allow-Origin: *\r\n"
                "X-Extra: yes\r\n\r\n");
    assert_ptr_equal(c->framing, &sse_framing_chunked);
    carrier_send(c, STR("data: x\n\n"));
    carrier_send(c, STR_NONE);
    assert_said("9\r\ndata: x\n\n\r\n");
    carrier_close(c, CLOSE_SHUTDOWN);
    carrier_close(c, CLOSE_NORMAL);
    carrier_send(c, STR("data: too late\n\n"));
    assert_said("0\r\n\r\n");
    assert_true(wire.feeds_stopped);
    assert_int_equal(wire.conn->state, CONN_LINGERING);
    finish(CLOSE_SHUTDOWN);
}

static void streams_bytes_to_http_1_0(void **state)
{
    (void)state;
    struct carrier *c = start(&usual, 0);
    assert_said("HTTP/1.1 200 OK\r\n"
                "Content-Type: text/event-stream; charset=utf-8\r\n"
                "Cache-Control: no-cache\r\n"
                "X-Accel-Buffering: no\r\n"
                "Connection: close\r\n"
                "Access-Control-Allow-Origin: *\r\n"
                "X-Extra: yes\r\n\r\n");
    carrier_send(c, STR("data: x\n\n"));
    assert_said("data: x\n\n");
    carrier_close(c, CLOSE_NORMAL);
    assert_said("");
    finish(CLOSE_NORMAL);
}

static void beats_when_it_was_silent(void **state)
{
    (void)state;
    struct sse_options o = usual;
    o.heartbeat_ms = 10000;
    struct carrier *c = start(&o, 1);
    wire_clear();
    wire_wait(9999);
    assert_said("");
    wire_wait(1);
    assert_said("3\r\n:\n\n\r\n");
    wire_wait(5000);
    carrier_send(c, STR("data: x\n\n"));
    wire_clear();
    wire_wait(5000); // that was a sign of life
    assert_said("");
    wire_wait(10000);
    assert_said("3\r\n:\n\n\r\n");
    carrier_close(c, CLOSE_NORMAL);
    finish(CLOSE_NORMAL);
}

static void ends_a_peer_that_takes_nothing(void **state)
{
    (void)state;
    struct sse_options o = usual;
    o.write_timeout_ms = 10000;
    o.heartbeat_ms = 4000;
    struct carrier *c = start(&o, 1);
    wire_clear();
    for (int i = 0; i < 10; i++) { // slow, and yet it takes something
        carrier_send(c, STR("data: more\n\n"));
        wire_wait(3000);
        wire.pending -= 1;
    }
    assert_int_equal(wire.conn->state, CONN_OPEN);
    wire_clear();
    wire_wait(60000);
    wire_clear();
    assert_int_equal(wire.conn->state, CONN_CLOSED); // heartbeats were not taken either
    finish(CLOSE_SLOW);
}

static void leaves_alone_who_has_nothing_to_take(void **state)
{
    (void)state;
    struct sse_options o = usual;
    o.write_timeout_ms = 10000;
    (void)start(&o, 1);
    wire_clear();
    wire_wait(100000);
    assert_int_equal(wire.conn->state, CONN_OPEN);
    wire.conn->sink.blocked = true; // frames of feeds wait for the socket
    wire_wait(9000);
    assert_int_equal(wire.conn->state, CONN_OPEN);
    wire_wait(15000);
    assert_int_equal(wire.conn->state, CONN_CLOSED);
    finish(CLOSE_SLOW);
}

static void ignores_what_follows_a_request_within_reason(void **state)
{
    (void)state;
    (void)start(&usual, 1);
    static char junk[40000];
    wire_feed((struct str){junk, sizeof(junk)});
    assert_int_equal(wire.conn->state, CONN_OPEN);
    wire_feed((struct str){junk, sizeof(junk)});
    assert_int_equal(wire.conn->state, CONN_LINGERING);
    finish(CLOSE_BAD_REQUEST);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_events),
        cmocka_unit_test(writes_an_event_whole_or_not),
        cmocka_unit_test(frames_chunks),
        cmocka_unit_test(streams_chunks_to_http_1_1),
        cmocka_unit_test(streams_bytes_to_http_1_0),
        cmocka_unit_test(beats_when_it_was_silent),
        cmocka_unit_test(ends_a_peer_that_takes_nothing),
        cmocka_unit_test(leaves_alone_who_has_nothing_to_take),
        cmocka_unit_test(ignores_what_follows_a_request_within_reason),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
