/*
 * plataforma_rest.c - what back ends ask and tell under /api/ws.
 *
 * Why it exists: the application's back ends know these paths, and two ways to say a broadcast: the
 * one that was documented, and the one that was built. Both are understood.
 */
#include "dialect/plataforma_priv.h"

#include <stdlib.h>

static const struct str json_type = {"application/json", 16};

void plat_reply_not_found(struct http_request *r)
{
    http_reply(r, 404, json_type, STR("{\"detail\":\"Not Found\"}"), STR_NONE);
}

bool plat_project_ok(struct hub *hub, struct str project)
{
    char at[PLAT_CHANNEL_MAX];
    const char *why;
    if (project.n == 0 || project.n > PLAT_PROJECT_MAX)
        return false;
    struct str channel = plat_project_channel(project, at);
    return channel_name_ok(hub_policy(hub), channel, &why) && !channel_is_pattern(channel);
}

/* {"detail":[{"type":..,"loc":[where,field],"msg":..}]}, as the application's framework says it. */
static void reply_wrong(struct http_request *r, struct str where, const struct plat_broadcast *b)
{
    char at[512];
    struct buf out = buf_on(at, sizeof(at));
    struct json_writer w;
    json_writer_init(&w, &out);
    json_open_object(&w);
    json_open_array(json_key(&w, STR("detail")));
    json_open_object(&w);
    json_put_string(json_key(&w, STR("type")), b->wrong_type);
    json_open_array(json_key(&w, STR("loc")));
    json_put_string(&w, where);
    if (b->wrong_at.n > 0)
        json_put_string(&w, b->wrong_at);
    json_close_array(&w);
    json_put_string(json_key(&w, STR("msg")), b->wrong);
    json_close_object(&w);
    json_close_array(&w);
    json_close_object(&w);
    (void)json_done(&w);
    http_reply(r, 422, json_type, buf_str(&out), STR_NONE);
}

/* ---- whose ---- */

struct back_end {
    struct str tenant;
    char at[HANDSHAKE_TENANT_MAX];
};

/* The endpoint's tenant, or the one that the query names. False: answered. */
static bool back_end_read(struct http_request *r, const struct endpoint *e, struct back_end *ret)
{
    static const struct str name = {"tenant", 6};
    ret->tenant = e->tenant;
    if (!admit_back_end(r, e))
        return false;
    if (http_query_count(r, name) == 0)
        return true;
    if (http_query(r, name, ret->at, sizeof(ret->at), &ret->tenant) && ret->tenant.n > 0 &&
        tenant_name_ok(ret->tenant))
        return true;
    http_refuse(r, ERR_BAD_REQUEST, "tenant: must be at most 255 bytes of printable UTF-8");
    return false;
}

static struct plat_register *register_of(const struct endpoint *e)
{
    struct plat_shared *shared = e->shared;
    return &shared->reg;
}

/* ---- figures ---- */

void plat_handle_stats(struct http_request *r, const struct endpoint *e)
{
    struct back_end be;
    struct buf b;
    if (!back_end_read(r, e, &be))
        return;
    buf_init(&b, PLAT_STATS_MAX);
    if (plat_register_write_stats(register_of(e), be.tenant, &b))
        http_reply(r, 200, json_type, buf_str(&b), STR_NONE);
    else
        http_refuse(r, ERR_INTERNAL, NULL);
    buf_fini(&b);
}

void plat_handle_connections(struct http_request *r, const struct endpoint *e)
{
    struct back_end be;
    char at[64];
    struct buf b = buf_on(at, sizeof(at));
    if (!back_end_read(r, e, &be))
        return;
    (void)buf_add_format(&b, "{\"count\":%u}", plat_register_count(register_of(e), be.tenant));
    http_reply(r, 200, json_type, buf_str(&b), STR_NONE);
}

void plat_handle_project(struct http_request *r, const struct endpoint *e)
{
    struct back_end be;
    struct json_writer w;
    struct buf b;
    static const struct str tail = {"/subscribers", 12};
    struct str project = r->param;
    bool ok = project.n > tail.n && str_eq(str_skip(project, project.n - tail.n), tail);
    if (!ok) {
        plat_reply_not_found(r);
        return;
    }
    project.n -= tail.n;
    if (!back_end_read(r, e, &be))
        return;
    buf_init(&b, json_string_bytes_max(project) + 64);
    json_writer_init(&w, &b);
    json_open_object(&w);
    json_put_string(json_key(&w, STR("project_id")), project);
    json_put_u64(json_key(&w, STR("subscribers")),
                 plat_register_subscribers(register_of(e), be.tenant, project));
    json_close_object(&w);
    if (json_done(&w))
        http_reply(r, 200, json_type, buf_str(&b), STR_NONE);
    else
        http_refuse(r, ERR_INTERNAL, NULL);
    buf_fini(&b);
}

