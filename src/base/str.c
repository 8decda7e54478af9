/*
 * str.c - borrowed bytes: comparing, cutting and reading numbers out of them.
 */
#include "base/str.h"

#include <stdlib.h>

static unsigned char ascii_lower(unsigned char c)
{
    return c >= 'A' && c <= 'Z' ? (unsigned char)(c + 32) : c;
}

bool str_eq_nocase(struct str a, struct str b)
{
    if (a.n != b.n)
        return false;
    for (size_t i = 0; i < a.n; i++) {
        if (ascii_lower((unsigned char)a.p[i]) != ascii_lower((unsigned char)b.p[i]))
            return false;
    }
    return true;
}

struct str str_cut(struct str *s, char sep)
{
    bool some = s->n > 0 && s->n <= PTRDIFF_MAX; // says to the compiler that no length is absurd
    const char *at = some ? memchr(s->p, sep, s->n) : NULL;
    size_t head_n = at ? (size_t)(at - s->p) : s->n;
    struct str head = {s->p, head_n};
    size_t skip = at ? head_n + 1 : head_n;
    if (skip > 0) {
        s->p += skip;
        s->n -= skip;
    }
    return head;
}

struct str str_trim(struct str s)
{
    while (s.n > 0 && (s.p[0] == ' ' || s.p[0] == '\t')) {
        s.p++;
        s.n--;
    }
    while (s.n > 0 && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t'))
        s.n--;
    return s;
}

size_t str_find(struct str s, struct str needle)
{
    if (needle.n == 0)
        return 0;
    if (s.n < needle.n)
        return s.n;
    const char *at = memmem(s.p, s.n, needle.p, needle.n);
    return at ? (size_t)(at - s.p) : s.n;
}

/* Reads the digits at the front of *s and steps over them. */
static bool cut_u64(struct str *s, uint64_t *ret)
{
    uint64_t v = 0;
    size_t i = 0;
    for (; i < s->n && s->p[i] >= '0' && s->p[i] <= '9'; i++) {
        uint64_t d = (uint64_t)(s->p[i] - '0');
        if (v > (UINT64_MAX - d) / 10)
            return false;
        v = v * 10 + d;
    }
    if (i == 0)
        return false;
    *s = (struct str){s->p + i, s->n - i};
    *ret = v;
    return true;
}

bool str_to_u64(struct str s, uint64_t *ret)
{
    uint64_t v;
    if (!cut_u64(&s, &v) || s.n != 0)
        return false;
    *ret = v;
    return true;
}

struct unit {
    struct str name;
    uint64_t factor;
};

static bool cut_unit(struct str *s, const struct unit *units, size_t n, uint64_t *ret_factor)
{
    size_t len = 0;
    while (len < s->n && !(s->p[len] >= '0' && s->p[len] <= '9'))
        len++;
    struct str name = {s->p, len};
    for (size_t i = 0; i < n; i++) {
        if (str_eq(name, units[i].name)) {
            *ret_factor = units[i].factor;
            *s = (struct str){s->p + len, s->n - len};
            return true;
        }
    }
    return false;
}

bool str_to_duration_ms(struct str s, uint64_t *ret_ms)
{
    static const struct unit units[] = {
        {{"ms", 2}, 1},          {{"s", 1}, 1000},         {{"m", 1}, 60 * 1000},
        {{"h", 1}, 3600 * 1000}, {{"d", 1}, 86400 * 1000},
    };
    uint64_t total = 0;
    if (str_eq(s, STR("0"))) {
        *ret_ms = 0;
        return true;
    }
    do {
        uint64_t v, factor;
        if (!cut_u64(&s, &v) || !cut_unit(&s, units, sizeof(units) / sizeof(units[0]), &factor))
            return false;
        if (v > UINT64_MAX / factor || v * factor > UINT64_MAX - total)
            return false;
        total += v * factor;
    } while (s.n > 0);
    *ret_ms = total;
    return true;
}

bool str_to_bytes(struct str s, uint64_t *ret_bytes)
{
    static const struct unit units[] = {
        {{"", 0}, 1},
        {{"B", 1}, 1},
        {{"KiB", 3}, 1024},
        {{"MiB", 3}, 1024 * 1024},
        {{"GiB", 3}, 1024 * 1024 * 1024},
    };
    uint64_t v, factor;
    if (!cut_u64(&s, &v) || !cut_unit(&s, units, sizeof(units) / sizeof(units[0]), &factor))
        return false;
    if (s.n != 0 || v > UINT64_MAX / factor)
        return false;
    *ret_bytes = v * factor;
    return true;
}

static uint64_t mix(uint64_t a, uint64_t b)
{
    __uint128_t m = (__uint128_t)a * b;
    return (uint64_t)m ^ (uint64_t)(m >> 64);
}

uint64_t str_hash(struct str s, uint64_t seed)
{
    const char *p = s.p;
    size_t n = s.n;
    uint64_t h = seed ^ 0x9e3779b97f4a7c15u;
    for (; n >= 8; p += 8, n -= 8) {
        uint64_t w;
        memcpy(&w, p, 8);
        h = mix(h ^ w, 0xa0761d6478bd642fu);
    }
    uint64_t w = 0;
    if (n > 0)
        memcpy(&w, p, n);
    return mix(h ^ w ^ ((uint64_t)s.n << 56), 0xe7037ed1a0b428dbu);
}

char *str_dup(struct str s)
{
    char *z = malloc(s.n + 1);
    if (z == NULL)
        return NULL;
    if (s.n > 0)
        memcpy(z, s.p, s.n);
    z[s.n] = '\0';
    return z;
}
