/*
 * bench_conn.c - a load generator's connections: how they become open, and how their bytes move. *
 * Always true between two turns: an open connection has nothing left to read that epoll does not
 * know of; what could not be written is in its out.
 */
#include "app/bench.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>

#include "app/ws_wire.h"

enum { EVENTS_A_TURN = 512, READ_SIZE = 512 * 1024 };
enum { EARLY_MAX = 1 << 20, OUT_MAX = 256 << 20 };

/* ---- writing ---- */

static struct buf *new_buf(size_t max)
{
    struct buf *b = malloc(sizeof(*b));
    if (b != NULL)
        buf_init(b, max);
    return b;
}

static void drop_buf(struct buf **bp)
{
    if (*bp == NULL)
        return;
    buf_fini(*bp);
    free(*bp);
    *bp = NULL;
}

void bench_flush(struct bench *b, struct bench_conn *c)
{
    size_t sent = 0;
    while (c->out != NULL && sent < c->out->len) {
        ssize_t n = stream_write(&c->stream, c->out->p + sent, c->out->len - sent);
        if (n < 0 && errno != EAGAIN) {
            bench_lost(b, c, strerror(errno));
            return;
        }
        if (n < 0)
            break;
        sent += (size_t)n;
    }
    if (c->out == NULL)
        return;
    buf_take(c->out, sent);
    if (c->out->len == 0 && !c->publisher)
        drop_buf(&c->out);
}

void bench_queue(struct bench *b, struct bench_conn *c, struct str bytes)
{
    if (c->state == BENCH_CLOSED)
        return;
    if (c->out == NULL)
        c->out = new_buf(OUT_MAX);
    if (c->out == NULL || !buf_add(c->out, bytes))
        bench_lost(b, c, "the server does not read what is sent to it");
}

void bench_send(struct bench *b, struct bench_conn *c, struct str bytes)
{
    ssize_t n = 0;
    if (c->state == BENCH_CLOSED)
        return;
    if (c->out == NULL || c->out->len == 0) {
        n = stream_write(&c->stream, bytes.p, bytes.n);
        if (n == (ssize_t)bytes.n)
            return;
        if (n < 0 && errno != EAGAIN) {
            bench_lost(b, c, strerror(errno));
            return;
        }
    }
    bench_queue(b, c, str_skip(bytes, n > 0 ? (size_t)n : 0));
    bench_flush(b, c); // TLS takes a record at a time: the socket may have room
}

void bench_send_frame(struct bench *b, struct bench_conn *c, uint8_t opcode, struct str payload)
{
    static const uint8_t mask[4] = {0, 0, 0, 0}; // the payload goes as it is
    uint8_t head[WIRE_HEAD_MAX];
    struct buf frame;
    size_t n = wire_write_head(head, opcode, payload.n, mask);
    buf_init(&frame, WIRE_HEAD_MAX + payload.n);
    if (buf_add(&frame, (struct str){(const char *)head, n}) && buf_add(&frame, payload))
        bench_send(b, c, buf_str(&frame));
    buf_fini(&frame);
}

void bench_lost(struct bench *b, struct bench_conn *c, const char *why)
{
    if (c->state == BENCH_CLOSED)
        return;
    if (b->lost++ == 0)
        snprintf(b->why, sizeof(b->why), "a connection was lost %s: %s",
                 c->state == BENCH_OPEN ? "while it was open" : "before it was open", why);
    c->state = BENCH_CLOSED;
    stream_close(&c->stream);
    drop_buf(&c->early);
    drop_buf(&c->out);
}

/* ---- becoming open ---- */

void bench_opened(struct bench *b, struct bench_conn *c)
{
    c->state = BENCH_OPEN;
    b->ready++;
    if (b->protocol.polling && !c->publisher)
        return;
    if (c->early != NULL && !(c->publisher && b->protocol.http))
        bench_count(b, c, buf_str(c->early));
    drop_buf(&c->early);
}

