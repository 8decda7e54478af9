/*
 * sse.c - channels as server-sent events: the life of a stream.
 *
 * Why it exists: a browser's EventSource, curl, and every HTTP library can follow channels and go
 * on after a break, with nothing but a GET.
 *
 * Always true between two calls:
 *   I1. channels[i].at is what the client has been sent of channel i, so that an id never promises
 *       what was not written before it.
 *   I2. the object is freed by whoever lets go last: the carrier (closed) or the hub (bury).
 */
#include "dialect/sse_priv.h"

static struct sse_session *sse_of(struct session *s)
{
    return container_of(s, struct sse_session, session);
}

static void sse_free(struct sse_session *ss)
{
    filter_destroy(&ss->filter);
    free(ss->identity);
    free(ss);
}

/* ---- the end ---- */

static void sse_end(struct sse_session *ss, enum close_reason reason)
{
    if (ss->ending || ss->carrier == NULL)
        return;
    ss->ending = true;
    carrier_close(ss->carrier, reason);
    timer_arm(conn_loop(ss->carrier->conn), &ss->timer, 0); // the hub may be walking its lists
}

static void sse_closed(struct carrier *c, void *ctx, enum close_reason reason, unsigned code)
{
    struct sse_session *ss = ctx;
    (void)c;
    (void)reason;
    (void)code;
    timer_cancel(&ss->timer);
    ss->carrier = NULL;
    ss->ending = true;
    if (ss->buried || ss->session.state == SESSION_NEW)
        sse_free(ss);
    else
        session_close(&ss->session);
}

static void sse_message(struct carrier *c, void *ctx, struct str payload, bool binary)
{
    (void)c;
    (void)ctx;
    (void)payload;
    (void)binary;
}

static const struct carrier_handler sse_handler = {.message = sse_message, .closed = sse_closed};

static void sse_timer_arm(struct sse_session *ss)
{
    struct loop *l = conn_loop(ss->carrier->conn);
    int64_t in_ms = ss->expire_at_s * 1000 - loop_wall_ms(l);
    if (ss->expire_at_s > 0)
        timer_arm(l, &ss->timer, in_ms > 0 ? (uint64_t)in_ms + 1 : 1);
}

static void sse_timer_fired(struct timer *t)
{
    struct sse_session *ss = container_of(t, struct sse_session, timer);
    if (ss->ending)
        session_close(&ss->session);
    else if (loop_wall_ms(conn_loop(ss->carrier->conn)) >= ss->expire_at_s * 1000)
        sse_end(ss, CLOSE_EXPIRED);
    else
        sse_timer_arm(ss);
}

/* ---- what the hub asks of a session ---- */

static struct sse_channel *channel_named(struct sse_session *ss, struct str name)
{
    for (uint32_t i = 0; i < ss->channel_count; i++) {
        if (str_eq(ss->channels[i].name, name))
            return &ss->channels[i];
    }
    return NULL;
}

static void ops_unsubscribed(struct session *s, struct str channel, unsigned code,
                             struct str reason)
{
    struct sse_session *ss = sse_of(s);
    struct sse_channel *ch = channel_named(ss, channel);
    (void)code;
    (void)reason;
    if (ch != NULL)
        ch->sub = NULL;
    if (s->subscription_count == 0)
        sse_end(ss, CLOSE_NORMAL);
}

static void ops_disconnect(struct session *s, enum close_reason reason, unsigned code,
                           struct str text)
{
    (void)code;
    (void)text;
    sse_end(sse_of(s), reason);
}

static void send_publications(struct sse_session *ss, struct sse_channel *ch,
                              struct publication *const *pubs, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (pubs[i]->offset > 0 && ch->at.epoch != 0)
            ch->at.offset = pubs[i]->offset;
        sse_send_event(ss, pubs[i]);
    }
}

static void ops_resync(struct session *s, struct subscription *sub, struct publication *const *pubs,
                       size_t count)
{
    struct sse_session *ss = sse_of(s);
    struct sse_channel *ch = channel_named(ss, subscription_channel(sub));
    if (ch != NULL)
        send_publications(ss, ch, pubs, count);
}

