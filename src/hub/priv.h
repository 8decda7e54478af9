/* priv.h - what the files of the hub share.
 * Thread:  a hub's own loop; node's fields are constant after birth unless atomic.
 * Memory:  see each struct.
 * Failure: as hub.h says. */
#ifndef HUB_PRIV_H
#define HUB_PRIV_H

#include "base/must.h"
#include "base/pool.h"
#include "hub/filter.h"
#include "hub/history.h"
#include "hub/hub.h"
#include "hub/presence.h"
#include "store/store.h"

#include <stdlib.h>

enum { RECOVER_ROUND_COUNT = 1000, RECOVER_ROUND_BYTES = 256 * 1024 };

/* ---- figures: written by the hub's loop, read by anybody ---- */

struct hub_counters {
    _Atomic uint64_t sessions, users, channels, subscriptions, publishes, publish_bytes, joins,
        leaves;
    _Atomic uint64_t recovered, not_recovered, resyncs, overruns, duplicates, refused;
    _Atomic uint64_t records, record_appends;
};

static inline void count_up(_Atomic uint64_t *c, uint64_t n)
{
    atomic_store_explicit(c, atomic_load_explicit(c, memory_order_relaxed) + n,
                          memory_order_relaxed);
}
static inline void count_down(_Atomic uint64_t *c, uint64_t n)
{
    count_up(c, (uint64_t)0 - n);
}

enum { DIALECTS_MAX = 16 };
struct dialect_slot {
    const char *_Atomic name;
    _Atomic uint64_t sessions;
};

struct node {
    struct hub *hubs[HUB_LOOPS_MAX];
    unsigned count;
    uint64_t seed; // of the channels' homes
    struct store *store;
    node_witness_fn *witness; // NULL: nobody looks on
    void *witness_ctx;
    const struct policy *_Atomic policy;
    uint32_t sessions_max;
    atomic_uint sessions;
};

struct hub {
    struct node *node;
    struct loop *loop;
    struct outflow *outflow;
    struct map channels; // home side: struct channel, by tenant\0channel
    struct map fanouts;  // local side: struct fanout, by tenant\0channel
    struct map patterns; // home side: struct pattern, by tenant\0pattern
    struct map users;    // struct user, by tenant\0user
    struct map records;  // home side: struct open_record, by number
    struct list sessions;
    uint32_t local_pattern_count; // fanouts of patterns
    uint64_t session_serial, record_serial;
    uint64_t forgotten_streams; // channels with publications that are no more
    struct buf key, scratch;
    struct hub_counters counters;
    struct dialect_slot dialects[DIALECTS_MAX];
};

/* tenant\0name in hub->key: gone with the next call. */
struct str hub_key(struct hub *hub, struct str tenant, struct str name);
/* What a client or a back end has given can be a key: not too long, and one key only. */
bool hub_key_ok(struct str tenant, struct str name);
/* tenant\0namespace:*, as hub_key(). */
struct str hub_namespace_key(struct hub *hub, struct str tenant, struct str ns);
/* The same as one allocated block for an object that lives in a map. */
char *key_copy(struct str key);
struct str key_name(struct str key);
struct str key_tenant(struct str key);
struct hub *hub_home(struct hub *hub, struct str key);
static inline const struct policy *hub_rules(const struct hub *hub)
{
    return atomic_load_explicit(&hub->node->policy, memory_order_acquire);
}

/* ---- local side: one channel's subscribers on this loop ---- */

struct feed_of {
    struct feed_of *next;
    const struct encoding *encoding;
    struct fanout *fanout;
    struct feed feed;
};

struct fanout {
    struct map_node node; // key: tenant\0channel, owned
    struct hub *hub;
    struct feed_of *feeds;
    uint32_t subscriber_count; // joining ones included
    uint32_t join_leave_count; // of them, want to hear of joins and leaves
    bool pattern;
};

/* Some session may be. */
static inline bool excludes_somebody(const struct publication *p)
{
    return p->exclude != 0 || p->excludes_client || p->exclude_channels.n > 0;
}
bool follows_one_of(const struct session *s, struct str channels);
/* The publisher does not want this session to have it. */
static inline bool is_excluded(const struct publication *p, const struct session *s)
{
    return (p->exclude != 0 && p->exclude == s->id) ||
           (p->excludes_client && memcmp(p->exclude_client, s->client, sizeof(s->client)) == 0) ||
           (p->exclude_channels.n > 0 && follows_one_of(s, p->exclude_channels));
}

