/*
 * hub_test.c - the verbs of the hub on one loop: order, recovery, presence, limits, isolation.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "unit/hub/fake_session.h"

struct world {
    struct loop *loop;
    struct outflow outflow;
    struct policy policy;
    struct namespace_options namespaces[5];
    struct node *node;
    struct hub *hub;
};

static const struct policy base_policy = {
    .channel_name_max = 64,
    .channels_max = 100,
    .channels_per_session_max = 4,
    .feed_bytes_max = 1 << 16,
    .idempotency_ttl_ms = 60000,
    .idempotency_max = 2,
    .epoch_idle_ms = 60000,
};

static struct world *world_make(void)
{
    struct world *w = calloc(1, sizeof(*w));
    w->loop = loop_create(0);
    w->policy = base_policy;
    w->namespaces[0] = (struct namespace_options){
        STR("news"), {.history_count = 5, .recover = true, .client_subscribe = true}};
    w->namespaces[1] = (struct namespace_options){
        STR("room"),
        {.presence = true, .join_leave = true, .client_subscribe = true, .subscribers_max = 3}};
    w->namespaces[2] = (struct namespace_options){
        STR("last"), {.history_count = 1, .cache = true, .client_subscribe = true}};
    w->namespaces[3] = (struct namespace_options){STR("secret"), {.client_subscribe = false}};
    w->namespaces[4] = (struct namespace_options){
        STR("big"), {.history_count = 5000, .recover = true, .client_subscribe = true}};
    w->policy.namespaces = w->namespaces;
    w->policy.namespace_count = 5;
    outflow_init(&w->outflow);
    w->node = node_create(&w->loop, 1, &w->policy, 10);
    assert_non_null(w->node);
    w->hub = node_hub(w->node, 0);
    hub_set_outflow(w->hub, &w->outflow);
    return w;
}

static void world_end(struct world *w)
{
    node_destroy(&w->node);
    loop_destroy(&w->loop);
    free(w);
}

static void keep_answer(void *ctx, const struct answer *a)
{
    struct answer *to = ctx;
    *to = *a;
    for (size_t i = 0; i < a->publication_count; i++) // offsets in sequence are enough here
        assert_true(i == 0 || a->publications[i]->offset != a->publications[i - 1]->offset);
}

static struct answer publish(struct world *w, const char *channel, const char *data)
{
    struct answer a = {.err = ERR_INTERNAL};
    hub_publish(w->hub,
                &(struct publish_params){
                    .tenant = STR("t"), .channel = str_from(channel), .data = str_from(data)},
                keep_answer, &a);
    return a;
}

static struct answer subscribe_with(struct fake *f, struct subscribe_params p)
{
    struct answer a = {.err = ERR_INTERNAL};
    p.encoding = &fake_encoding;
    hub_subscribe(&f->session, &p, keep_answer, &a);
    return a;
}

static struct answer subscribe(struct fake *f, const char *channel)
{
    return subscribe_with(f, (struct subscribe_params){.channel = str_from(channel)});
}

static void assert_told(struct fake *f, const char *want)
{
    fake_read(f);
    assert_true(buf_add_char(&f->told, '\0'));
    assert_string_equal(f->told.p, want);
    buf_clear(&f->told);
}

static void subscribers_hear_in_order(void **state)
{
    (void)state;
    struct world *w = world_make();
    struct fake *a = fake_open(w->hub, "t", ""), *b = fake_open(w->hub, "t", "");
    struct fake *other = fake_open(w->hub, "other tenant", "");
    assert_int_equal(subscribe(a, "plain").err, ERR_OK);
    assert_int_equal(subscribe(b, "plain").err, ERR_OK);
    assert_int_equal(subscribe(other, "plain").err, ERR_OK);
    assert_int_equal(subscribe(a, "plain").err, ERR_ALREADY_SUBSCRIBED);
    assert_int_equal(publish(w, "plain", "1").err, ERR_OK);
    assert_int_equal(publish(w, "plain", "2").position.offset, 0); // keeps no history
    assert_told(a, "plain#0 1\nplain#0 2\n");
    hub_unsubscribe(session_find(&a->session, STR("plain")));
    publish(w, "plain", "3");
    assert_told(a, "");
    assert_told(b, "plain#0 1\nplain#0 2\nplain#0 3\n");
    assert_told(other, ""); // nothing crosses a tenant
    fake_close(a);
    fake_close(b);
    fake_close(other);
    fake_free(a);
    fake_free(b);
    fake_free(other);
    struct hub_stats stats;
    node_read_stats(w->node, &stats);
    assert_int_equal(stats.channels, 0);
    assert_int_equal(stats.subscriptions, 0);
    assert_int_equal(stats.sessions, 0);
    world_end(w);
}

static void recovery_is_complete_or_refused(void **state)
{
    (void)state;
    struct world *w = world_make();
    struct fake *f = fake_open(w->hub, "t", "");
    struct position at = publish(w, "news:a", "1").position;
    assert_int_equal(at.offset, 1);
    for (int i = 2; i <= 4; i++)
        publish(w, "news:a", "x");
    struct answer a = subscribe_with(
        f, (struct subscribe_params){.channel = STR("news:a"), .recover = true, .since = at});
    assert_int_equal(a.err, ERR_OK);
    assert_true(a.recovered && a.recoverable && a.positioned);
    assert_int_equal(a.publication_count, 3);
    assert_int_equal(a.position.offset, 4);
    publish(w, "news:a", "live");
    assert_told(f, "news:a#5 live\n");
    hub_unsubscribe(session_find(&f->session, STR("news:a")));

    publish(w, "news:a", "6");
    publish(w, "news:a", "7"); // 1 and 2 have gone: five are kept
    a = subscribe_with(
        f, (struct subscribe_params){.channel = STR("news:a"), .recover = true, .since = at});
    assert_false(a.recovered);
    assert_int_equal(a.publication_count, 0);
    hub_unsubscribe(session_find(&f->session, STR("news:a")));

    at.offset = 2; // the oldest kept is 3: nothing is missing behind 2
    a = subscribe_with(
        f, (struct subscribe_params){.channel = STR("news:a"), .recover = true, .since = at});
    assert_true(a.recovered);
    assert_int_equal(a.publication_count, 5);
    hub_unsubscribe(session_find(&f->session, STR("news:a")));

    at.epoch ^= 1;
    a = subscribe_with(
        f, (struct subscribe_params){.channel = STR("news:a"), .recover = true, .since = at});
    assert_false(a.recovered);
    hub_unsubscribe(session_find(&f->session, STR("news:a")));
    at.epoch ^= 1;
    at.offset = 99; // of the future
    a = subscribe_with(
        f, (struct subscribe_params){.channel = STR("news:a"), .recover = true, .since = at});
    assert_false(a.recovered);
    fake_close(f);
    fake_free(f);
    world_end(w);
}

static void much_is_recovered_in_rounds(void **state)
{
    (void)state;
    struct world *w = world_make();
    struct fake *f = fake_open(w->hub, "t", "");
    struct position at = publish(w, "big:a", "0").position;
    for (int i = 0; i < 3000; i++)
        publish(w, "big:a", "x");
    struct answer a = subscribe_with(
        f, (struct subscribe_params){.channel = STR("big:a"), .recover = true, .since = at});
    assert_true(a.recovered);
    assert_true(a.publication_count < 3000);
    uint64_t next = at.offset + 1 + a.publication_count;
    for (int i = 0; i < 10; i++) {
        fake_read(f);
        if (i == 2)
            publish(w, "big:a", "x"); // while rounds are under way
    }
    publish(w, "big:a", "x");
    fake_read(f);
    struct str rest = buf_str(&f->told);
    while (rest.n > 0) {
        struct str line = str_cut(&rest, '\n');
        char want[64];
        int n = snprintf(want, sizeof(want), "big:a#%lu x", (unsigned long)next++);
        assert_true(str_eq(line, (struct str){want, (size_t)n}));
    }
    assert_int_equal(next, 3001 + 2 + 1);
    fake_close(f);
    fake_free(f);
    world_end(w);
}

static void history_reads_both_ways(void **state)
{
    (void)state;
    struct world *w = world_make();
    struct answer a;
    struct history_params p = {.tenant = STR("t"), .channel = STR("news:a"), .limit = -1};
    for (int i = 0; i < 7; i++)
        publish(w, "news:a", "x");
    hub_history(w->hub, &p, keep_answer, &a);
    assert_int_equal(a.publication_count, 5);
    assert_int_equal(a.position.offset, 7);
    p.limit = 0;
    hub_history(w->hub, &p, keep_answer, &a);
    assert_int_equal(a.publication_count, 0);
    p.limit = 2;
    p.has_since = true;
    p.since = (struct position){4, a.position.epoch};
    hub_history(w->hub, &p, keep_answer, &a);
    assert_int_equal(a.publication_count, 2);
    p.reverse = true;
    p.since.offset = 5;
    hub_history(w->hub, &p, keep_answer, &a);
    assert_int_equal(a.publication_count, 2); // 4 and 3
    p.since.epoch ^= 1;
    hub_history(w->hub, &p, keep_answer, &a);
    assert_int_equal(a.err, ERR_UNRECOVERABLE_POSITION);
    p.channel = STR("plain");
    hub_history(w->hub, &p, keep_answer, &a);
    assert_int_equal(a.err, ERR_NOT_AVAILABLE);
    hub_history_remove(w->hub, STR("t"), STR("news:a"), keep_answer, &a);
    p = (struct history_params){.tenant = STR("t"), .channel = STR("news:a"), .limit = -1};
    hub_history(w->hub, &p, keep_answer, &a);
    assert_int_equal(a.publication_count, 0);
    assert_int_equal(a.position.offset, 7); // the stream goes on
    world_end(w);
}

static void a_key_is_published_once(void **state)
{
    (void)state;
    struct world *w = world_make();
    struct answer a[4];
    static const char *const keys[] = {"k1", "k1", "k2", "k1"};
    for (int i = 0; i < 4; i++)
        hub_publish(w->hub,
                    &(struct publish_params){.tenant = STR("t"),
                                             .channel = STR("news:a"),
                                             .data = STR("1"),
                                             .idempotency_key = str_from(keys[i])},
                    keep_answer, &a[i]);
    assert_false(a[0].duplicate);
    assert_true(a[1].duplicate);
    assert_int_equal(a[1].position.offset, 1);
    assert_false(a[2].duplicate);
    assert_int_equal(a[2].position.offset, 2);
    assert_int_equal(a[3].position.offset, a[3].duplicate ? 1 : 3); // two keys are remembered
    world_end(w);
}

static void a_new_subscriber_gets_the_last_value(void **state)
{
    (void)state;
    struct world *w = world_make();
    struct fake *f = fake_open(w->hub, "t", "");
    publish(w, "last:a", "1");
    publish(w, "last:a", "2");
    struct answer a = subscribe(f, "last:a");
    assert_int_equal(a.publication_count, 1);
    fake_close(f);
    fake_free(f);
    world_end(w);
}

static void patterns_follow_a_namespace(void **state)
{
    (void)state;
    struct world *w = world_make();
    struct fake *ns = fake_open(w->hub, "t", ""), *all = fake_open(w->hub, "t", "");
    assert_int_equal(subscribe(ns, "news:*").err, ERR_OK);
    assert_int_equal(subscribe(all, "*").err, ERR_PERMISSION_DENIED); // "secret" is closed
    assert_int_equal(
        subscribe_with(all, (struct subscribe_params){.channel = STR("*"), .authorized = true}).err,
        ERR_OK);
    publish(w, "news:a", "1");
    publish(w, "room:a", "2");
    publish(w, "plain", "3");
    assert_told(ns, "news:*#1 1\n");
    assert_told(all, "*#1 1\n*#0 2\n*#0 3\n");
    assert_int_equal(publish(w, "news:*", "4").err, ERR_BAD_REQUEST);
    hub_unsubscribe(session_find(&ns->session, STR("news:*")));
    publish(w, "news:b", "5");
    assert_told(ns, "");
    fake_close(ns);
    fake_close(all);
    fake_free(ns);
    fake_free(all);
    world_end(w);
}

/* Once users have proven names, what is meant for one of them reaches nobody else. */
static void personal_channels_are_personal(void **state)
{
    (void)state;
    struct world *w = world_make();
    w->policy.personal_channels = true;
    w->policy.namespace_count = 3; // none is closed
    struct fake *ann = fake_open(w->hub, "t", "ann"), *bob = fake_open(w->hub, "t", "bob");
    struct fake *nobody = fake_open(w->hub, "t", "");
    assert_int_equal(subscribe(ann, "user:ann").err, ERR_OK);
    assert_int_equal(subscribe(bob, "user:ann").err, ERR_PERMISSION_DENIED);
    assert_int_equal(subscribe(bob, "user:*").err, ERR_PERMISSION_DENIED);
    assert_int_equal(subscribe(nobody, "user:").err, ERR_PERMISSION_DENIED);
    assert_int_equal(subscribe(nobody, "*").err, ERR_OK);
    publish(w, "user:ann", "for ann");
    assert_told(ann, "user:ann#0 for ann\n");
    assert_told(bob, "");
    assert_told(nobody, "");
    struct fake *everybody[] = {ann, bob, nobody};
    for (int i = 0; i < 3; i++) {
        fake_close(everybody[i]);
        fake_free(everybody[i]);
    }
    world_end(w);
}

