/*
 * router.c - which function answers which path.
 * Always true: an exact path goes before "{id}", "{id}" before "{rest...}", and of those the
 * longest prefix first; a raw slash separates, an encoded one (%2F) never does, but in
 * "{rest...}".
 */
#include "http/http_priv.h"

#include <stdlib.h>

#include "base/map.h"
#include "base/must.h"

enum { ROUTE_MAX = 4096, METHOD_SLOTS = HTTP_OTHER + 1 };

struct route {
    struct map_node node; // key: the pattern up to its brace
    struct {
        http_route_fn *handle;
        void *ctx;
    } slots[METHOD_SLOTS]; // by enum http_method
    bool any_body;
    char key[];
};

enum route_kind { ROUTE_EXACT, ROUTE_ONE, ROUTE_REST, ROUTE_KIND_COUNT };

struct http_router {
    struct map routes[ROUTE_KIND_COUNT];
    size_t rest_key_max; // bytes of the longest prefix of a "{rest...}"
    http_route_fn *fallback;
    void *fallback_ctx;
};

struct http_router *http_router_create(void)
{
    struct http_router *rt = calloc(1, sizeof(*rt));
    if (rt == NULL)
        return NULL;
    for (size_t i = 0; i < ROUTE_KIND_COUNT; i++)
        map_init(&rt->routes[i], ROUTE_MAX);
    return rt;
}

static void routes_free(struct map *m)
{
    for (struct map_node *n = map_first(m), *next; n != NULL; n = next) {
        next = map_next(m, n);
        map_remove(m, n);
        free(container_of(n, struct route, node));
    }
    map_fini(m);
}

void http_router_destroy(struct http_router **rp)
{
    struct http_router *rt = *rp;
    *rp = NULL;
    if (rt == NULL)
        return;
    for (size_t i = 0; i < ROUTE_KIND_COUNT; i++)
        routes_free(&rt->routes[i]);
    free(rt);
}

static struct route *route_find(const struct map *m, struct str key)
{
    struct map_node *n = map_find(m, key);
    return n != NULL ? container_of(n, struct route, node) : NULL;
}

static struct route *route_make(struct map *m, struct str key)
{
    struct route *ro = calloc(1, sizeof(*ro) + key.n + 1);
    if (ro == NULL)
        return NULL;
    memcpy(ro->key, key.p, key.n);
    ro->node.key = (struct str){ro->key, key.n};
    if (map_add(m, &ro->node))
        return ro;
    free(ro);
    return NULL;
}

/* "/a/{id}" is ROUTE_ONE under "/a/"; "/a/{rest...}" is ROUTE_REST. */
static enum route_kind pattern_split(struct str pattern, struct str *ret_key)
{
    struct str key = {pattern.p, str_find(pattern, STR("{"))};
    *ret_key = key;
    if (key.n == pattern.n)
        return ROUTE_EXACT;
    MUST(key.n > 0 && key.p[key.n - 1] == '/' && pattern.p[pattern.n - 1] == '}');
    bool rest = str_find(pattern, STR("...}")) == pattern.n - 4;
    return rest ? ROUTE_REST : ROUTE_ONE;
}

bool http_router_add(struct http_router *rt, unsigned methods, const char *pattern,
                     http_route_fn *handle, void *ctx)
{
    struct str key;
    enum route_kind kind = pattern_split(str_from(pattern), &key);
    struct map *m = &rt->routes[kind];
    struct route *ro = route_find(m, key);
    if (ro == NULL)
        ro = route_make(m, key);
    if (ro == NULL)
        return false;
    if (kind == ROUTE_REST && key.n > rt->rest_key_max)
        rt->rest_key_max = key.n;
    ro->any_body = (methods & HTTP_ANY_BODY) != 0;
    for (unsigned i = 0; i < METHOD_SLOTS; i++) {
        if (!(methods & 1u << i))
            continue;
        ro->slots[i].handle = handle;
        ro->slots[i].ctx = ctx;
    }
    return true;
}

void http_router_set_fallback(struct http_router *rt, http_route_fn *handle, void *ctx)
{
    rt->fallback = handle;
    rt->fallback_ctx = ctx;
}

/* ---- matching ---- */

/* Looks for a route of this request; methods: those of all the routes that were looked at. */
struct match {
    struct http_request *r;
    http_route_fn *handle;
    unsigned methods;
    bool any_body;
};

