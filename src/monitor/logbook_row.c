/*
 * logbook_row.c - log lines as rows of recado_logs: the same that are in memory, a second later.
 *
 * Always true: a write takes out first what it puts in, so that one whose commit was uncertain can
 * be made again.
 */
#include "monitor/logbook_priv.h"

#include "base/log.h"
#include "base/must.h"
#include "store/store.h"

#include <stdlib.h>

static const char insert_text[] =
    "INSERT INTO recado_logs (seq, tenant, at, level, source, message) VALUES (?, ?, ?, ?, ?, ?)";
static const char range_text[] = "DELETE FROM recado_logs WHERE seq >= ? AND seq <= ?";
static const char select_text[] = "SELECT seq, tenant, at, level, source, message FROM recado_logs"
                                  " ORDER BY seq";

/* ---- writing ---- */

struct range {
    uint64_t first, last;
};

struct writing {
    struct store_job job;
    struct logbook *book;
    size_t count, gone_count;
    struct range gone[STORE_AT_ONCE]; // what is not kept any more
    struct log_line *lines[STORE_AT_ONCE];
};

static enum sql_result insert_line(struct sql *db, const struct log_line *l)
{
    const struct sql_value row[] = {
        sql_int((int64_t)l->seq), sql_text(l->tenant), sql_int(l->time_ms),
        sql_text(l->level),       sql_text(l->source), sql_text(l->message),
    };
    return sql_run(db, insert_text, row, sizeof(row) / sizeof(row[0]), NULL, NULL);
}

static enum sql_result delete_range(struct sql *db, struct range r)
{
    const struct sql_value seqs[] = {sql_int((int64_t)r.first), sql_int((int64_t)r.last)};
    return sql_run(db, range_text, seqs, 2, NULL, NULL);
}

static enum sql_result writing_run(struct store_job *j, struct sql *db)
{
    struct writing *w = container_of(j, struct writing, job);
    enum sql_result r = SQL_OK;
    for (size_t i = 0; r == SQL_OK && i < w->gone_count; i++)
        r = delete_range(db, w->gone[i]);
    if (r == SQL_OK && w->count > 0)
        r = delete_range(db, (struct range){w->lines[0]->seq, w->lines[w->count - 1]->seq});
    for (size_t i = 0; r == SQL_OK && i < w->count; i++)
        r = insert_line(db, w->lines[i]);
    return r;
}

/* All of it is to be done again, as far as it is still true then. */
static void writing_failed(struct logbook *b, const struct writing *w)
{
    pthread_mutex_lock(&b->lock);
    logbook_mark_holes(b);
    while (w->count > 0 && b->unsaved->prev != &b->lines &&
           container_of(b->unsaved->prev, struct log_line, link)->seq >= w->lines[0]->seq)
        b->unsaved = b->unsaved->prev;
    pthread_mutex_unlock(&b->lock);
}

/* Once each time, because these lines are among those that are to be written. */
static void say_how_it_goes(struct logbook *b, bool ok)
{
    if (!ok && !b->failing)
        log_warn("logs: lines cannot be written to the store; the newest stay in memory until "
                 "they can");
    else if (ok && b->failing)
        log_info("logs: lines are written to the store again");
    b->failing = !ok;
}

static void writing_done(struct store_job *j)
{
    struct writing *w = container_of(j, struct writing, job);
    struct logbook *b = w->book;
    if (j->result != SQL_OK)
        writing_failed(b, w);
    say_how_it_goes(b, j->result == SQL_OK);
    for (size_t i = 0; i < w->count; i++)
        log_line_unref(w->lines[i]);
    free(w);
    logbook_store_soon(b);
}

/* Lines that the store has not been given, with a reference each. */
static void take_new(struct logbook *b, struct writing *w)
{
    for (; b->unsaved != &b->lines && w->count < STORE_AT_ONCE; b->unsaved = b->unsaved->next) {
        struct log_line *l = container_of(b->unsaved, struct log_line, link);
        atomic_fetch_add_explicit(&l->refs, 1, memory_order_relaxed);
        w->lines[w->count++] = l;
    }
}

