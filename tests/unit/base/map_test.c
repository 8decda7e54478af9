/*
 * map_test.c - what was added is found, and nothing else, through growth and removal.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/map.h"
#include "base/must.h"

#include <cmocka.h>

enum { ITEMS = 1000 };

struct item {
    struct map_node node;
    char name[16];
    unsigned seen;
};

static void items_name(struct item *items)
{
    for (int i = 0; i < ITEMS; i++) {
        int n = snprintf(items[i].name, sizeof(items[i].name), "k%d", i);
        items[i].node.key = (struct str){items[i].name, (size_t)n};
    }
}

/* Exactly the items from first on are in the map; a walk meets each of them once. */
static void check(const struct map *m, struct item *items, int first)
{
    size_t walked = 0;
    for (int i = 0; i < ITEMS; i++) {
        struct map_node *n = map_find(m, items[i].node.key);
        assert_ptr_equal(n, i >= first ? &items[i].node : NULL);
        items[i].seen = 0;
    }
    for (struct map_node *n = map_first(m); n != NULL; n = map_next(m, n)) {
        assert_int_equal(container_of(n, struct item, node)->seen++, 0);
        walked++;
    }
    assert_int_equal(walked, ITEMS - first);
    assert_int_equal(m->count, ITEMS - first);
}

static void found_again(void **state)
{
    (void)state;
    struct map m;
    struct item *items = calloc(ITEMS, sizeof(*items));
    assert_non_null(items);
    items_name(items);
    map_init(&m, ITEMS);
    assert_null(map_find(&m, STR("k1")));
    assert_null(map_first(&m));
    for (int i = 0; i < ITEMS; i++)
        assert_true(map_add(&m, &items[i].node));
    check(&m, items, 0);
    for (int i = 0; i < ITEMS; i += 100) {
        check(&m, items, i);
        for (int k = i; k < i + 100; k++)
            map_remove(&m, &items[k].node);
    }
    check(&m, items, ITEMS);
    map_fini(&m);
    free(items);
}

static void full_at_its_limit(void **state)
{
    (void)state;
    struct map m;
    struct item a = {.node.key = STR("a")}, b = {.node.key = STR("b")}, c = {.node.key = STR("c")};
    map_init(&m, 2);
    assert_true(map_add(&m, &a.node) && map_add(&m, &b.node));
    assert_false(map_add(&m, &c.node));
    assert_null(map_find(&m, STR("c")));
    map_remove(&m, &a.node);
    assert_true(map_add(&m, &c.node));
    assert_ptr_equal(map_find(&m, STR("c")), &c.node);
    assert_null(map_find(&m, STR("a")));
    map_fini(&m);
}

static void removed_during_a_walk(void **state)
{
    (void)state;
    struct map m;
    struct item *items = calloc(ITEMS, sizeof(*items));
    assert_non_null(items);
    items_name(items);
    map_init(&m, ITEMS);
    for (int i = 0; i < ITEMS; i++)
        assert_true(map_add(&m, &items[i].node));
    struct map_node *next;
    for (struct map_node *n = map_first(&m); n != NULL; n = next) {
        next = map_next(&m, n);
        map_remove(&m, n);
    }
    check(&m, items, ITEMS);
    map_fini(&m);
    free(items);
}

static void keys_are_bytes(void **state)
{
    (void)state;
    struct map m;
    struct item none = {.node.key = STR("")}, nul = {.node.key = STR("\0")};
    map_init(&m, 8);
    assert_true(map_add(&m, &none.node) && map_add(&m, &nul.node));
    assert_ptr_equal(map_find(&m, STR_NONE), &none.node);
    assert_ptr_equal(map_find(&m, STR("\0")), &nul.node);
    assert_null(map_find(&m, STR("\0\0")));
    map_fini(&m);
}

static void seeds_differ(void **state)
{
    (void)state;
    struct map a, b;
    map_init(&a, 1);
    map_init(&b, 1);
    assert_true(a.seed != b.seed);
    map_fini(&a);
    map_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(found_again),           cmocka_unit_test(full_at_its_limit),
        cmocka_unit_test(removed_during_a_walk), cmocka_unit_test(keys_are_bytes),
        cmocka_unit_test(seeds_differ),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
