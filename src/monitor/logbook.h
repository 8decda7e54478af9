/* logbook.h - the newest log lines of every tenant: Recado's own and those that back ends send.
 * Each is told once, on the book's loop, and kept for whoever asks later.
 *
 * Thread:  any, unless said otherwise. The lock is held for moments, and nothing is called under
 *          it, so that a line may be logged from wherever one is.
 * Memory:  lines are counted; so many are kept, in so many bytes; then the tenant that has the most
 *          of them gives its oldest.
 * Failure: what is told too slowly is refused (of back ends), or not told and counted (our own).
 *          What the database cannot take now is tried again while it is kept. */
#ifndef MONITOR_LOGBOOK_H
#define MONITOR_LOGBOOK_H

#include "base/buf.h"
#include "base/list.h"
#include "loop/loop.h"

struct logbook;
struct store;

enum log_rank { RANK_DEBUG, RANK_INFO, RANK_WARNING, RANK_ERROR };
/* Any case; false: it is none of debug, trace, info, warning, warn, error, critical and fatal. */
bool log_rank_read(struct str text, enum log_rank *ret);

enum {
    LOG_LEVEL_MAX = 32,
    LOG_SOURCE_MAX = 128,
    LOG_MESSAGE_MAX = 16384, // more is cut off
    LOGBOOK_LINES_MAX = 1000 // in one answer
};

/* What comes in. */
struct log_entry {
    struct str level, source, message; // source "": none
    int64_t time_ms;
};

struct shelf;
/* What is kept: valid UTF-8 without zeros. */
struct log_line {
    atomic_uint refs;
    uint64_t seq; // one more than that of the line before, whatever its tenant
    int64_t time_ms;
    enum log_rank rank;
    bool own; // it came by logbook_add_own(), in this life
    struct str tenant, level, source, message;
    struct log_line *next; // private, as what follows: it waits to be told
    struct shelf *shelf;   // its tenant's; NULL: it is not kept
    struct log_line *older, *newer;
    struct list link, hole;
    char bytes[];
};
void log_line_unref(struct log_line *l);
/* {"level","message","source"?,"time","seq"}: an event's data, or with a source of null what a list
 * has. False: no room. */
bool log_line_write(struct buf *out, const struct log_line *l, bool with_null);

struct logbook_options {
    struct loop *loop;   // where lines are told
    struct store *store; // NULL: kept in memory alone
    uint32_t keep;
    uint64_t keep_bytes_max;
    /* In the order of seq. May log: those lines are not kept. */
    void (*tell)(void *ctx, const struct log_line *l);
    void *ctx;
};

/* NULL: no memory. */
struct logbook *logbook_create(const struct logbook_options *o);
/* Before anything is added: what the database has of an earlier life. done() on the loop. */
void logbook_load(struct logbook *b, void (*done)(void *ctx, bool ok), void *ctx);
/* From any thread but a loop's: what is not stored yet is given to the store. */
void logbook_flush(struct logbook *b);
/* The loop has ended. */
void logbook_destroy(struct logbook **bp);

/* All of them or, false, none: too many wait to be told, or no memory. */
bool logbook_add(struct logbook *b, struct str tenant, const struct log_entry *entries,
                 size_t count);
/* A line of our own. One that telling lines has led to is left out. */
void logbook_add_own(struct logbook *b, struct str tenant, const struct log_entry *e);

struct logbook_query {
    struct str tenant;
    enum log_rank least;
    struct str source; // exactly; "": any
    struct str text;   // somewhere in the message, in any case; "": any
    uint64_t before;   // older than this one; 0: the newest
    uint32_t limit;
};
/* The newest that match, oldest first, with a reference each; ret has room for limit. *ret_more:
 * there are older ones. *ret_newest: all lines up to this one have been looked at. */
size_t logbook_read(struct logbook *b, const struct logbook_query *asked, struct log_line **ret,
                    bool *ret_more, uint64_t *ret_newest);

struct logbook_stats {
    uint64_t lines, dropped, kept;
};
void logbook_read_stats(struct logbook *b, struct logbook_stats *ret);

#endif
