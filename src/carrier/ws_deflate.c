/*
 * ws_deflate.c - permessage-deflate without state between messages.
 *
 * Why it exists: a window kept for each connection would cost 300 KiB of memory apiece and forbid
 * sharing a frame. So neither side keeps one ("no context takeover", both ways), and one compressor
 * per thread and window size serves everybody.
 *
 * Always true between two calls: every stream of the thread is reset or not yet made.
 */
#include "carrier/ws_deflate.h"

#include <pthread.h>
#include <stdlib.h>
#include <zlib.h>

enum {
    DEFLATE_LEVEL = 3,
    DEFLATE_VARIANTS = WS_WINDOW_BITS_MAX - WS_WINDOW_BITS_MIN + 1,
    TAIL_BYTES = 4,               // 00 00 ff ff: every flush ends with it, no message carries it
    INFLATE_KEEP_BYTES = 1 << 20, // a larger output buffer is not kept
    INFLATE_FIRST_BYTES = 16 * 1024,
    INFLATE_MAX_BYTES = 0x7ffffffe
};

/* A compressor whose hash table is small is much quicker to reset; it serves the short messages. */
enum { SIZE_SHORT, SIZE_LONG, SIZE_COUNT, SHORT_BYTES = 4096 };

struct deflater {
    z_stream z;
    bool ready;
};

struct ws_zlib {
    struct deflater deflaters[DEFLATE_VARIANTS][SIZE_COUNT];
    z_stream inflater;
    bool inflater_ready;
    struct buf out;
};

static _Thread_local struct ws_zlib *thread_zlib;
static pthread_key_t zlib_key;
static pthread_once_t zlib_once = PTHREAD_ONCE_INIT;

static void zlib_free(void *p)
{
    struct ws_zlib *zl = p;
    for (int v = 0; v < DEFLATE_VARIANTS; v++) {
        for (int s = 0; s < SIZE_COUNT; s++) {
            if (zl->deflaters[v][s].ready)
                deflateEnd(&zl->deflaters[v][s].z);
        }
    }
    if (zl->inflater_ready)
        inflateEnd(&zl->inflater);
    buf_fini(&zl->out);
    free(zl);
    thread_zlib = NULL;
}

static void zlib_key_make(void)
{
    pthread_key_create(&zlib_key, zlib_free); // without a key threads keep what they have
}

static struct ws_zlib *zlib_get(void)
{
    if (thread_zlib != NULL)
        return thread_zlib;
    pthread_once(&zlib_once, zlib_key_make);
    struct ws_zlib *zl = calloc(1, sizeof(*zl));
    if (zl == NULL)
        return NULL;
    pthread_setspecific(zlib_key, zl);
    thread_zlib = zl;
    return zl;
}

static z_stream *deflater_get(int window_bits, size_t n)
{
    struct ws_zlib *zl = zlib_get();
    if (zl == NULL)
        return NULL;
    int size = n <= SHORT_BYTES ? SIZE_SHORT : SIZE_LONG;
    struct deflater *d = &zl->deflaters[window_bits - WS_WINDOW_BITS_MIN][size];
    if (d->ready)
        return deflateReset(&d->z) == Z_OK ? &d->z : NULL;
    int bits = size == SIZE_SHORT && window_bits > 12 ? 12 : window_bits;
    int memory = size == SIZE_SHORT ? 5 : 8;
    if (deflateInit2(&d->z, DEFLATE_LEVEL, Z_DEFLATED, -bits, memory, Z_DEFAULT_STRATEGY) != Z_OK)
        return NULL;
    d->ready = true;
    return &d->z;
}

bool ws_deflate(int window_bits, struct str payload, char *at, size_t *ret_n)
{
    if (payload.n < WS_DEFLATE_MIN || payload.n > UINT32_MAX - TAIL_BYTES)
        return false;
    z_stream *z = deflater_get(window_bits, payload.n);
    if (z == NULL)
        return false;
    z->next_in = (Bytef *)(uintptr_t)payload.p; // zlib does not write there
    z->avail_in = (uInt)payload.n;
    z->next_out = (Bytef *)at;
    z->avail_out = (uInt)(payload.n + TAIL_BYTES);
    int rc = deflate(z, Z_SYNC_FLUSH);
    if (rc != Z_OK || z->avail_in > 0 || z->avail_out == 0)
        return false; // it did not fit into its own length
    size_t n = payload.n + TAIL_BYTES - z->avail_out;
    *ret_n = n - TAIL_BYTES;
    return true;
}

