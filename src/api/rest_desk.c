/*
 * rest_desk.c - asking a desk on behalf of a request.
 */
#include "api/rest_desk.h"

#include <stdlib.h>

bool rest_desk_admit(struct http_request *r, struct asker *ret)
{
    const struct api *api = r->route_ctx;
    struct str tenant = STR_NONE;
    char at[256];
    if (!rest_admit(r, api, STR_NONE, ret))
        return false;
    if (r->body.n > api->body_max_bytes)
        http_reply_error(r, 413, err_code(ERR_BAD_REQUEST),
                         STR("the request is longer than api.body_max"));
    else if (r->body.n == 0 ||
             (rest_body_tenant(r, r->body, at, &tenant) && rest_set_tenant(r, api, tenant, ret)))
        return true;
    asker_fini(ret);
    return false;
}

struct waiting {
    struct http_request *http; // NULL: the peer has gone
};

static void gone(struct http_request *r, void *ctx)
{
    (void)r;
    ((struct waiting *)ctx)->http = NULL; // what it asked for is done all the same
}

static const struct {
    unsigned status, code; // code 0: the status
} answers[DESK_STATE_COUNT] = {
    [DESK_DONE] = {200, 0},      [DESK_MADE] = {201, 0},     [DESK_BAD] = {400, 107},
    [DESK_DENIED] = {403, 103},  [DESK_MISSING] = {404, 0},  [DESK_CLASH] = {409, 0},
    [DESK_TOO_BIG] = {413, 107}, [DESK_FULL] = {400, 106},   [DESK_BUSY] = {429, 111},
    [DESK_DOWN] = {503, 120},    [DESK_BROKEN] = {500, 100},
};

static void answered(void *ctx, const struct desk_reply *reply)
{
    struct waiting *w = ctx;
    struct http_request *r = w->http;
    unsigned status = answers[reply->state].status, code = answers[reply->state].code;
    free(w);
    if (r == NULL)
        return;
    r->gone = NULL;
    if (status < 300)
        http_reply(r, status, STR("application/json"), reply->body, STR_NONE);
    else
        http_reply_error(r, status, code != 0 ? code : status, reply->why);
}

bool rest_desk_from(struct http_request *r, struct str tenant, struct desk_from *ret)
{
    struct waiting *w = malloc(sizeof(*w));
    if (w == NULL)
        return http_refuse(r, ERR_INTERNAL, "out of memory");
    w->http = r;
    r->gone = gone;
    r->gone_ctx = w;
    *ret = (struct desk_from){http_server_loop(r->server), tenant, answered, w};
    return true;
}

bool rest_path_id(struct http_request *r, struct str text, int64_t *ret)
{
    uint64_t id;
    if (str_to_u64(text, &id) && id > 0 && id <= (uint64_t)1 << 53) {
        *ret = (int64_t)id;
        return true;
    }
    http_reply_error(r, 404, 404, STR("the path: no number of a row"));
    return false;
}
