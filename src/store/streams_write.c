/*
 * streams_write.c - a batch of appends as chunks, and the checkpoints of the streams' rows.
 *
 * Always true: a draft becomes now only when its transaction was committed, and is forgotten
 * otherwise. Numbers of chunks grow, and some are never used.
 */
#include "store/streams.h"

#include "base/must.h"

/* ---- collecting ---- */

bool streams_batch_add(struct streams *s, struct store_append *a)
{
    pthread_mutex_lock(&s->lock);
    struct stream *st = streams_find(s, a->key);
    if (st == NULL)
        st = streams_add(s, a->key, s->next_id);
    pthread_mutex_unlock(&s->lock);
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

static enum sql_result insert_stream(struct stream *st, struct sql *db)
{
    struct str key = st->node.key;
    struct str channel = key;
    struct str tenant = str_cut(&channel, '\0');
    const struct sql_value values[] = {sql_int((int64_t)st->id), sql_text(tenant),
                                       sql_text(channel), sql_int(st->draft.epoch),
                                       sql_int((int64_t)st->draft.first)};
    // A commit whose answer was lost may have left it there.
    enum sql_result r =
        sql_run(db, "DELETE FROM recado_streams WHERE id = ?", values, 1, NULL, NULL);
    if (r != SQL_OK)
        return r;
    return sql_run(db,
                   "INSERT INTO recado_streams (id, tenant, channel, epoch, first_offset, "
                   "last_offset, chunks, bytes, last_seq, skip_seq, far_seq, at) "
                   "VALUES (?, ?, ?, ?, ?, 0, 0, 0, 0, 0, 0, 0)",
                   values, 5, NULL, NULL);
}

/* One chunk out of the events that stand in body. */
static enum sql_result write_chunk(struct streams *s, struct stream *st, struct sql *db,
                                   uint64_t first, const struct store_event *last)
{
    struct stream_mark *m = &st->draft;
    uint64_t seq = s->next_seq++;
    uint64_t skip = m->chunks % SKIP_FAR == 0    ? m->far_seq
                    : m->chunks % SKIP_NEAR == 0 ? m->skip_seq
                                                 : 0;
    const struct sql_value values[] = {
        sql_int((int64_t)seq),          sql_int((int64_t)st->id),      sql_int((int64_t)first),
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

static enum sql_result write_events(struct streams *s, struct stream *st, struct sql *db)
{
    const struct store_append *a = st->first_append;
    enum sql_result r = SQL_OK;
    while (r == SQL_OK && a != NULL) {
        uint64_t first = a->event.offset;
        const struct store_event *last = NULL;
        buf_clear(&s->body);
        for (unsigned n = 0; a != NULL && n < CHUNK_EVENTS_MAX; n++, a = a->next) {
            if (last != NULL && s->body.len + a->event.data.n > CHUNK_BYTES_MAX)
                break;
            if (!chunk_put(&s->body, &a->event))
                return SQL_FAILED;
            last = &a->event;
        }
        r = write_chunk(s, st, db, first, last);
    }
    return r;
}

static enum sql_result write_stream(struct streams *s, struct stream *st, struct sql *db)
{
    st->draft = st->now;
    if (st->now.epoch != 0)
        return write_events(s, st, db);
    st->draft = (struct stream_mark){.epoch = st->first_append->epoch,
                                     .first = st->first_append->event.offset};
    enum sql_result r = insert_stream(st, db);
    return r == SQL_OK ? write_events(s, st, db) : r;
}

enum sql_result streams_batch_write(struct streams *s, struct sql *db)
{
    enum sql_result r = SQL_OK;
    for (struct stream *st = s->batch; r == SQL_OK && st != NULL; st = st->next_in_batch)
        r = write_stream(s, st, db);
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
    uint64_t first = st->now.first; // somebody may have trimmed it meanwhile
    s->uncounted += st->draft.chunks - st->now.chunks;
    st->now = st->draft;
    if (first > st->now.first)
        st->now.first = first;
    streams_mark_dirty(s, st);
}

void streams_batch_committed(struct streams *s, streams_each_fn *each, void *ctx)
{
    while (s->batch != NULL) {
        struct stream *st = s->batch;
        struct store_append *a = st->first_append;
        s->batch = st->next_in_batch;
        st->first_append = st->last_append = NULL;
        pthread_mutex_lock(&s->lock);
        stream_committed(s, st);
        pthread_mutex_unlock(&s->lock);
        while (a != NULL) {
            struct store_append *next = a->next;
            each(ctx, a);
            a = next;
        }
    }
}

/* ---- checkpoints ---- */

static enum sql_result update_stream(const struct stream *st, struct sql *db)
{
    const struct stream_mark *m = &st->now;
    const struct sql_value values[] = {
        sql_int((int64_t)m->first),    sql_int((int64_t)m->last),
        sql_int((int64_t)m->chunks),   sql_int((int64_t)m->bytes),
        sql_int((int64_t)m->last_seq), sql_int((int64_t)m->skip_seq),
        sql_int((int64_t)m->far_seq),  sql_int(m->at_ms),
        sql_int((int64_t)st->id),
    };
    return sql_run(db,
                   "UPDATE recado_streams SET first_offset = ?, last_offset = ?, chunks = ?, "
                   "bytes = ?, last_seq = ?, skip_seq = ?, far_seq = ?, at = ? WHERE id = ?",
                   values, 9, NULL, NULL);
}

enum sql_result streams_checkpoint(struct streams *s, struct sql *db)
{
    enum sql_result r = SQL_OK;
    pthread_mutex_lock(&s->lock); // trims from other threads wait; nothing else changes now
    for (struct stream *st = s->dirty; r == SQL_OK && st != NULL; st = st->next_dirty)
        r = update_stream(st, db);
    pthread_mutex_unlock(&s->lock);
    struct sql_value seq = sql_int((int64_t)s->next_seq - 1);
    if (r == SQL_OK)
        r = sql_run(db, "UPDATE recado_checkpoint SET seq = ?", &seq, 1, NULL, NULL);
    return r;
}

void streams_checkpoint_settle(struct streams *s, bool committed)
{
    if (!committed)
        return;
    pthread_mutex_lock(&s->lock);
    while (s->dirty != NULL) {
        struct stream *st = s->dirty;
        s->dirty = st->next_dirty;
        st->dirty = false;
    }
    s->checkpoint_seq = s->next_seq - 1;
    s->uncounted = 0;
    pthread_mutex_unlock(&s->lock);
}
