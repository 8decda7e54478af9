/* str.h - borrowed bytes: a pointer and a length, never a terminator.
 * Thread:  any; a str is a value.
 * Memory:  nothing is owned; a str is valid as long as the bytes that it was made from.
 * Failure: parsers return false and leave their output untouched. */
#ifndef BASE_STR_H
#define BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct str {
    const char *p;
    size_t n;
};

/* Several, in an array of their owner. */
struct str_list {
    struct str *items;
    size_t count;
};

#define STR(lit) ((struct str){(lit), sizeof(lit) - 1})
#define STR_NONE ((struct str){NULL, 0})
/* For printf("%.*s", STR_FMT(s)). */
#define STR_FMT(s) (int)(s).n, (s).n ? (s).p : ""

static inline struct str str_from(const char *z)
{
    return z != NULL ? (struct str){z, strlen(z)} : STR_NONE;
}

static inline bool str_eq(struct str a, struct str b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

static inline bool str_starts(struct str s, struct str head)
{
    return s.n >= head.n && (head.n == 0 || memcmp(s.p, head.p, head.n) == 0);
}

static inline struct str str_skip(struct str s, size_t n)
{
    return n >= s.n ? STR_NONE : (struct str){s.p + n, s.n - n};
}

/* Copies s to *at, steps *at over it and returns the copy: for the strings of one block. */
static inline struct str str_put(char **at, struct str s)
{
    struct str copy = {*at, s.n};
    if (s.n > 0)
        memcpy(*at, s.p, s.n);
    *at += s.n;
    return copy;
}

/* ASCII letters only, as HTTP and host names compare. */
bool str_eq_nocase(struct str a, struct str b);

/* Splits *s at the first sep: returns the head, leaves the tail in *s. */
struct str str_cut(struct str *s, char sep);

/* Without the spaces and tabs at both ends. */
struct str str_trim(struct str s);

/* Where needle starts in s, or s.n. */
size_t str_find(struct str s, struct str needle);

/* Decimal digits only, whole string, no overflow. */
bool str_to_u64(struct str s, uint64_t *ret);

/* "25s", "1h30m", "500ms", "7d", "0": units d h m s ms. */
bool str_to_duration_ms(struct str s, uint64_t *ret_ms);

/* "64KiB", "1MiB", "65536", "2GiB": binary units, bytes without one. */
bool str_to_bytes(struct str s, uint64_t *ret_bytes);

/* Not for adversaries on its own: maps seed it at random. */
uint64_t str_hash(struct str s, uint64_t seed);

/* A copy with a terminator, to free(); NULL when memory has run out. */
char *str_dup(struct str s);

#endif
