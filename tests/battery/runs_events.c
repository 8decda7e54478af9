/* runs_events: what passes leaves rows, in whichever order it comes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "runs_battery.h"

#include "base/clock.h"
#include "base/date.h"
#include "base/must.h"

#include <cmocka.h>

/* ---- events ---- */

void test_events(void **state)
{
    (void)state;
    int64_t at = clock_wall_ms();
    assert_true(event_at("gamification", "councilor_started",
                         "{\"councilor_id\":\"sec\",\"task_name\":\"Auditoria\",\"display_name\":"
                         "\"Silva\",\"execution_id\":\"exec_sec_1\",\"instance_id\":\"i1\"}",
                         at));
    assert_true(event_at("gamification", "councilor_completed",
                         "{\"councilor_id\":\"sec\",\"execution_id\":\"exec_sec_1\",\"status\":"
                         "\"completed\",\"severity\":\"warning\",\"duration_ms\":5230}",
                         at + 5230));
    wait_idle();
    assert_true(one_has("t", "exec_sec_1",
                        "\"kind\":\"councilor\",\"name\":\"Auditoria\",\"agent_id\":"
                        "\"sec\",\"agent_name\":\"Silva\""));
    assert_true(one_has("t", "exec_sec_1", "\"status\":\"completed\""));
    assert_true(one_has("t", "exec_sec_1", "\"duration_ms\":5230"));
    assert_true(one_has("t", "exec_sec_1", "\"instance_id\":\"i1\""));

    assert_true(event("agents", "agent:execution:start", "{\"agentId\":7,\"taskId\":\"ev\"}"));
    assert_true(event("agents", "agent:execution:error",
                      "{\"agentId\":7,\"taskId\":\"ev\",\"error\":\"boom\"}"));
    assert_true(event("agents", "agent:execution:start", "{\"agentId\":7,\"taskId\":\"ev\"}"));
    wait_idle();
    struct asked *a = asked_make("t", WANT_STATS);
    a->q.filter.task_id = STR("ev");
    ask(a);
    assert_int_equal(a->q.stats.total, 2);
    assert_int_equal(a->q.stats.failed, 1);
    assert_int_equal(a->q.stats.running, 1);
    asked_free(a);
}

void test_events_out_of_order(void **state)
{
    (void)state;
    event(
        "gamification", "agent_execution_completed",
        "{\"agent_id\":\"b\",\"execution_id\":\"lone\",\"duration_ms\":100,\"severity\":\"error\","
        "\"status\":\"error\"}");
    event("gamification", "agent_execution_started",
          "{\"agent_id\":\"b\",\"execution_id\":\"lone\"}");
    event("gamification", "agent_execution_completed",
          "{\"agent_id\":\"b\",\"execution_id\":\"done\"}");
    event("gamification", "agent_execution_started",
          "{\"agent_id\":\"b\",\"execution_id\":\"done\"}");
    wait_idle();
    /* What failed and starts again is another attempt; what is complete stays so. */
    assert_true(one_has("t", "lone", "\"status\":\"running\",\"attempt\":2"));
    assert_true(one_has("t", "done", "\"status\":\"completed\",\"attempt\":1"));
    /* A back end made it, an event ends it. */
    change(RUN_CREATE, "", "{\"id\":\"both\",\"kind\":\"agent\"}");
    event("agents", "agent:execution:complete", "{\"executionId\":\"both\",\"result\":[1]}");
    wait_idle();
    assert_true(one_has("t", "both", "\"result\":[1]"));
}

void test_jobs(void **state)
{
    (void)state;
    assert_true(event("project:P", "job_started", "{\"job_id\":\"j1\",\"status\":\"running\"}"));
    for (int i = 0; i < 5; i++)
        assert_true(event("project:P", "job_progress",
                          i < 4 ? "{\"job_id\":\"j1\",\"progress\":10,\"status\":\"running\"}"
                                : "{\"job_id\":\"j1\",\"progress\":90,\"output\":\"x\"}"));
    wait_idle();
    assert_true(one_has("t", "j1", "\"steps\":[{\"seq\":1,\"name\":\"progress\""));
    assert_true(one_has("t", "j1", "\"progress\":90"));
    assert_true(one_has("t", "j1", "\"status\":\"running\",\"attempt\":1"));
    assert_true(event("project:P", "job_failed", "{\"job_id\":\"j1\",\"error\":\"broken\"}"));
    assert_true(event("job:job_7", "job_started", "{\"message\":\"m\"}"));
    assert_true(event("job:job_7", "result", "{\"result\":\"R\",\"message\":\"ok\"}"));
    assert_true(event("p", "job_progress", "{\"job_id\":\"fresh\",\"progress\":1}"));
    wait_idle();
    assert_true(one_has("t", "j1", "\"error\":\"broken\""));
    assert_true(one_has("t", "job_7", "\"result\":\"R\""));
    assert_true(one_has("t", "fresh", "\"steps\":[{\"seq\":1,\"name\":\"progress\""));
}

static void keep_kept(struct run_query *q, struct str type, struct str data, int64_t time_ms)
{
    (void)data;
    (void)time_ms;
    buf_add(&q->rows, type);
    q->row_count++;
}

void test_task_events_are_kept(void **state)
{
    char data[64];
    (void)state;
    for (int i = 0; i < 300; i++) {
        snprintf(data, sizeof(data), "{\"task_id\":\"k%d\",\"n\":%d}", i % 7, i);
        assert_true(event("gamification", i % 2 == 0 ? "task_picked" : "task_whatever", data));
    }
    wait_idle();
    struct asked *a = asked_make("t", WANT_KEPT);
    a->q.kept = keep_kept;
    ask(a);
    assert_int_equal(a->q.row_count, KEPT_MAX);
    assert_true(str_starts(buf_str(&a->q.rows), STR("task_whatever"))); // the newest first
    asked_free(a);
}
