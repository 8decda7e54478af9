/*
 * tls_test.c - our side of TLS against OpenSSL's own client.
 *
 * The client writes into memory and the test carries the bytes to the server's socket, so it
 * decides how they are cut. Certificates are made here, at the start of every run.
 */
#include "net/tls.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- what OpenSSL allocates for the server ---- */

static bool counting_server;
static long server_bytes;

struct counted {
    size_t n;
    bool server;
    _Alignas(16) char bytes[];
};

static void *counted_malloc(size_t n, const char *file, int line)
{
    (void)file, (void)line;
    struct counted *c = malloc(sizeof(*c) + n);
    if (c == NULL)
        return NULL;
    *c = (struct counted){.n = n, .server = counting_server};
    server_bytes += c->server ? (long)n : 0;
    return c->bytes;
}

static void counted_free(void *p, const char *file, int line)
{
    (void)file, (void)line;
    if (p == NULL)
        return;
    struct counted *c = (void *)((char *)p - offsetof(struct counted, bytes));
    server_bytes -= c->server ? (long)c->n : 0;
    free(c);
}

static void *counted_realloc(void *p, size_t n, const char *file, int line)
{
    void *q = counted_malloc(n, file, line);
    if (p != NULL && q != NULL) {
        struct counted *c = (void *)((char *)p - offsetof(struct counted, bytes));
        memcpy(q, p, c->n < n ? c->n : n);
        counted_free(p, file, line);
    }
    return q;
}

/* ---- certificates ---- */

static char dir[64];

static char *file_in_dir(const char *name)
{
    static char paths[4][128];
    static unsigned turn;
    char *path = paths[turn++ % 4];
    snprintf(path, sizeof(paths[0]), "%s/%s", dir, name);
    return path;
}

static void write_text(const char *name, const char *text)
{
    FILE *f = fopen(file_in_dir(name), "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static void make_pair(const char *cert_name, const char *key_name, const char *passphrase)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *x = X509_new();
    X509_NAME *name = X509_get_subject_name(x);
    ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
    X509_gmtime_adj(X509_getm_notBefore(x), -60);
    X509_gmtime_adj(X509_getm_notAfter(x), 3600);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"localhost", -1, -1,
                               0);
    X509_set_issuer_name(x, name);
    X509_set_pubkey(x, key);
    assert_true(X509_sign(x, key, EVP_sha256()) > 0);
    FILE *f = fopen(file_in_dir(cert_name), "w");
    PEM_write_X509(f, x);
    fclose(f);
    f = fopen(file_in_dir(key_name), "w");
    PEM_write_PrivateKey(f, key, passphrase ? EVP_aes_128_cbc() : NULL, NULL, 0, NULL,
                         (void *)passphrase);
    fclose(f);
    X509_free(x);
    EVP_PKEY_free(key);
}

static int make_files(void **state)
{
    (void)state;
    snprintf(dir, sizeof(dir), "/tmp/recado-tls-XXXXXX");
    if (mkdtemp(dir) == NULL)
        return -1;
    make_pair("cert.pem", "key.pem", NULL);
    make_pair("cert2.pem", "key2.pem", NULL);
    make_pair("cert3.pem", "locked.pem", "secret");
    write_text("empty.pem", "");
    write_text("garbage.pem", "this is no PEM file\n");
    return 0;
}

static int remove_files(void **state)
{
    static const char *const names[] = {"cert.pem",  "key.pem",    "cert2.pem", "key2.pem",
                                        "cert3.pem", "locked.pem", "empty.pem", "garbage.pem"};
    (void)state;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        unlink(file_in_dir(names[i]));
    return rmdir(dir);
}

static struct tls_context *load(const char *cert, const char *key)
{
    char why[256] = "";
    struct tls_context *ctx =
        tls_context_create(file_in_dir(cert), file_in_dir(key), why, sizeof(why));
    if (ctx == NULL)
        fail_msg("%s", why);
    return ctx;
}

/* ---- a client and a server with a wire between them ---- */

