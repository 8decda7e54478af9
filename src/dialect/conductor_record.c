/*
 * conductor_record.c - the last task events of each tenant, for pages that ask what has been.
 *
 * Why it exists: socket events are not replayed, but this one list can be asked for. Whoever first
 * has to do with a tenant's council opens a tap, on his loop: what he does next on that loop
 * (follow the channel, publish to it, read its history) comes to the channel's home behind it. What
 * was published before is recalled once from the channel's history: it closes the gap, and what
 * comes by both ways is known by its address. What an earlier run of the server has heard is in the
 * ledger, and stands before all that.
 *
 * Always true with the lock free: the ring is in the channel's order.
 */
#include "dialect/conductor_priv.h"
#include "runs/ledger.h"

struct council_record {
    struct tap tap;
    struct conductor *conductor;
    struct council *council;              // NULL: nobody's any more
    struct publication *ring[RECENT_MAX]; // the oldest at head
    uint32_t head, count;
    uint64_t bytes;
    bool recalled; // what was before it has been asked for
    struct str tenant;
    char tenant_at[NAME_BYTES_MAX];
};

/* ---- the last task events ---- */

static void record_drop_oldest(struct council_record *rec)
{
    struct publication *p = rec->ring[rec->head];
    rec->head = (rec->head + 1) % RECENT_MAX;
    rec->count--;
    rec->bytes -= p->data.n;
    publication_unref(p);
}

static void record_free(struct council_record *rec)
{
    while (rec->count > 0)
        record_drop_oldest(rec);
    free(rec);
}

static bool is_kept(const struct publication *p)
{
    return str_starts(p->type, STR("task_")) && p->data.n <= RECENT_MAX_BYTES;
}

static void record_heard(struct tap *t, struct publication *p)
{
    struct council_record *rec = container_of(t, struct council_record, tap);
    if (!is_kept(p))
        return;
    pthread_mutex_lock(&rec->conductor->lock);
    while (rec->count == RECENT_MAX ||
           (rec->count > 0 && rec->bytes + p->data.n > RECENT_MAX_BYTES))
        record_drop_oldest(rec);
    rec->ring[(rec->head + rec->count++) % RECENT_MAX] = publication_ref(p);
    rec->bytes += p->data.n;
    pthread_mutex_unlock(&rec->conductor->lock);
}

static void record_gone(struct tap *t)
{
    struct council_record *rec = container_of(t, struct council_record, tap);
    struct conductor *c = rec->conductor;
    pthread_mutex_lock(&c->lock);
    if (rec->council != NULL)
        rec->council->record = NULL;
    pthread_mutex_unlock(&c->lock);
    record_free(rec);
}

static const struct tap_kind record_kind = {.heard = record_heard, .gone = record_gone};

struct council_record *council_record_make(struct council *cc, struct hub *hub)
{
    struct str tenant = cc->node.key;
    struct council_record *rec = tenant.n <= NAME_BYTES_MAX ? calloc(1, sizeof(*rec)) : NULL;
    if (rec == NULL)
        return NULL;
    char *at = rec->tenant_at;
    rec->tenant = str_put(&at, tenant);
    rec->conductor = cc->conductor;
    rec->council = cc;
    if (tap_open(&rec->tap, hub, rec->tenant, STR("gamification"), &record_kind))
        return rec;
    free(rec);
    return NULL;
}

bool council_record_has_events(const struct council_record *rec)
{
    return rec != NULL && rec->count > 0;
}

void council_record_leave(struct council_record *rec)
{
    if (rec == NULL)
        return;
    rec->council = NULL;
    tap_leave(&rec->tap);
}

void council_record_drop(struct council_record *rec)
{
    if (rec != NULL)
        record_free(rec);
}

/* ---- what was published before anybody listened ---- */

struct recall {
    struct run_query query;
    struct hub *hub;
    struct buf kept; // of the ledger, the newest first: struct kept and its strings
    struct conductor *conductor;
    recalled_fn *done; // NULL: nobody waits
    void *ctx;
    struct str tenant;
    char bytes[];
};

