/*
 * approvals_rest.c - /api/approvals: what waits for a yes, and who says it.
 *
 * Always true: only a back end makes requests, or a client could ask itself and say yes. A client
 * sees and decides what is asked of its user or of nobody in particular.
 */
#include "api/rest_desk.h"
#include "runs/approvals.h"

static struct approvals_by by_of(const struct asker *who)
{
    return (struct approvals_by){who->back_end, who->user};
}

static const char *const list_names[] = {"status", "user", "limit", "offset", NULL};

static void list(struct http_request *r, struct approvals *a, const struct asker *who)
{
    char status_at[32], user_at[APPROVAL_ID_MAX + 6];
    struct approvals_filter f = {0};
    struct approvals_by by = by_of(who);
    struct desk_from from;
    uint64_t limit = 50;
    if (!rest_query_only(r, list_names) ||
        !rest_query_word(r, "status", approval_statuses, status_at, sizeof(status_at), &f.status) ||
        !rest_query(r, STR("user"), user_at, sizeof(user_at), &f.user) ||
        !rest_query_number(r, STR("limit"), 1, APPROVALS_LIST_MAX, &limit) ||
        !rest_query_number(r, STR("offset"), 0, UINT32_MAX, &f.offset))
        return;
    f.limit = (uint32_t)limit;
    if (rest_desk_from(r, who->tenant, &from))
        approvals_list(a, &from, &by, &f);
}

static void handle_approvals(struct http_request *r)
{
    const struct api *api = r->route_ctx;
    struct desk_from from;
    struct asker who;
    if (!rest_desk_admit(r, &who))
        return;
    if (r->method != HTTP_POST)
        list(r, api->approvals, &who);
    else if (!who.back_end)
        http_refuse(r, ERR_PERMISSION_DENIED, "only a back end, with its API key, can ask");
    else if (rest_desk_from(r, who.tenant, &from))
        approvals_add(api->approvals, &from, r->body);
    asker_fini(&who);
}

static void one(struct http_request *r, struct approvals *a, const struct asker *who)
{
    struct approvals_by by = by_of(who);
    struct desk_from from;
    if (rest_desk_from(r, who->tenant, &from))
        approvals_find(a, &from, &by, r->param);
}

/* {id}/approve and {id}/deny; an id may have slashes. */
static void decide(struct http_request *r, struct approvals *a, const struct asker *who)
{
    struct approvals_by by = by_of(who);
    struct desk_from from;
    struct str id = r->param;
    while (id.n > 0 && id.p[id.n - 1] != '/')
        id.n--;
    struct str verb = str_skip(r->param, id.n);
    bool approve = str_eq(verb, STR("approve"));
    id.n -= id.n > 0;
    if (id.n == 0 || (!approve && !str_eq(verb, STR("deny"))))
        http_refuse(r, ERR_NOT_FOUND, "no such path");
    else if (rest_desk_from(r, who->tenant, &from))
        approvals_decide(a, &from, &by, id, approve, r->body);
}

static void handle_approval(struct http_request *r)
{
    const struct api *api = r->route_ctx;
    struct asker who;
    if (!rest_desk_admit(r, &who))
        return;
    if (r->method == HTTP_POST)
        decide(r, api->approvals, &who);
    else
        one(r, api->approvals, &who);
    asker_fini(&who);
}

bool approvals_routes(struct http_router *rt, const struct api *api)
{
    void *ctx = (void *)(uintptr_t)api;
    unsigned methods = 1u << HTTP_GET | 1u << HTTP_POST;
    return http_router_add(rt, methods, "/api/approvals", handle_approvals, ctx) &&
           http_router_add(rt, methods, "/api/approvals/{path...}", handle_approval, ctx);
}
