/*
 * runs_ask.c - what is asked about runs: lists, figures, single ones.
 *
 * Always true: an answer speaks of the asker's tenant only.
 */
#include "api/runs_priv.h"

#include "base/date.h"

#include <stdlib.h>

enum {
    LIMIT_DEFAULT = 50,
    LIMIT_MAX = 500,
    DAYS_DEFAULT = 30,
    DAYS_MAX = 366,
    ANSWER_MAX = 96 << 20
};

static struct loop *loop_of(const struct http_request *r)
{
    return http_server_loop(r->server);
}

/* ---- questions ---- */

struct question {
    struct http_request *http; // NULL: the peer has gone
    uint32_t limit;
    uint64_t offset;
    struct run_query query;
};

static void question_gone(struct http_request *r, void *ctx)
{
    (void)r;
    ((struct question *)ctx)->http = NULL;
}

static void question_free(struct question *q)
{
    run_query_fini(&q->query);
    free(q);
}

/* The one who asked, if he is still there and the store has answered. */
static struct http_request *answered(struct question *q, bool ok)
{
    struct http_request *r = q->http;
    if (r == NULL)
        return NULL;
    r->gone = NULL;
    if (ok)
        return r;
    http_refuse(r, ERR_NOT_STORED, q->query.why);
    return NULL;
}

static void ask(struct http_request *r, const struct api *api, struct question *q)
{
    q->http = r;
    r->gone = question_gone;
    r->gone_ctx = q;
    run_query(api->ledger, loop_of(r), &q->query);
}

static void put_stats(struct json_writer *w, const struct run_stats *s)
{
    double v;
    json_open_object(w);
    json_put_i64(json_key(w, STR("total")), s->total);
    json_put_i64(json_key(w, STR("completed")), s->completed);
    json_put_i64(json_key(w, STR("failed")), s->failed);
    json_put_i64(json_key(w, STR("running")), s->running);
    json_key(w, STR("success_rate"));
    if (run_stats_rate(s, &v))
        json_put_double(w, v);
    else
        json_put_null(w);
    json_key(w, STR("average_duration_ms"));
    if (run_stats_average(s, &v))
        json_put_double(w, v);
    else
        json_put_null(w);
    json_close_object(w);
}

static void list_answered(struct run_query *query, bool ok)
{
    struct question *q = query->ctx;
    struct http_request *r = answered(q, ok);
    struct buf out;
    struct json_writer w;
    if (r != NULL) {
        buf_init(&out, ANSWER_MAX);
        json_writer_init(&w, &out);
        json_open_object(&w);
        run_put_elements(json_key(&w, STR("runs")), &query->rows);
        json_put_i64(json_key(&w, STR("total")), query->stats.total);
        json_put_u64(json_key(&w, STR("limit")), q->limit);
        json_put_u64(json_key(&w, STR("offset")), q->offset);
        put_stats(json_key(&w, STR("stats")), &query->stats);
        json_close_object(&w);
        rest_reply(r, 200, &w);
        buf_fini(&out);
    }
    question_free(q);
}

static void stats_answered(struct run_query *query, bool ok)
{
    struct question *q = query->ctx;
    struct http_request *r = answered(q, ok);
    struct buf out;
    struct json_writer w;
    if (r != NULL) {
        buf_init(&out, ANSWER_MAX);
        json_writer_init(&w, &out);
        json_open_object(&w);
        put_stats(json_key(&w, STR("stats")), &query->stats);
        run_put_elements(json_key(&w, STR("per_day")), &query->days);
        run_put_elements(json_key(&w, STR("agents")), &query->agents);
        json_close_object(&w);
        rest_reply(r, 200, &w);
        buf_fini(&out);
    }
    question_free(q);
}

static void one_answered(struct run_query *query, bool ok)
{
    struct question *q = query->ctx;
    struct http_request *r = answered(q, ok);
    if (r != NULL && query->found)
        http_reply(r, 200, STR("application/json"), buf_str(&query->rows), STR_NONE);
    else if (r != NULL && query->attempt > 0)
        http_refuse(r, ERR_NOT_FOUND, "attempt: there is no such one of a run with this id");
    else if (r != NULL)
        http_refuse(r, ERR_NOT_FOUND, runs_no_such);
    question_free(q);
}

/* ---- what is asked ---- */

#define FILTERS "from", "to", "agent", "agent_id", "status", "method", "kind", "task_id", "q"
static const char *const list_names[] = {FILTERS, "sort", "limit", "offset", NULL};
static const char *const stats_names[] = {FILTERS, "days", NULL};

/* Strings of the query, decoded. */
struct words {
    char at[9][RUN_NAME_MAX + 1];
    size_t count;
};

static bool read_word(struct http_request *r, struct words *w, struct str name, struct str *ret)
{
    return rest_query(r, name, w->at[w->count++], RUN_NAME_MAX, ret);
}

static bool read_bound(struct http_request *r, struct words *w, struct str name, bool until,
                       int64_t *ret)
{
    struct str text;
    return read_word(r, w, name, &text) &&
           (text.n == 0 || date_bound(text, until, ret) ||
            rest_refuse(r, name,
                        "must be a date as 2026-11-30, or a time as "
                        "2026-11-30T08:15:00Z"));
}

static bool read_range(struct http_request *r, struct words *w, struct run_filter *f)
{
    if (!read_bound(r, w, STR("from"), false, &f->from_ms) ||
        !read_bound(r, w, STR("to"), true, &f->to_ms))
        return false;
    return f->from_ms < f->to_ms || rest_refuse(r, STR("from"), "must not be behind to");
}

