/* cuts.h - feeds a parser the same bytes whole, at every two-piece cut and byte by byte.
 *
 * TCP may cut a stream anywhere, so a parser must tell the same story however its input comes. Each
 * piece lives in a heap block of its own size that is freed after the feed: reading past a piece or
 * keeping a pointer into one is a sanitizer's report.
 *
 * Thread:  the test's.
 * Memory:  the pieces are writable, as receive buffers are; `told` is emptied for every run.
 * Failure: a run that tells another story than the whole one fails the test. */
#ifndef UNIT_CUTS_H
#define UNIT_CUTS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include "base/buf.h"

#include <cmocka.h>

/* A long input is cut at this many places, evenly spread. */
enum { CUTS_MAX = 2048, CUTS_TOLD_MAX = 16 << 20 };

struct cuts {
    void *ctx;
    /* Makes the parser new. */
    void (*begin)(void *ctx);
    /* n is at least 1. What the parser says goes to told, one way or the other the same for the
     * same events: merge what may come in parts, and write down errors too. */
    void (*feed)(void *ctx, char *p, size_t n, struct buf *told);
    /* After the last piece: ends the parser; may be NULL. */
    void (*end)(void *ctx, struct buf *told);
};

static inline void cuts_feed(const struct cuts *c, struct str piece, struct buf *told)
{
    if (piece.n == 0)
        return;
    char *block = malloc(piece.n);
    assert_non_null(block);
    memcpy(block, piece.p, piece.n);
    c->feed(c->ctx, block, piece.n, told);
    free(block);
}

/* Runs the input with a cut at `cut`, or byte by byte when step is 1. */
static inline void cuts_run(const struct cuts *c, struct str input, size_t cut, size_t step,
                            struct buf *told)
{
    buf_clear(told);
    c->begin(c->ctx);
    cuts_feed(c, (struct str){input.p, cut}, told);
    for (size_t at = cut; at < input.n; at += step)
        cuts_feed(c, (struct str){input.p + at, input.n - at < step ? input.n - at : step}, told);
    if (c->end != NULL)
        c->end(c->ctx, told);
}

static inline void cuts_compare(const struct buf *whole, const struct buf *told, const char *how,
                                size_t cut)
{
    if (!str_eq(buf_str(whole), buf_str(told)))
        fail_msg("%s %zu:\nwhole: %.*s\n  cut: %.*s", how, cut, STR_FMT(buf_str(whole)),
                 STR_FMT(buf_str(told)));
}

/* All runs must tell what the whole one tells; expected, unless STR_NONE, is what that must be. */
static inline void cuts_check(const struct cuts *c, struct str input, struct str expected)
{
    struct buf whole, told;
    buf_init(&whole, CUTS_TOLD_MAX);
    buf_init(&told, CUTS_TOLD_MAX);
    cuts_run(c, input, input.n, 1, &whole);
    if (expected.p != NULL && !str_eq(buf_str(&whole), expected))
        fail_msg("expected: %.*s\n     got: %.*s", STR_FMT(expected), STR_FMT(buf_str(&whole)));
    size_t stride = input.n / CUTS_MAX + 1;
    for (size_t cut = 1; cut < input.n; cut += stride) {
        cuts_run(c, input, cut, input.n, &told);
        cuts_compare(&whole, &told, "cut at", cut);
    }
    cuts_run(c, input, 0, 1, &told);
    cuts_compare(&whole, &told, "byte by byte, pieces of", 1);
    buf_fini(&whole);
    buf_fini(&told);
}

#endif