static void presence_knows_who_is_there(void **state)
{
    (void)state;
    struct world *w = world_make();
    struct fake *a = fake_open(w->hub, "t", "ann"), *b = fake_open(w->hub, "t", "bob");
    struct fake *c = fake_open(w->hub, "t", "bob"), *d = fake_open(w->hub, "t", "dan");
    struct answer r;
    subscribe_with(a, (struct subscribe_params){.channel = STR("room:1"), .join_leave = true});
    fake_read(a);
    buf_clear(&a->told);
    subscribe(b, "room:1");
    subscribe(c, "room:1");
    assert_int_equal(subscribe(d, "room:1").err, ERR_LIMIT_EXCEEDED); // three at most
    hub_presence(w->hub, STR("t"), STR("room:1"), keep_answer, &r);
    assert_int_equal(r.client_count, 3);
    assert_int_equal(r.user_count, 2);
    assert_int_equal(r.presence_count, 3);
    fake_read(a);
    assert_true(a->told.len > 0 && a->told.p[0] == '+');
    buf_clear(&a->told);
    fake_close(b);
    fake_read(a);
    assert_true(a->told.len > 0 && a->told.p[0] == '-');
    hub_presence_stats(w->hub, STR("t"), STR("room:1"), keep_answer, &r);
    assert_int_equal(r.client_count, 2);
    hub_presence(w->hub, STR("t"), STR("news:1"), keep_answer, &r);
    assert_int_equal(r.err, ERR_NOT_AVAILABLE);
    fake_close(a);
    fake_close(c);
    fake_close(d);
    struct fake *everybody[] = {a, b, c, d};
    for (int i = 0; i < 4; i++)
        fake_free(everybody[i]);
    world_end(w);
}

