/*
 * utf8_test.c - exactly the well-formed sequences are UTF-8, and a wrong one is refused at the
 * first byte that makes it so.
 */
#include "unit/cuts.h"

#include "base/utf8.h"

#define CASE(lit)                                                                                  \
    {                                                                                              \
        lit, sizeof(lit) - 1                                                                       \
    }

static const struct str good[] = {
    CASE(""),
    CASE("\0"),
    CASE("ascii only, and longer than one word of eight"),
    CASE("\xc2\x80\xdf\xbf"),
    CASE("\xe0\xa0\x80\xe0\xbf\xbf\xe1\x80\x80\xec\xbf\xbf"),
    CASE("\xed\x80\x80\xed\x9f\xbf\xee\x80\x80\xef\xbf\xbf"),
    CASE("\xf0\x90\x80\x80\xf0\xbf\xbf\xbf\xf1\x80\x80\x80\xf3\xbf\xbf\xbf"),
    CASE("\xf4\x80\x80\x80\xf4\x8f\xbf\xbf"),
    CASE(
        "Ol\xc3\xa1, a\xc3\xa7\xc3\xa3o; \xe6\x97\xa5\xe6\x9c\xac; \xf0\x9f\x98\x80 and some more"),
    CASE("\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5"),
};

/* at: how many bytes the validator takes before it refuses; the whole text: only its end shows. */
static const struct {
    struct str text;
    size_t at;
} bad[] = {
    {CASE("\x80"), 0},
    {CASE("a\xbf"), 1},
    {CASE("\xc0\xaf"), 0},
    {CASE("\xc1\xbf"), 0},
    {CASE("\xc2"), 1},
    {CASE("\xc2\x41"), 1},
    {CASE("\xc2\xc2\x80"), 1},
    {CASE("\xe0\x80\xaf"), 1},
    {CASE("\xe0\x9f\xbf"), 1},
    {CASE("\xe2\x82"), 2},
    {CASE("\xe2\x82\x41"), 2},
    {CASE("\xed\xa0\x80"), 1},
    {CASE("\xed\xbf\xbf"), 1},
    {CASE("\xed\xa0\xbd\xed\xb8\x80"), 1},
    {CASE("\xf0\x80\x80\xaf"), 1},
    {CASE("\xf0\x8f\xbf\xbf"), 1},
    {CASE("\xf0\x9f\x98"), 3},
    {CASE("\xf0\x9f\x41\x80"), 2},
    {CASE("\xf4\x90\x80\x80"), 1},
    {CASE("\xf5\x80\x80\x80"), 0},
    {CASE("\xf8\x88\x80\x80\x80"), 0},
    {CASE("\xfe"), 0},
    {CASE("\xff"), 0},
    {CASE("12345678\xff"), 8},
    {CASE("1234567\xc3\xa9\xc3"), 10},
    {CASE("\xce\xba\xe1\xbd\xb9\xf4\x90\x80\x80 more text"), 6},
};

static void whole_texts(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        assert_true(utf8_valid(good[i]));
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (utf8_valid(bad[i].text))
            fail_msg("bad text %zu was accepted", i);
    }
    assert_true(utf8_valid(STR_NONE));
}

static void begin(void *ctx)
{
    utf8_init(ctx);
}

static void feed(void *ctx, char *p, size_t n, struct buf *told)
{
    bool ok = utf8_feed(ctx, (struct str){p, n});
    if (!ok && told->len == 0)
        assert_true(buf_add(told, STR("refused ")));
}

static void end(void *ctx, struct buf *told)
{
    assert_true(buf_add(told, utf8_done(ctx) ? STR("done") : STR("not done")));
}

static void texts_in_pieces(void **state)
{
    (void)state;
    struct utf8_state s;
    const struct cuts c = {.ctx = &s, .begin = begin, .feed = feed, .end = end};
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        cuts_check(&c, good[i], STR("done"));
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        cuts_check(&c, bad[i].text,
                   bad[i].at == bad[i].text.n ? STR("not done") : STR("refused not done"));
}

static void refused_at_once(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct utf8_state s;
        size_t at = 0;
        utf8_init(&s);
        while (at < bad[i].text.n && utf8_feed(&s, (struct str){bad[i].text.p + at, 1}))
            at++;
        if (at != bad[i].at)
            fail_msg("bad text %zu: refused at %zu, not at %zu", i, at, bad[i].at);
        if (at < bad[i].text.n)
            assert_false(utf8_feed(&s, STR("a"))); // and stays refused
        utf8_init(&s); // the same in one piece, up to the byte that decides
        assert_true(utf8_feed(&s, (struct str){bad[i].text.p, at}));
        if (at < bad[i].text.n)
            assert_false(utf8_feed(&s, (struct str){bad[i].text.p + at, 1}));
    }
}

/* Every code point, by the arithmetic of the encoding. */
static void every_code_point(void **state)
{
    (void)state;
    for (uint32_t c = 0; c <= 0x10ffff; c++) {
        char at[4];
        if (c >= 0xd800 && c <= 0xdfff)
            continue;
        size_t n = utf8_encode(c, at), want = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
        if (n != want || utf8_sequence(at, at + n) != n || !utf8_valid((struct str){at, n}))
            fail_msg("U+%04x", c);
        for (size_t cut = 1; cut < n; cut++) {
            if (utf8_sequence(at, at + cut) != 0)
                fail_msg("U+%04x cut", c);
        }
    }
}

/* All pairs of bytes: valid are two ASCII characters and the two-byte forms, and no others. */
static void every_pair(void **state)
{
    (void)state;
    for (unsigned a = 0; a < 256; a++) {
        for (unsigned b = 0; b < 256; b++) {
            char text[2] = {(char)a, (char)b};
            bool want = (a < 0x80 && b < 0x80) || (a >= 0xc2 && a <= 0xdf && b >> 6 == 2);
            if (utf8_valid((struct str){text, 2}) != want)
                fail_msg("%02x %02x", a, b);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_texts),     cmocka_unit_test(texts_in_pieces),
        cmocka_unit_test(refused_at_once), cmocka_unit_test(every_code_point),
        cmocka_unit_test(every_pair),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
