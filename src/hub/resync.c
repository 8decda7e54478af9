/*
 * resync.c - what a subscription has missed of a log that is shorter than its channel's history.
 *
 * Why it exists: a log is kept for who is nearly up to date. Who fell off it (a slow reader, or one
 * who came back after long) is brought up to date from the home's history in bounded rounds, each
 * asked for when the one before has been written, and then follows the log again.
 *
 * Always true: while resyncing is set a request is under way, and it alone frees the subscription
 * if that ends meanwhile.
 */
#include "hub/priv.h"

void subscription_filter_missed(const struct subscription *sub, struct request *r)
{
    size_t n = 0;
    for (size_t i = 0; i < r->pub_count; i++) {
        struct publication *p = r->pubs[i];
        if (!is_excluded(p, sub->session) && (sub->filter == NULL || filter_match(sub->filter, p)))
            r->pubs[n++] = p;
        else
            publication_unref(p);
    }
    r->pub_count = n;
}

struct resync_verb {
    uint64_t offset;
};

static bool must_fetch(const struct request *r, const struct channel *ch,
                       const struct channel_options *o)
{
    const struct resync_verb *v = r->verb;
    const struct history *h = &ch->history;
    uint64_t oldest = h->count > 0 ? history_at(h, 0)->offset : ch->offset + 1;
    return !r->fetched && is_durable(ch->hub, o) && v->offset + 1 < oldest;
}

/* Up to where it is told of the stream. */
static uint64_t last_kept(const struct request *r)
{
    size_t kept = r->pub_count - r->record_count;
    return kept > 0 ? r->pubs[kept - 1]->offset : ((const struct resync_verb *)r->verb)->offset;
}

static void resync_at_home(struct request *r, struct hub *home)
{
    const struct resync_verb *v = r->verb;
    const struct channel_options *o = policy_of(hub_rules(home), key_name(r->key));
    struct channel *ch = channel_find(home, r->key);
    if (ch == NULL || o->history_count == 0) {
        r->answer.err = ERR_UNRECOVERABLE_POSITION; // nothing is kept, or no longer
        return;
    }
    if (must_fetch(r, ch, o)) {
        durable_fetch(r, ch, v->offset, 0, recover_round, false);
        return;
    }
    r->answer.position = (struct position){ch->offset, ch->epoch};
    if (r->pub_count == 0)
        r->pubs = history_after(ch, v->offset,
                                (struct recover_limits){RECOVER_ROUND_COUNT, RECOVER_ROUND_BYTES},
                                &r->pub_count);
    bool whole = r->pub_count > 0 ? r->pubs[0]->offset == v->offset + 1 : v->offset == ch->offset;
    if (!whole)
        r->answer.err = ERR_UNRECOVERABLE_POSITION;
    else if (last_kept(r) >= ch->offset && !records_show(r, ch, false))
        r->answer.err = ERR_INTERNAL;
}

static void resync_back(struct request *r)
{
    struct subscription *sub = r->subscription;
    struct session *s = r->session;
    if (sub->state == SUBSCRIPTION_ENDED) {
        subscription_free(sub);
        return;
    }
    if (r->answer.err != ERR_OK) {
        sub->resyncing = false;
        s->ops->disconnect(s, CLOSE_INSUFFICIENT_STATE, 0, STR_NONE);
        return;
    }
    uint64_t last = last_kept(r);
    bool complete = last >= r->answer.position.offset;
    sub->cursor.lost = false;
    cursor_skip(&sub->cursor); // what came into the log meanwhile is in the answer, or in the next
    sub->cursor.offset = last;
    subscription_filter_missed(sub, r);
    if (r->pub_count > 0)
        s->ops->resync(s, sub, r->pubs, r->pub_count);
    sub->resyncing = false; // until here whoever ends it leaves it to us
    if (sub->state == SUBSCRIPTION_ENDED) {
        subscription_free(sub);
        return;
    }
    if (!complete) {
        cursor_lose(&sub->cursor);
        sink_wake(s->hub->outflow, s->sink);
    }
}

void subscription_resync(struct subscription *sub)
{
    struct session *s = sub->session;
    if (sub->resyncing)
        return;
    struct request *r = request_make(s->hub, sizeof(struct resync_verb), sub->fanout->node.key);
    if (r == NULL) {
        s->ops->disconnect(s, CLOSE_INTERNAL, 0, STR_NONE);
        return;
    }
    count_up(&s->hub->counters.resyncs, 1);
    *(struct resync_verb *)r->verb = (struct resync_verb){sub->cursor.offset};
    sub->resyncing = true;
    r->subscription = sub;
    r->session = session_ref(s);
    r->run = resync_at_home;
    r->finish = resync_back;
    request_home(r);
}
