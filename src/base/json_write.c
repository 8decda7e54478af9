/*
 * json_write.c - JSON into a buffer.
 *
 * Always true: what is in the buffer between json_writer_init() and the first failure is the
 * beginning of a valid text; after a failure nothing is added any more.
 */
#include "base/json_priv.h"

#include "base/must.h"

/* What stands for the byte at p, which cannot stand for itself; steps over it. */
static struct str cut_escaped(const char **p, char scratch[6])
{
    static const char names[] = "btn\vfr"; // of the bytes 8 to 13; \v has no short form
    static const char hex[] = "0123456789abcdef";
    unsigned char c = (unsigned char)*(*p)++;
    if (c >= 0x80)
        return STR("\xef\xbf\xbd");
    scratch[0] = '\\';
    if (c == '"' || c == '\\' || (c >= 8 && c <= 13 && c != '\v')) {
        scratch[1] = c >= 8 && c <= 13 ? names[c - 8] : (char)c;
        return (struct str){scratch, 2};
    }
    memcpy(scratch + 1, "u00", 3);
    scratch[4] = hex[c >> 4];
    scratch[5] = hex[c & 15];
    return (struct str){scratch, 6};
}

static bool write_body(struct buf *out, struct str s)
{
    const char *p = s.n > 0 ? s.p : "", *end = p + s.n;
    char scratch[6];
    for (;;) {
        const char *plain = p;
        p = json_skip_plain(p, end);
        if (!buf_add(out, (struct str){plain, (size_t)(p - plain)}))
            return false;
        if (p == end)
            return true;
        if (!buf_add(out, cut_escaped(&p, scratch)))
            return false;
    }
}

/* Copies up to the end of s or to what cannot stand for itself; at has room for s.n + 8. Returns
 * how many were copied. */
static size_t copy_plain(char *at, struct str s)
{
    size_t i = 0;
    for (; s.n - i >= 8; i += 8) {
        uint64_t w;
        memcpy(&w, s.p + i, 8);
        if (json_special_bytes(w) != 0)
            break;
        memcpy(at + i, &w, 8);
    }
    for (; i < s.n && json_is_plain(s.p[i]); i++)
        at[i] = s.p[i];
    return i;
}

/* What most strings are: plain, and shorter than the room there is. */
static bool write_plain(struct buf *out, struct str s)
{
    if (out->cap - out->len < s.n + 10)
        return false;
    char *at = out->p + out->len;
    if (copy_plain(at + 1, s) < s.n)
        return false;
    at[0] = at[s.n + 1] = '"';
    out->len += s.n + 2;
    return true;
}

bool json_write_string(struct buf *out, struct str s)
{
    if (write_plain(out, s))
        return true;
    size_t start = out->len;
    if (buf_reserve(out, s.n + 2) && buf_add_char(out, '"') && write_body(out, s) &&
        buf_add_char(out, '"'))
        return true;
    out->len = start;
    return false;
}

bool json_write_i64(struct buf *out, int64_t v)
{
    char text[21] = "-";
    bool negative = v < 0;
    size_t n = u64_digits(text + negative, negative ? 0 - (uint64_t)v : (uint64_t)v);
    return buf_add(out, (struct str){text, n + negative});
}

static inline bool add_char(struct buf *out, char c)
{
    if (out->len == out->cap)
        return buf_add_char(out, c);
    out->p[out->len++] = c;
    return true;
}

void json_writer_init(struct json_writer *w, struct buf *out)
{
    *w = (struct json_writer){.out = out, .start = out->len};
}

/* Before every key and every value. */
static bool begin(struct json_writer *w)
{
    if (!w->failed && w->comma)
        w->failed = !add_char(w->out, ',');
    return !w->failed;
}

static void end(struct json_writer *w, bool written)
{
    w->failed = w->failed || !written;
    w->comma = true;
}

struct json_writer *json_key(struct json_writer *w, struct str key)
{
    if (begin(w))
        end(w, json_write_string(w->out, key) && add_char(w->out, ':'));
    w->comma = false;
    return w;
}

static void open_level(struct json_writer *w, char c)
{
    if (begin(w))
        end(w, add_char(w->out, c));
    w->comma = false;
    w->depth++;
}

static void close_level(struct json_writer *w, char c)
{
    MUST(w->depth > 0);
    w->depth--;
    if (!w->failed)
        end(w, add_char(w->out, c));
}

void json_open_object(struct json_writer *w)
{
    open_level(w, '{');
}

void json_close_object(struct json_writer *w)
{
    close_level(w, '}');
}

void json_open_array(struct json_writer *w)
{
    open_level(w, '[');
}

void json_close_array(struct json_writer *w)
{
    close_level(w, ']');
}

void json_put_string(struct json_writer *w, struct str s)
{
    if (begin(w))
        end(w, json_write_string(w->out, s));
}

void json_put_u64(struct json_writer *w, uint64_t v)
{
    if (begin(w))
        end(w, buf_add_u64(w->out, v));
}

void json_put_i64(struct json_writer *w, int64_t v)
{
    if (begin(w))
        end(w, json_write_i64(w->out, v));
}

void json_put_double(struct json_writer *w, double v)
{
    if (begin(w))
        end(w, json_write_double(w->out, v));
}

void json_put_bool(struct json_writer *w, bool v)
{
    json_put_raw(w, v ? STR("true") : STR("false"));
}

void json_put_null(struct json_writer *w)
{
    json_put_raw(w, STR("null"));
}

void json_put_raw(struct json_writer *w, struct str value)
{
    if (begin(w))
        end(w, buf_add(w->out, value));
}

bool json_done(struct json_writer *w)
{
    MUST(w->depth == 0);
    if (w->failed)
        w->out->len = w->start;
    return !w->failed;
}
