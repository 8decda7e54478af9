/*
 * static.c - files that are part of the program.
 * Always true: a path is looked up in a table and never becomes a file name; each representation
 * (plain, gzip) has an entity tag of its own.
 */
#include "http/static.h"

#include "base/must.h"
#include "http/http_priv.h"

enum { EXTRA_MAX = 4096, ETAG_MAX = 128 };

static bool has_dot_segment(struct str path)
{
    while (path.n > 0) {
        struct str segment = str_cut(&path, '/');
        if (str_eq(segment, STR(".")) || str_eq(segment, STR("..")))
            return true;
    }
    return false;
}

const struct asset *asset_find(const struct asset_set *set, struct str path)
{
    if (has_dot_segment(path))
        return NULL;
    for (size_t i = 0; i < set->count; i++) {
        if (str_eq(path, str_from(set->assets[i].path)))
            return &set->assets[i];
    }
    return NULL;
}

/* "gzip;q=0" says no. */
static bool coding_accepted(struct str item)
{
    struct str name = str_trim(str_cut(&item, ';'));
    if (!str_eq_nocase(name, STR("gzip")) && !str_eq(name, STR("*")))
        return false;
    struct str q = str_trim(item);
    if (!str_starts(q, STR("q=")) && !str_starts(q, STR("Q=")))
        return true;
    for (size_t i = 2; i < q.n; i++) {
        if (q.p[i] >= '1' && q.p[i] <= '9')
            return true;
    }
    return false;
}

static bool gzip_accepted(const struct http_request *r)
{
    struct str rest = http_header(r, STR("Accept-Encoding"));
    while (rest.n > 0) {
        if (coding_accepted(str_cut(&rest, ',')))
            return true;
    }
    return false;
}

/* The gzip form's tag: "3f2a" becomes "3f2a-gz". */
static struct str etag_make(const struct asset *a, bool gzip, char at[ETAG_MAX])
{
    struct str tag = str_from(a->etag);
    MUST(tag.n >= 2 && tag.n + 4 <= ETAG_MAX);
    memcpy(at, tag.p, tag.n);
    if (!gzip)
        return (struct str){at, tag.n};
    memcpy(at + tag.n - 1, "-gz\"", 4);
    return (struct str){at, tag.n + 3};
}

static bool etag_matches(const struct http_request *r, struct str etag)
{
    struct str rest = http_header(r, STR("If-None-Match"));
    while (rest.n > 0) {
        struct str tag = str_trim(str_cut(&rest, ','));
        if (str_starts(tag, STR("W/")))
            tag = str_skip(tag, 2);
        if (str_eq(tag, STR("*")) || str_eq(tag, etag))
            return true;
    }
    return false;
}

static bool extra_headers(struct buf *b, const struct asset_set *set, const struct asset *a,
                          struct str etag)
{
    bool ok =
        buf_add(b, STR("ETag: ")) && buf_add(b, etag) &&
        buf_add(b, a->immutable ? STR("\r\nCache-Control: public, max-age=31536000, immutable\r\n")
                                : STR("\r\nCache-Control: no-cache\r\n")) &&
        buf_add(b, STR("X-Content-Type-Options: nosniff\r\nReferrer-Policy: no-referrer\r\n"
                       "X-Frame-Options: DENY\r\n"));
    if (a->gzip != NULL)
        ok = ok && buf_add(b, STR("Vary: Accept-Encoding\r\n"));
    if (set->csp != NULL)
        ok = ok && buf_add(b, STR("Content-Security-Policy: ")) && buf_add(b, str_from(set->csp)) &&
             buf_add(b, STR("\r\n"));
    return ok;
}

void http_reply_asset(struct http_request *r, const struct asset_set *set, const struct asset *a)
{
    char tag[ETAG_MAX];
    struct buf extra;
    bool gzip = a->gzip != NULL && gzip_accepted(r);
    struct str etag = etag_make(a, gzip, tag);
    struct str body = gzip ? (struct str){(const char *)a->gzip, a->gzip_size_bytes}
                           : (struct str){(const char *)a->bytes, a->size_bytes};
    buf_init(&extra, EXTRA_MAX);
    bool ok = extra_headers(&extra, set, a, etag);
    if (etag_matches(r, etag)) {
        if (ok)
            http_reply_const(r, 304, STR_NONE, STR_NONE, buf_str(&extra));
    } else {
        ok = ok && (!gzip || buf_add(&extra, STR("Content-Encoding: gzip\r\n")));
        if (ok)
            http_reply_const(r, 200, str_from(a->content_type), body, buf_str(&extra));
    }
    buf_fini(&extra);
    if (!ok)
        http_reply_error(r, 503, 503, STR("memory has run out"));
}

static void asset_handle(struct http_request *r)
{
    const struct asset_set *set = r->route_ctx;
    const struct asset *a = asset_find(set, r->path);
    if (a == NULL)
        http_reply_error(r, 404, 404, STR("no such file"));
    else
        http_reply_asset(r, set, a);
}

bool http_static_add(struct http_router *rt, const struct asset_set *set)
{
    for (size_t i = 0; i < set->count; i++) {
        if (!http_router_add(rt, 1u << HTTP_GET | 1u << HTTP_HEAD, set->assets[i].path,
                             asset_handle, (void *)(uintptr_t)set))
            return false;
    }
    return true;
}
