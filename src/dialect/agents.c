/*
 * agents.c - events of an organization and of one user in it, as its agents' page reads them.
 *
 * Why it exists: pages of that application connect as they are. An organization is a tenant; what
 * all of it hears is published on the channel "agents", what one user hears on "user:<id>".
 *
 * Always true between two calls:
 *   I1. a session follows channels of its own tenant only, and they were chosen here.
 *   I2. nothing is sent before the welcome, and then every event is.
 *   I3. every session that was opened is counted in exactly one organization until it is closed.
 */
#include "dialect/agents_priv.h"

#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "dialect/tally.h"
#include "hub/filter.h"

#include <stdlib.h>

enum {
    MESSAGE_MAX_BYTES = 16 << 20,
    STATS_MAX_BYTES = 64 << 20,
    FRAME_ROOM = 160, // of an event, beside its type and data
};

/* ---- who is here ---- */

struct agent {
    struct ws_session ws;
    struct tally_name *organization; // where it is counted; NULL: not
    char *asked;                     // its name as the client said it; NULL: the tenant's
    bool by_token;                   // has brought one that was checked
    bool welcomed;
    unsigned pongs_due; // of pings that came before the welcome
};

static void put_stats(void *ctx, const struct map *organizations, uint64_t client_count)
{
    struct json_writer *w = ctx;
    json_open_object(w);
    json_put_u64(json_key(w, STR("totalClients")), client_count);
    json_put_u64(json_key(w, STR("organizationsConnected")), organizations->count);
    json_open_object(json_key(w, STR("clientsByOrg")));
    for (struct map_node *n = map_first(organizations); n != NULL; n = map_next(organizations, n))
        json_put_u64(json_key(w, n->key), container_of(n, struct tally_name, node)->count);
    json_close_object(w);
    json_close_object(w);
}

static void agents_stats(struct http_request *r, const struct endpoint *e)
{
    struct buf body;
    struct json_writer w;
    if (!admit_back_end(r, e))
        return;
    buf_init(&body, STATS_MAX_BYTES);
    json_writer_init(&w, &body);
    tally_read(e->shared, put_stats, &w);
    if (json_done(&w))
        http_reply(r, 200, STR("application/json"), buf_str(&body), STR_NONE);
    else
        http_refuse(r, ERR_INTERNAL, NULL);
    buf_fini(&body);
}

/* ---- what is said ---- */

/* Pages read fields of data unguarded: null would end their handler. */
static struct str data_or_empty(struct str data)
{
    return data.n == 0 || str_eq(data, STR("null")) ? STR("{}") : data;
}

bool agents_event_write(struct buf *out, struct str channel, const struct publication *p)
{
    (void)channel;
    char time[ISO_TIME_MAX];
    size_t n = iso_time_ms(p->time_ms, time);
    return buf_add(out, STR("{\"type\":")) &&
           json_write_string(out, p->type.n > 0 ? p->type : STR("message")) &&
           buf_add(out, STR(",\"data\":")) && buf_add(out, data_or_empty(p->data)) &&
           buf_add(out, STR(",\"timestamp\":\"")) && buf_add(out, (struct str){time, n}) &&
           buf_add(out, STR("\"}"));
}

static size_t event_bytes_max(struct str channel, const struct publication *p)
{
    (void)channel;
    return json_string_bytes_max(p->type) + p->data.n + FRAME_ROOM;
}

static const struct ws_writer agents_writer = {event_bytes_max, agents_event_write};

static bool agents_encode(const struct encoding *e, struct str channel, const struct publication *p,
                          struct buf *out)
{
    return p->kind == EVENT_PUBLICATION && ws_encoding_event(e, &agents_writer, channel, p, out);
}

/* Nothing is deflated here. */
static const struct encoding agents_encoding = WS_ENCODING("agents", agents_encode, 0);

