/* feed.h - a short log of encoded frames and the cursors that follow it.
 *
 * A channel with subscribers keeps one feed per encoding. A frame is encoded once and appended; a
 * subscriber is a cursor: the number of the next frame it has to get. Nothing is copied or queued
 * per subscriber. A feed with nobody behind holds no memory but its array of cursors.
 *
 * Whoever fills feeds (the hub) and whoever empties them (net's flusher) know this header only.
 *
 * Thread:  one loop: its outflow, its feeds, cursors and sinks.
 * Memory:  feeds, cursors and sinks are embedded in their owners' objects; chunks come from the
 *          pool and are shared by reference.
 * Failure: feed_append() and cursor_join() say false when memory has run out. */
#ifndef BASE_FEED_H
#define BASE_FEED_H

#include "base/list.h"
#include "base/stats.h"
#include "base/str.h"

struct feed;
struct cursor;

/* What the flusher of one loop has to do. */
struct outflow {
    struct list feeds;      // feeds with cursors behind
    struct list sinks;      // sinks with something of their own to write
    uint32_t crowded_count; // feeds over their limit: write before reading on
    struct gauge log_bytes; // held by all feeds; others may read it
    uint64_t log_bytes_max; // over it every feed keeps less; 0: no limit
};

/* What is known of one frame besides its bytes. */
struct frame_note {
    uint32_t end;      // where it ends in its chunk
    uint32_t class;    // FRAME_PUBLICATION, ...: cursors take the classes of their mask
    uint64_t offset;   // of the publication; 0: none
    void *publication; // referenced through feed_ops while the chunk lives; NULL: none
};

enum { FRAME_PUBLICATION = 1, FRAME_JOIN = 2, FRAME_LEAVE = 4 };
enum { FEED_CHUNK_MIN = 2048, FEED_CHUNK_MAX = 32768 };
/* Who has not been served yet is not slow: for him a log may grow to so many times its limit. */
enum { FEED_BURST = 4 };
/* When the logs of all feeds are over their limit together, each has this part of its own. */
enum { FEED_SCARCE = 16 };

struct chunk {
    struct chunk *next; // the newer one; NULL in the newest
    uint32_t refs;      // the feed's, and one of every sink that stopped inside
    uint32_t size;      // of bytes[]; the notes grow down from its end
    uint32_t len;       // bytes in use
    uint32_t count;     // frames
    uint64_t first;     // number of its first frame
    const struct feed_ops *ops;
    bool special;  // some frame is not for everybody
    bool numbered; // some frame has an offset
    _Alignas(8) char bytes[];
};

struct feed_ops {
    /* Frames of classes outside the mask are skipped without asking; this is asked of frames with
     * a publication in special chunks, and of all when the cursor has a filter. */
    bool (*wants)(const struct cursor *c, const struct frame_note *note);
    void (*release)(void *publication); // the chunk with the frame dies
    /* The cursor's next frame has fallen off the log, or the cursor is lost. Called from the
     * flusher; must make it leave or move (cursor_skip), mark it lost, or end its connection, and
     * leave all other cursors where they are. A lost cursor is asked about again when its socket
     * has taken everything. */
    void (*overrun)(struct cursor *c);
};

struct feed {
    struct list link; // in outflow.feeds while somebody may be behind
    const struct feed_ops *ops;
    struct outflow *outflow;
    struct chunk *oldest, *newest;
    uint64_t head;             // number of the next frame to append
    uint64_t bytes, bytes_max; // held by the log; over the limit the oldest chunk goes, unless
                               // somebody whose socket has room still has to get it
    struct cursor **cursors;
    uint32_t cursor_count, cursor_cap;
    uint32_t
        chunk_size;     // of the next chunk: grows while one is not enough, shrinks when it is much
    uint32_t rover;     // the next cursor to visit
    uint32_t remaining; // visits until everybody has been seen since the last append
    uint32_t laggards;  // cursors that stayed behind when the last pass ended
    bool all_reached;   // nobody stayed behind in this pass
    uint64_t round_min; // least position seen since the rover was at 0; 0: not known
    uint64_t since_ns;  // when the oldest frame not yet offered to everybody was appended; 0: none
};

