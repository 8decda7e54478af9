/*
 * eio_test.c - Engine.IO sessions over real sockets: how they begin, and what they carry.
 */
#include "eio_world.h"

/* ---- requests ---- */

static void opens_a_session(void **state)
{
    (void)state;
    struct client c;
    world_begin();
    world_start(1 << 20);
    client_open(&c, 0);
    client_ask(&c, "GET", "EIO=4&transport=polling&t=abc", "Origin: https://x.example\r\n",
               STR_NONE);
    assert_int_equal(client_wait(&c), 200);
    struct str sid = eio_session_id(world.seats[0].carrier);
    char want[256];
    snprintf(want, sizeof(want),
             "0{\"sid\":\"%.*s\",\"upgrades\":[\"websocket\"],\"pingTimeout\":20000,"
             "\"pingInterval\":25000,\"maxPayload\":1000000}",
             STR_FMT(sid));
    assert_got(&c, want);
    assert_true(head_has(&c, "Content-Type: text/plain; charset=UTF-8\r\n"));
    assert_true(head_has(&c, "Access-Control-Allow-Origin: https://x.example\r\n"));
    assert_true(head_has(&c, "Access-Control-Allow-Credentials: true\r\n"));
    client_close(&c);
    ws_open(&c, 0, "EIO=4&transport=websocket");
    ws_wait(&c);
    sid = eio_session_id(world.seats[1].carrier);
    snprintf(want, sizeof(want),
             "0{\"sid\":\"%.*s\",\"upgrades\":[],\"pingTimeout\":20000,\"pingInterval\":25000,"
             "\"maxPayload\":1000000}",
             STR_FMT(sid));
    assert_got(&c, want);
    client_close(&c);
    world_end();
}

static void refuses_as_the_reference_servers_do(void **state)
{
    (void)state;
    static const char version[] = "\"The client is using an unsupported version of the Socket.IO "
                                  "or Engine.IO protocols\"";
    static const struct {
        const char *method, *query;
        unsigned status;
        const char *body;
    } rows[] = {
        {"GET", "transport=polling", 400, version},
        {"GET", "EIO=3&transport=polling", 400, version},
        {"GET", "EIO=abc&transport=polling", 400, version},
        {"GET", "EIO=44&transport=polling", 400, version},
        {"GET", "EIO=4", 400, "\"Invalid transport\""},
        {"GET", "EIO=4&transport=abc", 400, "\"Invalid transport\""},
        {"GET", "EIO=4&transport=websocketwebsocketwebsocket", 400, "\"Invalid transport\""},
        {"GET", "EIO=4&transport=websocket", 400, "\"Invalid websocket upgrade\""},
        {"GET", "EIO=4&transport=polling&sid=x", 400, "\"Invalid session x\""},
        {"GET", "EIO=4&transport=polling&sid=%22%0a", 400, "\"Invalid session \\\"\\n\""},
        {"GET", "EIO=4&transport=polling&sid=AAaaaaaaaaaaaaaaaaaaaa", 400,
         "\"Invalid session AAaaaaaaaaaaaaaaaaaaaa\""},
        {"GET", "EIO=4&transport=polling&sid=ABaaaaaaaaaaaaaaaaaaaa", 400, // of the other loop
         "\"Invalid session ABaaaaaaaaaaaaaaaaaaaa\""},
        {"GET", "EIO=4&transport=polling&sid=__aaaaaaaaaaaaaaaaaaaa", 400,
         "\"Invalid session __aaaaaaaaaaaaaaaaaaaa\""},
        {"GET", "EIO=4&transport=polling&j=0", 400, "\"Bad Request\""},
        {"POST", "EIO=4&transport=polling", 400, "\"Invalid session None\""},
        {"POST", "EIO=4&transport=polling&sid=x", 400, "\"Invalid session x\""},
        {"PUT", "EIO=4&transport=polling", 400, "\"Bad Request\""},
        {"PUT", "EIO=4&transport=polling&sid=x", 405, "Method Not Found"},
        {"DELETE", "EIO=4&transport=polling&sid=x", 405, "Method Not Found"},
        {"OPTIONS", "EIO=4&transport=polling&sid=x", 200, "OK"},
    };
    struct client c;
    world_begin();
    world_start(1 << 20);
    client_open(&c, 0); // and all of them on one connection
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        unsigned status =
            ask(&c, rows[i].method, rows[i].query, rows[i].method[0] == 'P' ? STR("4x") : STR_NONE);
        if (status != rows[i].status || !got(&c, rows[i].body))
            fail_msg("row %zu: %u %.*s", i, status, STR_FMT(buf_str(&c.got)));
        assert_true(head_has(&c, "Content-Type: text/plain\r\n"));
    }
    client_close(&c);
    assert_int_equal(world.seat_count, 0);
    world_end();
}

