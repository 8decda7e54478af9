/*
 * approvals.c - requests that are kept, and decided once.
 *
 * Always true:
 *   A1. a request is pending, approved, denied or expired, and leaves pending once; only one that
 * has expired can be asked again. A2. a decision is told after it is committed, never before. A3. a
 * client decides what is asked of its user or of nobody in particular.
 */
#include "runs/approvals_priv.h"

#include "base/clock.h"
#include "base/json.h"
#include "base/must.h"

#include <stdlib.h>

const char *const approval_statuses[] = {"pending", "approved", "denied", "expired", NULL};

struct approvals *approvals_create(const struct approvals_options *o)
{
    struct approvals *a = calloc(1, sizeof(*a));
    if (a == NULL)
        return NULL;
    timer_init(&a->expiry, approvals_expiry_fired);
    a->home = o->desk.home;
    forgetter_init(&a->forgetter, &(struct forgetter_options){.store = o->desk.store,
                                                              .loop = o->desk.home,
                                                              .keep_ms = o->keep_ms,
                                                              .look = approvals_look,
                                                              .forget = approvals_forget});
    a->desk = desk_create(&o->desk);
    if (a->desk == NULL)
        approvals_destroy(&a);
    return a;
}

void approvals_destroy(struct approvals **ap)
{
    struct approvals *a = *ap;
    *ap = NULL;
    if (a == NULL)
        return;
    timer_cancel(&a->expiry);
    forgetter_stop(&a->forgetter);
    desk_destroy(&a->desk);
    free(a);
}

uint64_t approvals_dropped(const struct approvals *a)
{
    return atomic_load(&((struct approvals *)(uintptr_t)a)->dropped);
}

uint64_t approvals_forgotten(const struct approvals *a)
{
    return forgetter_count(&a->forgetter);
}

/* ---- asks ---- */

struct approval_ask *approval_ask_make(struct approvals *a, const struct desk_from *from,
                                       struct str id, struct str body, size_t room,
                                       enum sql_result (*run)(struct desk_ask *a, struct sql *db))
{
    struct approval_ask *ask = desk_ask_make(a->desk, from, sizeof(*ask), id.n + body.n + room);
    if (ask == NULL)
        return NULL;
    ask->ask.run = run;
    ask->approvals = a;
    ask->now_ms = clock_wall_ms();
    ask->id = str_put(&ask->ask.room, id);
    ask->data = str_put(&ask->ask.room, body);
    ask->by.user = ask->decided_by = ask->note = ask->for_user = STR("");
    return ask;
}

static void set_by(struct approval_ask *ask, const struct approvals_by *by)
{
    ask->by.back_end = by->back_end;
    if (by->user.n > 0)
        ask->by.user = str_put(&ask->ask.room, by->user);
}

void approvals_list(struct approvals *a, const struct desk_from *from,
                    const struct approvals_by *by, const struct approvals_filter *f)
{
    size_t room = by->user.n + f->status.n + f->user.n;
    struct approval_ask *ask =
        approval_ask_make(a, from, STR_NONE, STR_NONE, room, approvals_list_run);
    if (ask == NULL)
        return;
    set_by(ask, by);
    ask->filter = *f;
    ask->filter.status = str_put(&ask->ask.room, f->status);
    ask->filter.user = str_put(&ask->ask.room, f->user);
    ask->ask.reads = true;
    desk_ask_start(&ask->ask);
}

void approvals_find(struct approvals *a, const struct desk_from *from,
                    const struct approvals_by *by, struct str id)
{
    struct approval_ask *ask =
        approval_ask_make(a, from, id, STR_NONE, by->user.n, approval_find_run);
    if (ask == NULL)
        return;
    set_by(ask, by);
    ask->ask.reads = true;
    desk_ask_start(&ask->ask);
}

void approvals_waiting(struct approvals *a, const struct desk_from *from, struct str user)
{
    struct approval_ask *ask =
        approval_ask_make(a, from, STR_NONE, STR_NONE, user.n, approvals_waiting_run);
    if (ask == NULL)
        return;
    set_by(ask, &(struct approvals_by){.user = user});
    ask->ask.reads = true;
    desk_ask_start(&ask->ask);
}