/* Within the grace a user who comes back with a new connection has never left. */
static void presence_has_a_grace(void **state)
{
    (void)state;
    struct world *w = world_make();
    w->policy.presence_grace_ms = 10000;
    struct fake *watch = fake_open(w->hub, "t", "ann"), *b = fake_open(w->hub, "t", "bob");
    struct answer r;
    subscribe_with(watch, (struct subscribe_params){.channel = STR("room:1"), .join_leave = true});
    subscribe(b, "room:1");
    fake_read(watch);
    buf_clear(&watch->told);
    fake_close(b);
    struct fake *again = fake_open(w->hub, "t", "bob");
    subscribe(again, "room:1");
    assert_told(watch, "");
    hub_presence(w->hub, STR("t"), STR("room:1"), keep_answer, &r);
    assert_int_equal(r.presence_count, 2);
    hub_unsubscribe(session_find(&again->session, STR("room:1"))); // asked to leave: at once
    fake_read(watch);
    assert_true(watch->told.len > 0 && watch->told.p[0] == '-');
    fake_close(again);
    fake_close(watch);
    fake_free(b);
    fake_free(again);
    fake_free(watch);
    world_end(w);
}

static void back_ends_control_sessions(void **state)
{
    (void)state;
    struct world *w = world_make();
    struct fake *a = fake_open(w->hub, "t", "ann"), *b = fake_open(w->hub, "t", "ann");
    struct fake *foreign = fake_open(w->hub, "x", "ann");
    struct answer r;
    struct control_params p = {.verb = CONTROL_SUBSCRIBE,
                               .tenant = STR("t"),
                               .user = STR("ann"),
                               .channel = STR("secret:1")};
    assert_int_equal(subscribe(a, "secret:1").err, ERR_PERMISSION_DENIED);
    hub_control(w->hub, &p, keep_answer, &r);
    assert_int_equal(r.affected, 2);
    publish(w, "secret:1", "psst");
    assert_told(a, "subscribed secret:1\nsecret:1#0 psst\n");
    assert_told(foreign, "");
    p.verb = CONTROL_UNSUBSCRIBE;
    hub_control(w->hub, &p, keep_answer, &r);
    assert_told(a, "unsubscribed secret:1 2000 server unsubscribe\n");
    p.verb = CONTROL_DISCONNECT;
    p.reason = CLOSE_FORCE_DISCONNECT;
    hub_control(w->hub, &p, keep_answer, &r);
    assert_told(a, "disconnect force_disconnect 0\n");
    p.user = STR_NONE; // nobody is named: nobody is meant
    hub_control(w->hub, &p, keep_answer, &r);
    assert_int_equal(r.affected, 0);
    assert_told(foreign, "");
    hub_sessions(w->hub, STR("t"), 1, keep_answer, &r);
    assert_int_equal(r.session_count, 1);
    assert_int_equal(r.session_total, 2);
    fake_close(a);
    fake_close(b);
    fake_close(foreign);
    fake_free(a);
    fake_free(b);
    fake_free(foreign);
    world_end(w);
}

