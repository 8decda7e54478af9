/*
 * record_durable_test.c - messages that end while the store takes nothing: everybody is told, and
 * they are stored when it goes on.
 */
#include "unit/hub/hub_world.h"
#include "unit/hub/record_reader.h"

#include <unistd.h>

struct stored_world {
    struct world *w;
    struct store *store;
    struct sql *other; // holds the database
    char url[128];
};

static void retention(void *ctx, struct str key, struct store_retention *ret)
{
    (void)ctx;
    (void)key;
    *ret = (struct store_retention){.count = 1000};
}

/* A single waiting event is too much for this store. */
static struct stored_world stored_begin(unsigned loops)
{
    struct stored_world s = {.w = world_make(loops)};
    struct buf why;
    enum sql_result r;
    buf_init(&why, 4096);
    snprintf(s.url, sizeof(s.url), "sqlite:/tmp/recado-record-%d.db", (int)getpid());
    s.store = store_open(&(struct store_options){.url = str_from(s.url),
                                                 .queue_bytes_max = 1,
                                                 .streams_max = 100,
                                                 .retention = retention},
                         &why);
    s.other = sql_open(str_from(s.url), &r, &why);
    if (s.store == NULL || s.other == NULL)
        fail_msg("%.*s", (int)why.len, why.p);
    buf_fini(&why);
    s.w->namespaces[0].options.durable = true;
    node_set_store(s.w->node, s.store);
    return s;
}

static void stored_end(struct stored_world *s)
{
    static const char *const ends[] = {"", "-wal", "-shm", "-lock"};
    sql_close(&s->other);
    store_stop(s->store);
    world_turn(s->w);
    node_destroy(&s->w->node);
    store_close(&s->store);
    for (unsigned i = 0; i < s->w->count; i++)
        loop_destroy(&s->w->loops[i]);
    free(s->w);
    for (int i = 0; i < 4; i++) {
        char name[160];
        snprintf(name, sizeof(name), "%s%s", s->url + 7, ends[i]);
        unlink(name);
    }
}

struct told {
    unsigned count;
    enum err err;
    struct position position;
};

static void tell(void *ctx, const struct answer *a)
{
    struct told *t = ctx;
    *t = (struct told){t->count + 1, a->err, a->position};
}

static void wait_told(struct world *w, const struct told *t)
{
    while (t->count == 0) {
        for (unsigned i = 0; i < w->count; i++)
            loop_turn(w->loops[i], 1);
    }
}

static struct record *open_on(struct world *w, const char *channel)
{
    return record_open(world_hub(w, 0),
                       &(struct record_params){.tenant = STR("t"),
                                               .channel = str_from(channel),
                                               .id = STR("7"),
                                               .role = STR("assistant")},
                       NULL, NULL);
}

static void publish(struct world *w, const char *channel, struct told *t)
{
    hub_publish(world_hub(w, 0),
                &(struct publish_params){
                    .tenant = STR("t"), .channel = str_from(channel), .data = STR("1")},
                tell, t);
}

static void an_end_is_stored_with_its_place(void **state)
{
    (void)state;
    struct stored_world s = stored_begin(2);
    struct told t = {0};
    struct record *r = open_on(s.w, world_channel(s.w, "news", 1));
    record_append(r, STR("text"));
    record_finish(&r, RECORD_COMPLETE, STR_NONE, tell, &t);
    wait_told(s.w, &t);
    assert_int_equal(t.err, ERR_OK);
    assert_int_equal(t.position.offset, 1);
    stored_end(&s);
}

static void an_end_waits_for_the_store(void **state)
{
    (void)state;
    for (unsigned home = 0; home < 2; home++) {
        struct stored_world s = stored_begin(2);
        struct told first = {0}, last = {0};
        const char *channel = world_channel(s.w, "news", home);
        assert_int_equal(sql_script(s.other, "BEGIN IMMEDIATE"), SQL_OK);
        publish(s.w, channel, &first); // waits for its commit, and makes the store busy
        struct record *r = open_on(s.w, channel);
        record_append(r, STR("text"));
        record_finish(&r, RECORD_COMPLETE, STR_NONE, tell, &last);
        world_turn(s.w);
        assert_int_equal(last.count, 0);
        struct record_reader *rd = reader_make(world_hub(s.w, 0));
        reader_join(rd, str_from(channel), false);
        world_turn(s.w);
        assert_true(rd->ended && rd->text.len == 4);
        assert_string_equal(rd->state, "\"complete\"");
        assert_int_equal(rd->offset, 1);
        assert_int_equal(sql_script(s.other, "ROLLBACK"), SQL_OK);
        wait_told(s.w, &last);
        assert_int_equal(last.count, 1);
        assert_int_equal(last.err, ERR_OK);
        assert_int_equal(last.position.offset, 2);
        world_turn(s.w);
        reader_read(rd);
        assert_int_equal(rd->offset, 2); // told once more, with its place
        fake_close(rd->fake);
        world_turn(s.w);
        reader_free(rd);
        stored_end(&s);
    }
}

/* The process ends before the store went on. */
static void an_end_that_is_never_stored(void **state)
{
    (void)state;
    struct stored_world s = stored_begin(2);
    struct told first = {0}, last = {0};
    const char *channel = world_channel(s.w, "news", 1);
    assert_int_equal(sql_script(s.other, "BEGIN IMMEDIATE"), SQL_OK);
    publish(s.w, channel, &first);
    struct record *r = open_on(s.w, channel);
    record_finish(&r, RECORD_FAILED, STR_NONE, tell, &last);
    world_turn(s.w);
    stored_end(&s);
    assert_int_equal(first.count, 1);
    assert_int_equal(last.count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_end_is_stored_with_its_place),
        cmocka_unit_test(an_end_waits_for_the_store),
        cmocka_unit_test(an_end_that_is_never_stored),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
