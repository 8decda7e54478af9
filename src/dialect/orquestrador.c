/*
 * orquestrador.c - the socket of the AI orchestrator's pages: host figures, updates of tasks.
 *
 * Why it exists: pages and scripts of that application connect as they are. Figures are what is
 * published on the channel "monitor", the updates of a task what is published on "task:<id>".
 *
 * Always true between two calls:
 *   I1. answers leave in the order of the commands: while the hub has not answered one, those
 *       behind it wait in the session's list, and so do the frames of its channels.
 *   I2. every session that follows "monitor" is counted in exactly one tenant of the registry.
 */
#include "base/clock.h"
#include "base/json.h"
#include "base/map.h"
#include "base/pool.h"
#include "base/utf8.h"
#include "dialect/orquestrador_priv.h"
#include "dialect/ws_session.h"
#include "monitor/monitor.h"

#include <pthread.h>
#include <stdlib.h>

enum {
    MESSAGE_MAX_BYTES = 16 << 20,
    TENANTS_MAX = 10000000, // never reached: there are no more than sessions
    ERROR_MAX_BYTES = 4096,
    TASK_ID_MAX_BYTES = 64 << 10, // it is sent back: a longer one would end slow connections
    ISSUE_PERCENT = 90,           // of memory or disk: the health check tells of it
};

#define PROCESSING STR("Erro ao processar mensagem: ")
#define HISTORY    STR("Erro ao buscar hist\xC3\xB3rico: ")

/* ---- tenants in which somebody follows the figures ---- */

struct followed_tenant {
    struct map_node node;
    uint64_t session_count;
    char name[];
};

/* Of one endpoint, on all loops; locked when somebody comes or goes, and once a reading. */
struct registry {
    pthread_mutex_t lock;
    struct map tenants;
};

struct reply;

struct orq {
    struct ws_session ws;
    struct followed_tenant *followed; // NULL: does not follow the figures
    struct reply *first, *last;       // answers that wait for the first of them
    size_t waiting_bytes;
};

static struct orq *orq_of(struct ws_session *ws)
{
    return container_of(ws, struct orq, ws);
}

static struct followed_tenant *tenant_find_or_make(struct registry *g, struct str name)
{
    struct map_node *n = map_find(&g->tenants, name);
    if (n != NULL)
        return container_of(n, struct followed_tenant, node);
    struct followed_tenant *t = calloc(1, sizeof(*t) + name.n);
    if (t == NULL)
        return NULL;
    char *at = t->name;
    t->node.key = str_put(&at, name);
    if (map_add(&g->tenants, &t->node))
        return t;
    free(t);
    return NULL;
}

/* Without memory the tenant's figures come when another session follows them. */
static void figures_follow(struct orq *o)
{
    struct registry *g = o->ws.endpoint->shared;
    if (o->followed != NULL)
        return;
    pthread_mutex_lock(&g->lock);
    o->followed = tenant_find_or_make(g, o->ws.session.tenant);
    if (o->followed != NULL)
        o->followed->session_count++;
    pthread_mutex_unlock(&g->lock);
}

static void figures_leave(struct orq *o)
{
    struct registry *g = o->ws.endpoint->shared;
    struct followed_tenant *t = o->followed;
    if (t == NULL)
        return;
    o->followed = NULL;
    pthread_mutex_lock(&g->lock);
    if (--t->session_count == 0) {
        map_remove(&g->tenants, &t->node);
        free(t);
    }
    pthread_mutex_unlock(&g->lock);
}

static void orq_monitor_tenants(const struct endpoint *e,
                                void (*each)(void *ctx, struct str tenant), void *ctx)
{
    struct registry *g = e->shared;
    each(ctx, e->tenant); // where other dialects may follow them
    pthread_mutex_lock(&g->lock);
    struct map_node *n = map_first(&g->tenants);
    for (; n != NULL; n = map_next(&g->tenants, n))
        each(ctx, n->key);
    pthread_mutex_unlock(&g->lock);
}

