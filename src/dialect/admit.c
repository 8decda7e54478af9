/*
 * admit.c - who may come in at an endpoint, and as whom.
 *
 * Why it exists: every dialect asks the same three questions (from which page, with which token,
 * of which tenant), and a wrong answer to one of them lets people into other people's channels.
 */
#include "dialect/admit.h"

#include "base/log.h"
#include "base/random.h"
#include "http/origin.h"

/* ---- origins ---- */

bool admit_origin(struct http_request *r, const struct endpoint *e)
{
    struct str origin = http_header(r, STR("Origin"));
    const struct admission *a = admission_now(e->admission);
    const struct str *list = e->origins != NULL ? e->origins : a->origins;
    size_t count = e->origins != NULL ? e->origin_count : a->origin_count;
    if (origin.n > 0 && !http_origin_is_same_host(r, origin) &&
        !http_origin_in(list, count, origin)) {
        log_debug("%s: a page of %.*s was refused: not in auth.origins", e->path, STR_FMT(origin));
        return http_refuse(r, ERR_PERMISSION_DENIED, HTTP_ORIGIN_REFUSED);
    }
    if (!auth_has_token_key(a->auth) && !http_host_is_expected(r, list, count))
        return http_refuse(r, ERR_PERMISSION_DENIED,
                           "Host: not a name of this server; allow it in auth.origins");
    return true;
}

bool admit_back_end(struct http_request *r, const struct endpoint *e)
{
    const struct admission *a = admission_now(e->admission);
    const char *why = http_page_refusal(r, auth_has_api_key(a->auth), a->origins, a->origin_count);
    if (why != NULL)
        return http_refuse(r, ERR_PERMISSION_DENIED, why);
    if (admission_lets_back_end(a, http_header(r, STR("X-API-Key")),
                                http_header(r, STR("Authorization"))))
        return true;
    return http_refuse(r, ERR_UNAUTHORIZED,
                       admission_back_end_refusal(http_header(r, STR("X-API-Key")),
                                                  http_header(r, STR("Authorization")), false));
}

/* ---- what a request brings ---- */

static bool query_or_refuse(struct http_request *r, struct str name, char *at, size_t cap,
                            struct str *ret)
{
    if (http_query(r, name, at, cap, ret) || http_query_count(r, name) == 0)
        return true;
    return http_refuse(r, ERR_BAD_REQUEST, "query: the token or tenant is too long");
}

/* Which parameter of the query may name the tenant. */
static struct str tenant_parameter(const struct endpoint *e)
{
    return e->tenant_from == TENANT_QUERY   ? e->tenant_query
           : e->tenant_from == TENANT_CLAIM ? STR("tenant")
                                            : STR_NONE;
}

/* An application that never had tokens may say anything there. */
static bool tokens_matter(const struct endpoint *e)
{
    return !e->tokens_unknown || e->auth == AUTH_REQUIRED ||
           auth_has_token_key(admission_now(e->admission)->auth);
}

static bool token_read(struct http_request *r, struct handshake *ret)
{
    if (!query_or_refuse(r, STR("token"), ret->token_at, sizeof(ret->token_at), &ret->token))
        return false;
    struct str bearer = http_header(r, STR("Authorization"));
    struct str scheme = str_cut(&bearer, ' ');
    if (ret->token.n == 0 && str_eq_nocase(scheme, STR("Bearer")))
        ret->token = str_trim(bearer);
    return true;
}

bool handshake_read(struct http_request *r, const struct endpoint *e, struct handshake *ret)
{
    ret->token = ret->tenant = STR_NONE;
    if (tokens_matter(e) && !token_read(r, ret))
        return false;
    struct str name = tenant_parameter(e);
    return name.n == 0 ||
           query_or_refuse(r, name, ret->tenant_at, sizeof(ret->tenant_at), &ret->tenant);
}

/* ---- tokens and tenants ---- */

static bool token_is_required(const struct endpoint *e, const struct admission *a)
{
    return e->auth == AUTH_REQUIRED || (e->auth == AUTH_AUTO && a->token_required);
}

static enum err refuse(struct identity *id, enum err err, const char *why)
{
    claims_fini(&id->claims);
    *id = (struct identity){.why = why};
    return err;
}

/* A server that cannot check tokens trusts its clients anyway: there they may say where they
 * belong. */
static bool is_open(const struct endpoint *e)
{
    return e->auth != AUTH_REQUIRED && !auth_has_token_key(admission_now(e->admission)->auth);
}

