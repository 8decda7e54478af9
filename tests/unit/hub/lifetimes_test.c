/*
 * lifetimes_test.c - what a channel forgets, and when: histories, streams, keys of idempotency,
 * clients that broke off; and what a new policy changes. Time is the test's.
 */
#include "unit/hub/hub_world.h"

static void a_history_ends_with_its_ttl(void **state)
{
    (void)state;
    struct world *w = world_make(1);
    struct answer a;
    publish_to(w, 0, "brief:1", "", &a);
    assert_int_equal(a.position.offset, 1);
    world_wait(w, 15000);
    publish_to(w, 0, "brief:1", "", &a);
    struct channel *ch =
        channel_find(world_hub(w, 0), hub_key(world_hub(w, 0), STR("t"), STR("brief:1")));
    assert_int_equal(ch->history.count, 2);
    world_wait(w, 6000);
    assert_int_equal(ch->history.count, 1);
    world_wait(w, 40000);
    assert_int_equal(ch->history.count, 0); // also when nobody asks
    assert_int_equal(ch->offset, 2);        // the stream goes on
    publish_to(w, 0, "brief:1", "", &a);
    assert_int_equal(a.position.offset, 3);
    world_wait(w, 400000); // twenty seconds for what it holds, then five minutes for its name
    assert_int_equal(world_channels(w), 0);
    world_end(w);
}

/* A stream that is only idle keeps its epoch; one that was forgotten comes back with another. */
static void a_forgotten_stream_has_another_epoch(void **state)
{
    (void)state;
    struct world *w = world_make(1);
    struct answer first, again, later;
    publish_to(w, 0, "brief:1", "", &first);
    world_wait(w, 100000);
    publish_to(w, 0, "brief:1", "", &again);
    assert_int_equal(again.position.offset, 2);
    world_wait(w, 700000);
    assert_int_equal(world_channels(w), 0);
    publish_to(w, 0, "brief:1", "", &later);
    assert_int_equal(later.position.offset, 1);
    struct fake *f = fake_open(world_hub(w, 0), "t", "");
    struct answer a = {0};
    hub_subscribe(&f->session,
                  &(struct subscribe_params){.channel = STR("brief:1"),
                                             .encoding = &fake_encoding,
                                             .recover = true,
                                             .since = {.offset = 1, .epoch = 1}},
                  keep_answer, &a);
    assert_false(a.recovered);
    assert_true(a.position.epoch != 0 && a.position.epoch != 1);
    fake_close(f);
    fake_free(f);
    world_end(w);
}

/* Keys are remembered for their time, whatever else of the channel comes to an end before. */
static void keys_live_as_long_as_promised(void **state)
{
    (void)state;
    struct world *w = world_make(1);
    struct answer a;
    struct fake *f = fake_open(world_hub(w, 0), "t", "user");
    subscribe_to(f, "room:1", &a);
    publish_to(w, 0, "room:1", "k", &a);
    assert_false(a.duplicate);
    fake_close(f); // presence is looked at in ten seconds
    fake_free(f);
    world_wait(w, 40000);
    publish_to(w, 0, "room:1", "k", &a);
    assert_true(a.duplicate);
    world_wait(w, 130000);
    assert_int_equal(world_channels(w), 0); // and then nothing is left
    publish_to(w, 0, "room:1", "k", &a);
    assert_false(a.duplicate);
    world_end(w);
}

static void as_many_keys_as_promised(void **state)
{
    (void)state;
    struct world *w = world_make(1);
    struct answer a;
    static const char *const keys[] = {"a", "b", "c"};
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 3; i++) {
            publish_to(w, 0, "news:1", keys[i], &a);
            assert_int_equal(a.duplicate, round > 0);
            assert_int_equal(a.position.offset, i + 1);
        }
    }
    publish_to(w, 0, "news:1", "d", &a);
    assert_false(a.duplicate);
    publish_to(w, 0, "news:1", "b", &a);
    assert_true(a.duplicate);
    publish_to(w, 0, "news:1", "a", &a); // the oldest had to go
    assert_false(a.duplicate);
    world_end(w);
}

/* Others breaking off meanwhile do not keep somebody who is gone in the room. */
static void everybody_leaves_after_his_own_grace(void **state)
{
    (void)state;
    struct world *w = world_make(1);
    struct answer a;
    struct fake *watcher = fake_open(world_hub(w, 0), "t", "watcher");
    subscribe_to(watcher, "room:1", &a);
    for (int i = 0; i < 10; i++) {
        char user[2] = {(char)('a' + i), '\0'};
        struct fake *f = fake_open(world_hub(w, 0), "t", user);
        subscribe_to(f, "room:1", &a);
        fake_close(f);
        fake_free(f);
        world_wait(w, 4000);
        presence_of(w, 0, "room:1", &a);
        /* The watcher, and those of the last ten seconds and a tick or two. */
        assert_true(a.client_count <= 1 + 3);
    }
    world_wait(w, 10100);
    presence_of(w, 0, "room:1", &a);
    assert_int_equal(a.client_count, 1);
    fake_close(watcher);
    fake_free(watcher);
    world_wait(w, 11000);
    assert_int_equal(world_channels(w), 0);
    world_end(w);
}

