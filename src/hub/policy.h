/* policy.h - what a channel may do and how much it may keep: the options of its namespace.
 * Thread:  any; a policy is immutable, a reload makes a new one (hub_set_policy).
 * Memory:  the caller's for as long as a hub uses it.
 * Failure: channel_name_ok() says what is wrong with a name. */
#ifndef HUB_POLICY_H
#define HUB_POLICY_H

#include "base/str.h"

struct channel_options {
    uint32_t history_count;   // publications kept; 0: none, and no offsets
    uint64_t history_bytes;   // and no more than this together
    uint64_t history_ttl_ms;  // and no longer than this; 0: for ever
    uint32_t subscribers_max; // 0: no limit of its own
    bool presence;            // who is there can be asked
    bool join_leave;          // and is told to those who want to hear it
    bool client_publish;      // clients may publish, not only back ends
    bool client_subscribe;    // clients may subscribe without a subscription token
    bool client_history;      // subscribers may read the history
    bool client_presence;     // subscribers may ask who is there
    bool recover;             // subscribers are told offset and epoch, and may recover
    bool anonymous_info;      // what anonymous clients publish names them by their client id
    bool cache;               // a new subscriber gets the last publication at once
    bool durable;             // kept by the store
    bool ack_memory;          // publishers do not wait for that
};

struct namespace_options {
    struct str name; // "": channels without ':'; "*": those of namespaces not listed
    struct channel_options options;
};

enum { CHANNEL_NAME_MOST = 4096 };

struct policy {
    const struct namespace_options *namespaces;
    size_t namespace_count;
    bool personal_channels;    // users have proven names: "user:7" is for the user 7 only
    uint32_t channel_name_max; // bytes; counts up to CHANNEL_NAME_MOST
    uint32_t channels_max;     // per node
    uint32_t channels_per_session_max;
    uint64_t feed_bytes_max;    // encoded frames kept per channel and encoding
    uint64_t feeds_bytes_max;   // of all channels together, per loop; 0: no limit
    uint64_t presence_grace_ms; // a client that comes back within it never left
    uint64_t idempotency_ttl_ms;
    uint32_t idempotency_max; // keys remembered per channel
    uint64_t epoch_idle_ms;   // an empty channel without history is forgotten at once, one
                              // with a stream after this
};

/* The namespace of a channel: the part before the first ':', or "". */
struct str channel_namespace(struct str channel);
const struct channel_options *policy_of(const struct policy *p, struct str channel);
/* "project:*" and "*" follow whole namespaces. */
bool channel_is_pattern(struct str channel);
/* user ("": anonymous) may follow it without a subscription token; "*": when that is so of every
 * namespace. */
bool policy_lets_subscribe(const struct policy *p, struct str channel, struct str user);
/* "user:7": what is meant for one user. */
bool channel_is_personal(struct str channel);
/* What tokens, queries and back ends may call tenants and users: UTF-8 of at most NAME_BYTES_MAX
 * bytes without control characters. "" is the default tenant, or an anonymous user. */
enum { NAME_BYTES_MAX = 255 };
bool tenant_name_ok(struct str tenant);
bool user_name_ok(struct str user);
/* Printable UTF-8 without spaces (but in a user's own channel, for users may have them) and control
 * characters, not empty, not too long. ret_why: static. */
bool channel_name_ok(const struct policy *p, struct str channel, const char **ret_why);

#endif
