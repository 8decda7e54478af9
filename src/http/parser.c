/*
 * parser.c - where a request's head ends, whether it is well formed, and its body.
 * Always true: llhttp never sees a byte behind the CRLF CRLF that this file has found, so both
 * agree on where the head ends or the request is refused.
 */
#include "http/parser.h"

#include <llhttp.h>

#include "base/must.h"

_Static_assert(sizeof(llhttp_t) <= HTTP_LLHTTP_BYTES, "a newer llhttp needs more room");

/* Chunk sizes and extensions may take this much for every byte of body, and a head's worth. */
enum { OVERHEAD_PER_BYTE = 8 };

static llhttp_t *llhttp_of(struct http_parser *p)
{
    return (llhttp_t *)(void *)p->llhttp;
}

static enum http_parse refuse(struct http_parser *p, unsigned status, const char *why)
{
    p->status = (uint16_t)status;
    p->why = why;
    return HTTP_PARSE_BAD;
}

static int on_version_complete(llhttp_t *l)
{
    struct http_parser *p = l->data;
    if (l->http_major == 1)
        return 0;
    refuse(p, 505, "only HTTP/1.0 and HTTP/1.1 are spoken here");
    return -1;
}

static int on_header_value_complete(llhttp_t *l)
{
    struct http_parser *p = l->data;
    if (++p->header_count <= p->limits.header_max)
        return 0;
    refuse(p, 431, "too many headers");
    return -1;
}

static int on_headers_complete(llhttp_t *l)
{
    struct http_parser *p = l->data;
    p->headers_done = true;
    p->major = l->http_major;
    p->minor = l->http_minor;
    p->keep_alive = llhttp_should_keep_alive(l) != 0;
    p->chunked = (l->flags & F_CHUNKED) != 0;
    p->has_length = (l->flags & F_CONTENT_LENGTH) != 0;
    p->content_length = p->has_length ? l->content_length : 0;
    p->upgrade = (l->flags & F_CONNECTION_UPGRADE) != 0;
    l->upgrade = 0; // whether the protocol changes is the route's decision
    return 0;
}

/* The line rule of the head, for what stands between the pieces of a body. Behind the data of a
 * chunk llhttp takes any two bytes for the line's end; here they have to be it. */
static bool check_framing(struct http_parser *p, const char *end)
{
    for (const char *at = p->framing_start; at < end; at++) {
        bool lf = *at == '\n';
        if (lf != (p->last == '\r') || (p->after_data && *at != '\r'))
            return false;
        p->after_data = false;
        p->last = *at;
    }
    p->overhead_bytes += (uint64_t)(end - p->framing_start);
    p->framing_start = end;
    return p->overhead_bytes / OVERHEAD_PER_BYTE <= p->limits.head_max_bytes + p->body_bytes;
}

static enum http_parse refuse_chunks(struct http_parser *p)
{
    return refuse(p, 400, "the body's chunks are not well formed");
}

static int on_body(llhttp_t *l, const char *at, size_t n)
{
    struct http_parser *p = l->data;
    if (!check_framing(p, at)) {
        refuse_chunks(p);
        return -1;
    }
    p->framing_start = at + n;
    p->after_data = true;
    p->body_bytes += n;
    if (p->body_bytes <= p->limits.body_max_bytes && buf_add(p->body, (struct str){at, n}))
        return 0;
    refuse(p, 413, "the body is longer than http.body_max");
    return -1;
}

static int on_message_complete(llhttp_t *l)
{
    struct http_parser *p = l->data;
    p->message_done = true;
    return HPE_PAUSED;
}

static const llhttp_settings_t settings = {
    .on_version_complete = on_version_complete,
    .on_header_value_complete = on_header_value_complete,
    .on_headers_complete = on_headers_complete,
    .on_body = on_body,
    .on_message_complete = on_message_complete,
};

void http_parser_reset(struct http_parser *p, const struct http_parser_limits *limits)
{
    *p = (struct http_parser){.limits = *limits};
    llhttp_init(llhttp_of(p), HTTP_REQUEST, &settings);
    llhttp_of(p)->data = p;
}

static enum http_parse refuse_errno(struct http_parser *p, int code)
{
    if (p->status != 0)
        return HTTP_PARSE_BAD; // a callback has said why
    if (p->headers_done && code != HPE_INVALID_TRANSFER_ENCODING)
        return refuse_chunks(p);
    switch (code) {
    case HPE_INVALID_METHOD:
        if (p->first < 'A' || p->first > 'Z')
            return refuse(p, 400, "this is not HTTP");
        return refuse(p, 501, "unknown method");
    case HPE_INVALID_VERSION:
    case HPE_PAUSED_H2_UPGRADE:
        return refuse(p, 505, "only HTTP/1.0 and HTTP/1.1 are spoken here");
    case HPE_INVALID_TRANSFER_ENCODING:
        return refuse(p, 501, "Transfer-Encoding: only chunked is understood");
    case HPE_UNEXPECTED_CONTENT_LENGTH:
        return refuse(p, 400, "Content-Length given twice or beside Transfer-Encoding");
    case HPE_INVALID_CONTENT_LENGTH:
        return refuse(p, 400, "Content-Length is not a number");
    default:
        return refuse(p, 400, llhttp_get_error_reason(llhttp_of(p)));
    }
}

