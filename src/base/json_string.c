/*
 * json_string.c - what the escapes of a JSON string stand for.
 *
 * The raw string was checked when it was read; what is not as it must be is refused all the same.
 */
#include "base/json_priv.h"

static bool hex4(const char *p, const char *end, uint32_t *ret)
{
    uint32_t v = 0;
    if (end - p < 4)
        return false;
    for (int i = 0; i < 4; i++) {
        unsigned char c = (unsigned char)p[i], lower = c | 0x20;
        if (c >= '0' && c <= '9')
            v = v << 4 | (c - '0');
        else if (lower >= 'a' && lower <= 'f')
            v = v << 4 | (lower - 'a' + 10u);
        else
            return false;
    }
    *ret = v;
    return true;
}

/* p is behind "\u"; returns the byte behind the escape, or behind the second of a pair. */
static const char *decode_code_point(const char *p, const char *end, uint32_t *ret)
{
    uint32_t high, low;
    if (!hex4(p, end, &high))
        return NULL;
    p += 4;
    if (high < 0xd800 || high > 0xdfff) {
        *ret = high;
        return p;
    }
    bool pair = high < 0xdc00 && end - p >= 6 && p[0] == '\\' && p[1] == 'u' &&
                hex4(p + 2, end, &low) && low >= 0xdc00 && low <= 0xdfff;
    if (!pair)
        return NULL;
    *ret = 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
    return p + 6;
}

struct unit {
    char bytes[4];
    size_t n;
};

/* p is at a backslash; returns the byte behind the escape, NULL when it stands for nothing. */
static const char *decode_escape(const char *p, const char *end, struct unit *ret)
{
    static const char names[] = "\"\\/bfnrt", meant[] = "\"\\/\b\f\n\r\t";
    uint32_t code_point;
    if (end - p < 2)
        return NULL;
    if (p[1] == 'u') {
        p = decode_code_point(p + 2, end, &code_point);
        if (p != NULL)
            ret->n = utf8_encode(code_point, ret->bytes);
        return p;
    }
    const char *at = memchr(names, p[1], sizeof(names) - 1);
    if (at == NULL)
        return NULL;
    ret->bytes[0] = meant[at - names];
    ret->n = 1;
    return p + 2;
}

/* The piece of raw that stands for itself, up to the next escape. */
static struct str cut_plain(struct str *raw)
{
    const char *slash = raw->n > 0 ? memchr(raw->p, '\\', raw->n) : NULL;
    struct str plain = {raw->p, slash != NULL ? (size_t)(slash - raw->p) : raw->n};
    *raw = str_skip(*raw, plain.n);
    return plain;
}

static bool cut_escape(struct str *raw, struct unit *ret)
{
    const char *end = raw->p + raw->n, *p = decode_escape(raw->p, end, ret);
    if (p == NULL)
        return false;
    *raw = (struct str){p, (size_t)(end - p)};
    return true;
}

static bool put(char *at, size_t cap, size_t *n, struct str s)
{
    if (s.n > cap - *n)
        return false;
    if (s.n > 0)
        memcpy(at + *n, s.p, s.n);
    *n += s.n;
    return true;
}

static bool decode(struct str raw, char *at, size_t cap, size_t *ret_n)
{
    size_t n = 0;
    struct unit unit;
    for (;;) {
        if (!put(at, cap, &n, cut_plain(&raw)))
            return false;
        if (raw.n == 0)
            break;
        if (!cut_escape(&raw, &unit) || !put(at, cap, &n, (struct str){unit.bytes, unit.n}))
            return false;
    }
    *ret_n = n;
    return true;
}

bool json_string_decode(struct str raw, char *at, size_t cap, struct str *ret)
{
    size_t n;
    if (raw.n == 0 || memchr(raw.p, '\\', raw.n) == NULL) {
        *ret = raw;
        return true;
    }
    if (!decode(raw, at, cap, &n))
        return false;
    *ret = (struct str){at, n};
    return true;
}

bool json_string_decode_to(struct str raw, struct buf *out)
{
    size_t n, room = out->max - out->len;
    if (raw.n == 0 || room == 0)
        return raw.n == 0;
    if (!buf_reserve(out,
                     raw.n < room ? raw.n : room)) // what is decoded may fit where raw does not
        return false;
    if (!decode(raw, out->p + out->len, out->cap - out->len, &n))
        return false;
    out->len += n;
    return true;
}

bool json_string_is_escaped(struct str raw, struct str want)
{
    struct unit unit;
    for (;;) {
        struct str plain = cut_plain(&raw);
        if (!str_starts(want, plain))
            return false;
        want = str_skip(want, plain.n);
        if (raw.n == 0)
            return want.n == 0;
        if (!cut_escape(&raw, &unit) || !str_starts(want, (struct str){unit.bytes, unit.n}))
            return false;
        want = str_skip(want, unit.n);
    }
}
