/* runs_battery.h - the ledger under test, for the files of its battery.
 * Thread:  the test's.
 * Memory:  an asked is the caller's until asked_free().
 * Failure: of anything but the outcome that is looked at: the test's. */
#ifndef BATTERY_RUNS_BATTERY_H
#define BATTERY_RUNS_BATTERY_H

#include "battery.h"
#include "runs/ledger_priv.h"

extern struct loop *loop;
extern struct store *store;
extern struct ledger *ledger;

void open_all(void);
void close_all(void);
/* Until no change waits for the store. */
void wait_idle(void);
/* Something published had this text. */
bool heard(const char *text);

/* ---- changes, and what became of the last one ---- */

struct outcome {
    bool done;
    enum run_outcome outcome;
    enum run_state before;
    char answer[8192];
};
extern struct outcome last;

enum run_outcome change_of(const char *tenant, enum run_verb verb, const char *id,
                           const char *body);
/* In the tenant "t". */
enum run_outcome change(enum run_verb verb, const char *id, const char *body);
/* The answer of the last one has this text. */
bool says(const char *text);
bool event_at(const char *channel, const char *type, const char *data, int64_t at_ms);
bool event(const char *channel, const char *type, const char *data);

/* ---- questions ---- */

struct asked {
    struct run_query q;
    bool done, ok;
};
struct asked *asked_make(const char *tenant, unsigned wants);
void ask(struct asked *a);
void asked_free(struct asked *a);
/* The run with what belongs to it, as JSON, to be freed; 0: its newest attempt. */
char *one_of(const char *tenant, const char *id, int64_t attempt);
/* One run with all that belongs to it has this text; or is not there: NULL. */
bool one_has(const char *tenant, const char *id, const char *text);

/* ---- the tests ---- */

void test_life(void **state);
void test_attempts(void **state);
void test_every_attempt_is_shown(void **state);
void test_attempts_have_an_end(void **state);
void test_leases(void **state);
void test_steps_have_an_end(void **state);
void test_events(void **state);
void test_events_out_of_order(void **state);
void test_jobs(void **state);
void test_task_events_are_kept(void **state);
void test_figures(void **state);
void test_one_run_is_no_search(void **state);
void test_pages(void **state);
void test_durations_without_end(void **state);
void test_days(void **state);
void test_tenants_are_apart(void **state);
void test_rows_outlive_the_process(void **state);
void test_the_oldest_are_forgotten(void **state);
void test_many_events(void **state);
void test_a_refused_one_is_left_out(void **state);

#endif
