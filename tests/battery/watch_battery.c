/* watch_battery: schedules, log lines and figures as rows, in every database behind a store.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "battery.h"
#include "monitor/logbook.h"
#include "monitor/samples.h"
#include "schedule/schedules.h"

static struct loop *loop;
static struct store *store;

static void open_store(void)
{
    store = battery_store((struct store_options){.queue_bytes_max = 1 << 20});
}

static void settle(void)
{
    for (int i = 0; i < 8; i++)
        loop_turn(loop, 0);
}

static enum sql_result empty_run(struct store_job *j, struct sql *db)
{
    (void)j;
    return sql_script(db, "DELETE FROM recado_schedules; DELETE FROM recado_logs;"
                          " DELETE FROM recado_figures");
}

static unsigned jobs_done;

static void job_done(struct store_job *j)
{
    assert_int_equal(j->result, SQL_OK);
    jobs_done++;
}

static int begin(void **state)
{
    struct store_job empty = {.run = empty_run, .done = job_done};
    (void)state;
    loop = loop_create(0);
    assert_non_null(loop);
    empty.loop = loop;
    open_store();
    jobs_done = 0;
    store_do(store, &empty);
    while (jobs_done == 0)
        loop_turn(loop, 100);
    return 0;
}

static int end(void **state)
{
    (void)state;
    store_close(&store);
    settle();
    loop_destroy(&loop);
    return 0;
}

/* What is in memory ends with its store. */
static bool outlives(void)
{
    return !battery_is_memory();
}

static void reopen_store(void)
{
    store_stop(store);
    settle();
}

struct loaded {
    bool done, ok;
};

static void loaded(void *ctx, bool ok)
{
    *(struct loaded *)ctx = (struct loaded){true, ok};
}

static void wait_loaded(const struct loaded *l)
{
    while (!l->done)
        loop_turn(loop, 100);
    assert_true(l->ok);
}

/* ---- schedules ---- */

static struct schedules *all;
static struct schedule_run *run;
static unsigned answers, event_count, lost_count;
static enum schedule_answer answer;

static void run_begin(void *ctx, struct schedule_run *r)
{
    (void)ctx;
    run = r;
}

static void publish(void *ctx, struct str tenant, struct str type, struct str data)
{
    (void)ctx;
    (void)tenant;
    event_count++;
    lost_count +=
        str_eq(type, STR("councilor_error")) && str_find(data, STR("server stopped")) < data.n;
}

static void answered(void *ctx, enum schedule_answer a, const struct schedule *s, const char *why)
{
    (void)ctx;
    (void)s;
    (void)why;
    answer = a;
    answers++;
}

static void wait_answer(void)
{
    unsigned before = answers;
    while (answers == before)
        loop_turn(loop, 100);
    assert_int_equal(answer, SCHEDULE_OK);
}

static void open_schedules(void)
{
    struct loaded l = {0};
    all = schedules_create(&(struct schedule_options){
        .loop = loop, .store = store, .max = 100, .begin = run_begin, .publish = publish});
    assert_non_null(all);
    schedules_load(all, loaded, &l);
    wait_loaded(&l);
    schedules_start(all);
}

static void restart_schedules(void)
{
    schedules_stop(all);
    reopen_store();
    schedules_destroy(&all, NULL);
    store_close(&store);
    open_store();
    open_schedules();
}

#define TENANT STR("acme \xc3\xa7")

