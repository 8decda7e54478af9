/*
 * record_test.c - messages that are still being written: who joins when, on which loop, however
 * slow, puts together exactly what was written.
 */
#include "unit/hub/hub_world.h"
#include "unit/hub/record_reader.h"

static struct record *open_on(struct world *w, unsigned loop, const char *channel,
                              struct answer *ret)
{
    *ret = (struct answer){.err = ERR_INTERNAL};
    return record_open(world_hub(w, loop),
                       &(struct record_params){.tenant = STR("t"),
                                               .channel = str_from(channel),
                                               .id = STR("7"),
                                               .role = STR("assistant"),
                                               .head = STR("\"model\":\"m\"")},
                       keep_answer, ret);
}

static void close_and_free(struct world *w, struct record_reader *rd)
{
    fake_close(rd->fake);
    world_turn(w);
    reader_free(rd);
}

static void what_is_said(void **state)
{
    (void)state;
    struct world *w = world_make(1);
    struct answer a;
    struct fake *f = fake_open(world_hub(w, 0), "t", "");
    subscribe_to(f, "news:1", &a);
    struct record *r = open_on(w, 0, "news:1", &a);
    assert_int_equal(a.err, ERR_OK);
    assert_int_equal(a.position.offset, 0);
    assert_true(a.position.epoch != 0);
    assert_told(f, "news:1#0 {\"id\":7,\"role\":\"assistant\",\"state\":\"streaming\","
                   "\"content\":\"\",\"seq\":0,\"model\":\"m\"}\n");
    assert_true(record_append(r, STR("Ol\xC3\xA1 \"")));
    assert_true(record_append(r, STR("mundo\n")));
    assert_told(f, "news:1#0 {\"id\":7,\"seq\":1,\"text\":\"Ol\xC3\xA1 \\\"\"}\n"
                   "news:1#0 {\"id\":7,\"seq\":2,\"text\":\"mundo\\n\"}\n");
    record_finish(&r, RECORD_COMPLETE, STR("\"tokens\":3"), keep_answer, &a);
    assert_null(r);
    assert_int_equal(a.position.offset, 1);
    assert_told(f, "news:1#1 {\"id\":7,\"role\":\"assistant\",\"state\":\"complete\",\"content\":"
                   "\"Ol\xC3\xA1 \\\"mundo\\n\",\"seq\":2,\"model\":\"m\",\"tokens\":3}\n");
    fake_close(f);
    fake_free(f);
    world_end(w);
}

/* ---- everybody puts together the same ---- */

enum { JOINERS = 60, STEPS = 600 };

struct play {
    struct world *w;
    struct record *record;
    struct record_reader *readers[JOINERS];
    unsigned reader_count, random, written;
    const char *channel;
    struct buf text;
};

static unsigned play_random(struct play *p, unsigned below)
{
    p->random = p->random * 1103515245u + 12345u;
    return (p->random >> 16) % below;
}

static void play_append(struct play *p)
{
    char word[32];
    int n = snprintf(word, sizeof(word), "%u\xC3\xA7\n ", p->written++);
    assert_true(record_append(p->record, (struct str){word, (size_t)n}));
    assert_true(buf_add(&p->text, (struct str){word, (size_t)n}));
}

static void play_join(struct play *p, bool recover)
{
    if (p->reader_count == JOINERS)
        return;
    struct record_reader *rd = reader_make(world_hub(p->w, play_random(p, p->w->count)));
    p->readers[p->reader_count++] = rd;
    reader_join(rd, str_from(p->channel), recover);
}

static void play_step(struct play *p, bool history)
{
    static struct answer a; // nobody looks: it comes at any time
    switch (play_random(p, 8)) {
    case 0:
        play_join(p, false);
        break;
    case 1:
        if (history)
            publish_to(p->w, play_random(p, p->w->count), p->channel, "", &a);
        break;
    case 2:
    case 3:
        if (p->reader_count > 0)
            reader_read(p->readers[play_random(p, p->reader_count)]);
        break;
    case 4:
    case 5:
        loop_turn(p->w->loops[play_random(p, p->w->count)], 0);
        break;
    default:
        play_append(p);
    }
}

