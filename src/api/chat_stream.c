/*
 * chat_stream.c - a question whose answer is the event stream of that answer: the events that its
 * channel hears, for those who follow no channel.
 *
 * Always true: a stream is freed when its reader has gone and the end of the answer has been told,
 * or is not waited for any more.
 */
#include "api/chat_stream.h"
#include "api/rest.h"

#include "base/must.h"
#include "carrier/sse_reply.h"

#include <stdlib.h>

enum { ROW_ROOM = 16 << 10, EVENT_ROOM = 256 };

struct stream {
    const struct api *api;
    struct sse_reply reply;
    struct chat_asker *asker; // NULL: its end was told, or it has left
    int64_t id;               // of the answer
    uint64_t seq;
};

static void stream_settle(struct stream *s)
{
    if (!sse_reply_has_reader(&s->reply) && s->asker == NULL)
        free(s);
}

/* ---- the reader ---- */

static void reader_gone(struct stream *s)
{
    chat_leave(&s->asker);
    stream_settle(s);
}

static void stream_gone(struct sse_reply *y)
{
    reader_gone(container_of(y, struct stream, reply));
}

/* ---- events ---- */

static void send_message(struct stream *s, const struct chat_message *m)
{
    struct buf row;
    buf_init(&row, json_string_bytes_max(m->content) + ROW_ROOM);
    if (chat_message_write(&row, m))
        sse_reply_event(&s->reply, STR("chat:message"), buf_str(&row));
    buf_fini(&row);
}

static void accepted(void *ctx, const struct chat_message *question,
                     const struct chat_message *answer)
{
    struct stream *s = ctx;
    s->id = answer->id;
    if (!sse_reply_open(&s->reply, &s->api->sse, STR_NONE)) {
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
        sse_reply_event(&s->reply, STR("chat:append"), buf_str(&data));
    buf_fini(&data);
}

static void ended(void *ctx, const struct chat_end *end)
{
    struct stream *s = ctx;
    s->asker = NULL;
    if (s->reply.http != NULL) {
        rest_fail(sse_reply_take(&s->reply), end->err, end->why);
    } else if (s->reply.carrier != NULL) {
        send_message(s, end->answer);
        sse_reply_close(&s->reply, CLOSE_NORMAL);
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
    s->asker = chat_send(api->chat, hub, q, &asker_ops, s);
    if (s->asker == NULL) {
        free(s);
        http_refuse(r, ERR_INTERNAL, "out of memory");
        return;
    }
    sse_reply_init(&s->reply, r, stream_gone);
}
