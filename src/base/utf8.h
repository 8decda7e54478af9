/* utf8.h - is it UTF-8? Whole texts, and texts that come in pieces.
 * Thread:  the owner's.
 * Memory:  none.
 * Failure: surrogates, overlong forms and what lies above U+10FFFF are refused. */
#ifndef BASE_UTF8_H
#define BASE_UTF8_H

#include "base/str.h"

bool utf8_valid(struct str s);

/* Bytes of the valid sequence at p (1 to 4), 0 when there is none; p < end. */
size_t utf8_sequence(const char *p, const char *end);

/* Bytes of the code point written at `at` (1 to 4); it must be a Unicode scalar value. */
size_t utf8_encode(uint32_t code_point, char at[4]);

struct utf8_state {
    uint8_t missing;   // continuation bytes of the sequence begun
    uint8_t low, high; // what the next of them may be
    bool failed;
};

static inline void utf8_init(struct utf8_state *s)
{
    *s = (struct utf8_state){0};
}

/* False at the first byte with which no valid text goes on, and from then on. */
bool utf8_feed(struct utf8_state *s, struct str piece);

/* Valid, and no sequence is half done. */
static inline bool utf8_done(const struct utf8_state *s)
{
    return !s->failed && s->missing == 0;
}

#endif
