/* bucket.c: so many at once, so many a second. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include "base/bucket.h"

#include <cmocka.h>

static unsigned take_all(struct bucket *b, uint64_t now_ms)
{
    unsigned n = 0;
    while (n < 1000 && bucket_take(b, 10, 5, now_ms))
        n++;
    return n;
}

static void test_burst_and_refill(void **state)
{
    (void)state;
    struct bucket b = {0};
    assert_int_equal(take_all(&b, 1000000), 5);
    assert_int_equal(take_all(&b, 1000099), 0);
    assert_int_equal(take_all(&b, 1000100), 1);
    assert_int_equal(take_all(&b, 1000350), 2); // and half a one is kept
    assert_int_equal(take_all(&b, 1000400), 1);
    assert_int_equal(take_all(&b, 9000000), 5);
}

/* The clock's lower half wraps after 49 days; nobody is let in or kept out by that. */
static void test_wraps(void **state)
{
    (void)state;
    struct bucket b = {0};
    assert_int_equal(take_all(&b, UINT32_MAX - 10), 5);
    assert_int_equal(take_all(&b, (uint64_t)UINT32_MAX + 90), 1);
}

static void test_no_limit(void **state)
{
    (void)state;
    struct bucket b = {0};
    for (int i = 0; i < 1000; i++)
        assert_true(bucket_take(&b, 0, 0, 5));
    assert_true(bucket_take(&b, 1, 0, 5)); // a burst of nothing is one of one
    assert_false(bucket_take(&b, 1, 0, 5));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_burst_and_refill),
                                       cmocka_unit_test(test_wraps),
                                       cmocka_unit_test(test_no_limit)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
