/* store_rows: jobs of the application beside the streams. */
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "store_battery.h"

#include "base/clock.h"
#include "base/must.h"
#include "store/schema.h"

#include <cmocka.h>

struct row_job {
    struct store_job job;
    int64_t id;
    bool done;
};

static enum sql_result insert_row(struct store_job *j, struct sql *db)
{
    struct sql_value id = sql_int(container_of(j, struct row_job, job)->id);
    return sql_run(db, "INSERT INTO battery_rows (id) VALUES (?)", &id, 1, NULL, NULL);
}

static void row_done(struct store_job *j)
{
    container_of(j, struct row_job, job)->done = true;
}

/* One that fails takes none of the others along. */
struct asking {
    struct store_job job;
    atomic_bool *let_go; // of who waits for the other
    bool waits, done;
};

static enum sql_result asking_run(struct store_job *j, struct sql *db)
{
    struct asking *a = container_of(j, struct asking, job);
    (void)db;
    while (a->waits && !atomic_load(a->let_go))
        sched_yield();
    atomic_store(a->let_go, true);
    return SQL_OK;
}

static void asking_done(struct store_job *j)
{
    container_of(j, struct asking, job)->done = true;
}

/* A search that takes long keeps no other question waiting: this one ends when the other has. */
void test_searches(void **state)
{
    atomic_bool let_go = false;
    struct asking asks[2];
    (void)state;
    for (int i = 0; i < 2; i++) {
        asks[i] = (struct asking){.job = {.loop = loop,
                                          .reads = true,
                                          .search = i == 0,
                                          .run = asking_run,
                                          .done = asking_done},
                                  .let_go = &let_go,
                                  .waits = i == 0};
        store_do(store, &asks[i].job);
    }
    while (!asks[0].done || !asks[1].done)
        loop_turn(loop, 100);
}

static void asks_wait(const struct asking *asks, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        while (!asks[i].done)
            loop_turn(loop, 100);
    }
}

/* So many searches wait; who comes then is told at once, and other questions are answered. */
void test_searches_have_an_end(void **state)
{
    enum { COUNT = 1000 };
    struct asking asks[COUNT];
    atomic_bool let_go = false, other_let_go = false;
    unsigned too_many = 0;
    (void)state;
    struct asking other = {.job = {.loop = loop, .reads = true}, .let_go = &other_let_go};
    other.job.run = asking_run;
    other.job.done = asking_done;
    for (int i = 0; i < COUNT; i++) {
        asks[i] = (struct asking){.let_go = &let_go, .waits = true};
        asks[i].job = other.job;
        asks[i].job.search = true;
        store_do(store, &asks[i].job);
    }
    store_do(store, &other.job);
    asks_wait(&other, 1);
    asks_wait(&asks[COUNT - 1], 1);
    atomic_store(&let_go, true);
    asks_wait(asks, COUNT);
    for (int i = 0; i < COUNT; i++) {
        assert_true(asks[i].job.result == SQL_OK || asks[i].job.result == SQL_AGAIN);
        too_many += asks[i].job.result == SQL_AGAIN;
    }
    assert_in_range(too_many, 1, COUNT - 100);
    assert_int_equal(asks[0].job.result, SQL_OK);
    assert_int_equal(other.job.result, SQL_OK);
}

static enum sql_result endless_run(struct store_job *j, struct sql *db)
{
    struct asking *a = container_of(j, struct asking, job);
    atomic_store(a->let_go, true);
    return sql_run(db,
                   "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) "
                   "SELECT count(*) FROM c",
                   NULL, 0, NULL, NULL);
}

/* A search that is under way ends with the store, and those behind it do not begin. */
void test_searches_end_with_the_store(void **state)
{
    enum { COUNT = 10 };
    struct asking asks[COUNT];
    atomic_bool begun = false, others = false;
    (void)state;
    if (!str_starts(battery_url(), STR("sqlite:")))
        skip(); // a server's search is waited for
    for (int i = 0; i < COUNT; i++) {
        asks[i] = (struct asking){.job = {.loop = loop,
                                          .reads = true,
                                          .search = true,
                                          .run = i == 0 ? endless_run : asking_run,
                                          .done = asking_done},
                                  .let_go = i == 0 ? &begun : &others};
        store_do(store, &asks[i].job);
    }
    while (!atomic_load(&begun))
        sched_yield();
    reopen();
    asks_wait(asks, COUNT);
    for (int i = 0; i < COUNT; i++)
        assert_int_equal(asks[i].job.result, SQL_DOWN);
    assert_false(atomic_load(&others));
}

/* The same value once more is a change to every database. */
void test_changes_are_matches(void **state)
{
    static const char text[] = "UPDATE recado_checkpoint SET id = 1 WHERE id = 1";
    (void)state;
    if (!outlives())
        skip();
    struct sql *db = battery_sql();
    assert_int_equal(sql_run(db, text, NULL, 0, NULL, NULL), SQL_OK);
    assert_int_equal(sql_changes(db), 1);
    sql_close(&db);
}

