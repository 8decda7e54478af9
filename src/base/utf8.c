/*
 * utf8.c - is it UTF-8?
 *
 * The ranges are those of table 3-7 of the Unicode standard: the lead byte says how many bytes
 * follow and what the first of them may be; the others are 80 to BF.
 */
#include "base/utf8.h"

#include "base/must.h"

static size_t ascii_run(const char *p, size_t n)
{
    size_t i = 0;
    for (; n - i >= 8; i += 8) {
        uint64_t w;
        memcpy(&w, p + i, 8);
        if (w & 0x8080808080808080u)
            break;
    }
    while (i < n && (unsigned char)p[i] < 0x80)
        i++;
    return i;
}

/* What must follow a lead byte that is not ASCII; nothing missing: no text has this byte here. */
static struct utf8_state lead_state(unsigned char c)
{
    struct utf8_state s = {.low = 0x80, .high = 0xbf};
    if (c >= 0xc2 && c <= 0xdf) {
        s.missing = 1;
    } else if (c >= 0xe0 && c <= 0xef) {
        s.missing = 2;
        if (c == 0xe0)
            s.low = 0xa0; // below: overlong
        else if (c == 0xed)
            s.high = 0x9f; // above: surrogates
    } else if (c >= 0xf0 && c <= 0xf4) {
        s.missing = 3;
        if (c == 0xf0)
            s.low = 0x90; // below: overlong
        else if (c == 0xf4)
            s.high = 0x8f; // above: no code points
    }
    return s;
}

size_t utf8_sequence(const char *p, const char *end)
{
    unsigned char c = (unsigned char)*p;
    if (c < 0x80)
        return 1;
    struct utf8_state s = lead_state(c);
    if (s.missing == 0 || (size_t)(end - p) <= s.missing)
        return 0;
    unsigned char first = (unsigned char)p[1];
    if (first < s.low || first > s.high)
        return 0;
    for (size_t i = 2; i <= s.missing; i++) {
        if (((unsigned char)p[i] & 0xc0) != 0x80)
            return 0;
    }
    return s.missing + 1u;
}

size_t utf8_encode(uint32_t code_point, char at[4])
{
    MUST(code_point <= 0x10ffff && (code_point & 0xfffff800) != 0xd800);
    if (code_point < 0x80) {
        at[0] = (char)code_point;
        return 1;
    }
    size_t n = code_point < 0x800 ? 2 : code_point < 0x10000 ? 3 : 4;
    for (size_t i = n - 1; i > 0; i--) {
        at[i] = (char)(0x80 | (code_point & 0x3f));
        code_point >>= 6;
    }
    at[0] = (char)((0xf00u >> n) | code_point); // the low byte holds n leading ones
    return n;
}

static bool feed_byte(struct utf8_state *s, unsigned char c)
{
    if (s->missing > 0) {
        s->failed = c < s->low || c > s->high;
        s->missing--;
        s->low = 0x80;
        s->high = 0xbf;
    } else if (c >= 0x80) {
        *s = lead_state(c);
        s->failed = s->missing == 0;
    }
    return !s->failed;
}

bool utf8_feed(struct utf8_state *s, struct str piece)
{
    if (s->failed)
        return false;
    const char *p = piece.n > 0 ? piece.p : "", *end = p + piece.n;
    while (p < end) {
        size_t n = 0;
        if (s->missing == 0) {
            p += ascii_run(p, (size_t)(end - p));
            while (p < end && (n = utf8_sequence(p, end)) > 1)
                p += n;
        }
        // What is left here is ASCII again, cut off by the end of the piece, or wrong.
        if (p < end && n != 1 && !feed_byte(s, (unsigned char)*p++))
            return false;
    }
    return true;
}

bool utf8_valid(struct str s)
{
    struct utf8_state state;
    utf8_init(&state);
    return utf8_feed(&state, s) && utf8_done(&state);
}
