/* clock.h - the two clocks of the machine.
 * Thread:  any.
 * Memory:  the caller's.
 * Failure: none. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stddef.h>
#include <stdint.h>

/* Monotonic: for intervals and timers. */
uint64_t clock_mono_ns(void);
/* Milliseconds since 1970-01-01 UTC. */
int64_t clock_wall_ms(void);

enum { ISO_TIME_MAX = 32 };
/* "2025-11-02T22:59:18.123Z"; returns the length, without a terminator. */
size_t iso_time_ms(int64_t wall_ms, char ret[ISO_TIME_MAX]);

#endif
