/*
 * durable_test.c - durable channels over a real store: what is kept, when a publish is answered,
 * and that several loops' publishers and subscribers that come back from long ago agree on one
 * order. Run under ThreadSanitizer as well.
 */
#include "unit/hub/hub_world.h"

#include <pthread.h>
#include <unistd.h>

enum { LOOPS = 3, SUBSCRIBERS = 3, PER_LOOP = 1500, TOTAL = LOOPS * PER_LOOP, KEPT = 100000 };

static char url[128];
static uint64_t streams_max = 1000;

static void retention(void *ctx, struct str key, struct store_retention *ret)
{
    (void)ctx;
    (void)key;
    *ret = (struct store_retention){.count = KEPT};
}

static struct store *store_make(void)
{
    struct buf why;
    buf_init(&why, 4096);
    struct store *s = store_open(&(struct store_options){.url = str_from(url),
                                                         .queue_bytes_max = 64 << 20,
                                                         .streams_max = streams_max,
                                                         .retention = retention},
                                 &why);
    if (s == NULL)
        fail_msg("%.*s", (int)why.len, why.p);
    buf_fini(&why);
    return s;
}

static void remove_files(void)
{
    static const char *const ends[] = {"", "-wal", "-shm", "-lock"};
    char name[160];
    for (int i = 0; i < 4; i++) {
        snprintf(name, sizeof(name), "%s%s", url + 7, ends[i]);
        unlink(name);
    }
}

static int begin(void **state)
{
    (void)state;
    snprintf(url, sizeof(url), "sqlite:/tmp/recado-durable-%d.db", (int)getpid());
    remove_files();
    return 0;
}

static int end(void **state)
{
    (void)state;
    remove_files();
    return 0;
}

/* ---- one world, turned by hand ---- */

struct durable_world {
    struct world *w;
    struct store *store;
};

static struct durable_world durable_begin(unsigned loops)
{
    struct durable_world d = {world_make(loops), store_make()};
    struct channel_options *o = &d.w->namespaces[0].options;
    o->durable = true;
    o->history_count = KEPT;
    node_set_store(d.w->node, d.store);
    return d;
}

static void durable_end(struct durable_world *d)
{
    store_stop(d->store);
    world_turn(d->w);
    node_destroy(&d->w->node);
    store_close(&d->store);
    for (unsigned i = 0; i < d->w->count; i++)
        loop_destroy(&d->w->loops[i]);
    free(d->w);
}

struct told {
    unsigned count;
    enum err err;
    bool duplicate;
    struct position position;
    size_t pub_count;
    uint64_t first, last;
    bool recovered;
};

static void tell(void *ctx, const struct answer *a)
{
    struct told *t = ctx;
    t->count++;
    t->err = a->err;
    t->duplicate = a->duplicate;
    t->position = a->position;
    t->recovered = a->recovered;
    t->pub_count = a->publication_count;
    for (size_t i = 0; i < a->publication_count; i++) {
        if (i > 0)
            assert_int_equal(a->publications[i]->offset, t->last + 1);
        t->last = a->publications[i]->offset;
        if (i == 0)
            t->first = t->last;
    }
}

static void wait_told(struct world *w, const struct told *t)
{
    while (t->count == 0) {
        for (unsigned i = 0; i < w->count; i++)
            loop_turn(w->loops[i], 1);
    }
}

static struct told publish(struct world *w, const char *key, uint64_t size)
{
    struct told t = {0};
    char *data = malloc(size + 1);
    memset(data, 'x', size + 1);
    hub_publish(world_hub(w, 0),
                &(struct publish_params){.tenant = STR("t"),
                                         .channel = STR("news:a"),
                                         .data = {data, size},
                                         .idempotency_key = str_from(key)},
                tell, &t);
    wait_told(w, &t);
    free(data);
    return t;
}

static struct told history(struct world *w, const struct history_params *p)
{
    struct told t = {0};
    hub_history(world_hub(w, 0), p, tell, &t);
    wait_told(w, &t);
    return t;
}

