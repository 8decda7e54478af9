/* plataforma_priv.h - what the files of the plataforma dialect share.
 * Thread:  a session and the rooms of its loop on that loop; the register on any.
 * Memory:  one plat_shared per endpoint; a session's member of the register outlives it while mail
 *          about it is under way.
 * Failure: what a client gets wrong is ignored, as it always was; what a back end gets wrong is
 *          answered with 422. */
#ifndef DIALECT_PLATAFORMA_PRIV_H
#define DIALECT_PLATAFORMA_PRIV_H

#include "base/clock.h"
#include "base/json.h"
#include "base/map.h"
#include "base/random.h"
#include "dialect/ws_session.h"
#include "hub/filter.h"

#include <pthread.h>

enum {
    PLAT_ID_MAX = 128,      // bytes of a client_id or a source
    PLAT_PROJECT_MAX = 240, // bytes of a project's id
    PLAT_CHANNEL_MAX = PLAT_PROJECT_MAX + 8,
    PLAT_PROJECTS_MAX = 256,   // that one session subscribes to
    PLAT_TENANTS_MAX = 65536,  // remembered by the register
    PLAT_FRAME_MAX = 4096,     // a frame of our own
    PLAT_STATS_MAX = 64 << 20, // the statistics, however many projects
    PLAT_NOTES = 256,          // of log messages, per loop; a power of two
};

enum plat_kind { PLAT_NOTIFICATIONS, PLAT_PROJECT, PLAT_LOGS };

/* ---- what a client says ---- */

enum plat_verb { PLAT_IGNORED, PLAT_PING, PLAT_SUBSCRIBE, PLAT_UNSUBSCRIBE, PLAT_STATS };
struct plat_command {
    enum plat_verb verb;
    struct str project; // "": none was named
    char project_at[PLAT_PROJECT_MAX];
};
void plat_command_read(struct str text, struct plat_command *ret);

/* ---- projects ---- */

#define PLAT_PREFIX STR("project:")
/* The channel of a project whose id is not too long. */
struct str plat_project_channel(struct str project, char at[PLAT_CHANNEL_MAX]);
/* The other way round; "": the channel is no project's. */
struct str plat_channel_project(struct str channel);

/* ---- log messages ---- */

enum plat_level { LEVEL_DEBUG, LEVEL_INFO, LEVEL_WARNING, LEVEL_ERROR };
/* Any case; what is not known counts as info. */
enum plat_level plat_level_read(struct str text);

/* What a log's filter wants to know of a publication. */
struct plat_note {
    const struct publication *publication;
    enum plat_level level;
    struct str source; // raw, as it stands in the data; "": none
    uint64_t seq;      // of the logbook; 0: it is not from there
};
void plat_note_read(const struct publication *p, struct plat_note *ret);
/* source "": any. */
bool plat_note_passes(const struct plat_note *note, enum plat_level least, struct str source);

/* ---- the register: who is there, on whatever loop ---- */

/* A tenant's figures. It stays when its last client has gone, so that they go on. */
struct plat_tenant {
    struct map_node node;                  // key: its name
    struct map projects;                   // of plat_project
    struct list members;                   // all that count
    struct list logs;                      // those of them that read logs
    uint32_t refs;                         // members, counted or not
    uint32_t member_count, notified_count; // notified: on /ws/notifications
    uint32_t free_count;                   // of those: without a project of their own
    uint64_t connection_count, broadcast_count;
    _Atomic uint64_t sent, received;
    char name[];
};

/* A project with members. */
struct plat_project {
    struct map_node node; // key: its id
    uint32_t member_count;
    char id[];
};

/* A project in a session's own set. */
struct plat_own {
    struct map_node node; // key: the project's
    struct plat_project *project;
};

/* One connection as the register knows it. Guarded by the register's mutex, but for session and
 * projects: its loop alone changes them (projects under the mutex), and reads them without it. */
struct plat_member {
    struct map_node node; // key: tenant, NUL, client_id
    struct list link;     // in tenant->members
    struct list of_logs;
    struct mail mail;             // to its loop: it has been replaced
    struct plat_session *session; // NULL: gone
    struct loop *loop;
    struct plat_tenant *tenant;
    struct map projects; // of plat_own
    _Atomic uint32_t refs;
    enum plat_kind kind;
    bool counted; // has its place in the register
    bool hears;   // and its subscriptions
    uint8_t client[16];
    enum plat_level least;
    struct str client_id, source; // in bytes
    char bytes[];
};

