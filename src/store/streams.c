/*
 * streams.c - which streams there are, and where each of them stands after a start.
 *
 * Why it exists: a hub asks for a stream's position when its channel wakes up, and must not wait
 * for a disk then; and a program that was killed must know within a moment what was committed.
 *
 * Always true between two batches:
 *   R1. now is what the chunks in the database say, trims included.
 *   R2. a stream whose row is behind its now is in the list of dirty ones or of those being saved.
 *   R3. from first to last no offset is missing.
 */
#include "store/streams.h"

#include "base/list.h"
#include "base/log.h"
#include "base/must.h"

#include <stdlib.h>

bool streams_init(struct streams *s, const struct store_options *o)
{
    *s = (struct streams){.next_id = 1, .next_seq = 1, .sweep_pass = 1, .pass_due_ms = INT64_MAX};
    pthread_mutex_init(&s->lock, NULL);
    map_init(&s->map, o->streams_max);
    buf_init(&s->body, CHUNK_BYTES_MAX + (64 << 20));
    buf_init(&s->scratch, 64 << 20);
    s->retention = o->retention;
    s->ctx = o->ctx;
    return true;
}

static void free_gone(struct streams *s)
{
    for (struct stream *st = s->dirty, *next; st != NULL; st = next) {
        next = st->next_dirty;
        st->dirty = false;
        if (st->gone && !st->saving)
            free(st);
    }
    for (struct stream *st = s->saving, *next; st != NULL; st = next) {
        next = st->next_saving;
        if (st->gone)
            free(st);
    }
}

void streams_fini(struct streams *s)
{
    struct map_node *n = map_first(&s->map);
    free_gone(s);
    while (n != NULL) {
        struct map_node *next = map_next(&s->map, n);
        map_remove(&s->map, n);
        free(container_of(n, struct stream, node));
        n = next;
    }
    map_fini(&s->map);
    free(s->by_id);
    free(s->effects);
    buf_fini(&s->body);
    buf_fini(&s->scratch);
    pthread_mutex_destroy(&s->lock);
}

struct stream *streams_find(const struct streams *s, struct str key)
{
    struct map_node *n = map_find(&s->map, key);
    return n != NULL ? container_of(n, struct stream, node) : NULL;
}

struct stream *streams_of_id(const struct streams *s, uint64_t id)
{
    return id < s->id_cap ? s->by_id[id] : NULL;
}

static bool ids_reserve(struct streams *s, uint64_t id)
{
    if (id < s->id_cap)
        return true;
    uint64_t cap = s->id_cap > 0 ? s->id_cap : 1024;
    while (cap <= id)
        cap *= 2;
    struct stream **more = realloc(s->by_id, cap * sizeof(struct stream *));
    if (more == NULL)
        return false;
    memset(more + s->id_cap, 0, (cap - s->id_cap) * sizeof(struct stream *));
    s->by_id = more;
    s->id_cap = cap;
    return true;
}

struct stream *streams_add(struct streams *s, struct str key, uint64_t id)
{
    struct stream *st = calloc(1, sizeof(*st) + key.n);
    if (st == NULL || !ids_reserve(s, id)) {
        free(st);
        return NULL;
    }
    memcpy(st->key, key.p, key.n);
    st->node.key = (struct str){st->key, key.n};
    st->id = id;
    if (!map_add(&s->map, &st->node)) {
        free(st);
        return NULL;
    }
    s->by_id[id] = st;
    if (id >= s->next_id)
        s->next_id = id + 1;
    return st;
}

bool streams_reserve(struct streams *s, struct str key)
{
    pthread_mutex_lock(&s->lock);
    bool ok = streams_find(s, key) != NULL || streams_add(s, key, s->next_id) != NULL;
    pthread_mutex_unlock(&s->lock);
    return ok;
}

uint64_t streams_new_id(struct streams *s, struct stream *st)
{
    uint64_t id = 0;
    pthread_mutex_lock(&s->lock);
    if (ids_reserve(s, s->next_id)) {
        id = s->next_id++;
        s->by_id[id] = st;
    }
    pthread_mutex_unlock(&s->lock);
    return id;
}

void streams_forget(struct streams *s, struct stream *st)
{
    map_remove(&s->map, &st->node);
    s->by_id[st->id] = NULL;
    st->gone = true;
    if (!st->dirty && !st->saving)
        free(st);
}

void streams_mark_dirty(struct streams *s, struct stream *st)
{
    if (st->dirty)
        return;
    st->dirty = true;
    st->next_dirty = s->dirty;
    s->dirty = st;
}

