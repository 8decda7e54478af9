/* session.h - one connected client: who it is, what it follows, where its messages go.
 *
 * A dialect embeds struct session in its own object and gives the hub a table of functions; the
 * hub never knows which dialect or carrier is behind it.
 *
 * Thread:  the session's loop, always.
 * Memory:  the dialect's object. After session_close() it is inert: the hub may still hold it until
 *          its requests on other loops have come back, and then calls ops->bury().
 * Failure: session_open() says false when the node's session limit is reached, or when tenant and
 *          user cannot be a key (64 KB together, no NUL in the tenant's name). */
#ifndef HUB_SESSION_H
#define HUB_SESSION_H

#include "base/buf.h"
#include "base/close.h"
#include "base/err.h"
#include "base/feed.h"
#include "base/map.h"
#include "hub/publication.h"

struct answer;
struct hub;
struct session;
struct subscription;
struct filter;

/* How publications become the bytes of one dialect on one variant of a carrier. Two subscriptions
 * with the same encoding object share their bytes: encodings are few and live as long as the
 * process. */
struct encoding {
    const char *name;
    /* Appends the finished wire bytes (framing included). channel: the name that was subscribed to,
     * which is a pattern when pub->channel is not it. False: no room; the event is dropped. */
    bool (*encode)(const struct encoding *e, struct str channel, const struct publication *pub,
                   struct buf *out);
    const void *framing; // the carrier's; opaque to the hub
    const void *extra;   // the dialect's
};

struct session_ops {
    const char *dialect;
    /* How a server-side subscription of this session is encoded. */
    const struct encoding *(*encoding)(struct session *s);
    /* The API made it follow a channel: tell the client. */
    void (*subscribed)(struct session *s, struct subscription *sub, const struct answer *a);
    /* It no longer follows channel and did not ask for that. */
    void (*unsubscribed)(struct session *s, struct str channel, unsigned code, struct str reason);
    /* Must end at the end of the turn, with this reason (and code and text unless 0);
     * session_close() is not called inside. */
    void (*disconnect)(struct session *s, enum close_reason reason, unsigned code, struct str text);
    /* The session's new time of expiry (seconds since 1970; 0: none). NULL: not supported. */
    void (*refreshed)(struct session *s, int64_t expire_at);
    /* Publications that did not come through the log (the client was too slow for it, or recovered
     * more than one answer holds), to be sent as ordinary messages, in order. NULL: cannot be
     * done, a slow session is closed (CLOSE_SLOW). */
    void (*resync)(struct session *s, struct subscription *sub, struct publication *const *pubs,
                   size_t count);
    /* Where the client is, as text into at (cap bytes); returns its length. NULL: not known. */
    size_t (*address)(const struct session *s, char *at, size_t cap);
    /* Nobody holds it any more: free it. */
    void (*bury)(struct session *s);
};

enum session_state { SESSION_NEW, SESSION_OPEN, SESSION_CLOSED };

struct session {
    struct hub *hub;
    const struct session_ops *ops;
    struct sink *sink;
    uint64_t id;             // unique in the node
    uint8_t client[16];      // the client's id, a UUID
    struct str tenant, user; // the dialect's memory, constant while open; user "": anonymous
    struct str info;         // raw JSON given by the token for presence and publications, or ""
    struct subscription *subscriptions; // linked by next
    uint32_t subscription_count;
    uint32_t refs;         // the dialect's own, and one per request under way
    uint8_t state;         // enum session_state
    uint64_t connected_ms; // loop clock
    struct list link;      // in the hub's list of sessions
    struct list of_user;   // in the list of its user's sessions
    struct user *by_user;  // private to the hub; NULL: anonymous
};

enum { SUBSCRIPTION_JOINING, SUBSCRIPTION_ACTIVE, SUBSCRIPTION_ENDED };

struct subscription {
    struct cursor cursor;
    struct session *session;
    struct fanout *fanout;
    struct subscription *next; // of the session
    struct filter *filter;     // NULL: everything
    struct str info;           // raw JSON channel info, or ""; one block with the object
    uint8_t state;
    bool server_side, presence, join_leave, recoverable, resyncing;
    int64_t expire_at; // seconds since 1970; 0: never. The dialect watches it.
    char bytes[];
};

/* s: zeroed except what the dialect set (client, tenant, user, info). One reference is the
 * dialect's. */
bool session_open(struct session *s, struct hub *hub, const struct session_ops *ops,
                  struct sink *sink);
/* Leaves every channel; gives the dialect's reference back. */
void session_close(struct session *s);
struct session *session_ref(struct session *s);
void session_unref(struct session *s);

/* NULL: does not follow it. */
struct subscription *session_find(const struct session *s, struct str channel);
struct str subscription_channel(const struct subscription *sub);

#endif
