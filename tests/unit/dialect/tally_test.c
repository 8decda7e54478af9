/* tally.c: names and how many stand for each, from several threads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include "base/must.h"
#include "dialect/tally.h"

#include <cmocka.h>
#include <pthread.h>

struct seen {
    uint64_t name_count, total, sum;
};

static void see(void *ctx, const struct map *names, uint64_t total)
{
    struct seen *s = ctx;
    *s = (struct seen){.name_count = names->count, .total = total};
    for (struct map_node *n = map_first(names); n != NULL; n = map_next(names, n))
        s->sum += container_of(n, struct tally_name, node)->count;
}

static void assert_seen(struct tally *t, uint64_t name_count, uint64_t total)
{
    struct seen s;
    tally_read(t, see, &s);
    assert_int_equal(s.name_count, name_count);
    assert_int_equal(s.total, total);
    assert_int_equal(s.sum, total);
}

static void test_a_name_goes_with_its_last(void **state)
{
    (void)state;
    struct tally *t = tally_create();
    assert_non_null(t);
    assert_seen(t, 0, 0);
    struct tally_name *a = tally_enter(t, STR("a")), *empty = tally_enter(t, STR_NONE);
    assert_ptr_equal(tally_enter(t, STR("a")), a);
    assert_ptr_not_equal(a, empty);
    assert_true(str_eq(a->node.key, STR("a")));
    assert_seen(t, 2, 3);
    tally_leave(t, a);
    assert_seen(t, 2, 2);
    tally_leave(t, a);
    assert_seen(t, 1, 1);
    tally_destroy(&t); // with one that is still counted
    assert_null(t);
    tally_destroy(&t);
}

static void *come_and_go(void *ctx)
{
    struct tally *t = ctx;
    for (int i = 0; i < 2000; i++) {
        struct tally_name *n = tally_enter(t, STR("shared"));
        MUST(n != NULL);
        tally_leave(t, n);
    }
    return NULL;
}

static void test_threads(void **state)
{
    (void)state;
    struct tally *t = tally_create();
    pthread_t threads[4];
    for (size_t i = 0; i < sizeof(threads) / sizeof(threads[0]); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, come_and_go, t), 0);
    for (size_t i = 0; i < sizeof(threads) / sizeof(threads[0]); i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_seen(t, 0, 0);
    tally_destroy(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_name_goes_with_its_last),
        cmocka_unit_test(test_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
