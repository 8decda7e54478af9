/*
 * ws_frame.c - WebSocket frames out of a stream of bytes.
 *
 * Why it exists: the stream is cut anywhere, and what a peer may send is narrow. Every rule of RFC
 * 6455 about frames is checked here, at the first byte that breaks it, and nowhere else.
 *
 * Always true between two calls:
 *   I1. a whole message or control frame that lies in the input is handed out where it lies.
 *   I2. partial exists only while something is unfinished or was handed out by the last call.
 *   I3. nothing is stored of a frame whose head says that it is too long.
 */
#include "carrier/ws_frame.h"

#include <stdlib.h>

#include "base/buf.h"
#include "base/utf8.h"

struct ws_partial {
    struct buf message; // the fragments so far
    struct utf8_state utf8;
    uint64_t left; // of the payload of the frame begun
    uint8_t mask[4];
    uint8_t phase; // of the mask
    bool masked;
    bool in_frame;   // a head was taken, its payload not yet
    bool in_control; // that frame is a control frame
    bool fin;
    bool in_message; // fragments were taken and the last is still to come
    bool binary, deflated;
    uint8_t control_op, control_len;
    char control[WS_CONTROL_MAX];
};

struct ws_head {
    uint64_t len;
    const uint8_t *mask; // NULL: none
    uint8_t op;
    bool fin, rsv1;
};

static bool op_is_control(unsigned op)
{
    return (op & 8) != 0;
}

void ws_mask(char *p, size_t n, const uint8_t key[4], unsigned phase)
{
    uint8_t k[8];
    for (unsigned i = 0; i < 8; i++)
        k[i] = key[(phase + i) & 3];
    uint64_t k64;
    memcpy(&k64, k, 8);
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        uint64_t v;
        memcpy(&v, p + i, 8);
        v ^= k64;
        memcpy(p + i, &v, 8);
    }
    for (; i < n; i++)
        p[i] = (char)((uint8_t)p[i] ^ k[i & 7]);
}

void ws_parser_init(struct ws_parser *p, uint32_t message_max, bool deflate)
{
    *p = (struct ws_parser){.message_max = message_max, .deflate = deflate};
}

static void partial_free(struct ws_parser *p)
{
    if (p->partial == NULL)
        return;
    buf_fini(&p->partial->message);
    free(p->partial);
    p->partial = NULL;
}

void ws_parser_fini(struct ws_parser *p)
{
    partial_free(p);
    p->head_len = 0;
}

static enum ws_event broken(struct ws_item *ret, enum close_reason reason)
{
    *ret = (struct ws_item){.reason = reason};
    return WS_BROKEN;
}

/* The limit of a message on the wire: deflating can make what does not shrink a little longer. */
static uint64_t wire_max(const struct ws_parser *p, bool deflated)
{
    uint64_t max = p->message_max;
    return deflated ? max + max / 8 + 64 : max;
}

static bool in_message(const struct ws_parser *p)
{
    return p->partial != NULL && p->partial->in_message;
}

/* What the first two bytes of a head may say here. */
static bool head_start_ok(const struct ws_parser *p, const uint8_t *h)
{
    unsigned op = h[0] & 0x0f;
    if ((h[0] & 0x30) != 0 || ((h[1] & WS_MASKED) == 0) != p->client)
        return false;
    if (op_is_control(op))
        return op <= WS_OP_PONG && (h[0] & WS_FIN) && !(h[0] & WS_RSV1) &&
               (h[1] & 0x7f) <= WS_CONTROL_MAX;
    if (op == WS_OP_CONTINUATION)
        return in_message(p) && !(h[0] & WS_RSV1);
    return op <= WS_OP_BINARY && !in_message(p) && (!(h[0] & WS_RSV1) || p->deflate);
}

static size_t head_size(const uint8_t *h)
{
    size_t length_n = (h[1] & 0x7f) == 126 ? 2 : (h[1] & 0x7f) == 127 ? 8 : 0;
    return 2 + length_n + ((h[1] & WS_MASKED) ? 4 : 0);
}

