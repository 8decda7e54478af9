/*
 * agents_history.c - GET /api/agent-tasks/execution-history: what an organization's agents have
 * done.
 *
 * Why it exists: the application's history page asks for it in its own words. The rows are the runs
 * of the organization; the figures speak of all that the filters let through, not of one page.
 */
#include "dialect/agents.h"

#include "base/date.h"
#include "base/json.h"
#include "base/must.h"
#include "dialect/admit.h"
#include "runs/ledger.h"

#include <stdlib.h>

enum {
    LIMIT_DEFAULT = 20,
    LIMIT_MAX = 500,
    PAGE_MAX = 1000000,
    DAYS_DEFAULT = 30,
    DAYS_MAX = 366,
    ANSWER_MAX_BYTES = 96 << 20,
    WORDS_MAX = 8
};

struct history {
    struct http_request *http; // NULL: the peer has gone
    uint64_t page, limit;
    struct run_query query;
    size_t word_count;
    char words[WORDS_MAX][RUN_NAME_MAX + 1];
};

/* ---- a row ---- */

static struct str status_of(enum run_state s)
{
    switch (s) {
    case RUN_QUEUED:
    case RUN_RUNNING:
        return STR("STARTED");
    case RUN_COMPLETED:
        return STR("COMPLETED");
    case RUN_TIMEOUT:
        return STR("TIMEOUT");
    default:
        return STR("FAILED");
    }
}

/* A member of the metadata, as it is there; else null. */
static void put_member(struct json_writer *w, struct str object, struct str name)
{
    struct str raw;
    if (object.n > 0 && json_find(object, name, &raw))
        json_put_raw(w, raw);
    else
        json_put_null(w);
}

static bool is_executor(struct str method)
{
    return str_eq(method, STR("AGENT")) || str_eq(method, STR("USER")) ||
           str_eq(method, STR("SYSTEM"));
}

static void put_executor(struct json_writer *w, const struct run *r)
{
    struct str raw;
    json_key(w, STR("executorType"));
    if (r->metadata.n > 0 && json_find(r->metadata, STR("executorType"), &raw))
        json_put_raw(w, raw);
    else
        json_put_string(w, is_executor(r->method) ? r->method : STR("AGENT"));
    json_key(w, STR("executorId"));
    if (r->metadata.n > 0 && json_find(r->metadata, STR("executorId"), &raw))
        json_put_raw(w, raw);
    else
        run_put_text(w, r->agent_id);
}

static void put_tools(struct json_writer *w, const struct run *r)
{
    struct str raw;
    if ((r->metadata.n > 0 && json_find(r->metadata, STR("tools"), &raw)) ||
        (r->result.n > 0 && r->result.p[0] == '{' && json_find(r->result, STR("tools"), &raw)))
        json_put_raw(w, raw);
    else
        json_put_raw(w, STR("[]"));
}

static void put_row(struct json_writer *w, const struct run *r)
{
    json_open_object(w);
    json_put_string(json_key(w, STR("id")), r->id);
    run_put_text(json_key(w, STR("taskId")), r->task_id);
    run_put_text(json_key(w, STR("agentId")), r->agent_id);
    run_put_text(json_key(w, STR("agentName")), r->agent_name);
    run_put_text(json_key(w, STR("title")), r->name);
    put_member(json_key(w, STR("category")), r->metadata, STR("category"));
    json_put_i64(json_key(w, STR("attemptNumber")), r->attempt);
    put_executor(w, r);
    json_put_string(json_key(w, STR("status")), status_of(r->state));
    run_put_text(json_key(w, STR("method")), r->method);
    run_put_time(json_key(w, STR("startedAt")), run_at(r));
    run_put_time(json_key(w, STR("completedAt")), r->completed_at);
    run_put_figure(json_key(w, STR("duration")), r->duration_ms);
    put_tools(json_key(w, STR("tools")), r);
    run_put_json(json_key(w, STR("result")), r->result);
    run_put_text(json_key(w, STR("errorMessage")), r->error);
    json_put_raw(json_key(w, STR("metadata")), r->metadata.n > 0 ? r->metadata : STR("{}"));
    json_close_object(w);
}

/* ---- the answer ---- */

