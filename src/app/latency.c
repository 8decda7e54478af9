/*
 * latency.c - how often which duration was seen.
 *
 * Always true: count is the sum of the bins; a bin's values differ by less than a 64th.
 */
#include "app/latency.h"

static unsigned bin_of(uint64_t v)
{
    if (v < 2 * LATENCY_STEPS)
        return (unsigned)v;
    unsigned e = 63 - (unsigned)__builtin_clzll(v);
    return (e - 5) * LATENCY_STEPS + (unsigned)((v >> (e - 6)) & (LATENCY_STEPS - 1));
}

static uint64_t bin_least(unsigned bin)
{
    if (bin < 2 * LATENCY_STEPS)
        return bin;
    unsigned e = bin / LATENCY_STEPS + 5;
    return (uint64_t)(LATENCY_STEPS | (bin & (LATENCY_STEPS - 1))) << (e - 6);
}

void latency_add(struct latency *h, uint64_t v)
{
    h->bins[bin_of(v)]++;
    h->count++;
    if (v > h->max)
        h->max = v;
}

uint64_t latency_quantile(const struct latency *h, double q)
{
    uint64_t want = (uint64_t)(q * (double)h->count), seen = 0;
    for (unsigned bin = 0; bin < LATENCY_BINS; bin++) {
        seen += h->bins[bin];
        if (seen > want)
            return bin_least(bin);
    }
    return h->max;
}
