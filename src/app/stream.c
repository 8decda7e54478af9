/*
 * stream.c - a client's connection, plain or TLS.
 *
 * Always true: the descriptor does not block; whoever wants to wait polls with a limit.
 */
#include "app/stream.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"

SSL_CTX *stream_tls_context(bool verify)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    if (ctx == NULL)
        return NULL;
    SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                              SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_options(ctx, SSL_OP_IGNORE_UNEXPECTED_EOF);
    if (verify) {
        SSL_CTX_set_default_verify_paths(ctx);
        SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
    }
    ERR_clear_error();
    return ctx;
}

bool stream_start_tls(struct stream *s, SSL_CTX *tls, const char *host)
{
    s->ssl = SSL_new(tls);
    if (s->ssl == NULL || SSL_set_fd(s->ssl, s->fd) != 1)
        return false;
    ASN1_OCTET_STRING *address = a2i_IPADDRESS(host);
    bool is_ip = address != NULL;
    ASN1_OCTET_STRING_free(address);
    X509_VERIFY_PARAM *param = SSL_get0_param(s->ssl);
    bool ok = is_ip
                  ? X509_VERIFY_PARAM_set1_ip_asc(param, host) == 1
                  : SSL_set1_host(s->ssl, host) == 1 && SSL_set_tlsext_host_name(s->ssl, host) == 1;
    SSL_set_connect_state(s->ssl);
    ERR_clear_error();
    return ok;
}

void stream_close(struct stream *s)
{
    SSL_free(s->ssl);
    s->ssl = NULL;
    if (s->fd >= 0)
        close(s->fd);
    s->fd = -1;
}

static ssize_t tls_answer(struct stream *s, int ret)
{
    int saved = errno, e = SSL_get_error(s->ssl, ret);
    s->wants_write = e == SSL_ERROR_WANT_WRITE;
    if (e == SSL_ERROR_ZERO_RETURN)
        return 0;
    if (e == SSL_ERROR_WANT_READ || e == SSL_ERROR_WANT_WRITE)
        errno = EAGAIN;
    else if (e == SSL_ERROR_SYSCALL)
        errno = saved != 0 ? saved : ECONNRESET;
    else
        errno = EPROTO;
    return -1;
}

ssize_t stream_read(struct stream *s, void *p, size_t n)
{
    size_t got;
    if (s->ssl == NULL)
        return recv(s->fd, p, n, MSG_DONTWAIT);
    ERR_clear_error();
    errno = 0;
    int ret = SSL_read_ex(s->ssl, p, n, &got);
    return ret == 1 ? (ssize_t)got : tls_answer(s, ret);
}

ssize_t stream_write(struct stream *s, const void *p, size_t n)
{
    size_t sent;
    if (s->ssl == NULL)
        return send(s->fd, p, n, MSG_DONTWAIT | MSG_NOSIGNAL);
    ERR_clear_error();
    errno = 0;
    int ret = SSL_write_ex(s->ssl, p, n, &sent);
    if (ret == 1)
        return (ssize_t)sent;
    if (tls_answer(s, ret) == 0)
        errno = EPIPE;
    return -1;
}

static bool wait_for(int fd, short events, uint64_t until_ns)
{
    for (;;) {
        uint64_t now = clock_mono_ns();
        struct pollfd p = {.fd = fd, .events = events};
        if (now >= until_ns)
            return false;
        int n = poll(&p, 1, (int)((until_ns - now) / 1000000 + 1));
        if (n != 0)
            return n > 0 || errno == EINTR;
    }
}

static uint64_t deadline(int timeout_ms)
{
    return clock_mono_ns() + (uint64_t)timeout_ms * 1000000;
}

bool stream_write_all(struct stream *s, const void *p, size_t n, int timeout_ms)
{
    uint64_t until = deadline(timeout_ms);
    const char *at = p;
    while (n > 0) {
        ssize_t sent = stream_write(s, at, n);
        if (sent > 0) {
            at += sent;
            n -= (size_t)sent;
        } else if (errno != EAGAIN) {
            return false;
        } else if (!wait_for(s->fd, s->ssl != NULL && !s->wants_write ? POLLIN : POLLOUT, until)) {
            errno = ETIMEDOUT;
            return false;
        }
    }
    return true;
}

/* ---- connecting ---- */

static int connect_one(const struct addrinfo *a, uint64_t until_ns)
{
    int one = 1, error = 0;
    socklen_t len = sizeof(error);
    int fd = socket(a->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    if (connect(fd, a->ai_addr, a->ai_addrlen) == 0)
        return fd;
    error = errno;
    if (error == EINPROGRESS) {
        error = ETIMEDOUT;
        if (wait_for(fd, POLLOUT, until_ns))
            getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len);
    }
    if (error == 0)
        return fd;
    close(fd);
    errno = error;
    return -1;
}

static int connect_any(const struct url *u, uint64_t until_ns, char *ret_why, size_t why_size)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found = NULL;
    int fd = -1, e = getaddrinfo(u->host, u->port, &hints, &found);
    if (e != 0) {
        snprintf(ret_why, why_size, "%s: %s", u->host, gai_strerror(e));
        return -1;
    }
    for (struct addrinfo *a = found; a != NULL && fd < 0; a = a->ai_next)
        fd = connect_one(a, until_ns);
    if (fd < 0)
        snprintf(ret_why, why_size, "cannot connect to %s port %s: %s%s", u->host, u->port,
                 strerror(errno), errno == ECONNREFUSED ? "; does a server run there?" : "");
    freeaddrinfo(found);
    return fd;
}

static bool shake_hands(struct stream *s, uint64_t until_ns, char *ret_why, size_t why_size)
{
    for (;;) {
        ERR_clear_error();
        errno = 0;
        int ret = SSL_do_handshake(s->ssl);
        if (ret == 1)
            return true;
        int e = SSL_get_error(s->ssl, ret);
        bool waits = e == SSL_ERROR_WANT_READ || e == SSL_ERROR_WANT_WRITE;
        if (waits && wait_for(s->fd, e == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT, until_ns))
            continue;
        long verified = SSL_get_verify_result(s->ssl);
        const char *reason = waits                   ? "timed out"
                             : verified != X509_V_OK ? X509_verify_cert_error_string(verified)
                             : e == SSL_ERROR_SSL ? ERR_reason_error_string(ERR_peek_last_error())
                                                  : "the connection was closed";
        snprintf(ret_why, why_size, "TLS: %s", reason != NULL ? reason : "failed");
        return false;
    }
}

bool stream_connect(struct stream *s, const struct url *u, SSL_CTX *tls, int timeout_ms,
                    char *ret_why, size_t why_size)
{
    uint64_t until = deadline(timeout_ms);
    *s = (struct stream){.fd = connect_any(u, until, ret_why, why_size)};
    if (s->fd < 0)
        return false;
    if (tls == NULL)
        return true;
    if (!stream_start_tls(s, tls, u->host))
        snprintf(ret_why, why_size, "TLS: out of memory");
    else if (shake_hands(s, until, ret_why, why_size))
        return true;
    stream_close(s);
    return false;
}
