/*
 * conductor_council.c - who watches the council of each tenant, and the last task events of it.
 *
 * Always true with the lock free:
 *   I1. a council is in conductor.councils; its watchers are in its list and counted.
 *   I2. a record is its council's until either goes: then record->council is NULL, and the record
 *       goes when its tap is gone.
 *
 * The tap is opened by the first who needs it, on his loop: what he does next on that loop (follow
 * the channel, publish to it) comes to the channel's home behind it.
 */
#include "dialect/conductor_priv.h"

struct council_record {
    struct tap tap;
    struct conductor *conductor;
    struct council *council;              // NULL: nobody's any more
    struct publication *ring[RECENT_MAX]; // the oldest at head
    uint32_t head, count;
    uint64_t bytes;
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

static void record_heard(struct tap *t, struct publication *p)
{
    struct council_record *rec = container_of(t, struct council_record, tap);
    if (!str_starts(p->type, STR("task_")) || p->data.n > RECENT_MAX_BYTES)
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

static struct council_record *record_make(struct conductor *c, struct hub *hub, struct str tenant)
{
    struct council_record *rec = tenant.n <= NAME_BYTES_MAX ? calloc(1, sizeof(*rec)) : NULL;
    if (rec == NULL)
        return NULL;
    char *at = rec->tenant_at;
    rec->tenant = str_put(&at, tenant);
    rec->conductor = c;
    if (tap_open(&rec->tap, hub, rec->tenant, STR("gamification"), &record_kind))
        return rec;
    free(rec);
    return NULL;
}

/* ---- councils: under the lock ---- */

static struct council *council_find(struct conductor *c, struct str tenant)
{
    struct map_node *n = map_find(&c->councils, tenant);
    return n != NULL ? container_of(n, struct council, node) : NULL;
}

/* NULL: no memory, or too many tenants. */
static struct council *council_get(struct conductor *c, struct hub *hub, struct str tenant)
{
    struct council *cc = council_find(c, tenant);
    if (cc == NULL) {
        cc = calloc(1, sizeof(*cc) + tenant.n);
        if (cc == NULL)
            return NULL;
        char *at = cc->bytes;
        cc->node.key = str_put(&at, tenant);
        cc->conductor = c;
        list_init(&cc->watchers);
        if (!map_add(&c->councils, &cc->node)) {
            free(cc);
            return NULL;
        }
    }
    if (cc->record == NULL) {
        cc->record = record_make(c, hub, tenant);
        if (cc->record != NULL)
            cc->record->council = cc;
    }
    return cc;
}

static void council_settle(struct council *cc)
{
    struct council_record *rec = cc->record;
    if (cc->watcher_count > 0 || (rec != NULL && rec->count > 0))
        return;
    if (rec != NULL) {
        rec->council = NULL;
        tap_leave(&rec->tap);
    }
    map_remove(&cc->conductor->councils, &cc->node);
    free(cc);
}

/* ---- the verbs ---- */

void council_join(struct watcher *w)
{
    struct conductor *c = w->conductor;
    pthread_mutex_lock(&c->lock);
    w->council = council_get(c, w->ws.session.hub, w->ws.session.tenant);
    if (w->council != NULL) {
        list_add(&w->council->watchers, &w->link);
        w->council->watcher_count++;
    }
    pthread_mutex_unlock(&c->lock);
}

void council_leave(struct watcher *w)
{
    struct council *cc = w->council;
    if (cc == NULL)
        return;
    pthread_mutex_lock(&w->conductor->lock);
    w->council = NULL;
    list_remove(&w->link);
    cc->watcher_count--;
    council_settle(cc);
    pthread_mutex_unlock(&w->conductor->lock);
}

void council_listen(struct conductor *c, struct hub *hub, struct str tenant)
{
    pthread_mutex_lock(&c->lock);
    (void)council_get(c, hub, tenant);
    pthread_mutex_unlock(&c->lock);
}

uint32_t council_count(struct conductor *c, struct str tenant)
{
    pthread_mutex_lock(&c->lock);
    const struct council *cc = council_find(c, tenant);
    uint32_t count = cc != NULL ? cc->watcher_count : 0;
    pthread_mutex_unlock(&c->lock);
    return count;
}

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

/* ---- statistics ---- */

/* All of it, or the texts stay as they were. */
static bool watcher_write(const struct watcher *w, struct buf *ids, struct buf *topics)
{
    char id[UUID_TEXT];
    struct str text = {id, UUID_TEXT};
    size_t ids_n = ids->len, topics_n = topics->len;
    uuid_format(w->ws.session.client, id);
    if ((ids_n == 0 || (buf_add_char(ids, ',') && buf_add_char(topics, ','))) &&
        json_write_string(ids, text) && json_write_string(topics, text) &&
        buf_add_char(topics, ':') &&
        buf_add(topics, w->topics != NULL ? w->topics->raw : STR("[\"all\"]")))
        return true;
    ids->len = ids_n;
    topics->len = topics_n;
    return false;
}

/* Those that fit into one reply: the count is of all. */
static uint32_t watchers_write(struct watcher *w, struct buf *ids, struct buf *topics)
{
    pthread_mutex_lock(&w->conductor->lock);
    const struct council *cc = w->council;
    uint32_t count = cc != NULL ? cc->watcher_count : 1;
    if (cc == NULL) {
        (void)watcher_write(w, ids, topics);
    } else {
        list_each(it, &cc->watchers)
        {
            if (!watcher_write(container_of(it, struct watcher, link), ids, topics))
                break;
        }
    }
    pthread_mutex_unlock(&w->conductor->lock);
    return count;
}

bool council_stats_write(struct watcher *w, struct buf *out)
{
    struct buf ids, topics;
    size_t room = w->ws.endpoint->ws.out_max_bytes / 2;
    buf_init(&ids, room / 3);
    buf_init(&topics, room * 2 / 3);
    uint32_t count = watchers_write(w, &ids, &topics);
    bool ok = buf_add(out, STR("{\"active_connections\":")) && buf_add_u64(out, count) &&
              buf_add(out, STR(",\"clients\":[")) && buf_add(out, buf_str(&ids)) &&
              buf_add(out, STR("],\"subscriptions\":{")) && buf_add(out, buf_str(&topics)) &&
              buf_add(out, STR("}}"));
    buf_fini(&ids);
    buf_fini(&topics);
    return ok;
}

/* ---- the end ---- */

void councils_drop(struct conductor *c)
{
    struct map_node *next;
    for (struct map_node *n = map_first(&c->councils); n != NULL; n = next) {
        struct council *cc = container_of(n, struct council, node);
        next = map_next(&c->councils, n);
        map_remove(&c->councils, n);
        if (cc->record != NULL)
            record_free(cc->record);
        free(cc);
    }
    map_fini(&c->councils);
}
