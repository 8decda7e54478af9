/*
 * err.c - the table of errors.
 */
#include "base/err.h"

#include "base/must.h"

static const struct {
    uint16_t code, http;
    bool temporary;
    struct str message;
} err_info[ERR_COUNT] = {
#define ERR(name, code, http, temporary, message)                                                  \
    [ERR_##name] = {code, http, temporary, {message, sizeof(message) - 1}},
#include "base/err.def"
#undef ERR
};

unsigned err_code(enum err e)
{
    MUST((unsigned)e < ERR_COUNT);
    return err_info[e].code;
}

unsigned err_http_status(enum err e)
{
    MUST((unsigned)e < ERR_COUNT);
    return err_info[e].http;
}

bool err_is_temporary(enum err e)
{
    MUST((unsigned)e < ERR_COUNT);
    return err_info[e].temporary;
}

struct str err_message(enum err e)
{
    MUST((unsigned)e < ERR_COUNT);
    return err_info[e].message;
}
