/* eio_priv.h - what the files of the Engine.IO carrier share: a session and its moves.
 * Thread:  the session's loop.
 * Memory:  a session is freed at the end of the turn in which it ended, after closed().
 * Failure: as in eio.h. */
#ifndef CARRIER_EIO_PRIV_H
#define CARRIER_EIO_PRIV_H

#include "base/map.h"
#include "base/must.h"
#include "carrier/eio.h"
#include "carrier/eio_packet.h"
#include "net/outlet.h"

enum {
    EIO_RANDOM_BYTES = 15,
    EIO_ID_CHARS = 2 + EIO_RANDOM_BYTES / 3 * 4, // two for the loop
    EIO_SESSIONS_MAX = 1 << 20,                  // per loop
    EIO_UPGRADE_MS = 10000,
    EIO_CROSSING_MS = 200,  // between a client's goodbye and a poll that it sent before
    EIO_POLL_BYTES = 65536, // an answer to a poll ends at the first frame over it
    EIO_PAYLOAD_MAX = 256 << 20,
    EIO_SCRATCH_KEEP = 128 * 1024
};

enum eio_state {
    EIO_POLLING,   // also while a WebSocket tries to take over
    EIO_WEBSOCKET, // began or arrived there
    EIO_LEAVING,   // has been closed; the next poll is told
    EIO_ENDED,
    EIO_STATE_COUNT
};

struct eio_loop {
    struct map sessions; // by id, while a request may find them
    struct buf scratch;  // of one answer
};

struct eio {
    struct eio_options options;
    unsigned loop_count;
    struct eio_loop *loops;
};

struct eio_session {
    struct carrier carrier;
    struct map_node node;
    struct eio *eio;
    struct outlet outlet;      // the sink while the client polls
    struct buf out;            // own messages until the next poll, as frames
    struct http_request *poll; // waits for an answer; NULL: none
    struct carrier *ws;        // the client's, or one that tries to become it; NULL: none
    struct timer timer;        // next ping, end of the wait for its pong, end of leaving
    struct timer upgrade;      // end of a WebSocket's try
    struct grave grave;
    uint64_t due_ms; // what the timer waits for
    uint16_t code;   // the peer's close code
    uint8_t state;   // enum eio_state, written by eio_go() only
    uint8_t reason;  // enum close_reason, once leaving or ended
    uint8_t last;    // enum eio_type: what the poll is told that is awaited while leaving
    bool pinged;     // no pong has come yet
    bool probed;     // polls are let go empty: the WebSocket is about to take over
    char id[EIO_ID_CHARS];
};

static inline struct eio_session *eio_session_of(const struct carrier *c)
{
    return container_of((struct carrier *)(uintptr_t)c, struct eio_session, carrier);
}

static inline struct loop *eio_session_loop(const struct eio_session *s)
{
    return s->outlet.flusher->loop;
}

static inline struct eio_loop *eio_loop_of(const struct eio *e, const struct loop *l)
{
    return &e->loops[loop_index(l)];
}

/* eio.c */
void eio_go(struct eio_session *s, enum eio_state to);
struct eio_session *eio_session_create(struct eio *e, struct flusher *f);
/* One that nobody has heard of: without closed(). */
void eio_session_drop(struct eio_session *s);
struct eio_session *eio_find(const struct eio *e, const struct loop *l, struct str id);
/* The loop that an id tells of. */
bool eio_id_loop(const struct eio *e, struct str id, unsigned *ret);
/* Ends it now: a poll is told with last ('1', '6'), a WebSocket is closed. closed() comes at the
 * end of the turn, or when the WebSocket has gone. */
void eio_end(struct eio_session *s, enum close_reason reason, enum eio_type last);
/* The last step of all ends. */
void eio_bury(struct eio_session *s);
/* One of the carrier's own packets. */
void eio_send_packet(struct eio_session *s, enum eio_type type, struct str data);
/* What a client has sent, in either way; the session may end inside. binary: decoded bytes. */
void eio_packet_in(struct eio_session *s, const struct eio_packet *packet);
void eio_binary_in(struct eio_session *s, struct str bytes);
/* The first ping is due an interval from now. */
void eio_ping_begin(struct eio_session *s);
/* The pong has not come in time, though the timer may not have fired yet. */
bool eio_is_late(const struct eio_session *s);

/* eio_poll.c */
extern const struct outlet_ops eio_outlet_ops;
void eio_poll_begin(struct eio_session *s, struct http_request *r);
/* Answers the poll, if there is one, with what is its session's own to say, and last. */
void eio_poll_end(struct eio_session *s, enum eio_type last);

/* eio_ws.c */
/* A WebSocket for a new session, whose handshake has been found good. False: it has been answered
 * with an error. */
bool eio_ws_begin(struct eio_session *s, struct http_request *r);
/* One that wants to take over from polling. */
void eio_ws_try(struct eio_session *s, struct http_request *r);
/* One more for a session that has its own: it is closed as soon as it is open. */
void eio_ws_turn_away(struct eio *e, struct http_request *r);
/* The session ends, or the try does: nothing of the WebSocket concerns it any more. */
void eio_ws_forget(struct eio_session *s, enum close_reason reason);

#endif