static struct told history_from(struct world *w, uint64_t since)
{
    return history(w, &(struct history_params){.tenant = STR("t"),
                                               .channel = STR("news:a"),
                                               .limit = -1,
                                               .has_since = true,
                                               .since = {since, 0}});
}

static void a_stream_goes_on_after_a_restart(void **state)
{
    (void)state;
    struct durable_world d = durable_begin(2);
    struct told t = {0};
    for (uint64_t i = 1; i <= 1500; i++) {
        t = publish(d.w, "", 10);
        assert_int_equal(t.err, ERR_OK);
        assert_int_equal(t.position.offset, i);
    }
    uint32_t epoch = t.position.epoch;
    t = history_from(d.w, 0); // older than memory, and what is in memory behind it
    assert_int_equal(t.pub_count, 1500);
    assert_int_equal(t.first, 1);
    durable_end(&d);

    d = durable_begin(3);
    t = history_from(d.w, 1000);
    assert_int_equal(t.position.offset, 1500);
    assert_int_equal(t.position.epoch, epoch);
    assert_int_equal(t.pub_count, 500);
    t = publish(d.w, "", 10);
    assert_int_equal(t.position.offset, 1501);
    t = history(d.w, &(struct history_params){.tenant = STR("t"),
                                              .channel = STR("news:a"),
                                              .limit = 3,
                                              .reverse = false,
                                              .has_since = true,
                                              .since = {1499, epoch}});
    assert_int_equal(t.first, 1500);
    assert_int_equal(t.last, 1501);
    t = history_from(d.w, UINT64_MAX);
    assert_int_equal(t.pub_count, 0);
    durable_end(&d);
}

static uint64_t store_reads(struct durable_world *d)
{
    struct store_state state;
    store_read_state(d->store, &state);
    return state.reads;
}

/* A hundred who were away come back in one turn. */
static void who_asks_for_the_same_is_answered_from_one_read(void **state)
{
    (void)state;
    enum { CLIENTS = 100 };
    struct durable_world d = durable_begin(2);
    for (int i = 0; i < 10; i++)
        publish(d.w, "", 10);
    durable_end(&d);
    d = durable_begin(2);
    uint64_t before = store_reads(&d);
    struct told all[CLIENTS] = {0}, other = {0};
    struct history_params p = {.tenant = STR("t"), .channel = STR("news:a"), .limit = 5};
    for (int i = 0; i < CLIENTS; i++)
        hub_history(world_hub(d.w, (unsigned)i % 2), &p, tell, &all[i]);
    p.limit = 3;
    hub_history(world_hub(d.w, 0), &p, tell, &other);
    for (int i = 0; i < CLIENTS; i++) {
        wait_told(d.w, &all[i]);
        assert_int_equal(all[i].err, ERR_OK);
        assert_int_equal(all[i].pub_count, 5);
        assert_int_equal(all[i].first, all[0].first);
    }
    wait_told(d.w, &other);
    assert_int_equal(other.pub_count, 3);
    assert_in_range(store_reads(&d) - before, 2, 3); // the other loop's may come behind the first
    durable_end(&d);
}

static void forgotten_is_forgotten_over_a_restart(void **state)
{
    (void)state;
    struct durable_world d = durable_begin(2);
    struct told gone = {0}, t;
    for (int i = 0; i < 10; i++)
        t = publish(d.w, "", 10);
    hub_history_remove(world_hub(d.w, 1), STR("t"), STR("news:a"), tell, &gone);
    wait_told(d.w, &gone);
    assert_int_equal(gone.err, ERR_OK);
    assert_int_equal(history_from(d.w, 0).pub_count, 0);
    uint64_t at = t.position.offset;
    durable_end(&d);
    d = durable_begin(2);
    t = history_from(d.w, 0);
    assert_int_equal(t.pub_count, 0);
    assert_int_equal(t.position.offset, at);
    t = publish(d.w, "", 10);
    assert_int_equal(t.position.offset, at + 1);
    t = history_from(d.w, 0);
    assert_int_equal(t.first, at + 1);
    durable_end(&d);
}

