/*
 * listener_test.c - connections come in whole, in batches, and also when descriptors have run out.
 */
#include "net/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/log.h"

enum { FD_MAX = 400 };

/* Who has come, over all listeners of a test. */
struct guests {
    int fds[FD_MAX];
    unsigned count;
    struct addr last;
    bool pause_after_one, close_after_one;
};

static void take_guest(struct listener *l, int fd, const struct addr *peer)
{
    struct guests *g = l->ctx;
    assert_true(g->count < FD_MAX);
    assert_true((fcntl(fd, F_GETFL) & O_NONBLOCK) != 0);
    g->fds[g->count++] = fd;
    g->last = *peer;
    if (g->pause_after_one)
        listener_pause(l);
    if (g->close_after_one)
        listener_fini(l);
}

static void send_home(struct guests *g)
{
    while (g->count > 0)
        close(g->fds[--g->count]);
}

static struct listen_addr address(const char *text)
{
    struct listen_addr a;
    const char *why;
    assert_true(listen_addr_parse(str_from(text), &a, &why));
    return a;
}

static int open_or_fail(struct listen_addr *a)
{
    char why[256];
    int fd = listen_socket_open(a, 0600, why, sizeof(why));
    if (fd < 0)
        fail_msg("%s", why);
    return fd;
}

static void check_refused(struct listen_addr *a, const char *said)
{
    char why[256] = "";
    assert_int_equal(listen_socket_open(a, 0600, why, sizeof(why)), -1);
    if (strstr(why, a->text) == NULL || strstr(why, said) == NULL)
        fail_msg("%s", why);
}

static int call(const struct listen_addr *a)
{
    int fd = socket(a->ss.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&a->ss, a->len), 0);
    return fd;
}

/* Turns until count have come; the kernel has them in its queue already. */
static void turn_until(struct loop *l, const struct guests *g, unsigned count)
{
    for (int i = 0; i < 1000 && g->count < count; i++)
        loop_turn(l, 10);
    assert_int_equal(g->count, count);
}

static void test_a_call_is_taken_and_named(void **state)
{
    static const char *const texts[] = {"127.0.0.1:0", "[::1]:0"};
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct loop *loop = loop_create(0);
        struct guests g = {0};
        struct listener l;
        struct listen_addr a = address(texts[i]);
        int fd = open_or_fail(&a);
        assert_null(strstr(a.text, ":0")); // the port is known now
        assert_true(listener_init(&l, loop, fd, &a, take_guest, &g));
        int caller = call(&a);
        turn_until(loop, &g, 1);
        int nodelay = 0;
        socklen_t len = sizeof(nodelay);
        getsockopt(g.fds[0], IPPROTO_TCP, TCP_NODELAY, &nodelay, &len);
        assert_true(nodelay != 0);
        assert_true(addr_is_loopback(&g.last));
        assert_true(g.last.port != 0);
        assert_int_equal(l.accepted_count, 1);
        close(caller);
        send_home(&g);
        listener_fini(&l);
        listener_fini(&l);
        loop_destroy(&loop);
    }
}

static void test_more_than_a_batch(void **state)
{
    (void)state;
    enum { CALLS = 150 };
    struct loop *loop = loop_create(0);
    struct guests g = {0};
    struct listener l;
    struct listen_addr a = address("127.0.0.1:0");
    int callers[CALLS];
    assert_true(listener_init(&l, loop, open_or_fail(&a), &a, take_guest, &g));
    for (int i = 0; i < CALLS; i++)
        callers[i] = call(&a);
    loop_turn(loop, 10);
    assert_true(g.count > 0 && g.count < CALLS); // others have their turn in between
    turn_until(loop, &g, CALLS);
    loop_turn(loop, 0); // and it is at rest again
    int late = call(&a);
    turn_until(loop, &g, CALLS + 1);
    close(late);
    for (int i = 0; i < CALLS; i++)
        close(callers[i]);
    send_home(&g);
    listener_fini(&l);
    loop_destroy(&loop);
}

static void test_pause_and_resume(void **state)
{
    (void)state;
    struct loop *loop = loop_create(0);
    struct guests g = {.pause_after_one = true};
    struct listener l;
    struct listen_addr a = address("127.0.0.1:0");
    assert_true(listener_init(&l, loop, open_or_fail(&a), &a, take_guest, &g));
    int callers[3] = {call(&a), call(&a), call(&a)};
    turn_until(loop, &g, 1);
    for (int i = 0; i < 5; i++)
        loop_turn(loop, 0);
    assert_int_equal(g.count, 1);
    listener_pause(&l);
    g.pause_after_one = false;
    listener_resume(&l);
    listener_resume(&l);
    turn_until(loop, &g, 3);
    for (int i = 0; i < 3; i++)
        close(callers[i]);
    send_home(&g);
    listener_fini(&l);
    loop_destroy(&loop);
}

static void test_closing_inside_the_callback(void **state)
{
    (void)state;
    struct loop *loop = loop_create(0);
    struct guests g = {.close_after_one = true};
    struct listener l;
    struct listen_addr a = address("127.0.0.1:0");
    assert_true(listener_init(&l, loop, open_or_fail(&a), &a, take_guest, &g));
    int callers[2] = {call(&a), call(&a)};
    turn_until(loop, &g, 1);
    loop_turn(loop, 0);
    assert_int_equal(g.count, 1);
    close(callers[0]);
    close(callers[1]);
    send_home(&g);
    loop_destroy(&loop);
}

