/*
 * eio_upgrade_test.c - Engine.IO sessions that go from polling to WebSocket, and those that
 * requests on other loops find.
 */
#include "eio_world.h"

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
    world.on_message = seat_echo;
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(upgrades),
        cmocka_unit_test(goes_on_polling_when_an_upgrade_fails),
        cmocka_unit_test(loses_nothing_and_repeats_nothing_over_an_upgrade),
        cmocka_unit_test(serves_its_session_from_any_loop),
        cmocka_unit_test(moves_chunked_bodies_and_dead_connections),
        cmocka_unit_test(survives_an_end_in_the_middle_of_a_move),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
