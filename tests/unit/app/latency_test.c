/*
 * latency_test.c - every duration finds a bin near it.
 */
#include "app/latency.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

static void test_one_value_comes_back(void **state)
{
    (void)state;
    for (unsigned bit = 0; bit < 64; bit++) {
        uint64_t around[3] = {(1ull << bit) - 1, 1ull << bit, (1ull << bit) + (1ull << bit) / 3};
        for (int i = 0; i < 3; i++) {
            struct latency *h = calloc(1, sizeof(*h));
            latency_add(h, around[i]);
            uint64_t got = latency_quantile(h, 0.5);
            assert_true(got <= around[i]);
            assert_true(around[i] - got <= around[i] / 64);
            assert_int_equal(h->max, around[i]);
            free(h);
        }
    }
}

static void test_quantiles(void **state)
{
    (void)state;
    struct latency *h = calloc(1, sizeof(*h));
    assert_int_equal(latency_quantile(h, 0.99), 0);
    for (uint64_t v = 1; v <= 100; v++)
        latency_add(h, v);
    assert_int_equal(latency_quantile(h, 0), 1);
    assert_int_equal(latency_quantile(h, 0.5), 51);
    assert_int_equal(latency_quantile(h, 0.99), 100);
    assert_int_equal(latency_quantile(h, 1), 100);
    free(h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_value_comes_back),
        cmocka_unit_test(test_quantiles),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
