/*
 * log_test.c - an entry is one line whatever the text holds, read back from a pipe in the place of
 * standard error.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/json.h"
#include "base/log.h"
#include "base/utf8.h"

#include <cmocka.h>

/* Logs the text and returns what reached standard error. */
static struct str logged(enum log_level level, const char *text, char *at, size_t cap)
{
    int ends[2], kept = dup(STDERR_FILENO);
    assert_true(kept >= 0);
    assert_int_equal(pipe(ends), 0);
    assert_true(dup2(ends[1], STDERR_FILENO) >= 0);
    close(ends[1]);
    log_write(level, "%s", text);
    assert_true(dup2(kept, STDERR_FILENO) >= 0);
    close(kept);
    ssize_t n = read(ends[0], at, cap);
    close(ends[0]);
    assert_true(n >= 0);
    return (struct str){at, (size_t)n};
}

/* One line: a line feed at the end and no control character elsewhere. */
static void check_line(struct str line)
{
    assert_true(line.n > 0 && line.n <= LOG_LINE_MAX);
    assert_int_equal(line.p[line.n - 1], '\n');
    for (size_t i = 0; i + 1 < line.n; i++)
        assert_true((unsigned char)line.p[i] >= 0x20 && line.p[i] != 0x7f);
    assert_true(utf8_valid(line));
}

static bool ends_with(struct str s, struct str tail)
{
    return s.n >= tail.n && str_eq(str_skip(s, s.n - tail.n), tail);
}

static void lines_for_people(void **state)
{
    (void)state;
    char at[LOG_LINE_MAX * 2];
    log_setup(LOG_INFO, false);
    struct str line = logged(LOG_INFO, "hello \"world\" Ol\xc3\xa1", at, sizeof(at));
    check_line(line);
    assert_true(ends_with(line, STR("Z info  hello \"world\" Ol\xc3\xa1\n")));
    line = logged(LOG_WARN, "a\nforged line\x1b[31m\r\t\x7f", at, sizeof(at));
    check_line(line);
    assert_true(ends_with(line, STR(" warn  a\\nforged line\\u001b[31m\\u000d\\u0009\\u007f\n")));
}

static void lines_for_machines(void **state)
{
    (void)state;
    char at[LOG_LINE_MAX * 2], text[64];
    struct str raw, message;
    log_setup(LOG_INFO, true);
    struct str line = logged(LOG_ERROR, "a \"quoted\" \\ \n \x01 \xc3\xa9", at, sizeof(at));
    check_line(line);
    line.n--;
    assert_true(json_valid(line));
    assert_true(json_find(line, STR("level"), &raw) && str_eq(raw, STR("\"error\"")));
    assert_true(json_find(line, STR("message"), &raw));
    raw = (struct str){raw.p + 1, raw.n - 2};
    assert_true(json_string_decode(raw, text, sizeof(text), &message));
    assert_true(str_eq(message, STR("a \"quoted\" \\ \n \x01 \xc3\xa9")));
}

static void invalid_text_is_escaped(void **state)
{
    (void)state;
    char at[LOG_LINE_MAX * 2];
    for (int json = 0; json < 2; json++) {
        log_setup(LOG_INFO, json == 1);
        struct str line = logged(LOG_INFO, "bad \xff\xfe \xc3 \xed\xa0\x80 end", at, sizeof(at));
        check_line(line);
        assert_true(str_find(line, STR("end")) < line.n);
        line.n--;
        assert_true(json == 0 || json_valid(line));
    }
}

/* Long texts of every kind are cut, and the line stays a line. */
static void long_texts_are_cut(void **state)
{
    (void)state;
    static const char *const fills[] = {
        "x", "\n", "\"", "\x01", "\xff", "\xc3\xa9", "\xf0\x9f\x98\x80"};
    for (size_t i = 0; i < 2 * sizeof(fills) / sizeof(fills[0]); i++) {
        char at[LOG_LINE_MAX * 2], text[LOG_LINE_MAX * 2 + 8] = "";
        struct str fill = str_from(fills[i / 2]);
        size_t n = i % 2;
        memset(text, 'a', n); // so that a cut meets sequences at different places
        for (; n + fill.n < sizeof(text); n += fill.n)
            memcpy(text + n, fill.p, fill.n);
        for (int json = 0; json < 2; json++) {
            log_setup(LOG_INFO, json == 1);
            struct str line = logged(LOG_INFO, text, at, sizeof(at));
            check_line(line);
            line.n--;
            assert_true(json == 0 || json_valid(line));
        }
    }
}

static void levels_are_kept(void **state)
{
    (void)state;
    char at[LOG_LINE_MAX];
    log_setup(LOG_WARN, false);
    assert_true(log_enabled(LOG_WARN) && log_enabled(LOG_ERROR));
    assert_false(log_enabled(LOG_INFO) || log_enabled(LOG_DEBUG));
    assert_int_equal(logged(LOG_INFO, "not told", at, sizeof(at)).n, 0);
    assert_true(logged(LOG_WARN, "told", at, sizeof(at)).n > 0);
    log_setup(LOG_NONE, false);
    assert_int_equal(logged(LOG_ERROR, "not told", at, sizeof(at)).n, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_for_people),        cmocka_unit_test(lines_for_machines),
        cmocka_unit_test(invalid_text_is_escaped), cmocka_unit_test(long_texts_are_cut),
        cmocka_unit_test(levels_are_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