/* One event for several rooms reaches who is in two of them once. */
static void followers_of_other_channels_are_spared(void **state)
{
    (void)state;
    struct world *w = world_make();
    struct fake *both = fake_open(w->hub, "t", ""), *second = fake_open(w->hub, "t", "");
    subscribe(both, "one");
    subscribe(both, "two");
    subscribe(second, "two");
    struct publish_params p = {.tenant = STR("t"), .channel = STR("one"), .data = STR("x")};
    hub_publish(w->hub, &p, NULL, NULL);
    p.channel = STR("two");
    p.exclude_channels = STR("none one");
    hub_publish(w->hub, &p, NULL, NULL);
    assert_told(both, "one#0 x\n");
    assert_told(second, "two#0 x\n");
    p.exclude_channels = STR("on two");
    hub_publish(w->hub, &p, NULL, NULL);
    assert_told(both, "");
    assert_told(second, "");
    fake_close(both);
    fake_close(second);
    fake_free(both);
    fake_free(second);
    world_end(w);
}

static void back_ends_empty_a_channel(void **state)
{
    (void)state;
    struct world *w = world_make();
    struct fake *a = fake_open(w->hub, "t", ""), *b = fake_open(w->hub, "t", "ann");
    struct fake *foreign = fake_open(w->hub, "x", "");
    struct control_params p = {.verb = CONTROL_UNSUBSCRIBE,
                               .tenant = STR("t"),
                               .everybody = true,
                               .dialect = "another",
                               .channel = STR("one")};
    struct answer r;
    subscribe(a, "one");
    subscribe(b, "one");
    subscribe(foreign, "one");
    hub_control(w->hub, &p, keep_answer, &r);
    assert_int_equal(r.affected, 0);
    p.dialect = "fake";
    hub_control(w->hub, &p, keep_answer, &r);
    assert_int_equal(r.affected, 2);
    assert_told(a, "unsubscribed one 2000 server unsubscribe\n");
    assert_told(b, "unsubscribed one 2000 server unsubscribe\n");
    assert_told(foreign, "");
    fake_close(a);
    fake_close(b);
    fake_close(foreign);
    fake_free(a);
    fake_free(b);
    fake_free(foreign);
    world_end(w);
}

