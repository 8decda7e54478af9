/*
 * utf8_fuzz.c - the UTF-8 validator whole, in pieces and by decoding.
 *
 * The first byte says where the rest is cut.
 */
// links: base
#include "fuzz.h"

#include "base/must.h"
#include "base/utf8.h"

/* Decodes by the arithmetic of the encoding alone and checks what came out. */
static bool decodes(struct str s)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    for (size_t i = 0; i < s.n;) {
        unsigned char c = (unsigned char)s.p[i];
        size_t n = c < 0x80 ? 1 : c >> 5 == 6 ? 2 : c >> 4 == 14 ? 3 : c >> 3 == 30 ? 4 : 0;
        if (n == 0 || n > s.n - i)
            return false;
        uint32_t v = n == 1 ? c : c & (0x7fu >> n);
        for (size_t k = 1; k < n; k++) {
            if (((unsigned char)s.p[i + k] & 0xc0) != 0x80)
                return false;
            v = v << 6 | ((unsigned char)s.p[i + k] & 0x3f);
        }
        if (v < least[n] || v > 0x10ffff || (v >= 0xd800 && v <= 0xdfff))
            return false;
        char again[4];
        MUST(utf8_encode(v, again) == n && memcmp(again, s.p + i, n) == 0);
        i += n;
    }
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    struct str text = {(const char *)data + 1, size - 1};
    size_t cut = text.n > 0 ? data[0] % (text.n + 1) : 0;
    struct utf8_state s;
    utf8_init(&s);
    bool fed = utf8_feed(&s, (struct str){text.p, cut}) && utf8_feed(&s, str_skip(text, cut));
    MUST(utf8_valid(text) == decodes(text));
    MUST((fed && utf8_done(&s)) == utf8_valid(text));
    return 0;
}
