/*
 * stats_test.c - figures count what was observed, and are read whole while somebody writes.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include "base/stats.h"

#include <cmocka.h>

static const uint64_t bounds[] = {10, 100, 1000};

static void counters_and_gauges(void **state)
{
    (void)state;
    struct counter c = {0};
    struct gauge g = {0};
    counter_add(&c, 1);
    counter_add(&c, 41);
    assert_int_equal(counter_get(&c), 42);
    gauge_add(&g, 5);
    gauge_add(&g, -7);
    assert_int_equal(gauge_get(&g), -2);
    gauge_set(&g, 9);
    assert_int_equal(gauge_get(&g), 9);
}

static void bounds_belong_to_their_bucket(void **state)
{
    (void)state;
    static const uint64_t values[] = {0, 10, 11, 100, 101, 1000, 1001, UINT64_MAX / 2};
    struct histogram h;
    uint64_t sum = 0;
    histogram_init(&h, bounds, 3);
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        histogram_observe(&h, values[i]);
        sum += values[i];
    }
    for (int i = 0; i < 4; i++)
        assert_int_equal(counter_get(&h.counts[i]), 2);
    assert_int_equal(counter_get(&h.sum), sum);
    assert_int_equal(histogram_count(&h), 8);
}

/* The search against a plain walk, for every number of bounds. */
static void the_right_bucket_is_found(void **state)
{
    (void)state;
    uint64_t table[HISTOGRAM_BOUNDS_MAX];
    for (uint32_t i = 0; i < HISTOGRAM_BOUNDS_MAX; i++)
        table[i] = 2 * i + 1;
    for (uint32_t n = 0; n <= HISTOGRAM_BOUNDS_MAX; n++) {
        for (uint64_t v = 0; v < 2 * HISTOGRAM_BOUNDS_MAX + 3; v++) {
            struct histogram h;
            uint32_t want = 0;
            histogram_init(&h, table, n);
            histogram_observe(&h, v);
            while (want < n && v > table[want])
                want++;
            assert_int_equal(counter_get(&h.counts[want]), 1);
            assert_int_equal(histogram_count(&h), 1);
        }
    }
}

static void merging_adds(void **state)
{
    (void)state;
    struct histogram a, b;
    histogram_init(&a, bounds, 3);
    histogram_init(&b, bounds, 3);
    histogram_observe(&a, 5);
    histogram_observe(&b, 7);
    histogram_observe(&b, 5000);
    histogram_merge(&a, &b);
    assert_int_equal(counter_get(&a.counts[0]), 2);
    assert_int_equal(counter_get(&a.counts[3]), 1);
    assert_int_equal(counter_get(&a.sum), 5012);
    assert_int_equal(histogram_count(&b), 2);
}

static void quantiles_are_estimated(void **state)
{
    (void)state;
    struct histogram h;
    histogram_init(&h, bounds, 3);
    assert_int_equal(histogram_quantile(&h, 0.5), 0);
    for (int i = 0; i < 90; i++)
        histogram_observe(&h, 50);
    for (int i = 0; i < 10; i++)
        histogram_observe(&h, 500);
    assert_int_equal(histogram_quantile(&h, 0.45), 55); // the middle of (10, 100]
    assert_int_equal(histogram_quantile(&h, 0.9), 100);
    assert_int_equal(histogram_quantile(&h, 0.95), 550); // the middle of (100, 1000]
    assert_int_equal(histogram_quantile(&h, 1), 1000);
    histogram_observe(&h, 1000000);
    assert_int_equal(histogram_quantile(&h, 1), 1000); // no more than the table knows
}

enum { WRITES = 200000 };

static void *write_figures(void *arg)
{
    struct histogram *h = arg;
    for (uint64_t i = 0; i < WRITES; i++)
        histogram_observe(h, i % 2000);
    return NULL;
}

/* Under the thread sanitizer this is where a plain access would show. */
static void readers_see_growing_figures(void **state)
{
    (void)state;
    struct histogram h, seen;
    pthread_t writer;
    uint64_t last = 0;
    histogram_init(&h, bounds, 3);
    assert_int_equal(pthread_create(&writer, NULL, write_figures, &h), 0);
    while (last < WRITES) {
        histogram_init(&seen, bounds, 3);
        histogram_merge(&seen, &h);
        uint64_t now = histogram_count(&seen);
        assert_true(now >= last && now <= WRITES);
        last = now;
    }
    assert_int_equal(pthread_join(writer, NULL), 0);
    assert_int_equal(counter_get(&h.sum), (uint64_t)WRITES / 2000 * (2000 * 1999 / 2));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counters_and_gauges),
        cmocka_unit_test(bounds_belong_to_their_bucket),
        cmocka_unit_test(the_right_bucket_is_found),
        cmocka_unit_test(merging_adds),
        cmocka_unit_test(quantiles_are_estimated),
        cmocka_unit_test(readers_see_growing_figures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
