/* histogram.h - how often which duration was seen, to about 1.5 %.
 * Thread:  the owner's.
 * Memory:  32 KiB, embedded.
 * Failure: none. */
#ifndef APP_HISTOGRAM_H
#define APP_HISTOGRAM_H

#include <stdint.h>

enum { HISTOGRAM_STEPS = 64, HISTOGRAM_BINS = 60 * HISTOGRAM_STEPS };

struct histogram {
    uint64_t count, max;
    uint64_t bins[HISTOGRAM_BINS]; // HISTOGRAM_STEPS linear ones per power of two
};

void histogram_add(struct histogram *h, uint64_t v);
/* The value that the share q (0 to 1) of all values does not exceed; 0 when there are none. */
uint64_t histogram_quantile(const struct histogram *h, double q);

#endif
