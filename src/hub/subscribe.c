/*
 * subscribe.c - how a session comes to follow a channel, and how it stops.
 *
 * The seam between history and live events: the subscription travels to the channel's home, which
 * notes the loop as a follower and reads the history in one step, and answers by mail. Mail from
 * one loop to another arrives in order, so every publication behind what the answer holds arrives
 * after it: the cursor joins at the head of its feed when the answer comes, and there is neither
 * gap nor duplicate.
 */
#include "hub/priv.h"

struct subscribe_verb {
    uint8_t client[16];
    struct str user, info, channel_info; // inside the request
    const struct encoding *encoding;
    unsigned loop;
    bool recover, epoch_unknown, presence, cache;
    struct position since;
};

/* ---- at home ---- */

static bool channel_follow(struct channel *ch, unsigned loop)
{
    if (ch->loop_counts == NULL) {
        ch->loop_counts = calloc(ch->hub->node->count, sizeof(*ch->loop_counts));
        if (ch->loop_counts == NULL)
            return false;
    }
    ch->loop_counts[loop]++;
    ch->loops |= (uint64_t)1 << loop;
    ch->subscriber_count++;
    return true;
}

static void channel_unfollow(struct channel *ch, unsigned loop)
{
    MUST(ch->loop_counts != NULL && ch->loop_counts[loop] > 0);
    if (--ch->loop_counts[loop] == 0)
        ch->loops &= ~((uint64_t)1 << loop);
    ch->subscriber_count--;
}

static struct presence *channel_presence(struct channel *ch)
{
    if (ch->presence == NULL) {
        ch->presence = malloc(sizeof(*ch->presence));
        if (ch->presence != NULL)
            presence_init(ch->presence);
    }
    return ch->presence;
}

static void show_presence(struct channel *ch, const struct subscribe_verb *v)
{
    bool is_new;
    struct presence *p = channel_presence(ch);
    if (p == NULL || !presence_add(p, v->client, v->user, v->info, v->channel_info, &is_new))
        return;
    if (is_new)
        channel_announce(ch, EVENT_JOIN, presence_find(p, v->client));
}

static uint64_t oldest_in_memory(const struct channel *ch)
{
    const struct history *h = &ch->history;
    return h->count > 0 ? history_at(h, 0)->offset : ch->offset + 1;
}

static bool can_recover(const struct subscribe_verb *v, const struct channel *ch, uint64_t oldest)
{
    bool same_stream = !v->epoch_unknown && (v->since.epoch == 0 || v->since.epoch == ch->epoch ||
                                             durable_leads(ch, v->since));
    return same_stream && v->since.offset <= ch->offset && v->since.offset + 1 >= oldest;
}

/* What is wanted is older than memory, and the store has it: it is read before anything else. */
static bool must_fetch(const struct request *r, const struct channel *ch,
                       const struct channel_options *o)
{
    const struct subscribe_verb *v = r->verb;
    if (r->fetched || !is_durable(ch->hub, o))
        return false;
    if (v->recover && o->recover)
        return !can_recover(v, ch, oldest_in_memory(ch)) &&
               can_recover(v, ch, durable_first(ch, o));
    return v->cache && ch->history.count == 0 && durable_first(ch, o) <= ch->offset;
}

/* Everything behind since, or a clear no. A first portion goes into the answer; what does not fit
 * there follows by resync. */
static void recover(struct request *r, struct channel *ch)
{
    const struct subscribe_verb *v = r->verb;
    struct answer *a = &r->answer;
    uint64_t oldest = r->fetched && r->pub_count > 0 ? r->pubs[0]->offset : oldest_in_memory(ch);
    a->recovered = can_recover(v, ch, oldest);
    count_up(a->recovered ? &ch->hub->counters.recovered : &ch->hub->counters.not_recovered, 1);
    if (a->recovered && r->pub_count == 0)
        r->pubs = history_after(ch, v->since.offset,
                                (struct recover_limits){RECOVER_ROUND_COUNT, RECOVER_ROUND_BYTES},
                                &r->pub_count);
    if (a->recovered && v->since.offset < ch->offset && r->pubs == NULL)
        a->err = ERR_INTERNAL;
}

static void read_stream(struct request *r, struct channel *ch, const struct channel_options *o)
{
    const struct subscribe_verb *v = r->verb;
    r->answer.position = (struct position){ch->offset, ch->epoch};
    if (v->recover && o->recover)
        recover(r, ch);
    else if (v->cache && ch->history.count > 0 && r->pub_count == 0)
        r->pubs = history_after(ch, ch->offset - 1, (struct recover_limits){1, UINT64_MAX},
                                &r->pub_count);
}

