/*
 * listen_socket.c - opens the sockets that listeners wait on.
 *
 * Always true: a socket that is returned listens, does not block, and is closed by exec(). On
 * failure nothing is left open, and no file is left that was not there.
 */
#include "net/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { LISTEN_BACKLOG = 4096 };

static int fail(const struct listen_addr *a, int error, int fd, char *ret_why, size_t why_size)
{
    const char *hint = error == EADDRINUSE ? ": is another server running there?"
                       : error == EACCES   ? ": not permitted for this user"
                                           : "";
    snprintf(ret_why, why_size, "cannot listen on %s: %s%s", a->text, strerror(error), hint);
    if (fd >= 0)
        close(fd);
    return -1;
}

static int open_stream(int family)
{
    return socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

static bool set_on(int fd, int level, int option)
{
    int one = 1;
    return setsockopt(fd, level, option, &one, sizeof(one)) == 0;
}

static bool bind_tcp(int fd, const struct listen_addr *a, bool shared)
{
    bool ok = set_on(fd, SOL_SOCKET, SO_REUSEADDR);
    if (shared)
        ok = ok && set_on(fd, SOL_SOCKET, SO_REUSEPORT);
    if (a->ss.ss_family == AF_INET6) // never both families on one socket: each is configured
        ok = ok && set_on(fd, IPPROTO_IPV6, IPV6_V6ONLY);
    return ok && bind(fd, (const struct sockaddr *)&a->ss, a->len) == 0;
}

static int open_tcp(const struct listen_addr *a, char *ret_why, size_t why_size)
{
    int fd = open_stream(a->ss.ss_family);
    if (fd < 0 || !bind_tcp(fd, a, true) || listen(fd, LISTEN_BACKLOG) != 0)
        return fail(a, errno, fd, ret_why, why_size);
    return fd;
}

/* Binds without sharing, to find out whether somebody is there; 0, or errno. */
static int probe_tcp(const struct listen_addr *a)
{
    int fd = open_stream(a->ss.ss_family);
    int error = fd >= 0 && bind_tcp(fd, a, false) ? 0 : errno;
    if (fd >= 0)
        close(fd);
    return error;
}

static uint16_t port_of(const struct listen_addr *a)
{
    struct addr ip;
    addr_from_sockaddr(&ip, &a->ss);
    return ip.port;
}

/* The text with the port that was found: what people see is what they can connect to. */
static void learn_port(struct listen_addr *a, int fd)
{
    struct listen_addr bound = *a;
    bound.len = sizeof(bound.ss);
    if (getsockname(fd, (struct sockaddr *)&bound.ss, &bound.len) != 0)
        return;
    char *colon = strrchr(bound.text, ':');
    if (colon != NULL)
        snprintf(colon + 1, sizeof(bound.text) - (size_t)(colon + 1 - bound.text), "%u",
                 port_of(&bound));
    *a = bound;
}

static bool is_socket_file(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0 && S_ISSOCK(st.st_mode);
}

/* Removes a socket file that nobody listens on. 0, or errno: EADDRINUSE when somebody does, EEXIST
 * when the file is no socket. */
static int remove_stale(const struct listen_addr *a, const char *path)
{
    struct stat st;
    if (lstat(path, &st) != 0)
        return errno == ENOENT ? 0 : errno;
    if (!S_ISSOCK(st.st_mode))
        return EEXIST;
    int fd = open_stream(AF_UNIX);
    if (fd < 0)
        return errno;
    int error = connect(fd, (const struct sockaddr *)&a->ss, a->len) == 0 ? EADDRINUSE : errno;
    close(fd);
    if (error == ECONNREFUSED)
        return unlink(path) == 0 ? 0 : errno;
    return error == EAGAIN ? EADDRINUSE : error; // EAGAIN: its queue is full
}

/* The mode is set before listen(): nobody can connect under another one. */
static int open_unix(const struct listen_addr *a, unsigned mode, char *ret_why, size_t why_size)
{
    struct sockaddr_un un;
    memcpy(&un, &a->ss, sizeof(un));
    int error = remove_stale(a, un.sun_path);
    if (error != 0)
        return fail(a, error, -1, ret_why, why_size);
    int fd = open_stream(AF_UNIX);
    if (fd < 0 || bind(fd, (const struct sockaddr *)&a->ss, a->len) != 0)
        return fail(a, errno, fd, ret_why, why_size);
    if (chmod(un.sun_path, mode) == 0 && listen(fd, LISTEN_BACKLOG) == 0)
        return fd;
    error = errno;
    unlink(un.sun_path);
    return fail(a, error, fd, ret_why, why_size);
}

int listen_socket_open(struct listen_addr *addr, unsigned unix_mode, char *ret_why, size_t why_size)
{
    if (addr->ss.ss_family == AF_UNIX)
        return open_unix(addr, unix_mode, ret_why, why_size);
    int error = port_of(addr) != 0 ? probe_tcp(addr) : 0;
    if (error != 0)
        return fail(addr, error, -1, ret_why, why_size);
    int fd = open_tcp(addr, ret_why, why_size);
    if (fd >= 0 && port_of(addr) == 0)
        learn_port(addr, fd);
    return fd;
}

int listen_socket_again(const struct listen_addr *addr, int fd, char *ret_why, size_t why_size)
{
    if (addr->ss.ss_family != AF_UNIX)
        return open_tcp(addr, ret_why, why_size);
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    return copy >= 0 ? copy : fail(addr, errno, -1, ret_why, why_size);
}

void listen_socket_forget(const struct listen_addr *addr)
{
    struct sockaddr_un un;
    if (addr->ss.ss_family != AF_UNIX)
        return;
    memcpy(&un, &addr->ss, sizeof(un));
    if (is_socket_file(un.sun_path))
        unlink(un.sun_path);
}
