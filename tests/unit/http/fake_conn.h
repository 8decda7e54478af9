/* fake_conn.h - a twin of net's connections and of the loop, without sockets and without time.
 *
 * fake_conn.c defines the functions of loop.h and conn.h that HTTP calls, so a program that
 * includes it never pulls in the real ones. What is sent is collected; the clock moves when a test
 * says so.
 *
 * Thread:  one.
 * Memory:  of the world; fake_end() checks that every connection has been closed.
 * Failure: a broken rule of conn.h aborts. */
#ifndef UNIT_HTTP_FAKE_CONN_H
#define UNIT_HTTP_FAKE_CONN_H

#include "net/conn.h"

enum { FAKE_CONNS_MAX = 8 };

/* What the other end of a connection sees. */
struct fake_peer {
    struct conn *conn; // NULL: closed
    struct buf sent;   // by the server, all of it; the first `taken` have reached the peer
    size_t taken;
    struct buf inbox; // not yet read by the server
    bool fin;         // the peer has said that it sends no more
    bool fin_told;
    bool aborted;
    enum close_reason reason;
};

struct fake_world {
    struct loop *loop;
    struct flusher flusher;
    struct fake_peer peers[FAKE_CONNS_MAX];
    size_t peer_count;
    size_t window; // bytes a turn takes from each connection
};

void fake_begin(struct fake_world *w);
void fake_end(struct fake_world *w);
/* The peer of the connection that was opened last. */
struct fake_peer *fake_last(struct fake_world *w);
/* The peer sends; the bytes are handed over at once unless reading is paused. */
void fake_feed(struct fake_world *w, struct fake_peer *p, struct str bytes);
void fake_fin(struct fake_world *w, struct fake_peer *p);
/* The connection breaks. */
void fake_break(struct fake_world *w, struct fake_peer *p);
/* Turns until nothing moves any more. */
void fake_settle(struct fake_world *w);
/* The clock moves; timers fire on their way. */
void fake_advance(struct fake_world *w, uint64_t ms);

#endif
