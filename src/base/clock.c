/*
 * clock.c - the two clocks of the machine, and how their readings are written.
 */
#include "base/clock.h"

#include <stdio.h>
#include <time.h>

uint64_t clock_mono_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

int64_t clock_wall_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

size_t iso_time_ms(int64_t wall_ms, char ret[ISO_TIME_MAX])
{
    int64_t ms = wall_ms % 1000;
    if (ms < 0)
        ms += 1000; // before 1970 seconds count down too
    time_t s = (time_t)((wall_ms - ms) / 1000);
    struct tm tm;
    gmtime_r(&s, &tm);
    size_t n = strftime(ret, ISO_TIME_MAX, "%Y-%m-%dT%H:%M:%S", &tm);
    return n + (size_t)snprintf(ret + n, ISO_TIME_MAX - n, ".%03dZ", (int)ms);
}
