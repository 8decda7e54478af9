/*
 * streams_sweep.c - drops what nobody keeps any more.
 *
 * Why it exists: chunks of all streams lie in one order of arrival, so the old ones are together. A
 * sweep walks over them, a few at a time between commits, and begins anew when it has seen all: it
 * needs no index by stream, whose scattered writes would cost more than the events themselves.
 *
 * Always true:
 *   W1. a chunk that is dropped holds no event at or behind its stream's first.
 *   W2. the newest chunk of a stream stays until the stream is forgotten: it says where it stands.
 *   W3. what a transaction dropped counts when it was committed, and not before.
 */
#include "store/streams.h"

#include "base/must.h"

#include <stdlib.h>

/* So many chunks are looked at for each that was added: a sweep comes around before there is much
 * more to drop than to keep. */
enum { SWEEP_STEP = 1024, LOOKS_PER_CHUNK = 4, LOOKS_LEAST = 32 };

/* A stream whose events are all too old is forgotten when nothing has come for so long. */
static const int64_t FORGET_MS = 7 * 86400000LL;

struct swept {
    uint64_t seq, stream, first, last, bytes;
    int64_t at_ms;
};

enum effect_kind { EFFECT_DROPPED, EFFECT_COUNTED, EFFECT_FORGOTTEN };
struct sweep_effect {
    uint64_t stream, bytes;
    enum effect_kind kind;
};

struct sweep {
    struct streams *streams;
    struct swept *chunks;
    uint32_t count, max, dropped;
    int64_t now_ms;
};

static bool take_chunk(void *ctx, const struct sql_value *row, size_t count)
{
    struct sweep *w = ctx;
    MUST(count == 6);
    w->chunks[w->count++] = (struct swept){.seq = (uint64_t)row[0].i,
                                           .stream = (uint64_t)row[1].i,
                                           .first = (uint64_t)row[5].i,
                                           .last = (uint64_t)row[2].i,
                                           .bytes = (uint64_t)row[4].i,
                                           .at_ms = row[3].i};
    return w->count < w->max;
}

static bool effects_reserve(struct streams *s, size_t more)
{
    size_t cap = s->effect_cap > 0 ? s->effect_cap : SWEEP_STEP;
    while (cap < s->effect_count + more)
        cap *= 2;
    if (cap == s->effect_cap)
        return true;
    struct sweep_effect *grown = realloc(s->effects, cap * sizeof(*grown));
    if (grown == NULL)
        return false;
    s->effects = grown;
    s->effect_cap = cap;
    return true;
}

static void effect_add(struct streams *s, uint64_t stream, uint64_t bytes, enum effect_kind kind)
{
    MUST(s->effect_count < s->effect_cap);
    s->effects[s->effect_count++] = (struct sweep_effect){stream, bytes, kind};
}

/* Moves the stream's first over the chunk if it is too old or one too many. */
static bool is_past(struct streams *s, struct stream *st, const struct swept *c, int64_t now_ms,
                    bool *ret_forget)
{
    struct store_retention keep = {0};
    s->retention(s->ctx, st->node.key, &keep);
    struct stream_mark *m = &st->now;
    int64_t ttl_ms = (int64_t)keep.ttl_ms;
    bool newest = c->seq >= m->last_seq; // or of the batch under way
    bool past = c->last < m->first;
    past |= keep.count > 0 && c->last + keep.count <= m->last;
    past |= ttl_ms > 0 && c->at_ms < now_ms - ttl_ms;
    // By bytes the oldest goes; and not while chunks that were trimmed may still be among them.
    past |= keep.bytes > 0 && m->bytes > keep.bytes + st->dropping && !newest &&
            c->first <= m->first && st->trimmed_pass < s->sweep_pass;
    if (past && c->last >= m->first && c->last <= m->last) {
        m->first = c->last + 1;
        streams_mark_dirty(s, st);
    }
    *ret_forget = past && c->seq == m->last_seq && st->first_append == NULL && ttl_ms > 0 &&
                  c->at_ms < now_ms - ttl_ms - FORGET_MS;
    return past && !newest;
}

/* What a stream's chunks hold is counted on each way over them: a row that was behind when the
 * program was killed may have it wrong. */
static void count_chunk(struct streams *s, struct stream *st, const struct swept *c)
{
    if (st->seen_pass != s->sweep_pass)
        st->seen_bytes = 0;
    st->seen_pass = s->sweep_pass;
    st->seen_bytes += c->bytes;
    if (c->seq == st->now.last_seq && st->first_append == NULL && st->seen_bytes != st->now.bytes)
        effect_add(s, st->id, st->seen_bytes, EFFECT_COUNTED);
}

/* Of one that stays. */
static void note_due(struct streams *s, const struct stream *st, const struct swept *c,
                     int64_t now_ms)
{
    struct store_retention keep = {0};
    s->retention(s->ctx, st->node.key, &keep);
    if (keep.ttl_ms == 0)
        return;
    int64_t due_ms = c->at_ms + (int64_t)keep.ttl_ms;
    if (due_ms < now_ms) // the newest of its stream
        due_ms += FORGET_MS;
    if (due_ms < s->pass_due_ms)
        s->pass_due_ms = due_ms;
}

