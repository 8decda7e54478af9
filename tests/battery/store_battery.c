/* store_battery: what every database behind a store has to do. RECADO_STORE_URL names it; without
 * it a file in the temporary directory is used. The tables are dropped first. */
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/must.h"
#include "store/schema.h"
#include "store/store.h"

#include <cmocka.h>

enum { STREAMS = 7, DATA_MAX = 2 << 20 };

static const char *url;
static struct loop *loop;
static struct store *store;
static struct store_retention keep = {.count = 1000000};

/* ---- the store under test ---- */

static void retention(void *ctx, struct str key, struct store_retention *ret)
{
    (void)ctx;
    (void)key;
    *ret = keep;
}

static void open_store(void)
{
    struct buf why;
    buf_init(&why, 4096);
    store = store_open(&(struct store_options){.url = str_from(url),
                                               .queue_bytes_max = 64 << 20,
                                               .streams_max = 100000,
                                               .retention = retention},
                       &why);
    if (store == NULL)
        fail_msg("%.*s", (int)why.len, why.p);
    buf_fini(&why);
}

static void settle(void)
{
    for (int i = 0; i < 4; i++)
        loop_turn(loop, 0);
}

static void close_store(void)
{
    store_close(&store);
    settle();
}

/* What is in memory ends with its store. */
static bool outlives(void)
{
    return !str_starts(str_from(url), STR("memory"));
}

static void reopen(void)
{
    if (!outlives())
        return;
    close_store();
    open_store();
}

/* ---- appends ---- */

struct piece {
    struct store_append append;
    char *data;
    char key[64];
};

static unsigned waiting, refused;
static uint32_t epoch_of_streams = 77;

static void piece_done(struct store_append *a)
{
    if (a->result != SQL_OK)
        refused++;
}

static void piece_released(struct store_append *a)
{
    struct piece *p = container_of(a, struct piece, append);
    waiting--;
    free(p->data);
    free(p);
}

static struct str key_of(unsigned stream, char at[64])
{
    int n = snprintf(at, 64, "tenant?chan:%u \xc3\xa7", stream);
    at[6] = '\0'; // between tenant and channel
    return (struct str){at, (size_t)n};
}

/* What the event with this offset holds. */
static struct str data_of(unsigned stream, uint64_t offset, char *at, size_t size)
{
    int n = snprintf(at, DATA_MAX, "{\"s\":%u,\"o\":%llu,\"t\":\"\xc3\xa3\xf0\x9f\x98\x80\"}",
                     stream, (unsigned long long)offset);
    size_t len = (size_t)n;
    while (len < size)
        at[len++] = ' ';
    return (struct str){at, len};
}

static void append_sized(unsigned stream, uint64_t offset, size_t size)
{
    struct piece *p = calloc(1, sizeof(*p));
    char *data = malloc(DATA_MAX);
    assert_true(p != NULL && data != NULL);
    p->data = data;
    p->append = (struct store_append){
        .loop = loop,
        .key = key_of(stream, p->key),
        .epoch = epoch_of_streams + stream,
        .event = {.offset = offset,
                  .time_ms = clock_wall_ms(),
                  .type = offset % 3 == 0 ? STR_NONE : STR("type:of"),
                  .data = data_of(stream, offset, data, size),
                  .tags = offset % 5 == 0 ? STR("{\"a\":\"b\"}") : STR_NONE,
                  .id = offset % 7 == 0 ? STR("key") : STR_NONE},
        .done = piece_done,
        .released = piece_released,
    };
    waiting++;
    store_append(store, &p->append);
}

static void append(unsigned stream, uint64_t offset)
{
    append_sized(stream, offset, 0);
}

static void wait_for_all(void)
{
    while (waiting > 0)
        loop_turn(loop, 100);
    assert_int_equal(refused, 0);
}

/* ---- reading ---- */

struct asked {
    struct store_read read;
    unsigned stream;
    uint64_t first, last; // what has to come
    bool done;
};

