/*
 * store_writer.c - the thread that commits.
 *
 * A round: take what has come, write it in one transaction, answer. When that fails, who waits is
 * told at once, and the same batch is tried again, later and later, until it is in: what was taken
 * is not lost, and nothing more is taken meanwhile.
 */
#include "store/store_priv.h"

#include "base/clock.h"
#include "base/list.h"
#include "base/log.h"
#include "base/must.h"

#include <stdio.h>
#include <time.h>

enum {
    BATCH_EVENTS_MAX = 20000,
    RETRY_FIRST_MS = 100,
    RETRY_MOST_MS = 5000,
    CHECKPOINT_CHUNKS = 100000, // so many at most are read again at a start
    CHECKPOINT_MS = 30000,
    IDLE_MS = 1000,
    SWEEP_IDLE = 500,
};

struct writer {
    struct store *store;
    struct sql *db;
    uint64_t batch_events, batch_bytes;
    uint64_t checkpoint_at_ms; // monotonic
    uint32_t retry_ms;         // 0: the last commit was good
    enum sql_result failure;   // of the last one that was not
};

static uint64_t now_ms(void)
{
    return clock_mono_ns() / 1000000;
}

/* ---- answering ---- */

static void append_told(struct mail *m, struct loop *l)
{
    struct store_append *a = container_of(m, struct store_append, told);
    (void)l;
    a->done(a);
}

static void append_released(struct mail *m, struct loop *l)
{
    struct store_append *a = container_of(m, struct store_append, mail);
    (void)l;
    if (!a->answered)
        a->done(a);
    a->released(a);
}

static void append_release(struct store *s, struct store_append *a, enum sql_result r)
{
    atomic_fetch_sub_explicit(&s->waiting_bytes, event_bytes(&a->event), memory_order_relaxed);
    a->stored = r == SQL_OK;
    if (!a->answered)
        a->result = r;
    a->mail.deliver = append_released;
    loop_post(a->loop, &a->mail);
}

static void append_committed(void *ctx, struct store_append *a)
{
    append_release(ctx, a, SQL_OK);
}

/* Its mails are delivered in the order in which they are posted. */
static void append_failed(void *ctx, struct store_append *a)
{
    const struct writer *w = ctx;
    if (a->answered)
        return;
    a->answered = true;
    a->result = w->failure;
    a->told.deliver = append_told;
    loop_post(a->loop, &a->told);
}

/* At the end: what nobody will write any more. */
static void append_abandoned(void *ctx, struct store_append *a)
{
    const struct writer *w = ctx;
    append_release(w->store, a, w->failure);
}

static void job_answered(struct mail *m, struct loop *l)
{
    struct store_job *j = container_of(m, struct store_job, mail);
    (void)l;
    j->done(j);
}

void store_job_answer(struct store_job *j)
{
    j->mail.deliver = job_answered;
    loop_post(j->loop, &j->mail);
}

static void jobs_answer(struct store *s)
{
    while (s->batch.first != NULL) {
        struct store_job *j = s->batch.first;
        s->batch.first = j->next;
        store_job_answer(j);
    }
}

/* ---- waiting and taking ---- */

/* Of the store's lock. */
static void wait_ms(struct store *s, uint64_t ms)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += (time_t)(ms / 1000);
    until.tv_nsec += (long)(ms % 1000) * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_nsec -= 1000000000;
        until.tv_sec++;
    }
    pthread_cond_timedwait(&s->written, &s->lock, &until);
}

/* At most so many events: a batch that is long in coming keeps its publishers waiting. */
static struct store_append *cut_appends(struct store *s)
{
    struct store_append *first = s->appends.first;
    struct store_append **at = &s->appends.first;
    for (uint32_t n = 0; n < BATCH_EVENTS_MAX && *at != NULL; n++)
        at = &(*at)->next;
    s->appends.first = *at;
    if (*at == NULL)
        s->appends.end = &s->appends.first;
    *at = NULL;
    return s->appends.first == first ? NULL : first;
}

/* False: the store is closing, and nothing is left. */
static bool take(struct writer *w)
{
    struct store *s = w->store;
    pthread_mutex_lock(&s->lock);
    if (s->appends.first == NULL && s->jobs.first == NULL && !s->stopping)
        wait_ms(s, IDLE_MS);
    struct store_append *a = s->appends.first != NULL ? cut_appends(s) : NULL;
    s->batch.first = s->jobs.first;
    LIST_INIT(&s->jobs);
    bool go_on = a != NULL || s->batch.first != NULL || !s->stopping;
    pthread_mutex_unlock(&s->lock);
    w->batch_events = w->batch_bytes = 0;
    while (a != NULL) {
        struct store_append *next = a->next;
        w->batch_events++;
        w->batch_bytes += event_bytes(&a->event);
        if (!streams_batch_add(&s->streams, a))
            append_release(s, a, SQL_FAILED); // no memory, or too many streams
        a = next;
    }
    return go_on;
}

/* ---- a round ---- */

