/* schedules_test.c - schedules over a real loop and no store: verbs, runs, overlap, pauses from
 * other loops. What is stored is in the battery. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/json.h"
#include "schedule/schedules.h"

enum { EVENTS_MAX = 64 };

static struct loop *loop;
static struct schedules *all;
static struct schedule_run *under_way;
static unsigned begun, event_count;
static struct {
    char type[32];
    char data[8192];
} events[EVENTS_MAX];

static void begin_run(void *ctx, struct schedule_run *r)
{
    (void)ctx;
    assert_null(under_way);
    under_way = r;
    begun++;
}

static void publish(void *ctx, struct str tenant, struct str type, struct str data)
{
    (void)ctx;
    assert_true(str_eq(tenant, STR("acme")));
    assert_true(json_valid(data) && data.n < sizeof(events[0].data) && event_count < EVENTS_MAX);
    snprintf(events[event_count].type, sizeof(events[0].type), "%.*s", STR_FMT(type));
    snprintf(events[event_count].data, sizeof(events[0].data), "%.*s", STR_FMT(data));
    event_count++;
}

static const char *nobody(void *ctx, const struct schedule_words *w)
{
    (void)ctx;
    return w->url.n > 0 || w->prompt.n > 0 ? NULL : "there is nobody";
}

static int begin(void **state)
{
    (void)state;
    loop = loop_create(0);
    under_way = NULL;
    begun = event_count = 0;
    all = schedules_create(&(struct schedule_options){
        .loop = loop, .max = 3, .nobody = nobody, .begin = begin_run, .publish = publish});
    assert_true(loop != NULL && all != NULL);
    schedules_start(all);
    return 0;
}

static int end(void **state)
{
    (void)state;
    schedules_destroy(&all, NULL);
    loop_destroy(&loop);
    return 0;
}

static enum schedule_answer answer;
static char answer_why[256];
static bool answered;

static void done(void *ctx, enum schedule_answer a, const struct schedule *s, const char *why)
{
    (void)ctx;
    assert_int_equal(s != NULL && a != SCHEDULE_OK, false);
    answered = true;
    answer = a;
    snprintf(answer_why, sizeof(answer_why), "%s", why);
}

static void assert_answer(enum schedule_answer want)
{
    assert_true(answered);
    if (answer != want)
        fail_msg("answered %d: %s", (int)answer, answer_why);
    answered = false;
}

static const struct schedule_words hourly = {.name = {"Auditoria de Segurança", 23},
                                             .interval = {"1h", 2},
                                             .url = {"http://127.0.0.1/x", 18}};

static void add(const char *id, const struct schedule_words *w, enum schedule_answer want)
{
    schedules_add(all, STR("acme"), str_from(id), w, false, done, NULL);
    assert_answer(want);
}

static void finish(const char *output, const char *error)
{
    struct schedule_run *r = under_way;
    assert_non_null(r);
    under_way = NULL;
    schedule_run_end(r, str_from(output), str_from(error));
}

static void run(const char *id, enum schedule_answer want)
{
    schedules_run(all, STR("acme"), str_from(id), done, NULL);
    assert_answer(want);
}

static bool data_has(unsigned event, const char *part)
{
    return strstr(events[event].data, part) != NULL;
}

static void verbs(void **state)
{
    struct schedule_words w = hourly;
    (void)state;
    add("", &hourly, SCHEDULE_OK);
    const struct schedule *s = schedules_find(all, STR("acme"), STR("auditoria-de-seguran-a"));
    assert_non_null(s);
    assert_true(str_eq(s->words.display_name, hourly.name));
    assert_true(s->plan.next_ms == s->created_ms + 3600000);
    add("auditoria-de-seguran-a", &hourly, SCHEDULE_EXISTS);
    w.cron = STR("* * * * *");
    add("both", &w, SCHEDULE_INVALID);
    w.interval = w.cron = STR_NONE;
    add("none", &w, SCHEDULE_INVALID);
    w = hourly;
    w.prompt = STR("say");
    add("both", &w, SCHEDULE_INVALID);
    w = hourly;
    w.url = STR("ftp://x/");
    add("ftp", &w, SCHEDULE_INVALID);
    add("no/such", &hourly, SCHEDULE_INVALID);
    w = hourly;
    w.name = STR("\xff");
    add("utf8", &w, SCHEDULE_INVALID);
    w.name = STR("!!");
    add("", &w, SCHEDULE_INVALID);
    schedules_add(all, STR("other"), STR("x"), &hourly, true, done, NULL);
    assert_answer(SCHEDULE_OK);
    assert_null(schedules_find(all, STR("acme"), STR("x"))); // of another tenant
    assert_true(schedules_find(all, STR("other"), STR("x"))->paused);
    add("third", &hourly, SCHEDULE_OK);
    add("fourth", &hourly, SCHEDULE_FULL);
    schedules_remove(all, STR("acme"), STR("x"), done, NULL);
    assert_answer(SCHEDULE_UNKNOWN);
    schedules_remove(all, STR("acme"), STR("third"), done, NULL);
    assert_answer(SCHEDULE_OK);
    add("fourth", &hourly, SCHEDULE_OK);
    w = s->words;
    w.interval = STR("2h");
    schedules_change(all, STR("acme"), s->id, &w, done, NULL);
    assert_answer(SCHEDULE_OK);
    assert_true(str_eq(s->words.interval, STR("2h")));
    assert_true(str_eq(s->words.name, hourly.name));
}

static void somebody_must_be_there_to_be_called(void **state)
{
    struct schedule_words w = hourly;
    (void)state;
    w.url = STR_NONE;
    add("a1", &w, SCHEDULE_INVALID);
    assert_string_equal(answer_why, "there is nobody");
    add("a1", &hourly, SCHEDULE_OK);
    schedules_change(all, STR("acme"), STR("a1"), &w, done, NULL);
    assert_answer(SCHEDULE_INVALID);
    assert_true(schedules_find(all, STR("acme"), STR("a1"))->words.url.n > 0);
    w.interval = STR_NONE; // what is wrong with the words themselves is said first
    w.cron = STR("0 25 * * *");
    add("a2", &w, SCHEDULE_INVALID);
    assert_string_equal(answer_why, "cron: hour: 25 is not 0 to 23");
}

static void a_run_and_its_events(void **state)
{
    (void)state;
    add("a1", &hourly, SCHEDULE_OK);
    run("a1", SCHEDULE_OK);
    assert_int_equal(event_count, 1);
    assert_string_equal(events[0].type, "councilor_started");
    assert_true(data_has(0, "\"councilor_id\":\"a1\"") &&
                data_has(0, "\"execution_id\":\"exec_a1_"));
    assert_true(data_has(0, "\"task_name\":\"Auditoria de Segurança\""));
    assert_false(data_has(0, "status"));
    assert_false(data_has(0, "Z\"")); // moments without a zone
    run("a1", SCHEDULE_RUNNING);
    finish("ATENÇÃO", "");
    assert_string_equal(events[1].type, "councilor_completed");
    assert_true(data_has(1, "\"status\":\"completed\",\"severity\":\"warning\""));
    assert_true(data_has(1, "\"duration_ms\":") && data_has(1, "\"completed_at\":\""));
    const struct schedule *s = schedules_find(all, STR("acme"), STR("a1"));
    assert_string_equal(s->last.status, "completed");
    char first[EXECUTION_ID_MAX];
    snprintf(first, sizeof(first), "%s", s->last.execution_id);
    run("a1", SCHEDULE_OK);
    assert_string_not_equal(s->last.execution_id, first);
    finish("", "the back end answered HTTP 500");
    assert_string_equal(events[3].type, "councilor_error");
    assert_true(data_has(3, "\"status\":\"error\",\"severity\":\"error\""));
    assert_true(data_has(3, "\"error\":\"the back end answered HTTP 500\""));
    assert_false(data_has(3, "duration_ms"));
    struct schedule_stats stats;
    schedules_read_stats(all, &stats);
    assert_int_equal(stats.runs, 2);
    assert_int_equal(stats.errors, 1);
    assert_int_equal(stats.running, 0);
}

static void long_outputs_are_cut_between_characters(void **state)
{
    char *text = malloc(20001);
    (void)state;
    assert_non_null(text);
    text[0] = 'x';
    for (int i = 1; i < 20000; i += 2)
        memcpy(text + i, "\xc3\xa9", 2);
    text[20000] = '\0';
    add("a1", &hourly, SCHEDULE_OK);
    run("a1", SCHEDULE_OK);
    finish(text, "");
    assert_int_equal(event_count, 2); // publish() found it valid
    assert_false(data_has(1, "\xef\xbf\xbd"));
    free(text);
}

static void one_is_removed_while_it_runs(void **state)
{
    (void)state;
    add("a1", &hourly, SCHEDULE_OK);
    run("a1", SCHEDULE_OK);
    schedules_remove(all, STR("acme"), STR("a1"), done, NULL);
    assert_answer(SCHEDULE_OK);
    add("a1", &hourly, SCHEDULE_OK); // another of that name
    finish("ok", "");
    assert_string_equal(events[1].type, "councilor_completed");
    run("a1", SCHEDULE_OK);
    assert_int_equal(event_count, 3); // the rest is freed by the end
}

/* Turns until it holds, for as long as the test may last. */
#define TURN_UNTIL(condition)                                                                      \
    while (!(condition))                                                                           \
    loop_turn(loop, 50)

