/*
 * client_test.c - what the client asks, and what it makes of every kind of answer.
 */
#include "client_world.h"

static void test_answers(void **state)
{
    struct world *w = *state;
    struct asked a;
    ask(w, &a, "/ok");
    assert_int_equal(a.status, 200);
    assert_string_equal(a.why, "");
    assert_string_equal(a.body, "hello");
    assert_string_equal(a.type, "text/plain");
    ask(w, &a, "/500");
    assert_int_equal(a.status, 500);
    assert_string_equal(a.body, "sick");
    ask(w, &a, "/chunked");
    assert_string_equal(a.body, "onetwo");
    ask(w, &a, "/redirect");
    assert_int_equal(a.status, 302);
    ask(w, &a, "/close");
    assert_string_equal(a.body, "by");
    assert_int_equal(under_way(w), 0);
}

/* Their connections stay open: whoever waited for more would wait for ever. */
static void test_heads_that_are_all_of_an_answer(void **state)
{
    struct world *w = *state;
    struct asked moved = {0}, switched = {0}, early = {0}, after = {0};
    ask(w, &moved, "/moved");
    assert_int_equal(moved.status, 302);
    assert_string_equal(moved.why, "");
    assert_string_equal(moved.body, "");
    ask(w, &switched, "/switch");
    assert_int_equal(switched.status, 101);
    assert_string_equal(switched.why, "");
    ask(w, &early, "/early"); // what is said in between is none
    assert_int_equal(early.status, 200);
    assert_string_equal(early.body, "late");
    ask(w, &after, "/ok");
    assert_string_equal(after.body, "hello");
}

static void test_posts_what_it_is_given(void **state)
{
    struct world *w = *state;
    struct asked a = {0};
    char at[128], body[] = "{\"a\":1}";
    const struct http_header headers[] = {{STR("Content-Type"), STR("application/json")},
                                          {STR("X-Nothing"), STR_NONE}};
    struct http_call_params p = params_of(&a, url_of(w, "/echo", at, sizeof(at)));
    p.method = HTTP_POST;
    p.headers = headers;
    p.header_count = 2;
    p.body = STR(body);
    assert_non_null(http_call_start(w->client, &p));
    memset(at, 'x', sizeof(at) - 1); // it has been copied
    memset(body, 'x', sizeof(body) - 1);
    turn_until(w, &a.done, 1);
    assert_string_equal(a.body, "{\"a\":1}");
    a = (struct asked){0};
    p.url = url_of(w, "/head", at, sizeof(at));
    assert_non_null(http_call_start(w->client, &p));
    turn_until(w, &a.done, 1);
    assert_non_null(strstr(a.body, "POST /head HTTP/1.1\r\n"));
    assert_non_null(strstr(a.body, "\r\nUser-Agent: test/1\r\n"));
    assert_non_null(strstr(a.body, "\r\nContent-Type: application/json\r\n"));
    assert_non_null(strstr(a.body, "\r\nX-Nothing:"));
    assert_null(strstr(a.body, "Expect"));
}

static void test_refuses_what_is_no_request(void **state)
{
    struct world *w = *state;
    static const char *const urls[] = {
        "",           "ftp://127.0.0.1/", "file:///etc/passwd", "http://",
        "127.0.0.1/", "http://a b/",      "http://h/\r\nX: y"};
    struct asked a = {0};
    for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
        struct http_call_params p = params_of(&a, str_from(urls[i]));
        assert_null(http_call_start(w->client, &p));
    }
    char at[128];
    const struct http_header split = {STR("X-A"), STR("b\r\nX-C: d")};
    struct http_call_params p = params_of(&a, url_of(w, "/ok", at, sizeof(at)));
    p.headers = &split;
    p.header_count = 1;
    assert_null(http_call_start(w->client, &p));
    p.header_count = 0;
    p.method = HTTP_PUT;
    assert_null(http_call_start(w->client, &p));
    assert_int_equal(under_way(w), 0);
}

static void test_failures(void **state)
{
    struct world *w = *state;
    struct asked a;
    unsigned port;
    ask(w, &a, "/cut");
    assert_failed(&a, "the answer was cut off");
    ask(w, &a, "/big");
    assert_failed(&a, "the answer is too long");
    ask(w, &a, "/garbage");
    assert_int_equal(a.status, 0);
    ask(w, &a, "/hangup");
    assert_int_equal(a.status, 0);
    close(listen_somewhere(&port)); // nobody is there any more
    char at[64];
    snprintf(at, sizeof(at), "http://127.0.0.1:%u/", port);
    a = (struct asked){.world = w};
    struct http_call_params p = params_of(&a, str_from(at));
    assert_non_null(http_call_start(w->client, &p));
    turn_until(w, &a.done, 1);
    assert_int_equal(a.status, 0);
    assert_string_not_equal(a.why, "");
}

static void test_timeouts(void **state)
{
    struct world *w = *state;
    struct asked a[3] = {0};
    char at[128];
    struct http_call_params p = params_of(&a[0], url_of(w, "/never", at, sizeof(at)));
    p.timeout_ms = 40;
    assert_non_null(http_call_start(w->client, &p));
    p = params_of(&a[1], url_of(w, "/never", at, sizeof(at)));
    p.timeout_ms = 0;
    p.idle_timeout_ms = 40;
    assert_non_null(http_call_start(w->client, &p));
    p = params_of(&a[2], url_of(w, "/start", at, sizeof(at)));
    p.idle_timeout_ms = 60;
    p.piece = on_piece;
    assert_non_null(http_call_start(w->client, &p));
    for (int i = 0; i < 3; i++) {
        turn_until(w, &a[i].done, 1);
        assert_int_equal(a[i].status, 0);
        assert_string_equal(a[i].why, "no answer in time");
    }
    assert_string_equal(a[2].body, "");
    assert_int_equal(under_way(w), 0);
}

static void test_pieces(void **state)
{
    struct world *w = *state;
    struct asked a = {0};
    start(w, &a, "/chunked", true);
    turn_until(w, &a.done, 1);
    assert_int_equal(a.status, 200);
    assert_int_equal(a.piece_status, 200);
    assert_true(a.pieces >= 1);
    a = (struct asked){0};
    start(w, &a, "/big", true); // no limit holds for what is not kept
    turn_until(w, &a.done, 1);
    assert_int_equal(a.status, 200);
    assert_true(a.pieces > BIG / (64 << 10));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_answers, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_heads_that_are_all_of_an_answer, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_posts_what_it_is_given, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_refuses_what_is_no_request, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_failures, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_timeouts, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_pieces, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
