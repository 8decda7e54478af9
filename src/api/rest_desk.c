/*
 * rest_desk.c - asking a desk on behalf of a request.
 */
#include "api/rest_desk.h"
#include "runs/form.h"

#include <stdlib.h>

bool rest_desk_admit(struct http_request *r, struct asker *ret)
{
    const struct api *api = r->route_ctx;
    struct str tenant = STR_NONE;
    char at[256];
    if (!rest_admit(r, api, STR_NONE, ret))
        return false;
    if (rest_body_fits(r, api) && (r->body.n == 0 || (rest_body_tenant(r, r->body, at, &tenant) &&
                                                      rest_set_tenant(r, api, tenant, ret))))
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

static void answered(void *ctx, const struct desk_reply *reply)
{
    struct waiting *w = ctx;
    struct http_request *r = w->http;
    enum err err = desk_state_err(reply->state);
    free(w);
    if (r == NULL)
        return;
    r->gone = NULL;
    if (err == ERR_OK)
        http_reply(r, reply->state == DESK_MADE ? 201 : 200, STR("application/json"), reply->body,
                   STR_NONE);
    else
        rest_fail(r, err, reply->why);
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

bool rest_query_word(struct http_request *r, const char *name, const char *const *words, char *at,
                     size_t cap, struct str *ret)
{
    char why_at[256];
    struct buf why = buf_on(why_at, sizeof(why_at) - 1);
    if (!rest_query(r, str_from(name), at, cap, ret))
        return false;
    if (ret->n == 0 || form_is_word(*ret, words))
        return true;
    form_words_write(words, &why);
    why_at[why.len] = '\0';
    return rest_refuse(r, str_from(name), why_at);
}

bool rest_path_id(struct http_request *r, struct str text, int64_t *ret)
{
    uint64_t id;
    if (str_to_u64(text, &id) && id > 0 && id <= (uint64_t)1 << 53) {
        *ret = (int64_t)id;
        return true;
    }
    return http_refuse(r, ERR_NOT_FOUND, "the path: no number of a row");
}