/* More was missed than the answer holds: messages still being written come behind that. */
static bool more_follows(const struct request *r, const struct channel *ch)
{
    return r->answer.recovered && r->pub_count > 0 &&
           r->pubs[r->pub_count - 1]->offset < ch->offset;
}

static void subscribe_at_home(struct request *r, struct hub *home)
{
    const struct subscribe_verb *v = r->verb;
    const struct channel_options *o = policy_of(hub_rules(home), key_name(r->key));
    struct channel *ch = channel_get(home, r->key);
    if (ch == NULL) {
        r->answer.err = ERR_LIMIT_EXCEEDED;
        r->answer.why = "channels_max is reached";
        return;
    }
    struct channel_options kept = memory_options(home, o);
    history_trim(&ch->history, &kept, loop_wall_ms(home->loop)); // before anything is decided by it
    if (o->history_count > 0 && must_fetch(r, ch, o)) {
        bool all = v->recover && o->recover;
        durable_fetch(r, ch, all ? v->since.offset : ch->offset - 1, 0,
                      all ? recover_round : (struct recover_limits){1, 0}, false);
        return;
    }
    if (o->subscribers_max > 0 && ch->subscriber_count >= o->subscribers_max) {
        r->answer.err = ERR_LIMIT_EXCEEDED;
        r->answer.why = "the channel's subscribers_max is reached";
        channel_settle(ch);
        return;
    }
    if (!channel_follow(ch, v->loop)) {
        r->answer.err = ERR_INTERNAL;
        channel_settle(ch);
        return;
    }
    if (o->history_count > 0)
        read_stream(r, ch, o);
    if (r->answer.err == ERR_OK && !more_follows(r, ch) && !records_show(r, ch, false))
        r->answer.err = ERR_INTERNAL;
    if (r->answer.err != ERR_OK) {
        channel_unfollow(ch, v->loop);
        channel_settle(ch);
        return;
    }
    if (v->presence && o->presence)
        show_presence(ch, v);
}

/* Patterns have no home: every loop notes that this loop follows it. */
static void follow_pattern(struct request *r, struct hub *hub)
{
    const struct subscribe_verb *v = r->verb;
    struct map_node *n = map_find(&hub->patterns, r->key);
    struct pattern *p = n != NULL ? container_of(n, struct pattern, node) : NULL;
    if (p == NULL) {
        p = calloc(1, sizeof(*p));
        char *copy = key_copy(r->key);
        if (p != NULL)
            p->node.key = (struct str){copy, r->key.n};
        if (p == NULL || copy == NULL || hub->patterns.count >= hub_rules(hub)->channels_max ||
            !map_add(&hub->patterns, &p->node)) {
            free(copy);
            free(p);
            r->answer.err = ERR_LIMIT_EXCEEDED;
            return;
        }
    }
    p->loops |= (uint64_t)1 << v->loop;
}

/* ---- leaving ---- */

struct leave_verb {
    uint8_t client[16];
    unsigned loop;
    bool presence, quiet;
};

static void leave_presence(struct channel *ch, const struct leave_verb *v)
{
    struct present *m = ch->presence ? presence_find(ch->presence, v->client) : NULL;
    if (m == NULL || !presence_let_go(m))
        return;
    if (v->quiet && m->user.n > 0 && hub_rules(ch->hub)->presence_grace_ms > 0) {
        presence_mark_gone(ch->presence, m, loop_now_ms(ch->hub->loop));
        return;
    }
    channel_announce(ch, EVENT_LEAVE, m);
    presence_remove(ch->presence, m);
}

static void leave_at_home(struct request *r, struct hub *home)
{
    const struct leave_verb *v = r->verb;
    struct channel *ch = channel_find(home, r->key);
    MUST(ch != NULL);
    channel_unfollow(ch, v->loop);
    if (v->presence)
        leave_presence(ch, v);
    channel_settle(ch);
}

static void unfollow_pattern(struct request *r, struct hub *hub)
{
    const struct leave_verb *v = r->verb;
    struct map_node *n = map_find(&hub->patterns, r->key);
    if (n == NULL)
        return;
    struct pattern *p = container_of(n, struct pattern, node);
    p->loops &= ~((uint64_t)1 << v->loop);
    if (p->loops != 0)
        return;
    map_remove(&hub->patterns, n);
    free((void *)(uintptr_t)n->key.p);
    free(p);
}

