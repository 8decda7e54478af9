/*
 * churn_test.c - three loops on three threads: sessions come and go, subscribe and unsubscribe,
 * follow patterns, are controlled from everywhere, while policies change. In the end nothing is
 * left of any of it. Run under ThreadSanitizer as well.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "hub/priv.h"
#include "unit/hub/fake_session.h"

#include <pthread.h>

enum { LOOPS = 3, SESSIONS = 8, STEPS = 4000 };

struct runner;

struct member {
    struct session session;
    struct sink sink;
    struct runner *runner;
    bool buried, told_to_go;
    uint64_t heard;
};

struct runner {
    struct work work;
    struct hub *hub;
    struct loop *loop;
    struct outflow outflow;
    pthread_t thread;
    struct member *members[SESSIONS];
    unsigned random, steps;
    uint64_t asked, answered, graves;
    struct runner *all;
    atomic_int *done_count;
    const struct policy *policies;
    bool over;
};

static unsigned below(struct runner *r, unsigned n)
{
    r->random = r->random * 1103515245u + 12345u;
    return (r->random >> 16) % n;
}

static struct member *member_of(struct session *s)
{
    return container_of(s, struct member, session);
}

static void on_disconnect(struct session *s, enum close_reason reason, unsigned code,
                          struct str text)
{
    (void)reason;
    (void)code;
    (void)text;
    member_of(s)->told_to_go = true;
}

static void on_resync(struct session *s, struct subscription *sub, struct publication *const *pubs,
                      size_t count)
{
    (void)sub;
    (void)pubs;
    member_of(s)->heard += count;
}

static void on_subscribed(struct session *s, struct subscription *sub, const struct answer *a)
{
    MUST(a->err == ERR_OK && sub->session == s && sub->state == SUBSCRIPTION_ACTIVE);
}

static void on_unsubscribed(struct session *s, struct str channel, unsigned code, struct str reason)
{
    (void)reason;
    MUST(code == 2000 && channel.n > 0 && s->state == SESSION_OPEN);
}

static void on_bury(struct session *s)
{
    struct member *m = member_of(s);
    m->runner->graves++;
    free(m);
}

static const struct session_ops ops = {
    .dialect = "churn",
    .encoding = fake_encoding_of,
    .subscribed = on_subscribed,
    .unsubscribed = on_unsubscribed,
    .disconnect = on_disconnect,
    .resync = on_resync,
    .bury = on_bury,
};

static const char *const channels[] = {"plain:1", "plain:2", "room:1", "room:2", "news:1",
                                       "news:2",  "plain:*", "*",      "none"};
static const char *const users[] = {"", "ann", "bob", "eve"};

static struct str any_channel(struct runner *r)
{
    return str_from(channels[below(r, sizeof(channels) / sizeof(channels[0]))]);
}

static void answered(void *ctx, const struct answer *a)
{
    struct runner *r = ctx;
    (void)a;
    MUST(loop_current() == r->loop);
    r->answered++;
}

static void member_open(struct runner *r, int i)
{
    struct member *m = calloc(1, sizeof(*m));
    m->runner = r;
    sink_init(&m->sink);
    uuid_make(m->session.client);
    m->session.tenant = STR("t");
    m->session.user = str_from(users[below(r, 4)]);
    MUST(session_open(&m->session, r->hub, &ops, &m->sink));
    r->members[i] = m;
}

static void member_close(struct runner *r, int i)
{
    struct member *m = r->members[i];
    r->members[i] = NULL;
    list_remove(&m->sink.link);
    m->sink.closed = true;
    session_close(&m->session);
}

static void member_read(struct member *m)
{
    struct cursor *next;
    for (struct cursor *c = m->sink.cursors; c != NULL; c = next) {
        uint64_t at = c->next;
        struct piece p;
        next = c->next_in_sink;
        if (cursor_overrun(c)) {
            c->feed->ops->overrun(c);
            continue;
        }
        while (cursor_piece(c, &at, &p)) {
            m->heard += p.count;
            cursor_advance(c, p.chunk, p.next);
        }
        cursor_advance(c, NULL, at);
    }
    list_remove(&m->sink.link);
}

static void subscribe(struct runner *r, struct member *m)
{
    r->asked++;
    hub_subscribe(&m->session,
                  &(struct subscribe_params){.channel = any_channel(r),
                                             .encoding = &fake_encoding,
                                             .recover = below(r, 2),
                                             .join_leave = below(r, 2)},
                  answered, r);
}

static void publish(struct runner *r)
{
    r->asked++;
    hub_publish(r->hub,
                &(struct publish_params){.tenant = STR("t"),
                                         .channel = any_channel(r), // patterns are refused
                                         .data = STR("\"x\""),
                                         .idempotency_key = below(r, 5) ? STR_NONE : STR("key")},
                answered, r);
}

static void control(struct runner *r)
{
    static const enum control verbs[] = {CONTROL_DISCONNECT, CONTROL_SUBSCRIBE, CONTROL_UNSUBSCRIBE,
                                         CONTROL_UNSUBSCRIBE, CONTROL_REFRESH};
    r->asked++;
    enum control verb = verbs[below(r, 5)];
    bool all = verb == CONTROL_UNSUBSCRIBE && below(r, 3) == 0;
    hub_control(r->hub,
                &(struct control_params){.verb = verb,
                                         .tenant = STR("t"),
                                         .user = str_from(users[1 + below(r, 3)]),
                                         .channel = all ? STR_NONE : any_channel(r),
                                         .reason = CLOSE_FORCE_DISCONNECT},
                answered, r);
}

static void ask(struct runner *r)
{
    r->asked++;
    switch (below(r, 4)) {
    case 0:
        hub_presence(r->hub, STR("t"), STR("room:1"), answered, r);
        break;
    case 1:
        hub_history(
            r->hub,
            &(struct history_params){.tenant = STR("t"), .channel = STR("news:1"), .limit = -1},
            answered, r);
        break;
    case 2:
        hub_channels(r->hub, STR("t"), STR("*"), 100, answered, r);
        break;
    default:
        hub_sessions(r->hub, STR("t"), 100, answered, r);
        break;
    }
}

static void one_step(struct runner *r)
{
    int i = (int)below(r, SESSIONS);
    struct member *m = r->members[i];
    if (m == NULL) {
        member_open(r, i);
        return;
    }
    if (m->told_to_go) {
        member_close(r, i);
        return;
    }
    switch (below(r, 20)) {
    case 0:
        member_close(r, i);
        break;
    case 1:
        control(r);
        break;
    case 2:
    case 3:
        ask(r);
        break;
    case 4:
    case 5:
    case 6:
    case 7:
        subscribe(r, m);
        break;
    case 8:
    case 9:
        if (m->session.subscriptions != NULL)
            hub_unsubscribe(m->session.subscriptions); // also one that is under way
        break;
    case 10:
        atomic_store(&r->hub->node->policy, &r->policies[below(r, 2)]);
        break;
    case 11:
    case 12:
    case 13:
        member_read(m);
        break;
    default:
        publish(r);
        break;
    }
}

/* What a flusher does at the end of a pass. */
static void pass_feeds(struct outflow *o)
{
    while (!list_empty(&o->feeds)) {
        struct feed *f = container_of(o->feeds.next, struct feed, link);
        struct cursor *c;
        while ((c = feed_next(f)) != NULL) {
            c->sink->blocked = !cursor_overrun(c) && cursor_behind(c);
            feed_visited(f, c);
        }
        feed_pass_end(f);
    }
}

