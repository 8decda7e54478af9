/*
 * feed_pass_test.c - a pass in which the last laggard goes while somebody else stays behind.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/feed.h"

static bool wants(const struct cursor *c, const struct frame_note *note)
{
    (void)c, (void)note;
    return true;
}

static void release(void *publication)
{
    (void)publication;
}

static void overrun(struct cursor *c)
{
    (void)c;
    fail_msg("nobody here is slow enough for that");
}

static const struct feed_ops ops = {.wants = wants, .release = release, .overrun = overrun};

static void append(struct feed *f)
{
    assert_true(
        feed_append(f, STR("frame"), (struct frame_info){.class = FRAME_PUBLICATION, .now_ns = 1}));
}

static void frames_stay_for_who_is_behind_in_this_pass(void **state)
{
    (void)state;
    struct outflow o;
    struct feed f;
    struct sink healthy_sink, slow_sink;
    struct cursor healthy = {.mask = FRAME_PUBLICATION}, slow = {.mask = FRAME_PUBLICATION};
    outflow_init(&o);
    sink_init(&healthy_sink);
    sink_init(&slow_sink);
    feed_init(&f, &o, &ops, 1 << 20);
    assert_true(cursor_join(&healthy, &f, &healthy_sink));
    assert_true(cursor_join(&slow, &f, &slow_sink));
    slow_sink.blocked = true;

    append(&f);
    assert_ptr_equal(feed_next(&f), &healthy);
    cursor_skip(&healthy); // has it
    feed_visited(&f, &healthy);
    assert_ptr_equal(feed_next(&f), &slow);
    feed_visited(&f, &slow);
    assert_null(feed_next(&f));
    feed_pass_end(&f);
    assert_int_equal(f.laggards, 1);

    append(&f);
    assert_ptr_equal(feed_next(&f), &healthy);
    healthy_sink.blocked = true; // full for a moment: the frame has to wait for him
    feed_visited(&f, &healthy);
    assert_ptr_equal(feed_next(&f), &slow);
    cursor_leave(&slow); // found too slow, the last laggard of the pass before
    assert_false(cursor_overrun(&healthy));
    assert_null(feed_next(&f));
    feed_pass_end(&f);

    struct piece p;
    uint64_t at = healthy.next;
    assert_false(cursor_overrun(&healthy));
    assert_true(cursor_piece(&healthy, &at, &p));
    assert_int_equal(p.end - p.start, 5);
    cursor_advance(&healthy, p.chunk, p.next);
    assert_null(f.oldest); // and nothing is kept for nobody
    cursor_leave(&healthy);
    feed_fini(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_stay_for_who_is_behind_in_this_pass)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
