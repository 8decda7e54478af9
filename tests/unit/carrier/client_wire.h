/* client_wire.h - writes what a WebSocket client sends, right or wrong.
 * Thread:  the test's.
 * Memory:  the buffer's.
 * Failure: a buffer that is too small fails the test. */
#ifndef UNIT_CARRIER_CLIENT_WIRE_H
#define UNIT_CARRIER_CLIENT_WIRE_H

#include <setjmp.h>
#include <stdarg.h>

#include "base/buf.h"
#include "carrier/ws_frame.h"

#include <cmocka.h>

enum { FIN = WS_FIN, RSV1 = WS_RSV1 };

static const uint8_t wire_key[4] = {0x37, 0xfa, 0x21, 0x3d};

/* A head with the length written in length_bytes (0: in the second byte, 2 or 8). */
static inline void wire_head(struct buf *w, unsigned first, uint64_t len, int length_bytes,
                             bool masked)
{
    uint8_t h[14];
    size_t n = 0;
    h[n++] = (uint8_t)first;
    uint64_t small = length_bytes == 0 ? len : length_bytes == 2 ? 126 : 127;
    h[n++] = (uint8_t)(small | (masked ? WS_MASKED : 0));
    for (int i = length_bytes - 1; i >= 0; i--)
        h[n++] = (uint8_t)(len >> (8 * i));
    if (masked) {
        memcpy(h + n, wire_key, 4);
        n += 4;
    }
    assert_true(buf_add(w, (struct str){(char *)h, n}));
}

static inline void wire_frame(struct buf *w, unsigned first, struct str payload)
{
    wire_head(w, first, payload.n, payload.n < 126 ? 0 : payload.n < 65536 ? 2 : 8, true);
    size_t at = w->len;
    assert_true(buf_add(w, payload));
    ws_mask(w->p + at, payload.n, wire_key, 0);
}

#endif
