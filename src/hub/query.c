/*
 * query.c - the verbs that only ask: presence, history, channels, sessions.
 *
 * Strings and arrays of an answer are built in the request's buffer on the loop that knows them, as
 * offsets while the buffer may still move, and turned into pointers when it is complete.
 */
#include "hub/priv.h"

#include "base/random.h"

static void start_home(struct hub *hub, struct str tenant, struct str channel, size_t verb_size,
                       const void *verb, void (*run)(struct request *, struct hub *),
                       answer_fn *done, void *ctx)
{
    const char *why;
    if (!channel_name_ok(hub_rules(hub), channel, &why)) {
        answer_error(done, ctx, ERR_BAD_REQUEST, why);
        return;
    }
    if (!hub_key_ok(tenant, channel)) {
        answer_error(done, ctx, ERR_BAD_REQUEST, "tenant: too long or not a name");
        return;
    }
    struct request *r = request_make(hub, verb_size, hub_key(hub, tenant, channel));
    if (r == NULL) {
        answer_error(done, ctx, ERR_INTERNAL, "out of memory");
        return;
    }
    if (verb_size > 0)
        memcpy(r->verb, verb, verb_size);
    r->run = run;
    r->done = done;
    r->ctx = ctx;
    request_home(r);
}

/* Copies s into the answer; its place is kept as an offset until made_fix(). */
static bool made_add(struct request *r, struct str s, struct str *ret)
{
    *ret = (struct str){(const char *)(uintptr_t)r->made.len, s.n};
    return buf_add(&r->made, s);
}

static void made_fix(const struct request *r, struct str *s)
{
    s->p = r->made.p + (uintptr_t)s->p;
}

/* Zeroed room for count structs at the front of the answer. */
static bool made_array(struct request *r, size_t count, size_t size)
{
    size_t n = count * size;
    if (!buf_reserve(&r->made, n + 1))
        return false;
    memset(r->made.p, 0, n);
    r->made.len = n;
    return true;
}

/* ---- presence ---- */

static bool presence_copy(struct request *r, const struct presence *p)
{
    size_t i = 0, count = presence_client_count(p);
    if (!made_array(r, count, sizeof(struct presence_entry)))
        return false;
    list_each(it, &p->all)
    {
        const struct present *m = container_of(it, struct present, link);
        struct presence_entry e;
        uuid_format(m->client, e.client);
        if (!made_add(r, m->user, &e.user) || !made_add(r, m->info, &e.info) ||
            !made_add(r, m->channel_info, &e.channel_info))
            return false;
        ((struct presence_entry *)(void *)r->made.p)[i++] = e;
    }
    struct presence_entry *entries = (struct presence_entry *)(void *)r->made.p;
    for (i = 0; i < count; i++) {
        made_fix(r, &entries[i].user);
        made_fix(r, &entries[i].info);
        made_fix(r, &entries[i].channel_info);
    }
    r->answer.presence = entries;
    r->answer.presence_count = count;
    return true;
}

static const struct presence *presence_look(struct request *r, struct hub *home)
{
    const struct channel *ch = channel_find(home, r->key);
    if (!policy_of(hub_rules(home), key_name(r->key))->presence) {
        r->answer.err = ERR_NOT_AVAILABLE;
        r->answer.why = "the channel's namespace has no presence";
        return NULL;
    }
    if (ch == NULL || ch->presence == NULL)
        return NULL;
    r->answer.client_count = presence_client_count(ch->presence);
    r->answer.user_count = presence_user_count(ch->presence);
    return ch->presence;
}

static void presence_at_home(struct request *r, struct hub *home)
{
    const struct presence *p = presence_look(r, home);
    if (p != NULL && !presence_copy(r, p))
        r->answer.err = ERR_INTERNAL;
}

static void presence_stats_at_home(struct request *r, struct hub *home)
{
    presence_look(r, home);
}

void hub_presence(struct hub *hub, struct str tenant, struct str channel, answer_fn *done,
                  void *ctx)
{
    start_home(hub, tenant, channel, 0, NULL, presence_at_home, done, ctx);
}

void hub_presence_stats(struct hub *hub, struct str tenant, struct str channel, answer_fn *done,
                        void *ctx)
{
    start_home(hub, tenant, channel, 0, NULL, presence_stats_at_home, done, ctx);
}

/* ---- history ---- */

struct history_verb {
    int64_t limit;
    bool has_since, reverse;
    struct position since;
    unsigned fetches; // of the store, so far
    size_t had;       // publications before the last of them
};