static void play_through(struct play *p, bool history, bool leave_some)
{
    struct answer a;
    buf_init(&p->text, 1 << 20);
    p->record = open_on(p->w, play_random(p, p->w->count), p->channel, &a);
    for (int i = 0; i < STEPS; i++)
        play_step(p, history);
    for (unsigned i = 0; leave_some && i < p->reader_count; i += 3)
        fake_close(p->readers[i]->fake);
    record_finish(&p->record, RECORD_COMPLETE, STR_NONE, keep_answer, &a);
    world_turn(p->w);
    assert_int_equal(a.err, ERR_OK);
    for (unsigned i = 0; i < p->reader_count; i++) {
        struct record_reader *rd = p->readers[i];
        if (leave_some && i % 3 == 0) {
            reader_free(rd);
            continue;
        }
        for (int k = 0; k < 3; k++) { // whoever is slow is told in rounds
            reader_read(rd);
            world_turn(p->w);
        }
        assert_true(rd->ended);
        assert_int_equal(rd->text.len, p->text.len);
        assert_memory_equal(rd->text.p, p->text.p, p->text.len);
        close_and_free(p->w, rd);
    }
    buf_fini(&p->text);
}

static void joiners_at_every_moment(void **state)
{
    (void)state;
    for (unsigned seed = 1; seed <= 12; seed++) {
        struct play p = {.w = world_make(1 + seed % 3), .random = seed};
        p.channel = world_channel(p.w, seed % 2 ? "news" : "plain", seed % p.w->count);
        p.w->namespaces[0].options.history_count = 1000;
        play_through(&p, seed % 2, seed % 4 == 0);
        world_end(p.w);
    }
}

static void slow_readers(void **state)
{
    (void)state;
    for (unsigned seed = 1; seed <= 8; seed++) {
        struct play p = {.w = world_make(2), .random = seed};
        p.w->policy.feed_bytes_max = 300; // a log of a few words
        p.w->namespaces[0].options.history_count = 1000;
        p.channel = world_channel(p.w, "news", seed % 2);
        play_through(&p, true, false);
        struct hub_stats stats;
        node_read_stats(p.w->node, &stats);
        assert_true(stats.resyncs > 0);
        world_end(p.w);
    }
}

/* ---- recovery ---- */

static void recovery_with_an_offset(void **state)
{
    (void)state;
    struct world *w = world_make(2);
    struct answer a;
    const char *channel = world_channel(w, "news", 1);
    for (int i = 0; i < 3; i++)
        publish_to(w, 0, channel, "", &a);
    struct record *r = open_on(w, 0, channel, &a);
    world_turn(w);
    assert_int_equal(a.position.offset, 3);
    record_append(r, STR("first "));
    publish_to(w, 1, channel, "", &a);
    world_turn(w);
    struct record_reader *rd = reader_make(world_hub(w, 0));
    rd->offset = 2;
    reader_join(rd, str_from(channel), true);
    record_append(r, STR("second"));
    world_turn(w);
    reader_read(rd);
    assert_int_equal(rd->offset, 4); // what it had missed
    assert_int_equal(rd->plain_count, 2);
    assert_int_equal(rd->text.len, 12);
    record_finish(&r, RECORD_CANCELLED, STR_NONE, keep_answer, &a);
    world_turn(w);
    reader_read(rd);
    assert_int_equal(rd->offset, 5);
    assert_string_equal(rd->state, "\"cancelled\"");
    close_and_free(w, rd);
    world_end(w);
}

/* More was missed than one answer holds: the text comes behind all of it. */
static void recovery_in_rounds(void **state)
{
    (void)state;
    struct world *w = world_make(2);
    struct answer a;
    w->namespaces[0].options.history_count = 5000;
    const char *channel = world_channel(w, "news", 1);
    for (int i = 0; i < 2500; i++)
        publish_to(w, 1, channel, "", &a);
    struct record *r = open_on(w, 0, channel, &a);
    record_append(r, STR("so far "));
    world_turn(w);
    struct record_reader *rd = reader_make(world_hub(w, 0));
    reader_join(rd, str_from(channel), true);
    world_turn(w);
    assert_int_equal(rd->offset, 1000);
    assert_false(rd->knows);
    record_append(r, STR("and on"));
    for (int i = 0; i < 4; i++) {
        reader_read(rd);
        world_turn(w);
    }
    assert_int_equal(rd->offset, 2500);
    assert_int_equal(rd->text.len, 13);
    record_finish(&r, RECORD_COMPLETE, STR_NONE, NULL, NULL);
    world_turn(w);
    reader_read(rd);
    assert_true(rd->ended);
    close_and_free(w, rd);
    world_end(w);
}

/* ---- history ---- */

static void told_of(void *ctx, const struct answer *a)
{
    struct buf *b = ctx;
    assert_int_equal(a->err, ERR_OK);
    buf_clear(b);
    for (size_t i = 0; i < a->publication_count; i++)
        assert_true(buf_add_format(b, "%lu ", (unsigned long)a->publications[i]->offset));
    assert_true(buf_add_char(b, '\0'));
}