static void what_is_due_runs_and_never_twice_at_once(void **state)
{
    struct schedule_words w = hourly;
    (void)state;
    w.interval = STR("1s");
    add("a1", &w, SCHEDULE_OK);
    const struct schedule *s = schedules_find(all, STR("acme"), STR("a1"));
    TURN_UNTIL(begun == 1);
    TURN_UNTIL(s->skipped >= 2);
    assert_int_equal(begun, 1);
    finish("ok", "");
    TURN_UNTIL(begun == 2);
    finish("ok", "");
    schedules_set_paused(all, STR("acme"), STR("a1"), true, done, NULL);
    assert_answer(SCHEDULE_OK);
    uint64_t from_ms = loop_now_ms(loop);
    TURN_UNTIL(loop_now_ms(loop) - from_ms > 2200);
    assert_int_equal(begun, 2);
    schedules_set_paused(all, STR("acme"), STR("a1"), false, done, NULL);
    assert_answer(SCHEDULE_OK);
    TURN_UNTIL(begun == 3);
    finish("ok", "");
}

static struct schedule_pause pause;
static unsigned pauses_answered;

static void pause_done(struct schedule_pause *p)
{
    assert_ptr_equal(p, &pause);
    pauses_answered++;
}

static void a_pause_from_another_loop(void **state)
{
    struct loop *other = loop_create(1);
    (void)state;
    assert_non_null(other);
    add("a1", &hourly, SCHEDULE_OK);
    const struct {
        struct str tenant, id;
        bool found;
    } rows[] = {{STR("acme"), STR("a1"), true},
                {STR("acme"), STR("a1"), true}, // again
                {STR("acme"), STR("a2"), false},
                {STR("other"), STR("a1"), false}};
    for (unsigned i = 0; i < 4; i++) {
        pause = (struct schedule_pause){
            .loop = other, .tenant = rows[i].tenant, .id = rows[i].id, .done = pause_done};
        schedules_ask_pause(all, &pause);
        while (pauses_answered == i) {
            loop_turn(loop, 0);
            loop_turn(other, 0);
        }
        assert_int_equal(pause.found, rows[i].found);
        assert_int_equal(pause.success, rows[i].found);
    }
    assert_true(schedules_find(all, STR("acme"), STR("a1"))->paused);
    loop_destroy(&other);
}

