/*
 * eio_test.c - Engine.IO sessions over real sockets: polling, WebSocket, from one to the other, and
 * every way in which they end.
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

static void echo(struct seat *s, struct str m)
{
    carrier_send(s->carrier, m);
}

static void carries_messages_both_ways(void **state)
{
    (void)state;
    struct poller p;
    world_begin();
    world.on_message = echo;
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
    world.on_message = echo;
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

/* ---- from one to the other ---- */

static void upgrades(void **state)
{
    (void)state;
    struct poller p;
    struct client c;
    char query[128];
    world_begin();
    world_start(1 << 20);
    poller_open(&p);
    poll_begin(&p);
    ws_open(&c, 0, ws_query(&p, query));
    publish_next(0); // the poll is served as before
    assert_int_equal(client_wait(&p.get), 200);
    assert_got(&p.get, "4<1>");
    poll_begin(&p);
    ws_text(&c, "2probe");
    ws_wait(&c);
    assert_got(&c, "3probe");
    assert_int_equal(client_wait(&p.get), 200);
    assert_got(&p.get, "6");
    carrier_send(p.seat->carrier, STR("own"));
    publish_next(0);
    assert_int_equal(poll_now(&p), 200); // nothing comes this way any more
    assert_got(&p.get, "6");
    assert_int_equal(post(&p, STR("4late")), 200);
    ws_text(&c, "5");
    ws_wait(&c);
    assert_got(&c, "4own");
    ws_wait(&c);
    assert_got(&c, "4<2>");
    assert_int_equal(p.seat->moved_count, 1);
    assert_non_null(p.seat->carrier->conn);
    assert_int_equal(poll_now(&p), 400);
    assert_got(&p.get, "\"Invalid transport\"");
    assert_int_equal(post(&p, STR("4no")), 400);
    struct client second;
    ws_open(&second, 0, query);
    ws_wait(&second);
    assert_int_equal(second.status, WS_CLOSE);
    client_close(&second);
    ws_text(&c, "4hello");
    turns(3);
    assert_true(str_eq(buf_str(&p.seat->heard), STR("text:late;text:hello;")));
    client_close(&c);
    poller_close(&p);
    world_end();
}

static void goes_on_polling_when_an_upgrade_fails(void **state)
{
    (void)state;
    static const char *const wrong[] = {"2", "5", "4x", "2probe2", ""};
    struct poller p;
    struct client c;
    char query[128];
    world_begin();
    world_start(1 << 20);
    poller_open(&p);
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        ws_open(&c, 0, ws_query(&p, query));
        ws_text(&c, wrong[i]);
        ws_wait(&c);
        assert_int_equal(c.status, WS_CLOSE);
        client_close(&c);
        turns(3);
    }
    ws_open(&c, 0, query); // and one that goes after its probe
    ws_text(&c, "2probe");
    ws_wait(&c);
    publish_next(0);
    client_close(&c);
    turns(5);
    assert_int_equal(poll_now(&p), 200);
    assert_got(&p.get, "4<1>");
    ws_open(&c, 0, query); // something else than "5"
    ws_text(&c, "2probe");
    ws_wait(&c);
    ws_text(&c, "4x");
    ws_wait(&c);
    assert_int_equal(c.status, WS_CLOSE);
    client_close(&c);
    assert_int_equal(p.seat->heard.len, 0);
    assert_int_equal(p.seat->moved_count, 0);
    upgrade(&c, &p, 0);
    publish_next(0);
    ws_wait(&c);
    assert_got(&c, "4<2>");
    client_close(&c);
    poller_close(&p);
    world_end();
}

/* "4<n>..." of a message, or 0. */
static unsigned number_of(struct str message)
{
    return str_starts(message, STR("4<")) ? (unsigned)strtoul(message.p + 2, NULL, 10) : 0;
}

