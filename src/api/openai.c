/*
 * openai.c - the routes of /v1: who may ask, and what is passed on.
 *
 * Why it exists: programs that talk to a model have a client for OpenAI's API. They need no other
 * one to have their tokens in a channel, where a page that was reloaded finds them again.
 *
 * Always true: what a client brings as authorization is for this server; the model's server is
 * shown llm.api_key alone.
 */
#include "api/openai_priv.h"

#include "api/rest.h"
#include "base/must.h"
#include "http/origin.h"

#include <stdlib.h>

/* ---- errors ---- */

bool openai_error_write(struct buf *out, struct str code, struct str message, unsigned status)
{
    struct json_writer w;
    struct str type = status >= 500   ? STR("server_error")
                      : status == 401 ? STR("authentication_error")
                      : status == 403 ? STR("permission_error")
                                      : STR("invalid_request_error");
    json_writer_init(&w, out);
    json_open_object(&w);
    json_open_object(json_key(&w, STR("error")));
    json_put_string(json_key(&w, STR("message")), message);
    json_put_string(json_key(&w, STR("type")), type);
    json_put_null(json_key(&w, STR("param")));
    json_put_string(json_key(&w, STR("code")), code);
    json_close_object(&w);
    json_close_object(&w);
    return json_done(&w);
}

bool openai_refuse(struct http_request *r, unsigned status, struct str code, struct str message,
                   struct str extra)
{
    struct buf body;
    buf_init(&body, 2 * (json_string_bytes_max(message) + json_string_bytes_max(code)) + 256);
    (void)openai_error_write(&body, code, message, status);
    http_reply(r, status, STR("application/json"), buf_str(&body), extra);
    buf_fini(&body);
    return false;
}

/* ---- who ---- */

static bool page_ok(struct http_request *r, const struct admission *a)
{
    if (!http_origin_allowed(r))
        return openai_refuse(r, 403, STR("origin_not_allowed"), STR(HTTP_ORIGIN_REFUSED), STR_NONE);
    if (!auth_has_api_key(a->auth) && !http_host_is_expected(r, a->origins, a->origin_count))
        return openai_refuse(r, 403, STR("host_not_allowed"),
                             STR("Host: not a name of this server; allow it in auth.origins, or "
                                 "set an API key"),
                             STR_NONE);
    return true;
}

static struct str bearer_of(const struct http_request *r)
{
    struct str text = http_header(r, STR("Authorization"));
    struct str scheme = str_cut(&text, ' ');
    return str_eq_nocase(scheme, STR("Bearer")) ? str_trim(text) : STR_NONE;
}

/* Three parts between dots: what OpenAI's clients have to send where no key is needed is not. */
static bool is_token(struct str s)
{
    size_t dots = 0;
    for (size_t i = 0; i < s.n; i++)
        dots += s.p[i] == '.';
    return dots == 2;
}

static bool admit_client(struct http_request *r, const struct admission *a, struct str token,
                         const struct api *api, struct asker *ret)
{
    int64_t now_s = loop_wall_ms(http_server_loop(r->server)) / 1000;
    if (auth_verify_connection(a->auth, token, now_s, &ret->claims) != ERR_OK)
        return openai_refuse(r, 401, STR("invalid_token"), str_from(ret->claims.reason), STR_NONE);
    ret->user = ret->claims.user;
    ret->tenant = ret->claims.tenant.n > 0 ? ret->claims.tenant : api->default_tenant;
    return true;
}

static bool admit_back_end(struct http_request *r, const struct api *api, struct asker *ret)
{
    ret->back_end = true;
    ret->tenant = http_header(r, STR("X-Recado-Tenant"));
    if (!tenant_name_ok(ret->tenant))
        return openai_refuse(r, 400, STR("invalid_tenant"),
                             STR("X-Recado-Tenant: must be at most 255 bytes of printable UTF-8"),
                             STR_NONE);
    if (ret->tenant.n == 0)
        ret->tenant = api->default_tenant;
    return true;
}

/* A back end's key is brought as everywhere, or as OpenAI's clients bring theirs. */
static bool admit(struct http_request *r, const struct api *api, struct asker *ret)
{
    const struct admission *a = admission_now(api->admission);
    struct str bearer = bearer_of(r);
    *ret = (struct asker){0};
    if (!page_ok(r, a))
        return false;
    if (auth_has_token_key(a->auth) && is_token(bearer))
        return admit_client(r, a, bearer, api, ret);
    if (admission_lets_back_end(a, http_header(r, STR("X-API-Key")),
                                http_header(r, STR("Authorization"))) ||
        (bearer.n > 0 && admission_lets_back_end(a, bearer, STR_NONE)))
        return admit_back_end(r, api, ret);
    return openai_refuse(r, 401, STR("invalid_api_key"),
                         STR("an API key is needed, as Authorization: Bearer or as X-API-Key, or a "
                             "client's token"),
                         STR_NONE);
}

/* ---- the channel ---- */

