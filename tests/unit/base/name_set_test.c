/* name_set.c: names, each of them once, and no more than the set takes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include "base/name_set.h"

#include <cmocka.h>

static void test_each_is_there_once(void **state)
{
    (void)state;
    struct name_set s;
    char text[] = "a";
    name_set_init(&s, 3);
    assert_true(name_set_add(&s, (struct str){text, 1}));
    text[0] = 'b'; // it has been copied
    assert_true(name_set_add(&s, STR("a")));
    assert_true(name_set_add(&s, STR_NONE));
    assert_true(name_set_add(&s, STR_NONE));
    assert_int_equal(s.names.count, 2);
    assert_non_null(map_find(&s.names, STR("a")));
    assert_true(name_set_add(&s, (struct str){"a\0b", 3}));
    assert_false(name_set_add(&s, STR("full")));
    assert_true(name_set_add(&s, STR("a")));
    assert_int_equal(s.names.count, 3);
    name_set_fini(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_each_is_there_once)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
