/* streams.h - the streams of a store: where each stands, and how its events are written, found and
 * dropped.
 *
 * Events lie in chunks: a chunk holds some of one stream, and chunks lie in the order in which they
 * came. So writing is appending. A chunk names the one before it of its stream; every SKIP_NEAR-th
 * chunk of a stream also names the SKIP_NEAR-th before it, and every SKIP_FAR-th the SKIP_FAR-th:
 * that is how an old event is found.
 *
 * The rows of recado_streams are written at checkpoints only; at the start, what came after the
 * last one is read from the chunks.
 *
 * Subscribers are fed before a commit, so a program that ends without having written everything may
 * have shown events whose offsets are free again. The generation counts such ends: in each, every
 * stream has another epoch, made from its row's epoch and the generation's number. The row is
 * written again with the first event that comes then, and never for a stream of which nothing
 * comes.
 *
 * Thread:  streams_find() and streams_fill_position() on any thread; what changes the database on
 *          the writer's; streams_read() on the reader's.
 * Memory:  one object per stream, until it is forgotten.
 * Failure: results of the database; memory is unchanged by a batch that was not committed. */
#ifndef STORE_STREAMS_H
#define STORE_STREAMS_H

#include "base/map.h"
#include "store/store.h"

#include <pthread.h>

enum { SKIP_NEAR = 32, SKIP_FAR = 1024 };
enum { CHUNK_BYTES_MAX = 48 << 10, CHUNK_EVENTS_MAX = 1024 };

/* Where a stream stands: what a chunk that is appended changes. */
struct stream_mark {
    uint32_t epoch;
    uint64_t first, last;                 // offsets; first > last: nothing is kept
    uint64_t chunks;                      // so many were ever written
    uint64_t bytes;                       // of the chunks that are there
    uint64_t last_seq, skip_seq, far_seq; // newest chunk, newest near and far ones; 0: none
    int64_t at_ms;                        // of the newest event
    uint32_t generation;                  // in which the row was written; an older one: stale
    uint32_t former_epoch;                // the epoch of before, in an older generation; 0: none
    uint32_t former_generation;           // which that was
    uint64_t former_last;                 // where it ended; of a stale row: where it ends now
};

struct stream {
    struct map_node node;     // key: tenant\0channel
    uint64_t id;              // 0: not in the database yet
    struct stream_mark now;   // committed
    struct stream_mark draft; // of the batch that is being written
    uint64_t fresh_id;        // of a row that the batch begins: the stream starts anew; 0: none
    struct stream *next_dirty, *next_saving;
    struct store_append *first_append, *last_append; // of the batch
    struct stream *next_in_batch;
    uint64_t seen_bytes, seen_pass; // of the sweep: what it met in its last way over the chunks
    uint64_t trimmed_pass;          // of the sweep, in which first last moved otherwise
    uint64_t dropping;              // by the transaction under way: bytes of its chunks
    bool dirty;                     // its row is behind
    bool saving;                    // its row is being written
    bool gone;                      // forgotten, and freed by the list that still holds it
    char key[];
};

struct streams {
    pthread_mutex_t lock;  // map, and every stream's now
    struct map map;        // guarded by lock, as the next four
    struct stream **by_id; // NULL: forgotten
    uint64_t id_cap, next_id;
    struct stream *dirty;
    struct stream *batch;  // streams with appends of this batch
    uint32_t batch_chunks; // that it was written as
    struct stream *saving; // of a checkpoint, those whose rows are still to be written
    struct stream *saved;  // up to here, the transaction under way writes them
    bool checkpointing, checkpoint_ends;
    uint64_t next_seq;
    uint64_t checkpoint_seq; // rows of streams hold at least all up to here
    uint64_t checkpoint_to;  // and up to here when the one under way has ended
    uint64_t swept_seq;      // the sweep goes on behind it
    uint64_t sweep_pass, sweep_from;
    uint32_t pass_dropped;        // chunks, on this way over all
    int64_t pass_due_ms;          // when the first of those that stay on it is too old
    bool swept;                   // nothing has come or gone since all were seen
    int64_t swept_until_ms;       // and until then nothing becomes too old
    struct sweep_effect *effects; // of the transaction under way
    size_t effect_count, effect_cap;
    uint64_t uncounted; // chunks since the last checkpoint
    uint32_t generation;
    bool in_use; // the database knows that it is, and of which generation
    struct buf body, scratch;
    void (*retention)(void *ctx, struct str key, struct store_retention *ret);
    void *ctx;
};

