/*
 * schedules_row.c - schedules as rows of recado_schedules.
 *
 * Always true: of one schedule at most one save is under way, with a copy of what it was then; what
 * changes meanwhile is saved behind it. The database gets saves and the final delete in this order.
 */
#include "schedule/schedule_priv.h"

#include "base/log.h"
#include "base/must.h"

#include <stdlib.h>

enum {
    COL_NAME,
    COL_DISPLAY_NAME,
    COL_INTERVAL,
    COL_CRON,
    COL_URL,
    COL_PROMPT,
    COL_MODEL,
    COL_PAUSED,
    COL_ANCHOR_AT,
    COL_NEXT_AT,
    COL_CREATED_AT,
    COL_SKIPPED,
    COL_RUNNING,
    COL_EXECUTION,
    COL_STATUS,
    COL_SEVERITY,
    COL_ERROR,
    COL_STARTED_AT,
    COL_COMPLETED_AT,
    COL_DURATION,
    COL_TENANT,
    COL_ID,
    COL_COUNT
};

static const char update_text[] =
    "UPDATE recado_schedules SET name = ?, display_name = ?, every = ?, cron = ?, url = ?,"
    " prompt = ?, model = ?, paused = ?, anchor_at = ?, next_at = ?, created_at = ?, skipped = ?,"
    " running = ?, last_execution = ?, last_status = ?, last_severity = ?, last_error = ?,"
    " last_started_at = ?, last_completed_at = ?, last_duration_ms = ?"
    " WHERE tenant = ? AND id = ?";
static const char insert_text[] =
    "INSERT INTO recado_schedules (name, display_name, every, cron, url, prompt, model, paused,"
    " anchor_at, next_at, created_at, skipped, running, last_execution, last_status,"
    " last_severity, last_error, last_started_at, last_completed_at, last_duration_ms, tenant, id)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
static const char select_text[] =
    "SELECT name, display_name, every, cron, url, prompt, model, paused, anchor_at, next_at,"
    " created_at, skipped, running, last_execution, last_status, last_severity, last_error,"
    " last_started_at, last_completed_at, last_duration_ms, tenant, id FROM recado_schedules"
    " ORDER BY tenant, id";
static const char delete_text[] = "DELETE FROM recado_schedules WHERE tenant = ? AND id = ?";

static void waiters_tell(struct waiter *w, enum schedule_answer a, const struct schedule *s)
{
    while (w != NULL) {
        struct waiter *next = w->next;
        w->done(w->ctx, a, a == SCHEDULE_OK ? s : NULL,
                a == SCHEDULE_OK ? "" : "the database cannot be used now");
        free(w);
        w = next;
    }
}

/* ---- saving ---- */

struct save {
    struct store_job job;
    struct entry *entry;
    struct waiter *waiters;
    struct sql_value row[COL_COUNT];
    char bytes[];
};

static void row_fill_times(struct sql_value *row, const struct schedule *s)
{
    row[COL_PAUSED] = sql_int(s->paused);
    row[COL_ANCHOR_AT] = sql_int(s->plan.anchor_ms);
    row[COL_NEXT_AT] = sql_int(s->plan.next_ms);
    row[COL_CREATED_AT] = sql_int(s->created_ms);
    row[COL_SKIPPED] = sql_int((int64_t)s->skipped);
    row[COL_RUNNING] = sql_int(s->running);
    row[COL_STARTED_AT] = sql_int(s->last.started_ms);
    row[COL_COMPLETED_AT] = sql_int(s->last.completed_ms);
    row[COL_DURATION] = sql_int(s->last.duration_ms);
}

