/*
 * native_verbs.c - publish, history, presence, refresh and the rest: verbs that ask and answer.
 */
#include "dialect/native_priv.h"

static const struct channel_options *options_of(const struct native_session *ns, struct str channel)
{
    return policy_of(hub_policy(ns->session.hub), channel);
}

static bool follows(const struct native_session *ns, struct str channel)
{
    const struct subscription *sub = session_find(&ns->session, channel);
    return sub != NULL && sub->state == SUBSCRIPTION_ACTIVE;
}

/* False: a command without a channel, and the client has been told to go. */
static bool has_channel(struct native_session *ns, const struct command *cmd)
{
    if (cmd->params.channel.n > 0)
        return true;
    native_end(ns, CLOSE_BAD_REQUEST, 0, STR_NONE);
    return false;
}

/* ---- publish ---- */

static void published(void *ctx, const struct answer *a)
{
    struct call *call = ctx;
    if (a->err != ERR_OK)
        native_reply_error(call->ns, call->id, a->err);
    else
        native_reply_empty(call->ns, call->id, STR("publish"));
    native_call_free(call);
}

/* Who publishes, as everybody is told. Of somebody without a name there is nothing to tell but the
 * number of his connection: only where the namespace wants it. */
static bool info_write(const struct native_session *ns, struct str channel, struct buf *out)
{
    char client[UUID_TEXT];
    const struct session *s = &ns->session;
    const struct subscription *sub = session_find(s, channel);
    bool nameless = s->user.n == 0 && s->info.n == 0 && (sub == NULL || sub->info.n == 0);
    if (nameless && !options_of(ns, channel)->anonymous_info)
        return true;
    uuid_format(s->client, client);
    return client_info_write(out, (struct str){client, UUID_TEXT}, s->user, s->info,
                             sub != NULL ? sub->info : STR_NONE);
}

static void publish(struct native_session *ns, const struct command *cmd)
{
    const struct params *q = &cmd->params;
    if (!has_channel(ns, cmd))
        return;
    if (!options_of(ns, q->channel)->client_publish || q->data.n == 0) {
        native_reply_error(ns, cmd->id, q->data.n == 0 ? ERR_BAD_REQUEST : ERR_PERMISSION_DENIED);
        return;
    }
    char at[1024];
    struct buf small = buf_on(at, sizeof(at));
    struct buf large;
    buf_init(&large, 1 << 20);
    struct buf *info = info_write(ns, q->channel, &small) ? &small : &large;
    struct call *call = NULL;
    if (info == &large && !info_write(ns, q->channel, &large))
        native_reply_error(ns, cmd->id, ERR_INTERNAL);
    else
        call = native_call_make(ns, cmd->id);
    if (call != NULL)
        hub_publish(ns->session.hub,
                    &(struct publish_params){
                        .tenant = ns->session.tenant,
                        .channel = q->channel,
                        .data = q->data,
                        .info = buf_str(info),
                    },
                    published, call);
    buf_fini(&large);
}

/* ---- history ---- */

/* As much as fits: the client asks on from the last one it got. */
static void put_history(struct native_session *ns, struct json_writer *w, const struct answer *a)
{
    size_t room = ns->endpoint->ws.out_max_bytes / 2;
    struct buf one;
    buf_init(&one, 64 << 20);
    json_open_array(json_key(w, STR("publications")));
    for (size_t i = 0; i < a->publication_count; i++) {
        buf_clear(&one);
        if (!native_publication_write(&one, STR_NONE, a->publications[i], true))
            w->failed = true;
        if (i > 0 && w->out->len + one.len > room)
            break;
        json_put_raw(w, buf_str(&one));
    }
    json_close_array(w);
    buf_fini(&one);
}

static void history_answered(void *ctx, const struct answer *a)
{
    struct call *call = ctx;
    if (a->err != ERR_OK) {
        native_reply_error(call->ns, call->id, a->err);
    } else {
        struct json_writer w;
        struct buf heap;
        native_reply_begin(&w, &heap, call->id, STR("history"));
        put_history(call->ns, &w, a);
        native_put_position(&w, a);
        native_reply_end(call->ns, &w, &heap);
    }
    native_call_free(call);
}

static void history(struct native_session *ns, const struct command *cmd)
{
    const struct params *q = &cmd->params;
    if (!has_channel(ns, cmd))
        return;
    const struct channel_options *o = options_of(ns, q->channel);
    enum err err = ERR_OK;
    if (o->history_count == 0)
        err = ERR_NOT_AVAILABLE;
    else if (!o->client_history || !follows(ns, q->channel))
        err = ERR_PERMISSION_DENIED;
    else if (q->epoch_unknown)
        err = ERR_UNRECOVERABLE_POSITION;
    struct call *call = err == ERR_OK ? native_call_make(ns, cmd->id) : NULL;
    if (err != ERR_OK)
        native_reply_error(ns, cmd->id, err);
    if (call == NULL)
        return;
    int64_t most = ns->endpoint->history_limit_max;
    hub_history(ns->session.hub,
                &(struct history_params){
                    .tenant = ns->session.tenant,
                    .channel = q->channel,
                    .limit = q->limit < 0 || q->limit > most ? most : q->limit,
                    .has_since = q->has_since,
                    .reverse = q->reverse,
                    .since = q->since,
                },
                history_answered, call);
}