static void send_welcome(struct ws_session *ws, struct str organization)
{
    char time_at[ISO_TIME_MAX];
    char at[HANDSHAKE_TENANT_MAX * 6 + 256]; // the name may be escapes all over
    struct buf b = buf_on(at, sizeof(at));
    struct json_writer w;
    struct str time = {time_at, iso_time_ms(loop_wall_ms(ws_session_loop(ws)), time_at)};
    json_writer_init(&w, &b);
    json_open_object(&w);
    json_put_string(json_key(&w, STR("type")), STR("connected"));
    json_open_object(json_key(&w, STR("data")));
    json_put_string(json_key(&w, STR("message")), STR("WebSocket connected successfully"));
    json_put_string(json_key(&w, STR("organizationId")), organization);
    json_put_string(json_key(&w, STR("timestamp")), time);
    json_close_object(&w);
    json_put_string(json_key(&w, STR("timestamp")), time);
    json_close_object(&w);
    if (json_done(&w))
        ws_session_send(ws, buf_str(&b));
}

static void send_pong(struct ws_session *ws)
{
    char time[ISO_TIME_MAX];
    char at[160];
    struct buf b = buf_on(at, sizeof(at));
    int n = (int)iso_time_ms(loop_wall_ms(ws_session_loop(ws)), time);
    if (buf_add_format(
            &b, "{\"type\":\"pong\",\"data\":{\"timestamp\":\"%.*s\"},\"timestamp\":\"%.*s\"}", n,
            time, n, time))
        ws_session_send(ws, buf_str(&b));
}

/* ---- what is heard ---- */

static void agent_message(struct ws_session *ws, struct str payload, bool binary)
{
    struct agent *a = container_of(ws, struct agent, ws);
    struct agents_command c = agents_read(payload);
    (void)binary; // the same, as it always was
    if (c.verb == AGENTS_OTHER)
        log_debug("agents: a message of %zu bytes that is no command was ignored", payload.n);
    else if (c.verb != AGENTS_PING)
        agents_decide(ws, &c);
    else if (a->welcomed)
        send_pong(ws);
    else
        a->pongs_due++;
}

/* ---- a session's life ---- */

static void agent_resync(struct session *s, struct subscription *sub,
                         struct publication *const *pubs, size_t count)
{
    (void)sub;
    ws_session_resync(ws_session_of(s), &agents_writer, STR_NONE, pubs, count, ws_session_send);
}

/* The client is told that it is connected when that is true on every loop: whoever has read it may
 * publish at once. */
static void welcome(struct agent *a)
{
    struct ws_session *ws = &a->ws;
    if (!a->welcomed)
        send_welcome(ws, a->asked != NULL ? str_from(a->asked) : ws->session.tenant);
    a->welcomed = true;
    for (; a->pongs_due > 0; a->pongs_due--)
        send_pong(ws);
}

static bool is_following(struct ws_session *ws, const struct answer *a)
{
    if (a->err != ERR_OK && a->err != ERR_EXPIRED)
        ws_session_end(ws, CLOSE_FULL, 0, STR_NONE);
    return a->err == ERR_OK && !ws->ending;
}

static void follow(struct ws_session *ws, struct str channel, struct filter *filter,
                   answer_fn *done)
{
    hub_subscribe(&ws->session,
                  &(struct subscribe_params){.channel = channel,
                                             .encoding = &agents_encoding,
                                             .filter = filter,
                                             .server_side = true,
                                             .authorized = true},
                  done, ws);
}

static void organization_followed(void *ctx, const struct answer *a)
{
    struct ws_session *ws = ctx;
    if (!is_following(ws, a))
        return;
    welcome(container_of(ws, struct agent, ws));
    agent_resync(&ws->session, a->subscription, a->publications, a->publication_count);
    agents_ask_again(ws); // what is asked from here on is heard
}

static void user_followed(void *ctx, const struct answer *a)
{
    struct ws_session *ws = ctx;
    if (!is_following(ws, a))
        return;
    if (a->publication_count > 0)
        welcome(container_of(ws, struct agent, ws));
    agent_resync(&ws->session, a->subscription, a->publications, a->publication_count);
    follow(ws, STR("agents"), NULL, organization_followed);
}

/* Of the user's own channel: nothing comes before the welcome. */
static bool is_welcomed(void *ctx, const struct publication *p)
{
    const struct agent *a = ctx;
    (void)p;
    return a->welcomed;
}

