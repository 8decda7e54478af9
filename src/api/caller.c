/*
 * caller.c - who asks over HTTP: a back end with its API key, or a client with its token.
 *
 * Always true: without a configured key for tokens a token is not looked at, and proves nothing.
 */
#include "api/caller.h"

#include "http/origin.h"

/* A page of another site could post here; browsers say whose page it is, and under which name it
 * found us. */
static bool page_ok(const struct api *api, struct http_request *r)
{
    const struct admission *a = admission_now(api->admission);
    if (!http_origin_allowed(r))
        return http_refuse(r, ERR_PERMISSION_DENIED, "Origin: not one of the allowed origins");
    if (auth_has_api_key(a->auth) || http_host_is_expected(r, a->origins, a->origin_count))
        return true;
    return http_refuse(r, ERR_PERMISSION_DENIED,
                       "Host: not a name of this server; allow it in auth.origins, or set an API "
                       "key");
}

static bool query_or_refuse(struct http_request *r, struct str name, char *at, size_t cap,
                            struct str *ret)
{
    if (http_query(r, name, at, cap, ret) || http_query_count(r, name) == 0)
        return true;
    return http_refuse(r, ERR_BAD_REQUEST, "query: the token or tenant is too long");
}

static bool token_read(const struct api *api, struct http_request *r, struct caller *c,
                       struct str *ret)
{
    *ret = STR_NONE;
    if (!auth_has_token_key(admission_now(api->admission)->auth))
        return true;
    if (!query_or_refuse(r, STR("token"), c->token_at, sizeof(c->token_at), ret))
        return false;
    struct str bearer = http_header(r, STR("Authorization"));
    struct str scheme = str_cut(&bearer, ' ');
    if (ret->n == 0 && str_eq_nocase(scheme, STR("Bearer")))
        *ret = str_trim(bearer);
    return true;
}

static bool client_admit(const struct api *api, struct http_request *r, struct str token,
                         struct caller *c)
{
    const struct admission *a = admission_now(api->admission);
    int64_t now_s = loop_wall_ms(http_server_loop(r->server)) / 1000;
    enum err err = auth_verify_connection(a->auth, token, now_s, &c->claims);
    if (err != ERR_OK)
        return http_refuse(r, err, c->claims.reason);
    c->is_client = true;
    c->user = c->claims.user;
    return user_name_ok(c->user) ||
           http_refuse(r, ERR_UNAUTHORIZED,
                       "token: sub must be at most 255 bytes without control characters");
}

static bool back_end_admit(const struct api *api, struct http_request *r)
{
    if (admission_lets_back_end(admission_now(api->admission), http_header(r, STR("X-API-Key")),
                                http_header(r, STR("Authorization"))))
        return true;
    return http_refuse(r, ERR_UNAUTHORIZED,
                       "unauthorized: an API key is needed, as X-API-Key or as Authorization: "
                       "apikey; or a client's token, as Authorization: Bearer");
}

static bool tenant_decide(const struct api *api, struct http_request *r, struct str said,
                          struct caller *c)
{
    struct str own = c->claims.tenant.n > 0 ? c->claims.tenant : api->default_tenant;
    struct str asked = STR_NONE;
    char at[CALLER_TENANT_MAX];
    if (said.n > 0)
        asked = said;
    else if (!query_or_refuse(r, STR("tenant"), at, sizeof(at), &asked))
        return false;
    if (asked.n == 0)
        asked = own;
    if (!tenant_name_ok(asked))
        return http_refuse(r, ERR_BAD_REQUEST,
                           "tenant: must be at most 255 bytes of printable UTF-8");
    if (c->is_client && !str_eq(asked, own))
        return http_refuse(r, ERR_PERMISSION_DENIED, "tenant: not the one of the token");
    char *to = c->tenant_at;
    c->tenant = str_put(&to, asked);
    return true;
}

bool caller_admit(const struct api *api, struct http_request *r, struct str said,
                  struct caller *ret)
{
    struct str token;
    ret->claims = (struct claims){0};
    ret->user = STR_NONE;
    ret->is_client = false;
    bool ok = page_ok(api, r) && token_read(api, r, ret, &token) &&
              (token.n > 0 ? client_admit(api, r, token, ret) : back_end_admit(api, r)) &&
              tenant_decide(api, r, said, ret);
    if (!ok)
        caller_fini(ret);
    return ok;
}

void caller_fini(struct caller *c)
{
    claims_fini(&c->claims);
    c->claims = (struct claims){0};
}

bool caller_may_follow(const struct caller *c, const struct api *api, struct str channel)
{
    const struct policy *policy = hub_policy(node_hub(api->node, 0));
    return !c->is_client || policy_lets_subscribe(policy, channel, c->user);
}
