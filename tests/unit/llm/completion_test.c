/*
 * completion_test.c - the text of an answer, whole and each piece once, whatever the server and the
 * network do to it.
 */
#include "llm/completion.h"

#include <stdio.h>

#include "unit/cuts.h"

#include "base/utf8.h"

enum { ANSWER_MAX = 4096 };

#define CHUNK(delta, more) "data: {\"choices\":[{\"index\":0,\"delta\":{" delta "}" more "}]}\n\n"
#define SAYS(text)         CHUNK("\"content\":\"" text "\"", "")
#define STOP               CHUNK("", ",\"finish_reason\":\"stop\"")
#define DONE               "data: [DONE]\n\n"

struct run {
    struct completion c;
    struct buf *told;
    bool in_use;
};

/* Tokens of a stream are each an event, so how the bytes come does not change them. */
static void tell(void *ctx, struct str text)
{
    struct run *r = ctx;
    assert_true(text.n > 0 && utf8_valid(text));
    buf_add_char(r->told, '[');
    buf_add(r->told, text);
    buf_add_char(r->told, ']');
    if (str_eq(text, STR("cancel me")))
        completion_stop(&r->c);
}

static void begin(void *ctx)
{
    struct run *r = ctx;
    if (r->in_use)
        completion_fini(&r->c);
    completion_init(&r->c, ANSWER_MAX, tell, r);
    r->in_use = true;
}

static void feed(void *ctx, char *p, size_t n, struct buf *told)
{
    struct run *r = ctx;
    r->told = told;
    bool ok = completion_feed(&r->c, (struct str){p, n});
    assert_int_equal(ok, r->c.failure == LLM_NONE && !r->c.stopped);
}

static void end(void *ctx, struct buf *told)
{
    struct run *r = ctx;
    const struct completion *c = &r->c;
    r->told = told;
    bool ok = completion_end(&r->c);
    assert_int_equal(ok, c->failure == LLM_NONE && !c->stopped);
    buf_add_format(told, "%s", c->stopped ? "stopped" : llm_failure_label(c->failure));
    if (c->why.len > 0)
        buf_add_format(told, " (%.*s)", STR_FMT(buf_str(&c->why)));
    if (c->finish_reason.len > 0)
        buf_add_format(told, " %.*s", STR_FMT(buf_str(&c->finish_reason)));
    if (c->model.len > 0)
        buf_add_format(told, " by %.*s", STR_FMT(buf_str(&c->model)));
    if (c->has_usage)
        buf_add_format(told, " %u+%u", (unsigned)c->tokens_in, (unsigned)c->tokens_out);
}

static void check(const char *wire, const char *expected)
{
    struct run r = {0};
    const struct cuts cuts = {&r, begin, feed, end};
    cuts_check(&cuts, str_from(wire), str_from(expected));
    completion_fini(&r.c);
}

static void reads_a_stream(void **state)
{
    (void)state;
    check(CHUNK("\"role\":\"assistant\",\"content\":\"\"", "") SAYS("Ol") SAYS("á") SAYS(" 😀")
              STOP DONE,
          "[Ol][á][ 😀]none stop");
    check("data: {\"id\":\"x\",\"model\":\"llama\",\"choices\":[{\"delta\":{\"content\":\"a\"},"
          "\"index\":0,\"finish_reason\":null}]}\r\n\r\n" STOP
          "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":3,"
          "\"total_tokens\":10}}\n\n" DONE,
          "[a]none stop by llama 7+3");
    check(": processing\n\ndata:{\"choices\":[{\"delta\":\ndata:{\"content\":\"two "
          "lines\"}}]}\n\n" STOP,
          "[two lines]none stop");
}

static void decodes_escapes(void **state)
{
    (void)state;
    check(SAYS("\\n\\\"\\u00e1\\ud83d\\ude00\\\\") STOP, "[\n\"á😀\\]none stop");
}

/* Servers that count in UTF-16 cut between the halves of a pair. */
static void joins_the_halves_of_a_pair(void **state)
{
    (void)state;
    check(SAYS("a\\ud83d") SAYS("\\ude00b") STOP, "[a][😀b]none stop");
    check(SAYS("\\uD83D") SAYS("") CHUNK("\"content\":null", "") SAYS("\\uDE00") STOP,
          "[😀]none stop");
    check(SAYS("\\\\ud83d") SAYS("x") STOP, "[\\ud83d][x]none stop");
    check(SAYS("a\\ud83d") SAYS("b") STOP, "[a]garbage");
    check(SAYS("a\\ude00") STOP, "garbage");
}