/* The second is answered when the first is, not before: both are asked for in one turn. */
static void a_repeated_publish_waits_for_the_first(void **state)
{
    (void)state;
    struct durable_world d = durable_begin(1);
    struct told first = {0}, second = {0};
    struct publish_params p = {.tenant = STR("t"),
                               .channel = STR("news:a"),
                               .data = STR("x"),
                               .idempotency_key = STR("key")};
    hub_publish(world_hub(d.w, 0), &p, tell, &first);
    hub_publish(world_hub(d.w, 0), &p, tell, &second);
    assert_int_equal(first.count + second.count, 0);
    wait_told(d.w, &second);
    assert_int_equal(first.count, 1);
    assert_true(second.duplicate && !first.duplicate);
    assert_int_equal(first.position.offset, second.position.offset);
    struct told third = publish(d.w, "key", 1);
    assert_true(third.duplicate);
    durable_end(&d);
}

static void what_cannot_be_stored_is_refused_before(void **state)
{
    (void)state;
    streams_max = 100;
    struct durable_world d = durable_begin(1);
    uint64_t at = history_from(d.w, 0).position.offset;
    assert_int_equal(publish(d.w, "", STORE_EVENT_BYTES_MAX + 1).err, ERR_BAD_REQUEST);
    assert_int_equal(publish(d.w, "", 1).position.offset, at + 1);
    struct told t = {0};
    for (int i = 0; i < 200 && t.err == ERR_OK; i++) {
        char name[32];
        snprintf(name, sizeof(name), "news:%d", i);
        t = (struct told){0};
        d.w->policy.channels_max = 1000;
        hub_publish(world_hub(d.w, 0),
                    &(struct publish_params){
                        .tenant = STR("t"), .channel = str_from(name), .data = STR("x")},
                    tell, &t);
        wait_told(d.w, &t);
    }
    assert_int_equal(t.err, ERR_LIMIT_EXCEEDED); // streams_max
    assert_int_equal(publish(d.w, "", 1).position.offset, at + 2);
    durable_end(&d);
    streams_max = 1000;
}

/* Sessions close while their subscriptions wait for the store, and the store ends with reads and
 * appends under way: everybody is answered once, and nothing is lost (the sanitizers look). */
static void ends_in_the_middle(void **state)
{
    (void)state;
    for (int round = 0; round < 20; round++) {
        struct durable_world d = durable_begin(2);
        struct told published[50] = {0}, subscribed[8] = {0};
        struct fake *fakes[8];
        for (int i = 0; i < 8; i++) {
            fakes[i] = fake_open(world_hub(d.w, i % 2), "t", "");
            hub_subscribe(&fakes[i]->session,
                          &(struct subscribe_params){.channel = STR("news:a"),
                                                     .encoding = &fake_encoding,
                                                     .recover = true,
                                                     .since = {1, 0}},
                          tell, &subscribed[i]);
        }
        for (int i = 0; i < 50; i++)
            hub_publish(world_hub(d.w, i % 2),
                        &(struct publish_params){
                            .tenant = STR("t"), .channel = STR("news:a"), .data = STR("x")},
                        tell, &published[i]);
        for (int i = 0; i < round; i++)
            loop_turn(d.w->loops[i % 2], 0);
        for (int i = 0; i < 8; i += 2)
            fake_close(fakes[i]);
        if (round % 2 == 0) { // the mail of the loops comes to a store that has ended
            store_stop(d.store);
        }
        for (int i = 1; i < 8; i += 2)
            fake_close(fakes[i]);
        store_stop(d.store);
        for (int i = 0; i < 30; i++)
            world_turn(d.w);
        for (int i = 0; i < 50; i++)
            assert_int_equal(published[i].count, 1);
        for (int i = 0; i < 8; i++) {
            assert_int_equal(subscribed[i].count, 1);
            fake_free(fakes[i]);
        }
        durable_end(&d);
    }
}

