/* approvals.h - what agents may not do before somebody has said yes: requests as rows, each decided
 * once.
 *
 * A request comes as an event permission:pending or is made here. Its decision is committed, and
 * then told: task:approved or permission:denied on the channel agents, approval:update on
 * approvals.
 *
 * Thread:  approvals_create(), approvals_start() and approvals_destroy() on the main thread while
 * no loop runs; what is seen on any loop; the rest on the loop that asks, which is answered.
 * Memory:  strings are borrowed for the call.
 * Failure: as desk.h says; what is seen and cannot be kept is counted. */
#ifndef RUNS_APPROVALS_H
#define RUNS_APPROVALS_H

#include "runs/desk.h"

struct approvals;
struct approvals_options {
    struct desk_options desk;
    uint64_t keep_ms; // those that are decided or expired are forgotten after it
};
struct approvals *approvals_create(const struct approvals_options *o);
/* Looks for those that expire, and for those that are old. */
void approvals_start(struct approvals *a);
void approvals_destroy(struct approvals **ap);

enum {
    APPROVALS_LIST_MAX = 500,
    APPROVALS_PENDING_MAX = 10000, // of a tenant
    APPROVALS_WAITING_MAX = 100,   // that a client is asked again
    APPROVAL_ID_MAX = 250,
    APPROVAL_DATA_MAX = 16 << 10
};
extern const char *const approval_statuses[];

/* Somebody who looks or decides: a back end everything, a client what is asked of its user or of
 * nobody in particular. */
struct approvals_by {
    bool back_end;
    struct str user; // "": has none
};

struct approvals_filter {
    struct str status, user; // "": any
    uint32_t limit;
    uint64_t offset;
};
/* {"approvals":[..],"total":n}, the newest first. */
void approvals_list(struct approvals *a, const struct desk_from *from,
                    const struct approvals_by *by, const struct approvals_filter *f);
/* The row. */
void approvals_find(struct approvals *a, const struct desk_from *from,
                    const struct approvals_by *by, struct str id);
/* A new request: publishes permission:pending on the user's channel, or on agents. One that is
 * there already is answered as it is. */
void approvals_add(struct approvals *a, const struct desk_from *from, struct str body);
/* body: {"by"?,"note"?}, or "". The same decision again is answered as the first; another one, or
 * of one that has expired, is DESK_CLASH. */
void approvals_decide(struct approvals *a, const struct desk_from *from,
                      const struct approvals_by *by, struct str id, bool approve, struct str body);
/* [{"data":{..},"at":ms},..]: what this user has to be asked again, the oldest first. */
void approvals_waiting(struct approvals *a, const struct desk_from *from, struct str user);

/* Text of a raw string or number, at most APPROVAL_ID_MAX bytes without control characters; *at:
 * room for as many bytes as raw has, and moves behind what was used of it. False: it cannot be a
 * name. */
bool approval_name(struct str raw, char **at, struct str *ret);

/* An event has passed. */
struct approvals_event {
    struct loop *loop;
    struct str tenant, channel, type, data;
    int64_t time_ms;
};
extern const struct str approvals_types[3];
void approvals_saw(struct approvals *a, const struct approvals_event *e);
/* That could not be kept, so far. From any thread. */
uint64_t approvals_forgotten(const struct approvals *a);
uint64_t approvals_dropped(const struct approvals *a);

#endif
