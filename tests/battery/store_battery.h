/* store_battery.h - the store under test, for the files of its battery.
 * Thread:  the test's.
 * Memory:  what was appended is freed when the store releases it.
 * Failure: the test's. */
#ifndef BATTERY_STORE_BATTERY_H
#define BATTERY_STORE_BATTERY_H

#include "battery.h"

enum { STREAMS = 7, DATA_MAX = 2 << 20 };

extern struct loop *loop;
extern struct store *store;
extern struct store_retention keep; // of every stream
void retention(void *ctx, struct str key, struct store_retention *ret);

void open_store(void);
void close_store(void);
void settle(void);
/* What is in memory ends with its store. */
bool outlives(void);
void reopen(void);

/* ---- appends ---- */

extern unsigned waiting, refused;
extern uint32_t epoch_of_streams; // of the first; each has another
struct str key_of(unsigned stream, char at[64]);
/* What the event with this offset holds. */
struct str data_of(unsigned stream, uint64_t offset, char *at, size_t size);
void append_sized(unsigned stream, uint64_t offset, size_t size);
void append(unsigned stream, uint64_t offset);
/* From now on this stream has another epoch. */
void append_as(unsigned stream, uint32_t epoch, uint64_t offset);
void wait_for_all(void);
void trim(unsigned stream, uint64_t up_to);

/* ---- looks ---- */

/* Offsets first to last have to come; last < first: nothing. */
void check_read(unsigned stream, uint64_t after, uint64_t until, uint32_t limit, bool newest,
                uint64_t first, uint64_t last);
void check_position(unsigned stream, uint64_t first, uint64_t last);
struct store_position position(unsigned stream);
bool leads(unsigned stream, uint32_t epoch, uint64_t offset);

/* ---- ends ---- */

/* While no store is open. */
void script_on_closed(const char *text);
/* As if what was shown behind the last commit had been lost. */
void crash(void);

/* The table battery_rows, while the store is open, for what ends with its last connection. */
void make_rows(void);

/* ---- the tests ---- */

void test_append_and_read(void **state);
void test_long_streams(void **state);
void test_sizes(void **state);
void test_trim(void **state);
void test_gap(void **state);
void test_epochs(void **state);
void test_crashes(void **state);
void test_crash_behind_a_trim(void **state);
void test_crash_and_a_new_beginning(void **state);
void test_older_schema_is_brought_up(void **state);
void test_reserve(void **state);
void test_stopped(void **state);
void test_retention(void **state);
void test_retention_of_bytes(void **state);
void test_searches(void **state);
void test_searches_have_an_end(void **state);
void test_searches_end_with_the_store(void **state);
void test_changes_are_matches(void **state);
void test_a_question_sees_one_moment(void **state);
void test_jobs(void **state);
void test_failures_are_told_to_all_who_wait(void **state);
void test_idle(void **state);
void test_newer_schema_is_refused(void **state);

#endif