static void assert_history(struct world *w, struct history_params p, const char *want)
{
    char at[128];
    struct buf b = buf_on(at, sizeof(at));
    p.tenant = STR("t");
    p.channel = STR("news:h");
    hub_history(world_hub(w, 0), &p, told_of, &b);
    assert_string_equal(b.p, want);
}

static void history_ends_with_what_is_written(void **state)
{
    (void)state;
    struct world *w = world_make(1);
    struct answer a;
    for (int i = 0; i < 3; i++)
        publish_to(w, 0, "news:h", "", &a);
    struct record *r = open_on(w, 0, "news:h", &a);
    assert_history(w, (struct history_params){.limit = -1}, "1 2 3 0 ");
    assert_history(w, (struct history_params){.limit = 2}, "1 2 ");
    assert_history(w, (struct history_params){.limit = 3}, "1 2 3 0 ");
    assert_history(w, (struct history_params){.limit = 0}, "");
    assert_history(w, (struct history_params){.limit = 2, .reverse = true}, "0 3 2 ");
    assert_history(
        w,
        (struct history_params){.limit = 5, .reverse = true, .has_since = true, .since.offset = 3},
        "2 1 ");
    assert_history(w, (struct history_params){.limit = 5, .has_since = true, .since.offset = 3},
                   "0 ");
    record_finish(&r, RECORD_FAILED, STR_NONE, NULL, NULL);
    assert_history(w, (struct history_params){.limit = -1}, "1 2 3 4 ");
    world_end(w);
}

struct looked {
    enum err err;
    struct position position;
    size_t count;
    char last[256]; // what the newest one says
};

static void keep_look(void *ctx, const struct answer *a)
{
    struct looked *l = ctx;
    *l = (struct looked){.err = a->err, .position = a->position, .count = a->publication_count};
    if (l->count > 0)
        snprintf(l->last, sizeof(l->last), "%.*s", STR_FMT(a->publications[l->count - 1]->data));
}

static struct looked look_at(struct world *w, const char *channel)
{
    struct looked l = {.err = ERR_EXPIRED};
    hub_records(world_hub(w, 0), STR("t"), str_from(channel), keep_look, &l);
    return l;
}

static void who_asks_is_told_what_is_written_alone(void **state)
{
    (void)state;
    struct world *w = world_make(1);
    struct answer a;
    struct looked l = look_at(w, "news:r");
    assert_true(l.err == ERR_OK && l.count == 0 && l.position.offset == 0);
    for (int i = 0; i < 3; i++)
        publish_to(w, 0, "news:r", "", &a);
    struct record *r = open_on(w, 0, "news:r", &a), *plain = open_on(w, 0, "plain:r", &a);
    assert_true(record_append(r, STR("a")) && record_append(plain, STR("b")));
    l = look_at(w, "news:r");
    assert_true(l.err == ERR_OK && l.count == 1 && l.position.offset == 3);
    assert_non_null(strstr(l.last, "\"content\":\"a\",\"seq\":1"));
    l = look_at(w, "plain:r"); // it keeps nothing, and has no position
    assert_true(l.err == ERR_OK && l.count == 1 && l.position.epoch == 0);
    record_finish(&r, RECORD_COMPLETE, STR_NONE, NULL, NULL);
    record_finish(&plain, RECORD_COMPLETE, STR_NONE, NULL, NULL);
    l = look_at(w, "news:r");
    assert_true(l.err == ERR_OK && l.count == 0 && l.position.offset == 4);
    assert_int_equal(look_at(w, "plain:r").count, 0);
    assert_int_equal(look_at(w, "").err, ERR_BAD_REQUEST);
    world_end(w);
}

static void the_last_one_and_what_is_written(void **state)
{
    (void)state;
    struct world *w = world_make(1);
    struct answer a;
    w->namespaces[0].options.cache = true;
    publish_to(w, 0, "news:1", "", &a);
    struct record *r = open_on(w, 0, "news:1", &a);
    struct record_reader *rd = reader_make(world_hub(w, 0));
    reader_join(rd, STR("news:1"), false);
    assert_int_equal(rd->plain_count, 1);
    assert_true(rd->knows);
    record_finish(&r, RECORD_COMPLETE, STR_NONE, NULL, NULL);
    reader_read(rd);
    assert_true(rd->ended);
    close_and_free(w, rd);
    world_end(w);
}

/* ---- limits ---- */