/* ---- several loops, each with a thread ---- */

struct reader {
    struct runner *runner;
    struct fake *fake;
    struct position at; // has everything up to here
    bool asking, following;
    uint32_t patience; // publications until it leaves again
};

struct runner {
    struct work work;
    struct hub *hub;
    struct loop *loop;
    struct outflow outflow;
    pthread_t thread;
    struct reader readers[SUBSCRIBERS];
    uint32_t sent, acknowledged;
    uint64_t base;
    unsigned random;
    atomic_int *done_count;
    struct runner *all;
    bool said_done, asking_history;
};

static unsigned next_random(struct runner *r, unsigned below)
{
    r->random = r->random * 1103515245u + 12345u;
    return (r->random >> 16) % below;
}

/* Every line of the fake encoding is "news:s#OFFSET x". */
static void take_lines(struct reader *rd)
{
    struct str rest = buf_str(&rd->fake->told);
    while (rest.n > 0) {
        struct str line = str_cut(&rest, '\n'), offset = str_skip(line, 7);
        uint64_t n;
        offset = str_cut(&offset, ' ');
        MUST(str_to_u64(offset, &n));
        MUST(n == rd->at.offset + 1); // neither gap nor duplicate
        rd->at.offset = n;
        if (rd->patience > 0)
            rd->patience--;
    }
    buf_clear(&rd->fake->told);
}

static void reader_subscribed(void *ctx, const struct answer *a)
{
    struct reader *rd = ctx;
    rd->asking = false;
    if (a->err == ERR_EXPIRED || a->err == ERR_NOT_STORED)
        return; // the test is over
    MUST(a->err == ERR_OK && a->recovered);
    rd->at.epoch = a->position.epoch;
    for (size_t i = 0; i < a->publication_count; i++) {
        MUST(a->publications[i]->offset == rd->at.offset + 1);
        rd->at.offset++;
    }
    rd->following = true;
}

static void reader_step(struct reader *rd)
{
    struct runner *r = rd->runner;
    if (rd->asking)
        return;
    if (!rd->following) {
        if (next_random(r, 20) > 0)
            return; // away for a while: memory moves on
        rd->asking = true;
        rd->patience = next_random(r, 600) + 1;
        hub_subscribe(&rd->fake->session,
                      &(struct subscribe_params){.channel = STR("news:s"),
                                                 .encoding = &fake_encoding,
                                                 .recover = true,
                                                 .since = rd->at},
                      reader_subscribed, rd);
        return;
    }
    if (next_random(r, 3) > 0)
        return; // reads in its own time: logs run over
    fake_read(rd->fake);
    take_lines(rd);
    struct subscription *sub = session_find(&rd->fake->session, STR("news:s"));
    if (rd->patience == 0 && !sub->resyncing) {
        rd->following = false;
        hub_unsubscribe(sub);
    }
}

static void history_gapless(void *ctx, const struct answer *a)
{
    struct runner *r = ctx;
    r->asking_history = false;
    if (a->err == ERR_NOT_STORED)
        return; // the test is over
    MUST(a->err == ERR_OK);
    for (size_t i = 1; i < a->publication_count; i++)
        MUST(a->publications[i]->offset == a->publications[i - 1]->offset + 1);
    if (a->publication_count > 0)
        MUST(a->publications[0]->offset == r->base + 1);
}

static void published(void *ctx, const struct answer *a)
{
    struct runner *r = ctx;
    MUST(a->err == ERR_OK && a->position.offset > 0);
    r->acknowledged++;
}

