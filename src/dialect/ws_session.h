/* ws_session.h - a session that speaks JSON over a WebSocket: its life, for the dialects that
 * differ only in what is said.
 *
 *     struct foo { struct ws_session ws; ... };
 *     static const struct ws_kind foo_kind = {.ops = WS_SESSION_OPS("foo"), .size = sizeof(struct
 *         foo), .opened = .., .message = ..};
 *     handle(): admit_origin(), handshake_read(), admit(), then ws_session_accept()
 *
 * Thread:  the session's loop.
 * Memory:  one zeroed object of kind->size, freed when both the connection and the hub have let go.
 * Failure: ws_session_accept() answers what it refuses. After ws_session_end() nothing is sent. */
#ifndef DIALECT_WS_SESSION_H
#define DIALECT_WS_SESSION_H

#include "base/bucket.h"
#include "base/list.h"
#include "base/must.h"
#include "dialect/admit.h"

struct ws_session;

struct ws_kind {
    struct session_ops ops; // begin with WS_SESSION_OPS("name")
    size_t size;
    /* The session is in the hub, nothing has been sent: say hello, subscribe. May be NULL. */
    void (*opened)(struct ws_session *ws);
    /* A message within the endpoint's rate limit. */
    void (*message)(struct ws_session *ws, struct str payload, bool binary);
    /* Something came, pongs included. May be NULL. */
    void (*alive)(struct ws_session *ws);
    /* ws->tick has fired: the dialect's own timer, not armed any more. May be NULL. */
    void (*ticked)(struct ws_session *ws);
    /* The connection is gone: the session is about to leave the hub. May be NULL. */
    void (*closed)(struct ws_session *ws);
    /* The dialect's own words for a close. Leave them alone for the usual ones. May be NULL. */
    void (*close_words)(enum close_reason reason, unsigned *code, struct str *text);
};

struct ws_session {
    struct session session;
    const struct ws_kind *kind;
    const struct endpoint *endpoint;
    struct carrier *carrier; // NULL: gone
    struct timer timer;      // token's expiry; once ending, leaving the hub
    struct timer tick;       // the dialect's
    int64_t expire_at_s;     // 0: never
    char *identity;          // tenant, user, info in one block
    struct bucket bucket;
    bool ending, buried;
};

static inline struct ws_session *ws_session_of(const struct session *s)
{
    return container_of((struct session *)(uintptr_t)s, struct ws_session, session);
}

static inline struct loop *ws_session_loop(const struct ws_session *ws)
{
    return hub_loop(ws->session.hub);
}

/* Opens a session for an admitted request: the handshake, the hub, kind->opened(). client: its 16
 * bytes; NULL: a new id is made. NULL: answered with an error, or closed with 1013. */
struct ws_session *ws_session_accept(struct http_request *r, const struct endpoint *e,
                                     const struct ws_kind *kind, const struct identity *id,
                                     const uint8_t *client);

/* To this client only, at once, and before what its subscriptions still have to send. */
void ws_session_send(struct ws_session *ws, struct str text);
/* code 0: what kind->close_words() says, else the reason's code for plain WebSocket clients. */
void ws_session_end(struct ws_session *ws, enum close_reason reason, unsigned code,
                    struct str text);

/* The session's own part of a kind's ops. */
#define WS_SESSION_OPS(name)                                                                       \
    .dialect = name, .address = ws_session_address, .disconnect = ws_session_disconnect,           \
    .bury = ws_session_bury
size_t ws_session_address(const struct session *s, char *at, size_t cap);
void ws_session_disconnect(struct session *s, enum close_reason reason, unsigned code,
                           struct str text);
void ws_session_bury(struct session *s);

/* ---- encodings: one per framing of the carrier, so that frames are shared by all who have it ----
 *
 *     static const struct encoding foo_encodings[WS_FRAMINGS] = WS_ENCODINGS("foo", foo_encode);
 *     ... .encoding = ws_encoding(foo_encodings, ws->carrier->framing)
 */
enum { WS_FRAMINGS = 8 };
extern const int ws_window_bits[WS_FRAMINGS];
#define WS_ENCODING(label, fn, i)                                                                  \
    {                                                                                              \
        .name = label, .encode = fn, .extra = &ws_window_bits[i]                                   \
    }
#define WS_ENCODINGS(label, fn)                                                                    \
    {                                                                                              \
        WS_ENCODING(label, fn, 0), WS_ENCODING(label, fn, 1), WS_ENCODING(label, fn, 2),           \
            WS_ENCODING(label, fn, 3), WS_ENCODING(label, fn, 4), WS_ENCODING(label, fn, 5),       \
            WS_ENCODING(label, fn, 6), WS_ENCODING(label, fn, 7)                                   \
    }
const struct encoding *ws_encoding(const struct encoding table[WS_FRAMINGS],
                                   const struct framing *framing);
/* Where in such a table. */
static inline int ws_framing_index(const struct framing *framing)
{
    return framing->window_bits == 0 ? 0 : framing->window_bits - ws_window_bits[1] + 1;
}
/* Appends payload as one text frame of this encoding's framing. */
bool ws_encoding_frame(const struct encoding *e, struct str payload, struct buf *out);

/* How a dialect says an event. */
struct ws_writer {
    size_t (*bytes_max)(struct str channel, const struct publication *p); // of what write() appends
    bool (*write)(struct buf *out, struct str channel, const struct publication *p);
};
/* The event as one frame of this encoding's framing. */
bool ws_encoding_event(const struct encoding *e, const struct ws_writer *w, struct str channel,
                       const struct publication *p, struct buf *out);
/* For session_ops.resync: each event as a message of its own, by send(). A session that cannot be
 * told one of them ends: nothing may be left out. */
void ws_session_resync(struct ws_session *ws, const struct ws_writer *w, struct str channel,
                       struct publication *const *pubs, size_t count,
                       void (*send)(struct ws_session *ws, struct str message));

#endif