/* The number of early bytes through the answer that is waited for; 0: it is yet to come. Nobody
 * looks into a compressed frame: the first one is taken for the answer. */
static size_t answer_end(const struct bench *b, const struct bench_conn *c, struct str text)
{
    struct wire_head h;
    struct str early = buf_str(c->early);
    size_t at = str_find(early, text), end = (size_t)c->skip;
    if (at < early.n || !b->deflate)
        return at < early.n ? at + text.n : 0;
    while (end < early.n) {
        struct str frame = str_skip(early, end);
        if (wire_read_head((const uint8_t *)frame.p, frame.n, &h) != WIRE_OK ||
            frame.n - h.head_n < h.n)
            return 0;
        end += h.head_n + (size_t)h.n;
        if (h.deflated)
            return end;
    }
    return 0;
}

static void take_steps(struct bench *b, struct bench_conn *c)
{
    const struct bench_setup *s = c->publisher ? &b->protocol.publisher : &b->protocol.subscriber;
    for (; c->step < s->count && c->state == BENCH_SETUP; c->step++) {
        const struct bench_step *t = &s->steps[c->step];
        if (!t->expect) {
            bench_send_frame(b, c, WIRE_TEXT, str_from(t->text));
            continue;
        }
        size_t end = answer_end(b, c, str_from(t->text));
        if (end == 0)
            return;
        bench_count(b, c, (struct str){c->early->p, end});
        if (c->state != BENCH_CLOSED)
            buf_take(c->early, end);
    }
    if (c->state == BENCH_SETUP)
        bench_opened(b, c);
}

/* Nobody keeps a window between messages, so that one compressed frame can serve all subscribers.
 * The publisher offers nothing: what it sends is not compressed. */
static struct str offers_of(const struct bench *b, const struct bench_conn *c)
{
    if (!b->deflate || c->publisher)
        return STR_NONE;
    return STR("Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; "
               "client_no_context_takeover\r\n");
}

static void send_request(struct bench *b, struct bench_conn *c)
{
    struct url u = b->url;
    struct buf request;
    char key[WIRE_KEY_TEXT + 1];
    c->early = new_buf(EARLY_MAX);
    if (c->publisher && b->protocol.http) {
        bench_opened(b, c);
        return;
    }
    if (b->protocol.polling && !c->publisher && c->early != NULL) {
        bench_polling_begin(b, c);
        return;
    }
    snprintf(u.path, sizeof(u.path), "%s",
             c->publisher ? b->protocol.publish_path : b->protocol.path);
    buf_init(&request, EARLY_MAX);
    c->state = BENCH_OPENING;
    if (c->early != NULL && wire_add_request(&request, &u, offers_of(b, c), key))
        bench_send(b, c, buf_str(&request));
    else
        bench_lost(b, c, "out of memory");
    buf_fini(&request);
}

/* The key is not checked: a generator that opens a million has no use for it. */
static void take_reply(struct bench *b, struct bench_conn *c)
{
    char why[64];
    struct str early = buf_str(c->early);
    size_t end = str_find(early, STR("\r\n\r\n"));
    if (end == early.n)
        return;
    unsigned status = wire_status((struct str){early.p, end + 4});
    if (status != 101) {
        snprintf(why, sizeof(why), "refused with HTTP status %u", status);
        bench_lost(b, c, why);
        return;
    }
    buf_take(c->early, end + 4);
    c->state = BENCH_SETUP;
    take_steps(b, c);
}

static void go_on_tls(struct bench *b, struct bench_conn *c)
{
    int ret = SSL_do_handshake(c->stream.ssl);
    int e = ret == 1 ? SSL_ERROR_NONE : SSL_get_error(c->stream.ssl, ret);
    if (ret == 1)
        send_request(b, c);
    else if (e != SSL_ERROR_WANT_READ && e != SSL_ERROR_WANT_WRITE)
        bench_lost(b, c,
                   SSL_get_verify_result(c->stream.ssl) != X509_V_OK
                       ? "the server's certificate is not good for its name; see --insecure"
                       : "the TLS handshake failed");
}

