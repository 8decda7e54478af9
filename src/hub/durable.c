/*
 * durable.c - channels whose streams are kept by the store.
 *
 * Memory holds the newest publications, and always those that the store does not have yet; what is
 * older is read from there. So an answer is put together from the two without a gap: the store's
 * part ends at or behind the place where memory's begins.
 *
 * Always true between two calls:
 *   D1. stored <= offset, and every publication behind stored is in the history.
 *   D2. a publish is acknowledged when its commit was, unless the namespace says ack: memory.
 */
#include "hub/priv.h"

enum { MEMORY_COUNT_MAX = 1000, MEMORY_BYTES_MAX = 1 << 20, FETCH_BYTES_MAX = 4 << 20 };

struct channel_options memory_options(const struct hub *home, const struct channel_options *o)
{
    struct channel_options kept = *o;
    if (!is_durable(home, o))
        return kept;
    if (kept.history_count > MEMORY_COUNT_MAX)
        kept.history_count = MEMORY_COUNT_MAX;
    if (kept.history_bytes == 0 || kept.history_bytes > MEMORY_BYTES_MAX)
        kept.history_bytes = MEMORY_BYTES_MAX;
    return kept;
}

void durable_restore(struct channel *ch)
{
    struct store_position at;
    if (!is_durable(ch->hub, channel_policy(ch)) ||
        !store_stream_find(ch->hub->node->store, ch->node.key, &at) || at.epoch == 0)
        return;
    ch->epoch = at.epoch;
    ch->offset = ch->stored = at.last;
    ch->history.keep_from = ch->stored + 1;
}

uint64_t durable_first(const struct channel *ch, const struct channel_options *o)
{
    struct store_position at = {0};
    uint64_t first = ch->offset + 1;
    if (ch->history.count > 0)
        first = history_at(&ch->history, 0)->offset;
    if (store_stream_find(ch->hub->node->store, ch->node.key, &at) && at.first <= at.last &&
        at.first < first)
        first = at.first;
    if (ch->offset >= o->history_count && first < ch->offset + 1 - o->history_count)
        first = ch->offset + 1 - o->history_count; // the store drops what is too much in its time
    return first;
}

const char *durable_refusal(const struct hub *home)
{
    switch (store_health(home->node->store)) {
    case STORE_OK:
        return NULL;
    case STORE_DISK_FULL:
        return "the store's disk is full";
    case STORE_BUSY:
        return "the store is slower than what is published: try again";
    case STORE_DOWN:
        break;
    }
    return "the store cannot be reached";
}

/* ---- to the store ---- */

struct durable_append {
    struct store_append append;
    struct hub *home;
    struct publication *publication;
    struct request *request; // NULL: nobody waits
    char key[];
};

static void append_done(struct store_append *a)
{
    struct durable_append *d = container_of(a, struct durable_append, append);
    struct request *r = d->request;
    if (r == NULL)
        return;
    if (a->result != SQL_OK) {
        r->answer.err = ERR_NOT_STORED;
        r->answer.why = "it was delivered, but could not be stored yet";
    }
    request_resume(r);
}

static void append_released(struct store_append *a)
{
    struct durable_append *d = container_of(a, struct durable_append, append);
    struct channel *ch = channel_find(d->home, a->key);
    if (ch != NULL && ch->epoch == a->epoch && a->stored && ch->stored < a->event.offset) {
        ch->stored = a->event.offset;
        ch->history.keep_from = ch->stored + 1;
    }
    publication_unref(d->publication);
    pool_free(d);
}

bool durable_append(struct channel *ch, struct publication *p, struct request *r)
{
    struct str key = ch->node.key;
    struct durable_append *d = pool_alloc(sizeof(*d) + key.n);
    if (d == NULL)
        return false;
    memcpy(d->key, key.p, key.n);
    d->home = ch->hub;
    d->publication = publication_ref(p);
    d->request = r;
    d->append = (struct store_append){
        .loop = ch->hub->loop,
        .key = {d->key, key.n},
        .epoch = p->epoch,
        .event = {p->offset, p->time_ms, p->type, p->data, p->tags, p->info, p->id},
        .done = append_done,
        .released = append_released,
    };
    if (ch->history.keep_from == 0)
        ch->history.keep_from = 1;
    if (!store_append(ch->hub->node->store, &d->append)) {
        publication_unref(p);
        pool_free(d);
        return false;
    }
    if (r != NULL)
        r->parked = true;
    return true;
}

