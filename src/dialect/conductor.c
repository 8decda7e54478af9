/*
 * conductor.c - the council's events for its dashboards: /ws/gamification.
 *
 * Why it exists: the stock client connects, says nothing, and shows what comes; a few commands say
 * which types it wants.
 *
 * Always true: "connected" is the first thing a client is sent, and from then on it is told every
 * event of the channel gamification that its topics want, and every one of client:<its id>.
 */
#include "dialect/conductor_priv.h"

enum {
    COMMAND_NAME_MAX = 4096, // of one that is said back
    MESSAGE_MAX_BYTES = 16 << 20,
};

static struct watcher *watcher_of(struct ws_session *ws)
{
    return container_of(ws, struct watcher, ws);
}

/* ---- what a client is sent ---- */

void watcher_send(struct watcher *w, struct str type, struct str data)
{
    struct buf b;
    buf_init(&b, data.n + json_string_bytes_max(type) + FRAME_ROOM);
    if (frame_write(&b, type, data, loop_wall_ms(ws_session_loop(&w->ws))))
        ws_session_send(&w->ws, buf_str(&b));
    buf_fini(&b);
}

void watcher_send_message(struct watcher *w, struct str type, struct str message)
{
    struct buf b;
    buf_init(&b, json_string_bytes_max(message) + 32);
    if (message_write(&b, message))
        watcher_send(w, type, buf_str(&b));
    buf_fini(&b);
}

static void greet(struct watcher *w)
{
    char id[UUID_TEXT], at[160];
    if (w->greeted)
        return;
    w->greeted = true;
    struct buf b = buf_on(at, sizeof(at));
    uuid_format(w->ws.session.client, id);
    if (buf_add(&b, STR("{\"message\":\"Connected to gamification WebSocket\",\"client_id\":\"")) &&
        buf_add(&b, (struct str){id, UUID_TEXT}) && buf_add(&b, STR("\"}")))
        watcher_send(w, STR("connected"), buf_str(&b));
}

/* ---- events ---- */

static bool wants(void *ctx, const struct publication *p)
{
    const struct watcher *w = ctx;
    return topics_want(w->topics, p->type.n > 0 ? p->type : STR("message"));
}

/* Of the client's own channel: past the topics, and it may be what a pause waits for. */
static bool own_encode(const struct encoding *e, struct str channel, const struct publication *p,
                       struct buf *out)
{
    struct watcher *w = (struct watcher *)(uintptr_t)e->extra;
    struct buf b;
    (void)out;
    if (p->kind != EVENT_PUBLICATION)
        return false;
    greet(w);
    pause_heard(w, p);
    buf_init(&b, conductor_writer.bytes_max(channel, p));
    if (conductor_writer.write(&b, channel, p))
        ws_session_send(&w->ws, buf_str(&b));
    buf_fini(&b);
    return false;
}

static bool may_go_on(struct watcher *w, const struct answer *a)
{
    if (a->err != ERR_OK && a->err != ERR_EXPIRED)
        ws_session_end(&w->ws, CLOSE_INTERNAL, 0, STR_NONE);
    return a->err == ERR_OK && !w->ws.ending;
}

static void follows_all(void *ctx, const struct answer *a)
{
    struct watcher *w = ctx;
    if (may_go_on(w, a)) {
        greet(w);
        ws_session_resync(&w->ws, &conductor_writer, STR("gamification"), a->publications,
                          a->publication_count, ws_session_send);
    }
    session_unref(&w->ws.session);
}

static void follow_all(struct watcher *w)
{
    struct filter *filter = NULL;
    if (w->topics != NULL && (filter = filter_call(wants, w)) == NULL) {
        ws_session_end(&w->ws, CLOSE_INTERNAL, 0, STR_NONE); // it must not hear what it left out
        return;
    }
    session_ref(&w->ws.session);
    hub_subscribe(&w->ws.session,
                  &(struct subscribe_params){
                      .channel = STR("gamification"),
                      .encoding = conductor_encoding(w->ws.carrier->framing),
                      .authorized = true,
                      .filter = filter,
                  },
                  follows_all, w);
}

static void follows_own(void *ctx, const struct answer *a)
{
    struct watcher *w = ctx;
    if (may_go_on(w, a))
        follow_all(w);
    session_unref(&w->ws.session);
}

static void follow_own(struct watcher *w)
{
    char name[7 + UUID_TEXT] = "client:";
    w->own = (struct encoding){.name = "conductor-own", .encode = own_encode, .extra = w};
    uuid_format(w->ws.session.client, name + 7);
    session_ref(&w->ws.session);
    hub_subscribe(&w->ws.session,
                  &(struct subscribe_params){
                      .channel = {name, sizeof(name)}, .encoding = &w->own, .authorized = true},
                  follows_own, w);
}

