/*
 * request.c - a head that the parser has found well formed becomes a request.
 * Always true: all strings of a request point into one buffer of its connection: the head as it was
 * sent, behind it the decoded path, the table of headers, the body.
 */
#include "http/http_priv.h"

#include "base/must.h"

static const struct {
    enum http_method method;
    struct str text;
} methods[] = {
    {HTTP_GET, {"GET", 3}},     {HTTP_HEAD, {"HEAD", 4}},     {HTTP_POST, {"POST", 4}},
    {HTTP_PUT, {"PUT", 3}},     {HTTP_DELETE, {"DELETE", 6}}, {HTTP_OPTIONS, {"OPTIONS", 7}},
    {HTTP_PATCH, {"PATCH", 5}},
};
enum { METHOD_COUNT = sizeof(methods) / sizeof(methods[0]) };

struct str http_method_text(enum http_method m)
{
    for (size_t i = 0; i < METHOD_COUNT; i++) {
        if (methods[i].method == m)
            return methods[i].text;
    }
    return STR_NONE;
}

static enum http_method method_of(struct str text)
{
    for (size_t i = 0; i < METHOD_COUNT; i++) {
        if (str_eq(methods[i].text, text))
            return methods[i].method;
    }
    return HTTP_OTHER;
}

static bool refuse(struct http_conn *hc, unsigned status, const char *why)
{
    hc->parser.status = (uint16_t)status;
    hc->parser.why = why;
    hc->parser.bad_line = 0;
    return false;
}

struct str http_header(const struct http_request *r, struct str name)
{
    for (size_t i = 0; i < r->header_count; i++) {
        if (str_eq_nocase(r->headers[i].name, name))
            return r->headers[i].value;
    }
    return STR_NONE;
}

bool http_header_has(const struct http_request *r, struct str name, struct str token)
{
    for (size_t i = 0; i < r->header_count; i++) {
        struct str rest = r->headers[i].value;
        if (!str_eq_nocase(r->headers[i].name, name))
            continue;
        while (rest.n > 0) {
            if (str_eq_nocase(str_trim(str_cut(&rest, ',')), token))
                return true;
        }
    }
    return false;
}

static size_t header_count(const struct http_request *r, struct str name)
{
    size_t count = 0;
    for (size_t i = 0; i < r->header_count; i++)
        count += str_eq_nocase(r->headers[i].name, name);
    return count;
}

/* ---- the request line ---- */

static bool target_is_clean(struct str target)
{
    for (size_t i = 0; i < target.n; i++) {
        if (target.p[i] <= 0x20 || target.p[i] == 0x7f || target.p[i] == '#')
            return false;
    }
    return target.n > 0;
}

/* "http://host/path" asks for "/path" here. */
static struct str target_path(struct str target)
{
    size_t scheme = str_starts(target, STR("http://"))    ? 7
                    : str_starts(target, STR("https://")) ? 8
                                                          : 0;
    if (scheme == 0)
        return target;
    struct str rest = str_skip(target, scheme);
    size_t host = 0;
    while (host < rest.n && rest.p[host] != '/' && rest.p[host] != '?')
        host++;
    rest = str_skip(rest, host);
    return rest.n == 0 ? STR("/") : rest;
}

static bool read_line(struct http_conn *hc, struct str line)
{
    struct http_request *r = &hc->request;
    r->method_text = str_cut(&line, ' ');
    r->method = method_of(r->method_text);
    r->target = str_cut(&line, ' ');
    if (!str_starts(line, STR("HTTP/1.")) || line.n != 8)
        return refuse(hc, 400, "one space has to stand on each side of the target");
    if (!target_is_clean(r->target))
        return refuse(hc, 400, "the target has characters that must be percent-encoded");
    struct str rest = target_path(r->target);
    r->raw_path = str_cut(&rest, '?');
    r->query = rest;
    bool star = r->method == HTTP_OPTIONS && str_eq(r->raw_path, STR("*"));
    if (r->raw_path.n == 0)
        r->raw_path = STR("/");
    if (r->raw_path.p[0] != '/' && !star)
        return refuse(hc, 400, "the target has to start with a slash");
    return true;
}

/* ---- headers ---- */

static bool name_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

static bool read_header(struct http_header *h, struct str line)
{
    h->name = str_cut(&line, ':');
    h->value = str_trim(line);
    for (size_t i = 0; i < h->name.n; i++) {
        if (!name_char(h->name.p[i]))
            return false;
    }
    return h->name.n > 0;
}

static struct str next_line(struct str *rest)
{
    struct str line = str_cut(rest, '\n');
    return line.n > 0 ? (struct str){line.p, line.n - 1} : line; // the CR
}

/* Header lines of the head: all but the request line and the empty one. */
static size_t head_lines(const struct http_conn *hc)
{
    return hc->parser.line_count - 2;
}

static bool read_headers(struct http_conn *hc, struct str rest)
{
    struct http_request *r = &hc->request;
    for (struct str line = next_line(&rest); line.n > 0; line = next_line(&rest)) {
        MUST(r->header_count < head_lines(hc));
        if (!read_header(&r->headers[r->header_count], line)) {
            refuse(hc, 400, "a header's name has characters that no name has");
            hc->parser.bad_line = (uint32_t)r->header_count + 2;
            return false;
        }
        r->header_count++;
    }
    return true;
}

/* ---- rules that concern the whole head ---- */

static bool host_is_clean(struct str host)
{
    for (size_t i = 0; i < host.n; i++) {
        char c = host.p[i];
        if (c <= 0x20 || c == 0x7f || strchr("/?#@\\,\"<>", c) != NULL)
            return false;
    }
    return true;
}

