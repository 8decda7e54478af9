/* desk_approvals: requests, their decisions, and what is forgotten. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "desk_battery.h"

#include "base/json.h"
#include "base/must.h"
#include "runs/approvals_priv.h"

#include <cmocka.h>

enum { RACERS = 20 };

static const struct approvals_by back_end = {.back_end = true};

static void decide(struct approvals_by by, const char *id, bool approve, const char *body,
                   enum desk_state state, const char *part)
{
    struct answer a;
    struct desk_from f = from(&a, 1, "org-aaa");
    approvals_decide(approvals, &f, &by, str_from(id), approve, str_from(body));
    expect(&a, state, part);
}

static void waits(const char *user, const char *part)
{
    struct answer a;
    struct desk_from f = from(&a, 1, "org-aaa");
    approvals_waiting(approvals, &f, str_from(user));
    expect(&a, DESK_DONE, part);
}

static void hear(size_t count)
{
    while (heard_count < count)
        turn();
    assert_int_equal(heard_count, count);
}

void test_what_is_asked(void **state)
{
    (void)state;
    const char *data = "{\"permissionId\":\"a '1'\",\"action\":\"" TEXT "\",\"taskId\":\"t\"}";
    see("org-aaa", "user:ana", "permission:pending", data);
    hear(1);
    assert_string_equal(heard[0].type, "approval:update");
    assert_string_equal(heard[0].channel, "approvals");
    see("org-aaa", "user:ana", "permission:pending", data); // the same again
    see("org-aaa", "user:ana", "permission:pending", "{\"permissionId\":\"" TEXT "\"}"); // no name
    waits("ana", data);
    waits("bob", "[]");
    waits("", "[]");
    see("org-aaa", "agents", "permission:pending", "{\"permissionId\":\"b\"}");
    hear(2);
    waits("bob", "{\"permissionId\":\"b\"}");
    decide(back_end, "a '1'", true, "", DESK_DONE, "approved");
    decide(back_end, "b", true, "", DESK_DONE, "approved");
    forget();
}

void test_decisions(void **state)
{
    (void)state;
    struct approvals_by ana = {.user = STR("ana")}, bob = {.user = STR("bob")};
    see("org-aaa", "user:ana", "permission:pending",
        "{\"permissionId\":\"p\xC3\xA7 1\",\"action\":\"" TEXT "\",\"taskId\":\"t\"}");
    hear(1);
    decide(bob, "p\xC3\xA7 1", true, "", DESK_DENIED, "somebody else");
    decide(ana, "other", true, "", DESK_MISSING, "no such approval");
    decide(ana, "p\xC3\xA7 1", false, "{\"note\":7}", DESK_BAD, "note: must be a string");
    decide(ana, "p\xC3\xA7 1", false, "{\"note\":\"" TEXT "\",\"by\":\"bob\"}", DESK_DONE,
           "\"decided_by\":\"ana\",\"note\":\"" TEXT "\"");
    hear(3);
    assert_string_equal(heard[1].type, "permission:denied");
    assert_string_equal(heard[1].channel, "agents");
    assert_true(holds(heard[1].data, "\"deniedBy\":\"ana\""));
    assert_string_equal(heard[2].type, "approval:update");
    decide(back_end, "p\xC3\xA7 1", false, "", DESK_DONE, "\"status\":\"denied\"");
    decide(back_end, "p\xC3\xA7 1", true, "", DESK_CLASH, "denied already");
    waits("ana", "[]");
    hear(3);
    // Asked again behind the decision: it is said again.
    see("org-aaa", "user:ana", "permission:pending", "{\"permissionId\":\"p\xC3\xA7 1\"}");
    hear(4);
    assert_string_equal(heard[3].type, "permission:denied");
    // What was decided elsewhere.
    see("org-aaa", "agents", "permission:pending", "{\"permissionId\":9}");
    hear(5);
    see("org-aaa", "agents", "task:approved", "{\"permissionId\":9,\"approvedBy\":\"x\"}");
    hear(6);
    assert_true(holds(heard[5].data, "\"status\":\"approved\""));
    assert_true(holds(heard[5].data, "\"decided_by\":\"x\""));
    forget();
}

void test_one_wins(void **state)
{
    (void)state;
    static struct answer answers[RACERS];
    unsigned won = 0;
    struct answer a;
    struct desk_from f = from(&a, 1, "org-aaa");
    approvals_add(approvals, &f, STR("{\"id\":\"race\",\"action\":\"x\"}"));
    expect(&a, DESK_MADE, "\"status\":\"pending\"");
    forget();
    for (unsigned i = 0; i < RACERS; i++) {
        f = from(&answers[i], i % 2, "org-aaa");
        approvals_decide(approvals, &f, &back_end, STR("race"), i % 3 == 0, STR_NONE);
    }
    for (unsigned i = 0; i < RACERS; i++) {
        wait_for(&answers[i]);
        assert_true(answers[i].state == DESK_DONE || answers[i].state == DESK_CLASH);
        won += answers[i].state == DESK_DONE;
        free(answers[i].text);
    }
    bool approved = heard_count > 0 && strcmp(heard[0].type, "task:approved") == 0;
    assert_int_equal(heard_count, 2); // one decision, one update
    assert_int_equal(won, approved ? (RACERS + 2) / 3 : RACERS - (RACERS + 2) / 3);
    forget();
}

void test_expiry(void **state)
{
    (void)state;
    struct answer a;
    struct desk_from f = from(&a, 1, "org-aaa");
    approvals_add(approvals, &f, STR("{\"id\":\"e\",\"action\":\"x\",\"expires_in\":\"20ms\"}"));
    expect(&a, DESK_MADE, "\"expires_at\":\"20");
    hear(3);
    assert_true(holds(heard[2].data, "\"status\":\"expired\""));
    decide(back_end, "e", true, "", DESK_CLASH, "expired");
    forget();
    f = from(&a, 1, "org-aaa");
    approvals_add(approvals, &f, STR("{\"id\":\"e\",\"action\":\"y\"}"));
    expect(&a, DESK_MADE, "\"expires_at\":null");
    decide(back_end, "e", true, "", DESK_DONE, "approved");
    forget();
}

/* ---- what is kept ---- */

