/* What the model is told of a conversation: messages in their roles, or all in one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include "chat/chat_priv.h"

#include <cmocka.h>

/* As rows come: the newest first. */
static void said_make(struct list *said)
{
    list_init(said);
    assert_true(said_add(said, STR("user"), STR("third?")));
    assert_true(said_add(said, STR("assistant"), STR("second\nline")));
    assert_true(said_add(said, STR("user"), STR("first")));
}

static void in_their_roles(void **state)
{
    (void)state;
    struct list said;
    struct buf out;
    size_t count;
    said_make(&said);
    buf_init(&out, 4096);
    struct llm_message *m = prompt_make(CHAT_PLAIN, STR("be kind"), &said, &out, &count);
    assert_int_equal(count, 4);
    assert_true(str_eq(m[0].role, STR("system")) && str_eq(m[0].content, STR("be kind")));
    assert_true(str_eq(m[1].role, STR("user")) && str_eq(m[1].content, STR("first")));
    assert_true(str_eq(m[2].role, STR("assistant")));
    assert_true(str_eq(m[3].content, STR("third?")));
    free(m);
    m = prompt_make(CHAT_PLAIN, STR_NONE, &said, &out, &count);
    assert_int_equal(count, 3);
    free(m);
    said_drop(&said);
    assert_true(list_empty(&said));
    buf_fini(&out);
}

static void all_in_one(void **state)
{
    (void)state;
    struct list said;
    struct buf out, small;
    size_t count;
    said_make(&said);
    buf_init(&out, 4096);
    struct llm_message *m = prompt_make(CHAT_ORQUESTRADOR, STR_NONE, &said, &out, &count);
    assert_int_equal(count, 1);
    struct str text = m[0].content;
    assert_true(str_eq(m[0].role, STR("user")));
    assert_true(str_find(text, STR("Orquestrador de IAs V3.0")) < text.n);
    assert_true(
        str_find(text, STR("\n\nContexto da conversa:\nuser: first\nassistant: second\nline\n"
                           "user: third?\n")) < text.n);
    assert_true(str_find(text, STR("\"Nova Tarefa\"")) < text.n);
    free(m);
    buf_clear(&out);
    m = prompt_make(CHAT_ORQUESTRADOR, STR("Outro."), &said, &out, &count);
    assert_true(str_starts(m[0].content, STR("Outro.\n\nContexto")));
    free(m);
    buf_init(&small, 16);
    assert_null(prompt_make(CHAT_ORQUESTRADOR, STR_NONE, &said, &small, &count));
    buf_fini(&small);
    buf_fini(&out);
    said_drop(&said);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(in_their_roles),
                                       cmocka_unit_test(all_in_one)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
