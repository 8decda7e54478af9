/*
 * races_test.c - verbs that cross each other on their way between two loops, one step at a time:
 * who closes, unsubscribes or is controlled while his subscribe is under way.
 */
#include "unit/hub/hub_world.h"

static void assert_nothing_left(struct world *w)
{
    struct hub_stats stats;
    world_turn(w);
    node_read_stats(w->node, &stats);
    assert_int_equal(stats.sessions, 0);
    assert_int_equal(stats.subscriptions, 0);
    assert_int_equal(stats.channels, 0);
    for (unsigned i = 0; i < w->count; i++) {
        assert_int_equal(world_hub(w, i)->fanouts.count, 0);
        assert_int_equal(world_hub(w, i)->patterns.count, 0);
    }
}

/* After how many steps of the answer's way: none, at home, back. */
static void turn_steps(struct world *w, int steps)
{
    if (steps > 0)
        loop_turn(w->loops[1], 0);
    if (steps > 1)
        loop_turn(w->loops[0], 0);
}

static void closing_while_subscribing(void **state)
{
    (void)state;
    static const char *const kinds[] = {"plain", "room"};
    for (int steps = 0; steps < 3; steps++) {
        for (int kind = 0; kind < 2; kind++) {
            struct world *w = world_make(2);
            w->policy.presence_grace_ms = 0;
            struct answer a;
            struct fake *f = fake_open(world_hub(w, 0), "t", "user");
            subscribe_to(f, world_channel(w, kinds[kind], 1), &a);
            turn_steps(w, steps);
            fake_close(f);
            assert_int_equal(f->buried, steps == 2); // held until its request is back
            world_turn(w);
            assert_int_equal(a.err, steps == 2 ? ERR_OK : ERR_EXPIRED);
            fake_free(f);
            assert_nothing_left(w);
            world_end(w);
        }
    }
}

static void closing_while_subscribing_to_a_pattern(void **state)
{
    (void)state;
    for (int steps = 0; steps < 4; steps++) {
        struct world *w = world_make(2);
        struct answer a;
        struct fake *f = fake_open(world_hub(w, 0), "t", "");
        subscribe_to(f, "plain:*", &a);
        for (int i = 0; i < steps; i++)
            loop_turn(w->loops[i % 2], 0);
        fake_close(f);
        world_turn(w);
        fake_free(f);
        assert_nothing_left(w);
        world_end(w);
    }
}

/* Unsubscribe and subscribe again before the first answer: one client is there, once, and gone
 * once it has left. */
static void subscribing_again_while_subscribing(void **state)
{
    (void)state;
    for (int steps = 0; steps < 3; steps++) {
        struct world *w = world_make(2);
        struct answer first, second, p;
        const char *name = world_channel(w, "room", 1);
        struct fake *f = fake_open(world_hub(w, 0), "t", "user");
        struct fake *watcher = fake_open(world_hub(w, 1), "t", "watcher");
        subscribe_to(watcher, name, &p);
        world_turn(w);
        fake_read(watcher);
        buf_clear(&watcher->told);
        subscribe_to(f, name, &first);
        turn_steps(w, steps);
        hub_unsubscribe(session_find(&f->session, str_from(name)));
        subscribe_to(f, name, &second);
        world_turn(w);
        assert_int_equal(first.err, steps == 2 ? ERR_OK : ERR_EXPIRED);
        assert_int_equal(second.err, ERR_OK);
        presence_of(w, 1, name, &p);
        assert_int_equal(p.client_count, 2);
        hub_unsubscribe(session_find(&f->session, str_from(name)));
        world_turn(w);
        presence_of(w, 1, name, &p);
        assert_int_equal(p.client_count, 1);
        fake_read(watcher);
        int joins = 0, leaves = 0;
        struct str rest = buf_str(&watcher->told);
        while (rest.n > 0) {
            struct str line = str_cut(&rest, '\n');
            joins += str_starts(line, STR("+"));
            leaves += str_starts(line, STR("-"));
        }
        assert_int_equal(joins, leaves);
        assert_int_equal(joins, steps == 2 ? 2 : 1);
        w->policy.presence_grace_ms = 0;
        fake_close(f);
        fake_close(watcher);
        world_turn(w);
        fake_free(f);
        fake_free(watcher);
        assert_nothing_left(w);
        world_end(w);
    }
}

