/* severity.h - how bad it is what a councilor said, by the words in it.
 * Thread:  any.
 * Memory:  nothing is kept.
 * Failure: none; what says nothing is a success. */
#ifndef SCHEDULE_SEVERITY_H
#define SCHEDULE_SEVERITY_H

#include "base/str.h"

/* "error", "warning" or "success". Capitals count as small letters, accents matter. */
struct str severity_of(struct str output);

#endif
