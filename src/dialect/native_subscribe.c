/*
 * native_subscribe.c - connect, subscribe, unsubscribe: how a client comes to follow channels.
 */
#include "dialect/native_priv.h"

/* ---- subscribe ---- */

static void subscribed(void *ctx, const struct answer *a)
{
    struct call *call = ctx;
    struct native_session *ns = call->ns;
    if (a->err != ERR_OK) {
        native_reply_error(ns, call->id, a->err);
    } else {
        struct json_writer w;
        struct buf heap;
        native_reply_begin(&w, &heap, call->id, STR("subscribe"));
        native_put_subscribed(ns, &w, a, call);
        native_reply_end(ns, &w, &heap);
        if (call->expire_at_s > 0)
            native_timer_update(ns);
    }
    native_call_free(call);
}

/* False: answered. */
static bool read_filter(struct native_session *ns, const struct command *cmd, struct filter **ret)
{
    const struct endpoint *e = ns->endpoint;
    const char *why;
    *ret = NULL;
    if (cmd->params.tf.n == 0)
        return true;
    if (e->filter_max_bytes == 0 || cmd->params.tf.n <= e->filter_max_bytes)
        *ret = filter_parse(cmd->params.tf, &why);
    if (*ret == NULL)
        native_reply_error(ns, cmd->id, ERR_BAD_REQUEST);
    return *ret != NULL;
}

static void apply_override(struct subscribe_params *p, const struct claim_override *o)
{
    p->presence_off = o->presence == CLAIM_OFF;
    if (o->force_push_join_leave == CLAIM_ON)
        p->join_leave = true;
    if (o->join_leave == CLAIM_OFF)
        p->join_leave = false;
}

/* False: answered, or ended. */
static bool admit_by_token(struct native_session *ns, const struct command *cmd,
                           struct sub_claims *ret)
{
    const struct params *q = &cmd->params;
    enum err err =
        admit_subscription(ns->endpoint, &ns->session, q->token, q->channel, native_now_s(ns), ret);
    if (err == ERR_UNAUTHORIZED)
        native_end(ns, CLOSE_INVALID_TOKEN, 0, STR_NONE);
    else if (err != ERR_OK)
        native_reply_error(ns, cmd->id, err);
    return err == ERR_OK;
}

static void subscribe_now(struct native_session *ns, const struct command *cmd,
                          const struct sub_claims *claims)
{
    const struct params *q = &cmd->params;
    struct subscribe_params p = {
        .channel = q->channel,
        .encoding = native_encoding(ns->carrier->framing),
        .recover = q->recover,
        .since = q->since,
        .epoch_unknown = q->epoch_unknown,
        .join_leave = q->join_leave,
        .positioned = q->positioned,
        .authorized = claims != NULL || ns->privileged,
    };
    if (claims != NULL) {
        p.info = claims->info;
        p.expire_at = claims->expire_at_s;
        apply_override(&p, &claims->override);
    }
    if (!read_filter(ns, cmd, &p.filter))
        return;
    struct call *call = native_call_make(ns, cmd->id);
    if (call == NULL) {
        filter_destroy(&p.filter);
        return;
    }
    call->was_recovering = q->recover;
    call->expire_at_s = p.expire_at;
    hub_subscribe(&ns->session, &p, subscribed, call);
}

void native_subscribe(struct native_session *ns, const struct command *cmd)
{
    struct sub_claims claims;
    if (cmd->params.channel.n == 0) {
        native_end(ns, CLOSE_BAD_REQUEST, 0, STR_NONE);
    } else if (cmd->params.token.n == 0) {
        subscribe_now(ns, cmd, NULL);
    } else if (admit_by_token(ns, cmd, &claims)) {
        subscribe_now(ns, cmd, &claims);
        sub_claims_fini(&claims);
    }
}

void native_unsubscribe(struct native_session *ns, const struct command *cmd)
{
    struct subscription *sub = session_find(&ns->session, cmd->params.channel);
    if (sub != NULL)
        hub_unsubscribe(sub);
    native_reply_empty(ns, cmd->id, STR("unsubscribe"));
}

