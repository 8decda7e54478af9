/* native_priv.h - what the files of the native dialect share.
 * Thread:  a session's loop.
 * Memory:  one native_session per connection: it goes when the carrier and the hub have both let go
 *          of it.
 * Failure: what a client gets wrong is answered with an error or a disconnect code. */
#ifndef DIALECT_NATIVE_PRIV_H
#define DIALECT_NATIVE_PRIV_H

#include "base/bucket.h"
#include "base/json.h"
#include "base/must.h"
#include "base/pool.h"
#include "base/random.h"
#include "dialect/admit.h"
#include "hub/filter.h"

#include <stdlib.h>

enum {
    COMMANDS_PER_FRAME_MAX = 1024,
    CHANNEL_TEXT_MAX = 1024, // decoded names; the policy's own limit is below
    EXPIRED_GRACE_S = 25,    // a token may come so much too late
    REFUSED_IN_A_ROW_MAX = 100,
    BATCH_BYTES = 4096,
};

/* Replies to the commands of one frame leave as one message. */
struct batch {
    size_t len;
    char at[BATCH_BYTES];
};

struct native_session {
    struct session session;
    struct carrier *carrier; // NULL: gone
    const struct endpoint *endpoint;
    struct timer timer;
    struct batch *batch;  // while a frame is being handled
    char *identity;       // the strings of the session; before that, those of the handshake
    uint64_t due_ms;      // loop clock: the next ping, or the end of waiting for a pong
    int64_t expire_at_s;  // of the connection; 0: never
    struct bucket bucket; // of commands
    uint16_t refused;     // commands in a row that came too fast
    bool connected;       // the connect command was understood
    bool privileged;      // brought a key of the server API
    bool pinged;          // a pong is awaited
    bool ending;          // the disconnect is on its way
    bool buried;          // the hub has let go
};

/* ---- commands ---- */

struct params {
    struct str channel; // decoded
    struct str token;
    struct str data, tf, subs, headers; // raw JSON
    struct str epoch;
    struct str method; // of rpc, as it was written
    uint64_t offset;
    struct position since;
    int64_t limit;
    bool recover, positioned, recoverable, join_leave, reverse, has_since, epoch_unknown;
};

struct command;
struct verb {
    struct str name;
    void (*run)(struct native_session *ns, const struct command *cmd);
};

struct command {
    uint32_t id;
    const struct verb *verb; // NULL: none was named
    struct params params;
    char channel_at[CHANNEL_TEXT_MAX]; // for names with escapes
    char token_at[AUTH_TOKEN_MAX_BYTES];
};

/* False: not a command. */
bool native_command_read(struct str text, struct command *ret);
/* One object of the connect command's subs. */
bool native_params_read(struct str text, struct params *ret);
const struct verb *native_verb_find(struct str raw_name);

void native_connect(struct native_session *ns, const struct command *cmd);
void native_subscribe(struct native_session *ns, const struct command *cmd);
void native_unsubscribe(struct native_session *ns, const struct command *cmd);
void native_sub_refresh(struct native_session *ns, const struct command *cmd);
/* Procedures by name: native_rpc.c has the table. */
typedef void native_rpc_fn(struct native_session *ns, const struct command *cmd);
native_rpc_fn native_rpc, native_rpc_chat_send, native_rpc_chat_history, native_rpc_chat_cancel,
    native_rpc_chat_conversations, native_rpc_approvals_list, native_rpc_approvals_approve,
    native_rpc_approvals_deny;

/* ---- answers ---- */

/* A command whose answer may come later. */
struct call {
    struct native_session *ns; // referenced
    uint32_t id;
    bool was_recovering;
    int64_t expire_at_s;
};
/* NULL: no memory, which has been answered. */
struct call *native_call_make(struct native_session *ns, uint32_t id);
void native_call_free(struct call *c);

void native_reply_send(struct native_session *ns, struct str json);
void native_reply_error(struct native_session *ns, uint32_t id, enum err err);
/* The same in other words; why "": the error's own. */
void native_reply_refuse(struct native_session *ns, uint32_t id, enum err err, struct str why);
/* Of rpc: data is JSON. */
void native_reply_data(struct native_session *ns, uint32_t id, struct str data);
/* {"id":id,"name":{}} */
void native_reply_empty(struct native_session *ns, uint32_t id, struct str name);
/* Opens {"id":id,"name":{ ; native_reply_end() closes and sends. heap: an empty buffer. */
void native_reply_begin(struct json_writer *w, struct buf *heap, uint32_t id, struct str name);
void native_reply_end(struct native_session *ns, struct json_writer *w, struct buf *heap);
/* expires and ttl, when there is an end. */
void native_put_expiry(struct native_session *ns, struct json_writer *w, int64_t expire_at_s);
void native_put_position(struct json_writer *w, const struct answer *a);
/* Everything of a SubscribeResult, into an open object. */
void native_put_subscribed(struct native_session *ns, struct json_writer *w, const struct answer *a,
                           const struct call *call);

/* At the end of the turn. code 0: the reason's own. */
void native_end(struct native_session *ns, enum close_reason reason, unsigned code,
                struct str text);
/* After something that the timer watches has changed. */
void native_timer_update(struct native_session *ns);
static inline int64_t native_now_s(const struct native_session *ns)
{
    return loop_wall_ms(hub_loop(ns->session.hub)) / 1000;
}

/* ---- publications ---- */

/* Makes spaces of the line breaks in out from there on: one stands between two replies of a
 * message. JSON has none but between its words. */
void native_flatten(struct buf *out, size_t from);
/* {"data":..,"info":..,"offset":..,"tags":{..}}; channel: only when it has to be said. */
bool native_publication_write(struct buf *out, struct str channel, const struct publication *p,
                              bool with_time);
/* Bytes that a push of p takes at most. */
size_t native_push_bytes_max(struct str channel, const struct publication *p);
bool native_push_write(struct buf *out, struct str channel, const struct publication *p);
const struct encoding *native_encoding(const struct framing *f);

extern const struct session_ops native_ops;

#endif
