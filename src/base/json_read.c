/*
 * json_read.c - walks JSON text: the caller asks for what comes next.
 *
 * Always true between two calls:
 *   I1. start <= p <= end, and depth counts the objects and arrays entered and not left.
 *   I2. with an error nothing moves any more.
 *   I3. outside of all objects and arrays a value is due, so that rows of values can be read.
 */
#include "base/json_priv.h"

#include "base/must.h"

void json_init(struct json *j, struct str text)
{
    const char *p = text.n > 0 ? text.p : "";
    *j = (struct json){.p = p, .end = p + text.n, .start = p, .value = p, .place = JSON_AT_VALUE};
}

size_t json_error_offset(const struct json *j)
{
    return j->error != NULL ? (size_t)(j->error_at - j->start) : 0;
}

bool json_error_write(const struct json *j, struct buf *out)
{
    return buf_add_format(out, "%s at byte %zu", j->error != NULL ? j->error : "no error",
                          json_error_offset(j));
}

enum json_type json_peek(struct json *j)
{
    if (j->error != NULL || j->place != JSON_AT_VALUE)
        return JSON_NONE;
    j->p = json_skip_space(j->p, j->end);
    char c = j->p < j->end ? *j->p : '\0';
    switch (c) {
    case 'n':
        return JSON_NULL;
    case 't':
    case 'f':
        return JSON_BOOL;
    case '"':
        return JSON_STRING;
    case '{':
        return JSON_OBJECT;
    case '[':
        return JSON_ARRAY;
    default:
        return c == '-' || json_is_digit(c) ? JSON_NUMBER : JSON_NONE;
    }
}

/* A value of this type is next; with JSON_NONE, any. */
static bool value_begin(struct json *j, enum json_type type, const char *otherwise)
{
    if (j->error != NULL)
        return false;
    MUST(j->place == JSON_AT_VALUE);
    enum json_type next = json_peek(j);
    j->value = j->p;
    if (next == JSON_NONE)
        return json_refuse(j, j->p, "expected a value");
    return type == JSON_NONE || next == type || json_refuse(j, j->p, otherwise);
}

/* A value ends before p. */
static bool value_end(struct json *j, const char *p)
{
    if (p == NULL)
        return false;
    j->p = p;
    j->place = j->depth > 0 ? JSON_AT_NEXT : JSON_AT_VALUE;
    return true;
}

static bool enter(struct json *j)
{
    if (j->depth >= JSON_DEPTH_MAX)
        return json_refuse(j, j->p, "nested too deeply");
    j->depth++;
    j->p++;
    j->place = JSON_AT_FIRST;
    return true;
}

bool json_object_begin(struct json *j)
{
    return value_begin(j, JSON_OBJECT, "expected an object") && enter(j);
}

bool json_array_begin(struct json *j)
{
    return value_begin(j, JSON_ARRAY, "expected an array") && enter(j);
}

/* Up to the next member; false: an error, or the close was found and the level left. */
static bool next_member(struct json *j, char close, const char *otherwise)
{
    if (j->error != NULL)
        return false;
    MUST(j->depth > 0);
    if (j->place == JSON_AT_VALUE && !json_skip(j))
        return false;
    const char *p = json_skip_space(j->p, j->end);
    if (p < j->end && *p == close) {
        j->depth--;
        value_end(j, p + 1);
        return false;
    }
    if (j->place == JSON_AT_NEXT) {
        if (p == j->end || *p != ',')
            return json_refuse(j, p, otherwise);
        p = json_skip_space(p + 1, j->end);
    }
    j->p = p;
    j->place = JSON_AT_VALUE;
    return true;
}

bool json_array_next(struct json *j)
{
    return next_member(j, ']', "expected ',' or ']'");
}

bool json_object_next(struct json *j, struct str *ret_key)
{
    if (!next_member(j, '}', "expected ',' or '}'"))
        return false;
    if (j->p == j->end || *j->p != '"')
        return json_refuse(j, j->p, "expected a key");
    const char *from = j->p + 1, *to = json_scan_string(j, from);
    if (to == NULL)
        return false;
    const char *p = json_skip_space(to + 1, j->end);
    if (p == j->end || *p != ':')
        return json_refuse(j, p, "expected ':'");
    j->p = p + 1;
    *ret_key = (struct str){from, (size_t)(to - from)};
    return true;
}

