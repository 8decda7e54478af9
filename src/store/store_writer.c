/*
 * store_writer.c - the thread that commits.
 *
 * A round: take what has come, write it in one transaction, answer. When that fails, who waits is
 * told at once, and the same batch is tried again, later and later, until it is in: what was taken
 * is not lost, and nothing more is taken meanwhile.
 *
 * When nothing comes, a round is made only for what is left to be done: rows that are behind,
 * chunks that nobody keeps, and a server of whose end nobody else would tell.
 */
#include "store/store_priv.h"

#include "base/clock.h"
#include "base/list.h"
#include "base/log.h"
#include "base/must.h"

#include <stdio.h>
#include <time.h>

enum {
    BATCH_EVENTS_MAX = 20000, // a batch that is long in coming keeps its publishers waiting
    LOCKED_EVENTS = 256,      // of a batch that is being filled: whoever looks for a stream waits
    ANSWERS_A_MAIL = 8,
    RETRY_FIRST_MS = 100,
    RETRY_MOST_MS = 5000,
    CHECKPOINT_CHUNKS = 100000, // so many at most are read again at a start
    CHECKPOINT_MS = 30000,
    CHECKPOINT_ROWS = 1000, // in one transaction
    AGAIN_MOST = 5,
    AGAIN_MS = 1000, // who was in the way for longer than that may stay there
    IDLE_MS = 1000,  // between two rounds that sweep
    PING_MS = 3000,  // between two that ask a server whether it is there
    SWEEP_IDLE = 500,
    LOOK_MOST_MS = 60000,   // the clock of the wall may be set
    SWEEP_MOST_MS = 3600000 // and what is kept may be configured otherwise
};

/* Appends of one loop that came back together: one mail is one cache line that two cores fight for.
 */
struct answers {
    struct store_append *first, *last;
    unsigned count;
    uint64_t bytes;
};