static void limits_hold(void **state)
{
    (void)state;
    struct world *w = world_make();
    struct fake *f = fake_open(w->hub, "t", "");
    char name[80];
    for (int i = 0; i < 4; i++) {
        snprintf(name, sizeof(name), "c%d", i);
        assert_int_equal(subscribe(f, name).err, ERR_OK);
    }
    assert_int_equal(subscribe(f, "c5").err, ERR_LIMIT_EXCEEDED);
    memset(name, 'n', 65);
    name[65] = '\0';
    assert_int_equal(publish(w, name, "1").err, ERR_BAD_REQUEST);
    assert_int_equal(publish(w, "", "1").err, ERR_BAD_REQUEST);
    assert_int_equal(publish(w, "with space", "1").err, ERR_BAD_REQUEST);
    int refused = 0;
    for (int i = 0; i < 200; i++) {
        snprintf(name, sizeof(name), "news:%d", i);
        refused += publish(w, name, "1").err == ERR_LIMIT_EXCEEDED;
    }
    assert_true(refused >= 99 && refused < 200);
    struct fake *all[9];
    for (int i = 0; i < 9; i++)
        all[i] = fake_open(w->hub, "t", "");
    struct fake over = {0};
    over.session.tenant = STR("t");
    assert_false(session_open(&over.session, w->hub, &fake_ops, &over.sink)); // ten at most
    for (int i = 0; i < 9; i++) {
        fake_close(all[i]);
        fake_free(all[i]);
    }
    fake_close(f);
    fake_free(f);
    world_end(w);
}

