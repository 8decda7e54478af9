/*
 * sse_reply.c - an answer that somebody reads: whole, or as an event stream.
 */
#include "carrier/sse_reply.h"

#include "base/must.h"

enum { FIELDS_ROOM = 32, LINE_ROOM = 8 };

static void request_gone(struct http_request *r, void *ctx)
{
    struct sse_reply *y = ctx;
    (void)r;
    y->http = NULL;
    y->gone(y);
}

static void stream_closed(struct carrier *c, void *ctx, enum close_reason reason, unsigned code)
{
    struct sse_reply *y = ctx;
    (void)c;
    (void)reason;
    (void)code;
    y->carrier = NULL;
    y->gone(y);
}

/* Readers have nothing to say: the carrier does not call it. */
static void stream_message(struct carrier *c, void *ctx, struct str payload, bool binary)
{
    (void)c;
    (void)ctx;
    (void)payload;
    (void)binary;
}

static const struct carrier_handler stream_handler = {.message = stream_message,
                                                      .closed = stream_closed};

void sse_reply_init(struct sse_reply *y, struct http_request *r, void (*gone)(struct sse_reply *y))
{
    *y = (struct sse_reply){.http = r, .gone = gone};
    r->gone = request_gone;
    r->gone_ctx = y;
}

struct http_request *sse_reply_take(struct sse_reply *y)
{
    struct http_request *r = y->http;
    MUST(r != NULL);
    y->http = NULL;
    r->gone = NULL;
    return r;
}

bool sse_reply_open(struct sse_reply *y, const struct sse_options *o, struct str extra)
{
    y->carrier = sse_accept(sse_reply_take(y), o, extra, &stream_handler, y);
    return y->carrier != NULL;
}

static size_t line_count(struct str data)
{
    size_t n = 1;
    for (size_t i = 0; i < data.n; i++)
        n += data.p[i] == '\n' || data.p[i] == '\r';
    return n;
}

void sse_reply_event(struct sse_reply *y, struct str type, struct str data)
{
    struct buf event;
    if (y->carrier == NULL)
        return;
    buf_init(&event, data.n + line_count(data) * LINE_ROOM + type.n + FIELDS_ROOM);
    if (sse_event(&event, STR_NONE, type, data))
        carrier_send(y->carrier, buf_str(&event));
    else
        carrier_close(y->carrier, CLOSE_INTERNAL);
    buf_fini(&event);
}

void sse_reply_close(struct sse_reply *y, enum close_reason reason)
{
    if (y->carrier != NULL)
        carrier_close(y->carrier, reason);
}
