/*
 * buf.c - bytes that grow up to a limit given at birth.
 */
#include "base/buf.h"

#include "base/must.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { BUF_FIRST = 256 };

void buf_init(struct buf *b, size_t max)
{
    *b = (struct buf){.max = max};
}

void buf_fini(struct buf *b)
{
    free(b->p);
    *b = (struct buf){.max = b->max};
}

bool buf_reserve(struct buf *b, size_t n)
{
    if (n > b->max - b->len) // no addition that could wrap
        return false;
    if (n <= b->cap - b->len)
        return true;
    size_t want = b->cap ? b->cap : BUF_FIRST;
    while (want - b->len < n)
        want = want > b->max / 2 ? b->max : want * 2;
    if (want > b->max)
        want = b->max;
    char *p = realloc(b->p, want);
    if (p == NULL)
        return false;
    b->p = p;
    b->cap = want;
    return true;
}

bool buf_add(struct buf *b, struct str s)
{
    if (!buf_reserve(b, s.n))
        return false;
    if (s.n > 0)
        memcpy(b->p + b->len, s.p, s.n);
    b->len += s.n;
    return true;
}

bool buf_add_char(struct buf *b, char c)
{
    return buf_add(b, (struct str){&c, 1});
}

size_t u64_digits(char *at, uint64_t v)
{
    char rev[20];
    size_t n = 0;
    do {
        rev[n++] = (char)('0' + v % 10);
        v /= 10;
    } while (v > 0);
    for (size_t i = 0; i < n; i++)
        at[i] = rev[n - 1 - i];
    return n;
}

bool buf_add_u64(struct buf *b, uint64_t v)
{
    char digits[20];
    return buf_add(b, (struct str){digits, u64_digits(digits, v)});
}

bool buf_add_format(struct buf *b, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (n < 0 || !buf_reserve(b, (size_t)n + 1))
        return false;
    va_start(args, format);
    vsnprintf(b->p + b->len, (size_t)n + 1, format, args);
    va_end(args);
    b->len += (size_t)n;
    return true;
}

void buf_replace(struct buf *b, size_t from, char was, char becomes)
{
    if (b->len == from)
        return;
    char *at = b->p + from, *end = b->p + b->len;
    while ((at = memchr(at, was, (size_t)(end - at))) != NULL)
        *at++ = becomes;
}

void buf_take(struct buf *b, size_t n)
{
    MUST(n <= b->len);
    if (n > 0 && n < b->len)
        memmove(b->p, b->p + n, b->len - n);
    b->len -= n;
}