static void schedules_outlive_their_server(void **state)
{
    const struct schedule_words w = {.name = STR("Segurança 😀"),
                                     .display_name = STR("Conselheiro 'da' \"casa\""),
                                     .cron = STR("0 9 * * MON-FRI"),
                                     .prompt = STR("linha um\nlinha dois\t?"),
                                     .model = STR("m")};
    const struct schedule_words every = {
        .name = STR("b"), .interval = STR("2h"), .url = STR("http://127.0.0.1/x?y=z")};
    (void)state;
    if (!outlives())
        return;
    open_schedules();
    schedules_add(all, TENANT, STR("a"), &w, false, answered, NULL);
    wait_answer();
    schedules_add(all, TENANT, STR("b"), &every, false, answered, NULL);
    wait_answer();
    schedules_add(all, STR("other"), STR("a"), &every, true, answered, NULL);
    wait_answer();
    struct schedule before = *schedules_find(all, TENANT, STR("b"));
    restart_schedules();
    const struct schedule *a = schedules_find(all, TENANT, STR("a"));
    const struct schedule *b = schedules_find(all, TENANT, STR("b"));
    assert_true(a != NULL && b != NULL);
    assert_true(str_eq(a->words.name, w.name) && str_eq(a->words.display_name, w.display_name));
    assert_true(str_eq(a->words.prompt, w.prompt) && str_eq(a->words.cron, w.cron));
    assert_true(a->words.url.n == 0 && str_eq(a->words.model, w.model) && !a->paused);
    assert_true(str_eq(b->words.url, every.url));
    assert_true(b->plan.next_ms == before.plan.next_ms && b->created_ms == before.created_ms);
    assert_true(schedules_find(all, STR("other"), STR("a"))->paused);
    schedules_set_paused(all, TENANT, STR("a"), true, answered, NULL);
    wait_answer();
    schedules_remove(all, TENANT, STR("b"), answered, NULL);
    wait_answer();
    restart_schedules();
    assert_true(schedules_find(all, TENANT, STR("a"))->paused);
    assert_null(schedules_find(all, TENANT, STR("b")));
    assert_non_null(schedules_find(all, STR("other"), STR("a")));
    schedules_destroy(&all, NULL);
}

static void a_run_that_the_end_cut_off(void **state)
{
    const struct schedule_words w = {
        .name = STR("a"), .interval = STR("1h"), .url = STR("http://x/")};
    (void)state;
    if (!outlives())
        return;
    open_schedules();
    schedules_add(all, TENANT, STR("a"), &w, false, answered, NULL);
    wait_answer();
    event_count = lost_count = 0;
    run = NULL;
    schedules_run(all, TENANT, STR("a"), answered, NULL);
    wait_answer();
    while (run == NULL)
        loop_turn(loop, 100);
    assert_int_equal(event_count, 1); // started
    restart_schedules();
    assert_int_equal(lost_count, 1);
    const struct schedule *s = schedules_find(all, TENANT, STR("a"));
    assert_string_equal(s->last.status, "error");
    assert_string_equal(s->last.error, "server stopped");
    assert_false(s->running);
    restart_schedules();
    assert_int_equal(lost_count, 1); // once
    run = NULL;
    schedules_run(all, TENANT, STR("a"), answered, NULL);
    wait_answer();
    while (run == NULL)
        loop_turn(loop, 100);
    schedule_run_end(run, STR("aten\xc3\xa7\xc3\xa3o"), STR_NONE);
    restart_schedules();
    s = schedules_find(all, TENANT, STR("a"));
    assert_string_equal(s->last.status, "completed");
    assert_string_equal(s->last.severity, "warning");
    schedules_destroy(&all, NULL);
}

/* ---- log lines ---- */

static struct logbook *book;

static void tell(void *ctx, const struct log_line *l)
{
    (void)ctx;
    (void)l;
}

static void open_book(uint32_t keep)
{
    struct loaded l = {0};
    book = logbook_create(&(struct logbook_options){
        .loop = loop, .store = store, .keep = keep, .keep_bytes_max = 1 << 24, .tell = tell});
    assert_non_null(book);
    logbook_load(book, loaded, &l);
    wait_loaded(&l);
}

static void restart_book(uint32_t keep)
{
    logbook_flush(book);
    reopen_store();
    logbook_destroy(&book);
    store_close(&store);
    open_store();
    open_book(keep);
}

static void add_lines(unsigned from, unsigned to)
{
    char text[64];
    for (unsigned i = from; i < to; i++) {
        snprintf(text, sizeof(text), "linha %u 'ção' \"😀\" \\ %%", i);
        const struct log_entry e = {.level = STR("warn"),
                                    .source = i % 2 == 0 ? STR("x") : STR_NONE,
                                    .message = str_from(text),
                                    .time_ms = 1796040000000 + i};
        assert_true(logbook_add(book, TENANT, &e, 1));
    }
}

