/*
 * client_calls_test.c - calls that are cancelled, meddled with in callbacks, and very many at once.
 */
#include "client_world.h"

static void test_cancels_at_any_time(void **state)
{
    struct world *w = *state;
    struct asked a = {0};
    unsigned asked = atomic_load(&w->site.asked);
    start(w, &a, "/ok", false); // before anything has happened
    http_call_cancel(&a.call);
    assert_null(a.call);
    http_call_cancel(&a.call);
    start(w, &a, "/never", false); // while it waits
    wait_for_requests(w, asked + 1);
    http_call_cancel(&a.call);
    start(w, &a, "/start", true); // in the middle of the answer
    turn_until(w, &a.pieces, 1);
    http_call_cancel(&a.call);
    a.pieces = 0;
    a.cancel_at_piece = true; // inside its own callback
    start(w, &a, "/chunked", true);
    turn_until(w, &a.pieces, 1);
    for (int i = 0; i < 20; i++)
        loop_turn(w->loop, 1);
    assert_int_equal(a.done, 0);
    assert_int_equal(a.pieces, 1);
    assert_int_equal(under_way(w), 0);
}

static void test_meddles_from_callbacks(void **state)
{
    struct world *w = *state;
    for (int pieces = 0; pieces < 2; pieces++) {
        struct asked victim = {0}, next = {0};
        struct asked a = {.victim = &victim, .next = &next, .next_path = "/ok"};
        start(w, &victim, "/never", false);
        start(w, &a, "/chunked", pieces > 0);
        turn_until(w, &a.done, 1);
        turn_until(w, &next.done, 1);
        assert_int_equal(next.status, 200);
        assert_int_equal(victim.done, 0);
        assert_null(victim.call);
        assert_int_equal(under_way(w), 0);
    }
}

static void test_many_in_turn_on_one_connection(void **state)
{
    struct world *w = *state;
    struct asked a;
    for (int i = 0; i < SEQUENTIAL; i++) {
        ask(w, &a, "/ok");
        assert_int_equal(a.status, 200);
    }
    assert_int_equal(atomic_load(&w->site.accepted), 1);
}

static void test_many_at_once(void **state)
{
    struct world *w = *state;
    static const char *const paths[] = {"/ok", "/500", "/cut", "/chunked", "/close"};
    struct asked *all = calloc(PARALLEL, sizeof(*all));
    assert_non_null(all);
    for (int i = 0; i < PARALLEL; i++)
        start(w, &all[i], paths[i % 5], false);
    for (int i = 0; i < PARALLEL; i++)
        turn_until(w, &all[i].done, 1);
    for (int i = 0; i < PARALLEL; i++) {
        static const unsigned statuses[] = {200, 500, 0, 200, 200};
        assert_int_equal(all[i].done, 1);
        assert_int_equal(all[i].status, statuses[i % 5]);
    }
    assert_int_equal(under_way(w), 0);
    free(all);
}

/* The lowest number that is free: rises by one with each descriptor that is opened. */
static int next_fd(void)
{
    int fd = dup(STDERR_FILENO);
    assert_return_code(fd, errno);
    close(fd);
    return fd;
}

/* What comes for the others is handed on between them. */
static void test_a_crowd_begins_a_few_at_a_time(void **state)
{
    enum { CROWD = 100, A_TURN = 8 };
    struct world *w = *state;
    static struct asked all[CROWD]; // outlives a failed test, for its tear_down()
    for (int i = 0; i < CROWD; i++)
        start(w, &all[i], "/never", false);
    http_call_cancel(&all[CROWD - 1].call); // before it has begun
    int before = next_fd();
    for (int turn = 1; turn <= 5; turn++) {
        assert_true(loop_turn(w->loop, 0));
        // The server's ends are in this process as well.
        assert_true(next_fd() - before <= 2 * (turn + 1) * A_TURN);
    }
    wait_for_requests(w, CROWD - 1);
    loop_turn(w->loop, 5);
    assert_int_equal(atomic_load(&w->site.asked), CROWD - 1);
    assert_int_equal(under_way(w), CROWD - 1);
    for (int i = 0; i < CROWD; i++) {
        http_call_cancel(&all[i].call);
        assert_int_equal(all[i].done, 0);
    }
    assert_int_equal(under_way(w), 0);
}

static void test_ends_with_a_crowd(void **state)
{
    enum { CROWD = 20 };
    struct world *w = *state;
    static struct asked all[CROWD]; // outlives a failed test, for its tear_down()
    for (int i = 0; i < CROWD; i++)
        start(w, &all[i], "/ok", false);
    http_client_destroy(&w->client);
    for (int i = 0; i < CROWD; i++) {
        assert_int_equal(all[i].done, 1);
        assert_failed(&all[i], "the server ends");
    }
}

static void test_refuses_too_many(void **state)
{
    struct world *w = *state;
    struct http_client *few =
        http_client_create(w->loop, &(struct http_client_options){.calls_max = 1});
    struct asked a = {0};
    char at[128];
    struct http_call_params p = params_of(&a, url_of(w, "/never", at, sizeof(at)));
    assert_non_null(few);
    struct http_call *call = http_call_start(few, &p);
    assert_non_null(call);
    assert_null(http_call_start(few, &p));
    http_call_cancel(&call);
    call = http_call_start(few, &p);
    assert_non_null(call);
    http_client_destroy(&few); // with a call under way
    loop_turn(w->loop, 0);
    assert_int_equal(a.done, 1);
    assert_failed(&a, "the server ends");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_cancels_at_any_time, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_meddles_from_callbacks, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_many_in_turn_on_one_connection, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_many_at_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_crowd_begins_a_few_at_a_time, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_ends_with_a_crowd, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_refuses_too_many, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