static void note_numbers(struct str payload, unsigned *seen)
{
    while (payload.n > 0) {
        unsigned n = number_of(str_cut(&payload, 0x1e));
        if (n > 0)
            assert_int_equal(n, ++*seen);
    }
}

/* Something is published between any two steps, in amounts that differ from run to run. */
static void loses_nothing_and_repeats_nothing_over_an_upgrade(void **state)
{
    (void)state;
    for (unsigned run = 0; run < 60; run++) {
        struct poller p;
        struct client c;
        char query[128];
        unsigned seen = 0, seed = run * 2654435761u + 1, step = 0, waiting = 0;
        world_begin();
        world_start(1 << 20);
        poller_open_on(&p, (int)(run & 1), (int)(run >> 1 & 1));
        for (int i = 0; seen < 400 || step < 4; i++) {
            assert_true(i < TURNS_MAX);
            seed = seed * 1103515245u + 12345u;
            for (unsigned k = seed >> 16 & 3; k > 0 && world.published < 400; k--)
                publish_next(run % 3 == 0 ? 3000 : seed >> 20 & 63);
            if (waiting == 0 && step < 3) {
                client_ask(&p.get, "GET", p.query, "", STR_NONE);
                waiting = 1;
            }
            if (client_answered(&p.get)) {
                assert_int_equal(p.get.status, 200);
                note_numbers(buf_str(&p.get.got), &seen);
                waiting = 0;
            }
            if (step == 0 && i > (int)(run % 7) * 5) {
                client_open(&c, (int)(run >> 2 & 1));
                ws_ask(&c, ws_query(&p, query), "");
                step = 1;
            } else if (step == 1 && client_answered(&c)) {
                assert_int_equal(c.status, 101);
                ws_text(&c, "2probe");
                step = 2;
            } else if (step == 2 && ws_heard(&c)) {
                assert_got(&c, "3probe");
                step = 3;
            } else if (step == 3 && waiting == 0) { // as clients do: the last poll first
                ws_text(&c, "5");
                step = 4;
            }
            while (step == 4 && ws_heard(&c))
                note_numbers(buf_str(&c.got), &seen);
            turn();
        }
        assert_int_equal(p.seat->moved_count, 1);
        assert_int_equal(p.seat->overrun_count, 0);
        client_close(&c);
        poller_close(&p);
        world_end();
    }
}

/* ---- other loops ---- */

static void serves_its_session_from_any_loop(void **state)
{
    (void)state;
    struct poller p;
    world_begin();
    world.on_message = echo;
    world_start(1 << 20);
    poller_open_on(&p, 0, 1);
    assert_int_equal(atomic_load(&world.flushers[1].open_count), 1);
    assert_int_equal(post(&p, STR("4one")), 200);
    assert_int_equal(atomic_load(&world.flushers[0].open_count), 2); // it lives over there now
    assert_int_equal(atomic_load(&world.flushers[1].open_count), 0);
    assert_int_equal(post(&p, STR("4two")), 200);
    assert_int_equal(poll_now(&p), 200);
    assert_got(&p.get, "4one\x1e"
                       "4two");
    struct client c;
    client_open(&c, 1);
    client_ask(&c, "GET", p.query, "", STR_NONE);
    client_ask(&c, "OPTIONS", p.query, "", STR_NONE); // came behind it: waits for its turn
    turns(5);
    assert_false(client_answered(&c));
    publish_next(0);
    assert_int_equal(client_wait(&c), 200);
    assert_got(&c, "4<1>");
    assert_int_equal(client_wait(&c), 200);
    assert_got(&c, "OK");
    client_close(&c);
    struct client ws;
    upgrade(&ws, &p, 1);
    publish_next(0);
    ws_wait(&ws);
    assert_got(&ws, "4<2>");
    client_close(&ws);
    poller_close(&p);
    world_end();
}

