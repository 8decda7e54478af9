/*
 * approvals_request.c - requests that come: made here, or seen as they pass.
 *
 * Why a request that is asked again is told again: an agent that was restarted asks for what was
 * decided meanwhile, and nobody else would tell it.
 */
#include "runs/approvals_priv.h"

#include "base/json.h"
#include "base/log.h"
#include "base/must.h"
#include "base/random.h"

const struct str approvals_types[3] = {
    {"permission:pending", 18}, {"permission:denied", 17}, {"task:approved", 13}};

enum { ACTION_BYTES = 1000, NOTE_BYTES = 4096, SCALAR_BYTES = 1600 };

const struct form_field request_fields[REQUEST_FIELDS] = {
    [REQUEST_ID] = {"id", FORM_SCALAR, .max = SCALAR_BYTES},
    [REQUEST_PERMISSION] = {"permissionId", FORM_SCALAR, .max = SCALAR_BYTES},
    [REQUEST_ACTION] = {"action", FORM_TEXT, .max = ACTION_BYTES},
    [REQUEST_AGENT] = {"agent_id", FORM_SCALAR, .max = SCALAR_BYTES},
    [REQUEST_AGENT_ID] = {"agentId", FORM_SCALAR, .max = SCALAR_BYTES},
    [REQUEST_TASK] = {"task_id", FORM_SCALAR, .max = SCALAR_BYTES},
    [REQUEST_TASK_ID] = {"taskId", FORM_SCALAR, .max = SCALAR_BYTES},
    [REQUEST_USER] = {"user", FORM_SCALAR, .max = SCALAR_BYTES},
    [REQUEST_USER_ID] = {"userId", FORM_SCALAR, .max = SCALAR_BYTES},
    [REQUEST_DETAILS] = {"details", FORM_OBJECT, .max = APPROVAL_DATA_MAX / 2},
    [REQUEST_EXPIRES_IN] = {.name = "expires_in", .kind = FORM_SPAN},
    [REQUEST_EXPIRES] = {.name = "expiresIn", .kind = FORM_SPAN},
    [REQUEST_APPROVED_BY] = {"approvedBy", FORM_SCALAR, .max = SCALAR_BYTES},
    [REQUEST_DENIED_BY] = {"deniedBy", FORM_SCALAR, .max = SCALAR_BYTES},
    [REQUEST_NOTE] = {"note", FORM_TEXT, .max = NOTE_BYTES},
};

/* ---- what it says ---- */

bool approval_name(struct str raw, char **at, struct str *ret)
{
    struct str s = raw;
    if (raw.n >= 2 && raw.p[0] == '"' &&
        !json_string_decode((struct str){raw.p + 1, raw.n - 2}, *at, raw.n, &s))
        return false;
    for (size_t i = 0; i < s.n; i++) {
        if ((unsigned char)s.p[i] < 0x20 || s.p[i] == 0x7f)
            return false;
    }
    if (s.n == 0 || s.n > APPROVAL_ID_MAX)
        return false;
    if (s.p == *at)
        *at += s.n;
    *ret = s;
    return true;
}

/* The first that was said. */
static struct form_value *either(struct approval_ask *a, enum request_field one,
                                 enum request_field other)
{
    return a->values[one].given ? &a->values[one] : &a->values[other];
}

static struct sql_value raw_or_null(const struct form_value *v)
{
    return v->given ? sql_text(v->s) : (struct sql_value){.type = SQL_NULL};
}

static void set_expiry(struct approval_ask *a, int64_t from_ms)
{
    const struct form_value *in = either(a, REQUEST_EXPIRES_IN, REQUEST_EXPIRES);
    if (in->given)
        a->expires_at = from_ms + in->i;
}

/* ---- keeping it ---- */

static enum sql_result count_pending(struct approval_ask *a, struct sql *db, int64_t *ret)
{
    struct sql_value params[] = {sql_text(a->ask.tenant), sql_int(APPROVALS_PENDING_MAX)};
    return desk_number(db,
                       "SELECT count(*) FROM (SELECT seq FROM recado_approvals"
                       " WHERE status = 'pending' AND tenant = ? LIMIT ?) AS pending",
                       params, 2, ret);
}