static void refuses_websockets_without_words(void **state)
{
    (void)state;
    static const char *const queries[] = {"transport=websocket",
                                          "EIO=3&transport=websocket",
                                          "EIO=4",
                                          "EIO=4&transport=abc",
                                          "EIO=4&transport=polling",
                                          "EIO=4&transport=websocket&sid=AAaaaaaaaaaaaaaaaaaaaa",
                                          "EIO=4&transport=websocket&sid=ABaaaaaaaaaaaaaaaaaaaa",
                                          "EIO=4&transport=websocket&sid="};
    world_begin();
    world_start(1 << 20);
    for (size_t i = 0; i < sizeof(queries) / sizeof(queries[0]); i++) {
        struct client c;
        client_open(&c, 0);
        ws_ask(&c, queries[i], "");
        assert_int_equal(client_wait(&c), 403);
        assert_int_equal(c.got.len, 0);
        client_close(&c);
    }
    world.refuses = true;
    struct client c;
    client_open(&c, 0);
    ws_ask(&c, "EIO=4&transport=websocket", "");
    assert_int_equal(client_wait(&c), 503);
    assert_int_equal(ask(&c, "GET", "EIO=4&transport=polling", STR_NONE), 503);
    assert_got(&c, "\"Service Unavailable\"");
    client_close(&c);
    world_end();
}

static void answers_preflights(void **state)
{
    (void)state;
    struct client c;
    world_begin();
    world_start(1 << 20);
    client_open(&c, 0);
    client_ask(&c, "OPTIONS", "EIO=4&transport=polling",
               "Origin: https://a.example\r\nAccess-Control-Request-Method: POST\r\n"
               "Access-Control-Request-Headers: x-one, x-two\r\n",
               STR_NONE);
    assert_int_equal(client_wait(&c), 200);
    assert_got(&c, "OK");
    assert_true(head_has(&c, "Access-Control-Allow-Methods: OPTIONS, GET, POST\r\n"));
    assert_true(head_has(&c, "Access-Control-Allow-Headers: x-one, x-two\r\n"));
    assert_true(head_has(&c, "Access-Control-Allow-Origin: https://a.example\r\n"));
    client_close(&c);
    world_end();
}

/* ---- messages ---- */

static void carries_messages_both_ways(void **state)
{
    (void)state;
    struct poller p;
    world_begin();
    world.on_message = seat_echo;
    world_start(1 << 20);
    poller_open(&p);
    assert_int_equal(post(&p, STR("4hello")), 200);
    assert_got(&p.post, "ok");
    assert_int_equal(poll_now(&p), 200);
    assert_got(&p.get, "4hello");
    assert_int_equal(post(&p, STR("4a\x1e"
                                  "4b\x1e"
                                  "3\x1e"
                                  "bAQIDBA==")),
                     200);
    assert_int_equal(poll_now(&p), 200);
    assert_got(&p.get, "4a\x1e"
                       "4b\x1e"
                       "4\1\2\3\4");
    p.seat->carrier->ops->send(p.seat->carrier, STR("\1\2\3\4"), true);
    assert_int_equal(poll_now(&p), 200);
    assert_got(&p.get, "bAQIDBA==");
    assert_true(str_eq(buf_str(&p.seat->heard), STR("text:hello;text:a;text:b;binary:\1\2\3\4;")));
    assert_int_equal(post(&p, STR("")), 200);
    poller_close(&p);
    world_end();
}

static void answers_a_waiting_poll(void **state)
{
    (void)state;
    struct poller p;
    world_begin();
    world_start(1 << 20);
    poller_open(&p);
    poll_begin(&p);
    carrier_send(p.seat->carrier, STR("own"));
    publish_next(0);
    publish(STR("\xff\0"), true);
    publish_next(0);
    assert_int_equal(client_wait(&p.get), 200);
    assert_got(&p.get, "4own\x1e"
                       "4<1>\x1e"
                       "b/wA=\x1e"
                       "4<2>");
    poll_begin(&p);
    publish_next(0);
    assert_int_equal(client_wait(&p.get), 200);
    assert_got(&p.get, "4<3>");
    poller_close(&p);
    world_end();
}

