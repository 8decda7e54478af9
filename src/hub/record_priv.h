/* record_priv.h - the home's side of records.
 * Thread:  the home's loop.
 * Memory:  open records are their channel's.
 * Failure: as record.h says. */
#ifndef HUB_RECORD_PRIV_H
#define HUB_RECORD_PRIV_H

#include "hub/priv.h"
#include "hub/record.h"

/* What a record is made from; strings are borrowed. */
struct record_seed {
    uint64_t number;
    size_t text_max_bytes;
    struct str id, role, head;
};

enum err record_home_open(struct hub *home, struct str key, const struct record_seed *seed,
                          struct answer *ret);
/* Nothing happens when it is not open. */
void record_home_append(struct hub *home, uint64_t number, struct str text);
/* Fills r->answer, or parks r until the message is stored. */
void record_home_finish(struct request *r, struct hub *home, uint64_t number,
                        enum record_state state, struct str tail);

#endif