bool streams_init(struct streams *s, const struct store_options *o);
void streams_fini(struct streams *s);
/* Reads the rows, and the chunks that came behind the last checkpoint. */
enum sql_result streams_load(struct streams *s, struct sql *db);
/* Writes down that the streams are in use, before an event is taken; or that all that was shown has
 * been written, behind the last one. */
enum sql_result streams_begin_use(struct streams *s, struct sql *db);
enum sql_result streams_end_use(struct sql *db);
struct stream *streams_find(const struct streams *s, struct str key);
struct stream *streams_of_id(const struct streams *s, uint64_t id);
/* Under a new id; NULL: no memory, or streams_max. */
struct stream *streams_add(struct streams *s, struct str key, uint64_t id);
/* Makes sure that it can be written to. False: no memory, or streams_max. On any thread. */
bool streams_reserve(struct streams *s, struct str key);
/* A new number for st, whose chunks are its own from now on; 0: no memory. */
uint64_t streams_new_id(struct streams *s, struct stream *st);
/* No longer in the map; freed at once, or by the list that holds it. */
void streams_forget(struct streams *s, struct stream *st);
void streams_mark_dirty(struct streams *s, struct stream *st);

bool streams_position(struct streams *s, struct str key, struct store_position *ret);
bool streams_leads(struct streams *s, struct str key, uint32_t epoch, uint64_t offset);

/* A batch: add all (the caller holds lock), write inside a transaction (again, if it was not
 * committed), then settle: each() is called for every append, in order within a stream. */
bool streams_batch_add(struct streams *s, struct store_append *a);
enum sql_result streams_batch_write(struct streams *s, struct sql *db);
typedef void streams_each_fn(void *ctx, struct store_append *a);
void streams_batch_each(struct streams *s, streams_each_fn *each, void *ctx);
void streams_batch_settle(struct streams *s, bool committed, streams_each_fn *each, void *ctx);

/* A checkpoint begins between two transactions; then each of them writes some rows of what had
 * changed, until all are written. Settle with whether it was committed. */
void streams_checkpoint_begin(struct streams *s);
enum sql_result streams_checkpoint(struct streams *s, struct sql *db, uint32_t most);
void streams_checkpoint_settle(struct streams *s, bool committed);
/* Inside a transaction: looks at some chunks behind the last ones it looked at, and drops those
 * that nobody keeps; enough to keep up with `added` new ones. Settled behind the batch. */
enum sql_result streams_sweep(struct streams *s, struct sql *db, uint32_t added, int64_t now_ms);
void streams_sweep_settle(struct streams *s, bool committed);
/* Whether a sweep could find something to drop. */
bool streams_sweep_wanted(const struct streams *s, int64_t now_ms);
/* It shall look at everything once more. */
void streams_sweep_again(struct streams *s);
/* Rows are behind what is in memory. */
static inline bool streams_behind(const struct streams *s)
{
    return s->dirty != NULL || s->checkpointing;
}
/* Inside a transaction. What is still on its way, up to there, is trimmed as well. */
enum sql_result streams_trim(struct streams *s, struct sql *db, struct str key, uint64_t up_to);

/* On the reader's connection. */
enum sql_result streams_read(struct streams *s, struct sql *db, struct store_read *r);

/* ---- chunk bodies ---- */
bool chunk_put(struct buf *out, const struct store_event *e);
/* Takes the next event off *body; its strings point into it. False: damaged. */
bool chunk_take(struct str *body, struct store_event *ret);

#endif