static bool client_may_write(const struct policy *p, struct str channel, struct str user)
{
    bool own = !p->personal_channels || !channel_is_personal(channel) ||
               (user.n > 0 && str_eq(str_skip(channel, 5), user));
    return own && policy_of(p, channel)->client_publish;
}

static bool channel_ok(struct http_request *r, const struct api *api, const struct asker *who,
                       struct str channel)
{
    const struct policy *p =
        hub_policy(node_hub(api->node, loop_index(http_server_loop(r->server))));
    const char *why;
    if (!channel_name_ok(p, channel, &why))
        return openai_refuse(r, 400, STR("invalid_channel"), str_from(why), STR_NONE);
    if (channel_is_pattern(channel))
        return openai_refuse(r, 400, STR("invalid_channel"),
                             STR("channel: a pattern names no channel"), STR_NONE);
    if (!who->back_end && !client_may_write(p, channel, who->user))
        return openai_refuse(r, 403, STR("channel_not_allowed"),
                             STR("X-Recado-Channel: clients may not publish there"), STR_NONE);
    return true;
}

/* ---- routes ---- */

static bool may_begin(struct http_request *r, const struct api *api)
{
    if (http_is_draining(r))
        return openai_refuse(r, 503, STR("ending"), STR("the server is shutting down"), STR_NONE);
    if (api->llm == NULL)
        return openai_refuse(r, 503, STR("no_model"), STR("no model is configured: set llm.url"),
                             STR_NONE);
    return true;
}

static void pass(struct http_request *r, struct str path, bool may_publish)
{
    const struct api *api = r->route_ctx;
    struct asker who;
    struct relay_ask ask = {.path = path, .channel = http_header(r, STR("X-Recado-Channel"))};
    if (!admit(r, api, &who))
        return;
    ask.tenant = who.tenant;
    if (ask.channel.n > 0 && !may_publish)
        openai_refuse(r, 400, STR("invalid_channel"),
                      STR("X-Recado-Channel: only completions can be published"), STR_NONE);
    else if (ask.channel.n > 0 && !channel_ok(r, api, &who, ask.channel))
        ;
    else if (may_begin(r, api))
        relay_start(r, api, &ask);
    asker_fini(&who);
}

static bool has_body(struct http_request *r)
{
    return r->body.n > 0 ||
           openai_refuse(r, 400, STR("invalid_body"), STR("the body is empty"), STR_NONE);
}

static void route_chat(struct http_request *r)
{
    if (has_body(r))
        pass(r, STR("/chat/completions"), true);
}

static void route_completions(struct http_request *r)
{
    if (has_body(r))
        pass(r, STR("/completions"), true);
}

static void route_embeddings(struct http_request *r)
{
    if (has_body(r))
        pass(r, STR("/embeddings"), false);
}

static void route_models(struct http_request *r)
{
    pass(r, STR("/models"), false);
}

/* A name may hold slashes, but no way up. */
static void route_model(struct http_request *r)
{
    struct str path = str_skip(r->raw_path, STR("/v1").n);
    if (str_find(r->path, STR("..")) < r->path.n || str_find(path, STR("?")) < path.n)
        openai_refuse(r, 404, STR("model_not_found"), STR("no such model"), STR_NONE);
    else
        pass(r, path, false);
}

bool openai_routes(struct http_router *rt, const struct api *api)
{
    void *ctx = (void *)(uintptr_t)api;
    unsigned get = 1u << HTTP_GET, post = 1u << HTTP_POST;
    return http_router_add(rt, post, "/v1/chat/completions", route_chat, ctx) &&
           http_router_add(rt, post, "/v1/completions", route_completions, ctx) &&
           http_router_add(rt, post, "/v1/embeddings", route_embeddings, ctx) &&
           http_router_add(rt, get, "/v1/models", route_models, ctx) &&
           http_router_add(rt, get, "/v1/models/{path...}", route_model, ctx);
}

/* ---- what is under way ---- */

struct openai *openai_create(void)
{
    struct openai *o = calloc(1, sizeof(*o));
    if (o == NULL)
        return NULL;
    pthread_mutex_init(&o->lock, NULL);
    list_init(&o->writing);
    return o;
}

void openai_destroy(struct openai **op)
{
    struct openai *o = *op;
    *op = NULL;
    if (o == NULL)
        return;
    MUST(list_empty(&o->writing));
    pthread_mutex_destroy(&o->lock);
    free(o);
}

unsigned openai_cancel(struct openai *o, struct str tenant, struct str channel)
{
    unsigned count = 0;
    pthread_mutex_lock(&o->lock);
    list_each(it, &o->writing)
    {
        struct relay *y = container_of(it, struct relay, link);
        if (!str_eq(y->tenant, tenant) || !str_eq(y->channel, channel) || y->mailed)
            continue;
        y->mailed = true;
        loop_post(y->loop, &y->mail);
        count++;
    }
    pthread_mutex_unlock(&o->lock);
    return count;
}