bool streams_position(struct streams *s, struct str key, struct store_position *ret)
{
    pthread_mutex_lock(&s->lock);
    const struct stream *st = streams_find(s, key);
    if (st != NULL)
        *ret = (struct store_position){st->now.epoch, st->now.first, st->now.last};
    pthread_mutex_unlock(&s->lock);
    return st != NULL;
}

/* ---- generations ---- */

enum { FORMER_EPOCHS_MAX = 64 };

/* What an epoch becomes in a later generation: another one, and always the same. */
static uint32_t epoch_in(uint32_t epoch, uint32_t generation)
{
    uint64_t h = ((uint64_t)generation << 32 | epoch) * 0x9e3779b97f4a7c15u;
    h = (h ^ (h >> 29)) * 0xbf58476d1ce4e5b9u;
    uint32_t e = (uint32_t)(h >> 32);
    while (e == 0 || e == epoch)
        e++;
    return e;
}

static bool is_stale(const struct streams *s, const struct stream_mark *m)
{
    return m->generation != s->generation;
}

/* The epochs of the crashes between two writes of the row all hold what the first of them held. */
static bool leads(const struct streams *s, const struct stream_mark *m, uint32_t epoch,
                  uint64_t offset)
{
    uint64_t last = is_stale(s, m) ? m->last : m->former_last;
    uint32_t present = is_stale(s, m) ? s->generation : m->generation;
    if (m->former_epoch == 0 || epoch == 0 || offset > last)
        return false;
    if (epoch == m->former_epoch)
        return true;
    uint32_t g = present - 1;
    for (unsigned n = 0; g > m->former_generation && n < FORMER_EPOCHS_MAX; n++, g--) {
        if (epoch_in(m->former_epoch, g) == epoch)
            return true;
    }
    return false;
}

bool streams_leads(struct streams *s, struct str key, uint32_t epoch, uint64_t offset)
{
    pthread_mutex_lock(&s->lock);
    const struct stream *st = streams_find(s, key);
    bool yes = st != NULL && leads(s, &st->now, epoch, offset);
    pthread_mutex_unlock(&s->lock);
    return yes;
}

enum sql_result streams_begin_use(struct streams *s, struct sql *db)
{
    struct sql_value generation = sql_int(s->generation);
    return sql_run(db, "UPDATE recado_checkpoint SET clean = 0, generation = ?", &generation, 1,
                   NULL, NULL);
}

enum sql_result streams_end_use(struct sql *db)
{
    return sql_run(db, "UPDATE recado_checkpoint SET clean = 1", NULL, 0, NULL, NULL);
}

enum sql_result streams_trim(struct streams *s, struct sql *db, struct str key, uint64_t up_to)
{
    pthread_mutex_lock(&s->lock);
    struct stream *st = streams_find(s, key);
    if (st != NULL && up_to >= st->now.first) {
        st->now.first = up_to + 1;
        st->trimmed_pass = s->sweep_pass;
        streams_mark_dirty(s, st);
        streams_sweep_again(s);
    }
    struct sql_value values[] = {sql_int(st != NULL ? (int64_t)st->now.first : 0),
                                 sql_int(st != NULL ? (int64_t)st->id : 0)};
    pthread_mutex_unlock(&s->lock);
    if (st == NULL)
        return SQL_OK;
    return sql_run(db, "UPDATE recado_streams SET first_offset = ? WHERE id = ?", values, 2, NULL,
                   NULL);
}

/* ---- after a start ---- */

struct loading {
    struct streams *streams;
    struct buf key;
    bool failed;
};

/* The row is of an older generation than this one. */
static void age(struct stream_mark *m, uint32_t generation)
{
    m->former_epoch = m->epoch;
    m->former_generation = m->generation;
    m->epoch = epoch_in(m->epoch, generation);
}

static bool load_stream(void *ctx, const struct sql_value *row, size_t count)
{
    struct loading *l = ctx;
    MUST(count == 16);
    buf_clear(&l->key);
    bool ok =
        buf_add(&l->key, row[1].s) && buf_add_char(&l->key, '\0') && buf_add(&l->key, row[2].s);
    struct stream *st = NULL;
    if (ok && streams_find(l->streams, buf_str(&l->key)) == NULL)
        st = streams_add(l->streams, buf_str(&l->key), (uint64_t)row[0].i);
    l->failed |= st == NULL;
    if (st == NULL)
        return false;
    st->now = (struct stream_mark){
        .epoch = (uint32_t)row[3].i,
        .first = (uint64_t)row[4].i,
        .last = (uint64_t)row[5].i,
        .chunks = (uint64_t)row[6].i,
        .bytes = (uint64_t)row[7].i,
        .last_seq = (uint64_t)row[8].i,
        .skip_seq = (uint64_t)row[9].i,
        .far_seq = (uint64_t)row[10].i,
        .at_ms = row[11].i,
        .generation = (uint32_t)row[12].i,
        .former_epoch = (uint32_t)row[13].i,
        .former_generation = (uint32_t)row[14].i,
        .former_last = (uint64_t)row[15].i,
    };
    if (is_stale(l->streams, &st->now))
        age(&st->now, l->streams->generation);
    return true;
}

