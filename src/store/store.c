/*
 * store.c - the threads of a store, and what waits for them.
 *
 * Why it exists: a commit costs the same for one event and for ten thousand. The writer takes
 * everything that has come since its last commit and commits it together, so a loop that waits for
 * nobody gets the throughput of the disk.
 *
 * Always true:
 *   T1. an append is answered SQL_OK only when the transaction with it has been committed.
 *   T2. what was taken is written in the order in which it was taken, however often a commit
 *       fails; who waits is told at the first failure.
 *   T3. when the store is stopping nothing more is taken, and all that was is answered; a query or
 *       a search that has not begun, with SQL_DOWN.
 *   T4. the lists are guarded by lock, and are short to handle: a loop never waits for a disk.
 */
#include "store/store_priv.h"

#include "base/list.h"
#include "base/log.h"
#include "base/must.h"
#include "base/utf8.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- asked by loops ---- */

enum store_health store_health(const struct store *s)
{
    enum store_health h = (enum store_health)atomic_load_explicit(
        &((struct store *)(uintptr_t)s)->health, memory_order_relaxed);
    uint64_t waiting =
        atomic_load_explicit(&((struct store *)(uintptr_t)s)->waiting_bytes, memory_order_relaxed);
    return h == STORE_OK && waiting >= s->queue_bytes_max ? STORE_BUSY : h;
}

void store_append(struct store *s, struct store_append *a)
{
    a->answered = false;
    atomic_fetch_add_explicit(&s->waiting_bytes, event_bytes(&a->event), memory_order_relaxed);
    pthread_mutex_lock(&s->lock);
    bool asleep = s->appends.first == NULL, stopping = s->stopping;
    if (!stopping)
        LIST_ADD(&s->appends, a);
    pthread_mutex_unlock(&s->lock);
    if (stopping)
        store_append_release(s, a, SQL_DOWN);
    else if (asleep)
        pthread_cond_signal(&s->written);
}

void store_do(struct store *s, struct store_job *j)
{
    bool reads = j->reads, search = reads && j->search; // it may be gone before this returns
    struct job_list *l = search ? &s->searches : reads ? &s->queries : &s->jobs;
    pthread_mutex_lock(&s->lock);
    bool full = reads && l->count >= (search ? SEARCHES_MAX : QUERIES_MAX);
    enum sql_result refusal = s->stopping ? SQL_DOWN : full ? SQL_AGAIN : SQL_OK;
    if (refusal == SQL_OK)
        LIST_ADD(l, j);
    l->count += refusal == SQL_OK && reads;
    pthread_mutex_unlock(&s->lock);
    if (refusal != SQL_OK) {
        j->result = refusal;
        store_job_answer(j);
    } else {
        pthread_cond_signal(search ? &s->searched : reads ? &s->asked : &s->written);
    }
}

void store_read(struct store *s, struct store_read *r)
{
    r->events = NULL;
    r->event_count = 0;
    buf_init(&r->made, 256 << 20);
    pthread_mutex_lock(&s->lock);
    bool stopping = s->stopping;
    unsigned lane = (unsigned)(str_hash(r->key, 0) % READ_LANES);
    if (!stopping)
        LIST_ADD(&s->reads[lane], r);
    s->read_lanes |= stopping ? 0 : (uint64_t)1 << lane;
    pthread_mutex_unlock(&s->lock);
    if (stopping) {
        r->result = SQL_DOWN;
        store_read_answer(r);
    } else {
        pthread_cond_signal(&s->asked);
    }
}

bool store_stream_find(struct store *s, struct str key, struct store_position *ret)
{
    return streams_position(&s->streams, key, ret);
}

bool store_stream_leads(struct store *s, struct str key, uint32_t epoch, uint64_t offset)
{
    return streams_leads(&s->streams, key, epoch, offset);
}

static bool name_ok(struct str name)
{
    struct utf8_state u;
    utf8_init(&u);
    return name.n <= STORE_NAME_MAX && utf8_feed(&u, name) && utf8_done(&u) &&
           (name.n == 0 || memchr(name.p, '\0', name.n) == NULL);
}

enum store_room store_stream_reserve(struct store *s, struct str key)
{
    struct str channel = key;
    struct str tenant = str_cut(&channel, '\0');
    if (!name_ok(tenant) || !name_ok(channel))
        return STORE_ROOM_NAME;
    return streams_reserve(&s->streams, key) ? STORE_ROOM : STORE_ROOM_STREAMS;
}

static enum sql_result trim_run(struct store_job *j, struct sql *db)
{
    struct store_trim *t = container_of(j, struct store_trim, job);
    return streams_trim(&t->store->streams, db, t->key, t->up_to);
}

void store_stream_trim(struct store *s, struct store_trim *t)
{
    t->store = s;
    t->job.reads = false;
    t->job.run = trim_run;
    store_do(s, &t->job);
}

