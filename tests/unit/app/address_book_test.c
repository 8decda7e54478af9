/*
 * address_book_test.c - an address over its limits is refused, and gets in again when there is
 * room; what is our own is never counted.
 */
#include "app/address_book.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
// cmocka.h wants the headers above.
#include <cmocka.h>

static struct addr address(const char *text)
{
    struct sockaddr_storage ss = {0};
    struct addr a;
    struct sockaddr_in *in = (struct sockaddr_in *)&ss;
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&ss;
    if (inet_pton(AF_INET, text, &in->sin_addr) == 1) {
        in->sin_family = AF_INET;
    } else {
        assert_int_equal(inet_pton(AF_INET6, text, &in6->sin6_addr), 1);
        in6->sin6_family = AF_INET6;
    }
    addr_from_sockaddr(&a, &ss);
    return a;
}

static struct address_book *book_of(uint32_t connections, uint32_t per_second, uint32_t burst)
{
    struct address_limits limits = {connections, per_second, burst};
    struct address_book *b = address_book_create(&limits);
    assert_non_null(b);
    return b;
}

static unsigned enter_many(struct address_book *b, const char *text, unsigned count,
                           uint64_t now_ms)
{
    struct addr a = address(text);
    unsigned in = 0;
    for (unsigned i = 0; i < count; i++)
        in += address_book_enter(b, &a, now_ms);
    return in;
}

static void leave_many(struct address_book *b, const char *text, unsigned count)
{
    struct addr a = address(text);
    for (unsigned i = 0; i < count; i++)
        address_book_leave(b, &a);
}

static void connections_are_counted_by_address(void **state)
{
    (void)state;
    struct address_book *b = book_of(3, 0, 1);
    assert_int_equal(enter_many(b, "192.0.2.1", 10, 1), 3);
    assert_int_equal(enter_many(b, "192.0.2.2", 10, 1), 3);
    leave_many(b, "192.0.2.1", 2);
    assert_int_equal(enter_many(b, "192.0.2.1", 10, 2), 2);
    leave_many(b, "192.0.2.1", 3);
    leave_many(b, "192.0.2.2", 3);
    assert_int_equal(enter_many(b, "192.0.2.2", 10, 3), 3);
    address_book_destroy(&b);
    assert_null(b);
}

static void a_network_of_ipv6_is_one_address(void **state)
{
    (void)state;
    struct address_book *b = book_of(2, 0, 1);
    assert_int_equal(enter_many(b, "2001:db8::1", 1, 1), 1);
    assert_int_equal(enter_many(b, "2001:db8::2", 1, 1), 1);
    assert_int_equal(enter_many(b, "2001:db8::3", 1, 1), 0);
    assert_int_equal(enter_many(b, "2001:db8:0:1::1", 1, 1), 1);
    address_book_destroy(&b);
}

static void a_burst_is_allowed_and_then_the_rate(void **state)
{
    (void)state;
    struct address_book *b = book_of(0, 10, 5);
    assert_int_equal(enter_many(b, "192.0.2.1", 20, 1000), 5);
    assert_int_equal(enter_many(b, "192.0.2.1", 20, 1099), 0);
    assert_int_equal(enter_many(b, "192.0.2.1", 20, 1100), 1);
    assert_int_equal(enter_many(b, "192.0.2.1", 20, 1300), 2);
    assert_int_equal(enter_many(b, "192.0.2.1", 20, 9000), 5); // never more than the burst
    assert_int_equal(enter_many(b, "192.0.2.9", 20, 9000), 5);
    address_book_destroy(&b);
}

/* Loops have clocks of their own. */
static void a_clock_that_is_behind_gives_nothing(void **state)
{
    (void)state;
    struct address_book *b = book_of(0, 10, 5);
    assert_int_equal(enter_many(b, "192.0.2.1", 20, 1000), 5);
    assert_int_equal(enter_many(b, "192.0.2.1", 20, 990), 0);
    assert_int_equal(enter_many(b, "192.0.2.1", 20, 1000), 0);
    address_book_destroy(&b);
}

static void our_own_are_never_refused(void **state)
{
    (void)state;
    struct address_book *b = book_of(1, 1, 1);
    assert_int_equal(enter_many(b, "127.0.0.1", 100, 1), 100);
    assert_int_equal(enter_many(b, "127.8.9.10", 100, 1), 100);
    assert_int_equal(enter_many(b, "::1", 100, 1), 100);
    leave_many(b, "127.0.0.1", 100);
    struct address_book *open = book_of(0, 0, 1);
    assert_int_equal(enter_many(open, "192.0.2.1", 1000, 1), 1000);
    address_book_destroy(&open);
    address_book_destroy(&b);
}

/* Addresses that came once are forgotten, those with connections or a debt are not. */
static void the_forgotten_are_as_new(void **state)
{
    (void)state;
    struct address_book *b = book_of(2, 0, 1);
    char text[32];
    for (unsigned i = 0; i < 60000; i++) {
        snprintf(text, sizeof(text), "10.0.%u.%u", i / 250, i % 250);
        assert_int_equal(enter_many(b, text, 1, i), 1);
        leave_many(b, text, 1);
    }
    assert_int_equal(enter_many(b, "192.0.2.1", 2, 60000), 2);
    assert_int_equal(enter_many(b, "192.0.2.2", 1, 90000), 1); // sweeps
    assert_int_equal(enter_many(b, "192.0.2.1", 1, 120000), 0);
    leave_many(b, "192.0.2.7", 5); // never came: harmless
    address_book_destroy(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(connections_are_counted_by_address),
        cmocka_unit_test(a_network_of_ipv6_is_one_address),
        cmocka_unit_test(a_burst_is_allowed_and_then_the_rate),
        cmocka_unit_test(a_clock_that_is_behind_gives_nothing),
        cmocka_unit_test(our_own_are_never_refused),
        cmocka_unit_test(the_forgotten_are_as_new),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
