/*
 * control.c - what a back end does to other people's sessions: disconnect, subscribe, unsubscribe,
 * refresh. A user's sessions may be on any loop, so the verb goes through all of them.
 */
#include "hub/priv.h"

#include "base/random.h"

struct control_verb {
    struct control_params p; // strings inside the request
};

/* A session that is being subscribed, and what it is told then. */
struct subscribing {
    struct session *session;
    struct str data;
    char bytes[];
};

static struct subscribing *subscribing_make(struct session *s, struct str data)
{
    struct subscribing *sb = pool_alloc(sizeof(*sb) + data.n);
    if (sb == NULL)
        return NULL;
    sb->session = session_ref(s);
    sb->data = (struct str){sb->bytes, data.n};
    if (data.n > 0)
        memcpy(sb->bytes, data.p, data.n);
    return sb;
}

static void control_subscribed(void *ctx, const struct answer *a)
{
    struct subscribing *sb = ctx;
    struct session *s = sb->session;
    struct answer told = *a;
    told.data = sb->data;
    if (a->err == ERR_OK && s->state == SESSION_OPEN && s->ops->subscribed != NULL)
        s->ops->subscribed(s, a->subscription, &told);
    session_unref(s);
    pool_free(sb);
}

static void control_subscribe(struct session *s, const struct control_params *p)
{
    const struct encoding *e = s->ops->encoding != NULL ? s->ops->encoding(s) : NULL;
    if (e == NULL)
        return; // this dialect's clients choose for themselves
    struct subscribing *sb = subscribing_make(s, p->data);
    if (sb == NULL)
        return;
    hub_subscribe(s,
                  &(struct subscribe_params){
                      .channel = p->channel,
                      .encoding = e,
                      .recover = p->recover,
                      .since = p->since,
                      .epoch_unknown = p->epoch_unknown,
                      .server_side = true,
                      .authorized = true,
                      .info = p->info,
                      .expire_at = p->expire_at,
                  },
                  control_subscribed, sb);
}

static void unsubscribe_one(struct session *s, struct subscription *sub,
                            const struct control_params *p)
{
    struct str name = subscription_channel(sub);
    char copy[CHANNEL_NAME_MOST];
    MUST(name.n <= sizeof(copy));
    memcpy(copy, name.p, name.n);
    name.p = copy;
    subscription_end(sub, false);
    unsigned code = p->code != 0 ? p->code : 2000;
    struct str text = p->text.n > 0 ? p->text : STR("server unsubscribe");
    if (s->ops->unsubscribed != NULL)
        s->ops->unsubscribed(s, name, code, text);
}

static void control_unsubscribe(struct session *s, const struct control_params *p)
{
    if (p->channel.n > 0) {
        struct subscription *sub = session_find(s, p->channel);
        if (sub != NULL)
            unsubscribe_one(s, sub, p);
        return;
    }
    while (s->subscriptions != NULL && s->state == SESSION_OPEN) {
        struct subscription *before = s->subscriptions;
        unsubscribe_one(s, before, p);
        if (s->subscriptions == before)
            return;
    }
}

static void control_refresh(struct session *s, const struct control_params *p)
{
    if (p->expired)
        s->ops->disconnect(s, CLOSE_EXPIRED, 0, STR_NONE);
    else if (s->ops->refreshed != NULL)
        s->ops->refreshed(s, p->expire_at);
}

static bool is_meant(const struct session *s, const struct control_params *p)
{
    char client[UUID_TEXT];
    if (!str_eq(s->tenant, p->tenant) || (p->user.n > 0 && !str_eq(s->user, p->user)))
        return false;
    if (p->dialect != NULL && strcmp(p->dialect, s->ops->dialect) != 0)
        return false;
    if (p->client.n == 0 && p->except_clients.n == 0)
        return true;
    uuid_format(s->client, client);
    struct str id = {client, UUID_TEXT};
    if (p->client.n > 0 && !str_eq(id, p->client))
        return false;
    return str_find(p->except_clients, id) == p->except_clients.n;
}

static void control_one(struct request *r, struct session *s, const struct control_params *p)
{
    if (!is_meant(s, p))
        return;
    r->answer.affected++;
    switch (p->verb) {
    case CONTROL_DISCONNECT:
        s->ops->disconnect(s, p->reason, p->code, p->text);
        break;
    case CONTROL_SUBSCRIBE:
        control_subscribe(s, p);
        break;
    case CONTROL_UNSUBSCRIBE:
        control_unsubscribe(s, p);
        break;
    case CONTROL_REFRESH:
        control_refresh(s, p);
        break;
    }
}

static void control_on_loop(struct request *r, struct hub *hub)
{
    const struct control_params *p = &((struct control_verb *)r->verb)->p;
    if (p->user.n == 0 && p->client.n == 0 && !p->everybody)
        return; // nobody is meant: never everybody
    if (p->user.n == 0) {
        list_each_safe(it, &hub->sessions)
        {
            control_one(r, container_of(it, struct session, link), p);
        }
        return;
    }
    struct map_node *n = map_find(&hub->users, hub_key(hub, p->tenant, p->user));
    if (n == NULL)
        return;
    struct user *u = container_of(n, struct user, node);
    list_each_safe(it, &u->sessions)
    {
        control_one(r, container_of(it, struct session, of_user), p);
    }
}

void hub_control(struct hub *hub, const struct control_params *p, answer_fn *done, void *ctx)
{
    size_t extra = p->tenant.n + p->user.n + p->client.n + p->except_clients.n + p->channel.n +
                   p->text.n + p->info.n + p->data.n;
    char *at;
    if (!hub_key_ok(p->tenant, p->user)) {
        answer_error(done, ctx, ERR_BAD_REQUEST, "tenant or user: too long or not a name");
        return;
    }
    struct request *r = request_make_with(hub, sizeof(struct control_verb), STR_NONE, extra, &at);
    if (r == NULL) {
        answer_error(done, ctx, ERR_INTERNAL, "out of memory");
        return;
    }
    struct control_params *own = &((struct control_verb *)r->verb)->p;
    *own = *p;
    own->tenant = str_put(&at, p->tenant);
    own->user = str_put(&at, p->user);
    own->client = str_put(&at, p->client);
    own->except_clients = str_put(&at, p->except_clients);
    own->channel = str_put(&at, p->channel);
    own->text = str_put(&at, p->text);
    own->info = str_put(&at, p->info);
    own->data = str_put(&at, p->data);
    r->run = control_on_loop;
    r->done = done;
    r->ctx = ctx;
    request_round(r);
}
