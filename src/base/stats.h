/* stats.h - counters, gauges and histograms that one thread writes and any other may read.
 * Thread:  one writer each (its loop); readers anywhere get each figure whole, though two figures
 *          of one histogram may be from different moments.
 * Memory:  embedded in their owners; a histogram's bounds are a constant table.
 * Failure: none. */
#ifndef BASE_STATS_H
#define BASE_STATS_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

/* Only grows. */
struct counter {
    _Atomic uint64_t value;
};

/* A plain load and store: with one writer no locked instruction is needed. */
static inline void counter_add(struct counter *c, uint64_t n)
{
    uint64_t v = atomic_load_explicit(&c->value, memory_order_relaxed);
    atomic_store_explicit(&c->value, v + n, memory_order_relaxed);
}

static inline uint64_t counter_get(const struct counter *c)
{
    return atomic_load_explicit(&c->value, memory_order_relaxed);
}

/* Goes up and down. */
struct gauge {
    _Atomic int64_t value;
};

static inline void gauge_add(struct gauge *g, int64_t n)
{
    int64_t v = atomic_load_explicit(&g->value, memory_order_relaxed);
    atomic_store_explicit(&g->value, v + n, memory_order_relaxed);
}

static inline void gauge_set(struct gauge *g, int64_t v)
{
    atomic_store_explicit(&g->value, v, memory_order_relaxed);
}

static inline int64_t gauge_get(const struct gauge *g)
{
    return atomic_load_explicit(&g->value, memory_order_relaxed);
}

enum { HISTOGRAM_BOUNDS_MAX = 24 };

/* Observations by size, as Prometheus wants them, in whole units (ns, bytes). */
struct histogram {
    const uint64_t *bounds; // ascending; bucket i takes values <= bounds[i], the last one the rest
    uint32_t bound_count;
    struct counter counts[HISTOGRAM_BOUNDS_MAX + 1]; // each bucket's own, not cumulative
    struct counter sum;
};

/* bound_count is at most HISTOGRAM_BOUNDS_MAX. */
void histogram_init(struct histogram *h, const uint64_t *bounds, uint32_t bound_count);
void histogram_observe(struct histogram *h, uint64_t value);
/* Adds what `from` has counted; both have the same table of bounds. */
void histogram_merge(struct histogram *into, const struct histogram *from);
/* Observations in all buckets. */
uint64_t histogram_count(const struct histogram *h);
/* The bound under which the share q (0 to 1) of all observations lies, interpolated inside its
 * bucket; the greatest bound for what lies above it, 0 when nothing was observed. */
uint64_t histogram_quantile(const struct histogram *h, double q);

#endif
