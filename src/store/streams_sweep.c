/*
 * streams_sweep.c - drops what nobody keeps any more.
 *
 * Why it exists: chunks of all streams lie in one order of arrival, so the old ones are together. A
 * sweep walks over them, a few at a time between commits, and begins anew when it has seen all: it
 * needs no index by stream, whose scattered writes would cost more than the events themselves.
 *
 * Always true: a chunk that is dropped holds no event at or behind its stream's first.
 */
#include "store/streams.h"

#include "base/must.h"

/* So many chunks are looked at for each that was added: a sweep comes around before there is much
 * more to drop than to keep. */
enum { SWEEP_STEP = 1024, LOOKS_PER_CHUNK = 4, LOOKS_LEAST = 32 };

struct swept {
    uint64_t seq, stream, last, bytes;
    int64_t at_ms;
};

struct sweep {
    struct streams *streams;
    struct swept *chunks;
    uint32_t count, max, dropped;
};

static bool take_chunk(void *ctx, const struct sql_value *row, size_t count)
{
    struct sweep *w = ctx;
    MUST(count == 5);
    w->chunks[w->count++] = (struct swept){(uint64_t)row[0].i, (uint64_t)row[1].i,
                                           (uint64_t)row[2].i, (uint64_t)row[4].i, row[3].i};
    return w->count < w->max;
}

/* Moves the stream's first over the chunk if it is too old or one too many. */
static bool is_dead(struct streams *s, struct stream *st, const struct swept *c, int64_t now_ms)
{
    struct store_retention keep = {0};
    s->retention(s->ctx, st->node.key, &keep);
    struct stream_mark *m = &st->now;
    bool dead = c->last < m->first;
    dead |= keep.count > 0 && c->last + keep.count <= m->last;
    dead |= keep.ttl_ms > 0 && c->at_ms + (int64_t)keep.ttl_ms < now_ms;
    dead |= keep.bytes > 0 && m->bytes > keep.bytes && c->seq != m->last_seq;
    if (!dead)
        return false;
    if (c->last >= m->first)
        m->first = c->last + 1;
    m->bytes -= c->bytes < m->bytes ? c->bytes : m->bytes;
    streams_mark_dirty(s, st);
    return true;
}

static enum sql_result drop_chunks(struct sweep *w, struct sql *db, int64_t now_ms)
{
    struct streams *s = w->streams;
    enum sql_result r = SQL_OK;
    w->dropped = 0;
    for (uint32_t i = 0; r == SQL_OK && i < w->count; i++) {
        const struct swept *c = &w->chunks[i];
        pthread_mutex_lock(&s->lock);
        struct stream *st = streams_of_id(s, c->stream);
        bool dead = st == NULL || is_dead(s, st, c, now_ms);
        pthread_mutex_unlock(&s->lock);
        struct sql_value seq = sql_int((int64_t)c->seq);
        w->dropped += dead;
        if (dead)
            r = sql_run(db, "DELETE FROM recado_chunks WHERE seq = ?", &seq, 1, NULL, NULL);
    }
    return r;
}

static enum sql_result sweep_step(struct sweep *w, struct sql *db, int64_t now_ms)
{
    struct streams *s = w->streams;
    struct sql_value since[] = {sql_int((int64_t)s->swept_seq), sql_int(w->max)};
    w->count = 0;
    enum sql_result r =
        sql_run(db,
                "SELECT seq, stream, last_offset, at, length(body) FROM recado_chunks "
                "WHERE seq > ? ORDER BY seq LIMIT ?",
                since, 2, take_chunk, w);
    if (r == SQL_OK)
        r = drop_chunks(w, db, now_ms);
    if (r == SQL_OK)
        s->swept_seq = w->count == w->max ? w->chunks[w->count - 1].seq : 0;
    return r;
}

enum sql_result streams_sweep(struct streams *s, struct sql *db, uint32_t added, int64_t now_ms)
{
    static _Thread_local struct swept chunks[SWEEP_STEP];
    struct sweep w = {.streams = s, .chunks = chunks};
    uint64_t look = (uint64_t)added * LOOKS_PER_CHUNK + LOOKS_LEAST, dropped = 0;
    enum sql_result r = SQL_OK;
    while (r == SQL_OK && look > 0 && dropped < (uint64_t)added * 2 + LOOKS_LEAST) {
        w.max = look < SWEEP_STEP ? (uint32_t)look : SWEEP_STEP;
        r = sweep_step(&w, db, now_ms);
        dropped += w.dropped;
        look = w.count == w.max ? look - w.count : 0; // else all has been seen
    }
    return r;
}
