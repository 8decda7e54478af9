/*
 * runs_rest.c - /api/runs: back ends tell what they execute. What is asked is in runs_ask.c.
 *
 * Always true: a change is answered after its commit.
 */
#include "api/runs_priv.h"

#include <stdlib.h>

const char runs_no_such[] = "id: there is no such run";

static struct loop *loop_of(const struct http_request *r)
{
    return http_server_loop(r->server);
}

static void unstored(struct http_request *r)
{
    http_refuse(r, ERR_NOT_STORED, NULL);
}

const struct api *runs_api(struct http_request *r)
{
    const struct api *api = r->route_ctx;
    if (api->ledger == NULL)
        unstored(r);
    return api->ledger != NULL ? api : NULL;
}

/* ---- changes ---- */

/* Who waits for one. */
struct wish {
    struct http_request *http; // NULL: the peer has gone
};

static void wish_gone(struct http_request *r, void *ctx)
{
    (void)r;
    ((struct wish *)ctx)->http = NULL; // the change is made all the same
}

static void reply_illegal(struct http_request *r, const struct run_change *c)
{
    char at[160];
    struct buf b = buf_on(at, sizeof(at));
    (void)(buf_add(&b, STR("status: the run is ")) &&
           buf_add(&b, str_from(run_state_name(c->before.state))) &&
           buf_add(&b, STR(", which allows no such change")));
    rest_fail(r, ERR_CONFLICT, buf_str(&b));
}

static void reply_change(struct http_request *r, const struct run_change *c)
{
    bool made = c->verb == RUN_CREATE || c->verb == RUN_RETRY;
    switch (c->outcome) {
    case RUN_DONE:
    case RUN_IGNORED:
        http_reply(r, made ? 201 : 200, STR("application/json"), buf_str(&c->answer), STR_NONE);
        break;
    case RUN_ABSENT:
        http_refuse(r, ERR_NOT_FOUND, runs_no_such);
        break;
    case RUN_EXISTS:
        http_refuse(r, ERR_CONFLICT,
                    "id: there is a run with this id; retry it for another attempt");
        break;
    case RUN_ILLEGAL:
        reply_illegal(r, c);
        break;
    case RUN_FULL:
        http_refuse(r, ERR_CONFLICT, "seq: a run has at most 1000 steps");
        break;
    case RUN_UNSTORED:
        unstored(r);
        break;
    }
}

static void changed(struct run_change *c, void *ctx)
{
    struct wish *wish = ctx;
    if (wish->http != NULL) {
        wish->http->gone = NULL;
        reply_change(wish->http, c);
    }
    free(wish);
    run_change_free(c);
}

/* Takes the change over. */
static void give(struct http_request *r, const struct api *api, struct run_change *c)
{
    struct wish *wish = malloc(sizeof(*wish));
    if (wish == NULL) {
        run_change_free(c);
        http_refuse(r, ERR_INTERNAL, NULL);
        return;
    }
    wish->http = r;
    c->loop = loop_of(r);
    c->done = changed;
    c->ctx = wish;
    r->gone = wish_gone;
    r->gone_ctx = wish;
    if (ledger_give(api->ledger, c))
        return;
    r->gone = NULL;
    free(wish);
    run_change_free(c);
    unstored(r);
}

static void change(struct http_request *r, const struct api *api, enum run_verb verb, struct str id,
                   struct str tenant)
{
    struct json j;
    struct str text, field;
    const char *why = NULL;
    struct run_change *c =
        run_change_make(verb, tenant, id, r->body, loop_wall_ms(loop_of(r)), &text);
    if (c == NULL) {
        http_refuse(r, ERR_INTERNAL, NULL);
        return;
    }
    if (run_change_read(c, text, &j, &field, &why)) {
        give(r, api, c);
        return;
    }
    if (field.n > 0)
        rest_refuse(r, field, why);
    else
        rest_refuse_json(r, &j);
    run_change_free(c);
}

static void admit_change(struct http_request *r, enum run_verb verb, struct str id)
{
    const struct api *api = runs_api(r);
    struct asker who;
    char at[256];
    struct str tenant;
    if (api == NULL || !rest_admit(r, api, STR_NONE, &who))
        return;
    if (rest_body_fits(r, api) &&
        (who.back_end ||
         http_refuse(r, ERR_PERMISSION_DENIED, "runs are told by back ends, with an API key")) &&
        rest_body_tenant(r, r->body, at, &tenant) && rest_set_tenant(r, api, tenant, &who))
        change(r, api, verb, id, who.tenant);
    asker_fini(&who);
}

static void route_create(struct http_request *r)
{
    admit_change(r, RUN_CREATE, STR_NONE);
}

/* ---- behind /api/runs/{id} ---- */

static void route_patch(struct http_request *r)
{
    admit_change(r, RUN_PATCH, r->param);
}

static void route_verb(struct http_request *r)
{
    static const struct {
        struct str name;
        enum run_verb verb;
    } verbs[] = {{{"steps", 5}, RUN_STEP},
                 {{"heartbeat", 9}, RUN_HEARTBEAT},
                 {{"finish", 6}, RUN_FINISH},
                 {{"retry", 5}, RUN_RETRY},
                 {{"cancel", 6}, RUN_CANCEL}};
    size_t n = r->param.n;
    while (n > 0 && r->param.p[n - 1] != '/')
        n--;
    struct str name = str_skip(r->param, n);
    for (size_t i = 0; n > 1 && i < sizeof(verbs) / sizeof(verbs[0]); i++) {
        if (str_eq(name, verbs[i].name)) {
            admit_change(r, verbs[i].verb, (struct str){r->param.p, n - 1});
            return;
        }
    }
    http_refuse(r, ERR_NOT_FOUND, "a run can be told steps, heartbeat, finish, retry, cancel");
}

bool runs_routes(struct http_router *rt, const struct api *api)
{
    void *ctx = (void *)(uintptr_t)api;
    const char *rest = "/api/runs/{path...}";
    return http_router_add(rt, 1u << HTTP_POST, "/api/runs", route_create, ctx) &&
           http_router_add(rt, 1u << HTTP_GET, "/api/runs", runs_route_list, ctx) &&
           http_router_add(rt, 1u << HTTP_GET, "/api/runs/stats", runs_route_stats, ctx) &&
           http_router_add(rt, 1u << HTTP_GET, rest, runs_route_one, ctx) &&
           http_router_add(rt, 1u << HTTP_PATCH, rest, route_patch, ctx) &&
           http_router_add(rt, 1u << HTTP_POST, rest, route_verb, ctx);
}
