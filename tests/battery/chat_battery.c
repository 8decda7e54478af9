/* chat_battery: the rows of conversations on every database. RECADO_STORE_URL names it; without it
 * a file in the temporary directory is used. The tables are dropped first. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "battery.h"
#include "chat/chat_rows.h"
#include "hub/record.h"
#include "store/schema.h"

#include <cmocka.h>

#define TEXT "Ol\xC3\xA1, a\xC3\xA7\xC3\xA3o \xE6\x95\xB0 \xF0\x9F\x98\x80 'q' \"d\" \\ ? \n%"

static struct sql *db;

static void ok(enum sql_result r)
{
    if (r != SQL_OK)
        fail_msg("%s: %s", sql_result_name(r), sql_why(db));
}

static int begin(void **state)
{
    struct buf why;
    (void)state;
    battery_begin("chat");
    db = battery_sql();
    buf_init(&why, 4096);
    if (schema_migrate(db, &why) != SQL_OK)
        fail_msg("%.*s", (int)why.len, why.p);
    buf_fini(&why);
    return 0;
}

static int end(void **state)
{
    (void)state;
    sql_close(&db);
    battery_end();
    return 0;
}

/* ---- words ---- */

static struct chat_message message(int64_t id, int64_t conversation, bool answer, const char *text)
{
    return (struct chat_message){
        .id = id,
        .conversation = conversation,
        .role = answer ? STR("assistant") : STR("user"),
        .content = str_from(text),
        .state = answer ? STR("streaming") : STR("complete"),
        .tokens = -1,
        .created_ms = 1000 + id,
        .updated_ms = 1000 + id,
    };
}

/* A question with this id, and its answer with the next. */
static void say(const char *tenant, int64_t conversation, int64_t id, const char *text)
{
    struct chat_message q = message(id, conversation, false, text);
    struct chat_message a = message(id + 1, conversation, true, NULL); // empty, without an address
    ok(sql_begin(db));
    ok(chat_rows_accept(db, str_from(tenant), &q, &a));
    ok(sql_commit(db));
}

static void finish(const char *tenant, int64_t conversation, int64_t id, const char *state,
                   const char *text)
{
    struct chat_message m = message(id, conversation, true, text);
    m.state = str_from(state);
    m.model = STR("llama \xC3\xA7");
    m.error = str_eq(m.state, STR("failed")) ? STR("why") : STR_NONE;
    m.tokens = 12;
    m.updated_ms = 5000 + id;
    ok(chat_rows_finish(db, str_from(tenant), &m));
    ok(chat_rows_forget(db, id));
}

static bool note_ids(void *ctx, const struct chat_message *m)
{
    struct buf *b = ctx;
    return buf_add_format(b, "%lld ", (long long)m->id);
}

static void assert_ids(struct buf *b, const char *want)
{
    assert_true(buf_add_char(b, '\0'));
    assert_string_equal(b->p, want);
    buf_clear(b);
}

/* ---- tests ---- */

static bool is_whole(void *ctx, const struct chat_message *m)
{
    unsigned *seen = ctx;
    bool answer = m->id == 2;
    (*seen)++;
    assert_int_equal(m->conversation, 1);
    assert_true(str_eq(m->role, answer ? STR("assistant") : STR("user")));
    assert_true(str_eq(m->content, answer ? STR("said " TEXT) : STR(TEXT)));
    assert_true(str_eq(m->state, STR("complete")));
    assert_true(str_eq(m->model, answer ? STR("llama \xC3\xA7") : STR_NONE));
    assert_int_equal(m->error.n, 0);
    assert_int_equal(m->tokens, answer ? 12 : -1);
    assert_int_equal(m->created_ms, 1000 + m->id);
    assert_int_equal(m->updated_ms, answer ? 5002 : 1001);
    return true;
}

static bool conversation_is(void *ctx, const struct chat_conversation *c)
{
    assert_int_equal(c->message_count, 2);
    assert_true(str_eq(c->last_message, STR("said " TEXT)));
    assert_int_equal(c->title.n + c->system_prompt.n + c->model.n, 0);
    assert_int_equal(c->updated_ms, 5002);
    *(bool *)ctx = true;
    return true;
}

static void a_question_and_its_answer(void **state)
{
    (void)state;
    struct chat_lookup l = {.tenant = STR("a"), .conversation = 1};
    int64_t last = -1;
    unsigned seen = 0;
    bool there = false;
    ok(chat_rows_last_id(db, &last));
    assert_int_equal(last, 0);
    say("a", 1, 1, TEXT);
    ok(chat_rows_save(db, 2, STR("said "), 2000));
    finish("a", 1, 2, "complete", "said " TEXT);
    ok(chat_rows_messages(db, &l, 10, false, is_whole, &seen));
    assert_int_equal(seen, 2);
    ok(chat_rows_conversation(db, STR("a"), 1, conversation_is, &there));
    assert_true(there);
    ok(chat_rows_last_id(db, &last));
    assert_int_equal(last, 2);
}

