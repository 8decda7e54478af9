/*
 * addr.c - socket addresses, as people write them and as the kernel wants them.
 *
 * Always true: a struct listen_addr that was parsed can be given to bind() as it is; a peer that
 * came as IPv4 in IPv6 is an IPv4 peer here, so that limits and logs know it under one name.
 */
#include "net/addr.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/un.h>

static const uint8_t mapped_v4[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

static void set_v4(struct addr *ret, const void *ip, uint16_t port)
{
    *ret = (struct addr){.family = AF_INET, .port = port};
    memcpy(ret->ip, ip, 4);
}

static void set_v6(struct addr *ret, const uint8_t *ip, uint16_t port)
{
    if (memcmp(ip, mapped_v4, sizeof(mapped_v4)) == 0) {
        set_v4(ret, ip + sizeof(mapped_v4), port);
        return;
    }
    *ret = (struct addr){.family = AF_INET6, .port = port};
    memcpy(ret->ip, ip, 16);
}

void addr_from_sockaddr(struct addr *ret, const struct sockaddr_storage *ss)
{
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
    switch (ss->ss_family) {
    case AF_INET:
        memcpy(&in, ss, sizeof(in));
        set_v4(ret, &in.sin_addr, ntohs(in.sin_port));
        break;
    case AF_INET6:
        memcpy(&in6, ss, sizeof(in6));
        set_v6(ret, in6.sin6_addr.s6_addr, ntohs(in6.sin6_port));
        break;
    case AF_UNIX:
        *ret = (struct addr){.family = AF_UNIX};
        break;
    default:
        *ret = (struct addr){0};
    }
}

size_t addr_format_ip(const struct addr *a, char ret[ADDR_TEXT_MAX])
{
    char text[INET6_ADDRSTRLEN] = "unknown";
    if (a->family == AF_UNIX)
        memcpy(text, "unix", sizeof("unix"));
    else if (a->family != 0)
        inet_ntop(a->family, a->ip, text, sizeof(text));
    size_t n = strlen(text);
    memcpy(ret, text, n);
    return n;
}

bool addr_is_loopback(const struct addr *a)
{
    static const uint8_t v6_loopback[16] = {[15] = 1};
    if (a->family == AF_INET)
        return a->ip[0] == 127;
    if (a->family == AF_INET6)
        return memcmp(a->ip, v6_loopback, sizeof(v6_loopback)) == 0;
    return a->family == AF_UNIX;
}

bool listen_addr_is_loopback(const struct listen_addr *a)
{
    struct addr peer;
    addr_from_sockaddr(&peer, &a->ss);
    return addr_is_loopback(&peer);
}

static bool parse_unix(struct str path, struct listen_addr *ret, const char **ret_why)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    if (path.n == 0 || memchr(path.p, '\0', path.n) != NULL) {
        *ret_why = "the path of the Unix socket is missing";
        return false;
    }
    if (path.n >= sizeof(un.sun_path)) {
        *ret_why = "the path of the Unix socket is longer than 107 bytes";
        return false;
    }
    memcpy(un.sun_path, path.p, path.n);
    memcpy(&ret->ss, &un, sizeof(un));
    ret->len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + path.n + 1);
    return true;
}

static bool parse_port(struct str s, uint16_t *ret, const char **ret_why)
{
    uint64_t port;
    if (!str_to_u64(s, &port) || port > UINT16_MAX) {
        *ret_why = "the port must be a number from 0 to 65535";
        return false;
    }
    *ret = htons((uint16_t)port);
    return true;
}

static bool parse_v6(const char *host, uint16_t port, struct listen_addr *ret, const char **ret_why)
{
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = port};
    if (inet_pton(AF_INET6, host, &in6.sin6_addr) != 1) {
        *ret_why = "what stands in brackets is no IPv6 address";
        return false;
    }
    memcpy(&ret->ss, &in6, sizeof(in6));
    ret->len = sizeof(in6);
    return true;
}

static bool parse_v4(const char *host, uint16_t port, struct listen_addr *ret, const char **ret_why)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = port};
    if (*host == '\0' || strcmp(host, "*") == 0)
        in.sin_addr.s_addr = htonl(INADDR_ANY);
    else if (strcmp(host, "localhost") == 0)
        in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    else if (inet_pton(AF_INET, host, &in.sin_addr) != 1) {
        *ret_why = "the host must be an IP address (IPv6 in brackets) or localhost";
        return false;
    }
    memcpy(&ret->ss, &in, sizeof(in));
    ret->len = sizeof(in);
    return true;
}

/* Splits at the last colon outside brackets; the host comes without its brackets. */
static bool split_host(struct str s, struct str *ret_host, struct str *ret_port, bool *ret_v6)
{
    size_t colon = s.n;
    while (colon > 0 && s.p[colon - 1] != ':')
        colon--;
    if (colon == 0)
        return false;
    struct str host = {s.p, colon - 1};
    bool v6 = host.n >= 2 && host.p[0] == '[' && host.p[host.n - 1] == ']';
    if (v6)
        host = (struct str){host.p + 1, host.n - 2};
    else if (host.n > 0 && memchr(host.p, ':', host.n) != NULL)
        return false; // IPv6 without brackets: which colon ends it?
    *ret_host = host;
    *ret_port = (struct str){s.p + colon, s.n - colon};
    *ret_v6 = v6;
    return true;
}

static bool parse_tcp(struct str s, struct listen_addr *ret, const char **ret_why)
{
    struct str host, port_text;
    uint16_t port;
    bool v6;
    char text[INET6_ADDRSTRLEN] = "";
    if (!split_host(s, &host, &port_text, &v6)) {
        *ret_why = "expected HOST:PORT, [IPv6]:PORT, :PORT or unix:/PATH";
        return false;
    }
    if (!parse_port(port_text, &port, ret_why))
        return false;
    if (host.n >= sizeof(text) || (host.n > 0 && memchr(host.p, '\0', host.n) != NULL)) {
        *ret_why = "the host must be an IP address (IPv6 in brackets) or localhost";
        return false;
    }
    if (host.n > 0)
        memcpy(text, host.p, host.n);
    return v6 ? parse_v6(text, port, ret, ret_why) : parse_v4(text, port, ret, ret_why);
}

bool listen_addr_parse(struct str s, struct listen_addr *ret, const char **ret_why)
{
    struct listen_addr a = {0};
    struct str unix_head = STR("unix:");
    s = str_trim(s);
    if (s.n >= sizeof(a.text)) {
        *ret_why = "the address is too long";
        return false;
    }
    bool ok = str_starts(s, unix_head) ? parse_unix(str_skip(s, unix_head.n), &a, ret_why)
                                       : parse_tcp(s, &a, ret_why);
    if (!ok)
        return false;
    memcpy(a.text, s.p, s.n);
    *ret = a;
    return true;
}
