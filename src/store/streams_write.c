/*
 * streams_write.c - a batch of appends as chunks, and the checkpoints of the streams' rows.
 *
 * Always true: a draft becomes now only when its transaction was committed, and is forgotten
 * otherwise. Numbers of chunks grow, and some are never used.
 */
#include "store/streams.h"

#include "base/must.h"

#include <stdlib.h>

/* ---- collecting ---- */

bool streams_batch_add(struct streams *s, struct store_append *a)
{
    struct stream *st = streams_find(s, a->key);
    if (st == NULL)
        st = streams_add(s, a->key, s->next_id);
    if (st == NULL)
        return false;
    a->next = NULL;
    if (st->first_append == NULL) {
        st->next_in_batch = s->batch;
        s->batch = st;
        st->first_append = a;
    } else {
        st->last_append->next = a;
    }
    st->last_append = a;
    return true;
}

/* ---- writing ---- */

/* A stream begins, or begins anew in another epoch: under a new number, so that the chunks of
 * before are nobody's. The row may be there: of a commit whose answer was lost. */
static enum sql_result begin_stream(struct streams *s, struct stream *st, struct sql *db,
                                    const struct store_append *a)
{
    struct str channel = st->node.key;
    struct str tenant = str_cut(&channel, '\0');
    if (st->draft.epoch == 0)
        st->fresh_id = st->id;
    else if (st->fresh_id == 0 && (st->fresh_id = streams_new_id(s, st)) == 0)
        return SQL_FAILED;
    uint64_t first = st->draft.epoch == 0 ? st->draft.first : 0; // was it trimmed meanwhile?
    st->draft = (struct stream_mark){.epoch = a->epoch,
                                     .generation = s->generation,
                                     .first = first > a->event.offset ? first : a->event.offset};
    st->draft.last = a->event.offset - 1;
    const struct sql_value values[] = {sql_int((int64_t)st->fresh_id),
                                       sql_text(tenant),
                                       sql_text(channel),
                                       sql_int(st->draft.epoch),
                                       sql_int((int64_t)st->draft.first),
                                       sql_int((int64_t)st->draft.last),
                                       sql_int(st->draft.generation)};
    const struct sql_value ids[] = {values[0], sql_int((int64_t)st->id)};
    enum sql_result r =
        sql_run(db, "DELETE FROM recado_streams WHERE id = ? OR id = ?", ids, 2, NULL, NULL);
    if (r != SQL_OK)
        return r;
    return sql_run(db,
                   "INSERT INTO recado_streams (id, tenant, channel, epoch, first_offset, "
                   "last_offset, generation, chunks, bytes, last_seq, skip_seq, far_seq, at, "
                   "former_epoch, former_generation, former_last) "
                   "VALUES (?, ?, ?, ?, ?, ?, ?, 0, 0, 0, 0, 0, 0, 0, 0, 0)",
                   values, 7, NULL, NULL);
}

/* The first event since an end in which not everything was written: from now on the row says which
 * epoch it is, and up to where the one before leads here. */
static enum sql_result renew_stream(const struct streams *s, struct stream *st, struct sql *db)
{
    struct stream_mark *m = &st->draft;
    m->generation = s->generation;
    m->former_last = m->last;
    const struct sql_value values[] = {sql_int(m->epoch),
                                       sql_int(m->generation),
                                       sql_int(m->former_epoch),
                                       sql_int(m->former_generation),
                                       sql_int((int64_t)m->former_last),
                                       sql_int((int64_t)m->first),
                                       sql_int((int64_t)st->id)};
    return sql_run(db,
                   "UPDATE recado_streams SET epoch = ?, generation = ?, former_epoch = ?, "
                   "former_generation = ?, former_last = ?, first_offset = ? WHERE id = ?",
                   values, 7, NULL, NULL);
}