/* Runs llhttp over bytes that are all its own. */
static bool execute(struct http_parser *p, const char *bytes, size_t n)
{
    llhttp_errno_t code = llhttp_execute(llhttp_of(p), bytes, n);
    if (code == HPE_OK || (code == HPE_PAUSED && p->message_done))
        return true;
    refuse_errno(p, code);
    return false;
}

enum line_end { LINE_OPEN, LINE_LAST, LINE_BAD };

/* One byte of the head: is it the last one, or does it break the line rule? */
static enum line_end head_byte(struct http_parser *p, char c)
{
    bool lf = c == '\n';
    if (lf != (p->last == '\r'))
        return LINE_BAD;
    if (p->line_bytes == 0 && p->line_count > 0 && (c == ' ' || c == '\t'))
        return LINE_BAD;
    p->last = c;
    p->head_bytes++;
    p->line_bytes++;
    if (!lf)
        return LINE_OPEN;
    bool empty = p->line_bytes == 2;
    p->line_bytes = 0;
    p->line_count++;
    return empty ? LINE_LAST : LINE_OPEN;
}

static enum http_parse head_too_long(struct http_parser *p)
{
    return p->line_count == 0 ? refuse(p, 414, "the request line is too long")
                              : refuse(p, 431, "the headers are too long");
}

/* Line breaks before the place where llhttp stopped: the line that it found fault with. */
static uint32_t lines_before_error(struct http_parser *p, const char *bytes, size_t n)
{
    const char *end = llhttp_get_error_pos(llhttp_of(p));
    uint32_t count = 0;
    if (end == NULL || end < bytes || end > bytes + n)
        return 0;
    for (const char *at = bytes; at < end; at++)
        count += *at == '\n';
    return count;
}

/* What the scan of a head's piece has come to, when llhttp had nothing against its bytes. */
static enum http_parse head_result(struct http_parser *p, enum line_end end)
{
    if (end == LINE_LAST && p->headers_done)
        return HTTP_PARSE_DONE;
    p->bad_line = p->line_count + 1;
    if (end == LINE_BAD)
        return refuse(p, 400, "folded, or not ended by CR LF");
    if (p->headers_done || end == LINE_LAST)
        return refuse(p, 400, "the head ends too early");
    if (p->head_bytes >= p->limits.head_max_bytes)
        return head_too_long(p);
    p->bad_line = 0;
    return HTTP_PARSE_MORE;
}

enum http_parse http_parser_head(struct http_parser *p, const char *bytes, size_t n,
                                 size_t *ret_used)
{
    size_t at = 0;
    if (p->head_bytes == 0) { // an empty line before a request is ignored (RFC 9112, 2.2)
        while (at < n && (bytes[at] == '\r' || bytes[at] == '\n'))
            at++;
        p->first = at < n ? bytes[at] : '\0';
    }
    size_t start = at;
    uint32_t lines = p->line_count;
    enum line_end end = LINE_OPEN;
    while (at < n && end == LINE_OPEN && p->head_bytes < p->limits.head_max_bytes) {
        end = head_byte(p, bytes[at]);
        at += end != LINE_BAD;
    }
    *ret_used = at;
    if (execute(p, bytes + start, at - start))
        return head_result(p, end);
    if (!p->headers_done)
        p->bad_line = lines + 1 + lines_before_error(p, bytes + start, at - start);
    return HTTP_PARSE_BAD;
}

enum http_parse http_parser_body(struct http_parser *p, const char *bytes, size_t n,
                                 struct buf *out, size_t *ret_used)
{
    MUST(p->headers_done && !p->message_done);
    p->body = out;
    p->framing_start = bytes;
    bool ok = execute(p, bytes, n);
    const char *end = bytes + n;
    if (ok && p->message_done)
        end = llhttp_get_error_pos(llhttp_of(p));
    *ret_used = ok ? (size_t)(end - bytes) : n;
    if (ok && !check_framing(p, end)) {
        refuse_chunks(p);
        ok = false;
    }
    p->body = NULL;
    p->framing_start = NULL;
    if (!ok)
        return HTTP_PARSE_BAD;
    return p->message_done ? HTTP_PARSE_DONE : HTTP_PARSE_MORE;
}
