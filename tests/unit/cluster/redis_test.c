/*
 * redis_test.c - the subscriber against a server of the test's own on loopback, and URLs.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include "cluster/redis.h"

#include "base/buf.h"
#include "base/log.h"

#include <arpa/inet.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- addresses ---- */

static void reads_addresses(void **state)
{
    (void)state;
    static const struct {
        const char *url, *host;
        unsigned port;
        const char *user, *password;
        unsigned database;
    } good[] = {
        {"redis://", "localhost", 6379, "", "", 0},
        {"redis://db", "db", 6379, "", "", 0},
        {"redis://127.0.0.1:7000/3", "127.0.0.1", 7000, "", "", 3},
        {"valkey://db/", "db", 6379, "", "", 0},
        {"redis://[::1]:7/1", "::1", 7, "", "", 1},
        {"redis://[fe80::1]", "fe80::1", 6379, "", "", 0},
        {"redis://:secret@db:1", "db", 1, "", "secret", 0},
        {"redis://me:p%40ss:w@db", "db", 6379, "me", "p@ss:w", 0},
        {"redis://me:a@b@db/2?protocol=3", "db", 6379, "me", "a@b", 2},
    };
    static const char *const bad[] = {
        "",
        "local",
        "http://db",
        "rediss://db",
        "redis:/db",
        "redis://db:x",
        "redis://db:0",
        "redis://db:65536",
        "redis://db/x",
        "redis://db/-1",
        "redis://db/99999999",
        "redis://[::1",
        "redis://[::1]x",
        "redis://a%zz@db",
        "redis://%00@db",
        "redis://a%2",
    };
    struct redis_address a;
    const char *why = NULL;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        if (!redis_address_parse(str_from(good[i].url), &a, &why))
            fail_msg("%s: %s", good[i].url, why);
        assert_string_equal(a.host, good[i].host);
        assert_int_equal(a.port, good[i].port);
        assert_string_equal(a.user, good[i].user);
        assert_string_equal(a.password, good[i].password);
        assert_int_equal(a.database, good[i].database);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        why = NULL;
        bool unclosed = str_eq(str_from(bad[i]), STR("redis://[::1"));
        if (redis_address_parse(str_from(bad[i]), &a, &why) && !unclosed)
            fail_msg("%s was taken", bad[i]);
        assert_true(unclosed || why != NULL);
    }
    char much[1200];
    memset(much, 'a', sizeof(much));
    memcpy(much, "redis://", 8);
    assert_false(redis_address_parse((struct str){much, sizeof(much)}, &a, &why));
}

/* ---- a server ---- */

static const struct str channels[] = {{"socketio", 8}, {"gamification", 12}};

static struct world {
    struct loop *loop;
    struct redis_subscriber *subscriber;
    int listener, peer;
    uint16_t port;
    struct buf asked, heard;
} w;

static void on_message(void *ctx, struct str channel, struct str payload)
{
    (void)ctx;
    assert_true(buf_add_format(&w.heard, "%.*s=", STR_FMT(channel)));
    assert_true(buf_add(&w.heard, payload) && buf_add_char(&w.heard, ';'));
}

