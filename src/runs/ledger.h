/* ledger.h - the runs of all tenants as rows: what happens to them, and what is asked about them.
 *
 * Changes come from any loop, go to the ledger's own loop, and from there many at a time to the
 * store; the changes of one loop are made in their order. Questions go to the store's reader.
 *
 * Thread:  ledger_create(), ledger_start() and ledger_destroy() on the main thread while no loop
 *          runs, ledger_stop() there while they do; ledger_give(), run_query() and
 *          ledger_read_stats() from any.
 * Memory:  changes and questions are their askers' and the ledger's until their done().
 * Failure: RUN_UNSTORED and a result other than SQL_OK: the store cannot be used now. Events wait
 *          for it up to a limit and are counted where it is reached. */
#ifndef RUNS_LEDGER_H
#define RUNS_LEDGER_H

#include "runs/run_change.h"
#include "store/store.h"

struct ledger;

struct ledger_options {
    struct store *store;
    struct loop *loop;
    uint64_t keep_ms; // runs are forgotten after it
    uint64_t runs_max;
    uint32_t queue_max;       // changes that wait for the store, and
    uint64_t queue_bytes_max; // their bytes
    /* A run has changed, in the order of the changes; on the ledger's loop, after the commit. */
    void (*publish)(void *ctx, struct str tenant, struct str update);
    void *ctx;
};

struct ledger *ledger_create(const struct ledger_options *o);
void ledger_start(struct ledger *l);
/* Until what was given is written, or cannot be now. */
void ledger_stop(struct ledger *l);
/* The loops have ended. */
void ledger_destroy(struct ledger **lp);

/* False: too much is waiting; the change is still the caller's. Else done() comes, or for events
 * that nobody waits for the change is freed. */
bool ledger_give(struct ledger *l, struct run_change *c);
/* Whether there is room for an event; if not it is counted as dropped. */
bool ledger_has_room(struct ledger *l);

struct ledger_stats {
    uint64_t events, changes, ignored, dropped, waiting, lost_leases, forgotten;
};
void ledger_read_stats(const struct ledger *l, struct ledger_stats *ret);

/* ---- questions ---- */

enum { RUN_CHOICES_MAX = 3 };
struct run_filter {
    struct str tenant;
    int64_t from_ms, to_ms; // from <= begin < to
    struct str agent_id, task_id, method, q;
    struct str agent;                  // id or name
    struct str kinds[RUN_CHOICES_MAX]; // the second and third are constants
    size_t kind_count;                 // 0: any
    enum run_state states[RUN_CHOICES_MAX];
    size_t state_count; // 0: any
};
/* Everything of a tenant. */
void run_filter_init(struct run_filter *f, struct str tenant);

/* Newest and oldest by their begin. */
enum run_sort {
    SORT_NEWEST,
    SORT_OLDEST,
    SORT_MADE_LAST,
    SORT_MADE_FIRST,
    SORT_LONGEST,
    SORT_SHORTEST,
    RUN_SORT_COUNT
};

struct run_stats {
    int64_t total, completed, failed, running;
    int64_t duration_count;
    double duration_sum_ms;
};

enum {
    WANT_ROWS = 1,
    WANT_STATS = 2,
    WANT_DAYS = 4,
    WANT_AGENTS = 8,
    WANT_ONE = 16, // of filter.q as the id: an attempt of the run with steps, and all attempts
    WANT_KEPT = 32 // the last task events, newest first
};

struct run_query {
    struct store_job job; // private
    struct ledger *ledger;
    struct run_filter filter; // its strings are copied, but for those of kinds
    unsigned wants;
    enum run_sort sort;
    uint32_t limit;
    uint64_t offset;
    int64_t attempt;             // for WANT_ONE; 0: the newest
    int64_t day_first, day_last; // for WANT_DAYS: each of them is there
    /* Each row; on the store's thread. NULL: run_put(). */
    void (*put)(struct json_writer *w, const struct run *r);
    /* Each kept event, newest first; on the store's thread. */
    void (*kept)(struct run_query *q, struct str type, struct str data, int64_t time_ms);
    /* On the asking loop. ok: the store has answered; else nothing below is true but why. */
    void (*done)(struct run_query *q, bool ok);
    void *ctx;
    const char *why; // of a failure; NULL: as the error says
    bool found;      // WANT_ONE
    struct buf rows; // elements of an array; of WANT_ONE the object
    uint32_t row_count;
    struct buf days;   // {"date":..,"total":..,"completed":..,"failed":..}, by commas
    struct buf agents; // {"agent_id":..,"agent_name":..,"total":..}, by commas
    struct run_stats stats;
    char at[7 * RUN_NAME_MAX + 512];
};
/* q: zeroed but for what is asked. done() is called once, never inside. */
void run_query(struct ledger *l, struct loop *loop, struct run_query *q);
void run_query_fini(struct run_query *q);

/* An array of what is written already: rows, days or agents of an answer. */
void run_put_elements(struct json_writer *w, const struct buf *elements);
/* The days that the figures are about: those of the filter's range, or the last ones of it. */
void run_query_days(struct run_query *q, int64_t days, int64_t now_ms);

/* Completed of those that are over; false: none is. */
bool run_stats_rate(const struct run_stats *s, double *ret);
bool run_stats_average(const struct run_stats *s, double *ret_ms);

#endif