struct writer {
    struct store *store;
    struct sql *db;
    struct append_list taken; // off the store's list, for this batch and the next ones
    struct answers answers;
    uint64_t batch_events, batch_bytes;
    uint64_t checkpoint_at_ms; // monotonic
    uint64_t round_ms;         // monotonic: of the last round
    uint64_t swept_ms;         // monotonic: of the last one that swept
    uint32_t retry_ms;         // 0: the last commit was good
    unsigned again;            // so often the batch was merely in somebody's way
    enum sql_result failure;   // of the last one that was not
    bool ending;               // the store is closing
    bool leaked;               // something was shown and will not be written
    uint64_t lost;             // at the end
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

static void appends_released(struct mail *m, struct loop *l)
{
    struct store_append *a = container_of(m, struct store_append, mail);
    (void)l;
    while (a != NULL) {
        struct store_append *next = a->next;
        __builtin_prefetch(next); // it was last touched by the writer
        if (!a->answered)
            a->done(a);
        a->released(a);
        a = next;
    }
}

static void answers_post(struct store *s, struct answers *l)
{
    struct store_append *first = l->first;
    if (first == NULL)
        return;
    atomic_fetch_sub_explicit(&s->waiting_bytes, l->bytes, memory_order_relaxed);
    *l = (struct answers){0};
    first->mail.deliver = appends_released;
    loop_post(first->loop, &first->mail);
}

/* It goes out with the next ones, at the latest with answers_post(). */
static void answers_add(struct store *s, struct answers *l, struct store_append *a,
                        enum sql_result r)
{
    if (l->count == ANSWERS_A_MAIL || (l->first != NULL && l->first->loop != a->loop))
        answers_post(s, l);
    a->stored = r == SQL_OK;
    if (!a->answered)
        a->result = r;
    a->next = NULL;
    if (l->first == NULL)
        l->first = a;
    else
        l->last->next = a;
    l->last = a;
    l->count++;
    l->bytes += event_bytes(&a->event);
}

void store_append_release(struct store *s, struct store_append *a, enum sql_result r)
{
    struct answers one = {0};
    answers_add(s, &one, a, r);
    answers_post(s, &one);
}

static void append_committed(void *ctx, struct store_append *a)
{
    struct writer *w = ctx;
    answers_add(w->store, &w->answers, a, SQL_OK);
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
    struct writer *w = ctx;
    w->lost++;
    answers_add(w->store, &w->answers, a, w->failure);
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

/* Those of the batch, and those that have come since. */
static void jobs_refuse(struct store *s, enum sql_result r)
{
    pthread_mutex_lock(&s->lock);
    struct store_job **end = &s->batch.first;
    while (*end != NULL)
        end = &(*end)->next;
    *end = s->jobs.first;
    LIST_INIT(&s->jobs);
    pthread_mutex_unlock(&s->lock);
    for (struct store_job *j = s->batch.first; j != NULL; j = j->next)
        j->result = r;
    jobs_answer(s);
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

/* Of the store's lock: all that has come, without walking over it while loops wait. Returns the
 * first of it. */
static struct store_append *take_appends(struct writer *w)
{
    struct store *s = w->store;
    struct store_append *first = s->appends.first;
    if (first == NULL)
        return NULL;
    *w->taken.end = first;
    w->taken.end = s->appends.end;
    LIST_INIT(&s->appends);
    return first;
}

/* Those that have come since the batch, and will be written behind it: they would wait for as long
 * as it does. */
static void waiting_refuse(struct writer *w)
{
    struct store *s = w->store;
    pthread_mutex_lock(&s->lock);
    struct store_append *a = take_appends(w);
    pthread_mutex_unlock(&s->lock);
    for (; a != NULL; a = a->next)
        append_failed(w, a);
}

static void batch_add(struct writer *w, struct store_append *a)
{
    w->batch_events++;
    w->batch_bytes += event_bytes(&a->event);
    if (!streams_batch_add(&w->store->streams, a)) {
        answers_add(w->store, &w->answers, a, SQL_FAILED); // no memory, or too many streams
        w->leaked = true;
    }
}

static void batch_fill(struct writer *w)
{
    pthread_mutex_t *lock = &w->store->streams.lock;
    w->batch_events = w->batch_bytes = 0;
    while (w->taken.first != NULL && w->batch_events < BATCH_EVENTS_MAX) {
        pthread_mutex_lock(lock);
        for (unsigned n = 0; n < LOCKED_EVENTS && w->taken.first != NULL; n++) {
            struct store_append *a = w->taken.first;
            w->taken.first = a->next;
            __builtin_prefetch(a->next);
            batch_add(w, a);
        }
        pthread_mutex_unlock(lock);
    }
    if (w->taken.first == NULL)
        LIST_INIT(&w->taken);
    answers_post(w->store, &w->answers);
}

static uint64_t sooner(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* When a round is due though nothing comes; monotonic. */
static uint64_t due_ms(const struct writer *w)
{
    const struct streams *s = &w->store->streams;
    if (s->checkpointing || !s->in_use)
        return 0;
    uint64_t due = w->swept_ms + SWEEP_MOST_MS;
    if (streams_sweep_wanted(s, clock_wall_ms()))
        due = w->round_ms + IDLE_MS;
    if (sql_kind(w->db) != SQL_SQLITE)
        due = sooner(due, w->round_ms + PING_MS);
    return streams_behind(s) ? sooner(due, w->checkpoint_at_ms) : due;
}

/* Of the store's lock. */
static void wait_for_work(struct writer *w)
{
    struct store *s = w->store;
    while (w->taken.first == NULL && s->appends.first == NULL && s->jobs.first == NULL &&
           !s->stopping) {
        uint64_t now = now_ms(), due = due_ms(w);
        if (due <= now)
            return;
        wait_ms(s, sooner(due - now, LOOK_MOST_MS));
    }
}

/* False: the store is closing, and nothing is left. */
static bool take(struct writer *w)
{
    struct store *s = w->store;
    pthread_mutex_lock(&s->lock);
    wait_for_work(w);
    take_appends(w);
    s->batch.first = s->jobs.first;
    LIST_INIT(&s->jobs);
    bool go_on = w->taken.first != NULL || s->batch.first != NULL || !s->stopping;
    w->ending = s->stopping;
    pthread_mutex_unlock(&s->lock);
    w->round_ms = now_ms();
    batch_fill(w);
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

static bool is_sweep_due(const struct writer *w)
{
    return w->batch_events > 0 || streams_sweep_wanted(&w->store->streams, clock_wall_ms()) ||
           w->swept_ms + SWEEP_MOST_MS <= w->round_ms;
}

static enum sql_result sweep(struct writer *w)
{
    if (w->swept_ms + SWEEP_MOST_MS <= w->round_ms)
        streams_sweep_again(&w->store->streams);
    uint32_t added = w->batch_events > 0 ? w->store->streams.batch_chunks : SWEEP_IDLE;
    w->swept_ms = w->round_ms;
    return streams_sweep(&w->store->streams, w->db, added, clock_wall_ms());
}

static enum sql_result write_all(struct writer *w)
{
    struct store *s = w->store;
    enum sql_result r = sql_begin(w->db);
    if (r == SQL_OK && !s->streams.in_use)
        r = streams_begin_use(&s->streams, w->db);
    if (r == SQL_OK)
        r = streams_batch_write(&s->streams, w->db);
    for (struct store_job *j = s->batch.first; r == SQL_OK && j != NULL; j = j->next)
        r = run_job(w->db, j);
    if (r == SQL_OK && is_sweep_due(w))
        r = sweep(w);
    if (r == SQL_OK)
        r = streams_checkpoint(&s->streams, w->db, w->ending ? UINT32_MAX : CHECKPOINT_ROWS);
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
    if (w->batch_events > 0 || s->batch.first != NULL)
        w->retry_ms = 0; // a commit of nothing shows little: the next failure waits longer still
    if (atomic_load(&s->health) != STORE_OK)
        health_set(s, SQL_OK, "");
    w->again = 0;
    s->streams.in_use = true;
    streams_batch_settle(&s->streams, true, append_committed, w);
    answers_post(s, &w->answers);
    streams_sweep_settle(&s->streams, true);
    streams_checkpoint_settle(&s->streams, true);
    jobs_answer(s);
}

static void undo(struct writer *w)
{
    struct streams *s = &w->store->streams;
    sql_rollback(w->db);
    streams_sweep_settle(s, false);
    streams_checkpoint_settle(s, false);
}

static void failed(struct writer *w, enum sql_result r)
{
    struct store *s = w->store;
    atomic_fetch_add(&s->failures, 1);
    w->failure = r;
    health_set(s, r, sql_why(w->db));
    undo(w);
    streams_batch_each(&s->streams, append_failed, w);
    for (struct store_append *a = w->taken.first; a != NULL; a = a->next)
        append_failed(w, a);
    waiting_refuse(w);
    jobs_refuse(s, r);
    w->retry_ms = w->retry_ms == 0 ? RETRY_FIRST_MS : w->retry_ms * 2;
    if (w->retry_ms > RETRY_MOST_MS)
        w->retry_ms = RETRY_MOST_MS;
}

/* Of all that was taken and will not be written. */
static void abandon(struct writer *w)
{
    struct store *s = w->store;
    if (w->failure == SQL_OK)
        w->failure = SQL_DOWN;
    streams_batch_settle(&s->streams, false, append_abandoned, w);
    take_appends(w);
    for (struct store_append *a = w->taken.first, *next; a != NULL; a = next) {
        next = a->next;
        append_abandoned(w, a);
    }
    LIST_INIT(&w->taken);
    answers_post(s, &w->answers);
    jobs_refuse(s, w->failure);
    if (w->lost > 0)
        log_error("store: %lu events could not be written before the end: %s",
                  (unsigned long)w->lost, sql_why(w->db));
}

/* Until the next try. What comes meanwhile is told so at once, and jobs are not tried: each that
 * leaves nothing to be written would be followed by a commit of nothing, and that would look like a
 * recovery. False: the store is closing. */
static bool wait_out(struct writer *w)
{
    struct store *s = w->store;
    uint64_t until = now_ms() + w->retry_ms;
    for (uint64_t now = now_ms(); now < until; now = now_ms()) {
        pthread_mutex_lock(&s->lock);
        bool stopping = s->stopping;
        if (!stopping && s->jobs.first == NULL && s->appends.first == NULL)
            wait_ms(s, until - now);
        pthread_mutex_unlock(&s->lock);
        if (stopping)
            return false;
        waiting_refuse(w);
        jobs_refuse(s, w->failure);
    }
    return true;
}

static bool is_stopping(struct store *s)
{
    pthread_mutex_lock(&s->lock);
    bool stopping = s->stopping;
    pthread_mutex_unlock(&s->lock);
    return stopping;
}

/* Somebody was merely in the way, for a moment; at the end there is nothing to do but to wait. */
static bool is_worth_another(struct writer *w, enum sql_result r, uint64_t began_ns)
{
    uint64_t took_ms = (clock_mono_ns() - began_ns) / 1000000;
    return r == SQL_AGAIN && w->again++ < AGAIN_MOST &&
           (took_ms < AGAIN_MS || is_stopping(w->store));
}

/* False: the store is closing, and the batch cannot be written. */
static bool write_batch(struct writer *w)
{
    for (;;) {
        uint64_t began_ns = clock_mono_ns();
        enum sql_result r = write_all(w);
        if (r == SQL_OK) {
            committed(w, began_ns);
            return true;
        }
        if (is_worth_another(w, r, began_ns)) {
            undo(w);
            continue;
        }
        failed(w, r);
        if (!wait_out(w))
            return false;
    }
}

static void checkpoint_when_due(struct writer *w)
{
    struct streams *s = &w->store->streams;
    if (!streams_behind(s))
        w->checkpoint_at_ms = now_ms() + CHECKPOINT_MS;
    if (s->uncounted < CHECKPOINT_CHUNKS && now_ms() < w->checkpoint_at_ms)
        return;
    streams_checkpoint_begin(s);
    w->checkpoint_at_ms = now_ms() + CHECKPOINT_MS;
}

/* What is under way, and what changed meanwhile. */
static bool checkpoint_all(struct writer *w)
{
    struct streams *s = &w->store->streams;
    bool ok = !s->checkpointing || write_batch(w);
    streams_checkpoint_begin(s);
    return ok && (!s->checkpointing || write_batch(w));
}

void *store_writer(void *store)
{
    struct store *s = store;
    uint64_t now = now_ms();
    struct writer w = {.store = s,
                       .db = s->writer,
                       .checkpoint_at_ms = now + CHECKPOINT_MS,
                       .round_ms = now,
                       .swept_ms = now};
    bool ok = true;
    LIST_INIT(&w.taken);
    while (ok && take(&w)) {
        ok = write_batch(&w);
        checkpoint_when_due(&w);
    }
    w.batch_events = w.batch_bytes = 0;
    if (ok && checkpoint_all(&w) && !w.leaked)
        (void)streams_end_use(
            w.db); // if it is not said, the next start takes more care than needed
    abandon(&w);
    return NULL;
}