/* Room for more output: false at the limit. One byte over it is allowed, to see an excess. */
static bool out_grow(struct buf *out, z_stream *z, size_t limit)
{
    size_t want = out->len < INFLATE_FIRST_BYTES ? INFLATE_FIRST_BYTES : out->len * 2;
    if (want > limit + 1)
        want = limit + 1;
    if (!buf_reserve(out, want - out->len))
        return false;
    size_t end = out->cap < limit + 1 ? out->cap : limit + 1;
    z->next_out = (Bytef *)out->p + out->len;
    z->avail_out = (uInt)(end - out->len);
    return true;
}

/* Inflates one piece of input to the end of out. */
static enum close_reason inflate_piece(z_stream *z, struct buf *out, struct str piece, size_t limit)
{
    z->next_in = (Bytef *)(uintptr_t)piece.p;
    z->avail_in = (uInt)piece.n;
    for (;;) {
        if (!out_grow(out, z, limit))
            return CLOSE_INTERNAL;
        size_t room = z->avail_out;
        int rc = inflate(z, Z_SYNC_FLUSH);
        out->len += room - z->avail_out;
        if (out->len > limit)
            return CLOSE_TOO_BIG;
        if (rc == Z_STREAM_END)
            rc = inflateReset(z); // a sender may end a block for good; what follows starts afresh
        if (rc != Z_OK && rc != Z_BUF_ERROR)
            return rc == Z_MEM_ERROR ? CLOSE_INTERNAL : CLOSE_BAD_FRAME;
        if (z->avail_in == 0 && z->avail_out > 0)
            return CLOSE_NONE;
        if (rc == Z_BUF_ERROR && z->avail_out > 0)
            return CLOSE_BAD_FRAME;
    }
}

/* data_type tells where inflate() stands: 128 is "just behind a block", the low bits are those of
 * the last byte not used yet. */
static bool inflate_at_rest(const z_stream *z)
{
    return (z->data_type & 128) != 0 && (z->data_type & 7) == 0;
}

static z_stream *inflater_get(struct ws_zlib *zl)
{
    if (zl->inflater_ready)
        return inflateReset(&zl->inflater) == Z_OK ? &zl->inflater : NULL;
    zl->inflater_ready = inflateInit2(&zl->inflater, -WS_WINDOW_BITS_MAX) == Z_OK;
    buf_init(&zl->out, (size_t)INFLATE_MAX_BYTES + 1);
    return zl->inflater_ready ? &zl->inflater : NULL;
}

enum close_reason ws_inflate(struct str deflated, size_t max, struct str *ret)
{
    struct ws_zlib *zl = zlib_get();
    z_stream *z = zl ? inflater_get(zl) : NULL;
    if (z == NULL || deflated.n > UINT32_MAX)
        return CLOSE_INTERNAL;
    if (max > INFLATE_MAX_BYTES)
        max = INFLATE_MAX_BYTES;
    if (zl->out.cap > INFLATE_KEEP_BYTES)
        buf_fini(&zl->out);
    buf_clear(&zl->out);
    *ret = STR_NONE;
    if (deflated.n == 0)
        return CLOSE_NONE; // nothing, and nothing of it: some senders do not write the empty block
    enum close_reason reason = inflate_piece(z, &zl->out, deflated, max);
    bool ended = z->total_in == 0; // reset behind a last block, and nothing followed
    if (reason == CLOSE_NONE && !ended) {
        reason = inflate_piece(z, &zl->out, (struct str){"\0\0\xff\xff", TAIL_BYTES}, max);
        if (reason == CLOSE_NONE && !inflate_at_rest(z))
            reason = CLOSE_BAD_FRAME; // cut short
    }
    if (reason != CLOSE_NONE)
        return reason;
    *ret = buf_str(&zl->out);
    return CLOSE_NONE;
}
