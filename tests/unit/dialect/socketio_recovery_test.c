/*
 * socketio_recovery_test.c - from the one number that a client says to a position in each of its
 * channels.
 */
#include "dialect/socketio_recovery.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static struct recovery_room *room(struct recovery_state *st, const char *name)
{
    return recovery_room_find(st, str_from(name), true);
}

static struct recovery_state *with_rooms(void)
{
    struct recovery_state *st = recovery_state_make();
    assert_non_null(st);
    room(st, "a")->at = (struct position){10, 1};
    room(st, "b")->at = (struct position){20, 2};
    return st;
}

static void send_to(struct recovery_state *st, const char *name, uint64_t offset)
{
    recovery_note(st, room(st, name), offset);
}

static void test_pids_differ(void **state)
{
    (void)state;
    struct recovery_state *a = recovery_state_make(), *b = recovery_state_make();
    assert_memory_not_equal(a->pid, b->pid, PID_CHARS);
    assert_int_equal(a->node.key.n, PID_CHARS);
    recovery_state_free(a);
    recovery_state_free(b);
    recovery_state_free(NULL);
}

static void test_rewinds_each_room(void **state)
{
    (void)state;
    // Sent: a11 b21 a12 a15 (13 and 14 were not for it) b22; for each answer, where the rooms stand
    static const uint64_t want[][2] = {{10, 20}, {11, 20}, {11, 21}, {12, 21}, {15, 21}, {15, 22}};
    for (uint64_t serial = 0; serial <= 5; serial++) {
        struct recovery_state *st = with_rooms();
        send_to(st, "a", 11);
        send_to(st, "b", 21);
        send_to(st, "a", 12);
        send_to(st, "a", 15);
        send_to(st, "b", 22);
        assert_false(recovery_rewind(st, 6)); // has not been sent
        assert_true(recovery_rewind(st, serial));
        assert_int_equal(room(st, "a")->at.offset, want[serial][0]);
        assert_int_equal(room(st, "b")->at.offset, want[serial][1]);
        recovery_state_free(st);
    }
}

static void test_says_the_same_again(void **state)
{
    (void)state;
    struct recovery_state *st = with_rooms();
    send_to(st, "a", 11);
    send_to(st, "a", 12);
    send_to(st, "b", 21);
    assert_true(recovery_rewind(st, 1));
    send_to(st, "a", 12); // sent again, as 4, and lost again
    assert_false(recovery_rewind(st, 2));
    assert_true(recovery_rewind(st, 1));
    assert_int_equal(room(st, "a")->at.offset, 11);
    assert_int_equal(room(st, "b")->at.offset, 20);
    send_to(st, "b", 21); // as 5
    send_to(st, "a", 12); // as 6
    assert_true(recovery_rewind(st, 5));
    assert_int_equal(room(st, "a")->at.offset, 11);
    assert_int_equal(room(st, "b")->at.offset, 21);
    recovery_state_free(st);
}

static void test_a_room_that_was_joined_later(void **state)
{
    (void)state;
    struct recovery_state *st = with_rooms();
    send_to(st, "a", 11);
    struct recovery_room *a = room(st, "a"); // left, and joined again further on
    a->at.offset = 50;
    a->joined_serial = st->serial;
    send_to(st, "a", 51);
    assert_true(recovery_rewind(st, 0));
    assert_int_equal(room(st, "a")->at.offset, 50);
    recovery_state_free(st);
}

static void test_remembers_so_many(void **state)
{
    (void)state;
    struct recovery_state *st = with_rooms();
    enum { SENT = RECOVERY_SENT_MAX + 100 };
    for (uint64_t n = 1; n <= SENT; n++)
        send_to(st, n % 2 ? "a" : "b", 100 + n);
    assert_false(recovery_rewind(st, 99));
    assert_true(recovery_rewind(st, 100));
    assert_int_equal(room(st, "a")->at.offset, 199);
    assert_int_equal(room(st, "b")->at.offset, 200);
    assert_false(st->broken);
    recovery_state_free(st);
}

static void test_has_so_many_rooms(void **state)
{
    (void)state;
    struct recovery_state *st = recovery_state_make();
    char name[16];
    for (int i = 0; i < RECOVERY_ROOMS_MAX; i++) {
        snprintf(name, sizeof(name), "r%d", i);
        assert_non_null(room(st, name));
    }
    assert_false(st->broken);
    assert_non_null(room(st, "r7"));
    assert_null(recovery_room_find(st, STR("no"), false));
    assert_false(st->broken);
    assert_null(room(st, "one too many"));
    assert_true(st->broken);
    recovery_state_free(st);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pids_differ),
        cmocka_unit_test(test_rewinds_each_room),
        cmocka_unit_test(test_says_the_same_again),
        cmocka_unit_test(test_a_room_that_was_joined_later),
        cmocka_unit_test(test_remembers_so_many),
        cmocka_unit_test(test_has_so_many_rooms),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