static bool record_has(const struct council_record *rec, const struct publication *p)
{
    for (uint32_t i = 0; i < rec->count; i++) {
        if (rec->ring[(rec->head + i) % RECENT_MAX] == p)
            return true;
    }
    return false;
}

/* Behind all that are older. Events without an offset stay where they are. */
static void record_insert(struct council_record *rec, struct publication *p)
{
    uint32_t at = 0;
    for (uint32_t i = 0; i < rec->count; i++) {
        const struct publication *other = rec->ring[(rec->head + i) % RECENT_MAX];
        if (other->epoch == p->epoch && other->offset > 0 && other->offset < p->offset)
            at = i + 1;
    }
    rec->head = (rec->head + RECENT_MAX - 1) % RECENT_MAX;
    for (uint32_t i = 0; i < at; i++)
        rec->ring[(rec->head + i) % RECENT_MAX] = rec->ring[(rec->head + i + 1) % RECENT_MAX];
    rec->ring[(rec->head + at) % RECENT_MAX] = publication_ref(p);
    rec->count++;
    rec->bytes += p->data.n;
}

/* From the newest on, as long as there is room. */
static void record_merge(struct council_record *rec, const struct answer *a)
{
    for (size_t i = 0; i < a->publication_count; i++) {
        struct publication *p = a->publications[i];
        if (!is_kept(p) || record_has(rec, p))
            continue;
        if (rec->count == RECENT_MAX || rec->bytes + p->data.n > RECENT_MAX_BYTES)
            return;
        record_insert(rec, p);
    }
}

/* One that the ledger has written down while the record heard it. */
static bool record_knows(const struct council_record *rec, const struct publication *p)
{
    for (uint32_t i = 0; i < rec->count; i++) {
        const struct publication *other = rec->ring[(rec->head + i) % RECENT_MAX];
        if (other->time_ms == p->time_ms && str_eq(other->type, p->type) &&
            str_eq(other->data, p->data))
            return true;
    }
    return false;
}

/* An older one than all that are there. False: there is no room for more. */
static bool record_add_older(struct council_record *rec, const struct publication_parts *parts)
{
    if (rec->count == RECENT_MAX || rec->bytes + parts->data.n > RECENT_MAX_BYTES)
        return false;
    struct publication *p = publication_make(parts);
    if (p == NULL)
        return false;
    int64_t oldest_ms = rec->count > 0 ? rec->ring[rec->head]->time_ms : INT64_MAX;
    if (p->time_ms <= oldest_ms && !record_knows(rec, p))
        record_insert(rec, p);
    publication_unref(p);
    return true;
}

/* How the store's thread hands them over: it makes no publications, whose memory would be its own.
 */
struct kept {
    int64_t time_ms;
    size_t type_n, data_n;
};

static void record_add_kept(struct council_record *rec, struct str rest)
{
    struct kept k;
    bool more = true;
    while (more && rest.n >= sizeof(k)) {
        memcpy(&k, rest.p, sizeof(k));
        rest = str_skip(rest, sizeof(k));
        struct publication_parts parts = {.kind = EVENT_PUBLICATION,
                                          .type = {rest.p, k.type_n},
                                          .data = {rest.p + k.type_n, k.data_n},
                                          .time_ms = k.time_ms};
        rest = str_skip(rest, k.type_n + k.data_n);
        more = record_add_older(rec, &parts);
    }
}

static void kept_found(struct run_query *q, struct str type, struct str data, int64_t time_ms)
{
    struct recall *rc = q->ctx;
    struct kept k = {time_ms, type.n, data.n};
    size_t before = rc->kept.len;
    if (!buf_add(&rc->kept, (struct str){(const char *)&k, sizeof(k)}) ||
        !buf_add(&rc->kept, type) || !buf_add(&rc->kept, data))
        rc->kept.len = before;
}