struct pair {
    SSL_CTX *client_ctx;
    SSL *client;
    BIO *to_client;   // memory that the client reads
    BIO *from_client; // memory that the client writes
    int wire;         // the client's end of the socket pair
    int fd;           // the server's
    struct tls *server;
    size_t step; // bytes carried at a time
};

static SSL_SESSION *kept_session;

static int keep_session(SSL *ssl, SSL_SESSION *s)
{
    (void)ssl;
    SSL_SESSION_free(kept_session);
    kept_session = s;
    return 1;
}

static void pair_open(struct pair *p, struct tls_context *ctx, int version, SSL_SESSION *resume)
{
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    *p = (struct pair){.wire = fds[0], .fd = fds[1], .step = 65536};
    p->client_ctx = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_security_level(p->client_ctx, 0); // or a client would not even say TLS 1.1
    SSL_CTX_set_min_proto_version(p->client_ctx, version);
    SSL_CTX_set_max_proto_version(p->client_ctx, version);
    SSL_CTX_set_session_cache_mode(p->client_ctx,
                                   SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(p->client_ctx, keep_session);
    p->client = SSL_new(p->client_ctx);
    p->to_client = BIO_new(BIO_s_mem());
    p->from_client = BIO_new(BIO_s_mem());
    BIO_set_mem_eof_return(p->to_client, -1);
    SSL_set_bio(p->client, p->to_client, p->from_client);
    SSL_set_connect_state(p->client);
    if (resume != NULL)
        SSL_set_session(p->client, resume);
    counting_server = true;
    p->server = tls_create(ctx, p->fd);
    counting_server = false;
    assert_non_null(p->server);
}

static void pair_close(struct pair *p)
{
    tls_destroy(&p->server);
    assert_null(p->server);
    SSL_set_shutdown(p->client, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN); // its session is good
    SSL_free(p->client);
    SSL_CTX_free(p->client_ctx);
    close(p->wire);
    close(p->fd);
    assert_int_equal(ERR_peek_error(), 0); // I3, and the tests' own tidiness
}

/* Carries what waits, at most step bytes each way; true: something moved. */
static bool carry(struct pair *p)
{
    char bytes[65536];
    bool moved = false;
    ssize_t n = recv(p->wire, bytes, p->step, 0);
    if (n > 0) {
        BIO_write(p->to_client, bytes, (int)n);
        moved = true;
    }
    int m = BIO_read(p->from_client, bytes, (int)p->step);
    if (m > 0) {
        assert_int_equal(send(p->wire, bytes, (size_t)m, 0), m);
        moved = true;
    }
    return moved;
}

static ssize_t server_recv(struct pair *p, char *ret, size_t n)
{
    counting_server = true;
    ssize_t got = tls_recv(p->server, ret, n);
    counting_server = false;
    return got;
}

static ssize_t server_send(struct pair *p, const struct iovec *iov, int n)
{
    counting_server = true;
    ssize_t got = tls_sendv(p->server, iov, n);
    counting_server = false;
    return got;
}

/* Until both are done (true), or nothing moves any more. errno is the server's last. */
static bool shake_hands(struct pair *p)
{
    char byte;
    bool moving = true;
    for (int done = 0; moving;) {
        done = SSL_do_handshake(p->client);
        moving = carry(p);
        ssize_t got = server_recv(p, &byte, 1);
        if (got == 0 || errno != EAGAIN)
            break;
        if (done == 1 && *tls_version(p->server) != '\0' && !carry(p))
            break;
    }
    int e = errno;
    SSL_read(p->client, &byte, 1); // takes the tickets
    ERR_clear_error();
    errno = e;
    return SSL_is_init_finished(p->client) && *tls_version(p->server) != '\0';
}

static void say_both_ways(struct pair *p)
{
    char got[32];
    int said = -1;
    assert_int_equal(SSL_write(p->client, "ping", 4), 4);
    while (carry(p))
        ;
    assert_int_equal(server_recv(p, got, sizeof(got)), 4);
    assert_memory_equal(got, "ping", 4);
    char pong[] = "pong";
    struct iovec iov[3] = {{pong, 2}, {NULL, 0}, {pong + 2, 2}};
    assert_int_equal(server_send(p, iov, 3), 4);
    assert_false(tls_pending(p->server));
    while (carry(p))
        said = SSL_read(p->client, got, sizeof(got));
    assert_int_equal(said, 4);
    assert_memory_equal(got, "pong", 4);
}

/* ---- tests ---- */

static void check_version(int version, size_t step, const char *name)
{
    struct pair p;
    struct tls_context *ctx = load("cert.pem", "key.pem");
    pair_open(&p, ctx, version, NULL);
    p.step = step;
    assert_string_equal(tls_version(p.server), "");
    assert_true(shake_hands(&p));
    assert_string_equal(tls_version(p.server), name);
    assert_false(tls_kernel_send(p.server)); // no TCP here
    p.step = 65536;
    say_both_ways(&p);
    pair_close(&p);
    tls_context_free(ctx);
}

static void test_both_versions_at_every_cut(void **state)
{
    (void)state;
    static const size_t steps[] = {65536, 1000, 7, 1};
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        check_version(TLS1_3_VERSION, steps[i], "TLSv1.3");
        check_version(TLS1_2_VERSION, steps[i], "TLSv1.2");
    }
}