static void moves_chunked_bodies_and_dead_connections(void **state)
{
    (void)state;
    struct poller p;
    struct client c;
    char request[512];
    world_begin();
    world_start(1 << 20);
    poller_open_on(&p, 0, 1);
    client_open(&c, 1);
    snprintf(request, sizeof(request),
             "POST /e/?%s HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
             "3\r\n4he\r\n3\r\nllo\r\n0\r\n\r\n",
             p.query);
    client_write(&c, str_from(request));
    assert_int_equal(client_wait(&c), 200);
    assert_true(str_eq(buf_str(&p.seat->heard), STR("text:hello;")));
    client_close(&c);
    client_open(&c, 1); // gone before it arrives
    client_ask(&c, "POST", p.query, "", STR("4lost"));
    client_close(&c);
    turns(5);
    client_open(&c, 1); // a poll whose client goes while it waits over there
    client_ask(&c, "GET", p.query, "", STR_NONE);
    turns(5);
    assert_int_equal(p.seat->closed_count, 0);
    client_close(&c);
    turns(5);
    assert_int_equal(p.seat->closed_count, 1);
    assert_int_equal(p.seat->reason, CLOSE_PEER_GONE);
    poller_close(&p);
    world_end();
}

/* The mail is still under way when the servers stop. */
static void survives_an_end_in_the_middle_of_a_move(void **state)
{
    (void)state;
    struct poller p;
    struct client c;
    world_begin();
    world_start(1 << 20);
    poller_open_on(&p, 0, 1);
    client_open(&c, 1);
    client_ask(&c, "GET", "", "", STR_NONE);
    assert_int_equal(client_wait(&c), 400);
    char request[256];
    int n = snprintf(request, sizeof(request), "GET /e/?%s HTTP/1.1\r\nHost: a\r\n\r\n", p.query);
    assert_int_equal(send(c.fd, request, (size_t)n, 0), n);
    loop_turn(world.loops[1], 0);
    assert_int_equal(atomic_load(&world.flushers[1].open_count), 1); // the poster's
    world_end();
    client_close(&c);
    poller_close(&p);
}

/* ---- ends ---- */

static void ends_at_broken_input(void **state)
{
    (void)state;
    static const char *const wrong[] = {"abc", "2", "0", "4a\x1e", "b*", "4\xff"};
    world_begin();
    world_start(1 << 20);
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct poller p;
        poller_open(&p);
        assert_int_equal(post(&p, str_from(wrong[i])), 400);
        assert_got(&p.post, "\"Bad Request\"");
        assert_int_equal(poll_now(&p), 400);
        turns(2);
        assert_int_equal(p.seat->closed_count, 1);
        assert_int_equal(p.seat->reason, CLOSE_BAD_REQUEST);
        assert_int_equal(p.seat->heard.len, 0);
        poller_close(&p);
        if (wrong[i][0] == 'b' || wrong[i][1] == '\xff' || strchr(wrong[i], 0x1e) != NULL)
            continue; // of payloads only, or a WebSocket's own error
        struct client c;
        ws_open(&c, 0, "EIO=4&transport=websocket");
        ws_wait(&c);
        ws_text(&c, wrong[i]);
        ws_wait(&c);
        assert_int_equal(c.status, WS_CLOSE);
        client_close(&c);
        turns(3);
        assert_int_equal(world.seats[world.seat_count - 1].closed_count, 1);
    }
    world_end();
}

static void refuses_what_is_over_max_payload(void **state)
{
    (void)state;
    struct poller p;
    char *big = malloc(1001);
    memset(big, 'x', 1001);
    big[0] = '4';
    world_begin();
    world.options.payload_max_bytes = 1000;
    world_start(1 << 20);
    poller_open(&p);
    assert_int_equal(post(&p, (struct str){big, 1000}), 200);
    assert_int_equal(post(&p, (struct str){big, 1001}), 400);
    turns(2);
    assert_int_equal(p.seat->reason, CLOSE_TOO_BIG);
    poller_close(&p);
    struct client c;
    ws_open(&c, 0, "EIO=4&transport=websocket");
    ws_wait(&c);
    ws_say(&c, WS_FIN | WS_OP_TEXT, (struct str){big, 1001});
    ws_wait(&c);
    assert_int_equal(c.status, WS_CLOSE);
    assert_memory_equal(c.got.p, "\x03\xf1", 2); // 1009
    client_close(&c);
    free(big);
    world_end();
}

