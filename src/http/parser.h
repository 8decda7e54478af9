/* parser.h - where a request's head ends, whether it is well formed, and its body without framing.
 *
 * llhttp judges the bytes; what it lets pass and another server on the way might read differently
 * (a bare CR or LF, folded lines) is refused here as well. llhttp's names collide with http.h's,
 * so parser.c is the only file that knows it.
 *
 * Thread:  one.
 * Memory:  nothing is allocated; the bytes stay the caller's.
 * Failure: HTTP_PARSE_BAD with a status and a static text; the parser must then be reset. */
#ifndef HTTP_PARSER_H
#define HTTP_PARSER_H

#include "base/buf.h"

enum { HTTP_LLHTTP_BYTES = 128 };

enum http_parse { HTTP_PARSE_MORE, HTTP_PARSE_DONE, HTTP_PARSE_BAD };

struct http_parser_limits {
    size_t head_max_bytes, body_max_bytes;
    uint32_t header_max;
};

struct http_parser {
    _Alignas(8) unsigned char llhttp[HTTP_LLHTTP_BYTES];
    struct buf *body;          // while http_parser_body() runs
    const char *framing_start; // the same: where the bytes begin that are not body
    uint64_t content_length;   // announced; 0 when chunked
    uint64_t overhead_bytes;   // of the body's framing
    uint64_t body_bytes;       // so far
    struct http_parser_limits limits;
    uint32_t head_bytes;
    uint32_t line_bytes, line_count; // of the head so far
    uint32_t header_count;
    uint16_t status;   // to answer when bad
    char first, last;  // first byte of the head; last byte outside a body
    uint32_t bad_line; // of the head, from 1; 0: it was not a line of it
    bool headers_done, message_done;
    bool after_data; // the next byte of the body's framing ends a chunk's data
    bool keep_alive, chunked, has_length, upgrade;
    uint8_t major, minor;
    const char *why; // static
};

/* Before every request. */
void http_parser_reset(struct http_parser *p, const struct http_parser_limits *limits);

/* Takes bytes up to the end of the head. DONE: the head is complete (message_done: and so is
 * the request). *ret_used: how many of the n bytes belong to the head. */
enum http_parse http_parser_head(struct http_parser *p, const char *bytes, size_t n,
                                 size_t *ret_used);

/* The same for the body, which is appended to out; more than out can take is a 413. */
enum http_parse http_parser_body(struct http_parser *p, const char *bytes, size_t n,
                                 struct buf *out, size_t *ret_used);

#endif
