/*
 * channel.c - a named stream of events, on its home loop.
 *
 * Why it exists: fan-out and history must agree on one order. Everything that gives a publication
 * its place in that order happens in this file and nowhere else.
 *
 * Always true between two calls:
 *   I1. offset only grows; it restarts only together with a new epoch.
 *   I2. the history holds the newest publications up to offset, without a gap.
 *   I3. bit i of loops is set if and only if loop_counts[i] > 0; their sum is subscriber_count.
 *   I4. a channel with nothing to remember and nobody following is not in hub->channels.
 */
#include "hub/priv.h"

#include "base/random.h"

struct channel *channel_find(struct hub *home, struct str key)
{
    struct map_node *n = map_find(&home->channels, key);
    return n != NULL ? container_of(n, struct channel, node) : NULL;
}

const struct channel_options *channel_policy(const struct channel *ch)
{
    return policy_of(hub_rules(ch->hub), key_name(ch->node.key));
}

static void channel_expiry_fired(struct timer *t);

/* The same name gets the same epoch again unless a stream with publications has been forgotten
 * since: a channel that was only ever listened to may be forgotten without harm to those who come
 * back to it. */
static uint32_t epoch_make(const struct hub *home, struct str key)
{
    uint64_t h = str_hash(key, home->node->seed + 1 + home->forgotten_streams);
    uint32_t e = (uint32_t)(h ^ (h >> 32));
    return e != 0 ? e : 1;
}

struct channel *channel_get(struct hub *home, struct str key)
{
    struct channel *ch = channel_find(home, key);
    if (ch != NULL)
        return ch;
    if (home->channels.count >= hub_rules(home)->channels_max / home->node->count + 1)
        return NULL;
    ch = calloc(1, sizeof(*ch));
    char *copy = key_copy(key);
    if (ch == NULL || copy == NULL)
        goto fail;
    ch->hub = home;
    ch->epoch = epoch_make(home, key);
    ch->node.key = (struct str){copy, key.n};
    timer_init(&ch->expiry, channel_expiry_fired);
    list_init(&ch->records);
    if (!map_add(&home->channels, &ch->node))
        goto fail;
    durable_restore(ch);
    count_up(&home->counters.channels, 1);
    return ch;
fail:
    free(copy);
    free(ch);
    return NULL;
}

/* Durable, and nothing of it is on its way to the store. */
static bool is_stored(const struct channel *ch)
{
    return is_durable(ch->hub, channel_policy(ch)) && ch->stored == ch->offset && ch->offset > 0;
}

void channel_destroy(struct channel *ch)
{
    MUST(ch->waiters == NULL);
    durable_orphan_fetches(ch);
    channel_drop_records(ch);
    ch->hub->forgotten_streams += ch->offset > 0 && !is_stored(ch);
    timer_cancel(&ch->expiry);
    history_clear(&ch->history);
    if (ch->presence != NULL)
        presence_fini(ch->presence);
    free(ch->presence);
    idempotency_destroy(&ch->idempotency);
    map_remove(&ch->hub->channels, &ch->node);
    count_down(&ch->hub->counters.channels, 1);
    free((void *)(uintptr_t)ch->node.key.p);
    free(ch->loop_counts);
    free(ch);
}

/* ---- what goes by itself ---- */

static void presence_expire(struct channel *ch, uint64_t now_ms)
{
    uint64_t grace_ms = hub_rules(ch->hub)->presence_grace_ms;
    list_each_safe(it, &ch->presence->all)
    {
        struct present *m = container_of(it, struct present, link);
        if (m->gone_at_ms == 0 || m->gone_at_ms + grace_ms > now_ms)
            continue;
        channel_announce(ch, EVENT_LEAVE, m);
        presence_remove(ch->presence, m);
    }
}

