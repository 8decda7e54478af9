/*
 * streams_read.c - events that are no longer in memory.
 *
 * The chunks of a stream are walked from the newest backwards: by far steps while they stay behind
 * the end of what is wanted, then by near ones, then one by one.
 */
#include "store/streams.h"

#include "base/must.h"

#include <stdlib.h>

struct chunk_row {
    uint64_t seq, first, last, prev, skip, bytes;
    bool found;
};

static bool take_row(void *ctx, const struct sql_value *row, size_t count)
{
    struct chunk_row *c = ctx;
    MUST(count == 5);
    c->first = (uint64_t)row[0].i;
    c->last = (uint64_t)row[1].i;
    c->prev = (uint64_t)row[2].i;
    c->skip = (uint64_t)row[3].i;
    c->bytes = (uint64_t)row[4].i;
    c->found = true;
    return true;
}

/* Not found: it was dropped, or never was. */
static enum sql_result row_of(struct sql *db, uint64_t seq, struct chunk_row *ret)
{
    struct sql_value value = sql_int((int64_t)seq);
    *ret = (struct chunk_row){.seq = seq};
    if (seq == 0)
        return SQL_OK;
    return sql_run(db,
                   "SELECT first_offset, last_offset, prev_seq, skip_seq, length(body) "
                   "FROM recado_chunks WHERE seq = ?",
                   &value, 1, take_row, ret);
}

/* The chunk with the event `until`, or the newest one before it. */
static enum sql_result seek(struct sql *db, uint64_t newest, uint64_t until, struct chunk_row *ret)
{
    struct chunk_row far;
    enum sql_result r = row_of(db, newest, ret);
    while (r == SQL_OK && ret->found && ret->first > until) {
        r = row_of(db, ret->skip, &far);
        if (r == SQL_OK && far.found && far.last >= until)
            *ret = far;
        else if (r == SQL_OK)
            r = row_of(db, ret->prev, ret);
    }
    return r;
}

/* ---- which chunks ---- */

struct range {
    uint64_t first, last; // offsets
};

/* Offsets grow by one, so what is wanted is known before anything is read. */
static struct range range_of(const struct store_read *r, const struct stream_mark *m)
{
    struct range g = {r->after + 1, r->until > 0 && r->until < m->last ? r->until : m->last};
    if (r->after >= g.last)
        return (struct range){1, 0};
    if (g.first < m->first)
        g.first = m->first;
    uint64_t count = g.last + 1 > g.first ? g.last + 1 - g.first : 0;
    if (r->limit > 0 && count > r->limit && r->newest)
        g.first = g.last + 1 - r->limit;
    else if (r->limit > 0 && count > r->limit)
        g.last = g.first + r->limit - 1;
    return g;
}

struct chunk_list {
    uint64_t *seqs; // newest first
    size_t count, cap;
};

static bool chunk_list_add(struct chunk_list *l, uint64_t seq)
{
    if (l->count == l->cap) {
        size_t cap = l->cap > 0 ? l->cap * 2 : 64;
        uint64_t *more = realloc(l->seqs, cap * sizeof(*more));
        if (more == NULL)
            return false;
        l->seqs = more;
        l->cap = cap;
    }
    l->seqs[l->count++] = seq;
    return true;
}

static enum sql_result chunks_of(struct sql *db, uint64_t newest, struct range g,
                                 const struct store_read *read, struct chunk_list *ret)
{
    struct chunk_row c;
    uint64_t bytes = 0;
    enum sql_result r = seek(db, newest, g.last, &c);
    while (r == SQL_OK && c.found && c.last >= g.first) {
        if (!chunk_list_add(ret, c.seq))
            return SQL_FAILED;
        bytes += c.bytes;
        bool enough = read->newest && read->bytes_max > 0 && bytes >= read->bytes_max;
        if (c.first <= g.first || enough)
            break;
        r = row_of(db, c.prev, &c);
    }
    return r;
}