static bool runner_step(struct work *w)
{
    struct runner *r = container_of(w, struct runner, work);
    for (unsigned n = below(r, 8); n > 0 && r->steps < STEPS; n--, r->steps++)
        one_step(r);
    pass_feeds(&r->outflow);
    if (r->steps < STEPS || r->answered < r->asked || r->over)
        return r->steps < STEPS;
    r->over = true;
    if (atomic_fetch_add(r->done_count, 1) + 1 == LOOPS) {
        for (int i = 0; i < LOOPS; i++)
            loop_stop(r->all[i].loop);
    }
    return false;
}

static void *run(void *arg)
{
    loop_run(((struct runner *)arg)->loop);
    return NULL;
}

static const struct namespace_options namespaces[] = {
    {STR("plain"), {.client_subscribe = true}},
    {STR("room"),
     {.presence = true, .join_leave = true, .client_subscribe = true, .subscribers_max = 10}},
    {STR("news"), {.history_count = 20, .recover = true, .client_subscribe = true}},
    {STR(""), {.client_subscribe = true, .cache = true, .history_count = 1}},
};

/* Without presence and with less history. */
static const struct namespace_options changed[] = {
    {STR("plain"), {.client_subscribe = true, .history_count = 3, .recover = true}},
    {STR("room"), {.client_subscribe = true}},
    {STR("news"), {.history_count = 2, .recover = true, .client_subscribe = true}},
};

