/* desk_battery: tasks and approvals on every database. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "battery.h"

#include "base/json.h"
#include "base/must.h"
#include "runs/approvals.h"
#include "runs/tasks.h"

#include <cmocka.h>

#define TEXT  "Ol\xC3\xA1, a\xC3\xA7\xC3\xA3o \xF0\x9F\x98\x80 'q' \\\"d\\\" \\\\ ? \\n%"
#define OTHER "org-bbb"

enum { LOOPS = 2, HEARD_MAX = 256, RACERS = 20 };

static struct loop *loops[LOOPS]; // the first is the desks' home
static struct store *store;
static struct tasks *tasks;
static struct approvals *approvals;

/* ---- what is told ---- */

static struct {
    char tenant[64], channel[64], type[64];
    char *data;
} heard[HEARD_MAX];
static size_t heard_count;

static void copy(char to[64], struct str s)
{
    assert_true(s.n < 64);
    memcpy(to, s.p, s.n);
    to[s.n] = '\0';
}

static void publish(void *ctx, const struct desk_event *e)
{
    (void)ctx;
    assert_true(heard_count < HEARD_MAX);
    assert_true(json_valid(e->data));
    copy(heard[heard_count].tenant, e->tenant);
    copy(heard[heard_count].channel, e->channel);
    copy(heard[heard_count].type, e->type);
    heard[heard_count++].data = str_dup(e->data);
}

static void forget(void)
{
    while (heard_count > 0)
        free(heard[--heard_count].data);
}

static bool holds(const char *text, const char *part)
{
    return strstr(text, part) != NULL;
}

/* ---- answers ---- */

struct answer {
    bool there;
    enum desk_state state;
    char *text; // the body, or why not
};

static void answered(void *ctx, const struct desk_reply *r)
{
    struct answer *a = ctx;
    assert_false(a->there);
    a->there = true;
    a->state = r->state;
    a->text = str_dup(r->body.n > 0 ? r->body : r->why);
}

static void turn(void)
{
    for (int i = 0; i < LOOPS; i++)
        loop_turn(loops[i], 1);
}

static void wait_for(struct answer *a)
{
    while (!a->there)
        turn();
}

static struct desk_from from(struct answer *a, unsigned loop, const char *tenant)
{
    *a = (struct answer){0};
    return (struct desk_from){loops[loop], str_from(tenant), answered, a};
}

static void expect(struct answer *a, enum desk_state state, const char *part)
{
    wait_for(a);
    if (a->state != state || !holds(a->text, part))
        fail_msg("state %d, not %d: %s, not %s", a->state, state, a->text, part);
    free(a->text);
}

static int64_t id_in(const char *body)
{
    struct str raw;
    struct json j;
    int64_t id;
    assert_true(json_find(str_from(body), STR("id"), &raw));
    json_init(&j, raw);
    assert_true(json_read_i64(&j, &id));
    return id;
}

/* ---- the world ---- */

static void open_all(void)
{
    store = battery_store((struct store_options){0});
    struct desk_options o = {.store = store, .home = loops[0], .publish = publish};
    tasks = tasks_create(&o);
    approvals = approvals_create(&o);
    assert_true(tasks != NULL && approvals != NULL);
}

static void close_all(void)
{
    store_stop(store);
    for (int i = 0; i < 10; i++)
        turn();
    tasks_destroy(&tasks);
    approvals_destroy(&approvals);
    store_close(&store);
    forget();
}

static int begin(void **state)
{
    (void)state;
    for (unsigned i = 0; i < LOOPS; i++)
        loops[i] = loop_create(i);
    battery_begin("desk");
    open_all();
    return 0;
}

static int end(void **state)
{
    (void)state;
    close_all();
    for (unsigned i = 0; i < LOOPS; i++)
        loop_destroy(&loops[i]);
    battery_end();
    return 0;
}

/* ---- tasks ---- */

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

static void test_a_task(void **state)
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
        close_all();
        open_all();
    }
    assert_true(add_task(0, "org-aaa", "{\"title\":\"t\"}") > id);
    forget();
}

/* From both loops at once: told in the order in which they were committed. */
static void test_the_order(void **state)
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

static void test_task_lists(void **state)
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

/* ---- approvals ---- */

static const struct approvals_by back_end = {.back_end = true};

static void see(const char *tenant, const char *channel, const char *type, const char *data)
{
    approvals_saw(approvals, &(struct approvals_event){.loop = loops[1],
                                                       .tenant = str_from(tenant),
                                                       .channel = str_from(channel),
                                                       .type = str_from(type),
                                                       .data = str_from(data),
                                                       .time_ms = INT64_C(4000000000000)});
}

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

static void test_what_is_asked(void **state)
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

static void test_decisions(void **state)
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

static void test_one_wins(void **state)
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

static void test_expiry(void **state)
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

/* What is asked for behind the end is answered, and nothing is told of it. */
static void test_stopped(void **state)
{
    (void)state;
    struct answer a, b, c;
    store_stop(store);
    forget();
    struct desk_from f = from(&a, 1, "org-aaa");
    tasks_add(tasks, &f, STR("{\"title\":\"lost\"}"));
    f = from(&b, 0, "org-aaa");
    approvals_add(approvals, &f, STR("{\"action\":\"lost\"}"));
    f = from(&c, 0, "org-aaa");
    tasks_list(tasks, &f, &(struct tasks_filter){.limit = 1});
    expect(&a, DESK_DOWN, "store");
    expect(&b, DESK_DOWN, "store");
    expect(&c, DESK_DOWN, "store");
    see("org-aaa", "agents", "permission:pending", "{\"permissionId\":\"lost\"}");
    for (int i = 0; i < 10; i++)
        turn();
    assert_int_equal(heard_count, 0);
    assert_int_equal(approvals_dropped(approvals), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_task),     cmocka_unit_test(test_the_order),
        cmocka_unit_test(test_task_lists), cmocka_unit_test(test_what_is_asked),
        cmocka_unit_test(test_decisions),  cmocka_unit_test(test_one_wins),
        cmocka_unit_test(test_expiry),     cmocka_unit_test(test_stopped),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
