/*
 * rest.c - who asks at a REST path, and the forms of answers.
 *
 * Always true: a client's token decides his tenant; only a back end may name another one.
 */
#include "api/rest.h"

#include "http/origin.h"

/* ---- who ---- */

static bool page_ok(struct http_request *r, const struct admission *a)
{
    const char *why = http_page_refusal(r, auth_has_api_key(a->auth), a->origins, a->origin_count);
    return why == NULL || http_refuse(r, ERR_PERMISSION_DENIED, why);
}

static bool token_read(struct http_request *r, char *at, size_t cap, struct str *ret)
{
    *ret = STR_NONE;
    if (!http_query(r, STR("token"), at, cap, ret) && http_query_count(r, STR("token")) > 0)
        return http_refuse(r, ERR_BAD_REQUEST, "token: too long");
    struct str bearer = http_header(r, STR("Authorization"));
    struct str scheme = str_cut(&bearer, ' ');
    if (ret->n == 0 && str_eq_nocase(scheme, STR("Bearer")))
        *ret = str_trim(bearer);
    return true;
}

static bool verify(struct http_request *r, const struct admission *a, struct str token,
                   struct asker *ret)
{
    int64_t now_s = loop_wall_ms(http_server_loop(r->server)) / 1000;
    enum err err = auth_verify_connection(a->auth, token, now_s, &ret->claims);
    if (err != ERR_OK)
        return http_refuse(r, err, ret->claims.reason);
    ret->user = ret->claims.user;
    return true;
}

bool rest_set_tenant(struct http_request *r, const struct api *api, struct str asked,
                     struct asker *ret)
{
    if (asked.n == 0 && ret->tenant.n > 0)
        return true;
    struct str own = ret->claims.tenant.n > 0 ? ret->claims.tenant : api->default_tenant;
    if (asked.n == 0)
        asked = own;
    if (!tenant_name_ok(asked) || asked.n > sizeof(ret->tenant_at))
        return http_refuse(r, ERR_BAD_REQUEST,
                           "tenant: must be at most 255 bytes of printable UTF-8");
    if (!ret->back_end && !str_eq(asked, own))
        return http_refuse(r, ERR_PERMISSION_DENIED, "tenant: not the one of the token");
    char *at = ret->tenant_at;
    ret->tenant = str_put(&at, asked);
    return true;
}

bool rest_admit(struct http_request *r, const struct api *api, struct str tenant, struct asker *ret)
{
    const struct admission *a = admission_now(api->admission);
    char token_at[AUTH_TOKEN_MAX_BYTES], tenant_at[256];
    struct str token;
    *ret = (struct asker){0};
    if (!page_ok(r, a) || !token_read(r, token_at, sizeof(token_at), &token))
        return false;
    if (tenant.n == 0 && !rest_query(r, STR("tenant"), tenant_at, sizeof(tenant_at), &tenant))
        return false;
    if (token.n > 0 && !verify(r, a, token, ret))
        return false;
    ret->back_end = token.n == 0 && admission_lets_back_end(a, http_header(r, STR("X-API-Key")),
                                                            http_header(r, STR("Authorization")));
    if (token.n == 0 && !ret->back_end)
        return http_refuse(r, ERR_UNAUTHORIZED,
                           admission_back_end_refusal(http_header(r, STR("X-API-Key")),
                                                      http_header(r, STR("Authorization")), true));
    if (rest_set_tenant(r, api, tenant, ret))
        return true;
    asker_fini(ret);
    return false;
}

void asker_fini(struct asker *a)
{
    claims_fini(&a->claims);
    a->user = STR_NONE;
}

bool rest_body_fits(struct http_request *r, const struct api *api)
{
    return r->body.n <= api->body_max_bytes ||
           http_refuse(r, ERR_TOO_LARGE, "the request is longer than api.body_max");
}

/* ---- answers ---- */

/* What is not there yet and what has too much to do are the server's fault on these paths; and
 * there are rows, where the hub knows channels. */
bool rest_fail(struct http_request *r, enum err err, struct str why)
{
    bool later = err == ERR_TOO_MANY_REQUESTS || err == ERR_NOT_AVAILABLE;
    if (err == ERR_UNKNOWN_CHANNEL)
        err = ERR_NOT_FOUND;
    http_reply_error(r, later ? 503 : err_http_status(err), err_code(err),
                     why.n > 0 ? why : err_message(err));
    return false;
}

