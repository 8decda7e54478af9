/* runs_battery: the ledger of runs on every database. RECADO_STORE_URL names it; without it memory
 * is used. Figures are compared with those of a plain array. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/date.h"
#include "base/must.h"
#include "runs/ledger_priv.h"

#include <cmocka.h>

enum { RANDOM_RUNS = 240, TENANTS = 2, UPDATES_MAX = 4096 };

static const char *url;
static struct loop *loop;
static struct store *store;
static struct ledger *ledger;
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

static bool heard(const char *text)
{
    return str_find(buf_str(&updates), str_from(text)) < updates.len;
}

static void retention(void *ctx, struct str key, struct store_retention *ret)
{
    (void)ctx;
    (void)key;
    *ret = (struct store_retention){.count = 100};
}

static void open_all(void)
{
    struct buf why;
    buf_init(&why, 4096);
    loop = loop_create(0);
    assert_non_null(loop);
    store = store_open(&(struct store_options){.url = str_from(url),
                                               .queue_bytes_max = 1 << 20,
                                               .streams_max = 100,
                                               .retention = retention},
                       &why);
    if (store == NULL)
        fail_msg("%.*s", (int)why.len, why.p);
    buf_fini(&why);
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

static void close_all(void)
{
    store_stop(store);
    for (int i = 0; i < 10; i++)
        loop_turn(loop, 0);
    ledger_destroy(&ledger);
    store_close(&store);
    loop_destroy(&loop);
}

static void wait_idle(void)
{
    struct ledger_stats s;
    do {
        loop_turn(loop, 20);
        ledger_read_stats(ledger, &s);
    } while (s.waiting > 0);
}

/* ---- changes ---- */

struct outcome {
    bool done;
    enum run_outcome outcome;
    enum run_state before;
    char answer[8192];
};

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

static struct outcome last;

static enum run_outcome change_of(const char *tenant, enum run_verb verb, const char *id,
                                  const char *body)
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

static enum run_outcome change(enum run_verb verb, const char *id, const char *body)
{
    return change_of("t", verb, id, body);
}

static bool says(const char *text)
{
    return strstr(last.answer, text) != NULL;
}

static bool event_at(const char *channel, const char *type, const char *data, int64_t at_ms)
{
    struct run_change *c =
        run_event_change(STR("t"), str_from(channel), str_from(type), str_from(data), at_ms);
    return c != NULL && ledger_give(ledger, c);
}

static bool event(const char *channel, const char *type, const char *data)
{
    return event_at(channel, type, data, clock_wall_ms());
}

/* ---- questions ---- */

struct asked {
    struct run_query q;
    bool done, ok;
};

static void query_done(struct run_query *q, bool ok)
{
    struct asked *a = q->ctx;
    a->done = true;
    a->ok = ok;
}

static void ask(struct asked *a)
{
    a->q.done = query_done;
    a->q.ctx = a;
    run_query(ledger, loop, &a->q);
    while (!a->done)
        loop_turn(loop, 100);
    assert_true(a->ok);
}

static struct asked *asked_make(const char *tenant, unsigned wants)
{
    struct asked *a = calloc(1, sizeof(*a));
    assert_non_null(a);
    run_filter_init(&a->q.filter, str_from(tenant));
    a->q.wants = wants;
    a->q.limit = 500;
    return a;
}

static void asked_free(struct asked *a)
{
    run_query_fini(&a->q);
    free(a);
}

/* One run with all that belongs to it has this text; or is not there: NULL. */
static bool one_has(const char *tenant, const char *id, const char *text)
{
    struct asked *a = asked_make(tenant, WANT_ONE);
    a->q.filter.q = str_from(id);
    ask(a);
    bool ok = text == NULL ? !a->q.found
                           : a->q.found && json_valid(buf_str(&a->q.rows)) &&
                                 str_find(buf_str(&a->q.rows), str_from(text)) < a->q.rows.len;
    if (!ok)
        print_message("%s: %.*s\n", text != NULL ? text : "(none)", (int)a->q.rows.len,
                      a->q.rows.p);
    asked_free(a);
    return ok;
}

