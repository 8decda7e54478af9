/*
 * seam_test.c - several loops publish to one channel while subscribers on all of them come, go and
 * recover: everybody gets every publication once, in order. Run under ThreadSanitizer as well.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "unit/hub/fake_session.h"

#include <pthread.h>

enum { LOOPS = 3, SUBSCRIBERS = 4, PER_LOOP = 2000, TOTAL = LOOPS * PER_LOOP };

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
    uint32_t sent;
    unsigned random;
    atomic_int *done_count;
    struct runner *all;
    bool said_done;
};

static unsigned next_random(struct runner *r, unsigned below)
{
    r->random = r->random * 1103515245u + 12345u;
    return (r->random >> 16) % below;
}

/* Every line of the fake encoding is "big:s#OFFSET x". */
static void take_lines(struct reader *rd)
{
    struct str rest = buf_str(&rd->fake->told);
    while (rest.n > 0) {
        struct str line = str_cut(&rest, '\n'), offset = str_skip(line, 6);
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

static void subscribed(void *ctx, const struct answer *a)
{
    struct reader *rd = ctx;
    rd->asking = false;
    if (a->err == ERR_EXPIRED)
        return; // the test is over: the session has closed
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
        rd->asking = true;
        rd->patience = next_random(r, 300) + 1;
        hub_subscribe(&rd->fake->session,
                      &(struct subscribe_params){.channel = STR("big:s"),
                                                 .encoding = &fake_encoding,
                                                 .recover = true,
                                                 .since = rd->at},
                      subscribed, rd);
        return;
    }
    if (next_random(r, 3) > 0)
        return; // reads in its own time: logs run over
    fake_read(rd->fake);
    take_lines(rd);
    struct subscription *sub = session_find(&rd->fake->session, STR("big:s"));
    if (rd->patience == 0 && !sub->resyncing) {
        rd->following = false;
        hub_unsubscribe(sub);
    }
}

static void published(void *ctx, const struct answer *a)
{
    (void)ctx;
    MUST(a->err == ERR_OK && a->position.offset > 0);
}

static bool runner_step(struct work *w)
{
    struct runner *r = container_of(w, struct runner, work);
    uint32_t portion = next_random(r, 20);
    for (uint32_t i = 0; i < portion && r->sent < PER_LOOP; i++, r->sent++)
        hub_publish(
            r->hub,
            &(struct publish_params){.tenant = STR("t"), .channel = STR("big:s"), .data = STR("x")},
            published, NULL);
    bool done = true;
    for (int i = 0; i < SUBSCRIBERS; i++) {
        reader_step(&r->readers[i]);
        done = done && r->readers[i].at.offset == TOTAL;
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

static void everybody_gets_everything_once(void **state)
{
    (void)state;
    static const struct namespace_options big = {
        STR("big"), {.history_count = TOTAL, .recover = true, .client_subscribe = true}};
    static const struct policy policy = {.namespaces = &big,
                                         .namespace_count = 1,
                                         .channel_name_max = 64,
                                         .channels_max = 100,
                                         .channels_per_session_max = 4,
                                         .feed_bytes_max = 4096,
                                         .epoch_idle_ms = 60000};
    struct loop *loops[LOOPS];
    struct runner *runners = calloc(LOOPS, sizeof(*runners));
    atomic_int done_count = 0;
    for (unsigned i = 0; i < LOOPS; i++)
        loops[i] = loop_create(i);
    struct node *node = node_create(loops, LOOPS, &policy, 100);
    for (unsigned i = 0; i < LOOPS; i++) {
        struct runner *r = &runners[i];
        *r = (struct runner){.work = {.run = runner_step},
                             .hub = node_hub(node, i),
                             .loop = loops[i],
                             .random = i + 1,
                             .done_count = &done_count,
                             .all = runners};
        list_init(&r->work.link);
        outflow_init(&r->outflow);
        hub_set_outflow(r->hub, &r->outflow);
        for (int k = 0; k < SUBSCRIBERS; k++)
            r->readers[k] = (struct reader){.runner = r, .fake = fake_open(r->hub, "t", "")};
        loop_add_work(loops[i], &r->work);
    }
    for (int i = 0; i < LOOPS; i++)
        assert_int_equal(pthread_create(&runners[i].thread, NULL, run, &runners[i]), 0);
    for (int i = 0; i < LOOPS; i++) {
        pthread_join(runners[i].thread, NULL);
        loop_remove_work(&runners[i].work);
    }
    for (int i = 0; i < LOOPS * SUBSCRIBERS; i++)
        fake_close(runners[i / SUBSCRIBERS].readers[i % SUBSCRIBERS].fake);
    for (int i = 0; i < 20 * LOOPS; i++)
        loop_turn(loops[i % LOOPS], 0);
    struct hub_stats stats;
    node_read_stats(node, &stats);
    assert_true(stats.recovered > 0 && stats.not_recovered == 0);
    for (int i = 0; i < LOOPS * SUBSCRIBERS; i++)
        fake_free(runners[i / SUBSCRIBERS].readers[i % SUBSCRIBERS].fake);
    node_destroy(&node);
    for (int i = 0; i < LOOPS; i++)
        loop_destroy(&loops[i]);
    free(runners);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(everybody_gets_everything_once)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
