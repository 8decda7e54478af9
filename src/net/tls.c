/*
 * tls.c - TLS 1.2 and 1.3 by OpenSSL under a connection.
 *
 * Why it exists: connections want recv() and sendmsg(); OpenSSL wants the same bytes again after a
 * write that would have blocked. Here is the place that keeps them, so that a caller may put new
 * bytes in front of its queue at any time.
 *
 * Always true between two calls:
 *   I1. what tls_sendv() has taken is either with the kernel, or in pending, and leaves first.
 *   I2. an idle connection holds no buffer: not ours, and not OpenSSL's (RELEASE_BUFFERS).
 *   I3. OpenSSL's error queue of this thread is empty.
 */
#include "net/tls.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "base/must.h"

enum { TLS_RECORD_MAX = 16384, TLS_TICKET_KEYS_MAX = 256 };

struct tls_context {
    SSL_CTX *ssl;
};

struct tls {
    SSL *ssl;
    char *pending; // taken from the caller, not yet by the socket; NULL: none
    uint32_t pending_len, pending_at;
    int fd;
    bool handshake_blocked; // the handshake has something to write
    bool kernel_send;
    bool failed;
};

/* ---- contexts ---- */

/* A key with a passphrase must not make a server ask its terminal. */
static int refuse_passphrase(char *buf, int size, int writing, void *ctx)
{
    (void)buf, (void)size, (void)writing, (void)ctx;
    return -1;
}