static void read_done(struct store_read *r)
{
    struct asked *a = container_of(r, struct asked, read);
    char *want = malloc(DATA_MAX);
    assert_non_null(want);
    a->done = true;
    assert_int_equal(r->result, SQL_OK);
    assert_int_equal(r->event_count, a->last + 1 - a->first);
    for (size_t i = 0; i < r->event_count; i++) {
        const struct store_event *e = &r->events[i];
        uint64_t offset = a->first + i;
        assert_int_equal(e->offset, offset);
        assert_true(str_eq(e->data, data_of(a->stream, offset, want, 0)));
        assert_true(str_eq(e->type, offset % 3 == 0 ? STR_NONE : STR("type:of")));
        assert_true(str_eq(e->tags, offset % 5 == 0 ? STR("{\"a\":\"b\"}") : STR_NONE));
        assert_true(str_eq(e->id, offset % 7 == 0 ? STR("key") : STR_NONE));
        assert_true(e->time_ms > 1600000000000);
    }
    free(want);
}

/* Offsets first to last have to come; last < first: nothing. */
static void check_read(unsigned stream, uint64_t after, uint64_t until, uint32_t limit, bool newest,
                       uint64_t first, uint64_t last)
{
    char key[64];
    struct asked a = {.stream = stream, .first = first, .last = last};
    a.read = (struct store_read){.loop = loop,
                                 .key = key_of(stream, key),
                                 .after = after,
                                 .until = until,
                                 .limit = limit,
                                 .newest = newest,
                                 .done = read_done};
    store_read(store, &a.read);
    while (!a.done)
        loop_turn(loop, 100);
}

static void check_position(unsigned stream, uint64_t first, uint64_t last)
{
    char key[64];
    struct store_position at;
    assert_true(store_stream_find(store, key_of(stream, key), &at));
    assert_int_equal(at.epoch, epoch_of_streams + stream);
    assert_int_equal(at.first, first);
    assert_int_equal(at.last, last);
}

/* ---- the battery ---- */

static void test_append_and_read(void **state)
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
static void test_long_streams(void **state)
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

static void test_sizes(void **state)
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
    struct asked a = {.stream = STREAM, .first = 1, .last = 0};
    (void)a;
}

/* Offsets that were never stored: what is older cannot be joined to what is newer. */
static void test_gap(void **state)
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
static void test_epochs(void **state)
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

struct trimming {
    struct store_trim trim;
    bool done;
};

static void trimmed(struct store_job *j)
{
    struct store_trim *t = container_of(j, struct store_trim, job);
    assert_int_equal(j->result, SQL_OK);
    container_of(t, struct trimming, trim)->done = true;
}

static void trim(unsigned stream, uint64_t up_to)
{
    char key[64];
    struct trimming t = {.trim = {.job = {.loop = loop, .done = trimmed},
                                  .key = key_of(stream, key),
                                  .up_to = up_to}};
    store_stream_trim(store, &t.trim);
    while (!t.done)
        loop_turn(loop, 100);
}

/* ---- ends in which something was not written ---- */

static void script_on_closed(const char *text)
{
    enum sql_result r;
    struct buf why;
    buf_init(&why, 4096);
    struct sql *db = sql_open(str_from(url), &r, &why);
    assert_non_null(db);
    if (sql_script(db, text) != SQL_OK)
        fail_msg("%s", sql_why(db));
    sql_close(&db);
    buf_fini(&why);
}

/* As if what was shown behind the last commit had been lost. */
static void crash(void)
{
    close_store();
    script_on_closed("UPDATE recado_checkpoint SET clean = 0");
    open_store();
}

static struct store_position position(unsigned stream)
{
    char key[64];
    struct store_position at = {0};
    assert_true(store_stream_find(store, key_of(stream, key), &at));
    return at;
}

static bool leads(unsigned stream, uint32_t epoch, uint64_t offset)
{
    char key[64];
    return store_stream_leads(store, key_of(stream, key), epoch, offset);
}

/* The battery's streams have an epoch each; from now on this one has another. */
static void append_as(unsigned stream, uint32_t epoch, uint64_t offset)
{
    uint32_t before = epoch_of_streams;
    epoch_of_streams = epoch - stream;
    append(stream, offset);
    epoch_of_streams = before;
}

static void test_crashes(void **state)
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
static void test_crash_behind_a_trim(void **state)
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
static void test_crash_and_a_new_beginning(void **state)
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

/* Those that cannot be stored are known before anything is delivered. */
static void test_reserve(void **state)
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
static void test_stopped(void **state)
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

static void test_trim(void **state)
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
static void test_retention(void **state)
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
static void test_retention_of_bytes(void **state)
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

/* ---- rows ---- */

struct row_job {
    struct store_job job;
    int64_t id;
    bool done;
};

