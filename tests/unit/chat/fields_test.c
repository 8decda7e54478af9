/* What is asked about conversations: fields that are read, and what is said about those that cannot
 * be. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "chat/fields.h"

#include <cmocka.h>

static char *room; // exactly as long as the text: writing past it is a sanitizer's report

static bool read(const char *text, struct chat_fields *ret, struct buf *why)
{
    struct str s = str_from(text);
    free(room);
    room = malloc(s.n + 1);
    assert_non_null(room);
    return chat_fields_read(s, room, ret, why);
}

static struct chat_fields good(const char *text)
{
    char at[512];
    struct buf why = buf_on(at, sizeof(at));
    struct chat_fields f;
    if (!read(text, &f, &why))
        fail_msg("%s: %.*s", text, STR_FMT(buf_str(&why)));
    return f;
}

static void nothing_said(void **state)
{
    (void)state;
    static const char *const texts[] = {"", "{}", "{\"other\":[1,{}]}",
                                        "{\"conversation_id\":null,\"limit\":null}"};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct chat_fields f = good(texts[i]);
        assert_int_equal(f.conversation, 1);
        assert_int_equal(f.limit, CHAT_LIMIT_DEFAULT);
        assert_true(f.temperature < 0 && f.max_tokens == 0 && f.before == 0 && f.offset == 0);
        assert_true(!f.wait && !f.stream && !f.has_title && f.message.n == 0);
    }
}

static void everything_said(void **state)
{
    (void)state;
    struct chat_fields f =
        good("{\"message\":\"Ol\\u00e1\\n\\\"\\ud83d\\ude00\",\"conversation_id\":9007199254740991,"
             "\"model\":\"m\\/n\",\"temperature\":0.25,\"max_tokens\":7,\"system\":\"s\\t\","
             "\"stream\":true,\"wait\":true,\"tenant\":\"t\",\"limit\":500,\"offset\":3,"
             "\"before\":11,\"message_id\":12,\"title\":\"\",\"channel\":\"a:b\"}");
    assert_true(str_eq(f.message, STR("Ol\xC3\xA1\n\"\xF0\x9F\x98\x80")));
    assert_true(f.conversation == CHAT_CONVERSATION_MAX && f.has_conversation);
    assert_true(str_eq(f.model, STR("m/n")) && str_eq(f.system_prompt, STR("s\t")));
    assert_true(str_eq(f.tenant, STR("t")) && str_eq(f.channel, STR("a:b")));
    assert_true(f.stream && f.wait && f.has_title && f.title.n == 0);
    assert_true(f.limit == 500 && f.offset == 3 && f.before == 11 && f.message_id == 12);
    struct llm_settings s = chat_fields_settings(&f);
    assert_true(s.temperature == 0.25 && s.max_tokens == 7 && str_eq(s.model, f.model));
    struct chat_fields none = good("{\"title\":null,\"model\":null}");
    assert_true(none.has_title && none.title.n == 0 && none.has_model && !none.has_system_prompt);
}

static const struct {
    const char *text, *why;
} wrong[] = {
    {"[]", "bad request: expected an object at byte 0"},
    {"{", NULL},
    {"{} {}", NULL},
    {"{\"message\":\"\\ud800\"}", NULL},
    {"{\"message\":1}", "bad request: message: must be a string"},
    {"{\"message\":\"a\\u0000b\"}", "bad request: message: must not hold a null character"},
    {"{\"conversation_id\":0}",
     "bad request: conversation_id: is out of range, or not a whole number"},
    {"{\"conversation_id\":1.5}",
     "bad request: conversation_id: is out of range, or not a whole number"},
    {"{\"conversation_id\":\"1\"}",
     "bad request: conversation_id: is out of range, or not a whole number"},
    {"{\"conversation_id\":9007199254740992}",
     "bad request: conversation_id: is out of range, or not a whole number"},
    {"{\"limit\":501}", "bad request: limit: is out of range, or not a whole number"},
    {"{\"limit\":[1]}", "bad request: limit: is out of range, or not a whole number"},
    {"{\"temperature\":-0.1}", "bad request: temperature: must be a number from 0 to 10"},
    {"{\"temperature\":\"hot\"}", "bad request: temperature: must be a number from 0 to 10"},
    {"{\"max_tokens\":0}", "bad request: max_tokens: is out of range, or not a whole number"},
    {"{\"wait\":1}", "bad request: wait: must be true or false"},
    {"{\"stream\":null,\"limit\":0}", "bad request: stream: must be true or false"},
};

static void what_cannot_be_read(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        char at[512];
        struct buf why = buf_on(at, sizeof(at));
        struct chat_fields f;
        assert_false(read(wrong[i].text, &f, &why));
        assert_true(why.len > 0);
        if (wrong[i].why != NULL && !str_eq(buf_str(&why), str_from(wrong[i].why)))
            fail_msg("%s: %.*s", wrong[i].text, STR_FMT(buf_str(&why)));
    }
}

static void a_message_has_limits(void **state)
{
    (void)state;
    char at[512];
    struct buf why = buf_on(at, sizeof(at));
    struct chat_fields f = good("{\"message\":\"four\"}"), none = good("{}");
    assert_true(chat_fields_check_message(&f, 4, &why));
    assert_false(chat_fields_check_message(&f, 3, &why));
    assert_true(
        str_eq(buf_str(&why), STR("bad request: message: is longer than chat.message_max")));
    assert_false(chat_fields_check_message(&none, 3, &why));
    free(room);
    room = NULL;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_said),
        cmocka_unit_test(everything_said),
        cmocka_unit_test(what_cannot_be_read),
        cmocka_unit_test(a_message_has_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