/* ---- a run's life ---- */

static void test_life(void **state)
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

static void test_attempts(void **state)
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

static void test_leases(void **state)
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

static void test_steps_have_an_end(void **state)
{
    char body[64];
    (void)state;
    change(RUN_CREATE, "", "{\"id\":\"steps\"}");
    snprintf(body, sizeof(body), "{\"seq\":%d,\"name\":\"last\"}", RUN_STEPS_MAX);
    assert_int_equal(change(RUN_STEP, "steps", body), RUN_DONE);
    assert_int_equal(change(RUN_STEP, "steps", "{\"name\":\"more\"}"), RUN_FULL);
}

/* ---- events ---- */

static void test_events(void **state)
{
    (void)state;
    int64_t at = clock_wall_ms();
    assert_true(event_at("gamification", "councilor_started",
                         "{\"councilor_id\":\"sec\",\"task_name\":\"Auditoria\",\"display_name\":"
                         "\"Silva\",\"execution_id\":\"exec_sec_1\",\"instance_id\":\"i1\"}",
                         at));
    assert_true(event_at("gamification", "councilor_completed",
                         "{\"councilor_id\":\"sec\",\"execution_id\":\"exec_sec_1\",\"status\":"
                         "\"completed\",\"severity\":\"warning\",\"duration_ms\":5230}",
                         at + 5230));
    wait_idle();
    assert_true(one_has("t", "exec_sec_1",
                        "\"kind\":\"councilor\",\"name\":\"Auditoria\",\"agent_id\":"
                        "\"sec\",\"agent_name\":\"Silva\""));
    assert_true(one_has("t", "exec_sec_1", "\"status\":\"completed\""));
    assert_true(one_has("t", "exec_sec_1", "\"duration_ms\":5230"));
    assert_true(one_has("t", "exec_sec_1", "\"instance_id\":\"i1\""));

    assert_true(event("agents", "agent:execution:start", "{\"agentId\":7,\"taskId\":\"ev\"}"));
    assert_true(event("agents", "agent:execution:error",
                      "{\"agentId\":7,\"taskId\":\"ev\",\"error\":\"boom\"}"));
    assert_true(event("agents", "agent:execution:start", "{\"agentId\":7,\"taskId\":\"ev\"}"));
    wait_idle();
    struct asked *a = asked_make("t", WANT_STATS);
    a->q.filter.task_id = STR("ev");
    ask(a);
    assert_int_equal(a->q.stats.total, 2);
    assert_int_equal(a->q.stats.failed, 1);
    assert_int_equal(a->q.stats.running, 1);
    asked_free(a);
}

static void test_events_out_of_order(void **state)
{
    (void)state;
    event(
        "gamification", "agent_execution_completed",
        "{\"agent_id\":\"b\",\"execution_id\":\"lone\",\"duration_ms\":100,\"severity\":\"error\","
        "\"status\":\"error\"}");
    event("gamification", "agent_execution_started",
          "{\"agent_id\":\"b\",\"execution_id\":\"lone\"}");
    event("gamification", "agent_execution_completed",
          "{\"agent_id\":\"b\",\"execution_id\":\"done\"}");
    event("gamification", "agent_execution_started",
          "{\"agent_id\":\"b\",\"execution_id\":\"done\"}");
    wait_idle();
    /* What failed and starts again is another attempt; what is complete stays so. */
    assert_true(one_has("t", "lone", "\"status\":\"running\",\"attempt\":2"));
    assert_true(one_has("t", "done", "\"status\":\"completed\",\"attempt\":1"));
    /* A back end made it, an event ends it. */
    change(RUN_CREATE, "", "{\"id\":\"both\",\"kind\":\"agent\"}");
    event("agents", "agent:execution:complete", "{\"executionId\":\"both\",\"result\":[1]}");
    wait_idle();
    assert_true(one_has("t", "both", "\"result\":[1]"));
}