static bool read_states(struct http_request *r, struct words *w, struct run_filter *f)
{
    struct str rest;
    if (!read_word(r, w, STR("status"), &rest))
        return false;
    while (rest.n > 0) {
        struct str name = str_cut(&rest, ',');
        if (f->state_count == RUN_CHOICES_MAX)
            return rest_refuse(r, STR("status"), "names at most three states");
        if (!run_state_find(name, &f->states[f->state_count++]))
            return rest_refuse(r, STR("status"),
                               "must be queued, running, completed, failed, cancelled, timeout or "
                               "lost");
    }
    return true;
}

static bool read_filter(struct http_request *r, struct words *w, struct run_filter *f)
{
    if (!read_range(r, w, f) || !read_word(r, w, STR("agent"), &f->agent) ||
        !read_word(r, w, STR("agent_id"), &f->agent_id) ||
        !read_word(r, w, STR("task_id"), &f->task_id) ||
        !read_word(r, w, STR("method"), &f->method) || !read_word(r, w, STR("q"), &f->q) ||
        !read_word(r, w, STR("kind"), &f->kinds[0]))
        return false;
    f->kind_count = f->kinds[0].n > 0;
    return read_states(r, w, f);
}

static bool read_sort(struct http_request *r, struct question *q)
{
    static const struct {
        struct str name;
        enum run_sort sort;
    } known[] = {{{"", 0}, SORT_NEWEST},
                 {{"-created_at", 11}, SORT_MADE_LAST},
                 {{"created_at", 10}, SORT_MADE_FIRST},
                 {{"-started_at", 11}, SORT_NEWEST},
                 {{"started_at", 10}, SORT_OLDEST},
                 {{"-duration_ms", 12}, SORT_LONGEST},
                 {{"duration_ms", 11}, SORT_SHORTEST}};
    char at[64];
    struct str text;
    if (!rest_query(r, STR("sort"), at, sizeof(at), &text))
        return false;
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (str_eq(text, known[i].name)) {
            q->query.sort = known[i].sort;
            return true;
        }
    }
    return rest_refuse(r, STR("sort"),
                       "must be created_at, started_at or duration_ms, with a minus for the newest "
                       "or longest first");
}

static struct question *question_make(struct http_request *r, struct str tenant,
                                      void (*done)(struct run_query *q, bool ok))
{
    struct question *q = calloc(1, sizeof(*q));
    if (q == NULL) {
        http_refuse(r, ERR_INTERNAL, NULL);
        return NULL;
    }
    run_filter_init(&q->query.filter, tenant);
    q->query.done = done;
    q->query.ctx = q;
    return q;
}

/* Refused: answered already. */
static void list(struct http_request *r, const struct api *api, struct str tenant)
{
    struct words w = {.count = 0};
    uint64_t limit = LIMIT_DEFAULT, offset = 0;
    struct question *q = question_make(r, tenant, list_answered);
    if (q == NULL)
        return;
    if (!rest_query_only(r, list_names) || !read_filter(r, &w, &q->query.filter) ||
        !read_sort(r, q) || !rest_query_number(r, STR("limit"), 1, LIMIT_MAX, &limit) ||
        !rest_query_number(r, STR("offset"), 0, INT32_MAX, &offset)) {
        free(q);
        return;
    }
    q->limit = q->query.limit = (uint32_t)limit;
    q->offset = q->query.offset = offset;
    q->query.wants = WANT_ROWS | WANT_STATS;
    ask(r, api, q);
}

/* The days that the figures are about: those of the range, or the last ones. */
static bool read_days(struct http_request *r, struct run_query *q)
{
    struct run_filter *f = &q->filter;
    uint64_t days = DAYS_DEFAULT;
    if (!rest_query_number(r, STR("days"), 1, DAYS_MAX, &days))
        return false;
    run_query_days(q, (int64_t)days, loop_wall_ms(loop_of(r)));
    if (q->day_last - q->day_first >= DAYS_MAX)
        return rest_refuse(r, STR("from"), "the range has more than 366 days");
    if (f->from_ms == 0)
        f->from_ms = q->day_first * DAY_MS;
    return true;
}

static void stats(struct http_request *r, const struct api *api, struct str tenant)
{
    struct words w = {.count = 0};
    struct question *q = question_make(r, tenant, stats_answered);
    if (q == NULL)
        return;
    if (!rest_query_only(r, stats_names) || !read_filter(r, &w, &q->query.filter) ||
        !read_days(r, &q->query)) {
        free(q);
        return;
    }
    q->query.wants = WANT_STATS | WANT_DAYS | WANT_AGENTS;
    ask(r, api, q);
}

static void one(struct http_request *r, const struct api *api, struct str tenant)
{
    static const char *const names[] = {"attempt", NULL};
    uint64_t attempt = 0;
    if (!rest_query_only(r, names) || !rest_query_number(r, STR("attempt"), 1, INT32_MAX, &attempt))
        return;
    struct question *q = question_make(r, tenant, one_answered);
    if (q == NULL)
        return;
    q->query.attempt = (int64_t)attempt;
    q->query.filter.q = r->param;
    q->query.wants = WANT_ONE;
    ask(r, api, q);
}

static void admit_question(struct http_request *r,
                           void (*go)(struct http_request *r, const struct api *api,
                                      struct str tenant))
{
    const struct api *api = runs_api(r);
    struct asker who;
    if (api == NULL || !rest_admit(r, api, STR_NONE, &who))
        return;
    go(r, api, who.tenant);
    asker_fini(&who);
}

void runs_route_list(struct http_request *r)
{
    admit_question(r, list);
}

void runs_route_stats(struct http_request *r)
{
    admit_question(r, stats);
}

void runs_route_one(struct http_request *r)
{
    if (r->param.n > RUN_NAME_MAX)
        http_refuse(r, ERR_NOT_FOUND, runs_no_such);
    else
        admit_question(r, one);
}
