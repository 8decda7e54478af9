/*
 * ws_client_test.c - messages come out whole, however the server's frames and bytes are cut.
 */
#include "app/ws_client.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

struct stage {
    struct ws_client c;
    int server;
};

static void open_stage(struct stage *s)
{
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    *s = (struct stage){.c = {.stream = {.fd = fds[0]}, .close_code = 1006}, .server = fds[1]};
    buf_init(&s->c.in, 1 << 20);
    buf_init(&s->c.message, 1 << 20);
}

static void close_stage(struct stage *s)
{
    ws_client_close(&s->c, 1000);
    ws_client_close(&s->c, 1000);
    close(s->server);
}

static void say(struct stage *s, struct str bytes)
{
    assert_int_equal(send(s->server, bytes.p, bytes.n, 0), bytes.n);
}

#define SAY(s, lit) say(s, STR(lit))

static enum ws_client_event read_now(struct stage *s, struct str *ret)
{
    return ws_client_read(&s->c, 0, -1, ret);
}

static void check_message(struct stage *s, const char *want)
{
    struct str got;
    assert_int_equal(read_now(s, &got), WS_CLIENT_MESSAGE);
    assert_true(str_eq(got, str_from(want)));
}

static void test_messages_at_every_cut(void **state)
{
    (void)state;
    struct str wire = STR("\x81\x02hi"
                          "\x01\x03one"
                          "\x89\x01p"
                          "\x80\x03two"
                          "\x81\x00"
                          "\x8a\x00"
                          "\x82\x01"
                          "b");
    for (size_t cut = 0; cut <= wire.n; cut++) {
        static const char *const want[] = {"hi", "onetwo", "", "b"};
        struct stage s;
        struct str got;
        unsigned n = 0;
        open_stage(&s);
        for (int part = 0; part < 2; part++) {
            say(&s, part == 0 ? (struct str){wire.p, cut} : str_skip(wire, cut));
            while (read_now(&s, &got) == WS_CLIENT_MESSAGE) {
                assert_true(n < 4);
                assert_true(str_eq(got, str_from(want[n++])));
            }
        }
        assert_int_equal(n, 4);
        char pong[16];
        assert_int_equal(recv(s.server, pong, sizeof(pong), 0), 7);
        assert_int_equal((uint8_t)pong[0], 0x8a);
        close_stage(&s);
    }
}

static void test_the_end(void **state)
{
    (void)state;
    struct stage s;
    struct str got;
    open_stage(&s);
    SAY(&s, "\x81\x01x\x88\x06\x0d\xac"
            "gone");
    check_message(&s, "x");
    assert_int_equal(read_now(&s, &got), WS_CLIENT_CLOSED);
    assert_int_equal(s.c.close_code, 3500);
    assert_string_equal(s.c.why, "closed by the server: 3500 gone");
    close_stage(&s);

    open_stage(&s);
    SAY(&s, "\x88\x00");
    assert_int_equal(read_now(&s, &got), WS_CLIENT_CLOSED);
    assert_int_equal(s.c.close_code, 1005);
    close_stage(&s);

    open_stage(&s);
    SAY(&s, "\x81\x05no");
    shutdown(s.server, SHUT_WR);
    assert_int_equal(read_now(&s, &got), WS_CLIENT_CLOSED);
    assert_int_equal(s.c.close_code, 1006);
    close_stage(&s);
}

static void check_broken(struct str wire)
{
    struct stage s;
    struct str got;
    open_stage(&s);
    say(&s, wire);
    assert_int_equal(read_now(&s, &got), WS_CLIENT_CLOSED);
    assert_true(s.c.why[0] != '\0');
    close_stage(&s);
}

static void test_broken_servers(void **state)
{
    (void)state;
    check_broken(STR("\x80\x01x"));                          // goes on with nothing
    check_broken(STR("\x01\x01x\x81\x01y"));                 // begins inside another
    check_broken(STR("\xc1\x01x"));                          // deflated: was not agreed
    check_broken(STR("\x81\x81"));                           // masked
    check_broken(STR("\x81\x7f\x7f\0\0\0\0\0\0\0"));         // longer than anything
    check_broken(STR("\x81\x7f\x00\x00\x00\x00\x7f\0\0\0")); // longer than we take
}

static void test_waiting_ends(void **state)
{
    (void)state;
    struct stage s;
    struct str got;
    int fds[2];
    open_stage(&s);
    assert_int_equal(read_now(&s, &got), WS_CLIENT_TIMEOUT);
    assert_int_equal(pipe(fds), 0);
    assert_int_equal(write(fds[1], "!", 1), 1);
    assert_int_equal(ws_client_read(&s.c, 60000, fds[0], &got), WS_CLIENT_STOPPED);
    close(fds[0]);
    close(fds[1]);
    close_stage(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_messages_at_every_cut),
        cmocka_unit_test(test_the_end),
        cmocka_unit_test(test_broken_servers),
        cmocka_unit_test(test_waiting_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