void native_sub_refresh(struct native_session *ns, const struct command *cmd)
{
    struct sub_claims claims;
    struct subscription *sub = session_find(&ns->session, cmd->params.channel);
    if (sub == NULL || cmd->params.token.n == 0) {
        native_reply_error(ns, cmd->id, sub == NULL ? ERR_PERMISSION_DENIED : ERR_BAD_REQUEST);
        return;
    }
    if (!admit_by_token(ns, cmd, &claims))
        return;
    struct json_writer w;
    struct buf heap;
    sub->expire_at = claims.expire_at_s;
    native_reply_begin(&w, &heap, cmd->id, STR("sub_refresh"));
    native_put_expiry(ns, &w, sub->expire_at);
    native_reply_end(ns, &w, &heap);
    sub_claims_fini(&claims);
    native_timer_update(ns);
}

/* ---- connect ---- */

/* A connect whose server-side subscriptions are under way. */
struct connecting {
    struct native_session *ns; // referenced
    uint32_t id;
    uint32_t pending; // answers to come, and one for the loop that asks
    struct json_writer w;
    struct buf subs;
};

static void put_session(struct native_session *ns, struct json_writer *w)
{
    char client[UUID_TEXT];
    uuid_format(ns->session.client, client);
    json_put_string(json_key(w, STR("client")), (struct str){client, UUID_TEXT});
    json_put_string(json_key(w, STR("version")), ns->endpoint->version);
    native_put_expiry(ns, w, ns->expire_at_s);
}

static void put_pings(const struct endpoint *e, struct json_writer *w)
{
    if (e->ping_interval_ms == 0)
        return;
    json_put_u64(json_key(w, STR("ping")), (e->ping_interval_ms + 999) / 1000);
    if (e->pong_timeout_ms > 0)
        json_put_bool(json_key(w, STR("pong")), true);
}

static void connecting_answered(struct connecting *c)
{
    if (--c->pending > 0)
        return;
    struct native_session *ns = c->ns;
    struct json_writer w;
    struct buf heap;
    json_close_object(&c->w);
    native_reply_begin(&w, &heap, c->id, STR("connect"));
    put_session(ns, &w);
    w.failed |= !json_done(&c->w);
    if (c->subs.len > 2)
        json_put_raw(json_key(&w, STR("subs")), buf_str(&c->subs));
    put_pings(ns->endpoint, &w);
    native_reply_end(ns, &w, &heap);
    if (ns->carrier != NULL)
        sink_release(&ns->carrier->conn->flusher->outflow, carrier_sink(ns->carrier));
    buf_fini(&c->subs);
    free(c);
    session_unref(&ns->session);
}

/* One server-side subscription on its way. */
struct server_sub {
    struct connecting *connecting;
    bool was_recovering;
    uint32_t channel_bytes;
    char channel[];
};

static void server_subscribed(void *ctx, const struct answer *a)
{
    struct server_sub *s = ctx;
    struct connecting *c = s->connecting;
    if (a->err == ERR_OK) { // what could not be had is not in the reply
        struct call as = {.was_recovering = s->was_recovering};
        json_open_object(json_key(&c->w, (struct str){s->channel, s->channel_bytes}));
        native_put_subscribed(c->ns, &c->w, a, &as);
        json_close_object(&c->w);
    }
    free(s);
    connecting_answered(c);
}

static void server_subscribe(struct connecting *c, const struct claim_sub *sub,
                             const struct command *cmd)
{
    struct native_session *ns = c->ns;
    struct server_sub *s = malloc(sizeof(*s) + sub->channel.n);
    struct params q = {0};
    struct str raw;
    if (s == NULL)
        return;
    if (cmd->params.subs.n > 0 && json_find(cmd->params.subs, sub->channel, &raw) &&
        !native_params_read(raw, &q))
        q = (struct params){0};
    *s = (struct server_sub){c, q.recover, (uint32_t)sub->channel.n};
    memcpy(s->channel, sub->channel.p, sub->channel.n);
    struct subscribe_params p = {
        .channel = sub->channel,
        .encoding = native_encoding(ns->carrier->framing),
        .recover = q.recover,
        .since = q.since,
        .epoch_unknown = q.epoch_unknown,
        .join_leave = true,
        .server_side = true,
        .authorized = true,
        .info = sub->info,
    };
    apply_override(&p, &sub->override);
    c->pending++;
    hub_subscribe(&ns->session, &p, server_subscribed, s);
}