static void ops_bury(struct session *s)
{
    struct sse_session *ss = sse_of(s);
    ss->buried = true;
    if (ss->carrier == NULL)
        sse_free(ss);
}

static size_t ops_address(const struct session *s, char *at, size_t cap)
{
    const struct sse_session *ss = sse_of((struct session *)(uintptr_t)s);
    MUST(cap >= ADDR_TEXT_MAX);
    return ss->carrier != NULL ? addr_format_ip(&ss->carrier->conn->peer, at) : 0;
}

static const struct session_ops sse_ops = {
    .dialect = "sse",
    .address = ops_address,
    .unsubscribed = ops_unsubscribed,
    .disconnect = ops_disconnect,
    .resync = ops_resync,
    .bury = ops_bury,
};

/* ---- several channels ---- */

static bool is_excluded(const struct publication *p, const struct session *s)
{
    return (p->exclude != 0 && p->exclude == s->id) ||
           (p->excludes_client && memcmp(p->exclude_client, s->client, sizeof(s->client)) == 0);
}

/* Sends the event to the one session whose encoding this is, and leaves nothing for the log: all
 * channels of a loop are delivered in one order, so the id that goes with it is true. */
static bool own_encode(const struct encoding *e, struct str channel, const struct publication *p,
                       struct buf *out)
{
    struct sse_session *ss = (struct sse_session *)(uintptr_t)e->extra;
    struct sse_channel *ch = channel_named(ss, channel);
    (void)out;
    if (ch == NULL || ch->sub == NULL || p->kind != EVENT_PUBLICATION)
        return false;
    if (ch->sub->cursor.lost || ch->sub->resyncing)
        return false; // it comes with what was missed
    if (p->offset > 0 && ch->at.epoch == p->epoch)
        ch->at.offset = p->offset;
    if (!is_excluded(p, &ss->session) && (ss->filter == NULL || filter_match(ss->filter, p)))
        sse_send_event(ss, p);
    return false;
}

/* ---- subscribing ---- */

struct sse_call {
    struct sse_session *ss; // referenced
    uint32_t index;
    bool resume;
};

static void subscribed(void *ctx, const struct answer *a)
{
    struct sse_call *call = ctx;
    struct sse_session *ss = call->ss;
    struct sse_channel *ch = &ss->channels[call->index];
    bool resume = call->resume;
    pool_free(call);
    if (a->err != ERR_OK) {
        sse_end(ss, CLOSE_INTERNAL);
        session_unref(&ss->session);
        return;
    }
    ch->sub = a->subscription;
    if (a->recovered)
        ch->at.epoch = a->position.epoch; // the offset: what the client said it has
    else
        ch->at = a->recoverable ? a->position : (struct position){0};
    if (resume && !a->recovered)
        sse_send_reset(ss, ch);
    send_publications(ss, ch, a->publications, a->publication_count);
    if (a->recovered) // what the filter left out counts as seen
        ch->at.offset = a->subscription->cursor.offset;
    if (--ss->pending == 0)
        sse_send_id(ss); // a client that loses the stream now has missed nothing
    session_unref(&ss->session);
}

/* False: no memory. */
static bool subscribe_one(struct sse_session *ss, uint32_t i, const struct sse_ask *ask)
{
    bool alone = ss->channel_count == 1;
    bool lost = !ask->resume_ok || ask->since[i].offset == OFFSET_LOST;
    bool resume = ask->resume && (lost || ask->since[i].epoch != 0);
    struct sse_call *call = pool_alloc(sizeof(*call));
    struct filter *filter = NULL;
    if (call != NULL && ask->type_count > 0)
        filter = filter_types(ask->types, ask->type_count);
    if (call == NULL || (ask->type_count > 0 && filter == NULL)) {
        pool_free(call);
        return false;
    }
    *call = (struct sse_call){ss, i, resume};
    session_ref(&ss->session);
    hub_subscribe(&ss->session,
                  &(struct subscribe_params){
                      .channel = ss->channels[i].name,
                      .encoding = alone ? sse_encoding(ss->carrier->framing) : &ss->own,
                      .recover = resume,
                      .epoch_unknown = lost,
                      .since = ask->since[i],
                      .authorized = true, // sse_ask_read() has checked it
                      .filter = filter,
                  },
                  subscribed, call);
    return true;
}

