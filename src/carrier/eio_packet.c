/*
 * eio_packet.c - Engine.IO 4 packets and payloads.
 *
 * Why it exists: what a session sends is kept as the WebSocket frames that all share; a client that
 * polls gets the same messages as characters. This file knows both forms, and no session.
 *
 * Always true: no packet that is written holds a separator, so nobody's text becomes two packets.
 */
#include "carrier/eio_packet.h"

#include <openssl/evp.h>
#include <zlib.h>

#include "base/must.h"
#include "base/utf8.h"
#include "carrier/eio.h"
#include "carrier/ws_deflate.h"
#include "carrier/ws_frame.h"

/* ---- base64 ---- */

/* Of the two alphabets in use; -1: of neither. */
static int base64_value(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    if (c == '+' || c == '-')
        return 62;
    return c == '/' || c == '_' ? 63 : -1;
}

static struct str base64_digits(struct str text)
{
    for (int i = 0; i < 2 && text.n > 0 && text.p[text.n - 1] == '='; i++)
        text.n--;
    return text;
}

static bool base64_valid(struct str text)
{
    struct str digits = base64_digits(text);
    if (digits.n % 4 == 1 || (digits.n < text.n && text.n % 4 != 0))
        return false;
    for (size_t i = 0; i < digits.n; i++) {
        if (base64_value(digits.p[i]) < 0)
            return false;
    }
    return true;
}

size_t eio_base64_decode(struct str text, char *at)
{
    struct str digits = base64_digits(text);
    uint32_t bits = 0;
    size_t n = 0;
    for (size_t i = 0; i < digits.n; i++) {
        bits = bits << 6 | (uint32_t)base64_value(digits.p[i]);
        if (i % 4 > 0)
            at[n++] = (char)(bits >> (6 - 2 * (i % 4)));
    }
    return n;
}

/* ---- what clients send ---- */

bool eio_packet_read(struct str text, struct eio_packet *ret)
{
    if (text.n == 0 || strchr("13456", text.p[0]) == NULL || text.p[0] == '\0')
        return false;
    *ret = (struct eio_packet){(enum eio_type)text.p[0], str_skip(text, 1)};
    return true;
}

static bool packet_of(struct str text, struct eio_packet *ret)
{
    if (text.n == 0 || text.p[0] != EIO_BINARY)
        return eio_packet_read(text, ret);
    *ret = (struct eio_packet){EIO_BINARY, str_skip(text, 1)};
    return base64_valid(ret->data);
}

bool eio_payload_valid(struct str payload)
{
    struct eio_packet packet;
    unsigned count = 0;
    if (payload.n == 0)
        return true;
    if (!utf8_valid(payload) || payload.p[payload.n - 1] == EIO_SEPARATOR)
        return false;
    while (payload.n > 0) {
        if (++count > EIO_PACKETS_MAX || !packet_of(str_cut(&payload, EIO_SEPARATOR), &packet))
            return false;
    }
    return true;
}

bool eio_packet_next(struct str *payload, struct eio_packet *ret)
{
    return payload->n > 0 && packet_of(str_cut(payload, EIO_SEPARATOR), ret);
}

/* ---- what they are sent ---- */

bool eio_packet_frame(struct buf *out, enum eio_type type, struct str data)
{
    size_t head_n = ws_head_size(data.n + 1);
    if (!buf_reserve(out, head_n + 1 + data.n))
        return false;
    char *at = out->p + out->len;
    ws_head_write(at, WS_FIN | WS_OP_TEXT, data.n + 1);
    at[head_n] = (char)type;
    if (data.n > 0)
        memcpy(at + head_n + 1, data.p, data.n);
    out->len += head_n + 1 + data.n;
    return true;
}

static bool frame_deflated(const struct framing *f, struct buf *out, struct str payload)
{
    struct buf text;
    buf_init(&text, payload.n + 1);
    bool ok = buf_add_char(&text, EIO_MESSAGE) && buf_add(&text, payload) &&
              f->frame(f, out, buf_str(&text));
    buf_fini(&text);
    return ok;
}

bool eio_frame(const struct framing *f, struct buf *out, struct str payload, bool binary)
{
    if (binary)
        return ws_framing_binary.frame(&ws_framing_binary, out, payload);
    if (f->window_bits > 0 && payload.n >= WS_DEFLATE_MIN)
        return frame_deflated(f, out, payload);
    return eio_packet_frame(out, EIO_MESSAGE, payload);
}