void rest_reply(struct http_request *r, unsigned status, struct json_writer *w)
{
    if (json_done(w))
        http_reply(r, status, STR("application/json"), buf_str(w->out), STR_NONE);
    else
        http_refuse(r, ERR_INTERNAL, "the answer is too long");
}

bool rest_refuse(struct http_request *r, struct str field, const char *why)
{
    char at[400];
    struct buf b = buf_on(at, sizeof(at));
    (void)(buf_add(&b, field) && buf_add(&b, STR(": ")) && buf_add(&b, str_from(why)));
    http_reply_error(r, 400, err_code(ERR_BAD_REQUEST), buf_str(&b));
    return false;
}

static bool refuse_text(struct http_request *r, struct str head, const struct json *j)
{
    char at[256];
    struct buf b = buf_on(at, sizeof(at));
    buf_add(&b, head);
    json_error_write(j, &b);
    http_reply_error(r, 400, err_code(ERR_BAD_REQUEST), buf_str(&b));
    return false;
}

bool rest_refuse_json(struct http_request *r, const struct json *j)
{
    return refuse_text(r, STR("body: "), j);
}

bool rest_body_tenant(struct http_request *r, struct str body, char at[256], struct str *ret)
{
    struct json j;
    struct str raw;
    *ret = STR_NONE;
    if (json_trim(body).n == 0)
        return true;
    json_init(&j, body);
    if (!json_skip(&j) || !json_end(&j))
        return refuse_text(r, STR("the body is not JSON: "), &j);
    if (!json_find(json_trim(body), STR("tenant"), &raw) || str_eq(raw, STR("null")))
        return true;
    if (raw.p[0] != '"')
        return rest_refuse(r, STR("tenant"), "must be a string");
    if (raw.n - 2 <= 256 && json_string_decode((struct str){raw.p + 1, raw.n - 2}, at, 256, ret))
        return true;
    return rest_refuse(r, STR("tenant"), "must be at most 255 bytes of printable UTF-8");
}

/* ---- the query ---- */

bool rest_query(struct http_request *r, struct str name, char *at, size_t cap, struct str *ret)
{
    *ret = STR_NONE;
    if (http_query(r, name, at, cap, ret) || http_query_count(r, name) == 0)
        return true;
    return rest_refuse(r, name, "too long");
}

static const char *find_name(struct str coded, const char *const *names)
{
    while (*names != NULL && !http_query_is(coded, str_from(*names)))
        names++;
    return *names;
}

static bool refuse_unknown(struct http_request *r, struct str name, const char *const *names)
{
    char at[256];
    struct buf why = buf_on(at, sizeof(at) - 1);
    bool ok = buf_add(&why, STR("no such parameter; there are "));
    for (size_t i = 0; ok && names[i] != NULL; i++)
        ok = buf_add(&why, str_from(names[i])) && buf_add(&why, STR(", "));
    (void)(ok && buf_add(&why, STR("tenant and token")));
    at[why.len] = '\0';
    return rest_refuse(r, (struct str){name.p, name.n < 64 ? name.n : 64}, at);
}

/* A filter that nobody reads would let everything through, and look as if it had been one. */
bool rest_query_only(struct http_request *r, const char *const *names)
{
    static const char *const always[] = {"token", "tenant", NULL};
    struct str rest = r->query, coded;
    while (http_query_next(&rest, &coded)) {
        const char *name = find_name(coded, names);
        if (name == NULL && find_name(coded, always) == NULL)
            return refuse_unknown(r, coded, names);
        if (name != NULL && http_query_count(r, str_from(name)) > 1)
            return rest_refuse(r, str_from(name), "is there twice");
    }
    return true;
}

bool rest_query_number(struct http_request *r, struct str name, uint64_t least, uint64_t most,
                       uint64_t *ret)
{
    char at[32], why[96];
    struct str text;
    uint64_t v;
    if (!rest_query(r, name, at, sizeof(at), &text))
        return false;
    if (text.n == 0 && http_query_count(r, name) == 0)
        return true;
    if (str_to_u64(text, &v) && v >= least && v <= most) {
        *ret = v;
        return true;
    }
    struct buf b = buf_on(why, sizeof(why));
    (void)(buf_add(&b, STR("must be a whole number from ")) && buf_add_u64(&b, least) &&
           buf_add(&b, STR(" to ")) && buf_add_u64(&b, most) && buf_add_char(&b, '\0'));
    return rest_refuse(r, name, why);
}
