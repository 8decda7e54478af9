/*
 * follower_test.c - a follower and a server that is played by the test: nothing is lost, nothing
 * comes twice, and what cannot be had is said.
 */
#include "app/follower.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "app/ws_wire.h"

/* What was handed out and said, and what the server heard, in one text. */
struct stage {
    struct follower f;
    int server; // the server's end
    char seen[4096];
    unsigned enough_after;
    unsigned count;
};

static bool on_event(void *ctx, const struct follower_event *e)
{
    struct stage *s = ctx;
    size_t n = strlen(s->seen);
    snprintf(s->seen + n, sizeof(s->seen) - n, "%.*s#%llu %.*s=%.*s;", STR_FMT(e->channel),
             (unsigned long long)e->offset, STR_FMT(e->type), STR_FMT(e->data));
    return ++s->count != s->enough_after;
}

static void on_text(void *ctx, const char *text)
{
    struct stage *s = ctx;
    size_t n = strlen(s->seen);
    snprintf(s->seen + n, sizeof(s->seen) - n, "[%s]", text);
}

static void ignore_text(void *ctx, const char *text)
{
    (void)ctx, (void)text;
}

static const struct follower_handler handler = {
    .event = on_event, .notice = ignore_text, .warning = on_text};

static struct stage *open_stage(const char *a, const char *b)
{
    struct stage *s = calloc(1, sizeof(*s));
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    s->server = fds[1];
    s->f.handler = &handler;
    s->f.ctx = s;
    s->f.ws.stream.fd = fds[0];
    buf_init(&s->f.ws.in, 65536);
    s->f.channels[s->f.channel_count++].name = a;
    if (b != NULL)
        s->f.channels[s->f.channel_count++].name = b;
    return s;
}

static void close_stage(struct stage *s)
{
    ws_client_close(&s->f.ws, 1000);
    close(s->server);
    free(s);
}

/* The next command, unmasked. */
static void hear(struct stage *s, const char *want)
{
    uint8_t head[6];
    char text[126];
    assert_int_equal(recv(s->server, head, 6, 0), 6);
    size_t n = head[1] & 127;
    assert_true(n < 126);
    assert_int_equal(recv(s->server, text, n, 0), n);
    wire_mask(text, n, head + 2);
    text[n] = '\0';
    assert_string_equal(text, want);
}

static void hear_nothing(struct stage *s)
{
    char c;
    assert_int_equal(recv(s->server, &c, 1, 0), -1);
}

/* From a heap block of exactly its size. */
static enum follower_step say(struct stage *s, const char *text)
{
    size_t n = strlen(text);
    char *copy = malloc(n ? n : 1);
    memcpy(copy, text, n);
    enum follower_step step = follower_take(&s->f, (struct str){copy, n});
    free(copy);
    return step;
}

static void saw(struct stage *s, const char *want)
{
    assert_string_equal(s->seen, want);
    s->seen[0] = '\0';
}

static void test_the_usual_way(void **state)
{
    (void)state;
    struct stage *s = open_stage("a", "b");
    assert_true(follower_send_connect(&s->f));
    hear(s, "{\"id\":1,\"connect\":{\"name\":\"recado\"}}");
    assert_int_equal(say(s, "{\"id\":1,\"connect\":{\"client\":\"x\",\"ping\":25,\"pong\":true}}"),
                     FOLLOWER_ON);
    assert_int_equal(s->f.ping_ms, 25000);
    hear(s, "{\"id\":2,\"subscribe\":{\"channel\":\"a\"}}");
    hear(s, "{\"id\":3,\"subscribe\":{\"channel\":\"b\"}}");
    say(s, "{\"id\":2,\"subscribe\":{\"epoch\":\"e\",\"offset\":4}}\n"
           "{\"id\":3,\"subscribe\":{}}\n");
    say(s, "{}");
    hear(s, "{}");
    say(s, "{\"push\":{\"channel\":\"a\",\"pub\":{\"data\":{\"x\":1},\"offset\":5,"
           "\"tags\":{\"type\":\"t\"}}}}\n{\"push\":{\"channel\":\"b\",\"pub\":{\"data\":2}}}");
    say(s, "{\"push\":{\"channel\":\"a\",\"join\":{\"info\":{}}}}");
    saw(s, "a#5 t={\"x\":1};b#0 =2;");
    assert_int_equal(s->f.channels[0].offset, 5);
    hear_nothing(s);

    /* A reconnect. */
    say(s, "{\"id\":1,\"connect\":{}}");
    hear(s, "{\"id\":4,\"subscribe\":{\"channel\":\"a\",\"recover\":true,\"offset\":5,"
            "\"epoch\":\"e\"}}");
    hear(s, "{\"id\":5,\"subscribe\":{\"channel\":\"b\"}}");
    say(s, "{\"id\":4,\"subscribe\":{\"epoch\":\"e\",\"offset\":7,\"recovered\":true,"
           "\"publications\":[{\"data\":6,\"offset\":6},{\"data\":7,\"offset\":7}]}}");
    saw(s, "a#6 =6;a#7 =7;");
    close_stage(s);
}

