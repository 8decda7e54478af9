/* runs_stays: what is apart, what outlives the process, and what is forgotten. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "runs_battery.h"

#include "base/clock.h"
#include "base/date.h"
#include "base/must.h"

#include <cmocka.h>

/* ---- what stays and what goes ---- */

void test_tenants_are_apart(void **state)
{
    (void)state;
    assert_int_equal(change_of("one", RUN_CREATE, "", "{\"id\":\"same\",\"name\":\"first\"}"),
                     RUN_DONE);
    assert_int_equal(change_of("two", RUN_CREATE, "", "{\"id\":\"same\",\"name\":\"second\"}"),
                     RUN_DONE);
    assert_int_equal(change_of("one", RUN_CANCEL, "same", ""), RUN_DONE);
    assert_true(one_has("one", "same", "\"status\":\"cancelled\""));
    assert_true(one_has("two", "same", "\"status\":\"running\""));
    assert_true(one_has("two", "life", NULL));
}

void test_rows_outlive_the_process(void **state)
{
    (void)state;
    if (battery_is_memory())
        skip();
    close_all();
    open_all();
    assert_true(one_has("t", "again", "\"attempt\":3"));
    assert_int_equal(change(RUN_CREATE, "", "{\"id\":\"after\"}"), RUN_DONE); // numbers go on
    assert_int_equal(change(RUN_CREATE, "", "{\"id\":\"life\"}"), RUN_EXISTS);
}

struct forgetting {
    struct store_job job;
    int64_t excess, count;
    bool done;
};

static enum sql_result forget_run(struct store_job *j, struct sql *db)
{
    struct forgetting *f = container_of(j, struct forgetting, job);
    return rows_forget(db, 0, f->excess, 500, &f->count);
}

static void forget_done(struct store_job *j)
{
    container_of(j, struct forgetting, job)->done = true;
}

void test_the_oldest_are_forgotten(void **state)
{
    (void)state;
    struct forgetting f = {.job = {.loop = loop, .run = forget_run, .done = forget_done},
                           .excess = 2};
    store_do(store, &f.job);
    while (!f.done)
        loop_turn(loop, 100);
    assert_int_equal(f.job.result, SQL_OK);
    assert_int_equal(f.count, 2);
    assert_true(one_has("t", "life", NULL)); // it was the first
    assert_true(one_has("one", "same", "same"));
}

/* A thousand events at once, in few transactions, all of them there. */
void test_many_events(void **state)
{
    char data[128];
    struct store_state before, after;
    (void)state;
    store_read_state(store, &before);
    for (int i = 0; i < 2000; i++) {
        snprintf(data, sizeof(data), "{\"agent_id\":\"bulk\",\"execution_id\":\"bulk_%d\"}", i / 2);
        assert_true(event("gamification",
                          i % 2 == 0 ? "agent_execution_started" : "agent_execution_completed",
                          data));
    }
    wait_idle();
    store_read_state(store, &after);
    assert_in_range(after.commits - before.commits, 1, 60);
    struct asked *a = asked_make("t", WANT_STATS);
    a->q.filter.agent_id = STR("bulk");
    ask(a);
    assert_int_equal(a->q.stats.total, 1000);
    assert_int_equal(a->q.stats.completed, 1000);
    asked_free(a);
}

/* One that the database refuses takes none of the others along: the texts of two databases hold no
 * such bytes, and where they do nothing is refused. */
void test_a_refused_one_is_left_out(void **state)
{
    struct ledger_stats before, after;
    char data[128];
    (void)state;
    ledger_read_stats(ledger, &before);
    for (int i = 0; i < 40; i++) {
        snprintf(data, sizeof(data), "{\"agent_id\":\"odd\",\"execution_id\":\"odd_%d\"}", i);
        struct run_change *c = run_event_change(STR("t"), STR("g"), STR("agent_execution_started"),
                                                str_from(data), clock_wall_ms());
        assert_non_null(c);
        if (i == 20)
            c->said.name = STR("\xff\xfe");
        assert_true(ledger_give(ledger, c));
    }
    wait_idle();
    ledger_read_stats(ledger, &after);
    int refused = (int)(after.dropped - before.dropped);
    assert_in_range(refused, 0, 1);
    struct asked *a = asked_make("t", WANT_STATS);
    a->q.filter.agent_id = STR("odd");
    ask(a);
    assert_int_equal(a->q.stats.total, 40 - refused);
    asked_free(a);
}