static void reads_whole_answers(void **state)
{
    (void)state;
    check(" \n{\"choices\":[{\"message\":{\"role\":\"assistant\",\"content\":\"all\"},"
          "\"finish_reason\":\"length\"}],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":2}}",
          "[all]none length 1+2");
    check("{\"choices\":[{\"text\":\"older form\",\"index\":0}]}", "[older form]none");
    check("{\"choices\":[{\"message\":{\"content\":\"cut", "broken");
    check("{\"hello\":1}", "garbage");
}

static void reads_only_the_first_choice(void **state)
{
    (void)state;
    check("data: {\"choices\":[{\"index\":1,\"delta\":{\"content\":\"no\"}},{\"index\":0,\"delta\":"
          "{\"content\":\"yes\"}},{\"delta\":{\"content\":\"no\"},\"index\":2}]}\n\n" STOP,
          "[yes]none stop");
}

static void passes_over_what_is_no_text(void **state)
{
    (void)state;
    check(CHUNK("\"reasoning_content\":\"hm\"", "")
              CHUNK("\"content\":null,\"tool_calls\":[{}]", "")
                  CHUNK("\"content\":[1]", "") "data: {\"choices\":null,\"usage\":null}\n\n"
                                               "data: {\"choices\":[{\"delta\":null}]}\n\n"
                                               "data: {\"ping\":1}\n\ndata:\n\n" SAYS("a") STOP,
          "[a]none stop");
}

static void id_is(const char *said, const char *want)
{
    struct completion c;
    char text[512], got[256];
    snprintf(text, sizeof(text), "data: {\"id\":%s,\"choices\":[]}\n\n", said);
    completion_init(&c, ANSWER_MAX, NULL, NULL);
    assert_true(completion_feed(&c, str_from(text)));
    snprintf(got, sizeof(got), "%.*s", STR_FMT(buf_str(&c.id)));
    assert_string_equal(got, want);
    completion_fini(&c);
}

static void keeps_ids_that_every_reader_can_tell_apart(void **state)
{
    char longest[COMPLETION_NAME_MAX + 1], longer[COMPLETION_NAME_MAX + 2];
    (void)state;
    snprintf(longest, sizeof(longest), "\"%0*d\"", COMPLETION_NAME_MAX - 2, 7);
    snprintf(longer, sizeof(longer), "\"%0*d\"", COMPLETION_NAME_MAX - 1, 7);
    const char *kept[] = {"\"chatcmpl-1\"",     "0",    "9007199254740991", "\"\xC3\xA7 \\u00e7\"",
                          "\"\\ud83d\\ude00\"", longest};
    const char *none[] = {"null",
                          "\"\"",
                          "-1",
                          "1.5",
                          "1e3",
                          "{\"a\":1}",
                          "[1]",
                          "true",
                          longer,
                          "\"\\ud83d\"",
                          "\"a\\u0000b\"",
                          "\"a\\nb\"",
                          "9007199254740992",
                          "123456789012345678901234567890"};
    for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++)
        id_is(kept[i], kept[i]);
    for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++)
        id_is(none[i], "");
}