static void a_slow_session_is_resynchronised(void **state)
{
    (void)state;
    struct world *w = world_make();
    struct fake *f = fake_open(w->hub, "t", ""), *plain = fake_open(w->hub, "t", "");
    assert_int_equal(subscribe(f, "big:a").err, ERR_OK);
    assert_int_equal(subscribe(plain, "plain").err, ERR_OK);
    char data[100];
    memset(data, 'x', sizeof(data));
    data[99] = '\0';
    for (int i = 0; i < 3000; i++) {
        publish(w, "big:a", data);
        publish(w, "plain", data);
    }
    for (int i = 0; i < 10; i++)
        fake_read(f);
    publish(w, "big:a", data);
    fake_read(f);
    struct str rest = buf_str(&f->told);
    uint64_t lines = 0;
    while (rest.n > 0) {
        struct str line = str_cut(&rest, '\n');
        char want[32];
        int n = snprintf(want, sizeof(want), "big:a#%lu ", (unsigned long)++lines);
        assert_true(str_starts(line, (struct str){want, (size_t)n}));
    }
    assert_int_equal(lines, 3001); // every one, once, in order
    fake_read(plain);
    assert_told(plain, "disconnect slow 0\n"); // has no history to come back from
    fake_close(f);
    fake_close(plain);
    fake_free(f);
    fake_free(plain);
    world_end(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(subscribers_hear_in_order),
        cmocka_unit_test(recovery_is_complete_or_refused),
        cmocka_unit_test(much_is_recovered_in_rounds),
        cmocka_unit_test(history_reads_both_ways),
        cmocka_unit_test(a_key_is_published_once),
        cmocka_unit_test(a_new_subscriber_gets_the_last_value),
        cmocka_unit_test(patterns_follow_a_namespace),
        cmocka_unit_test(personal_channels_are_personal),
        cmocka_unit_test(presence_knows_who_is_there),
        cmocka_unit_test(presence_has_a_grace),
        cmocka_unit_test(back_ends_control_sessions),
        cmocka_unit_test(followers_of_other_channels_are_spared),
        cmocka_unit_test(back_ends_empty_a_channel),
        cmocka_unit_test(limits_hold),
        cmocka_unit_test(a_slow_session_is_resynchronised),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
