/* hub.h - the verbs: subscribe, publish, ask; one hub per loop, together one channel space.
 *
 * A channel has a home loop (hash of tenant and name) that assigns offsets and keeps its history
 * and presence. A verb is called on any loop's hub, travels to where it must run and answers on the
 * loop that called: at once (inside the call) when that is the same loop, by mail otherwise.
 *
 * Thread:  every function on its hub's loop, unless said otherwise.
 * Memory:  strings given to a verb are borrowed for the call. What an answer points to is gone when
 *          done() returns; publications may be kept by reference.
 * Failure: every verb answers exactly once, with ERR_OK or an error of err.def. done() of those
 *          for everybody may be NULL: nobody waits. */
#ifndef HUB_HUB_H
#define HUB_HUB_H

#include "base/err.h"
#include "hub/policy.h"
#include "hub/publication.h"
#include "hub/session.h"
#include "loop/loop.h"

enum { HUB_LOOPS_MAX = 64 };

struct node; // the hubs of all loops
struct store;

struct presence_entry {
    char client[36];
    struct str user, info, channel_info;
};

struct channel_entry {
    struct str channel;
    uint32_t client_count; // subscribers
};

struct session_entry {
    uint8_t client[16];
    struct str user, tenant, address; // address "": not known
    const char *dialect;
    uint32_t channel_count;
    uint64_t connected_ms; // how long
};

/* One shape for every verb's answer; each verb says which fields it fills. */
struct answer {
    enum err err;
    const char *why;          // static text about the error, or NULL
    struct position position; // of the stream's newest publication
    bool recoverable, positioned, recovered, duplicate;
    struct publication *const *publications; // oldest first (newest first when reversed); those
                                             // still being written (record.h) are the newest
    size_t publication_count;
    const struct presence_entry *presence;
    size_t presence_count;
    uint32_t client_count, user_count;
    const struct channel_entry *channels;
    size_t channel_count;
    const struct session_entry *sessions;
    size_t session_count, session_total;
    uint32_t affected; // sessions that a control verb found
    struct subscription *subscription;
    struct str data; // for session_ops.subscribed: raw JSON from whoever subscribed it, or ""
};
typedef void answer_fn(void *ctx, const struct answer *a);

/* ---- for sessions ---- */

struct subscribe_params {
    struct str channel;
    const struct encoding *encoding;
    bool recover; // from here on
    struct position since;
    bool epoch_unknown; // the client sent an epoch that cannot be ours: not recovered
    bool join_leave;    // hear of joins and leaves (where the namespace has them)
    bool server_side;
    bool authorized;       // by a token or the API: the namespace's subscribe option is not asked
    bool presence_off;     // does not show in presence
    bool positioned;       // wants offset and epoch
    struct filter *filter; // ownership goes to the subscription (also on error)
    struct str info;       // channel info
    int64_t expire_at;
};

/* Fills subscription, position, recoverable, positioned, recovered, publications (the missed ones,
 * or with the cache option the last one). The cursor is registered before history is read, and live
 * frames leave after what done() sends. Errors: ERR_ALREADY_SUBSCRIBED, ERR_LIMIT_EXCEEDED,
 * ERR_PERMISSION_DENIED, ERR_BAD_REQUEST (name). If the session has closed meanwhile: ERR_EXPIRED.
 */
void hub_subscribe(struct session *s, const struct subscribe_params *p, answer_fn *done, void *ctx);

/* At once; nothing is told to the client. */
void hub_unsubscribe(struct subscription *sub);

/* ---- for everybody ---- */

struct publish_params {
    struct str tenant, channel, type, data, tags, info;
    struct str idempotency_key;    // "" none
    uint64_t exclude;              // session id
    const uint8_t *exclude_client; // the same by the client's id, 16 bytes; NULL: none
    struct str exclude_channels;   // whoever follows one of these is spared: by single spaces
    bool skip_history;
};
/* Fills position (offset 0 without history) and duplicate (idempotency key seen: position is that
 * of the first). */
void hub_publish(struct hub *hub, const struct publish_params *p, answer_fn *done, void *ctx);

/* Fills presence, client_count, user_count. ERR_NOT_AVAILABLE: the namespace has none. */
void hub_presence(struct hub *hub, struct str tenant, struct str channel, answer_fn *done,
                  void *ctx);
/* Fills client_count and user_count only. */
void hub_presence_stats(struct hub *hub, struct str tenant, struct str channel, answer_fn *done,
                        void *ctx);

struct history_params {
    struct str tenant, channel;
    int64_t limit; // < 0: all (bounded); 0: only the position
    bool has_since, reverse;
    struct position since;
};
/* Fills position, publications. ERR_UNRECOVERABLE_POSITION: since is of another epoch. */
void hub_history(struct hub *hub, const struct history_params *p, answer_fn *done, void *ctx);
/* Fills publications: what is being written in the channel now (record.h), as a late joiner gets
 * it; and position, of the same moment (epoch 0: the namespace keeps no history). */