/* ---- broadcast ---- */

struct sending {
    struct http_request *request; // NULL: its peer has gone
    uint32_t sent_to;
};

static void sending_gone(struct http_request *r, void *ctx)
{
    struct sending *s = ctx;
    (void)r;
    s->request = NULL;
}

static void sending_done(void *ctx, const struct answer *a)
{
    struct sending *s = ctx;
    struct http_request *r = s->request;
    char at[64];
    struct buf b = buf_on(at, sizeof(at));
    (void)buf_add_format(&b, "{\"sent_to\":%u}", s->sent_to);
    free(s);
    if (r == NULL)
        return;
    if (a->err == ERR_OK)
        http_reply(r, 200, json_type, buf_str(&b), STR_NONE);
    else
        http_refuse(r, a->err, a->why);
}

static void broadcast(struct http_request *r, const struct endpoint *e, struct str tenant,
                      const struct plat_broadcast *b)
{
    char at[PLAT_CHANNEL_MAX];
    uint8_t excluded[16];
    struct str type = plat_type_is_known(b->event_type) ? b->event_type : STR("notification");
    bool is_log = str_eq(type, STR("log_message"));
    struct str channel = is_log ? STR("logs") : STR("notifications");
    struct sending *s = calloc(1, sizeof(*s));
    if (s == NULL) {
        http_refuse(r, ERR_INTERNAL, NULL);
        return;
    }
    if (b->project.n > 0)
        channel = plat_project_channel(b->project, at);
    if (b->exclude.n > 0)
        plat_client_from_id(b->exclude, excluded);
    const uint8_t *exclude = b->exclude.n > 0 ? excluded : NULL;
    struct plat_event ev = {
        .tenant = tenant, .project = b->project, .is_log = is_log, .exclude = exclude};
    if (is_log)
        plat_note_read(&(struct publication){.data = b->data}, &ev.note);
    s->sent_to = plat_register_broadcast(register_of(e), &ev);
    s->request = r;
    r->gone = sending_gone;
    r->gone_ctx = s;
    hub_publish(endpoint_hub(e, r),
                &(struct publish_params){.tenant = tenant,
                                         .channel = channel,
                                         .type = type,
                                         .data = b->data,
                                         .exclude_client = exclude},
                sending_done, s);
}

/* False: it is there, but too long. */
static bool query_text(struct http_request *r, struct str name, char *at, size_t cap,
                       struct str *ret, struct plat_broadcast *b)
{
    *ret = STR_NONE;
    if (http_query(r, name, at, cap, ret) || http_query_count(r, name) == 0)
        return true;
    b->wrong_at = name;
    b->wrong_type = STR("string_too_long");
    b->wrong = STR("String is too long");
    return false;
}

/* What the body has not said: to leave a project out would tell everybody. */
static bool query_fill(struct http_request *r, struct plat_broadcast *b)
{
    return (b->project.n > 0 || query_text(r, STR("project_id"), b->project_at,
                                           sizeof(b->project_at), &b->project, b)) &&
           (b->exclude.n > 0 || query_text(r, STR("exclude_client"), b->exclude_at,
                                           sizeof(b->exclude_at), &b->exclude, b));
}

/* In the style that was built the arguments are in the query and the whole body is the data. */
static bool arguments_read(struct http_request *r, bool in_query, struct plat_broadcast *b)
{
    bool ok = in_query ? query_text(r, STR("event_type"), b->event_type_at,
                                    sizeof(b->event_type_at), &b->event_type, b)
                       : plat_broadcast_read_body(r->body, b);
    return ok && query_fill(r, b);
}

void plat_handle_broadcast(struct http_request *r, const struct endpoint *e)
{
    struct back_end be;
    struct plat_broadcast b = {0};
    bool in_query = http_query_count(r, STR("event_type")) > 0;
    struct str where = in_query ? STR("query") : STR("body");
    if (!back_end_read(r, e, &be))
        return;
    bool ok = arguments_read(r, in_query, &b);
    if (ok && b.project.n > 0 && !plat_project_ok(endpoint_hub(e, r), b.project)) {
        b.wrong_at = STR("project_id");
        b.wrong_type = STR("string_pattern_mismatch");
        b.wrong = STR("String should have no spaces and at most 240 bytes");
        ok = false;
    }
    if (ok && in_query) {
        where = STR("body");
        ok = plat_broadcast_read_data(r->body, &b);
    }
    if (ok)
        broadcast(r, e, be.tenant, &b);
    else
        reply_wrong(r, where, &b);
}