/* One chunk out of the events that stand in body. */
static enum sql_result write_chunk(struct streams *s, struct stream *st, struct sql *db,
                                   uint64_t first, const struct store_event *last)
{
    struct stream_mark *m = &st->draft;
    uint64_t seq = s->next_seq++, id = st->fresh_id != 0 ? st->fresh_id : st->id;
    uint64_t skip = m->chunks % SKIP_FAR == 0    ? m->far_seq
                    : m->chunks % SKIP_NEAR == 0 ? m->skip_seq
                                                 : 0;
    const struct sql_value values[] = {
        sql_int((int64_t)seq),          sql_int((int64_t)id),          sql_int((int64_t)first),
        sql_int((int64_t)last->offset), sql_int((int64_t)m->last_seq), sql_int((int64_t)skip),
        sql_int(last->time_ms),         sql_blob(buf_str(&s->body)),
    };
    if (m->chunks % SKIP_NEAR == 0)
        m->skip_seq = seq;
    if (m->chunks % SKIP_FAR == 0)
        m->far_seq = seq;
    m->chunks++;
    m->last = last->offset;
    m->last_seq = seq;
    m->bytes += s->body.len;
    m->at_ms = last->time_ms;
    return sql_run(db,
                   "INSERT INTO recado_chunks (seq, stream, first_offset, last_offset, prev_seq, "
                   "skip_seq, at, body) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                   values, 8, NULL, NULL);
}

/* The events of one chunk into body; returns the first one that does not belong there. */
static const struct store_append *fill_chunk(struct streams *s, const struct store_append *a,
                                             const struct store_event **ret_last)
{
    uint32_t epoch = a->epoch;
    *ret_last = NULL;
    buf_clear(&s->body);
    for (unsigned n = 0; a != NULL && n < CHUNK_EVENTS_MAX; n++, a = a->next) {
        const struct store_event *last = *ret_last;
        if (last != NULL && (s->body.len + a->event.data.n > CHUNK_BYTES_MAX || a->epoch != epoch ||
                             a->event.offset != last->offset + 1))
            break;
        if (!chunk_put(&s->body, &a->event)) {
            *ret_last = NULL; // no memory
            return NULL;
        }
        *ret_last = &a->event;
    }
    return a;
}

static enum sql_result write_stream(struct streams *s, struct stream *st, struct sql *db)
{
    const struct store_append *a = st->first_append;
    const struct store_event *last;
    enum sql_result r = SQL_OK;
    pthread_mutex_lock(&s->lock);
    st->draft = st->now;
    pthread_mutex_unlock(&s->lock);
    while (r == SQL_OK && a != NULL) {
        uint64_t first = a->event.offset;
        if (a->epoch != st->draft.epoch)
            r = begin_stream(s, st, db, a);
        else if (st->draft.generation != s->generation)
            r = renew_stream(s, st, db);
        if (first > st->draft.last + 1 && first > st->draft.first) {
            st->draft.first = first; // some were not stored: what is older cannot be joined to it
            st->trimmed_pass = s->sweep_pass;
        }
        a = fill_chunk(s, a, &last);
        if (r == SQL_OK)
            r = last != NULL ? write_chunk(s, st, db, first, last) : SQL_FAILED;
    }
    return r;
}

enum sql_result streams_batch_write(struct streams *s, struct sql *db)
{
    enum sql_result r = SQL_OK;
    uint64_t seq = s->next_seq;
    for (struct stream *st = s->batch; r == SQL_OK && st != NULL; st = st->next_in_batch)
        r = write_stream(s, st, db);
    s->batch_chunks = (uint32_t)(s->next_seq - seq);
    return r;
}

void streams_batch_each(struct streams *s, streams_each_fn *each, void *ctx)
{
    for (struct stream *st = s->batch; st != NULL; st = st->next_in_batch) {
        for (struct store_append *a = st->first_append; a != NULL; a = a->next)
            each(ctx, a);
    }
}

static void stream_committed(struct streams *s, struct stream *st)
{
    bool anew = st->now.epoch != st->draft.epoch && st->now.epoch != 0;
    uint64_t first = st->now.first; // somebody may have trimmed it meanwhile
    s->uncounted += st->draft.chunks - (anew ? 0 : st->now.chunks);
    st->now = st->draft;
    if (first > st->now.first && !anew)
        st->now.first = first;
    if (st->fresh_id != 0 && st->fresh_id != st->id) {
        s->by_id[st->id] = NULL;
        st->id = st->fresh_id;
    }
    st->fresh_id = 0;
    streams_mark_dirty(s, st);
    streams_sweep_again(s);
}

void streams_batch_settle(struct streams *s, bool committed, streams_each_fn *each, void *ctx)
{
    while (s->batch != NULL) {
        struct stream *st = s->batch;
        struct store_append *a = st->first_append;
        s->batch = st->next_in_batch;
        st->first_append = st->last_append = NULL;
        pthread_mutex_lock(&s->lock);
        if (committed)
            stream_committed(s, st);
        pthread_mutex_unlock(&s->lock);
        while (a != NULL) {
            struct store_append *next = a->next;
            __builtin_prefetch(next);
            each(ctx, a);
            a = next;
        }
    }
}

/* ---- checkpoints ---- */

void streams_checkpoint_begin(struct streams *s)
{
    if (s->checkpointing)
        return;
    pthread_mutex_lock(&s->lock);
    for (struct stream *st = s->dirty, *next; st != NULL; st = next) {
        next = st->next_dirty;
        st->dirty = false;
        st->saving = true;
        st->next_saving = s->saving;
        s->saving = st;
    }
    s->dirty = NULL;
    pthread_mutex_unlock(&s->lock);
    s->checkpoint_to = s->next_seq - 1;
    s->uncounted = 0;
    s->checkpointing = s->saving != NULL;
    s->saved = s->saving;
}

static enum sql_result update_stream(struct streams *s, const struct stream *st, struct sql *db)
{
    pthread_mutex_lock(&s->lock);
    struct stream_mark m = st->now;
    pthread_mutex_unlock(&s->lock);
    const struct sql_value values[] = {
        sql_int((int64_t)m.first),    sql_int((int64_t)m.last),
        sql_int((int64_t)m.chunks),   sql_int((int64_t)m.bytes),
        sql_int((int64_t)m.last_seq), sql_int((int64_t)m.skip_seq),
        sql_int((int64_t)m.far_seq),  sql_int(m.at_ms),
        sql_int((int64_t)st->id),
    };
    return sql_run(db,
                   "UPDATE recado_streams SET first_offset = ?, last_offset = ?, chunks = ?, "
                   "bytes = ?, last_seq = ?, skip_seq = ?, far_seq = ?, at = ? WHERE id = ?",
                   values, 9, NULL, NULL);
}

enum sql_result streams_checkpoint(struct streams *s, struct sql *db, uint32_t most)
{
    enum sql_result r = SQL_OK;
    s->checkpoint_ends = false;
    s->saved = s->saving;
    if (!s->checkpointing)
        return SQL_OK;
    for (; r == SQL_OK && s->saved != NULL && most > 0; most--, s->saved = s->saved->next_saving) {
        if (!s->saved->gone)
            r = update_stream(s, s->saved, db);
    }
    struct sql_value seq = sql_int((int64_t)s->checkpoint_to);
    s->checkpoint_ends = r == SQL_OK && s->saved == NULL;
    if (s->checkpoint_ends)
        r = sql_run(db, "UPDATE recado_checkpoint SET seq = ?", &seq, 1, NULL, NULL);
    return r;
}

void streams_checkpoint_settle(struct streams *s, bool committed)
{
    if (!committed || !s->checkpointing)
        return;
    pthread_mutex_lock(&s->lock);
    while (s->saving != s->saved) {
        struct stream *st = s->saving;
        s->saving = st->next_saving;
        st->saving = false;
        if (st->gone && !st->dirty)
            free(st);
    }
    pthread_mutex_unlock(&s->lock);
    if (s->checkpoint_ends) {
        s->checkpoint_seq = s->checkpoint_to;
        s->checkpointing = false;
    }
}
