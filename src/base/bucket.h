/* bucket.h - how fast somebody may go: a bucket of tokens that refills with time.
 * Thread:  the owner's.
 * Memory:  eight bytes, the owner's; zeroed is a full bucket.
 * Failure: bucket_take() says false when the bucket is empty. */
#ifndef BASE_BUCKET_H
#define BASE_BUCKET_H

#include <stdbool.h>
#include <stdint.h>

struct bucket {
    uint32_t used_milli; // thousandths of tokens that are gone
    uint32_t at_ms;      // when that was true; wraps
};

/* Takes one token of burst_max, which come back at per_second. per_second 0: always true. */
bool bucket_take(struct bucket *b, uint32_t per_second, uint32_t burst_max, uint64_t now_ms);

#endif
