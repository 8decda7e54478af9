/*
 * list_test.c - members keep their order and leave without a trace.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include "base/list.h"
#include "base/must.h"

#include <cmocka.h>

struct item {
    int value;
    struct list link;
};

static int digits(const struct list *head)
{
    int all = 0;
    list_each(it, (struct list *)head) all = all * 10 + container_of(it, struct item, link)->value;
    return all;
}

static void members_keep_their_order(void **state)
{
    (void)state;
    struct list head;
    struct item a = {.value = 1}, b = {.value = 2}, c = {.value = 3};
    list_init(&head);
    assert_true(list_empty(&head));
    assert_int_equal(digits(&head), 0);
    list_add(&head, &a.link);
    list_add(&head, &b.link);
    list_add(&head, &c.link);
    assert_int_equal(digits(&head), 123);
    list_move_to_end(&head, &a.link);
    assert_int_equal(digits(&head), 231);
    list_move_to_end(&head, &a.link);
    assert_int_equal(digits(&head), 231);
    list_remove(&c.link);
    assert_int_equal(digits(&head), 21);
    list_remove(&c.link); // of nothing now
    assert_int_equal(digits(&head), 21);
    assert_false(list_empty(&head));
    list_remove(&b.link);
    list_remove(&a.link);
    assert_true(list_empty(&head));
}

static void members_leave_during_a_walk(void **state)
{
    (void)state;
    struct list head;
    struct item items[6];
    list_init(&head);
    for (int i = 0; i < 6; i++) {
        items[i].value = i + 1;
        list_add(&head, &items[i].link);
    }
    list_each_safe(it, &head)
    {
        struct item *item = container_of(it, struct item, link);
        if (item->value % 2 == 0)
            list_remove(it);
    }
    assert_int_equal(digits(&head), 135);
    list_each_safe(it, &head) list_remove(it);
    assert_true(list_empty(&head));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(members_keep_their_order),
        cmocka_unit_test(members_leave_during_a_walk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