static void put_stats(struct json_writer *w, const struct run_query *q)
{
    double rate = 0, average = 0;
    (void)run_stats_rate(&q->stats, &rate);
    (void)run_stats_average(&q->stats, &average);
    json_open_object(w);
    json_put_i64(json_key(w, STR("total")), q->stats.total);
    json_put_i64(json_key(w, STR("completed")), q->stats.completed);
    json_put_i64(json_key(w, STR("failed")), q->stats.failed);
    json_put_i64(json_key(w, STR("running")), q->stats.running);
    json_put_double(json_key(w, STR("successRate")), (double)(int64_t)(rate * 10000 + 0.5) / 100);
    json_put_i64(json_key(w, STR("averageDuration")), (int64_t)(average + 0.5));
    run_put_elements(json_key(w, STR("perDay")), &q->days);
    json_close_object(w);
}

static void put_pagination(struct json_writer *w, const struct history *h)
{
    uint64_t total = (uint64_t)h->query.stats.total;
    json_open_object(w);
    json_put_u64(json_key(w, STR("page")), h->page);
    json_put_u64(json_key(w, STR("limit")), h->limit);
    json_put_u64(json_key(w, STR("total")), total);
    json_put_u64(json_key(w, STR("totalPages")), (total + h->limit - 1) / h->limit);
    json_close_object(w);
}

static void reply(struct http_request *r, const struct history *h)
{
    struct buf out;
    struct json_writer w;
    buf_init(&out, ANSWER_MAX_BYTES);
    json_writer_init(&w, &out);
    json_open_object(&w);
    json_put_bool(json_key(&w, STR("success")), true);
    run_put_elements(json_key(&w, STR("data")), &h->query.rows);
    put_pagination(json_key(&w, STR("pagination")), h);
    put_stats(json_key(&w, STR("stats")), &h->query);
    json_close_object(&w);
    if (json_done(&w))
        http_reply(r, 200, STR("application/json"), buf_str(&out), STR_NONE);
    else
        http_refuse(r, ERR_INTERNAL, "the answer is too long");
    buf_fini(&out);
}

static void answered(struct run_query *q, bool ok)
{
    struct history *h = q->ctx;
    if (h->http != NULL) {
        h->http->gone = NULL;
        if (ok)
            reply(h->http, h);
        else
            http_refuse(h->http, ERR_NOT_STORED, h->query.why);
    }
    run_query_fini(q);
    free(h);
}

static void history_gone(struct http_request *r, void *ctx)
{
    (void)r;
    ((struct history *)ctx)->http = NULL;
}

/* ---- what is asked ---- */

static bool refuse(struct http_request *r, struct str name, const char *why)
{
    char at[160];
    struct buf b = buf_on(at, sizeof(at));
    (void)(buf_add(&b, name) && buf_add(&b, STR(": ")) && buf_add(&b, str_from(why)));
    http_reply_error(r, 400, err_code(ERR_BAD_REQUEST), buf_str(&b));
    return false;
}

static bool read_word(struct http_request *r, struct history *h, struct str name, struct str *ret)
{
    char *at = h->words[h->word_count++];
    MUST(h->word_count <= WORDS_MAX);
    *ret = STR_NONE;
    if (http_query(r, name, at, RUN_NAME_MAX, ret) || http_query_count(r, name) == 0)
        return true;
    return refuse(r, name, "too long");
}

static bool read_bound(struct http_request *r, struct history *h, struct str name, bool until,
                       int64_t *ret)
{
    struct str text;
    return read_word(r, h, name, &text) &&
           (text.n == 0 || date_bound(text, until, ret) ||
            refuse(r, name, "must be a date as 2026-11-30, or a time as 2026-11-30T08:15:00Z"));
}

static bool read_status(struct http_request *r, struct history *h)
{
    static const struct {
        struct str name;
        enum run_state states[RUN_CHOICES_MAX];
        size_t count;
    } known[] = {{{"STARTED", 7}, {RUN_QUEUED, RUN_RUNNING}, 2},
                 {{"COMPLETED", 9}, {RUN_COMPLETED}, 1},
                 {{"FAILED", 6}, {RUN_FAILED, RUN_LOST, RUN_CANCELLED}, 3},
                 {{"TIMEOUT", 7}, {RUN_TIMEOUT}, 1}};
    struct run_filter *f = &h->query.filter;
    struct str text;
    if (!read_word(r, h, STR("status"), &text) || text.n == 0)
        return http_query_count(r, STR("status")) == 0 || text.n == 0;
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (!str_eq_nocase(text, known[i].name))
            continue;
        memcpy(f->states, known[i].states, sizeof(f->states));
        f->state_count = known[i].count;
        return true;
    }
    return refuse(r, STR("status"), "must be STARTED, COMPLETED, FAILED or TIMEOUT");
}