static struct save *save_make(const struct entry *e)
{
    const struct schedule *s = &e->s;
    const struct {
        int column;
        struct str text;
    } texts[] = {{COL_NAME, s->words.name},
                 {COL_DISPLAY_NAME, s->words.display_name},
                 {COL_INTERVAL, s->words.interval},
                 {COL_CRON, s->words.cron},
                 {COL_URL, s->words.url},
                 {COL_PROMPT, s->words.prompt},
                 {COL_MODEL, s->words.model},
                 {COL_EXECUTION, str_from(s->last.execution_id)},
                 {COL_STATUS, str_from(s->last.status)},
                 {COL_SEVERITY, str_from(s->last.severity)},
                 {COL_ERROR, str_from(s->last.error)},
                 {COL_TENANT, s->tenant},
                 {COL_ID, s->id}};
    size_t count = sizeof(texts) / sizeof(texts[0]), n = 0;
    for (size_t i = 0; i < count; i++)
        n += texts[i].text.n;
    struct save *v = calloc(1, sizeof(*v) + n);
    if (v == NULL)
        return NULL;
    char *at = v->bytes;
    for (size_t i = 0; i < count; i++)
        v->row[texts[i].column] = sql_text(str_put(&at, texts[i].text));
    row_fill_times(v->row, s);
    return v;
}

static enum sql_result save_run(struct store_job *j, struct sql *db)
{
    struct save *v = container_of(j, struct save, job);
    enum sql_result r = sql_run(db, update_text, v->row, COL_COUNT, NULL, NULL);
    if (r == SQL_OK && sql_changes(db) == 0)
        r = sql_run(db, insert_text, v->row, COL_COUNT, NULL, NULL);
    return r;
}

/* A new one that could not be stored has never been. */
static void forget(struct entry *e)
{
    entry_leave(e);
    e->removed = true;
}

static void saved(struct entry *e, struct waiter *waiters, bool ok)
{
    e->saving = false;
    e->dirty |= !ok; // the tick tries it again
    e->stored |= ok;
    if (!e->stored)
        forget(e);
    waiters_tell(waiters, ok ? SCHEDULE_OK : SCHEDULE_NOT_STORED, &e->s);
    if (e->run != NULL && !atomic_load(&e->all->stopping))
        run_begin(e);
    if (ok && e->dirty)
        entry_save(e);
    entry_free_if_done(e);
}

static void save_done(struct store_job *j)
{
    struct save *v = container_of(j, struct save, job);
    struct entry *e = v->entry;
    struct waiter *waiters = v->waiters;
    bool ok = j->result == SQL_OK;
    free(v);
    saved(e, waiters, ok);
}

void entry_save(struct entry *e)
{
    struct store *store = e->all->o.store;
    e->dirty = true;
    if (e->saving || e->erasing || e->removed)
        return;
    struct waiter *waiters = e->waiters;
    struct save *v = store != NULL ? save_make(e) : NULL;
    e->waiters = NULL;
    e->dirty = false;
    e->saving = true;
    if (v == NULL) {
        saved(e, waiters, store == NULL);
        return;
    }
    v->entry = e;
    v->waiters = waiters;
    v->job.loop = e->all->o.loop;
    v->job.run = save_run;
    v->job.done = save_done;
    store_do(store, &v->job);
}

/* ---- erasing ---- */

struct erase {
    struct store_job job;
    struct entry *entry;
    struct waiter waiter;
    struct sql_value key[2];
};

static enum sql_result erase_run(struct store_job *j, struct sql *db)
{
    struct erase *x = container_of(j, struct erase, job);
    return sql_run(db, delete_text, x->key, 2, NULL, NULL);
}

static void erase_done(struct store_job *j)
{
    struct erase *x = container_of(j, struct erase, job);
    struct entry *e = x->entry;
    bool ok = j->result == SQL_OK;
    e->erasing = false;
    if (ok)
        forget(e);
    x->waiter.done(x->waiter.ctx, ok ? SCHEDULE_OK : SCHEDULE_NOT_STORED, NULL,
                   ok ? "" : "the database cannot be used now");
    free(x);
    entry_free_if_done(e);
}

void entry_erase(struct entry *e, schedule_done_fn *done, void *ctx)
{
    struct store *store = e->all->o.store;
    struct erase *x = calloc(1, sizeof(*x));
    if (x == NULL) {
        done(ctx, SCHEDULE_NO_MEMORY, NULL, "out of memory");
        return;
    }
    *x = (struct erase){.job = {.loop = e->all->o.loop, .run = erase_run, .done = erase_done},
                        .entry = e,
                        .waiter = {NULL, done, ctx},
                        .key = {sql_text(e->s.tenant), sql_text(e->s.id)}};
    e->erasing = true;
    if (store != NULL) {
        store_do(store, &x->job);
        return;
    }
    x->job.result = SQL_OK;
    erase_done(&x->job);
}