static void a_models_name_is_words(void **state)
{
    struct completion c;
    char text[512], name[300];
    (void)state;
    memset(name, 'm', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    snprintf(text, sizeof(text), "data: {\"model\":\"%s\",\"choices\":[]}\n\n", name);
    completion_init(&c, ANSWER_MAX, NULL, NULL);
    assert_true(completion_feed(&c, STR("data: {\"model\":\"\\ud800\",\"choices\":[]}\n\n")));
    assert_int_equal(c.model.len, 0);
    assert_true(completion_feed(&c, str_from(text)));
    assert_in_range(c.model.len, 100, COMPLETION_NAME_MAX);
    completion_fini(&c);
    completion_init(&c, ANSWER_MAX, NULL, NULL);
    assert_true(
        completion_feed(&c, STR("data: {\"model\":\"\\u0000a\\n\\u00e7\",\"choices\":[]}\n\n")));
    assert_true(str_eq(buf_str(&c.model), STR(" a \xC3\xA7")));
    completion_fini(&c);
}

static void an_end_needs_a_reason(void **state)
{
    (void)state;
    check(SAYS("a") DONE, "[a]none");
    check(SAYS("a") STOP, "[a]none stop");
    check(SAYS("a"), "[a]broken");
    check(SAYS("a") "data: {\"choices\":[{\"delta\":{\"content\":\"hal", "[a]broken");
    check(SAYS("a") "data: [DONE]", "[a]none");
    check(SAYS("a") STOP "data: {\"usa", "[a]none stop");
    check("", "broken");
    check("\n\n  \r\n", "broken");
    check(SAYS("a") DONE SAYS("after the end") "data: nonsense\n\n", "[a]none");
}

static void tells_garbage(void **state)
{
    (void)state;
    check("<!doctype html><html></html>", "garbage");
    check("\n\nhello", "garbage");
    check("[1]", "garbage");
    check("data\n\n", "garbage");
    check("data: hello\n\n", "garbage");
    check("data: 17\n\n", "garbage");
    check(SAYS("a") "data: {\"choices\": oops\n\n" SAYS("b") STOP DONE, "[a]garbage");
    check("data: {\"choices\":[{\"index\":\"x\"}]}\n\n", "garbage");
    check(SAYS("bad \xff byte") STOP, "garbage");
    check(": only\n\n: comments\n\n", "garbage");
}

static void tells_the_servers_own_errors(void **state)
{
    (void)state;
    check(
        SAYS("a") "data: {\"error\":{\"message\":\"out of \\\"memory\\\"\",\"code\":500}}\n\n" SAYS(
            "b") DONE,
        "[a]upstream (out of \"memory\")");
    check("event: error\ndata: {\"error\":\"no slot\"}\n\n", "upstream (no slot)");
    check("data: {\"object\":\"error\",\"message\":\"too long\",\"code\":40303}\n\n",
          "upstream (too long)");
    check("{\"error\":{\"code\":1}}", "upstream");
    check("data: {\"error\":null,\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n" DONE,
          "[a]none");
}

static void stops_when_it_is_told(void **state)
{
    (void)state;
    check(SAYS("a") SAYS("cancel me") SAYS("b") STOP DONE, "[a][cancel me]stopped");
}

static void refuses_what_is_too_long(void **state)
{
    struct run r = {0};
    struct buf told;
    char line[256];
    int fed = 0;
    (void)state;
    snprintf(line, sizeof(line), "%s", SAYS("0123456789012345678901234567890123456789"));
    buf_init(&told, 1 << 20);
    begin(&r);
    r.told = &told;
    while (completion_feed(&r.c, str_from(line)))
        fed++;
    assert_int_equal(fed, ANSWER_MAX / 40);
    assert_int_equal(r.c.failure, LLM_TOO_LONG);
    begin(&r);
    while (completion_feed(&r.c, STR("{\"an object that does not end\":[")))
        continue;
    assert_int_equal(r.c.failure, LLM_TOO_LONG);
    begin(&r);
    while (completion_feed(&r.c, STR("data: a line that does not end")))
        continue;
    assert_int_equal(r.c.failure, LLM_TOO_LONG);
    completion_fini(&r.c);
    buf_fini(&told);
}

static void finds_the_message_of_an_error(void **state)
{
    static const struct {
        const char *body, *why;
    } cases[] = {
        {"{\"error\":{\"message\":\"Incorrect API key\\nprovided\"}}",
         "Incorrect API key provided"},
        {"{\"error\":\"model not found\"}", "model not found"},
        {" {\"message\":\"ação\"} ", "ação"},
        {"{\"detail\":\"Not Found\"}", "Not Found"},
        {"{\"error\":{\"code\":3},\"message\":\"m\"}", "m"},
        {"{\"detail\":[{\"loc\":1}]}", ""},
        {"plain words\r\n", "plain words"},
        {"<html>page</html>", ""},
        {"", ""},
        {"bad \xff byte", "bad   byte"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct buf why;
        buf_init(&why, 64);
        completion_read_error(str_from(cases[i].body), &why);
        if (!str_eq(buf_str(&why), str_from(cases[i].why)))
            fail_msg("%s: %.*s", cases[i].body, STR_FMT(buf_str(&why)));
        buf_fini(&why);
    }
    struct buf why;
    buf_init(&why, 8);
    completion_read_error(STR("ççççççççç"), &why);
    assert_true(utf8_valid(buf_str(&why)) && why.len > 0);
    buf_fini(&why);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_a_stream),
        cmocka_unit_test(decodes_escapes),
        cmocka_unit_test(joins_the_halves_of_a_pair),
        cmocka_unit_test(reads_whole_answers),
        cmocka_unit_test(reads_only_the_first_choice),
        cmocka_unit_test(passes_over_what_is_no_text),
        cmocka_unit_test(keeps_ids_that_every_reader_can_tell_apart),
        cmocka_unit_test(a_models_name_is_words),
        cmocka_unit_test(an_end_needs_a_reason),
        cmocka_unit_test(tells_garbage),
        cmocka_unit_test(tells_the_servers_own_errors),
        cmocka_unit_test(stops_when_it_is_told),
        cmocka_unit_test(refuses_what_is_too_long),
        cmocka_unit_test(finds_the_message_of_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
