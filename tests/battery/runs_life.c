/* runs_life: what back ends say of a run, and what it may become. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "runs_battery.h"

#include "base/clock.h"
#include "base/date.h"
#include "base/must.h"

#include <cmocka.h>

/* ---- a run's life ---- */

void test_life(void **state)
{
    (void)state;
    assert_int_equal(change(RUN_CREATE, "",
                            "{\"id\":\"life\",\"kind\":\"agent\",\"agent_id\":\"ag\","
                            "\"input\":{\"a\":\"\xc3\xa7\xf0\x9f\x98\x80\"}}"),
                     RUN_DONE);
    assert_true(says("\"status\":\"running\"") && says("\xf0\x9f\x98\x80"));
    assert_int_equal(change(RUN_CREATE, "", "{\"id\":\"life\"}"), RUN_EXISTS);
    assert_int_equal(change(RUN_PATCH, "life", "{\"metadata\":{\"x\":1},\"name\":\"n\"}"),
                     RUN_DONE);
    assert_int_equal(change(RUN_PATCH, "life", "{\"metadata\":{\"y\":2,\"x\":3}}"), RUN_DONE);
    assert_true(says("\"metadata\":{\"y\":2,\"x\":3}") && says("\"name\":\"n\""));
    assert_int_equal(change(RUN_STEP, "life", "{\"name\":\"one\"}"), RUN_DONE);
    assert_int_equal(change(RUN_STEP, "life", "{\"name\":\"two\",\"detail\":[1]}"), RUN_DONE);
    assert_int_equal(
        change(RUN_STEP, "life", "{\"seq\":1,\"name\":\"one\",\"status\":\"completed\"}"),
        RUN_DONE);
    assert_true(
        one_has("t", "life", "\"steps\":[{\"seq\":1,\"name\":\"one\",\"status\":\"completed\""));
    assert_true(one_has("t", "life", "{\"seq\":2,\"name\":\"two\""));
    assert_int_equal(change(RUN_FINISH, "life",
                            "{\"result\":{\"ok\":true},\"tokens_out\":7,"
                            "\"duration_ms\":1500}"),
                     RUN_DONE);
    assert_true(says("\"status\":\"completed\"") && says("\"duration_ms\":1500") &&
                says("\"tokens_out\":7"));
    assert_int_equal(change(RUN_FINISH, "life", ""), RUN_DONE); // said twice
    assert_int_equal(change(RUN_CANCEL, "life", ""), RUN_ILLEGAL);
    assert_int_equal(last.before, RUN_COMPLETED);
    assert_int_equal(change(RUN_HEARTBEAT, "life", ""), RUN_ILLEGAL);
    assert_int_equal(change(RUN_STEP, "life", "{\"name\":\"late\"}"), RUN_ILLEGAL);
    assert_int_equal(change(RUN_PATCH, "life", "{\"status\":\"running\"}"), RUN_ILLEGAL);
    assert_int_equal(change(RUN_CANCEL, "nobody", ""), RUN_ABSENT);
    assert_true(heard("t {\"id\":\"life\"") && !heard("\"input\""));
}

void test_attempts(void **state)
{
    (void)state;
    change(RUN_CREATE, "", "{\"id\":\"again\",\"kind\":\"task\",\"agent_id\":\"ag\",\"input\":1}");
    assert_int_equal(change(RUN_FINISH, "again", "{\"error\":\"no\"}"), RUN_DONE);
    assert_true(says("\"status\":\"failed\""));
    assert_int_equal(change(RUN_RETRY, "again", ""), RUN_DONE);
    assert_true(says("\"attempt\":2") && says("\"status\":\"running\"") && says("\"error\":null") &&
                says("\"input\":1"));
    assert_int_equal(change(RUN_RETRY, "again", "{\"status\":\"queued\"}"), RUN_DONE);
    assert_int_equal(change(RUN_FINISH, "again", ""), RUN_DONE);
    assert_true(one_has("t", "again", "\"status\":\"completed\",\"attempt\":3"));
    assert_true(one_has("t", "again", "\"status\":\"superseded\",\"attempt\":2"));
    assert_true(one_has("t", "again", "\"status\":\"superseded\",\"attempt\":1"));
    struct asked *a = asked_make("t", WANT_ROWS | WANT_STATS);
    a->q.filter.q = STR("again");
    ask(a);
    assert_int_equal(a->q.row_count, 1); // the newest alone
    assert_int_equal(a->q.stats.total, 1);
    asked_free(a);
}

