/* runs_battery: the ledger of runs on every database. The tests are in the files beside it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "runs_battery.h"

#include "base/clock.h"

#include <cmocka.h>

struct loop *loop;
struct store *store;
struct ledger *ledger;
static struct buf updates; // what was published: "tenant json\n"

/* ---- the ledger under test ---- */

static void publish(void *ctx, struct str tenant, struct str update)
{
    (void)ctx;
    assert_true(json_valid(update));
    if (updates.len > (1 << 20))
        buf_clear(&updates);
    assert_true(buf_add(&updates, tenant) && buf_add_char(&updates, ' ') &&
                buf_add(&updates, update) && buf_add_char(&updates, '\n'));
}

bool heard(const char *text)
{
    return str_find(buf_str(&updates), str_from(text)) < updates.len;
}

void open_all(void)
{
    loop = loop_create(0);
    assert_non_null(loop);
    store = battery_store((struct store_options){.queue_bytes_max = 1 << 20});
    ledger = ledger_create(&(struct ledger_options){.store = store,
                                                    .loop = loop,
                                                    .keep_ms = 3600000,
                                                    .runs_max = 100000,
                                                    .queue_max = 10000,
                                                    .queue_bytes_max = 64 << 20,
                                                    .publish = publish});
    assert_non_null(ledger);
    ledger_start(ledger);
}

void close_all(void)
{
    store_stop(store);
    for (int i = 0; i < 10; i++)
        loop_turn(loop, 0);
    ledger_destroy(&ledger);
    store_close(&store);
    loop_destroy(&loop);
}

void wait_idle(void)
{
    struct ledger_stats s;
    do {
        loop_turn(loop, 20);
        ledger_read_stats(ledger, &s);
    } while (s.waiting > 0);
}

/* ---- changes ---- */

static void change_done(struct run_change *c, void *ctx)
{
    struct outcome *o = ctx;
    o->done = true;
    o->outcome = c->outcome;
    o->before = c->before.state;
    snprintf(o->answer, sizeof(o->answer), "%.*s", (int)c->answer.len,
             c->answer.p != NULL ? c->answer.p : "");
    run_change_free(c);
}

struct outcome last;

enum run_outcome change_of(const char *tenant, enum run_verb verb, const char *id, const char *body)
{
    struct json j;
    struct str text, field;
    const char *why = NULL;
    struct run_change *c = run_change_make(verb, str_from(tenant), str_from(id), str_from(body),
                                           clock_wall_ms(), &text);
    assert_non_null(c);
    if (!run_change_read(c, text, &j, &field, &why))
        fail_msg("%s: %.*s %s", body, STR_FMT(field), why != NULL ? why : j.error);
    last = (struct outcome){0};
    c->loop = loop;
    c->done = change_done;
    c->ctx = &last;
    assert_true(ledger_give(ledger, c));
    while (!last.done)
        loop_turn(loop, 100);
    return last.outcome;
}

enum run_outcome change(enum run_verb verb, const char *id, const char *body)
{
    return change_of("t", verb, id, body);
}

bool says(const char *text)
{
    return strstr(last.answer, text) != NULL;
}

bool event_at(const char *channel, const char *type, const char *data, int64_t at_ms)
{
    struct run_change *c =
        run_event_change(STR("t"), str_from(channel), str_from(type), str_from(data), at_ms);
    return c != NULL && ledger_give(ledger, c);
}

bool event(const char *channel, const char *type, const char *data)
{
    return event_at(channel, type, data, clock_wall_ms());
}

/* ---- questions ---- */

static void query_done(struct run_query *q, bool ok)
{
    struct asked *a = q->ctx;
    a->done = true;
    a->ok = ok;
}

void ask(struct asked *a)
{
    a->q.done = query_done;
    a->q.ctx = a;
    run_query(ledger, loop, &a->q);
    while (!a->done)
        loop_turn(loop, 100);
    assert_true(a->ok);
}

struct asked *asked_make(const char *tenant, unsigned wants)
{
    struct asked *a = calloc(1, sizeof(*a));
    assert_non_null(a);
    run_filter_init(&a->q.filter, str_from(tenant));
    a->q.wants = wants;
    a->q.limit = 500;
    return a;
}

void asked_free(struct asked *a)
{
    run_query_fini(&a->q);
    free(a);
}

char *one_of(const char *tenant, const char *id, int64_t attempt)
{
    struct asked *a = asked_make(tenant, WANT_ONE);
    a->q.filter.q = str_from(id);
    a->q.attempt = attempt;
    ask(a);
    char *text = a->q.found ? str_dup(buf_str(&a->q.rows)) : NULL;
    assert_true(text == NULL || json_valid(str_from(text)));
    asked_free(a);
    return text;
}

bool one_has(const char *tenant, const char *id, const char *text)
{
    char *one = one_of(tenant, id, 0);
    bool ok = text == NULL ? one == NULL : one != NULL && strstr(one, text) != NULL;
    if (!ok)
        print_message("%s: %s\n", text != NULL ? text : "(none)", one != NULL ? one : "(none)");
    free(one);
    return ok;
}

static int begin(void **state)
{
    (void)state;
    buf_init(&updates, 4 << 20);
    battery_begin("runs");
    open_all();
    return 0;
}

static int end(void **state)
{
    (void)state;
    close_all();
    battery_end();
    buf_fini(&updates);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_life),
        cmocka_unit_test(test_attempts),
        cmocka_unit_test(test_every_attempt_is_shown),
        cmocka_unit_test(test_attempts_have_an_end),
        cmocka_unit_test(test_leases),
        cmocka_unit_test(test_steps_have_an_end),
        cmocka_unit_test(test_events),
        cmocka_unit_test(test_events_out_of_order),
        cmocka_unit_test(test_jobs),
        cmocka_unit_test(test_task_events_are_kept),
        cmocka_unit_test(test_figures),
        cmocka_unit_test(test_one_run_is_no_search),
        cmocka_unit_test(test_pages),
        cmocka_unit_test(test_durations_without_end),
        cmocka_unit_test(test_days),
        cmocka_unit_test(test_tenants_are_apart),
        cmocka_unit_test(test_rows_outlive_the_process),
        cmocka_unit_test(test_the_oldest_are_forgotten),
        cmocka_unit_test(test_many_events),
        cmocka_unit_test(test_a_refused_one_is_left_out),
    };
    return cmocka_run_group_tests_name("runs", tests, begin, end);
}
