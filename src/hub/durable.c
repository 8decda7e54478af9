/*
 * durable.c - channels whose streams are kept by the store.
 *
 * Memory holds the newest publications, and always those that the store does not have yet; what is
 * older is read from there. So an answer is put together from the two without a gap: the store's
 * part ends at or behind the place where memory's begins.
 *
 * Always true between two calls:
 *   D1. stored <= offset, and every publication behind stored is in the history.
 *   D2. what is delivered is handed to the store in the same call: no offset is left out there.
 *   D3. a publish is acknowledged when its commit was, unless the namespace says ack: memory; one
 *       that repeats another, when the other's was.
 */
#include "hub/priv.h"

enum { MEMORY_COUNT_MAX = 1000, MEMORY_BYTES_MAX = 1 << 20 };

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

/* Where this stream stands in the store; false: the store knows none, or one of another epoch. */
static bool position_of(const struct channel *ch, struct store_position *ret)
{
    return store_stream_find(ch->hub->node->store, ch->node.key, ret) && ret->epoch == ch->epoch;
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

bool durable_leads(const struct channel *ch, struct position from)
{
    struct store_position at;
    return is_durable(ch->hub, channel_policy(ch)) && position_of(ch, &at) &&
           store_stream_leads(ch->hub->node->store, ch->node.key, from.epoch, from.offset);
}

uint64_t durable_first(const struct channel *ch, const struct channel_options *o)
{
    struct store_position at = {0};
    uint64_t first = ch->offset + 1;
    if (ch->history.count > 0)
        first = history_at(&ch->history, 0)->offset;
    if (position_of(ch, &at) && at.first <= at.last && at.first < first)
        first = at.first;
    if (ch->offset >= o->history_count && first < ch->offset + 1 - o->history_count)
        first = ch->offset + 1 - o->history_count; // the store drops what is too much in its time
    return first;
}

static const char *refusal_of(enum store_health health)
{
    switch (health) {
    case STORE_OK:
        break;
    case STORE_DISK_FULL:
        return "the store's disk is full";
    case STORE_BUSY:
        return "the store is slower than what is published: try again";
    case STORE_DOWN:
        return "the store cannot be reached";
    }
    return NULL;
}

static bool is_too_large(const struct publication *p)
{
    return p->data.n + p->type.n + p->tags.n + p->info.n + p->id.n > STORE_EVENT_BYTES_MAX;
}

const char *durable_refusal(struct hub *home, struct str key, const struct publication *p,
                            enum err *ret)
{
    const struct channel *ch = channel_find(home, key);
    const char *why = refusal_of(store_health(home->node->store));
    *ret = ERR_NOT_STORED;
    if (why != NULL)
        return why;
    *ret = ERR_BAD_REQUEST;
    if (is_too_large(p))
        return "it is too large to be stored";
    if (ch != NULL && ch->stored > 0)
        return NULL; // the store knows the stream
    switch (store_stream_reserve(home->node->store, key)) {
    case STORE_ROOM:
        break;
    case STORE_ROOM_NAME:
        return "the tenant or channel is too long to be stored, or not UTF-8";
    case STORE_ROOM_STREAMS:
        *ret = ERR_LIMIT_EXCEEDED;
        return "the store has no room for another stream";
    }
    return NULL;
}

/* ---- to the store ---- */

struct durable_append {
    struct store_append append;
    struct hub *home;
    struct publication *publication;
    struct request *request; // NULL: nobody waits
    char key[];
};

static void say_not_stored(struct request *r)
{
    r->answer.err = ERR_NOT_STORED;
    r->answer.why = "it was delivered, but could not be stored yet";
}

/* Those who wait for what is stored now; or, when it failed, for this one. */
static void waiters_resume(struct channel *ch, uint64_t offset, bool stored)
{
    struct request **at = &ch->waiters, *resumed = NULL;
    while (*at != NULL) {
        struct request *r = *at;
        if (stored ? r->waits_for > offset : r->waits_for != offset) {
            at = &r->next_waiter;
            continue;
        }
        *at = r->next_waiter;
        r->next_waiter = resumed;
        resumed = r;
    }
    for (struct request *r = resumed, *next; r != NULL; r = next) {
        next = r->next_waiter;
        if (!stored)
            say_not_stored(r);
        request_resume(r);
    }
}

void durable_wait(struct channel *ch, uint64_t offset, struct request *r)
{
    if (offset <= ch->stored)
        return;
    r->waits_for = offset;
    r->next_waiter = ch->waiters;
    ch->waiters = r;
    r->parked = true;
}

static struct channel *channel_of(const struct store_append *a)
{
    const struct durable_append *d = container_of(a, struct durable_append, append);
    struct channel *ch = channel_find(d->home, a->key);
    return ch != NULL && ch->epoch == a->epoch ? ch : NULL;
}

static void append_done(struct store_append *a)
{
    struct durable_append *d = container_of(a, struct durable_append, append);
    struct request *r = d->request;
    if (r != NULL) {
        if (a->result != SQL_OK)
            say_not_stored(r);
        request_resume(r);
    }
    struct channel *ch = a->result != SQL_OK ? channel_of(a) : NULL;
    if (ch != NULL)
        waiters_resume(ch, a->event.offset, false);
}

/* What nobody will write any more need not be kept for it either. */
static void append_released(struct store_append *a)
{
    struct durable_append *d = container_of(a, struct durable_append, append);
    struct channel *ch = channel_of(a);
    if (ch != NULL && ch->stored < a->event.offset) {
        ch->stored = a->event.offset;
        ch->history.keep_from = ch->stored + 1;
        waiters_resume(ch, ch->stored, true);
    }
    publication_unref(d->publication);
    pool_free(d);
}

struct durable_append *durable_prepare(struct hub *home, struct str key, struct publication *p)
{
    struct durable_append *d = pool_alloc(sizeof(*d) + key.n);
    if (d == NULL)
        return NULL;
    memcpy(d->key, key.p, key.n);
    d->home = home;
    d->publication = publication_ref(p);
    d->request = NULL;
    d->append = (struct store_append){
        .loop = home->loop,
        .key = {d->key, key.n},
        .done = append_done,
        .released = append_released,
    };
    return d;
}

void durable_unprepare(struct durable_append *d)
{
    publication_unref(d->publication);
    pool_free(d);
}

void durable_append(struct durable_append *d, struct channel *ch, struct request *r)
{
    const struct publication *p = d->publication;
    d->request = r;
    d->append.epoch = p->epoch;
    d->append.event =
        (struct store_event){p->offset, p->time_ms, p->type, p->data, p->tags, p->info, p->id};
    if (ch->history.keep_from == 0)
        ch->history.keep_from = ch->stored + 1;
    if (r != NULL)
        r->parked = true;
    store_append(ch->hub->node->store, &d->append);
}

/* ---- forgetting ---- */

struct durable_trim {
    struct store_trim trim;
    struct request *request;
};

static void trim_done(struct store_job *j)
{
    struct store_trim *trim = container_of(j, struct store_trim, job);
    struct durable_trim *d = container_of(trim, struct durable_trim, trim);
    struct request *r = d->request;
    if (j->result != SQL_OK) {
        r->answer.err = ERR_NOT_STORED;
        r->answer.why = "the store could not be told to forget it";
    }
    pool_free(d);
    request_resume(r);
}

void durable_trim(struct channel *ch, struct request *r)
{
    struct durable_trim *d = pool_alloc(sizeof(*d));
    if (d == NULL) {
        r->answer.err = ERR_INTERNAL;
        return;
    }
    *d = (struct durable_trim){
        .trim = {.job = {.loop = ch->hub->loop, .done = trim_done},
                 .key = r->key,
                 .up_to = ch->offset},
        .request = r,
    };
    r->parked = true;
    store_stream_trim(ch->hub->node->store, &d->trim);
}

/* ---- and back ---- */

/* The newest: who comes back in the same moment finds one of these, and a crowd whose places all
 * differ does not look through each other's. */
enum { FETCHES_LOOKED_AT = 64 };

/* One way to the store for all who ask for the same meanwhile: after a break, thousands do. */
struct durable_fetch {
    struct store_read read;       // its key is the first request's
    struct request *first, **end; // by next_waiter
    struct channel *channel;      // NULL: gone
    struct durable_fetch *next;   // in channel.fetches, an older one
    struct durable_fetch **at;    // what points to this one there
    struct hub *home;
    struct publication **pubs;
    size_t pub_count;
};

static struct publication *publication_of(const struct durable_fetch *f,
                                          const struct store_event *e)
{
    struct publication *p = publication_make(&(struct publication_parts){
        .kind = EVENT_PUBLICATION,
        .tenant = key_tenant(f->read.key),
        .channel = key_name(f->read.key),
        .type = e->type,
        .data = e->data,
        .tags = e->tags,
        .info = e->info,
        .id = e->id,
        .time_ms = e->time_ms,
    });
    if (p != NULL) {
        p->offset = e->offset;
        p->epoch = f->read.epoch;
    }
    return p;
}

static bool take_events(struct durable_fetch *f)
{
    const struct store_read *read = &f->read;
    if (read->result != SQL_OK)
        return false;
    f->pubs = read->event_count > 0 ? pool_alloc(read->event_count * sizeof(f->pubs[0])) : NULL;
    for (size_t i = 0; f->pubs != NULL && i < read->event_count; i++) {
        f->pubs[i] = publication_of(f, &read->events[i]);
        if (f->pubs[i] == NULL)
            return false;
        f->pub_count++;
    }
    return read->event_count == 0 || f->pubs != NULL;
}

static bool share_events(const struct durable_fetch *f, struct request *r)
{
    if (f->pub_count == 0)
        return true;
    if (r->pub_count > 0 && r->pubs[r->pub_count - 1]->offset + 1 != f->pubs[0]->offset)
        request_forget_pubs(r);
    struct publication **all = pool_alloc((r->pub_count + f->pub_count) * sizeof(all[0]));
    if (all == NULL)
        return false;
    if (r->pub_count > 0)
        memcpy(all, r->pubs, r->pub_count * sizeof(all[0]));
    pool_free(r->pubs);
    r->pubs = all;
    for (size_t i = 0; i < f->pub_count; i++)
        r->pubs[r->pub_count++] = publication_ref(f->pubs[i]);
    return true;
}

static void fetch_leave(struct durable_fetch *f)
{
    *f->at = f->next;
    if (f->next != NULL)
        f->next->at = f->at;
}

static void fetch_enter(struct durable_fetch *f)
{
    f->next = f->channel->fetches;
    f->at = &f->channel->fetches;
    if (f->next != NULL)
        f->next->at = &f->next;
    f->channel->fetches = f;
}

static void fetch_free(struct durable_fetch *f)
{
    for (size_t i = 0; i < f->pub_count; i++)
        publication_unref(f->pubs[i]);
    pool_free(f->pubs);
    pool_free(f);
}

static void fetch_done(struct store_read *read)
{
    struct durable_fetch *f = container_of(read, struct durable_fetch, read);
    bool ok = take_events(f);
    if (f->channel != NULL)
        fetch_leave(f);
    for (struct request *r = f->first, *next; r != NULL; r = next) {
        next = r->next_waiter;
        r->fetched = true;
        r->cut = f->read.cut;
        r->parked = false;
        if (ok && share_events(f, r)) {
            r->run(r, f->home);
        } else {
            r->answer.err = ERR_NOT_STORED;
            r->answer.why = "the store could not be read";
        }
        if (!r->parked)
            request_resume(r);
    }
    fetch_free(f);
}

void durable_orphan_fetches(struct channel *ch)
{
    for (struct durable_fetch *f = ch->fetches; f != NULL; f = f->next)
        f->channel = NULL;
    ch->fetches = NULL;
}

static void fetch_join(struct durable_fetch *f, struct request *r)
{
    r->parked = true;
    r->next_waiter = NULL;
    *f->end = r;
    f->end = &r->next_waiter;
}

void durable_fetch(struct request *r, struct channel *ch, uint64_t after, uint64_t until,
                   struct recover_limits most, bool newest)
{
    struct durable_fetch *f = ch->fetches;
    for (unsigned n = 0; f != NULL && n < FETCHES_LOOKED_AT; f = f->next, n++) {
        const struct store_read *read = &f->read;
        if (read->epoch == ch->epoch && read->after == after && read->until == until &&
            read->limit == most.count && read->bytes_max == most.bytes && read->newest == newest) {
            fetch_join(f, r);
            return;
        }
    }
    f = pool_alloc(sizeof(*f));
    if (f == NULL) {
        r->answer.err = ERR_INTERNAL;
        return;
    }
    *f = (struct durable_fetch){
        .read = {.loop = ch->hub->loop,
                 .key = r->key,
                 .epoch = ch->epoch,
                 .after = after,
                 .until = until,
                 .limit = most.count,
                 .bytes_max = most.bytes,
                 .newest = newest,
                 .done = fetch_done},
        .channel = ch,
        .home = ch->hub,
    };
    f->end = &f->first;
    fetch_enter(f);
    fetch_join(f, r);
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
