/*
 * tables_test.c - the numbers of errors and closes are a contract with clients that exist.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include "base/close.h"
#include "base/err.h"
#include "base/utf8.h"

#include <cmocka.h>

static void errors_keep_their_numbers(void **state)
{
    (void)state;
    assert_int_equal(err_code(ERR_OK), 0);
    assert_int_equal(err_code(ERR_INTERNAL), 100);
    assert_int_equal(err_code(ERR_UNAUTHORIZED), 101);
    assert_int_equal(err_code(ERR_PERMISSION_DENIED), 103);
    assert_int_equal(err_code(ERR_METHOD_NOT_FOUND), 104);
    assert_int_equal(err_code(ERR_BAD_REQUEST), 107);
    assert_int_equal(err_code(ERR_TOKEN_EXPIRED), 109);
    assert_int_equal(err_code(ERR_UNRECOVERABLE_POSITION), 112);
    assert_int_equal(err_http_status(ERR_OK), 200);
    assert_int_equal(err_http_status(ERR_PERMISSION_DENIED), 403);
    assert_true(err_is_temporary(ERR_INTERNAL) && err_is_temporary(ERR_TOO_MANY_REQUESTS));
    assert_false(err_is_temporary(ERR_BAD_REQUEST));
    assert_true(str_eq(err_message(ERR_UNKNOWN_CHANNEL), STR("unknown channel")));
}

static void errors_are_told_apart(void **state)
{
    (void)state;
    for (int i = 1; i < ERR_COUNT; i++) {
        assert_true(err_code((enum err)i) > err_code((enum err)(i - 1))); // ascending: unique
        assert_in_range(err_http_status((enum err)i), 400, 599);
        assert_true(err_message((enum err)i).n > 0);
    }
}

static void closes_keep_their_numbers(void **state)
{
    (void)state;
    assert_int_equal(close_code(CLOSE_NORMAL), 1000);
    assert_int_equal(close_code(CLOSE_GOING_AWAY), 1001);
    assert_int_equal(close_code(CLOSE_BAD_FRAME), 1002);
    assert_int_equal(close_code(CLOSE_BAD_UTF8), 1007);
    assert_int_equal(close_code(CLOSE_UNAUTHORIZED), 1008);
    assert_int_equal(close_code(CLOSE_TOO_BIG), 1009);
    assert_int_equal(close_code(CLOSE_FULL), 1013);
    assert_int_equal(close_code(CLOSE_SHUTDOWN), 3001);
    assert_int_equal(close_code(CLOSE_EXPIRED), 3005);
    assert_int_equal(close_code(CLOSE_SLOW), 3008);
    assert_int_equal(close_code(CLOSE_INSUFFICIENT_STATE), 3010);
    assert_int_equal(close_code(CLOSE_NO_PONG), 3012);
    assert_int_equal(close_code(CLOSE_INVALID_TOKEN), 3500);
    assert_int_equal(close_code(CLOSE_BAD_REQUEST), 3501);
    assert_string_equal(close_name(CLOSE_SLOW), "slow");
    assert_true(str_eq(close_text(CLOSE_SLOW), STR("slow")));
}

/* A close frame holds 125 bytes: the code and 123 of UTF-8. */
static void close_texts_fit_a_frame(void **state)
{
    (void)state;
    for (int i = 0; i < CLOSE_REASON_COUNT; i++) {
        uint16_t code = close_code((enum close_reason)i);
        assert_true(close_text((enum close_reason)i).n <= 123);
        assert_true(utf8_valid(close_text((enum close_reason)i)));
        assert_true(i == CLOSE_NONE || (code >= 1000 && code < 4000));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(errors_keep_their_numbers),
        cmocka_unit_test(errors_are_told_apart),
        cmocka_unit_test(closes_keep_their_numbers),
        cmocka_unit_test(close_texts_fit_a_frame),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
