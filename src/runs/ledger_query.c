/*
 * ledger_query.c - what is asked about runs: lists, counts, days, single ones.
 *
 * Why it exists: list and figures have to speak of the same runs. All their statements share their
 * conditions, which are put together once, one text for each set that lets an index be used; what
 * no index knows is asked in all of them and says yes when it was not asked for.
 */
#include "base/date.h"
#include "base/must.h"
#include "runs/ledger_priv.h"

#include <stdlib.h>

enum { TEXT_MAX = 2048, BODY_MAX = 96 << 20, DAYS_MAX_BYTES = 1 << 20, PARAMS_MAX = 24 };

#define FINISHED_BADLY "('failed', 'timeout', 'lost')"
#define COUNTS                                                                                     \
    "COUNT(*), COUNT(CASE WHEN status = 'completed' THEN 1 END), COUNT(CASE WHEN status "          \
    "IN " FINISHED_BADLY " THEN 1 END)"

static const char *const orders[RUN_SORT_COUNT] = {
    [SORT_NEWEST] = "run_at DESC, seq DESC LIMIT ? OFFSET ?",
    [SORT_OLDEST] = "run_at, seq LIMIT ? OFFSET ?",
    [SORT_MADE_LAST] = "created_at DESC, seq DESC LIMIT ? OFFSET ?",
    [SORT_MADE_FIRST] = "created_at, seq LIMIT ? OFFSET ?",
    [SORT_LONGEST] = "duration_ms DESC, seq DESC LIMIT ? OFFSET ?",
    [SORT_SHORTEST] = "duration_ms, seq LIMIT ? OFFSET ?",
};

/* ---- texts ---- */

/* by_begin: the range of begins is walked; else it must not look like one, or no database would
 * walk the rows in another order. */
static bool where_add(struct buf *b, unsigned set, bool by_begin)
{
    bool ok = buf_add(b, STR(" FROM recado_runs WHERE tenant = ? AND newest = 1")) &&
              buf_add(b, by_begin ? STR(" AND run_at >= ? AND run_at < ?")
                                  : STR(" AND run_at + 0 >= ? AND run_at + 0 < ?"));
    if (set & WHERE_AGENT)
        ok = ok && buf_add(b, STR(" AND agent_id = ?"));
    if (set & WHERE_STATE)
        ok = ok && buf_add(b, STR(" AND status IN (?, ?, ?)"));
    if (set & WHERE_TASK)
        ok = ok && buf_add(b, STR(" AND task_id = ?"));
    return ok && buf_add(b, STR(" AND (? = '' OR agent_id = ? OR agent_name = ?) AND (? = '' OR "
                                "method = ?) AND (? = '' OR kind IN (?, ?, ?)) AND (? = '' OR "
                                "search LIKE ? ESCAPE '!')"));
}

static char *text_end(struct buf *b, bool ok)
{
    char *text = ok ? str_dup(buf_str(b)) : NULL;
    buf_fini(b);
    return text;
}

static char *list_make(unsigned set, enum run_sort sort)
{
    struct buf b;
    bool few = (set & (WHERE_AGENT | WHERE_TASK)) != 0; // they are sorted, whatever the order
    bool by_begin = few || (sort != SORT_MADE_LAST && sort != SORT_MADE_FIRST);
    buf_init(&b, TEXT_MAX);
    return text_end(&b, buf_add(&b, STR("SELECT ")) && buf_add(&b, str_from(run_columns_list)) &&
                            where_add(&b, set, by_begin) && buf_add(&b, STR(" ORDER BY ")) &&
                            buf_add(&b, str_from(orders[sort])));
}

static char *text_make(const char *columns, unsigned set, const char *rest, const char *more)
{
    struct buf b;
    buf_init(&b, TEXT_MAX);
    return text_end(&b, buf_add(&b, STR("SELECT ")) && buf_add(&b, str_from(columns)) &&
                            where_add(&b, set, true) && buf_add(&b, str_from(rest)) &&
                            buf_add(&b, str_from(more)));
}

/* Durations are whatever somebody said: their sum is no whole number, because that can overflow,
 * and then SQLite answers nothing at all. */