/* What a chunk does to where its stream stands. */
static void mark_chunk(struct stream_mark *m, uint64_t seq, uint64_t last, uint64_t bytes,
                       int64_t at_ms)
{
    if (m->chunks % SKIP_NEAR == 0)
        m->skip_seq = seq;
    if (m->chunks % SKIP_FAR == 0)
        m->far_seq = seq;
    m->chunks++;
    m->last = last;
    m->bytes += bytes;
    m->last_seq = seq;
    m->at_ms = at_ms;
}

static bool load_chunk(void *ctx, const struct sql_value *row, size_t count)
{
    struct loading *l = ctx;
    MUST(count == 6);
    uint64_t seq = (uint64_t)row[0].i, first = (uint64_t)row[5].i;
    struct stream *st = streams_of_id(l->streams, (uint64_t)row[1].i);
    if (st != NULL && seq > st->now.last_seq) { // else: forgotten, or the row holds it already
        if (first > st->now.last + 1 && first > st->now.first)
            st->now.first = first;
        mark_chunk(&st->now, seq, (uint64_t)row[2].i, (uint64_t)row[4].i, row[3].i);
        streams_mark_dirty(l->streams, st);
    }
    if (seq >= l->streams->next_seq)
        l->streams->next_seq = seq + 1;
    l->streams->uncounted++;
    return true;
}

static bool load_number(void *ctx, const struct sql_value *row, size_t count)
{
    uint64_t *number = ctx;
    if (count > 0 && row[0].type == SQL_INT)
        *number = (uint64_t)row[0].i;
    return true;
}

struct checkpoint {
    uint64_t seq;
    uint32_t generation;
    bool clean;
};

static bool load_checkpoint(void *ctx, const struct sql_value *row, size_t count)
{
    MUST(count == 3);
    *(struct checkpoint *)ctx =
        (struct checkpoint){(uint64_t)row[0].i, (uint32_t)row[1].i, row[2].i != 0};
    return true;
}

/* What was on its way when everything up to it was trimmed never came: what comes now is not it. */
static void clamp_firsts(struct streams *s)
{
    for (uint64_t id = 0; id < s->id_cap; id++) {
        struct stream *st = s->by_id[id];
        if (st != NULL && is_stale(s, &st->now) && st->now.first > st->now.last + 1)
            st->now.first = st->now.last + 1;
    }
}

enum sql_result streams_load(struct streams *s, struct sql *db)
{
    struct checkpoint at = {0};
    struct loading l = {.streams = s};
    uint64_t newest = 0;
    buf_init(&l.key, 64 << 10);
    enum sql_result r = sql_run(db, "SELECT seq, generation, clean FROM recado_checkpoint", NULL, 0,
                                load_checkpoint, &at);
    s->checkpoint_seq = at.seq;
    s->generation = at.generation + !at.clean;
    if (r == SQL_OK)
        r = sql_run(db,
                    "SELECT id, tenant, channel, epoch, first_offset, last_offset, chunks, bytes, "
                    "last_seq, skip_seq, far_seq, at, generation, former_epoch, "
                    "former_generation, former_last FROM recado_streams",
                    NULL, 0, load_stream, &l);
    if (r == SQL_OK)
        r = sql_run(db, "SELECT max(seq) FROM recado_chunks", NULL, 0, load_number, &newest);
    struct sql_value since = sql_int((int64_t)s->checkpoint_seq);
    if (r == SQL_OK)
        r = sql_run(db,
                    "SELECT seq, stream, last_offset, at, length(body), first_offset "
                    "FROM recado_chunks WHERE seq > ? ORDER BY seq",
                    &since, 1, load_chunk, &l);
    if (s->next_seq <= newest)
        s->next_seq = newest + 1;
    if (s->next_seq <= s->checkpoint_seq)
        s->next_seq = s->checkpoint_seq + 1;
    clamp_firsts(s);
    buf_fini(&l.key);
    return l.failed ? SQL_FAILED : r;
}