static uint64_t sooner(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* When something of it has to be looked at, if all of it were from now on; UINT64_MAX: never. */
static uint64_t channel_next_look_ms(const struct channel *ch)
{
    const struct policy *policy = hub_rules(ch->hub);
    uint64_t in_ms = UINT64_MAX;
    if (ch->offset > 0 && ch->subscriber_count == 0)
        in_ms = policy->epoch_idle_ms;
    if (ch->history.count > 0) {
        uint64_t ttl_ms = channel_policy(ch)->history_ttl_ms;
        in_ms = sooner(in_ms, ttl_ms > 0 ? ttl_ms : UINT64_MAX);
    }
    if (ch->presence != NULL && !list_empty(&ch->presence->gone))
        in_ms = sooner(in_ms, policy->presence_grace_ms);
    if (ch->idempotency != NULL)
        in_ms = sooner(in_ms, policy->idempotency_ttl_ms);
    return in_ms;
}

static bool channel_is_forgettable(const struct channel *ch)
{
    if (ch->subscriber_count > 0 || ch->history.count > 0 || ch->offset > 0 || ch->record_count > 0)
        return false;
    return ch->presence == NULL || presence_client_count(ch->presence) == 0;
}

/* Looked at in in_ms at the latest; an earlier look that was asked for stays. */
static void channel_look_in(struct channel *ch, uint64_t in_ms)
{
    uint64_t now_ms = loop_now_ms(ch->hub->loop);
    uint64_t at_ms = in_ms < UINT64_MAX - now_ms ? now_ms + in_ms + 1 : UINT64_MAX;
    if (at_ms == UINT64_MAX || (timer_armed(&ch->expiry) && ch->look_ms <= at_ms))
        return;
    ch->look_ms = at_ms;
    timer_arm(ch->hub->loop, &ch->expiry, at_ms - now_ms);
}

void channel_settle(struct channel *ch)
{
    ch->active_ms = loop_now_ms(ch->hub->loop);
    if (channel_is_forgettable(ch) && ch->idempotency == NULL) {
        channel_destroy(ch);
        return;
    }
    channel_look_in(ch, channel_next_look_ms(ch));
}

/* Those who left before this look are due before a full grace from now. */
static void channel_look_for_gone(struct channel *ch)
{
    uint64_t now_ms = loop_now_ms(ch->hub->loop);
    uint64_t gone_ms = ch->presence != NULL ? presence_first_gone_ms(ch->presence) : 0;
    if (gone_ms == 0)
        return;
    uint64_t due_ms = gone_ms + hub_rules(ch->hub)->presence_grace_ms;
    channel_look_in(ch, due_ms > now_ms ? due_ms - now_ms : 0);
}

static void channel_expiry_fired(struct timer *t)
{
    struct channel *ch = container_of(t, struct channel, expiry);
    struct loop *l = ch->hub->loop;
    struct channel_options o = memory_options(ch->hub, channel_policy(ch));
    history_trim(&ch->history, &o, loop_wall_ms(l));
    if (ch->presence != NULL)
        presence_expire(ch, loop_now_ms(l));
    bool keys_gone = idempotency_expire(ch);
    bool idle = ch->active_ms + hub_rules(ch->hub)->epoch_idle_ms <= loop_now_ms(l);
    if (idle && ch->subscriber_count == 0 && is_stored(ch))
        history_clear(&ch->history); // whoever asks for it is answered by the store
    bool quiet = ch->subscriber_count == 0 && ch->history.count == 0 && ch->record_count == 0 &&
                 (idle || ch->offset == 0);
    quiet &= is_stored(ch) || !is_durable(ch->hub, channel_policy(ch)) || ch->offset == 0;
    if (quiet && keys_gone && (ch->presence == NULL || presence_client_count(ch->presence) == 0)) {
        channel_destroy(ch); // the next stream of this name has another epoch
        return;
    }
    channel_look_in(ch, channel_next_look_ms(ch));
    channel_look_for_gone(ch);
}

/* ---- publishing ---- */

struct delivery {
    struct mail mail;
    struct hub *hub;
    struct publication *publication;
};

static void delivery_arrived(struct mail *m, struct loop *l)
{
    struct delivery *d = container_of(m, struct delivery, mail);
    (void)l;
    hub_deliver(d->hub, d->publication);
    publication_unref(d->publication);
    pool_free(d);
}

static void post_delivery(struct hub *to, struct publication *p)
{
    struct delivery *d = pool_alloc(sizeof(*d));
    MUST(d != NULL); // a loop that misses one publication would break the order it promised
    *d = (struct delivery){.mail.deliver = delivery_arrived, .hub = to};
    d->publication = publication_ref(p);
    loop_post(to->loop, &d->mail);
}

static uint64_t pattern_loops(struct hub *home, struct str key)
{
    struct map_node *n = map_find(&home->patterns, key);
    return n != NULL ? container_of(n, struct pattern, node)->loops : 0;
}

static uint64_t loops_of_patterns(struct hub *home, const struct publication *p)
{
    struct str ns = channel_namespace(p->channel);
    uint64_t loops = pattern_loops(home, hub_key(home, p->tenant, STR("*")));
    if (ns.n > 0)
        loops |= pattern_loops(home, hub_namespace_key(home, p->tenant, ns));
    return loops;
}

static void spread(struct hub *home, uint64_t loops, struct publication *p)
{
    if (home->patterns.count > 0 && p->kind == EVENT_PUBLICATION)
        loops |= loops_of_patterns(home, p);
    unsigned own = loop_index(home->loop);
    while (loops != 0) {
        unsigned i = (unsigned)__builtin_ctzll(loops);
        loops &= loops - 1;
        if (i != own)
            post_delivery(home->node->hubs[i], p);
        else
            hub_deliver(home, p);
    }
    if (home->node->witness != NULL && p->kind == EVENT_PUBLICATION)
        home->node->witness(home->node->witness_ctx, home, p);
}

void channel_send(struct channel *ch, struct publication *p)
{
    spread(ch->hub, ch->loops, p);
}

/* Nothing is kept of it: no channel is needed to send it on. */
static bool passes_through(const struct channel *ch, const struct channel_options *o,
                           struct str idempotency_key)
{
    return ch == NULL && o->history_count == 0 && idempotency_key.n == 0;
}

enum err channel_publish(struct hub *home, struct str key, struct publication *p,
                         struct str idempotency_key, bool skip_history, struct answer *ret)
{
    const struct channel_options *o = policy_of(hub_rules(home), key_name(key));
    struct channel *ch = channel_find(home, key);
    if (passes_through(ch, o, idempotency_key)) {
        spread(home, 0, p);
        return ERR_OK;
    }
    if (ch == NULL && (ch = channel_get(home, key)) == NULL)
        return ERR_LIMIT_EXCEEDED;
    if (idempotency_key.n > 0 && idempotency_find(ch, idempotency_key, &ret->position)) {
        ret->duplicate = true;
        count_up(&home->counters.duplicates, 1);
        return ERR_OK;
    }
    if (o->history_count > 0 && !skip_history) {
        p->offset = ch->offset + 1;
        p->epoch = ch->epoch;
        struct channel_options kept = memory_options(home, o);
        if (!history_add(&ch->history, p, &kept)) {
            p->offset = 0;
            return ERR_INTERNAL;
        }
        ch->offset++;
        ret->position = (struct position){ch->offset, ch->epoch};
    }
    if (idempotency_key.n > 0)
        idempotency_add(ch, idempotency_key, ret->position);
    spread(home, ch->loops, p);
    channel_settle(ch);
    return ERR_OK;
}

void channel_announce(struct channel *ch, enum publication_kind kind, const struct present *m)
{
    if (!channel_policy(ch)->join_leave)
        return;
    struct buf info;
    char client[UUID_TEXT];
    buf_init(&info, 1 << 20);
    uuid_format(m->client, client);
    bool ok = client_info_write(&info, (struct str){client, UUID_TEXT}, m->user, m->info,
                                m->channel_info);
    struct publication *p = NULL;
    if (ok) {
        p = publication_make(&(struct publication_parts){
            .kind = kind,
            .tenant = key_tenant(ch->node.key),
            .channel = key_name(ch->node.key),
            .info = buf_str(&info),
            .time_ms = loop_wall_ms(ch->hub->loop),
        });
    }
    buf_fini(&info);
    if (p == NULL)
        return;
    count_up(kind == EVENT_JOIN ? &ch->hub->counters.joins : &ch->hub->counters.leaves, 1);
    spread(ch->hub, ch->loops, p);
    publication_unref(p);
}

/* ---- reading back ---- */

struct publication **history_after(const struct channel *ch, uint64_t offset,
                                   struct recover_limits most, size_t *ret_count)
{
    const struct history *h = &ch->history;
    uint32_t first = 0;
    *ret_count = 0;
    if (h->count == 0 || offset >= ch->offset)
        return NULL;
    uint64_t oldest = history_at(h, 0)->offset;
    if (offset >= oldest)
        first = (uint32_t)(offset - oldest + 1);
    uint32_t room = h->count - first < most.count ? h->count - first : most.count;
    struct publication **pubs = pool_alloc(room * sizeof(struct publication *));
    if (pubs == NULL)
        return NULL;
    uint64_t bytes = 0;
    size_t n = 0;
    for (uint32_t i = first; i < h->count && n < most.count; i++) {
        struct publication *p = history_at(h, i);
        bytes += p->size;
        if (n > 0 && bytes > most.bytes)
            break;
        pubs[n++] = publication_ref(p);
    }
    *ret_count = n;
    return pubs;
}