void test_jobs(void **state)
{
    (void)state;
    struct row_job jobs[20];
    for (int i = 0; i < 20; i++) {
        jobs[i] = (struct row_job){.job = {.loop = loop, .run = insert_row, .done = row_done},
                                   .id = i % 10}; // the second ten are there already
        store_do(store, &jobs[i].job);
    }
    append(60, 1);
    wait_for_all();
    for (int i = 0; i < 20; i++) {
        while (!jobs[i].done)
            loop_turn(loop, 100);
        assert_int_equal(jobs[i].job.result, i < 10 ? SQL_OK : SQL_CONSTRAINT);
    }
    check_read(60, 0, 0, 0, false, 1, 1);
}

struct looking {
    struct store_job job;
    atomic_bool begun, go_on;
    int64_t counts[2];
    bool done;
};

static bool count_row(void *ctx, const struct sql_value *v, size_t count)
{
    (void)count;
    *(int64_t *)ctx = v[0].i;
    return true;
}

static enum sql_result looking_run(struct store_job *j, struct sql *db)
{
    struct looking *l = container_of(j, struct looking, job);
    enum sql_result r = SQL_OK;
    for (int i = 0; r == SQL_OK && i < 2; i++) {
        r = sql_run(db, "SELECT COUNT(*) FROM battery_rows", NULL, 0, count_row, &l->counts[i]);
        atomic_store(&l->begun, true);
        while (!atomic_load(&l->go_on))
            sched_yield();
    }
    return r;
}

static void looking_done(struct store_job *j)
{
    container_of(j, struct looking, job)->done = true;
}

/* What is committed between two statements of a question is in neither, or a list and its total
 * would not agree. */
void test_a_question_sees_one_moment(void **state)
{
    (void)state;
    if (!outlives())
        skip(); // in memory a writer waits for whoever reads
    struct looking l = {
        .job = {.loop = loop, .reads = true, .run = looking_run, .done = looking_done}};
    struct row_job added = {.job = {.loop = loop, .run = insert_row, .done = row_done}, .id = 1000};
    store_do(store, &l.job);
    while (!atomic_load(&l.begun))
        sched_yield();
    store_do(store, &added.job);
    while (!added.done)
        loop_turn(loop, 100);
    assert_int_equal(added.job.result, SQL_OK);
    atomic_store(&l.go_on, true);
    while (!l.done)
        loop_turn(loop, 100);
    assert_int_equal(l.job.result, SQL_OK);
    assert_int_equal(l.counts[0], l.counts[1]);
}

static enum sql_result failing_run(struct store_job *j, struct sql *db)
{
    struct looking *l = container_of(j, struct looking, job);
    (void)db;
    atomic_store(&l->begun, true);
    while (!atomic_load(&l->go_on))
        sched_yield();
    return SQL_DOWN;
}

/* Those of the batch that fails, and those that came while it was being tried; all of them are
 * written in the end. */
void test_failures_are_told_to_all_who_wait(void **state)
{
    enum { STREAM = 62, COUNT = 5 };
    struct looking failing = {.job = {.loop = loop, .run = failing_run, .done = looking_done}};
    (void)state;
    store_do(store, &failing.job);
    while (!atomic_load(&failing.begun))
        sched_yield();
    for (uint64_t o = 1; o <= COUNT; o++)
        append(STREAM, o);
    atomic_store(&failing.go_on, true);
    while (waiting > 0 || !failing.done)
        loop_turn(loop, 100);
    assert_int_equal(failing.job.result, SQL_DOWN);
    assert_int_equal(refused, COUNT);
    refused = 0;
    check_read(STREAM, 0, 0, 0, false, 1, COUNT);
}

/* With nothing to write, to tidy up or to check, nothing is asked of the disk. */
void test_idle(void **state)
{
    struct store_state before, after;
    unsigned tries = 0;
    (void)state;
    if (!str_starts(battery_url(), STR("sqlite:")))
        skip(); // a server is asked now and then whether it is there
    append(61, 1);
    wait_for_all();
    do {
        assert_true(tries++ < 20);
        store_read_state(store, &before);
        for (int i = 0; i < 25; i++)
            loop_turn(loop, 100);
        store_read_state(store, &after);
    } while (after.commits != before.commits);
    append(61, 2);
    wait_for_all();
}

/* While the store is open, for what ends with its last connection. */
void make_rows(void)
{
    enum sql_result r;
    struct sql *db = battery_sql();
    do {
        r = sql_script(db, "CREATE TABLE battery_rows (id BIGINT NOT NULL PRIMARY KEY)");
    } while (r == SQL_AGAIN);
    assert_int_equal(r, SQL_OK);
    sql_close(&db);
}