bool json_read_null(struct json *j)
{
    return value_begin(j, JSON_NULL, "expected null") && value_end(j, json_scan_value(j, j->p));
}

bool json_read_bool(struct json *j, bool *ret)
{
    if (!value_begin(j, JSON_BOOL, "expected true or false"))
        return false;
    bool yes = *j->p == 't';
    if (!value_end(j, json_scan_value(j, j->p)))
        return false;
    *ret = yes;
    return true;
}

/* Digits of an integer at p, up to its end. */
static const char *read_digits(struct json *j, const char *p, uint64_t *ret)
{
    const char *end = json_scan_number(j, p);
    if (end == NULL)
        return NULL;
    if (!str_to_u64((struct str){p, (size_t)(end - p)}, ret)) {
        json_refuse(j, j->value, "expected an integer in range");
        return NULL;
    }
    return end;
}

bool json_read_u64(struct json *j, uint64_t *ret)
{
    uint64_t v;
    if (!value_begin(j, JSON_NUMBER, "expected an integer") ||
        !value_end(j, read_digits(j, j->p, &v)))
        return false;
    *ret = v;
    return true;
}

bool json_read_i64(struct json *j, int64_t *ret)
{
    uint64_t v = 0;
    if (!value_begin(j, JSON_NUMBER, "expected an integer"))
        return false;
    bool negative = *j->p == '-';
    const char *end = read_digits(j, j->p + negative, &v);
    if (end != NULL && v > (uint64_t)INT64_MAX + negative)
        return json_refuse(j, j->value, "expected an integer in range");
    if (!value_end(j, end))
        return false;
    *ret = (int64_t)(negative ? 0 - v : v);
    return true;
}

bool json_read_double(struct json *j, double *ret)
{
    if (!value_begin(j, JSON_NUMBER, "expected a number"))
        return false;
    const char *from = j->p, *end = json_scan_number(j, from);
    if (end == NULL)
        return false;
    if (!json_number_to_double((struct str){from, (size_t)(end - from)}, ret))
        return json_refuse(j, from, "expected a number in range");
    return value_end(j, end);
}

bool json_read_string_raw(struct json *j, struct str *ret)
{
    if (!value_begin(j, JSON_STRING, "expected a string"))
        return false;
    const char *from = j->p + 1, *to = json_scan_string(j, from);
    if (to == NULL)
        return false;
    *ret = (struct str){from, (size_t)(to - from)};
    return value_end(j, to + 1);
}

bool json_read_string(struct json *j, char *at, size_t cap, struct str *ret)
{
    struct str raw;
    return json_read_string_raw(j, &raw) &&
           (json_string_decode(raw, at, cap, ret) ||
            json_fail(j, "the string is too long or has half a surrogate pair"));
}

bool json_read_raw(struct json *j, struct str *ret)
{
    if (!value_begin(j, JSON_NONE, NULL))
        return false;
    const char *from = j->p;
    if (!value_end(j, json_scan_value(j, from)))
        return false;
    *ret = (struct str){from, (size_t)(j->p - from)};
    return true;
}

bool json_skip(struct json *j)
{
    return value_begin(j, JSON_NONE, NULL) && value_end(j, json_scan_value(j, j->p));
}

bool json_more(struct json *j)
{
    if (j->error != NULL || j->depth > 0)
        return false;
    j->p = json_skip_space(j->p, j->end);
    return j->p < j->end;
}

bool json_end(struct json *j)
{
    if (j->error != NULL)
        return false;
    j->p = json_skip_space(j->p, j->end);
    if (j->depth > 0)
        return json_refuse(j, j->p, "expected the end of an object or array");
    return j->p == j->end || json_refuse(j, j->p, "expected the end of the text");
}

static bool is_space(char c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

struct str json_trim(struct str text)
{
    while (text.n > 0 && is_space(text.p[0]))
        text = str_skip(text, 1);
    while (text.n > 0 && is_space(text.p[text.n - 1]))
        text.n--;
    return text;
}

bool json_valid(struct str text)
{
    struct json j;
    json_init(&j, text);
    return json_skip(&j) && json_end(&j);
}

bool json_find(struct str object, struct str key, struct str *ret_raw)
{
    struct json j;
    struct str k;
    json_init(&j, object);
    json_object_begin(&j);
    while (json_object_next(&j, &k)) {
        if (json_key_is(k, key))
            return json_read_raw(&j, ret_raw);
    }
    return false;
}
