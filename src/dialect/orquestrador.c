/*
 * orquestrador.c - the socket of the AI orchestrator's pages: host figures, updates of tasks.
 *
 * Why it exists: pages and scripts of that application connect as they are. Figures are what is
 * published on the channel "monitor", the updates of a task what is published on "task:<id>".
 *
 * Always true between two calls: every session that follows "monitor" is counted in exactly one
 * tenant (orquestrador_tenants.c).
 */
#include "base/clock.h"
#include "base/utf8.h"
#include "chat/chat.h"
#include "dialect/orquestrador_priv.h"
#include "monitor/monitor.h"

enum {
    MESSAGE_MAX_BYTES = 16 << 20,
    TASK_ID_MAX_BYTES = 64 << 10, // it is sent back: a longer one would end slow connections
    ISSUE_PERCENT = 90,           // of memory or disk: the health check tells of it
};

/* ---- commands ---- */

/* As JavaScript says it of undefined and null. */
static void reply_no_field(struct orq *o, struct str before, const char *of, const char *field)
{
    char at[128];
    struct buf b = buf_on(at, sizeof(at));
    MUST(buf_add_format(&b, "TypeError: Cannot read properties of %s (reading '%s')", of, field));
    orq_reply_error(o, before, buf_str(&b));
}

static void do_task(struct orq *o, const struct orq_command *c)
{
    bool on = c->verb == ORQ_TASK_SUBSCRIBE;
    char channel_at[ORQ_CHANNEL_MAX];
    struct str channel;
    struct buf b;
    if (c->no_data != NULL) {
        reply_no_field(o, ORQ_PROCESSING, c->no_data, "taskId");
        return;
    }
    if (c->task_id.n > TASK_ID_MAX_BYTES) {
        orq_reply_error(o, ORQ_PROCESSING, STR("RangeError: taskId is longer than 65536 bytes"));
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
        orq_follow(o, channel, buf_str(&b));
    } else {
        if (is_task)
            orq_unfollow(o, channel);
        orq_reply(o, buf_str(&b));
    }
    buf_fini(&b);
}

static void do_monitoring(struct orq *o, bool on)
{
    if (on) {
        orq_follow(o, STR("monitor"), STR("{\"type\":\"monitoring:subscribed\"}"));
        return;
    }
    orq_unfollow(o, STR("monitor"));
    orq_reply(o, STR("{\"type\":\"monitoring:unsubscribed\"}"));
}

static void do_chat(struct orq *o, const struct orq_command *c)
{
    bool send = c->verb == ORQ_CHAT_SEND;
    struct str before = c->verb == ORQ_CHAT_HISTORY ? ORQ_HISTORY : ORQ_PROCESSING;
    if (c->no_data != NULL && c->verb != ORQ_CHAT_CANCEL)
        reply_no_field(o, before, c->no_data, send ? "message" : "conversationId");
    else if (o->ws.endpoint->chat == NULL)
        orq_reply_error(o, before,
                        STR("Error: este servidor n\xC3\xA3o tem chat nesta vers\xC3\xA3o"));
    else if (send)
        orq_chat_send(o, c);
    else if (c->verb == ORQ_CHAT_HISTORY)
        orq_chat_history(o, c);
    else
        orq_chat_cancel(o, c);
}

static void do_command(struct orq *o, const struct orq_command *c)
{
    switch (c->verb) {
    case ORQ_PING:
        orq_reply(o, STR("{\"type\":\"pong\"}"));
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
    case ORQ_CHAT_CANCEL:
        do_chat(o, c);
        break;
    case ORQ_TYPELESS:
        reply_no_field(o, ORQ_PROCESSING, "null", "type");
        break;
    case ORQ_UNKNOWN:
        orq_reply_error(o, STR("Tipo de mensagem desconhecido"), STR_NONE);
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
    orq_reply_error(o, ORQ_PROCESSING, buf_str(&why));
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
    orq_figures_leave(orq_of(ws));
    orq_chat_leave(orq_of(ws));
}

static const struct encoding *orq_own_encoding(struct session *s)
{
    (void)s;
    return &orq_encoding;
}

static void orq_was_subscribed(struct session *s, struct subscription *sub, const struct answer *a)
{
    if (str_eq(subscription_channel(sub), STR("monitor")))
        orq_figures_follow(orq_of(ws_session_of(s)));
    orq_resync(s, sub, a->publications, a->publication_count);
}

static void orq_was_unsubscribed(struct session *s, struct str channel, unsigned code,
                                 struct str reason)
{
    (void)code;
    (void)reason;
    if (str_eq(channel, STR("monitor")))
        orq_figures_leave(orq_of(ws_session_of(s)));
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
    struct identity id;
    if (!admit_request(r, e, false, &id))
        return;
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

static void orq_health(struct http_request *r, const struct endpoint *e)
{
    char at[256], time[ISO_TIME_MAX];
    struct buf b = buf_on(at, sizeof(at));
    size_t n = iso_time_ms(loop_wall_ms(http_server_loop(r->server)), time);
    MUST(buf_add_format(
        &b, "{\"status\":\"ok\",\"database\":\"%s\",\"system\":\"%s\",\"timestamp\":\"%.*s\"}",
        e->chat != NULL && chat_is_usable(e->chat) ? "connected" : "error",
        system_is_healthy(e) ? "healthy" : "issues", (int)n, time));
    http_reply(r, 200, STR("application/json"), buf_str(&b), STR_NONE);
}

/* ---- the endpoint ---- */

static void orq_prepare(struct endpoint *e)
{
    MUST(orq_tenants_make(e));
    e->tokens_unknown = true;
    e->ws.deflate = false;
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
    .release = orq_tenants_drop,
    .routes = orq_routes,
    .route_count = sizeof(orq_routes) / sizeof(orq_routes[0]),
    .message_max_bytes = MESSAGE_MAX_BYTES,
    .refuse_path = orq_refuse_path,
    .monitor_tenants = orq_monitor_tenants,
};
