/*
 * chat_routes.c - conversations over HTTP: /api/chat and what is below it.
 *
 * Why it exists: every page and every back end can talk to the model as one application's socket
 * does, and hear the answer on the conversation's channel by whatever dialect it speaks.
 */
#include "api/chat_stream.h"
#include "api/openai.h"
#include "api/rest.h"
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
    struct asker asker;
    struct chat_fields fields;
    char *room;
};

static void request_fini(struct chat_request *q)
{
    asker_fini(&q->asker);
    pool_free(q->room);
    q->room = NULL;
}

static bool query_read(struct http_request *r, struct chat_fields *f)
{
    uint64_t limit = (uint64_t)f->limit, offset = (uint64_t)f->offset, before = (uint64_t)f->before;
    if (!rest_query_number(r, STR("limit"), 1, CHAT_LIMIT_MAX, &limit) ||
        !rest_query_number(r, STR("offset"), 0, CHAT_CONVERSATION_MAX, &offset) ||
        !rest_query_number(r, STR("before"), 1, CHAT_CONVERSATION_MAX, &before))
        return false;
    f->limit = (int64_t)limit;
    f->offset = (int64_t)offset;
    f->before = (int64_t)before;
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
    if (!rest_body_fits(r, api))
        return false;
    q->room = pool_alloc(r->body.n + 1);
    if (q->room == NULL)
        return http_refuse(r, ERR_INTERNAL, "out of memory");
    bool readable = chat_fields_read(r->body, q->room, f, &why);
    if (!rest_admit(r, api, f->tenant, &q->asker)) { // strangers hear nothing else
        pool_free(q->room);
        return false;
    }
    if (!readable)
        http_reply_error(r, 400, err_code(ERR_BAD_REQUEST), buf_str(&why));
    if (!readable || !query_read(r, f)) {
        request_fini(q);
        return false;
    }
    return true;
}

static struct hub *hub_of(const struct http_request *r)
{
    const struct api *api = r->route_ctx;
    return node_hub(api->node, loop_index(http_server_loop(r->server)));
}

/* False: answered. */
static bool may_follow(struct http_request *r, const struct chat_request *q, int64_t conversation)
{
    char at[CHAT_CHANNEL_MAX];
    struct str channel = conversation > 0 ? chat_channel(conversation, at) : STR("chat:*");
    const struct policy *policy = hub_policy(hub_of(r));
    return q->asker.back_end || policy_lets_subscribe(policy, channel, q->asker.user) ||
           http_refuse(r, ERR_PERMISSION_DENIED,
                       "the conversation's channel may not be followed without a subscription "
                       "token");
}

/* ---- asking ---- */

static void done(void *ctx, enum err err, struct str text)
{
    struct waiting *w = ctx;
    struct http_request *r = w->http;
    if (r != NULL)
        r->gone = NULL;
    if (r != NULL && err == ERR_OK)
        http_reply(r, w->status, STR("application/json"), text, STR_NONE);
    else if (r != NULL)
        rest_fail(r, err, text);
    free(w);
}

