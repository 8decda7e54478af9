/*
 * orquestrador_chat.c - the conversations of the orchestrator's pages.
 *
 * Why it exists: the frames of an answer name neither message nor conversation. Two answers at once
 * on one socket could not be told apart, so a session's questions are asked one after the other.
 *
 * Always true between two calls:
 *   C1. o->chat is there as long as an asker of it or a question that waits is.
 *   C2. an input field that was locked by a question is unlocked by done:true or by an error,
 *       exactly one of them, and an answer's message comes behind the former.
 */
#include "base/json.h"
#include "base/pool.h"
#include "chat/chat.h"
#include "dialect/orquestrador_priv.h"

#include <stdlib.h>

enum { QUESTIONS_MAX = 16, HISTORY_DEFAULT = 50, HISTORY_MAX = 1000, FRAME_ROOM = 128 };

struct question {
    struct question *next;
    int64_t conversation;
    struct str text;
    char bytes[];
};

struct orq_chat {
    struct orq *session; // referenced
    struct chat_asker *asker;
    struct question *first, *last; // those that wait
    unsigned count;
};

/* ---- frames ---- */

static void send_frame(struct orq *o, struct buf *b, bool ok)
{
    if (ok)
        orq_reply(o, buf_str(b));
    else
        ws_session_end(&o->ws, CLOSE_INTERNAL, 0, STR_NONE); // nothing may be left out
    buf_fini(b);
}

static void send_chunk(struct orq *o, struct str chunk, bool done)
{
    char at[1024];
    struct buf small = buf_on(at, sizeof(at)), large;
    if (json_string_bytes_max(chunk) + FRAME_ROOM <= sizeof(at)) { // a token is short
        MUST(orq_chunk_write(&small, chunk, done));
        orq_reply(o, buf_str(&small));
        return;
    }
    buf_init(&large, json_string_bytes_max(chunk) + FRAME_ROOM);
    bool ok = orq_chunk_write(&large, chunk, done);
    send_frame(o, &large, ok);
}

static void send_message(struct orq *o, const struct chat_message *m)
{
    struct buf b;
    buf_init(&b, json_string_bytes_max(m->content) + 2 * FRAME_ROOM);
    bool ok = buf_add(&b, STR("{\"type\":\"chat:message\",\"data\":")) &&
              chat_history_write(&b, m) && buf_add_char(&b, '}');
    send_frame(o, &b, ok);
}

static void reply_error(struct orq *o, struct str before, struct str why)
{
    char at[1024];
    struct buf b = buf_on(at, sizeof(at));
    if (!buf_add(&b, STR("Error: ")) || !buf_add(&b, why)) {
        buf_clear(&b);
        buf_add(&b, STR("Error"));
    }
    orq_reply_error(o, before, buf_str(&b));
}

/* ---- questions ---- */

static void chat_begin(struct orq_chat *chat);

static void accepted(void *ctx, const struct chat_message *question,
                     const struct chat_message *answer)
{
    struct orq_chat *chat = ctx;
    (void)answer;
    send_message(chat->session, question);
}

static void token(void *ctx, struct str text)
{
    struct orq_chat *chat = ctx;
    send_chunk(chat->session, text, false);
}

static void ended(void *ctx, const struct chat_end *end)
{
    struct orq_chat *chat = ctx;
    struct orq *o = chat->session;
    chat->asker = NULL;
    if (end->err == ERR_OK) {
        send_chunk(o, STR_NONE, true);
        send_message(o, end->answer);
    } else if (end->by_model) {
        reply_error(o, ORQ_PROCESSING, STR("Falha ao gerar resposta com streaming"));
    } else {
        reply_error(o, ORQ_PROCESSING, end->why);
    }
    chat_begin(chat);
}

static const struct chat_asker_ops asker_ops = {accepted, token, ended};

static struct chat_asker *ask(struct orq *o, const struct question *q)
{
    const struct endpoint *e = o->ws.endpoint;
    return chat_send(e->chat, o->ws.session.hub,
                     &(struct chat_question){.tenant = o->ws.session.tenant,
                                             .conversation = q->conversation,
                                             .text = q->text,
                                             .form = CHAT_ORQUESTRADOR,
                                             .request = llm_settings_none(),
                                             .endpoint = e->llm},
                     &asker_ops, o->chat);
}

static struct question *chat_next(struct orq_chat *chat)
{
    struct question *q = chat->first;
    if (q == NULL)
        return NULL;
    chat->first = q->next;
    chat->count--;
    return q;
}

/* The next question, or nothing is left to be asked. */
static void chat_begin(struct orq_chat *chat)
{
    struct orq *o = chat->session;
    struct question *q;
    while (chat->asker == NULL && (q = chat_next(chat)) != NULL) {
        chat->asker = ask(o, q);
        if (chat->asker == NULL)
            reply_error(o, ORQ_PROCESSING, STR("out of memory"));
        pool_free(q);
    }
    if (chat->asker != NULL)
        return;
    o->chat = NULL;
    free(chat);
    session_unref(&o->ws.session);
}

void orq_chat_leave(struct orq *o)
{
    struct orq_chat *chat = o->chat;
    struct question *q;
    if (chat == NULL)
        return;
    chat_leave(&chat->asker);
    while ((q = chat_next(chat)) != NULL) { // was sent before the client left
        struct chat_asker *a = ask(o, q);
        chat_leave(&a);
        pool_free(q);
    }
    o->chat = NULL;
    free(chat);
    session_unref(&o->ws.session);
}