static void ends_when_two_polls_meet(void **state)
{
    (void)state;
    struct poller p;
    world_begin();
    world_start(1 << 20);
    poller_open(&p);
    poll_begin(&p);
    assert_int_equal(ask(&p.post, "GET", p.query, STR_NONE), 400);
    assert_int_equal(client_wait(&p.get), 200);
    assert_got(&p.get, "1");
    assert_int_equal(poll_now(&p), 400);
    assert_int_equal(p.seat->closed_count, 1);
    poller_close(&p);
    world_end();
}

static void takes_a_clients_goodbye(void **state)
{
    (void)state;
    struct poller p;
    world_begin();
    world_start(1 << 20);
    poller_open(&p);
    poll_begin(&p);
    assert_int_equal(post(&p, STR("4last\x1e"
                                  "1\x1e"
                                  "4never")),
                     200);
    assert_int_equal(client_wait(&p.get), 200);
    assert_got(&p.get, "6");
    assert_int_equal(poll_now(&p), 400);
    assert_int_equal(p.seat->reason, CLOSE_PEER_ASKED);
    assert_true(str_eq(buf_str(&p.seat->heard), STR("text:last;")));
    poller_close(&p);
    poller_open(&p);
    assert_int_equal(post(&p, STR("1")), 200);
    assert_int_equal(poll_now(&p), 200); // it was under way when the goodbye was said
    assert_got(&p.get, "6");
    assert_int_equal(poll_now(&p), 400);
    poller_close(&p);
    poller_open(&p);
    assert_int_equal(post(&p, STR("1")), 200);
    for (int i = 0; p.seat->closed_count == 0; i++) { // nobody asks any more
        assert_true(i < 100);
        loop_turn(world.loops[0], 100);
    }
    poller_close(&p);
    struct client c;
    ws_open(&c, 0, "EIO=4&transport=websocket");
    ws_wait(&c);
    ws_text(&c, "1");
    ws_wait(&c);
    assert_int_equal(c.status, WS_CLOSE);
    client_close(&c);
    turns(3);
    assert_int_equal(world.seats[world.seat_count - 1].reason, CLOSE_PEER_ASKED);
    world_end();
}

static void says_goodbye(void **state)
{
    (void)state;
    struct poller p;
    world_begin();
    world.options.ws.close_timeout_ms = 100;
    world_start(1 << 20);
    poller_open(&p);
    poll_begin(&p);
    carrier_send(p.seat->carrier, STR("bye"));
    carrier_close(p.seat->carrier, CLOSE_SHUTDOWN);
    carrier_close(p.seat->carrier, CLOSE_SLOW); // it has been said already
    assert_int_equal(p.seat->closed_count, 0);  // never from inside
    assert_int_equal(client_wait(&p.get), 200);
    assert_got(&p.get, "4bye\x1e"
                       "1");
    assert_int_equal(p.seat->reason, CLOSE_SHUTDOWN);
    poller_close(&p);
    poller_open(&p); // between two polls
    carrier_send(p.seat->carrier, STR("bye"));
    carrier_close(p.seat->carrier, CLOSE_SHUTDOWN);
    publish_next(0);
    assert_int_equal(post(&p, STR("4unheard")), 200);
    assert_int_equal(poll_now(&p), 200);
    assert_got(&p.get, "4bye\x1e"
                       "1");
    assert_int_equal(p.seat->closed_count, 1);
    assert_int_equal(p.seat->heard.len, 0);
    assert_int_equal(poll_now(&p), 400);
    poller_close(&p);
    poller_open(&p); // and who does not come back
    carrier_close(p.seat->carrier, CLOSE_SHUTDOWN);
    for (int i = 0; p.seat->closed_count == 0; i++) {
        assert_true(i < 100);
        loop_turn(world.loops[0], 100);
    }
    assert_int_equal(poll_now(&p), 400);
    poller_close(&p);
    struct client c;
    ws_open(&c, 0, "EIO=4&transport=websocket");
    ws_wait(&c);
    carrier_close_with(world.seats[3].carrier, CLOSE_SHUTDOWN, 1000, STR("so long"));
    ws_wait(&c);
    assert_got(&c, "1");
    ws_wait(&c);
    assert_got(&c, "\x03\xe8so long");
    ws_say(&c, WS_FIN | WS_OP_CLOSE, STR("\x03\xe8"));
    turns(3);
    client_close(&c);
    turns(3);
    assert_int_equal(world.seats[3].reason, CLOSE_SHUTDOWN);
    world_end();
}

