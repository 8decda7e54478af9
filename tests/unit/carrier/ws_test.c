/*
 * ws_test.c - the WebSocket carrier from the handshake to the goodbye, on a wire of the test's own.
 */
#include "client_wire.h"
#include "unit/cuts.h"
#include "fake_wire.h"

#include "carrier/ws.h"
#include "carrier/ws_deflate.h"

static struct session {
    struct carrier *carrier;
    struct buf heard;
    unsigned alive_count, closed_count, code;
    enum close_reason reason;
    enum close_reason close_at_message; // closes when a message comes; CLOSE_NONE: echoes
} session;

static void on_message(struct carrier *c, void *ctx, struct str payload, bool is_binary)
{
    struct session *s = ctx;
    assert_true(buf_add(&s->heard, payload) && buf_add_char(&s->heard, ';'));
    if (s->close_at_message != CLOSE_NONE)
        carrier_close(c, s->close_at_message);
    else
        c->ops->send(c, payload, is_binary);
}

static void on_closed(struct carrier *c, void *ctx, enum close_reason reason, unsigned code)
{
    struct session *s = ctx;
    assert_ptr_equal(c, s->carrier);
    s->closed_count++;
    s->reason = reason;
    s->code = code;
}

static void on_alive(struct carrier *c, void *ctx)
{
    (void)c;
    ((struct session *)ctx)->alive_count++;
}

static const struct carrier_handler handler = {
    .message = on_message, .closed = on_closed, .alive = on_alive};

static const struct str subprotocols[] = {{"centrifuge-json", 15}, {"second", 6}};
static const struct ws_options usual = {
    .message_max_bytes = 4096,
    .close_timeout_ms = 2000,
    .out_max_bytes = 1 << 20,
    .deflate = true,
    .subprotocols = subprotocols,
    .subprotocol_count = 2,
};

static void request_begin(void)
{
    session = (struct session){0};
    buf_init(&session.heard, 1 << 20);
    wire_begin();
    wire_header("Host", "localhost");
    wire_header("Upgrade", "websocket");
    wire_header("Sec-WebSocket-Version", "13");
    wire_header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==");
}

static void request_accept(const struct ws_options *o)
{
    session.carrier = ws_accept(&wire.request, o, &handler, &session);
    assert_non_null(session.carrier);
}

/* Past the handshake. */
static void start(const struct ws_options *o, const char *extensions)
{
    request_begin();
    if (extensions != NULL)
        wire_header("Sec-WebSocket-Extensions", extensions);
    request_accept(o);
    wire_clear();
}

/* Ends it all; the reason and code the session is told. */
static void finish(enum close_reason reason, unsigned code)
{
    wire_finish();
    assert_int_equal(session.closed_count, 1);
    assert_string_equal(close_name(session.reason), close_name(reason));
    assert_int_equal(session.code, code);
    buf_fini(&session.heard);
}

static void feed(unsigned first, struct str payload)
{
    struct buf w;
    buf_init(&w, 1 << 20);
    wire_frame(&w, first, payload);
    wire_feed(buf_str(&w));
    buf_fini(&w);
}

/* ---- handshake ---- */

static void answers_the_handshake(void **state)
{
    (void)state;
    request_begin();
    assert_true(ws_is_handshake(&wire.request));
    request_accept(&usual);
    assert_int_equal(wire.conn->out_max, usual.out_max_bytes);
    assert_said("HTTP/1.1 101 Switching Protocols\r\n"
                "Upgrade: websocket\r\n"
                "Connection: Upgrade\r\n"
                "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n");
    assert_ptr_equal(session.carrier->framing, &ws_framing_text);
    assert_null(wire.timer); // no ping was asked for
    finish(CLOSE_PEER_GONE, 0);
}

static void answers_what_was_offered(void **state)
{
    (void)state;
    request_begin();
    wire_header("Sec-WebSocket-Protocol", "other, second , centrifuge-json");
    wire_header("Sec-WebSocket-Extensions", "foo, permessage-deflate; server_max_window_bits=10");
    request_accept(&usual);
    assert_said("HTTP/1.1 101 Switching Protocols\r\n"
                "Upgrade: websocket\r\n"
                "Connection: Upgrade\r\n"
                "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
                "Sec-WebSocket-Protocol: centrifuge-json\r\n"
                "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; "
                "client_no_context_takeover; server_max_window_bits=10\r\n\r\n");
    assert_ptr_equal(session.carrier->framing, ws_framing_deflate(10));
    finish(CLOSE_PEER_GONE, 0);
}