static void step_of(const char *id, size_t detail_bytes)
{
    static char body[4096];
    snprintf(body, sizeof(body), "{\"name\":\"look\",\"detail\":\"%.*s\"}", (int)detail_bytes, "");
    size_t n = strlen(body) - 2;
    memset(body + n, 'd', detail_bytes);
    memcpy(body + n + detail_bytes, "\"}", 3);
    assert_int_equal(change(RUN_STEP, id, body), RUN_DONE);
}

/* What became of each attempt is there, with its steps and its result, behind every retry. */
void test_every_attempt_is_shown(void **state)
{
    (void)state;
    change(RUN_CREATE, "", "{\"id\":\"tries\",\"input\":{\"try\":1}}");
    step_of("tries", 10);
    step_of("tries", 2000);
    change(RUN_FINISH, "tries", "{\"status\":\"timeout\",\"error\":\"slow\",\"result\":[1]}");
    assert_int_equal(change(RUN_RETRY, "tries", "{\"input\":{\"try\":2}}"), RUN_DONE);
    step_of("tries", 2000);
    char *now = one_of("t", "tries", 0), *first = one_of("t", "tries", 1);
    assert_non_null(strstr(now, "\"status\":\"running\",\"attempt\":2,\"severity\":null,"
                                "\"input\":{\"try\":2},\"result\":null,"));
    const char *old = strstr(now, "\"status\":\"superseded\",\"attempt\":1,\"former_status\":"
                                  "\"timeout\",\"severity\":null,\"input\":{\"try\":1},"
                                  "\"result\":[1],\"error\":\"slow\"");
    assert_non_null(old);
    assert_non_null(strstr(old, "\"name\":\"look\"")); // its steps, with what is short of them
    assert_non_null(strstr(old, "\"detail\":\"dddddddddd\""));
    assert_non_null(strstr(old, "\"detail\":null"));
    assert_true(strlen(now) < 6000); // one long detail, of the attempt that is asked for
    assert_non_null(strstr(first, "{\"id\":\"tries\",\"kind\":\"custom\""));
    assert_ptr_equal(strstr(first, "\"attempt\":1"), strstr(first, "\"attempt\":"));
    assert_non_null(strstr(first, "ddddddddddd"));
    assert_null(one_of("t", "tries", 3));
    free(now);
    free(first);
}

void test_attempts_have_an_end(void **state)
{
    (void)state;
    change(RUN_CREATE, "", "{\"id\":\"often\"}");
    for (int i = 1; i < RUN_ATTEMPTS_MAX + 3; i++) {
        assert_int_equal(change(RUN_STEP, "often", "{\"name\":\"s\"}"), RUN_DONE);
        assert_int_equal(change(RUN_RETRY, "often", ""), RUN_DONE);
    }
    assert_true(says("\"attempt\":23"));
    char *kept = one_of("t", "often", 4), *gone = one_of("t", "often", 3);
    assert_non_null(kept);
    assert_null(gone);
    size_t attempts = 0;
    for (const char *at = kept; (at = strstr(at, "\"attempt\":")) != NULL; at++)
        attempts++;
    assert_int_equal(attempts, RUN_ATTEMPTS_MAX + 1); // and itself
    free(kept);
}

void test_leases(void **state)
{
    struct ledger_stats s;
    (void)state;
    change(RUN_CREATE, "", "{\"id\":\"lease\",\"lease\":1}");
    do {
        loop_turn(loop, 20);
        ledger_read_stats(ledger, &s);
    } while (s.lost_leases == 0);
    assert_true(one_has("t", "lease", "\"status\":\"lost\""));
    assert_true(heard("\"status\":\"lost\""));
    assert_int_equal(change(RUN_HEARTBEAT, "lease", "{\"lease\":\"1h\"}"), RUN_DONE); // it lives
    assert_true(says("\"status\":\"running\"") && says("\"error\":null") &&
                !says("\"lease_until\":null"));
    assert_int_equal(change(RUN_FINISH, "lease", ""), RUN_DONE);
    assert_true(says("\"lease_until\":null"));
}

void test_steps_have_an_end(void **state)
{
    char body[64];
    (void)state;
    change(RUN_CREATE, "", "{\"id\":\"steps\"}");
    snprintf(body, sizeof(body), "{\"seq\":%d,\"name\":\"last\"}", RUN_STEPS_MAX);
    assert_int_equal(change(RUN_STEP, "steps", body), RUN_DONE);
    assert_int_equal(change(RUN_STEP, "steps", "{\"name\":\"more\"}"), RUN_FULL);
}