void store_read_state(struct store *s, struct store_state *ret)
{
    *ret = (struct store_state){
        .health = store_health(s),
        .commits = atomic_load(&s->commits),
        .events = atomic_load(&s->events),
        .events_bytes = atomic_load(&s->events_bytes),
        .failures = atomic_load(&s->failures),
        .waiting_bytes = atomic_load(&s->waiting_bytes),
        .commit_ns = atomic_load(&s->commit_ns),
        .reads = atomic_load(&s->reads_done),
    };
    pthread_mutex_lock(&s->lock);
    memcpy(ret->why, s->why, sizeof(ret->why));
    pthread_mutex_unlock(&s->lock);
    pthread_mutex_lock(&s->streams.lock);
    ret->streams = s->streams.map.count;
    pthread_mutex_unlock(&s->streams.lock);
}

/* ---- birth and end ---- */

enum store_health store_health_of(enum sql_result r)
{
    return r == SQL_FULL ? STORE_DISK_FULL : r == SQL_OK ? STORE_OK : STORE_DOWN;
}

/* A full disk is no reason not to start: the writer goes on trying, and nothing is taken before. */
static bool begin_use(struct store *s, struct buf *ret_why)
{
    enum sql_result r = streams_begin_use(&s->streams, s->writer);
    s->streams.in_use = r == SQL_OK;
    if (r != SQL_OK && r != SQL_FULL) {
        buf_add_format(ret_why, "store: the database cannot be written: %s\n", sql_why(s->writer));
        return false;
    }
    if (r == SQL_FULL) {
        log_error("store: the disk is full: durable publishes are refused until it can be written");
        atomic_store(&s->health, (int)store_health_of(r));
        snprintf(s->why, sizeof(s->why), "%s", sql_why(s->writer));
    }
    return true;
}

static bool open_connections(struct store *s, struct buf *ret_why)
{
    enum sql_result r;
    struct str url = str_from(s->url);
    s->writer = sql_open(url, &r, ret_why);
    if (s->writer != NULL && !sql_claim(s->writer)) {
        buf_add_format(ret_why, "store: the database cannot be used: %s\n", sql_why(s->writer));
        return false;
    }
    if (s->writer == NULL || schema_migrate(s->writer, ret_why) != SQL_OK)
        return false;
    r = streams_load(&s->streams, s->writer);
    if (r == SQL_OK)
        r = sql_verify(s->writer);
    if (r != SQL_OK) {
        buf_add_format(ret_why, "store: the streams cannot be read: %s%s\n", sql_why(s->writer),
                       r == SQL_CORRUPT ? "; the database was left as it is: move it away, or "
                                          "restore a backup in its place"
                                        : "");
        return false;
    }
    if (!begin_use(s, ret_why))
        return false;
    s->reader = sql_open(url, &r, ret_why);
    s->searcher = s->reader != NULL ? sql_open(url, &r, ret_why) : NULL;
    return s->searcher != NULL;
}

static void store_free(struct store *s)
{
    sql_close(&s->searcher);
    sql_close(&s->reader);
    sql_close(&s->writer);
    streams_fini(&s->streams);
    pthread_mutex_destroy(&s->lock);
    pthread_cond_destroy(&s->written);
    pthread_cond_destroy(&s->asked);
    pthread_cond_destroy(&s->searched);
    free(s->url);
    free(s);
}

struct store *store_open(const struct store_options *o, struct buf *ret_why)
{
    struct store *s = calloc(1, sizeof(*s));
    pthread_condattr_t clock;
    if (s == NULL)
        return NULL;
    pthread_condattr_init(&clock);
    pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->written, &clock);
    pthread_cond_init(&s->asked, &clock);
    pthread_cond_init(&s->searched, &clock);
    pthread_condattr_destroy(&clock);
    LIST_INIT(&s->appends);
    LIST_INIT(&s->jobs);
    LIST_INIT(&s->queries);
    LIST_INIT(&s->searches);
    for (unsigned i = 0; i < READ_LANES; i++)
        LIST_INIT(&s->reads[i]);
    LIST_INIT(&s->batch);
    s->queue_bytes_max = o->queue_bytes_max;
    s->url = str_dup(o->url);
    if (!streams_init(&s->streams, o) || s->url == NULL || !open_connections(s, ret_why)) {
        store_free(s);
        return NULL;
    }
    if (pthread_create(&s->writer_thread, NULL, store_writer, s) != 0) {
        buf_add(ret_why, STR("store: no thread can be started\n"));
        store_free(s);
        return NULL;
    }
    MUST(pthread_create(&s->reader_thread, NULL, store_reader, s) == 0);
    MUST(pthread_create(&s->searcher_thread, NULL, store_searcher, s) == 0);
    s->running = true;
    return s;
}

void store_stop(struct store *s)
{
    if (s == NULL || !s->running)
        return;
    pthread_mutex_lock(&s->lock);
    s->stopping = true;
    pthread_mutex_unlock(&s->lock);
    sql_interrupt(s->searcher);
    pthread_cond_broadcast(&s->written);
    pthread_cond_broadcast(&s->asked);
    pthread_cond_broadcast(&s->searched);
    pthread_join(s->writer_thread, NULL);
    pthread_join(s->reader_thread, NULL);
    pthread_join(s->searcher_thread, NULL);
    s->running = false;
    atomic_store(&s->health, STORE_DOWN); // whoever publishes now is told so before it is shown
}

void store_close(struct store **sp)
{
    struct store *s = *sp;
    *sp = NULL;
    store_stop(s);
    if (s != NULL)
        store_free(s);
}
