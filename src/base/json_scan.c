/*
 * json_scan.c - checks JSON text value by value, without keeping anything of it.
 *
 * Nesting is a word of bits, one per open level, so a hostile text costs no stack.
 */
#include "base/json_priv.h"

static const char *refuse(struct json *j, const char *at, const char *what)
{
    json_refuse(j, at, what);
    return NULL;
}

static bool is_hex(char c)
{
    return json_is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

/* p is at a backslash; returns the byte behind the escape. */
static const char *scan_escape(struct json *j, const char *p)
{
    if (j->end - p < 2)
        return refuse(j, p, "the string has no end");
    if (memchr("\"\\/bfnrt", p[1], 8) != NULL)
        return p + 2;
    if (p[1] != 'u')
        return refuse(j, p, "there is no such escape");
    if (j->end - p >= 6 && is_hex(p[2]) && is_hex(p[3]) && is_hex(p[4]) && is_hex(p[5]))
        return p + 6;
    return refuse(j, p, "\\u needs four hexadecimal digits");
}

const char *json_scan_string(struct json *j, const char *p)
{
    for (;;) {
        p = json_skip_plain(p, j->end);
        if (p == j->end)
            return refuse(j, p, "the string has no end");
        if (*p == '"')
            return p;
        if ((unsigned char)*p < 0x20)
            return refuse(j, p, "a control character must be escaped");
        if (*p != '\\')
            return refuse(j, p, "the string is not UTF-8");
        p = scan_escape(j, p);
        if (p == NULL)
            return NULL;
    }
}

static const char *skip_digits(const char *p, const char *end)
{
    while (p < end && json_is_digit(*p))
        p++;
    return p;
}

const char *json_scan_number(struct json *j, const char *p)
{
    const char *end = j->end, *from;
    if (p < end && *p == '-')
        p++;
    from = p;
    p = skip_digits(p, end);
    if (p == from)
        return refuse(j, p, "a number needs a digit here");
    if (*from == '0' && p - from > 1)
        return refuse(j, from, "a number must not start with 0");
    if (p < end && *p == '.') {
        from = ++p;
        p = skip_digits(p, end);
        if (p == from)
            return refuse(j, p, "a number needs a digit here");
    }
    if (p < end && (*p == 'e' || *p == 'E')) {
        p++;
        if (p < end && (*p == '+' || *p == '-'))
            p++;
        from = p;
        p = skip_digits(p, end);
        if (p == from)
            return refuse(j, p, "a number needs a digit here");
    }
    return p;
}

static const char *scan_word(struct json *j, const char *p, struct str word)
{
    if ((size_t)(j->end - p) < word.n || memcmp(p, word.p, word.n) != 0)
        return refuse(j, p, "expected a value");
    return p + word.n;
}

static const char *scan_scalar(struct json *j, const char *p)
{
    char c = p < j->end ? *p : '\0';
    if (c == '"') {
        p = json_scan_string(j, p + 1);
        return p != NULL ? p + 1 : NULL;
    }
    if (c == '-' || json_is_digit(c))
        return json_scan_number(j, p);
    if (c == 't')
        return scan_word(j, p, STR("true"));
    if (c == 'f')
        return scan_word(j, p, STR("false"));
    return scan_word(j, p, STR("null"));
}

/* From where a key is due to its value. */
static const char *scan_key(struct json *j, const char *p)
{
    p = json_skip_space(p, j->end);
    if (p == j->end || *p != '"')
        return refuse(j, p, "expected a key");
    p = json_scan_string(j, p + 1);
    if (p == NULL)
        return NULL;
    p = json_skip_space(p + 1, j->end);
    if (p == j->end || *p != ':')
        return refuse(j, p, "expected ':'");
    return json_skip_space(p + 1, j->end);
}

struct levels {
    uint64_t objects; // the lowest bit is the innermost level: 1 for an object
    unsigned count;
};

/* Behind a value: leaves the levels that end here, up to the next value or the end of all. */
static const char *scan_between(struct json *j, const char *p, struct levels *open)
{
    while (open->count > 0) {
        bool in_object = open->objects & 1;
        p = json_skip_space(p, j->end);
        if (p < j->end && *p == ',')
            return in_object ? scan_key(j, p + 1) : json_skip_space(p + 1, j->end);
        if (p == j->end || *p != (in_object ? '}' : ']'))
            return refuse(j, p, in_object ? "expected ',' or '}'" : "expected ',' or ']'");
        open->objects >>= 1;
        open->count--;
        p++;
    }
    return p;
}

const char *json_scan_value(struct json *j, const char *p)
{
    struct levels open = {0};
    do {
        if (p == j->end || (*p != '{' && *p != '[')) {
            p = scan_scalar(j, p);
        } else {
            bool object = *p == '{';
            if (j->depth + open.count >= JSON_DEPTH_MAX)
                return refuse(j, p, "nested too deeply");
            open.objects = open.objects << 1 | object;
            open.count++;
            p = json_skip_space(p + 1, j->end);
            if (p == j->end || *p != (object ? '}' : ']')) {
                p = object ? scan_key(j, p) : p;
                continue; // its first value is due
            }
        }
        if (p != NULL)
            p = scan_between(j, p, &open);
    } while (p != NULL && open.count > 0);
    return p;
}