/* Reads a whole head whose first two bytes were found good. */
static enum close_reason head_read(const struct ws_parser *p, const uint8_t *h, struct ws_head *ret)
{
    size_t length_n = (h[1] & 0x7f) == 126 ? 2 : (h[1] & 0x7f) == 127 ? 8 : 0;
    uint64_t len = length_n == 0 ? h[1] & 0x7f : 0;
    for (size_t i = 0; i < length_n; i++)
        len = len << 8 | h[2 + i];
    if ((length_n == 2 && len < 126) || (length_n == 8 && len < 65536) || len >> 63)
        return CLOSE_BAD_FRAME; // the shortest form is a must, and so is a clear top bit
    *ret = (struct ws_head){
        .len = len,
        .mask = (h[1] & WS_MASKED) ? h + 2 + length_n : NULL,
        .op = h[0] & 0x0f,
        .fin = (h[0] & WS_FIN) != 0,
        .rsv1 = (h[0] & WS_RSV1) != 0,
    };
    if (op_is_control(ret->op))
        return CLOSE_NONE;
    uint64_t before = in_message(p) ? p->partial->message.len : 0;
    bool deflated = in_message(p) ? p->partial->deflated : ret->rsv1;
    return len > wire_max(p, deflated) - before ? CLOSE_TOO_BIG : CLOSE_NONE;
}

static enum ws_event control_event(unsigned op)
{
    return op == WS_OP_CLOSE ? WS_CLOSE : op == WS_OP_PING ? WS_PING : WS_PONG;
}

/* A frame that is a whole message, or a control frame, and lies in the input. */
static enum ws_event take_whole(struct ws_input *in, const struct ws_head *h, struct ws_item *ret)
{
    size_t n = (size_t)h->len;
    if (h->mask != NULL)
        ws_mask(in->p, n, h->mask, 0);
    *ret =
        (struct ws_item){.p = in->p, .n = n, .binary = h->op == WS_OP_BINARY, .deflated = h->rsv1};
    in->p += n;
    in->n -= n;
    if (op_is_control(h->op))
        return control_event(h->op);
    if (h->op == WS_OP_TEXT && !h->rsv1 && !utf8_valid((struct str){ret->p, n}))
        return broken(ret, CLOSE_BAD_UTF8);
    return WS_MESSAGE;
}

/* A frame that the input does not hold whole, or a fragment: its payload is collected. */
static bool frame_begin(struct ws_parser *p, const struct ws_head *h)
{
    struct ws_partial *pt = p->partial;
    if (pt == NULL) {
        pt = p->partial = calloc(1, sizeof(*pt));
        if (pt == NULL)
            return false;
    }
    pt->in_frame = true;
    pt->in_control = op_is_control(h->op);
    pt->left = h->len;
    pt->masked = h->mask != NULL;
    pt->phase = 0;
    if (h->mask != NULL)
        memcpy(pt->mask, h->mask, 4);
    if (pt->in_control) {
        pt->control_op = h->op;
        pt->control_len = 0;
        return true;
    }
    pt->fin = h->fin;
    if (h->op != WS_OP_CONTINUATION) {
        pt->in_message = true;
        pt->binary = h->op == WS_OP_BINARY;
        pt->deflated = h->rsv1;
        buf_init(&pt->message, (size_t)wire_max(p, h->rsv1));
        utf8_init(&pt->utf8);
    }
    return true;
}

/* The head of the next frame, out of the input or put together out of several. NULL: not whole yet.
 * The bytes stay good until the input is unmasked. */
static const uint8_t *head_take(struct ws_parser *p, struct ws_input *in, bool *ret_bad)
{
    if (p->head_len == 0 && in->n >= 2) {
        const uint8_t *h = (const uint8_t *)in->p;
        *ret_bad = !head_start_ok(p, h);
        size_t size = head_size(h);
        if (!*ret_bad && in->n >= size) {
            in->p += size;
            in->n -= size;
            return h;
        }
    }
    while (!*ret_bad && in->n > 0) {
        p->head[p->head_len++] = (uint8_t)*in->p++;
        in->n--;
        if (p->head_len == 2)
            *ret_bad = !head_start_ok(p, p->head);
        if (p->head_len >= 2 && p->head_len == head_size(p->head)) {
            p->head_len = 0;
            return *ret_bad ? NULL : p->head;
        }
    }
    return NULL;
}

