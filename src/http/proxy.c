/*
 * proxy.c - whose word is taken for where a request came from.
 * Always true: X-Forwarded-For is read from its end, and only as far as every address on the way
 * is a trusted proxy; a client cannot place an address of its choice there.
 */
#include "http/http_priv.h"

#include <arpa/inet.h>
#include <stdlib.h>

#include "base/log.h"

static bool addr_parse_ip(struct str s, struct addr *ret)
{
    char text[INET6_ADDRSTRLEN];
    struct addr a = {0};
    if (s.n == 0 || s.n >= sizeof(text))
        return false;
    memcpy(text, s.p, s.n);
    text[s.n] = '\0';
    if (inet_pton(AF_INET, text, a.ip) == 1)
        a.family = AF_INET;
    else if (inet_pton(AF_INET6, text, a.ip) == 1)
        a.family = AF_INET6;
    else
        return false;
    *ret = a;
    return true;
}

/* "1.2.3.4", "1.2.3.4:80", "::1", "[::1]", "[::1]:80": what proxies write. */
static bool hop_parse(struct str s, struct addr *ret)
{
    if (addr_parse_ip(s, ret))
        return true;
    if (s.n > 0 && s.p[0] == '[') {
        s = str_skip(s, 1);
        return addr_parse_ip(str_cut(&s, ']'), ret);
    }
    return addr_parse_ip(str_cut(&s, ':'), ret);
}

static bool net_parse(struct str s, struct http_net *ret)
{
    struct str bits = s;
    struct str ip = str_cut(&bits, '/');
    struct http_net net = {0};
    uint64_t n;
    if (str_eq(s, STR("unix"))) {
        *ret = (struct http_net){.addr.family = AF_UNIX};
        return true;
    }
    if (!addr_parse_ip(ip, &net.addr))
        return false;
    unsigned most = net.addr.family == AF_INET ? 32 : 128;
    net.bits = most;
    if (ip.n < s.n) {
        if (!str_to_u64(bits, &n) || n > most)
            return false;
        net.bits = (unsigned)n;
    }
    *ret = net;
    return true;
}

bool http_proxies_parse(struct http_server *s)
{
    size_t count = s->options.trusted_proxy_count;
    s->proxies = count > 0 ? calloc(count, sizeof(*s->proxies)) : NULL;
    if (count > 0 && s->proxies == NULL)
        return false;
    for (size_t i = 0; i < count; i++) {
        struct str text = s->options.trusted_proxies[i];
        if (net_parse(text, &s->proxies[s->proxy_count]))
            s->proxy_count++;
        else
            log_warn("trusted proxy %.*s is not an address: ignored", STR_FMT(text));
    }
    return true;
}

static bool net_has(const struct http_net *net, const struct addr *a)
{
    if (net->addr.family != a->family)
        return false;
    unsigned whole = net->bits / 8, rest = net->bits % 8;
    if (memcmp(net->addr.ip, a->ip, whole) != 0)
        return false;
    return rest == 0 || ((net->addr.ip[whole] ^ a->ip[whole]) >> (8 - rest)) == 0;
}

static bool is_trusted(const struct http_server *s, const struct addr *a)
{
    for (size_t i = 0; i < s->proxy_count; i++) {
        if (net_has(&s->proxies[i], a))
            return true;
    }
    return false;
}

/* Takes the part behind the last comma from *s. */
static struct str cut_last(struct str *s)
{
    size_t at = s->n;
    while (at > 0 && s->p[at - 1] != ',')
        at--;
    struct str last = str_skip(*s, at);
    s->n = at > 0 ? at - 1 : 0;
    return str_trim(last);
}

/* Goes back over the hops of one header; false: an address that is not a proxy was reached. */
static bool walk_hops(const struct http_server *s, struct str hops, struct addr *peer)
{
    while (hops.n > 0) {
        struct addr hop;
        if (!hop_parse(cut_last(&hops), &hop))
            return false;
        *peer = hop;
        if (!is_trusted(s, peer))
            return false;
    }
    return true;
}

void http_proxy_apply(const struct http_server *s, struct http_request *r)
{
    if (s->proxy_count == 0 || !is_trusted(s, &r->peer))
        return;
    struct str proto = http_header(r, STR("X-Forwarded-Proto"));
    if (proto.n > 0)
        r->tls = str_eq_nocase(cut_last(&proto), STR("https"));
    for (size_t i = r->header_count; i > 0; i--) {
        const struct http_header *h = &r->headers[i - 1];
        if (str_eq_nocase(h->name, STR("X-Forwarded-For")) && !walk_hops(s, h->value, &r->peer))
            return;
    }
}
