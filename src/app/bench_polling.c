/*
 * bench_polling.c - subscribers of a Socket.IO server that poll: a connection each, and on it one
 * request at a time, GET for what came and POST for what is to be said.
 *
 * Always true: of an open connection exactly one request is unanswered; early holds what has come
 * of its answer so far.
 */
#include "app/bench.h"

#include <stdlib.h>

#include "app/ws_wire.h"

enum { REQUEST_MAX = 1 << 16 };
static const char open_key[] = "\"sid\":\"";

static void send_get(struct bench *b, struct bench_conn *c)
{
    char host[300];
    struct buf request;
    url_format_host(&b->url, host, sizeof(host));
    buf_init(&request, REQUEST_MAX);
    c->posting = false;
    bool ok = buf_add_format(&request, "GET %s%s%s HTTP/1.1\r\nHost: %s\r\n\r\n", b->protocol.path,
                             c->sid != NULL ? "&sid=" : "", c->sid != NULL ? c->sid : "", host);
    if (ok)
        bench_send(b, c, buf_str(&request));
    else
        bench_lost(b, c, "the path is too long");
    buf_fini(&request);
}

/* One packet; steps are written as a WebSocket carries them, so that its type is in the text. */
static void send_post(struct bench *b, struct bench_conn *c, const char *packet)
{
    char host[300];
    struct buf request;
    url_format_host(&b->url, host, sizeof(host));
    buf_init(&request, REQUEST_MAX);
    c->posting = true;
    bool ok = buf_add_format(&request,
                             "POST %s&sid=%s HTTP/1.1\r\nHost: %s\r\n"
                             "Content-Type: text/plain;charset=UTF-8\r\n"
                             "Content-Length: %zu\r\n\r\n%s",
                             b->protocol.path, c->sid, host, strlen(packet), packet);
    if (ok)
        bench_send(b, c, buf_str(&request));
    else
        bench_lost(b, c, "what is to be sent is too long");
    buf_fini(&request);
}

void bench_polling_begin(struct bench *b, struct bench_conn *c)
{
    c->state = BENCH_OPENING;
    send_get(b, c);
}

/* Says what is to be said next, else asks for what came. */
static void go_on(struct bench *b, struct bench_conn *c)
{
    const struct bench_setup *s = &b->protocol.subscriber;
    if (c->state == BENCH_SETUP && c->step == s->count)
        bench_opened(b, c);
    if (c->pinged) {
        c->pinged = false;
        send_post(b, c, b->protocol.pong);
    } else if (c->state == BENCH_SETUP && !s->steps[c->step].expect) {
        send_post(b, c, s->steps[c->step++].text);
    } else {
        send_get(b, c);
    }
}

static void take_open(struct bench *b, struct bench_conn *c, struct str body)
{
    struct str rest = str_skip(body, str_find(body, str_from(open_key)));
    rest = str_skip(rest, sizeof(open_key) - 1);
    rest.n = str_find(rest, STR("\""));
    c->sid = rest.n > 0 && rest.n < BENCH_SID_MAX ? str_dup(rest) : NULL;
    if (c->sid == NULL) {
        bench_lost(b, c, "the server opened no Engine.IO session");
        return;
    }
    c->state = BENCH_SETUP;
}

static void take_body(struct bench *b, struct bench_conn *c, struct str body)
{
    const struct bench_setup *s = &b->protocol.subscriber;
    if (c->state == BENCH_OPENING) {
        take_open(b, c, body);
        return;
    }
    if (c->posting)
        return;
    unsigned n = bench_count_packets(b, c, body);
    if (c->state == BENCH_SETUP) {
        if (s->steps[c->step].expect && str_find(body, str_from(s->steps[c->step].text)) < body.n)
            c->step++;
    } else if (n > 0 && b->running && c->state == BENCH_OPEN) {
        b->messages(b, c, n);
    }
}

/* The length of the head, and of the body behind it; false: not yet, or the connection is lost. */
static bool find_answer(struct bench *b, struct bench_conn *c, size_t *ret_head, uint64_t *ret_body)
{
    char why[64];
    struct str early = buf_str(c->early);
    size_t end = str_find(early, STR("\r\n\r\n"));
    if (end == early.n)
        return false;
    struct str head = {early.p, end + 4};
    unsigned status = wire_status(head);
    snprintf(why, sizeof(why), "a polling request was answered with HTTP status %u", status);
    if (status != 200)
        bench_lost(b, c, why);
    else if (!str_to_u64(wire_header(head, STR("content-length")), ret_body))
        bench_lost(b, c, "an answer without Content-Length");
    *ret_head = head.n;
    return c->state != BENCH_CLOSED && early.n - head.n >= *ret_body;
}

void bench_polling_take(struct bench *b, struct bench_conn *c, struct str bytes)
{
    size_t head;
    uint64_t n = 0;
    if (!buf_add(c->early, bytes)) {
        bench_lost(b, c, "an answer is too long");
        return;
    }
    b->bytes += bytes.n;
    if (!find_answer(b, c, &head, &n))
        return;
    take_body(b, c, (struct str){c->early->p + head, (size_t)n});
    if (c->state == BENCH_CLOSED)
        return;
    buf_take(c->early, head + (size_t)n);
    if (c->early->len > 0)
        bench_lost(b, c, "more than one answer came for a request");
    else
        go_on(b, c);
}