/* ---- events ---- */

static bool orq_encode(const struct encoding *e, struct str channel, const struct publication *p,
                       struct buf *out)
{
    if (p->kind != EVENT_PUBLICATION)
        return false;
    size_t most = orq_event_bytes_max(p);
    char *at = pool_alloc(most);
    if (at == NULL)
        return false;
    struct buf payload = buf_on(at, most);
    bool ok = orq_event_write(&payload, channel, p) && ws_encoding_frame(e, buf_str(&payload), out);
    pool_free(at);
    return ok;
}

/* Nothing is deflated here. */
static const struct encoding orq_encoding = WS_ENCODING("orquestrador", orq_encode, 0);

static void send_figures(struct orq *o)
{
    struct monitor_figures f;
    struct monitor *m = o->ws.endpoint->monitor;
    struct buf b;
    if (m == NULL || !monitor_latest(m, &f))
        return;
    buf_init(&b, MONITOR_JSON_MAX + 64);
    if (buf_add(&b, STR("{\"type\":\"metrics\",\"data\":")) && monitor_write(&b, &f) &&
        buf_add_char(&b, '}'))
        ws_session_send(&o->ws, buf_str(&b));
    buf_fini(&b);
}

/* ---- answers, in order ---- */

/* One that waits, for the hub or for those before it. */
struct reply {
    struct reply *next;
    struct orq *session; // referenced while the hub is asked
    bool ready, monitor, figures;
    size_t n;
    char text[];
};

/* NULL: the session ends. */
static struct reply *reply_queue(struct orq *o, struct str text)
{
    struct reply *r = NULL;
    if (o->waiting_bytes + text.n <= o->ws.endpoint->ws.out_max_bytes)
        r = pool_alloc(sizeof(*r) + text.n);
    if (r == NULL) {
        ws_session_end(&o->ws, CLOSE_SLOW, 0, STR_NONE);
        return NULL;
    }
    *r = (struct reply){.session = o, .n = text.n};
    memcpy(r->text, text.p, text.n);
    if (o->first == NULL && o->ws.carrier != NULL)
        sink_hold(carrier_sink(o->ws.carrier));
    *(o->first == NULL ? &o->first : &o->last->next) = r;
    o->last = r;
    o->waiting_bytes += text.n + sizeof(*r);
    return r;
}

static void replies_flush(struct orq *o)
{
    while (o->first != NULL && o->first->ready) {
        struct reply *r = o->first;
        o->first = r->next;
        o->waiting_bytes -= r->n + sizeof(*r);
        ws_session_send(&o->ws, (struct str){r->text, r->n});
        if (r->figures)
            send_figures(o);
        pool_free(r);
    }
    if (o->first == NULL && o->ws.carrier != NULL)
        sink_release(&o->ws.carrier->conn->flusher->outflow, carrier_sink(o->ws.carrier));
}

static void reply(struct orq *o, struct str text)
{
    if (o->first == NULL) {
        ws_session_send(&o->ws, text);
        return;
    }
    struct reply *r = reply_queue(o, text);
    if (r != NULL)
        r->ready = true;
}

static void reply_error(struct orq *o, struct str before, struct str what)
{
    char at[ERROR_MAX_BYTES];
    struct buf b = buf_on(at, sizeof(at));
    if (orq_error_write(&b, before, what))
        reply(o, buf_str(&b));
}

/* Behind what was confirmed and waits to be told. */
static void orq_resync(struct session *s, struct subscription *sub, struct publication *const *pubs,
                       size_t count)
{
    struct ws_session *ws = ws_session_of(s);
    for (size_t i = 0; i < count && !ws->ending; i++) {
        struct buf b;
        buf_init(&b, orq_event_bytes_max(pubs[i]));
        if (orq_event_write(&b, subscription_channel(sub), pubs[i]))
            reply(orq_of(ws), buf_str(&b));
        else
            ws_session_end(ws, CLOSE_INSUFFICIENT_STATE, 0, STR_NONE); // nothing may be left out
        buf_fini(&b);
    }
}

