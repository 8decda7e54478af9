/*
 * ws_session.c - the life of a session that speaks JSON over a WebSocket.
 *
 * Why it exists: being admitted, opened, ended and buried is the same for every dialect of this
 * shape; each says only its own words.
 *
 * Always true between two calls:
 *   I1. nothing is sent once ending is set, and ending never goes back.
 *   I2. the object is freed by whoever lets go last: the carrier (closed) or the hub (bury).
 *   I3. the dialect hears opened() before any message, and closed() exactly once if it was opened.
 */
#include "dialect/ws_session.h"

#include "base/random.h"

#include <stdlib.h>

static void ws_session_free(struct ws_session *ws)
{
    free(ws->identity);
    free(ws);
}

/* ---- the end ---- */

/* Reasons that only native clients have numbers for, as any WebSocket client knows them. */
static unsigned plain_code(enum close_reason reason)
{
    switch (reason) {
    case CLOSE_SHUTDOWN:
    case CLOSE_NO_PONG:
    case CLOSE_FORCE_RECONNECT:
        return 1001;
    case CLOSE_SLOW:
    case CLOSE_INSUFFICIENT_STATE:
        return 1013;
    default:
        return close_code(reason) < 3000 ? close_code(reason) : 1008;
    }
}

void ws_session_end(struct ws_session *ws, enum close_reason reason, unsigned code, struct str text)
{
    if (ws->ending || ws->carrier == NULL)
        return;
    if (code == 0 && ws->kind->close_words != NULL)
        ws->kind->close_words(reason, &code, &text);
    if (code == 0) {
        code = plain_code(reason);
        text = close_text(reason);
    }
    ws->ending = true;
    timer_cancel(&ws->tick);
    carrier_close_with(ws->carrier, reason, code, text);
    timer_arm(conn_loop(ws->carrier->conn), &ws->timer, 0); // the hub may be walking its lists
}

static void closed(struct carrier *c, void *ctx, enum close_reason reason, unsigned code)
{
    struct ws_session *ws = ctx;
    (void)c;
    (void)reason;
    (void)code;
    timer_cancel(&ws->timer);
    timer_cancel(&ws->tick);
    bool opened = ws->session.state != SESSION_NEW;
    if (opened && ws->kind->closed != NULL)
        ws->kind->closed(ws);
    ws->carrier = NULL;
    ws->ending = true;
    if (ws->buried || !opened)
        ws_session_free(ws);
    else
        session_close(&ws->session);
}

void ws_session_bury(struct session *s)
{
    struct ws_session *ws = ws_session_of(s);
    ws->buried = true;
    if (ws->carrier == NULL)
        ws_session_free(ws);
}

/* ---- time ---- */

static void expiry_arm(struct ws_session *ws)
{
    struct loop *l = conn_loop(ws->carrier->conn);
    int64_t in_ms = ws->expire_at_s * 1000 - loop_wall_ms(l);
    if (ws->expire_at_s > 0)
        timer_arm(l, &ws->timer, in_ms > 0 ? (uint64_t)in_ms + 1 : 1);
}

static void timer_fired(struct timer *t)
{
    struct ws_session *ws = container_of(t, struct ws_session, timer);
    if (ws->ending)
        session_close(&ws->session);
    else if (loop_wall_ms(conn_loop(ws->carrier->conn)) >= ws->expire_at_s * 1000)
        ws_session_end(ws, CLOSE_EXPIRED, 0, STR_NONE);
    else
        expiry_arm(ws);
}

static void tick_fired(struct timer *t)
{
    struct ws_session *ws = container_of(t, struct ws_session, tick);
    if (!ws->ending && ws->kind->ticked != NULL)
        ws->kind->ticked(ws);
}

/* ---- messages ---- */

