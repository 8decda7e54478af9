/* schedules.h - councilors that are called by the clock: each tenant's schedules, when they are
 * due, and what became of their last run.
 *
 * Thread:  the loop that they were made for, but for schedules_ask_pause() and
 * schedules_read_stats(). Memory:  a struct schedule is the schedules' and valid until the next
 * call; what a caller gives is copied. Failure: every verb answers exactly once by done(), with an
 * enum schedule_answer; nothing is acknowledged before it is stored. Without a store nothing is
 * kept, and nothing waits. */
#ifndef SCHEDULE_SCHEDULES_H
#define SCHEDULE_SCHEDULES_H

#include "base/buf.h"
#include "loop/loop.h"
#include "schedule/plan.h"

struct schedules;
struct store;

enum {
    SCHEDULE_ID_MAX = 128,
    SCHEDULE_NAME_MAX = 256, // and of a model
    SCHEDULE_URL_MAX = 2048,
    SCHEDULE_PROMPT_MAX = 65536,
    SCHEDULE_ERROR_MAX = 1024,
    EXECUTION_ID_MAX = SCHEDULE_ID_MAX + 32,
};

/* "": none. A url or a prompt says what is called; neither: the owner's back end. */
struct schedule_words {
    struct str name, display_name, interval, cron, url, prompt, model;
};

/* What became of the newest run. */
struct schedule_last {
    char execution_id[EXECUTION_ID_MAX]; // "": there was none
    char status[16];                     // running, completed, error
    char severity[16];                   // "": not known yet
    char error[SCHEDULE_ERROR_MAX];      // "": none
    int64_t started_ms, completed_ms;    // completed 0: not yet
    int64_t duration_ms;
};

/* What one may look at of one. */
struct schedule {
    struct str tenant, id;
    struct schedule_words words;
    struct plan plan;
    struct schedule_last last;
    int64_t created_ms;
    uint64_t skipped; // times that came while it was still running
    bool paused, running;
};

/* ---- runs: done by the owner ---- */

/* One run; the owner's to end. Strings live as long as it does. */
struct schedule_run {
    struct schedules *schedules;
    struct str tenant, id, name, display_name, url, prompt, model, execution_id;
    int64_t started_ms;
    uint64_t began_ms; // loop clock
    void *ctx;         // the owner's
};

struct schedule_options {
    struct loop *loop;
    struct store *store; // NULL: nothing is kept
    uint32_t max;
    /* NULL: these words say whom to call, and he can be called; else what is missing, a constant
     * text. Not asked of what was stored before. */
    const char *(*nobody)(void *ctx, const struct schedule_words *w);
    /* Begins what the run says: schedule_run_end() follows, inside or later. */
    void (*begin)(void *ctx, struct schedule_run *r);
    /* An event of the tenant's council; data is JSON. */
    void (*publish)(void *ctx, struct str tenant, struct str type, struct str data);
    void *ctx;
};

/* Any more is cut off in events and in what is kept. */
enum { SCHEDULE_OUTPUT_MAX = 4096 };
/* error "": it has ended well and said output. r is gone. */
void schedule_run_end(struct schedule_run *r, struct str output, struct str error);

/* ---- birth and end ---- */

/* NULL: no memory. */
struct schedules *schedules_create(const struct schedule_options *o);
/* Reads them from the store, before they start; done() comes on the loop, and says how that went.
 */
void schedules_load(struct schedules *s, void (*done)(void *ctx, bool ok), void *ctx);
/* On the loop. Runs that an end of the server cut off are told as errors, what was missed
 * is due. */
void schedules_start(struct schedules *s);
/* From any thread: no run begins any more. */
void schedules_stop(struct schedules *s);
/* The loop has ended. Runs under way are told as errors at the next start; each is handed to drop
 * before it is freed. */
void schedules_destroy(struct schedules **sp, void (*drop)(void *ctx, struct schedule_run *r));

/* ---- verbs ---- */

enum schedule_answer {
    SCHEDULE_OK,
    SCHEDULE_INVALID, // why says what is wrong
    SCHEDULE_UNKNOWN,
    SCHEDULE_EXISTS,
    SCHEDULE_FULL,
    SCHEDULE_RUNNING,    // it cannot be run now, because it is
    SCHEDULE_NOT_STORED, // the database cannot be used
    SCHEDULE_NO_MEMORY,
};
/* s: NULL unless SCHEDULE_OK; of one that was removed NULL as well. */
typedef void schedule_done_fn(void *ctx, enum schedule_answer a, const struct schedule *s,
                              const char *why);

/* id "": made from the name. */
void schedules_add(struct schedules *s, struct str tenant, struct str id,
                   const struct schedule_words *words, bool paused, schedule_done_fn *done,
                   void *ctx);
/* words: all of them, as they are to be. */
void schedules_change(struct schedules *s, struct str tenant, struct str id,
                      const struct schedule_words *words, schedule_done_fn *done, void *ctx);
void schedules_remove(struct schedules *s, struct str tenant, struct str id, schedule_done_fn *done,
                      void *ctx);
void schedules_set_paused(struct schedules *s, struct str tenant, struct str id, bool paused,
                          schedule_done_fn *done, void *ctx);
/* Now, paused or not; answered when it has begun. */
void schedules_run(struct schedules *s, struct str tenant, struct str id, schedule_done_fn *done,
                   void *ctx);

/* NULL: there is none. */
const struct schedule *schedules_find(struct schedules *s, struct str tenant, struct str id);
/* Those of a tenant by id, from the offset-th on, at most limit of them; returns how many there
 * are. */
size_t schedules_list(struct schedules *s, struct str tenant, size_t offset, size_t limit,
                      void (*each)(void *ctx, const struct schedule *s), void *ctx);
/* As REST tells it; whole: the url, too, which may hold what only back ends know. False: no room.
 */
bool schedule_write(struct buf *out, const struct schedule *s, bool whole);

/* Whether a schedule is called so, and is paused from here on; asked from any loop, answered
 * there. */
struct schedule_pause {
    struct mail mail; // private
    struct schedules *schedules;
    struct loop *loop;     // that is answered
    struct str tenant, id; // stay until done()
    bool found, success;
    void (*done)(struct schedule_pause *p);
};
void schedules_ask_pause(struct schedules *s, struct schedule_pause *p);

struct schedule_stats {
    uint64_t schedules, running, runs, errors, skipped;
};
/* From any thread. */
void schedules_read_stats(const struct schedules *s, struct schedule_stats *ret);

#endif
