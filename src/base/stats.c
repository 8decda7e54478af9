/*
 * stats.c - histograms with fixed bounds.
 */
#include "base/stats.h"

#include "base/must.h"

void histogram_init(struct histogram *h, const uint64_t *bounds, uint32_t bound_count)
{
    MUST(bound_count <= HISTOGRAM_BOUNDS_MAX);
    for (uint32_t i = 1; i < bound_count; i++)
        MUST(bounds[i - 1] < bounds[i]);
    *h = (struct histogram){.bounds = bounds, .bound_count = bound_count};
}

void histogram_observe(struct histogram *h, uint64_t value)
{
    uint32_t bucket = 0;
    for (uint32_t n = h->bound_count; n > 0;) { // the first bound that is not below value
        uint32_t half = n / 2;
        if (h->bounds[bucket + half] < value) {
            bucket += half + 1;
            n -= half + 1;
        } else {
            n = half;
        }
    }
    counter_add(&h->counts[bucket], 1);
    counter_add(&h->sum, value);
}

void histogram_merge(struct histogram *into, const struct histogram *from)
{
    MUST(into->bounds == from->bounds && into->bound_count == from->bound_count);
    for (uint32_t i = 0; i <= from->bound_count; i++)
        counter_add(&into->counts[i], counter_get(&from->counts[i]));
    counter_add(&into->sum, counter_get(&from->sum));
}

uint64_t histogram_count(const struct histogram *h)
{
    uint64_t total = 0;
    for (uint32_t i = 0; i <= h->bound_count; i++)
        total += counter_get(&h->counts[i]);
    return total;
}

uint64_t histogram_quantile(const struct histogram *h, double q)
{
    uint64_t total = histogram_count(h);
    double rank = q * (double)total, below = 0;
    if (total == 0)
        return 0;
    for (uint32_t i = 0; i < h->bound_count; i++) {
        double count = (double)counter_get(&h->counts[i]);
        if (count > 0 && below + count >= rank) {
            uint64_t low = i > 0 ? h->bounds[i - 1] : 0;
            double share = rank > below ? (rank - below) / count : 0;
            return low + (uint64_t)(share * (double)(h->bounds[i] - low));
        }
        below += count;
    }
    return h->bound_count > 0 ? h->bounds[h->bound_count - 1] : 0;
}
