/* logbook_test.c - log lines from many threads: told once and in order, kept within bounds, found
 * again. Run under ThreadSanitizer as well. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/json.h"
#include "base/log.h"
#include "monitor/logbook.h"

enum { THREADS = 4, EACH = 2000 };

static struct loop *loop;
static struct logbook *book;
static uint64_t told, told_last;
static bool log_while_telling;

static void tell(void *ctx, const struct log_line *l)
{
    (void)ctx;
    assert_true(l->seq > told_last);
    told_last = l->seq;
    told++;
    if (log_while_telling)
        logbook_add_own(book, STR("t"), &(struct log_entry){.message = STR("told")});
}

static void open_book(uint32_t keep, uint64_t bytes)
{
    told = told_last = 0;
    log_while_telling = false;
    loop = loop_create(0);
    book = logbook_create(&(struct logbook_options){
        .loop = loop, .keep = keep, .keep_bytes_max = bytes, .tell = tell});
    assert_true(loop != NULL && book != NULL);
}

static void close_book(void)
{
    logbook_destroy(&book);
    loop_destroy(&loop);
}

static void settle(void)
{
    while (loop_turn(loop, 0))
        continue;
    for (int i = 0; i < 200; i++)
        loop_turn(loop, 0);
}

static bool add(const char *tenant, const char *level, const char *source, const char *message)
{
    return logbook_add(book, str_from(tenant),
                       &(struct log_entry){.level = str_from(level),
                                           .source = str_from(source),
                                           .message = str_from(message),
                                           .time_ms = 1796040000000},
                       1);
}

/* "a,b,c" of the messages. */
static const char *found(const struct logbook_query *q, bool want_more)
{
    static char text[4096];
    struct log_line *lines[100];
    uint64_t newest;
    bool more;
    size_t n = logbook_read(book, q, lines, &more, &newest);
    text[0] = '\0';
    for (size_t i = 0; i < n; i++) {
        snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%.*s", i ? "," : "",
                 STR_FMT(lines[i]->message));
        log_line_unref(lines[i]);
    }
    assert_int_equal(more, want_more);
    return text;
}

static void lines_are_found_again(void **state)
{
    static const char endless[LOG_MESSAGE_MAX + 1];
    struct logbook_query q = {.tenant = STR("t"), .limit = 10};
    (void)state;
    open_book(100, 1 << 20);
    assert_string_equal(found(&q, false), "");
    add("t", "debug", "x", "one");
    add("other", "error", "x", "secret");
    add("t", "WARN", "x", "Two");
    add("t", "critical", "y", "three");
    add("t", "whatever", "", "four");
    assert_string_equal(found(&q, false), "one,Two,three,four");
    q.least = RANK_INFO;
    assert_string_equal(found(&q, false), "Two,three,four");
    q.least = RANK_WARNING;
    assert_string_equal(found(&q, false), "Two,three");
    q.source = STR("y");
    assert_string_equal(found(&q, false), "three");
    q = (struct logbook_query){.tenant = STR("t"), .limit = 10, .text = STR("tWO")};
    assert_string_equal(found(&q, false), "Two");
    q.text = STR("O");
    assert_string_equal(found(&q, false), "one,Two,four");
    q.text = STR("Twos"); // longer than the line
    assert_string_equal(found(&q, false), "");
    q.text = (struct str){endless, sizeof(endless)}; // than any line
    assert_string_equal(found(&q, false), "");
    q = (struct logbook_query){.tenant = STR("t"), .limit = 2};
    assert_string_equal(found(&q, true), "three,four");
    q.before = 4; // that of "three"
    assert_string_equal(found(&q, false), "one,Two");
    q.before = 1;
    assert_string_equal(found(&q, false), "");
    q.before = UINT64_MAX;
    assert_string_equal(found(&q, true), "three,four");
    settle();
    assert_int_equal(told, 5);
    close_book();
}

static void the_oldest_go_first(void **state)
{
    char message[2048];
    struct logbook_query q = {.tenant = STR("t"), .limit = 100};
    struct logbook_stats stats;
    (void)state;
    open_book(100, 1 << 20);
    for (int i = 0; i < 1000; i++) {
        snprintf(message, sizeof(message), "%d", i);
        assert_true(add("t", "info", "", message));
    }
    logbook_read_stats(book, &stats);
    assert_int_equal(stats.kept, 100);
    q.limit = 2;
    assert_string_equal(found(&q, true), "998,999");
    settle();
    assert_int_equal(told, 1000); // all, though few are kept
    close_book();
    open_book(100, 20000);
    memset(message, 'x', sizeof(message) - 1);
    message[sizeof(message) - 1] = '\0';
    for (int i = 0; i < 50; i++)
        add("t", "info", "", message);
    logbook_read_stats(book, &stats);
    assert_true(stats.kept >= 5 && stats.kept < 10);
    settle();
    close_book();
}

