/* conductor_priv.h - what the files of the conductor dialect share: who watches the council, the
 * jobs and their readers, what the back end is asked.
 *
 * Thread:  struct conductor is of all loops: its lock guards what is marked so, and is never held
 *          while anything is sent. Everything else is its own loop's.
 * Memory:  the conductor lives as long as its endpoint; a job as long as it is remembered or read.
 * Failure: a request that cannot be served is answered; a job that cannot go on ends with an event
 *          "error". */
#ifndef DIALECT_CONDUCTOR_PRIV_H
#define DIALECT_CONDUCTOR_PRIV_H

#include "base/json.h"
#include "base/pool.h"
#include "base/random.h"
#include "dialect/ws_session.h"
#include "http/client.h"
#include "hub/filter.h"

#include <pthread.h>
#include <stdlib.h>

enum {
    TOPICS_MAX = 256, // of one client, and
    TOPICS_MAX_BYTES = 8192,
    PAUSES_MAX = 16,      // of one client that wait for their answer
    COUNCILS_MAX = 10000, // tenants
    RECENT_MAX = 200,     // task events of a tenant that can be asked for, and
    RECENT_MAX_BYTES = 512 << 10,
    JOB_MAX_BYTES = 16 << 20,   // events of one job, and
    JOBS_MAX_BYTES = 256 << 20, // of all
    JOB_GRACE_MS = 1000,        // between result or error and the end, for what still comes
    JOB_ID_TEXT = 4 + UUID_TEXT,
    STAMP_MAX = 32,
    FRAME_ROOM = 128, // of an event, beside its type and data
    EVENT_TYPE_MAX = 255,
    HTTP_TEXT_MAX = 8 << 20, // an answer, or what the back end is sent
};

/* ---- what is written (conductor_write.c) ---- */

/* Seconds since 1970 as a JSON number with six digits behind the point; returns the length. */
size_t stamp_write(int64_t wall_ms, char at[STAMP_MAX]);
/* {"type":type,"data":data,"timestamp":..} on one line. */
bool frame_write(struct buf *out, struct str type, struct str data, int64_t wall_ms);
/* {"event":..,"data":..,"timestamp":..,"job_id":..} on one line. */
bool job_frame_write(struct buf *out, const struct publication *p, struct str job_id);
/* {"message":message}: the data of an error. */
bool message_write(struct buf *out, struct str message);
/* Publications as such frames. */
extern const struct ws_writer conductor_writer;
const struct encoding *conductor_encoding(const struct framing *f);
/* {"detail":"..."} as the framework of the original has it. */
void reply_detail(struct http_request *r, unsigned status, struct str text);
/* 422 with its list of what is wrong with the body. */
void reply_invalid(struct http_request *r, struct str kind, struct str where, struct str message);

/* ---- what is read (conductor_read.c) ---- */

enum command_kind { COMMAND_OTHER, COMMAND_SUBSCRIBE, COMMAND_PING, COMMAND_STATS, COMMAND_PAUSE };
struct council_command {
    enum command_kind kind;
    struct str name;         // raw JSON value; "": absent
    struct str topics;       // raw; "": absent
    struct str councilor_id; // raw; "": absent
};
/* False: not a JSON object. */
bool council_command_read(struct str text, struct council_command *ret);
/* A command's name in an error's words, as the original prints it: None, True, or the text. */
bool command_name_write(struct buf *out, struct str raw);

struct topics {
    uint32_t count;
    struct str raw; // the JSON array as it was sent
    struct str items[];
};
/* NULL: not an array of strings, or too many; or no memory. */
struct topics *topics_make(struct str raw);
bool topics_want(const struct topics *t, struct str type); // t NULL: everything

/* An event that a back end sends: {"type":..,"data":{..}}. */
struct council_event {
    struct str type;   // decoded
    struct str data;   // an object; "{}" when absent
    struct str tenant; // decoded; "": the endpoint's
    char type_at[EVENT_TYPE_MAX + 1];
    char tenant_at[NAME_BYTES_MAX + 1];
};
/* NULL: understood, else what is wrong (constant). Without a type that is "". */
const char *council_event_read(struct str text, struct council_event *ret);
/* The object with level "debug" instead of its own level. */
bool debug_data_write(struct buf *out, struct str data);

