/* run_change.h - what is to happen to a run: said by a back end, or seen in an event.
 * Thread:  made and read on any loop; then the ledger's until its done().
 * Memory:  one block with copies of everything it says; run_change_free() when it was not given to
 *          the ledger, or in done().
 * Failure: what cannot be understood is said with the field that is wrong. */
#ifndef RUNS_RUN_CHANGE_H
#define RUNS_RUN_CHANGE_H

#include "base/buf.h"
#include "loop/loop.h"
#include "runs/run.h"

enum run_verb {
    RUN_CREATE,
    RUN_PATCH,
    RUN_STEP,
    RUN_HEARTBEAT,
    RUN_FINISH,
    RUN_RETRY,
    RUN_CANCEL,
    RUN_EVENT, // something passed by
    RUN_SWEEP, // leases that have run out
};

enum run_outcome {
    RUN_DONE,
    RUN_ABSENT,  // no such run
    RUN_EXISTS,  // there is one with this id
    RUN_ILLEGAL, // its state does not allow it
    RUN_FULL,    // it has too many steps
    RUN_IGNORED, // an event that says nothing new
    RUN_UNSTORED // the store cannot be used now
};

/* What an event does. */
enum run_event_act { EVENT_QUEUES, EVENT_STARTS, EVENT_PROGRESSES, EVENT_ENDS, EVENT_ONLY_KEPT };

/* Strings: p NULL: not said. Figures: RUN_UNSAID. */
#define RUN_UNSAID INT64_MIN
struct run_said {
    struct str id, kind, name, agent_id, agent_name, task_id, parent_id, method, severity, error;
    struct str input, result, metadata;
    bool has_state;
    enum run_state state;
    int64_t tokens_in, tokens_out, started_at, completed_at, duration_ms, lease_ms;
};

struct ledger;
struct run_change {
    struct list link; // the ledger's
    struct mail mail; // the ledger's
    enum run_verb verb;
    struct str tenant;
    struct str id; // of the run that is meant; "": of said
    int64_t now_ms;
    struct run_said said;
    struct run_step step;
    /* Of an event: */
    enum run_event_act act;
    struct str match;           // by which its run is known
    bool by_agent;              // it has no id: the open one of agent and task
    struct str kept, kept_data; // the type and data of a task event that can be asked for
    /* The outcome: */
    enum run_outcome outcome;
    struct run before;  // states and numbers alone: what it was, where RUN_ILLEGAL
    struct buf updates; // tenant, object of a run that has changed: a zero byte behind each
    struct buf answer;  // the run, whole
    struct loop *loop;  // where done() is called
    void (*done)(struct run_change *c, void *ctx); // NULL: nobody waits
    void *ctx;
    struct ledger *ledger; // that it was given to
    size_t bytes;          // of the block
    char *room, *room_end; // for decoded strings
    char at[];
};

/* Copies of tenant, id and text. NULL: no memory. */
struct run_change *run_change_make(enum run_verb verb, struct str tenant, struct str id,
                                   struct str text, int64_t now_ms, struct str *ret_text);
void run_change_free(struct run_change *c);

/* Reads the copy of a body. False: *ret_field ("": the text is not a JSON object, as *j says) and
 * *ret_why, constant. */
bool run_change_read(struct run_change *c, struct str text, struct json *j, struct str *ret_field,
                     const char **ret_why);

/* An event that may be about a run. NULL: it is not. */
struct run_change *run_event_change(struct str tenant, struct str channel, struct str type,
                                    struct str data, int64_t time_ms);

/* a with the members of b, which count more; false: no room, or one is not an object. */
bool run_metadata_merge(struct buf *out, struct str a, struct str b);

#endif
