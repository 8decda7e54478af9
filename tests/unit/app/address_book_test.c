/*
 * address_book_test.c - how many connections an address may have and open, from several loops
 * whose clocks are some milliseconds apart.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "app/address_book.h"

#include <pthread.h>
#include <string.h>
#include <sys/socket.h>

static struct addr v4(uint8_t last)
{
    return (struct addr){.family = AF_INET, .ip = {192, 0, 2, last}};
}

static struct addr v6(uint8_t network, uint8_t host)
{
    return (struct addr){
        .family = AF_INET6,
        .ip = {0x20, 0x01, 0x0d, 0xb8, [7] = network, [15] = host},
    };
}

static struct address_book *book_make(uint32_t most, uint32_t per_second, uint32_t burst)
{
    struct address_book *b = address_book_create(&(struct address_limits){most, per_second, burst});
    assert_non_null(b);
    return b;
}

static void some_are_never_limited(void **state)
{
    (void)state;
    struct address_book *b = book_make(1, 0, 0);
    struct addr limited = v4(1), inner = limited;
    inner.unlimited = true;
    assert_true(address_book_enter(b, &limited, 0));
    assert_true(address_book_enter(b, &inner, 0));
    address_book_leave(b, &inner); // gives nobody else's place away
    assert_false(address_book_enter(b, &limited, 0));
    address_book_destroy(&b);
}

static void connections_are_counted(void **state)
{
    (void)state;
    struct address_book *b = book_make(2, 0, 0);
    struct addr one = v4(1), two = v4(2);
    assert_true(address_book_enter(b, &one, 1000));
    assert_true(address_book_enter(b, &one, 1000));
    assert_false(address_book_enter(b, &one, 1000));
    assert_true(address_book_enter(b, &two, 1000));
    address_book_leave(b, &one);
    assert_true(address_book_enter(b, &one, 1000));
    assert_false(address_book_enter(b, &one, 100000)); // over a sweep: still there
    address_book_leave(b, &one);
    address_book_leave(b, &one);
    address_book_leave(b, &one); // once too often: harmless
    assert_true(address_book_enter(b, &one, 200000));
    address_book_destroy(&b);
    assert_null(b);
    address_book_destroy(&b);
}

static void a_network_of_ipv6_is_one_address(void **state)
{
    (void)state;
    struct address_book *b = book_make(1, 0, 0);
    struct addr a = v6(1, 1), same = v6(1, 2), other = v6(2, 1);
    assert_true(address_book_enter(b, &a, 1000));
    assert_false(address_book_enter(b, &same, 1000));
    assert_true(address_book_enter(b, &other, 1000));
    address_book_destroy(&b);
}

static void loopback_is_not_limited(void **state)
{
    (void)state;
    struct address_book *b = book_make(1, 1, 1);
    struct addr v4_loopback = {.family = AF_INET, .ip = {127, 0, 0, 9}};
    struct addr v6_loopback = {.family = AF_INET6, .ip = {[15] = 1}};
    struct addr local = {.family = AF_UNIX};
    for (int i = 0; i < 10; i++) {
        assert_true(address_book_enter(b, &v4_loopback, 1000));
        assert_true(address_book_enter(b, &v6_loopback, 1000));
        assert_true(address_book_enter(b, &local, 1000));
    }
    address_book_leave(b, &local);
    address_book_destroy(&b);
}

static int enter_many(struct address_book *b, const struct addr *a, uint64_t now_ms)
{
    int entered = 0;
    while (entered < 1000 && address_book_enter(b, a, now_ms))
        entered++;
    for (int i = 0; i < entered; i++)
        address_book_leave(b, a);
    return entered;
}

static void opening_has_a_rate(void **state)
{
    (void)state;
    struct address_book *b = book_make(0, 10, 5);
    struct addr one = v4(1);
    assert_int_equal(enter_many(b, &one, 1000), 5);
    assert_int_equal(enter_many(b, &one, 1050), 0);
    assert_int_equal(enter_many(b, &one, 1100), 1);
    assert_int_equal(enter_many(b, &one, 1300), 2);
    assert_int_equal(enter_many(b, &one, 100000), 5);
    address_book_destroy(&b);
}

/* A loop whose clock is behind gives nothing away. */
static void a_clock_behind_gives_nothing(void **state)
{
    (void)state;
    struct address_book *b = book_make(0, 10, 5);
    struct addr one = v4(1);
    assert_int_equal(enter_many(b, &one, 1000), 5);
    assert_int_equal(enter_many(b, &one, 999), 0);
    assert_int_equal(enter_many(b, &one, 1000), 0);
    assert_int_equal(enter_many(b, &one, 1100), 1);
    address_book_destroy(&b);
}

/* From many threads at once: the sum is right. */

struct visitor {
    pthread_t thread;
    struct address_book *book;
};

static void *visit(void *arg)
{
    struct visitor *v = arg;
    for (int i = 0; i < 3000; i++) {
        struct addr a = v4((uint8_t)(i % 7));
        if (address_book_enter(v->book, &a, (uint64_t)i * 100))
            address_book_leave(v->book, &a);
    }
    return NULL;
}

static void threads_agree(void **state)
{
    (void)state;
    struct address_book *b = book_make(100, 0, 0);
    struct visitor visitors[4];
    for (int i = 0; i < 4; i++) {
        visitors[i].book = b;
        assert_int_equal(pthread_create(&visitors[i].thread, NULL, visit, &visitors[i]), 0);
    }
    for (int i = 0; i < 4; i++)
        pthread_join(visitors[i].thread, NULL);
    struct addr one = v4(1);
    assert_int_equal(enter_many(b, &one, 1000000), 100);
    address_book_destroy(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(some_are_never_limited),
        cmocka_unit_test(connections_are_counted),
        cmocka_unit_test(a_network_of_ipv6_is_one_address),
        cmocka_unit_test(loopback_is_not_limited),
        cmocka_unit_test(opening_has_a_rate),
        cmocka_unit_test(a_clock_behind_gives_nothing),
        cmocka_unit_test(threads_agree),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
