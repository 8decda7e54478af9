/*
 * close.c - the table of close reasons.
 */
#include "base/close.h"

#include "base/must.h"

static const struct {
    const char *name;
    uint16_t ws_code;
    struct str text;
} close_info[CLOSE_REASON_COUNT] = {
#define CLOSE(id, name, ws_code, text) [CLOSE_##id] = {name, ws_code, {text, sizeof(text) - 1}},
#include "base/close.def"
#undef CLOSE
};

const char *close_name(enum close_reason r)
{
    MUST((unsigned)r < CLOSE_REASON_COUNT);
    return close_info[r].name;
}

uint16_t close_code(enum close_reason r)
{
    MUST((unsigned)r < CLOSE_REASON_COUNT);
    return close_info[r].ws_code;
}

struct str close_text(enum close_reason r)
{
    MUST((unsigned)r < CLOSE_REASON_COUNT);
    return close_info[r].text;
}
