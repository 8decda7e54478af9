/* live.h - answers under way, as a late joiner of their channel is told of them.
 * Thread:  read on a loop; looked at on any.
 * Memory:  the texts are copies; live_drop() frees them.
 * Failure: one that has no memory is left out: its row is shown as it was saved. */
#ifndef CHAT_LIVE_H
#define CHAT_LIVE_H

#include "hub/record.h"

struct live_answer {
    int64_t id;
    int64_t seq; // of the last append in content
    struct str content;
    char bytes[];
};

struct live {
    struct position position; // of the channel; epoch 0: it has none
    struct live_answer *answers[RECORDS_PER_CHANNEL_MAX];
    size_t count;
};

/* What hub_records() said, in the place of what l held. */
void live_read(struct live *l, const struct answer *said);
/* NULL: it is not under way. */
const struct live_answer *live_find(const struct live *l, int64_t id);
void live_drop(struct live *l);

#endif
