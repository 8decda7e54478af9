/* The console as it is embedded: a page that is complete, small enough and safe under its policy.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <zlib.h>

#include "console/console.h"
#include "console/console_priv.h"

enum { GZIP_WINDOW_BITS = 15 + 16, SCRIPT_GZIP_MAX_BYTES = 150 * 1024 };

static const struct asset *page(void)
{
    const struct asset *a = asset_find(&console_assets, STR("/"));
    assert_non_null(a);
    return a;
}

static struct str bytes_of(const struct asset *a)
{
    return (struct str){(const char *)a->bytes, a->size_bytes};
}

static void page_is_html(void **state)
{
    (void)state;
    assert_string_equal(page()->content_type, "text/html; charset=utf-8");
    assert_true(str_starts(bytes_of(page()), STR("<!doctype html>")));
    assert_false(page()->immutable);
}

/* Every src="/..." and href="/..." of the page is an asset. */
static void page_names_only_what_is_there(void **state)
{
    (void)state;
    struct str rest = bytes_of(page());
    size_t named_count = 0;
    while (rest.n > 0) {
        size_t at = str_find(rest, STR("=\"/"));
        if (at == rest.n)
            break;
        rest = str_skip(rest, at + 2);
        struct str path = str_cut(&rest, '"');
        assert_non_null(asset_find(&console_assets, path));
        named_count++;
    }
    assert_true(named_count >= 3); // the script, the style and the icon
}

static void policy_has_nothing_to_forgive(void **state)
{
    (void)state;
    struct str html = bytes_of(page());
    assert_int_equal(str_find(html, STR("<style")), html.n);
    assert_int_equal(str_find(html, STR("style=")), html.n);
    assert_int_equal(str_find(html, STR("<script>")), html.n);
    assert_int_equal(str_find(html, STR("://")), html.n);
    assert_non_null(strstr(console_assets.csp, "default-src 'none'"));
    assert_null(strstr(console_assets.csp, "unsafe"));
}

static void unpack(const struct asset *a, unsigned char *at)
{
    z_stream z = {.next_in = (unsigned char *)a->gzip,
                  .avail_in = (uInt)a->gzip_size_bytes,
                  .next_out = at,
                  .avail_out = (uInt)a->size_bytes};
    assert_int_equal(inflateInit2(&z, GZIP_WINDOW_BITS), Z_OK);
    assert_int_equal(inflate(&z, Z_FINISH), Z_STREAM_END);
    assert_int_equal(z.avail_out, 0);
    assert_int_equal(z.avail_in, 0);
    assert_int_equal(inflateEnd(&z), Z_OK);
}

static void compressed_form_is_the_same_file(void **state)
{
    (void)state;
    for (size_t i = 0; i < console_assets.count; i++) {
        const struct asset *a = &console_assets.assets[i];
        if (a->gzip == NULL)
            continue;
        assert_true(a->gzip_size_bytes < a->size_bytes);
        assert_true(a->gzip_size_bytes < SCRIPT_GZIP_MAX_BYTES);
        unsigned char *plain = malloc(a->size_bytes);
        assert_non_null(plain);
        unpack(a, plain);
        assert_memory_equal(plain, a->bytes, a->size_bytes);
        free(plain);
    }
}

static void every_file_has_its_own_strong_tag(void **state)
{
    (void)state;
    for (size_t i = 0; i < console_assets.count; i++) {
        const char *tag = console_assets.assets[i].etag;
        assert_int_equal(strlen(tag), 18);
        assert_true(tag[0] == '"' && tag[17] == '"');
        for (size_t j = 0; j < i; j++)
            assert_string_not_equal(tag, console_assets.assets[j].etag);
    }
}

static void only_hashed_names_are_immutable(void **state)
{
    (void)state;
    for (size_t i = 0; i < console_assets.count; i++) {
        const struct asset *a = &console_assets.assets[i];
        assert_int_equal(a->immutable, str_starts(str_from(a->path), STR("/assets/")));
    }
}

static void routes_can_be_added(void **state)
{
    (void)state;
    struct http_router *rt = http_router_create();
    assert_non_null(rt);
    assert_true(console_routes(rt));
    http_router_destroy(&rt);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(page_is_html),
        cmocka_unit_test(page_names_only_what_is_there),
        cmocka_unit_test(policy_has_nothing_to_forgive),
        cmocka_unit_test(compressed_form_is_the_same_file),
        cmocka_unit_test(every_file_has_its_own_strong_tag),
        cmocka_unit_test(only_hashed_names_are_immutable),
        cmocka_unit_test(routes_can_be_added),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
