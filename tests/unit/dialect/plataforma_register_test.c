/* plataforma_register.c and plataforma_figures.c: whatever comes and goes, on several threads at
 * once, the figures are those of who is there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include "dialect/plataforma_priv.h"

#include <cmocka.h>

#include "base/pool.h"

static const struct str tenant = {"t", 1};

static struct plat_member *member(struct plat_register *reg, struct loop *l, enum plat_kind kind,
                                  const char *client_id)
{
    struct plat_member *m = plat_member_make(&(struct plat_arrival){
        .kind = kind, .tenant = tenant, .client_id = str_from(client_id), .least = LEVEL_INFO});
    assert_non_null(m);
    m->loop = l;
    if (plat_register_join(reg, m, tenant)) {
        plat_register_hear(reg, m);
        return m;
    }
    plat_member_unref(m);
    return NULL;
}

static void leave(struct plat_register *reg, struct plat_member *m)
{
    plat_register_leave(reg, m);
    plat_member_unref(m);
}

static uint32_t receivers(struct plat_register *reg, const char *project, bool is_log,
                          const uint8_t *exclude)
{
    struct plat_event ev = {.tenant = tenant,
                            .project = str_from(project),
                            .is_log = is_log,
                            .note = {.level = LEVEL_INFO},
                            .exclude = exclude};
    return plat_register_broadcast(reg, &ev);
}

static void test_receivers(void **state)
{
    (void)state;
    struct plat_register reg;
    struct loop *l = loop_create(0);
    assert_true(plat_register_init(&reg, 10));
    struct plat_member *all = member(&reg, l, PLAT_NOTIFICATIONS, "all");
    struct plat_member *chosen = member(&reg, l, PLAT_NOTIFICATIONS, "chosen");
    struct plat_member *one = member(&reg, l, PLAT_PROJECT, "one");
    struct plat_member *log = member(&reg, l, PLAT_LOGS, "");
    assert_int_equal(plat_register_subscribe(&reg, chosen, STR("A")), CHANGE_DONE);
    assert_int_equal(plat_register_subscribe(&reg, chosen, STR("A")), CHANGE_NONE);
    assert_int_equal(plat_register_subscribe(&reg, one, STR("A")), CHANGE_DONE);
    assert_int_equal(log->client_id.n, 8);

    assert_int_equal(receivers(&reg, "", false, NULL), 2);
    assert_int_equal(receivers(&reg, "A", false, NULL), 3);
    assert_int_equal(receivers(&reg, "B", false, NULL), 1);
    assert_int_equal(receivers(&reg, "", true, NULL), 2);
    assert_int_equal(receivers(&reg, "A", true, NULL), 4);
    assert_int_equal(receivers(&reg, "A", false, one->client), 2);
    assert_int_equal(receivers(&reg, "B", false, one->client), 1);
    assert_int_equal(receivers(&reg, "", false, all->client), 1);
    assert_int_equal(receivers(&reg, "", true, log->client), 1);

    assert_int_equal(plat_register_unsubscribe(&reg, chosen, STR("A")), CHANGE_DONE);
    assert_int_equal(plat_register_unsubscribe(&reg, chosen, STR("A")), CHANGE_NONE);
    assert_int_equal(receivers(&reg, "B", false, NULL), 2);
    assert_int_equal(plat_register_subscribers(&reg, tenant, STR("A")), 1);
    leave(&reg, one);
    assert_int_equal(plat_register_subscribers(&reg, tenant, STR("A")), 0);
    leave(&reg, all);
    leave(&reg, chosen);
    leave(&reg, log);
    assert_int_equal(receivers(&reg, "", true, NULL), 0);
    plat_register_fini(&reg);
    loop_destroy(&l);
    pool_drop();
}

static void test_limit_and_places(void **state)
{
    (void)state;
    struct plat_register reg;
    struct loop *l = loop_create(0);
    assert_true(plat_register_init(&reg, 2));
    struct plat_member *first = member(&reg, l, PLAT_NOTIFICATIONS, "x");
    assert_int_equal(plat_register_subscribe(&reg, first, STR("A")), CHANGE_DONE);
    struct plat_member *other = member(&reg, l, PLAT_NOTIFICATIONS, "y");
    assert_null(member(&reg, l, PLAT_NOTIFICATIONS, "z"));
    struct plat_member *second = member(&reg, l, PLAT_NOTIFICATIONS, "x"); // a place is kept
    assert_non_null(second);
    assert_int_equal(plat_register_count(&reg, tenant), 2);
    assert_int_equal(plat_register_subscribers(&reg, tenant, STR("A")), 0);
    assert_int_equal(receivers(&reg, "", false, NULL), 2);
    assert_int_equal(plat_register_subscribe(&reg, first, STR("B")), CHANGE_DONE);
    assert_int_equal(plat_register_subscribers(&reg, tenant, STR("B")), 0);
    loop_turn(l, 0); // it is told; its session is none in this test
    leave(&reg, first);
    assert_int_equal(plat_register_count(&reg, tenant), 2);
    leave(&reg, second);
    leave(&reg, other);
    assert_int_equal(plat_register_count(&reg, tenant), 0);
    plat_register_fini(&reg);
    loop_destroy(&l);
    pool_drop();
}

static void test_projects_have_a_limit(void **state)
{
    (void)state;
    struct plat_register reg;
    struct loop *l = loop_create(0);
    assert_true(plat_register_init(&reg, 2));
    struct plat_member *m = member(&reg, l, PLAT_NOTIFICATIONS, "x");
    char name[16];
    for (int i = 0; i <= PLAT_PROJECTS_MAX; i++) {
        struct buf b = buf_on(name, sizeof(name));
        assert_true(buf_add_format(&b, "P-%d", i));
        assert_int_equal(plat_register_subscribe(&reg, m, buf_str(&b)),
                         i < PLAT_PROJECTS_MAX ? CHANGE_DONE : CHANGE_REFUSED);
    }
    leave(&reg, m);
    plat_register_fini(&reg);
    loop_destroy(&l);
    pool_drop();
}

/* ---- several threads ---- */