static void test_jobs(void **state)
{
    (void)state;
    assert_true(event("project:P", "job_started", "{\"job_id\":\"j1\",\"status\":\"running\"}"));
    for (int i = 0; i < 5; i++)
        assert_true(event("project:P", "job_progress",
                          i < 4 ? "{\"job_id\":\"j1\",\"progress\":10,\"status\":\"running\"}"
                                : "{\"job_id\":\"j1\",\"progress\":90,\"output\":\"x\"}"));
    wait_idle();
    assert_true(one_has("t", "j1", "\"steps\":[{\"seq\":1,\"name\":\"progress\""));
    assert_true(one_has("t", "j1", "\"progress\":90"));
    assert_true(one_has("t", "j1", "\"status\":\"running\",\"attempt\":1"));
    assert_true(event("project:P", "job_failed", "{\"job_id\":\"j1\",\"error\":\"broken\"}"));
    assert_true(event("job:job_7", "job_started", "{\"message\":\"m\"}"));
    assert_true(event("job:job_7", "result", "{\"result\":\"R\",\"message\":\"ok\"}"));
    assert_true(event("p", "job_progress", "{\"job_id\":\"fresh\",\"progress\":1}"));
    wait_idle();
    assert_true(one_has("t", "j1", "\"error\":\"broken\""));
    assert_true(one_has("t", "job_7", "\"result\":\"R\""));
    assert_true(one_has("t", "fresh", "\"steps\":[{\"seq\":1,\"name\":\"progress\""));
}

static void keep_kept(struct run_query *q, struct str type, struct str data, int64_t time_ms)
{
    (void)data;
    (void)time_ms;
    buf_add(&q->rows, type);
    q->row_count++;
}

static void test_task_events_are_kept(void **state)
{
    char data[64];
    (void)state;
    for (int i = 0; i < 300; i++) {
        snprintf(data, sizeof(data), "{\"task_id\":\"k%d\",\"n\":%d}", i % 7, i);
        assert_true(event("gamification", i % 2 == 0 ? "task_picked" : "task_whatever", data));
    }
    wait_idle();
    struct asked *a = asked_make("t", WANT_KEPT);
    a->q.kept = keep_kept;
    ask(a);
    assert_int_equal(a->q.row_count, KEPT_MAX);
    assert_true(str_starts(buf_str(&a->q.rows), STR("task_whatever"))); // the newest first
    asked_free(a);
}

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
        int n =
            snprintf(body, sizeof(body),
                     "{\"id\":\"run%d\",\"kind\":\"agent\",\"agent_id\":\"a%d\",\"task_id\":"
                     "\"t%d\",\"method\":\"m%d\",\"name\":\"%s %d\",\"status\":\"%s\","
                     "\"started_at\":%lld",
                     i, k->agent, k->task, k->method, i % 3 ? "50%_Aten\xc3\x87\xc3\x83o" : "plain",
                     i, run_state_name(k->state), (long long)k->at_ms);
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
    snprintf(agent, sizeof(agent), "a%d", w->agent);
    snprintf(method, sizeof(method), "m%d", w->method);
    snprintf(task, sizeof(task), "t%d", w->task);
    struct asked *a = asked_make(tenant, WANT_ROWS | WANT_STATS);
    struct run_filter *f = &a->q.filter;
    f->agent_id = w->agent < 0 ? STR_NONE : str_from(agent);
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

static void test_figures(void **state)
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
                         .accented = pick(4) == 0};
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

static void append_duration(struct json_writer *w, const struct run *r)
{
    json_put_i64(w, r->duration_ms);
}