static bool plan_row(void *ctx, const struct sql_value *row, size_t count)
{
    (void)count;
    (void)(buf_add(ctx, row[3].s) && buf_add_char(ctx, '\n'));
    return true;
}

/* Lists walk the rows in their order: nothing is sorted, whatever was asked. */
void test_lists_use_an_index(void **state)
{
    (void)state;
    if (!str_starts(battery_url(), STR("sqlite:")))
        skip(); // others choose by what they know of the rows
    for (int any = 0; any < 2; any++) {
        char text[2048];
        struct sql_value params[9];
        struct buf plan;
        buf_init(&plan, 4096);
        for (size_t i = 0; i < sizeof(params) / sizeof(params[0]); i++)
            params[i] = i == 5 || i > 6 ? sql_int(1) : sql_text(STR("x"));
        snprintf(text, sizeof(text), "EXPLAIN QUERY PLAN %s", approvals_list_text(any == 1));
        struct sql *db = battery_sql();
        assert_int_equal(sql_run(db, text, params, 9, plan_row, &plan), SQL_OK);
        sql_close(&db);
        if (str_find(buf_str(&plan), STR("USING INDEX")) == plan.len ||
            str_find(buf_str(&plan), STR("B-TREE")) < plan.len)
            fail_msg("%.*s", (int)plan.len, plan.p);
        buf_fini(&plan);
    }
}

/* The wall clock goes on by a year for what is over. */
struct aging {
    struct store_job job;
    bool done;
    int64_t count, oldest, most;
};

static enum sql_result age_run(struct store_job *j, struct sql *db)
{
    struct aging *a = container_of(j, struct aging, job);
    int64_t rows;
    enum sql_result r = approvals_look(db, &rows, &a->oldest);
    if (r == SQL_OK)
        r = approvals_forget(db, INT64_C(4000000000000), 0, a->most, &a->count);
    return r;
}

static void age_done(struct store_job *j)
{
    container_of(j, struct aging, job)->done = true;
}

static struct aging age(int64_t most)
{
    struct aging a = {.job = {.loop = loops[0], .run = age_run, .done = age_done}, .most = most};
    store_do(store, &a.job);
    while (!a.done)
        turn();
    assert_int_equal(a.job.result, SQL_OK);
    return a;
}

static void list_old(const char *part)
{
    struct answer a;
    struct desk_from f = from(&a, 1, "old");
    approvals_list(approvals, &f, &back_end, &(struct approvals_filter){.limit = 9});
    expect(&a, DESK_DONE, part);
}

void test_old_ones_are_forgotten(void **state)
{
    (void)state;
    struct answer a;
    static const char *const made[] = {
        "{\"id\":\"pending\",\"action\":\"x\"}", "{\"id\":\"denied\",\"action\":\"x\"}",
        "{\"id\":\"expired\",\"action\":\"x\",\"expires_in\":\"10ms\"}",
        "{\"id\":\"passed\",\"action\":\"x\"}"};
    assert_true(age(500).count > 0); // those of the tests before
    forget();
    for (size_t i = 0; i < sizeof(made) / sizeof(made[0]); i++) {
        struct desk_from f = from(&a, 0, "old");
        approvals_add(approvals, &f, str_from(made[i]));
        expect(&a, DESK_MADE, "pending");
    }
    struct desk_from f = from(&a, 0, "old");
    approvals_decide(approvals, &f, &back_end, STR("denied"), false, STR(""));
    expect(&a, DESK_DONE, "denied");
    see("old", "agents", "task:approved", "{\"permissionId\":\"passed\"}");
    hear(12); // two of each that was made, two of a decision, and one of what passed and expired
    if (!battery_is_memory())
        reopen(); // what is to go is known by the rows alone
    list_old("\"total\":4}");
    struct aging first = age(2);
    assert_true(first.oldest > INT64_C(1600000000000));
    assert_int_equal(first.count, 2);
    list_old("\"total\":2}");
    assert_int_equal(age(2).count, 1);
    assert_int_equal(age(2).count, 0);
    list_old("{\"approvals\":[{\"id\":\"pending\"");
    list_old("\"total\":1}");
    forget();
}

/* Rows that did not say since when they were over, and tasks that nobody had counted. */
void test_rows_of_an_older_version(void **state)
{
    enum { VERSION = 8 }; // the last without either
    (void)state;
    struct answer a;
    char script[256];
    if (battery_is_memory())
        skip();
    struct desk_from f = from(&a, 0, "older");
    approvals_add(approvals, &f, STR("{\"id\":\"over\",\"action\":\"x\"}"));
    expect(&a, DESK_MADE, "pending");
    f = from(&a, 0, "older");
    approvals_decide(approvals, &f, &back_end, STR("over"), true, STR(""));
    expect(&a, DESK_DONE, "approved");
    snprintf(script, sizeof(script),
             "UPDATE recado_approvals SET settled_at = 0; DROP TABLE recado_task_counts;"
             "UPDATE recado_schema SET version = %d",
             VERSION);
    reopen_changed(script);
    assert_int_equal(age(500).count, 1);
    f = from(&a, 0, "full"); // of the tasks' tests
    tasks_add(tasks, &f, STR("{\"title\":\"one more\"}"));
    expect(&a, DESK_FULL, "60 tasks");
    forget();
}