struct crowd {
    struct plat_register *reg;
    pthread_t thread;
    unsigned index;
};

static void *come_and_go(void *ctx)
{
    struct crowd *c = ctx;
    struct loop *l = loop_create(c->index);
    for (int i = 0; i < 300; i++) {
        struct plat_member *shared = member(c->reg, l, PLAT_NOTIFICATIONS, "same");
        struct plat_member *own = member(c->reg, l, PLAT_PROJECT, "");
        (void)plat_register_subscribe(c->reg, shared, STR("A"));
        (void)plat_register_subscribe(c->reg, own, STR("A"));
        (void)receivers(c->reg, "A", false, own->client);
        (void)plat_register_unsubscribe(c->reg, shared, STR("A"));
        leave(c->reg, own);
        leave(c->reg, shared);
        loop_turn(l, 0);
    }
    return l;
}

static void test_threads(void **state)
{
    (void)state;
    enum { THREADS = 4 };
    struct plat_register reg;
    struct crowd crowds[THREADS];
    struct loop *loops[THREADS];
    assert_true(plat_register_init(&reg, 100));
    for (unsigned i = 0; i < THREADS; i++) {
        crowds[i] = (struct crowd){.reg = &reg, .index = i};
        assert_int_equal(pthread_create(&crowds[i].thread, NULL, come_and_go, &crowds[i]), 0);
    }
    for (unsigned i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(crowds[i].thread, (void **)&loops[i]), 0);
    for (unsigned i = 0; i < THREADS; i++) {
        loop_turn(loops[i], 0); // what others sent it last
        loop_destroy(&loops[i]);
    }
    struct buf b;
    buf_init(&b, PLAT_STATS_MAX);
    assert_true(plat_register_write_stats(&reg, tenant, &b));
    struct str text = buf_str(&b);
    assert_true(str_find(text, STR("{\"active_connections\":0,\"active_projects\":0,"
                                   "\"total_connections\":2400,")) == 0);
    buf_fini(&b);
    assert_int_equal(reg.members.count, 0);
    plat_register_fini(&reg);
    pool_drop();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_receivers),
        cmocka_unit_test(test_limit_and_places),
        cmocka_unit_test(test_projects_have_a_limit),
        cmocka_unit_test(test_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
