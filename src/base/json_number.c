/*
 * json_number.c - doubles from and to JSON, whatever the locale.
 *
 * strtod() and snprintf() are exact but follow the locale in one thing, the decimal point. So the
 * digits that go in have none, and the digits that come out are read around it.
 */
#include "base/json_priv.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    DIGITS_MAX = 780,      // no double needs more than 767 to be told from its neighbours
    EXPONENT_MAX = 100000, // far out of range, whatever the digits
};

/* digits * 10^exponent */
struct decimal {
    char digits[DIGITS_MAX + 1];
    size_t count;
    int64_t exponent;
    bool negative;
};

static void decimal_add(struct decimal *d, char digit, bool fraction)
{
    if (d->count == 0 && digit == '0') {
        d->exponent -= fraction;
        return;
    }
    if (d->count < DIGITS_MAX) {
        d->digits[d->count++] = digit;
        d->exponent -= fraction;
        return;
    }
    d->exponent += !fraction;
    if (digit != '0')
        d->digits[DIGITS_MAX - 1] = '1'; // dropped, but the number is not a tie any more
}

static int64_t read_exponent(const char *p, const char *end)
{
    int64_t v = 0;
    bool negative = *p == '-';
    if (*p == '-' || *p == '+')
        p++;
    for (; p < end; p++) {
        if (v < INT64_MAX / 100)
            v = v * 10 + (*p - '0');
    }
    return negative ? -v : v;
}

static void decimal_read(struct decimal *d, struct str number)
{
    const char *p = number.p, *end = p + number.n;
    bool fraction = false;
    d->count = 0;
    d->exponent = 0;
    d->negative = *p == '-';
    for (p += d->negative; p < end && *p != 'e' && *p != 'E'; p++) {
        if (*p == '.')
            fraction = true;
        else
            decimal_add(d, *p, fraction);
    }
    if (p < end)
        d->exponent += read_exponent(p + 1, end);
}

/* Both factors are exact as doubles, so their product or quotient is rounded once. */
static bool convert_exact(const struct decimal *d, double *ret)
{
    static const double powers[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                    1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                    1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    uint64_t m = 0;
    if (d->count > 15 || d->exponent < -22 || d->exponent > 22)
        return false;
    for (size_t i = 0; i < d->count; i++)
        m = m * 10 + (uint64_t)(d->digits[i] - '0');
    *ret = d->exponent < 0 ? (double)m / powers[-d->exponent] : (double)m * powers[d->exponent];
    return true;
}

bool json_number_to_double(struct str number, double *ret)
{
    struct decimal d;
    double v = 0;
    decimal_read(&d, number);
    if (d.count > 0 && !convert_exact(&d, &v)) {
        char text[DIGITS_MAX + 32];
        int64_t e = d.exponent;
        if (e > EXPONENT_MAX || e < -EXPONENT_MAX)
            e = e < 0 ? -EXPONENT_MAX : EXPONENT_MAX;
        snprintf(text, sizeof(text), "%.*se%lld", (int)d.count, d.digits, (long long)e);
        v = strtod(text, NULL);
    }
    if (isinf(v))
        return false;
    *ret = d.negative ? -v : v;
    return true;
}

enum { DOUBLE_DIGITS_MAX = 17 };

struct shortest {
    char digits[DOUBLE_DIGITS_MAX];
    int count;
    int point; // the value is 0.digits * 10^point
};

/* Reads "d?ddde+dd", where ? is the point of the locale. */
static void shortest_read(struct shortest *s, const char *text)
{
    s->count = 0;
    for (; *text != 'e'; text++) {
        if (*text >= '0' && *text <= '9' && s->count < DOUBLE_DIGITS_MAX)
            s->digits[s->count++] = *text;
    }
    while (s->count > 1 && s->digits[s->count - 1] == '0')
        s->count--;
    s->point = (int)strtol(text + 1, NULL, 10) + 1;
}

/* v is positive and finite. */
static void shortest_find(struct shortest *s, double v)
{
    char text[64];
    // Fifteen digits always survive, so fewer are found by cutting zeros; tiny numbers have fewer.
    for (int count = v < 1e-300 ? 1 : 15; count <= DOUBLE_DIGITS_MAX; count++) {
        snprintf(text, sizeof(text), "%.*e", count - 1, v);
        if (strtod(text, NULL) == v)
            break;
    }
    shortest_read(s, text);
}

/* As JavaScript writes them: plain from 1e-6 up to 1e21. */
static bool shortest_write(const struct shortest *s, struct buf *out)
{
    static const char zeros[] = "00000000000000000000000";
    int point = s->point, after = s->count - point;
    if (point > 21 || point < -5) {
        bool ok = buf_add_char(out, s->digits[0]);
        if (s->count > 1)
            ok = ok && buf_add_char(out, '.') &&
                 buf_add(out, (struct str){s->digits + 1, (size_t)s->count - 1});
        return ok && buf_add_char(out, 'e') && json_write_i64(out, point - 1);
    }
    if (point <= 0)
        return buf_add(out, STR("0.")) && buf_add(out, (struct str){zeros, (size_t)-point}) &&
               buf_add(out, (struct str){s->digits, (size_t)s->count});
    if (after <= 0)
        return buf_add(out, (struct str){s->digits, (size_t)s->count}) &&
               buf_add(out, (struct str){zeros, (size_t)-after});
    return buf_add(out, (struct str){s->digits, (size_t)point}) && buf_add_char(out, '.') &&
           buf_add(out, (struct str){s->digits + point, (size_t)after});
}

bool json_write_double(struct buf *out, double v)
{
    size_t start = out->len;
    struct shortest s = {.digits = {'0'}, .count = 1, .point = 1};
    if (!isfinite(v))
        return buf_add(out, STR("null"));
    if (v != 0)
        shortest_find(&s, fabs(v));
    if ((!signbit(v) || buf_add_char(out, '-')) && shortest_write(&s, out))
        return true;
    out->len = start;
    return false;
}
