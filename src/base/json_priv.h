/* json_priv.h - what the files of the JSON reader and writer share.
 * Thread:  any.
 * Memory:  none.
 * Failure: scanners note the first error in the reader and return NULL or false. */
#ifndef BASE_JSON_PRIV_H
#define BASE_JSON_PRIV_H

#include "base/json.h"
#include "base/utf8.h"

/* Notes the first error; returns false. Inline, so that compilers see that it always does. */
static inline bool json_refuse(struct json *j, const char *at, const char *what)
{
    if (j->error == NULL) {
        j->error = what;
        j->error_at = at;
    }
    return false;
}

/* p is behind the opening quote; returns where the closing one stands. */
const char *json_scan_string(struct json *j, const char *p);
/* p is the first byte of a number; returns the byte behind it. */
const char *json_scan_number(struct json *j, const char *p);
/* p is the first byte of a value of any kind; returns the byte behind it. */
const char *json_scan_value(struct json *j, const char *p);

/* A checked number; false: too great. */
bool json_number_to_double(struct str number, double *ret);

static inline bool json_is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static inline const char *json_skip_space(const char *p, const char *end)
{
    if (p < end && (unsigned char)*p > ' ')
        return p; // by far most often
    while (p < end && (*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t'))
        p++;
    return p;
}

/* Stands for itself in a string and is ASCII. */
static inline bool json_is_plain(char c)
{
    return (unsigned char)c >= 0x20 && (unsigned char)c < 0x80 && c != '"' && c != '\\';
}

/* Some bit is set for every byte of w that is a quote, a backslash, a control character or not
 * ASCII; the lowest bit set belongs to the first such byte in memory order. */
static inline uint64_t json_special_bytes(uint64_t w)
{
    const uint64_t ones = 0x0101010101010101u, high = 0x8080808080808080u;
    if (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__)
        w = __builtin_bswap64(w);
    uint64_t quote = w ^ (ones * '"'), slash = w ^ (ones * '\\');
    uint64_t hit = ((w - ones * 0x20) & ~w) | ((quote - ones) & ~quote) | ((slash - ones) & ~slash);
    return (hit | w) & high;
}

static inline const char *json_skip_ascii(const char *p, const char *end)
{
    while (end - p >= 8) {
        uint64_t w;
        memcpy(&w, p, 8);
        uint64_t special = json_special_bytes(w);
        if (special != 0)
            return p + (__builtin_ctzll(special) >> 3);
        p += 8;
    }
    while (p < end && json_is_plain(*p))
        p++;
    return p;
}

/* The first byte that cannot stand in a string as it is: quote, backslash, control character or
 * invalid UTF-8; or end. */
static inline const char *json_skip_plain(const char *p, const char *end)
{
    for (;;) {
        p = json_skip_ascii(p, end);
        if (p == end || (unsigned char)*p < 0x80)
            return p;
        do {
            size_t n = utf8_sequence(p, end);
            if (n == 0)
                return p;
            p += n;
        } while (p < end && (unsigned char)*p >= 0x80);
    }
}

#endif