/* ---- and back ---- */

struct durable_fetch {
    struct store_read read;
    struct request *request;
    struct hub *home;
    uint32_t epoch;
};

static struct publication *publication_of(const struct durable_fetch *f,
                                          const struct store_event *e)
{
    struct str key = f->request->key;
    struct publication *p = publication_make(&(struct publication_parts){
        .kind = EVENT_PUBLICATION,
        .tenant = key_tenant(key),
        .channel = key_name(key),
        .type = e->type,
        .data = e->data,
        .tags = e->tags,
        .info = e->info,
        .id = e->id,
        .time_ms = e->time_ms,
    });
    if (p != NULL) {
        p->offset = e->offset;
        p->epoch = f->epoch;
    }
    return p;
}

static bool take_events(struct durable_fetch *f)
{
    struct request *r = f->request;
    const struct store_read *read = &f->read;
    r->pubs = read->event_count > 0 ? pool_alloc(read->event_count * sizeof(r->pubs[0])) : NULL;
    for (size_t i = 0; r->pubs != NULL && i < read->event_count; i++) {
        r->pubs[i] = publication_of(f, &read->events[i]);
        if (r->pubs[i] == NULL)
            return false;
        r->pub_count++;
    }
    return read->event_count == 0 || r->pubs != NULL;
}

static void fetch_done(struct store_read *read)
{
    struct durable_fetch *f = container_of(read, struct durable_fetch, read);
    struct request *r = f->request;
    struct hub *home = f->home;
    bool ok = read->result == SQL_OK && take_events(f);
    pool_free(f);
    r->fetched = true;
    r->parked = false;
    if (ok) {
        r->run(r, home);
    } else {
        r->answer.err = ERR_NOT_STORED;
        r->answer.why = "the store could not be read";
    }
    if (!r->parked)
        request_resume(r);
}

void durable_fetch(struct request *r, struct channel *ch, uint64_t after, uint64_t until,
                   uint32_t limit, bool newest)
{
    struct durable_fetch *f = pool_alloc(sizeof(*f));
    if (f == NULL) {
        r->answer.err = ERR_INTERNAL;
        return;
    }
    *f = (struct durable_fetch){
        .read = {.loop = ch->hub->loop,
                 .key = r->key,
                 .after = after,
                 .until = until,
                 .limit = limit,
                 .bytes_max = FETCH_BYTES_MAX,
                 .newest = newest,
                 .done = fetch_done},
        .request = r,
        .home = ch->hub,
        .epoch = ch->epoch,
    };
    r->parked = true;
    store_read(ch->hub->node->store, &f->read);
}

void durable_extend(struct request *r, const struct channel *ch, uint64_t until, uint32_t limit)
{
    const struct history *h = &ch->history;
    uint64_t next = r->pub_count > 0 ? r->pubs[r->pub_count - 1]->offset + 1 : 0;
    if (next == 0 || h->count == 0 || history_at(h, 0)->offset > next)
        return;
    uint32_t from = (uint32_t)(next - history_at(h, 0)->offset);
    size_t most = from < h->count ? h->count - from : 0;
    struct publication **more = pool_alloc((r->pub_count + most + 1) * sizeof(more[0]));
    if (more == NULL)
        return;
    memcpy(more, r->pubs, r->pub_count * sizeof(more[0]));
    pool_free(r->pubs);
    r->pubs = more;
    for (uint32_t i = from; i < h->count && r->pub_count < limit; i++) {
        struct publication *p = history_at(h, i);
        if (p->offset > until)
            break;
        r->pubs[r->pub_count++] = publication_ref(p);
    }
}