static void test_old_versions_are_refused(void **state)
{
    (void)state;
    struct pair p;
    struct tls_context *ctx = load("cert.pem", "key.pem");
    pair_open(&p, ctx, TLS1_1_VERSION, NULL);
    assert_false(shake_hands(&p));
    char c;
    assert_int_equal(server_recv(&p, &c, 1), -1);
    assert_int_equal(errno, EPROTO);
    struct iovec iov = {&c, 1};
    assert_int_equal(server_send(&p, &iov, 1), -1);
    assert_int_equal(errno, EPROTO);
    assert_false(tls_pending(p.server));
    pair_close(&p);
    tls_context_free(ctx);
}

static void test_alpn(void **state)
{
    (void)state;
    struct pair p;
    struct tls_context *ctx = load("cert.pem", "key.pem");
    const unsigned char *chosen;
    unsigned n;
    pair_open(&p, ctx, TLS1_3_VERSION, NULL);
    SSL_set_alpn_protos(p.client, (const unsigned char *)"\x02h2\x08http/1.1", 12);
    assert_true(shake_hands(&p));
    SSL_get0_alpn_selected(p.client, &chosen, &n);
    assert_int_equal(n, 8);
    assert_memory_equal(chosen, "http/1.1", 8);
    pair_close(&p);

    pair_open(&p, ctx, TLS1_3_VERSION, NULL);
    SSL_set_alpn_protos(p.client, (const unsigned char *)"\x02h2", 3);
    assert_false(shake_hands(&p));
    pair_close(&p);
    tls_context_free(ctx);
}

static void test_plain_text_is_a_protocol_error(void **state)
{
    (void)state;
    struct pair p;
    struct tls_context *ctx = load("cert.pem", "key.pem");
    char c;
    pair_open(&p, ctx, TLS1_3_VERSION, NULL);
    assert_true(send(p.wire, "GET / HTTP/1.1\r\n\r\n", 18, 0) == 18);
    assert_int_equal(server_recv(&p, &c, 1), -1);
    assert_int_equal(errno, EPROTO);
    pair_close(&p);
    tls_context_free(ctx);
}

static void test_the_peers_end_is_an_end(void **state)
{
    (void)state;
    struct pair p;
    struct tls_context *ctx = load("cert.pem", "key.pem");
    char c;
    for (int polite = 0; polite < 2; polite++) {
        pair_open(&p, ctx, TLS1_3_VERSION, NULL);
        assert_true(shake_hands(&p));
        if (polite)
            SSL_shutdown(p.client);
        while (carry(&p))
            ;
        shutdown(p.wire, SHUT_WR);
        assert_int_equal(server_recv(&p, &c, 1), 0);
        tls_shutdown(p.server);
        pair_close(&p);
    }
    pair_open(&p, ctx, TLS1_3_VERSION, NULL); // before the first byte
    shutdown(p.wire, SHUT_WR);
    assert_int_equal(server_recv(&p, &c, 1), 0);
    tls_shutdown(p.server);
    pair_close(&p);
    tls_context_free(ctx);
}