/* The text of a job: textEntries[0].content, else input, else command, the first that is not
 * empty; ret_raw: the body of a JSON string. False: there is none. body is checked JSON. */
bool job_text_find(struct str body, struct str *ret_raw);

/* ---- a session that only listens (conductor_tap.c) ---- */

/* The server's own: it follows one channel and is told of its events. */
struct tap {
    struct session session;
    struct sink sink;
    struct encoding encoding;
    struct mail leave;
    atomic_bool leaving;
    bool opening; // inside tap_open()
    bool ready;   // it hears whatever is published from here on, by whomever
    const struct tap_kind *kind;
};
struct tap_kind {
    void (*heard)(struct tap *t, struct publication *p);
    void (*ready)(struct tap *t); // when tap_open() has left it unready; may be NULL
    void (*gone)(struct tap *t);  // the last call, after tap_leave(), or when it could not follow
};
/* t: zeroed. tenant must outlive it. Nothing of kind is called inside. False: no session is free,
 * and gone() will not come. */
bool tap_open(struct tap *t, struct hub *hub, struct str tenant, struct str channel,
              const struct tap_kind *kind);
/* From any thread, while t is there. */
void tap_leave(struct tap *t);

/* ---- one tenant's council (conductor_council.c) ---- */

struct conductor {
    const struct endpoint *endpoint;
    struct endpoint producer;  // as endpoint, without a limit of messages
    struct sse_options stream; // as the endpoint's, without comments
    pthread_mutex_t lock;      // of all that follows and of what it leads to
    struct map councils;       // struct council, by tenant
    struct map jobs;           // struct job, by tenant\0id
    struct list ended;         // jobs whose tap is gone, the oldest first
    struct list handings;      // struct handing
    uint64_t job_bytes;        // of the events of all jobs
};

struct council {
    struct map_node node; // key: the tenant, in bytes
    struct conductor *conductor;
    struct list watchers;
    uint32_t watcher_count;
    struct council_record *record; // NULL: nobody listens for task events
    char bytes[];
};

/* NULL after it was answered: no memory at birth. */
struct conductor *conductor_of(struct http_request *r, const struct endpoint *e);

struct watcher {
    struct ws_session ws;
    struct conductor *conductor;
    struct council *council; // NULL: not counted (no memory)
    struct list link;        // of the council
    struct topics *topics;   // NULL: everything; changed under the lock, by its own loop only
    struct encoding own;     // of the channel client:<id>
    struct list pauses;
    uint32_t pause_count;
    bool greeted; // it has been sent "connected"
};

void council_join(struct watcher *w);
void council_leave(struct watcher *w);
/* Makes sure that task events of this tenant are kept from here on, and those that its channel
 * remembers. done() (NULL: nobody waits) is called once, maybe inside, when they are there. */
typedef void recalled_fn(void *ctx);
void council_listen(struct conductor *c, struct hub *hub, struct str tenant, recalled_fn *done,
                    void *ctx);
struct council *council_find(struct conductor *c, struct str tenant); // under the lock
uint32_t council_count(struct conductor *c, struct str tenant);
bool council_stats_write(struct watcher *w, struct buf *out);
void councils_drop(struct conductor *c);

/* ---- a tenant's last task events (conductor_record.c) ---- */

/* Under the lock; rec may be NULL. */
struct council_record *council_record_make(struct council *cc, struct hub *hub); // NULL: none
bool council_record_has_events(const struct council_record *rec);
void council_record_leave(struct council_record *rec); // its council goes
void council_record_drop(struct council_record *rec);  // at the end of all
/* With the lock free. Fetches what was published before the record was there; as council_listen()
 * otherwise. */
void council_record_recall(struct conductor *c, struct hub *hub, struct str tenant,
                           recalled_fn *done, void *ctx);
/* The newest task events, newest first, as the elements of an array. Returns how many. */
uint32_t council_recent_write(struct conductor *c, struct str tenant, uint32_t most,
                              struct buf *out);

/* ---- councilors to pause (conductor_pause.c) ---- */

