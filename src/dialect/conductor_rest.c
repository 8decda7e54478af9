/*
 * conductor_rest.c - the HTTP side of the conductor: jobs in, task events in and out, and the
 * socket of the agents.
 *
 * Why it exists: back ends that know this application's own ways in need no other. Answers have the
 * shape of its framework: {"detail": ..}.
 */
#include "dialect/conductor_priv.h"

/* ---- who may ---- */

static bool has_api_key(const struct http_request *r, const struct endpoint *e)
{
    const struct admission *a = admission_now(e->admission);
    return auth_has_api_key(a->auth) &&
           admission_lets_back_end(a, http_header(r, STR("X-API-Key")),
                                   http_header(r, STR("Authorization")));
}

bool conductor_admit(struct http_request *r, const struct endpoint *e, bool api_key_helps,
                     struct identity *ret)
{
    return admit_request(r, e, api_key_helps && has_api_key(r, e), ret);
}

/* Nothing is begun that could not be ended. True: answered. */
static bool is_going_away(struct http_request *r)
{
    if (!http_is_draining(r))
        return false;
    http_reply_error(r, 503, close_code(CLOSE_GOING_AWAY), close_text(CLOSE_GOING_AWAY));
    return true;
}

static void reply_not_json(struct http_request *r)
{
    reply_invalid(r, STR("json_invalid"), STR("[\"body\"]"),
                  STR("JSON decode error: the body is not a JSON object"));
}

static bool is_object(struct str body)
{
    struct str text = json_trim(body);
    return text.n > 0 && text.p[0] == '{' && json_valid(text);
}

/* ---- POST /api/v1/stream-execute ---- */

/* A job that is about to be listened to; then it is handed over, and the page is told. */
struct starting {
    struct http_request *http; // NULL: the peer has gone
    struct conductor *conductor;
    struct hub *hub;
    struct identity who; // tenant and user alone
    struct str text, body;
    char id[JOB_ID_TEXT];
    char bytes[];
};

static void reply_started(struct http_request *r, struct str id)
{
    struct buf b, url;
    struct str path = r->path; // it ends in "-execute"
    buf_init(&b, json_string_bytes_max(path) + 512);
    buf_init(&url, path.n + 128);
    bool ok = buf_add(&url, (struct str){path.p, path.n - (sizeof("-execute") - 1)}) &&
              buf_add_char(&url, '/') && buf_add(&url, id);
    ok = ok && buf_add(&b, STR("{\"job_id\":\"")) && buf_add(&b, id) &&
         buf_add(&b, STR("\",\"status\":\"started\",\"stream_url\":")) &&
         json_write_string(&b, buf_str(&url)) && buf_add_char(&b, '}');
    http_reply(r, 200, STR("application/json"), ok ? buf_str(&b) : STR("{}"), STR_NONE);
    buf_fini(&url);
    buf_fini(&b);
}

static void reply_no_job(struct http_request *r, enum job_made made)
{
    reply_detail(r, 503,
                 made == JOB_NO_ROOM ? STR("Too many jobs are running now; try again later")
                                     : STR("out of memory"));
}

static void started(void *ctx, bool ok)
{
    struct starting *st = ctx;
    struct http_request *r = st->http;
    struct str id = {st->id, sizeof(st->id)};
    if (ok)
        job_hand_over(st->conductor, st->hub, &st->who, id, st->text, st->body);
    if (r != NULL) {
        r->gone = NULL;
        if (ok)
            reply_started(r, id);
        else
            reply_no_job(r, JOB_NO_ROOM);
    }
    free(st);
}

static void starting_gone(struct http_request *r, void *ctx)
{
    (void)r;
    ((struct starting *)ctx)->http = NULL; // the job was asked for all the same
}

static struct starting *starting_make(struct http_request *r, const struct endpoint *e,
                                      const struct identity *who, struct str text)
{
    struct str body = json_trim(r->body);
    struct starting *st = calloc(1, sizeof(*st) + body.n + who->tenant.n + who->user.n);
    if (st == NULL)
        return NULL;
    char *at = st->bytes;
    st->http = r;
    st->conductor = e->shared;
    st->hub = endpoint_hub(e, r);
    st->body = str_put(&at, body);
    st->text = (struct str){st->body.p + (text.p - body.p), text.n};
    st->who.tenant = str_put(&at, who->tenant);
    st->who.user = str_put(&at, who->user);
    return st;
}