static void close_inside(struct seat *s)
{
    carrier_send(s->carrier, STR("no"));
    carrier_close(s->carrier, CLOSE_FULL);
}

static void flood_inside(struct seat *s)
{
    static const char much[4096];
    for (int i = 0; i < 300; i++)
        carrier_send(s->carrier, (struct str){much, sizeof(much)});
}

static void can_be_closed_while_it_opens(void **state)
{
    (void)state;
    struct client c;
    world_begin();
    world.on_open = close_inside;
    world_start(1 << 20);
    client_open(&c, 0);
    assert_int_equal(ask(&c, "GET", "EIO=4&transport=polling", STR_NONE), 200);
    struct str text = buf_str(&c.got);
    assert_int_equal(str_cut(&text, 0x1e).p[0], '0');
    assert_true(str_eq(text, STR("4no\x1e"
                                 "1")));
    ws_ask(&c, "EIO=4&transport=websocket", "");
    assert_int_equal(client_wait(&c), 503);
    world.on_open = flood_inside;
    ws_ask(&c, "EIO=4&transport=websocket", "");
    assert_int_equal(client_wait(&c), 503);
    assert_int_equal(ask(&c, "GET", "EIO=4&transport=polling", STR_NONE), 503);
    turns(2);
    assert_int_equal(world.seats[3].reason, CLOSE_SLOW);
    client_close(&c);
    world_end();
}

static void bounds_what_waits(void **state)
{
    (void)state;
    struct poller p;
    world_begin();
    world.options.out_max_bytes = 10000;
    world_start(1 << 20);
    poller_open(&p);
    for (int i = 0; i < 9; i++)
        carrier_send(p.seat->carrier, STR("x"));
    for (int i = 0; i < 20 && p.seat->closed_count == 0; i++) {
        static const char much[1000];
        carrier_send(p.seat->carrier, (struct str){much, sizeof(much)});
    }
    turns(2);
    assert_int_equal(p.seat->reason, CLOSE_SLOW);
    assert_int_equal(poll_now(&p), 400);
    poller_close(&p);
    world_end();
}

static void pings(void **state)
{
    (void)state;
    struct poller p;
    struct client c;
    world_begin();
    world.options.ping_interval_ms = 50;
    world.options.ping_timeout_ms = 60000;
    world_start(1 << 20);
    poller_open(&p);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(poll_now(&p), 200);
        assert_got(&p.get, "2");
        assert_int_equal(post(&p, STR("3")), 200);
    }
    ws_open(&c, 0, "EIO=4&transport=websocket");
    ws_wait(&c);
    for (int i = 0; i < 3; i++) {
        ws_wait(&c);
        assert_got(&c, "2");
        ws_text(&c, "3");
    }
    client_close(&c);
    poller_close(&p);
    world_end();
}