static unsigned kept_of(const char *tenant)
{
    struct log_line *lines[1000];
    const struct logbook_query q = {.tenant = str_from(tenant), .limit = 1000};
    uint64_t newest;
    bool more;
    size_t n = logbook_read(book, &q, lines, &more, &newest);
    for (size_t i = 0; i < n; i++) {
        assert_true(str_eq(lines[i]->tenant, str_from(tenant)));
        assert_true(i == 0 || lines[i]->seq > lines[i - 1]->seq);
        log_line_unref(lines[i]);
    }
    assert_false(more);
    return (unsigned)n;
}

/* One that logs without end pushes out its own lines, and those of whoever has more than it. */
static void the_tenant_with_the_most_gives(void **state)
{
    char name[16];
    (void)state;
    open_book(100, 1 << 20);
    for (int i = 0; i < 5; i++)
        add("quiet", "info", "", "kept");
    for (int i = 0; i < 1000; i++)
        add("noisy", "info", "", "x");
    assert_int_equal(kept_of("quiet"), 5);
    assert_int_equal(kept_of("noisy"), 95); // nothing is left empty
    for (int i = 0; i < 1000; i++)
        add("other", "info", "", "x");
    assert_int_equal(kept_of("quiet"), 5);
    assert_in_range(kept_of("noisy"), 47, 48);
    assert_in_range(kept_of("other"), 47, 48);
    for (int i = 0; i < 300; i++) { // more tenants than there is room for lines
        snprintf(name, sizeof(name), "t%d", i);
        add(name, "info", "", "x");
        assert_int_equal(kept_of(name), 1);
    }
    struct logbook_stats stats;
    logbook_read_stats(book, &stats);
    assert_int_equal(stats.kept, 100);
    settle();
    close_book();
}

static void of_the_bytes_as_well(void **state)
{
    static char message[2001];
    (void)state;
    memset(message, 'x', sizeof(message) - 1);
    open_book(1000, 64 << 10);
    for (int i = 0; i < 50; i++)
        add("quiet", "info", "", "kept");
    for (int i = 0; i < 500; i++)
        add("long", "info", "", message);
    assert_int_equal(kept_of("quiet"), 50);
    assert_in_range(kept_of("long"), 20, 30);
    settle();
    close_book();
}

/* Against a table without any order: what is kept, whoever logs. */
static void many_tenants_by_chance(void **state)
{
    enum { TENANTS = 7, KEEP = 100 };
    unsigned counts[TENANTS] = {0}, total = 0;
    (void)state;
    open_book(KEEP, 1 << 20);
    srand(7);
    for (int i = 0; i < 20000; i++) {
        unsigned t = (unsigned)rand() % ((unsigned)rand() % TENANTS + 1);
        const char name[2] = {(char)('a' + t), '\0'};
        add(name, "info", "", "x");
        counts[t]++;
        total++;
        if (total > KEEP) {
            unsigned most = 0, own = counts[t];
            for (unsigned k = 0; k < TENANTS; k++)
                most = counts[k] > most ? counts[k] : most;
            if (own == most) {
                counts[t]--;
            } else { // one of those that have the most
                unsigned found = 0;
                for (unsigned k = 0; k < TENANTS && found == 0; k++) {
                    const char other[2] = {(char)('a' + k), '\0'};
                    found = counts[k] == most && kept_of(other) == most - 1;
                    counts[k] -= found;
                }
                assert_int_equal(found, 1);
            }
            total--;
        }
        if (i % 50 == 0) {
            for (unsigned k = 0; k < TENANTS; k++)
                assert_int_equal(kept_of((const char[2]){(char)('a' + k), '\0'}), counts[k]);
            settle();
        }
    }
    settle();
    close_book();
}