/* Each job for itself: what one has done is undone when it fails, and the others go on. */
static enum sql_result run_job(struct sql *db, struct store_job *j)
{
    enum sql_result r = sql_script(db, "SAVEPOINT recado_job");
    if (r != SQL_OK)
        return r;
    j->result = j->run(j, db);
    if (j->result == SQL_DOWN || j->result == SQL_FULL || j->result == SQL_AGAIN)
        return j->result;
    if (j->result != SQL_OK)
        r = sql_script(db, "ROLLBACK TO SAVEPOINT recado_job");
    return r == SQL_OK ? sql_script(db, "RELEASE SAVEPOINT recado_job") : r;
}

static enum sql_result write_all(struct writer *w)
{
    struct store *s = w->store;
    enum sql_result r = sql_begin(w->db);
    if (r == SQL_OK)
        r = streams_batch_write(&s->streams, w->db);
    for (struct store_job *j = s->batch.first; r == SQL_OK && j != NULL; j = j->next)
        r = run_job(w->db, j);
    if (r == SQL_OK) {
        uint32_t added = w->batch_events > 0 ? (uint32_t)w->batch_events : SWEEP_IDLE;
        r = streams_sweep(&s->streams, w->db, added, clock_wall_ms());
    }
    return r == SQL_OK ? sql_commit(w->db) : r;
}

static void health_set(struct store *s, enum sql_result r, const char *why)
{
    int before = atomic_exchange(&s->health, (int)store_health_of(r));
    pthread_mutex_lock(&s->lock);
    snprintf(s->why, sizeof(s->why), "%s", why);
    pthread_mutex_unlock(&s->lock);
    if (r == SQL_OK && before != STORE_OK)
        log_info("store: writing again");
    else if (r != SQL_OK && before == STORE_OK)
        log_error("store: %s: %s; durable publishes are refused until it can be written",
                  sql_result_name(r), why);
}

static void committed(struct writer *w, uint64_t began_ns)
{
    struct store *s = w->store;
    atomic_fetch_add(&s->commits, 1);
    atomic_fetch_add(&s->events, w->batch_events);
    atomic_fetch_add(&s->events_bytes, w->batch_bytes);
    atomic_fetch_add(&s->commit_ns, clock_mono_ns() - began_ns);
    w->retry_ms = 0;
    if (atomic_load(&s->health) != STORE_OK)
        health_set(s, SQL_OK, "");
    streams_batch_committed(&s->streams, append_committed, s);
    jobs_answer(s);
}

static void failed(struct writer *w, enum sql_result r)
{
    struct store *s = w->store;
    atomic_fetch_add(&s->failures, 1);
    w->failure = r;
    health_set(s, r, sql_why(w->db));
    sql_rollback(w->db);
    streams_batch_each(&s->streams, append_failed, w);
    for (struct store_job *j = s->batch.first; j != NULL; j = j->next)
        j->result = r;
    jobs_answer(s);
    w->retry_ms = w->retry_ms == 0 ? RETRY_FIRST_MS : w->retry_ms * 2;
    if (w->retry_ms > RETRY_MOST_MS)
        w->retry_ms = RETRY_MOST_MS;
}

/* False: the store is closing, and the batch cannot be written. */
static bool write_batch(struct writer *w)
{
    struct store *s = w->store;
    for (;;) {
        uint64_t began_ns = clock_mono_ns();
        enum sql_result r = write_all(w);
        if (r == SQL_OK) {
            committed(w, began_ns);
            return true;
        }
        failed(w, r);
        pthread_mutex_lock(&s->lock);
        bool stopping = s->stopping;
        if (!stopping)
            wait_ms(s, w->retry_ms);
        pthread_mutex_unlock(&s->lock);
        if (stopping)
            return false;
    }
}

static void checkpoint(struct writer *w)
{
    struct streams *s = &w->store->streams;
    if (s->dirty == NULL)
        return;
    enum sql_result r = sql_begin(w->db);
    if (r == SQL_OK)
        r = streams_checkpoint(s, w->db);
    if (r == SQL_OK)
        r = sql_commit(w->db);
    if (r != SQL_OK)
        sql_rollback(w->db); // the next batch shows what is wrong
    streams_checkpoint_settle(s, r == SQL_OK);
    w->checkpoint_at_ms = now_ms() + CHECKPOINT_MS;
}

void *store_writer(void *store)
{
    struct store *s = store;
    struct writer w = {.store = s, .db = s->writer, .checkpoint_at_ms = now_ms() + CHECKPOINT_MS};
    bool ok = true;
    while (ok && take(&w)) {
        ok = write_batch(&w);
        if (s->streams.uncounted >= CHECKPOINT_CHUNKS || now_ms() >= w.checkpoint_at_ms)
            checkpoint(&w);
    }
    if (ok)
        checkpoint(&w);
    else
        log_error("store: %lu events could not be written before the end: %s",
                  (unsigned long)w.batch_events, sql_why(w.db));
    w.failure = SQL_DOWN;
    streams_batch_committed(&s->streams, append_abandoned, &w);
    return NULL;
}
