/*
 * logbook_row.c - log lines as rows of recado_logs: the same that are in memory, a second later.
 *
 * Always true: a write takes out first what it puts in, so that one whose commit was uncertain can
 * be made again.
 */
#include "monitor/logbook_priv.h"

#include "base/must.h"
#include "store/store.h"

#include <stdlib.h>

static const char insert_text[] =
    "INSERT INTO recado_logs (seq, tenant, at, level, source, message) VALUES (?, ?, ?, ?, ?, ?)";
static const char range_text[] = "DELETE FROM recado_logs WHERE seq >= ? AND seq <= ?";
static const char old_text[] = "DELETE FROM recado_logs WHERE seq < ?";
static const char select_text[] = "SELECT seq, tenant, at, level, source, message FROM recado_logs"
                                  " WHERE seq > ? ORDER BY seq";
static const char newest_text[] = "SELECT seq FROM recado_logs ORDER BY seq DESC LIMIT 1";

/* ---- writing ---- */

struct writing {
    struct store_job job;
    struct logbook *book;
    uint64_t oldest; // that is kept
    size_t count;
    struct log_line *lines[];
};

static enum sql_result insert_line(struct sql *db, const struct log_line *l)
{
    const struct sql_value row[] = {
        sql_int((int64_t)l->seq), sql_text(l->tenant), sql_int(l->time_ms),
        sql_text(l->level),       sql_text(l->source), sql_text(l->message),
    };
    return sql_run(db, insert_text, row, sizeof(row) / sizeof(row[0]), NULL, NULL);
}

static enum sql_result writing_run(struct store_job *j, struct sql *db)
{
    struct writing *w = container_of(j, struct writing, job);
    const struct sql_value range[] = {sql_int((int64_t)w->lines[0]->seq),
                                      sql_int((int64_t)w->lines[w->count - 1]->seq)};
    const struct sql_value oldest = sql_int((int64_t)w->oldest);
    enum sql_result r = sql_run(db, range_text, range, 2, NULL, NULL);
    for (size_t i = 0; r == SQL_OK && i < w->count; i++)
        r = insert_line(db, w->lines[i]);
    return r == SQL_OK ? sql_run(db, old_text, &oldest, 1, NULL, NULL) : r;
}

static void writing_done(struct store_job *j)
{
    struct writing *w = container_of(j, struct writing, job);
    struct logbook *b = w->book;
    uint64_t first = w->lines[0]->seq;
    if (j->result != SQL_OK) {
        pthread_mutex_lock(&b->lock);
        if (b->given >= first)
            b->given = first - 1;
        pthread_mutex_unlock(&b->lock);
    }
    for (size_t i = 0; i < w->count; i++)
        log_line_unref(w->lines[i]);
    free(w);
    logbook_store_soon(b);
}

/* Lines that the store has not been given, with a reference each. */
static size_t take_new(struct logbook *b, struct writing *w, size_t max)
{
    uint64_t oldest = b->newest - b->count + 1;
    uint64_t from = b->given + 1 > oldest ? b->given + 1 : oldest;
    size_t n = 0;
    for (uint64_t seq = from; n < max && seq <= b->newest; seq++, n++) {
        struct log_line *l = b->ring[(b->head + (uint32_t)(seq - oldest)) % b->o.keep];
        atomic_fetch_add_explicit(&l->refs, 1, memory_order_relaxed);
        w->lines[n] = l;
        b->given = seq;
    }
    w->oldest = oldest;
    return n;
}

void logbook_store(struct logbook *b)
{
    if (b->o.store == NULL)
        return;
    struct writing *w = malloc(sizeof(*w) + STORE_AT_ONCE * sizeof(struct log_line *));
    if (w == NULL)
        return;
    *w = (struct writing){.job = {.loop = b->o.loop, .run = writing_run, .done = writing_done},
                          .book = b};
    pthread_mutex_lock(&b->lock);
    w->count = take_new(b, w, STORE_AT_ONCE);
    pthread_mutex_unlock(&b->lock);
    if (w->count > 0)
        store_do(b->o.store, &w->job);
    else
        free(w);
}

void logbook_store_soon(struct logbook *b)
{
    pthread_mutex_lock(&b->lock);
    bool more = b->given < b->newest;
    pthread_mutex_unlock(&b->lock);
    if (more && b->o.store != NULL && !timer_armed(&b->timer))
        timer_arm(b->o.loop, &b->timer, STORE_PAUSE_MS);
}

/* ---- reading back ---- */

struct loading {
    struct store_job job;
    struct logbook *book;
    uint64_t newest;
    struct log_line *first, **last;
    bool no_memory;
    void (*done)(void *ctx, bool ok);
    void *ctx;
};

static void loading_clear(struct loading *l)
{
    while (l->first != NULL) {
        struct log_line *next = l->first->next;
        log_line_unref(l->first);
        l->first = next;
    }
    l->last = &l->first;
}

static bool row_of_line(void *ctx, const struct sql_value *row, size_t count)
{
    struct loading *l = ctx;
    MUST(count == 6);
    struct log_line *line = log_line_make(row[1].s, &(struct log_entry){.level = row[3].s,
                                                                        .source = row[4].s,
                                                                        .message = row[5].s,
                                                                        .time_ms = row[2].i});
    l->no_memory |= line == NULL;
    if (line == NULL)
        return false;
    line->seq = (uint64_t)row[0].i;
    *l->last = line;
    l->last = &line->next;
    return true;
}

static bool row_of_newest(void *ctx, const struct sql_value *row, size_t count)
{
    struct loading *l = ctx;
    MUST(count == 1);
    l->newest = (uint64_t)row[0].i;
    return true;
}

static enum sql_result loading_run(struct store_job *j, struct sql *db)
{
    struct loading *l = container_of(j, struct loading, job);
    loading_clear(l);
    l->newest = 0;
    enum sql_result r = sql_run(db, newest_text, NULL, 0, row_of_newest, l);
    uint64_t keep = l->book->o.keep;
    const struct sql_value after = sql_int(l->newest > keep ? (int64_t)(l->newest - keep) : 0);
    return r == SQL_OK ? sql_run(db, select_text, &after, 1, row_of_line, l) : r;
}

/* Where numbers are missing (lines that could not be written in time) what stands before them is
 * forgotten: those in the ring follow each other. */
static void take_loaded(struct logbook *b, struct loading *l)
{
    while (l->first != NULL) {
        struct log_line *line = l->first;
        l->first = line->next;
        if (line->seq != b->newest + 1)
            logbook_clear(b);
        logbook_keep(b, line);
        log_line_unref(line);
    }
    l->last = &l->first;
    b->given = b->newest;
}

static void loading_done(struct store_job *j)
{
    struct loading *l = container_of(j, struct loading, job);
    bool ok = j->result == SQL_OK && !l->no_memory;
    pthread_mutex_lock(&l->book->lock);
    if (ok)
        take_loaded(l->book, l);
    pthread_mutex_unlock(&l->book->lock);
    loading_clear(l);
    l->done(l->ctx, ok);
    free(l);
}

void logbook_load(struct logbook *b, void (*done)(void *ctx, bool ok), void *ctx)
{
    struct loading *l = b->o.store != NULL ? calloc(1, sizeof(*l)) : NULL;
    if (l == NULL) {
        done(ctx, b->o.store == NULL);
        return;
    }
    *l = (struct loading){
        .job = {.loop = b->o.loop, .reads = true, .run = loading_run, .done = loading_done},
        .book = b,
        .done = done,
        .ctx = ctx};
    l->last = &l->first;
    store_do(b->o.store, &l->job);
}
