/* approvals_priv.h - what the files of the approvals share.
 * Thread:  as approvals.h and desk.h say.
 * Memory:  values of an ask are pieces of its room.
 * Failure: as desk.h says. */
#ifndef RUNS_APPROVALS_PRIV_H
#define RUNS_APPROVALS_PRIV_H

#include "runs/approvals.h"
#include "runs/forget.h"
#include "runs/form.h"

struct approvals {
    struct desk *desk;
    struct loop *home;
    struct desk_ids seqs; // of the store's writer
    struct timer expiry;  // on the home loop
    int64_t expires_at;   // of the next one; 0: none does
    struct forgetter forgetter;
    _Atomic uint64_t dropped;
};

/* What a request says; a decision says some of it, too. */
enum request_field {
    REQUEST_ID,
    REQUEST_PERMISSION,
    REQUEST_ACTION,
    REQUEST_AGENT,
    REQUEST_AGENT_ID,
    REQUEST_TASK,
    REQUEST_TASK_ID,
    REQUEST_USER,
    REQUEST_USER_ID,
    REQUEST_DETAILS,
    REQUEST_EXPIRES_IN,
    REQUEST_EXPIRES,
    REQUEST_APPROVED_BY,
    REQUEST_DENIED_BY,
    REQUEST_NOTE,
    REQUEST_FIELDS
};
extern const struct form_field request_fields[REQUEST_FIELDS];

/* The row, as far as it is looked at before a change; strings are the ask's. */
struct approval_row {
    bool found;
    char status[16];
    char for_user[APPROVAL_ID_MAX + 6];
    int64_t expires_at, decided_at; // 0: none
};

struct approval_ask {
    struct desk_ask ask;
    struct approvals *approvals;
    int64_t now_ms;
    struct str id, data;
    struct approvals_by by;
    struct form_value values[REQUEST_FIELDS];
    struct approvals_filter filter;
    bool approve, made_here;
    struct str decided_by;   // "": not known
    struct str note;         // "": none
    struct str for_user;     // "": nobody in particular
    int64_t expires_at;      // 0: never
    int64_t time_ms;         // of the event
    struct approval_row row; // while run() is running
    int64_t next_expiry_ms;  // what the sweep found
    uint32_t swept;
};

/* The row as the answer, where by may see it. */
enum sql_result approval_answer(struct approval_ask *a, struct sql *db);
enum sql_result approval_look(struct approval_ask *a, struct sql *db);
enum sql_result approvals_list_run(struct desk_ask *ask, struct sql *db);
enum sql_result approvals_waiting_run(struct desk_ask *ask, struct sql *db);
enum sql_result approval_find_run(struct desk_ask *ask, struct sql *db);
/* approval:update with the row as it is now. SQL_FAILED: no memory. */
enum sql_result approval_tell_update(struct approval_ask *a, struct sql *db, struct str tenant,
                                     struct str id);
/* task:approved or permission:denied, from the row. */
enum sql_result approval_tell_decision(struct approval_ask *a, struct sql *db);
bool approval_may(const struct approvals_by *by, struct str for_user);

/* An ask with its own copies of id and body. NULL: it has been answered. */
struct approval_ask *approval_ask_make(struct approvals *a, const struct desk_from *from,
                                       struct str id, struct str body, size_t room,
                                       enum sql_result (*run)(struct desk_ask *a, struct sql *db));
/* The text of a list: of any status, or of one. */
const char *approvals_list_text(bool any_status);
/* As struct forgetter_options wants them. */
enum sql_result approvals_look(struct sql *db, int64_t *ret_count, int64_t *ret_oldest_ms);
enum sql_result approvals_forget(struct sql *db, int64_t before_ms, int64_t excess, int64_t most,
                                 int64_t *ret_count);
void approvals_expiry_fired(struct timer *t);
/* One that expires then is there now. On the home loop. */
void approvals_expect(struct approvals *a, int64_t expires_at);

#endif
