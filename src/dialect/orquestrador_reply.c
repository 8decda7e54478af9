/*
 * orquestrador_reply.c - answers in the order of the commands, and following channels.
 *
 * Why it exists: the original answers each message before it reads the next; here a channel may
 * live on another loop, which has to be asked.
 *
 * Always true between two calls: while the session's list is not empty its first answer waits for
 * the hub, everything else that the session is told waits behind it, and so do the frames of its
 * channels.
 */
#include "base/pool.h"
#include "dialect/orquestrador_priv.h"
#include "monitor/monitor.h"

/* ---- events ---- */

static const struct ws_writer orq_writer = {orq_event_bytes_max, orq_event_write};

static bool orq_encode(const struct encoding *e, struct str channel, const struct publication *p,
                       struct buf *out)
{
    return p->kind == EVENT_PUBLICATION && ws_encoding_event(e, &orq_writer, channel, p, out);
}

/* Nothing is deflated here. */
const struct encoding orq_encoding = WS_ENCODING("orquestrador", orq_encode, 0);

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
        sink_release(hub_outflow(o->ws.session.hub), carrier_sink(o->ws.carrier));
}

void orq_reply(struct orq *o, struct str text)
{
    if (o->first == NULL) {
        ws_session_send(&o->ws, text);
        return;
    }
    struct reply *r = reply_queue(o, text);
    if (r != NULL)
        r->ready = true;
}

void orq_reply_error(struct orq *o, struct str before, struct str what)
{
    char at[ORQ_ERROR_MAX];
    struct buf b = buf_on(at, sizeof(at));
    if (orq_error_write(&b, before, what))
        orq_reply(o, buf_str(&b));
}

static void send_behind(struct ws_session *ws, struct str message)
{
    orq_reply(orq_of(ws), message);
}

void orq_resync(struct session *s, struct subscription *sub, struct publication *const *pubs,
                size_t count)
{
    ws_session_resync(ws_session_of(s), &orq_writer, subscription_channel(sub), pubs, count,
                      send_behind);
}

/* ---- following ---- */

static void refused(struct orq *o, struct reply *r, const struct answer *a)
{
    char at[ORQ_ERROR_MAX], what_at[256];
    struct buf b = buf_on(at, sizeof(at)), what = buf_on(what_at, sizeof(what_at));
    struct str why = a->why != NULL ? str_from(a->why) : err_message(a->err);
    MUST(buf_add(&what, STR("Error: ")) && buf_add(&what, why));
    MUST(orq_error_write(&b, ORQ_PROCESSING, buf_str(&what)));
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
        orq_figures_follow(o);
    if (a->err == ERR_OK || a->err == ERR_ALREADY_SUBSCRIBED)
        r->figures = monitor;
    else if (a->err != ERR_EXPIRED) // one taken back meanwhile was confirmed by the original, too
        refused(o, r, a);
    replies_flush(o);
    if (a->err == ERR_OK)
        orq_resync(&o->ws.session, a->subscription, a->publications, a->publication_count);
    session_unref(&o->ws.session);
}

void orq_follow(struct orq *o, struct str channel, struct str confirmation)
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

void orq_unfollow(struct orq *o, struct str channel)
{
    struct subscription *sub = session_find(&o->ws.session, channel);
    if (sub != NULL)
        hub_unsubscribe(sub);
    if (str_eq(channel, STR("monitor")))
        orq_figures_leave(o);
}