void pause_ask(struct watcher *w, struct str councilor_id);
/* An event of the client's own channel has come: it may be the answer. */
void pause_heard(struct watcher *w, const struct publication *p);
void pauses_tick(struct watcher *w);
void pauses_drop(struct watcher *w);

void watcher_send(struct watcher *w, struct str type, struct str data);
void watcher_send_message(struct watcher *w, struct str type, struct str message);

/* ---- jobs (conductor_job.c) ---- */

struct job {
    struct map_node node; // key: tenant\0id, in bytes
    struct list link;     // in conductor.ended
    struct conductor *conductor;
    struct tap tap;     // its loop is the job's
    struct timer timer; // silence, then grace, then forgetting
    struct mail evict;
    struct str tenant, id;
    uint64_t heard_ms;                   // loop clock: of its newest event
    bool tap_gone;                       // the job's own loop's, as timer, heard_ms, and
    void (*started)(void *ctx, bool ok); // NULL: it has been called
    void *ctx;
    /* Under the lock: */
    struct publication **events; // a ring
    uint32_t head, count, cap;
    uint64_t first; // number of the oldest event that is kept
    uint64_t bytes;
    struct list readers;
    uint32_t refs; // its loop's, and one per reader
    bool finishing, ended, forgotten;
    char bytes_at[];
};

enum job_made { JOB_MADE, JOB_NO_ROOM, JOB_NO_MEMORY };
/* A new job. JOB_MADE: started() is called once, maybe inside. ok: whatever is published from then
 * on is kept; else it could not be listened to, and is over. */
enum job_made job_make(struct conductor *c, struct hub *hub, struct str tenant,
                       char ret_id[JOB_ID_TEXT], void (*started)(void *ctx, bool ok), void *ctx);
/* One reference; NULL: not there. */
struct job *job_find(struct conductor *c, struct str tenant, struct str id);
void job_unref(struct job *job);
bool job_is_running(struct conductor *c, struct str tenant, struct str id);
void jobs_drop(struct conductor *c);

/* Publishes to the job's channel, as a back end would. */
void job_publish(struct hub *hub, struct str tenant, struct str id, struct str type,
                 struct str data);
void job_publish_error(struct hub *hub, struct str tenant, struct str id, struct str message);

/* A reader's place in a job. */
struct job_reader {
    struct list link;
    struct loop *loop;
    struct mail mail; // more has come; its deliver() is the reader's
    bool woken;       // mail is under way; under the lock
};
void job_attach(struct job *job, struct job_reader *rd);
/* True: mail is under way and will still be delivered. */
bool job_detach(struct job *job, struct job_reader *rd);
/* The reader has got its mail. */
void job_heard(struct job *job, struct job_reader *rd);
/* The events from *at on, at most max, with references; *ret_lost: how many before are not kept any
 * more (*at has moved over them). *ret_ended: nothing will follow those that are handed out. */
uint32_t job_events(struct job *job, uint64_t *at, struct publication **ret, uint32_t max,
                    uint64_t *ret_lost, bool *ret_ended);

/* ---- what the back end is asked (conductor_hand.c) ---- */

/* Gives a job to the back end, or to the channel jobs. */
void job_hand_over(struct conductor *c, struct hub *hub, const struct identity *who, struct str id,
                   struct str text_raw, struct str body);
struct http_call *backend_ask(const struct conductor *c, const struct loop *l, struct str body,
                              void (*done)(void *ctx, const struct http_result *result), void *ctx);
void handings_drop(struct conductor *c);

/* ---- further paths ---- */

void conductor_execute(struct http_request *r, const struct endpoint *e);
void conductor_stream(struct http_request *r, const struct endpoint *e);
void conductor_ingest(struct http_request *r, const struct endpoint *e);
void conductor_produce(struct http_request *r, const struct endpoint *e);
void conductor_recent(struct http_request *r, const struct endpoint *e);
void conductor_tasks(struct http_request *r, const struct endpoint *e);
/* A client's request: false: answered. */
bool conductor_admit(struct http_request *r, const struct endpoint *e, bool api_key_helps,
                     struct identity *ret);

#endif