static void texts_become_whole(void **state)
{
    static char longest[LOG_MESSAGE_MAX + 10];
    struct log_line *line;
    struct logbook_query q = {.tenant = STR("t"), .limit = 1};
    uint64_t newest;
    bool more;
    (void)state;
    open_book(100, 1 << 20);
    const struct log_entry bad = {.level = STR("info"), .message = {"a\0b\xff\xc3\xa9\xc3", 7}};
    assert_true(logbook_add(book, STR("t"), &bad, 1));
    assert_int_equal(logbook_read(book, &q, &line, &more, &newest), 1);
    assert_true(str_eq(line->message, STR("a?b?\xc3\xa9?")));
    log_line_unref(line);
    memset(longest, 'x', sizeof(longest));
    memcpy(longest + LOG_MESSAGE_MAX - 1, "\xc3\xa9", 2); // in the middle of the cut
    const struct log_entry cut = {.level = STR("info"), .message = {longest, sizeof(longest)}};
    assert_true(logbook_add(book, STR("t"), &cut, 1));
    assert_int_equal(logbook_read(book, &q, &line, &more, &newest), 1);
    assert_int_equal(line->message.n, LOG_MESSAGE_MAX - 1);
    log_line_unref(line);
    settle();
    close_book();
}

static void too_many_wait(void **state)
{
    static struct log_entry many[15000];
    struct logbook_stats stats;
    (void)state;
    open_book(100, 1 << 20);
    for (size_t i = 0; i < 15000; i++)
        many[i] = (struct log_entry){.level = STR("info"), .message = STR("x")};
    assert_true(logbook_add(book, STR("t"), many, 15000));
    assert_false(logbook_add(book, STR("t"), many, 15000)); // none of them
    for (int i = 0; i < 6000; i++)
        logbook_add_own(book, STR("t"), &many[0]);
    logbook_read_stats(book, &stats);
    assert_int_equal(stats.lines, 21000);
    assert_int_equal(stats.dropped, 1000);
    settle();
    assert_int_equal(told, 20000);
    assert_true(logbook_add(book, STR("t"), many, 15000));
    settle();
    assert_int_equal(told, 35000);
    close_book();
}

static void telling_does_not_feed_itself(void **state)
{
    (void)state;
    open_book(100, 1 << 20);
    log_while_telling = true;
    add("t", "info", "", "x");
    settle();
    assert_int_equal(told, 1);
    logbook_add_own(book, STR("t"), &(struct log_entry){.message = STR("own")});
    settle();
    assert_int_equal(told, 2);
    close_book();
}

static void heard(void *ctx, enum log_level level, int64_t time_ms, struct str text)
{
    (void)ctx;
    (void)level;
    logbook_add_own(book, STR("t"),
                    &(struct log_entry){.message = text, .time_ms = time_ms, .level = STR("info")});
}

static void *write_lines(void *arg)
{
    for (int i = 0; i < EACH; i++)
        log_info("%s %d", (const char *)arg, i);
    return NULL;
}

/* The program's own log, from threads, while the loop tells and somebody reads. */
static void many_threads_log(void **state)
{
    static char names[THREADS][8];
    pthread_t threads[THREADS];
    struct log_line *lines[50];
    const struct logbook_query q = {.tenant = STR("t"), .limit = 50};
    const struct logbook_query none = {.tenant = STR("t"), .limit = 50, .text = STR("no such")};
    uint64_t newest;
    bool more;
    int err = freopen("/dev/null", "w", stderr) == NULL;
    (void)state;
    assert_int_equal(err, 0);
    open_book(1000, 1 << 20);
    log_set_sink(heard, NULL);
    for (int i = 0; i < THREADS; i++) {
        snprintf(names[i], sizeof(names[i]), "t%d", i);
        assert_int_equal(pthread_create(&threads[i], NULL, write_lines, names[i]), 0);
    }
    while (told < THREADS * EACH) {
        loop_turn(loop, 10);
        size_t n = logbook_read(book, &q, lines, &more, &newest);
        for (size_t i = 1; i < n; i++)
            assert_true(lines[i]->seq > lines[i - 1]->seq);
        for (size_t i = 0; i < n; i++)
            log_line_unref(lines[i]);
        // Walks over all of them, while the oldest go.
        assert_int_equal(logbook_read(book, &none, lines, &more, &newest), 0);
        assert_false(more);
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    log_set_sink(NULL, NULL);
    assert_int_equal(told, THREADS * EACH);
    close_book();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_are_found_again),
        cmocka_unit_test(the_oldest_go_first),
        cmocka_unit_test(the_tenant_with_the_most_gives),
        cmocka_unit_test(of_the_bytes_as_well),
        cmocka_unit_test(many_tenants_by_chance),
        cmocka_unit_test(texts_become_whole),
        cmocka_unit_test(too_many_wait),
        cmocka_unit_test(telling_does_not_feed_itself),
        cmocka_unit_test(many_threads_log),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
