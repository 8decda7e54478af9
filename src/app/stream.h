/* stream.h - a client's connection, plain or TLS, that never blocks by itself.
 * Thread:  the owner's.
 * Memory:  the struct is the caller's; stream_close() frees what it holds.
 * Failure: as recv() and send() say: -1 with errno EAGAIN when the call would block. */
#ifndef APP_STREAM_H
#define APP_STREAM_H

#include <openssl/ssl.h>
#include <sys/types.h>

#include "app/url.h"

struct stream {
    int fd;           // -1: closed
    SSL *ssl;         // NULL: plain
    bool wants_write; // TLS can only go on when the socket can be written
};

/* verify: the server's certificate must be good for its name. NULL: no memory. */
SSL_CTX *stream_tls_context(bool verify);

/* Looks up, connects and shakes hands, within timeout_ms. tls: NULL for a plain URL. */
bool stream_connect(struct stream *s, const struct url *u, SSL_CTX *tls, int timeout_ms,
                    char *ret_why, size_t why_size);
/* Puts TLS on a connected socket; the handshake runs inside the first reads and writes. */
bool stream_start_tls(struct stream *s, SSL_CTX *tls, const char *host);
void stream_close(struct stream *s);

/* 0: the peer's end. */
ssize_t stream_read(struct stream *s, void *p, size_t n);
ssize_t stream_write(struct stream *s, const void *p, size_t n);
/* Waits where that is needed. */
bool stream_write_all(struct stream *s, const void *p, size_t n, int timeout_ms);

#endif
