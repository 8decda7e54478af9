/* tls.h - TLS 1.2 and 1.3 by OpenSSL under a connection.
 * Thread:  a context is made and replaced on the main thread and used by all loops; connections
 *          made from it outlive it;
 *          a struct tls belongs to its connection's loop.
 * Memory:  tls_context_free() ends a context for new connections only; tls frees its own buffers
 *          while idle (SSL_MODE_RELEASE_BUFFERS).
 * Failure: tls_context_create() says what was wrong with which file; the others return errno-like
 *          results as send() and recv() do. */
#ifndef NET_TLS_H
#define NET_TLS_H

#include "base/str.h"

#include <sys/types.h>
#include <sys/uio.h>

struct tls_context;
struct tls;

/* Loads certificate chain and key (PEM). Session tickets for resumption, kernel TLS when the kernel
 * has it. NULL: ret_why (why_size bytes) has the reason with the file's name. */
struct tls_context *tls_context_create(const char *cert_file, const char *key_file, char *ret_why,
                                       size_t why_size);
void tls_context_free(struct tls_context *ctx);
/* After a reload, before ctx is used: tickets that the old context gave out stay good. */
void tls_context_keep_tickets(struct tls_context *ctx, const struct tls_context *old);

/* Server side of fd; the handshake runs inside tls_recv(). NULL: no memory. */
struct tls *tls_create(struct tls_context *ctx, int fd);
void tls_destroy(struct tls **tp);

/* As recv() and sendmsg() on a non-blocking socket: -1 with errno EAGAIN when they would block,
 * EPROTO when TLS has failed; tls_recv() returns 0 at the peer's end.
 * tls_sendv(): what it returns as taken is taken for good, even if part of it waits inside for the
 * socket; call it with n = 0 to push that on. tls_pending(): some of it waits. */
ssize_t tls_recv(struct tls *t, char *p, size_t n);
ssize_t tls_sendv(struct tls *t, const struct iovec *iov, int n);
bool tls_pending(const struct tls *t);
/* The handshake is done and the kernel encrypts what is sent: plain sendmsg() may be used. */
bool tls_kernel_send(const struct tls *t);
/* Sends the close alert, if it can be sent at once. */
void tls_shutdown(struct tls *t);
/* "TLSv1.3", or "" before the handshake is done. */
const char *tls_version(const struct tls *t);

#endif
