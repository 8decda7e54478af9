/*
 * chunk.c - events as the bytes of a chunk: numbers as base-128 varints, then the strings.
 */
#include "store/streams.h"

static bool put_number(struct buf *out, uint64_t v)
{
    while (v >= 0x80) {
        if (!buf_add_char(out, (char)(v | 0x80)))
            return false;
        v >>= 7;
    }
    return buf_add_char(out, (char)v);
}

static bool take_number(struct str *body, uint64_t *ret)
{
    uint64_t v = 0;
    for (unsigned shift = 0; body->n > 0 && shift < 64; shift += 7) {
        uint8_t byte = (uint8_t)body->p[0];
        *body = str_skip(*body, 1);
        v |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            *ret = v;
            return true;
        }
    }
    return false;
}

static bool take_string(struct str *body, struct str *ret)
{
    uint64_t n;
    if (!take_number(body, &n) || n > body->n)
        return false;
    *ret = (struct str){body->p, n};
    *body = str_skip(*body, n);
    return true;
}

static bool put_string(struct buf *out, struct str s)
{
    return put_number(out, s.n) && buf_add(out, s);
}

bool chunk_put(struct buf *out, const struct store_event *e)
{
    size_t len = out->len;
    bool ok = put_number(out, e->offset) && put_number(out, (uint64_t)e->time_ms) &&
              put_string(out, e->type) && put_string(out, e->data) && put_string(out, e->tags) &&
              put_string(out, e->info) && put_string(out, e->id);
    if (!ok)
        out->len = len;
    return ok;
}

bool chunk_take(struct str *body, struct store_event *ret)
{
    uint64_t time_ms;
    if (!take_number(body, &ret->offset) || !take_number(body, &time_ms) ||
        !take_string(body, &ret->type) || !take_string(body, &ret->data) ||
        !take_string(body, &ret->tags) || !take_string(body, &ret->info) ||
        !take_string(body, &ret->id))
        return false;
    ret->time_ms = (int64_t)time_ms;
    return true;
}