/* port 0: any that is free. */
static void listen_at(uint16_t port)
{
    struct sockaddr_in at = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof(at);
    int on = 1;
    w.listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    setsockopt(w.listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    assert_int_equal(bind(w.listener, (struct sockaddr *)&at, sizeof(at)), 0);
    assert_int_equal(listen(w.listener, 8), 0);
    assert_int_equal(getsockname(w.listener, (struct sockaddr *)&at, &n), 0);
    w.port = ntohs(at.sin_port);
}

static void begin(const char *login)
{
    char url[128];
    const char *why;
    log_setup(LOG_NONE, false);
    w = (struct world){.listener = -1, .peer = -1};
    buf_init(&w.asked, 1 << 20);
    buf_init(&w.heard, 1 << 22);
    listen_at(0);
    snprintf(url, sizeof(url), "redis://%slocalhost:%u/0", login, w.port);
    struct redis_subscriber_options o = {.channels = channels,
                                         .channel_count = 2,
                                         .message_max_bytes = 1 << 20,
                                         .name = "test",
                                         .message = on_message};
    assert_true(redis_address_parse(str_from(url), &o.address, &why));
    snprintf(o.address.host, sizeof(o.address.host), "127.0.0.1");
    w.loop = loop_create(0);
    w.subscriber = redis_subscriber_create(w.loop, &o);
    assert_non_null(w.subscriber);
}

static void end(void)
{
    redis_subscriber_destroy(&w.subscriber);
    for (int i = 0; i < 20; i++)
        loop_turn(w.loop, 1);
    loop_destroy(&w.loop);
    close(w.listener);
    if (w.peer >= 0)
        close(w.peer);
    buf_fini(&w.asked);
    buf_fini(&w.heard);
}

enum { PATIENCE_TURNS = 20000 };

static void meet(void)
{
    w.peer = -1;
    for (int i = 0; i < PATIENCE_TURNS && w.peer < 0; i++) {
        loop_turn(w.loop, 1);
        w.peer = accept4(w.listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    }
    assert_true(w.peer >= 0);
    buf_clear(&w.asked);
}

/* Until all of it was asked. */
static void expect(const char *want)
{
    for (int i = 0; i < PATIENCE_TURNS && w.asked.len < strlen(want); i++) {
        loop_turn(w.loop, 1);
        assert_true(buf_reserve(&w.asked, 4096));
        ssize_t n = recv(w.peer, w.asked.p + w.asked.len, 4096, 0);
        w.asked.len += n > 0 ? (size_t)n : 0;
    }
    assert_true(buf_add_char(&w.asked, '\0'));
    assert_string_equal(w.asked.p, want);
    buf_clear(&w.asked);
}

static void say(const char *text, size_t n)
{
    while (n > 0) {
        ssize_t sent = send(w.peer, text, n, MSG_NOSIGNAL);
        if (sent < 0 && errno != EAGAIN)
            return; // it has hung up
        text += sent > 0 ? sent : 0;
        n -= sent > 0 ? (size_t)sent : 0;
        loop_turn(w.loop, 0);
    }
    for (int i = 0; i < 5; i++)
        loop_turn(w.loop, 1);
}
#define SAY(lit) say(lit, sizeof(lit) - 1)

static void assert_heard(const char *want)
{
    for (int i = 0; i < PATIENCE_TURNS && w.heard.len < strlen(want); i++)
        loop_turn(w.loop, 1);
    assert_true(buf_add_char(&w.heard, '\0'));
    assert_string_equal(w.heard.p, want);
    buf_clear(&w.heard);
}

static void assert_hangs_up(void)
{
    char at[4096];
    ssize_t n = 1;
    for (int i = 0; i < PATIENCE_TURNS && n != 0; i++) {
        loop_turn(w.loop, 1);
        n = recv(w.peer, at, sizeof(at), 0);
        if (n < 0 && errno != EAGAIN)
            n = 0;
    }
    assert_int_equal(n, 0);
    close(w.peer);
    w.peer = -1;
    assert_false(redis_subscriber_is_ready(w.subscriber));
}

#define ASKS                                                                                       \
    "*2\r\n$9\r\nSUBSCRIBE\r\n$8\r\nsocketio\r\n*2\r\n$9\r\nSUBSCRIBE\r\n$12\r\ngamification\r\n"
#define FOLLOWS                                                                                    \
    "*3\r\n$9\r\nsubscribe\r\n$8\r\nsocketio\r\n:1\r\n"                                            \
    "*3\r\n$9\r\nsubscribe\r\n$12\r\ngamification\r\n:2\r\n"

static void be_followed(void)
{
    meet();
    expect(ASKS);
    assert_false(redis_subscriber_is_ready(w.subscriber));
    SAY(FOLLOWS);
    for (int i = 0; i < PATIENCE_TURNS && !redis_subscriber_is_ready(w.subscriber); i++)
        loop_turn(w.loop, 1);
    assert_true(redis_subscriber_is_ready(w.subscriber));
}

static void hears_what_is_published(void **state)
{
    (void)state;
    static const char message[] = "*3\r\n$7\r\nmessage\r\n$8\r\nsocketio\r\n$4\r\n{\"a\"\r\n";
    begin("");
    be_followed();
    SAY("*3\r\n$7\r\nmessage\r\n$8\r\nsocketio\r\n$5\r\n\x80\x04\0\r\n\r\n"
        "*3\r\n$7\r\nmessage\r\n$12\r\ngamification\r\n$0\r\n\r\n");
    for (int i = 0; i < PATIENCE_TURNS && w.heard.len < 29; i++)
        loop_turn(w.loop, 1);
    assert_int_equal(w.heard.len, 29);
    assert_memory_equal(w.heard.p, "socketio=\x80\x04\0\r\n;gamification=;", 29);
    buf_clear(&w.heard);
    for (size_t i = 0; i < sizeof(message) - 1; i++)
        say(message + i, 1);
    assert_heard("socketio={\"a\";");
    end();
}

/* More than hiredis reads at once. */
static void hears_large_messages(void **state)
{
    (void)state;
    enum { SIZE = 600000 };
    static char message[SIZE + 64];
    begin("");
    be_followed();
    int n = snprintf(message, sizeof(message), "*3\r\n$7\r\nmessage\r\n$8\r\nsocketio\r\n$%d\r\n",
                     SIZE);
    memset(message + n, 'x', SIZE);
    memcpy(message + n + SIZE, "\r\n", 2);
    say(message, (size_t)n + SIZE + 2);
    say(message, (size_t)n + SIZE + 2);
    for (int i = 0; i < PATIENCE_TURNS && w.heard.len < 2 * (SIZE + 10); i++)
        loop_turn(w.loop, 1);
    assert_int_equal(w.heard.len, 2 * (SIZE + 10));
    end();
}

static void comes_back(void **state)
{
    (void)state;
    begin("");
    be_followed();
    close(w.peer);
    be_followed(); // the next connection
    SAY("*3\r\n$7\r\nmessage\r\n$8\r\nsocketio\r\n$1\r\n1\r\n");
    assert_heard("socketio=1;");
    close(w.peer);
    close(w.listener); // refused for a while
    for (int i = 0; i < 300; i++)
        loop_turn(w.loop, 1);
    assert_false(redis_subscriber_is_ready(w.subscriber));
    w.peer = -1;
    listen_at(w.port);
    be_followed();
    end();
}

static void says_who_it_is(void **state)
{
    (void)state;
    begin(":secret@");
    meet();
    expect("*2\r\n$4\r\nAUTH\r\n$6\r\nsecret\r\n" ASKS);
    SAY("+OK\r\n" FOLLOWS);
    for (int i = 0; i < PATIENCE_TURNS && !redis_subscriber_is_ready(w.subscriber); i++)
        loop_turn(w.loop, 1);
    close(w.peer);
    meet();
    expect("*2\r\n$4\r\nAUTH\r\n$6\r\nsecret\r\n" ASKS);
    SAY("-WRONGPASS invalid username-password pair\r\n");
    assert_hangs_up();
    end();
    begin("me:secret@");
    meet();
    expect("*3\r\n$4\r\nAUTH\r\n$2\r\nme\r\n$6\r\nsecret\r\n" ASKS);
    end(); // in the middle of it
}

static void gives_up_on_what_is_no_redis(void **state)
{
    (void)state;
    static const char *const answers[] = {
        "-NOAUTH Authentication required.\r\n",
        "-MISCONF\r\n-ERR\r\n",
        "HTTP/1.1 400 Bad Request\r\n\r\n",
        "\x80\x01\x02\x03\r\n",
        "*x\r\n",
        "$99999999999999999999\r\n",
    };
    begin("");
    for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
        meet();
        expect(ASKS);
        say(answers[i], strlen(answers[i]));
        assert_hangs_up();
    }
    be_followed();
    SAY("*3\r\n$7\r\nmessage\r\n$8\r\nsocketio\r\n$9000000\r\n");
    static char much[1 << 16];
    memset(much, 'x', sizeof(much));
    for (int i = 0; i < 40; i++)
        say(much, sizeof(much));
    assert_hangs_up(); // over message_max_bytes
    end();
}

/* Replies that hiredis would not survive, or would make room for. */
static void gives_up_on_what_no_subscriber_is_told(void **state)
{
    (void)state;
    static const char *const replies[] = {
        "*0\r\n",
        "*1\r\n$3\r\nfoo\r\n",
        "*2\r\n$7\r\nmessage\r\n$8\r\nsocketio\r\n",
        "*4\r\n$8\r\npmessage\r\n$1\r\n*\r\n$1\r\na\r\n$1\r\nb\r\n",
        "*3\r\n:1\r\n:2\r\n:3\r\n",
        "*3\r\n$-1\r\n$-1\r\n$-1\r\n",
        "*3\r\n+message\r\n$8\r\nsocketio\r\n$1\r\nx\r\n",
        "*3\r\n*1\r\n:1\r\n*0\r\n:3\r\n",
        "*3\r\n$7\r\nmessage\r\n:1\r\n$1\r\nx\r\n",
        "*3\r\n$7\r\nmessage\r\n$8\r\nsocketio\r\n*1\r\n:1\r\n",
        "*3\r\n$11\r\nunsubscribe\r\n$8\r\nsocketio\r\n$1\r\nx\r\n",
        "*3\r\n$11\r\nunsubscribe\r\n:1\r\n:0\r\n",
        "*3\r\n$11\r\nunsubscribe\r\n$8\r\nsocketio\r\n:0\r\n",
        "*3\r\n$3\r\nfoo\r\n$8\r\nsocketio\r\n$1\r\nx\r\n",
        "*2147483647\r\n",
    };
    begin("");
    for (size_t i = 0; i < sizeof(replies) / sizeof(replies[0]); i++) {
        be_followed();
        say(replies[i], strlen(replies[i]));
        assert_hangs_up();
    }
    assert_heard("");
    be_followed();
    end();
    for (size_t i = 0; i < sizeof(replies) / sizeof(replies[0]); i++) {
        begin(""); // a new one does not wait longer after each failure
        meet();
        expect(ASKS);
        say(replies[i], strlen(replies[i]));
        assert_hangs_up();
        assert_heard("");
        end();
    }
}

static void ends_at_any_time(void **state)
{
    (void)state;
    begin("");
    end(); // before the first attempt
    begin("");
    loop_turn(w.loop, 20);
    end(); // in the lookup
    begin("");
    meet();
    end(); // connected
    begin("");
    be_followed();
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_addresses),
        cmocka_unit_test(hears_what_is_published),
        cmocka_unit_test(hears_large_messages),
        cmocka_unit_test(comes_back),
        cmocka_unit_test(says_who_it_is),
        cmocka_unit_test(gives_up_on_what_is_no_redis),
        cmocka_unit_test(gives_up_on_what_no_subscriber_is_told),
        cmocka_unit_test(ends_at_any_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
