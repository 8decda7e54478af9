/* sweep_test.c - forgetting rows step by step, with a real store in memory. */
#include "store/sweep.h"

#include "unit/store/store_world.h"

#include "base/must.h"

#include <stdatomic.h>

enum { TURNS_MAX = 20000, STEP = 3 };

/* ---- what is swept ---- */

struct broom {
    struct sweep sweep;
    int64_t rows, gone; // as the last look or step had it
    atomic_uint looks;  // told while others look
    unsigned steps, failures;
    int64_t most_at_once;
    atomic_bool fails;
    bool halts;
};

static struct broom *of(struct sweep *s)
{
    return container_of(s, struct broom, sweep);
}

static bool keep_count(void *ctx, const struct sql_value *row, size_t count)
{
    (void)count;
    *(int64_t *)ctx = row[0].i;
    return true;
}

static enum sql_result look(struct sweep *s, struct sql *db)
{
    of(s)->looks++;
    return of(s)->fails ? SQL_FAILED
                        : sql_run(db, "SELECT count(*) FROM recado_answers", NULL, 0, keep_count,
                                  &of(s)->rows);
}

static enum sql_result step(struct sweep *s, struct sql *db)
{
    struct sql_value most[] = {sql_int(STEP)};
    enum sql_result r = sql_run(db,
                                "DELETE FROM recado_answers WHERE id IN (SELECT id FROM"
                                " recado_answers ORDER BY id LIMIT ?)",
                                most, 1, NULL, NULL);
    of(s)->gone = sql_changes(db);
    return r;
}

static void looked(struct sweep *s)
{
    if (of(s)->rows > 0)
        sweep_step(s);
    else
        sweep_rest(s);
}

static void stepped(struct sweep *s)
{
    struct broom *b = of(s);
    b->steps++;
    b->most_at_once = b->gone > b->most_at_once ? b->gone : b->most_at_once;
    if (b->halts)
        sweep_stop(s);
    if (b->gone == STEP)
        sweep_step(s);
    else
        sweep_rest(s);
}

static void failed(struct sweep *s)
{
    assert_false(s->busy);
    of(s)->failures++;
}

static const struct sweep_ops ops = {.look = look,
                                     .step = step,
                                     .looked = looked,
                                     .stepped = stepped,
                                     .failed = failed,
                                     .every_ms = 1};

struct filling {
    struct store_job job;
    int64_t count;
    bool done;
};

static enum sql_result fill_run(struct store_job *j, struct sql *db)
{
    enum sql_result r = sql_run(db, "DELETE FROM recado_answers", NULL, 0, NULL, NULL);
    for (int64_t i = 0; i < container_of(j, struct filling, job)->count && r == SQL_OK; i++) {
        struct sql_value id[] = {sql_int(i + 1)};
        r = sql_run(db, "INSERT INTO recado_answers (id) VALUES (?)", id, 1, NULL, NULL);
    }
    return r;
}

static void fill_done(struct store_job *j)
{
    container_of(j, struct filling, job)->done = true;
}

static void fill(int64_t count)
{
    struct filling f = {.job = {.loop = loop, .run = fill_run, .done = fill_done}, .count = count};
    store_do(store, &f.job);
    for (int i = 0; i < TURNS_MAX && !f.done; i++)
        loop_turn(loop, 10);
    assert_true(f.done && f.job.result == SQL_OK);
}

static void turn_until_looks(struct broom *b, unsigned looks)
{
    for (int i = 0; i < TURNS_MAX && (b->looks < looks || b->sweep.busy); i++)
        loop_turn(loop, 10);
    assert_true(b->looks >= looks);
}

static void turn_until_rest(struct broom *b)
{
    for (int i = 0; i < TURNS_MAX && b->sweep.busy; i++)
        loop_turn(loop, 10);
    assert_false(b->sweep.busy);
}

/* ---- tests ---- */

static void goes_on_until_nothing_is_left(void **state)
{
    struct broom b = {0};
    (void)state;
    fill(10);
    sweep_init(&b.sweep, &ops, store, loop);
    sweep_start(&b.sweep, 0);
    turn_until_looks(&b, 1);
    assert_int_equal(b.steps, 4); // 3, 3, 3, 1
    assert_int_equal(b.most_at_once, STEP);
    turn_until_looks(&b, b.looks + 2); // and looks again in its time
    assert_int_equal(b.rows, 0);
    assert_int_equal(b.steps, 4);
    sweep_stop(&b.sweep);
    turn_until_rest(&b);
}

static void a_look_that_fails_ends_its_round(void **state)
{
    struct broom b = {.fails = true};
    (void)state;
    fill(2);
    sweep_init(&b.sweep, &ops, store, loop);
    sweep_start(&b.sweep, 0);
    turn_until_looks(&b, 2);
    assert_int_equal(b.steps, 0);
    assert_true(b.failures > 0);
    b.fails = false;
    turn_until_looks(&b, b.looks + 2);
    assert_int_equal(b.steps, 1);
    sweep_stop(&b.sweep);
    turn_until_rest(&b);
}

static void one_that_is_stopped_makes_no_further_step(void **state)
{
    struct broom b = {.halts = true};
    (void)state;
    fill(100);
    sweep_init(&b.sweep, &ops, store, loop);
    sweep_start(&b.sweep, 0);
    turn_until_looks(&b, 1);
    unsigned looks = b.looks;
    for (int i = 0; i < 20; i++)
        loop_turn(loop, 1);
    assert_int_equal(b.looks, looks);
    assert_int_equal(b.steps, 1);
    assert_false(b.sweep.busy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(goes_on_until_nothing_is_left),
        cmocka_unit_test(a_look_that_fails_ends_its_round),
        cmocka_unit_test(one_that_is_stopped_makes_no_further_step),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