static void ask(struct http_request *r, struct chat_request *q, enum chat_verb verb,
                unsigned status)
{
    const struct api *api = r->route_ctx;
    struct chat_ask a = {verb, q->asker.tenant, &q->fields, llm_settings_none(), 0};
    char why_at[WHY_MAX];
    struct buf why = buf_on(why_at, sizeof(why_at));
    if (!chat_ask_check(api->chat, &a, &why)) {
        http_reply_error(r, 400, err_code(ERR_BAD_REQUEST), buf_str(&why));
        return;
    }
    if (verb == CHAT_VERB_SEND && q->fields.stream) {
        struct chat_question question = chat_ask_question(&a);
        chat_stream_start(r, api, hub_of(r), &question);
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

/* What is written into a channel: by a conversation, or by /v1 for whoever named the channel. */
static void cancel_channel(struct http_request *r, struct chat_request *q)
{
    const struct api *api = r->route_ctx;
    struct chat_fields *f = &q->fields;
    struct buf b;
    char at[64];
    if (!q->asker.back_end &&
        !policy_lets_subscribe(hub_policy(hub_of(r)), f->channel, q->asker.user)) {
        http_refuse(r, ERR_PERMISSION_DENIED, "the channel may not be followed");
        return;
    }
    f->cancelled_already = openai_cancel(api->openai, q->asker.tenant, f->channel);
    if (chat_channel_read(f->channel, &f->conversation)) {
        ask(r, q, CHAT_VERB_CANCEL, 200);
        return;
    }
    b = buf_on(at, sizeof(at));
    buf_add_format(&b, "{\"cancelled\":%u}", f->cancelled_already);
    http_reply(r, 200, STR("application/json"), buf_str(&b), STR_NONE);
}

static void route_cancel(struct http_request *r)
{
    struct chat_request q;
    if (!request_read(r, &q))
        return;
    if (q.fields.channel.n > 0)
        cancel_channel(r, &q);
    else if (!q.fields.has_conversation)
        http_refuse(r, ERR_BAD_REQUEST, "bad request: conversation_id or channel: is required");
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

/* "7" or "7/messages": the number and what is below it. */
static bool path_read(struct str path, int64_t *ret_id, struct str *ret_below)
{
    struct str rest = path;
    struct str number = str_cut(&rest, '/');
    uint64_t n;
    if (!str_to_u64(number, &n) || n == 0 || n > (uint64_t)CHAT_CONVERSATION_MAX ||
        (rest.n == 0 && number.n < path.n))
        return false;
    *ret_id = (int64_t)n;
    *ret_below = rest;
    return true;
}

struct below {
    const char *path;
    enum http_method method;
    enum chat_verb verb;
};

/* NULL: answered. */
static const struct below *below_find(struct http_request *r, struct str path)
{
    static const struct below all[] = {
        {"", HTTP_GET, CHAT_VERB_CONVERSATION},  {"", HTTP_PATCH, CHAT_VERB_CHANGE},
        {"", HTTP_DELETE, CHAT_VERB_DELETE},     {"messages", HTTP_GET, CHAT_VERB_MESSAGES},
        {"messages", HTTP_POST, CHAT_VERB_SEND}, {"cancel", HTTP_POST, CHAT_VERB_CANCEL},
    };
    unsigned known = 0;
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        if (!str_eq(path, str_from(all[i].path)))
            continue;
        if (all[i].method == r->method)
            return &all[i];
        known |= 1u << all[i].method;
    }
    if (known != 0)
        http_refuse_method(r, known);
    else
        http_refuse(r, ERR_NOT_FOUND, "no such path");
    return NULL;
}

static void route_conversation(struct http_request *r)
{
    struct chat_request q;
    struct str path = STR_NONE;
    int64_t id = 0;
    if (!path_read(r->param, &id, &path)) {
        http_refuse(r, ERR_NOT_FOUND, "no such path");
        return;
    }
    const struct below *below = below_find(r, path);
    if (below == NULL || !request_read(r, &q))
        return;
    bool waits = below->verb != CHAT_VERB_SEND || q.fields.wait;
    if (q.fields.has_conversation && q.fields.conversation != id) {
        http_refuse(r, ERR_BAD_REQUEST, "bad request: conversation_id: the path names another one");
    } else {
        q.fields.conversation = id;
        if (may_follow(r, &q, id))
            ask(r, &q, below->verb, waits ? 200 : 202);
    }
    request_fini(&q);
}

bool api_chat_routes(struct http_router *rt, const struct api *api)
{
    void *ctx = (void *)(uintptr_t)api;
    unsigned get = 1u << HTTP_GET, post = 1u << HTTP_POST;
    unsigned one = get | post | 1u << HTTP_PATCH | 1u << HTTP_DELETE;
    if (api->chat == NULL)
        return true;
    return http_router_add(rt, post, "/api/chat", route_ask, ctx) &&
           http_router_add(rt, post, "/api/chat/cancel", route_cancel, ctx) &&
           http_router_add(rt, get | post, "/api/chat/conversations", route_conversations, ctx) &&
           http_router_add(rt, one, "/api/chat/conversations/{path...}", route_conversation, ctx);
}
