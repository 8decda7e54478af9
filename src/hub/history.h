/* history.h - the newest publications of one channel, in memory.
 * Thread:  the channel's home loop.
 * Memory:  references to publications; bounded by count, bytes and age.
 * Failure: history_add() says false when memory has run out; nothing is lost of what was there. */
#ifndef HUB_HISTORY_H
#define HUB_HISTORY_H

#include "hub/policy.h"
#include "hub/publication.h"

struct history {
    struct publication **ring; // the oldest is at start
    uint32_t start, count, cap;
    uint64_t bytes;
    uint64_t keep_from; // nothing from this offset on is dropped: it is nowhere else yet; 0: none
};

/* Takes its own reference. Drops what goes over the limits of o. */
bool history_add(struct history *h, struct publication *p, const struct channel_options *o);
/* Drops what is too old, or over the limits after they have changed. */
void history_trim(struct history *h, const struct channel_options *o, int64_t now_ms);
void history_clear(struct history *h);
struct publication *history_at(const struct history *h, uint32_t i); // 0: the oldest

#endif