static bool runner_step(struct work *w)
{
    struct runner *r = container_of(w, struct runner, work);
    uint32_t portion = next_random(r, 20);
    for (uint32_t i = 0; i < portion && r->sent < PER_LOOP; i++, r->sent++)
        hub_publish(r->hub,
                    &(struct publish_params){
                        .tenant = STR("t"), .channel = STR("news:s"), .data = STR("x")},
                    published, r);
    if (!r->asking_history && next_random(r, 50) == 0) {
        r->asking_history = true;
        hub_history(r->hub,
                    &(struct history_params){.tenant = STR("t"),
                                             .channel = STR("news:s"),
                                             .limit = (int64_t)next_random(r, 3000) + 1,
                                             .has_since = true,
                                             .since = {r->base, 0}},
                    history_gapless, r);
    }
    bool done = r->acknowledged == PER_LOOP;
    for (int i = 0; i < SUBSCRIBERS; i++) {
        reader_step(&r->readers[i]);
        done = done && r->readers[i].at.offset == r->base + TOTAL;
    }
    if (done && !r->said_done) {
        r->said_done = true;
        if (atomic_fetch_add(r->done_count, 1) + 1 == LOOPS) {
            for (int i = 0; i < LOOPS; i++)
                loop_stop(r->all[i].loop);
        }
    }
    return true;
}

static void *run(void *arg)
{
    loop_run(((struct runner *)arg)->loop);
    return NULL;
}

static void runners_go(struct durable_world *d, uint64_t base)
{
    struct runner *runners = calloc(LOOPS, sizeof(*runners));
    atomic_int done_count = 0;
    for (unsigned i = 0; i < LOOPS; i++) {
        struct runner *r = &runners[i];
        *r = (struct runner){.work = {.run = runner_step},
                             .hub = world_hub(d->w, i),
                             .loop = d->w->loops[i],
                             .random = i + 1,
                             .base = base,
                             .done_count = &done_count,
                             .all = runners};
        list_init(&r->work.link);
        for (int k = 0; k < SUBSCRIBERS; k++)
            r->readers[k] =
                (struct reader){.runner = r, .fake = fake_open(r->hub, "t", ""), .at = {base, 0}};
        loop_add_work(r->loop, &r->work);
    }
    for (int i = 0; i < LOOPS; i++)
        assert_int_equal(pthread_create(&runners[i].thread, NULL, run, &runners[i]), 0);
    for (int i = 0; i < LOOPS; i++) {
        pthread_join(runners[i].thread, NULL);
        loop_remove_work(&runners[i].work);
    }
    for (int i = 0; i < LOOPS * SUBSCRIBERS; i++)
        fake_close(runners[i / SUBSCRIBERS].readers[i % SUBSCRIBERS].fake);
    store_stop(d->store);
    for (int i = 0; i < 10; i++)
        world_turn(d->w);
    struct hub_stats stats;
    node_read_stats(d->w->node, &stats);
    assert_true(stats.recovered > 0 && stats.not_recovered == 0);
    for (int i = 0; i < LOOPS * SUBSCRIBERS; i++)
        fake_free(runners[i / SUBSCRIBERS].readers[i % SUBSCRIBERS].fake);
    free(runners);
}

/* Twice, with a restart between: the second time everybody begins with what the first has left. */
static void everybody_gets_everything_once(void **state)
{
    (void)state;
    for (uint64_t round = 0; round < 2; round++) {
        struct durable_world d = durable_begin(LOOPS);
        d.w->policy.feed_bytes_max = 4096;
        struct store_state before, after;
        store_read_state(d.store, &before);
        runners_go(&d, round * TOTAL);
        store_read_state(d.store, &after);
        assert_true(after.reads > before.reads); // some were older than memory
        assert_int_equal(after.events, TOTAL);
        durable_end(&d);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stream_goes_on_after_a_restart),
        cmocka_unit_test(who_asks_for_the_same_is_answered_from_one_read),
        cmocka_unit_test(forgotten_is_forgotten_over_a_restart),
        cmocka_unit_test(a_repeated_publish_waits_for_the_first),
        cmocka_unit_test(what_cannot_be_stored_is_refused_before),
        cmocka_unit_test(ends_in_the_middle),
        cmocka_unit_test(everybody_gets_everything_once),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
