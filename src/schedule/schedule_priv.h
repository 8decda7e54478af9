/* schedule_priv.h - what the files of the schedules share.
 * Thread:  the schedules' loop; row jobs run on the store's threads, with copies of their own.
 * Memory:  an entry is freed when it is in no map, no run and no job is under way.
 * Failure: what cannot be stored now is marked and tried again. */
#ifndef SCHEDULE_SCHEDULE_PRIV_H
#define SCHEDULE_SCHEDULE_PRIV_H

#include "base/list.h"
#include "base/map.h"
#include "base/stats.h"
#include "schedule/schedules.h"
#include "store/store.h"

enum { TICK_MOST_MS = 1000, EVENT_DATA_MAX = 64 << 10, STAMP_TEXT = 32, LOAD_MAX = 100000 };
enum { SCHEDULE_WHY_MAX = CRON_WHY_MAX + 8 };

struct schedules {
    struct schedule_options o;
    struct map map;      // of struct entry: tenant, NUL, id
    struct list entries; // the same, and those that are only finishing a run
    struct list runs;    // struct run
    struct timer tick;
    struct clock_pair seen;
    bool started;
    atomic_bool stopping; // no run begins any more
    struct gauge count, running;
    struct counter runs_total, errors_total, skipped_total;
};

/* Who waits until something is stored. */
struct waiter {
    struct waiter *next;
    schedule_done_fn *done;
    void *ctx;
};

struct entry {
    struct schedule s; // first: what others see
    struct map_node node;
    struct list link;
    struct schedules *all;
    char *names;            // tenant, NUL, id
    char *block;            // of s.words
    struct run *run;        // NULL: not running
    struct waiter *waiters; // for the next save to end
    bool stored;            // nobody sees it before
    bool saving, dirty; // dirty: has changed since the save that is under way, or since it failed
    bool erasing;       // nobody sees it any more
    bool removed;       // it is in no map any more
};

struct run {
    struct schedule_run r; // first
    struct list link;
    struct entry *entry;
    bool begun; // handed to the owner
    char bytes[];
};

/* schedules_row.c */
/* Stores it as it is now; the waiters that are there are told how that went. */
void entry_save(struct entry *e);
/* Takes it out of the database, and of here. */
void entry_erase(struct entry *e, schedule_done_fn *done, void *ctx);

/* schedules.c */
/* An entry with these words, which are in order, in no list. NULL: no memory. */
struct entry *entry_make(struct schedules *all, struct str tenant, struct str id,
                         const struct schedule_words *w);
bool entry_set_words(struct entry *e, const struct schedule_words *w); // false: no memory
bool entry_enter(struct entry *e);                                     // false: no memory
void entry_leave(struct entry *e);
void entry_free(struct entry *e);
void entry_free_if_done(struct entry *e);
/* NULL: they make a schedule, and *ret is its plan but for the times. at: room for what is wrong.
 */
const char *words_check(const struct schedule_words *w, struct plan *ret,
                        char at[SCHEDULE_WHY_MAX]);

/* schedules_run.c */
bool run_start(struct entry *e); // false: no memory
void run_begin(struct entry *e); // its begin is stored
void run_publish_lost(struct entry *e);

/* schedules_write.c */
/* Moments without a zone, as this application has them; returns the length. */
size_t stamp_format(int64_t wall_ms, char at[STAMP_TEXT]);

#endif