static void sse_subscribe(struct sse_session *ss, const struct sse_ask *ask)
{
    for (uint32_t i = 0; i < ss->channel_count; i++) {
        if (ask->resume_ok && ask->since[i].epoch != 0)
            ss->channels[i].at = ask->since[i];
    }
    ss->pending = ss->channel_count;
    for (uint32_t i = 0; i < ss->channel_count && !ss->ending; i++) {
        if (!subscribe_one(ss, i, ask))
            sse_end(ss, CLOSE_INTERNAL);
    }
}

/* ---- birth ---- */

static struct sse_session *sse_make(const struct endpoint *e, const struct identity *id,
                                    const struct sse_ask *ask)
{
    size_t n = ask->channel_count;
    size_t names = 0;
    for (size_t i = 0; i < n; i++)
        names += ask->channels[i].n;
    struct sse_session *ss = calloc(1, sizeof(*ss) + n * sizeof(ss->channels[0]));
    char *at = malloc(names + id->tenant.n + id->user.n + id->claims.info.n + 1);
    if (ss == NULL || at == NULL) {
        free(ss);
        free(at);
        return NULL;
    }
    ss->identity = at;
    ss->endpoint = e;
    ss->expire_at_s = id->expire_at_s;
    ss->own = (struct encoding){.name = "sse-own", .encode = own_encode, .extra = ss};
    ss->channel_count = (uint32_t)n;
    ss->session.tenant = str_put(&at, id->tenant);
    ss->session.user = str_put(&at, id->user);
    ss->session.info = str_put(&at, id->claims.info);
    for (size_t i = 0; i < n; i++)
        ss->channels[i].name = str_put(&at, ask->channels[i]);
    uuid_make(ss->session.client);
    timer_init(&ss->timer, sse_timer_fired);
    return ss;
}

/* The stream's own filter: the log is not asked about events that never were in it. */
static bool sse_filter(struct sse_session *ss, const struct sse_ask *ask)
{
    if (ask->type_count == 0 || ss->channel_count == 1)
        return true;
    ss->filter = filter_types(ask->types, ask->type_count);
    return ss->filter != NULL;
}

static void sse_open(struct http_request *r, const struct endpoint *e, const struct identity *id,
                     const struct sse_ask *ask)
{
    struct hub *hub = endpoint_hub(e, r);
    struct sse_session *ss = sse_make(e, id, ask);
    if (ss == NULL || !sse_filter(ss, ask)) {
        http_refuse(r, ERR_INTERNAL, NULL);
        if (ss != NULL)
            sse_free(ss);
        return;
    }
    ss->carrier = sse_accept(r, &e->sse, STR_NONE, &sse_handler, ss);
    if (ss->carrier == NULL) {
        sse_free(ss);
        return;
    }
    if (!session_open(&ss->session, hub, &sse_ops, carrier_sink(ss->carrier))) {
        sse_end(ss, CLOSE_FULL);
        return;
    }
    sse_timer_arm(ss);
    sse_subscribe(ss, ask);
}

static void sse_handle(struct http_request *r, const struct endpoint *e)
{
    struct identity id;
    struct sse_ask ask;
    if (!admit_request(r, e, false, &id))
        return;
    if (sse_ask_read(r, endpoint_hub(e, r), &id.claims, &ask)) {
        if (r->method == HTTP_HEAD)
            http_reply(r, 200, STR("text/event-stream"), STR_NONE, STR_NONE);
        else
            sse_open(r, e, &id, &ask);
    }
    identity_fini(&id);
}

const struct dialect dialect_sse = {
    .name = "sse", .path = "/events", .methods = 1u << HTTP_GET, .handle = sse_handle};