bool query_texts_make(struct query_texts *t)
{
    bool ok = true;
    for (unsigned set = 0; set < WHERE_SETS; set++) {
        for (unsigned s = 0; s < RUN_SORT_COUNT; s++) {
            t->list[set][s] = list_make(set, s);
            ok = ok && t->list[set][s] != NULL;
        }
        t->stats[set] = text_make(COUNTS ", COUNT(CASE WHEN status IN ('queued', 'running') THEN 1 "
                                         "END), COUNT(CASE WHEN duration_ms >= 0 THEN 1 END), "
                                         "SUM(CASE WHEN duration_ms >= 0 THEN duration_ms * 1.0 "
                                         "ELSE 0 END)",
                                  set, "", "");
        t->days[set] = text_make("run_day, " COUNTS, set, " GROUP BY run_day", " ORDER BY run_day");
        t->agents[set] = text_make("agent_id, MAX(agent_name), COUNT(*)", set,
                                   " AND agent_id <> '' GROUP BY agent_id",
                                   " ORDER BY COUNT(*) DESC, agent_id LIMIT 100");
        ok = ok && t->stats[set] != NULL && t->days[set] != NULL && t->agents[set] != NULL;
    }
    return ok;
}

void query_texts_drop(struct query_texts *t)
{
    for (unsigned set = 0; set < WHERE_SETS; set++) {
        for (unsigned s = 0; s < RUN_SORT_COUNT; s++)
            free(t->list[set][s]);
        free(t->stats[set]);
        free(t->days[set]);
        free(t->agents[set]);
    }
}

/* ---- values ---- */

void run_filter_init(struct run_filter *f, struct str tenant)
{
    *f = (struct run_filter){.tenant = tenant, .from_ms = 0, .to_ms = INT64_MAX};
}

static unsigned set_of(const struct run_filter *f)
{
    return (f->agent_id.n > 0 ? WHERE_AGENT : 0) | (f->state_count > 0 ? WHERE_STATE : 0) |
           (f->task_id.n > 0 ? WHERE_TASK : 0);
}

/* %q% with what LIKE would take for more than itself behind an exclamation mark. */
static void like_text(struct buf *b, struct str q)
{
    struct buf folded;
    buf_init(&folded, q.n + 1);
    search_fold(&folded, q);
    (void)buf_add_char(b, '%');
    for (size_t i = 0; i < folded.len; i++) {
        char ch = folded.p[i];
        if (ch == '%' || ch == '_' || ch == '!')
            (void)buf_add_char(b, '!');
        (void)buf_add_char(b, ch);
    }
    (void)buf_add_char(b, '%');
    buf_fini(&folded);
}

/* The last one again for those that were not asked for: IN takes three. */
static struct str kind_at(const struct run_filter *f, size_t i)
{
    if (f->kind_count == 0)
        return STR("");
    return f->kinds[i < f->kind_count ? i : f->kind_count - 1];
}

static enum run_state state_at(const struct run_filter *f, size_t i)
{
    return f->states[i < f->state_count ? i : f->state_count - 1];
}

static size_t bind(const struct run_filter *f, struct str like, struct sql_value v[PARAMS_MAX])
{
    size_t n = 0;
    v[n++] = sql_text(f->tenant);
    v[n++] = sql_int(f->from_ms);
    v[n++] = sql_int(f->to_ms);
    if (f->agent_id.n > 0)
        v[n++] = sql_text(f->agent_id);
    for (size_t i = 0; f->state_count > 0 && i < RUN_CHOICES_MAX; i++)
        v[n++] = sql_text(str_from(run_state_name(state_at(f, i))));
    if (f->task_id.n > 0)
        v[n++] = sql_text(f->task_id);
    for (int i = 0; i < 3; i++)
        v[n++] = sql_text(f->agent);
    v[n++] = sql_text(f->method);
    v[n++] = sql_text(f->method);
    v[n++] = sql_text(kind_at(f, 0));
    for (size_t i = 0; i < RUN_CHOICES_MAX; i++)
        v[n++] = sql_text(kind_at(f, i));
    v[n++] = sql_text(f->q);
    v[n++] = sql_text(like);
    return n;
}

/* ---- rows ---- */

/* The text of an array's next element goes on. */
static void element(struct buf *b)
{
    if (b->len > 0)
        (void)buf_add_char(b, ',');
}

static bool list_row(void *ctx, const struct sql_value *v, size_t count)
{
    struct run_query *q = ctx;
    struct json_writer w;
    struct run r;
    (void)count;
    size_t before = q->rows.len;
    run_from_values(&r, v);
    element(&q->rows);
    json_writer_init(&w, &q->rows);
    if (q->put != NULL)
        q->put(&w, &r);
    else
        run_put(&w, &r);
    if (!json_done(&w)) {
        q->rows.len = before;
        return false;
    }
    q->row_count++;
    return true;
}

static double real_of(const struct sql_value *v)
{
    return v->type == SQL_REAL ? v->d : v->type == SQL_INT ? (double)v->i : 0;
}

static bool stats_row(void *ctx, const struct sql_value *v, size_t count)
{
    struct run_query *q = ctx;
    (void)count;
    q->stats = (struct run_stats){.total = v[0].i,
                                  .completed = v[1].i,
                                  .failed = v[2].i,
                                  .running = v[3].i,
                                  .duration_count = v[4].i,
                                  .duration_sum_ms = real_of(&v[5])};
    return false;
}

