/* conn.h - one connection's bytes: reading, writing in order, closing once.
 *
 * What is to be written leaves in this order: the rest of a frame that the socket took half of,
 * then the connection's own bytes (conn_send), then the frames of the feeds its sink follows.
 *
 * Thread:  the loop's own.
 * Memory:  struct conn is embedded in its owner's object. What conn_send() is given is copied; the
 *          own bytes are bounded by out_max. An idle connection holds no buffer.
 * Failure: a connection that cannot go on is closed: closed() is called exactly once, never from
 *          inside conn_send() or conn_close() (it comes at the end of the turn). */
#ifndef NET_CONN_H
#define NET_CONN_H

#include "base/buf.h"
#include "base/close.h"
#include "base/feed.h"
#include "loop/loop.h"
#include "net/addr.h"

struct conn;
struct flusher;
struct own_bytes;
struct tls;

struct conn_handler {
    /* Bytes have come. They are the caller's to change, and gone when this returns. A handler
     * may replace itself (conn_set_handler) and hand the rest on. */
    void (*data)(struct conn *c, char *p, size_t n);
    /* All own bytes have left. May be NULL. */
    void (*drained)(struct conn *c);
    /* The peer will send no more (it may still read). NULL: closes with CLOSE_PEER_GONE. */
    void (*ended)(struct conn *c);
    /* The last call: the socket is closed, the owner may free itself now. */
    void (*closed)(struct conn *c, enum close_reason reason);
};

enum conn_state { CONN_OPEN, CONN_LINGERING, CONN_CLOSED, CONN_STATE_COUNT };

struct conn {
    struct io io;
    struct list link;        // in flusher.conns
    struct sink sink;        // dialects join cursors to it
    struct flusher *flusher; // of this loop
    const struct conn_handler *handler;
    void *owner;           // whose connection this is; belongs to whoever set the handler
    struct tls *tls;       // NULL: plain
    struct own_bytes *out; // own bytes; NULL: none
    uint32_t out_max;
    struct chunk *tail; // a frame that was written in part; NULL: none
    uint32_t tail_at, tail_end;
    uint8_t state;  // enum conn_state, written by conn_go() only
    uint8_t reason; // enum close_reason
    bool reading_paused, in_handler, saw_end;
    bool starved; // blocked because the kernel had no memory: the flusher tries again
    struct timer linger;
    struct addr peer;
    struct grave grave;
};

/* Private to net: bytes waiting for the socket, in one block of the pool. */
struct own_bytes {
    uint32_t len, sent;
    char bytes[];
};

/* Takes over the connected socket fd. tls: a session made for it, or NULL. False: the loop refused;
 * fd is still the caller's. */
bool conn_open(struct conn *c, struct flusher *f, int fd, struct tls *tls, const struct addr *peer,
               const struct conn_handler *handler, uint32_t out_max);

void conn_set_handler(struct conn *c, const struct conn_handler *handler);

/* Queues a copy; it leaves at the end of the handler or of the turn. False: over out_max while more
 * than half of that is waiting already (the connection is then closed with CLOSE_SLOW), or closed
 * already. A single message may be longer than out_max: it could never be sent otherwise. */
bool conn_send(struct conn *c, struct str bytes);

/* Room for up to n own bytes to be written in place; NULL as conn_send() says false. Then
 * conn_commit() with the bytes really written. */
char *conn_reserve(struct conn *c, size_t n);
void conn_commit(struct conn *c, size_t n);

/* Own bytes not yet written. */
size_t conn_pending(const struct conn *c);

/* The peer has sent something that data() has not been given yet. */
bool conn_has_input(const struct conn *c);

/* No more data() calls until resumed; the kernel's window then slows the peer down. */
void conn_pause_reading(struct conn *c);
void conn_resume_reading(struct conn *c);

/* From now on nothing of the feeds leaves: only own bytes. For a close message that must be last.
 */
void conn_stop_feeds(struct conn *c);

/* Writes what is queued (own bytes only), then closes; at most linger_ms later. What the peer still
 * sends is thrown away. The owner leaves its feeds in closed() at the latest. */
void conn_close(struct conn *c, enum close_reason reason, uint32_t linger_ms);
/* Closes without writing what is queued; RST rather than FIN. */
void conn_abort(struct conn *c, enum close_reason reason);

/* Takes an open connection off its loop, to enter another: with its own bytes and TLS, and nothing
 * else. It follows no feed. Between the two calls whoever carries it owns it. Not from inside its
 * handler. */
void conn_leave(struct conn *c);
/* On the other loop. False: that refused; closed() will come. */
bool conn_enter(struct conn *c, struct flusher *f);

static inline struct loop *conn_loop(const struct conn *c);

/* The flusher of a loop: walks the sinks and feeds that have something to write. */
struct flusher {
    struct work work;
    struct loop *loop;
    struct outflow outflow;
    struct list conns;
    struct list outlets; // what has sinks without connections (outlet.h)
    char *read_buf;      // shared by all connections of the loop
    struct timer retry;  // armed while a connection is starved
    _Atomic uint64_t bytes_in, bytes_out, sends, frames_out, own_bytes_waiting;
    _Atomic uint64_t open_count;
    _Atomic uint64_t closes[CLOSE_REASON_COUNT];
    /* When a feed has been offered to everybody: time from append to then. May be NULL. */
    void (*observe_latency)(void *ctx, uint64_t ns);
    void *observe_ctx;
    /* A connection that was opened is closed. May be NULL. */
    void (*conn_closed)(void *ctx, const struct conn *c);
    void *closed_ctx;
};
bool flusher_init(struct flusher *f, struct loop *l);
void flusher_fini(struct flusher *f);
/* Every connection and outlet that is open: for the end of the process. */
void flusher_abort_all(struct flusher *f, enum close_reason reason);

static inline struct loop *conn_loop(const struct conn *c)
{
    return c->flusher->loop;
}

#endif