static void test_a_record_read_in_pieces_is_input(void **state)
{
    (void)state;
    struct pair p;
    struct tls_context *ctx = load("cert.pem", "key.pem");
    char got[8];
    pair_open(&p, ctx, TLS1_3_VERSION, NULL);
    assert_true(shake_hands(&p));
    SSL_write(p.client, "abcdefgh", 8);
    while (carry(&p))
        ;
    assert_int_equal(server_recv(&p, got, 3), 3);
    assert_int_equal(server_recv(&p, got, 8), 5);
    pair_close(&p);
    tls_context_free(ctx);
}

/* A stream of bytes that are a function of their place, in pieces of odd sizes, into a socket that
 * keeps filling up. After a refusal the pieces start elsewhere: nobody keeps old ones for us. */
static void test_what_is_taken_arrives_once_and_in_order(void **state)
{
    (void)state;
    enum { TOTAL = 3 * 1000 * 1000, AHEAD = 100000 };
    static char out[AHEAD], in[65536];
    static const size_t sizes[] = {1, 100, 0, 5000, 16384, 30000, 7, 16385};
    struct pair p;
    struct tls_context *ctx = load("cert.pem", "key.pem");
    size_t sent = 0, got = 0;
    unsigned turn = 0, waits = 0;
    int small = 10000;
    pair_open(&p, ctx, TLS1_3_VERSION, NULL);
    setsockopt(p.fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
    assert_true(shake_hands(&p));
    while (got < TOTAL) {
        struct iovec iov[8];
        size_t at = 0;
        int n = 0;
        for (; n < 8; n++, turn++) {
            size_t want = sizes[turn * 5 % 8];
            want = sent + at + want > TOTAL ? TOTAL - sent - at : want;
            for (size_t i = 0; i < want; i++)
                out[at + i] = (char)((sent + at + i) * 31 >> 3);
            iov[n] = (struct iovec){out + at, want};
            at += want;
        }
        ssize_t taken = server_send(&p, iov, n);
        assert_true(taken >= 0 || errno == EAGAIN);
        sent += taken > 0 ? (size_t)taken : 0;
        memset(out, '!', sizeof(out)); // whoever still looks at them is found out
        waits += tls_pending(p.server);
        if (taken >= 0 && (size_t)taken < at)
            assert_true(tls_pending(p.server));
        carry(&p);
        int m;
        while ((m = SSL_read(p.client, in, sizeof(in))) > 0) {
            for (int i = 0; i < m; i++)
                if (in[i] != (char)((got + (size_t)i) * 31 >> 3))
                    fail_msg("byte %zu differs", got + (size_t)i);
            got += (size_t)m;
        }
        ERR_clear_error();
        if (sent == TOTAL)
            server_send(&p, NULL, 0);
    }
    assert_true(waits > 0);
    assert_int_equal(sent, TOTAL);
    assert_false(tls_pending(p.server));
    pair_close(&p);
    tls_context_free(ctx);
}

static bool resumes(struct tls_context *ctx, int version)
{
    struct pair p;
    SSL_SESSION *session = kept_session;
    kept_session = NULL;
    assert_non_null(session);
    pair_open(&p, ctx, version, session);
    assert_true(shake_hands(&p));
    bool reused = SSL_session_reused(p.client);
    pair_close(&p);
    SSL_SESSION_free(session);
    return reused;
}

static void check_resumption(int version)
{
    struct pair p;
    struct tls_context *first = load("cert.pem", "key.pem");
    pair_open(&p, first, version, NULL);
    assert_true(shake_hands(&p));
    assert_false(SSL_session_reused(p.client));
    pair_close(&p);
    assert_true(resumes(first, version));

    struct tls_context *second = load("cert2.pem", "key2.pem");
    tls_context_keep_tickets(second, first);
    tls_context_free(first);
    if (kept_session == NULL) { // TLS 1.2 renews no ticket: get one
        pair_open(&p, second, version, NULL);
        assert_true(shake_hands(&p));
        pair_close(&p);
    }
    assert_true(resumes(second, version));

    if (kept_session == NULL) {
        pair_open(&p, second, version, NULL);
        assert_true(shake_hands(&p));
        pair_close(&p);
    }
    struct tls_context *stranger = load("cert.pem", "key.pem");
    assert_false(resumes(stranger, version));
    tls_context_free(stranger);
    tls_context_free(second);
    SSL_SESSION_free(kept_session);
    kept_session = NULL;
}

static void test_resumption_also_after_a_reload(void **state)
{
    (void)state;
    check_resumption(TLS1_3_VERSION);
    check_resumption(TLS1_2_VERSION);
}

static void test_a_connection_outlives_its_context(void **state)
{
    (void)state;
    struct pair p;
    struct tls_context *ctx = load("cert.pem", "key.pem");
    pair_open(&p, ctx, TLS1_3_VERSION, NULL);
    tls_context_free(ctx);
    tls_context_free(NULL);
    assert_true(shake_hands(&p));
    say_both_ways(&p);
    pair_close(&p);
}

static void check_refused(const char *cert, const char *key, const char *named, const char *said)
{
    char why[256] = "";
    struct tls_context *ctx =
        tls_context_create(file_in_dir(cert), file_in_dir(key), why, sizeof(why));
    assert_null(ctx);
    if (strncmp(why, file_in_dir(named), strlen(file_in_dir(named))) != 0 || !strstr(why, said))
        fail_msg("%s, %s: %s", cert, key, why);
    assert_int_equal(ERR_peek_error(), 0);
}

static void test_bad_files_are_named(void **state)
{
    (void)state;
    check_refused("nowhere.pem", "key.pem", "nowhere.pem", "No such file");
    check_refused("cert.pem", "nowhere.pem", "nowhere.pem", "No such file");
    check_refused("empty.pem", "key.pem", "empty.pem", "empty");
    check_refused(".", "key.pem", ".", "Is a directory");
    check_refused("garbage.pem", "key.pem", "garbage.pem", "certificate");
    check_refused("cert.pem", "garbage.pem", "garbage.pem", "private key");
    check_refused("cert.pem", "key2.pem", "key2.pem", "not the key of the certificate");
    check_refused("cert3.pem", "locked.pem", "locked.pem", "passphrase");
}

static void check_idle_bytes(int version)
{
    enum { COUNT = 20, BYTES_MAX = 16 * 1024 };
    static struct pair pairs[COUNT];
    struct tls_context *ctx = load("cert.pem", "key.pem");
    long before = 0;
    for (int i = 0; i < COUNT; i++) {
        pair_open(&pairs[i], ctx, version, NULL);
        assert_true(shake_hands(&pairs[i]));
        say_both_ways(&pairs[i]);
        if (i == 0)
            before = server_bytes; // what is loaded once, on first use
    }
    long each = (server_bytes - before) / (COUNT - 1);
    print_message("OpenSSL keeps %ld bytes for an idle connection\n", each);
    assert_true(each < BYTES_MAX);
    for (int i = 0; i < COUNT; i++)
        pair_close(&pairs[i]);
    tls_context_free(ctx);
}

static void test_an_idle_connection_is_small(void **state)
{
    (void)state;
    check_idle_bytes(TLS1_3_VERSION);
    check_idle_bytes(TLS1_2_VERSION);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_both_versions_at_every_cut),
        cmocka_unit_test(test_old_versions_are_refused),
        cmocka_unit_test(test_alpn),
        cmocka_unit_test(test_plain_text_is_a_protocol_error),
        cmocka_unit_test(test_the_peers_end_is_an_end),
        cmocka_unit_test(test_a_record_read_in_pieces_is_input),
        cmocka_unit_test(test_what_is_taken_arrives_once_and_in_order),
        cmocka_unit_test(test_resumption_also_after_a_reload),
        cmocka_unit_test(test_a_connection_outlives_its_context),
        cmocka_unit_test(test_bad_files_are_named),
        cmocka_unit_test(test_an_idle_connection_is_small),
    };
    signal(SIGPIPE, SIG_IGN);
    CRYPTO_set_mem_functions(counted_malloc, counted_realloc, counted_free);
    return cmocka_run_group_tests(tests, make_files, remove_files);
}
