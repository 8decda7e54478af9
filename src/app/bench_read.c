/*
 * bench_read.c - finds the messages in what a connection receives.
 *
 * What counts is a message at least as long as the published JSON and what is known to be around
 * it; pings, acknowledgements and answers are shorter than its least size. A compressed frame is
 * one message: it is counted, and nobody looks into it.
 *
 * Always true between two calls: skip bytes of the current frame are still to come; head holds the
 * first bytes of a frame head that was cut.
 */
#include "app/bench.h"

#include "app/ws_wire.h"
#include "base/clock.h"

enum { PING_MAX = 4, DEFLATED_MIN = 16 };

static void look_at_sample(struct bench *b, struct bench_sample *s)
{
    uint64_t time_ns, number = 0;
    struct str message = {s->bytes, s->have};
    if (b->answers && bench_answer_read(b, message, &time_ns)) {
        if (b->measuring)
            latency_add(&b->latency, clock_mono_ns() - time_ns);
        return;
    }
    if (!bench_payload_read(message, &time_ns, &number)) {
        b->disorder++;
        return;
    }
    if (b->ordered && number != s->next_number)
        b->disorder++;
    s->next_number = number + 1;
    if (b->measuring)
        latency_add(&b->latency, clock_mono_ns() - time_ns);
}

/* More of a message: passed over, and kept only where it is looked at. */
static void extend(struct bench *b, struct bench_conn *c, struct str bytes)
{
    struct bench_sample *s = c->sample;
    if (s != NULL && b->running && s->have < BENCH_SAMPLE_BYTES) {
        size_t room = BENCH_SAMPLE_BYTES - s->have;
        size_t n = bytes.n < room ? bytes.n : room;
        if (n > 0)
            memcpy(s->bytes + s->have, bytes.p, n);
        s->have += (unsigned)n;
    }
    c->length += (uint32_t)bytes.n;
}

/* The message is whole: 1 when it counts. */
static unsigned finish(struct bench *b, struct bench_conn *c)
{
    uint32_t n = c->length;
    uint64_t least = b->answers ? bench_answer_min() : b->size + b->protocol.around;
    bool counts = n >= (c->deflated ? DEFLATED_MIN : least);
    c->length = 0;
    b->deflated += counts && c->deflated && b->running;
    if (b->protocol.pong != NULL && n > 0 && n <= PING_MAX && c->sid == NULL)
        bench_send_frame(b, c, WIRE_TEXT, str_from(b->protocol.pong));
    if (c->sample != NULL) {
        if (counts && b->running && !c->deflated)
            look_at_sample(b, c->sample);
        c->sample->have = 0;
    }
    return counts;
}

static unsigned extend_lines(struct bench *b, struct bench_conn *c, struct str bytes)
{
    unsigned count = 0;
    while (bytes.n > 0 && c->state != BENCH_CLOSED) {
        const char *end = memchr(bytes.p, '\n', bytes.n);
        size_t n = end != NULL ? (size_t)(end - bytes.p) : bytes.n;
        extend(b, c, (struct str){bytes.p, n});
        if (end == NULL)
            break;
        count += finish(b, c);
        bytes = str_skip(bytes, n + 1);
    }
    return count;
}

unsigned bench_count_packets(struct bench *b, struct bench_conn *c, struct str body)
{
    unsigned count = 0;
    while (body.n > 0) {
        struct str packet = str_cut(&body, '\x1e');
        c->pinged = c->pinged || str_eq(packet, STR("2"));
        extend(b, c, packet);
        count += finish(b, c);
    }
    return count;
}

static void take_control(struct bench *b, struct bench_conn *c, struct str bytes)
{
    if (c->opcode == WIRE_CLOSE)
        bench_lost(b, c, "closed by the server");
    else if (c->opcode == WIRE_PING && bytes.n >= c->skip) // one that is cut is not worth keeping
        bench_send_frame(b, c, WIRE_PONG, (struct str){bytes.p, (size_t)c->skip});
}

/* Reads a head from what is left over and from *bytes; false: it is not whole yet, or bad. */
static bool take_head(struct bench *b, struct bench_conn *c, struct str *bytes)
{
    struct wire_head h;
    const uint8_t *at = (const uint8_t *)bytes->p;
    size_t avail = bytes->n, have = c->head_have;
    if (have > 0 || avail < sizeof(c->head)) {
        size_t room = sizeof(c->head) - have;
        size_t n = avail < room ? avail : room;
        memcpy(c->head + have, at, n);
        avail = have + n;
        at = c->head;
    }
    enum wire_result r = wire_read_head(at, avail, &h);
    if (r == WIRE_BAD) {
        bench_lost(b, c, "the server broke the WebSocket protocol");
        return false;
    }
    if (r == WIRE_MORE) {
        c->head_have = (uint8_t)avail;
        return false;
    }
    *bytes = str_skip(*bytes, h.head_n - have);
    c->head_have = 0;
    c->opcode = h.opcode;
    c->fin = h.fin;
    c->skip = h.n;
    if (h.opcode == WIRE_TEXT || h.opcode == WIRE_BINARY)
        c->deflated = h.deflated;
    if (h.opcode >= WIRE_CLOSE)
        take_control(b, c, *bytes);
    return c->state != BENCH_CLOSED;
}

unsigned bench_count(struct bench *b, struct bench_conn *c, struct str bytes)
{
    unsigned count = 0;
    while (bytes.n > 0 && c->state != BENCH_CLOSED) {
        if (c->skip == 0 && !take_head(b, c, &bytes))
            break;
        size_t n = bytes.n < c->skip ? bytes.n : (size_t)c->skip;
        struct str part = {bytes.p, n};
        bool data = c->opcode < WIRE_CLOSE;
        if (data && b->protocol.lines && !c->deflated)
            count += extend_lines(b, c, part);
        else if (data)
            extend(b, c, part);
        bytes = str_skip(bytes, n);
        c->skip -= n;
        if (c->skip > 0)
            break;
        if (data && c->fin)
            count += finish(b, c);
    }
    return count;
}
