/*
 * ws_frame_fuzz.c - the WebSocket frame parser tells one story however its input is cut.
 *
 * The first byte chooses: bit 0 deflate, bit 1 frames of a server, the rest the size of the pieces.
 */
// links: carrier
#include "fuzz.h"

#include "base/must.h"
#include "base/utf8.h"
#include "carrier/ws_frame.h"

#include <stdlib.h>

enum { MESSAGE_MAX = 4096 };

/* What was told, as one number. */
struct story {
    uint64_t hash;
    unsigned event_count;
};

static void story_add(struct story *s, enum ws_event event, const struct ws_item *item)
{
    struct str payload = {item->p, item->n};
    if (event == WS_BROKEN)
        payload = STR_NONE;
    if (event == WS_MESSAGE) {
        MUST(item->n <= (item->deflated ? MESSAGE_MAX + MESSAGE_MAX / 8 + 64 : MESSAGE_MAX));
        MUST(item->binary || item->deflated || utf8_valid(payload));
    }
    uint64_t kind = (uint64_t)event << 16 | (uint64_t)item->reason << 8 |
                    (uint64_t)item->binary << 1 | item->deflated;
    s->hash = str_hash(payload, s->hash ^ kind);
    s->event_count++;
    if (event == WS_CLOSE) {
        uint16_t code;
        struct str text;
        MUST(ws_close_read(payload, &code, &text) != CLOSE_NONE || code == 0 || code >= 1000);
    }
}

/* False: the parser has nothing more to say. */
static bool feed(struct ws_parser *p, struct str piece, struct story *s)
{
    char *block = malloc(piece.n); // exactly as long: reading past it is seen
    MUST(block != NULL || piece.n == 0);
    memcpy(block, piece.p, piece.n);
    struct ws_input in = {block, piece.n};
    struct ws_item item;
    enum ws_event event;
    while ((event = ws_parser_next(p, &in, &item)) != WS_MORE) {
        story_add(s, event, &item);
        if (event == WS_BROKEN)
            break;
    }
    MUST(event == WS_BROKEN || in.n == 0);
    free(block);
    return event == WS_MORE;
}

static struct story run(unsigned choice, struct str input, size_t step)
{
    struct ws_parser p;
    struct story s = {0};
    ws_parser_init(&p, MESSAGE_MAX, choice & 1);
    p.client = (choice & 2) != 0;
    for (size_t at = 0; at < input.n; at += step) {
        size_t n = input.n - at < step ? input.n - at : step;
        if (!feed(&p, (struct str){input.p + at, n}, &s))
            break;
    }
    ws_parser_fini(&p);
    return s;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    struct str input = {(const char *)data + 1, size - 1};
    struct story whole = run(data[0], input, input.n);
    struct story pieces = run(data[0], input, 1 + (data[0] >> 2));
    struct story bytes = run(data[0], input, 1);
    MUST(whole.hash == bytes.hash && whole.event_count == bytes.event_count);
    MUST(whole.hash == pieces.hash && whole.event_count == pieces.event_count);
    return 0;
}