static void message(struct carrier *c, void *ctx, struct str payload, bool binary)
{
    struct ws_session *ws = ctx;
    const struct endpoint *e = ws->endpoint;
    (void)c;
    if (ws->ending)
        return;
    if (bucket_take(&ws->bucket, e->messages_per_second, e->messages_burst,
                    loop_now_ms(ws_session_loop(ws))))
        ws->kind->message(ws, payload, binary);
    else
        ws_session_end(ws, CLOSE_RATE_LIMIT, 0, STR_NONE);
}

static void alive(struct carrier *c, void *ctx)
{
    struct ws_session *ws = ctx;
    (void)c;
    if (!ws->ending && ws->kind->alive != NULL)
        ws->kind->alive(ws);
}

static const struct carrier_handler ws_session_handler = {
    .message = message, .closed = closed, .alive = alive, .no_pong_code = 1001};

void ws_session_send(struct ws_session *ws, struct str text)
{
    if (!ws->ending && ws->carrier != NULL)
        carrier_send(ws->carrier, text);
}

void ws_session_resync(struct ws_session *ws, const struct ws_writer *w, struct str channel,
                       struct publication *const *pubs, size_t count,
                       void (*send)(struct ws_session *ws, struct str message))
{
    for (size_t i = 0; i < count && !ws->ending; i++) {
        struct buf b;
        buf_init(&b, w->bytes_max(channel, pubs[i]));
        if (w->write(&b, channel, pubs[i]))
            send(ws, buf_str(&b));
        else
            ws_session_end(ws, CLOSE_INSUFFICIENT_STATE, 0, STR_NONE);
        buf_fini(&b);
    }
}

/* ---- what the hub asks of a session ---- */

void ws_session_disconnect(struct session *s, enum close_reason reason, unsigned code,
                           struct str text)
{
    ws_session_end(ws_session_of(s), reason, code, text);
}

size_t ws_session_address(const struct session *s, char *at, size_t cap)
{
    const struct ws_session *ws = ws_session_of(s);
    MUST(cap >= ADDR_TEXT_MAX);
    return ws->carrier != NULL ? addr_format_ip(&ws->carrier->conn->peer, at) : 0;
}

/* ---- birth ---- */

static struct ws_session *ws_session_make(const struct endpoint *e, const struct ws_kind *kind,
                                          const struct identity *id, const uint8_t *client)
{
    struct ws_session *ws = calloc(1, kind->size);
    char *at = malloc(id->tenant.n + id->user.n + id->claims.info.n + 1);
    if (ws == NULL || at == NULL) {
        free(ws);
        free(at);
        return NULL;
    }
    ws->identity = at;
    ws->kind = kind;
    ws->endpoint = e;
    ws->expire_at_s = id->expire_at_s;
    ws->session.tenant = str_put(&at, id->tenant);
    ws->session.user = str_put(&at, id->user);
    ws->session.info = str_put(&at, id->claims.info);
    if (client != NULL)
        memcpy(ws->session.client, client, sizeof(ws->session.client));
    else
        uuid_make(ws->session.client);
    timer_init(&ws->timer, timer_fired);
    timer_init(&ws->tick, tick_fired);
    return ws;
}

struct ws_session *ws_session_accept(struct http_request *r, const struct endpoint *e,
                                     const struct ws_kind *kind, const struct identity *id,
                                     const uint8_t *client)
{
    struct hub *hub = endpoint_hub(e, r);
    struct ws_session *ws = ws_session_make(e, kind, id, client);
    if (ws == NULL) {
        http_refuse(r, ERR_INTERNAL, NULL);
        return NULL;
    }
    ws->carrier = ws_accept(r, &e->ws, &ws_session_handler, ws);
    if (ws->carrier == NULL) {
        ws_session_free(ws);
        return NULL;
    }
    if (!session_open(&ws->session, hub, &kind->ops, carrier_sink(ws->carrier))) {
        ws_session_end(ws, CLOSE_FULL, 0, STR_NONE);
        return NULL;
    }
    expiry_arm(ws);
    if (kind->opened != NULL)
        kind->opened(ws);
    return ws;
}
