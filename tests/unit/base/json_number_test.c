/*
 * json_number_test.c - doubles are read as strtod() reads them and written so that they come back,
 * also where the locale writes a comma.
 */
#include <float.h>
#include <locale.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/json.h"
#include "base/random.h"

#include <cmocka.h>

static double read_back(struct str text)
{
    struct json j;
    double v = 42;
    json_init(&j, text);
    if (!json_read_double(&j, &v) || !json_end(&j))
        fail_msg("%.*s: %s", STR_FMT(text), j.error);
    return v;
}

static bool same(double a, double b)
{
    return memcmp(&a, &b, sizeof(a)) == 0;
}

static const struct {
    double value;
    const char *text;
} shortest[] = {
    {0, "0"},
    {-0.0, "-0"},
    {1, "1"},
    {-1.5, "-1.5"},
    {0.1, "0.1"},
    {0.1 + 0.2, "0.30000000000000004"},
    {100, "100"},
    {123456789, "123456789"},
    {1e20, "100000000000000000000"},
    {1e21, "1e21"},
    {1.5e300, "1.5e300"},
    {1e-6, "0.000001"},
    {1.25e-6, "0.00000125"},
    {1e-7, "1e-7"},
    {1.5e-7, "1.5e-7"},
    {9007199254740993.0, "9007199254740992"},
    {DBL_MAX, "1.7976931348623157e308"},
    {DBL_MIN, "2.2250738585072014e-308"},
    {5e-324, "5e-324"},
    {1e23, "1e23"},
    {1.0 / 3, "0.3333333333333333"},
    {2.0 / 3, "0.6666666666666666"},
    {4.35, "4.35"},
    {12.5e-2, "0.125"},
};

static void doubles_are_short(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(shortest) / sizeof(shortest[0]); i++) {
        struct buf out;
        buf_init(&out, strlen(shortest[i].text));
        assert_true(json_write_double(&out, shortest[i].value));
        if (!str_eq(buf_str(&out), str_from(shortest[i].text)))
            fail_msg("expected %s, got %.*s", shortest[i].text, STR_FMT(buf_str(&out)));
        assert_true(same(read_back(buf_str(&out)), shortest[i].value));
        buf_fini(&out);
        buf_init(&out, strlen(shortest[i].text) - 1);
        assert_false(json_write_double(&out, shortest[i].value));
        assert_int_equal(out.len, 0);
        buf_fini(&out);
    }
}

static void what_is_no_number_is_null(void **state)
{
    (void)state;
    struct buf out;
    buf_init(&out, 64);
    assert_true(json_write_double(&out, INFINITY) && json_write_double(&out, -INFINITY) &&
                json_write_double(&out, NAN));
    assert_true(str_eq(buf_str(&out), STR("nullnullnull")));
    buf_fini(&out);
}

static void random_bits_come_back(void **state)
{
    (void)state;
    for (int i = 0; i < 20000; i++) {
        uint64_t bits = random_u64();
        double v;
        struct buf out;
        if (i % 4 == 0)
            bits &= 0x800fffffffffffffu; // subnormal
        memcpy(&v, &bits, sizeof(v));
        if (!isfinite(v))
            continue;
        buf_init(&out, 64);
        assert_true(json_write_double(&out, v));
        if (!same(read_back(buf_str(&out)), v))
            fail_msg("%a came back from %.*s", v, STR_FMT(buf_str(&out)));
        buf_fini(&out);
    }
}

static const char *const exact[] = {
    "0",
    "-0",
    "0.0",
    "0e5",
    "0.000e-999999999999999999999",
    "1",
    "10",
    "1.0",
    "1e0",
    "1E+2",
    "123.456e-7",
    "0.1",
    "0.01e2",
    "9007199254740992",
    "9007199254740993",
    "9007199254740995",
    "9007199254740993.0000000000000000000000000000000000000000001",
    "1e22",
    "1e23",
    "123e22",
    "8.41e21",
    "179769313486231570814527423731704356798070567525844996598917476803157260780028",
    "1.7976931348623157e308",
    "1.7976931348623158e308",
    "2.2250738585072011e-308",
    "2.2250738585072014e-308",
    "4.9406564584124654e-324",
    "2.4703282292062328e-324",
    "2.4703282292062327e-324",
    "1e-400",
    "-1e-400",
    "0.00000000000000000000000000001e28",
    "100000000000000000000000000000000000000000000000e-46",
    "6929495644600919.5",
    "3.14159265358979323846264338327950288419716939937510582097494459230781640628620899",
};

