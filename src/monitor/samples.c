/*
 * samples.c - the machine's figures of the last day.
 *
 * Always true: the samples in the ring are in the strict order of their times; rows are what the
 * ring was when they were written.
 */
#include "monitor/samples.h"

#include "base/json.h"
#include "base/must.h"
#include "store/store.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>

enum { STORE_AT_ONCE = 1000 };

struct samples {
    struct samples_options o;
    bool storing;
    int64_t stored_ms; // the newest sample that the database has, as far as is known
    pthread_mutex_t lock;
    struct sample *ring;
    uint32_t head, count;
};

/* ---- samples ---- */

static int32_t hundredths(double v)
{
    return isfinite(v) && v > -1e6 && v < 1e6 ? (int32_t)lround(v * 100) : SAMPLE_NONE;
}

static int32_t share(uint64_t part, uint64_t whole)
{
    return whole > 0 ? hundredths(100.0 * (double)part / (double)whole) : SAMPLE_NONE;
}

static int64_t signed_of(uint64_t v)
{
    return v > INT64_MAX ? INT64_MAX : (int64_t)v;
}

struct sample sample_of(const struct monitor_figures *f)
{
    return (struct sample){
        .time_ms = f->time_ms,
        .rx = signed_of(f->network_rx_per_s),
        .tx = signed_of(f->network_tx_per_s),
        .cpu = hundredths(f->cpu_percent),
        .memory = share(f->memory_used_bytes, f->memory_total_bytes),
        .disk = share(f->disk_used_bytes, f->disk_total_bytes),
        .gpu = f->gpu_count > 0 ? hundredths(f->gpus[0].utilization_percent) : SAMPLE_NONE,
        .temperature = hundredths(f->cpu_temperature_c),
    };
}

static void put_hundredths(struct json_writer *w, struct str key, int32_t v)
{
    json_key(w, key);
    if (v == SAMPLE_NONE)
        json_put_null(w);
    else
        json_put_double(w, v / 100.0);
}

void sample_array_write(struct json_writer *w, const struct sample *samples, size_t count)
{
    json_open_array(w);
    for (size_t i = 0; i < count; i++) {
        const struct sample *s = &samples[i];
        json_open_object(w);
        json_put_i64(json_key(w, STR("time")), s->time_ms);
        put_hundredths(w, STR("cpu"), s->cpu);
        put_hundredths(w, STR("memory"), s->memory);
        put_hundredths(w, STR("disk"), s->disk);
        json_put_i64(json_key(w, STR("rx")), s->rx);
        json_put_i64(json_key(w, STR("tx")), s->tx);
        put_hundredths(w, STR("gpu"), s->gpu);
        put_hundredths(w, STR("temperature"), s->temperature);
        json_close_object(w);
    }
    json_close_array(w);
}

/* ---- the ring ---- */

static struct sample *place_of(const struct samples *h, uint32_t n)
{
    return &h->ring[(h->head + n) % h->o.keep];
}

static void ring_drop_oldest(struct samples *h)
{
    h->head = (h->head + 1) % h->o.keep;
    h->count--;
}

static void ring_add(struct samples *h, const struct sample *s)
{
    MUST(h->o.keep > 0);
    while (h->count > 0 && place_of(h, h->count - 1)->time_ms >= s->time_ms)
        h->count--;
    while (h->o.keep_ms > 0 && h->count > 0 && place_of(h, 0)->time_ms <= s->time_ms - h->o.keep_ms)
        ring_drop_oldest(h);
    if (h->count == h->o.keep)
        ring_drop_oldest(h);
    *place_of(h, h->count++) = *s;
}

/* ---- rows ---- */

static const char future_text[] = "DELETE FROM recado_figures WHERE at >= ?";
static const char old_text[] = "DELETE FROM recado_figures WHERE at < ?";
static const char insert_text[] =
    "INSERT INTO recado_figures (at, cpu, memory, disk, rx, tx, gpu, temperature)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?)";
static const char select_text[] = "SELECT at, cpu, memory, disk, rx, tx, gpu, temperature"
                                  " FROM recado_figures ORDER BY at";

