/*
 * cors.c - which pages of other origins a browser may let talk to this server.
 * Always true: an origin is either named back or not mentioned at all, and it is the request's own
 * header that is named back, never a part of it.
 */
#include "http/http_priv.h"

#include "base/must.h"
#include "http/origin.h"

enum { CORS_HEADERS_MAX = 1024, CORS_ORIGIN_MAX = 512 };

static size_t put(char *at, size_t cap, size_t len, struct str s)
{
    if (len > cap || s.n > cap - len)
        return cap + 1; // did not fit; so will nothing after it
    if (s.n > 0)
        memcpy(at + len, s.p, s.n);
    return len + s.n;
}

/* A page of this host, served by another program beside us. */
static bool origin_is_of_other_port(const struct http_request *r, struct str origin)
{
    return http_origin_is_same_host(r, origin) && !http_origin_is_own(r, origin);
}

size_t http_cors_headers(const struct http_request *r, char *at, size_t cap)
{
    const struct http_options *o = &r->server->options;
    struct str origin = http_header(r, STR("Origin"));
    size_t len = 0;
    bool other_port = origin_is_of_other_port(r, origin);
    if (o->origin_count == 0 && !r->cors_any && !other_port)
        return 0;
    if (origin.n == 0 || origin.n > CORS_ORIGIN_MAX ||
        !(r->cors_any || other_port || http_origin_in(o->origins, o->origin_count, origin))) {
        len = put(at, cap, len, STR("Vary: Origin\r\n")); // for caches between
    } else {
        len = put(at, cap, len, STR("Access-Control-Allow-Origin: "));
        len = put(at, cap, len, origin);
        len = put(at, cap, len,
                  STR("\r\nAccess-Control-Allow-Credentials: true\r\nVary: Origin\r\n"));
    }
    return len <= cap ? len : 0;
}

size_t http_methods_format(unsigned methods, char at[HTTP_METHODS_TEXT_MAX])
{
    size_t len = 0;
    if (methods & 1u << HTTP_GET)
        methods |= 1u << HTTP_HEAD;
    methods |= 1u << HTTP_OPTIONS;
    for (unsigned m = HTTP_GET; m < HTTP_OTHER; m++) {
        if (!(methods & 1u << m))
            continue;
        if (len > 0)
            len = put(at, HTTP_METHODS_TEXT_MAX, len, STR(", "));
        len = put(at, HTTP_METHODS_TEXT_MAX, len, http_method_text((enum http_method)m));
    }
    MUST(len <= HTTP_METHODS_TEXT_MAX);
    return len;
}

static bool header_list_is_clean(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] < 0x20 || s.p[i] == 0x7f)
            return false;
    }
    return s.n <= CORS_HEADERS_MAX;
}

/* What a preflight is told beyond what every answer says of CORS. */
static size_t preflight_headers(const struct http_request *r, struct str allowed, char *at,
                                size_t cap)
{
    struct str wanted = http_header(r, STR("Access-Control-Request-Headers"));
    size_t len = put(at, cap, 0, STR("Access-Control-Allow-Methods: "));
    len = put(at, cap, len, allowed);
    len = put(at, cap, len, STR("\r\nAccess-Control-Max-Age: 600\r\n"));
    if (wanted.n > 0 && header_list_is_clean(wanted)) {
        len = put(at, cap, len, STR("Access-Control-Allow-Headers: "));
        len = put(at, cap, len, wanted);
        len = put(at, cap, len, STR("\r\n"));
    }
    MUST(len <= cap);
    return len;
}

void http_reply_options(struct http_request *r, unsigned methods)
{
    char extra[CORS_HEADERS_MAX + 512], names[HTTP_METHODS_TEXT_MAX];
    unsigned all = (1u << HTTP_OTHER) - 1;
    struct str allowed = {names, http_methods_format(methods != 0 ? methods : all, names)};
    struct str origin = http_header(r, STR("Origin"));
    bool preflight = origin.n > 0 && http_header(r, STR("Access-Control-Request-Method")).n > 0;
    if (preflight && !http_origin_allowed(r) && !http_origin_is_same_host(r, origin)) {
        http_reply_error(r, 403, 403, STR(HTTP_ORIGIN_REFUSED));
        return;
    }
    size_t len = put(extra, sizeof(extra), 0, STR("Allow: "));
    len = put(extra, sizeof(extra), len, allowed);
    len = put(extra, sizeof(extra), len, STR("\r\n"));
    MUST(len <= sizeof(extra)); // names of methods only
    if (preflight)
        len += preflight_headers(r, allowed, extra + len, sizeof(extra) - len);
    http_reply(r, 200, STR_NONE, STR_NONE, (struct str){extra, len});
}
