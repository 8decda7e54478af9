/*
 * plataforma.c - project boards: /ws/notifications, /ws/project/{id}, /ws/logs, and /api/ws beside
 * them.
 *
 * Why it exists: one application's pages, scripts and back ends connect as they are. What they are
 * told, and how, is in docs/dialects/plataforma.md.
 */
#include "dialect/plataforma_priv.h"

#include "base/must.h"
#include "monitor/logbook.h"

#include <stdlib.h>

/* ---- birth ---- */

static bool text_or_refuse(struct http_request *r, struct str name, char *at, struct str *ret)
{
    if (http_query(r, name, at, PLAT_ID_MAX, ret) || http_query_count(r, name) == 0)
        return true;
    http_refuse(r, ERR_BAD_REQUEST, "query: client_id, level or source is too long");
    return false;
}

static bool tail_read(struct http_request *r, uint32_t *ret)
{
    char at[16];
    struct str text;
    uint64_t n = 0;
    bool said = http_query_count(r, STR("tail")) > 0;
    if (said && (!http_query(r, STR("tail"), at, sizeof(at), &text) || !str_to_u64(text, &n) ||
                 n > LOGBOOK_LINES_MAX))
        return http_refuse(r, ERR_BAD_REQUEST, "query: tail is not a number from 0 to 1000");
    *ret = (uint32_t)n;
    return true;
}

static bool ask_read(struct http_request *r, const struct endpoint *e, struct plat_ask *ask)
{
    ask->project = ask->kind == PLAT_PROJECT ? r->param : STR_NONE;
    ask->client_id = ask->source = STR_NONE;
    ask->level = STR("info");
    if (ask->kind == PLAT_LOGS)
        return text_or_refuse(r, STR("level"), ask->level_at, &ask->level) &&
               text_or_refuse(r, STR("source"), ask->source_at, &ask->source) &&
               tail_read(r, &ask->tail);
    if (ask->kind == PLAT_PROJECT && !plat_project_ok(endpoint_hub(e, r), ask->project)) {
        http_refuse(r, ERR_BAD_REQUEST, "path: a project's id has no spaces and at most 240 bytes");
        return false;
    }
    return text_or_refuse(r, STR("client_id"), ask->client_id_at, &ask->client_id);
}

static void session_accept(struct http_request *r, const struct endpoint *e,
                           const struct identity *id, const struct plat_ask *ask)
{
    struct plat_shared *shared = e->shared;
    struct plat_member *m = plat_member_make(&(struct plat_arrival){
        .kind = ask->kind,
        .tenant = id->tenant,
        .client_id = ask->client_id,
        .least = plat_level_read(ask->level),
        .source = ask->source,
    });
    if (m == NULL) {
        http_refuse(r, ERR_INTERNAL, NULL);
        return;
    }
    struct loop *l = http_server_loop(r->server);
    struct ws_session *ws = ws_session_accept(r, e, &plat_session_kind, id, NULL);
    if (ws == NULL) {
        plat_member_unref(m);
        return;
    }
    struct plat_session *ps = plat_session_of(ws);
    ps->loop = &shared->loops[loop_index(l)];
    ps->member = m;
    m->session = ps;
    m->loop = l;
    plat_session_begin(ps, ask);
}

static void serve(struct http_request *r, const struct endpoint *e, enum plat_kind what)
{
    struct identity id;
    struct plat_ask ask = {.kind = what};
    if (!ws_is_handshake(r)) {
        plat_reply_not_found(r);
        return;
    }
    if (http_is_draining(r)) {
        http_reply_error(r, 503, close_code(CLOSE_GOING_AWAY), close_text(CLOSE_GOING_AWAY));
        return;
    }
    if (!admit_request(r, e, false, &id))
        return;
    if (ask_read(r, e, &ask))
        session_accept(r, e, &id, &ask);
    identity_fini(&id);
}

static void handle_notifications(struct http_request *r, const struct endpoint *e)
{
    serve(r, e, PLAT_NOTIFICATIONS);
}

static void handle_project(struct http_request *r, const struct endpoint *e)
{
    serve(r, e, PLAT_PROJECT);
}

static void handle_logs(struct http_request *r, const struct endpoint *e)
{
    serve(r, e, PLAT_LOGS);
}

/* ---- endpoints ---- */

/* Silent pages live by answering protocol pings: there are some, often enough, whatever is
 * configured; who does not answer is ended by the heartbeat's timeout alone. */
static void pings_prepare(struct endpoint *e)
{
    uint32_t often_ms = e->options->heartbeat_timeout_ms / 3;
    if (e->ws.ping_interval_ms == 0 || e->ws.ping_interval_ms > often_ms)
        e->ws.ping_interval_ms = often_ms > 0 ? often_ms : 1;
    e->ws.pong_timeout_ms = 0;
}

static void prepare(struct endpoint *e)
{
    struct plat_shared *shared = calloc(1, sizeof(*shared));
    uint32_t most = e->connections_max > 0 ? e->connections_max : e->options->connections_max;
    bool ok = shared != NULL && plat_register_init(&shared->reg, most);
    MUST(ok); // a server that cannot begin has nothing to answer
    for (size_t i = 0; i < HUB_LOOPS_MAX; i++) {
        struct plat_loop *pl = &shared->loops[i];
        pl->shared = shared;
        map_init(&pl->rooms, SIZE_MAX);
        for (size_t f = 0; f < WS_FRAMINGS; f++)
            pl->encodings[f] = (struct encoding){
                .name = "plataforma", .encode = plat_encode, .extra = &ws_window_bits[f]};
    }
    e->shared = shared;
    e->tokens_unknown = true;
    pings_prepare(e);
}

static void release(struct endpoint *e)
{
    struct plat_shared *shared = e->shared;
    for (size_t i = 0; i < HUB_LOOPS_MAX; i++)
        plat_rooms_fini(&shared->loops[i]);
    plat_register_fini(&shared->reg);
    free(shared);
    e->shared = NULL;
}

static bool refuse_path(struct http_request *r)
{
    if (ws_is_handshake(r))
        http_reply(r, 403, STR("text/plain; charset=utf-8"), STR_NONE, STR_NONE);
    else
        plat_reply_not_found(r);
    return true;
}

#define GET_ONLY (1u << HTTP_GET)
static const struct dialect_route routes[] = {
    {GET_ONLY, "/ws/project/{project_id}", handle_project},
    {GET_ONLY, "/ws/logs", handle_logs},
    {GET_ONLY, "/api/ws/stats", plat_handle_stats},
    {GET_ONLY, "/api/ws/connections", plat_handle_connections},
    {GET_ONLY, "/api/ws/project/{rest...}", plat_handle_project},
    {1u << HTTP_POST, "/api/ws/broadcast", plat_handle_broadcast},
};

const struct dialect dialect_plataforma = {
    .name = "plataforma",
    .path = "/ws/notifications",
    .methods = GET_ONLY,
    .handle = handle_notifications,
    .prepare = prepare,
    .release = release,
    .routes = routes,
    .route_count = sizeof(routes) / sizeof(routes[0]),
    .refuse_path = refuse_path,
};