/* Which part of the history [from, to) the verb means; indexes into it. */
static void history_range(const struct history_verb *v, const struct channel *ch, uint32_t *from,
                          uint32_t *to)
{
    const struct history *h = &ch->history;
    uint64_t oldest = h->count > 0 ? history_at(h, 0)->offset : 0;
    *from = 0;
    *to = h->count;
    if (v->has_since && h->count > 0) {
        uint64_t at = v->since.offset;
        if (v->reverse)
            *to = at <= oldest ? 0 : at - oldest < h->count ? (uint32_t)(at - oldest) : h->count;
        else
            *from = at < oldest                  ? 0
                    : at - oldest + 1 < h->count ? (uint32_t)(at - oldest + 1)
                                                 : h->count;
    }
    if (v->limit >= 0 && *to - *from > (uint64_t)v->limit) {
        if (v->reverse)
            *from = *to - (uint32_t)v->limit;
        else
            *to = *from + (uint32_t)v->limit;
    }
}

enum { HISTORY_FETCH_BYTES_MAX = 4 << 20, HISTORY_FETCHES_MAX = 8 };

static uint32_t history_limit(const struct history_verb *v)
{
    return v->limit < 0 || v->limit > UINT32_MAX ? UINT32_MAX : (uint32_t)v->limit;
}

/* The newest offset that the verb means. */
static uint64_t history_last(const struct request *r)
{
    const struct history_verb *v = r->verb;
    uint64_t last = r->answer.position.offset;
    if (v->has_since && v->reverse && v->since.offset <= last)
        last = v->since.offset > 0 ? v->since.offset - 1 : 0;
    return last;
}

static void history_fetch(struct request *r, struct channel *ch, uint64_t after,
                          struct recover_limits most, bool newest)
{
    struct history_verb *v = r->verb;
    v->fetches++;
    v->had = r->pub_count;
    durable_fetch(r, ch, after, history_last(r), most, newest);
}

/* False: all of it is in memory. */
static bool durable_history(struct request *r, struct channel *ch, const struct channel_options *o)
{
    const struct history_verb *v = r->verb;
    const struct history *h = &ch->history;
    uint64_t first = durable_first(ch, o), last = history_last(r);
    uint64_t memory_first = h->count > 0 ? history_at(h, 0)->offset : ch->offset + 1;
    if (v->has_since && !v->reverse && v->since.offset >= first)
        first = v->since.offset <= last ? v->since.offset + 1 : last + 1;
    uint32_t limit = history_limit(v);
    if (limit == 0 || first > last)
        return true; // only the position is asked for
    if (v->reverse && last - first >= limit)
        first = last + 1 - limit;
    if (first >= memory_first)
        return false;
    history_fetch(r, ch, first - 1, (struct recover_limits){limit, HISTORY_FETCH_BYTES_MAX},
                  v->reverse);
    return true;
}

static uint64_t bytes_of_pubs(const struct request *r)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < r->pub_count; i++) {
        const struct publication *p = r->pubs[i];
        bytes += p->type.n + p->data.n + p->tags.n + p->info.n + p->id.n;
    }
    return bytes;
}

static void reverse_pubs(struct request *r)
{
    for (size_t i = 0; i < r->pub_count / 2; i++) {
        struct publication *p = r->pubs[i];
        r->pubs[i] = r->pubs[r->pub_count - 1 - i];
        r->pubs[r->pub_count - 1 - i] = p;
    }
}

/* Behind what was read comes what is in memory; or, when that has gone on meanwhile, the rest is
 * read as well: up to the position at which the first read was begun. */
static void history_join(struct request *r, struct channel *ch)
{
    const struct history_verb *v = r->verb;
    uint64_t last = history_last(r), bytes = v->reverse ? 0 : bytes_of_pubs(r);
    uint32_t limit = history_limit(v);
    bool same = ch->epoch == r->answer.position.epoch;
    if (same)
        durable_extend(r, ch, last, limit);
    uint64_t end = r->pub_count > 0 ? r->pubs[r->pub_count - 1]->offset : 0;
    bool early = end > 0 && end < last && r->pub_count < limit &&
                 (v->reverse || (!r->cut && bytes < HISTORY_FETCH_BYTES_MAX));
    if (early && same && v->fetches < HISTORY_FETCHES_MAX) {
        history_fetch(r, ch, end,
                      (struct recover_limits){limit - (uint32_t)r->pub_count,
                                              HISTORY_FETCH_BYTES_MAX - bytes},
                      false);
        return;
    }
    if (early && last == r->answer.position.offset)
        r->answer.position.offset = end;
    if (v->reverse)
        reverse_pubs(r);
}

/* What is still being written is newer than everything: it belongs to the part that ends there. It
 * is not counted, so that pages of what is kept are as they would be without it. */
static void history_end(struct request *r, struct channel *ch)
{
    const struct history_verb *v = r->verb;
    uint64_t last = r->answer.position.offset;
    bool newest = v->reverse ? !v->has_since || v->since.offset > last
                             : r->pub_count == 0 || r->pubs[r->pub_count - 1]->offset == last;
    if (r->answer.err == ERR_OK && newest && v->limit != 0 && !records_show(r, ch, v->reverse))
        r->answer.err = ERR_INTERNAL;
    channel_settle(ch);
}