static void connected(struct bench *b, struct bench_conn *c)
{
    int error = 0;
    socklen_t len = sizeof(error);
    getsockopt(c->stream.fd, SOL_SOCKET, SO_ERROR, &error, &len);
    if (error != 0) {
        bench_lost(b, c, strerror(error));
        return;
    }
    if (b->tls == NULL) {
        send_request(b, c);
        return;
    }
    c->state = BENCH_TLS;
    if (stream_start_tls(&c->stream, b->tls, b->url.host))
        go_on_tls(b, c);
    else
        bench_lost(b, c, "TLS: out of memory");
}

/* ---- reading ---- */

static void check_http(struct bench *b, struct bench_conn *c, struct str bytes)
{
    if (str_starts(bytes, STR("HTTP/1.1 ")) && wire_status(bytes) != 200)
        bench_lost(b, c, "a publish request was refused: is the API key right?");
    else if (str_find(bytes, STR("\"error\"")) < bytes.n)
        bench_lost(b, c, "a publish request was answered with an error");
}

/* A publisher that may not publish is told so; without a look at it nothing would happen at all. */
static void check_publisher(struct bench *b, struct str bytes)
{
    size_t at = str_find(bytes, STR("\"error\""));
    struct str said = str_skip(bytes, at);
    said.n = str_find(said, STR("}"));
    said.n = said.n < 200 ? said.n : 200;
    if (at < bytes.n)
        bench_fail(b, "the server refused what was published: %.*s", STR_FMT(said));
}

static void take_open(struct bench *b, struct bench_conn *c, struct str bytes)
{
    if (c->publisher && b->protocol.http) {
        check_http(b, c, bytes);
        return;
    }
    b->bytes += c->publisher ? 0 : bytes.n;
    if (b->answers || (c->publisher && b->running && b->completed == 0))
        check_publisher(b, bytes);
    unsigned n = bench_count(b, c, bytes);
    if (n > 0 && b->running && !c->publisher && c->state == BENCH_OPEN)
        b->messages(b, c, n);
}

static void take_early(struct bench *b, struct bench_conn *c, struct str bytes)
{
    if (c->early == NULL || !buf_add(c->early, bytes))
        bench_lost(b, c, "too much came before the connection was open");
    else if (c->state == BENCH_OPENING)
        take_reply(b, c);
    else
        take_steps(b, c);
}

static void read_all(struct bench *b, struct bench_conn *c)
{
    while (c->state != BENCH_CLOSED) {
        ssize_t n = stream_read(&c->stream, b->read_buf, READ_SIZE);
        if (n < 0 && errno == EAGAIN)
            return;
        if (n <= 0) {
            bench_lost(b, c, n == 0 ? "closed by the server" : strerror(errno));
            return;
        }
        struct str bytes = {b->read_buf, (size_t)n};
        if (b->protocol.polling && !c->publisher)
            bench_polling_take(b, c, bytes);
        else if (c->state == BENCH_OPEN)
            take_open(b, c, bytes);
        else
            take_early(b, c, bytes);
        if (c->stream.ssl == NULL && n < READ_SIZE)
            return; // the socket is empty: what comes later is a new event
    }
}

void bench_poll(struct bench *b, int timeout_ms)
{
    struct epoll_event events[EVENTS_A_TURN];
    int n = epoll_wait(b->epoll_fd, events, EVENTS_A_TURN, b->spin && b->running ? 0 : timeout_ms);
    for (int i = 0; i < n; i++) {
        struct bench_conn *c = events[i].data.ptr;
        if (c->state == BENCH_CONNECTING)
            connected(b, c);
        else if (c->state == BENCH_TLS)
            go_on_tls(b, c);
        if (c->state == BENCH_CONNECTING || c->state == BENCH_TLS || c->state == BENCH_CLOSED)
            continue;
        if ((events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0)
            read_all(b, c);
        if (c->state != BENCH_CLOSED && c->out != NULL && c->out->len > 0)
            bench_flush(b, c);
    }
}