/* ---- following ---- */

static void refused(struct orq *o, struct reply *r, const struct answer *a)
{
    char at[ERROR_MAX_BYTES], what_at[256];
    struct buf b = buf_on(at, sizeof(at)), what = buf_on(what_at, sizeof(what_at));
    struct str why = a->why != NULL ? str_from(a->why) : err_message(a->err);
    MUST(buf_add(&what, STR("Error: ")) && buf_add(&what, why));
    MUST(orq_error_write(&b, PROCESSING, buf_str(&what)));
    struct reply **at_link = &o->first;
    struct reply *other = pool_alloc(sizeof(*other) + b.len);
    if (other == NULL) {
        ws_session_end(&o->ws, CLOSE_INTERNAL, 0, STR_NONE);
        return;
    }
    *other = (struct reply){.next = r->next, .session = o, .ready = true, .n = b.len};
    memcpy(other->text, b.p, b.len);
    while (*at_link != r)
        at_link = &(*at_link)->next;
    *at_link = other;
    if (o->last == r)
        o->last = other;
    o->waiting_bytes += other->n - r->n;
    pool_free(r);
}

static void subscribed(void *ctx, const struct answer *a)
{
    struct reply *r = ctx;
    struct orq *o = r->session;
    bool monitor = r->monitor;
    r->ready = true;
    if (a->err == ERR_OK && monitor)
        figures_follow(o);
    if (a->err == ERR_OK || a->err == ERR_ALREADY_SUBSCRIBED)
        r->figures = monitor;
    else if (a->err != ERR_EXPIRED) // one taken back meanwhile was confirmed by the original, too
        refused(o, r, a);
    replies_flush(o);
    if (a->err == ERR_OK)
        orq_resync(&o->ws.session, a->subscription, a->publications, a->publication_count);
    session_unref(&o->ws.session);
}

static void follow(struct orq *o, struct str channel, struct str confirmation)
{
    struct reply *r = reply_queue(o, confirmation);
    if (r == NULL)
        return;
    r->monitor = str_eq(channel, STR("monitor"));
    session_ref(&o->ws.session);
    hub_subscribe(&o->ws.session,
                  &(struct subscribe_params){
                      .channel = channel, .encoding = &orq_encoding, .authorized = true},
                  subscribed, r);
}

static void unfollow(struct orq *o, struct str channel)
{
    struct subscription *sub = session_find(&o->ws.session, channel);
    if (sub != NULL)
        hub_unsubscribe(sub);
    if (str_eq(channel, STR("monitor")))
        figures_leave(o);
}

/* ---- commands ---- */

/* As JavaScript says it of undefined and null. */
static void reply_no_field(struct orq *o, struct str before, const char *of, const char *field)
{
    char at[128];
    struct buf b = buf_on(at, sizeof(at));
    MUST(buf_add_format(&b, "TypeError: Cannot read properties of %s (reading '%s')", of, field));
    reply_error(o, before, buf_str(&b));
}

static void do_task(struct orq *o, const struct orq_command *c)
{
    bool on = c->verb == ORQ_TASK_SUBSCRIBE;
    char channel_at[ORQ_CHANNEL_MAX];
    struct str channel;
    struct buf b;
    if (c->no_data != NULL) {
        reply_no_field(o, PROCESSING, c->no_data, "taskId");
        return;
    }
    if (c->task_id.n > TASK_ID_MAX_BYTES) {
        reply_error(o, PROCESSING, STR("RangeError: taskId is longer than 65536 bytes"));
        return;
    }
    buf_init(&b, c->task_id.n + 128);
    bool ok = buf_add(&b, on ? STR("{\"type\":\"task:subscribed\",\"data\":{")
                             : STR("{\"type\":\"task:unsubscribed\",\"data\":{"));
    if (c->task_id.n > 0) // what is undefined is not written
        ok = ok && buf_add(&b, STR("\"taskId\":")) && buf_add(&b, c->task_id);
    ok = ok && buf_add(&b, STR("}}"));
    bool is_task = c->task_id.n > 0 && orq_task_channel(c->task_id, channel_at, &channel);
    if (!ok) {
        ws_session_end(&o->ws, CLOSE_INTERNAL, 0, STR_NONE);
    } else if (is_task && on) {
        follow(o, channel, buf_str(&b));
    } else {
        if (is_task)
            unfollow(o, channel);
        reply(o, buf_str(&b));
    }
    buf_fini(&b);
}