/* Nothing is said before it is true: whoever has read "connected" may publish at once. */
static void opened(struct ws_session *ws)
{
    struct watcher *w = watcher_of(ws);
    w->conductor = ws->endpoint->shared;
    list_init(&w->link);
    list_init(&w->pauses);
    council_join(w);
    follow_own(w);
}

static void closed(struct ws_session *ws)
{
    struct watcher *w = watcher_of(ws);
    pauses_drop(w);
    council_leave(w);
}

/* ---- commands ---- */

/* Who wants everything is not asked about each frame: the filter begins with the first choice. */
static bool filter_begin(struct watcher *w)
{
    struct subscription *sub = session_find(&w->ws.session, STR("gamification"));
    if (sub == NULL || sub->filter != NULL)
        return true;
    sub->filter = filter_call(wants, w);
    sub->cursor.filtered = sub->filter != NULL;
    return sub->filter != NULL;
}

static void do_subscribe(struct watcher *w, const struct council_command *cmd)
{
    struct buf b;
    struct str raw = cmd->topics.n > 0 ? cmd->topics : STR("[\"all\"]");
    struct topics *fresh = topics_make(raw);
    if (fresh == NULL || !filter_begin(w)) {
        free(fresh);
        watcher_send_message(w, STR("error"), STR("topics must be a list of strings"));
        return;
    }
    pthread_mutex_lock(&w->conductor->lock); // for those who read statistics
    struct topics *before = w->topics;
    w->topics = fresh;
    pthread_mutex_unlock(&w->conductor->lock);
    free(before);
    buf_init(&b, raw.n + 32);
    if (buf_add(&b, STR("{\"topics\":")) && buf_add(&b, raw) && buf_add_char(&b, '}'))
        watcher_send(w, STR("subscribed"), buf_str(&b));
    buf_fini(&b);
}

static void do_ping(struct watcher *w)
{
    char stamp[STAMP_MAX], at[64];
    struct buf b = buf_on(at, sizeof(at));
    size_t n = stamp_write(loop_wall_ms(ws_session_loop(&w->ws)), stamp);
    if (buf_add(&b, STR("{\"timestamp\":")) && buf_add(&b, (struct str){stamp, n}) &&
        buf_add_char(&b, '}'))
        watcher_send(w, STR("pong"), buf_str(&b));
}

static void do_stats(struct watcher *w)
{
    struct buf b;
    buf_init(&b, w->ws.endpoint->ws.out_max_bytes);
    if (council_stats_write(w, &b))
        watcher_send(w, STR("stats"), buf_str(&b));
    buf_fini(&b);
}

static void do_pause(struct watcher *w, const struct council_command *cmd)
{
    struct str id = cmd->councilor_id;
    if (id.n == 0 || id.n > TOPICS_MAX_BYTES || id.p[0] == '{' || id.p[0] == '[' ||
        str_eq(id, STR("null")))
        watcher_send_message(w, STR("error"), STR("pause_councilor needs a councilor_id"));
    else
        pause_ask(w, id);
}

static void do_other(struct watcher *w, const struct council_command *cmd)
{
    struct buf b;
    buf_init(&b, cmd->name.n + 64);
    if (cmd->name.n > COMMAND_NAME_MAX)
        watcher_send_message(w, STR("error"), STR("Unknown command: of many bytes"));
    else if (buf_add(&b, STR("Unknown command: ")) && command_name_write(&b, cmd->name))
        watcher_send_message(w, STR("error"), buf_str(&b));
    else
        watcher_send_message(w, STR("error"), STR("Invalid JSON"));
    buf_fini(&b);
}

static void message(struct ws_session *ws, struct str payload, bool binary)
{
    struct watcher *w = watcher_of(ws);
    struct council_command cmd;
    greet(w); // who does not wait for it is told first all the same
    if (binary || !council_command_read(payload, &cmd)) {
        watcher_send_message(w, STR("error"),
                             binary ? STR("Binary messages are not understood")
                                    : STR("Invalid JSON: a command is an object"));
        return;
    }
    switch (cmd.kind) {
    case COMMAND_SUBSCRIBE:
        do_subscribe(w, &cmd);
        break;
    case COMMAND_PING:
        do_ping(w);
        break;
    case COMMAND_STATS:
        do_stats(w);
        break;
    case COMMAND_PAUSE:
        do_pause(w, &cmd);
        break;
    case COMMAND_OTHER:
        do_other(w, &cmd);
        break;
    }
}

/* ---- what the hub asks ---- */

static const struct encoding *ops_encoding(struct session *s)
{
    const struct ws_session *ws = ws_session_of(s);
    return ws->carrier != NULL ? conductor_encoding(ws->carrier->framing) : NULL;
}

static void ops_resync(struct session *s, struct subscription *sub, struct publication *const *pubs,
                       size_t count)
{
    ws_session_resync(ws_session_of(s), &conductor_writer, subscription_channel(sub), pubs, count,
                      ws_session_send);
}

