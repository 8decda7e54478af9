/* redis.h - follows channels of a Redis or Valkey server: connects, subscribes, and comes back for
 * ever when the server goes.
 *
 * Thread:  redis_subscriber_create() and _destroy() while the loop does not run (or on it);
 *          everything else happens on the loop. A host name is looked up on a thread of its own.
 * Memory:  what message() is given is gone when it returns.
 * Failure: a server that cannot be reached, refuses, or says what is no Redis is tried again after
 *          50 ms, then longer, at most 5 s; what happened is logged once, and once a minute while
 *          it lasts. What is published meanwhile is lost, as Redis has it. A message over
 *          message_max_bytes ends the connection. */
#ifndef CLUSTER_REDIS_H
#define CLUSTER_REDIS_H

#include "base/str.h"
#include "loop/loop.h"

/* redis://[[USER]:PASSWORD@]HOST[:PORT][/DB], percent-encoded where needed; valkey:// is the same.
 * Messages know no databases: the number is checked and has no further meaning. */
struct redis_address {
    char host[256]; // without the brackets of IPv6
    uint16_t port;
    char user[256], password[512]; // "": none
    unsigned database;
};
/* ret_why: a constant text that has nothing of the URL in it. */
bool redis_address_parse(struct str url, struct redis_address *ret, const char **ret_why);

struct redis_subscriber_options {
    struct redis_address address;
    const struct str *channels; // outlive the subscriber
    size_t channel_count;
    uint64_t message_max_bytes;
    const char *name; // in the log
    void (*message)(void *ctx, struct str channel, struct str payload);
    void *ctx;
};

struct redis_subscriber;
/* NULL: no memory. */
struct redis_subscriber *redis_subscriber_create(struct loop *l,
                                                 const struct redis_subscriber_options *o);
void redis_subscriber_destroy(struct redis_subscriber **sp);
/* Any thread: all channels are followed just now. */
bool redis_subscriber_is_ready(const struct redis_subscriber *s);

#endif