static void test_what_cannot_be_recovered_is_said(void **state)
{
    (void)state;
    struct stage *s = open_stage("a", NULL);
    s->f.channels[0] =
        (struct follower_channel){.name = "a", .offset = 5, .epoch = "old", .positioned = true};
    say(s, "{\"id\":1,\"connect\":{}}");
    hear(s, "{\"id\":1,\"subscribe\":{\"channel\":\"a\",\"recover\":true,\"offset\":5,"
            "\"epoch\":\"old\"}}");
    say(s, "{\"id\":1,\"subscribe\":{\"epoch\":\"new\",\"offset\":2,\"recovered\":false}}");
    saw(s, "[a: what came after offset 5 cannot be had any more; going on from 2]");
    assert_int_equal(s->f.channels[0].offset, 2);
    assert_string_equal(s->f.channels[0].epoch, "new");
    close_stage(s);
}

static void test_an_epoch_that_is_none(void **state)
{
    (void)state;
    char answer[FOLLOWER_EPOCH_MAX * 4], epoch[FOLLOWER_EPOCH_MAX * 2];
    struct stage *s = open_stage("a", NULL);
    memset(epoch, 'e', sizeof(epoch) - 1);
    epoch[sizeof(epoch) - 1] = '\0';
    say(s, "{\"id\":1,\"connect\":{}}");
    hear(s, "{\"id\":1,\"subscribe\":{\"channel\":\"a\"}}");
    snprintf(answer, sizeof(answer), "{\"id\":1,\"subscribe\":{\"epoch\":\"%s\",\"offset\":2}}",
             epoch);
    say(s, answer);
    saw(s, "");
    assert_string_equal(s->f.channels[0].epoch, "");
    assert_false(s->f.channels[0].positioned);
    close_stage(s);
}

static void test_an_offset_without_its_epoch(void **state)
{
    (void)state;
    struct stage *s = open_stage("a", NULL);
    s->f.channels[0].positioned = true;
    s->f.channels[0].offset = 1;
    say(s, "{\"id\":1,\"connect\":{}}");
    hear(s, "{\"id\":1,\"subscribe\":{\"channel\":\"a\",\"recover\":true,\"offset\":1,"
            "\"epoch\":\"\"}}");
    say(s, "{\"id\":1,\"subscribe\":{\"epoch\":\"e\",\"offset\":3,\"recovered\":false}}");
    hear(s, "{\"id\":2,\"unsubscribe\":{\"channel\":\"a\"}}");
    hear(s, "{\"id\":3,\"subscribe\":{\"channel\":\"a\",\"recover\":true,\"offset\":1,"
            "\"epoch\":\"e\"}}");
    say(s, "{\"push\":{\"channel\":\"a\",\"pub\":{\"data\":4,\"offset\":4}}}"); // comes again
    say(s, "{\"id\":2,\"unsubscribe\":{}}");
    say(s, "{\"id\":3,\"subscribe\":{\"epoch\":\"e\",\"offset\":4,\"recovered\":true,"
           "\"publications\":[{\"data\":2,\"offset\":2},{\"data\":3,\"offset\":3},"
           "{\"data\":4,\"offset\":4}]}}");
    saw(s, "a#2 =2;a#3 =3;a#4 =4;");
    close_stage(s);
}