static unsigned listed;
static char listed_ids[8][16];

static void list_one(void *ctx, const struct schedule *s)
{
    (void)ctx;
    snprintf(listed_ids[listed++], sizeof(listed_ids[0]), "%.*s", STR_FMT(s->id));
}

static void lists_are_by_id_and_of_one_tenant(void **state)
{
    (void)state;
    add("b", &hourly, SCHEDULE_OK);
    add("a", &hourly, SCHEDULE_OK);
    schedules_add(all, STR("other"), STR("c"), &hourly, false, done, NULL);
    assert_int_equal(schedules_list(all, STR("acme"), 0, 10, list_one, NULL), 2);
    assert_int_equal(listed, 2);
    assert_string_equal(listed_ids[0], "a");
    assert_string_equal(listed_ids[1], "b");
    assert_int_equal(schedules_list(all, STR("acme"), 1, 1, list_one, NULL), 2);
    assert_string_equal(listed_ids[2], "b");
    assert_int_equal(schedules_list(all, STR("nobody"), 0, 10, list_one, NULL), 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)
int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(verbs),
        TEST(somebody_must_be_there_to_be_called),
        TEST(a_run_and_its_events),
        TEST(long_outputs_are_cut_between_characters),
        TEST(one_is_removed_while_it_runs),
        TEST(what_is_due_runs_and_never_twice_at_once),
        TEST(a_pause_from_another_loop),
        TEST(lists_are_by_id_and_of_one_tenant),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
