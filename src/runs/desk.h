/* desk.h - rows of the application are asked for and changed here: changes one after the other, and
 * told in that order when they are committed.
 *
 * An ask is an object of its kind that begins with struct desk_ask. A change goes to the desk's
 * home loop, from there to the store, and when it is committed its events are published from the
 * home loop: whoever follows them sees them in the order of the commits. What only reads goes to
 * the store from the loop that asks.
 *
 * Thread:  desk_ask_make() and desk_ask_start() on the loop that asks, which gets the answer; run()
 *          on the store's thread; publish() on the home loop.
 * Memory:  an ask is one block with the strings that were given; it frees itself behind done().
 * Failure: every ask is answered exactly once, inside desk_ask_start() or later. Nothing is
 *          published of what was not committed. */
#ifndef RUNS_DESK_H
#define RUNS_DESK_H

#include "base/err.h"
#include "base/json.h"
#include "store/store.h"

enum desk_state {
    DESK_DONE,
    DESK_MADE,    // a row is new
    DESK_BAD,     // what was asked is wrong
    DESK_DENIED,  // not for whoever asks
    DESK_MISSING, // there is no such row
    DESK_CLASH,   // the row is not in a state for that
    DESK_TOO_BIG,
    DESK_FULL, // so many may there be
    DESK_BUSY, // too much is waiting already
    DESK_DOWN, // the store cannot be used now
    DESK_BROKEN
};
/* What it is called on the wire. */
enum err desk_state_err(enum desk_state s);

struct desk_reply {
    enum desk_state state;
    struct str why;  // unless DESK_DONE or DESK_MADE: a text for people
    struct str body; // JSON, or ""
};
typedef void desk_done_fn(void *ctx, const struct desk_reply *r);

/* Something to be published when the change is committed. */
struct desk_event {
    struct desk_event *next;
    struct str tenant, channel, type, data;
    char bytes[];
};

struct desk_options {
    struct store *store; // NULL: there is none, and everything is answered DESK_DOWN
    struct loop *home;
    void (*publish)(void *ctx, const struct desk_event *e);
    void *ctx;
};

struct desk;
struct desk *desk_create(const struct desk_options *o);
/* Nothing may be under way. */
void desk_destroy(struct desk **dp);
/* Its own times and the like run here. */
struct loop *desk_home(const struct desk *d);

enum { DESK_WHY_MAX = 200, DESK_BODY_MAX = 16 << 20 };
struct desk_ask {
    struct store_job job; // private
    struct mail mail;     // private
    struct desk *desk;
    struct loop *loop; // that is answered
    bool reads;
    bool search; // as of a store_job
    struct str tenant;
    /* On the store's thread; may run again. It says what became of it in state, why and body; when
     * it returns anything but SQL_OK what it did is undone. */
    enum sql_result (*run)(struct desk_ask *a, struct sql *db);
    /* On the home loop, when a change is committed and told. May be NULL. */
    void (*settled)(struct desk_ask *a);
    desk_done_fn *done;
    void *ctx;
    size_t bytes;
    enum desk_state state;
    struct buf body;
    struct desk_event *events, **events_end;
    size_t why_n;
    char why[DESK_WHY_MAX];
    char *room; // as many bytes as were asked for
};

/* Who asks. */
struct desk_from {
    struct loop *loop; // the caller's own
    struct str tenant;
    desk_done_fn *done; // NULL: nobody waits
    void *ctx;
};
/* Zeroed but for what desk_ask has; size: of the whole object. room: bytes for its strings. NULL:
 * no memory, and done() has been told. */
void *desk_ask_make(struct desk *d, const struct desk_from *from, size_t size, size_t room);
void desk_ask_start(struct desk_ask *a);
/* Instead of starting it: it is answered with this, and gone. */
void desk_ask_refuse(struct desk_ask *a, enum desk_state state, struct str why);

/* Inside run(): what became of it. Returns SQL_OK. */
enum sql_result desk_ask_say(struct desk_ask *a, enum desk_state state, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* The same when something was changed that has to be undone. */
#define DESK_UNDO SQL_CONSTRAINT
/* Inside run(). False: no memory. */
bool desk_ask_tell(struct desk_ask *a, struct str tenant, struct str channel, const char *type,
                   struct str data);

/* Inside run(). The number in the first row; 0: there is none, or it is NULL. */
enum sql_result desk_number(struct sql *db, const char *text, const struct sql_value *params,
                            size_t count, int64_t *ret);
/* Inside run() of what reads: a page of rows, and how many there are. */
struct desk_page {
    const char *key;                // of the rows
    const char *rows, *count;       // statements; that of the rows takes two parameters more
    const struct sql_value *params; // limit and offset come last
    size_t count_params;            // those that both take
    sql_row_fn *put;                // writes a row into *w
    void *ctx;
    struct json_writer *w;
};
/* {"<key>":[..],"total":n} as the answer. */
enum sql_result desk_ask_page(struct desk_ask *a, struct sql *db, const struct desk_page *p);

/* Numbers of rows, in the writer's hands: zeroed at first. */
struct desk_ids {
    int64_t last;
    bool known;
};
/* Inside run() of a change. text: SELECT of one number, the highest so far. */
enum sql_result desk_id_next(struct desk_ids *ids, struct sql *db, const char *text, int64_t *ret);

#endif