static void check_lines(unsigned newest, unsigned count)
{
    struct log_line *lines[200];
    char text[64];
    uint64_t seq;
    bool more;
    size_t n = logbook_read(book, &(struct logbook_query){.tenant = TENANT, .limit = 200}, lines,
                            &more, &seq);
    assert_int_equal(n, count);
    for (size_t i = 0; i < n; i++) {
        unsigned number = newest + 1 - count + (unsigned)i;
        snprintf(text, sizeof(text), "linha %u 'ção' \"😀\" \\ %%", number);
        assert_true(str_eq(lines[i]->message, str_from(text)));
        assert_true(str_eq(lines[i]->source, number % 2 == 0 ? STR("x") : STR_NONE));
        assert_true(str_eq(lines[i]->level, STR("warn")) && lines[i]->rank == RANK_WARNING);
        assert_true(lines[i]->time_ms == 1796040000000 + number);
        log_line_unref(lines[i]);
    }
}

static void lines_outlive_their_server(void **state)
{
    (void)state;
    if (!outlives())
        return;
    open_book(150);
    add_lines(0, 100);
    restart_book(150);
    check_lines(99, 100);
    add_lines(100, 300);
    check_lines(299, 150);
    restart_book(150);
    check_lines(299, 150);
    restart_book(100); // less is kept from now on
    check_lines(299, 100);
    add_lines(300, 301);
    restart_book(150);
    check_lines(300, 100); // and what went is gone
    logbook_destroy(&book);
}

static void add_noise(struct str tenant, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        assert_true(logbook_add(
            book, tenant,
            &(struct log_entry){.level = STR("info"), .message = STR("x"), .time_ms = 1}, 1));
}

static unsigned kept_of(struct str tenant)
{
    struct log_line *lines[200];
    uint64_t seq;
    bool more;
    size_t n = logbook_read(book, &(struct logbook_query){.tenant = tenant, .limit = 200}, lines,
                            &more, &seq);
    for (size_t i = 0; i < n; i++)
        log_line_unref(lines[i]);
    return (unsigned)n;
}

static uint64_t row_count;

static bool count_row(void *ctx, const struct sql_value *row, size_t count)
{
    (void)ctx;
    (void)count;
    row_count = (uint64_t)row[0].i;
    return true;
}

static enum sql_result count_run(struct store_job *j, struct sql *db)
{
    (void)j;
    return sql_run(db, "SELECT COUNT(*) FROM recado_logs", NULL, 0, count_row, NULL);
}

/* Behind what was given to the store before. */
static void do_job(enum sql_result (*run_it)(struct store_job *j, struct sql *db))
{
    struct store_job job = {.loop = loop, .run = run_it, .done = job_done};
    unsigned before = jobs_done;
    store_do(store, &job);
    while (jobs_done == before)
        loop_turn(loop, 100);
}

static uint64_t count_rows(void)
{
    do_job(count_run);
    return row_count;
}

static enum sql_result hide_run(struct store_job *j, struct sql *db)
{
    (void)j;
    return sql_script(db, "ALTER TABLE recado_logs RENAME TO recado_logs_hidden");
}

static enum sql_result show_run(struct store_job *j, struct sql *db)
{
    (void)j;
    return sql_script(db, "ALTER TABLE recado_logs_hidden RENAME TO recado_logs");
}

/* What a noisy tenant pushes out stands between the others' lines. */
static void a_noisy_tenant_leaves_no_rows(void **state)
{
    (void)state;
    if (!outlives())
        return;
    open_book(150);
    for (unsigned i = 0; i < 20; i++) {
        add_lines(i, i + 1);
        add_noise(STR("noisy"), 60);
        if (i % 5 == 4) {
            restart_book(150);
            assert_int_equal(count_rows(), 150);
        }
    }
    check_lines(19, 20);
    assert_int_equal(kept_of(STR("noisy")), 130);
    restart_book(100);
    check_lines(19, 20);
    assert_int_equal(kept_of(STR("noisy")), 80);
    restart_book(150); // with less kept, less is left in the database
    assert_int_equal(count_rows(), 100);
    check_lines(19, 20);
    logbook_destroy(&book);
}

