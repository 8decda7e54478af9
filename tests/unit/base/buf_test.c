/*
 * buf_test.c - a buffer grows up to its limit, and what does not fit leaves it as it was.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include "base/buf.h"

#include <cmocka.h>

static void grows_to_the_limit(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 1000);
    for (int i = 0; i < 1000; i++) {
        assert_true(buf_add_char(&b, (char)('a' + i % 26)));
        assert_true(b.len <= b.cap && b.cap <= b.max);
    }
    assert_false(buf_add_char(&b, 'x'));
    assert_int_equal(b.len, 1000);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(b.p[i], 'a' + i % 26);
    buf_fini(&b);
    assert_null(b.p);
    assert_true(buf_add(&b, STR("again"))); // a buffer can be used after its end
    buf_fini(&b);
}

static void what_does_not_fit_changes_nothing(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 8);
    assert_true(buf_add(&b, STR("abcde")));
    assert_false(buf_add(&b, STR("fghi")));
    assert_false(buf_add_u64(&b, 1234));
    assert_false(buf_add_format(&b, "%d", 1234));
    assert_false(buf_reserve(&b, SIZE_MAX));
    assert_false(buf_reserve(&b, SIZE_MAX - 4));
    assert_true(str_eq(buf_str(&b), STR("abcde")));
    assert_true(buf_add(&b, STR("fgh")));
    assert_true(buf_add(&b, STR_NONE));
    assert_true(str_eq(buf_str(&b), STR("abcdefgh")));
    buf_fini(&b);
}

static void numbers_and_formats(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 4096);
    assert_true(buf_add_u64(&b, 0) && buf_add_char(&b, ' ') && buf_add_u64(&b, UINT64_MAX));
    assert_true(buf_add_format(&b, " %s=%d", "x", -5));
    assert_true(str_eq(buf_str(&b), STR("0 18446744073709551615 x=-5")));
    buf_clear(&b);
    assert_true(buf_add_format(&b, "%0600d", 1)); // longer than a new buffer
    assert_int_equal(b.len, 600);
    buf_fini(&b);
}

static void bytes_are_taken_from_the_front(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 64);
    buf_take(&b, 0);
    assert_true(buf_add(&b, STR("abcdef")));
    buf_take(&b, 0);
    buf_take(&b, 2);
    assert_true(str_eq(buf_str(&b), STR("cdef")));
    buf_take(&b, 4);
    assert_int_equal(b.len, 0);
    buf_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(grows_to_the_limit),
        cmocka_unit_test(what_does_not_fit_changes_nothing),
        cmocka_unit_test(numbers_and_formats),
        cmocka_unit_test(bytes_are_taken_from_the_front),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