struct fanout *fanout_get(struct hub *hub, struct str tenant, struct str channel); // or makes one
struct fanout *fanout_find(struct hub *hub, struct str key);
/* Frees it when nobody is left. */
void fanout_release(struct fanout *f);
bool fanout_join(struct fanout *f, struct subscription *sub, const struct encoding *e);
/* To the subscribers of the channel and of patterns that match it. */
void hub_deliver(struct hub *hub, struct publication *p);

/* ---- home side ---- */

struct channel {
    struct map_node node; // key: tenant\0channel, owned
    struct hub *hub;
    struct history history;
    struct presence *presence; // NULL: nobody was ever shown here
    struct idempotency *idempotency;
    uint64_t offset;               // of the newest publication
    uint64_t stored;               // durable: up to here the store has it
    struct request *waiters;       // durable: publishes that repeat one which is on its way there
    struct durable_fetch *fetches; // durable: reads of the store that are under way
    uint32_t epoch;
    uint32_t subscriber_count;
    uint64_t loops;        // bit i: loop i has subscribers
    uint32_t *loop_counts; // subscribers per loop; NULL: none yet
    uint64_t active_ms;    // loop clock: of the last publication or departure
    struct list records;   // struct open_record: messages that are still being written
    uint32_t record_count;
    struct timer expiry; // history by age, gone clients, the channel itself
    uint64_t look_ms;    // loop clock: when expiry is to fire, while it is armed
};

struct pattern {
    struct map_node node; // key: tenant\0pattern, owned
    uint64_t loops;
};

struct channel *channel_find(struct hub *home, struct str key);
struct channel *channel_get(struct hub *home, struct str key); // or makes one; NULL: limit, memory
const struct channel_options *channel_policy(const struct channel *ch);
/* Forgets it if nothing is left to remember; otherwise arms its expiry. */
void channel_settle(struct channel *ch);
void channel_destroy(struct channel *ch);

enum err channel_publish(struct hub *home, struct str key, struct publication *p,
                         struct str idempotency_key, bool skip_history, struct answer *ret);
/* To whoever follows it, and nothing else: no offset, no history. */
void channel_send(struct channel *ch, struct publication *p);
/* Joins and leaves: no offset, no history. */
void channel_announce(struct channel *ch, enum publication_kind kind, const struct present *m);

/* The publications behind since, at most count and bytes; references are added. Fills position and
 * recovered of *ret. */
struct recover_limits {
    uint32_t count;
    uint64_t bytes;
};
static const struct recover_limits recover_round = {RECOVER_ROUND_COUNT, RECOVER_ROUND_BYTES};
struct publication **history_after(const struct channel *ch, uint64_t offset,
                                   struct recover_limits most, size_t *ret_count);

struct request;

/* Fills r->answer, or parks r until p is stored. */
void publish_here(struct request *r, struct hub *home, struct publication *p, bool skip_history);

/* ---- record_home.c: messages that are still being written ---- */

void channel_drop_records(struct channel *ch);
/* What they are now goes behind (or before) r->pubs: record_count of them. False: no memory. */
bool records_show(struct request *r, const struct channel *ch, bool first);

/* ---- durable.c: channels whose streams are kept by the store ---- */

static inline bool is_durable(const struct hub *home, const struct channel_options *o)
{
    return o->durable && o->history_count > 0 && home->node->store != NULL;
}
/* What of the options holds for the part that is in memory. */
struct channel_options memory_options(const struct hub *home, const struct channel_options *o);
/* A channel that was just made goes on where its stream stands. */
void durable_restore(struct channel *ch);
/* Whether a place in an epoch of before, which ended in a crash, leads into the present one. */
bool durable_leads(const struct channel *ch, struct position from);
/* The oldest offset that can be had; ch->offset + 1: none. */
uint64_t durable_first(const struct channel *ch, const struct channel_options *o);
/* Null: p may be published now; otherwise why not, and *ret. */
const char *durable_refusal(struct hub *home, struct str key, const struct publication *p,
                            enum err *ret);
