/*
 * ws_client.c - a small WebSocket client that waits.
 *
 * Always true between two calls: in holds, from used on, what was not handed out yet; message holds
 * the frames so far of a message that was cut, and is empty otherwise.
 */
#include "app/ws_client.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>

#include "app/ws_wire.h"
#include "base/clock.h"

enum { READ_SIZE = 65536, HEAD_MAX = 16384, SEND_TIMEOUT_MS = 10000 };

static void set_why(struct ws_client *c, const char *text)
{
    snprintf(c->why, sizeof(c->why), "%s", text);
}

static bool write_buf(struct ws_client *c, struct buf *out)
{
    bool ok = out->len > 0 && stream_write_all(&c->stream, out->p, out->len, SEND_TIMEOUT_MS);
    if (!ok)
        set_why(c, strerror(errno));
    buf_fini(out);
    return ok;
}

static bool send_frame(struct ws_client *c, uint8_t opcode, struct str payload)
{
    struct buf out;
    buf_init(&out, WS_CLIENT_MESSAGE_MAX);
    if (wire_add_frame(&out, opcode, payload))
        return write_buf(c, &out);
    set_why(c, "the message is too long");
    buf_fini(&out);
    return false;
}

bool ws_client_send(struct ws_client *c, struct str text)
{
    return send_frame(c, WIRE_TEXT, text);
}

/* One read of what is there. WS_CLIENT_MESSAGE: something came. */
static enum ws_client_event fill(struct ws_client *c, uint64_t until_ns, int stop_fd)
{
    buf_take(&c->in, c->used);
    c->used = 0;
    if (!buf_reserve(&c->in, READ_SIZE)) {
        set_why(c, "the message is too long");
        return WS_CLIENT_CLOSED;
    }
    for (;;) {
        ssize_t n = stream_read(&c->stream, c->in.p + c->in.len, READ_SIZE);
        if (n > 0) {
            c->in.len += (size_t)n;
            return WS_CLIENT_MESSAGE;
        }
        if (n == 0 || errno != EAGAIN) {
            set_why(c, n == 0 ? "the connection was closed" : strerror(errno));
            return WS_CLIENT_CLOSED;
        }
        uint64_t now = clock_mono_ns();
        if (now >= until_ns)
            return WS_CLIENT_TIMEOUT;
        short events = c->stream.wants_write ? POLLOUT : POLLIN;
        struct pollfd p[2] = {{.fd = c->stream.fd, .events = events},
                              {.fd = stop_fd, .events = POLLIN}};
        poll(p, 2, (int)((until_ns - now) / 1000000 + 1));
        if (p[1].revents != 0)
            return WS_CLIENT_STOPPED;
    }
}

/* ---- opening ---- */

/* Waits for the head of the answer; what follows it stays in c->in. */
static bool read_reply(struct ws_client *c, const char *key, uint64_t until_ns)
{
    for (;;) {
        size_t end = str_find(buf_str(&c->in), STR("\r\n\r\n"));
        if (end < c->in.len) {
            struct str head = {c->in.p, end + 4};
            const char *wrong = wire_check_reply(head, key);
            c->status = wire_status(head);
            if (wrong != NULL && c->status != 0 && c->status != 101)
                snprintf(c->why, sizeof(c->why), "%s (status %u)", wrong, c->status);
            else if (wrong != NULL)
                set_why(c, wrong);
            buf_take(&c->in, head.n);
            return wrong == NULL;
        }
        if (c->in.len > HEAD_MAX) {
            set_why(c, "the answer is not HTTP");
            return false;
        }
        enum ws_client_event e = fill(c, until_ns, -1);
        if (e == WS_CLIENT_TIMEOUT)
            set_why(c, "no answer within the time limit");
        if (e != WS_CLIENT_MESSAGE)
            return false;
    }
}

bool ws_client_open(struct ws_client *c, const struct url *u, SSL_CTX *tls, struct str headers,
                    int timeout_ms)
{
    struct buf request;
    char key[WIRE_KEY_TEXT + 1];
    uint64_t until = clock_mono_ns() + (uint64_t)timeout_ms * 1000000;
    *c = (struct ws_client){.stream = {.fd = -1}, .close_code = 1006};
    buf_init(&c->in, WS_CLIENT_MESSAGE_MAX);
    buf_init(&c->message, WS_CLIENT_MESSAGE_MAX);
    if (!stream_connect(&c->stream, u, u->tls ? tls : NULL, timeout_ms, c->why, sizeof(c->why)))
        return false;
    buf_init(&request, HEAD_MAX);
    bool ok = wire_add_request(&request, u, headers, key);
    if (!ok)
        set_why(c, "the request is too long");
    if (ok && write_buf(c, &request) && read_reply(c, key, until))
        return true;
    buf_fini(&request);
    stream_close(&c->stream);
    return false;
}

