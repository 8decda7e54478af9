/*
 * bucket.c - how fast somebody may go.
 * Always true: used_milli is at most a thousand times the burst.
 */
#include "base/bucket.h"

bool bucket_take(struct bucket *b, uint32_t per_second, uint32_t burst_max, uint64_t now_ms)
{
    if (per_second == 0)
        return true;
    uint64_t most_milli = (uint64_t)(burst_max > 0 ? burst_max : 1) * 1000;
    if (most_milli > UINT32_MAX)
        most_milli = UINT32_MAX;
    uint64_t back_milli = (uint64_t)((uint32_t)now_ms - b->at_ms) * per_second;
    uint64_t used_milli = back_milli >= b->used_milli ? 0 : b->used_milli - back_milli;
    b->at_ms = (uint32_t)now_ms;
    bool ok = used_milli + 1000 <= most_milli;
    b->used_milli = (uint32_t)(ok ? used_milli + 1000 : used_milli);
    return ok;
}