static enum sql_result insert(struct approval_ask *a, struct sql *db)
{
    int64_t seq = 0;
    enum sql_result r =
        desk_id_next(&a->approvals->seqs, db, "SELECT max(seq) FROM recado_approvals", &seq);
    const struct form_value *action = &a->values[REQUEST_ACTION];
    struct sql_value expires = {.type = SQL_NULL};
    if (a->expires_at > 0)
        expires = sql_int(a->expires_at);
    struct sql_value params[] = {
        sql_text(a->ask.tenant),
        sql_text(a->id),
        sql_int(seq),
        sql_text(a->for_user),
        raw_or_null(action),
        raw_or_null(either(a, REQUEST_AGENT, REQUEST_AGENT_ID)),
        raw_or_null(either(a, REQUEST_TASK, REQUEST_TASK_ID)),
        sql_text(a->data),
        sql_int(a->now_ms),
        expires,
    };
    if (r != SQL_OK)
        return r;
    return sql_run(db,
                   "INSERT INTO recado_approvals (tenant, id, seq, for_user, action, agent_id,"
                   " task_id, data, status, requested_at, expires_at)"
                   " VALUES (?, ?, ?, ?, ?, ?, ?, ?, 'pending', ?, ?)",
                   params, sizeof(params) / sizeof(params[0]), NULL, NULL);
}

static enum sql_result ask_for_it(struct approval_ask *a)
{
    char at[APPROVAL_ID_MAX + 8];
    struct buf channel = buf_on(at, sizeof(at));
    MUST(a->for_user.n > 0 ? buf_add(&channel, STR("user:")) && buf_add(&channel, a->for_user)
                           : buf_add(&channel, STR("agents")));
    return desk_ask_tell(&a->ask, a->ask.tenant, buf_str(&channel), "permission:pending", a->data)
               ? SQL_OK
               : SQL_FAILED;
}

static enum sql_result keep(struct approval_ask *a, struct sql *db)
{
    int64_t pending = 0;
    struct sql_value params[] = {sql_text(a->ask.tenant), sql_text(a->id)};
    enum sql_result r = count_pending(a, db, &pending);
    if (r == SQL_OK && pending >= APPROVALS_PENDING_MAX)
        return desk_ask_say(&a->ask, DESK_FULL, "%d requests are pending, and no more are kept",
                            APPROVALS_PENDING_MAX);
    if (r == SQL_OK && a->row.found) // it has expired
        r = sql_run(db, "DELETE FROM recado_approvals WHERE tenant = ? AND id = ?", params, 2, NULL,
                    NULL);
    if (r == SQL_OK)
        r = insert(a, db);
    if (r == SQL_OK && a->made_here)
        r = ask_for_it(a);
    if (r == SQL_OK)
        r = approval_tell_update(a, db, a->ask.tenant, a->id);
    a->ask.state = DESK_MADE;
    return r;
}

static enum sql_result request_run(struct desk_ask *ask, struct sql *db)
{
    struct approval_ask *a = container_of(ask, struct approval_ask, ask);
    enum sql_result r = approval_look(a, db);
    struct str status = str_from(a->row.status);
    if (r != SQL_OK)
        return r;
    if (!a->row.found || str_eq(status, STR("expired")))
        r = keep(a, db);
    else if (!a->made_here && !str_eq(status, STR("pending")) && a->time_ms > a->row.decided_at)
        r = approval_tell_decision(a, db);
    if (r != SQL_OK || !a->made_here || ask->state == DESK_FULL)
        return r;
    return approval_answer(a, db);
}

static void request_settled(struct desk_ask *ask)
{
    struct approval_ask *a = container_of(ask, struct approval_ask, ask);
    if (a->expires_at > 0)
        approvals_expect(a->approvals, a->expires_at);
}

/* ---- made here ---- */

