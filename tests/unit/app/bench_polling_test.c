/*
 * bench_polling_test.c - a polling subscriber says the same and counts the same however the answers
 * are cut.
 */
#include "app/bench.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "app/ws_wire.h"
#include "base/clock.h"

enum { SIZE = 70, TALK_MAX = 64 * 1024 };

struct stage {
    struct bench *b;
    struct bench_conn c;
    int peer;
};

static void count(struct bench *b, struct bench_conn *c, unsigned n)
{
    (void)c;
    b->deliveries += n;
}

static void open_stage(struct stage *s)
{
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    *s = (struct stage){.b = calloc(1, sizeof(struct bench)), .peer = fds[1]};
    s->b->size = SIZE;
    s->b->running = s->b->measuring = s->b->ordered = true;
    s->b->messages = count;
    s->b->protocol = (struct bench_protocol){
        .path = "/socket.io/?transport=polling",
        .head = "",
        .tail = "",
        .pong = "3",
        .polling = true,
        .subscriber = {.steps = {{false, "40"}, {true, "40{"}}, .count = 2}};
    snprintf(s->b->url.host, sizeof(s->b->url.host), "a");
    snprintf(s->b->url.port, sizeof(s->b->url.port), "1");
    assert_true(bench_payload_make(s->b));
    s->c = (struct bench_conn){.stream = {.fd = fds[0]}, .state = BENCH_CONNECTING};
    s->c.early = calloc(1, sizeof(struct buf));
    buf_init(s->c.early, TALK_MAX);
    s->c.sample = calloc(1, sizeof(struct bench_sample));
    bench_polling_begin(s->b, &s->c);
}

static void close_stage(struct stage *s)
{
    bench_lost(s->b, &s->c, "done");
    free(s->c.sample);
    free(s->c.sid);
    free(s->b->payload.bytes);
    free(s->b);
    close(s->peer);
}

static void feed(struct stage *s, struct str bytes)
{
    char *copy = malloc(bytes.n ? bytes.n : 1);
    memcpy(copy, bytes.p, bytes.n);
    if (bytes.n > 0)
        bench_polling_take(s->b, &s->c, (struct str){copy, bytes.n});
    free(copy);
}

/* An answer, in two pieces. */
static void answer(struct stage *s, struct str body, size_t cut)
{
    struct buf text;
    buf_init(&text, TALK_MAX);
    assert_true(buf_add_format(&text, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", body.n));
    assert_true(buf_add(&text, body));
    cut = cut < text.len ? cut : text.len;
    feed(s, (struct str){text.p, cut});
    feed(s, (struct str){text.p + cut, text.len - cut});
    buf_fini(&text);
}

/* The request that was sent, and no more than one. */
static void expect(struct stage *s, const char *first, const char *last)
{
    char got[TALK_MAX];
    ssize_t n = recv(s->peer, got, sizeof(got), 0);
    assert_true(n > 0);
    struct str said = {got, (size_t)n};
    assert_true(str_starts(said, str_from(first)));
    assert_true(said.n >= strlen(last));
    assert_true(str_eq(str_skip(said, said.n - strlen(last)), str_from(last)));
}

/* Packets: a ping, two events, one that is none. */
static void add_events(struct stage *s, struct buf *out)
{
    struct bench_payload *p = &s->b->payload;
    buf_add(out, STR("2"));
    for (uint64_t number = 0; number < 2; number++) {
        buf_add(out, STR("\x1e"
                         "42[\"msg\","));
        bench_payload_stamp(p, clock_mono_ns(), number);
        for (size_t i = 0; i < SIZE; i++)
            buf_add_char(out, (char)((uint8_t)p->bytes[p->body + i] ^ p->mask[i & 3]));
        buf_add_char(out, ']');
    }
    buf_add(out, STR("\x1e"
                     "42[\"pong\"]"));
}

static void talk(size_t cut)
{
    struct stage s;
    struct buf events;
    open_stage(&s);
    expect(&s, "GET /socket.io/?transport=polling HTTP", "Host: a:1\r\n\r\n");
    answer(&s, STR("0{\"sid\":\"abc\",\"upgrades\":[]}"), cut);
    expect(&s, "POST /socket.io/?transport=polling&sid=abc HTTP", "\r\n\r\n40");
    answer(&s, STR("ok"), cut);
    expect(&s, "GET /socket.io/?transport=polling&sid=abc HTTP", "\r\n\r\n");
    answer(&s, STR("6"), cut); // not what is waited for
    expect(&s, "GET ", "\r\n\r\n");
    answer(&s, STR("40{\"sid\":\"x\"}"), cut);
    assert_int_equal(s.c.state, BENCH_OPEN);
    expect(&s, "GET ", "\r\n\r\n");
    buf_init(&events, TALK_MAX);
    add_events(&s, &events);
    answer(&s, buf_str(&events), cut);
    buf_fini(&events);
    assert_int_equal(s.b->deliveries, 2);
    assert_int_equal(s.b->disorder, 0);
    assert_int_equal(s.b->latency.count, 2);
    expect(&s, "POST ", "\r\n\r\n3");
    answer(&s, STR("ok"), cut);
    expect(&s, "GET ", "\r\n\r\n");
    assert_int_equal(s.b->lost, 0);
    close_stage(&s);
}

static void test_every_cut(void **state)
{
    (void)state;
    for (size_t cut = 0; cut < 300; cut++)
        talk(cut);
}

static void refused(const char *text)
{
    struct stage s;
    open_stage(&s);
    feed(&s, str_from(text));
    assert_int_equal(s.b->lost, 1);
    close_stage(&s);
}

static void test_bad_answers(void **state)
{
    (void)state;
    refused("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
    refused("HTTP/1.1 200 OK\r\n\r\n");
    refused("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    refused("HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\n0{\"sid\":\"\"} ....");
    refused("HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n0{\"sid\":\"a\"}more");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_cut),
        cmocka_unit_test(test_bad_answers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