static void execute(struct http_request *r, const struct endpoint *e, const struct identity *who)
{
    struct str text;
    if (!is_object(r->body)) {
        reply_not_json(r);
        return;
    }
    if (!job_text_find(r->body, &text)) {
        reply_detail(r, 400,
                     STR("No text: it is expected in textEntries[0].content, input or command"));
        return;
    }
    struct starting *st = starting_make(r, e, who, text);
    if (st == NULL) {
        reply_no_job(r, JOB_NO_MEMORY);
        return;
    }
    r->gone = starting_gone;
    r->gone_ctx = st;
    enum job_made made = job_make(e->shared, st->hub, who->tenant, st->id, started, st);
    if (made == JOB_MADE)
        return; // st may be gone
    r->gone = NULL;
    free(st);
    reply_no_job(r, made);
}

void conductor_execute(struct http_request *r, const struct endpoint *e)
{
    struct identity id;
    if (is_going_away(r) || conductor_of(r, e) == NULL || !conductor_admit(r, e, false, &id))
        return;
    execute(r, e, &id);
    identity_fini(&id);
}

/* ---- POST /api/internal/task-event ---- */

struct ingest {
    struct http_request *http; // NULL: the peer has gone
    uint32_t watcher_count;
    size_t type_n;
    char type[EVENT_TYPE_MAX];
};

static void ingest_gone(struct http_request *r, void *ctx)
{
    (void)r;
    ((struct ingest *)ctx)->http = NULL;
}

static void reply_broadcast(struct http_request *r, const struct ingest *in)
{
    char at[512];
    struct buf b = buf_on(at, sizeof(at));
    bool ok = buf_add(&b, STR("{\"success\":true,\"message\":\"Event ")) &&
              buf_add(&b, (struct str){in->type, in->type_n}) &&
              buf_add(&b, STR(" broadcasted\",\"clients_count\":")) &&
              buf_add_u64(&b, in->watcher_count) && buf_add_char(&b, '}');
    http_reply(r, 200, STR("application/json"), ok ? buf_str(&b) : STR("{}"), STR_NONE);
}

static void ingest_done(void *ctx, const struct answer *a)
{
    struct ingest *in = ctx;
    struct http_request *r = in->http;
    if (r != NULL) {
        r->gone = NULL;
        if (a->err == ERR_OK)
            reply_broadcast(r, in);
        else
            reply_detail(r, err_http_status(a->err),
                         a->why != NULL ? str_from(a->why) : err_message(a->err));
    }
    free(in);
}

static bool is_task_type(struct str type)
{
    static const char *const known[] = {"task_inputted", "task_submitted", "task_picked",
                                        "task_started",  "task_completed", "task_error"};
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (str_eq(type, str_from(known[i])))
            return true;
    }
    return false;
}

/* A back end may say for which tenant it speaks. "": it may not be called that. */
static struct str tenant_of(const struct endpoint *e, struct str asked)
{
    if (asked.n == 0 || e->tenant_from == TENANT_FIXED)
        return e->tenant;
    return tenant_name_ok(asked) ? asked : STR_NONE;
}

static void ingest_publish(struct http_request *r, const struct endpoint *e,
                           const struct council_event *event, struct str tenant)
{
    struct conductor *c = e->shared;
    struct hub *hub = endpoint_hub(e, r);
    struct ingest *in = calloc(1, sizeof(*in));
    if (in == NULL) {
        reply_detail(r, 503, STR("out of memory"));
        return;
    }
    council_listen(c, hub, tenant, NULL, NULL);
    in->http = r;
    in->watcher_count = council_count(c, tenant);
    in->type_n = event->type.n;
    memcpy(in->type, event->type.p, event->type.n);
    r->gone = ingest_gone;
    r->gone_ctx = in;
    hub_publish(hub,
                &(struct publish_params){.tenant = tenant,
                                         .channel = STR("gamification"),
                                         .type = event->type,
                                         .data = event->data},
                ingest_done, in);
}

void conductor_ingest(struct http_request *r, const struct endpoint *e)
{
    struct council_event event;
    if (conductor_of(r, e) == NULL || !admit_back_end(r, e))
        return;
    if (!is_object(r->body)) {
        reply_not_json(r);
        return;
    }
    const char *why = council_event_read(r->body, &event);
    struct str tenant = tenant_of(e, event.tenant);
    if (why != NULL)
        reply_detail(r, 400, str_from(why));
    else if (event.type.n == 0)
        reply_detail(r, 400, STR("Event type is required"));
    else if (!is_task_type(event.type))
        reply_detail(r, 400,
                     STR("Invalid event type: one of task_inputted, task_submitted, task_picked, "
                         "task_started, task_completed, task_error is expected"));
    else if (tenant.n == 0)
        reply_detail(r, 400, STR("tenant: must be at most 255 bytes of printable UTF-8"));
    else
        ingest_publish(r, e, &event, tenant);
}

/* ---- GET /api/tasks/events ---- */

