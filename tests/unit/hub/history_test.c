/*
 * history_test.c - the history of a durable channel, read while others publish to it.
 */
#include "unit/hub/hub_world.h"

#include <unistd.h>

enum { SIZE = 64 << 10, BACK = 60, ROUNDS = 200, WAITING_MAX = 60 };

static void retention(void *ctx, struct str key, struct store_retention *ret)
{
    (void)ctx;
    (void)key;
    *ret = (struct store_retention){.count = 1000000};
}

static struct store *store_make(const char *url)
{
    struct buf why;
    buf_init(&why, 4096);
    struct store *s = store_open(&(struct store_options){.url = str_from(url),
                                                         .queue_bytes_max = 64 << 20,
                                                         .streams_max = 100,
                                                         .retention = retention},
                                 &why);
    if (s == NULL)
        fail_msg("%.*s", (int)why.len, why.p);
    buf_fini(&why);
    return s;
}

static void remove_files(const char *url)
{
    static const char *const ends[] = {"", "-wal", "-shm", "-lock"};
    for (int i = 0; i < 4; i++) {
        char name[160];
        snprintf(name, sizeof(name), "%s%s", url + 7, ends[i]);
        unlink(name);
    }
}

/* ---- who publishes without an end ---- */

struct publisher {
    struct hub *hub;
    uint64_t published, stored;
};

static void is_stored(void *ctx, const struct answer *a)
{
    assert_int_equal(a->err, ERR_OK);
    ((struct publisher *)ctx)->stored++;
}

static void publish(struct publisher *p)
{
    static const char data[SIZE];
    p->published++;
    hub_publish(p->hub,
                &(struct publish_params){
                    .tenant = STR("t"), .channel = STR("news:a"), .data = {data, SIZE}},
                is_stored, p);
}

static void publish_some(struct publisher *p)
{
    for (int i = 0; i < 4 && p->published - p->stored < WAITING_MAX; i++)
        publish(p);
}

/* ---- who reads ---- */

struct told {
    bool done, reverse;
    struct position position;
    uint64_t oldest, newest;
};

static void tell(void *ctx, const struct answer *a)
{
    struct told *t = ctx;
    size_t count = a->publication_count;
    assert_int_equal(a->err, ERR_OK);
    t->done = true;
    t->position = a->position;
    for (size_t i = 0; i < count; i++) {
        uint64_t offset = a->publications[t->reverse ? count - 1 - i : i]->offset;
        if (i == 0)
            t->oldest = offset;
        assert_int_equal(offset, t->oldest + i);
        t->newest = offset;
    }
}

/* While it is read, more comes than memory holds: what is answered reaches the offset that is
 * answered with it, and has no gap. */
static void a_history_is_whole_while_others_publish(void **state)
{
    char url[128];
    (void)state;
    snprintf(url, sizeof(url), "sqlite:/tmp/recado-history-%d.db", (int)getpid());
    remove_files(url);
    struct world *w = world_make(1);
    struct store *store = store_make(url);
    w->namespaces[0].options.durable = true;
    w->namespaces[0].options.history_count = 1000000;
    w->namespaces[0].options.history_bytes = 0;
    node_set_store(w->node, store);
    struct publisher p = {.hub = world_hub(w, 0)};
    while (p.stored < 2 * BACK) {
        publish_some(&p);
        loop_turn(w->loops[0], 0);
    }
    for (int round = 0; round < ROUNDS; round++) {
        struct told t = {.reverse = round % 2 == 1};
        publish(&p);
        uint64_t last = p.published;
        hub_history(p.hub,
                    &(struct history_params){.tenant = STR("t"),
                                             .channel = STR("news:a"),
                                             .limit = t.reverse ? BACK : -1,
                                             .reverse = t.reverse,
                                             .has_since = !t.reverse,
                                             .since = {last - BACK, 0}},
                    tell, &t);
        while (!t.done) {
            publish_some(&p);
            loop_turn(w->loops[0], 0);
        }
        assert_int_equal(t.position.offset, last);
        assert_int_equal(t.newest, last);
        assert_int_equal(t.oldest, last - BACK + 1);
    }
    store_stop(store);
    world_turn(w);
    node_destroy(&w->node);
    store_close(&store);
    loop_destroy(&w->loops[0]);
    free(w);
    remove_files(url);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_history_is_whole_while_others_publish),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