static void pages_and_context(void **state)
{
    (void)state;
    char at[256];
    struct buf b = buf_on(at, sizeof(at));
    struct chat_lookup l = {.tenant = STR("a"), .conversation = 2};
    for (int64_t id = 11; id < 17; id += 2) {
        say("a", 2, id, "q");
        finish("a", 2, id + 1, id == 13 ? "failed" : "complete", id == 13 ? "" : "a");
    }
    say("b", 2, 21, "of another tenant");
    ok(chat_rows_messages(db, &l, 4, false, note_ids, &b));
    assert_ids(&b, "16 15 14 13 ");
    ok(chat_rows_messages(db, &l, 4, true, note_ids, &b));
    assert_ids(&b, "16 15 13 12 ");
    l.before = 13;
    ok(chat_rows_messages(db, &l, 4, false, note_ids, &b));
    assert_ids(&b, "12 11 ");
    ok(chat_rows_context(db, STR("a"), 2, 15, 3, note_ids, &b));
    assert_ids(&b, "15 13 12 ");
    ok(chat_rows_context(db, STR("b"), 2, 100, 10, note_ids, &b));
    assert_ids(&b, "21 ");
}

static bool note_open(void *ctx, struct str tenant, const struct chat_message *m)
{
    return buf_add_format(ctx, "%.*s%lld ", STR_FMT(tenant), (long long)m->id);
}

static void answers_left_half_done(void **state)
{
    (void)state;
    char at[256];
    struct buf b = buf_on(at, sizeof(at));
    say("a", 3, 31, "q");
    say("b", 3, 33, "q");
    ok(chat_rows_open(db, 1000, 10, note_open, &b));
    assert_ids(&b, "b22 a32 b34 ");
    ok(chat_rows_open(db, 33, 1, note_open, &b));
    assert_ids(&b, "b22 ");
    finish("b", 2, 22, "failed", "");
    finish("a", 3, 32, "cancelled", "so far");
    ok(chat_rows_open(db, 1000, 10, note_open, &b));
    assert_ids(&b, "b34 ");
    finish("b", 3, 34, "complete", "x");
}

static bool note_conversation(void *ctx, const struct chat_conversation *c)
{
    return buf_add_format(ctx, "%lld:%.*s:%.*s ", (long long)c->id, STR_FMT(c->title),
                          STR_FMT(c->model));
}

static void conversations_change(void **state)
{
    (void)state;
    char at[256];
    struct buf b = buf_on(at, sizeof(at));
    int64_t id = 0, total = 0;
    struct chat_lookup l = {.tenant = STR("c"), .title = STR("T \xC3\xA7"), .limit = 10};
    ok(chat_rows_create(db, &l, 100, &id));
    assert_int_equal(id, 1);
    say("c", 7, 41, "q");
    ok(chat_rows_create(db, &l, 3000, &id));
    assert_int_equal(id, 8);
    ok(chat_rows_conversations(db, &l, note_conversation, &b, &total));
    assert_ids(&b, "8:T \xC3\xA7: 7:: 1:T \xC3\xA7: ");
    assert_int_equal(total, 3);
    l.limit = 1;
    l.offset = 1;
    ok(chat_rows_conversations(db, &l, note_conversation, &b, &total));
    assert_ids(&b, "7:: ");
    struct chat_lookup change = {.tenant = STR("c"),
                                 .conversation = 7,
                                 .has_title = true,
                                 .has_model = true,
                                 .has_system_prompt = true,
                                 .title = STR("new"),
                                 .model = STR("m")};
    ok(chat_rows_change(db, &change, 4000));
    ok(chat_rows_change(db, &change, 4000)); // the same again changes nothing
    ok(chat_rows_conversation(db, STR("c"), 7, note_conversation, &b));
    assert_ids(&b, "7:new:m ");
    ok(chat_rows_delete(db, STR("c"), 7));
    ok(chat_rows_conversation(db, STR("c"), 7, note_conversation, &b));
    ok(chat_rows_open(db, 1000, 10, note_open, &b));
    assert_ids(&b, "");
    finish("c", 7, 42, "cancelled", "too late"); // harmless
    ok(chat_rows_conversation(db, STR("c"), 7, note_conversation, &b));
    assert_ids(&b, "");
}