static void take_holes(struct logbook *b, struct writing *w)
{
    while (!list_empty(&b->holes) && w->gone_count < STORE_AT_ONCE) {
        const struct log_line *l = container_of(b->holes.next, struct log_line, hole);
        const struct list *before = l->link.prev;
        w->gone[w->gone_count++] = (struct range){
            before != &b->lines ? container_of(before, struct log_line, link)->seq + 1 : 0,
            l->seq - 1};
        list_remove(b->holes.next);
    }
}

static bool is_behind(const struct logbook *b)
{
    return b->unsaved != &b->lines || !list_empty(&b->holes);
}

bool logbook_store(struct logbook *b)
{
    struct writing *w = b->o.store != NULL ? malloc(sizeof(*w)) : NULL;
    if (w == NULL)
        return false;
    w->job = (struct store_job){.loop = b->o.loop, .run = writing_run, .done = writing_done};
    w->book = b;
    w->count = w->gone_count = 0;
    pthread_mutex_lock(&b->lock);
    take_new(b, w);
    take_holes(b, w);
    bool more = is_behind(b);
    pthread_mutex_unlock(&b->lock);
    if (w->count + w->gone_count > 0)
        store_do(b->o.store, &w->job);
    else
        free(w);
    return more;
}

void logbook_store_soon(struct logbook *b)
{
    pthread_mutex_lock(&b->lock);
    bool more = is_behind(b);
    pthread_mutex_unlock(&b->lock);
    if (more && b->o.store != NULL && !timer_armed(&b->timer))
        timer_arm(b->o.loop, &b->timer, STORE_PAUSE_MS);
}

/* ---- reading back ---- */

struct loading {
    struct store_job job;
    struct logbook *book;
    bool no_memory;
    void (*done)(void *ctx, bool ok);
    void *ctx;
};

/* What there is no room for any more, because less is to be kept than before, goes as it goes
 * else. */
static bool row_of_line(void *ctx, const struct sql_value *row, size_t count)
{
    struct loading *l = ctx;
    struct logbook *b = l->book;
    MUST(count == 6);
    struct log_line *line = log_line_make(row[1].s, &(struct log_entry){.level = row[3].s,
                                                                        .source = row[4].s,
                                                                        .message = row[5].s,
                                                                        .time_ms = row[2].i});
    l->no_memory |= line == NULL;
    if (line == NULL)
        return false;
    line->seq = (uint64_t)row[0].i;
    pthread_mutex_lock(&b->lock);
    logbook_keep(b, line);
    b->unsaved = &b->lines;
    pthread_mutex_unlock(&b->lock);
    log_line_unref(line);
    return true;
}

static enum sql_result loading_run(struct store_job *j, struct sql *db)
{
    struct loading *l = container_of(j, struct loading, job);
    pthread_mutex_lock(&l->book->lock);
    logbook_clear(l->book);
    pthread_mutex_unlock(&l->book->lock);
    return sql_run(db, select_text, NULL, 0, row_of_line, l);
}

static void loading_done(struct store_job *j)
{
    struct loading *l = container_of(j, struct loading, job);
    logbook_store_soon(l->book);
    l->done(l->ctx, j->result == SQL_OK && !l->no_memory);
    free(l);
}

void logbook_load(struct logbook *b, void (*done)(void *ctx, bool ok), void *ctx)
{
    struct loading *l = b->o.store != NULL ? malloc(sizeof(*l)) : NULL;
    if (l == NULL) {
        done(ctx, b->o.store == NULL);
        return;
    }
    *l = (struct loading){
        .job = {.loop = b->o.loop, .reads = true, .run = loading_run, .done = loading_done},
        .book = b,
        .done = done,
        .ctx = ctx};
    store_do(b->o.store, &l->job);
}
