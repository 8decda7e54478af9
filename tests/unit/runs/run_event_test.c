/*
 * run_event_test.c - which events are about runs, and what they say, in every application's words.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "runs/run_change.h"

#include <cmocka.h>

static struct run_change *seen(const char *channel, const char *type, const char *data)
{
    char *copy = strdup(data);
    struct run_change *c =
        run_event_change(STR("t"), str_from(channel), str_from(type), str_from(copy), 1000);
    free(copy); // nothing points into it
    return c;
}

static void check(struct str got, const char *want)
{
    if (!str_eq(got, str_from(want)))
        fail_msg("%.*s is not %s", STR_FMT(got), want);
}

static void table(void **state)
{
    static const struct {
        const char *channel, *type, *data;
        const char *match, *kind, *status; // match NULL: not about a run
    } rows[] = {
        {"agents", "agent:execution:start", "{\"agentId\":\"a\",\"taskId\":5}",
         "at:a\x1f"
         "5",
         "agent", "running"},
        {"agents", "agent:execution:complete", "{\"executionId\":\"e\",\"agentId\":\"a\"}", "x:e",
         "agent", "completed"},
        {"agents", "agent:execution:error", "{\"agentId\":\"a\"}", "at:a\x1f", "agent", "failed"},
        {"agents", "agent:execution:error", "{}", NULL, NULL, NULL},
        {"agents", "agent:execution:else", "{\"agentId\":\"a\"}", NULL, NULL, NULL},
        {"g", "agent_execution_completed", "{\"execution_id\":\"e\",\"status\":\"error\"}", "x:e",
         "agent", "failed"},
        {"g", "agent_execution_completed", "{\"execution_id\":\"e\",\"status\":\"timeout\"}", "x:e",
         "agent", "timeout"},
        {"g", "councilor_started", "{\"councilor_id\":\"c\",\"execution_id\":\"exec_c_1\"}",
         "x:exec_c_1", "councilor", "running"},
        {"g", "councilor_error", "{\"execution_id\":\"exec_c_1\"}", "x:exec_c_1", "councilor",
         "failed"},
        {"g", "councilor_paused", "{\"councilor_id\":\"c\"}", NULL, NULL, NULL},
        {"p", "job_started", "{\"job_id\":\"j\"}", "job:j", "job", "running"},
        {"p", "job_progress", "{\"job_id\":\"j\",\"progress\":3}", "job:j", "job", "running"},
        {"p", "job_failed", "{\"job_id\":\"j\",\"error\":\"x\"}", "job:j", "job", "failed"},
        {"p", "job_submitted", "{\"job_id\":\"j\"}", NULL, NULL, NULL},
        {"job:j7", "job_started", "{\"message\":\"m\"}", "job:j7", "job", "running"},
        {"job:j7", "result", "{\"result\":1}", "job:j7", "job", "completed"},
        {"job:j7", "error", "{\"error\":\"x\"}", "job:j7", "job", "failed"},
        {"news", "error", "{\"error\":\"x\",\"job_id\":\"j\"}", NULL, NULL, NULL},
        {"g", "task_submitted", "{\"task_id\":\"t\",\"agent_id\":\"a\"}", "x:t", "task", "queued"},
        {"g", "task_picked", "{\"task_id\":\"t\"}", "x:t", "task", "running"},
        {"g", "task_error", "{\"task_id\":\"t\"}", "x:t", "task", "failed"},
        {"g", "task_completed", "{\"task_id\":\"t\",\"title\":\"x\",\"agent_id\":\"a\"}", "x:t",
         "task", "completed"},
        /* Of a project's board: */
        {"project:P", "task_completed", "{\"task_id\":\"t\",\"title\":\"x\",\"story_id\":\"s\"}",
         NULL, NULL, NULL},
        {"project:P", "task_completed", "{\"task_id\":\"t\",\"title\":\"x\"}", NULL, NULL, NULL},
        {"project:P", "task_updated", "{\"task_id\":\"t\"}", NULL, NULL, NULL},
        /* Not an object: */
        {"g", "task_picked", "[1]", NULL, NULL, NULL},
        {"g", "task_picked", "null", NULL, NULL, NULL},
        {"g", "task_picked", "", NULL, NULL, NULL},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct run_change *c = seen(rows[i].channel, rows[i].type, rows[i].data);
        if (rows[i].match == NULL) {
            if (c != NULL)
                fail_msg("%s %s is about a run", rows[i].type, rows[i].data);
            continue;
        }
        assert_non_null(c);
        check(c->match, rows[i].match);
        check(c->said.kind, rows[i].kind);
        assert_string_equal(run_state_name(c->said.state), rows[i].status);
        run_change_free(c);
    }
}