static void do_monitoring(struct orq *o, bool on)
{
    if (on) {
        follow(o, STR("monitor"), STR("{\"type\":\"monitoring:subscribed\"}"));
        return;
    }
    unfollow(o, STR("monitor"));
    reply(o, STR("{\"type\":\"monitoring:unsubscribed\"}"));
}

static void do_chat(struct orq *o, const struct orq_command *c)
{
    bool send = c->verb == ORQ_CHAT_SEND;
    struct str before = send ? PROCESSING : HISTORY;
    if (c->no_data != NULL)
        reply_no_field(o, before, c->no_data, send ? "message" : "conversationId");
    else
        reply_error(o, before, STR("Error: este servidor n\xC3\xA3o tem chat nesta vers\xC3\xA3o"));
}

static void do_command(struct orq *o, const struct orq_command *c)
{
    switch (c->verb) {
    case ORQ_PING:
        reply(o, STR("{\"type\":\"pong\"}"));
        break;
    case ORQ_MONITORING_SUBSCRIBE:
    case ORQ_MONITORING_UNSUBSCRIBE:
        do_monitoring(o, c->verb == ORQ_MONITORING_SUBSCRIBE);
        break;
    case ORQ_TASK_SUBSCRIBE:
    case ORQ_TASK_UNSUBSCRIBE:
        do_task(o, c);
        break;
    case ORQ_CHAT_SEND:
    case ORQ_CHAT_HISTORY:
        do_chat(o, c);
        break;
    case ORQ_TYPELESS:
        reply_no_field(o, PROCESSING, "null", "type");
        break;
    case ORQ_UNKNOWN:
        reply_error(o, STR("Tipo de mensagem desconhecido"), STR_NONE);
        break;
    }
}

static void do_text(struct orq *o, struct str text)
{
    struct orq_command c;
    char at[ORQ_SYNTAX_MAX];
    struct buf why = buf_on(at, sizeof(at));
    if (orq_command_read(text, &c)) {
        do_command(o, &c);
        return;
    }
    MUST(orq_syntax_write(&why, text));
    reply_error(o, PROCESSING, buf_str(&why));
}

static void orq_message(struct ws_session *ws, struct str payload, bool binary)
{
    struct orq *o = orq_of(ws);
    struct buf text;
    if (!binary || utf8_valid(payload)) { // the original reads the bytes of both alike
        do_text(o, payload);
        return;
    }
    buf_init(&text, payload.n * 3);
    if (orq_text_write(&text, payload))
        do_text(o, buf_str(&text));
    else
        ws_session_end(ws, CLOSE_INTERNAL, 0, STR_NONE);
    buf_fini(&text);
}

/* ---- a session's life ---- */

static void orq_closed(struct ws_session *ws)
{
    figures_leave(orq_of(ws));
}

static const struct encoding *orq_own_encoding(struct session *s)
{
    (void)s;
    return &orq_encoding;
}

static void orq_was_subscribed(struct session *s, struct subscription *sub, const struct answer *a)
{
    if (str_eq(subscription_channel(sub), STR("monitor")))
        figures_follow(orq_of(ws_session_of(s)));
    orq_resync(s, sub, a->publications, a->publication_count);
}

static void orq_was_unsubscribed(struct session *s, struct str channel, unsigned code,
                                 struct str reason)
{
    (void)code;
    (void)reason;
    if (str_eq(channel, STR("monitor")))
        figures_leave(orq_of(ws_session_of(s)));
}

