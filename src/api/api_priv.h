/* api_priv.h - what the files of the server API share: a request being answered, its commands and
 * the fields that they may have.
 * Thread:  the loop of the connection that asked.
 * Memory:  struct ask and struct group come from the pool and free themselves when the last command
 *          has its answer; struct params borrows from the request's text for the length of a call.
 * Failure: every command is answered exactly once. */
#ifndef API_API_PRIV_H
#define API_API_PRIV_H

#include "api/api.h"
#include "base/json.h"

enum { API_TEXT_MAX = 4096, API_SHORT_BYTES = 1024, API_ANSWER_MAX = 256 << 20 };

/* ---- fields ---- */

enum field_kind {
    FIELD_STRING,
    FIELD_JSON,    // any value, as its exact bytes
    FIELD_TAGS,    // an object of strings, as its exact bytes
    FIELD_STRINGS, // an array of strings, as its exact bytes
    FIELD_ARRAY,   // any array, as its exact bytes
    FIELD_BOOL,
    FIELD_INTEGER,
    FIELD_POSITION,   // {"offset":..,"epoch":".."}
    FIELD_DISCONNECT, // {"code":..,"reason":".."}
    FIELD_UNSUPPORTED // known to Centrifugo's libraries; only its empty value is accepted
};

struct field {
    const char *name; // NULL ends a table
    enum field_kind kind;
    size_t at; // in struct params; of FIELD_UNSUPPORTED nothing
};

struct stream_position {
    bool given, unknown; // unknown: the epoch cannot be one of ours
    struct position at;
};

/* What a command says; fields that it does not have stay empty. */
struct params {
    struct str channel, data, type, tags, idempotency_key, info, exclude;
    struct str user, client, tenant, pattern, reason;
    struct str channels, whitelist, commands;
    struct stream_position since;
    int64_t limit, expire_at, code;
    bool skip_history, reverse, expired, parallel;
    const char *wrong_field; // the first that is wrong; NULL: none
    const char *wrong;       // what is wrong with it
    size_t text_used;
    char text[API_TEXT_MAX]; // decoded strings; not cleared
};

/* Walks one object. False: it is not an object, or not JSON; j says what and where. A field that is
 * missing, mistyped or too long is not an error of the text: see wrong_field. */
bool api_params_read(struct json *j, const struct field *fields, struct params *p);
/* Makes why (static) what is wrong with field unless something is already. Returns false. */
bool params_fail(struct params *p, const char *field, const char *why);
/* Room for n bytes that live as long as p; NULL: no more. */
char *params_room(struct params *p, size_t n);

/* ---- commands ---- */

struct ask;
struct group;
struct slot;

struct verb {
    const char *name;
    const struct field *fields;
    /* Begins; slot_done() or slot_fail() follows, inside or later. p is gone when it returns. */
    void (*start)(struct slot *s, struct params *p);
    /* The value of "result". */
    void (*write)(struct json_writer *w, const struct slot *s, const struct answer *a);
};

extern const struct verb api_publish, api_broadcast, api_subscribe, api_unsubscribe, api_disconnect,
    api_refresh, api_presence, api_presence_stats, api_history, api_history_remove, api_channels,
    api_sessions, api_info, api_rpc;
extern const struct verb *const api_verbs[];
extern const size_t api_verb_count;
extern const struct verb api_batch; // not a command of a batch
/* NULL: no such verb. */
const struct verb *api_verb_find(struct str name);

/* One command. */
struct slot {
    struct ask *ask;
    struct group *group; // NULL: the request's only one
    const struct verb *verb;
    uint64_t id;     // of the older form; 0: none
    struct str text; // the finished answer, from the pool; only in a group
};

/* One HTTP request. */
struct ask {
    const struct api *api;
    struct hub *hub;
    struct http_request *http; // NULL: the peer has gone
    bool transport_errors;     // errors as HTTP status
    struct slot only;
};

/* Several commands whose answers are given together, in their order. */
enum group_kind { GROUP_BATCH, GROUP_BROADCAST, GROUP_LINES };
struct group {
    enum group_kind kind;
    struct slot *up; // the command that the group is the answer to
    bool parallel, going;
    uint32_t count, next, under_way;
    const struct params *publish; // of a broadcast, while it starts
    struct json reader;           // over text, at the next command
    struct slot *slots;
    char *text;
};

/* An answer of the hub; ctx: the struct slot. */
void slot_done(void *ctx, const struct answer *a);
/* why: static text or NULL. */
void slot_fail(struct slot *s, enum err e, const char *why);
/* A field that is wrong: "bad request: channel: is required". */
void slot_refuse(struct slot *s, const char *field, const char *why);
/* A finished value of "result" (of a batch: the whole answer). */
void slot_done_raw(struct slot *s, struct str result);
/* The group's member s has its text. */
void group_slot_done(struct slot *s);

/* Starts the command with what was read; its verb is set. */
void slot_begin(struct slot *s, struct params *p);
/* Reads the fields from text, which is checked JSON, and starts. */
void slot_start(struct slot *s, const struct verb *verb, struct str text);

void batch_start(struct slot *s, struct params *p);
void broadcast_start(struct slot *s, struct params *p);
/* Commands of the older form, {"method":..,"params":..}, one after another. */
void lines_start(struct slot *s, struct str text);
void publish_start(struct slot *s, const struct params *p);

#endif
