/*
 * conductor_tap.c - a session of the server's own that follows one channel.
 *
 * Why it exists: what is kept for a reader who comes later (the events of a job, the last task
 * events) has to be heard by somebody from the first on. A tap is subscribed like any client, so
 * that it hears what anybody publishes, in the channel's order; its encoding hands each event over
 * and leaves nothing for the log.
 *
 * Always true: gone() comes exactly once after tap_open() has said true, on the tap's loop, and
 * nothing of the tap is touched behind it.
 */
#include "dialect/conductor_priv.h"

static struct tap *tap_of(const struct session *s)
{
    return container_of((struct session *)(uintptr_t)s, struct tap, session);
}

static void left(struct mail *m, struct loop *l)
{
    struct tap *t = container_of(m, struct tap, leave);
    (void)l;
    session_close(&t->session);
}

void tap_leave(struct tap *t)
{
    if (!atomic_exchange(&t->leaving, true))
        loop_post(hub_loop(t->session.hub), &t->leave);
}

static void ops_disconnect(struct session *s, enum close_reason reason, unsigned code,
                           struct str text)
{
    (void)reason;
    (void)code;
    (void)text;
    tap_leave(tap_of(s));
}

static void ops_unsubscribed(struct session *s, struct str channel, unsigned code,
                             struct str reason)
{
    (void)channel;
    (void)code;
    (void)reason;
    tap_leave(tap_of(s));
}

static void ops_bury(struct session *s)
{
    struct tap *t = tap_of(s);
    t->kind->gone(t);
}

static const struct session_ops tap_ops = {
    .dialect = "conductor-record",
    .unsubscribed = ops_unsubscribed,
    .disconnect = ops_disconnect,
    .bury = ops_bury,
};

static bool hear(const struct encoding *e, struct str channel, const struct publication *p,
                 struct buf *out)
{
    struct tap *t = (struct tap *)(uintptr_t)e->extra;
    (void)channel;
    (void)out;
    if (p->kind == EVENT_PUBLICATION && !atomic_load_explicit(&t->leaving, memory_order_relaxed))
        t->kind->heard(t, (struct publication *)(uintptr_t)p);
    return false;
}

static void subscribed(void *ctx, const struct answer *a)
{
    struct tap *t = ctx;
    t->ready = a->err == ERR_OK;
    if (!t->ready)
        tap_leave(t);
    else if (!t->opening && t->kind->ready != NULL)
        t->kind->ready(t);
}

bool tap_open(struct tap *t, struct hub *hub, struct str tenant, struct str channel,
              const struct tap_kind *kind)
{
    t->kind = kind;
    t->leave.deliver = left;
    t->encoding = (struct encoding){.name = "conductor-record", .encode = hear, .extra = t};
    t->session.tenant = tenant;
    uuid_make(t->session.client);
    sink_init(&t->sink);
    if (!session_open(&t->session, hub, &tap_ops, &t->sink))
        return false;
    t->opening = true;
    hub_subscribe(
        &t->session,
        &(struct subscribe_params){
            .channel = channel, .encoding = &t->encoding, .authorized = true, .presence_off = true},
        subscribed, t);
    t->opening = false;
    return true;
}