/* A limit that was raised counts at once, and one that was lowered as well. */
static void a_new_policy_counts(void **state)
{
    (void)state;
    struct world *w = world_make(1);
    struct answer a;
    struct policy small = w->policy, large = w->policy;
    small.channels_max = 3;
    large.channels_max = 1000;
    large.channel_name_max = 400;
    char name[300];
    node_set_policy(w->node, &small);
    int made = 0;
    for (int i = 0; i < 20; i++) {
        snprintf(name, sizeof(name), "news:%d", i);
        publish_to(w, 0, name, "", &a);
        assert_true(a.err == ERR_OK || a.err == ERR_LIMIT_EXCEEDED);
        made += a.err == ERR_OK;
    }
    assert_in_range(made, 3, 4);
    node_set_policy(w->node, &large);
    for (int i = 0; i < 500; i++) {
        snprintf(name, sizeof(name), "news:%d", i);
        publish_to(w, 0, name, "", &a);
        assert_int_equal(a.err, ERR_OK);
    }
    /* A namespace with a long name is followed like any other. */
    memset(name, 'n', sizeof(name));
    memcpy(name + 280, ":*", 3);
    struct fake *f = fake_open(world_hub(w, 0), "t", "");
    hub_subscribe(&f->session,
                  &(struct subscribe_params){
                      .channel = str_from(name), .encoding = &fake_encoding, .authorized = true},
                  keep_answer, &a);
    assert_int_equal(a.err, ERR_OK);
    name[281] = 'x';
    publish_to(w, 0, name, "", &a);
    fake_read(f);
    assert_true(f->told.len > 0);
    fake_close(f);
    fake_free(f);
    world_end(w); // with five hundred channels alive
}

/* History is switched off while somebody is behind: he is told, not left with a gap. */
static void a_stream_without_history_is_not_resumed(void **state)
{
    (void)state;
    struct world *w = world_make(1);
    struct answer a;
    struct fake *f = fake_open(world_hub(w, 0), "t", "");
    subscribe_to(f, "news:1", &a);
    publish_to(w, 0, "news:1", "", &a);
    struct namespace_options without = w->namespaces[0];
    without.options.history_count = 0;
    struct policy changed = w->policy;
    changed.namespaces = &without;
    changed.namespace_count = 1;
    fake_read(f);
    buf_clear(&f->told);
    node_set_policy(w->node, &changed);
    publish_to(w, 0, "news:1", "", &a);
    cursor_lose(f->sink.cursors);
    assert_told(f, "disconnect insufficient_state 0\n");
    fake_close(f);
    fake_free(f);
    world_end(w);
}

/* What cannot be a key is answered, never asserted. */
static void names_that_are_too_long_are_refused(void **state)
{
    (void)state;
    struct world *w = world_make(1);
    struct hub *hub = world_hub(w, 0);
    struct answer a = {0};
    enum { LONG = 100000 };
    char *text = malloc(LONG);
    memset(text, 'x', LONG);
    struct str big = {text, LONG};
    hub_control(hub, &(struct control_params){.tenant = STR("t"), .user = big}, keep_answer, &a);
    assert_int_equal(a.err, ERR_BAD_REQUEST);
    hub_channels(hub, STR("t"), big, 10, keep_answer, &a);
    assert_int_equal(a.err, ERR_BAD_REQUEST);
    hub_sessions(hub, big, 10, keep_answer, &a);
    assert_int_equal(a.err, ERR_BAD_REQUEST);
    hub_presence(hub, big, STR("room:1"), keep_answer, &a);
    assert_int_equal(a.err, ERR_BAD_REQUEST);
    hub_publish(hub, &(struct publish_params){.tenant = big, .channel = STR("c")}, keep_answer, &a);
    assert_int_equal(a.err, ERR_BAD_REQUEST);
    /* One name must not pass for two. */
    hub_publish(hub, &(struct publish_params){.tenant = {"a\0b", 3}, .channel = STR("c")},
                keep_answer, &a);
    assert_int_equal(a.err, ERR_BAD_REQUEST);
    struct fake f = {.session = {.tenant = STR("t"), .user = big}};
    assert_false(session_open(&f.session, hub, &fake_ops, &f.sink));
    assert_int_equal(hub_session_count(hub), 0);
    free(text);
    world_end(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_history_ends_with_its_ttl),
        cmocka_unit_test(a_forgotten_stream_has_another_epoch),
        cmocka_unit_test(keys_live_as_long_as_promised),
        cmocka_unit_test(as_many_keys_as_promised),
        cmocka_unit_test(everybody_leaves_after_his_own_grace),
        cmocka_unit_test(a_new_policy_counts),
        cmocka_unit_test(a_stream_without_history_is_not_resumed),
        cmocka_unit_test(names_that_are_too_long_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