static void check_refused(unsigned status, const char *extra)
{
    assert_null(ws_accept(&wire.request, &usual, &handler, &session));
    assert_null(wire.conn);
    assert_int_equal(wire.status, status);
    assert_true(str_eq(wire.reply_extra, str_from(extra)));
    assert_int_equal(session.closed_count, 0);
    wire_finish();
}

static void refuses_what_is_no_handshake(void **state)
{
    (void)state;
    static const char upgrade[] = "Upgrade: websocket\r\nConnection: Upgrade\r\n";
    request_begin();
    wire.request.method = HTTP_POST;
    check_refused(426, upgrade);
    request_begin();
    wire.request.upgrade = false;
    check_refused(426, upgrade);
    request_begin();
    wire_header("Upgrade", "h2c");
    check_refused(426, upgrade);
    request_begin();
    wire.request.minor = 0;
    check_refused(400, "");
    static const char *const versions[] = {"12", "", "013", "13, 8"};
    for (size_t i = 0; i < sizeof(versions) / sizeof(versions[0]); i++) {
        request_begin();
        wire_header("Sec-WebSocket-Version", versions[i]);
        check_refused(426, "Sec-WebSocket-Version: 13\r\n");
    }
    static const char *const keys[] = {"",
                                       "dGhlIHNhbXBsZSBub25jZQ=",
                                       "dGhlIHNhbXBsZSBub25jZQ===",
                                       "dGhlIHNhbXBsZSBub25jZQAA",
                                       "dGhlIHNhbXBsZSBub25*ZQ==",
                                       "==hlIHNhbXBsZSBub25jZQ=="};
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        request_begin();
        wire_header("Sec-WebSocket-Key", keys[i]);
        check_refused(400, "");
    }
}

/* ---- messages ---- */

static void carries_messages_both_ways(void **state)
{
    (void)state;
    start(&usual, NULL);
    feed(FIN | WS_OP_TEXT, STR("hello"));
    assert_said("\x81\x05hello");
    feed(FIN | WS_OP_BINARY, STR("\xff"));
    assert_said("\x82\x01\xff");
    feed(WS_OP_TEXT, STR("a"));
    feed(FIN | WS_OP_PING, STR("p"));
    feed(FIN | WS_OP_CONTINUATION, STR("b"));
    assert_said("\x8a\x01p\x81\x02"
                "ab");
    assert_int_equal(session.alive_count, 5);
    assert_true(str_eq(buf_str(&session.heard), STR("hello;\xff;ab;")));
    finish(CLOSE_PEER_GONE, 0);
}

static void deflates_what_pays(void **state)
{
    (void)state;
    start(&usual, "permessage-deflate");
    carrier_send(session.carrier, STR("short"));
    assert_said("\x81\x05short");
    char same[500];
    memset(same, 'x', sizeof(same));
    carrier_send(session.carrier, (struct str){same, sizeof(same)});
    struct str said = wire_said();
    assert_int_equal((uint8_t)said.p[0], 0xc1);
    assert_int_equal((uint8_t)said.p[1], said.n - 2);
    struct str back;
    assert_int_equal(ws_inflate(str_skip(said, 2), 4096, &back), CLOSE_NONE);
    assert_true(str_eq(back, (struct str){same, sizeof(same)}));
    wire_clear();
    for (size_t i = 0; i < sizeof(same); i++)
        same[i] = (char)(i * i * 31 + (i >> 3) * 17 + (i ^ 0x55) * 7);
    session.carrier->ops->send(session.carrier, (struct str){same, 100}, true);
    said = wire_said();
    if ((uint8_t)said.p[0] == 0x82) // it did not shrink
        assert_memory_equal(said.p + 2, same, 100);
    wire_clear();
    feed(FIN | RSV1 | WS_OP_TEXT, STR("\xf2\x48\xcd\xc9\xc9\x07\x00"));
    assert_said("\x81\x05Hello");
    finish(CLOSE_PEER_GONE, 0);
}