static void put_day(struct buf *b, int64_t day, int64_t total, int64_t completed, int64_t failed)
{
    char text[DATE_TEXT];
    date_format(day, text);
    element(b);
    buf_add_format(b, "{\"date\":\"%.*s\",\"total\":%lld,\"completed\":%lld,\"failed\":%lld}",
                   DATE_TEXT, text, (long long)total, (long long)completed, (long long)failed);
}

/* Days on which nothing happened are there as well. */
struct day_walk {
    struct buf *out;
    int64_t next, last;
};

static void days_until(struct day_walk *d, int64_t day)
{
    for (; d->next < day && d->next <= d->last; d->next++)
        put_day(d->out, d->next, 0, 0, 0);
}

static bool day_row(void *ctx, const struct sql_value *v, size_t count)
{
    struct day_walk *d = ctx;
    (void)count;
    days_until(d, v[0].i);
    if (d->next == v[0].i && d->next <= d->last) {
        put_day(d->out, v[0].i, v[1].i, v[2].i, v[3].i);
        d->next++;
    }
    return true;
}

static bool agent_row(void *ctx, const struct sql_value *v, size_t count)
{
    struct run_query *q = ctx;
    struct json_writer w;
    (void)count;
    size_t before = q->agents.len;
    element(&q->agents);
    json_writer_init(&w, &q->agents);
    json_open_object(&w);
    json_put_string(json_key(&w, STR("agent_id")), v[0].s);
    run_put_text(json_key(&w, STR("agent_name")), v[1].s);
    json_put_i64(json_key(&w, STR("total")), v[2].i);
    json_close_object(&w);
    if (!json_done(&w))
        q->agents.len = before;
    return true;
}

static bool kept_row(void *ctx, const struct sql_value *v, size_t count)
{
    struct run_query *q = ctx;
    (void)count;
    q->kept(q, v[0].s, v[1].s, v[2].i);
    return true;
}

/* ---- a single one ---- */

struct one {
    struct json_writer w;
    int64_t attempt; // that is wanted; 0: the first row
    bool whole;      // what is long is there, too
    bool found;
};

static bool step_row(void *ctx, const struct sql_value *v, size_t count)
{
    struct one *o = ctx;
    struct run_step s;
    (void)count;
    step_from_values(&s, v);
    if (!o->whole && s.detail.n > RUN_SHORT_DETAIL_MAX)
        s.detail = STR("");
    run_put_step(&o->w, &s);
    return true;
}

static bool attempt_row(void *ctx, const struct sql_value *v, size_t count)
{
    struct one *o = ctx;
    struct run r;
    (void)count;
    run_from_values(&r, v);
    o->found = o->attempt == 0 || o->attempt == r.attempt;
    if (!o->found)
        return false;
    if (!o->whole && r.input.n > RUN_LIST_JSON_MAX)
        r.input = STR("");
    if (!o->whole && r.result.n > RUN_LIST_JSON_MAX)
        r.result = STR("");
    run_put_members(&o->w, &r, true);
    return false;
}

/* Members of an object that is open: the attempt, where it is the one that is wanted. */
static enum sql_result put_attempt(struct one *o, struct sql *db, int64_t seq)
{
    o->found = false;
    enum sql_result r = attempt_read(db, seq, attempt_row, o);
    if (r != SQL_OK || !o->found)
        return r;
    json_open_array(json_key(&o->w, STR("steps")));
    r = steps_each(db, seq, step_row, o);
    json_close_array(&o->w);
    return r;
}

static enum sql_result read_one(struct run_query *q, struct sql *db)
{
    struct one o = {.attempt = q->attempt, .whole = true};
    int64_t seqs[RUN_ATTEMPTS_MAX];
    size_t count;
    json_writer_init(&o.w, &q->rows);
    json_open_object(&o.w);
    enum sql_result r = attempts_find(db, q->filter.tenant, q->filter.q, seqs, &count);
    for (size_t i = 0; r == SQL_OK && !q->found && i < count; i++) {
        r = put_attempt(&o, db, seqs[i]);
        q->found = o.found;
    }
    if (r != SQL_OK || !q->found)
        return r;
    o = (struct one){.w = o.w};
    json_open_array(json_key(&o.w, STR("attempts")));
    for (size_t i = 0; r == SQL_OK && i < count; i++) {
        json_open_object(&o.w);
        r = put_attempt(&o, db, seqs[i]);
        json_close_object(&o.w);
    }
    json_close_array(&o.w);
    json_close_object(&o.w);
    return r == SQL_OK && !json_done(&o.w) ? SQL_FAILED : r;
}