/* "user:" and the id; "": has no name. */
static struct str user_channel(struct str user, char *at, size_t cap)
{
    struct buf b = buf_on(at, cap);
    if (user.n == 0)
        return STR_NONE;
    MUST(buf_add(&b, STR("user:")) && buf_add(&b, user));
    return buf_str(&b);
}

static void agent_opened(struct ws_session *ws)
{
    struct agent *a = container_of(ws, struct agent, ws);
    a->organization = tally_enter(ws->endpoint->shared, ws->session.tenant);
    if (a->organization == NULL)
        ws_session_end(ws, CLOSE_INTERNAL, 0, STR_NONE);
}

/* asked: the organization as the client named it. */
static void agent_start(struct ws_session *ws, struct str asked)
{
    struct agent *a = container_of(ws, struct agent, ws);
    char at[NAME_BYTES_MAX + 8];
    struct str own = user_channel(ws->session.user, at, sizeof(at));
    bool is_tenant = str_eq(asked, ws->session.tenant);
    a->asked = is_tenant ? NULL : str_dup(asked);
    struct filter *gate = own.n > 0 ? filter_call(is_welcomed, a) : NULL;
    if ((!is_tenant && a->asked == NULL) || (own.n > 0 && gate == NULL)) {
        filter_destroy(&gate);
        ws_session_end(ws, CLOSE_INTERNAL, 0, STR_NONE);
    } else if (own.n > 0) {
        follow(ws, own, gate, user_followed);
    } else {
        follow(ws, STR("agents"), NULL, organization_followed);
    }
}

static void agent_closed(struct ws_session *ws)
{
    struct agent *a = container_of(ws, struct agent, ws);
    if (a->organization != NULL)
        tally_leave(ws->endpoint->shared, a->organization);
    free(a->asked);
    a->asked = NULL;
}

static void agent_close_words(enum close_reason reason, unsigned *code, struct str *text)
{
    if (reason != CLOSE_SHUTDOWN && reason != CLOSE_GOING_AWAY)
        return;
    *code = 1000;
    *text = STR("Server shutdown");
}

static const struct encoding *agent_encoding(struct session *s)
{
    (void)s;
    return &agents_encoding;
}

bool agents_is_proven(const struct ws_session *ws)
{
    return container_of(ws, const struct agent, ws)->by_token ||
           !hub_policy(ws->session.hub)->personal_channels;
}

static const struct ws_kind agent_kind = {
    .ops = {WS_SESSION_OPS("agents"), .encoding = agent_encoding, .resync = agent_resync},
    .size = sizeof(struct agent),
    .opened = agent_opened,
    .message = agent_message,
    .closed = agent_closed,
    .close_words = agent_close_words,
};

/* ---- who may come in ---- */

/* What the query says, and the endpoint's word on it. */
struct entry {
    struct handshake handshake;
    struct str organization, user;
    char organization_at[HANDSHAKE_TENANT_MAX], user_at[HANDSHAKE_TENANT_MAX];
};

static bool entry_read(struct http_request *r, const struct endpoint *e, struct entry *ret)
{
    const char *why = "organizationId: must be at most 255 bytes of printable UTF-8";
    bool said = http_query(r, STR("organizationId"), ret->organization_at,
                           sizeof(ret->organization_at), &ret->organization);
    if (!said && http_query_count(r, STR("organizationId")) > 0)
        return http_refuse(r, ERR_BAD_REQUEST, why);
    if (!said || ret->organization.n == 0) {
        http_reply_raw(r, STR("HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\n\r\n"
                              "Missing organizationId\r\n"));
        return false;
    }
    if (!tenant_name_ok(ret->organization))
        return http_refuse(r, ERR_BAD_REQUEST, why);
    ret->user = STR_NONE;
    if (!http_query(r, STR("userId"), ret->user_at, sizeof(ret->user_at), &ret->user) &&
        http_query_count(r, STR("userId")) > 0)
        return http_refuse(r, ERR_BAD_REQUEST,
                           "userId: must be at most 250 bytes of printable UTF-8");
    return admit_origin(r, e) && handshake_read(r, e, &ret->handshake);
}