static unsigned route_methods(const struct route *ro)
{
    unsigned methods = 0;
    for (unsigned i = 0; i < METHOD_SLOTS; i++)
        methods |= ro->slots[i].handle != NULL ? 1u << i : 0;
    return methods;
}

/* True: found. A GET route answers HEAD as well. */
static bool match_try(struct match *m, const struct route *ro, struct str param)
{
    if (ro == NULL)
        return false;
    unsigned method = m->r->method;
    if (method == HTTP_HEAD && ro->slots[method].handle == NULL)
        method = HTTP_GET;
    m->methods |= route_methods(ro);
    if (ro->slots[method].handle == NULL)
        return false;
    m->handle = ro->slots[method].handle;
    m->any_body = ro->any_body;
    m->r->route_ctx = ro->slots[method].ctx;
    m->r->param = param;
    return true;
}

/* Bytes of the decoded path that the raw path's last segment became. */
static size_t last_segment_bytes(const struct http_request *r)
{
    struct str raw = r->raw_path;
    size_t n = 0;
    for (size_t at = raw.n; at > 0 && raw.p[at - 1] != '/'; at--)
        n++;
    for (size_t at = raw.n - n; at < raw.n; at++) {
        if (raw.p[at] == '%')
            n -= 2; // three bytes were one
    }
    return n;
}

/* Only prefixes that some route has the length for: a path of slashes would cost a look-up each. */
static bool match_rest(struct match *m, const struct http_router *rt)
{
    struct str path = m->r->path;
    for (size_t n = path.n < rt->rest_key_max ? path.n : rt->rest_key_max; n > 0; n--) {
        if (path.p[n - 1] != '/')
            continue;
        struct route *ro = route_find(&rt->routes[ROUTE_REST], (struct str){path.p, n});
        if (match_try(m, ro, str_skip(path, n)))
            return true;
    }
    return false;
}

/* A proxy in front may guard paths as they are written: an encoded slash names no other path. */
static bool has_encoded_slash(struct str raw)
{
    return str_find(raw, STR("%2F")) < raw.n || str_find(raw, STR("%2f")) < raw.n;
}

static bool match_path(struct match *m, const struct http_router *rt)
{
    struct str path = m->r->path;
    if (!has_encoded_slash(m->r->raw_path) &&
        match_try(m, route_find(&rt->routes[ROUTE_EXACT], path), STR_NONE))
        return true;
    size_t last = last_segment_bytes(m->r);
    struct str prefix = {path.p, path.n - last};
    if (last > 0 &&
        match_try(m, route_find(&rt->routes[ROUTE_ONE], prefix), str_skip(path, prefix.n)))
        return true;
    return match_rest(m, rt);
}

void http_refuse_method(struct http_request *r, unsigned methods)
{
    char extra[HTTP_METHODS_TEXT_MAX + 16], allowed[HTTP_METHODS_TEXT_MAX];
    size_t n = http_methods_format(methods, allowed);
    size_t len = 0;
    memcpy(extra, "Allow: ", 7);
    memcpy(extra + 7, allowed, n);
    len = 7 + n;
    memcpy(extra + len, "\r\n", 2);
    char body_at[128 + HTTP_METHODS_TEXT_MAX];
    struct buf body = buf_on(body_at, sizeof(body_at));
    MUST(buf_add_format(&body,
                        "{\"error\":{\"code\":405,\"message\":\"method not allowed on this path: "
                        "it takes %.*s\"}}",
                        (int)n, allowed));
    http_reply(r, 405, STR("application/json"), buf_str(&body), (struct str){extra, len + 2});
}

bool http_router_takes_any_body(const struct http_router *rt, const struct http_request *r)
{
    struct http_request copy = *r;
    struct match m = {.r = &copy};
    return match_path(&m, rt) && m.any_body;
}

void http_router_handle(const struct http_router *rt, struct http_request *r)
{
    struct match m = {.r = r};
    if (match_path(&m, rt)) {
        m.handle(r);
    } else if (r->method == HTTP_OPTIONS && m.methods != 0) {
        http_reply_options(r, m.methods);
    } else if (m.methods != 0) {
        http_refuse_method(r, m.methods);
    } else if (rt->fallback != NULL) {
        r->route_ctx = rt->fallback_ctx;
        rt->fallback(r);
    } else {
        http_reply_error(r, 404, 404, STR("no such path"));
    }
}
