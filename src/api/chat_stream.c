/*
 * chat_stream.c - a question whose answer is the event stream of that answer: the events that its
 * channel hears, for those who follow no channel.
 *
 * Always true: a stream is freed when its reader has gone and the end of the answer has been told,
 * or is not waited for any more.
 */
#include "api/chat_stream.h"

#include <stdlib.h>

enum { ROW_ROOM = 16 << 10, EVENT_ROOM = 256 };

struct stream {
    const struct api *api;
    struct http_request *http; // NULL: answered, or its peer has gone
    struct carrier *carrier;   // NULL: there is no stream yet, or no more
    struct chat_asker *asker;  // NULL: its end was told, or it has left
    int64_t id;                // of the answer
    uint64_t seq;
};

unsigned chat_status_of(enum err err)
{
    return err == ERR_TOO_MANY_REQUESTS || err == ERR_NOT_AVAILABLE ? 503 : err_http_status(err);
}

static void stream_settle(struct stream *s)
{
    if (s->http == NULL && s->carrier == NULL && s->asker == NULL)
        free(s);
}

/* ---- the reader ---- */

static void reader_gone(struct stream *s)
{
    chat_leave(&s->asker);
    stream_settle(s);
}

static void request_gone(struct http_request *r, void *ctx)
{
    struct stream *s = ctx;
    (void)r;
    s->http = NULL;
    reader_gone(s);
}

static void stream_closed(struct carrier *c, void *ctx, enum close_reason reason, unsigned code)
{
    struct stream *s = ctx;
    (void)c;
    (void)reason;
    (void)code;
    s->carrier = NULL;
    reader_gone(s);
}

static void stream_message(struct carrier *c, void *ctx, struct str payload, bool binary)
{
    (void)c;
    (void)ctx;
    (void)payload;
    (void)binary;
}

static const struct carrier_handler stream_handler = {.message = stream_message,
                                                      .closed = stream_closed};

static struct http_request *take_request(struct stream *s)
{
    struct http_request *r = s->http;
    s->http = NULL;
    r->gone = NULL;
    return r;
}

/* ---- events ---- */

static void send_event(struct stream *s, struct str type, struct str data)
{
    struct buf event;
    if (s->carrier == NULL)
        return;
    buf_init(&event, data.n + EVENT_ROOM);
    if (sse_event(&event, STR_NONE, type, data))
        carrier_send(s->carrier, buf_str(&event));
    else
        carrier_close(s->carrier, CLOSE_INTERNAL); // nothing may be left out
    buf_fini(&event);
}

static void send_message(struct stream *s, const struct chat_message *m)
{
    struct buf row;
    buf_init(&row, json_string_bytes_max(m->content) + ROW_ROOM);
    if (chat_message_write(&row, m))
        send_event(s, STR("chat:message"), buf_str(&row));
    buf_fini(&row);
}

static void accepted(void *ctx, const struct chat_message *question,
                     const struct chat_message *answer)
{
    struct stream *s = ctx;
    s->id = answer->id;
    s->carrier = sse_accept(take_request(s), &s->api->sse, STR_NONE, &stream_handler, s);
    if (s->carrier == NULL) {
        reader_gone(s);
        return;
    }
    send_message(s, question);
    send_message(s, answer);
}

static void token(void *ctx, struct str text)
{
    struct stream *s = ctx;
    struct buf data;
    buf_init(&data, json_string_bytes_max(text) + EVENT_ROOM);
    if (buf_add(&data, STR("{\"id\":")) && json_write_i64(&data, s->id) &&
        buf_add(&data, STR(",\"seq\":")) && buf_add_u64(&data, ++s->seq) &&
        buf_add(&data, STR(",\"text\":")) && json_write_string(&data, text) &&
        buf_add_char(&data, '}'))
        send_event(s, STR("chat:append"), buf_str(&data));
    buf_fini(&data);
}

static void ended(void *ctx, const struct chat_end *end)
{
    struct stream *s = ctx;
    s->asker = NULL;
    if (s->http != NULL) {
        http_reply_error(take_request(s), chat_status_of(end->err), err_code(end->err), end->why);
    } else if (s->carrier != NULL) {
        send_message(s, end->answer);
        carrier_close(s->carrier, CLOSE_NORMAL);
    }
    stream_settle(s);
}

static const struct chat_asker_ops asker_ops = {accepted, token, ended};

void chat_stream_start(struct http_request *r, const struct api *api, struct hub *hub,
                       const struct chat_question *q)
{
    struct stream *s = calloc(1, sizeof(*s));
    if (s == NULL) {
        http_refuse(r, ERR_INTERNAL, "out of memory");
        return;
    }
    s->api = api;
    s->http = r;
    s->asker = chat_send(api->chat, hub, q, &asker_ops, s);
    if (s->asker == NULL) {
        free(s);
        http_refuse(r, ERR_INTERNAL, "out of memory");
        return;
    }
    r->gone = request_gone;
    r->gone_ctx = s;
}