static void fields(void **state)
{
    (void)state;
    struct run_change *c = seen(
        "g", "councilor_completed",
        "{\"councilor_id\":\"sec\",\"task_name\":\"Auditoria \\u00e7\",\"display_name\":\"Silva\","
        "\"execution_id\":\"e1\",\"status\":\"completed\",\"severity\":\"warning\",\"duration_ms\":"
        "5230.7,\"started_at\":\"2025-10-26T03:18:59.123456\",\"completed_at\":"
        "\"2025-10-26T03:19:04Z\",\"summary\":\"done\",\"tokens_in\":3,\"nested\":{\"a\":[1]},"
        "\"agent_emoji\":\"\xf0\x9f\xa4\x96\"}");
    assert_non_null(c);
    check(c->said.agent_id, "sec");
    check(c->said.agent_name, "Silva");
    check(c->said.name, "Auditoria \xc3\xa7");
    check(c->said.severity, "warning");
    check(c->said.result, "\"done\"");
    assert_int_equal(c->said.duration_ms, 5230);
    assert_int_equal(c->said.tokens_in, 3);
    assert_int_equal(c->said.started_at, RUN_UNSAID); // nobody knows its zone
    assert_int_equal(c->said.completed_at, 1761448744000);
    assert_true(json_valid(c->said.metadata));
    assert_true(str_find(c->said.metadata, STR("\"nested\":{\"a\":[1]}")) < c->said.metadata.n);
    assert_true(str_find(c->said.metadata, STR("agent_emoji")) < c->said.metadata.n);
    assert_true(str_find(c->said.metadata, STR("severity")) == c->said.metadata.n);
    run_change_free(c);
}

static void progress(void **state)
{
    (void)state;
    struct run_change *c = seen("p", "job_progress",
                                "{\"job_id\":\"j\",\"progress\":45,\"status\":\"running\","
                                "\"output\":\"lines\"}");
    assert_non_null(c);
    assert_int_equal(c->act, EVENT_PROGRESSES);
    check(c->step.name, "progress");
    check(c->step.status, "running");
    assert_true(json_valid(c->step.detail));
    assert_true(str_find(c->step.detail, STR("\"progress\":45")) < c->step.detail.n);
    assert_true(str_find(c->step.detail, STR("\"output\":\"lines\"")) < c->step.detail.n);
    run_change_free(c);
}

/* Long ones are cut between characters, and a zero character becomes a space. */
static void hard_strings(void **state)
{
    char data[4096], name[1024];
    (void)state;
    for (size_t i = 0; i + 1 < 600; i += 2) {
        name[i] = (char)0xc3;
        name[i + 1] = (char)0xa7;
    }
    snprintf(data, sizeof(data),
             "{\"execution_id\":\"%.600s\",\"agent_name\":\"a\\u0000b\",\"task_name\":\"\\ud800\"}",
             name);
    struct run_change *c = seen("g", "councilor_started", data);
    assert_non_null(c);
    assert_int_equal(c->said.id.n, 254);
    check(c->said.agent_name, "a b");
    assert_int_equal(c->said.name.n, 0);
    run_change_free(c);
}

static void cut_off(void **state)
{
    const char *data = "{\"execution_id\":\"e\",\"agent_id\":\"a\",\"x\":{\"y\":[1,\"\\u00e7\"]}}";
    char part[128];
    (void)state;
    for (size_t n = 0; n < strlen(data); n++) {
        snprintf(part, sizeof(part), "%.*s", (int)n, data);
        assert_null(seen("g", "agent_execution_started", part));
    }
}

/* Every task event of the council is remembered, also those that are about no run. */
static void kept(void **state)
{
    (void)state;
    struct run_change *c = seen("gamification", "task_whatever", "{\"x\":1}");
    assert_non_null(c);
    assert_int_equal(c->act, EVENT_ONLY_KEPT);
    check(c->kept, "task_whatever");
    check(c->kept_data, "{\"x\":1}");
    run_change_free(c);
    assert_null(seen("elsewhere", "task_whatever", "{\"x\":1}"));
    c = seen("gamification", "task_picked", "{\"task_id\":\"t\"}");
    assert_non_null(c);
    check(c->kept, "task_picked");
    check(c->match, "x:t");
    run_change_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(table),    cmocka_unit_test(fields),
                                       cmocka_unit_test(progress), cmocka_unit_test(hard_strings),
                                       cmocka_unit_test(cut_off),  cmocka_unit_test(kept)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
