/*
 * events_test.c - an event stream reads the same however it is cut.
 */
#include "llm/events.h"

#include "unit/cuts.h"

enum { EVENT_MAX = 64 };

struct run {
    struct event_reader reader;
    struct buf *told;
    bool over, in_use;
};

static bool tell(void *ctx, struct str data)
{
    struct run *r = ctx;
    buf_add_char(r->told, '[');
    buf_add(r->told, data);
    buf_add_char(r->told, ']');
    return !str_eq(data, STR("stop"));
}

static void begin(void *ctx)
{
    struct run *r = ctx;
    if (r->in_use)
        event_reader_fini(&r->reader);
    event_reader_init(&r->reader, EVENT_MAX, tell, r);
    r->in_use = true;
    r->over = false;
}

static void feed(void *ctx, char *p, size_t n, struct buf *told)
{
    struct run *r = ctx;
    r->told = told;
    if (!r->over && !event_reader_feed(&r->reader, (struct str){p, n})) {
        r->over = true;
        buf_add(told, STR("!"));
    }
}

static void end(void *ctx, struct buf *told)
{
    struct run *r = ctx;
    r->told = told;
    if (!r->over && !event_reader_end(&r->reader))
        buf_add(told, STR("!"));
}

static void check(const char *wire, const char *expected)
{
    struct run r = {0};
    const struct cuts cuts = {&r, begin, feed, end};
    cuts_check(&cuts, str_from(wire), str_from(expected));
    event_reader_fini(&r.reader);
}

static void reads_all_three_ends_of_line(void **state)
{
    (void)state;
    check("data: a\n\ndata: b\n\n", "[a][b]");
    check("data: a\r\n\r\ndata: b\r\n\r\n", "[a][b]");
    check("data: a\r\rdata: b\r\r", "[a][b]");
    check("data: a\r\n\ndata: b\n\r\n", "[a][b]");
    check("data: a\n\r\n\r\n\rdata: b\n\n\n", "[a][b]");
}

static void joins_data_lines(void **state)
{
    (void)state;
    check("data: a\ndata: b\n\n", "[a\nb]");
    check("data:a\ndata\ndata:\ndata:  c\n\n", "[a\n\n\n c]");
    check("data\n\n", "[]");
}

static void skips_what_is_not_data(void **state)
{
    (void)state;
    check(": hello\n\n:\n\nevent: message\nid: 4\nretry: 10\ndata: a\nother: x\n\n", "[a]");
    check("event: nothing\n\n\n\n", "");
    check("datax: a\n\nDATA: b\n\n data: c\n\n", "");
    check("\xef\xbb\xbf"
          "data: a\n\n\xef\xbb\xbf"
          "data: b\n\n",
          "[a]");
}

static void hands_out_an_event_without_its_empty_line(void **state)
{
    (void)state;
    check("data: a\n\ndata: b\n", "[a][b]");
    check("data: a\n\ndata: b", "[a][b]");
    check("data: a\n\nevent: b", "[a]");
    check("", "");
}

static void stops_when_it_is_told(void **state)
{
    (void)state;
    check("data: a\n\ndata: stop\n\ndata: b\n\ndata: c", "[a][stop]");
}

static void keeps_utf8_whole(void **state)
{
    (void)state;
    check("data: ação 😀\n\ndata: 数据\r\n\r\n", "[ação 😀][数据]");
}

static void refuses_an_event_over_the_limit(void **state)
{
    char wire[4 * EVENT_MAX] = "data: ";
    (void)state;
    memset(wire + 6, 'x', 58); // a line of 64
    memcpy(wire + 64, "\n\n", 3);
    struct buf fits;
    buf_init(&fits, 256);
    buf_add_format(&fits, "[%.58s]", wire + 6);
    buf_add_char(&fits, '\0');
    check(wire, fits.p);
    buf_fini(&fits);

    struct run r = {0};
    struct buf told;
    buf_init(&told, 1024);
    begin(&r);
    r.told = &told;
    memset(wire, 'x', sizeof(wire));
    assert_false(event_reader_feed(&r.reader, (struct str){wire, EVENT_MAX + 1}));
    begin(&r);
    for (int i = 0; i < 7; i++) // short lines that are too long together
        assert_int_equal(event_reader_feed(&r.reader, STR("data: 0123456789\n")), i < 5);
    assert_int_equal(told.len, 0);
    begin(&r);
    memset(wire, 'x', sizeof(wire)); // nor does it matter what the line would have been
    wire[EVENT_MAX + 1] = '\n';
    assert_false(event_reader_feed(&r.reader, (struct str){wire, EVENT_MAX + 2}));
    event_reader_fini(&r.reader);
    buf_fini(&told);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_all_three_ends_of_line),
        cmocka_unit_test(joins_data_lines),
        cmocka_unit_test(skips_what_is_not_data),
        cmocka_unit_test(hands_out_an_event_without_its_empty_line),
        cmocka_unit_test(stops_when_it_is_told),
        cmocka_unit_test(keeps_utf8_whole),
        cmocka_unit_test(refuses_an_event_over_the_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
