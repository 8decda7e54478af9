/*
 * uri.c - percent-encoding, and the parameters of a query.
 * Always true: what is decoded has no NUL byte, and a '%' that two hex digits do not follow is
 * refused rather than passed on.
 */
#include "http/http_priv.h"

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    char lower = (char)(c | 0x20);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

/* Takes one byte's worth from *s; -1: badly encoded. */
static int decode_next(struct str *s, bool plus_is_space)
{
    char c = s->p[0];
    size_t used = 1;
    if (c == '%') {
        int high = s->n >= 3 ? hex_digit(s->p[1]) : -1;
        int low = s->n >= 3 ? hex_digit(s->p[2]) : -1;
        if (high < 0 || low < 0 || high + low == 0)
            return -1;
        c = (char)(high * 16 + low);
        used = 3;
    } else if (c == '+' && plus_is_space) {
        c = ' ';
    }
    *s = str_skip(*s, used);
    return (unsigned char)c;
}

bool percent_decode(struct str s, bool plus_is_space, char *at, size_t cap, size_t *ret_len)
{
    size_t len = 0;
    while (s.n > 0) {
        int c = decode_next(&s, plus_is_space);
        if (c < 0 || len == cap)
            return false;
        at[len++] = (char)c;
    }
    *ret_len = len;
    return true;
}

bool http_query_is(struct str coded, struct str name)
{
    while (coded.n > 0 && name.n > 0) {
        if (decode_next(&coded, true) != (unsigned char)name.p[0])
            return false;
        name = str_skip(name, 1);
    }
    return coded.n == 0 && name.n == 0;
}

bool http_query_next(struct str *rest, struct str *ret_name)
{
    struct str pair = STR_NONE;
    while (rest->n > 0 && pair.n == 0)
        pair = str_cut(rest, '&');
    bool found = pair.n > 0;
    *ret_name = str_cut(&pair, '=');
    return found;
}

size_t http_query_count(const struct http_request *r, struct str name)
{
    struct str rest = r->query;
    size_t count = 0;
    struct str coded;
    while (http_query_next(&rest, &coded))
        count += http_query_is(coded, name);
    return count;
}

bool http_query_nth(const struct http_request *r, struct str name, size_t nth, char *at, size_t cap,
                    struct str *ret)
{
    struct str rest = r->query;
    while (rest.n > 0) {
        struct str value = str_cut(&rest, '&');
        struct str key = str_cut(&value, '=');
        if (!http_query_is(key, name) || nth-- > 0)
            continue;
        size_t len;
        if (!percent_decode(value, true, at, cap, &len))
            return false;
        *ret = (struct str){at, len};
        return true;
    }
    return false;
}

bool http_query(const struct http_request *r, struct str name, char *at, size_t cap,
                struct str *ret)
{
    return http_query_nth(r, name, 0, at, cap, ret);
}