static enum sql_result drop_one(struct sweep *w, struct sql *db, const struct swept *c)
{
    struct streams *s = w->streams;
    struct sql_value seq = sql_int((int64_t)c->seq), id = sql_int((int64_t)c->stream);
    bool forget = false;
    pthread_mutex_lock(&s->lock);
    struct stream *st = streams_of_id(s, c->stream);
    bool drop = st == NULL || is_past(s, st, c, w->now_ms, &forget) || forget;
    if (st != NULL && drop)
        st->dropping += c->bytes;
    if (st != NULL && drop)
        effect_add(s, c->stream, c->bytes, forget ? EFFECT_FORGOTTEN : EFFECT_DROPPED);
    else if (st != NULL)
        count_chunk(s, st, c);
    if (!drop)
        note_due(s, st, c, w->now_ms);
    pthread_mutex_unlock(&s->lock);
    if (!drop)
        return SQL_OK;
    w->dropped++;
    enum sql_result r = sql_run(db, "DELETE FROM recado_chunks WHERE seq = ?", &seq, 1, NULL, NULL);
    if (r == SQL_OK && forget)
        r = sql_run(db, "DELETE FROM recado_streams WHERE id = ?", &id, 1, NULL, NULL);
    return r;
}

/* All has been seen. */
static void pass_end(struct streams *s)
{
    s->sweep_pass++;
    s->swept = s->pass_dropped == 0;
    s->swept_until_ms = s->pass_due_ms;
    s->pass_dropped = 0;
    s->pass_due_ms = INT64_MAX;
}

bool streams_sweep_wanted(const struct streams *s, int64_t now_ms)
{
    return !s->swept || now_ms > s->swept_until_ms;
}

/* What this way over them has seen may have changed behind it. */
void streams_sweep_again(struct streams *s)
{
    s->swept = false;
    s->pass_dropped++;
}

static enum sql_result sweep_step(struct sweep *w, struct sql *db)
{
    struct streams *s = w->streams;
    struct sql_value since[] = {sql_int((int64_t)s->swept_seq), sql_int(w->max)};
    w->count = w->dropped = 0;
    if (!effects_reserve(s, w->max))
        return SQL_OK; // another time
    enum sql_result r = sql_run(db,
                                "SELECT seq, stream, last_offset, at, length(body), first_offset "
                                "FROM recado_chunks WHERE seq > ? ORDER BY seq LIMIT ?",
                                since, 2, take_chunk, w);
    for (uint32_t i = 0; r == SQL_OK && i < w->count; i++)
        r = drop_one(w, db, &w->chunks[i]);
    if (r != SQL_OK)
        return r;
    s->pass_dropped += w->dropped;
    s->swept_seq = w->count == w->max ? w->chunks[w->count - 1].seq : 0;
    if (w->count < w->max)
        pass_end(s);
    return SQL_OK;
}

enum sql_result streams_sweep(struct streams *s, struct sql *db, uint32_t added, int64_t now_ms)
{
    struct swept chunks[SWEEP_STEP];
    struct sweep w = {.streams = s, .chunks = chunks, .now_ms = now_ms};
    uint64_t look = (uint64_t)added * LOOKS_PER_CHUNK + LOOKS_LEAST, dropped = 0;
    enum sql_result r = SQL_OK;
    s->sweep_from = s->swept_seq;
    s->effect_count = 0;
    while (r == SQL_OK && look > 0 && dropped < (uint64_t)added * 2 + LOOKS_LEAST) {
        w.max = look < SWEEP_STEP ? (uint32_t)look : SWEEP_STEP;
        r = sweep_step(&w, db);
        dropped += w.dropped;
        look = w.count == w.max ? look - w.count : 0; // else all has been seen
    }
    return r;
}

static void dropping_end(struct streams *s)
{
    for (size_t i = 0; i < s->effect_count; i++) {
        struct stream *st = streams_of_id(s, s->effects[i].stream);
        if (st != NULL)
            st->dropping = 0;
    }
}

void streams_sweep_settle(struct streams *s, bool committed)
{
    pthread_mutex_lock(&s->lock);
    dropping_end(s);
    pthread_mutex_unlock(&s->lock);
    if (!committed) {
        s->swept_seq = s->sweep_from;
        s->sweep_pass++; // what was counted in this one is worth nothing
        streams_sweep_again(s);
        s->effect_count = 0;
        return;
    }
    pthread_mutex_lock(&s->lock);
    for (size_t i = 0; i < s->effect_count; i++) {
        const struct sweep_effect *e = &s->effects[i];
        struct stream *st = streams_of_id(s, e->stream);
        if (st == NULL)
            continue;
        struct stream_mark *m = &st->now;
        if (e->kind == EFFECT_FORGOTTEN) {
            streams_forget(s, st);
            continue;
        }
        m->bytes = e->kind == EFFECT_COUNTED ? e->bytes
                   : e->bytes < m->bytes     ? m->bytes - e->bytes
                                             : 0;
        streams_mark_dirty(s, st);
    }
    pthread_mutex_unlock(&s->lock);
    s->effect_count = 0;
}