struct writing {
    struct store_job job;
    struct samples *all;
    int64_t oldest_ms;
    size_t count;
    struct sample samples[STORE_AT_ONCE];
};

static struct sql_value known(int32_t v)
{
    return v == SAMPLE_NONE ? (struct sql_value){.type = SQL_NULL} : sql_int(v);
}

static enum sql_result insert_sample(struct sql *db, const struct sample *s)
{
    const struct sql_value row[] = {
        sql_int(s->time_ms), known(s->cpu),  known(s->memory), known(s->disk),
        sql_int(s->rx),      sql_int(s->tx), known(s->gpu),    known(s->temperature),
    };
    return sql_run(db, insert_text, row, sizeof(row) / sizeof(row[0]), NULL, NULL);
}

static enum sql_result writing_run(struct store_job *j, struct sql *db)
{
    struct writing *w = container_of(j, struct writing, job);
    const struct sql_value first = sql_int(w->samples[0].time_ms), oldest = sql_int(w->oldest_ms);
    enum sql_result r = sql_run(db, future_text, &first, 1, NULL, NULL);
    for (size_t i = 0; r == SQL_OK && i < w->count; i++)
        r = insert_sample(db, &w->samples[i]);
    return r == SQL_OK ? sql_run(db, old_text, &oldest, 1, NULL, NULL) : r;
}

static void writing_done(struct store_job *j)
{
    struct writing *w = container_of(j, struct writing, job);
    struct samples *h = w->all;
    h->storing = false;
    if (j->result == SQL_OK)
        h->stored_ms = w->samples[w->count - 1].time_ms;
    free(w);
}

static void store_new(struct samples *h)
{
    struct writing *w = h->o.store != NULL && !h->storing ? malloc(sizeof(*w)) : NULL;
    if (w == NULL)
        return;
    w->job = (struct store_job){.loop = h->o.loop, .run = writing_run, .done = writing_done};
    w->all = h;
    w->count = 0;
    pthread_mutex_lock(&h->lock);
    uint32_t from = h->count;
    while (from > 0 && place_of(h, from - 1)->time_ms > h->stored_ms)
        from--;
    for (; from < h->count && w->count < STORE_AT_ONCE; from++)
        w->samples[w->count++] = *place_of(h, from);
    w->oldest_ms = place_of(h, 0)->time_ms;
    pthread_mutex_unlock(&h->lock);
    h->storing = true;
    store_do(h->o.store, &w->job);
}

void samples_add(struct samples *h, const struct sample *s)
{
    pthread_mutex_lock(&h->lock);
    ring_add(h, s);
    pthread_mutex_unlock(&h->lock);
    if (h->stored_ms >= s->time_ms)
        h->stored_ms = s->time_ms - 1; // what the database has of later times goes
    store_new(h);
}

/* ---- reading back ---- */

struct loading {
    struct store_job job;
    struct samples *all;
    void (*done)(void *ctx, bool ok);
    void *ctx;
};

static int32_t unknown_or(const struct sql_value *v)
{
    return v->type == SQL_INT ? (int32_t)v->i : SAMPLE_NONE;
}

static bool row_of_sample(void *ctx, const struct sql_value *row, size_t count)
{
    struct samples *h = ctx;
    MUST(count == 8);
    ring_add(h, &(struct sample){.time_ms = row[0].i,
                                 .cpu = unknown_or(&row[1]),
                                 .memory = unknown_or(&row[2]),
                                 .disk = unknown_or(&row[3]),
                                 .rx = row[4].i,
                                 .tx = row[5].i,
                                 .gpu = unknown_or(&row[6]),
                                 .temperature = unknown_or(&row[7])});
    return true;
}

static enum sql_result loading_run(struct store_job *j, struct sql *db)
{
    struct samples *h = container_of(j, struct loading, job)->all;
    pthread_mutex_lock(&h->lock);
    h->count = 0;
    enum sql_result r = sql_run(db, select_text, NULL, 0, row_of_sample, h);
    pthread_mutex_unlock(&h->lock);
    return r;
}

static void loading_done(struct store_job *j)
{
    struct loading *l = container_of(j, struct loading, job);
    struct samples *h = l->all;
    h->stored_ms = h->count > 0 ? place_of(h, h->count - 1)->time_ms : INT64_MIN;
    l->done(l->ctx, j->result == SQL_OK);
    free(l);
}

