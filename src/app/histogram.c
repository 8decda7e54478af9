/*
 * histogram.c - how often which duration was seen.
 *
 * Always true: count is the sum of the bins; a bin's values differ by less than a 64th.
 */
#include "app/histogram.h"

static unsigned bin_of(uint64_t v)
{
    if (v < 2 * HISTOGRAM_STEPS)
        return (unsigned)v;
    unsigned e = 63 - (unsigned)__builtin_clzll(v);
    return (e - 5) * HISTOGRAM_STEPS + (unsigned)((v >> (e - 6)) & (HISTOGRAM_STEPS - 1));
}

static uint64_t bin_least(unsigned bin)
{
    if (bin < 2 * HISTOGRAM_STEPS)
        return bin;
    unsigned e = bin / HISTOGRAM_STEPS + 5;
    return (uint64_t)(HISTOGRAM_STEPS | (bin & (HISTOGRAM_STEPS - 1))) << (e - 6);
}

void histogram_add(struct histogram *h, uint64_t v)
{
    h->bins[bin_of(v)]++;
    h->count++;
    if (v > h->max)
        h->max = v;
}

uint64_t histogram_quantile(const struct histogram *h, double q)
{
    uint64_t want = (uint64_t)(q * (double)h->count), seen = 0;
    for (unsigned bin = 0; bin < HISTOGRAM_BINS; bin++) {
        seen += h->bins[bin];
        if (seen > want)
            return bin_least(bin);
    }
    return h->max;
}
