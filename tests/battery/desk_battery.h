/* desk_battery.h - the desks under test, for the files of their battery.
 * Thread:  the test's, which turns both loops.
 * Memory:  an answer's text is freed by expect().
 * Failure: the test's. */
#ifndef BATTERY_DESK_BATTERY_H
#define BATTERY_DESK_BATTERY_H

#include "battery.h"
#include "runs/approvals.h"
#include "runs/tasks.h"

#define TEXT  "Ol\xC3\xA1, a\xC3\xA7\xC3\xA3o \xF0\x9F\x98\x80 'q' \\\"d\\\" \\\\ ? \\n%"
#define OTHER "org-bbb"

enum { LOOPS = 2, HEARD_MAX = 256, TASKS_MAX = 60 };

extern struct loop *loops[LOOPS]; // the first is the desks' home
extern struct store *store;
extern struct tasks *tasks;
extern struct approvals *approvals;
void turn(void);
/* The process ends, and another one begins. */
void reopen(void);
/* And meanwhile this was done to the database; only of one that outlives the process. */
void reopen_changed(const char *script);

/* ---- what was told ---- */

struct heard {
    char tenant[64], channel[64], type[64];
    char *data;
};
extern struct heard heard[HEARD_MAX];
extern size_t heard_count;
void forget(void);
bool holds(const char *text, const char *part);

/* ---- answers ---- */

struct answer {
    bool there;
    enum desk_state state;
    char *text; // the body, or why not
};
struct desk_from from(struct answer *a, unsigned loop, const char *tenant);
void wait_for(struct answer *a);
/* It comes, with this in it. */
void expect(struct answer *a, enum desk_state state, const char *part);
int64_t id_in(const char *body);
/* An event passes. */
void see(const char *tenant, const char *channel, const char *type, const char *data);

/* ---- the tests ---- */

void test_a_task(void **state);
void test_the_order(void **state);
void test_task_lists(void **state);
void test_a_search_is_apart(void **state);
void test_searches_have_an_end(void **state);
void test_tasks_have_an_end(void **state);
void test_what_is_asked(void **state);
void test_decisions(void **state);
void test_one_wins(void **state);
void test_expiry(void **state);
void test_lists_use_an_index(void **state);
void test_old_ones_are_forgotten(void **state);
void test_rows_of_an_older_version(void **state);

#endif
