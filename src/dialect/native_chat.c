/*
 * native_chat.c - conversations with the model for native clients: rpc with the fields and results
 * that /api/chat has.
 *
 * Why it exists: who has a connection asks over it. The answer is heard on the conversation's
 * channel.
 */
#include "dialect/native_priv.h"

#include "base/pool.h"
#include "chat/verbs.h"

static void done(void *ctx, enum err err, struct str text)
{
    struct call *call = ctx;
    if (err == ERR_OK)
        native_reply_data(call->ns, call->id, text);
    else
        native_reply_refuse(call->ns, call->id, err, text);
    native_call_free(call);
}

/* The tenant is the session's. */
static bool may_ask(const struct native_session *ns, enum chat_verb verb,
                    const struct chat_fields *f)
{
    char at[CHAT_CHANNEL_MAX];
    struct str channel =
        verb == CHAT_VERB_CONVERSATIONS ? STR("chat:*") : chat_channel(f->conversation, at);
    const struct session *s = &ns->session;
    return ns->privileged || policy_lets_subscribe(hub_policy(s->hub), channel, s->user);
}

static void ask(struct native_session *ns, const struct command *cmd, enum chat_verb verb,
                const struct chat_fields *f)
{
    struct chat *chat = ns->endpoint->chat;
    struct chat_ask a = {verb, ns->session.tenant, f, ns->endpoint->llm,
                         ns->endpoint->ws.out_max_bytes / 2};
    char why_at[512];
    struct buf why = buf_on(why_at, sizeof(why_at));
    if (!may_ask(ns, verb, f)) {
        native_reply_error(ns, cmd->id, ERR_PERMISSION_DENIED);
        return;
    }
    if (!chat_ask_check(chat, &a, &why)) {
        native_reply_refuse(ns, cmd->id, ERR_BAD_REQUEST, buf_str(&why));
        return;
    }
    struct call *call = native_call_make(ns, cmd->id);
    if (call != NULL && !chat_do(chat, ns->session.hub, &a, done, call))
        done(call, ERR_INTERNAL, STR_NONE);
}

/* What is stopped is named: nothing is by default. Answers that /v1 writes into other channels are
 * the API's. */
static bool names_what(struct chat_fields *f, struct buf *why)
{
    if (f->channel.n == 0)
        return f->has_conversation ||
               !buf_add(why, STR("bad request: conversation_id or channel: is required"));
    return chat_channel_read(f->channel, &f->conversation) ||
           !buf_add(why, STR("bad request: channel: is no conversation's; POST /api/chat/cancel "
                             "stops what is written into any other"));
}

static void read_and_ask(struct native_session *ns, const struct command *cmd, enum chat_verb verb)
{
    struct str data = cmd->params.data;
    char why_at[512];
    struct buf why = buf_on(why_at, sizeof(why_at));
    struct chat_fields f;
    if (ns->endpoint->chat == NULL) {
        native_reply_error(ns, cmd->id, ERR_METHOD_NOT_FOUND);
        return;
    }
    char *room = pool_alloc(data.n + 1);
    if (room == NULL)
        native_reply_error(ns, cmd->id, ERR_INTERNAL);
    else if (!chat_fields_read(data, room, &f, &why) ||
             (verb == CHAT_VERB_CANCEL && !names_what(&f, &why)))
        native_reply_refuse(ns, cmd->id, ERR_BAD_REQUEST, buf_str(&why));
    else
        ask(ns, cmd, verb, &f);
    pool_free(room);
}

void native_rpc_chat_send(struct native_session *ns, const struct command *cmd)
{
    read_and_ask(ns, cmd, CHAT_VERB_SEND);
}

void native_rpc_chat_history(struct native_session *ns, const struct command *cmd)
{
    read_and_ask(ns, cmd, CHAT_VERB_MESSAGES);
}

void native_rpc_chat_cancel(struct native_session *ns, const struct command *cmd)
{
    read_and_ask(ns, cmd, CHAT_VERB_CANCEL);
}

void native_rpc_chat_conversations(struct native_session *ns, const struct command *cmd)
{
    read_and_ask(ns, cmd, CHAT_VERB_CONVERSATIONS);
}
