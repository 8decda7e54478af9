/* desk_tasks: tasks and subtasks, what is told of them, and how many there may be. */
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "desk_battery.h"

#include "base/json.h"
#include "base/must.h"

#include <cmocka.h>

static int64_t add_task(unsigned loop, const char *tenant, const char *body)
{
    struct answer a;
    struct desk_from f = from(&a, loop, tenant);
    tasks_add(tasks, &f, str_from(body));
    wait_for(&a);
    if (a.state != DESK_MADE)
        fail_msg("%s", a.text);
    int64_t id = id_in(a.text);
    free(a.text);
    return id;
}

static void change_task(unsigned loop, int64_t id, const char *body, const char *part)
{
    struct answer a;
    struct desk_from f = from(&a, loop, "org-aaa");
    tasks_change(tasks, &f, id, str_from(body));
    expect(&a, DESK_DONE, part);
}

static void find_task(int64_t id, enum desk_state state, const char *part)
{
    struct answer a;
    struct desk_from f = from(&a, 1, "org-aaa");
    tasks_find(tasks, &f, id);
    expect(&a, state, part);
}

void test_a_task(void **state)
{
    (void)state;
    struct answer a;
    int64_t id = add_task(1, "org-aaa",
                          "{\"title\":\"" TEXT "\",\"description\":null,\"estimatedHours\":1.50,"
                          "\"dueDate\":\"2026-12-24T20:00:00-03:00\"}");
    find_task(id, DESK_DONE, "\"title\":\"" TEXT "\"");
    find_task(id, DESK_DONE, "\"estimatedHours\":1.50,");
    find_task(id, DESK_DONE, "\"dueDate\":\"2026-12-24T23:00:00.000Z\"");
    assert_int_equal(heard_count, 2);
    char channel[64];
    snprintf(channel, sizeof(channel), "task:%lld", (long long)id);
    assert_string_equal(heard[0].channel, channel);
    assert_string_equal(heard[1].channel, "tasks");
    assert_string_equal(heard[0].type, "task:update");
    assert_string_equal(heard[0].data, heard[1].data);
    assert_string_equal(heard[0].tenant, "org-aaa");
    forget();

    change_task(0, id, "{\"status\":\"completed\"}", "\"completedAt\":\"20");
    change_task(1, id, "{\"status\":\"completed\",\"priority\":\"urgent\"}",
                "\"completedAt\":\"20");
    change_task(1, id, "{\"dueDate\":null}", "\"dueDate\":null");
    change_task(1, id, "{\"status\":\"executing\"}", "\"completedAt\":null");
    change_task(1, id, "{\"completedAt\":1000}", "\"completedAt\":\"1970-01-01T00:00:01.000Z\"");
    find_task(id, DESK_DONE, "\"priority\":\"urgent\"");

    struct desk_from f = from(&a, 1, "org-aaa");
    subtasks_add(tasks, &f, id, STR("{\"title\":\"" TEXT "\",\"reviewedBy\":\"ana\"}"));
    wait_for(&a);
    int64_t sub = id_in(a.text);
    expect(&a, DESK_MADE, "\"reviewedBy\":\"ana\"");
    f = from(&a, 0, "org-aaa");
    subtasks_change(tasks, &f, sub, STR("{\"result\":\"" TEXT "\",\"status\":\"completed\"}"));
    expect(&a, DESK_DONE, "\"result\":\"" TEXT "\"");
    find_task(id, DESK_DONE, "\"subtasks\":[{\"id\":");
    f = from(&a, 1, OTHER); // of another tenant
    subtasks_change(tasks, &f, sub, STR("{\"title\":\"x\"}"));
    expect(&a, DESK_MISSING, "no subtask");
    f = from(&a, 1, OTHER);
    tasks_remove(tasks, &f, id);
    expect(&a, DESK_MISSING, "no task");
    f = from(&a, 1, "org-aaa");
    tasks_remove(tasks, &f, id);
    expect(&a, DESK_DONE, "\"deleted\":true");
    find_task(id, DESK_MISSING, "no task");
    assert_true(holds(heard[heard_count - 1].data, "\"deleted\":true"));
    forget();
    if (!battery_is_memory()) {
        reopen();
    }
    assert_true(add_task(0, "org-aaa", "{\"title\":\"t\"}") > id);
    forget();
}

/* From both loops at once: told in the order in which they were committed. */
void test_the_order(void **state)
{
    enum { CHANGES = 60 };
    (void)state;
    static struct answer answers[CHANGES];
    char want[64];
    int64_t id = add_task(0, "org-aaa", "{\"title\":\"t\"}");
    forget();
    for (int i = 0; i < CHANGES; i++) {
        char body[64];
        struct desk_from f = from(&answers[i], (unsigned)i % 2, "org-aaa");
        snprintf(body, sizeof(body), "{\"userId\":%d}", i);
        tasks_change(tasks, &f, id, str_from(body));
    }
    for (int i = 0; i < CHANGES; i++)
        expect(&answers[i], DESK_DONE, "\"userId\":");
    assert_int_equal(heard_count, 2 * CHANGES);
    int last[2] = {-1, -1};
    int user = -1;
    for (int i = 0; i < CHANGES; i++) {
        const char *at = strstr(heard[2 * i].data, "\"userId\":");
        user = (int)strtol(at + 9, NULL, 10);
        assert_true(user > last[user % 2]); // those of one loop in their order
        last[user % 2] = user;
    }
    snprintf(want, sizeof(want), "\"userId\":%d,", user);
    find_task(id, DESK_DONE, want); // what was told last is what is there
    forget();
}

