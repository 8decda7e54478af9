/* store_streams: what was appended is read, position by position, as long as it is kept. */
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

void test_append_and_read(void **state)
{
    (void)state;
    struct store_position at;
    assert_false(store_stream_find(store, STR("nobody"), &at));
    for (uint64_t o = 1; o <= 300; o++) {
        for (unsigned s = 0; s < STREAMS; s++)
            append(s, o);
        if (o % 9 == 0)
            wait_for_all();
    }
    wait_for_all();
    for (unsigned s = 0; s < STREAMS; s++) {
        check_position(s, 1, 300);
        check_read(s, 0, 0, 0, false, 1, 300);
        check_read(s, 100, 0, 10, false, 101, 110);
        check_read(s, 100, 200, 0, false, 101, 200);
        check_read(s, 0, 250, 5, true, 246, 250);
        check_read(s, 299, 0, 0, false, 300, 300);
        check_read(s, 300, 0, 0, false, 1, 0);
        check_read(s, 9999, 0, 0, false, 1, 0);
    }
    reopen();
    for (unsigned s = 0; s < STREAMS; s++) {
        check_position(s, 1, 300);
        check_read(s, 0, 0, 0, false, 1, 300);
        append(s, 301);
    }
    wait_for_all();
    check_read(3, 298, 0, 0, false, 299, 301);
}

/* A stream of many chunks: the skips have to lead where they should, also over a start. */
void test_long_streams(void **state)
{
    enum { LONG = 3000, STREAM = 20 };
    (void)state;
    for (uint64_t o = 1; o <= LONG; o++) {
        append(STREAM, o);
        if (o % 2 == 0) { // a chunk for every second event at most
            wait_for_all();
        }
        if (o == 1500)
            reopen();
    }
    for (uint64_t after = 0; after < LONG; after += 97)
        check_read(STREAM, after, 0, 3, false, after + 1, after + 3 < LONG ? after + 3 : LONG);
    check_read(STREAM, 0, 0, 0, false, 1, LONG);
}

void test_sizes(void **state)
{
    enum { STREAM = 30 };
    static const size_t sizes[] = {0, 1000, 60000, 1 << 20, 10};
    (void)state;
    for (unsigned i = 0; i < 5; i++)
        append_sized(STREAM, i + 1, sizes[i]);
    wait_for_all();
    reopen();
    check_position(STREAM, 1, 5);
    check_read(STREAM, 4, 0, 0, false, 5, 5);
}

/* Offsets that were never stored: what is older cannot be joined to what is newer. */
void test_gap(void **state)
{
    enum { STREAM = 45 };
    (void)state;
    for (uint64_t o = 1; o <= 10; o++)
        append(STREAM, o);
    for (uint64_t o = 21; o <= 30; o++)
        append(STREAM, o);
    wait_for_all();
    check_position(STREAM, 21, 30);
    check_read(STREAM, 0, 0, 0, false, 21, 30);
    append(STREAM, 40);
    wait_for_all();
    reopen();
    check_position(STREAM, 40, 40);
    check_read(STREAM, 0, 0, 0, false, 40, 40);
}

/* A stream that begins anew: of the one before nothing is left. */
void test_epochs(void **state)
{
    enum { STREAM = 46 };
    (void)state;
    for (uint64_t o = 1; o <= 100; o++)
        append(STREAM, o);
    wait_for_all();
    epoch_of_streams++;
    for (uint64_t o = 5; o <= 9; o++)
        append(STREAM, o);
    wait_for_all();
    check_position(STREAM, 5, 9);
    check_read(STREAM, 0, 0, 0, false, 5, 9);
    reopen();
    check_position(STREAM, 5, 9);
    append(STREAM, 10);
    epoch_of_streams--; // and two in one batch
    append(STREAM, 1);
    append(STREAM, 2);
    wait_for_all();
    reopen();
    check_position(STREAM, 1, 2);
    check_read(STREAM, 0, 0, 0, false, 1, 2);
}

