/* store_ends: ends in which something was not written. */
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "store_battery.h"

#include "base/clock.h"
#include "base/must.h"
#include "store/schema.h"

#include <cmocka.h>

void test_crashes(void **state)
{
    enum { STREAM = 47, QUIET = 48 };
    (void)state;
    if (!outlives())
        skip();
    for (uint64_t o = 1; o <= 10; o++) {
        append(STREAM, o);
        append(QUIET, o);
    }
    wait_for_all();
    uint32_t first = position(STREAM).epoch, quiet[4] = {position(QUIET).epoch};
    assert_false(leads(STREAM, first, 10)); // it is the present one
    reopen();
    assert_int_equal(position(STREAM).epoch, first);
    uint32_t before = first;
    for (unsigned n = 1; n <= 3; n++) {
        uint64_t last = 10 * n;
        crash();
        struct store_position at = position(STREAM);
        assert_int_not_equal(at.epoch, before);
        assert_int_equal(at.first, 1);
        assert_int_equal(at.last, last);
        for (int clean = 0; clean < 3; clean++) { // before, behind the first event, later
            assert_true(leads(STREAM, before, 1));
            assert_true(leads(STREAM, before, last));
            assert_false(leads(STREAM, before, last + 1));
            assert_false(leads(STREAM, before + 1, last));
            assert_false(leads(STREAM, 0, 1));
            if (n > 1)
                assert_false(leads(STREAM, first, 1)); // one is remembered
            for (uint64_t o = 1; clean > 0 && o <= 5; o++)
                append_as(STREAM, at.epoch, last + (uint64_t)(clean - 1) * 5 + o);
            wait_for_all();
            reopen();
            assert_int_equal(position(STREAM).epoch, at.epoch);
        }
        check_read(STREAM, 0, 0, 0, false, 1, last + 10);
        before = at.epoch;
        // Nothing has come in the quiet one: all places in it are as good as before.
        quiet[n] = position(QUIET).epoch;
        for (unsigned k = 0; k < n; k++) {
            assert_int_not_equal(quiet[k], quiet[n]);
            assert_true(leads(QUIET, quiet[k], 10));
            assert_false(leads(QUIET, quiet[k], 11));
        }
    }
    append_as(QUIET, quiet[3], 11);
    wait_for_all();
    reopen();
    for (unsigned k = 0; k < 3; k++) {
        assert_true(leads(QUIET, quiet[k], 10));
        assert_false(leads(QUIET, quiet[k], 11));
    }
}

/* Trimmed up to an event that never came: what comes in its place is not trimmed. */
void test_crash_behind_a_trim(void **state)
{
    enum { STREAM = 49 };
    (void)state;
    if (!outlives())
        skip();
    for (uint64_t o = 1; o <= 5; o++)
        append(STREAM, o);
    wait_for_all();
    trim(STREAM, 8);
    crash();
    struct store_position at = position(STREAM);
    assert_int_equal(at.first, 6);
    assert_int_equal(at.last, 5);
    append_as(STREAM, at.epoch, 6);
    wait_for_all();
    check_read(STREAM, 0, 0, 0, false, 6, 6);
    reopen();
    check_read(STREAM, 0, 0, 0, false, 6, 6);
}

/* Another epoch of the hub's own forgets what led into the one before. */
void test_crash_and_a_new_beginning(void **state)
{
    enum { STREAM = 44 };
    (void)state;
    if (!outlives())
        skip();
    append(STREAM, 1);
    wait_for_all();
    uint32_t before = position(STREAM).epoch;
    crash();
    append_as(STREAM, 4711, 1);
    wait_for_all();
    reopen();
    assert_int_equal(position(STREAM).epoch, 4711);
    assert_false(leads(STREAM, before, 1));
    check_read(STREAM, 0, 0, 0, false, 1, 1);
}