/* A back end that disconnects, subscribes and unsubscribes the same user at once. */
static void controls_cross_each_other(void **state)
{
    (void)state;
    struct world *w = world_make(2);
    struct answer a[3] = {0}, s;
    const char *name = world_channel(w, "plain", 1);
    struct fake *f = fake_open(world_hub(w, 0), "t", "user");
    subscribe_to(f, name, &s);
    hub_control(world_hub(w, 1),
                &(struct control_params){.verb = CONTROL_UNSUBSCRIBE,
                                         .tenant = STR("t"),
                                         .user = STR("user"),
                                         .channel = str_from(name)},
                keep_answer, &a[0]);
    hub_control(world_hub(w, 1),
                &(struct control_params){.verb = CONTROL_SUBSCRIBE,
                                         .tenant = STR("t"),
                                         .user = STR("user"),
                                         .channel = str_from(name)},
                keep_answer, &a[1]);
    world_turn(w);
    assert_int_equal(a[0].affected, 1);
    assert_int_equal(a[1].affected, 1);
    assert_int_equal(f->session.subscription_count, 1);
    buf_clear(&f->told);
    publish_to(w, 1, name, "", &s);
    world_turn(w);
    fake_read(f);
    assert_true(f->told.len > 0);
    hub_control(world_hub(w, 1),
                &(struct control_params){.verb = CONTROL_SUBSCRIBE,
                                         .tenant = STR("t"),
                                         .user = STR("user"),
                                         .channel = STR("plain:other")},
                keep_answer, &a[2]);
    loop_turn(w->loops[0], 0);
    fake_close(f);
    world_turn(w);
    fake_free(f);
    assert_nothing_left(w);
    world_end(w);
}

/* A pattern that some loops note and others refuse is noted nowhere afterwards. */
static void a_refused_pattern_leaves_nothing(void **state)
{
    (void)state;
    struct world *w = world_make(2);
    struct policy none = w->policy;
    struct answer a;
    none.channels_max = 0;
    struct fake *f = fake_open(world_hub(w, 0), "t", "");
    subscribe_to(f, "plain:*", &a);
    loop_turn(w->loops[0], 0); // noted here
    node_set_policy(w->node, &none);
    world_turn(w);
    assert_int_equal(a.err, ERR_LIMIT_EXCEEDED);
    fake_close(f);
    world_turn(w);
    fake_free(f);
    assert_nothing_left(w);
    world_end(w);
}

/* Closing and unsubscribing while what was missed is being fetched. */
static void leaving_while_resyncing(void **state)
{
    (void)state;
    for (int closes = 0; closes < 2; closes++) {
        struct world *w = world_make(2);
        struct answer a;
        const char *name = world_channel(w, "news", 1);
        struct fake *f = fake_open(world_hub(w, 0), "t", "");
        subscribe_to(f, name, &a);
        world_turn(w);
        publish_to(w, 1, name, "", &a);
        world_turn(w);
        cursor_lose(f->sink.cursors);
        fake_read(f); // asks the home
        if (closes)
            fake_close(f);
        else
            hub_unsubscribe(session_find(&f->session, str_from(name)));
        world_turn(w);
        assert_told(f, "");
        if (!closes)
            fake_close(f);
        world_turn(w);
        fake_free(f);
        world_end(w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(closing_while_subscribing),
        cmocka_unit_test(closing_while_subscribing_to_a_pattern),
        cmocka_unit_test(subscribing_again_while_subscribing),
        cmocka_unit_test(controls_cross_each_other),
        cmocka_unit_test(a_refused_pattern_leaves_nothing),
        cmocka_unit_test(leaving_while_resyncing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
