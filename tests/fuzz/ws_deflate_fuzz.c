/*
 * ws_deflate_fuzz.c - offers, broken streams and round trips of permessage-deflate.
 *
 * The first byte chooses what the rest is: an offer, a deflated message, or a message to deflate.
 */
// links: carrier
#include "fuzz.h"

#include "base/must.h"
#include "carrier/ws_deflate.h"

#include <stdlib.h>

enum { INFLATED_MAX = 65536 };

static void read_offer(struct str header)
{
    struct ws_deflate_choice choice;
    char answer[WS_DEFLATE_ANSWER_MAX];
    if (!ws_deflate_choose(header, &choice))
        return;
    MUST(choice.window_bits >= WS_WINDOW_BITS_MIN && choice.window_bits <= WS_WINDOW_BITS_MAX);
    MUST(choice.bits_asked || choice.window_bits == WS_WINDOW_BITS_MAX);
    MUST(ws_deflate_answer(&choice, answer) < WS_DEFLATE_ANSWER_MAX);
}

static void inflate_message(struct str deflated)
{
    struct str plain;
    enum close_reason reason = ws_inflate(deflated, INFLATED_MAX, &plain);
    MUST(reason == CLOSE_NONE || reason == CLOSE_TOO_BIG || reason == CLOSE_BAD_FRAME);
    MUST(reason != CLOSE_NONE || plain.n <= INFLATED_MAX);
}

static void round_trip(int window_bits, struct str plain)
{
    char *at = malloc(ws_deflated_room(plain.n));
    MUST(at != NULL);
    size_t n;
    struct str back;
    if (ws_deflate(window_bits, plain, at, &n)) {
        MUST(n < plain.n);
        MUST(ws_inflate((struct str){at, n}, plain.n, &back) == CLOSE_NONE);
        MUST(str_eq(back, plain));
    }
    free(at);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    struct str rest = {(const char *)data + 1, size - 1};
    if (data[0] % 3 == 0)
        read_offer(rest);
    else if (data[0] % 3 == 1)
        inflate_message(rest);
    else
        round_trip(WS_WINDOW_BITS_MIN + data[0] % 7, rest);
    return 0;
}
