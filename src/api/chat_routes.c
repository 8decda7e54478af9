/*
 * chat_routes.c - conversations over HTTP: /api/chat and what is below it.
 *
 * Why it exists: every page and every back end can talk to the model as one application's socket
 * does, and hear the answer on the conversation's channel by whatever dialect it speaks.
 */
#include "api/caller.h"
#include "chat/verbs.h"

#include "base/pool.h"

#include <stdlib.h>

enum { WHY_MAX = 512 };

/* A request that waits for the chat. */
struct waiting {
    struct http_request *http; // NULL: the peer has gone
    unsigned status;           // when all is well
};

static void gone(struct http_request *r, void *ctx)
{
    struct waiting *w = ctx;
    (void)r;
    w->http = NULL;
}

static struct waiting *waiting_make(struct http_request *r, unsigned status)
{
    struct waiting *w = malloc(sizeof(*w));
    if (w == NULL) {
        http_refuse(r, ERR_INTERNAL, "out of memory");
        return NULL;
    }
    *w = (struct waiting){r, status};
    r->gone = gone;
    r->gone_ctx = w;
    return w;
}

/* ---- reading a request ---- */

/* What was asked, by whom. */
struct chat_request {
    struct caller caller;
    struct chat_fields fields;
    char *room;
};

static void request_fini(struct chat_request *q)
{
    caller_fini(&q->caller);
    pool_free(q->room);
    q->room = NULL;
}

static bool query_number(struct http_request *r, struct str name, int64_t least, int64_t most,
                         int64_t *ret)
{
    char at[32];
    struct str s;
    uint64_t n;
    if (http_query_count(r, name) == 0)
        return true;
    if (!http_query(r, name, at, sizeof(at), &s) || !str_to_u64(s, &n) || n < (uint64_t)least ||
        n > (uint64_t)most)
        return http_refuse(r, ERR_BAD_REQUEST,
                           "query: limit, offset or before is out of range or no whole number");
    *ret = (int64_t)n;
    return true;
}

/* False: answered. */
static bool request_read(struct http_request *r, struct chat_request *q)
{
    const struct api *api = r->route_ctx;
    char why_at[WHY_MAX];
    struct buf why = buf_on(why_at, sizeof(why_at));
    struct chat_fields *f = &q->fields;
    *f = (struct chat_fields){0};
    q->caller.claims = (struct claims){0};
    if (r->body.n > api->body_max_bytes) {
        http_reply_error(r, 413, err_code(ERR_BAD_REQUEST),
                         STR("the request is longer than api.body_max"));
        return false;
    }
    q->room = pool_alloc(r->body.n + 1);
    if (q->room == NULL)
        return http_refuse(r, ERR_INTERNAL, "out of memory");
    bool readable = chat_fields_read(r->body, q->room, f, &why);
    if (!caller_admit(api, r, f->tenant, &q->caller)) { // strangers hear nothing else
        request_fini(q);
        return false;
    }
    if (!readable)
        http_reply_error(r, 400, err_code(ERR_BAD_REQUEST), buf_str(&why));
    if (!readable || !query_number(r, STR("limit"), 1, 500, &f->limit) ||
        !query_number(r, STR("offset"), 0, CHAT_CONVERSATION_MAX, &f->offset) ||
        !query_number(r, STR("before"), 1, CHAT_CONVERSATION_MAX, &f->before)) {
        request_fini(q);
        return false;
    }
    return true;
}

/* False: answered. */
static bool may_follow(struct http_request *r, const struct chat_request *q, int64_t conversation)
{
    char at[CHAT_CHANNEL_MAX];
    struct str channel = conversation > 0 ? chat_channel(conversation, at) : STR("chat:*");
    return caller_may_follow(&q->caller, r->route_ctx, channel) ||
           http_refuse(r, ERR_PERMISSION_DENIED,
                       "the conversation's channel may not be followed without a subscription "
                       "token");
}

static struct hub *hub_of(const struct http_request *r)
{
    const struct api *api = r->route_ctx;
    return node_hub(api->node, loop_index(http_server_loop(r->server)));
}

/* ---- asking ---- */

static unsigned status_of(enum err err)
{
    return err == ERR_TOO_MANY_REQUESTS || err == ERR_NOT_AVAILABLE ? 503 : err_http_status(err);
}

