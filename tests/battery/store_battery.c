/* store_battery: what every database behind a store has to do. The tests are in the files beside
 * it.
 */
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

struct loop *loop;
struct store *store;
struct store_retention keep = {.count = 1000000};

/* ---- the store under test ---- */

void retention(void *ctx, struct str key, struct store_retention *ret)
{
    (void)ctx;
    (void)key;
    *ret = keep;
}

void open_store(void)
{
    store = battery_store((struct store_options){.streams_max = 100000, .retention = retention});
}

void settle(void)
{
    for (int i = 0; i < 4; i++)
        loop_turn(loop, 0);
}

void close_store(void)
{
    store_close(&store);
    settle();
}

/* What is in memory ends with its store. */
bool outlives(void)
{
    return !battery_is_memory();
}

void reopen(void)
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

unsigned waiting;
unsigned refused;
uint32_t epoch_of_streams = 77;

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

struct str key_of(unsigned stream, char at[64])
{
    int n = snprintf(at, 64, "tenant?chan:%u \xc3\xa7", stream);
    at[6] = '\0'; // between tenant and channel
    return (struct str){at, (size_t)n};
}

/* What the event with this offset holds. */
struct str data_of(unsigned stream, uint64_t offset, char *at, size_t size)
{
    int n = snprintf(at, DATA_MAX, "{\"s\":%u,\"o\":%llu,\"t\":\"\xc3\xa3\xf0\x9f\x98\x80\"}",
                     stream, (unsigned long long)offset);
    size_t len = (size_t)n;
    while (len < size)
        at[len++] = ' ';
    return (struct str){at, len};
}

void append_sized(unsigned stream, uint64_t offset, size_t size)
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

void append(unsigned stream, uint64_t offset)
{
    append_sized(stream, offset, 0);
}

void wait_for_all(void)
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
void check_read(unsigned stream, uint64_t after, uint64_t until, uint32_t limit, bool newest,
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

void check_position(unsigned stream, uint64_t first, uint64_t last)
{
    char key[64];
    struct store_position at;
    assert_true(store_stream_find(store, key_of(stream, key), &at));
    assert_int_equal(at.epoch, epoch_of_streams + stream);
    assert_int_equal(at.first, first);
    assert_int_equal(at.last, last);
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

void trim(unsigned stream, uint64_t up_to)
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

void script_on_closed(const char *text)
{
    struct sql *db = battery_sql();
    if (sql_script(db, text) != SQL_OK)
        fail_msg("%s", sql_why(db));
    sql_close(&db);
}

/* As if what was shown behind the last commit had been lost. */
void crash(void)
{
    close_store();
    script_on_closed("UPDATE recado_checkpoint SET clean = 0");
    open_store();
}

struct store_position position(unsigned stream)
{
    char key[64];
    struct store_position at = {0};
    assert_true(store_stream_find(store, key_of(stream, key), &at));
    return at;
}

bool leads(unsigned stream, uint32_t epoch, uint64_t offset)
{
    char key[64];
    return store_stream_leads(store, key_of(stream, key), epoch, offset);
}

/* The battery's streams have an epoch each; from now on this one has another. */
void append_as(unsigned stream, uint32_t epoch, uint64_t offset)
{
    uint32_t before = epoch_of_streams;
    epoch_of_streams = epoch - stream;
    append(stream, offset);
    epoch_of_streams = before;
}

static int begin_all(void **state)
{
    (void)state;
    loop = loop_create(0);
    battery_begin("store");
    open_store();
    make_rows();
    return loop == NULL;
}

static int end_all(void **state)
{
    (void)state;
    close_store();
    loop_destroy(&loop);
    battery_end();
    return 0;
}

int main(void)
{
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
        cmocka_unit_test(test_searches_have_an_end),
        cmocka_unit_test(test_searches_end_with_the_store),
        cmocka_unit_test(test_changes_are_matches),
        cmocka_unit_test(test_a_question_sees_one_moment),
        cmocka_unit_test(test_jobs),
        cmocka_unit_test(test_failures_are_told_to_all_who_wait),
        cmocka_unit_test(test_idle),
        cmocka_unit_test(test_newer_schema_is_refused),
    };
    return cmocka_run_group_tests(tests, begin_all, end_all);
}
