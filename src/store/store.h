/* store.h - what must survive: the streams of durable channels, and rows of the application.
 *
 * One writer thread commits what all loops have asked for together (group commit), one reader
 * thread answers what is older than memory, and another one what may have to look at very many
 * rows. A loop never waits: it is answered by mail.
 *
 * Thread:  store_open(), store_stop() and store_close() on the main thread while no loop runs;
 *          store_read_state(), store_stream_find() and store_stream_reserve() on any thread; the
 *          rest on a loop, which gets the answer.
 * Memory:  jobs and appends are embedded in their owners' objects and are the store's until they
 *          come back.
 * Failure: store_health() says when nothing should be appended: the database cannot be used, or too
 *          much is waiting for it. What was taken before stays and is written as soon as it can be.
 *          Nothing is acknowledged before its commit. */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include "loop/loop.h"
#include "store/sql.h"

struct store;

/* How much of a stream is kept. */
struct store_retention {
    uint32_t count;
    uint64_t bytes, ttl_ms; // ttl 0: for ever
};

struct store_options {
    struct str url;
    uint64_t queue_bytes_max; // events waiting for their commit; more are refused
    uint64_t streams_max;
    /* Of a stream (tenant\0channel); on the writer's thread. */
    void (*retention)(void *ctx, struct str key, struct store_retention *ret);
    void *ctx;
};

/* Migrates the schema, and reads where every stream stands. NULL: ret_why says why, for people: the
 * database cannot be opened, is damaged, or was written by a newer version. After an end in which
 * not everything could be written, a crash above all, every stream has another epoch. */
struct store *store_open(const struct store_options *o, struct buf *ret_why);
/* Commits what is waiting, if it can be, and ends the threads. The loops must turn once more:
 * answers are in the mail, and what is asked for from now on is answered SQL_DOWN. NULL is
 * harmless. */
void store_stop(struct store *s);
/* Stops it, and frees it. */
void store_close(struct store **sp);

enum store_health { STORE_OK, STORE_DOWN, STORE_DISK_FULL, STORE_BUSY };
struct store_state {
    enum store_health health;
    char why[256]; // unless STORE_OK
    uint64_t commits, events, events_bytes, failures, reads;
    uint64_t waiting_bytes; // for their commit
    uint64_t streams;
    uint64_t commit_ns; // time spent in commits
};
void store_read_state(struct store *s, struct store_state *ret);
/* Cheap: what a publish of a durable channel would be told now. */
enum store_health store_health(const struct store *s);

/* ---- streams ---- */

struct store_event {
    uint64_t offset;
    int64_t time_ms;
    struct str type, data, tags, info, id;
};

/* One event on its way to the disk. Appends of one stream come from one loop, in their order. */
struct store_append {
    struct mail mail, told; // private
    struct store_append *next;
    struct loop *loop; // that is answered
    struct str key;    // tenant\0channel
    uint32_t epoch;
    struct store_event event; // strings stay until released()
    enum sql_result result;
    bool answered; // private
    bool stored;   // in released(): it is on the disk, whatever done() was told
    /* Exactly once: committed (SQL_OK), or not yet and the publisher should be told so. */
    void (*done)(struct store_append *a);
    /* The last call, behind done(): it is the caller's again. */
    void (*released)(struct store_append *a);
};
/* Always taken: ask store_health() before, and store_stream_reserve() for the first of a stream. */
void store_append(struct store *s, struct store_append *a);

/* What one event may hold in all: database servers have limits for a row. */
enum { STORE_EVENT_BYTES_MAX = 8 << 20, STORE_NAME_MAX = 512 };

enum store_room { STORE_ROOM, STORE_ROOM_NAME, STORE_ROOM_STREAMS };
/* Whether there is room for this stream: not STORE_ROOM_NAME, its tenant or channel is longer than
 * STORE_NAME_MAX or not UTF-8; not STORE_ROOM_STREAMS, streams_max. */
enum store_room store_stream_reserve(struct store *s, struct str key);

/* Where a stream stands, of what is known to be kept. False: there is none. */
struct store_position {
    uint32_t epoch;
    uint64_t first, last; // kept offsets; first > last: none
};
bool store_stream_find(struct store *s, struct str key, struct store_position *ret);
/* Whether a place in an epoch of before leads into the present one: it ended in a crash, and the
 * events up to there are the same. What was seen behind the end that was found on the disk may
 * never have been written. */
bool store_stream_leads(struct store *s, struct str key, uint32_t epoch, uint64_t offset);

struct store_read {
    struct mail mail; // private
    struct store_read *next;
    struct loop *loop;
    struct str key;
    uint32_t epoch; // nothing is read of another one; 0: of any
    uint64_t after; // events with after < offset <= until
    uint64_t until; // 0: to the end
    uint32_t limit; // the first ones; of the last ones when newest
    uint64_t bytes_max;
    bool newest; // the last ones of the range, not the first
    enum sql_result result;
    struct store_event *events; // oldest first; the store's until done() returns
    size_t event_count;
    bool cut;        // not newest: bytes_max was reached, and more follows
    struct buf made; // private
    void (*done)(struct store_read *r);
};
void store_read(struct store *s, struct store_read *r);

/* ---- rows ---- */

/* Something to be done with the database. run() is on the store's thread: in the writer's
 * transaction, together with others (what it did is undone when it does not say SQL_OK), or on the
 * reader's, in which all statements see the database of one moment. It may run again after a failed
 * commit. */
struct store_job {
    struct mail mail; // private
    struct store_job *next;
    struct loop *loop;
    bool reads;  // changes nothing
    bool search; // and may take long: on a thread for those alone
    enum sql_result result;
    enum sql_result (*run)(struct store_job *j, struct sql *db);
    void (*done)(struct store_job *j); // on the loop
};
void store_do(struct store *s, struct store_job *j);

/* Forgets all events of a stream up to this offset; done() when that is on the disk. */
struct store_trim {
    struct store_job job; // loop and done() are the caller's
    struct store *store;  // private
    struct str key;
    uint64_t up_to;
};
void store_stream_trim(struct store *s, struct store_trim *t);

/* ---- beside the server that uses it ---- */

/* A copy of an embedded database in a new file. False: ret_why, a line for people. Blocks. */
bool store_backup(struct str url, const char *file, struct buf *ret_why);
/* Reads all of it. False: what is wrong, a line each. */
bool store_check(struct str url, struct buf *ret_why);

#endif