static void test_refusals(void **state)
{
    (void)state;
    struct stage *s = open_stage("a", "b");
    assert_int_equal(say(s, "{\"id\":1,\"error\":{\"code\":109,\"message\":\"token expired\"}}"),
                     FOLLOWER_GIVE_UP);
    assert_string_equal(s->f.why, "refused: token expired (code 109)");
    assert_int_equal(say(s, "{\"id\":1,\"error\":{\"code\":100,\"message\":\"internal\","
                            "\"temporary\":true}}"),
                     FOLLOWER_AGAIN);
    say(s, "{\"id\":1,\"connect\":{}}");
    assert_int_equal(
        say(s, "{\"id\":1,\"error\":{\"code\":103,\"message\":\"permission denied\"}}"),
        FOLLOWER_ON);
    saw(s, "[a: permission denied (code 103)]");
    assert_int_equal(say(s, "{\"push\":{\"channel\":\"b\",\"unsubscribe\":{\"code\":2000,"
                            "\"reason\":\"server\"}}}"),
                     FOLLOWER_GIVE_UP);
    saw(s, "[b: ended by the server: server (code 2000)]");
    close_stage(s);
}

static void test_what_the_server_pushes_besides(void **state)
{
    (void)state;
    struct stage *s = open_stage("a", NULL);
    say(s, "{\"id\":1,\"connect\":{}}");
    hear(s, "{\"id\":1,\"subscribe\":{\"channel\":\"a\"}}");
    say(s, "{\"id\":1,\"subscribe\":{}}");
    say(s, "{}");
    hear_nothing(s); // it did not ask for pongs
    say(s, "{\"push\":{\"channel\":\"a\",\"unsubscribe\":{\"code\":2500,\"reason\":\"again\"}}}");
    hear(s, "{\"id\":2,\"subscribe\":{\"channel\":\"a\"}}");
    assert_int_equal(say(s, "{\"push\":{\"disconnect\":{\"code\":3001,\"reason\":\"shutdown\"}}}"),
                     FOLLOWER_AGAIN);
    assert_int_equal(say(s, "{\"push\":{\"disconnect\":{\"code\":3500,\"reason\":\"no\"}}}"),
                     FOLLOWER_GIVE_UP);
    static const char *const bad[] = {"", "{", "{}}", "nul", "{\"id\":1,}", "{} x"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(say(s, bad[i]), FOLLOWER_AGAIN);
    static const char *const odd[] = {"1",
                                      "[]",
                                      "{\"push\":1}",
                                      "{\"id\":-1,\"push\":{\"pub\":2}}",
                                      "{\"id\":77,\"subscribe\":{}}",
                                      "{\"id\":\"x\"}"};
    for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++)
        assert_int_equal(say(s, odd[i]), FOLLOWER_ON);
    close_stage(s);
}

static void test_enough(void **state)
{
    (void)state;
    struct stage *s = open_stage("a", NULL);
    s->enough_after = 2;
    assert_int_equal(say(s, "{\"push\":{\"channel\":\"a\",\"pub\":{\"data\":1}}}\n"
                            "{\"push\":{\"channel\":\"a\",\"pub\":{\"data\":2}}}\n"
                            "{\"push\":{\"channel\":\"a\",\"pub\":{\"data\":3}}}"),
                     FOLLOWER_GIVE_UP);
    assert_true(s->f.enough);
    saw(s, "a#0 =1;a#0 =2;");
    close_stage(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_usual_way),
        cmocka_unit_test(test_what_cannot_be_recovered_is_said),
        cmocka_unit_test(test_an_epoch_that_is_none),
        cmocka_unit_test(test_an_offset_without_its_epoch),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_what_the_server_pushes_besides),
        cmocka_unit_test(test_enough),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