static bool note_old(void *ctx, struct str tenant, int64_t id)
{
    return buf_add_format(ctx, "%.*s%lld ", STR_FMT(tenant), (long long)id);
}

static int64_t message_count;
static bool count_messages(void *ctx, const struct chat_conversation *c)
{
    (void)ctx;
    message_count = c->message_count;
    return true;
}

/* Messages of earlier tests are of the first seconds of 1970, and these as well: in tenant e. */
static void what_is_too_old_goes_step_by_step(void **state)
{
    (void)state;
    char at[512];
    struct buf b = buf_on(at, sizeof(at));
    enum chat_old came_to;
    int64_t id = 0;
    struct chat_lookup l = {.tenant = STR("e"), .conversation = 1, .limit = 10};
    ok(chat_rows_create(db, &l, 10, &id)); // never spoken in
    for (int64_t m = 101; m < 111; m += 2) {
        say("e", 2, m, "q");
        finish("e", 2, m + 1, "complete", "a");
    }
    say("e", 3, 121, "under way for ever");
    ok(chat_rows_old(db, 10, 100, note_old, &b)); // not before: at that very moment
    assert_ids(&b, "");
    ok(chat_rows_old(db, 11, 100, note_old, &b));
    assert_ids(&b, "e1 ");
    ok(chat_rows_old(db, INT64_MAX, 1, note_old, &b));
    assert_true(b.len > 0);
    buf_clear(&b);
    ok(chat_rows_forget_old(db, STR("e"), 1, 11, 4, &came_to));
    assert_int_equal(came_to, CHAT_OLD_GONE);
    ok(chat_rows_forget_old(db, STR("e"), 1, 11, 4, &came_to));
    assert_int_equal(came_to, CHAT_OLD_NO_MORE);
    ok(chat_rows_forget_old(db, STR("e"), 3, INT64_MAX, 4, &came_to)); // its answer is awaited
    assert_int_equal(came_to, CHAT_OLD_NO_MORE);
    ok(chat_rows_forget_old(db, STR("e"), 2, 5110, 4, &came_to)); // spoken in at that moment
    assert_int_equal(came_to, CHAT_OLD_NO_MORE);
    l.conversation = 2;
    for (int step = 0; step < 2; step++) {
        ok(chat_rows_forget_old(db, STR("e"), 2, 5111, 4, &came_to));
        assert_int_equal(came_to, CHAT_OLD_BEGUN);
    }
    ok(chat_rows_messages(db, &l, 100, false, note_ids, &b));
    assert_ids(&b, "110 109 ");
    ok(chat_rows_conversation(db, STR("e"), 2, count_messages, NULL));
    assert_int_equal(message_count, 2);
    say("e", 2, 7001, "just in time");
    ok(chat_rows_forget_old(db, STR("e"), 2, 5111, 4, &came_to));
    assert_int_equal(came_to, CHAT_OLD_NO_MORE);
    finish("e", 2, 7002, "complete", "a");
    ok(chat_rows_forget_old(db, STR("e"), 2, INT64_MAX, 5, &came_to));
    assert_int_equal(came_to, CHAT_OLD_GONE);
    ok(chat_rows_messages(db, &l, 100, false, note_ids, &b));
    assert_ids(&b, "");
    ok(chat_rows_conversation(db, STR("e"), 2, note_conversation, &b));
    assert_ids(&b, "");
    ok(chat_rows_conversation(db, STR("a"), 2, note_conversation, &b)); // another tenant's
    assert_ids(&b, "2:: ");
    finish("e", 3, 122, "complete", "a");
}

static void a_long_text(void **state)
{
    (void)state;
    char *text = malloc(RECORD_TEXT_MAX + 1);
    struct chat_lookup l = {.tenant = STR("d"), .conversation = 1};
    memset(text, 'x', RECORD_TEXT_MAX);
    text[RECORD_TEXT_MAX] = '\0';
    say("d", 1, 51, text);
    finish("d", 1, 52, "complete", text);
    char at[64];
    struct buf b = buf_on(at, sizeof(at));
    ok(chat_rows_messages(db, &l, 2, true, note_ids, &b));
    assert_ids(&b, "52 51 ");
    assert_int_equal(chat_rows_excerpt(str_from(text)).n, 200);
    assert_int_equal(chat_rows_excerpt(STR("\xC3\xA7")).n, 2);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_question_and_its_answer),
        cmocka_unit_test(pages_and_context),
        cmocka_unit_test(answers_left_half_done),
        cmocka_unit_test(conversations_change),
        cmocka_unit_test(what_is_too_old_goes_step_by_step),
        cmocka_unit_test(a_long_text),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
