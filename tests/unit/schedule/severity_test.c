/* severity_test.c - the words that make an output an error or a warning. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "schedule/severity.h"

static void words(void **state)
{
    static const struct {
        const char *text, *severity;
    } rows[] = {
        {"", "success"},
        {"Tudo certo", "success"},
        {"Problema crítico", "error"},
        {"PROBLEMA CRÍTICO", "error"},
        {"critico sem acento", "success"},
        {"Um ERRO", "error"},
        {"errou", "error"},
        {"falhas", "error"},
        {"it Failed", "error"},
        {"errors: 0", "error"},
        {"CRITICAL", "error"},
        {"fatality", "error"},
        {"NullPointerException", "error"},
        {"Alerta!", "warning"},
        {"ATENÇÃO", "warning"},
        {"atenção", "warning"},
        {"AtenÇÃo", "warning"},
        {"atencao", "success"},
        {"Warnings", "warning"},
        {"aviso", "warning"},
        {"3 vulnerabilidades", "warning"},
        {"Deprecated", "warning"},
        {"caution", "warning"},
        {"aviso: erro", "error"},
        {"\xc3", "success"},
        {"cr\xc3", "success"},
        {"warnin", "success"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct str got = severity_of(str_from(rows[i].text));
        if (!str_eq(got, str_from(rows[i].severity)))
            fail_msg("\"%s\" is %.*s", rows[i].text, STR_FMT(got));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(words)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