void hub_records(struct hub *hub, struct str tenant, struct str channel, answer_fn *done,
                 void *ctx);
void hub_history_remove(struct hub *hub, struct str tenant, struct str channel, answer_fn *done,
                        void *ctx);

/* Fills channels: those with subscribers. pattern: "" all, "news:*", or a glob with '*'. */
void hub_channels(struct hub *hub, struct str tenant, struct str pattern, uint32_t limit,
                  answer_fn *done, void *ctx);

/* Fills sessions, session_total. tenant "": all. */
void hub_sessions(struct hub *hub, struct str tenant, uint32_t limit, answer_fn *done, void *ctx);

enum control { CONTROL_DISCONNECT, CONTROL_SUBSCRIBE, CONTROL_UNSUBSCRIBE, CONTROL_REFRESH };
struct control_params {
    enum control verb;
    struct str tenant;
    struct str user;           // all sessions of the user; "": only by client
    struct str client;         // the client with this id (text UUID); "": all of the user
    bool everybody;            // instead of both: all sessions of the tenant
    const char *dialect;       // a constant: only sessions of this one; NULL: of any
    struct str except_clients; // disconnect: spared; a text that holds their ids
    struct str channel;        // (un)subscribe; unsubscribe "": all channels
    enum close_reason reason;
    unsigned code; // disconnect, unsubscribe; 0: the default
    struct str text;
    struct str info; // subscribe: channel info
    struct str data; // subscribe: raw JSON that the client is told, or ""
    bool recover, epoch_unknown;
    struct position since;
    int64_t expire_at; // subscribe, refresh
    bool expired;
};
/* Runs on every loop; fills affected. */
void hub_control(struct hub *hub, const struct control_params *p, answer_fn *done, void *ctx);

/* {"user":..,"client":..,"conn_info":..,"chan_info":..} as publications and joins carry it; info
 * and channel_info are raw JSON and left out when "". False: no room. */
bool client_info_write(struct buf *out, struct str client, struct str user, struct str info,
                       struct str channel_info);

/* ---- birth and figures ---- */

/* loops[0..count): made before they run; policy must outlive the node. NULL: no memory. */
struct node *node_create(struct loop *const *loops, unsigned count, const struct policy *policy,
                         uint32_t sessions_max);
void node_destroy(struct node **np);
struct hub *node_hub(struct node *n, unsigned loop_index);
unsigned node_loop_count(const struct node *n);
/* Where durable channels are kept, before any loop runs; NULL: nowhere, and they are as others. It
 * must outlive the node's loops. */
void node_set_store(struct node *n, struct store *store);
/* Sees every event on its channel's home loop, in the channel's order, right after it was sent on;
 * tenant and channel are in it. It must be quick, and call no verb of the hub inside. */
typedef void node_witness_fn(void *ctx, struct hub *home, struct publication *p);
/* Before any loop runs; there is one. */
void node_set_witness(struct node *n, node_witness_fn *saw, void *ctx);
/* Durable channels can be published to now. From any thread. */
bool node_can_store(const struct node *n);
struct node_store_stats {
    uint64_t commits, events, events_bytes, failures, reads, waiting_bytes, streams, commit_ns;
    bool usable;
};
/* False: there is no store. From any thread. */
bool node_read_store(const struct node *n, struct node_store_stats *ret);
/* Every loop must have been told its outflow (of net's flusher) before it runs. */
void hub_set_outflow(struct hub *hub, struct outflow *o);
struct outflow *hub_outflow(const struct hub *hub);
struct loop *hub_loop(const struct hub *hub);
const struct policy *hub_policy(const struct hub *hub);
/* The loop that is a channel's home. */
unsigned hub_home_loop(struct hub *hub, struct str tenant, struct str channel);
/* From any thread. The old policy must stay until every loop has turned once. */
void node_set_policy(struct node *n, const struct policy *policy);

/* For a drain: tells the next most sessions to go (CLOSE_SHUTDOWN). Sessions stay counted until
 * their connections are closed. */
void hub_drain(struct hub *hub, uint32_t most);
uint32_t hub_session_count(const struct hub *hub);

struct hub_stats {
    uint64_t sessions, users; // a user counts once on every loop it is connected to
    uint64_t channels, subscriptions, publishes, publish_bytes, joins, leaves;
    uint64_t recovered, not_recovered, resyncs, overruns, duplicates, refused;
    uint64_t records, record_appends; // messages that are being written, and what was added
};
/* From any thread: the sums of all loops. */
void node_read_stats(const struct node *n, struct hub_stats *ret);
/* Sessions of one dialect, from any thread. */
struct dialect_count {
    const char *dialect;
    uint64_t sessions;
};
size_t node_read_dialects(const struct node *n, struct dialect_count *ret, size_t max);

#endif