struct plat_register {
    pthread_mutex_t mutex;
    struct map tenants, members;
    uint32_t counted, counted_max;
    int64_t started_ms;
};

/* What the register must know to take a session in. */
struct plat_arrival {
    enum plat_kind kind;
    struct str tenant, client_id; // client_id "": one is made
    enum plat_level least;
    struct str source;
};

void plat_client_from_id(struct str client_id, uint8_t ret[16]);

bool plat_register_init(struct plat_register *reg, uint32_t counted_max);
void plat_register_fini(struct plat_register *reg);
/* NULL: no memory. The session's reference is the caller's. */
struct plat_member *plat_member_make(const struct plat_arrival *a);
void plat_member_unref(struct plat_member *m);
/* Takes the place of whoever has the same client_id. False: it is full. */
bool plat_register_join(struct plat_register *reg, struct plat_member *m, struct str tenant);
/* Its subscriptions are there: it counts as one that gets events. */
void plat_register_hear(struct plat_register *reg, struct plat_member *m);
void plat_register_leave(struct plat_register *reg, struct plat_member *m);

/* With the mutex held. */
struct plat_tenant *plat_tenant_find(const struct plat_register *reg, struct str name);
/* Makes it when it is new; NULL: no memory. */
struct plat_tenant *plat_tenant_get(struct plat_register *reg, struct str name);
struct plat_project *plat_project_find(const struct plat_tenant *t, struct str id);

enum plat_change { CHANGE_DONE, CHANGE_NONE, CHANGE_REFUSED };
/* REFUSED: too many, or no memory. */
enum plat_change plat_register_subscribe(struct plat_register *reg, struct plat_member *m,
                                         struct str project);
enum plat_change plat_register_unsubscribe(struct plat_register *reg, struct plat_member *m,
                                           struct str project);
static inline bool plat_member_follows(const struct plat_member *m, struct str project)
{
    return map_find(&m->projects, project) != NULL;
}

/* The statistics object of one tenant. False: no room. */
bool plat_register_write_stats(struct plat_register *reg, struct str tenant, struct buf *out);
uint32_t plat_register_count(struct plat_register *reg, struct str tenant);
uint32_t plat_register_subscribers(struct plat_register *reg, struct str tenant,
                                   struct str project);

struct plat_event {
    struct str tenant, project; // project "": of none
    bool is_log;
    struct plat_note note;  // of a log message
    const uint8_t *exclude; // 16 bytes; NULL: nobody
};
/* How many clients get it; one that is of no project counts as a broadcast. */
uint32_t plat_register_broadcast(struct plat_register *reg, const struct plat_event *ev);

/* ---- rooms: who of one loop follows a channel, to count what is sent ---- */

struct plat_shared;

struct plat_room {
    struct map_node node; // key: tenant, NUL, channel
    struct plat_tenant *tenant;
    struct list plain, choosy; // seats; plain ones get everything
    uint32_t plain_counts[WS_FRAMINGS];
};

struct plat_seat {
    struct list link; // in one of the room's lists
    struct plat_session *session;
    struct plat_room *room;   // NULL: not taken
    struct subscription *sub; // NULL: on its way, or ended
    filter_fn *wants;         // NULL: always everything; ctx is the seat
    bool choosy;              // wants is asked now
};

/* Of a channel that a back end told the client to follow. */
struct plat_extra {
    struct plat_extra *next;
    struct plat_seat seat;
};

struct plat_loop {
    struct encoding encodings[WS_FRAMINGS];
    struct plat_shared *shared;
    struct map rooms;
    struct plat_note *notes; // PLAT_NOTES of them, made when somebody reads logs
};

struct plat_shared {
    const struct endpoint *endpoint;
    struct plat_register reg;
    struct plat_loop loops[HUB_LOOPS_MAX];
};

/* False: no memory. */
bool plat_seat_take(struct plat_seat *seat, struct str channel);
void plat_seat_leave(struct plat_seat *seat);
/* Whether its filter is to be asked from now on. */
void plat_seat_set_choosy(struct plat_seat *seat, bool choosy);
void plat_rooms_fini(struct plat_loop *pl);
/* Counts an event that is about to be sent to the room. */
void plat_room_count(struct plat_loop *pl, int framing, struct str channel,
                     const struct publication *p);