static void says_nothing_after_the_queue_is_full(void **state)
{
    (void)state;
    struct ws_options small = usual;
    small.out_max_bytes = 300;
    start(&small, NULL);
    char some[200] = {0};
    struct buf w;
    buf_init(&w, 4096);
    for (int i = 0; i < 3; i++)
        wire_frame(&w, FIN | WS_OP_BINARY, (struct str){some, sizeof(some)});
    wire_feed(buf_str(&w)); // the peer reads none of the echoes
    buf_fini(&w);
    assert_int_equal(wire.conn->state, CONN_CLOSED);
    assert_int_equal(session.heard.len, 2 * (sizeof(some) + 1)); // the third was not looked at
    finish(CLOSE_SLOW, 0);
}

/* ---- goodbyes ---- */

static void answers_the_peers_goodbye(void **state)
{
    (void)state;
    static const struct {
        struct str payload;
        const char *said;
        size_t said_n;
        unsigned code;
    } goodbyes[] = {
        {{"\x03\xe8"
          "done",
          6},
         "\x88\x02\x03\xe8",
         4,
         1000},
        {{"\x0f\xa1", 2}, "\x88\x02\x0f\xa1", 4, 4001},
        {{"", 0}, "\x88\x00", 2, 0},
    };
    for (size_t i = 0; i < sizeof(goodbyes) / sizeof(goodbyes[0]); i++) {
        start(&usual, NULL);
        struct buf w;
        buf_init(&w, 4096);
        wire_frame(&w, FIN | WS_OP_CLOSE, goodbyes[i].payload);
        wire_frame(&w, FIN | WS_OP_TEXT, STR("too late"));
        wire_feed(buf_str(&w));
        buf_fini(&w);
        assert_true(str_eq(wire_said(), (struct str){goodbyes[i].said, goodbyes[i].said_n}));
        assert_int_equal(wire.conn->state, CONN_LINGERING);
        assert_true(wire.feeds_stopped);
        assert_int_equal(wire.linger_ms, 2000);
        assert_int_equal(session.heard.len, 0);
        carrier_send(session.carrier, STR("nobody hears this"));
        finish(CLOSE_PEER_ASKED, goodbyes[i].code);
    }
}

static void says_goodbye_and_waits_for_the_answer(void **state)
{
    (void)state;
    start(&usual, NULL);
    carrier_close(session.carrier, CLOSE_SHUTDOWN);
    assert_said("\x88\x0a\x0b\xb9shutdown");
    assert_true(wire.feeds_stopped);
    assert_int_equal(wire.conn->state, CONN_OPEN);
    carrier_send(session.carrier, STR("no"));
    carrier_close(session.carrier, CLOSE_NORMAL);
    feed(FIN | WS_OP_TEXT, STR("thrown away"));
    feed(FIN | WS_OP_PING, STR("not answered"));
    assert_said("");
    feed(FIN | WS_OP_CLOSE, STR("\x0b\xb9"));
    assert_said("");
    assert_int_equal(wire.conn->state, CONN_LINGERING);
    assert_int_equal(session.heard.len, 0);
    finish(CLOSE_SHUTDOWN, 3001);
}

static void waits_no_longer_than_its_timeout(void **state)
{
    (void)state;
    start(&usual, NULL);
    carrier_close_with(session.carrier, CLOSE_UNAUTHORIZED, 4401, STR("log in"));
    assert_said("\x88\x08\x11\x31log in");
    wire_wait(1999);
    assert_int_equal(wire.conn->state, CONN_OPEN);
    wire_wait(1);
    assert_int_equal(wire.conn->state, CONN_LINGERING);
    assert_int_equal(wire.linger_ms, 0);
    finish(CLOSE_UNAUTHORIZED, 0);
    start(&usual, NULL); // the peer goes without an answer: the reason stays ours
    carrier_close(session.carrier, CLOSE_EXPIRED);
    finish(CLOSE_EXPIRED, 0);
}

static void tells_nobody_when_nobody_is_there(void **state)
{
    (void)state;
    start(&usual, NULL);
    carrier_close(session.carrier, CLOSE_IO_ERROR);
    assert_said("");
    assert_int_equal(wire.conn->state, CONN_LINGERING);
    finish(CLOSE_IO_ERROR, 0);
}

static void cuts_a_long_text_between_characters(void **state)
{
    (void)state;
    start(&usual, NULL);
    char text[200];
    memset(text, 'a', sizeof(text));
    memcpy(text + 121, "\xe2\x82\xac", 3); // would end at byte 124
    carrier_close_with(session.carrier, CLOSE_NORMAL, 1000, (struct str){text, sizeof(text)});
    assert_int_equal((uint8_t)wire.out.p[1], 2 + 121);
    finish(CLOSE_NORMAL, 0);
}