static void ops_bury(struct session *s)
{
    struct watcher *w = watcher_of(ws_session_of(s));
    pthread_mutex_lock(&w->conductor->lock); // the connection, and its place in the council, may
    struct topics *topics = w->topics;       // still be there
    w->topics = NULL;
    pthread_mutex_unlock(&w->conductor->lock);
    free(topics);
    ws_session_bury(s);
}

static void ticked(struct ws_session *ws)
{
    pauses_tick(watcher_of(ws));
}

static const struct ws_kind watcher_kind = {
    .ops = {.dialect = "conductor",
            .address = ws_session_address,
            .encoding = ops_encoding,
            .disconnect = ws_session_disconnect,
            .resync = ops_resync,
            .bury = ops_bury},
    .size = sizeof(struct watcher),
    .opened = opened,
    .message = message,
    .ticked = ticked,
    .closed = closed,
};

/* ---- birth ---- */

static void nothing_said(struct carrier *c, void *ctx, struct str payload, bool binary)
{
    (void)c;
    (void)ctx;
    (void)payload;
    (void)binary;
}

static void nothing_closed(struct carrier *c, void *ctx, enum close_reason reason, unsigned code)
{
    (void)c;
    (void)ctx;
    (void)reason;
    (void)code;
}

/* A refusal that the page's code can read: a status before the upgrade would not reach it. */
static void refuse_token(struct http_request *r, const struct endpoint *e)
{
    static const struct carrier_handler nobody = {.message = nothing_said,
                                                  .closed = nothing_closed};
    struct carrier *c = ws_accept(r, &e->ws, &nobody, NULL);
    if (c != NULL)
        carrier_close_with(c, CLOSE_UNAUTHORIZED, 1008, STR("Unauthorized"));
}

struct conductor *conductor_of(struct http_request *r, const struct endpoint *e)
{
    if (e->shared == NULL)
        http_reply_error(r, 503, err_code(ERR_INTERNAL), STR("out of memory"));
    return e->shared;
}

static void handle(struct http_request *r, const struct endpoint *e)
{
    struct handshake h;
    struct identity id;
    if (conductor_of(r, e) == NULL || !admit_origin(r, e) || !handshake_read(r, e, &h))
        return;
    int64_t now_s = loop_wall_ms(http_server_loop(r->server)) / 1000;
    enum err err = admit(e, h.token, h.tenant, now_s, false, &id);
    if (err == ERR_BAD_REQUEST)
        http_refuse(r, err, id.why);
    else if (err != ERR_OK)
        refuse_token(r, e);
    else
        (void)ws_session_accept(r, e, &watcher_kind, &id, NULL);
    identity_fini(&id);
}

static bool refuse_path(struct http_request *r)
{
    if (!ws_is_handshake(r))
        return false;
    http_reply(r, 403, STR("text/plain; charset=utf-8"), STR_NONE, STR_NONE);
    return true;
}

static void prepare(struct endpoint *e)
{
    struct conductor *c = calloc(1, sizeof(*c));
    e->shared = c;
    if (c == NULL)
        return;
    c->endpoint = e;
    e->tokens_unknown = true;
    c->producer = *e;
    c->producer.messages_per_second = 0; // a back end's
    c->stream = e->sse;
    c->stream.heartbeat_ms = 0; // its clients know no comments
    c->stream.out_max_bytes += 2 << 20;
    pthread_mutex_init(&c->lock, NULL);
    map_init(&c->councils, COUNCILS_MAX);
    map_init(&c->jobs, e->options->conductor.jobs_max);
    list_init(&c->ended);
    list_init(&c->handings);
}

static void release(struct endpoint *e)
{
    struct conductor *c = e->shared;
    if (c == NULL)
        return;
    handings_drop(c);
    jobs_drop(c);
    councils_drop(c);
    pthread_mutex_destroy(&c->lock);
    free(c);
    e->shared = NULL;
}

static const struct dialect_route routes[] = {
    {1u << HTTP_POST, "/api/v1/stream-execute", conductor_execute},
    {1u << HTTP_GET, "/api/v1/stream/{job_id}", conductor_stream},
    {1u << HTTP_POST, "/api/internal/task-event", conductor_ingest},
    {1u << HTTP_GET, "/api/tasks/events", conductor_recent},
    {1u << HTTP_GET, "/api/tasks", conductor_tasks},
    {1u << HTTP_GET, "/ws/agent-stream", conductor_produce},
};

const struct dialect dialect_conductor = {
    .name = "conductor",
    .path = "/ws/gamification",
    .methods = 1u << HTTP_GET,
    .handle = handle,
    .prepare = prepare,
    .release = release,
    .routes = routes,
    .route_count = sizeof(routes) / sizeof(routes[0]),
    .message_max_bytes = MESSAGE_MAX_BYTES,
    .refuse_path = refuse_path,
};
