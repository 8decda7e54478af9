/*
 * eio_poll.c - a session whose client polls: a request waits until there is something to say.
 *
 * Why it exists: publications stand in feeds as frames for WebSockets. Here they are taken from the
 * cursors, as the flusher does for connections, and become the payload of one answer.
 *
 * Always true:
 *   I1. an answer holds whole frames only, the session's own before those of its feeds; what it
 *       holds has left the session for good.
 *   I2. the outlet is blocked whenever no poll waits.
 */
#include "carrier/eio_priv.h"

/* ---- the answer ---- */

static void reply_coded(struct http_request *r, enum eio_coding coding, struct str body)
{
    http_reply(r, 200, STR("text/plain; charset=UTF-8"), body,
               coding == EIO_GZIP ? STR("Cache-Control: no-store\r\nContent-Encoding: gzip\r\n")
               : coding == EIO_DEFLATE
                   ? STR("Cache-Control: no-store\r\nContent-Encoding: deflate\r\n")
                   : STR("Cache-Control: no-store\r\n"));
}

/* 200 with the payload, compressed where that is asked for. */
static void reply_payload(struct http_request *r, struct str payload)
{
    enum eio_coding coding = EIO_IDENTITY;
    if (payload.n >= EIO_COMPRESS_MIN)
        coding = eio_coding_choose(http_header(r, STR("Accept-Encoding")));
    struct buf coded;
    buf_init(&coded, EIO_PAYLOAD_MAX);
    if (coding != EIO_IDENTITY && eio_compress(coding, payload, &coded))
        reply_coded(r, coding, buf_str(&coded));
    else
        reply_coded(r, EIO_IDENTITY, payload);
    buf_fini(&coded);
}

static struct buf *scratch_take(struct eio_session *s)
{
    struct buf *b = &eio_loop_of(s->eio, eio_session_loop(s))->scratch;
    buf_clear(b);
    return b;
}

static void scratch_give(struct buf *b)
{
    if (b->cap > EIO_SCRATCH_KEEP)
        buf_fini(b);
}

/* The poll is the session's no more. */
static struct http_request *poll_release(struct eio_session *s)
{
    struct http_request *r = s->poll;
    s->poll = NULL;
    outlet_block(&s->outlet);
    r->gone = NULL;
    return r;
}

static bool take_own(struct eio_session *s, struct buf *payload)
{
    if (!eio_payload_add(payload, buf_str(&s->out)))
        return false;
    buf_fini(&s->out);
    return true;
}

void eio_poll_end(struct eio_session *s, enum eio_type last)
{
    if (s->poll == NULL)
        return;
    struct http_request *r = poll_release(s);
    struct buf *payload = scratch_take(s);
    char type = (char)last;
    (void)take_own(s, payload);
    if (payload->len > 0)
        (void)buf_add_char(payload, EIO_SEPARATOR);
    if (buf_add_char(payload, type))
        reply_payload(r, buf_str(payload));
    else
        reply_payload(r, (struct str){&type, 1});
    scratch_give(payload);
}

/* ---- frames of the feeds ---- */

/* False: no memory. */
static bool take_cursor(struct cursor *c, struct buf *payload, uint64_t *frames)
{
    uint64_t at = c->next;
    struct piece p;
    while (payload->len < EIO_POLL_BYTES) {
        if (!cursor_piece(c, &at, &p)) {
            cursor_advance(c, NULL, at); // the rest was for others
            return true;
        }
        if (!eio_payload_add(payload, (struct str){p.chunk->bytes + p.start, p.end - p.start}))
            return false;
        cursor_advance(c, p.chunk, p.next);
        *frames += p.count;
    }
    return true;
}

/* In a circle: no channel with much to say keeps the others from being heard. */
static bool take_feeds(struct outlet *o, struct buf *payload)
{
    struct sink *s = &o->sink;
    uint64_t frames = 0;
    struct cursor *c = s->first != NULL ? s->first : s->cursors;
    for (uint32_t i = 0; i < s->cursor_count && payload->len < EIO_POLL_BYTES; i++) {
        if (cursor_overrun(c))
            s->has_lost = true;
        else if (cursor_behind(c) && !take_cursor(c, payload, &frames))
            return false;
        c = c->next_in_sink != NULL ? c->next_in_sink : s->cursors;
    }
    s->first = c;
    outlet_count_frames(o, frames);
    return true;
}

/* Lost cursors are settled when everything else has been fetched, as on a connection. */
static void settle_overruns(struct eio_session *s)
{
    struct sink *sink = &s->outlet.sink;
    struct cursor *next;
    if (s->out.len > 0 || sink->held)
        return;
    sink->has_lost = false;
    for (struct cursor *c = sink->cursors; c != NULL && s->poll != NULL; c = next) {
        next = c->next_in_sink;
        if (cursor_overrun(c))
            c->feed->ops->overrun(c);
    }
}

static void outlet_visited(struct outlet *o)
{
    struct eio_session *s = container_of(o, struct eio_session, outlet);
    settle_overruns(s);
    if (s->poll == NULL || s->state != EIO_POLLING)
        return; // it has ended over that
    struct buf *payload = scratch_take(s);
    if (!take_own(s, payload) || (!o->sink.held && !take_feeds(o, payload)))
        eio_end(s, CLOSE_INTERNAL, EIO_CLOSE);
    else if (payload->len > 0)
        reply_payload(poll_release(s), buf_str(payload));
    scratch_give(payload);
}

static void outlet_aborted(struct outlet *o, enum close_reason reason)
{
    eio_end(container_of(o, struct eio_session, outlet), reason, EIO_CLOSE);
}

const struct outlet_ops eio_outlet_ops = {.visit = outlet_visited, .abort = outlet_aborted};

/* ---- the poll ---- */

/* What has been handed to the connection may be lost with it, so a client cannot go on after that:
 * it would not know what it misses. */
static void poll_gone(struct http_request *r, void *ctx)
{
    struct eio_session *s = ctx;
    MUST(s->poll == r);
    s->poll = NULL;
    outlet_block(&s->outlet);
    eio_end(s, CLOSE_PEER_GONE, EIO_CLOSE);
}

void eio_poll_begin(struct eio_session *s, struct http_request *r)
{
    MUST(s->poll == NULL);
    s->poll = r;
    if (s->state == EIO_LEAVING) {
        eio_end(s, (enum close_reason)s->reason, (enum eio_type)s->last);
        return;
    }
    if (s->probed) {
        struct http_request *empty = poll_release(s);
        reply_payload(empty, STR("6"));
        return;
    }
    /* It may wait for long, and a browser's head is larger than a session. */
    static const struct str kept[] = {{"Origin", 6}, {"Accept-Encoding", 15}};
    http_keep_only(r, kept, sizeof(kept) / sizeof(kept[0]));
    r->gone = poll_gone;
    r->gone_ctx = s;
    outlet_unblock(&s->outlet);
}