static void limits(void **state)
{
    (void)state;
    struct world *w = world_make(2);
    struct answer a;
    struct record *all[RECORDS_PER_CHANNEL_MAX + 1];
    const char *channel = world_channel(w, "plain", 1);
    for (int i = 0; i <= RECORDS_PER_CHANNEL_MAX; i++) {
        all[i] = open_on(w, 0, channel, &a);
        world_turn(w);
        assert_int_equal(a.err, i < RECORDS_PER_CHANNEL_MAX ? ERR_OK : ERR_LIMIT_EXCEEDED);
    }
    assert_true(record_append(all[RECORDS_PER_CHANNEL_MAX], STR("swallowed")));
    record_finish(&all[RECORDS_PER_CHANNEL_MAX], RECORD_COMPLETE, STR_NONE, keep_answer, &a);
    world_turn(w);
    assert_int_equal(a.err, ERR_NOT_AVAILABLE);
    assert_int_equal(world_channels(w), 1);
    for (int i = 0; i < RECORDS_PER_CHANNEL_MAX; i++)
        record_finish(&all[i], RECORD_COMPLETE, STR_NONE, NULL, NULL);
    world_turn(w);
    assert_int_equal(world_channels(w), 0); // and nothing keeps the channel
    world_end(w);
}

static void text_has_a_limit(void **state)
{
    (void)state;
    struct world *w = world_make(1);
    struct answer a;
    struct record *r = record_open(world_hub(w, 0),
                                   &(struct record_params){.tenant = STR("t"),
                                                           .channel = STR("plain:1"),
                                                           .id = STR("\"x\""),
                                                           .role = STR("assistant"),
                                                           .text_max_bytes = 4},
                                   keep_answer, &a);
    assert_true(record_append(r, STR("\x01\x01\x01"))); // the longest in JSON
    assert_false(record_append(r, STR("ab")));
    assert_true(record_append(r, STR("\x01")));
    assert_false(record_append(r, STR("a")));
    record_finish(&r, RECORD_COMPLETE, STR_NONE, keep_answer, &a);
    assert_int_equal(a.err, ERR_OK);
    world_end(w);
}

static void names_are_checked(void **state)
{
    (void)state;
    struct world *w = world_make(1);
    struct answer a;
    assert_null(open_on(w, 0, "", &a));
    assert_int_equal(a.err, ERR_BAD_REQUEST);
    assert_null(open_on(w, 0, "news:*", &a));
    assert_int_equal(a.err, ERR_BAD_REQUEST);
    world_end(w);
}

/* The channel of an open record stays, whoever leaves and however long it takes. */
static void a_record_keeps_its_channel(void **state)
{
    (void)state;
    struct world *w = world_make(1);
    struct answer a;
    struct fake *f = fake_open(world_hub(w, 0), "t", "");
    subscribe_to(f, "news:1", &a);
    struct record *r = open_on(w, 0, "news:1", &a);
    fake_close(f);
    fake_free(f);
    record_append(r, STR("text"));
    world_wait(w, 2 * world_policy.epoch_idle_ms);
    assert_int_equal(world_channels(w), 1);
    struct record_reader *rd = reader_make(world_hub(w, 0));
    reader_join(rd, STR("news:1"), false);
    assert_int_equal(rd->text.len, 4);
    record_finish(&r, RECORD_COMPLETE, STR_NONE, NULL, NULL);
    close_and_free(w, rd);
    world_end(w);
}

static void the_end_with_records_open(void **state)
{
    (void)state;
    struct world *w = world_make(3);
    struct answer a;
    struct record *records[6];
    for (unsigned i = 0; i < 6; i++) {
        records[i] = open_on(w, i % 3, world_channel(w, i % 2 ? "news" : "plain", i / 2), &a);
        record_append(records[i], STR("never ended"));
    }
    world_end(w);
    for (int i = 0; i < 6; i++)
        record_drop(&records[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_said),
        cmocka_unit_test(joiners_at_every_moment),
        cmocka_unit_test(slow_readers),
        cmocka_unit_test(recovery_with_an_offset),
        cmocka_unit_test(recovery_in_rounds),
        cmocka_unit_test(history_ends_with_what_is_written),
        cmocka_unit_test(who_asks_is_told_what_is_written_alone),
        cmocka_unit_test(the_last_one_and_what_is_written),
        cmocka_unit_test(limits),
        cmocka_unit_test(text_has_a_limit),
        cmocka_unit_test(names_are_checked),
        cmocka_unit_test(a_record_keeps_its_channel),
        cmocka_unit_test(the_end_with_records_open),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