static enum sql_result insert_row(struct store_job *j, struct sql *db)
{
    struct sql_value id = sql_int(container_of(j, struct row_job, job)->id);
    return sql_run(db, "INSERT INTO battery_rows (id) VALUES (?)", &id, 1, NULL, NULL);
}

static void row_done(struct store_job *j)
{
    container_of(j, struct row_job, job)->done = true;
}

/* One that fails takes none of the others along. */
struct asking {
    struct store_job job;
    atomic_bool *let_go; // of who waits for the other
    bool waits, done;
};

static enum sql_result asking_run(struct store_job *j, struct sql *db)
{
    struct asking *a = container_of(j, struct asking, job);
    (void)db;
    while (a->waits && !atomic_load(a->let_go))
        sched_yield();
    atomic_store(a->let_go, true);
    return SQL_OK;
}

static void asking_done(struct store_job *j)
{
    container_of(j, struct asking, job)->done = true;
}

/* A search that takes long keeps no other question waiting: this one ends when the other has. */
static void test_searches(void **state)
{
    atomic_bool let_go = false;
    struct asking asks[2];
    (void)state;
    for (int i = 0; i < 2; i++) {
        asks[i] = (struct asking){.job = {.loop = loop,
                                          .reads = true,
                                          .search = i == 0,
                                          .run = asking_run,
                                          .done = asking_done},
                                  .let_go = &let_go,
                                  .waits = i == 0};
        store_do(store, &asks[i].job);
    }
    while (!asks[0].done || !asks[1].done)
        loop_turn(loop, 100);
}

/* The same value once more is a change to every database. */
static void test_changes_are_matches(void **state)
{
    static const char text[] = "UPDATE recado_checkpoint SET id = 1 WHERE id = 1";
    enum sql_result r;
    struct buf why;
    (void)state;
    buf_init(&why, 4096);
    if (!outlives())
        skip();
    struct sql *db = sql_open(str_from(url), &r, &why);
    assert_non_null(db);
    assert_int_equal(sql_run(db, text, NULL, 0, NULL, NULL), SQL_OK);
    assert_int_equal(sql_changes(db), 1);
    sql_close(&db);
    buf_fini(&why);
}

static void test_jobs(void **state)
{
    (void)state;
    struct row_job jobs[20];
    for (int i = 0; i < 20; i++) {
        jobs[i] = (struct row_job){.job = {.loop = loop, .run = insert_row, .done = row_done},
                                   .id = i % 10}; // the second ten are there already
        store_do(store, &jobs[i].job);
    }
    append(60, 1);
    wait_for_all();
    for (int i = 0; i < 20; i++) {
        while (!jobs[i].done)
            loop_turn(loop, 100);
        assert_int_equal(jobs[i].job.result, i < 10 ? SQL_OK : SQL_CONSTRAINT);
    }
    check_read(60, 0, 0, 0, false, 1, 1);
}

/* With nothing to write, to tidy up or to check, nothing is asked of the disk. */
static void test_idle(void **state)
{
    struct store_state before, after;
    unsigned tries = 0;
    (void)state;
    if (!str_starts(str_from(url), STR("sqlite:")))
        skip(); // a server is asked now and then whether it is there
    append(61, 1);
    wait_for_all();
    do {
        assert_true(tries++ < 20);
        store_read_state(store, &before);
        for (int i = 0; i < 25; i++)
            loop_turn(loop, 100);
        store_read_state(store, &after);
    } while (after.commits != before.commits);
    append(61, 2);
    wait_for_all();
}

/* ---- the schema ---- */

static void test_newer_schema_is_refused(void **state)
{
    enum sql_result r;
    struct buf why;
    (void)state;
    if (!outlives())
        skip();
    close_store();
    buf_init(&why, 4096);
    struct sql *db = sql_open(str_from(url), &r, &why);
    assert_non_null(db);
    assert_int_equal(sql_script(db, "UPDATE recado_schema SET version = 999"), SQL_OK);
    struct store_options o = {.url = str_from(url), .retention = retention, .streams_max = 10};
    assert_null(store_open(&o, &why));
    assert_true(str_find(buf_str(&why), STR("newer Recado")) < why.len);
    char back[64];
    snprintf(back, sizeof(back), "UPDATE recado_schema SET version = %u", migration_count);
    assert_int_equal(sql_script(db, back), SQL_OK);
    sql_close(&db);
    buf_fini(&why);
    open_store();
}