void test_task_lists(void **state)
{
    (void)state;
    struct answer a;
    for (int i = 0; i < 5; i++) {
        char body[96];
        snprintf(body, sizeof(body), "{\"title\":\"List %d%%\",\"status\":\"%s\"}", i,
                 i % 2 ? "blocked" : "paused");
        (void)add_task(1, "lists", body);
    }
    forget();
    struct desk_from f = from(&a, 1, "lists");
    tasks_list(tasks, &f, &(struct tasks_filter){.limit = 2, .offset = 1});
    expect(&a, DESK_DONE, "\"total\":5}");
    f = from(&a, 1, "lists");
    tasks_list(tasks, &f, &(struct tasks_filter){.status = STR("blocked"), .limit = 50});
    expect(&a, DESK_DONE, "\"total\":2}");
    f = from(&a, 1, "lists");
    tasks_list(tasks, &f, &(struct tasks_filter){.q = STR("LIST 3%"), .limit = 50});
    expect(&a, DESK_DONE, "\"total\":1}");
    f = from(&a, 1, "lists");
    tasks_list(tasks, &f, &(struct tasks_filter){.q = STR("l_st"), .limit = 50});
    expect(&a, DESK_DONE, "{\"tasks\":[],\"total\":0}");
}

struct held {
    struct store_job job;
    atomic_bool let_go;
    bool done;
};

static enum sql_result held_run(struct store_job *j, struct sql *db)
{
    (void)db;
    while (!atomic_load(&container_of(j, struct held, job)->let_go))
        sched_yield();
    return SQL_OK;
}

static void held_done(struct store_job *j)
{
    container_of(j, struct held, job)->done = true;
}

/* What looks through the texts of all tasks keeps no other question waiting: this one comes past a
 * question that does not end, as the other comes past a search. */
void test_a_search_is_apart(void **state)
{
    (void)state;
    for (int search = 0; search < 2; search++) {
        struct held h = {.job = {.loop = loops[0],
                                 .reads = true,
                                 .search = search == 1,
                                 .run = held_run,
                                 .done = held_done}};
        struct answer a;
        struct desk_from f = from(&a, 1, "nobody");
        store_do(store, &h.job);
        tasks_list(tasks, &f, &(struct tasks_filter){.q = search ? STR("") : STR("q"), .limit = 5});
        expect(&a, DESK_DONE, "\"total\":0}");
        atomic_store(&h.let_go, true);
        while (!h.done)
            turn();
    }
}

/* So many searches wait; who comes behind them is told what it is about, and finds them gone. */
void test_searches_have_an_end(void **state)
{
    enum { COUNT = 400 };
    struct held h = {
        .job = {
            .loop = loops[0], .reads = true, .search = true, .run = held_run, .done = held_done}};
    struct answer a, *many = calloc(COUNT, sizeof(*many));
    const struct tasks_filter filter = {.q = STR("q"), .limit = 5};
    (void)state;
    assert_non_null(many);
    store_do(store, &h.job);
    for (int i = 0; i < COUNT; i++) {
        struct desk_from f = from(&many[i], 0, "nobody");
        tasks_list(tasks, &f, &filter);
    }
    expect(&many[COUNT - 1], DESK_DOWN, "the store is busy: try again");
    atomic_store(&h.let_go, true);
    while (!h.done)
        turn();
    for (int i = 0; i < COUNT - 1; i++) {
        wait_for(&many[i]);
        free(many[i].text);
    }
    free(many);
    struct desk_from f = from(&a, 1, "nobody");
    tasks_list(tasks, &f, &filter);
    expect(&a, DESK_DONE, "\"total\":0}");
}

/* As many as there may be; one that is gone makes room, and those of a restart count. */
void test_tasks_have_an_end(void **state)
{
    (void)state;
    struct answer a;
    int64_t first = add_task(0, "full", "{\"title\":\"t\"}");
    for (int i = 1; i < TASKS_MAX; i++)
        (void)add_task(i % LOOPS, "full", "{\"title\":\"t\"}");
    for (int again = 0; again < 2; again++) {
        struct desk_from f = from(&a, 1, "full");
        tasks_add(tasks, &f, STR("{\"title\":\"one more\"}"));
        expect(&a, DESK_FULL, "60 tasks are there, and by tasks.max there may be no more");
        if (!battery_is_memory())
            reopen();
    }
    (void)add_task(0, "roomy", "{\"title\":\"t\"}");
    struct desk_from f = from(&a, 0, "full");
    tasks_remove(tasks, &f, first);
    expect(&a, DESK_DONE, "deleted");
    (void)add_task(1, "full", "{\"title\":\"one more\"}");
    f = from(&a, 1, "full");
    tasks_add(tasks, &f, STR("{\"title\":\"and another\"}"));
    expect(&a, DESK_FULL, "60 tasks");
    forget();
}
