/* latency.h - how often which duration was seen, to about 1.5 %.
 * Thread:  the owner's.
 * Memory:  32 KiB, embedded.
 * Failure: none. */
#ifndef APP_LATENCY_H
#define APP_LATENCY_H

#include <stdint.h>

enum { LATENCY_STEPS = 64, LATENCY_BINS = 60 * LATENCY_STEPS };

struct latency {
    uint64_t count, max;
    uint64_t bins[LATENCY_BINS]; // LATENCY_STEPS linear ones per power of two
};

void latency_add(struct latency *h, uint64_t v);
/* The value that the share q (0 to 1) of all values does not exceed; 0 when there are none. */
uint64_t latency_quantile(const struct latency *h, double q);

#endif