/* What could not be written, and what could not be taken out, is made up for. */
static void a_write_that_fails_is_made_again(void **state)
{
    (void)state;
    if (!outlives() || str_starts(battery_url(), STR("mysql")))
        return; // whose ALTER TABLE ends the transaction it is in
    open_book(150);
    add_lines(0, 20);
    add_noise(STR("noisy"), 200);
    logbook_flush(book);
    assert_int_equal(count_rows(), 150);
    do_job(hide_run);
    add_lines(20, 30);
    add_noise(STR("noisy"), 50);
    logbook_flush(book); // fails
    do_job(show_run);    // which comes behind it
    add_noise(STR("noisy"), 50);
    logbook_flush(book);
    assert_int_equal(count_rows(), 150);
    restart_book(150);
    check_lines(29, 30);
    assert_int_equal(kept_of(STR("noisy")), 120);
    logbook_destroy(&book);
}

/* ---- figures ---- */

static struct samples *samples;

static void open_samples(void)
{
    struct loaded l = {0};
    samples = samples_create(&(struct samples_options){.loop = loop, .store = store, .keep = 50});
    assert_non_null(samples);
    samples_load(samples, loaded, &l);
    wait_loaded(&l);
}

static void add_sample(int64_t time_ms, int32_t cpu)
{
    samples_add(samples, &(struct sample){.time_ms = time_ms,
                                          .cpu = cpu,
                                          .memory = SAMPLE_NONE,
                                          .disk = -1,
                                          .rx = 5000000000,
                                          .gpu = SAMPLE_NONE,
                                          .temperature = SAMPLE_NONE});
    reopen_store(); // it is written
    store_close(&store);
    open_store();
}

static void figures_outlive_their_server(void **state)
{
    struct sample *s;
    size_t n;
    (void)state;
    if (!outlives())
        return;
    open_samples();
    for (int i = 0; i < 60; i++) {
        samples_add(samples, &(struct sample){.time_ms = 1796040000000 + i * 10000,
                                              .cpu = i,
                                              .memory = SAMPLE_NONE,
                                              .disk = -1,
                                              .rx = 5000000000,
                                              .gpu = SAMPLE_NONE,
                                              .temperature = SAMPLE_NONE});
        for (int turn = 0; turn < 5; turn++)
            loop_turn(loop, 10);
    }
    reopen_store();
    samples_destroy(&samples);
    store_close(&store);
    open_store();
    open_samples();
    assert_true(samples_read(samples, &(struct samples_range){INT64_MIN, INT64_MAX, 0}, &s, &n));
    assert_true(n >= 48 && n <= 50); // the last ones may have been under way
    for (size_t i = 0; i < n; i++) {
        assert_true(s[i].time_ms == 1796040000000 + (int64_t)s[i].cpu * 10000);
        assert_true(s[i].rx == 5000000000 && s[i].disk == -1 && s[i].gpu == SAMPLE_NONE);
    }
    free(s);
    add_sample(1796040000000 + 300000, 999); // the clock went back
    samples_destroy(&samples);
    open_samples();
    assert_true(samples_read(samples, &(struct samples_range){INT64_MIN, INT64_MAX, 0}, &s, &n));
    assert_int_equal(s[n - 1].cpu, 999);
    assert_int_equal(s[n - 2].cpu, 29);
    free(s);
    samples_destroy(&samples);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)
int main(void)
{
    battery_begin("watch");
    const struct CMUnitTest tests[] = {
        TEST(schedules_outlive_their_server),   TEST(a_run_that_the_end_cut_off),
        TEST(lines_outlive_their_server),       TEST(a_noisy_tenant_leaves_no_rows),
        TEST(a_write_that_fails_is_made_again), TEST(figures_outlive_their_server),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    battery_end();
    return failed;
}
