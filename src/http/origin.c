/*
 * origin.c - which pages of other origins may talk to this server.
 *
 * Why it exists: a browser lends its position to every page that it shows. A server on its user's
 * machine that asks for no key has to tell its own pages from all others.
 */
#include "http/origin.h"

#include "http/http_priv.h"

/* "*", "https://app.example", or with one star: "https://" "*" ".example". */
static bool matches(struct str pattern, struct str origin)
{
    size_t star = str_find(pattern, STR("*"));
    if (star == pattern.n)
        return str_eq_nocase(pattern, origin);
    struct str head = {pattern.p, star}, tail = str_skip(pattern, star + 1);
    return origin.n >= head.n + tail.n && str_eq_nocase(head, (struct str){origin.p, head.n}) &&
           str_eq_nocase(tail, str_skip(origin, origin.n - tail.n));
}

bool http_origin_in(const struct str *list, size_t count, struct str origin)
{
    for (size_t i = 0; i < count; i++) {
        if (matches(list[i], origin))
            return true;
    }
    return false;
}

/* What stands behind "https://"; nothing: it has no such part. */
static struct str host_of(struct str origin)
{
    size_t scheme = str_find(origin, STR("://"));
    return scheme < origin.n ? str_skip(origin, scheme + 3) : STR_NONE;
}

bool http_origin_is_own(const struct http_request *r, struct str origin)
{
    struct str host = http_header(r, STR("Host")), from = host_of(origin);
    return from.n > 0 && str_eq_nocase(from, host);
}

/* Without the port: "[::1]:80" is "[::1]". */
static struct str name_of(struct str host)
{
    if (host.n > 0 && host.p[0] == '[')
        return (struct str){host.p, str_find(host, STR("]"))};
    return str_cut(&host, ':');
}

bool http_origin_is_same_host(const struct http_request *r, struct str origin)
{
    struct str from = name_of(host_of(origin));
    return from.n > 0 && str_eq_nocase(from, name_of(http_header(r, STR("Host"))));
}

bool http_origin_allowed(const struct http_request *r)
{
    const struct http_options *o = &r->server->options;
    struct str origin = http_header(r, STR("Origin"));
    return origin.n == 0 || http_origin_in(o->origins, o->origin_count, origin) ||
           http_origin_is_own(r, origin);
}

/* ---- names of this server ---- */

static bool is_number(struct str s)
{
    uint64_t ignored;
    return str_to_u64(s, &ignored);
}

/* An address, or a name that nobody can register. */
static bool is_local_name(struct str name)
{
    struct str last = STR_NONE;
    size_t labels = 0;
    if (name.n > 0 && name.p[0] == '[')
        return true;
    for (; name.n > 0; labels++)
        last = str_cut(&name, '.');
    return labels <= 1 || is_number(last) || str_eq_nocase(last, STR("localhost"));
}

static bool host_is_listed(const struct str *list, size_t count, struct str host, struct str name)
{
    for (size_t i = 0; i < count; i++) {
        struct str listed = host_of(list[i]);
        if (str_eq(list[i], STR("*")) || (listed.n > 0 && matches(listed, host)) ||
            (listed.n > 0 && matches(listed, name)))
            return true;
    }
    return false;
}

bool http_host_is_expected(const struct http_request *r, const struct str *list, size_t count)
{
    struct str host = http_header(r, STR("Host")), rest = host;
    if (r->peer.family == AF_UNIX || !addr_is_loopback(&r->peer))
        return true; // no browser of this machine
    struct str name = host.n > 0 && host.p[0] == '[' ? host : str_cut(&rest, ':');
    return is_local_name(name) || host_is_listed(list, count, host, name);
}

const char *http_page_refusal(const struct http_request *r, bool keyed, const struct str *list,
                              size_t count)
{
    if (!http_origin_allowed(r))
        return HTTP_ORIGIN_REFUSED;
    return keyed || http_host_is_expected(r, list, count)
               ? NULL
               : "Host: not a name of this server; allow it in auth.origins, or set an API key";
}
