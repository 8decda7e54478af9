/* socketio_recovery.h - what is known of a socket so that its client can go on after a break.
 *
 * Thread:  a state belongs to its socket's loop, or, while its client is away, to whoever holds the
 *          lock of struct sio_recoveries.
 * Memory:  one state per socket: its rooms (ROOMS_MAX) and the newest events sent (SENT_MAX).
 *          States of clients that are away are bounded by AWAY_MAX and by their time.
 * Failure: a state that is not complete any more is dropped: its client connects as a new one. */
#ifndef DIALECT_SOCKETIO_RECOVERY_H
#define DIALECT_SOCKETIO_RECOVERY_H

#include "dialect/socketio_priv.h"

enum {
    PID_CHARS = 32,            // 128 random bits
    RECOVERY_ROOMS_MAX = 256,  // of a socket; with more it cannot come back
    RECOVERY_SENT_MAX = 1024,  // events that were sent, and the client may not have received
    RECOVERY_AWAY_MAX = 65536, // of an endpoint
};

/* A channel that the socket follows, and how far. */
struct recovery_room {
    struct str channel;     // own copy
    struct position at;     // what was sent up to; epoch 0: a channel without a stream
    uint64_t joined_serial; // events before it were sent of an earlier stay in the room
    bool again;             // to be joined again
};

/* An event that was sent. */
struct recovery_sent {
    uint32_t room;
    uint64_t before; // offset of the room before it
};

struct recovery_state {
    struct map_node node; // key: pid
    struct list link;     // in sio_recoveries.away: the oldest first
    uint64_t away_ms;     // since when, monotonic
    const struct sio_space *space;
    char pid[PID_CHARS];
    uint8_t sid[16];
    struct str tenant, user; // own block
    char *names;
    uint64_t serial;  // of the event sent last; its text is the offset that the client says
    uint64_t lost;    // and of the last one that is not in `sent` any more
    uint64_t resumed; // where the client went on the last time
    struct recovery_room *rooms;
    uint32_t room_count;
    struct recovery_sent *sent; // that with serial n at n % sent_cap
    uint32_t sent_cap;
    bool broken; // it cannot be complete: not kept
};

/* NULL: no memory. */
struct recovery_state *recovery_state_make(void);
void recovery_state_free(struct recovery_state *st);
/* NULL: not there; add: made then, or NULL and broken. */
struct recovery_room *recovery_room_find(struct recovery_state *st, struct str channel, bool add);
/* One more event of this room has been sent, at this offset. */
void recovery_note(struct recovery_state *st, struct recovery_room *room, uint64_t offset);
/* Everything behind `serial` counts as not received. False: that cannot be told any more. */
bool recovery_rewind(struct recovery_state *st, uint64_t serial);

#endif
