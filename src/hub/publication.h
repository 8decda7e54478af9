/* publication.h - one event of one channel: immutable, counted, shared by all loops.
 * Thread:  made on one loop; read and released on any (the count is atomic).
 * Memory:  one block from the pool; the strings point into it.
 * Failure: publication_make() returns NULL when memory has run out. */
#ifndef HUB_PUBLICATION_H
#define HUB_PUBLICATION_H

#include "base/str.h"

#include <stdatomic.h>

enum publication_kind { EVENT_PUBLICATION, EVENT_JOIN, EVENT_LEAVE };

/* Which incarnation of a stream an offset belongs to. */
enum { EPOCH_TEXT = 8 };
struct position {
    uint64_t offset;
    uint32_t epoch; // written as 8 hexadecimal digits; 0: unknown
};
void epoch_format(uint32_t epoch, char ret[EPOCH_TEXT]);
/* Empty text is 0; false: not an epoch of ours (treat as one that never existed). */
bool epoch_parse(struct str s, uint32_t *ret);

struct publication {
    atomic_uint refs;
    uint32_t size; // of the block, for accounts
    enum publication_kind kind;
    uint32_t epoch;
    uint64_t offset;  // 0: the channel keeps no history
    int64_t time_ms;  // wall clock
    uint64_t exclude; // session that does not get it; 0: none
    bool excludes_client;
    uint8_t exclude_client[16]; // the same by the client's id
    struct str tenant, channel;
    struct str type;             // "" or the event's type
    struct str data;             // JSON bytes, exactly as they came in
    struct str tags;             // raw JSON object of strings, or ""
    struct str info;             // raw JSON client info {"user":..,"client":..,...}, or ""
    struct str id;               // the publisher's own id (idempotency key), or ""
    struct str exclude_channels; // whoever follows one of these does not get it: by spaces
    char bytes[];
};

/* What goes into one; strings are borrowed for the call. */
struct publication_parts {
    enum publication_kind kind;
    struct str tenant, channel, type, data, tags, info, id;
    uint64_t exclude;
    const uint8_t *exclude_client; // 16 bytes; NULL: none
    struct str exclude_channels;
    int64_t time_ms;
};

/* One reference for the caller. */
struct publication *publication_make(const struct publication_parts *parts);
struct publication *publication_ref(struct publication *p);
void publication_unref(struct publication *p);

#endif