static void can_be_closed_inside_a_message(void **state)
{
    (void)state;
    start(&usual, NULL);
    session.close_at_message = CLOSE_BAD_REQUEST;
    struct buf w;
    buf_init(&w, 4096);
    wire_frame(&w, FIN | WS_OP_TEXT, STR("one"));
    wire_frame(&w, FIN | WS_OP_TEXT, STR("two"));
    wire_frame(&w, FIN | WS_OP_CLOSE, STR("\x03\xe8"));
    wire_feed(buf_str(&w));
    buf_fini(&w);
    assert_said("\x88\x0d\x0d\xad"
                "bad request");
    assert_true(str_eq(buf_str(&session.heard), STR("one;")));
    finish(CLOSE_BAD_REQUEST, 1000);
}

/* ---- faults ---- */

static void check_fails(const struct ws_options *o, unsigned first, struct str payload,
                        enum close_reason reason)
{
    start(o, "permessage-deflate");
    struct buf w;
    buf_init(&w, 1 << 20);
    wire_frame(&w, first, payload);
    wire_frame(&w, FIN | WS_OP_TEXT, STR("after it"));
    wire_feed(buf_str(&w));
    buf_fini(&w);
    assert_int_equal((uint8_t)wire.out.p[0], 0x88);
    assert_int_equal((uint8_t)wire.out.p[2] << 8 | (uint8_t)wire.out.p[3], close_code(reason));
    assert_int_equal(wire.out.len, 4 + close_text(reason).n);
    assert_int_equal(wire.conn->state, CONN_LINGERING);
    assert_true(wire.feeds_stopped);
    assert_int_equal(session.heard.len, 0);
    finish(reason, 0);
}

static void names_what_was_wrong(void **state)
{
    (void)state;
    static char large[5000];
    struct ws_options texts = usual;
    texts.text_only = true;
    check_fails(&usual, FIN | 0x20 | WS_OP_TEXT, STR("x"), CLOSE_BAD_FRAME);
    check_fails(&usual, FIN | WS_OP_CONTINUATION, STR("x"), CLOSE_BAD_FRAME);
    check_fails(&usual, FIN | WS_OP_CLOSE, STR("x"), CLOSE_BAD_FRAME);
    check_fails(&usual, FIN | WS_OP_CLOSE, STR("\x03\xe8\xff"), CLOSE_BAD_UTF8);
    check_fails(&usual, FIN | WS_OP_TEXT, STR("\xff"), CLOSE_BAD_UTF8);
    check_fails(&usual, FIN | WS_OP_TEXT, (struct str){large, sizeof(large)}, CLOSE_TOO_BIG);
    check_fails(&texts, FIN | WS_OP_BINARY, STR("x"), CLOSE_UNSUPPORTED);
    check_fails(&usual, FIN | RSV1 | WS_OP_TEXT, STR("\xff\xff"), CLOSE_BAD_FRAME);
    check_fails(&usual, FIN | RSV1 | WS_OP_TEXT, STR("\x00\x01\x00\xfe\xff\xff\x00"),
                CLOSE_BAD_UTF8);
    memset(large, 'b', sizeof(large)); // 5000 bytes that come as a few
    char bomb[5008];
    size_t n;
    assert_true(ws_deflate(15, (struct str){large, sizeof(large)}, bomb, &n));
    assert_true(n < 100);
    check_fails(&usual, FIN | RSV1 | WS_OP_TEXT, (struct str){bomb, n}, CLOSE_TOO_BIG);
}

/* ---- pings ---- */

static void pings_and_ends_who_does_not_answer(void **state)
{
    (void)state;
    struct ws_options o = usual;
    o.ping_interval_ms = 25000;
    o.pong_timeout_ms = 10000;
    start(&o, NULL);
    wire_wait(24999);
    assert_said("");
    wire_wait(1);
    assert_said("\x89\x00");
    wire_wait(9000);
    feed(FIN | WS_OP_PONG, STR_NONE);
    wire_wait(15999);
    assert_said("");
    wire_wait(1); // one interval after the first ping
    assert_said("\x89\x00");
    feed(FIN | WS_OP_TEXT, STR("a message is a sign of life too"));
    wire_clear();
    wire_wait(25000);
    assert_said("\x89\x00");
    wire_wait(9999);
    assert_said("");
    wire_wait(1);
    assert_said("\x88\x09\x0b\xc4no pong");
    wire_wait(2000);
    assert_int_equal(wire.conn->state, CONN_LINGERING);
    finish(CLOSE_NO_PONG, 0);
}

