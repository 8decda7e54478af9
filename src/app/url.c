/*
 * url.c - where a command connects to.
 *
 * Always true: the parts of a struct url are terminated, hold no control character, and fit into
 * the first lines of a request as they are.
 */
#include "app/url.h"

#include <stdio.h>

static bool copy(struct str s, char *ret, size_t size)
{
    if (s.n >= size)
        return false;
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] <= ' ' || s.p[i] == 0x7f)
            return false;
    if (s.n > 0)
        memcpy(ret, s.p, s.n);
    ret[s.n] = '\0';
    return true;
}

static bool take_scheme(struct str *s, bool *ret_tls)
{
    static const struct {
        struct str head;
        bool tls;
    } schemes[] = {{{"http://", 7}, false},
                   {{"https://", 8}, true},
                   {{"ws://", 5}, false},
                   {{"wss://", 6}, true}};
    *ret_tls = false;
    for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
        if (!str_starts(*s, schemes[i].head))
            continue;
        *s = str_skip(*s, schemes[i].head.n);
        *ret_tls = schemes[i].tls;
        return true;
    }
    return str_find(*s, STR("://")) == s->n;
}

static bool split_port(struct str host, struct url *ret)
{
    uint64_t port;
    struct str text = ret->tls ? STR("443") : STR("80");
    if (host.n > 0 && host.p[0] == '[') {
        size_t close = str_find(host, STR("]"));
        if (close == host.n || close + 2 == host.n ||
            !copy((struct str){host.p + 1, close - 1}, ret->host, sizeof(ret->host)))
            return false;
        host = str_skip(host, close + 1);
        if (host.n > 0 && host.p[0] != ':')
            return false;
        text = host.n > 0 ? str_skip(host, 1) : text;
    } else {
        bool has_port = host.n > 0 && memchr(host.p, ':', host.n) != NULL;
        struct str name = str_cut(&host, ':');
        if (!copy(name, ret->host, sizeof(ret->host)))
            return false;
        text = has_port ? host : text;
    }
    return ret->host[0] != '\0' && str_to_u64(text, &port) && port >= 1 && port <= UINT16_MAX &&
           copy(text, ret->port, sizeof(ret->port));
}

bool url_parse(struct str text, struct url *ret, const char **ret_why)
{
    struct url u = {0};
    struct str rest = str_trim(text);
    if (!take_scheme(&rest, &u.tls)) {
        *ret_why = "the URL should begin with http://, https://, ws:// or wss://";
        return false;
    }
    size_t end = 0;
    while (end < rest.n && rest.p[end] != '/' && rest.p[end] != '?' && rest.p[end] != '#')
        end++;
    if (!split_port((struct str){rest.p, end}, &u)) {
        *ret_why = "the URL should have HOST or HOST:PORT behind the scheme";
        return false;
    }
    rest = str_skip(rest, end);
    struct str path = str_cut(&rest, '#');
    u.path[0] = '/';
    bool slash = path.n > 0 && path.p[0] == '/';
    if (!copy(path, u.path + !slash, sizeof(u.path) - 1)) {
        *ret_why = "the path of the URL is too long or has a space in it";
        return false;
    }
    if (path.n == 0)
        u.path[1] = '\0';
    *ret = u;
    return true;
}

bool url_default_path(struct url *u, const char *path)
{
    return strcmp(u->path, "/") != 0 || copy(str_from(path), u->path, sizeof(u->path));
}

bool url_add_query(struct url *u, const char *name, const char *value)
{
    size_t n = strlen(u->path), room = sizeof(u->path);
    int k = snprintf(u->path + n, room - n, "%c%s=", strchr(u->path, '?') ? '&' : '?', name);
    n += (size_t)k;
    for (const char *c = value; *c != '\0' && n + 4 < room; c++) {
        bool plain = (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') ||
                     (*c >= '0' && *c <= '9') || strchr("-._~", *c) != NULL;
        n += (size_t)snprintf(u->path + n, room - n, plain ? "%c" : "%%%02X", (unsigned char)*c);
    }
    return n + 4 < room;
}

size_t url_format_host(const struct url *u, char *ret, size_t size)
{
    bool v6 = strchr(u->host, ':') != NULL;
    int n = snprintf(ret, size, v6 ? "[%s]:%s" : "%s:%s", u->host, u->port);
    return n < 0 || (size_t)n >= size ? 0 : (size_t)n;
}