/* A client that speaks only other protocols is told so in the handshake. */
static int choose_alpn(SSL *ssl, const unsigned char **ret, unsigned char *ret_n,
                       const unsigned char *in, unsigned in_n, void *ctx)
{
    static const unsigned char ours[] = "\x08http/1.1";
    unsigned char *chosen;
    (void)ssl, (void)ctx;
    if (SSL_select_next_proto(&chosen, ret_n, ours, sizeof(ours) - 1, in, in_n) !=
        OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    *ret = chosen;
    return SSL_TLSEXT_ERR_OK;
}

static void set_options(SSL_CTX *ctx)
{
    SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
    SSL_CTX_set_options(ctx, SSL_OP_ENABLE_KTLS | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                 SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA |
                                 SSL_OP_IGNORE_UNEXPECTED_EOF);
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                              SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_read_ahead(ctx, 0);
    SSL_CTX_set_dh_auto(ctx, 1);
    SSL_CTX_set_alpn_select_cb(ctx, choose_alpn, NULL);
    SSL_CTX_set_default_passwd_cb(ctx, refuse_passphrase);
    /* Tickets carry the session; the server remembers none. */
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_num_tickets(ctx, 1);
    SSL_CTX_set_session_id_context(ctx, (const unsigned char *)"recado", 6);
}

static void explain(char *ret_why, size_t why_size, const char *file, const char *what)
{
    const char *reason = ERR_reason_error_string(ERR_peek_last_error());
    snprintf(ret_why, why_size, "%s: %s (%s)", file, what, reason != NULL ? reason : "no reason");
    ERR_clear_error();
}

static bool can_read(const char *file, char *ret_why, size_t why_size)
{
    FILE *f = fopen(file, "re");
    int c = f != NULL ? fgetc(f) : EOF;
    if (f == NULL || (c == EOF && ferror(f)))
        snprintf(ret_why, why_size, "%s: %s", file, strerror(errno));
    else if (c == EOF)
        snprintf(ret_why, why_size, "%s: the file is empty", file);
    if (f != NULL)
        fclose(f);
    return c != EOF;
}

static bool load_files(SSL_CTX *ctx, const char *cert, const char *key, char *ret_why, size_t size)
{
    if (!can_read(cert, ret_why, size) || !can_read(key, ret_why, size))
        return false;
    if (SSL_CTX_use_certificate_chain_file(ctx, cert) != 1) {
        explain(ret_why, size, cert, "no usable PEM certificate chain");
        return false;
    }
    if (SSL_CTX_use_PrivateKey_file(ctx, key, SSL_FILETYPE_PEM) != 1) {
        bool mismatch = ERR_GET_REASON(ERR_peek_last_error()) == X509_R_KEY_VALUES_MISMATCH;
        explain(ret_why, size, key,
                mismatch ? "not the key of the certificate"
                         : "no usable PEM private key without a passphrase");
        return false;
    }
    if (SSL_CTX_check_private_key(ctx) != 1) {
        explain(ret_why, size, key, "not the key of the certificate");
        return false;
    }
    return true;
}

struct tls_context *tls_context_create(const char *cert_file, const char *key_file, char *ret_why,
                                       size_t why_size)
{
    struct tls_context *ctx = calloc(1, sizeof(*ctx));
    SSL_CTX *ssl = ctx != NULL ? SSL_CTX_new(TLS_server_method()) : NULL;
    if (ssl == NULL) {
        snprintf(ret_why, why_size, "%s: out of memory", cert_file);
        goto fail;
    }
    set_options(ssl);
    if (!load_files(ssl, cert_file, key_file, ret_why, why_size))
        goto fail;
    ctx->ssl = ssl;
    return ctx;

fail:
    SSL_CTX_free(ssl);
    free(ctx);
    ERR_clear_error();
    return NULL;
}

void tls_context_keep_tickets(struct tls_context *ctx, const struct tls_context *old)
{
    unsigned char keys[TLS_TICKET_KEYS_MAX];
    long n = SSL_CTX_get_tlsext_ticket_keys(old->ssl, NULL, 0); // their size
    if (n <= 0 || n > (long)sizeof(keys))
        return;
    if (SSL_CTX_get_tlsext_ticket_keys(old->ssl, keys, n) == 1)
        SSL_CTX_set_tlsext_ticket_keys(ctx->ssl, keys, n);
    OPENSSL_cleanse(keys, sizeof(keys));
    ERR_clear_error();
}

void tls_context_free(struct tls_context *ctx)
{
    if (ctx == NULL)
        return;
    SSL_CTX_free(ctx->ssl);
    free(ctx);
}

/* ---- connections ---- */

struct tls *tls_create(struct tls_context *ctx, int fd)
{
    struct tls *t = calloc(1, sizeof(*t));
    SSL *ssl = t != NULL ? SSL_new(ctx->ssl) : NULL; // it holds on to the SSL_CTX itself
    if (ssl == NULL || SSL_set_fd(ssl, fd) != 1) {
        SSL_free(ssl);
        free(t);
        ERR_clear_error();
        return NULL;
    }
    SSL_set_accept_state(ssl);
    t->ssl = ssl;
    t->fd = fd;
    return t;
}

void tls_destroy(struct tls **tp)
{
    struct tls *t = *tp;
    *tp = NULL;
    if (t == NULL)
        return;
    SSL_free(t->ssl);
    free(t->pending);
    free(t);
}

/* Translates a failed call of OpenSSL into errno; 0: the peer's end. */
static ssize_t answer_error(struct tls *t, int ret)
{
    int saved = errno;
    int e = SSL_get_error(t->ssl, ret);
    ERR_clear_error();
    switch (e) {
    case SSL_ERROR_WANT_READ:
        errno = EAGAIN;
        return -1;
    case SSL_ERROR_WANT_WRITE:
        t->handshake_blocked = !SSL_is_init_finished(t->ssl);
        errno = EAGAIN;
        return -1;
    case SSL_ERROR_ZERO_RETURN:
        return 0;
    case SSL_ERROR_SYSCALL:
        t->failed = true;
        errno = saved != 0 ? saved : ECONNRESET;
        return -1;
    default:
        t->failed = true;
        errno = EPROTO;
        return -1;
    }
}

static ssize_t refuse_failed(void)
{
    errno = EPROTO;
    return -1;
}

/* Goes on with the handshake; 1: it is done, else as answer_error() says. */
static ssize_t run_handshake(struct tls *t)
{
    if (SSL_is_init_finished(t->ssl))
        return 1;
    t->handshake_blocked = false;
    errno = 0;
    int ret = SSL_do_handshake(t->ssl);
    if (ret != 1)
        return answer_error(t, ret);
    t->kernel_send = BIO_get_ktls_send(SSL_get_wbio(t->ssl));
    return 1;
}

ssize_t tls_recv(struct tls *t, char *p, size_t n)
{
    if (t->failed)
        return refuse_failed();
    ssize_t ready = run_handshake(t);
    if (ready != 1)
        return ready;
    size_t got;
    errno = 0;
    int ret = SSL_read_ex(t->ssl, p, n, &got);
    return ret == 1 ? (ssize_t)got : answer_error(t, ret);
}

/* Writes the bytes of one record at most. */
static ssize_t write_record(struct tls *t, const char *p, size_t n)
{
    size_t sent;
    errno = 0;
    int ret = SSL_write_ex(t->ssl, p, n, &sent);
    if (ret == 1)
        return (ssize_t)sent;
    ssize_t answer = answer_error(t, ret);
    if (answer == 0) // the peer has closed its side; there is nobody to write to
        errno = EPIPE;
    return -1;
}

/* 0: nothing waits any more. */
static ssize_t push_pending(struct tls *t)
{
    while (t->pending != NULL) {
        ssize_t n = write_record(t, t->pending + t->pending_at, t->pending_len - t->pending_at);
        if (n < 0)
            return -1;
        t->pending_at += (uint32_t)n;
        if (t->pending_at == t->pending_len) {
            free(t->pending);
            t->pending = NULL;
        }
    }
    return 0;
}

/* OpenSSL has begun to write p: it must see the same bytes again. */
static bool keep_pending(struct tls *t, const char *p, size_t n)
{
    MUST(t->pending == NULL && n <= TLS_RECORD_MAX);
    t->pending = malloc(n);
    if (t->pending == NULL) {
        t->failed = true;
        errno = ENOMEM;
        return false;
    }
    memcpy(t->pending, p, n);
    t->pending_len = (uint32_t)n;
    t->pending_at = 0;
    return true;
}

/* Where a walk over the caller's pieces stands. */
struct gather {
    const struct iovec *iov;
    int n;
    size_t at; // in iov[0]
};

static void gather_skip(struct gather *g, size_t n)
{
    while (n > 0) {
        size_t left = g->iov->iov_len - g->at;
        size_t step = n < left ? n : left;
        g->at += step;
        n -= step;
        if (g->at == g->iov->iov_len) {
            g->iov++;
            g->n--;
            g->at = 0;
        }
    }
}

/* The next bytes, one record at most, in one piece: where they are if they are together there, else
 * copied. Small pieces would cost a record and a system call each. */
static struct str gather_record(struct gather g, char scratch[TLS_RECORD_MAX])
{
    size_t n = 0;
    while (g.n > 0 && g.iov->iov_len == g.at) {
        g.iov++;
        g.n--;
        g.at = 0;
    }
    if (g.n > 0 && (g.n == 1 || g.iov->iov_len - g.at >= TLS_RECORD_MAX)) {
        size_t left = g.iov->iov_len - g.at;
        return (struct str){(const char *)g.iov->iov_base + g.at,
                            left < TLS_RECORD_MAX ? left : TLS_RECORD_MAX};
    }
    for (; g.n > 0 && n < TLS_RECORD_MAX; g.iov++, g.n--, g.at = 0) {
        size_t left = g.iov->iov_len - g.at;
        size_t step = left < TLS_RECORD_MAX - n ? left : TLS_RECORD_MAX - n;
        if (step > 0)
            memcpy(scratch + n, (const char *)g.iov->iov_base + g.at, step);
        n += step;
    }
    return (struct str){scratch, n};
}

/* Of the calling thread; empty between two calls. */
static _Thread_local char record_scratch[TLS_RECORD_MAX];

static ssize_t send_records(struct tls *t, const struct iovec *iov, int n)
{
    struct gather g = {iov, n, 0};
    ssize_t taken = 0;
    for (;;) {
        struct str record = gather_record(g, record_scratch);
        if (record.n == 0)
            return taken;
        ssize_t sent = write_record(t, record.p, record.n);
        if (sent < 0 && errno == EAGAIN)
            return keep_pending(t, record.p, record.n) ? taken + (ssize_t)record.n : -1;
        if (sent < 0)
            return taken > 0 ? taken : -1;
        taken += sent;
        gather_skip(&g, (size_t)sent);
    }
}

ssize_t tls_sendv(struct tls *t, const struct iovec *iov, int n)
{
    if (t->failed)
        return refuse_failed();
    ssize_t ready = run_handshake(t);
    if (ready != 1) {
        errno = ready == 0 ? EPIPE : errno;
        return -1;
    }
    if (push_pending(t) < 0)
        return -1;
    if (n <= 0)
        return 0;
    if (!t->kernel_send)
        return send_records(t, iov, n);
    struct msghdr m = {.msg_iov = (struct iovec *)iov, .msg_iovlen = (size_t)n};
    return sendmsg(t->fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL);
}

bool tls_pending(const struct tls *t)
{
    return !t->failed && (t->pending != NULL || t->handshake_blocked);
}

bool tls_kernel_send(const struct tls *t)
{
    return t->kernel_send;
}

void tls_shutdown(struct tls *t)
{
    if (t->failed || t->pending != NULL || !SSL_is_init_finished(t->ssl))
        return;
    SSL_shutdown(t->ssl);
    ERR_clear_error();
}

const char *tls_version(const struct tls *t)
{
    return SSL_is_init_finished(t->ssl) ? SSL_get_version(t->ssl) : "";
}
