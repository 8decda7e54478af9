/* addr.h - socket addresses, as people write them: 127.0.0.1:8000, [::1]:8000, unix:/run/x.sock.
 * Thread:  any.
 * Memory:  values; a Unix path longer than the kernel's limit is refused.
 * Failure: addr_parse() says false and why. */
#ifndef NET_ADDR_H
#define NET_ADDR_H

#include "base/str.h"

#include <sys/socket.h>

/* A peer, kept small: an idle connection has one of these. */
struct addr {
    uint8_t family; // AF_INET, AF_INET6, AF_UNIX, or 0: unknown
    bool unlimited; // it came in where no limit holds
    uint16_t port;
    uint8_t ip[16]; // 4 of them for AF_INET
};

enum { ADDR_TEXT_MAX = 64 };
/* "127.0.0.1", "::1", "unix"; returns the length, without a terminator. */
size_t addr_format_ip(const struct addr *a, char ret[ADDR_TEXT_MAX]);
void addr_from_sockaddr(struct addr *ret, const struct sockaddr_storage *ss);
bool addr_is_loopback(const struct addr *a); // Unix sockets count as loopback

/* Where to listen. */
struct listen_addr {
    struct sockaddr_storage ss;
    socklen_t len;
    char text[128]; // as configured
};
/* host:port, [v6]:port, :port (all of IPv4), unix:/path. ret_why: a static text. */
bool listen_addr_parse(struct str s, struct listen_addr *ret, const char **ret_why);
bool listen_addr_is_loopback(const struct listen_addr *a);

#endif
