/*
 * conductor_tasks.c - GET /api/tasks: the executions of agents, councilors and tasks, as the
 * original listed its collection.
 */
#include "base/date.h"
#include "dialect/conductor_priv.h"
#include "runs/ledger.h"

enum { LIMIT_DEFAULT = 100, LIMIT_MAX = 500, ANSWER_MAX_BYTES = 96 << 20 };

struct listing {
    struct http_request *http; // NULL: the peer has gone
    struct run_query query;
    char agent_at[RUN_NAME_MAX + 1];
};

/* ---- a task ---- */

static struct str status_of(enum run_state s)
{
    switch (s) {
    case RUN_QUEUED:
        return STR("pending");
    case RUN_FAILED:
    case RUN_TIMEOUT:
    case RUN_LOST:
        return STR("error");
    default:
        return str_from(run_state_name(s));
    }
}

static void put_member(struct json_writer *w, const struct run *r, struct str name)
{
    struct str raw;
    if (r->metadata.n > 0 && json_find(r->metadata, name, &raw))
        json_put_raw(w, raw);
    else
        json_put_null(w);
}

static void put_councilor(struct json_writer *w, const struct run *r)
{
    bool is_councilor = str_eq(r->kind, STR("councilor"));
    json_put_bool(json_key(w, STR("is_councilor_execution")), is_councilor);
    json_key(w, STR("councilor_config"));
    if (!is_councilor) {
        json_put_null(w);
        return;
    }
    json_open_object(w);
    run_put_text(json_key(w, STR("task_name")), r->name);
    run_put_text(json_key(w, STR("display_name")), r->agent_name);
    json_close_object(w);
}

static void put_task(struct json_writer *w, const struct run *r)
{
    json_open_object(w);
    json_put_string(json_key(w, STR("task_id")), r->id);
    run_put_text(json_key(w, STR("agent_id")), r->agent_id);
    run_put_text(json_key(w, STR("agent_name")), r->agent_name);
    put_member(json_key(w, STR("instance_id")), r, STR("instance_id"));
    put_councilor(w, r);
    json_put_string(json_key(w, STR("status")), status_of(r->state));
    run_put_text(json_key(w, STR("severity")), r->severity);
    run_put_json(json_key(w, STR("result")), r->result);
    run_put_text(json_key(w, STR("error")), r->error);
    run_put_time(json_key(w, STR("created_at")), run_at(r));
    run_put_time(json_key(w, STR("started_at")), r->started_at);
    run_put_time(json_key(w, STR("completed_at")), r->completed_at);
    json_key(w, STR("duration"));
    if (r->duration_ms >= 0)
        json_put_double(w, (double)r->duration_ms / 1000);
    else
        json_put_null(w);
    json_close_object(w);
}

/* ---- the answer ---- */

static void reply(struct http_request *r, const struct run_query *q)
{
    struct buf out;
    buf_init(&out, ANSWER_MAX_BYTES);
    bool ok = buf_add(&out, STR("{\"success\":true,\"count\":")) &&
              buf_add_u64(&out, q->row_count) && buf_add(&out, STR(",\"total\":")) &&
              buf_add_u64(&out, (uint64_t)q->stats.total) && buf_add(&out, STR(",\"tasks\":[")) &&
              buf_add(&out, buf_str(&q->rows)) && buf_add(&out, STR("]}"));
    if (ok)
        http_reply(r, 200, STR("application/json"), buf_str(&out), STR_NONE);
    else
        reply_detail(r, 503, STR("out of memory"));
    buf_fini(&out);
}

static void answered(struct run_query *q, bool ok)
{
    struct listing *l = q->ctx;
    if (l->http != NULL) {
        l->http->gone = NULL;
        if (ok)
            reply(l->http, q);
        else
            reply_detail(l->http, 503,
                         q->why != NULL ? str_from(q->why) : err_message(ERR_NOT_STORED));
    }
    run_query_fini(q);
    free(l);
}

static void listing_gone(struct http_request *r, void *ctx)
{
    (void)r;
    ((struct listing *)ctx)->http = NULL;
}

/* ---- what is asked ---- */

static bool read_number(struct http_request *r, struct str name, uint64_t least, uint64_t most,
                        uint64_t *ret)
{
    char at[32], where[64];
    struct str text;
    if (http_query_count(r, name) == 0)
        return true;
    if (http_query(r, name, at, sizeof(at), &text) && str_to_u64(text, ret) && *ret >= least &&
        *ret <= most)
        return true;
    struct buf b = buf_on(where, sizeof(where));
    (void)(buf_add(&b, STR("[\"query\",\"")) && buf_add(&b, name) && buf_add(&b, STR("\"]")));
    reply_invalid(r, STR("int_parsing"), buf_str(&b),
                  most == LIMIT_MAX ? STR("Input should be an integer from 1 to 500")
                                    : STR("Input should be an integer, not negative"));
    return false;
}