static bool read_number(struct http_request *r, struct history *h, struct str name, uint64_t most,
                        uint64_t *ret)
{
    struct str text;
    uint64_t v = 0;
    if (!read_word(r, h, name, &text))
        return false;
    if (text.n == 0)
        return true;
    if (!str_to_u64(text, &v) || v < 1 || v > most)
        return refuse(r, name,
                      most == LIMIT_MAX ? "must be a whole number from 1 to 500"
                                        : "must be a whole number from 1");
    *ret = v;
    return true;
}

/* The chart is of the range that was asked for, its last days; else of the last thirty. */
static void choose_days(struct run_query *q, int64_t now_ms)
{
    run_query_days(q, DAYS_DEFAULT, now_ms);
    if (q->day_last - q->day_first >= DAYS_MAX)
        q->day_first = q->day_last - DAYS_MAX + 1;
}

static bool history_read(struct http_request *r, struct history *h)
{
    struct run_filter *f = &h->query.filter;
    if (!read_bound(r, h, STR("startDate"), false, &f->from_ms) ||
        !read_bound(r, h, STR("endDate"), true, &f->to_ms) ||
        !read_word(r, h, STR("agentId"), &f->agent_id) ||
        !read_word(r, h, STR("method"), &f->method) || !read_status(r, h) ||
        !read_number(r, h, STR("page"), PAGE_MAX, &h->page) ||
        !read_number(r, h, STR("limit"), LIMIT_MAX, &h->limit))
        return false;
    return f->from_ms < f->to_ms || refuse(r, STR("startDate"), "must not be behind endDate");
}

static void ask(struct http_request *r, const struct endpoint *e, struct str tenant)
{
    struct loop *loop = http_server_loop(r->server);
    struct history *h = calloc(1, sizeof(*h));
    if (h == NULL) {
        http_refuse(r, ERR_INTERNAL, NULL);
        return;
    }
    h->page = 1;
    h->limit = LIMIT_DEFAULT;
    run_filter_init(&h->query.filter, tenant);
    if (!history_read(r, h)) {
        free(h);
        return;
    }
    choose_days(&h->query, loop_wall_ms(loop));
    h->query.wants = WANT_ROWS | WANT_STATS | WANT_DAYS;
    h->query.limit = (uint32_t)h->limit;
    h->query.offset = (h->page - 1) * h->limit;
    h->query.put = put_row;
    h->query.done = answered;
    h->query.ctx = h;
    h->http = r;
    r->gone = history_gone;
    r->gone_ctx = h;
    run_query(e->ledger, loop, &h->query);
}

/* ---- who asks ---- */

static bool has_api_key(const struct http_request *r, const struct admission *a)
{
    return auth_has_api_key(a->auth) &&
           admission_lets_back_end(a, http_header(r, STR("X-API-Key")),
                                   http_header(r, STR("Authorization")));
}

/* A token says the organization, or the query does: with an API key, or where none is needed. */
static bool admit_asker(struct http_request *r, const struct endpoint *e, struct identity *ret)
{
    const struct admission *a = admission_now(e->admission);
    struct handshake h;
    char at[HANDSHAKE_TENANT_MAX];
    struct str organization = STR_NONE;
    if (!admit_origin(r, e) || !handshake_read(r, e, &h))
        return false;
    if (!http_query(r, STR("organizationId"), at, sizeof(at), &organization) &&
        http_query_count(r, STR("organizationId")) > 0)
        return refuse(r, STR("organizationId"), "must be at most 255 bytes of printable UTF-8");
    bool trusted = has_api_key(r, a);
    if (h.token.n == 0 && !trusted && auth_has_api_key(a->auth))
        return http_refuse(r, ERR_UNAUTHORIZED, "unauthorized: a token or an API key is needed");
    if (h.token.n == 0 && organization.n == 0 && e->tenant_from != TENANT_FIXED)
        return refuse(r, STR("organizationId"), "is required where no token says it");
    int64_t now_s = loop_wall_ms(http_server_loop(r->server)) / 1000;
    enum err err = admit(e, h.token, organization, now_s, trusted, ret);
    return err == ERR_OK || http_refuse(r, err, ret->why);
}

void agents_history(struct http_request *r, const struct endpoint *e)
{
    struct identity id;
    if (e->ledger == NULL) {
        http_refuse(r, ERR_NOT_STORED, NULL);
        return;
    }
    if (!admit_asker(r, e, &id))
        return;
    ask(r, e, id.tenant);
    identity_fini(&id);
}
