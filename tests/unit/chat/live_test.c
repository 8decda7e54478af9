/* Answers under way as their channel tells them: which records are answers, and copies of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include "chat/live.h"

#include <cmocka.h>

static struct live live;

/* The channel says this, and is gone when it has. */
static void told(const char *const *texts, size_t count)
{
    struct publication *pubs[32];
    for (size_t i = 0; i < count; i++)
        pubs[i] = publication_make(&(struct publication_parts){.tenant = STR("default"),
                                                               .channel = STR("chat:1"),
                                                               .type = STR("chat:message"),
                                                               .data = str_from(texts[i])});
    live_read(&live, &(struct answer){
                         .position = {7, 9}, .publications = pubs, .publication_count = count});
    for (size_t i = 0; i < count; i++)
        publication_unref(pubs[i]);
}

static void assert_live(int64_t id, int64_t seq, const char *text)
{
    const struct live_answer *a = live_find(&live, id);
    assert_non_null(a);
    assert_int_equal(a->seq, seq);
    assert_true(str_eq(a->content, str_from(text)));
}

#define OURS(id, state, text)                                                                      \
    "{\"id\":" id ",\"role\":\"assistant\",\"state\":\"" state "\",\"content\":\"" text            \
    "\",\"seq\":3,\"conversation_id\":1,\"created_at\":\"x\"}"

static void texts_and_seqs(void **state)
{
    (void)state;
    const char *texts[] = {OURS("2", "streaming", "Ol\xC3\xA1"),
                           OURS("4", "streaming", "\\\"a\\\\b\\u00e7\\n"),
                           OURS("6", "streaming", "")};
    told(texts, 3);
    assert_live(2, 3, "Ol\xC3\xA1");
    assert_live(4, 3, "\"a\\b\xC3\xA7\n");
    assert_live(6, 3, "");
    assert_null(live_find(&live, 5));
    assert_int_equal(live.position.offset, 7);
    live_drop(&live);
    assert_null(live_find(&live, 2));
}

static void what_is_no_answer(void **state)
{
    (void)state;
    const char *texts[] = {OURS("2", "complete", "x"),
                           OURS("\"4\"", "streaming", "x"),
                           OURS("1.5", "streaming", "x"),
                           "{\"id\":8,\"state\":\"streaming\",\"content\":\"of /v1\",\"seq\":1}",
                           "5",
                           "",
                           OURS("9", "streaming", "the last")};
    told(texts, sizeof(texts) / sizeof(texts[0]));
    assert_int_equal(live.count, 1);
    assert_live(9, 3, "the last");
    told(texts, 6); // what it held before is gone
    assert_int_equal(live.count, 0);
}

static void a_channel_that_cannot_be_asked(void **state)
{
    (void)state;
    const char *text = OURS("2", "streaming", "x");
    told(&text, 1);
    live_read(&live, &(struct answer){.err = ERR_BAD_REQUEST, .position = {7, 9}});
    assert_int_equal(live.count, 0);
    assert_int_equal(live.position.epoch, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_and_seqs),
        cmocka_unit_test(what_is_no_answer),
        cmocka_unit_test(a_channel_that_cannot_be_asked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