void samples_load(struct samples *h, void (*done)(void *ctx, bool ok), void *ctx)
{
    struct loading *l = h->o.store != NULL ? calloc(1, sizeof(*l)) : NULL;
    if (l == NULL) {
        done(ctx, h->o.store == NULL);
        return;
    }
    *l = (struct loading){
        .job = {.loop = h->o.loop, .reads = true, .run = loading_run, .done = loading_done},
        .all = h,
        .done = done,
        .ctx = ctx};
    store_do(h->o.store, &l->job);
}

/* ---- reading ---- */

struct mean {
    double sum;
    unsigned count;
};

static void mean_add(struct mean *m, int32_t v)
{
    if (v == SAMPLE_NONE)
        return;
    m->sum += v;
    m->count++;
}

static int32_t mean_of(const struct mean *m)
{
    return m->count > 0 ? (int32_t)lround(m->sum / m->count) : SAMPLE_NONE;
}

/* What stands at [from, to) as one. */
static struct sample merge(const struct sample *from, const struct sample *to, int64_t time_ms)
{
    struct mean cpu = {0}, memory = {0}, disk = {0}, gpu = {0}, temperature = {0};
    double rx = 0, tx = 0, n = (double)(to - from);
    for (const struct sample *s = from; s < to; s++) {
        mean_add(&cpu, s->cpu);
        mean_add(&memory, s->memory);
        mean_add(&disk, s->disk);
        mean_add(&gpu, s->gpu);
        mean_add(&temperature, s->temperature);
        rx += (double)s->rx;
        tx += (double)s->tx;
    }
    return (struct sample){.time_ms = time_ms,
                           .rx = (int64_t)(rx / n),
                           .tx = (int64_t)(tx / n),
                           .cpu = mean_of(&cpu),
                           .memory = mean_of(&memory),
                           .disk = mean_of(&disk),
                           .gpu = mean_of(&gpu),
                           .temperature = mean_of(&temperature)};
}

static int64_t step_of(int64_t time_ms, int64_t step_ms)
{
    int64_t rest = time_ms % step_ms;
    return time_ms - (rest < 0 ? rest + step_ms : rest);
}

static size_t merge_steps(struct sample *s, size_t count, int64_t step_ms)
{
    size_t made = 0;
    for (size_t i = 0; i < count;) {
        int64_t begin_ms = step_of(s[i].time_ms, step_ms);
        size_t end = i + 1;
        while (end < count && step_of(s[end].time_ms, step_ms) == begin_ms)
            end++;
        s[made++] = merge(&s[i], &s[end], begin_ms);
        i = end;
    }
    return made;
}

bool samples_read(struct samples *h, const struct samples_range *r, struct sample **ret,
                  size_t *ret_count)
{
    struct sample *found = malloc(h->o.keep * sizeof(*found));
    size_t n = 0;
    if (found == NULL)
        return false;
    pthread_mutex_lock(&h->lock);
    for (uint32_t i = 0; i < h->count; i++) {
        const struct sample *s = place_of(h, i);
        if (s->time_ms >= r->from_ms && s->time_ms <= r->to_ms)
            found[n++] = *s;
    }
    pthread_mutex_unlock(&h->lock);
    *ret = found;
    *ret_count = r->step_ms > 0 ? merge_steps(found, n, r->step_ms) : n;
    return true;
}

/* ---- birth and end ---- */

struct samples *samples_create(const struct samples_options *o)
{
    struct samples *h = calloc(1, sizeof(*h));
    struct sample *ring = calloc(o->keep, sizeof(*ring));
    if (h == NULL || ring == NULL) {
        free(ring);
        free(h);
        return NULL;
    }
    h->o = *o;
    h->ring = ring;
    h->stored_ms = INT64_MIN;
    pthread_mutex_init(&h->lock, NULL);
    return h;
}

void samples_destroy(struct samples **hp)
{
    struct samples *h = *hp;
    *hp = NULL;
    if (h == NULL)
        return;
    pthread_mutex_destroy(&h->lock);
    free(h->ring);
    free(h);
}
