/*
 * native_approvals.c - permissions that wait for somebody, for native clients: rpc with the fields
 * and results that /api/approvals has.
 */
#include "dialect/native_priv.h"

#include "base/must.h"
#include "base/pool.h"
#include "runs/approvals.h"
#include "runs/form.h"

enum { FIELD_STATUS, FIELD_USER, FIELD_LIMIT, FIELD_OFFSET, FIELD_ID, FIELD_PERMISSION, FIELDS };

static const struct form_field fields[FIELDS] = {
    [FIELD_STATUS] = {"status", FORM_WORD, .words = approval_statuses},
    [FIELD_USER] = {"user", FORM_TEXT, .max = APPROVAL_ID_MAX},
    [FIELD_LIMIT] = {.name = "limit", .kind = FORM_NUMBER},
    [FIELD_OFFSET] = {.name = "offset", .kind = FORM_NUMBER},
    [FIELD_ID] = {"id", FORM_SCALAR, .max = 6 * APPROVAL_ID_MAX + 2},
    [FIELD_PERMISSION] = {"permissionId", FORM_SCALAR, .max = 6 * APPROVAL_ID_MAX + 2},
};

enum approval_verb { VERB_LIST, VERB_APPROVE, VERB_DENY };

/* ---- answers ---- */

static void done(void *ctx, const struct desk_reply *r)
{
    struct call *call = ctx;
    if (r->state == DESK_DONE)
        native_reply_data(call->ns, call->id, r->body);
    else
        native_reply_refuse(call->ns, call->id, desk_state_err(r->state), r->why);
    native_call_free(call);
}

/* ---- questions ---- */

static void refuse(struct native_session *ns, const struct command *cmd, struct str why)
{
    native_reply_refuse(ns, cmd->id, ERR_BAD_REQUEST, why);
}

static void list(struct native_session *ns, const struct command *cmd, const struct form_value *v,
                 const struct approvals_by *by)
{
    int64_t limit = v[FIELD_LIMIT].given ? v[FIELD_LIMIT].i : 50;
    struct approvals_filter f = {.status = v[FIELD_STATUS].s,
                                 .user = v[FIELD_USER].s,
                                 .limit = (uint32_t)limit,
                                 .offset = (uint64_t)v[FIELD_OFFSET].i};
    if (limit < 1 || limit > APPROVALS_LIST_MAX) {
        refuse(ns, cmd, STR("limit: must be 1 to 500"));
        return;
    }
    struct call *call = native_call_make(ns, cmd->id);
    if (call != NULL)
        approvals_list(
            ns->endpoint->approvals,
            &(struct desk_from){hub_loop(ns->session.hub), ns->session.tenant, done, call}, by, &f);
}

/* room: behind what the fields needed. */
static void decide(struct native_session *ns, const struct command *cmd, const struct form_value *v,
                   const struct approvals_by *by, char *room, bool approve)
{
    const struct form_value *given = &v[v[FIELD_ID].given ? FIELD_ID : FIELD_PERMISSION];
    struct str id;
    if (!given->given || !approval_name(given->s, &room, &id)) {
        refuse(ns, cmd, STR("id: must be a string or number of at most 250 bytes"));
        return;
    }
    struct call *call = native_call_make(ns, cmd->id);
    if (call != NULL)
        approvals_decide(
            ns->endpoint->approvals,
            &(struct desk_from){hub_loop(ns->session.hub), ns->session.tenant, done, call}, by, id,
            approve, cmd->params.data);
}

static void ask(struct native_session *ns, const struct command *cmd, enum approval_verb verb)
{
    struct form_value v[FIELDS];
    char why_at[DESK_WHY_MAX];
    struct buf why = buf_on(why_at, sizeof(why_at));
    struct approvals_by by = {ns->privileged, ns->session.user};
    if (ns->endpoint->approvals == NULL) {
        native_reply_error(ns, cmd->id, ERR_METHOD_NOT_FOUND);
        return;
    }
    bool proven =
        ns->session.user.n > 0 || ns->privileged || !hub_policy(ns->session.hub)->personal_channels;
    if (!proven) {
        native_reply_refuse(ns, cmd->id, ERR_PERMISSION_DENIED, STR("a token is needed"));
        return;
    }
    char *room = pool_alloc(2 * cmd->params.data.n + 1);
    if (room == NULL)
        native_reply_error(ns, cmd->id, ERR_INTERNAL);
    else if (!form_read(cmd->params.data, fields, FIELDS, v, room, &why))
        refuse(ns, cmd, buf_str(&why));
    else if (verb == VERB_LIST)
        list(ns, cmd, v, &by);
    else
        decide(ns, cmd, v, &by, room + cmd->params.data.n, verb == VERB_APPROVE);
    pool_free(room);
}

void native_rpc_approvals_list(struct native_session *ns, const struct command *cmd)
{
    ask(ns, cmd, VERB_LIST);
}

void native_rpc_approvals_approve(struct native_session *ns, const struct command *cmd)
{
    ask(ns, cmd, VERB_APPROVE);
}

void native_rpc_approvals_deny(struct native_session *ns, const struct command *cmd)
{
    ask(ns, cmd, VERB_DENY);
}