static const struct ws_kind orq_kind = {
    .ops = {WS_SESSION_OPS("orquestrador"), .encoding = orq_own_encoding,
            .subscribed = orq_was_subscribed, .unsubscribed = orq_was_unsubscribed,
            .resync = orq_resync},
    .size = sizeof(struct orq),
    .message = orq_message,
    .closed = orq_closed,
};

/* ---- HTTP ---- */

static void orq_handle(struct http_request *r, const struct endpoint *e)
{
    struct handshake h;
    struct identity id;
    if (!admit_origin(r, e) || !handshake_read(r, e, &h))
        return;
    int64_t now_s = loop_wall_ms(http_server_loop(r->server)) / 1000;
    enum err err = admit(e, h.token, h.tenant, now_s, false, &id);
    if (err != ERR_OK) {
        http_reply_error(r, err_http_status(err), err_code(err), str_from(id.why));
        return;
    }
    (void)ws_session_accept(r, e, &orq_kind, &id, NULL);
    identity_fini(&id);
}

static bool orq_refuse_path(struct http_request *r)
{
    if (!ws_is_handshake(r))
        return false;
    http_reply_raw(r, STR("HTTP/1.1 400 Bad Request\r\nConnection: close\r\n"
                          "Content-Type: text/html\r\nContent-Length: 11\r\n\r\nBad Request"));
    return true;
}

static bool over(uint64_t used, uint64_t total)
{
    return total == 0 || used / (total / 100 + 1) >= ISSUE_PERCENT;
}

static bool system_is_healthy(const struct endpoint *e)
{
    struct monitor_figures f;
    return e->monitor != NULL && monitor_latest(e->monitor, &f) &&
           !over(f.memory_used_bytes, f.memory_total_bytes) &&
           !over(f.disk_used_bytes, f.disk_total_bytes);
}

/* There is no database in this version, and nothing is said to be connected that is not. */
static void orq_health(struct http_request *r, const struct endpoint *e)
{
    char at[256], time[ISO_TIME_MAX];
    struct buf b = buf_on(at, sizeof(at));
    size_t n = iso_time_ms(loop_wall_ms(http_server_loop(r->server)), time);
    MUST(buf_add_format(
        &b, "{\"status\":\"ok\",\"database\":\"error\",\"system\":\"%s\",\"timestamp\":\"%.*s\"}",
        system_is_healthy(e) ? "healthy" : "issues", (int)n, time));
    http_reply(r, 200, STR("application/json"), buf_str(&b), STR_NONE);
}

/* ---- the endpoint ---- */

static void orq_prepare(struct endpoint *e)
{
    struct registry *g = calloc(1, sizeof(*g));
    MUST(g != NULL && pthread_mutex_init(&g->lock, NULL) == 0);
    map_init(&g->tenants, TENANTS_MAX);
    e->shared = g;
    e->ws.deflate = false;
}

static void orq_release(struct endpoint *e)
{
    struct registry *g = e->shared;
    struct map_node *n;
    while ((n = map_first(&g->tenants)) != NULL) { // of sessions that the end cut short
        map_remove(&g->tenants, n);
        free(container_of(n, struct followed_tenant, node));
    }
    map_fini(&g->tenants);
    pthread_mutex_destroy(&g->lock);
    free(g);
    e->shared = NULL;
}

static const struct dialect_route orq_routes[] = {
    {1u << HTTP_GET, "/api/health", orq_health},
};

const struct dialect dialect_orquestrador = {
    .name = "orquestrador",
    .path = "/ws",
    .methods = 1u << HTTP_GET,
    .handle = orq_handle,
    .prepare = orq_prepare,
    .release = orq_release,
    .routes = orq_routes,
    .route_count = sizeof(orq_routes) / sizeof(orq_routes[0]),
    .message_max_bytes = MESSAGE_MAX_BYTES,
    .refuse_path = orq_refuse_path,
    .monitor_tenants = orq_monitor_tenants,
};