/* True: *ret_event is decided. False: go on with the payload of the frame begun. */
static bool take_head(struct ws_parser *p, struct ws_input *in, struct ws_item *ret,
                      enum ws_event *ret_event)
{
    bool bad = false;
    const uint8_t *bytes = head_take(p, in, &bad);
    *ret_event = WS_MORE;
    if (bad)
        *ret_event = broken(ret, CLOSE_BAD_FRAME);
    if (bytes == NULL)
        return true;
    struct ws_head h;
    enum close_reason reason = head_read(p, bytes, &h);
    if (reason != CLOSE_NONE) {
        *ret_event = broken(ret, reason);
        return true;
    }
    bool whole = h.fin && h.op != WS_OP_CONTINUATION && h.len <= in->n;
    if (whole) {
        *ret_event = take_whole(in, &h, ret);
        return true;
    }
    if (!frame_begin(p, &h)) {
        *ret_event = broken(ret, CLOSE_INTERNAL);
        return true;
    }
    return false;
}

static enum close_reason partial_add(struct ws_partial *pt, struct str piece)
{
    if (pt->in_control) {
        if (piece.n > 0)
            memcpy(pt->control + pt->control_len, piece.p, piece.n);
        pt->control_len = (uint8_t)(pt->control_len + piece.n);
        return CLOSE_NONE;
    }
    if (!pt->binary && !pt->deflated && !utf8_feed(&pt->utf8, piece))
        return CLOSE_BAD_UTF8;
    return buf_add(&pt->message, piece) ? CLOSE_NONE : CLOSE_INTERNAL;
}

/* The frame begun is complete: what has it finished? */
static bool frame_end(struct ws_partial *pt, struct ws_item *ret, enum ws_event *ret_event)
{
    pt->in_frame = false;
    if (pt->in_control) {
        *ret = (struct ws_item){.p = pt->control, .n = pt->control_len};
        *ret_event = control_event(pt->control_op);
        return true;
    }
    if (!pt->fin)
        return false;
    pt->in_message = false;
    *ret = (struct ws_item){
        .p = pt->message.p, .n = pt->message.len, .binary = pt->binary, .deflated = pt->deflated};
    bool valid = pt->binary || pt->deflated || utf8_done(&pt->utf8);
    *ret_event = valid ? WS_MESSAGE : broken(ret, CLOSE_BAD_UTF8);
    return true;
}

static bool take_payload(struct ws_parser *p, struct ws_input *in, struct ws_item *ret,
                         enum ws_event *ret_event)
{
    struct ws_partial *pt = p->partial;
    size_t n = pt->left < in->n ? (size_t)pt->left : in->n;
    if (pt->masked)
        ws_mask(in->p, n, pt->mask, pt->phase);
    enum close_reason reason = partial_add(pt, (struct str){in->p, n});
    in->p += n;
    in->n -= n;
    pt->left -= n;
    pt->phase = (uint8_t)((pt->phase + n) & 3);
    *ret_event = WS_MORE;
    if (reason != CLOSE_NONE) {
        *ret_event = broken(ret, reason);
        return true;
    }
    return pt->left > 0 || frame_end(pt, ret, ret_event);
}

enum ws_event ws_parser_next(struct ws_parser *p, struct ws_input *in, struct ws_item *ret)
{
    if (p->partial != NULL && !p->partial->in_frame && !p->partial->in_message)
        partial_free(p); // what it held was handed out by the last call
    enum ws_event event;
    bool decided;
    do {
        bool payload = p->partial != NULL && p->partial->in_frame;
        decided = payload ? take_payload(p, in, ret, &event) : take_head(p, in, ret, &event);
    } while (!decided);
    return event;
}

static bool close_code_ok(unsigned code)
{
    if (code >= 3000)
        return code <= 4999;
    return code >= 1000 && code <= 1014 && code != 1004 && code != 1005 && code != 1006;
}

enum close_reason ws_close_read(struct str payload, uint16_t *ret_code, struct str *ret_text)
{
    if (payload.n == 0) {
        *ret_code = 0;
        *ret_text = STR_NONE;
        return CLOSE_NONE;
    }
    if (payload.n == 1)
        return CLOSE_BAD_FRAME;
    const uint8_t *u = (const uint8_t *)payload.p;
    unsigned code = (unsigned)u[0] << 8 | u[1];
    struct str text = str_skip(payload, 2);
    if (!close_code_ok(code))
        return CLOSE_BAD_FRAME;
    if (!utf8_valid(text))
        return CLOSE_BAD_UTF8;
    *ret_code = (uint16_t)code;
    *ret_text = text;
    return CLOSE_NONE;
}
