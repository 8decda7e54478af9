/* forget_test.c - what has to go of rows that are a plain list here, by their age and by their
 * number. The store is a real one, in memory. */
#include "runs/forget.h"

#include "unit/store/store_world.h"

#include "base/clock.h"

enum { ROWS_MAX = 3000, HOUR_MS = 3600000, TURNS_MAX = 5000 };

/* Ages, the oldest first; on the store's threads while a job is there. */
static struct {
    int64_t at_ms[ROWS_MAX];
    int64_t first, count;
    unsigned looks, steps;
    int64_t most_at_once;
} rows;

static enum sql_result look(struct sql *db, int64_t *ret_count, int64_t *ret_oldest_ms)
{
    (void)db;
    rows.looks++;
    *ret_count = rows.count - rows.first;
    *ret_oldest_ms = rows.first < rows.count ? rows.at_ms[rows.first] : 0;
    return SQL_OK;
}

static enum sql_result forget(struct sql *db, int64_t before_ms, int64_t excess, int64_t most,
                              int64_t *ret_count)
{
    int64_t n = 0;
    (void)db;
    while (n < most && rows.first + n < rows.count &&
           (n < excess || rows.at_ms[rows.first + n] < before_ms))
        n++;
    rows.first += n;
    rows.steps++;
    rows.most_at_once = n > rows.most_at_once ? n : rows.most_at_once;
    *ret_count = n;
    return SQL_OK;
}

/* So many that are too old, and so many that are not. */
static void fill(int64_t old, int64_t young)
{
    int64_t now_ms = clock_wall_ms();
    assert_true(old + young <= ROWS_MAX);
    memset(&rows, 0, sizeof(rows));
    for (; rows.count < old + young; rows.count++)
        rows.at_ms[rows.count] = rows.count < old ? now_ms - 2 * HOUR_MS : now_ms;
}

static void forget_all(struct forgetter *f, uint64_t rows_max)
{
    forgetter_init(f, &(struct forgetter_options){.store = store,
                                                  .loop = loop,
                                                  .keep_ms = HOUR_MS,
                                                  .rows_max = rows_max,
                                                  .look = look,
                                                  .forget = forget});
    sweep_look(&f->sweep);
    for (int i = 0; f->sweep.busy && i < TURNS_MAX; i++)
        loop_turn(loop, 10);
    assert_false(f->sweep.busy);
    forgetter_stop(f);
}

static void check(int64_t old, int64_t young, uint64_t rows_max, int64_t gone, unsigned steps)
{
    struct forgetter f;
    fill(old, young);
    forget_all(&f, rows_max);
    assert_int_equal(rows.looks, 1);
    assert_int_equal(rows.steps, steps);
    assert_int_equal(rows.first, gone);
    assert_int_equal(forgetter_count(&f), gone);
    assert_true(rows.most_at_once <= 500);
}

static void test_by_age(void **state)
{
    (void)state;
    check(0, 0, 0, 0, 0);
    check(0, 9, 0, 0, 0); // nothing is written where nothing has to go
    check(3, 9, 0, 3, 1);
    check(1200, 9, 0, 1200, 3);
    check(1000, 0, 0, 1000, 3); // the last step finds that there are no more
}

static void test_by_number(void **state)
{
    (void)state;
    check(0, 9, 9, 0, 0);
    check(0, 9, 5, 4, 1);
    check(0, 1205, 5, 1200, 3);
    check(3, 9, 5, 7, 1); // those that are old are among those that are too many
    check(8, 4, 10, 8, 1);
}

static void test_without_a_store(void **state)
{
    struct forgetter f;
    (void)state;
    forgetter_init(&f, &(struct forgetter_options){.loop = loop, .look = look, .forget = forget});
    forgetter_start(&f);
    forgetter_stop(&f);
    assert_int_equal(forgetter_count(&f), 0);
}

static void test_nothing_follows_a_stop(void **state)
{
    struct forgetter f;
    (void)state;
    fill(2000, 0);
    forgetter_init(&f, &(struct forgetter_options){
                           .store = store, .loop = loop, .look = look, .forget = forget});
    sweep_look(&f.sweep);
    forgetter_stop(&f);
    for (int i = 0; f.sweep.busy && i < TURNS_MAX; i++)
        loop_turn(loop, 10);
    assert_int_equal(rows.steps, 0);
    assert_int_equal(rows.first, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_by_age),
        cmocka_unit_test(test_by_number),
        cmocka_unit_test(test_without_a_store),
        cmocka_unit_test(test_nothing_follows_a_stop),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
