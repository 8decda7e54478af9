/* orquestrador_priv.h - what the files of the orchestrator's dialect share.
 * Thread:  the session's loop; readers and writers of text, and orq_monitor_tenants(), on any.
 * Memory:  what is read are pieces of the message; answers that wait are the session's.
 * Failure: writers say false when the buffer has no room; a session without memory ends. */
#ifndef DIALECT_ORQUESTRADOR_PRIV_H
#define DIALECT_ORQUESTRADOR_PRIV_H

#include "dialect/ws_session.h"

/* ---- what a client says ---- */

enum orq_verb {
    ORQ_UNKNOWN,
    ORQ_TYPELESS, // null, of which no field can be asked
    ORQ_PING,
    ORQ_MONITORING_SUBSCRIBE,
    ORQ_MONITORING_UNSUBSCRIBE,
    ORQ_TASK_SUBSCRIBE,
    ORQ_TASK_UNSUBSCRIBE,
    ORQ_CHAT_SEND,
    ORQ_CHAT_HISTORY,
    ORQ_CHAT_CANCEL,
};

struct orq_command {
    enum orq_verb verb;
    const char *no_data; // what is there instead of data: "undefined", "null"; NULL: there is some
    struct str task_id;  // raw JSON; "": the data has none
    struct str message, conversation_id, limit; // the same
};

/* False: not JSON, or nested too deeply to be looked at. */
bool orq_command_read(struct str text, struct orq_command *ret);

/* A number that JavaScript would pass on: what is false there is `otherwise`. False: it is no whole
 * number from 1 on. */
bool orq_number_read(struct str raw, int64_t otherwise, int64_t *ret);

enum { ORQ_CHANNEL_MAX = 64 };
/* The channel of a task whose id is a number: "task:7" for 7, 7.0 and 7e0. False: this is no number
 * that could be a task's. */
bool orq_task_channel(struct str task_id, char at[ORQ_CHANNEL_MAX], struct str *ret);

/* What JSON.parse() of Node 20 says about a text that it does not accept. */
enum { ORQ_SYNTAX_MAX = 256 };
bool orq_syntax_write(struct buf *out, struct str text);

/* Invalid UTF-8 becomes U+FFFD, as a Buffer's toString() has it. */
bool orq_text_write(struct buf *out, struct str bytes);

/* ---- what it is told ---- */

bool orq_event_write(struct buf *out, struct str channel, const struct publication *p);
size_t orq_event_bytes_max(struct str channel, const struct publication *p);
/* {"type":"error","data":{"message":"<before><what>"}} */
bool orq_error_write(struct buf *out, struct str before, struct str what);
/* {"type":"chat:streaming","data":{"chunk":..,"done":..}} */
bool orq_chunk_write(struct buf *out, struct str chunk, bool done);
enum { ORQ_ERROR_MAX = 4096 };
#define ORQ_PROCESSING STR("Erro ao processar mensagem: ")
#define ORQ_HISTORY    STR("Erro ao buscar hist\xC3\xB3rico: ")

/* ---- sessions ---- */

struct reply;
struct tally_name;
struct orq_chat;

struct orq {
    struct ws_session ws;
    struct tally_name *followed; // where it is counted; NULL: does not follow the figures
    struct reply *first, *last;  // answers that wait for the first of them
    size_t waiting_bytes;
    struct orq_chat *chat; // NULL: nothing is asked of the model
};

static inline struct orq *orq_of(struct ws_session *ws)
{
    return container_of(ws, struct orq, ws);
}

extern const struct encoding orq_encoding;

/* Behind the answers that still wait. */
void orq_reply(struct orq *o, struct str text);
void orq_reply_error(struct orq *o, struct str before, struct str what);
/* The confirmation is sent when the hub has answered; an error goes in its place. */
void orq_follow(struct orq *o, struct str channel, struct str confirmation);
void orq_unfollow(struct orq *o, struct str channel);
/* Publications as frames of their own, behind what is confirmed and waits to be told. */
void orq_resync(struct session *s, struct subscription *sub, struct publication *const *pubs,
                size_t count);

/* ---- the model: orquestrador_chat.c ---- */

void orq_chat_send(struct orq *o, const struct orq_command *c);
void orq_chat_history(struct orq *o, const struct orq_command *c);
void orq_chat_cancel(struct orq *o, const struct orq_command *c);
/* The session goes: what it has asked goes on. */
void orq_chat_leave(struct orq *o);

/* ---- tenants in which somebody follows the figures: of one endpoint, on all loops ---- */

bool orq_tenants_make(struct endpoint *e);
void orq_tenants_drop(struct endpoint *e);
void orq_figures_follow(struct orq *o);
void orq_figures_leave(struct orq *o);
void orq_monitor_tenants(const struct endpoint *e, void (*each)(void *ctx, struct str tenant),
                         void *ctx);

#endif
