/*
 * addr_test.c - what people write is understood or refused with a reason, and nothing in between.
 */
#include "net/addr.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/un.h>

#include <cmocka.h>

/* From a heap block of exactly its size: reading past it is a sanitizer's report. */
static bool parse(const char *text, struct listen_addr *ret, const char **ret_why)
{
    size_t n = strlen(text);
    char *copy = malloc(n ? n : 1);
    memcpy(copy, text, n);
    bool ok = listen_addr_parse((struct str){copy, n}, ret, ret_why);
    free(copy);
    return ok;
}

static void check_tcp(const char *text, const char *want_ip, uint16_t want_port)
{
    struct listen_addr a;
    struct addr ip;
    const char *why = NULL;
    char out[ADDR_TEXT_MAX + 1];
    if (!parse(text, &a, &why))
        fail_msg("%s: %s", text, why);
    addr_from_sockaddr(&ip, &a.ss);
    out[addr_format_ip(&ip, out)] = '\0';
    assert_string_equal(out, want_ip);
    assert_int_equal(ip.port, want_port);
    assert_string_equal(a.text, text);
}

static void test_what_is_understood(void **state)
{
    (void)state;
    check_tcp("127.0.0.1:8000", "127.0.0.1", 8000);
    check_tcp("localhost:80", "127.0.0.1", 80);
    check_tcp(":8000", "0.0.0.0", 8000);
    check_tcp("*:65535", "0.0.0.0", 65535);
    check_tcp("0.0.0.0:0", "0.0.0.0", 0);
    check_tcp("[::1]:8000", "::1", 8000);
    check_tcp("[::]:443", "::", 443);
    check_tcp("[2001:db8::7]:1", "2001:db8::7", 1);
}

static void test_what_is_refused_leaves_the_output_alone(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",         "8000",        "127.0.0.1",    "127.0.0.1:",     "127.0.0.1:65536",
        "::1:8000", "[::1]",       "[::1:8000",    "[127.0.0.1]:80", "example.com:80",
        "1.2.3:80", "1.2.3.4.5:1", "[]:80",        "127.0.0.1:-1",   "127.0.0.1:8x",
        "unix:",    "[::g]:1",     "256.0.0.1:80", "a:b:c",          ":99999999999999999999",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct listen_addr a = {.len = 77};
        const char *why = NULL;
        if (parse(bad[i], &a, &why))
            fail_msg("%s was taken", bad[i]);
        assert_non_null(why);
        assert_int_equal(a.len, 77);
    }
}

static void test_unix_paths_have_the_kernels_limit(void **state)
{
    (void)state;
    struct listen_addr a;
    struct sockaddr_un un;
    const char *why;
    char text[130] = "unix:/";
    memset(text + 6, 'x', 106);
    assert_true(parse(text, &a, &why));
    memcpy(&un, &a.ss, sizeof(un));
    assert_string_equal(un.sun_path, text + 5);
    text[6 + 106] = 'x';
    assert_false(parse(text, &a, &why));
    memset(text, 'x', sizeof(text) - 1);
    memcpy(text, "unix:", 5);
    assert_false(parse(text, &a, &why));
}

static bool is_loopback(const char *text)
{
    struct listen_addr a;
    const char *why;
    assert_true(parse(text, &a, &why));
    return listen_addr_is_loopback(&a);
}

static void test_loopback(void **state)
{
    (void)state;
    assert_true(is_loopback("127.0.0.1:1"));
    assert_true(is_loopback("127.9.8.7:1"));
    assert_true(is_loopback("[::1]:1"));
    assert_true(is_loopback("[::ffff:127.0.0.1]:1"));
    assert_true(is_loopback("unix:/run/x.sock"));
    assert_false(is_loopback(":1"));
    assert_false(is_loopback("[::]:1"));
    assert_false(is_loopback("10.0.0.1:1"));
    assert_false(is_loopback("[2001:db8::1]:1"));
    assert_false(addr_is_loopback(&(struct addr){0}));
}

static void test_a_mapped_peer_is_an_ipv4_peer(void **state)
{
    (void)state;
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(99)};
    struct sockaddr_storage ss = {0};
    struct addr a;
    char out[ADDR_TEXT_MAX + 1];
    assert_int_equal(inet_pton(AF_INET6, "::ffff:10.1.2.3", &in6.sin6_addr), 1);
    memcpy(&ss, &in6, sizeof(in6));
    addr_from_sockaddr(&a, &ss);
    out[addr_format_ip(&a, out)] = '\0';
    assert_string_equal(out, "10.1.2.3");
    assert_int_equal(a.port, 99);
}

static void test_names_of_the_others(void **state)
{
    (void)state;
    struct sockaddr_storage ss = {.ss_family = AF_UNIX};
    struct addr a;
    char out[ADDR_TEXT_MAX + 1];
    addr_from_sockaddr(&a, &ss);
    out[addr_format_ip(&a, out)] = '\0';
    assert_string_equal(out, "unix");
    ss.ss_family = AF_PACKET;
    addr_from_sockaddr(&a, &ss);
    out[addr_format_ip(&a, out)] = '\0';
    assert_string_equal(out, "unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_understood),
        cmocka_unit_test(test_what_is_refused_leaves_the_output_alone),
        cmocka_unit_test(test_unix_paths_have_the_kernels_limit),
        cmocka_unit_test(test_loopback),
        cmocka_unit_test(test_a_mapped_peer_is_an_ipv4_peer),
        cmocka_unit_test(test_names_of_the_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