/* What carries p to the store, made before p is delivered. NULL: no memory. */
struct durable_append;
struct durable_append *durable_prepare(struct hub *home, struct str key, struct publication *p);
void durable_unprepare(struct durable_append *d);
/* Hands it over; r: parked until it is there, or NULL. */
void durable_append(struct durable_append *d, struct channel *ch, struct request *r);
/* Parks r, which repeats a publish, until the first is stored; or leaves it. */
void durable_wait(struct channel *ch, uint64_t offset, struct request *r);
/* Everything up to the channel's newest is to be forgotten; parks r until it is. */
void durable_trim(struct channel *ch, struct request *r);
/* Parks r and reads events with after < offset <= until (0: to the end) behind those in r->pubs;
 * then run() is called again, with fetched set. newest: the last `limit` of them. What they do not
 * follow without a gap has been forgotten meanwhile, and is not in r->pubs any more. */
void durable_fetch(struct request *r, struct channel *ch, uint64_t after, uint64_t until,
                   struct recover_limits most, bool newest);
/* The channel goes; what is being read for it will be answered all the same. */
void durable_orphan_fetches(struct channel *ch);
/* Behind what was fetched comes what is in memory, up to limit events together. */
void durable_extend(struct request *r, const struct channel *ch, uint64_t until, uint32_t limit);

struct idempotency;
bool idempotency_find(struct channel *ch, struct str key, struct position *ret);
void idempotency_add(struct channel *ch, struct str key, struct position at);
/* Forgets what is too old; true: nothing is left to remember. */
bool idempotency_expire(struct channel *ch);
void idempotency_destroy(struct idempotency **ip);

/* ---- requests: a verb on its way ---- */

struct text_block;

struct request {
    struct mail mail;
    struct hub *origin;
    unsigned at;                                     // of a round: the loop it is on
    void (*run)(struct request *r, struct hub *hub); // at home, or on every loop
    void (*finish)(struct request *r);  // back on its origin, before done(); may be NULL
    void (*release)(struct request *r); // frees what run() made; may be NULL
    answer_fn *done;
    void *ctx;
    struct answer answer;
    struct str key;          // tenant\0channel, inside the request
    struct session *session; // referenced; NULL: none
    struct subscription *subscription;
    void *verb; // the verb's own part, inside the request
    struct request *next_waiter;
    uint64_t waits_for; // the offset
    bool parked;  // run() waits for the store, and will be called again or has been answered for
    bool fetched; // pubs are from the store: they follow what the verb asked for without a gap
    bool cut;     // as of the store_read
    struct publication **pubs;
    size_t pub_count;
    size_t record_count;      // of pubs: records, which have no offset
    struct buf made;          // strings and arrays of the answer
    struct text_block *texts; // strings of lists
    char bytes[];
};

/* A zeroed request with room for the verb's own part and a copy of the key. */
struct request *request_make(struct hub *origin, size_t verb_size, struct str key);
/* Copies s behind the verb's part; the room must have been asked for in extra. */
struct request *request_make_with(struct hub *origin, size_t verb_size, struct str key,
                                  size_t extra, char **ret_extra);
void request_home(struct request *r);  // to the home of its key and back
void request_round(struct request *r); // through every loop and back
/* For run() that had to wait: on the loop where it ran. */
void request_resume(struct request *r);
void request_forget_pubs(struct request *r);
/* Frees one that is parked when the hubs end: nobody is there to be answered. */
void request_abandon(struct request *r);
void answer_error(answer_fn *done, void *ctx, enum err e, const char *why);

/* Leaving: tells the home that sub is gone. quiet: the connection broke, presence may wait. */
void subscription_leave_home(struct subscription *sub, bool quiet);
void subscription_end(struct subscription *sub, bool quiet);
/* One that has ended, and that nobody waits for any more. */
void subscription_free(struct subscription *sub);
/* What was read from the history goes through the same filter as what comes from the log. */
void subscription_filter_missed(const struct subscription *sub, struct request *r);
/* The next round of what a subscription has missed; see session_ops.resync. */
void subscription_resync(struct subscription *sub);

struct user {
    struct map_node node; // key: tenant\0user, owned
    struct list sessions; // by session.of_user
};

#endif
