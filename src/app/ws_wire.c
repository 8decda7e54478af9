/*
 * ws_wire.c - the client's side of the WebSocket wire.
 *
 * Always true: every frame that is written is final and masked; a server's frame with a mask, with
 * reserved bits or with a control frame over its limit is refused.
 */
#include "app/ws_wire.h"

#include <openssl/evp.h>
#include <stdio.h>

#include "base/random.h"

enum wire_result wire_read_head(const uint8_t *p, size_t avail, struct wire_head *ret)
{
    if (avail < 2)
        return WIRE_MORE;
    struct wire_head h = {.opcode = p[0] & 15,
                          .fin = (p[0] & 0x80) != 0,
                          .deflated = (p[0] & 0x40) != 0,
                          .n = p[1] & 127,
                          .head_n = 2};
    bool control = (h.opcode & 8) != 0;
    if ((p[0] & 0x30) != 0 || (p[1] & 0x80) != 0 || (h.opcode & 7) > 2)
        return WIRE_BAD;
    if (control && (!h.fin || h.n > 125 || h.deflated))
        return WIRE_BAD;
    unsigned more = h.n < 126 ? 0 : h.n == 126 ? 2 : 8;
    if (avail < 2 + more)
        return WIRE_MORE;
    if (more > 0)
        h.n = 0;
    for (unsigned i = 0; i < more; i++)
        h.n = h.n << 8 | p[2 + i];
    h.head_n += more;
    *ret = h;
    return WIRE_OK;
}

size_t wire_write_head(uint8_t ret[WIRE_HEAD_MAX], uint8_t opcode, uint64_t n,
                       const uint8_t mask[4])
{
    unsigned more = n < 126 ? 0 : n <= UINT16_MAX ? 2 : 8;
    size_t at = 2;
    ret[0] = 0x80 | opcode;
    ret[1] = (uint8_t)(0x80 | (more == 0 ? n : more == 2 ? 126 : 127));
    while (more > 0)
        ret[at++] = (uint8_t)(n >> (8 * --more));
    memcpy(ret + at, mask, 4);
    return at + 4;
}

void wire_mask(char *p, size_t n, const uint8_t mask[4])
{
    for (size_t i = 0; i < n; i++)
        p[i] = (char)(p[i] ^ mask[i & 3]);
}

bool wire_add_frame(struct buf *out, uint8_t opcode, struct str payload)
{
    uint8_t head[WIRE_HEAD_MAX], mask[4];
    random_bytes(mask, sizeof(mask));
    size_t n = wire_write_head(head, opcode, payload.n, mask);
    if (!buf_reserve(out, n + payload.n))
        return false;
    buf_add(out, (struct str){(const char *)head, n});
    buf_add(out, payload);
    wire_mask(out->p + out->len - payload.n, payload.n, mask);
    return true;
}

/* ---- the opening ---- */

bool wire_add_request(struct buf *out, const struct url *u, struct str headers,
                      char ret_key[WIRE_KEY_TEXT + 1])
{
    uint8_t nonce[16];
    char host[300];
    random_bytes(nonce, sizeof(nonce));
    EVP_EncodeBlock((unsigned char *)ret_key, nonce, sizeof(nonce));
    url_format_host(u, host, sizeof(host));
    return buf_add_format(out,
                          "GET %s HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\n"
                          "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                          "Sec-WebSocket-Key: %s\r\n%.*s\r\n",
                          u->path, host, ret_key, STR_FMT(headers));
}

static void expected_accept(const char *key, char ret[29])
{
    char text[WIRE_KEY_TEXT + 40];
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    int len = snprintf(text, sizeof(text), "%s258EAFA5-E914-47DA-95CA-C5AB0DC85B11", key);
    EVP_Digest(text, (size_t)len, digest, &n, EVP_sha1(), NULL);
    EVP_EncodeBlock((unsigned char *)ret, digest, (int)n);
}

struct str wire_header(struct str head, struct str name)
{
    str_cut(&head, '\n'); // the status line
    while (head.n > 0) {
        struct str line = str_cut(&head, '\n');
        struct str found = str_trim(str_cut(&line, ':'));
        if (!str_eq_nocase(found, name))
            continue;
        if (line.n > 0 && line.p[line.n - 1] == '\r')
            line.n--;
        return str_trim(line);
    }
    return STR_NONE;
}

unsigned wire_status(struct str head)
{
    uint64_t status;
    struct str line = str_cut(&head, '\n');
    if (!str_starts(line, STR("HTTP/1.")))
        return 0;
    str_cut(&line, ' ');
    struct str digits = {line.p, line.n < 3 ? line.n : 3};
    return str_to_u64(digits, &status) ? (unsigned)status : 0;
}

const char *wire_check_reply(struct str head, const char *key)
{
    char accept[29];
    if (wire_status(head) == 0)
        return "the answer is not HTTP";
    if (wire_status(head) != 101)
        return "the server did not open a WebSocket";
    expected_accept(key, accept);
    if (!str_eq(wire_header(head, STR("sec-websocket-accept")), str_from(accept)))
        return "the server's Sec-WebSocket-Accept is wrong";
    return NULL;
}