static bool read_status(struct http_request *r, struct run_filter *f)
{
    static const struct {
        struct str name;
        enum run_state states[RUN_CHOICES_MAX];
        size_t count;
    } known[] = {{{"pending", 7}, {RUN_QUEUED}, 1},
                 {{"queued", 6}, {RUN_QUEUED}, 1},
                 {{"running", 7}, {RUN_RUNNING}, 1},
                 {{"in_progress", 11}, {RUN_RUNNING}, 1},
                 {{"completed", 9}, {RUN_COMPLETED}, 1},
                 {{"cancelled", 9}, {RUN_CANCELLED}, 1},
                 {{"failed", 6}, {RUN_FAILED, RUN_TIMEOUT, RUN_LOST}, 3},
                 {{"error", 5}, {RUN_FAILED, RUN_TIMEOUT, RUN_LOST}, 3}};
    char at[32];
    struct str text = STR_NONE;
    if (!http_query(r, STR("status"), at, sizeof(at), &text) &&
        http_query_count(r, STR("status")) == 0)
        return true;
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (!str_eq(text, known[i].name))
            continue;
        memcpy(f->states, known[i].states, sizeof(f->states));
        f->state_count = known[i].count;
        return true;
    }
    if (text.p != NULL && text.n == 0)
        return true;
    reply_invalid(r, STR("enum"), STR("[\"query\",\"status\"]"),
                  STR("Input should be pending, running, completed, error or cancelled"));
    return false;
}

static bool read_sort(struct http_request *r, enum run_sort *ret)
{
    char at[32];
    struct str text = STR("-created_at");
    if (!http_query(r, STR("sort"), at, sizeof(at), &text) && http_query_count(r, STR("sort")) > 0)
        text = STR("?");
    bool up = str_eq(text, STR("created_at"));
    *ret = up ? SORT_OLDEST : SORT_NEWEST;
    if (up || str_eq(text, STR("-created_at")))
        return true;
    reply_invalid(r, STR("enum"), STR("[\"query\",\"sort\"]"),
                  STR("Input should be created_at or -created_at"));
    return false;
}

static bool read_agent(struct http_request *r, struct listing *l)
{
    struct str *agent = &l->query.filter.agent_id;
    if (http_query(r, STR("agent_id"), l->agent_at, sizeof(l->agent_at), agent) ||
        http_query_count(r, STR("agent_id")) == 0)
        return true;
    reply_invalid(r, STR("string_too_long"), STR("[\"query\",\"agent_id\"]"),
                  STR("String should have at most 255 characters"));
    return false;
}

static bool listing_read(struct http_request *r, struct listing *l)
{
    uint64_t limit = LIMIT_DEFAULT, offset = 0;
    if (!read_number(r, STR("limit"), 1, LIMIT_MAX, &limit) ||
        !read_number(r, STR("offset"), 0, INT32_MAX, &offset) ||
        !read_status(r, &l->query.filter) || !read_sort(r, &l->query.sort) || !read_agent(r, l))
        return false;
    l->query.limit = (uint32_t)limit;
    l->query.offset = offset;
    return true;
}

static void list(struct http_request *r, const struct endpoint *e, struct str tenant)
{
    struct listing *l = calloc(1, sizeof(*l));
    if (l == NULL) {
        reply_detail(r, 503, STR("out of memory"));
        return;
    }
    struct run_query *q = &l->query;
    run_filter_init(&q->filter, tenant);
    if (!listing_read(r, l)) {
        free(l);
        return;
    }
    q->filter.kinds[0] = STR("agent");
    q->filter.kinds[1] = STR("councilor");
    q->filter.kinds[2] = STR("task");
    q->filter.kind_count = 3;
    q->wants = WANT_ROWS | WANT_STATS;
    q->put = put_task;
    q->done = answered;
    q->ctx = l;
    l->http = r;
    r->gone = listing_gone;
    r->gone_ctx = l;
    run_query(e->ledger, http_server_loop(r->server), q);
}

void conductor_tasks(struct http_request *r, const struct endpoint *e)
{
    struct identity id;
    if (e->ledger == NULL) {
        reply_detail(r, 503, err_message(ERR_NOT_STORED));
        return;
    }
    if (!conductor_admit(r, e, true, &id))
        return;
    list(r, e, id.tenant);
    identity_fini(&id);
}