static void connect_start(struct native_session *ns, const struct command *cmd,
                          const struct claims *claims)
{
    struct connecting *c = calloc(1, sizeof(*c));
    if (c == NULL) {
        native_end(ns, CLOSE_INTERNAL, 0, STR_NONE);
        return;
    }
    c->ns = ns;
    c->id = cmd->id;
    c->pending = 1;
    buf_init(&c->subs, 16 << 20);
    json_writer_init(&c->w, &c->subs);
    json_open_object(&c->w);
    session_ref(&ns->session);
    sink_hold(carrier_sink(ns->carrier)); // no publication leaves before the reply that tells of it
    for (size_t i = 0; i < claims->sub_count && !ns->ending; i++)
        server_subscribe(c, &claims->subs[i], cmd);
    connecting_answered(c);
}

/* The strings of the session move into one block of their own. */
static bool session_name(struct native_session *ns, const struct identity *id)
{
    struct session *s = &ns->session;
    struct str tenant = id->tenant;
    size_t n = id->user.n + id->claims.info.n;
    bool own = tenant.p == ns->endpoint->tenant.p; // lives as long as the process
    char *block = malloc(n + (own ? 0 : tenant.n) + 1);
    if (block == NULL)
        return false;
    char *at = block;
    s->user = str_put(&at, id->user);
    s->info = str_put(&at, id->claims.info);
    s->tenant = own ? tenant : str_put(&at, tenant);
    if (at == block) {
        free(block);
        block = NULL;
    }
    free(ns->identity);
    ns->identity = block;
    return true;
}

static void connect_refused(struct native_session *ns, const struct command *cmd, enum err err)
{
    if (err == ERR_TOKEN_EXPIRED)
        native_reply_error(ns, cmd->id, err); // the client gets a new one and tries again
    else if (err == ERR_PERMISSION_DENIED)
        native_end(ns, CLOSE_PERMISSION_DENIED, 0, STR_NONE);
    else if (err == ERR_BAD_REQUEST)
        native_end(ns, CLOSE_BAD_REQUEST, 0, STR_NONE);
    else
        native_end(ns, err == ERR_UNAUTHORIZED ? CLOSE_INVALID_TOKEN : CLOSE_INTERNAL, 0, STR_NONE);
}

/* Who has a key of the server API may do all that over the API: the console comes like this. */
static bool brings_api_key(const struct endpoint *e, const struct params *q)
{
    const struct auth *auth = admission_now(e->admission)->auth;
    char at[512];
    struct json j;
    struct str raw, key;
    if (q->headers.n == 0 || !auth_has_api_key(auth) ||
        !json_find(q->headers, STR("X-API-Key"), &raw))
        return false;
    json_init(&j, raw);
    return json_read_string(&j, at, sizeof(at), &key) && auth_api_key_ok(auth, key);
}

/* What the handshake brought was kept as token and tenant of the session to be. */
void native_connect(struct native_session *ns, const struct command *cmd)
{
    struct identity id;
    struct session *s = &ns->session;
    const struct endpoint *e = ns->endpoint;
    struct loop *l = conn_loop(ns->carrier->conn);
    if (ns->connected) {
        native_end(ns, CLOSE_BAD_REQUEST, 0, STR_NONE);
        return;
    }
    struct str token = cmd->params.token.n > 0 ? cmd->params.token : s->info;
    ns->privileged = token.n == 0 && brings_api_key(e, &cmd->params);
    enum err err = admit(e, token, s->tenant, loop_wall_ms(l) / 1000, ns->privileged, &id);
    if (err != ERR_OK) {
        connect_refused(ns, cmd, err);
        return;
    }
    uuid_make(s->client);
    if (!session_name(ns, &id)) {
        native_end(ns, CLOSE_INTERNAL, 0, STR_NONE);
    } else if (!session_open(s, node_hub(e->node, loop_index(l)), &native_ops,
                             carrier_sink(ns->carrier))) {
        native_end(ns, CLOSE_FULL, 0, STR_NONE);
    } else {
        ns->connected = true;
        ns->expire_at_s = id.expire_at_s;
        ns->due_ms = loop_now_ms(l) + e->ping_interval_ms;
        native_timer_update(ns);
        connect_start(ns, cmd, &id.claims);
    }
    identity_fini(&id);
}
