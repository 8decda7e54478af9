/*
 * ws_handshake.c - the opening handshake: is it one, what was agreed, the 101.
 *
 * Why it exists: a handshake is the only part of a WebSocket that is HTTP. Once it has been
 * answered nothing of it is kept but the choice of a framing.
 */
#include "carrier/ws_handshake.h"

#include <openssl/evp.h>

static const char accept_guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
enum { KEY_CHARS = 24, SHA1_BYTES = 20, ACCEPT_CHARS = 28 };

bool ws_is_handshake(const struct http_request *r)
{
    return r->method == HTTP_GET && http_header_has(r, STR("Upgrade"), STR("websocket"));
}

static bool is_base64_char(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '+' ||
           c == '/';
}

/* 16 bytes in base64. */
static bool key_ok(struct str key)
{
    if (key.n != KEY_CHARS || key.p[22] != '=' || key.p[23] != '=')
        return false;
    for (size_t i = 0; i < 22; i++) {
        if (!is_base64_char(key.p[i]))
            return false;
    }
    return true;
}

static void refuse(struct http_request *r, unsigned status, struct str message, struct str extra)
{
    struct buf body;
    buf_init(&body, 256);
    if (buf_add_format(&body, "{\"error\":{\"code\":%u,\"message\":\"%.*s\"}}",
                       err_code(ERR_BAD_REQUEST), STR_FMT(message)))
        http_reply(r, status, STR("application/json"), buf_str(&body), extra);
    else
        http_reply_error(r, status, err_code(ERR_BAD_REQUEST), message);
    buf_fini(&body);
}

static bool said_once(const struct http_request *r, struct str name)
{
    unsigned count = 0;
    for (size_t i = 0; i < r->header_count; i++)
        count += str_eq_nocase(r->headers[i].name, name);
    return count <= 1; // one that is missing is refused with words of its own
}

static bool request_ok(struct http_request *r, struct str *ret_key)
{
    if (!ws_is_handshake(r) || !r->upgrade) {
        refuse(r, 426, STR("this is a WebSocket endpoint: Upgrade: websocket is missing"),
               STR("Upgrade: websocket\r\nConnection: Upgrade\r\n"));
        return false;
    }
    if (r->minor < 1) {
        refuse(r, 400, STR("a WebSocket needs HTTP/1.1"), STR_NONE);
        return false;
    }
    if (!str_eq(http_header(r, STR("Sec-WebSocket-Version")), STR("13"))) {
        refuse(r, 426, STR("Sec-WebSocket-Version must be 13"),
               STR("Sec-WebSocket-Version: 13\r\n"));
        return false;
    }
    *ret_key = http_header(r, STR("Sec-WebSocket-Key"));
    if (!said_once(r, STR("Sec-WebSocket-Version")) || !said_once(r, STR("Sec-WebSocket-Key"))) {
        refuse(r, 400, STR("Sec-WebSocket-Key and -Version must be there once"), STR_NONE);
        return false;
    }
    if (!key_ok(*ret_key)) {
        refuse(r, 400, STR("Sec-WebSocket-Key must be 16 bytes in base64"), STR_NONE);
        return false;
    }
    return true;
}

static bool subprotocol_offered(const struct http_request *r, struct str wanted)
{
    for (size_t i = 0; i < r->header_count; i++) {
        if (!str_eq_nocase(r->headers[i].name, STR("Sec-WebSocket-Protocol")))
            continue;
        struct str list = r->headers[i].value;
        while (list.n > 0) {
            if (str_eq(str_trim(str_cut(&list, ',')), wanted))
                return true;
        }
    }
    return false;
}

static struct str subprotocol_choose(const struct http_request *r, const struct ws_options *o)
{
    for (size_t i = 0; i < o->subprotocol_count; i++) {
        if (subprotocol_offered(r, o->subprotocols[i]))
            return o->subprotocols[i];
    }
    return STR_NONE;
}

static bool deflate_choose(const struct http_request *r, struct ws_deflate_choice *ret)
{
    for (size_t i = 0; i < r->header_count; i++) {
        if (str_eq_nocase(r->headers[i].name, STR("Sec-WebSocket-Extensions")) &&
            ws_deflate_choose(r->headers[i].value, ret))
            return true;
    }
    return false;
}

bool ws_handshake_read(struct http_request *r, const struct ws_options *o, struct ws_handshake *ret)
{
    struct ws_handshake h = {0};
    if (!request_ok(r, &h.key))
        return false;
    h.subprotocol = subprotocol_choose(r, o);
    h.deflated = o->deflate && deflate_choose(r, &h.deflate);
    *ret = h;
    return true;
}

static bool accept_make(struct str key, char ret[ACCEPT_CHARS + 1])
{
    char text[KEY_CHARS + sizeof(accept_guid) - 1];
    memcpy(text, key.p, KEY_CHARS);
    memcpy(text + KEY_CHARS, accept_guid, sizeof(accept_guid) - 1);
    unsigned char sha[SHA1_BYTES];
    if (EVP_Digest(text, sizeof(text), sha, NULL, EVP_sha1(), NULL) != 1)
        return false;
    EVP_EncodeBlock((unsigned char *)ret, sha, SHA1_BYTES);
    return true;
}

bool ws_handshake_write(const struct ws_handshake *h, struct buf *out)
{
    char accept[ACCEPT_CHARS + 1];
    bool ok = accept_make(h->key, accept) &&
              buf_add(out, STR("HTTP/1.1 101 Switching Protocols\r\n"
                               "Upgrade: websocket\r\n"
                               "Connection: Upgrade\r\n"
                               "Sec-WebSocket-Accept: ")) &&
              buf_add(out, (struct str){accept, ACCEPT_CHARS});
    if (h->subprotocol.n > 0)
        ok =
            ok && buf_add(out, STR("\r\nSec-WebSocket-Protocol: ")) && buf_add(out, h->subprotocol);
    if (h->deflated) {
        char answer[WS_DEFLATE_ANSWER_MAX];
        size_t n = ws_deflate_answer(&h->deflate, answer);
        ok = ok && buf_add(out, STR("\r\nSec-WebSocket-Extensions: ")) &&
             buf_add(out, (struct str){answer, n});
    }
    return ok && buf_add(out, STR("\r\n\r\n"));
}