/* What the loop knows of a log message. */
const struct plat_note *plat_loop_note(struct plat_loop *pl, const struct publication *p);
/* A new publication may stand where one that is no more was known. */
void plat_loop_forget(struct plat_loop *pl, const struct publication *p);

/* ---- sessions ---- */

struct plat_session {
    struct ws_session ws;
    struct plat_member *member;
    struct plat_loop *loop;
    uint64_t alive_ms;     // the last sign of life
    uint64_t heartbeat_ms; // the next one is due
    uint8_t joining;       // subscriptions that are on their way
    bool welcomed, replaced;
    struct plat_seat seats[3];
    struct plat_extra *extras;
    struct str project; // of /ws/project
    struct str level;   // of /ws/logs, as it was asked for
    uint32_t tail;      // of /ws/logs: so many older lines were asked for
    uint64_t tail_seq;  // and those up to this one have been sent
    char *strings;
};

static inline struct plat_shared *plat_shared_of(const struct plat_session *ps)
{
    return ps->loop->shared;
}
static inline struct plat_session *plat_session_of(struct ws_session *ws)
{
    return container_of(ws, struct plat_session, ws);
}

extern const struct ws_kind plat_session_kind;

/* What the path and the query say. */
struct plat_ask {
    enum plat_kind kind;
    struct str project, client_id, level, source;
    uint32_t tail;
    char client_id_at[PLAT_ID_MAX], level_at[PLAT_ID_MAX], source_at[PLAT_ID_MAX];
};

/* The session has its loop and its member: it takes its place and subscribes, or ends. */
void plat_session_begin(struct plat_session *ps, const struct plat_ask *ask);
/* The member has been replaced by a newer connection: on its own loop. */
void plat_session_replaced(struct plat_session *ps);

/* ---- what is said ---- */

/* {"type":type,"data":{..},"timestamp":..,"message_id":..[,"project_id":..]}: open data, fill it,
 * close. */
struct plat_frame {
    struct buf buf;
    struct json_writer w;
    char at[PLAT_FRAME_MAX];
};
struct json_writer *plat_frame_open(struct plat_frame *f, struct str type);
void plat_frame_send(struct plat_frame *f, struct plat_session *ps, struct str project);
void plat_send(struct plat_session *ps, struct str text);

void plat_say_welcome(struct plat_session *ps);
/* The older lines that /ws/logs was asked for. */
void plat_tail_send(struct plat_session *ps);
void plat_say_project(struct plat_session *ps, struct str type, struct str words,
                      struct str project);
void plat_say_plain(struct plat_session *ps, struct str type, struct str key, struct str value);
void plat_say_stats(struct plat_session *ps);

/* The envelope of an event. */
bool plat_event_write(struct buf *out, struct str channel, const struct publication *p);
size_t plat_event_bytes_max(struct str channel, const struct publication *p);
extern const struct ws_writer plat_writer;
bool plat_encode(const struct encoding *e, struct str channel, const struct publication *p,
                 struct buf *out);

/* ---- REST ---- */

void plat_handle_stats(struct http_request *r, const struct endpoint *e);
void plat_handle_connections(struct http_request *r, const struct endpoint *e);
void plat_handle_project(struct http_request *r, const struct endpoint *e);
void plat_handle_broadcast(struct http_request *r, const struct endpoint *e);
/* Can be the name of a channel. */
bool plat_project_ok(struct hub *hub, struct str project);
/* {"detail":"Not Found"} */
void plat_reply_not_found(struct http_request *r);

/* A POST of the broadcast, in either style. */
struct plat_broadcast {
    struct str event_type, project, exclude; // decoded; "" not given
    struct str data;                         // a raw object
    bool has_type;
    char event_type_at[64], project_at[PLAT_PROJECT_MAX], exclude_at[PLAT_ID_MAX];
    struct str wrong_at, wrong, wrong_type; // why it is refused: static texts; "": it is not
};
/* The document's style: everything in the body. False: wrong says why. */
bool plat_broadcast_read_body(struct str body, struct plat_broadcast *ret);
/* The rest of the other style: the whole body is the data. */
bool plat_broadcast_read_data(struct str body, struct plat_broadcast *ret);
bool plat_type_is_known(struct str type);

/* With six digits behind the second, as these clients know it; the clock gives three of them. */
size_t plat_iso_time(int64_t time_ms, char ret[ISO_TIME_MAX]);

#endif