void subscription_leave_home(struct subscription *sub, bool quiet)
{
    struct session *s = sub->session;
    struct fanout *f = sub->fanout;
    if (f->pattern && f->subscriber_count > 0)
        return; // others on this loop still follow it
    struct request *r = request_make(s->hub, sizeof(struct leave_verb), f->node.key);
    MUST(r != NULL); // or the home would count this subscriber for ever
    struct leave_verb *v = r->verb;
    *v = (struct leave_verb){
        .loop = loop_index(s->hub->loop), .presence = sub->presence, .quiet = quiet};
    memcpy(v->client, s->client, 16);
    r->run = f->pattern ? unfollow_pattern : leave_at_home;
    if (f->pattern)
        request_round(r);
    else
        request_home(r);
}

static void subscription_unlink(struct subscription *sub)
{
    struct session *s = sub->session;
    struct subscription **at = &s->subscriptions;
    while (*at != sub)
        at = &(*at)->next;
    *at = sub->next;
    s->subscription_count--;
    count_down(&s->hub->counters.subscriptions, 1);
}

void subscription_free(struct subscription *sub)
{
    filter_destroy(&sub->filter);
    free(sub);
}

static void subscription_drop_fanout(struct subscription *sub)
{
    struct fanout *f = sub->fanout;
    cursor_leave(&sub->cursor);
    f->subscriber_count--;
    f->join_leave_count -= sub->join_leave;
}

/* One that is still on its way home is ended when its answer comes. */
void subscription_end(struct subscription *sub, bool quiet)
{
    MUST(sub->state != SUBSCRIPTION_ENDED);
    bool was_active = sub->state == SUBSCRIPTION_ACTIVE;
    sub->state = SUBSCRIPTION_ENDED;
    subscription_unlink(sub);
    if (!was_active)
        return;
    struct fanout *f = sub->fanout;
    subscription_drop_fanout(sub);
    subscription_leave_home(sub, quiet);
    fanout_release(f);
    if (!sub->resyncing) // else its answer is waited for
        subscription_free(sub);
}

void hub_unsubscribe(struct subscription *sub)
{
    subscription_end(sub, false);
}

/* ---- back on the session's loop ---- */

/* The session closed, or unsubscribed, while the answer was under way. */
static void subscribe_came_late(struct request *r)
{
    struct subscription *sub = r->subscription;
    bool closed = sub->session->state == SESSION_CLOSED;
    struct fanout *f = sub->fanout;
    bool noted = r->answer.err == ERR_OK;
    subscription_drop_fanout(sub);
    if (noted || f->pattern) // some loops may have noted a pattern that others refused
        subscription_leave_home(sub, closed);
    fanout_release(f);
    subscription_free(sub);
    r->subscription = NULL;
    r->answer = (struct answer){
        .err = ERR_EXPIRED, .why = closed ? "the session has closed" : "unsubscribed meanwhile"};
}

static void subscribe_failed(struct request *r)
{
    struct subscription *sub = r->subscription;
    struct fanout *f = sub->fanout;
    sub->state = SUBSCRIPTION_ENDED;
    subscription_unlink(sub);
    subscription_drop_fanout(sub);
    if (f->pattern) // some loops may have noted it
        subscription_leave_home(sub, true);
    fanout_release(f);
    subscription_free(sub);
    r->subscription = NULL;
    count_up(&r->origin->counters.refused, 1);
}

/* More was missed than one answer holds: the rest follows when this has been written. */
static void continue_by_resync(struct request *r)
{
    struct subscription *sub = r->subscription;
    size_t kept = r->pub_count - r->record_count;
    uint64_t last = kept > 0 ? r->pubs[kept - 1]->offset : r->answer.position.offset;
    sub->cursor.offset = last;
    if (r->answer.recovered && last < r->answer.position.offset) {
        cursor_lose(&sub->cursor);
        sink_wake(r->origin->outflow, sub->session->sink);
    }
}

static void subscribe_back(struct request *r)
{
    const struct subscribe_verb *v = r->verb;
    struct subscription *sub = r->subscription;
    if (sub->state == SUBSCRIPTION_ENDED) {
        subscribe_came_late(r);
        return;
    }
    if (r->answer.err == ERR_OK && !fanout_join(sub->fanout, sub, v->encoding)) {
        sub->state = SUBSCRIPTION_ACTIVE;
        subscription_end(sub, true);
        r->subscription = NULL;
        r->answer = (struct answer){.err = ERR_INTERNAL, .why = "out of memory"};
        return;
    }
    if (r->answer.err != ERR_OK) {
        subscribe_failed(r);
        return;
    }
    sub->state = SUBSCRIPTION_ACTIVE;
    r->answer.subscription = sub;
    r->answer.recoverable = sub->recoverable;
    r->answer.positioned = r->answer.position.epoch != 0;
    continue_by_resync(r);
    subscription_filter_missed(sub, r);
    r->answer.publication_count = r->pub_count;
}