/* ---- presence ---- */

static void put_present(struct json_writer *w, const struct presence_entry *e)
{
    struct str client = {e->client, UUID_TEXT};
    struct buf info;
    buf_init(&info, 1 << 20);
    if (client_info_write(&info, client, e->user, e->info, e->channel_info)) {
        native_flatten(&info, 0);
        json_put_raw(json_key(w, client), buf_str(&info));
    } else {
        w->failed = true;
    }
    buf_fini(&info);
}

static void presence_answered(void *ctx, const struct answer *a)
{
    struct call *call = ctx;
    if (a->err != ERR_OK) {
        native_reply_error(call->ns, call->id, a->err);
    } else {
        struct json_writer w;
        struct buf heap;
        native_reply_begin(&w, &heap, call->id, STR("presence"));
        json_open_object(json_key(&w, STR("presence")));
        for (size_t i = 0; i < a->presence_count; i++)
            put_present(&w, &a->presence[i]);
        json_close_object(&w);
        native_reply_end(call->ns, &w, &heap);
    }
    native_call_free(call);
}

static void presence_stats_answered(void *ctx, const struct answer *a)
{
    struct call *call = ctx;
    if (a->err != ERR_OK) {
        native_reply_error(call->ns, call->id, a->err);
    } else {
        struct json_writer w;
        struct buf heap;
        native_reply_begin(&w, &heap, call->id, STR("presence_stats"));
        json_put_u64(json_key(&w, STR("num_clients")), a->client_count);
        json_put_u64(json_key(&w, STR("num_users")), a->user_count);
        native_reply_end(call->ns, &w, &heap);
    }
    native_call_free(call);
}

/* NULL: answered already. */
static struct call *presence_call(struct native_session *ns, const struct command *cmd)
{
    if (!has_channel(ns, cmd))
        return NULL;
    const struct channel_options *o = options_of(ns, cmd->params.channel);
    if (o->presence && o->client_presence && follows(ns, cmd->params.channel))
        return native_call_make(ns, cmd->id);
    native_reply_error(ns, cmd->id, o->presence ? ERR_PERMISSION_DENIED : ERR_NOT_AVAILABLE);
    return NULL;
}

static void presence(struct native_session *ns, const struct command *cmd)
{
    struct call *call = presence_call(ns, cmd);
    if (call != NULL)
        hub_presence(ns->session.hub, ns->session.tenant, cmd->params.channel, presence_answered,
                     call);
}

static void presence_stats(struct native_session *ns, const struct command *cmd)
{
    struct call *call = presence_call(ns, cmd);
    if (call != NULL)
        hub_presence_stats(ns->session.hub, ns->session.tenant, cmd->params.channel,
                           presence_stats_answered, call);
}

/* ---- the rest ---- */

static void refresh(struct native_session *ns, const struct command *cmd)
{
    int64_t expire_at_s;
    if (cmd->params.token.n == 0) {
        native_end(ns, CLOSE_BAD_REQUEST, 0, STR_NONE);
        return;
    }
    enum err err =
        admit_again(ns->endpoint, &ns->session, cmd->params.token, native_now_s(ns), &expire_at_s);
    if (err != ERR_OK) {
        native_end(ns, err == ERR_TOKEN_EXPIRED ? CLOSE_EXPIRED : CLOSE_INVALID_TOKEN, 0, STR_NONE);
        return;
    }
    struct json_writer w;
    struct buf heap;
    char client[UUID_TEXT];
    ns->expire_at_s = expire_at_s;
    native_timer_update(ns);
    uuid_format(ns->session.client, client);
    native_reply_begin(&w, &heap, cmd->id, STR("refresh"));
    json_put_string(json_key(&w, STR("client")), (struct str){client, UUID_TEXT});
    json_put_string(json_key(&w, STR("version")), STR("recado"));
    native_put_expiry(ns, &w, expire_at_s);
    native_reply_end(ns, &w, &heap);
}

/* Nobody listens to what is only sent; a back end is called by its own interface. */
static void client_send(struct native_session *ns, const struct command *cmd)
{
    native_reply_error(ns, cmd->id, ERR_METHOD_NOT_FOUND);
}

static void ping(struct native_session *ns, const struct command *cmd)
{
    native_reply_empty(ns, cmd->id, STR("ping"));
}

const struct verb *native_verb_find(struct str raw_name)
{
    static const struct verb verbs[] = {
        {STR("publish"), publish},
        {STR("subscribe"), native_subscribe},
        {STR("unsubscribe"), native_unsubscribe},
        {STR("connect"), native_connect},
        {STR("history"), history},
        {STR("presence"), presence},
        {STR("presence_stats"), presence_stats},
        {STR("refresh"), refresh},
        {STR("sub_refresh"), native_sub_refresh},
        {STR("rpc"), native_rpc},
        {STR("send"), client_send},
        {STR("ping"), ping},
    };
    for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
        if (json_key_is(raw_name, verbs[i].name))
            return &verbs[i];
    }
    return NULL;
}