/* Those that cannot be stored are known before anything is delivered. */
void test_reserve(void **state)
{
    char name[600];
    (void)state;
    memset(name, 'n', sizeof(name));
    assert_int_equal(store_stream_reserve(store, STR("t\0c")), STORE_ROOM);
    assert_int_equal(store_stream_reserve(store, (struct str){name, 520}), STORE_ROOM_NAME);
    assert_int_equal(store_stream_reserve(store, STR("t\0c\0d")), STORE_ROOM_NAME);
    assert_int_equal(store_stream_reserve(store, STR("\xff\0c")), STORE_ROOM_NAME);
    struct store_position at;
    assert_true(store_stream_find(store, STR("t\0c"), &at)); // known, and nothing of it is kept
    assert_int_equal(at.epoch, 0);
}

/* What is asked for behind the end is answered, and refused. */
void test_stopped(void **state)
{
    (void)state;
    if (!outlives())
        skip();
    append(70, 1);
    store_stop(store);
    assert_int_equal(store_health(store), STORE_DOWN);
    append(70, 2); // of somebody who did not ask
    while (waiting > 0)
        loop_turn(loop, 100);
    assert_int_equal(refused, 1);
    refused = 0;
    close_store();
    open_store();
    check_position(70, 1, 1);
}

void test_trim(void **state)
{
    enum { STREAM = 40 };
    (void)state;
    for (uint64_t o = 1; o <= 50; o++)
        append(STREAM, o);
    wait_for_all();
    trim(STREAM, 20);
    check_position(STREAM, 21, 50);
    check_read(STREAM, 0, 0, 0, false, 21, 50);
    reopen();
    check_position(STREAM, 21, 50);
    trim(STREAM, 50);
    check_read(STREAM, 0, 0, 0, false, 1, 0);
    append(STREAM, 51);
    wait_for_all();
    check_position(STREAM, 51, 51);
    check_read(STREAM, 0, 0, 0, false, 51, 51);
}

static bool count_row(void *ctx, const struct sql_value *row, size_t count)
{
    assert_int_equal(count, 1);
    *(int64_t *)ctx = row[0].i;
    return true;
}

struct counting {
    struct store_job job;
    int64_t rows;
    bool done;
};

static enum sql_result count_chunks(struct store_job *j, struct sql *db)
{
    struct counting *c = container_of(j, struct counting, job);
    return sql_run(db, "SELECT count(*) FROM recado_chunks", NULL, 0, count_row, &c->rows);
}

static void counted(struct store_job *j)
{
    container_of(j, struct counting, job)->done = true;
}

static int64_t chunk_count(void)
{
    struct counting c = {
        .job = {.loop = loop, .reads = true, .run = count_chunks, .done = counted}};
    store_do(store, &c.job);
    while (!c.done)
        loop_turn(loop, 100);
    assert_int_equal(c.job.result, SQL_OK);
    return c.rows;
}

/* Only the last ten are kept: the rest goes while others are written. */
void test_retention(void **state)
{
    enum { STREAM = 50 };
    (void)state;
    keep.count = 10;
    for (uint64_t o = 1; o <= 2000; o++) {
        append(STREAM, o);
        if (o % 4 == 0)
            wait_for_all();
    }
    uint64_t offset = 2000;
    for (int i = 0; i < 400 && chunk_count() > 400; i++) {
        append(STREAM, ++offset);
        wait_for_all();
    }
    assert_true(chunk_count() <= 400);
    check_read(STREAM, offset - 10, 0, 0, false, offset - 9, offset);
    keep.count = 1000000;
}

/* By bytes: what is kept is neither much more than asked for nor less. */
void test_retention_of_bytes(void **state)
{
    enum { STREAM = 55, SIZE = 1000, KEPT = 100 };
    char key[64];
    struct store_position at;
    (void)state;
    keep.bytes = SIZE * KEPT;
    for (uint64_t o = 1; o <= 3000; o++) {
        append_sized(STREAM, o, SIZE);
        if (o % 2 == 0)
            wait_for_all();
    }
    wait_for_all();
    assert_true(store_stream_find(store, key_of(STREAM, key), &at));
    assert_int_equal(at.last, 3000);
    assert_in_range(at.last + 1 - at.first, KEPT * 9 / 10, KEPT * 20);
    keep.bytes = 0;
}