/* A database of the first version, and one in which half of the step to the next was done. */
static void test_older_schema_is_brought_up(void **state)
{
    enum { STREAM = 43 };
    (void)state;
    if (!outlives())
        skip();
    append(STREAM, 1);
    append(STREAM, 2);
    wait_for_all();
    uint32_t epoch = position(STREAM).epoch;
    for (int half = 0; half < 2; half++) {
        close_store();
        script_on_closed("ALTER TABLE recado_streams DROP COLUMN former_last");
        script_on_closed("ALTER TABLE recado_streams DROP COLUMN former_generation");
        if (half == 0) {
            script_on_closed("ALTER TABLE recado_streams DROP COLUMN former_epoch");
            script_on_closed("ALTER TABLE recado_streams DROP COLUMN generation");
            script_on_closed("ALTER TABLE recado_checkpoint DROP COLUMN clean");
            script_on_closed("ALTER TABLE recado_checkpoint DROP COLUMN generation");
        }
        script_on_closed("UPDATE recado_schema SET version = 1");
        open_store();
        check_read(STREAM, 0, 0, 0, false, 1, 2);
        // The version before did not say how it ended.
        assert_int_equal(position(STREAM).epoch != epoch, half == 0);
        assert_true(half == 1 || leads(STREAM, epoch, 2));
        epoch = position(STREAM).epoch;
    }
}

static void drop_tables(void)
{
    static const char *const tables[] = {"recado_schema", "recado_streams", "recado_chunks",
                                         "recado_checkpoint", "battery_rows"};
    enum sql_result r;
    struct buf why;
    char text[128];
    buf_init(&why, 4096);
    struct sql *db = sql_open(str_from(url), &r, &why);
    if (db == NULL)
        fail_msg("%.*s", (int)why.len, why.p);
    for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
        snprintf(text, sizeof(text), "DROP TABLE IF EXISTS %s", tables[i]);
        assert_int_equal(sql_script(db, text), SQL_OK);
    }
    sql_close(&db);
    buf_fini(&why);
}

/* While the store is open, for what ends with its last connection. */
static void make_rows(void)
{
    enum sql_result r;
    struct buf why;
    buf_init(&why, 4096);
    struct sql *db = sql_open(str_from(url), &r, &why);
    assert_non_null(db);
    do {
        r = sql_script(db, "CREATE TABLE battery_rows (id BIGINT NOT NULL PRIMARY KEY)");
    } while (r == SQL_AGAIN);
    assert_int_equal(r, SQL_OK);
    sql_close(&db);
    buf_fini(&why);
}

static int begin_all(void **state)
{
    (void)state;
    loop = loop_create(0);
    drop_tables();
    open_store();
    make_rows();
    return loop == NULL;
}

static int end_all(void **state)
{
    (void)state;
    close_store();
    loop_destroy(&loop);
    return 0;
}

int main(void)
{
    static char file[128];
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_append_and_read),
        cmocka_unit_test(test_long_streams),
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_trim),
        cmocka_unit_test(test_gap),
        cmocka_unit_test(test_epochs),
        cmocka_unit_test(test_crashes),
        cmocka_unit_test(test_crash_behind_a_trim),
        cmocka_unit_test(test_crash_and_a_new_beginning),
        cmocka_unit_test(test_older_schema_is_brought_up),
        cmocka_unit_test(test_reserve),
        cmocka_unit_test(test_stopped),
        cmocka_unit_test(test_retention),
        cmocka_unit_test(test_retention_of_bytes),
        cmocka_unit_test(test_searches),
        cmocka_unit_test(test_changes_are_matches),
        cmocka_unit_test(test_jobs),
        cmocka_unit_test(test_idle),
        cmocka_unit_test(test_newer_schema_is_refused),
    };
    url = getenv("RECADO_STORE_URL");
    if (url == NULL) {
        snprintf(file, sizeof(file), "sqlite:/tmp/recado-battery-%d.db", (int)getpid());
        url = file;
    }
    int failed = cmocka_run_group_tests(tests, begin_all, end_all);
    if (url == file) {
        char name[160];
        static const char *const ends[] = {"", "-wal", "-shm", "-lock"};
        for (int i = 0; i < 4; i++) {
            snprintf(name, sizeof(name), "%s%s", file + 7, ends[i]);
            unlink(name);
        }
    }
    return failed;
}