/* ---- decisions ---- */

enum decide_field { DECIDE_BY, DECIDE_NOTE, DECIDE_FIELDS };
static const struct form_field decide_fields[DECIDE_FIELDS] = {
    [DECIDE_BY] = {"by", FORM_TEXT, .max = APPROVAL_ID_MAX},
    [DECIDE_NOTE] = {"note", FORM_TEXT, .max = 4096},
};

static struct sql_value text_or_null(struct str s)
{
    return s.n > 0 ? sql_text(s) : (struct sql_value){.type = SQL_NULL};
}

static const char *word_of(bool approve)
{
    return approve ? "approved" : "denied";
}

static enum sql_result set_decided(struct approval_ask *a, struct sql *db)
{
    struct sql_value params[] = {sql_text(str_from(word_of(a->approve))),
                                 sql_int(a->now_ms),
                                 sql_int(a->now_ms),
                                 text_or_null(a->decided_by),
                                 text_or_null(a->note),
                                 sql_text(a->ask.tenant),
                                 sql_text(a->id)};
    return sql_run(db,
                   "UPDATE recado_approvals SET status = ?, decided_at = ?, settled_at = ?,"
                   " decided_by = ?, note = ? WHERE tenant = ? AND id = ? AND status = 'pending'",
                   params, 7, NULL, NULL);
}

static bool is_status(const struct approval_row *row, const char *status)
{
    return str_eq(str_from(row->status), str_from(status));
}

/* Why it cannot be decided so. False: it can. */
static bool decide_refuse(struct approval_ask *a)
{
    const struct approval_row *row = &a->row;
    bool late = row->expires_at > 0 && row->expires_at <= a->now_ms;
    if (!row->found)
        desk_ask_say(&a->ask, DESK_MISSING, "there is no such approval");
    else if (!approval_may(&a->by, str_from(row->for_user)))
        desk_ask_say(&a->ask, DESK_DENIED, "it is asked of somebody else");
    else if (is_status(row, "expired") || (late && is_status(row, "pending")))
        desk_ask_say(&a->ask, DESK_CLASH, "it has expired");
    else if (is_status(row, word_of(!a->approve)))
        desk_ask_say(&a->ask, DESK_CLASH, "it has been %s already", row->status);
    else
        return false;
    return true;
}

static enum sql_result decide_run(struct desk_ask *ask, struct sql *db)
{
    struct approval_ask *a = container_of(ask, struct approval_ask, ask);
    enum sql_result r = approval_look(a, db);
    if (r != SQL_OK || decide_refuse(a))
        return r;
    if (is_status(&a->row, "pending")) {
        r = set_decided(a, db);
        if (r == SQL_OK)
            r = approval_tell_decision(a, db);
        if (r == SQL_OK)
            r = approval_tell_update(a, db, ask->tenant, a->id);
    }
    return r == SQL_OK ? approval_answer(a, db) : r;
}

void approvals_decide(struct approvals *a, const struct desk_from *from,
                      const struct approvals_by *by, struct str id, bool approve, struct str body)
{
    char why_at[DESK_WHY_MAX];
    struct buf why = buf_on(why_at, sizeof(why_at));
    struct form_value values[DECIDE_FIELDS];
    struct approval_ask *ask =
        approval_ask_make(a, from, id, body, by->user.n + body.n, decide_run);
    if (ask == NULL)
        return;
    set_by(ask, by);
    if (!form_read(ask->data, decide_fields, DECIDE_FIELDS, values, ask->ask.room, &why)) {
        desk_ask_refuse(&ask->ask, DESK_BAD, buf_str(&why));
        return;
    }
    ask->approve = approve;
    ask->decided_by =
        by->back_end ? values[DECIDE_BY].s : ask->by.user; // nobody decides as another
    ask->note = values[DECIDE_NOTE].s;
    desk_ask_start(&ask->ask);
}