static void doubles_are_read_exactly(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(exact) / sizeof(exact[0]); i++) {
        if (!same(read_back(str_from(exact[i])), strtod(exact[i], NULL)))
            fail_msg("%s", exact[i]);
    }
}

static void random_digits_are_read_exactly(void **state)
{
    (void)state;
    for (int i = 0; i < 20000; i++) {
        char text[96];
        uint64_t r = random_u64();
        int n = snprintf(
            text, sizeof(text), "%s%llu.%0*llue%d", r & 1 ? "-" : "",
            (unsigned long long)(random_u64() >> (r >> 1 & 63)), (int)(r >> 8 & 15) + 1,
            (unsigned long long)(random_u64() >> (r >> 16 & 63)), (int)(r >> 24 & 511) - 300);
        struct json j;
        double v = 0, want = strtod(text, NULL);
        json_init(&j, (struct str){text, (size_t)n});
        assert_int_equal(json_read_double(&j, &v), isfinite(want));
        if (isfinite(want) && !same(v, want))
            fail_msg("%s", text);
    }
}

/* A tie between two doubles that only a digit far behind decides: 2^53 + 1, and a little more. */
static void far_digits_decide(void **state)
{
    (void)state;
    struct buf text;
    buf_init(&text, 4096);
    assert_true(buf_add(&text, STR("9007199254740993.")));
    for (int i = 0; i < 2000; i++)
        assert_true(buf_add_char(&text, '0'));
    assert_true(read_back(buf_str(&text)) == 9007199254740992.0);
    assert_true(buf_add_char(&text, '1'));
    assert_true(read_back(buf_str(&text)) == 9007199254740994.0);
    buf_fini(&text);
}

/* Long runs of digits move the point, not the value. */
static void long_runs_are_counted(void **state)
{
    (void)state;
    struct buf text;
    buf_init(&text, 16384);
    assert_true(buf_add_char(&text, '5'));
    for (int i = 0; i < 3000; i++)
        assert_true(buf_add_char(&text, '0'));
    assert_true(buf_add(&text, STR(".000e-3000")));
    assert_true(read_back(buf_str(&text)) == 5.0);
    buf_clear(&text);
    assert_true(buf_add(&text, STR("0.")));
    for (int i = 0; i < 3000; i++)
        assert_true(buf_add_char(&text, '0'));
    assert_true(buf_add(&text, STR("5e3001")));
    assert_true(read_back(buf_str(&text)) == 5.0);
    buf_fini(&text);
}

static void too_great_is_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {"1e309", "-1e309", "1.7976931348623159e308", "1e400",
                                        "1e99999999999999999999999999"};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct json j;
        double v = 42;
        json_init(&j, str_from(texts[i]));
        assert_false(json_read_double(&j, &v));
        assert_true(v == 42);
    }
}

/* Whatever locales the machine has: those with a comma are the ones that matter. */
static void the_locale_does_not_matter(void **state)
{
    static const char *const names[] = {"pt_BR.UTF-8", "de_DE.UTF-8", "fr_FR.UTF-8", "C.UTF-8"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (setlocale(LC_NUMERIC, names[i]) == NULL)
            continue;
        doubles_are_short(state);
        assert_true(read_back(STR("0.30000000000000004")) == 0.1 + 0.2);
    }
    setlocale(LC_NUMERIC, "C");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(doubles_are_short),
        cmocka_unit_test(what_is_no_number_is_null),
        cmocka_unit_test(random_bits_come_back),
        cmocka_unit_test(doubles_are_read_exactly),
        cmocka_unit_test(random_digits_are_read_exactly),
        cmocka_unit_test(far_digits_decide),
        cmocka_unit_test(long_runs_are_counted),
        cmocka_unit_test(too_great_is_refused),
        cmocka_unit_test(the_locale_does_not_matter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