static bool read_limit(struct http_request *r, uint32_t *ret)
{
    char at[32];
    struct str text;
    uint64_t limit = 50;
    if (http_query_count(r, STR("limit")) > 0 &&
        (!http_query(r, STR("limit"), at, sizeof(at), &text) || !str_to_u64(text, &limit) ||
         limit < 1 || limit > RECENT_MAX)) {
        reply_invalid(r, STR("int_parsing"), STR("[\"query\",\"limit\"]"),
                      STR("Input should be an integer from 1 to 200"));
        return false;
    }
    *ret = (uint32_t)limit;
    return true;
}

/* Somebody who asks for task events that may have to be fetched. */
struct asking {
    struct http_request *http; // NULL: the peer has gone
    struct conductor *conductor;
    uint32_t limit;
    struct str tenant;
    char bytes[];
};

static void asking_gone(struct http_request *r, void *ctx)
{
    (void)r;
    ((struct asking *)ctx)->http = NULL;
}

static void reply_recent(struct http_request *r, struct conductor *c, struct str tenant,
                         uint32_t limit)
{
    struct buf events, b;
    buf_init(&events, 2 * RECENT_MAX_BYTES);
    buf_init(&b, 2 * RECENT_MAX_BYTES + 128);
    uint32_t n = council_recent_write(c, tenant, limit, &events);
    if (events.len > 0 && events.p[events.len - 1] == ',')
        events.len--;
    bool ok = buf_add(&b, STR("{\"success\":true,\"count\":")) && buf_add_u64(&b, n) &&
              buf_add(&b, STR(",\"events\":[")) && buf_add(&b, buf_str(&events)) &&
              buf_add(&b, STR("]}"));
    if (ok)
        http_reply(r, 200, STR("application/json"), buf_str(&b), STR_NONE);
    else
        reply_detail(r, 503, STR("out of memory"));
    buf_fini(&b);
    buf_fini(&events);
}

static void asking_answered(void *ctx)
{
    struct asking *as = ctx;
    if (as->http != NULL) {
        as->http->gone = NULL;
        reply_recent(as->http, as->conductor, as->tenant, as->limit);
    }
    free(as);
}

static void ask_recent(struct http_request *r, const struct endpoint *e, struct str tenant,
                       uint32_t limit)
{
    struct asking *as = malloc(sizeof(*as) + tenant.n);
    if (as == NULL) {
        reply_detail(r, 503, STR("out of memory"));
        return;
    }
    char *at = as->bytes;
    *as = (struct asking){.http = r, .conductor = e->shared, .limit = limit};
    as->tenant = str_put(&at, tenant);
    r->gone = asking_gone;
    r->gone_ctx = as;
    council_listen(e->shared, endpoint_hub(e, r), tenant, asking_answered, as);
}

void conductor_recent(struct http_request *r, const struct endpoint *e)
{
    struct identity id;
    uint32_t limit;
    if (conductor_of(r, e) == NULL || !conductor_admit(r, e, true, &id))
        return;
    if (read_limit(r, &limit))
        ask_recent(r, e, id.tenant, limit);
    identity_fini(&id);
}

/* ---- /ws/agent-stream ---- */

static void producer_said(struct ws_session *ws, struct str payload, bool binary)
{
    struct council_event event;
    struct buf b;
    if (binary || council_event_read(payload, &event) != NULL || event.type.n == 0)
        return;
    buf_init(&b, event.data.n + 64);
    if (debug_data_write(&b, event.data))
        hub_publish(ws->session.hub,
                    &(struct publish_params){.tenant = ws->session.tenant,
                                             .channel = STR("gamification"),
                                             .type = event.type,
                                             .data = buf_str(&b)},
                    NULL, NULL); // a producer is told nothing
    buf_fini(&b);
}

static void producer_opened(struct ws_session *ws)
{
    council_listen(ws->endpoint->shared, ws->session.hub, ws->session.tenant, NULL, NULL);
}

static const struct ws_kind producer_kind = {
    .ops = {WS_SESSION_OPS("conductor")},
    .size = sizeof(struct ws_session),
    .opened = producer_opened,
    .message = producer_said,
};

void conductor_produce(struct http_request *r, const struct endpoint *e)
{
    struct conductor *c = conductor_of(r, e);
    char at[NAME_BYTES_MAX + 1];
    struct str asked = STR_NONE;
    if (c == NULL || is_going_away(r) || !admit_back_end(r, e))
        return;
    if (http_query_count(r, STR("tenant")) > 0 &&
        !http_query(r, STR("tenant"), at, sizeof(at), &asked))
        asked = STR(" "); // too long: as bad as any
    struct identity id = {.tenant = tenant_of(e, asked), .why = ""};
    if (id.tenant.n == 0)
        reply_detail(r, 400, STR("tenant: must be at most 255 bytes of printable UTF-8"));
    else
        (void)ws_session_accept(r, &c->producer, &producer_kind, &id, NULL);
}