/* ---- asking ---- */

static enum sql_result read_list(struct run_query *q, struct sql *db, struct sql_value *v, size_t n)
{
    const char *text = q->ledger->texts.list[set_of(&q->filter)][q->sort];
    v[n++] = sql_int(q->limit);
    v[n++] = sql_int((int64_t)q->offset);
    return sql_run(db, text, v, n, list_row, q);
}

static void forget_answers(struct run_query *q)
{
    buf_clear(&q->rows);
    buf_clear(&q->days);
    buf_clear(&q->agents);
    q->row_count = 0;
    q->found = false;
    q->stats = (struct run_stats){0};
}

static enum sql_result query_run(struct store_job *j, struct sql *db)
{
    struct run_query *q = container_of(j, struct run_query, job);
    const struct query_texts *t = &q->ledger->texts;
    struct sql_value v[PARAMS_MAX];
    char like_at[4 * RUN_NAME_MAX];
    struct buf like = buf_on(like_at, sizeof(like_at));
    unsigned set = set_of(&q->filter);
    enum sql_result r = SQL_OK;
    forget_answers(q);
    like_text(&like, q->filter.q);
    size_t n = bind(&q->filter, buf_str(&like), v);
    if (q->wants & WANT_ONE)
        r = read_one(q, db);
    if (r == SQL_OK && (q->wants & WANT_ROWS))
        r = read_list(q, db, v, n);
    if (r == SQL_OK && (q->wants & WANT_STATS))
        r = sql_run(db, t->stats[set], v, n, stats_row, q);
    if (r == SQL_OK && (q->wants & WANT_DAYS)) {
        struct day_walk d = {&q->days, q->day_first, q->day_last};
        r = sql_run(db, t->days[set], v, n, day_row, &d);
        days_until(&d, q->day_last + 1);
    }
    if (r == SQL_OK && (q->wants & WANT_AGENTS))
        r = sql_run(db, t->agents[set], v, n, agent_row, q);
    if (r == SQL_OK && (q->wants & WANT_KEPT))
        r = kept_each(db, q->filter.tenant, kept_row, q);
    return r;
}

static void query_done(struct store_job *j)
{
    struct run_query *q = container_of(j, struct run_query, job);
    if (j->result == SQL_AGAIN)
        q->why = "the store is busy: try again";
    q->done(q, j->result == SQL_OK);
}

static struct str copy(char **at, const char *end, struct str s)
{
    size_t room = (size_t)(end - *at);
    return str_put(at, (struct str){s.p, s.n < room ? s.n : room});
}

/* What is found by its key takes moments, however many runs there are. */
enum { WANTS_OF_INDEXES = WANT_ONE | WANT_KEPT };

void run_query(struct ledger *l, struct loop *loop, struct run_query *q)
{
    struct run_filter *f = &q->filter;
    struct str *const texts[] = {&f->tenant, &f->agent_id, &f->task_id, &f->method,
                                 &f->q,      &f->kinds[0], &f->agent};
    char *at = q->at;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        *texts[i] = copy(&at, q->at + sizeof(q->at), *texts[i]);
    q->ledger = l;
    buf_init(&q->rows, BODY_MAX);
    buf_init(&q->days, DAYS_MAX_BYTES);
    buf_init(&q->agents, DAYS_MAX_BYTES);
    q->job = (struct store_job){.loop = loop,
                                .reads = true,
                                .search = (q->wants & ~WANTS_OF_INDEXES) != 0,
                                .run = query_run,
                                .done = query_done};
    store_do(l->o.store, &q->job);
}

void run_query_fini(struct run_query *q)
{
    buf_fini(&q->rows);
    buf_fini(&q->days);
    buf_fini(&q->agents);
}

void run_put_elements(struct json_writer *w, const struct buf *elements)
{
    json_open_array(w);
    if (elements->len > 0)
        json_put_raw(w, buf_str(elements));
    json_close_array(w);
}

void run_query_days(struct run_query *q, int64_t days, int64_t now_ms)
{
    const struct run_filter *f = &q->filter;
    q->day_last = f->to_ms == INT64_MAX ? date_day(now_ms) : date_day(f->to_ms - 1);
    q->day_first = f->from_ms == 0 ? q->day_last - days + 1 : date_day(f->from_ms);
}

bool run_stats_rate(const struct run_stats *s, double *ret)
{
    int64_t over = s->completed + s->failed;
    if (over > 0)
        *ret = (double)s->completed / (double)over;
    return over > 0;
}

bool run_stats_average(const struct run_stats *s, double *ret_ms)
{
    if (s->duration_count > 0)
        *ret_ms = s->duration_sum_ms / (double)s->duration_count;
    return s->duration_count > 0;
}
