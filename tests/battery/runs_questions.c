/* runs_questions: lists and figures are those of a plain array. */
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "runs_battery.h"

#include "base/clock.h"
#include "base/date.h"
#include "base/must.h"

#include <cmocka.h>

enum { RANDOM_RUNS = 240, TENANTS = 2 };

/* ---- lists and figures, against an array ---- */

struct known {
    int tenant, agent, method, task;
    enum run_state state;
    int64_t at_ms, duration_ms;
};

static struct known known[RANDOM_RUNS];
static unsigned seed = 12345;

static unsigned pick(unsigned n)
{
    seed = seed * 1103515245u + 12345u;
    return seed / 65536u % n;
}

static void make_random_runs(void)
{
    static const enum run_state states[] = {RUN_RUNNING, RUN_COMPLETED, RUN_COMPLETED, RUN_FAILED,
                                            RUN_TIMEOUT, RUN_CANCELLED, RUN_QUEUED};
    int64_t first = date_day(clock_wall_ms()) * DAY_MS - (int64_t)9 * DAY_MS;
    for (int i = 0; i < RANDOM_RUNS; i++) {
        struct known *k = &known[i];
        char body[512], tenant[16];
        *k = (struct known){
            (int)pick(TENANTS), (int)pick(5), (int)pick(3), (int)pick(4), states[pick(7)], 0, -1};
        k->at_ms = first + (int64_t)pick(9 * 24) * 3600000 + pick(3600000);
        if (!run_is_open(k->state))
            k->duration_ms = pick(100000);
        snprintf(tenant, sizeof(tenant), "many%d", k->tenant);
        int n = snprintf(body, sizeof(body),
                         "{\"id\":\"run%d\",\"kind\":\"agent\",\"agent_id\":\"a%d\",\"agent_name\":"
                         "\"Ana %d\",\"task_id\":"
                         "\"t%d\",\"method\":\"m%d\",\"name\":\"%s %d\",\"status\":\"%s\","
                         "\"started_at\":%lld",
                         i, k->agent, k->agent, k->task, k->method,
                         i % 3 ? "50%_Aten\xc3\x87\xc3\x83o" : "plain", i, run_state_name(k->state),
                         (long long)k->at_ms);
        if (k->duration_ms >= 0)
            n += snprintf(body + n, sizeof(body) - (size_t)n, ",\"duration_ms\":%lld",
                          (long long)k->duration_ms);
        snprintf(body + n, sizeof(body) - (size_t)n, "}");
        assert_int_equal(change_of(tenant, RUN_CREATE, "", body), RUN_DONE);
    }
}

/* -1: any. */
struct wish {
    int tenant, agent, method, task, state;
    int64_t from_ms, to_ms;
    bool accented;
    enum { BY_ID, BY_EITHER, BY_NAME, BY_COUNT } by; // the agent is meant
};

static bool fits(const struct wish *w, int i)
{
    const struct known *k = &known[i];
    return k->tenant == w->tenant && (w->agent < 0 || k->agent == w->agent) &&
           (w->method < 0 || k->method == w->method) && (w->task < 0 || k->task == w->task) &&
           (w->state < 0 || (int)k->state == w->state) && k->at_ms >= w->from_ms &&
           k->at_ms < w->to_ms && (!w->accented || i % 3 != 0);
}

static bool has_failed(enum run_state s)
{
    return s == RUN_FAILED || s == RUN_TIMEOUT || s == RUN_LOST;
}

static void check_wish(const struct wish *w)
{
    struct run_stats s = {0};
    char tenant[16], agent[16], method[16], task[16];
    for (int i = 0; i < RANDOM_RUNS; i++) {
        if (!fits(w, i))
            continue;
        s.total++;
        s.completed += known[i].state == RUN_COMPLETED;
        s.failed += has_failed(known[i].state);
        s.running += known[i].state == RUN_RUNNING || known[i].state == RUN_QUEUED;
        s.duration_count += known[i].duration_ms >= 0;
        s.duration_sum_ms += known[i].duration_ms >= 0 ? (double)known[i].duration_ms : 0;
    }
    snprintf(tenant, sizeof(tenant), "many%d", w->tenant);
    snprintf(agent, sizeof(agent), w->by == BY_NAME ? "Ana %d" : "a%d", w->agent);
    snprintf(method, sizeof(method), "m%d", w->method);
    snprintf(task, sizeof(task), "t%d", w->task);
    struct asked *a = asked_make(tenant, WANT_ROWS | WANT_STATS);
    struct run_filter *f = &a->q.filter;
    *(w->by == BY_ID ? &f->agent_id : &f->agent) = w->agent < 0 ? STR_NONE : str_from(agent);
    f->method = w->method < 0 ? STR_NONE : str_from(method);
    f->task_id = w->task < 0 ? STR_NONE : str_from(task);
    f->state_count = w->state >= 0;
    f->states[0] = w->state < 0 ? RUN_QUEUED : (enum run_state)w->state;
    f->from_ms = w->from_ms;
    f->to_ms = w->to_ms;
    f->q = w->accented ? STR("50%_ATEN\xc3\xa7\xc3\xa3O") : STR_NONE;
    ask(a);
    assert_int_equal(a->q.stats.total, s.total);
    assert_int_equal(a->q.stats.completed, s.completed);
    assert_int_equal(a->q.stats.failed, s.failed);
    assert_int_equal(a->q.stats.running, s.running);
    assert_int_equal(a->q.stats.duration_count, s.duration_count);
    assert_true(a->q.stats.duration_sum_ms == s.duration_sum_ms);
    assert_int_equal(a->q.row_count, s.total);
    asked_free(a);
}

