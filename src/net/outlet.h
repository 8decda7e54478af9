/* outlet.h - a sink without a connection of its own: its owner fetches what is to be sent.
 *
 * Cursors join its sink as they join a connection's. While the owner has nowhere to send to, the
 * sink is blocked, and its cursors stay behind as those of a full socket do. When it has, it takes
 * frames from the cursors itself (cursor_piece(), cursor_advance()), asked by the flusher.
 *
 * Thread:  the loop's own.
 * Memory:  embedded in its owner's object; the cursors must have left before that is freed.
 * Failure: none. */
#ifndef NET_OUTLET_H
#define NET_OUTLET_H

#include "net/conn.h"

struct outlet;

struct outlet_ops {
    /* The sink was woken, or a feed has frames for one of its cursors; it is neither blocked nor
     * closed. */
    void (*visit)(struct outlet *o);
    /* The end of the process. */
    void (*abort)(struct outlet *o, enum close_reason reason);
};

struct outlet {
    struct sink sink;
    struct list link; // in flusher.outlets
    struct flusher *flusher;
    const struct outlet_ops *ops;
};

/* Begins blocked. */
void outlet_open(struct outlet *o, struct flusher *f, const struct outlet_ops *ops);
/* Nothing is asked of it any more. Harmless on one that is closed already. */
void outlet_close(struct outlet *o);
/* It has somewhere to send to: a visit will come before the loop sleeps. */
void outlet_unblock(struct outlet *o);

/* So many frames of feeds have been taken: for the figures. */
void outlet_count_frames(struct outlet *o, uint64_t frames);

static inline void outlet_block(struct outlet *o)
{
    o->sink.blocked = true;
}

#endif
