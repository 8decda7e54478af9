/* err.h - what a hub verb can answer; made from err.def.
 * Thread:  any.
 * Memory:  constant.
 * Failure: none. */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include "base/str.h"

enum err {
#define ERR(name, code, http, temporary, message) ERR_##name,
#include "base/err.def"
#undef ERR
    ERR_COUNT
};

/* The number on the wire: 107 for ERR_BAD_REQUEST. */
unsigned err_code(enum err e);
unsigned err_http_status(enum err e);
bool err_is_temporary(enum err e);
struct str err_message(enum err e);

#endif