static void done(void *ctx, enum err err, struct str text)
{
    struct waiting *w = ctx;
    struct http_request *r = w->http;
    if (r != NULL)
        r->gone = NULL;
    if (r != NULL && err == ERR_OK)
        http_reply(r, w->status, STR("application/json"), text, STR_NONE);
    else if (r != NULL)
        http_reply_error(r, status_of(err), err_code(err), text.n > 0 ? text : err_message(err));
    free(w);
}

static void ask(struct http_request *r, struct chat_request *q, enum chat_verb verb,
                unsigned status)
{
    const struct api *api = r->route_ctx;
    struct chat_ask a = {verb, q->caller.tenant, &q->fields};
    char why_at[WHY_MAX];
    struct buf why = buf_on(why_at, sizeof(why_at));
    if (!chat_ask_check(api->chat, &a, &why)) {
        http_reply_error(r, 400, err_code(ERR_BAD_REQUEST), buf_str(&why));
        return;
    }
    struct waiting *w = waiting_make(r, status);
    if (w == NULL || chat_do(api->chat, hub_of(r), &a, done, w))
        return;
    done(w, ERR_INTERNAL, STR("out of memory"));
}

static void route_ask(struct http_request *r)
{
    struct chat_request q;
    if (!request_read(r, &q))
        return;
    if (may_follow(r, &q, q.fields.conversation))
        ask(r, &q, CHAT_VERB_SEND, q.fields.wait ? 200 : 202);
    request_fini(&q);
}

static void route_cancel(struct http_request *r)
{
    struct chat_request q;
    if (!request_read(r, &q))
        return;
    if (!q.fields.has_conversation)
        http_refuse(r, ERR_BAD_REQUEST, "bad request: conversation_id: is required");
    else if (may_follow(r, &q, q.fields.conversation))
        ask(r, &q, CHAT_VERB_CANCEL, 200);
    request_fini(&q);
}

static void route_conversations(struct http_request *r)
{
    struct chat_request q;
    bool post = r->method == HTTP_POST;
    if (!request_read(r, &q))
        return;
    if (may_follow(r, &q, 0))
        ask(r, &q, post ? CHAT_VERB_CREATE : CHAT_VERB_CONVERSATIONS, post ? 201 : 200);
    request_fini(&q);
}

/* "7" or "7/messages". */
static bool path_read(struct str path, int64_t *ret_id, bool *ret_messages)
{
    struct str rest = path;
    struct str number = str_cut(&rest, '/');
    uint64_t n;
    *ret_messages = str_eq(rest, STR("messages"));
    if (!str_to_u64(number, &n) || n == 0 || n > (uint64_t)CHAT_CONVERSATION_MAX)
        return false;
    *ret_id = (int64_t)n;
    return *ret_messages || number.n == path.n;
}

static void route_conversation(struct http_request *r)
{
    struct chat_request q;
    int64_t id = 0;
    bool messages = false;
    if (!path_read(r->param, &id, &messages)) {
        http_reply_error(r, 404, 404, STR("no such path"));
        return;
    }
    if (messages && r->method != HTTP_GET) {
        http_reply_error(r, 405, 405, STR("messages are asked for with GET"));
        return;
    }
    if (!request_read(r, &q))
        return;
    enum chat_verb verb = CHAT_VERB_CONVERSATION;
    if (messages)
        verb = CHAT_VERB_MESSAGES;
    else if (r->method == HTTP_PATCH)
        verb = CHAT_VERB_CHANGE;
    else if (r->method == HTTP_DELETE)
        verb = CHAT_VERB_DELETE;
    q.fields.conversation = id;
    if (may_follow(r, &q, id))
        ask(r, &q, verb, 200);
    request_fini(&q);
}

bool api_chat_routes(struct http_router *rt, const struct api *api)
{
    void *ctx = (void *)(uintptr_t)api;
    unsigned get = 1u << HTTP_GET, post = 1u << HTTP_POST;
    unsigned one = get | 1u << HTTP_PATCH | 1u << HTTP_DELETE;
    if (api->chat == NULL)
        return true;
    return http_router_add(rt, post, "/api/chat", route_ask, ctx) &&
           http_router_add(rt, post, "/api/chat/cancel", route_cancel, ctx) &&
           http_router_add(rt, get | post, "/api/chat/conversations", route_conversations, ctx) &&
           http_router_add(rt, one, "/api/chat/conversations/{path...}", route_conversation, ctx);
}
