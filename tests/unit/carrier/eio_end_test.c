/*
 * eio_end_test.c - every way in which an Engine.IO session ends.
 */
#include "eio_world.h"

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

static void lets_a_long_one_wait_alone(void **state)
{
    (void)state;
    static const char long_one[50000];
    struct poller p;
    world_begin();
    world.options.out_max_bytes = 10000;
    world_start(1 << 20);
    poller_open(&p);
    carrier_send(p.seat->carrier, (struct str){long_one, sizeof(long_one)});
    assert_int_equal(p.seat->closed_count, 0);
    carrier_send(p.seat->carrier, STR("x"));
    turns(2);
    assert_int_equal(p.seat->reason, CLOSE_SLOW);
    poller_close(&p);
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
        cmocka_unit_test(ends_at_broken_input),
        cmocka_unit_test(refuses_what_is_over_max_payload),
        cmocka_unit_test(ends_when_two_polls_meet),
        cmocka_unit_test(takes_a_clients_goodbye),
        cmocka_unit_test(says_goodbye),
        cmocka_unit_test(can_be_closed_while_it_opens),
        cmocka_unit_test(lets_a_long_one_wait_alone),
        cmocka_unit_test(bounds_what_waits),
        cmocka_unit_test(pings),
        cmocka_unit_test(ends_who_does_not_answer_pings),
        cmocka_unit_test(ends_with_its_poll),
        cmocka_unit_test(ends_with_its_loop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