/* A user's channel must be one channel: "user:*" would be everybody's. */
static bool user_is_fit(struct str user, const struct policy *p)
{
    char at[NAME_BYTES_MAX + 8];
    const char *why;
    if (user.n == 0)
        return true;
    if (!user_name_ok(user))
        return false;
    struct str channel = user_channel(user, at, sizeof(at));
    return channel_name_ok(p, channel, &why) && !channel_is_pattern(channel);
}

static bool has_token(const struct entry *in, const struct endpoint *e)
{
    return in->handshake.token.n > 0 && e->auth != AUTH_NONE;
}

static bool entry_admit(struct http_request *r, const struct endpoint *e, const struct entry *in,
                        struct identity *ret)
{
    int64_t now_s = loop_wall_ms(http_server_loop(r->server)) / 1000;
    bool with_token = has_token(in, e);
    bool by_claim = e->tenant_from == TENANT_CLAIM && with_token;
    struct str asked = by_claim ? in->organization : in->handshake.tenant;
    enum err err = admit(e, in->handshake.token, asked, now_s, false, ret);
    if (err != ERR_OK)
        return http_refuse(r, err, ret->why);
    const char *why = NULL;
    if (with_token && in->user.n > 0 && !str_eq(in->user, ret->user)) {
        err = ERR_PERMISSION_DENIED;
        why = "userId: not the one of the token";
    }
    if (!with_token)
        ret->user = in->user;
    if (err == ERR_OK && !user_is_fit(ret->user, hub_policy(endpoint_hub(e, r)))) {
        err = ERR_BAD_REQUEST;
        why = "userId: must be at most 250 bytes of printable UTF-8, and not *";
    }
    if (err == ERR_OK)
        return true;
    identity_fini(ret);
    return http_refuse(r, err, why);
}

static void agents_handle(struct http_request *r, const struct endpoint *e)
{
    struct entry in;
    struct identity id;
    if (!entry_read(r, e, &in) || !entry_admit(r, e, &in, &id))
        return;
    struct ws_session *ws = ws_session_accept(r, e, &agent_kind, &id, NULL);
    if (ws != NULL) {
        container_of(ws, struct agent, ws)->by_token = has_token(&in, e);
        agent_start(ws, in.organization);
    }
    identity_fini(&id);
}

/* The path is checked before anything else, and without a body. */
static bool agents_refuse_path(struct http_request *r)
{
    if (!ws_is_handshake(r))
        return false;
    http_reply_raw(r, STR("HTTP/1.1 404 Not Found\r\n\r\n"));
    return true;
}

/* ---- the endpoint ---- */

static void agents_prepare(struct endpoint *e)
{
    e->shared = tally_create();
    MUST(e->shared != NULL);
    if (!e->tenant_given) {
        e->tenant_from = TENANT_QUERY;
        e->tenant_query = STR("organizationId");
    }
    e->tokens_unknown = true;
    e->ws.deflate = false;
    e->ws.ping_interval_ms = e->ws.pong_timeout_ms = e->options->heartbeat_interval_ms;
    e->ws.pong_only = e->ws.no_pong_aborts = true;
}

static void agents_release(struct endpoint *e)
{
    struct tally *organizations = e->shared;
    tally_destroy(&organizations);
    e->shared = NULL;
}

static const struct dialect_route agents_routes[] = {
    {1u << HTTP_GET, "/api/websocket/stats", agents_stats},
    {1u << HTTP_GET, "/api/agent-tasks/execution-history", agents_history},
};

const struct dialect dialect_agents = {
    .name = "agents",
    .path = "/ws/agents",
    .methods = 1u << HTTP_GET,
    .handle = agents_handle,
    .prepare = agents_prepare,
    .release = agents_release,
    .routes = agents_routes,
    .route_count = sizeof(agents_routes) / sizeof(agents_routes[0]),
    .message_max_bytes = MESSAGE_MAX_BYTES,
    .refuse_path = agents_refuse_path,
};