void ws_client_close(struct ws_client *c, uint16_t code)
{
    char payload[2] = {(char)(code >> 8), (char)code};
    if (c->stream.fd >= 0 && c->in.max > 0)
        send_frame(c, WIRE_CLOSE, (struct str){payload, 2});
    if (c->in.max > 0)
        stream_close(&c->stream);
    buf_fini(&c->in);
    buf_fini(&c->message);
    c->in.max = 0;
}

/* ---- reading ---- */

static void take_close(struct ws_client *c, struct str payload)
{
    c->close_code = 1005;
    set_why(c, "the server closed the connection");
    if (payload.n >= 2) {
        c->close_code = (unsigned)((uint8_t)payload.p[0] << 8 | (uint8_t)payload.p[1]);
        struct str reason = str_skip(payload, 2);
        snprintf(c->why, sizeof(c->why), "closed by the server: %u %.*s", c->close_code,
                 STR_FMT(reason));
    }
    char keep[WS_CLIENT_WHY_MAX];
    memcpy(keep, c->why, sizeof(keep));
    send_frame(c, WIRE_CLOSE, (struct str){payload.p, payload.n < 2 ? 0 : 2});
    memcpy(c->why, keep, sizeof(keep));
}

enum frame_result { FRAME_MORE, FRAME_TAKEN, FRAME_MESSAGE, FRAME_END };

static enum frame_result refuse(struct ws_client *c, const char *text)
{
    set_why(c, text);
    return FRAME_END;
}

/* A data frame; a message in one frame is handed out where it stands. */
static enum frame_result take_data(struct ws_client *c, struct wire_head h, struct str payload,
                                   struct str *ret_message)
{
    if (h.deflated || (h.opcode == WIRE_CONTINUATION) != c->in_message)
        return refuse(c, "the server broke the WebSocket protocol");
    c->in_message = !h.fin;
    if (h.fin && h.opcode != WIRE_CONTINUATION) {
        *ret_message = payload;
        return FRAME_MESSAGE;
    }
    if (h.opcode != WIRE_CONTINUATION)
        buf_clear(&c->message);
    if (!buf_add(&c->message, payload))
        return refuse(c, "the message is too long");
    *ret_message = buf_str(&c->message);
    return h.fin ? FRAME_MESSAGE : FRAME_TAKEN;
}

static enum frame_result take_frame(struct ws_client *c, struct str *ret_message)
{
    struct wire_head h;
    struct str left = str_skip(buf_str(&c->in), c->used);
    enum wire_result r = wire_read_head((const uint8_t *)left.p, left.n, &h);
    if (r == WIRE_BAD)
        return refuse(c, "the server broke the WebSocket protocol");
    if (r == WIRE_OK && h.n > WS_CLIENT_MESSAGE_MAX - READ_SIZE)
        return refuse(c, "the message is too long");
    if (r == WIRE_MORE || left.n - h.head_n < h.n)
        return FRAME_MORE;
    struct str payload = {left.p + h.head_n, (size_t)h.n};
    c->used += h.head_n + payload.n;
    switch (h.opcode) {
    case WIRE_CLOSE:
        take_close(c, payload);
        return FRAME_END;
    case WIRE_PING:
        return send_frame(c, WIRE_PONG, payload) ? FRAME_TAKEN : FRAME_END;
    case WIRE_PONG:
        return FRAME_TAKEN;
    default:
        return take_data(c, h, payload, ret_message);
    }
}

enum ws_client_event ws_client_read(struct ws_client *c, int timeout_ms, int stop_fd,
                                    struct str *ret_message)
{
    uint64_t until = clock_mono_ns() + (uint64_t)timeout_ms * 1000000;
    for (;;) {
        enum frame_result r = take_frame(c, ret_message);
        if (r == FRAME_MESSAGE)
            return WS_CLIENT_MESSAGE;
        if (r == FRAME_END)
            return WS_CLIENT_CLOSED;
        if (r == FRAME_TAKEN)
            continue;
        enum ws_client_event e = fill(c, until, stop_fd);
        if (e != WS_CLIENT_MESSAGE)
            return e;
    }
}