/* All pages together are the whole list, in order. */
static void check_pages(enum run_sort sort)
{
    bool by_time = sort == SORT_NEWEST || sort == SORT_OLDEST;
    bool down = sort == SORT_NEWEST || sort == SORT_LONGEST;
    int64_t before = down ? INT64_MAX : INT64_MIN;
    uint32_t seen = 0, got = 1;
    while (got > 0) {
        struct asked *a = asked_make("many0", WANT_ROWS | WANT_STATS);
        struct str text;
        a->q.limit = 7;
        a->q.offset = seen;
        a->q.sort = sort;
        a->q.put = by_time ? append_at : append_duration;
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

static void test_pages(void **state)
{
    (void)state;
    for (int sort = 0; sort < RUN_SORT_COUNT; sort++)
        check_pages((enum run_sort)sort);
}

/* Together they are more than a 64-bit number holds. */
static void test_durations_without_end(void **state)
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

static void test_days(void **state)
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

/* ---- what stays and what goes ---- */

static void test_tenants_are_apart(void **state)
{
    (void)state;
    assert_int_equal(change_of("one", RUN_CREATE, "", "{\"id\":\"same\",\"name\":\"first\"}"),
                     RUN_DONE);
    assert_int_equal(change_of("two", RUN_CREATE, "", "{\"id\":\"same\",\"name\":\"second\"}"),
                     RUN_DONE);
    assert_int_equal(change_of("one", RUN_CANCEL, "same", ""), RUN_DONE);
    assert_true(one_has("one", "same", "\"status\":\"cancelled\""));
    assert_true(one_has("two", "same", "\"status\":\"running\""));
    assert_true(one_has("two", "life", NULL));
}

static void test_rows_outlive_the_process(void **state)
{
    (void)state;
    if (str_starts(str_from(url), STR("memory")))
        skip();
    close_all();
    open_all();
    assert_true(one_has("t", "again", "\"attempt\":3"));
    assert_int_equal(change(RUN_CREATE, "", "{\"id\":\"after\"}"), RUN_DONE); // numbers go on
    assert_int_equal(change(RUN_CREATE, "", "{\"id\":\"life\"}"), RUN_EXISTS);
}

struct forgetting {
    struct store_job job;
    int64_t excess, count;
    bool done;
};

static enum sql_result forget_run(struct store_job *j, struct sql *db)
{
    struct forgetting *f = container_of(j, struct forgetting, job);
    return rows_forget(db, 0, f->excess, 500, &f->count);
}

static void forget_done(struct store_job *j)
{
    container_of(j, struct forgetting, job)->done = true;
}

static void test_the_oldest_are_forgotten(void **state)
{
    (void)state;
    struct forgetting f = {.job = {.loop = loop, .run = forget_run, .done = forget_done},
                           .excess = 2};
    store_do(store, &f.job);
    while (!f.done)
        loop_turn(loop, 100);
    assert_int_equal(f.job.result, SQL_OK);
    assert_int_equal(f.count, 2);
    assert_true(one_has("t", "life", NULL)); // it was the first
    assert_true(one_has("one", "same", "same"));
}

/* A thousand events at once, in few transactions, all of them there. */
static void test_many_events(void **state)
{
    char data[128];
    struct store_state before, after;
    (void)state;
    store_read_state(store, &before);
    for (int i = 0; i < 2000; i++) {
        snprintf(data, sizeof(data), "{\"agent_id\":\"bulk\",\"execution_id\":\"bulk_%d\"}", i / 2);
        assert_true(event("gamification",
                          i % 2 == 0 ? "agent_execution_started" : "agent_execution_completed",
                          data));
    }
    wait_idle();
    store_read_state(store, &after);
    assert_in_range(after.commits - before.commits, 1, 60);
    struct asked *a = asked_make("t", WANT_STATS);
    a->q.filter.agent_id = STR("bulk");
    ask(a);
    assert_int_equal(a->q.stats.total, 1000);
    assert_int_equal(a->q.stats.completed, 1000);
    asked_free(a);
}

/* One that the database refuses takes none of the others along: the texts of two databases hold no
 * such bytes, and where they do nothing is refused. */
static void test_a_refused_one_is_left_out(void **state)
{
    struct ledger_stats before, after;
    char data[128];
    (void)state;
    ledger_read_stats(ledger, &before);
    for (int i = 0; i < 40; i++) {
        snprintf(data, sizeof(data), "{\"agent_id\":\"odd\",\"execution_id\":\"odd_%d\"}", i);
        struct run_change *c = run_event_change(STR("t"), STR("g"), STR("agent_execution_started"),
                                                str_from(data), clock_wall_ms());
        assert_non_null(c);
        if (i == 20)
            c->said.name = STR("\xff\xfe");
        assert_true(ledger_give(ledger, c));
    }
    wait_idle();
    ledger_read_stats(ledger, &after);
    int refused = (int)(after.dropped - before.dropped);
    assert_in_range(refused, 0, 1);
    struct asked *a = asked_make("t", WANT_STATS);
    a->q.filter.agent_id = STR("odd");
    ask(a);
    assert_int_equal(a->q.stats.total, 40 - refused);
    asked_free(a);
}

static void drop_tables(void)
{
    struct buf why;
    enum sql_result r;
    buf_init(&why, 4096);
    struct sql *db = sql_open(str_from(url), &r, &why);
    if (db == NULL)
        fail_msg("%.*s", (int)why.len, why.p);
    static const char *const tables[] = {
        "DROP TABLE IF EXISTS recado_runs", "DROP TABLE IF EXISTS recado_run_steps",
        "DROP TABLE IF EXISTS recado_task_events", "DROP TABLE IF EXISTS recado_schema"};
    for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++)
        (void)sql_script(db, tables[i]);
    sql_close(&db);
    buf_fini(&why);
}

static int begin(void **state)
{
    (void)state;
    buf_init(&updates, 4 << 20);
    if (!str_starts(str_from(url), STR("memory")))
        drop_tables();
    open_all();
    return 0;
}

static int end(void **state)
{
    (void)state;
    close_all();
    buf_fini(&updates);
    return 0;
}

int main(void)
{
    char file[64];
    url = getenv("RECADO_STORE_URL");
    if (url == NULL) {
        snprintf(file, sizeof(file), "sqlite:/tmp/recado-runs-battery-%d.db", (int)getpid());
        url = file;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_life),
        cmocka_unit_test(test_attempts),
        cmocka_unit_test(test_leases),
        cmocka_unit_test(test_steps_have_an_end),
        cmocka_unit_test(test_events),
        cmocka_unit_test(test_events_out_of_order),
        cmocka_unit_test(test_jobs),
        cmocka_unit_test(test_task_events_are_kept),
        cmocka_unit_test(test_figures),
        cmocka_unit_test(test_pages),
        cmocka_unit_test(test_durations_without_end),
        cmocka_unit_test(test_days),
        cmocka_unit_test(test_tenants_are_apart),
        cmocka_unit_test(test_rows_outlive_the_process),
        cmocka_unit_test(test_the_oldest_are_forgotten),
        cmocka_unit_test(test_many_events),
        cmocka_unit_test(test_a_refused_one_is_left_out),
    };
    int failed = cmocka_run_group_tests_name("runs", tests, begin, end);
    if (getenv("RECADO_STORE_URL") == NULL) {
        (void)unlink(file + sizeof("sqlite:") - 1);
        char beside[96];
        static const char *const tails[] = {"-wal", "-shm", "-lock"};
        for (size_t i = 0; i < sizeof(tails) / sizeof(tails[0]); i++) {
            snprintf(beside, sizeof(beside), "%s%s", file + sizeof("sqlite:") - 1, tails[i]);
            (void)unlink(beside);
        }
    }
    return failed;
}
