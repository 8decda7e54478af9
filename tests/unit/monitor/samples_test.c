/* samples_test.c - the machine's figures of the last day: order, bounds, means and gaps. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>

#include "base/json.h"
#include "monitor/samples.h"

static const int64_t noon = 1796040000000;
static struct samples *all;

static int begin(void **state)
{
    (void)state;
    all = samples_create(&(struct samples_options){.keep = 100});
    assert_non_null(all);
    return 0;
}

static int end(void **state)
{
    (void)state;
    samples_destroy(&all);
    return 0;
}

static void add(int64_t time_ms, int32_t cpu)
{
    samples_add(all, &(struct sample){.time_ms = time_ms,
                                      .cpu = cpu,
                                      .rx = cpu,
                                      .memory = SAMPLE_NONE,
                                      .disk = 5000,
                                      .gpu = SAMPLE_NONE,
                                      .temperature = SAMPLE_NONE});
}

static size_t read_all(struct sample **ret, int64_t from_ms, int64_t to_ms, int64_t step_ms)
{
    size_t n;
    assert_true(samples_read(all, &(struct samples_range){from_ms, to_ms, step_ms}, ret, &n));
    for (size_t i = 1; i < n; i++)
        assert_true((*ret)[i].time_ms > (*ret)[i - 1].time_ms);
    return n;
}

static void the_newest_are_kept(void **state)
{
    struct sample *s;
    (void)state;
    for (int i = 0; i < 250; i++)
        add(noon + i * 10000, i);
    assert_int_equal(read_all(&s, INT64_MIN, INT64_MAX, 0), 100);
    assert_int_equal(s[0].cpu, 150);
    assert_int_equal(s[99].cpu, 249);
    free(s);
    assert_int_equal(read_all(&s, noon + 2000000, noon + 2020000, 0), 3); // both ends
    free(s);
    assert_int_equal(read_all(&s, noon + 5, noon, 0), 0);
    free(s);
}

static void what_is_older_goes(void **state)
{
    struct sample *s;
    (void)state;
    samples_destroy(&all);
    all = samples_create(&(struct samples_options){.keep = 100, .keep_ms = 60000});
    assert_non_null(all);
    for (int i = 0; i < 50; i++)
        add(noon + i * 10000, i);
    assert_int_equal(read_all(&s, INT64_MIN, INT64_MAX, 0), 6);
    assert_int_equal(s[0].cpu, 44);
    free(s);
    add(noon + 10000000, 50); // after a long silence
    assert_int_equal(read_all(&s, INT64_MIN, INT64_MAX, 0), 1);
    free(s);
}

static void a_clock_that_goes_back_takes_its_future_with_it(void **state)
{
    struct sample *s;
    (void)state;
    for (int i = 0; i < 10; i++)
        add(noon + i * 10000, i);
    add(noon + 55000, 100);
    add(noon + 55000, 101); // the same moment
    add(noon + 65000, 102);
    assert_int_equal(read_all(&s, INT64_MIN, INT64_MAX, 0), 8);
    assert_int_equal(s[5].cpu, 5);
    assert_int_equal(s[6].cpu, 101);
    assert_int_equal(s[7].cpu, 102);
    free(s);
    add(noon + 86400000, 103); // and one that goes ahead
    assert_int_equal(read_all(&s, INT64_MIN, INT64_MAX, 0), 9);
    free(s);
    add(0, 104);
    assert_int_equal(read_all(&s, INT64_MIN, INT64_MAX, 0), 1);
    free(s);
}

static void steps_are_means_and_gaps_stay(void **state)
{
    struct sample *s;
    (void)state;
    int64_t begin_ms = noon; // a whole minute
    for (int i = 0; i < 6; i++)
        add(begin_ms + i * 10000, (i + 1) * 100);
    add(begin_ms + 300000, 700);
    assert_int_equal(read_all(&s, INT64_MIN, INT64_MAX, 60000), 2);
    assert_true(s[0].time_ms == begin_ms && s[1].time_ms == begin_ms + 300000);
    assert_int_equal(s[0].cpu, 350);
    assert_int_equal(s[0].rx, 350);
    assert_int_equal(s[0].memory, SAMPLE_NONE);
    assert_int_equal(s[0].disk, 5000);
    assert_int_equal(s[1].cpu, 700);
    free(s);
}

static void what_is_not_known_is_null(void **state)
{
    struct monitor_figures f = {.time_ms = noon,
                                .cpu_percent = 12.345,
                                .cpu_temperature_c = NAN,
                                .memory_total_bytes = 1000,
                                .memory_used_bytes = 625,
                                .network_rx_per_s = 7,
                                .gpu_count = 1};
    char at[512];
    struct buf b = buf_on(at, sizeof(at));
    struct json_writer w;
    (void)state;
    f.gpus[0].utilization_percent = NAN;
    struct sample s = sample_of(&f);
    json_writer_init(&w, &b);
    sample_array_write(&w, &s, 1);
    assert_true(json_done(&w));
    assert_true(str_eq(buf_str(&b), STR("[{\"time\":1796040000000,\"cpu\":12.35,\"memory\":62.5,"
                                        "\"disk\":null,\"rx\":7,\"tx\":0,\"gpu\":null,"
                                        "\"temperature\":null}]")));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)
int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_newest_are_kept),
        TEST(what_is_older_goes),
        TEST(a_clock_that_goes_back_takes_its_future_with_it),
        TEST(steps_are_means_and_gaps_stay),
        TEST(what_is_not_known_is_null),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
