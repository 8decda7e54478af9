/*
 * sse_reply_test.c - an answer that somebody reads: whole, as an event stream, or by nobody any
 * more.
 */
#include <stdio.h>

#include "fake_wire.h"

#include "carrier/sse_reply.h"

#include "base/must.h"

static const struct sse_options usual = {.out_max_bytes = 65536};

struct reader {
    struct sse_reply reply;
    unsigned gone;
};

static void on_gone(struct sse_reply *y)
{
    struct reader *r = container_of(y, struct reader, reply);
    assert_false(sse_reply_has_reader(y));
    r->gone++;
}

static void begin(struct reader *r)
{
    *r = (struct reader){0};
    wire_begin();
    wire.request.minor = 0;
    sse_reply_init(&r->reply, &wire.request, on_gone);
    assert_true(sse_reply_has_reader(&r->reply));
}

static void open_stream(struct reader *r)
{
    begin(r);
    assert_true(sse_reply_open(&r->reply, &usual, STR_NONE));
    assert_true(sse_reply_has_reader(&r->reply));
    assert_null(wire.request.gone);
    buf_clear(&wire.out);
}

static void a_peer_that_goes_while_it_waits(void **state)
{
    struct reader r;
    (void)state;
    begin(&r);
    sse_reply_event(&r.reply, STR("t"), STR("{}")); // there is no stream yet
    sse_reply_close(&r.reply, CLOSE_NORMAL);
    assert_int_equal(wire.out.len, 0);
    wire.request.gone(&wire.request, wire.request.gone_ctx);
    assert_int_equal(r.gone, 1);
    wire_finish();
}

static void an_answer_at_once(void **state)
{
    struct reader r;
    (void)state;
    begin(&r);
    assert_ptr_equal(sse_reply_take(&r.reply), &wire.request);
    assert_null(wire.request.gone);
    assert_false(sse_reply_has_reader(&r.reply));
    assert_int_equal(r.gone, 0);
    wire_finish();
}

static void events_and_the_end(void **state)
{
    struct reader r;
    (void)state;
    open_stream(&r);
    sse_reply_event(&r.reply, STR("chat:append"), STR("{\"a\":1}"));
    sse_reply_event(&r.reply, STR_NONE, STR("a\nb"));
    assert_said("event: chat:append\ndata: {\"a\":1}\n\ndata: a\ndata: b\n\n");
    sse_reply_close(&r.reply, CLOSE_NORMAL);
    sse_reply_event(&r.reply, STR_NONE, STR("too late"));
    assert_int_equal(r.gone, 0);
    wire_finish();
    assert_int_equal(r.gone, 1);
    sse_reply_event(&r.reply, STR_NONE, STR("nobody reads"));
    sse_reply_close(&r.reply, CLOSE_NORMAL);
}

/* Room is made for what stands around each line. */
static void an_event_of_many_lines(void **state)
{
    struct reader r;
    char data[1001];
    (void)state;
    open_stream(&r);
    memset(data, '\n', sizeof(data) - 1);
    data[sizeof(data) - 1] = '\0';
    sse_reply_event(&r.reply, STR("t"), str_from(data));
    assert_int_equal(wire.out.len, 9 + 1001 * 7 + 1);
    assert_int_equal(wire.conn->state, CONN_OPEN);
    sse_reply_close(&r.reply, CLOSE_NORMAL);
    wire_finish();
    assert_int_equal(r.gone, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_peer_that_goes_while_it_waits),
        cmocka_unit_test(an_answer_at_once),
        cmocka_unit_test(events_and_the_end),
        cmocka_unit_test(an_event_of_many_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