void test_figures(void **state)
{
    (void)state;
    make_random_runs();
    int64_t first = date_day(clock_wall_ms()) * DAY_MS - (int64_t)9 * DAY_MS;
    for (int i = 0; i < 120; i++) {
        struct wish w = {.tenant = (int)pick(TENANTS),
                         .agent = (int)pick(7) - 2,
                         .method = (int)pick(5) - 2,
                         .task = (int)pick(8) - 4,
                         .state = (int)pick(12) - 5,
                         .from_ms = 0,
                         .to_ms = INT64_MAX,
                         .accented = pick(4) == 0,
                         .by = pick(BY_COUNT)};
        if (pick(2) == 0)
            w.from_ms = first + (int64_t)pick(5) * DAY_MS;
        if (pick(2) == 0)
            w.to_ms = first + (int64_t)(5 + pick(5)) * DAY_MS;
        w.agent = w.agent < 0 ? -1 : w.agent;
        w.method = w.method < 0 ? -1 : w.method;
        w.task = w.task < 0 ? -1 : w.task;
        w.state = w.state < 0 ? -1 : w.state;
        check_wish(&w);
    }
}

static void append_at(struct json_writer *w, const struct run *r)
{
    json_put_i64(w, run_at(r));
}

static void append_made(struct json_writer *w, const struct run *r)
{
    json_put_i64(w, r->created_at);
}

static void append_duration(struct json_writer *w, const struct run *r)
{
    json_put_i64(w, r->duration_ms);
}

/* All pages together are the whole list, in order. */
static void check_pages(enum run_sort sort)
{
    static void (*const put[])(struct json_writer * w, const struct run *r) = {
        [SORT_NEWEST] = append_at,        [SORT_OLDEST] = append_at,
        [SORT_MADE_LAST] = append_made,   [SORT_MADE_FIRST] = append_made,
        [SORT_LONGEST] = append_duration, [SORT_SHORTEST] = append_duration};
    bool down = sort == SORT_NEWEST || sort == SORT_MADE_LAST || sort == SORT_LONGEST;
    int64_t before = down ? INT64_MAX : INT64_MIN;
    uint32_t seen = 0, got = 1;
    while (got > 0) {
        struct asked *a = asked_make("many0", WANT_ROWS | WANT_STATS);
        struct str text;
        a->q.limit = 7;
        a->q.offset = seen;
        a->q.sort = sort;
        a->q.put = put[sort];
        ask(a);
        text = buf_str(&a->q.rows);
        while (text.n > 0) {
            struct str one = str_cut(&text, ',');
            char digits[32] = "";
            assert_in_range(one.n, 1, sizeof(digits) - 1);
            memcpy(digits, one.p, one.n);
            int64_t v = strtoll(digits, NULL, 10);
            assert_true(down ? v <= before : v >= before);
            before = v;
        }
        got = a->q.row_count;
        seen += got;
        if (got == 0)
            assert_int_equal(seen, a->q.stats.total);
        asked_free(a);
    }
}

void test_pages(void **state)
{
    (void)state;
    for (int sort = 0; sort < RUN_SORT_COUNT; sort++)
        check_pages((enum run_sort)sort);
}

/* Together they are more than a 64-bit number holds. */
void test_durations_without_end(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++)
        assert_int_equal(change_of("long", RUN_CREATE, "",
                                   "{\"status\":\"completed\","
                                   "\"duration_ms\":9223372036854775807}"),
                         RUN_DONE);
    struct asked *a = asked_make("long", WANT_ROWS | WANT_STATS);
    ask(a);
    assert_int_equal(a->q.stats.total, 3);
    assert_int_equal(a->q.stats.duration_count, 3);
    assert_true(a->q.stats.duration_sum_ms > 2.7e19 && a->q.stats.duration_sum_ms < 2.8e19);
    asked_free(a);
}

void test_days(void **state)
{
    (void)state;
    int64_t today = date_day(clock_wall_ms());
    struct asked *a = asked_make("many1", WANT_DAYS | WANT_AGENTS);
    a->q.day_last = today;
    a->q.day_first = today - 11;
    ask(a);
    struct buf want;
    buf_init(&want, 1 << 16);
    for (int64_t day = today - 11; day <= today; day++) {
        int total = 0, completed = 0, failed = 0;
        char text[DATE_TEXT];
        for (int i = 0; i < RANDOM_RUNS; i++) {
            bool is = known[i].tenant == 1 && date_day(known[i].at_ms) == day;
            total += is;
            completed += is && known[i].state == RUN_COMPLETED;
            failed += is && has_failed(known[i].state);
        }
        date_format(day, text);
        buf_add_format(&want, "%s{\"date\":\"%.*s\",\"total\":%d,\"completed\":%d,\"failed\":%d}",
                       want.len > 0 ? "," : "", DATE_TEXT, text, total, completed, failed);
    }
    assert_true(str_eq(buf_str(&a->q.days), buf_str(&want)));
    assert_true(str_find(buf_str(&a->q.agents), STR("\"agent_id\":\"a3\"")) < a->q.agents.len);
    buf_fini(&want);
    asked_free(a);
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

/* Who asks for one run does not wait for those who search: this search ends behind it. */
void test_one_run_is_no_search(void **state)
{
    struct held h = {
        .job = {.loop = loop, .reads = true, .search = true, .run = held_run, .done = held_done}};
    (void)state;
    assert_int_equal(change(RUN_CREATE, "", "{\"id\":\"apart\",\"agent_id\":\"a\"}"), RUN_DONE);
    store_do(store, &h.job);
    assert_true(one_has("t", "apart", "\"agent_id\":\"a\""));
    atomic_store(&h.let_go, true);
    while (!h.done)
        loop_turn(loop, 100);
}
