/*
 * native_rpc.c - procedures that a native client can call by name.
 */
#include "dialect/native_priv.h"

void native_rpc(struct native_session *ns, const struct command *cmd)
{
    static const struct {
        struct str method;
        native_rpc_fn *run;
    } methods[] = {
        {STR("chat.send"), native_rpc_chat_send},
        {STR("chat.history"), native_rpc_chat_history},
        {STR("chat.cancel"), native_rpc_chat_cancel},
        {STR("chat.conversations"), native_rpc_chat_conversations},
        {STR("approvals.list"), native_rpc_approvals_list},
        {STR("approvals.approve"), native_rpc_approvals_approve},
        {STR("approvals.deny"), native_rpc_approvals_deny},
    };
    for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
        if (json_key_is(cmd->params.method, methods[i].method)) {
            methods[i].run(ns, cmd);
            return;
        }
    }
    native_reply_error(ns, cmd->id, ERR_METHOD_NOT_FOUND);
}
