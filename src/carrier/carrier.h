/* carrier.h - what a dialect sees of the thing that carries its messages.
 *
 * A carrier (WebSocket, SSE, Engine.IO) turns bytes into messages and messages into bytes, and
 * keeps its peer alive. It knows nothing of what the messages mean.
 *
 * Thread:  the connection's loop.
 * Memory:  carriers are created on an accepted request and free themselves after closed().
 * Failure: a carrier that cannot go on closes itself; closed() comes exactly once, at the end of
 *          the turn, never from inside carrier_send() or carrier_close(). */
#ifndef CARRIER_CARRIER_H
#define CARRIER_CARRIER_H

#include "base/buf.h"
#include "base/close.h"
#include "base/feed.h"
#include "net/conn.h"

struct carrier;

/* How a payload becomes the bytes of one variant of a carrier (plain, deflated...): a
 * publication is framed once per variant and shared by all its subscribers. */
struct framing {
    const char *name;
    /* Appends the whole frame. False: no room or no memory. */
    bool (*frame)(const struct framing *f, struct buf *out, struct str payload);
    int window_bits; // deflate variants
    bool binary;
};

struct carrier_handler {
    /* A whole message; the bytes are gone when this returns. */
    void (*message)(struct carrier *c, void *ctx, struct str payload, bool binary);
    /* The last call: ctx is forgotten. code: the peer's close code, or 0. */
    void (*closed)(struct carrier *c, void *ctx, enum close_reason reason, unsigned code);
    /* Any sign of life: frame, pong. May be NULL. */
    void (*alive)(struct carrier *c, void *ctx);
    /* carrier_sink() is another one from here on (an upgrade), and the cursors have been moved
     * there. May be NULL where the carrier never does that. */
    void (*moved)(struct carrier *c, void *ctx);
    uint16_t no_pong_code; // what a peer that sent no pong is told; 0: as native clients know it
};

struct carrier_ops {
    const char *name;
    void (*send)(struct carrier *c, struct str payload, bool binary);
    /* code 0: the reason's own code and text. */
    void (*close)(struct carrier *c, enum close_reason reason, unsigned code, struct str text);
    /* Of carriers that outlive their connections; NULL: the connection's. */
    struct sink *(*sink)(struct carrier *c);
};

struct carrier {
    const struct carrier_ops *ops;
    const struct framing *framing; // of this peer: constant after the handshake
    const struct carrier_handler *handler;
    void *ctx;         // the dialect's session
    struct conn *conn; // its loop, sink and peer address; NULL: none now (Engine.IO between polls)
};

/* One message to this peer only; copied. */
static inline void carrier_send(struct carrier *c, struct str payload)
{
    c->ops->send(c, payload, false);
}

/* After this the peer is told and the connection ends; closed() will come. */
static inline void carrier_close(struct carrier *c, enum close_reason reason)
{
    c->ops->close(c, reason, 0, STR_NONE);
}

static inline void carrier_close_with(struct carrier *c, enum close_reason reason, unsigned code,
                                      struct str text)
{
    c->ops->close(c, reason, code, text);
}

static inline struct sink *carrier_sink(struct carrier *c)
{
    return c->ops->sink != NULL ? c->ops->sink(c) : &c->conn->sink;
}

#endif
