/* Rows as JSON, and the members that an answer's record has beside its own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include "chat/chat_write.h"

#include <cmocka.h>

static const struct chat_message answer = {
    .id = 8,
    .conversation = 3,
    .role = {"assistant", 9},
    .content = {"a \"b\"\n", 6},
    .state = {"failed", 6},
    .model = {"m", 1},
    .error = {"why", 3},
    .tokens = 4,
    .created_ms = 1761810749000,
    .updated_ms = 1761810750123,
};
static const struct chat_message question = {
    .id = 7,
    .conversation = 3,
    .role = {"user", 4},
    .content = {"q", 1},
    .state = {"complete", 8},
    .tokens = -1,
    .created_ms = 1761810749000,
    .updated_ms = 1761810749000,
};

static void assert_written(struct buf *b, bool ok, const char *want)
{
    assert_true(ok && buf_add_char(b, '\0'));
    assert_string_equal(b->p, want);
    buf_clear(b);
}

static void rows(void **state)
{
    (void)state;
    char at[1024];
    struct buf b = buf_on(at, sizeof(at));
    assert_written(&b, chat_message_write(&b, &answer),
                   "{\"id\":8,\"conversation_id\":3,\"role\":\"assistant\",\"content\":\"a "
                   "\\\"b\\\"\\n\",\"state\":\"failed\",\"model\":\"m\",\"created_at\":\"2025-10-"
                   "30T07:52:29.000Z\",\"error\":\"why\",\"tokens\":4,\"updated_at\":\"2025-10-"
                   "30T07:52:30.123Z\"}");
    assert_written(&b, chat_message_write(&b, &question),
                   "{\"id\":7,\"conversation_id\":3,\"role\":\"user\",\"content\":\"q\",\"state\":"
                   "\"complete\",\"model\":null,\"created_at\":\"2025-10-30T07:52:29.000Z\","
                   "\"error\":null,\"tokens\":null,\"updated_at\":\"2025-10-30T07:52:29.000Z\"}");
    assert_written(&b, chat_history_write(&b, &question),
                   "{\"id\":7,\"role\":\"user\",\"content\":\"q\",\"timestamp\":\"2025-10-"
                   "30T07:52:29.000Z\"}");
    struct buf small = buf_on(at, 20);
    assert_false(chat_message_write(&small, &answer));
}

static void members_of_a_record(void **state)
{
    (void)state;
    char at[1024];
    struct buf b = buf_on(at, sizeof(at));
    assert_written(&b, chat_record_head_write(&b, &answer),
                   "\"conversation_id\":3,\"created_at\":\"2025-10-30T07:52:29.000Z\"");
    assert_written(
        &b, chat_record_tail_write(&b, &answer),
        "\"model\":\"m\",\"error\":\"why\",\"tokens\":4,\"updated_at\":\"2025-10-30T07:52:"
        "30.123Z\"");
}

static void channels(void **state)
{
    (void)state;
    char at[CHAT_CHANNEL_MAX];
    assert_true(str_eq(chat_channel(7, at), STR("chat:7")));
    assert_true(str_eq(chat_channel(INT64_MAX, at), STR("chat:9223372036854775807")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows), cmocka_unit_test(members_of_a_record), cmocka_unit_test(channels)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
