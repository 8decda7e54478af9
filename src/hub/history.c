/*
 * history.c - the newest publications of one channel, in memory.
 *
 * Always true between two calls:
 *   I1. the ring holds publications with growing offsets and no gap between them.
 *   I2. bytes is the sum of their sizes.
 */
#include "hub/history.h"

#include <stdlib.h>

enum { HISTORY_FIRST = 4 };

struct publication *history_at(const struct history *h, uint32_t i)
{
    return h->ring[(h->start + i) & (h->cap - 1)];
}

static void history_drop_oldest(struct history *h)
{
    struct publication *p = history_at(h, 0);
    h->start = (h->start + 1) & (h->cap - 1);
    h->count--;
    h->bytes -= p->size;
    publication_unref(p);
}

static bool must_stay(const struct history *h)
{
    return h->keep_from > 0 && history_at(h, 0)->offset >= h->keep_from;
}

static bool history_grow(struct history *h)
{
    uint32_t cap = h->cap ? h->cap * 2 : HISTORY_FIRST;
    struct publication **ring = calloc(cap, sizeof(*ring));
    if (ring == NULL)
        return false;
    for (uint32_t i = 0; i < h->count; i++)
        ring[i] = history_at(h, i);
    free(h->ring);
    h->ring = ring;
    h->start = 0;
    h->cap = cap;
    return true;
}

void history_trim(struct history *h, const struct channel_options *o, int64_t now_ms)
{
    int64_t oldest_ms = o->history_ttl_ms ? now_ms - (int64_t)o->history_ttl_ms : INT64_MIN;
    while (h->count > 0 && !must_stay(h) &&
           (h->count > o->history_count || (o->history_bytes > 0 && h->bytes > o->history_bytes) ||
            history_at(h, 0)->time_ms < oldest_ms))
        history_drop_oldest(h);
}

bool history_add(struct history *h, struct publication *p, const struct channel_options *o)
{
    if (h->count > 0 && h->count >= o->history_count && !must_stay(h))
        history_drop_oldest(h);
    if (h->count == h->cap && !history_grow(h))
        return false;
    h->ring[(h->start + h->count) & (h->cap - 1)] = publication_ref(p);
    h->count++;
    h->bytes += p->size;
    history_trim(h, o, p->time_ms);
    return true;
}

void history_clear(struct history *h)
{
    while (h->count > 0)
        history_drop_oldest(h);
    free(h->ring);
    *h = (struct history){0};
}