static void history_of_memory(struct request *r, const struct channel *ch)
{
    const struct history_verb *v = r->verb;
    uint32_t from, to;
    history_range(v, ch, &from, &to);
    if (to == from)
        return;
    r->pubs = pool_alloc((to - from) * sizeof(struct publication *));
    for (uint32_t i = 0; r->pubs != NULL && i < to - from; i++)
        r->pubs[r->pub_count++] =
            publication_ref(history_at(&ch->history, v->reverse ? to - 1 - i : from + i));
    if (r->pubs == NULL)
        r->answer.err = ERR_INTERNAL;
}

static void history_begin(struct request *r, struct channel *ch, const struct channel_options *o)
{
    const struct history_verb *v = r->verb;
    r->answer.position = (struct position){ch->offset, ch->epoch};
    if (v->has_since && v->since.epoch != 0 && v->since.epoch != ch->epoch &&
        !durable_leads(ch, v->since))
        r->answer.err = ERR_UNRECOVERABLE_POSITION;
    else if (!is_durable(ch->hub, o) || !durable_history(r, ch, o))
        history_of_memory(r, ch);
}

static void history_at_home(struct request *r, struct hub *home)
{
    const struct history_verb *v = r->verb;
    const struct channel_options *o = policy_of(hub_rules(home), key_name(r->key));
    if (o->history_count == 0) {
        r->answer.err = ERR_NOT_AVAILABLE;
        r->answer.why = "the channel's namespace keeps no history";
        return;
    }
    struct channel *ch = channel_get(home, r->key);
    if (ch == NULL) {
        r->answer.err = ERR_LIMIT_EXCEEDED;
        return;
    }
    struct channel_options kept = memory_options(home, o);
    history_trim(&ch->history, &kept, loop_wall_ms(home->loop));
    bool forgotten = r->fetched && r->pub_count == v->had; // before it was read
    if (r->fetched && (!forgotten || v->fetches == HISTORY_FETCHES_MAX)) {
        history_join(r, ch);
    } else {
        request_forget_pubs(r);
        history_begin(r, ch, o);
    }
    if (!r->parked)
        history_end(r, ch);
}

void hub_history(struct hub *hub, const struct history_params *p, answer_fn *done, void *ctx)
{
    struct history_verb v = {
        .limit = p->limit, .has_since = p->has_since, .reverse = p->reverse, .since = p->since};
    start_home(hub, p->tenant, p->channel, sizeof(v), &v, history_at_home, done, ctx);
}

/* As with a late joiner, the position is of the moment at which the texts were looked at. */
static void records_at_home(struct request *r, struct hub *home)
{
    bool kept = policy_of(hub_rules(home), key_name(r->key))->history_count > 0;
    struct channel *ch = kept ? channel_get(home, r->key) : channel_find(home, r->key);
    if (ch == NULL) {
        r->answer.err = kept ? ERR_LIMIT_EXCEEDED : ERR_OK;
        return;
    }
    if (kept)
        r->answer.position = (struct position){ch->offset, ch->epoch};
    if (!records_show(r, ch, false))
        r->answer.err = ERR_INTERNAL;
    channel_settle(ch);
}

void hub_records(struct hub *hub, struct str tenant, struct str channel, answer_fn *done, void *ctx)
{
    start_home(hub, tenant, channel, 0, NULL, records_at_home, done, ctx);
}

static void history_remove_at_home(struct request *r, struct hub *home)
{
    const struct channel_options *o = policy_of(hub_rules(home), key_name(r->key));
    if (o->history_count == 0) {
        r->answer.err = ERR_NOT_AVAILABLE;
        r->answer.why = "the channel's namespace keeps no history";
        return;
    }
    bool durable = is_durable(home, o);
    struct channel *ch = durable ? channel_get(home, r->key) : channel_find(home, r->key);
    if (ch != NULL)
        history_clear(&ch->history);
    if (ch != NULL && durable) {
        ch->history.keep_from = ch->offset + 1;
        durable_trim(ch, r);
        channel_settle(ch);
    }
}

void hub_history_remove(struct hub *hub, struct str tenant, struct str channel, answer_fn *done,
                        void *ctx)
{
    start_home(hub, tenant, channel, 0, NULL, history_remove_at_home, done, ctx);
}

/* ---- channels and sessions: through every loop ---- */

struct list_verb {
    struct str tenant, pattern; // inside the request
    uint32_t limit;
};