/* The next of frames that this server wrote: whole, not masked, not deflated. */
static struct str frame_next(struct str *frames, bool *ret_binary)
{
    const uint8_t *p = (const uint8_t *)frames->p;
    MUST(frames->n >= 2 && (p[0] & WS_RSV1) == 0);
    size_t n = p[1], head_n = n < 126 ? 2 : n == 126 ? 4 : 10;
    MUST(frames->n >= head_n);
    if (head_n > 2) {
        n = 0;
        for (size_t i = 2; i < head_n; i++)
            n = n << 8 | p[i];
    }
    MUST(frames->n - head_n >= n);
    *ret_binary = (p[0] & 0x0f) == WS_OP_BINARY;
    struct str payload = {frames->p + head_n, n};
    *frames = str_skip(*frames, head_n + n);
    return payload;
}

static bool add_base64(struct buf *out, struct str bytes)
{
    if (bytes.n > INT32_MAX / 2 || !buf_reserve(out, 2 + (bytes.n + 2) / 3 * 4))
        return false;
    out->p[out->len++] = EIO_BINARY;
    if (bytes.n > 0)
        out->len += (size_t)EVP_EncodeBlock((unsigned char *)out->p + out->len,
                                            (const unsigned char *)bytes.p, (int)bytes.n);
    return true;
}

static bool add_text(struct buf *out, struct str text)
{
    size_t at = out->len;
    if (!buf_add(out, text))
        return false;
    char *p = out->p + at, *end = out->p + out->len;
    while (p < end && (p = memchr(p, EIO_SEPARATOR, (size_t)(end - p))) != NULL)
        *p++ = ' ';
    return true;
}

bool eio_payload_add(struct buf *out, struct str frames)
{
    while (frames.n > 0) {
        bool binary;
        struct str message = frame_next(&frames, &binary);
        if (out->len > 0 && !buf_add_char(out, EIO_SEPARATOR))
            return false;
        if (!(binary ? add_base64(out, message) : add_text(out, message)))
            return false;
    }
    return true;
}

/* ---- compressed ---- */

/* ";q=0" in any of its spellings. */
static bool is_refused(struct str parameters)
{
    struct str q = str_trim(parameters);
    if (q.n < 3 || (q.p[0] != 'q' && q.p[0] != 'Q') || q.p[1] != '=')
        return false;
    for (size_t i = 2; i < q.n; i++) {
        if (q.p[i] != '0' && q.p[i] != '.')
            return false;
    }
    return true;
}

enum eio_coding eio_coding_choose(struct str accept)
{
    enum eio_coding found = EIO_IDENTITY;
    while (accept.n > 0) {
        struct str parameters = str_cut(&accept, ',');
        struct str name = str_trim(str_cut(&parameters, ';'));
        if (is_refused(parameters))
            continue;
        if (str_eq_nocase(name, STR("gzip")))
            return EIO_GZIP;
        if (str_eq_nocase(name, STR("deflate")))
            found = EIO_DEFLATE;
    }
    return found;
}

static void put_u32(char *at, uint32_t v, bool big_endian)
{
    for (int i = 0; i < 4; i++)
        at[i] = (char)(v >> 8 * (big_endian ? 3 - i : i));
}

/* The thread's compressor for WebSocket messages serves here as well: what it leaves out at the end
 * of a message is put back, then comes the empty last block. */
bool eio_compress(enum eio_coding coding, struct str body, struct buf *out)
{
    static const char gzip_head[] = "\x1f\x8b\x08\0\0\0\0\0\0\xff", zlib_head[] = "\x78\x01";
    bool gzip = coding == EIO_GZIP;
    char sum[8];
    size_t n = 0;
    if (coding == EIO_IDENTITY || body.n > UINT32_MAX)
        return false;
    const Bytef *bytes = (const Bytef *)body.p;
    if (!buf_add(out, gzip ? (struct str){gzip_head, 10} : (struct str){zlib_head, 2}) ||
        !buf_reserve(out, ws_deflate_room(body.n)) ||
        !ws_deflate(WS_WINDOW_BITS_MAX, body, out->p + out->len, &n))
        return false;
    out->len += n;
    put_u32(sum,
            gzip ? (uint32_t)crc32(crc32(0, NULL, 0), bytes, (uInt)body.n)
                 : (uint32_t)adler32(adler32(0, NULL, 0), bytes, (uInt)body.n),
            !gzip);
    put_u32(sum + 4, (uint32_t)body.n, false);
    return buf_add(out, (struct str){"\0\0\xff\xff\x01\0\0\xff\xff", 9}) &&
           buf_add(out, (struct str){sum, gzip ? 8 : 4});
}
