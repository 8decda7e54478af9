/*
 * record_seam_test.c - messages are written on several loops while readers on all of them come, go
 * and are slow: everybody puts together exactly what was written. Run under ThreadSanitizer as
 * well.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "unit/hub/record_reader.h"

#include <pthread.h>

enum { LOOPS = 3, READERS = 3, WORDS = 1500 };

struct following {
    struct runner *runner;
    struct record_reader *reader;
    unsigned channel, patience;
};

struct runner {
    struct work work;
    struct hub *hub;
    struct loop *loop;
    struct outflow outflow;
    pthread_t thread;
    struct following follows[LOOPS * READERS]; // READERS of each message
    struct record *record;
    unsigned index, written, random;
    atomic_int *done_count;
    struct runner *all;
    bool said_done, stored;
};

static const struct str channels[LOOPS] = {{"big:0", 5}, {"big:1", 5}, {"big:2", 5}};

static unsigned next_random(struct runner *r, unsigned below)
{
    r->random = r->random * 1103515245u + 12345u;
    return (r->random >> 16) % below;
}

static void finished(void *ctx, const struct answer *a)
{
    struct runner *r = ctx;
    MUST(a->err == ERR_OK);
    r->stored = true;
}

static void write_some(struct runner *r)
{
    unsigned portion = next_random(r, 8);
    for (unsigned i = 0; i < portion && r->written < WORDS; i++) {
        char word[16];
        int n = snprintf(word, sizeof(word), "%u ", r->written++);
        MUST(record_append(r->record, (struct str){word, (size_t)n}));
    }
    if (r->written == WORDS && r->record != NULL)
        record_finish(&r->record, RECORD_COMPLETE, STR_NONE, finished, r);
}

static void follow_step(struct following *f)
{
    struct record_reader *rd = f->reader;
    struct runner *r = f->runner;
    struct str channel = channels[f->channel];
    if (rd->asking || rd->ended)
        return;
    if (!rd->following) {
        f->patience = next_random(r, 40) + 1;
        reader_join(rd, channel, true);
        return;
    }
    if (next_random(r, 3) > 0)
        return; // reads in its own time
    reader_read(rd);
    struct subscription *sub = session_find(&rd->fake->session, channel);
    if (!rd->ended && --f->patience == 0 && sub != NULL && !sub->resyncing) {
        rd->following = false;
        hub_unsubscribe(sub);
    }
    f->patience += f->patience == 0;
}

static bool runner_step(struct work *w)
{
    struct runner *r = container_of(w, struct runner, work);
    bool done = r->stored;
    if (r->record != NULL)
        write_some(r);
    for (int i = 0; i < LOOPS * READERS; i++) {
        struct following *f = &r->follows[i];
        follow_step(f);
        done = done && f->reader->ended;
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

static void runner_begin(struct runner *r, unsigned index, struct runner *all, struct node *node,
                         struct loop *loop, atomic_int *done_count)
{
    *r = (struct runner){.work = {.run = runner_step},
                         .hub = node_hub(node, index),
                         .loop = loop,
                         .index = index,
                         .random = index + 1,
                         .done_count = done_count,
                         .all = all};
    list_init(&r->work.link);
    outflow_init(&r->outflow);
    hub_set_outflow(r->hub, &r->outflow);
    for (unsigned i = 0; i < LOOPS * READERS; i++)
        r->follows[i] =
            (struct following){.runner = r, .reader = reader_make(r->hub), .channel = i % LOOPS};
    r->record = record_open(r->hub,
                            &(struct record_params){.tenant = STR("t"),
                                                    .channel = channels[index],
                                                    .id = STR("1"),
                                                    .role = STR("assistant")},
                            NULL, NULL);
    MUST(r->record != NULL);
    loop_add_work(loop, &r->work);
}

static void runner_end(struct runner *r)
{
    char want[WORDS * 8];
    struct buf b = buf_on(want, sizeof(want));
    for (unsigned i = 0; i < WORDS; i++)
        MUST(buf_add_format(&b, "%u ", i));
    for (int i = 0; i < LOOPS * READERS; i++) {
        struct record_reader *rd = r->follows[i].reader;
        assert_true(rd->ended);
        assert_int_equal(rd->text.len, b.len);
        assert_memory_equal(rd->text.p, b.p, b.len);
        reader_free(rd);
    }
}

static void everybody_puts_together_the_same(void **state)
{
    (void)state;
    static const struct namespace_options big = {
        {"big", 3}, {.history_count = 100, .recover = true, .client_subscribe = true}};
    static const struct policy policy = {.namespaces = &big,
                                         .namespace_count = 1,
                                         .channel_name_max = 64,
                                         .channels_max = 100,
                                         .channels_per_session_max = 4,
                                         .feed_bytes_max = 2048,
                                         .epoch_idle_ms = 60000};
    struct loop *loops[LOOPS];
    struct runner *runners = calloc(LOOPS, sizeof(*runners));
    atomic_int done_count = 0;
    for (unsigned i = 0; i < LOOPS; i++)
        loops[i] = loop_create(i);
    struct node *node = node_create(loops, LOOPS, &policy, 100);
    for (unsigned i = 0; i < LOOPS; i++)
        runner_begin(&runners[i], i, runners, node, loops[i], &done_count);
    for (int i = 0; i < LOOPS; i++)
        assert_int_equal(pthread_create(&runners[i].thread, NULL, run, &runners[i]), 0);
    for (int i = 0; i < LOOPS; i++) {
        pthread_join(runners[i].thread, NULL);
        loop_remove_work(&runners[i].work);
    }
    for (int i = 0; i < LOOPS * LOOPS * READERS; i++)
        fake_close(runners[i / (LOOPS * READERS)].follows[i % (LOOPS * READERS)].reader->fake);
    for (int i = 0; i < 20 * LOOPS; i++)
        loop_turn(loops[i % LOOPS], 0);
    struct hub_stats stats;
    node_read_stats(node, &stats);
    assert_true(stats.record_appends == LOOPS * WORDS && stats.records == 0);
    for (int i = 0; i < LOOPS; i++)
        runner_end(&runners[i]);
    node_destroy(&node);
    for (int i = 0; i < LOOPS; i++)
        loop_destroy(&loops[i]);
    free(runners);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(everybody_puts_together_the_same)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
