/*
 * random_test.c - bytes differ, fill exactly what was asked for, and UUIDs have their form.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"

#include <cmocka.h>

/* Sizes around that of the stock the bytes come from, in blocks of exactly that size. */
static void fills_exactly(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 7, 8, 100, 1023, 1024, 1025, 5000};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        uint8_t *p = malloc(sizes[i] + 1);
        unsigned touched = 0;
        assert_non_null(p);
        for (int round = 0; round < 8; round++) { // some round changes every byte
            memset(p, 0, sizes[i]);
            p[sizes[i]] = 0xaa;
            random_bytes(p, sizes[i]);
            assert_int_equal(p[sizes[i]], 0xaa);
            touched |= sizes[i] > 0 ? p[0] : 1;
            touched |= sizes[i] > 0 ? (unsigned)p[sizes[i] - 1] << 8 : 0x100;
        }
        assert_true((touched & 0xff) != 0 && touched >> 8 != 0);
        free(p);
    }
}

static int compare(const void *a, const void *b)
{
    return memcmp(a, b, 8);
}

static void never_the_same_twice(void **state)
{
    (void)state;
    enum { COUNT = 4096 }; // many times the stock
    static uint64_t v[COUNT];
    for (size_t i = 0; i < COUNT; i++)
        v[i] = random_u64();
    qsort(v, COUNT, sizeof(v[0]), compare);
    for (size_t i = 1; i < COUNT; i++)
        assert_true(v[i] != v[i - 1]);
}

static void uuids_have_their_form(void **state)
{
    (void)state;
    static const uint8_t known[16] = {0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x46, 0x77,
                                      0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff};
    char text[UUID_TEXT];
    uint8_t uuid[16];
    uuid_format(known, text);
    assert_memory_equal(text, "00112233-4455-4677-8899-aabbccddeeff", UUID_TEXT);
    for (int i = 0; i < 200; i++) {
        uuid_make(uuid);
        uuid_format(uuid, text);
        assert_int_equal(text[14], '4');
        assert_true(memchr("89ab", text[19], 4) != NULL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fills_exactly),
        cmocka_unit_test(never_the_same_twice),
        cmocka_unit_test(uuids_have_their_form),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