static void recall_end(struct recall *rc)
{
    struct conductor *c = rc->conductor;
    pthread_mutex_lock(&c->lock);
    const struct council *cc = council_find(c, rc->tenant);
    if (cc != NULL && cc->record != NULL && !cc->record->recalled) {
        record_add_kept(cc->record, buf_str(&rc->kept));
        cc->record->recalled = true;
    }
    pthread_mutex_unlock(&c->lock);
    if (rc->done != NULL)
        rc->done(rc->ctx);
    run_query_fini(&rc->query);
    buf_fini(&rc->kept);
    free(rc);
}

/* Without the store there is what there is. */
static void kept_answered(struct run_query *q, bool ok)
{
    (void)ok;
    recall_end(q->ctx);
}

static void recalled(void *ctx, const struct answer *a)
{
    struct recall *rc = ctx;
    struct conductor *c = rc->conductor;
    struct ledger *ledger = c->endpoint->ledger;
    pthread_mutex_lock(&c->lock);
    const struct council *cc = council_find(c, rc->tenant);
    if (cc != NULL && cc->record != NULL)
        record_merge(cc->record, a);
    pthread_mutex_unlock(&c->lock);
    if (ledger == NULL) {
        recall_end(rc);
        return;
    }
    run_filter_init(&rc->query.filter, rc->tenant);
    rc->query.wants = WANT_KEPT;
    rc->query.kept = kept_found;
    rc->query.done = kept_answered;
    rc->query.ctx = rc;
    run_query(ledger, hub_loop(rc->hub), &rc->query);
}

/* NULL: it has been done, or cannot be. */
static struct recall *recall_make(struct conductor *c, struct str tenant)
{
    pthread_mutex_lock(&c->lock);
    const struct council *cc = council_find(c, tenant);
    bool wanted = cc != NULL && cc->record != NULL && !cc->record->recalled;
    pthread_mutex_unlock(&c->lock);
    struct recall *rc = wanted ? calloc(1, sizeof(*rc) + tenant.n) : NULL;
    if (rc == NULL)
        return NULL;
    char *at = rc->bytes;
    rc->conductor = c;
    rc->tenant = str_put(&at, tenant);
    return rc;
}

void council_record_recall(struct conductor *c, struct hub *hub, struct str tenant,
                           recalled_fn *done, void *ctx)
{
    struct recall *rc = recall_make(c, tenant);
    if (rc == NULL) {
        if (done != NULL)
            done(ctx);
        return;
    }
    rc->hub = hub;
    buf_init(&rc->kept, 4 * RECENT_MAX_BYTES);
    rc->done = done;
    rc->ctx = ctx;
    hub_history(hub,
                &(struct history_params){
                    .tenant = tenant, .channel = STR("gamification"), .limit = -1, .reverse = true},
                recalled, rc);
}

/* ---- telling them ---- */

static bool recent_write(const struct publication *p, struct buf *out)
{
    struct json_writer w;
    json_writer_init(&w, out);
    json_open_object(&w);
    json_put_string(json_key(&w, STR("type")), p->type);
    json_put_raw(json_key(&w, STR("data")), p->data);
    json_put_i64(json_key(&w, STR("timestamp")), p->time_ms);
    json_close_object(&w);
    return json_done(&w);
}

uint32_t council_recent_write(struct conductor *c, struct str tenant, uint32_t most,
                              struct buf *out)
{
    uint32_t n = 0;
    pthread_mutex_lock(&c->lock);
    const struct council *cc = council_find(c, tenant);
    const struct council_record *rec = cc != NULL ? cc->record : NULL;
    for (uint32_t i = rec != NULL ? rec->count : 0; i > 0 && n < most; i--) {
        if (n > 0 && !buf_add_char(out, ','))
            break;
        if (!recent_write(rec->ring[(rec->head + i - 1) % RECENT_MAX], out))
            break;
        n++;
    }
    pthread_mutex_unlock(&c->lock);
    return n;
}