#define POLICY(list, n)                                                                            \
    {                                                                                              \
        .namespaces = list, .namespace_count = n, .channel_name_max = 64, .channels_max = 100,     \
        .channels_per_session_max = 5, .feed_bytes_max = 4096, .idempotency_ttl_ms = 1000,         \
        .idempotency_max = 4, .epoch_idle_ms = 60000                                               \
    }
static const struct policy policies[2] = {POLICY(namespaces, 4), POLICY(changed, 3)};
#undef POLICY

static void nothing_is_left_of_a_churn(void **state)
{
    (void)state;
    struct loop *loops[LOOPS];
    struct runner *runners = calloc(LOOPS, sizeof(*runners));
    atomic_int done_count = 0;
    for (unsigned i = 0; i < LOOPS; i++)
        loops[i] = loop_create(i);
    struct node *node = node_create(loops, LOOPS, &policies[0], LOOPS * SESSIONS);
    for (unsigned i = 0; i < LOOPS; i++) {
        struct runner *r = &runners[i];
        *r = (struct runner){.work = {.run = runner_step},
                             .hub = node_hub(node, i),
                             .loop = loops[i],
                             .random = i + 1,
                             .all = runners,
                             .done_count = &done_count,
                             .policies = policies};
        list_init(&r->work.link);
        outflow_init(&r->outflow);
        hub_set_outflow(r->hub, &r->outflow);
        loop_add_work(loops[i], &r->work);
    }
    for (int i = 0; i < LOOPS; i++)
        assert_int_equal(pthread_create(&runners[i].thread, NULL, run, &runners[i]), 0);
    for (int i = 0; i < LOOPS; i++) {
        pthread_join(runners[i].thread, NULL);
        loop_remove_work(&runners[i].work);
    }
    for (int i = 0; i < LOOPS * SESSIONS; i++) {
        if (runners[i / SESSIONS].members[i % SESSIONS] != NULL)
            member_close(&runners[i / SESSIONS], i % SESSIONS);
    }
    for (int i = 0; i < 30 * LOOPS; i++)
        loop_turn(loops[i % LOOPS], 0);
    struct hub_stats stats;
    node_read_stats(node, &stats);
    assert_int_equal(stats.sessions, 0);
    assert_int_equal(stats.subscriptions, 0);
    assert_int_equal(stats.users, 0);
    assert_int_equal(atomic_load(&node->sessions), 0);
    assert_true(stats.publishes > 0 && stats.joins > 0);
    for (int i = 0; i < LOOPS; i++) {
        struct hub *hub = node_hub(node, (unsigned)i);
        assert_int_equal(hub->fanouts.count, 0);
        assert_int_equal(hub->patterns.count, 0);
        assert_int_equal(hub->local_pattern_count, 0);
        for (struct map_node *n = map_first(&hub->channels); n != NULL;
             n = map_next(&hub->channels, n)) {
            const struct channel *ch = container_of(n, struct channel, node);
            assert_int_equal(ch->subscriber_count, 0);
            assert_int_equal(ch->loops, 0);
            assert_true(ch->presence == NULL || presence_client_count(ch->presence) == 0);
            assert_true(ch->offset > 0 || ch->history.count > 0 || ch->idempotency != NULL);
        }
        assert_true(runners[i].graves > 0);
    }
    node_destroy(&node);
    for (int i = 0; i < LOOPS; i++)
        loop_destroy(&loops[i]);
    free(runners);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(nothing_is_left_of_a_churn)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
