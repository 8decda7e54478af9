/*
 * session.c - one connected client: its place in the hub.
 *
 * Always true between two calls:
 *   I1. an open session is in hub->sessions, and in its user's list unless anonymous.
 *   I2. a session is freed by its dialect when refs is 0, which is never before session_close().
 */
#include "hub/priv.h"

/* The slot of a dialect's counter; names are constants, so the pointer is the name. */
static struct dialect_slot *dialect_slot(struct hub *hub, const char *name)
{
    for (int i = 0; i < DIALECTS_MAX; i++) {
        struct dialect_slot *slot = &hub->dialects[i];
        const char *have = atomic_load_explicit(&slot->name, memory_order_relaxed);
        if (have == NULL)
            atomic_store_explicit(&slot->name, name, memory_order_release);
        if (have == NULL || have == name)
            return slot;
    }
    return &hub->dialects[DIALECTS_MAX - 1];
}

static bool user_join(struct session *s)
{
    struct hub *hub = s->hub;
    if (s->user.n == 0)
        return true;
    struct str key = hub_key(hub, s->tenant, s->user);
    struct map_node *n = map_find(&hub->users, key);
    struct user *u = n != NULL ? container_of(n, struct user, node) : NULL;
    if (u == NULL) {
        u = calloc(1, sizeof(*u));
        char *copy = key_copy(key);
        if (u != NULL)
            u->node.key = (struct str){copy, key.n};
        if (u == NULL || copy == NULL || !map_add(&hub->users, &u->node)) {
            free(copy);
            free(u);
            return false;
        }
        list_init(&u->sessions);
        count_up(&hub->counters.users, 1);
    }
    list_add(&u->sessions, &s->of_user);
    s->by_user = u;
    return true;
}

static void user_leave(struct session *s)
{
    struct user *u = s->by_user;
    if (u == NULL)
        return;
    s->by_user = NULL;
    list_remove(&s->of_user);
    if (!list_empty(&u->sessions))
        return;
    map_remove(&s->hub->users, &u->node);
    count_down(&s->hub->counters.users, 1);
    free((void *)(uintptr_t)u->node.key.p);
    free(u);
}

bool session_open(struct session *s, struct hub *hub, const struct session_ops *ops,
                  struct sink *sink)
{
    MUST(s->state == SESSION_NEW);
    if (atomic_fetch_add(&hub->node->sessions, 1) >= hub->node->sessions_max ||
        !hub_key_ok(s->tenant, s->user))
        goto full;
    s->hub = hub;
    s->ops = ops;
    s->sink = sink;
    s->id = (uint64_t)loop_index(hub->loop) << 56 | ++hub->session_serial;
    s->connected_ms = loop_now_ms(hub->loop);
    list_init(&s->link);
    list_init(&s->of_user);
    if (!user_join(s))
        goto full;
    s->refs = 1;
    s->state = SESSION_OPEN;
    list_add(&hub->sessions, &s->link);
    count_up(&hub->counters.sessions, 1);
    count_up(&dialect_slot(hub, ops->dialect)->sessions, 1);
    return true;
full:
    atomic_fetch_sub(&hub->node->sessions, 1);
    return false;
}

void session_close(struct session *s)
{
    struct hub *hub = s->hub;
    if (s->state != SESSION_OPEN)
        return;
    s->state = SESSION_CLOSED;
    while (s->subscriptions != NULL)
        subscription_end(s->subscriptions, true);
    user_leave(s);
    list_remove(&s->link);
    atomic_fetch_sub(&hub->node->sessions, 1);
    count_down(&hub->counters.sessions, 1);
    count_down(&dialect_slot(hub, s->ops->dialect)->sessions, 1);
    session_unref(s);
}

struct session *session_ref(struct session *s)
{
    MUST(s->refs > 0);
    s->refs++;
    return s;
}

void session_unref(struct session *s)
{
    MUST(s->refs > 0);
    if (--s->refs == 0)
        s->ops->bury(s);
}

struct subscription *session_find(const struct session *s, struct str channel)
{
    for (struct subscription *sub = s->subscriptions; sub != NULL; sub = sub->next) {
        if (str_eq(subscription_channel(sub), channel))
            return sub;
    }
    return NULL;
}

bool follows_one_of(const struct session *s, struct str channels)
{
    while (channels.n > 0) {
        const struct subscription *sub = session_find(s, str_cut(&channels, ' '));
        if (sub != NULL && sub->state == SUBSCRIPTION_ACTIVE)
            return true;
    }
    return false;
}

struct str subscription_channel(const struct subscription *sub)
{
    return key_name(sub->fanout->node.key);
}

void hub_drain(struct hub *hub, uint32_t most)
{
    for (uint32_t i = 0; i < most && !list_empty(&hub->sessions); i++) {
        struct session *s = container_of(hub->sessions.next, struct session, link);
        list_move_to_end(&hub->sessions, &s->link); // those already told are told last
        s->ops->disconnect(s, CLOSE_SHUTDOWN, 0, STR_NONE);
    }
}

uint32_t hub_session_count(const struct hub *hub)
{
    return (uint32_t)atomic_load_explicit(&hub->counters.sessions, memory_order_relaxed);
}
