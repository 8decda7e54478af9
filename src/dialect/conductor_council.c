/*
 * conductor_council.c - who watches the council of each tenant.
 *
 * Always true with the lock free:
 *   I1. a council is in conductor.councils; its watchers are in its list and counted.
 *   I2. a record is its council's until either goes: then record->council is NULL, and the record
 *       goes when its tap is gone.
 */
#include "dialect/conductor_priv.h"

/* ---- councils: under the lock ---- */

struct council *council_find(struct conductor *c, struct str tenant)
{
    struct map_node *n = map_find(&c->councils, tenant);
    return n != NULL ? container_of(n, struct council, node) : NULL;
}

static void council_drop(struct council *cc)
{
    council_record_leave(cc->record);
    map_remove(&cc->conductor->councils, &cc->node);
    free(cc);
}

static void council_settle(struct council *cc)
{
    if (cc->watcher_count == 0 && !council_record_has_events(cc->record))
        council_drop(cc);
}

/* Where there are no tokens anybody names tenants. Those that nobody watches go when there are too
 * many; what they remember is told by their channel's history to whoever comes. */
static void councils_make_room(struct conductor *c)
{
    bool remembered = false;
    for (int pass = 0; pass < 2 && c->councils.count >= COUNCILS_MAX; pass++, remembered = true) {
        for (struct map_node *n = map_first(&c->councils), *next; n != NULL; n = next) {
            next = map_next(&c->councils, n);
            struct council *cc = container_of(n, struct council, node);
            if (cc->watcher_count == 0 && (remembered || !council_record_has_events(cc->record)))
                council_drop(cc);
        }
    }
}

/* NULL: no memory, or too many tenants. */
static struct council *council_get(struct conductor *c, struct hub *hub, struct str tenant)
{
    struct council *cc = council_find(c, tenant);
    if (cc == NULL) {
        councils_make_room(c);
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
    if (cc->record == NULL)
        cc->record = council_record_make(cc, hub);
    return cc;
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
    council_record_recall(c, w->ws.session.hub, w->ws.session.tenant, NULL, NULL);
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

void council_listen(struct conductor *c, struct hub *hub, struct str tenant, recalled_fn *done,
                    void *ctx)
{
    pthread_mutex_lock(&c->lock);
    (void)council_get(c, hub, tenant);
    pthread_mutex_unlock(&c->lock);
    council_record_recall(c, hub, tenant, done, ctx);
}

uint32_t council_count(struct conductor *c, struct str tenant)
{
    pthread_mutex_lock(&c->lock);
    const struct council *cc = council_find(c, tenant);
    uint32_t count = cc != NULL ? cc->watcher_count : 0;
    pthread_mutex_unlock(&c->lock);
    return count;
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
        council_record_drop(cc->record);
        free(cc);
    }
    map_fini(&c->councils);
}