/* NULL: answered. */
static struct question *question_make(struct orq *o, const struct orq_command *c)
{
    uint32_t most = chat_message_max_bytes(o->ws.endpoint->chat);
    struct json j;
    struct question *q = pool_alloc(sizeof(*q) + c->message.n + 1);
    if (q == NULL) {
        ws_session_end(&o->ws, CLOSE_INTERNAL, 0, STR_NONE);
        return NULL;
    }
    *q = (struct question){0};
    json_init(&j, c->message);
    const char *why = NULL;
    if (!orq_number_read(c->conversation_id, 1, &q->conversation) ||
        q->conversation > CHAT_CONVERSATION_MAX)
        why = "conversationId inv\xC3\xA1lido";
    else if (json_peek(&j) != JSON_STRING ||
             !json_read_string(&j, q->bytes, c->message.n + 1, &q->text))
        why = "message deve ser um texto";
    else if (q->text.n == 0 || memchr(q->text.p, '\0', q->text.n) != NULL)
        why = "message vazia, ou com um caractere nulo";
    else if (q->text.n > most)
        why = "message \xC3\xA9 longa demais";
    if (why == NULL) {
        if (q->text.p != q->bytes) // a piece of the message, which goes
            memcpy(q->bytes, q->text.p, q->text.n);
        q->text.p = q->bytes;
        return q;
    }
    reply_error(o, ORQ_PROCESSING, str_from(why));
    pool_free(q);
    return NULL;
}

static struct orq_chat *chat_of(struct orq *o)
{
    if (o->chat == NULL && (o->chat = calloc(1, sizeof(*o->chat))) != NULL) {
        o->chat->session = o;
        session_ref(&o->ws.session);
    }
    return o->chat;
}

void orq_chat_send(struct orq *o, const struct orq_command *c)
{
    if (o->chat != NULL && o->chat->count >= QUESTIONS_MAX) {
        reply_error(o, ORQ_PROCESSING, STR("mensagens demais aguardam resposta"));
        return;
    }
    struct question *q = question_make(o, c);
    struct orq_chat *chat = q != NULL ? chat_of(o) : NULL;
    if (chat == NULL) {
        if (q != NULL)
            ws_session_end(&o->ws, CLOSE_INTERNAL, 0, STR_NONE);
        pool_free(q);
        return;
    }
    if (chat->first == NULL)
        chat->first = q;
    else
        chat->last->next = q;
    chat->last = q;
    chat->count++;
    if (chat->asker == NULL)
        chat_begin(chat);
}

/* ---- history ---- */

static void looked(void *ctx, enum err err, struct str json)
{
    struct orq *o = ctx;
    struct buf b;
    if (err != ERR_OK) {
        reply_error(o, ORQ_HISTORY, err_message(err));
    } else {
        buf_init(&b, json.n + FRAME_ROOM);
        bool ok = buf_add(&b, STR("{\"type\":\"chat:history\",\"data\":")) && buf_add(&b, json) &&
                  buf_add_char(&b, '}');
        send_frame(o, &b, ok);
    }
    session_unref(&o->ws.session);
}

void orq_chat_history(struct orq *o, const struct orq_command *c)
{
    struct chat_lookup l = {.look = CHAT_HISTORY,
                            .tenant = o->ws.session.tenant,
                            .bytes_max = o->ws.endpoint->ws.out_max_bytes / 2};
    if (!orq_number_read(c->conversation_id, 1, &l.conversation)) {
        reply_error(o, ORQ_HISTORY, STR("conversationId inv\xC3\xA1lido"));
        return;
    }
    if (!orq_number_read(c->limit, HISTORY_DEFAULT, &l.limit)) {
        reply_error(o, ORQ_HISTORY, STR("limit inv\xC3\xA1lido"));
        return;
    }
    if (l.limit > HISTORY_MAX)
        l.limit = HISTORY_MAX;
    session_ref(&o->ws.session);
    if (!chat_look_up(o->ws.endpoint->chat, o->ws.session.hub, &l, looked, o))
        looked(o, ERR_INTERNAL, STR_NONE);
}

/* ---- stopping ---- */

struct cancelling {
    struct orq *session; // referenced
    int64_t conversation;
};

static void cancelled(void *ctx, uint32_t count)
{
    struct cancelling *x = ctx;
    char at[160];
    struct buf b = buf_on(at, sizeof(at));
    MUST(buf_add_format(
        &b, "{\"type\":\"chat:cancelled\",\"data\":{\"conversationId\":%lld,\"cancelled\":%u}}",
        (long long)x->conversation, count));
    orq_reply(x->session, buf_str(&b));
    session_unref(&x->session->ws.session);
    pool_free(x);
}

void orq_chat_cancel(struct orq *o, const struct orq_command *c)
{
    int64_t conversation;
    if (!orq_number_read(c->conversation_id, 1, &conversation)) {
        reply_error(o, ORQ_PROCESSING, STR("conversationId inv\xC3\xA1lido"));
        return;
    }
    struct cancelling *x = pool_alloc(sizeof(*x));
    if (x == NULL) {
        ws_session_end(&o->ws, CLOSE_INTERNAL, 0, STR_NONE);
        return;
    }
    *x = (struct cancelling){o, conversation};
    session_ref(&o->ws.session);
    if (!chat_cancel(o->ws.endpoint->chat, o->ws.session.hub, o->ws.session.tenant, conversation, 0,
                     cancelled, x))
        cancelled(x, 0);
}