/* A token that says its tenant is held to it; one that does not gets the endpoint's own. */
static enum err tenant_decide(const struct endpoint *e, struct str asked, bool with_token,
                              bool trusted, struct identity *id)
{
    struct str claim = id->claims.tenant;
    struct str own = claim.n > 0 ? claim : e->tenant;
    if (e->tenant_from == TENANT_FIXED)
        asked = e->tenant;
    if (asked.n == 0)
        asked = own;
    if (!tenant_name_ok(asked))
        return refuse(id, ERR_BAD_REQUEST, "tenant: must be at most 255 bytes of printable UTF-8");
    if (with_token && !str_eq(asked, own))
        return refuse(id, ERR_PERMISSION_DENIED, "tenant: not the one of the token");
    if (e->tenant_from == TENANT_CLAIM && !trusted && !is_open(e) && !str_eq(asked, own))
        return refuse(id, ERR_PERMISSION_DENIED, "tenant: only a token can name it");
    char *at = id->tenant_at; // what was asked for is the caller's, and may go before this
    id->tenant = str_put(&at, asked);
    return ERR_OK;
}

static enum err identify(const struct endpoint *e, struct str token, struct str tenant_asked,
                         int64_t now_s, bool trusted, struct identity *ret)
{
    const struct admission *a = admission_now(e->admission);
    *ret = (struct identity){.why = ""};
    bool with_token = token.n > 0 && e->auth != AUTH_NONE;
    if (!with_token && !trusted && token_is_required(e, a))
        return refuse(ret, ERR_UNAUTHORIZED, "token: required");
    if (with_token) {
        enum err err = auth_verify_connection(a->auth, token, now_s, &ret->claims);
        if (err != ERR_OK)
            return refuse(ret, err, ret->claims.reason);
        if (!user_name_ok(ret->claims.user))
            return refuse(ret, ERR_UNAUTHORIZED,
                          "token: sub must be at most 255 bytes without control characters");
    }
    ret->user = ret->claims.user;
    ret->expire_at_s = ret->claims.expire_at_s;
    return tenant_decide(e, tenant_asked, with_token, trusted, ret);
}

/* Browsers hide a refusal's reason from the page, and some dialects have no word for it. */
enum err admit(const struct endpoint *e, struct str token, struct str tenant_asked, int64_t now_s,
               bool trusted, struct identity *ret)
{
    enum err err = identify(e, token, tenant_asked, now_s, trusted, ret);
    if (err != ERR_OK)
        log_debug("%s: a client was refused: %s", e->path, ret->why);
    return err;
}

bool admit_request(struct http_request *r, const struct endpoint *e, bool trusted,
                   struct identity *ret)
{
    struct handshake h;
    if (!admit_origin(r, e) || !handshake_read(r, e, &h))
        return false;
    int64_t now_s = loop_wall_ms(http_server_loop(r->server)) / 1000;
    enum err err = admit(e, h.token, h.tenant, now_s, trusted, ret);
    return err == ERR_OK || http_refuse(r, err, ret->why);
}

void identity_fini(struct identity *id)
{
    claims_fini(&id->claims);
    *id = (struct identity){.why = ""};
}

enum err admit_again(const struct endpoint *e, const struct session *s, struct str token,
                     int64_t now_s, int64_t *ret_expire_at_s)
{
    struct claims c;
    enum err err = auth_verify_connection(admission_now(e->admission)->auth, token, now_s, &c);
    if (err != ERR_OK)
        return err;
    struct str tenant = c.tenant.n > 0 ? c.tenant : e->tenant;
    if (str_eq(c.user, s->user) && str_eq(tenant, s->tenant))
        *ret_expire_at_s = c.expire_at_s;
    else
        err = ERR_UNAUTHORIZED;
    claims_fini(&c);
    return err;
}

enum err admit_subscription(const struct endpoint *e, const struct session *s, struct str token,
                            struct str channel, int64_t now_s, struct sub_claims *ret)
{
    char client[UUID_TEXT];
    enum err err = auth_verify_subscription(admission_now(e->admission)->auth, token, now_s, ret);
    if (err != ERR_OK)
        return err == ERR_UNAUTHORIZED ? ERR_PERMISSION_DENIED : err;
    uuid_format(s->client, client);
    bool ok = str_eq(ret->user, s->user) && str_eq(ret->channel, channel);
    ok = ok && str_eq(ret->tenant.n > 0 ? ret->tenant : e->tenant, s->tenant);
    ok = ok && (ret->client.n == 0 || str_eq(ret->client, (struct str){client, UUID_TEXT}));
    if (ok)
        return ERR_OK;
    sub_claims_fini(ret);
    return ERR_UNAUTHORIZED;
}
