/*
 * run_test.c - the drawing of the states, and a run as JSON.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include "runs/run.h"

#include <cmocka.h>

static void moves(void **state)
{
    (void)state;
    for (int from = 0; from < RUN_STATE_COUNT; from++) {
        for (int to = 0; to < RUN_STATE_COUNT; to++) {
            enum run_state f = (enum run_state)from, t = (enum run_state)to;
            bool may = run_may_go(f, t);
            if (f == t || f == RUN_SUPERSEDED || t == RUN_QUEUED)
                assert_false(may);
            else if (t == RUN_SUPERSEDED)
                assert_true(may);
            else if (!run_is_open(f)) // what is over stays as it is
                assert_false(may);
            else if (!run_is_open(t))
                assert_true(may);
        }
    }
    assert_true(run_may_go(RUN_QUEUED, RUN_RUNNING) && run_may_go(RUN_LOST, RUN_RUNNING));
    assert_true(run_may_go(RUN_QUEUED, RUN_LOST) && run_may_go(RUN_RUNNING, RUN_LOST));
}

static void names(void **state)
{
    enum run_state s;
    (void)state;
    for (int i = 0; i < RUN_STATE_COUNT; i++) {
        assert_true(run_state_find(str_from(run_state_name((enum run_state)i)), &s));
        assert_int_equal(s, i);
    }
    assert_false(run_state_find(STR("Running"), &s));
    assert_false(run_state_find(STR(""), &s));
}

static void written(void **state)
{
    char at[2048];
    struct buf b = buf_on(at, sizeof(at));
    struct json_writer w;
    (void)state;
    json_writer_init(&w, &b);
    run_put(&w, &(struct run){.id = STR("r\"1"),
                              .kind = STR("agent"),
                              .attempt = 2,
                              .state = RUN_TIMEOUT,
                              .result = STR("[1]"),
                              .tokens_in = -1,
                              .tokens_out = 0,
                              .started_at = 1,
                              .duration_ms = -1,
                              .created_at = 1});
    assert_true(json_done(&w) && json_valid(buf_str(&b)));
    static const char *const parts[] = {"\"id\":\"r\\\"1\"",
                                        "\"agent_id\":null",
                                        "\"status\":\"timeout\"",
                                        "\"attempt\":2",
                                        "\"input\":null",
                                        "\"result\":[1]",
                                        "\"tokens_in\":null",
                                        "\"tokens_out\":0",
                                        "\"started_at\":\"1970-01-01T00:00:00.001Z\"",
                                        "\"completed_at\":null",
                                        "\"duration_ms\":null",
                                        "\"metadata\":{}"};
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
        assert_true(str_find(buf_str(&b), str_from(parts[i])) < b.len);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(moves), cmocka_unit_test(names),
                                       cmocka_unit_test(written)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