static void test_draining_takes_who_is_in_the_queue(void **state)
{
    (void)state;
    struct loop *loop = loop_create(0);
    struct guests g = {0};
    struct listener l;
    struct listen_addr a = address("127.0.0.1:0");
    assert_true(listener_init(&l, loop, open_or_fail(&a), &a, take_guest, &g));
    int callers[100];
    for (int i = 0; i < 100; i++)
        callers[i] = call(&a);
    listener_drain(&l);
    assert_int_equal(g.count, 100);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&a.ss, a.len), -1);
    close(fd);
    for (int i = 0; i < 100; i++)
        close(callers[i]);
    send_home(&g);
    loop_destroy(&loop);
}

static void test_without_descriptors_callers_are_refused_and_later_taken(void **state)
{
    (void)state;
    struct loop *loop = loop_create(0);
    struct guests g = {0};
    struct listener l;
    struct listen_addr a = address("127.0.0.1:0");
    struct rlimit old, tight;
    char byte;
    assert_true(listener_init(&l, loop, open_or_fail(&a), &a, take_guest, &g));
    int callers[3] = {call(&a), call(&a), call(&a)};
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    tight = (struct rlimit){.rlim_cur = 3, .rlim_max = old.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &tight), 0); // no new one; the open ones stay
    for (int i = 0; i < 10; i++)
        loop_turn(loop, 0);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
    assert_int_equal(g.count, 0);
    /* The spare one is above this limit and cannot be had again: the callers wait. */
    turn_until(loop, &g, 3);
    for (int i = 0; i < 3; i++)
        close(callers[i]);
    send_home(&g);

    /* With the lowest numbers taken the spare one comes and goes below the limit. */
    int fill[FD_MAX];
    int n = 0;
    int caller = call(&a);
    tight.rlim_cur = 60;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &tight), 0);
    while (n < FD_MAX && (fill[n] = dup(2)) >= 0)
        n++;
    for (int i = 0; i < 100 && l.refused_count == 0; i++)
        loop_turn(loop, 10);
    assert_int_equal(l.refused_count, 1);
    assert_int_equal(g.count, 0);
    assert_true(recv(caller, &byte, 1, 0) <= 0); // told at once
    while (n > 0)
        close(fill[--n]);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
    close(caller);
    caller = call(&a);
    turn_until(loop, &g, 1);
    close(caller);
    send_home(&g);
    listener_fini(&l);
    loop_destroy(&loop);
}

static void test_loops_share_an_address(void **state)
{
    (void)state;
    static const char *const texts[] = {"127.0.0.1:0", "unix:/tmp/recado-listener-test.sock"};
    for (size_t t = 0; t < 2; t++) {
        struct loop *loops[2] = {loop_create(0), loop_create(1)};
        struct listener l[2];
        struct guests g = {0};
        struct listen_addr a = address(texts[t]);
        char why[256];
        int fd = open_or_fail(&a);
        int again = listen_socket_again(&a, fd, why, sizeof(why));
        assert_true(again >= 0);
        assert_true(listener_init(&l[0], loops[0], fd, &a, take_guest, &g));
        assert_true(listener_init(&l[1], loops[1], again, &a, take_guest, &g));
        int callers[40];
        for (int i = 0; i < 40; i++)
            callers[i] = call(&a);
        for (int i = 0; i < 1000 && g.count < 40; i++) {
            loop_turn(loops[0], 1);
            loop_turn(loops[1], 1);
        }
        assert_int_equal(g.count, 40);
        assert_int_equal(l[0].accepted_count + l[1].accepted_count, 40);
        for (int i = 0; i < 40; i++)
            close(callers[i]);
        send_home(&g);
        for (int i = 0; i < 2; i++) {
            listener_fini(&l[i]);
            loop_destroy(&loops[i]);
        }
        listen_socket_forget(&a);
    }
}

static void test_an_address_in_use_is_refused(void **state)
{
    (void)state;
    struct listen_addr a = address("127.0.0.1:0");
    int fd = open_or_fail(&a);
    check_refused(&a, "another server");
    close(fd);
    fd = open_or_fail(&a);
    close(fd);
}

static void test_unix_files(void **state)
{
    (void)state;
    const char *path = "/tmp/recado-listener-test.sock";
    struct listen_addr a = address("unix:/tmp/recado-listener-test.sock");
    struct stat st;
    int fd = open_or_fail(&a);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    check_refused(&a, "another server");
    close(fd);
    fd = open_or_fail(&a); // the file that was left behind is stale
    close(fd);
    listen_socket_forget(&a);
    assert_int_equal(stat(path, &st), -1);

    FILE *f = fopen(path, "w"); // somebody's file, no socket
    fclose(f);
    check_refused(&a, "File exists");
    listen_socket_forget(&a);
    assert_int_equal(stat(path, &st), 0);
    unlink(path);

    struct listen_addr nowhere = address("unix:/tmp/recado-no-such-folder/x.sock");
    check_refused(&nowhere, "No such file");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_call_is_taken_and_named),
        cmocka_unit_test(test_more_than_a_batch),
        cmocka_unit_test(test_pause_and_resume),
        cmocka_unit_test(test_closing_inside_the_callback),
        cmocka_unit_test(test_draining_takes_who_is_in_the_queue),
        cmocka_unit_test(test_without_descriptors_callers_are_refused_and_later_taken),
        cmocka_unit_test(test_loops_share_an_address),
        cmocka_unit_test(test_an_address_in_use_is_refused),
        cmocka_unit_test(test_unix_files),
    };
    log_setup(LOG_NONE, false);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