/* ---- loading ---- */

struct load {
    struct store_job job;
    struct schedules *all;
    struct list entries;
    bool no_memory;
    void (*done)(void *ctx, bool ok);
    void *ctx;
};

static void load_clear(struct load *l)
{
    list_each_safe(it, &l->entries)
    {
        list_remove(it);
        entry_free(container_of(it, struct entry, link));
    }
}

static void text_copy(char *at, size_t cap, struct str text)
{
    size_t n = text.n < cap ? text.n : cap - 1;
    if (n > 0)
        memcpy(at, text.p, n);
    at[n] = '\0';
}

static void row_read(struct schedule *s, const struct sql_value *row)
{
    s->paused = row[COL_PAUSED].i != 0;
    s->plan.anchor_ms = row[COL_ANCHOR_AT].i;
    s->plan.next_ms = row[COL_NEXT_AT].i;
    s->created_ms = row[COL_CREATED_AT].i;
    s->skipped = (uint64_t)row[COL_SKIPPED].i;
    s->running = row[COL_RUNNING].i != 0;
    s->last.started_ms = row[COL_STARTED_AT].i;
    s->last.completed_ms = row[COL_COMPLETED_AT].i;
    s->last.duration_ms = row[COL_DURATION].i;
    text_copy(s->last.execution_id, sizeof(s->last.execution_id), row[COL_EXECUTION].s);
    text_copy(s->last.status, sizeof(s->last.status), row[COL_STATUS].s);
    text_copy(s->last.severity, sizeof(s->last.severity), row[COL_SEVERITY].s);
    text_copy(s->last.error, sizeof(s->last.error), row[COL_ERROR].s);
}

static bool load_row(void *ctx, const struct sql_value *row, size_t count)
{
    struct load *l = ctx;
    const struct schedule_words w = {
        .name = row[COL_NAME].s,
        .display_name = row[COL_DISPLAY_NAME].s,
        .interval = row[COL_INTERVAL].s,
        .cron = row[COL_CRON].s,
        .url = row[COL_URL].s,
        .prompt = row[COL_PROMPT].s,
        .model = row[COL_MODEL].s,
    };
    char why_at[SCHEDULE_WHY_MAX];
    struct plan plan = {0};
    MUST(count == COL_COUNT);
    const char *why = words_check(&w, &plan, why_at);
    if (why != NULL) {
        log_warn("schedules: %.*s is left out: %s", STR_FMT(row[COL_ID].s), why);
        return true;
    }
    struct entry *e = entry_make(l->all, row[COL_TENANT].s, row[COL_ID].s, &w);
    l->no_memory |= e == NULL;
    if (e == NULL)
        return false;
    e->s.plan = plan;
    row_read(&e->s, row);
    e->stored = true;
    list_add(&l->entries, &e->link);
    return true;
}

static enum sql_result load_run(struct store_job *j, struct sql *db)
{
    struct load *l = container_of(j, struct load, job);
    load_clear(l);
    return sql_run(db, select_text, NULL, 0, load_row, l);
}

static void load_done(struct store_job *j)
{
    struct load *l = container_of(j, struct load, job);
    bool ok = j->result == SQL_OK && !l->no_memory;
    while (ok && !list_empty(&l->entries)) {
        struct entry *e = container_of(l->entries.next, struct entry, link);
        list_remove(&e->link);
        ok = entry_enter(e);
        if (!ok)
            entry_free(e);
    }
    load_clear(l);
    l->done(l->ctx, ok);
    free(l);
}

void schedules_load(struct schedules *s, void (*done)(void *ctx, bool ok), void *ctx)
{
    struct load *l = s->o.store != NULL ? calloc(1, sizeof(*l)) : NULL;
    if (l == NULL) {
        done(ctx, s->o.store == NULL);
        return;
    }
    *l =
        (struct load){.job = {.loop = s->o.loop, .reads = true, .run = load_run, .done = load_done},
                      .all = s,
                      .done = done,
                      .ctx = ctx};
    list_init(&l->entries);
    store_do(s->o.store, &l->job);
}
