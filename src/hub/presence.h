/* presence.h - who is in one channel.
 * Thread:  the channel's home loop.
 * Memory:  one block per client; the number of clients is bounded by the subscribers of the
 * channel. Failure: presence_add() says false when memory has run out. */
#ifndef HUB_PRESENCE_H
#define HUB_PRESENCE_H

#include "base/list.h"
#include "base/map.h"

struct present {
    struct map_node node; // by client id (16 bytes)
    struct list link;     // in arrival order
    uint8_t client[16];
    struct map_node gone_node; // by user, when gone and of a user
    struct list gone_link;     // when gone
    bool gone_found;           // gone_node is in the map: memory may have been short
    uint64_t gone_at_ms;       // loop clock: left without saying so; 0: is here
    uint32_t count;            // subscriptions that show it: two while an old one is still leaving
    struct str user, info, channel_info;
    char bytes[];
};

struct presence {
    struct map by_client;
    struct list all;
    /* Those that left without saying so. */
    struct map gone_by_user;
    struct list gone; // who went first stands first
};

void presence_init(struct presence *p);
void presence_fini(struct presence *p);

/* *ret_is_new: false when it is there already, or takes the place of the same user's client that
 * had gone. */
bool presence_add(struct presence *p, const uint8_t client[16], struct str user, struct str info,
                  struct str channel_info, bool *ret_is_new);
struct present *presence_find(const struct presence *p, const uint8_t client[16]);
void presence_remove(struct presence *p, struct present *m);
/* One of its subscriptions has ended; true: it was the last. */
bool presence_let_go(struct present *m);
/* Its connection broke: it may come back. */
void presence_mark_gone(struct presence *p, struct present *m, uint64_t now_ms);
/* When the first of those that may come back had gone; 0: there are none. */
uint64_t presence_first_gone_ms(const struct presence *p);

uint32_t presence_client_count(const struct presence *p);
/* Distinct users; anonymous clients count as one user "". */
uint32_t presence_user_count(const struct presence *p);

#endif
