/* desk_battery: tasks and approvals on every database. The tests are in the files beside it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "desk_battery.h"

#include "base/json.h"
#include "base/must.h"

#include <cmocka.h>

struct loop *loops[LOOPS]; // the first is the desks' home
struct store *store;
struct tasks *tasks;
struct approvals *approvals;

/* ---- what is told ---- */

struct heard heard[HEARD_MAX];
size_t heard_count;

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

void forget(void)
{
    while (heard_count > 0)
        free(heard[--heard_count].data);
}

bool holds(const char *text, const char *part)
{
    return strstr(text, part) != NULL;
}

/* ---- answers ---- */

static void answered(void *ctx, const struct desk_reply *r)
{
    struct answer *a = ctx;
    assert_false(a->there);
    a->there = true;
    a->state = r->state;
    a->text = str_dup(r->body.n > 0 ? r->body : r->why);
}

void turn(void)
{
    for (int i = 0; i < LOOPS; i++)
        loop_turn(loops[i], 1);
}

void wait_for(struct answer *a)
{
    while (!a->there)
        turn();
}

struct desk_from from(struct answer *a, unsigned loop, const char *tenant)
{
    *a = (struct answer){0};
    return (struct desk_from){loops[loop], str_from(tenant), answered, a};
}

void expect(struct answer *a, enum desk_state state, const char *part)
{
    wait_for(a);
    if (a->state != state || !holds(a->text, part))
        fail_msg("state %d, not %d: %s, not %s", a->state, state, a->text, part);
    free(a->text);
}

int64_t id_in(const char *body)
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

void see(const char *tenant, const char *channel, const char *type, const char *data)
{
    approvals_saw(approvals, &(struct approvals_event){.loop = loops[1],
                                                       .tenant = str_from(tenant),
                                                       .channel = str_from(channel),
                                                       .type = str_from(type),
                                                       .data = str_from(data),
                                                       .time_ms = INT64_C(4000000000000)});
}

static void open_all(void)
{
    store = battery_store((struct store_options){0});
    struct desk_options o = {.store = store, .home = loops[0], .publish = publish};
    tasks = tasks_create(&(struct tasks_options){.desk = o, .tasks_max = TASKS_MAX});
    approvals = approvals_create(&(struct approvals_options){.desk = o, .keep_ms = 3600000});
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

void reopen(void)
{
    close_all();
    open_all();
}

void reopen_changed(const char *script)
{
    close_all();
    struct sql *db = battery_sql();
    assert_int_equal(sql_script(db, script), SQL_OK);
    sql_close(&db);
    open_all();
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
        cmocka_unit_test(test_a_task),
        cmocka_unit_test(test_the_order),
        cmocka_unit_test(test_task_lists),
        cmocka_unit_test(test_a_search_is_apart),
        cmocka_unit_test(test_searches_have_an_end),
        cmocka_unit_test(test_tasks_have_an_end),
        cmocka_unit_test(test_what_is_asked),
        cmocka_unit_test(test_decisions),
        cmocka_unit_test(test_one_wins),
        cmocka_unit_test(test_expiry),
        cmocka_unit_test(test_lists_use_an_index),
        cmocka_unit_test(test_old_ones_are_forgotten),
        cmocka_unit_test(test_rows_of_an_older_version),
        cmocka_unit_test(test_stopped),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
