/* close.h - why a connection ends; made from close.def.
 * Thread:  any.
 * Memory:  constant.
 * Failure: none. */
#ifndef BASE_CLOSE_H
#define BASE_CLOSE_H

#include "base/str.h"

enum close_reason {
#define CLOSE(id, name, ws_code, text) CLOSE_##id,
#include "base/close.def"
#undef CLOSE
    CLOSE_REASON_COUNT
};

/* Its name in logs and metrics, as in close.def. */
const char *close_name(enum close_reason r);
uint16_t close_code(enum close_reason r);
struct str close_text(enum close_reason r);

#endif