/* Which names a request's event says, as pages know it. */
static bool data_write(struct approval_ask *a, struct buf *out)
{
    struct json_writer w;
    const struct form_value *agent = either(a, REQUEST_AGENT, REQUEST_AGENT_ID);
    const struct form_value *task = either(a, REQUEST_TASK, REQUEST_TASK_ID);
    json_writer_init(&w, out);
    json_open_object(&w);
    json_put_string(json_key(&w, STR("permissionId")), a->id);
    json_put_string(json_key(&w, STR("action")), a->values[REQUEST_ACTION].s);
    if (agent->given)
        json_put_raw(json_key(&w, STR("agentId")), agent->s);
    if (task->given)
        json_put_raw(json_key(&w, STR("taskId")), task->s);
    if (a->for_user.n > 0)
        json_put_string(json_key(&w, STR("userId")), a->for_user);
    if (a->values[REQUEST_DETAILS].given)
        json_put_raw(json_key(&w, STR("details")), a->values[REQUEST_DETAILS].s);
    if (a->expires_at > 0)
        json_put_i64(json_key(&w, STR("expiresAt")), a->expires_at);
    json_close_object(&w);
    return json_done(&w);
}

static bool make_id(char **at, struct str *ret)
{
    uint8_t uuid[16];
    uuid_make(uuid);
    uuid_format(uuid, *at);
    *ret = (struct str){*at, UUID_TEXT};
    *at += UUID_TEXT;
    return true;
}

/* False: why says what is wrong. */
static bool names_read(struct approval_ask *a, char **at, struct buf *why)
{
    const struct form_value *id = either(a, REQUEST_ID, REQUEST_PERMISSION);
    const struct form_value *user = either(a, REQUEST_USER, REQUEST_USER_ID);
    if (id->given ? !approval_name(id->s, at, &a->id) : !make_id(at, &a->id))
        return !buf_add(why, STR("id: must be 1 to 250 bytes without control characters"));
    if (user->given && (!approval_name(user->s, at, &a->for_user) || str_eq(a->for_user, STR("*"))))
        return !buf_add(why,
                        STR("user: must be 1 to 250 bytes without control characters, and not *"));
    return true;
}

static bool request_read(struct approval_ask *a, char **at, struct buf *why)
{
    if (!form_read(a->data, request_fields, REQUEST_FIELDS, a->values, *at, why))
        return false;
    *at += a->data.n;
    if (!a->values[REQUEST_ACTION].given || a->values[REQUEST_ACTION].s.n == 0)
        return !buf_add(why, STR("action: is required"));
    set_expiry(a, a->now_ms);
    return names_read(a, at, why);
}

void approvals_add(struct approvals *a, const struct desk_from *from, struct str body)
{
    enum { NAMES = 2 * SCALAR_BYTES + UUID_TEXT };
    char why_at[DESK_WHY_MAX];
    struct buf why = buf_on(why_at, sizeof(why_at));
    struct approval_ask *ask =
        approval_ask_make(a, from, STR_NONE, body, body.n + NAMES + APPROVAL_DATA_MAX, request_run);
    if (ask == NULL)
        return;
    char *at = ask->ask.room;
    if (!request_read(ask, &at, &why)) {
        desk_ask_refuse(&ask->ask, DESK_BAD, buf_str(&why));
        return;
    }
    struct buf data = buf_on(at, APPROVAL_DATA_MAX);
    if (!data_write(ask, &data)) {
        desk_ask_refuse(&ask->ask, DESK_TOO_BIG, STR("the request is longer than 16 KiB"));
        return;
    }
    ask->data = buf_str(&data);
    ask->made_here = true;
    ask->by.back_end = true;
    ask->ask.settled = request_settled;
    desk_ask_start(&ask->ask);
}

/* ---- seen ---- */

static void seen_done(void *ctx, const struct desk_reply *r)
{
    struct approvals *a = ctx;
    if (r->state == DESK_DONE || r->state == DESK_MADE)
        return;
    if (atomic_fetch_add(&a->dropped, 1) == 0)
        log_warn("approvals: a request or decision that passed could not be kept: %.*s; from here "
                 "on they are counted",
                 STR_FMT(r->why));
}