/* ---- the verb ---- */

static enum err subscribe_check(const struct session *s, const struct subscribe_params *p,
                                const char **ret_why)
{
    const struct policy *policy = hub_rules(s->hub);
    if (!channel_name_ok(policy, p->channel, ret_why))
        return ERR_BAD_REQUEST;
    if (session_find(s, p->channel) != NULL)
        return ERR_ALREADY_SUBSCRIBED;
    if (s->subscription_count >= policy->channels_per_session_max) {
        *ret_why = "channels_per_session_max is reached";
        return ERR_LIMIT_EXCEEDED;
    }
    if (!p->authorized && !policy_lets_subscribe(policy, p->channel, s->user))
        return ERR_PERMISSION_DENIED;
    return ERR_OK;
}

static struct subscription *subscription_make(struct session *s, const struct subscribe_params *p)
{
    const struct channel_options *o = policy_of(hub_rules(s->hub), p->channel);
    struct subscription *sub = calloc(1, sizeof(*sub) + p->info.n);
    if (sub == NULL)
        return NULL;
    sub->fanout = fanout_get(s->hub, s->tenant, p->channel);
    if (sub->fanout == NULL) {
        free(sub);
        return NULL;
    }
    sub->session = s;
    sub->filter = p->filter;
    sub->server_side = p->server_side;
    sub->presence = o->presence && !p->presence_off && !sub->fanout->pattern;
    sub->join_leave = p->join_leave && o->join_leave;
    sub->recoverable = o->recover && o->history_count > 0 && !sub->fanout->pattern;
    sub->expire_at = p->expire_at;
    if (p->info.n > 0)
        memcpy(sub->bytes, p->info.p, p->info.n);
    sub->info = (struct str){sub->bytes, p->info.n};
    sub->fanout->subscriber_count++;
    sub->fanout->join_leave_count += sub->join_leave;
    sub->next = s->subscriptions;
    s->subscriptions = sub;
    s->subscription_count++;
    count_up(&s->hub->counters.subscriptions, 1);
    return sub;
}

static struct request *subscribe_request(struct subscription *sub, const struct subscribe_params *p)
{
    struct session *s = sub->session;
    char *extra;
    struct request *r =
        request_make_with(s->hub, sizeof(struct subscribe_verb), sub->fanout->node.key,
                          s->user.n + s->info.n + p->info.n, &extra);
    if (r == NULL)
        return NULL;
    struct subscribe_verb *v = r->verb;
    *v = (struct subscribe_verb){
        .encoding = p->encoding,
        .loop = loop_index(s->hub->loop),
        .recover = p->recover,
        .epoch_unknown = p->epoch_unknown,
        .presence = sub->presence,
        .cache = policy_of(hub_rules(s->hub), p->channel)->cache,
        .since = p->since,
    };
    memcpy(v->client, s->client, 16);
    v->user = str_put(&extra, s->user);
    v->info = str_put(&extra, s->info);
    v->channel_info = str_put(&extra, p->info);
    r->subscription = sub;
    r->session = session_ref(s);
    r->finish = subscribe_back;
    return r;
}

void hub_subscribe(struct session *s, const struct subscribe_params *p, answer_fn *done, void *ctx)
{
    const char *why = NULL;
    struct filter *filter = p->filter;
    enum err e = s->state == SESSION_OPEN ? subscribe_check(s, p, &why) : ERR_EXPIRED;
    struct subscription *sub = e == ERR_OK ? subscription_make(s, p) : NULL;
    struct request *r = sub != NULL ? subscribe_request(sub, p) : NULL;
    if (r == NULL) {
        if (sub != NULL) {
            struct fanout *f = sub->fanout;
            subscription_unlink(sub);
            subscription_drop_fanout(sub);
            fanout_release(f);
            free(sub);
        }
        filter_destroy(&filter);
        answer_error(done, ctx, e == ERR_OK ? ERR_INTERNAL : e, why);
        return;
    }
    r->done = done;
    r->ctx = ctx;
    r->run = sub->fanout->pattern ? follow_pattern : subscribe_at_home;
    if (sub->fanout->pattern)
        request_round(r);
    else
        request_home(r);
}