/* A glob with '*' for any run of bytes. */
static bool glob_match(struct str pattern, struct str s)
{
    size_t i = 0, k = 0, star = SIZE_MAX, mark = 0;
    while (i < s.n) {
        if (k < pattern.n && pattern.p[k] == '*') {
            star = k++;
            mark = i;
        } else if (k < pattern.n && pattern.p[k] == s.p[i]) {
            k++;
            i++;
        } else if (star != SIZE_MAX) {
            k = star + 1;
            i = ++mark;
        } else {
            return false;
        }
    }
    while (k < pattern.n && pattern.p[k] == '*')
        k++;
    return k == pattern.n;
}

/* The array of entries grows from loop to loop; the strings that they point to must not move, so
 * each has a block of its own. */
struct text_block {
    struct text_block *next;
    char bytes[];
};

static struct str block_keep(struct request *r, struct str s)
{
    struct text_block *b = pool_alloc(sizeof(*b) + s.n);
    if (b == NULL)
        return STR_NONE;
    if (s.n > 0)
        memcpy(b->bytes, s.p, s.n);
    b->next = r->texts;
    r->texts = b;
    return (struct str){b->bytes, s.n};
}

static void blocks_free(struct request *r)
{
    struct text_block *next;
    for (struct text_block *b = r->texts; b != NULL; b = next) {
        next = b->next;
        pool_free(b);
    }
}

static void channels_on_loop(struct request *r, struct hub *hub)
{
    const struct list_verb *v = r->verb;
    for (struct map_node *n = map_first(&hub->channels); n != NULL;
         n = map_next(&hub->channels, n)) {
        const struct channel *ch = container_of(n, struct channel, node);
        struct str name = key_name(n->key);
        if (ch->subscriber_count == 0 || !str_eq(key_tenant(n->key), v->tenant) ||
            (v->pattern.n > 0 && !glob_match(v->pattern, name)))
            continue;
        if (r->answer.channel_count >= v->limit)
            return;
        struct channel_entry e = {block_keep(r, name), ch->subscriber_count};
        if (e.channel.n == 0 || !buf_add(&r->made, (struct str){(const char *)&e, sizeof(e)}))
            return;
        r->answer.channel_count++;
    }
}

static void channels_back(struct request *r)
{
    r->answer.channels = (const struct channel_entry *)(const void *)r->made.p;
}

static void sessions_on_loop(struct request *r, struct hub *hub)
{
    const struct list_verb *v = r->verb;
    list_each(it, &hub->sessions)
    {
        const struct session *s = container_of(it, struct session, link);
        if (v->tenant.n > 0 && !str_eq(s->tenant, v->tenant))
            continue;
        r->answer.session_total++;
        if (r->answer.session_count >= v->limit)
            continue;
        char at[128];
        size_t n = s->ops->address != NULL ? s->ops->address(s, at, sizeof(at)) : 0;
        struct session_entry e = {
            .user = block_keep(r, s->user),
            .tenant = block_keep(r, s->tenant),
            .address = block_keep(r, (struct str){at, n}),
            .dialect = s->ops->dialect,
            .channel_count = s->subscription_count,
            .connected_ms = loop_now_ms(hub->loop) - s->connected_ms,
        };
        memcpy(e.client, s->client, 16);
        if (!buf_add(&r->made, (struct str){(const char *)&e, sizeof(e)}))
            return;
        r->answer.session_count++;
    }
}

static void sessions_back(struct request *r)
{
    r->answer.sessions = (const struct session_entry *)(const void *)r->made.p;
}

static void start_list(struct hub *hub, const struct list_verb *v,
                       void (*run)(struct request *, struct hub *),
                       void (*finish)(struct request *), answer_fn *done, void *ctx)
{
    if (!hub_key_ok(v->tenant, v->pattern)) {
        answer_error(done, ctx, ERR_BAD_REQUEST, "tenant or pattern: too long or not a name");
        return;
    }
    struct request *r = request_make(hub, sizeof(*v), hub_key(hub, v->tenant, v->pattern));
    if (r == NULL) {
        answer_error(done, ctx, ERR_INTERNAL, "out of memory");
        return;
    }
    struct list_verb *own = r->verb;
    own->limit = v->limit;
    own->tenant = key_tenant(r->key);
    own->pattern = key_name(r->key);
    r->run = run;
    r->finish = finish;
    r->release = blocks_free;
    r->done = done;
    r->ctx = ctx;
    request_round(r);
}

void hub_channels(struct hub *hub, struct str tenant, struct str pattern, uint32_t limit,
                  answer_fn *done, void *ctx)
{
    start_list(hub, &(struct list_verb){tenant, pattern, limit}, channels_on_loop, channels_back,
               done, ctx);
}

void hub_sessions(struct hub *hub, struct str tenant, uint32_t limit, answer_fn *done, void *ctx)
{
    start_list(hub, &(struct list_verb){tenant, STR_NONE, limit}, sessions_on_loop, sessions_back,
               done, ctx);
}