/* ---- events out of chunks ---- */

struct reading {
    struct store_read *read;
    struct range range;
    size_t event_cap;
    bool damaged, full;
};

/* Strings are kept as places in r->made, which may still move. */
static struct str keep_string(struct reading *g, struct str s)
{
    struct buf *made = &g->read->made;
    uintptr_t at = made->len;
    if (!buf_add(made, s))
        g->full = true;
    return (struct str){(const char *)at, s.n};
}

static void event_keep(struct reading *g, const struct store_event *e)
{
    struct store_read *r = g->read;
    if (r->event_count > 0 && e->offset != r->events[r->event_count - 1].offset + 1) {
        r->event_count = 0; // something between them was dropped while this was read
        r->made.len = 0;
    }
    if (r->event_count == g->event_cap) {
        size_t cap = g->event_cap > 0 ? g->event_cap * 2 : 64;
        struct store_event *more = realloc(r->events, cap * sizeof(*more));
        g->full |= more == NULL;
        if (more == NULL)
            return;
        r->events = more;
        g->event_cap = cap;
    }
    struct store_event copy = *e;
    copy.type = keep_string(g, e->type);
    copy.data = keep_string(g, e->data);
    copy.tags = keep_string(g, e->tags);
    copy.info = keep_string(g, e->info);
    copy.id = keep_string(g, e->id);
    if (!g->full)
        r->events[r->event_count++] = copy;
}

static bool take_body(void *ctx, const struct sql_value *row, size_t count)
{
    struct reading *g = ctx;
    struct str body = row[0].s;
    struct store_event e;
    MUST(count == 1);
    while (body.n > 0 && !g->full) {
        if (!chunk_take(&body, &e)) {
            g->damaged = true;
            return false;
        }
        if (e.offset < g->range.first || e.offset > g->range.last)
            continue;
        if (g->read->event_count > 0 && g->read->bytes_max > 0 && !g->read->newest &&
            g->read->made.len + e.data.n > g->read->bytes_max) {
            g->read->cut = g->full = true;
            return false;
        }
        event_keep(g, &e);
    }
    return true;
}

static void strings_settle(struct store_read *r)
{
    for (size_t i = 0; i < r->event_count; i++) {
        struct store_event *e = &r->events[i];
        struct str *strings[] = {&e->type, &e->data, &e->tags, &e->info, &e->id};
        for (size_t k = 0; k < sizeof(strings) / sizeof(strings[0]); k++)
            strings[k]->p = r->made.p + (uintptr_t)strings[k]->p;
    }
}

static void read_begin(struct store_read *r)
{
    free(r->events);
    r->events = NULL;
    r->event_count = 0;
    r->cut = false;
    buf_clear(&r->made);
}

enum sql_result streams_read(struct streams *s, struct sql *db, struct store_read *read)
{
    struct chunk_list chunks = {0};
    struct stream_mark m = {0};
    read_begin(read);
    pthread_mutex_lock(&s->lock);
    const struct stream *st = streams_find(s, read->key);
    if (st != NULL && (read->epoch == 0 || read->epoch == st->now.epoch))
        m = st->now;
    pthread_mutex_unlock(&s->lock);
    struct reading g = {.read = read, .range = range_of(read, &m)};
    enum sql_result r = SQL_OK;
    if (g.range.first <= g.range.last)
        r = chunks_of(db, m.last_seq, g.range, read, &chunks);
    while (r == SQL_OK && !g.full && chunks.count > 0) {
        struct sql_value seq = sql_int((int64_t)chunks.seqs[--chunks.count]);
        r = sql_run(db, "SELECT body FROM recado_chunks WHERE seq = ?", &seq, 1, take_body, &g);
        if (g.damaged)
            r = SQL_CORRUPT;
    }
    free(chunks.seqs);
    strings_settle(read);
    return r;
}