static void ends_who_does_not_answer_pings(void **state)
{
    (void)state;
    struct poller p;
    struct client c;
    world_begin();
    world.options.ping_interval_ms = 50;
    world.options.ping_timeout_ms = 50;
    world_start(1 << 20);
    poller_open(&p);
    assert_int_equal(poll_now(&p), 200);
    assert_got(&p.get, "2");
    assert_int_equal(poll_now(&p), 200);
    assert_got(&p.get, "1");
    turns(2);
    assert_int_equal(p.seat->reason, CLOSE_NO_PONG);
    poller_close(&p);
    poller_open(&p); // one that asks for nothing
    for (int i = 0; p.seat->closed_count == 0; i++) {
        assert_true(i < 100);
        loop_turn(world.loops[0], 100);
    }
    assert_int_equal(p.seat->reason, CLOSE_NO_PONG);
    assert_int_equal(poll_now(&p), 400);
    poller_close(&p);
    ws_open(&c, 0, "EIO=4&transport=websocket");
    ws_wait(&c);
    ws_wait(&c);
    assert_got(&c, "2");
    ws_wait(&c);
    assert_got(&c, "1");
    ws_wait(&c);
    assert_int_equal(c.status, WS_CLOSE);
    client_close(&c);
    world_end();
}

static void ends_with_its_poll(void **state)
{
    (void)state;
    struct poller p;
    world_begin();
    world_start(1 << 20);
    poller_open(&p);
    poll_begin(&p);
    close(p.get.fd);
    p.get.fd = -1;
    turns(4);
    assert_int_equal(p.seat->closed_count, 1);
    assert_int_equal(p.seat->reason, CLOSE_PEER_GONE);
    poller_close(&p);
    poller_open(&p); // between two polls nothing is lost with a connection
    client_close(&p.get);
    turns(4);
    assert_int_equal(p.seat->closed_count, 0);
    client_open(&p.get, 0);
    carrier_send(p.seat->carrier, STR("x"));
    assert_int_equal(poll_now(&p), 200);
    assert_got(&p.get, "4x");
    poller_close(&p);
    world_end();
}

static void ends_with_its_loop(void **state)
{
    (void)state;
    struct poller polling, leaving, probing;
    struct client c, ws, probe;
    char query[128];
    world_begin();
    world_start(1 << 20);
    poller_open(&polling);
    poll_begin(&polling);
    poller_open(&leaving);
    carrier_close(leaving.seat->carrier, CLOSE_SHUTDOWN);
    poller_open(&probing);
    ws_open(&probe, 0, ws_query(&probing, query));
    ws_text(&probe, "2probe");
    ws_open(&ws, 0, "EIO=4&transport=websocket");
    client_open(&c, 0);
    world_end(); // sees that each was closed once
    client_close(&c);
    client_close(&ws);
    client_close(&probe);
    poller_close(&polling);
    poller_close(&leaving);
    poller_close(&probing);
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
        cmocka_unit_test(upgrades),
        cmocka_unit_test(goes_on_polling_when_an_upgrade_fails),
        cmocka_unit_test(loses_nothing_and_repeats_nothing_over_an_upgrade),
        cmocka_unit_test(serves_its_session_from_any_loop),
        cmocka_unit_test(moves_chunked_bodies_and_dead_connections),
        cmocka_unit_test(survives_an_end_in_the_middle_of_a_move),
        cmocka_unit_test(ends_at_broken_input),
        cmocka_unit_test(refuses_what_is_over_max_payload),
        cmocka_unit_test(ends_when_two_polls_meet),
        cmocka_unit_test(takes_a_clients_goodbye),
        cmocka_unit_test(says_goodbye),
        cmocka_unit_test(can_be_closed_while_it_opens),
        cmocka_unit_test(bounds_what_waits),
        cmocka_unit_test(pings),
        cmocka_unit_test(ends_who_does_not_answer_pings),
        cmocka_unit_test(ends_with_its_poll),
        cmocka_unit_test(ends_with_its_loop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