static enum sql_result decision_run(struct desk_ask *ask, struct sql *db)
{
    struct approval_ask *a = container_of(ask, struct approval_ask, ask);
    struct str word = a->approve ? STR("approved") : STR("denied");
    enum sql_result r = approval_look(a, db);
    if (r != SQL_OK || !a->row.found || !str_eq(str_from(a->row.status), STR("pending")))
        return r;
    struct sql_value by = {.type = SQL_NULL}, note = by;
    if (a->decided_by.n > 0)
        by = sql_text(a->decided_by);
    if (a->note.n > 0)
        note = sql_text(a->note);
    struct sql_value params[] = {sql_text(word), sql_int(a->time_ms),   sql_int(a->now_ms), by,
                                 note,           sql_text(ask->tenant), sql_text(a->id)};
    r = sql_run(
        db,
        "UPDATE recado_approvals SET status = ?, decided_at = ?, settled_at = ?, decided_by = ?,"
        " note = ? WHERE tenant = ? AND id = ?",
        params, 7, NULL, NULL);
    return r == SQL_OK ? approval_tell_update(a, db, ask->tenant, a->id) : r;
}

/* Somebody who decides on pages of his own. */
static void saw_decision(struct approval_ask *ask, char **at, bool approved)
{
    const struct form_value *by = &ask->values[approved ? REQUEST_APPROVED_BY : REQUEST_DENIED_BY];
    ask->ask.run = decision_run;
    ask->approve = approved;
    if (by->given)
        (void)approval_name(by->s, at, &ask->decided_by);
    ask->note = ask->values[REQUEST_NOTE].given ? ask->values[REQUEST_NOTE].s : STR("");
    desk_ask_start(&ask->ask);
}

static void saw_request(struct approval_ask *ask, struct str channel, char **at)
{
    const struct form_value *user = either(ask, REQUEST_USER_ID, REQUEST_USER);
    if (str_starts(channel, STR("user:")) && channel.n > 5 && channel.n - 5 <= APPROVAL_ID_MAX)
        ask->for_user = str_put(at, str_skip(channel, 5));
    else if (user->given)
        (void)approval_name(user->s, at, &ask->for_user);
    set_expiry(ask, ask->time_ms);
    ask->ask.settled = request_settled;
    desk_ask_start(&ask->ask);
}

void approvals_saw(struct approvals *a, const struct approvals_event *e)
{
    enum { NAMES = 3 * SCALAR_BYTES + UUID_TEXT };
    char why_at[DESK_WHY_MAX];
    struct buf why = buf_on(why_at, sizeof(why_at));
    bool request = str_eq(e->type, approvals_types[0]);
    if (!request && !str_eq(e->type, approvals_types[1]) && !str_eq(e->type, approvals_types[2]))
        return;
    if (e->data.n > APPROVAL_DATA_MAX || e->data.n == 0 || e->data.p[0] != '{') {
        log_debug("approvals: a request of %zu bytes is not kept", e->data.n);
        return;
    }
    struct desk_from from = {e->loop, e->tenant, seen_done, a};
    struct approval_ask *ask = approval_ask_make(a, &from, STR_NONE, e->data,
                                                 e->data.n + e->channel.n + NAMES, request_run);
    if (ask == NULL)
        return;
    char *at = ask->ask.room;
    // What is of another type than it should be is as if it were not there.
    (void)form_read(ask->data, request_fields, REQUEST_FIELDS, ask->values, at, &why);
    at += ask->data.n;
    ask->time_ms = e->time_ms;
    const struct form_value *id = &ask->values[REQUEST_PERMISSION];
    bool named = id->given && approval_name(id->s, &at, &ask->id);
    if (!named && (id->given || !request))
        desk_ask_refuse(&ask->ask, DESK_DONE, STR_NONE); // nothing that could be known again
    else if (!named && !make_id(&at, &ask->id))
        MUST(false);
    else if (request)
        saw_request(ask, e->channel, &at);
    else
        saw_decision(ask, &at, str_eq(e->type, approvals_types[2]));
}