static void compresses_long_answers(void **state)
{
    (void)state;
    struct poller p;
    world_begin();
    world_start(1 << 20);
    poller_open(&p);
    publish_next(1020); // 1024 with the rest of it
    client_ask(&p.get, "GET", p.query, "Accept-Encoding: gzip, deflate\r\n", STR_NONE);
    assert_int_equal(client_wait(&p.get), 200);
    assert_int_equal(p.get.got.len, 1024);
    publish_next(1021);
    client_ask(&p.get, "GET", p.query, "Accept-Encoding: gzip, deflate\r\n", STR_NONE);
    assert_int_equal(client_wait(&p.get), 200);
    assert_true(head_has(&p.get, "Content-Encoding: gzip\r\n") && p.get.got.len < 100);
    publish_next(5000);
    assert_int_equal(poll_now(&p), 200);
    assert_int_equal(p.get.got.len, 5004);
    client_ask(&p.get, "GET", p.query, // and one that was asked for long before
               "X-Much: aaaa\r\nOrigin: https://a.example\r\nAccept-Encoding: deflate\r\n",
               STR_NONE);
    turns(5);
    publish_next(5000);
    assert_int_equal(client_wait(&p.get), 200);
    assert_true(head_has(&p.get, "Content-Encoding: deflate\r\n") && p.get.got.len < 100);
    assert_true(head_has(&p.get, "Access-Control-Allow-Origin: https://a.example\r\n"));
    poller_close(&p);
    world_end();
}

/* An answer ends somewhere, and the next goes on there. */
static void cuts_a_long_backlog(void **state)
{
    (void)state;
    struct poller p;
    world_begin();
    world_start(64 << 20);
    poller_open(&p);
    for (int i = 0; i < 500; i++)
        publish_next(2000);
    unsigned seen = 0, answers = 0;
    while (seen < world.published) {
        assert_int_equal(poll_now(&p), 200);
        assert_true(p.get.got.len < 256 * 1024);
        struct str rest = buf_str(&p.get.got);
        while (rest.n > 0)
            assert_int_equal(strtoul(str_cut(&rest, 0x1e).p + 2, NULL, 10), ++seen);
        answers++;
    }
    assert_true(answers > 4);
    poller_close(&p);
    world_end();
}

static void resynchronises_who_was_away(void **state)
{
    (void)state;
    struct poller p;
    world_begin();
    world_start(16 << 10);
    poller_open(&p);
    for (int i = 0; i < 200; i++) {
        publish_next(1000);
        turn();
    }
    assert_int_equal(p.seat->overrun_count, 1);
    carrier_send(p.seat->carrier, STR("own"));
    assert_int_equal(poll_now(&p), 200);
    assert_got(&p.get, "4own"); // first what waits, then what was missed
    assert_int_equal(poll_now(&p), 200);
    assert_got(&p.get, "4resync");
    publish_next(0);
    assert_int_equal(poll_now(&p), 200);
    assert_got(&p.get, "4<201>");
    poller_close(&p);
    world_end();
}

static void speaks_on_a_websocket_from_the_beginning(void **state)
{
    (void)state;
    struct client c;
    world_begin();
    world.on_message = seat_echo;
    world_start(1 << 20);
    ws_open(&c, 1, "EIO=4&transport=websocket");
    ws_wait(&c);
    struct seat *s = &world.seats[0];
    assert_true(eio_is_websocket(s->carrier));
    ws_text(&c, "4hello");
    ws_wait(&c);
    assert_got(&c, "4hello");
    ws_say(&c, WS_FIN | WS_OP_BINARY, STR("\1\2"));
    ws_wait(&c);
    assert_got(&c, "4\1\2");
    publish_next(0);
    ws_wait(&c);
    assert_got(&c, "4<1>");
    ws_text(&c, "6"); // nothing comes of these
    ws_text(&c, "5");
    ws_text(&c, "3");
    ws_text(&c, "4still");
    ws_wait(&c);
    assert_got(&c, "4still");
    assert_int_equal(s->moved_count, 0);
    client_close(&c);
    turns(4);
    assert_int_equal(s->closed_count, 1);
    world_end();
}

static void keeps_deflate_where_a_session_began_with_it(void **state)
{
    (void)state;
    struct client c;
    world_begin();
    world_start(1 << 20);
    client_open(&c, 0);
    ws_ask(&c, "EIO=4&transport=websocket",
           "Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=10\r\n");
    assert_int_equal(client_wait(&c), 101);
    ws_wait(&c);
    assert_ptr_equal(world.seats[0].carrier->framing, ws_framing_deflate(10));
    client_close(&c);
    struct poller p;
    poller_open(&p);
    assert_ptr_equal(p.seat->carrier->framing, &ws_framing_text);
    poller_close(&p);
    world_end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(opens_a_session),
        cmocka_unit_test(refuses_as_the_reference_servers_do),
        cmocka_unit_test(refuses_websockets_without_words),
        cmocka_unit_test(answers_preflights),
        cmocka_unit_test(carries_messages_both_ways),
        cmocka_unit_test(answers_a_waiting_poll),
        cmocka_unit_test(compresses_long_answers),
        cmocka_unit_test(cuts_a_long_backlog),
        cmocka_unit_test(resynchronises_who_was_away),
        cmocka_unit_test(speaks_on_a_websocket_from_the_beginning),
        cmocka_unit_test(keeps_deflate_where_a_session_began_with_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