static void counts_pongs_only(void **state)
{
    (void)state;
    struct ws_options o = usual;
    o.ping_interval_ms = o.pong_timeout_ms = 30000;
    o.pong_only = o.no_pong_aborts = true;
    start(&o, NULL);
    wire_wait(30000);
    assert_said("\x89\x00");
    feed(FIN | WS_OP_PONG, STR_NONE);
    wire_wait(29999);
    assert_said("");
    wire_wait(1);
    assert_said("\x89\x00");
    feed(FIN | WS_OP_TEXT, STR("a message is none"));
    feed(FIN | WS_OP_PING, STR("nor is a ping"));
    wire_clear();
    wire_wait(29999);
    assert_int_equal(wire.conn->state, CONN_OPEN);
    wire_wait(1);
    assert_said(""); // no goodbye
    assert_int_equal(wire.conn->state, CONN_CLOSED);
    finish(CLOSE_NO_PONG, 0);
}

static void pings_without_a_deadline(void **state)
{
    (void)state;
    struct ws_options o = usual;
    o.ping_interval_ms = 1000;
    start(&o, NULL);
    wire_wait(3000);
    assert_said("\x89\x00\x89\x00\x89\x00");
    assert_int_equal(wire.conn->state, CONN_OPEN);
    finish(CLOSE_PEER_GONE, 0);
}

/* ---- cuts ---- */

static void cut_begin(void *ctx)
{
    (void)ctx;
    start(&usual, "permessage-deflate");
}

static void cut_feed(void *ctx, char *p, size_t n, struct buf *told)
{
    (void)ctx;
    (void)told;
    if (wire.conn->state == CONN_OPEN)
        wire.conn->handler->data(wire.conn, p, n);
}

static void cut_end(void *ctx, struct buf *told)
{
    (void)ctx;
    assert_true(buf_add(told, wire_said()) && buf_add(told, buf_str(&session.heard)));
    wire_finish();
    assert_int_equal(session.closed_count, 1);
    assert_true(buf_add_format(told, "%s %u", close_name(session.reason), session.code));
    buf_fini(&session.heard);
}

static void tells_the_same_however_it_is_cut(void **state)
{
    (void)state;
    struct buf w;
    buf_init(&w, 1 << 16);
    char same[300];
    memset(same, 'y', sizeof(same));
    wire_frame(&w, FIN | WS_OP_TEXT, STR("one"));
    wire_frame(&w, FIN | WS_OP_PING, STR("ping"));
    wire_frame(&w, RSV1 | WS_OP_TEXT, STR("\xf2\x48\xcd"));
    wire_frame(&w, FIN | WS_OP_PONG, STR("pong"));
    wire_frame(&w, FIN | WS_OP_CONTINUATION, STR("\xc9\xc9\x07\x00"));
    wire_frame(&w, FIN | WS_OP_BINARY, (struct str){same, sizeof(same)});
    wire_frame(&w, FIN | WS_OP_CLOSE,
               STR("\x03\xe9"
                   "bye"));
    wire_frame(&w, FIN | WS_OP_TEXT, STR("after"));
    struct cuts c = {NULL, cut_begin, cut_feed, cut_end};
    cuts_check(&c, buf_str(&w), STR_NONE);
    buf_fini(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_the_handshake),
        cmocka_unit_test(answers_what_was_offered),
        cmocka_unit_test(refuses_what_is_no_handshake),
        cmocka_unit_test(carries_messages_both_ways),
        cmocka_unit_test(deflates_what_pays),
        cmocka_unit_test(says_nothing_after_the_queue_is_full),
        cmocka_unit_test(answers_the_peers_goodbye),
        cmocka_unit_test(says_goodbye_and_waits_for_the_answer),
        cmocka_unit_test(waits_no_longer_than_its_timeout),
        cmocka_unit_test(tells_nobody_when_nobody_is_there),
        cmocka_unit_test(cuts_a_long_text_between_characters),
        cmocka_unit_test(can_be_closed_inside_a_message),
        cmocka_unit_test(names_what_was_wrong),
        cmocka_unit_test(pings_and_ends_who_does_not_answer),
        cmocka_unit_test(counts_pongs_only),
        cmocka_unit_test(pings_without_a_deadline),
        cmocka_unit_test(tells_the_same_however_it_is_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
