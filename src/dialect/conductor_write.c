/*
 * conductor_write.c - what the clients of the conductor are sent: frames with float seconds, and
 * REST answers in the shape of the framework that they know.
 *
 * Why it exists: an event is encoded once per framing however many follow. Always true: a frame is
 * one line, because some read the event stream line by line; white space between the tokens of the
 * data may therefore change, nothing else.
 */
#include "dialect/conductor_priv.h"

#include <stdio.h>

size_t stamp_write(int64_t wall_ms, char at[STAMP_MAX])
{
    uint64_t ms = wall_ms > 0 ? (uint64_t)wall_ms : 0;
    size_t n = u64_digits(at, ms / 1000);
    uint64_t us = ms % 1000 * 1000;
    at[n] = '.';
    for (size_t i = 6; i > 0; i--, us /= 10)
        at[n + i] = (char)('0' + us % 10);
    return n + 7;
}

/* In JSON a raw line end can only stand between two tokens. */
static void flatten(struct buf *out, size_t from)
{
    buf_replace(out, from, '\n', ' ');
    buf_replace(out, from, '\r', ' ');
}

static struct str type_or_message(struct str type)
{
    return type.n > 0 ? type : STR("message");
}

/* The pages read fields of the data without asking whether it is there. */
static struct str data_or_empty(struct str data)
{
    return data.n > 0 && !str_eq(data, STR("null")) ? data : STR("{}");
}

static bool put_event(struct buf *out, struct str head, struct str type, struct str data,
                      int64_t wall_ms)
{
    char stamp[STAMP_MAX];
    return buf_add(out, head) && json_write_string(out, type_or_message(type)) &&
           buf_add(out, STR(",\"data\":")) && buf_add(out, data_or_empty(data)) &&
           buf_add(out, STR(",\"timestamp\":")) &&
           buf_add(out, (struct str){stamp, stamp_write(wall_ms, stamp)});
}

bool frame_write(struct buf *out, struct str type, struct str data, int64_t wall_ms)
{
    size_t start = out->len;
    bool ok = put_event(out, STR("{\"type\":"), type, data, wall_ms) && buf_add_char(out, '}');
    if (ok)
        flatten(out, start);
    else
        out->len = start;
    return ok;
}

bool job_frame_write(struct buf *out, const struct publication *p, struct str job_id)
{
    size_t start = out->len;
    bool ok = put_event(out, STR("{\"event\":"), p->type, p->data, p->time_ms) &&
              buf_add(out, STR(",\"job_id\":")) && json_write_string(out, job_id) &&
              buf_add_char(out, '}');
    if (ok)
        flatten(out, start);
    else
        out->len = start;
    return ok;
}

bool message_write(struct buf *out, struct str message)
{
    return buf_add(out, STR("{\"message\":")) && json_write_string(out, message) &&
           buf_add_char(out, '}');
}

/* ---- publications ---- */

static size_t event_bytes_max(struct str channel, const struct publication *p)
{
    (void)channel;
    return json_string_bytes_max(p->type) + p->data.n + FRAME_ROOM;
}

static bool event_write(struct buf *out, struct str channel, const struct publication *p)
{
    (void)channel;
    return frame_write(out, p->type, p->data, p->time_ms);
}

const struct ws_writer conductor_writer = {event_bytes_max, event_write};

static bool encode(const struct encoding *e, struct str channel, const struct publication *p,
                   struct buf *out)
{
    return p->kind == EVENT_PUBLICATION && ws_encoding_event(e, &conductor_writer, channel, p, out);
}

const struct encoding *conductor_encoding(const struct framing *f)
{
    static const struct encoding table[WS_FRAMINGS] = WS_ENCODINGS("conductor", encode);
    return ws_encoding(table, f);
}

/* ---- answers ---- */

void reply_detail(struct http_request *r, unsigned status, struct str text)
{
    char at[1024];
    struct buf b = buf_on(at, sizeof(at));
    bool ok =
        buf_add(&b, STR("{\"detail\":")) && json_write_string(&b, text) && buf_add_char(&b, '}');
    http_reply(r, status, STR("application/json"), ok ? buf_str(&b) : STR("{}"), STR_NONE);
}

void reply_invalid(struct http_request *r, struct str kind, struct str where, struct str message)
{
    char at[1024];
    struct buf b = buf_on(at, sizeof(at));
    struct json_writer w;
    json_writer_init(&w, &b);
    json_open_object(&w);
    json_open_array(json_key(&w, STR("detail")));
    json_open_object(&w);
    json_put_string(json_key(&w, STR("type")), kind);
    json_put_raw(json_key(&w, STR("loc")), where);
    json_put_string(json_key(&w, STR("msg")), message);
    json_close_object(&w);
    json_close_array(&w);
    json_close_object(&w);
    http_reply(r, 422, STR("application/json"), json_done(&w) ? buf_str(&b) : STR("{}"), STR_NONE);
}