/* One connection's outgoing side. */
struct sink {
    struct list link;       // in outflow.sinks while it has something of its own to write
    struct cursor *cursors; // all it follows, linked by next_in_sink
    struct cursor *first;   // whose turn it is to be served first; NULL: cursors
    uint32_t cursor_count;
    bool blocked;  // the socket is full: wait for it, do not visit
    bool has_lost; // a cursor of it was marked lost: look at it when all has been written
    bool closed;   // nothing may be written any more
    bool held;     // frames of feeds wait: something has to be said before them
    bool outlet;   // has no connection: its owner fetches (net/outlet.h)
};

struct cursor {
    struct feed *feed; // NULL: joined to nothing
    struct sink *sink;
    struct cursor *next_in_sink;
    uint64_t next;   // number of the next frame; feed->head when it has all
    uint64_t offset; // of the last publication it got, for re-synchronising
    uint32_t index;  // in feed->cursors
    uint16_t mask;   // classes it takes
    bool filtered;   // ask wants() about every frame
    bool laggard;    // counted in feed->laggards
    bool lost;       // gets nothing from the log: what it misses has to come from elsewhere
};

void outflow_init(struct outflow *o);
void sink_init(struct sink *s);
void feed_init(struct feed *f, struct outflow *o, const struct feed_ops *ops, uint64_t bytes_max);
/* All cursors must have left. */
void feed_fini(struct feed *f);

struct frame_info {
    uint32_t class;
    bool special; // not for everybody: ask wants()
    uint64_t offset;
    void *publication; // one reference goes to the feed
    uint64_t now_ns;
};

/* Appends one encoded frame: everybody who follows the feed is behind now. False: no memory; the
 * publication's reference is released all the same. */
bool feed_append(struct feed *f, struct str bytes, struct frame_info info);

/* Joins at the head: gets what is appended from now on. */
bool cursor_join(struct cursor *c, struct feed *f, struct sink *s);
/* Harmless on a cursor joined to nothing. */
void cursor_leave(struct cursor *c);
/* Gives up what is between the cursor and the head. */
void cursor_skip(struct cursor *c);
/* Gives it up, and everything to come, until somebody sets lost to false. */
void cursor_lose(struct cursor *c);

static inline bool cursor_behind(const struct cursor *c)
{
    return c->next < c->feed->head;
}
static inline bool cursor_overrun(const struct cursor *c)
{
    return c->lost ||
           (c->feed->oldest == NULL ? cursor_behind(c) : c->next < c->feed->oldest->first);
}

/* ---- for the flusher ---- */

/* Frames to send, one contiguous piece of a chunk. */
struct piece {
    struct chunk *chunk;
    uint32_t start, end; // bytes of the chunk
    uint32_t count;      // frames
    uint64_t next;       // the cursor's position behind the piece
};
/* The first piece at or behind position *at that the cursor wants, and *at moves behind it. False:
 * nothing is left to send, and *at is the head. */
bool cursor_piece(const struct cursor *c, uint64_t *at, struct piece *ret);
/* The frame of the chunk that holds the byte at: its number; *ret_end: where it ends. */
uint64_t chunk_frame_at(const struct chunk *ch, uint32_t at, uint32_t *ret_end);
/* Moves the cursor to position next; chunk holds frame next - 1 (NULL: frames were only skipped).
 */
void cursor_advance(struct cursor *c, const struct chunk *chunk, uint64_t next);

/* The next cursor of the round; call feed_visited() when it has been served. NULL: everybody has
 * been seen since the last append. */
struct cursor *feed_next(struct feed *f);
void feed_visited(struct feed *f, const struct cursor *c);
/* After feed_next() said NULL: frees what everybody has, and takes the feed off the outflow. */
void feed_pass_end(struct feed *f);

struct chunk *chunk_ref(struct chunk *ch);
void chunk_unref(struct chunk *ch);

/* Sinks: something of its own to write. Harmless when already noted. */
void sink_wake(struct outflow *o, struct sink *s);
/* All cursors of `from` follow their feeds through `to` from here on, from where they stand; `to`
 * is woken, and `from` follows nothing. Neither is being visited. */
void sink_move(struct outflow *o, struct sink *from, struct sink *to);
/* Frames of its feeds wait from here until it is released; its own bytes do not. */
void sink_hold(struct sink *s);
void sink_release(struct outflow *o, struct sink *s);

#endif
