/*
 * must.c - the end of a process that found a bug in itself.
 */
#include "base/must.h"

#include <stdio.h>
#include <stdlib.h>

_Noreturn void must_fail(const char *cond, const char *file, int line, const char *func)
{
    fprintf(stderr, "recado: %s:%d: %s: must hold: %s\n", file, line, func, cond);
    abort();
}
