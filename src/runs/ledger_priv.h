/* ledger_priv.h - what the files of the ledger share.
 * Thread:  the ledger's loop, but for functions with a struct sql, which are called on the store's
 *          threads, and what is atomic.
 * Memory:  the texts of statements live as long as the ledger.
 * Failure: functions with a struct sql say what the database says. */
#ifndef RUNS_LEDGER_PRIV_H
#define RUNS_LEDGER_PRIV_H

#include "runs/forget.h"
#include "runs/ledger.h"

enum {
    BATCH_MAX = 500, // changes in one transaction
    LEASE_CHUNK = 100,
    KEPT_MAX = 200, // task events of a tenant
};

/* Statements that are put together at birth: one per set of conditions. */
enum { WHERE_AGENT = 1, WHERE_STATE = 2, WHERE_TASK = 4, WHERE_SETS = 8 };
struct query_texts {
    char *list[WHERE_SETS][RUN_SORT_COUNT];
    char *stats[WHERE_SETS], *days[WHERE_SETS], *agents[WHERE_SETS];
};
bool query_texts_make(struct query_texts *t);
void query_texts_drop(struct query_texts *t);

/* The writer's own: known when loaded. */
struct numbering {
    bool loaded;
    int64_t last_run, last_kept;
};

struct ledger {
    struct ledger_options o;
    struct query_texts texts;
    struct list queue;   // of struct run_change: they wait
    struct list running; // and those of the job
    struct store_job job;
    char why[256];  // it failed
    bool busy;      // the job is under way
    unsigned alone; // so many are tried one at a time, after a batch that was refused
    bool stopping;
    uint32_t retry_ms;   // 0: the last job was good
    struct timer retry;  // after a failure
    struct timer leases; // the next that runs out
    struct forgetter forgetter;
    int64_t lease_next;       // wall clock; 0: none
    int64_t job_lease_next;   // as the job found it
    struct numbering numbers; // the writer's thread
    struct mail stop_mail;
    void (*stopped)(struct ledger *l);
    void *stopped_ctx;
    _Atomic uint64_t waiting, waiting_bytes;
    _Atomic uint64_t events, changes, ignored, dropped, lost_leases;
    atomic_bool complained; // of dropped ones
};

/* ---- rows (ledger_rows.c) ---- */

/* A run with its strings. */
struct run_row {
    struct run run;
    bool found;
    struct buf text;
};
void run_row_init(struct run_row *row);
void run_row_fini(struct run_row *row);

extern const char run_columns_list[]; // for lists: long input and result are ""
/* A row of all columns, whose strings stay the database's. */
void run_from_values(struct run *r, const struct sql_value *v);

enum sql_result rows_load(struct numbering *n, struct sql *db);
enum sql_result row_by_id(struct sql *db, struct str tenant, struct str id, struct run_row *ret);
enum sql_result row_by_match(struct sql *db, struct str tenant, struct str match, bool open,
                             struct run_row *ret);
enum sql_result row_by_seq(struct sql *db, int64_t seq, struct run_row *ret);
enum sql_result row_insert(struct sql *db, const struct run *r);
enum sql_result row_update(struct sql *db, const struct run *r);
/* seqs of runs whose lease has run out, at most max. */
enum sql_result rows_late(struct sql *db, int64_t now_ms, int64_t *ret, size_t max,
                          size_t *ret_count);
/* The next lease that will; 0: none. */
enum sql_result rows_lease_next(struct sql *db, int64_t *ret);
/* Forgets the oldest: those made before this, and so many at least. */
enum sql_result rows_forget(struct sql *db, int64_t before_ms, int64_t excess, int64_t most,
                            int64_t *ret_count);
enum sql_result rows_count(struct sql *db, int64_t *ret_count, int64_t *ret_oldest_ms);

/* step->seq 0: the next one. *ret_full: there are too many. */
enum sql_result step_write(struct sql *db, int64_t run, const struct run_step *step, bool by_name,
                           bool *ret_full);
enum sql_result steps_each(struct sql *db, int64_t run, sql_row_fn *row, void *ctx);
void step_from_values(struct run_step *s, const struct sql_value *v);
/* seqs of a run's attempts, the newest first, at most RUN_ATTEMPTS_MAX. */
enum sql_result attempts_find(struct sql *db, struct str tenant, struct str id, int64_t *ret,
                              size_t *ret_count);
enum sql_result attempt_read(struct sql *db, int64_t seq, sql_row_fn *row, void *ctx);
/* Those up to this one, with their steps. */
enum sql_result attempts_forget(struct sql *db, struct str tenant, struct str id, int64_t last);

enum sql_result kept_write(struct sql *db, int64_t seq, const struct run_change *c);
enum sql_result kept_each(struct sql *db, struct str tenant, sql_row_fn *row, void *ctx);

/* What q is compared with: names and ids in small letters. */
void search_text(struct buf *out, const struct run *r);
void search_fold(struct buf *out, struct str s);

/* ---- changes (ledger_apply.c) ---- */

enum sql_result change_apply(struct ledger *l, struct run_change *c, struct sql *db);

/* ---- questions (ledger_query.c) ---- */

#endif
