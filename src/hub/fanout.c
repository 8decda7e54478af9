/*
 * fanout.c - one channel's subscribers on one loop: encode once per encoding, append, done.
 *
 * Always true between two calls:
 *   I1. a fanout is in hub->fanouts while subscriber_count > 0.
 *   I2. each encoding has at most one feed, and a feed without cursors is freed.
 */
#include "hub/priv.h"

struct fanout *fanout_find(struct hub *hub, struct str key)
{
    struct map_node *n = map_find(&hub->fanouts, key);
    return n != NULL ? container_of(n, struct fanout, node) : NULL;
}

struct fanout *fanout_get(struct hub *hub, struct str tenant, struct str channel)
{
    struct str key = hub_key(hub, tenant, channel);
    struct fanout *f = fanout_find(hub, key);
    if (f != NULL)
        return f;
    f = calloc(1, sizeof(*f));
    char *copy = key_copy(key);
    if (f == NULL || copy == NULL)
        goto fail;
    f->hub = hub;
    f->pattern = channel_is_pattern(channel);
    f->node.key = (struct str){copy, key.n};
    if (!map_add(&hub->fanouts, &f->node))
        goto fail;
    hub->local_pattern_count += f->pattern;
    return f;
fail:
    free(copy);
    free(f);
    return NULL;
}

static void fanout_drop_idle_feeds(struct fanout *f)
{
    struct feed_of **at = &f->feeds;
    while (*at != NULL) {
        struct feed_of *fo = *at;
        if (fo->feed.cursor_count > 0) {
            at = &fo->next;
            continue;
        }
        *at = fo->next;
        feed_fini(&fo->feed);
        free(fo);
    }
}

void fanout_release(struct fanout *f)
{
    fanout_drop_idle_feeds(f);
    if (f->subscriber_count > 0)
        return;
    f->hub->local_pattern_count -= f->pattern;
    map_remove(&f->hub->fanouts, &f->node);
    free((void *)(uintptr_t)f->node.key.p);
    free(f);
}

/* ---- what a feed asks of the hub ---- */

static struct subscription *subscription_from(const struct cursor *c)
{
    return (struct subscription *)(uintptr_t)c; // its first member
}

static bool feed_wants(const struct cursor *c, const struct frame_note *note)
{
    const struct subscription *sub = subscription_from(c);
    const struct publication *p = note->publication;
    if (is_excluded(p, sub->session))
        return false;
    return sub->filter == NULL || p->kind != EVENT_PUBLICATION || filter_match(sub->filter, p);
}

static void feed_release(void *publication)
{
    publication_unref(publication);
}

static void feed_overrun(struct cursor *c)
{
    struct subscription *sub = subscription_from(c);
    struct session *s = sub->session;
    struct hub *hub = s->hub;
    if (c->lost) {
        subscription_resync(sub);
        return;
    }
    count_up(&hub->counters.overruns, 1);
    if (!sub->recoverable || s->ops->resync == NULL) {
        cursor_skip(c); // the session ends; nothing more is owed to it
        s->ops->disconnect(s, CLOSE_SLOW, 0, STR_NONE);
        return;
    }
    cursor_lose(c);
    sink_wake(hub->outflow, c->sink);
}

static const struct feed_ops fanout_feed_ops = {
    .wants = feed_wants,
    .release = feed_release,
    .overrun = feed_overrun,
};

static struct feed_of *fanout_feed(struct fanout *f, const struct encoding *e)
{
    for (struct feed_of *fo = f->feeds; fo != NULL; fo = fo->next) {
        if (fo->encoding == e)
            return fo;
    }
    struct feed_of *fo = calloc(1, sizeof(*fo));
    if (fo == NULL)
        return NULL;
    fo->encoding = e;
    fo->fanout = f;
    feed_init(&fo->feed, f->hub->outflow, &fanout_feed_ops, hub_rules(f->hub)->feed_bytes_max);
    fo->next = f->feeds;
    f->feeds = fo;
    return fo;
}

bool fanout_join(struct fanout *f, struct subscription *sub, const struct encoding *e)
{
    struct feed_of *fo = fanout_feed(f, e);
    if (fo == NULL || !cursor_join(&sub->cursor, &fo->feed, sub->session->sink))
        return false;
    sub->cursor.mask = FRAME_PUBLICATION;
    if (sub->join_leave)
        sub->cursor.mask |= FRAME_JOIN | FRAME_LEAVE;
    sub->cursor.filtered = sub->filter != NULL;
    return true;
}

/* ---- delivery ---- */

static uint32_t frame_class(const struct publication *p)
{
    switch (p->kind) {
    case EVENT_JOIN:
        return FRAME_JOIN;
    case EVENT_LEAVE:
        return FRAME_LEAVE;
    case EVENT_PUBLICATION:
        break;
    }
    return FRAME_PUBLICATION;
}

static void fanout_deliver(struct fanout *f, struct publication *p)
{
    struct hub *hub = f->hub;
    if (p->kind != EVENT_PUBLICATION && f->join_leave_count == 0)
        return;
    for (struct feed_of *fo = f->feeds; fo != NULL; fo = fo->next) {
        if (fo->feed.cursor_count == 0)
            continue;
        buf_clear(&hub->scratch);
        if (!fo->encoding->encode(fo->encoding, key_name(f->node.key), p, &hub->scratch) ||
            hub->scratch.len == 0)
            continue; // this encoding has no form for it
        feed_append(&fo->feed, buf_str(&hub->scratch),
                    (struct frame_info){
                        .class = frame_class(p),
                        .special = excludes_somebody(p),
                        .offset = p->offset,
                        .publication = publication_ref(p),
                        .now_ns = loop_now_ns(hub->loop),
                    });
    }
}

/* key is in hub->key: encoding may use that again. */
static void deliver_to(struct hub *hub, struct str key, struct publication *p)
{
    struct fanout *f = fanout_find(hub, key);
    if (f != NULL)
        fanout_deliver(f, p);
}

static void deliver_to_patterns(struct hub *hub, struct publication *p)
{
    struct str ns = channel_namespace(p->channel);
    if (ns.n > 0)
        deliver_to(hub, hub_namespace_key(hub, p->tenant, ns), p);
    if (!(hub_rules(hub)->personal_channels && channel_is_personal(p->channel)))
        deliver_to(hub, hub_key(hub, p->tenant, STR("*")),
                   p); // "everything" is what everybody may hear
}

void hub_deliver(struct hub *hub, struct publication *p)
{
    deliver_to(hub, hub_key(hub, p->tenant, p->channel), p);
    if (hub->local_pattern_count > 0 && p->kind == EVENT_PUBLICATION)
        deliver_to_patterns(hub, p);
}