static bool check_host(struct http_conn *hc)
{
    const struct http_request *r = &hc->request;
    size_t count = header_count(r, STR("Host"));
    if (count == 0 && r->minor >= 1)
        return refuse(hc, 400, "the Host header is missing");
    if (count > 1)
        return refuse(hc, 400, "the Host header is there twice");
    if (!host_is_clean(http_header(r, STR("Host"))))
        return refuse(hc, 400, "the Host header is not a host");
    return true;
}

static bool check_length(struct http_conn *hc)
{
    const struct http_request *r = &hc->request;
    size_t codings = header_count(r, STR("Transfer-Encoding"));
    bool has_body = r->method == HTTP_POST || r->method == HTTP_PUT || r->method == HTTP_PATCH;
    if (codings > 0 && r->minor == 0)
        return refuse(hc, 400, "HTTP/1.0 has no Transfer-Encoding");
    if (codings > 1)
        return refuse(hc, 400, "Transfer-Encoding is there twice");
    if (codings == 1 && !str_eq_nocase(http_header(r, STR("Transfer-Encoding")), STR("chunked")))
        return refuse(hc, 501, "Transfer-Encoding: only chunked is understood");
    if (codings > 0 && hc->parser.has_length)
        return refuse(hc, 400, "Content-Length stands beside Transfer-Encoding");
    if (r->minor == 0 && has_body && !hc->parser.has_length)
        return refuse(hc, 411, "an HTTP/1.0 body needs a Content-Length");
    return true;
}

static bool check_expect(struct http_conn *hc)
{
    struct str expect = http_header(&hc->request, STR("Expect"));
    if (expect.n == 0 || str_eq_nocase(expect, STR("100-continue")))
        return true;
    return refuse(hc, 417, "Expect: only 100-continue is understood");
}

/* ---- the whole ---- */

static size_t align_up(size_t n)
{
    return (n + 7) & ~(size_t)7;
}

/* Fills the request from hc->in; room for path and table is there. */
static bool request_fill(struct http_conn *hc)
{
    struct http_request *r = &hc->request;
    struct str rest = {hc->in.p, hc->parser.head_bytes};
    char *path = hc->in.p + hc->parser.head_bytes;
    *r = (struct http_request){
        .minor = hc->parser.minor,
        .keep_alive = hc->parser.keep_alive,
        .upgrade = hc->parser.upgrade,
        .server = hc->server,
        .peer = hc->conn->peer,
        .tls = hc->conn->tls != NULL,
    };
    if (!read_line(hc, next_line(&rest)))
        return false;
    size_t len = 0;
    if (!percent_decode(r->raw_path, false, path, r->raw_path.n, &len))
        return refuse(hc, 400, "the path is not well percent-encoded");
    r->path = (struct str){path, len};
    r->headers = (struct http_header *)(void *)(hc->in.p + align_up(hc->parser.head_bytes * 2 + 1));
    return read_headers(hc, rest);
}

static size_t body_start(const struct http_conn *hc)
{
    /* The decoded path is shorter than the head, or "/". */
    return align_up(hc->parser.head_bytes * 2 + 1) + head_lines(hc) * sizeof(struct http_header);
}

bool http_request_read(struct http_conn *hc)
{
    size_t body_at = body_start(hc);
    if (head_lines(hc) > HTTP_HEADER_MAX)
        return refuse(hc, 431, "too many headers");
    if (!buf_reserve(&hc->in, body_at - hc->in.len))
        return refuse(hc, 503, "memory has run out");
    hc->in.len = body_at;
    if (request_fill(hc) && check_host(hc) && check_length(hc) && check_expect(hc)) {
        http_proxy_apply(hc->server, &hc->request);
        return true;
    }
    return false;
}

/* The kept headers with their strings, in one block. */
static bool headers_copy(const struct http_request *r, const struct str *names, size_t count,
                         struct buf *ret, size_t *ret_count)
{
    size_t n = 0, bytes = 0;
    for (size_t i = 0; i < count; i++) {
        struct str value = http_header(r, names[i]);
        n += value.n > 0;
        bytes += value.n > 0 ? names[i].n + value.n : 0;
    }
    *ret_count = n;
    if (n > 0 && !buf_reserve(ret, n * sizeof(struct http_header) + bytes))
        return false;
    struct http_header *h = (struct http_header *)(void *)ret->p;
    char *at = n > 0 ? ret->p + n * sizeof(*h) : NULL;
    for (size_t i = 0; i < count; i++) {
        struct str value = http_header(r, names[i]);
        if (value.n > 0)
            *h++ = (struct http_header){str_put(&at, names[i]), str_put(&at, value)};
    }
    ret->len = n * sizeof(*h) + bytes;
    return true;
}

void http_keep_only(struct http_request *r, const struct str *names, size_t count)
{
    struct http_conn *hc = http_conn_of(r);
    struct buf kept;
    size_t n;
    buf_init(&kept, hc->in.max);
    MUST(hc->phase == HTTP_HANDLED);
    if (!headers_copy(r, names, count, &kept, &n))
        return;
    http_give_buffer(hc);
    hc->in = kept;
    r->headers = (struct http_header *)(void *)kept.p;
    r->header_count = n;
    r->method_text = r->target = r->path = r->raw_path = STR_NONE;
    r->query = r->body = r->param = STR_NONE;
}

void http_request_renew(struct http_conn *hc)
{
    struct http_request *r = &hc->request;
    size_t body_at = body_start(hc);
    if (r->method_text.p != hc->in.p) { // the body made it move
        MUST(request_fill(hc));
        http_proxy_apply(hc->server, r);
    }
    r->body = (struct str){hc->in.p + body_at, hc->in.len - body_at};
}
