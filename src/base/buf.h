/* buf.h - bytes that grow up to a limit given at birth.
 * Thread:  the owner's.
 * Memory:  the struct is the caller's, its bytes are the buffer's until buf_fini().
 * Failure: what does not fit (the limit, or memory) returns false and leaves the buffer as it was.
 */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include "base/str.h"

struct buf {
    char *p;
    size_t len, cap, max; // len <= cap <= max, and max is fixed at birth
};

void buf_init(struct buf *b, size_t max);
void buf_fini(struct buf *b);
/* A buffer over the caller's bytes: it never grows and needs no buf_fini(). */
static inline struct buf buf_on(char *at, size_t cap)
{
    return (struct buf){.p = at, .cap = cap, .max = cap};
}

/* Room for n more bytes at b->p + b->len. */
bool buf_reserve(struct buf *b, size_t n);

bool buf_add(struct buf *b, struct str s);
bool buf_add_char(struct buf *b, char c);
bool buf_add_u64(struct buf *b, uint64_t v);
bool buf_add_format(struct buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Every such byte from there on becomes the other. */
void buf_replace(struct buf *b, size_t from, char was, char becomes);
/* Drops n bytes from the front. */
void buf_take(struct buf *b, size_t n);

static inline void buf_clear(struct buf *b)
{
    b->len = 0;
}

static inline struct str buf_str(const struct buf *b)
{
    return (struct str){b->p, b->len};
}

/* Decimal digits of v into at (20 bytes at most); returns how many. */
size_t u64_digits(char *at, uint64_t v);

#endif
