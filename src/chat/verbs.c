/*
 * verbs.c - what is asked about conversations, with answers that are JSON.
 *
 * Why it exists: HTTP and the native dialect ask the same and are answered the same.
 */
#include "chat/verbs.h"

#include "base/must.h"

#include <stdlib.h>

enum { ROWS_ROOM = 16 << 10 }; // of a row, beside its text

struct doing {
    chat_done_fn *done; // NULL: answered
    void *ctx;
    bool wait;
    uint32_t cancelled_already;
    struct buf head; // of SEND's answer, up to the answer's row
};

static void doing_answer(struct doing *d, enum err err, struct str text)
{
    chat_done_fn *done = d->done;
    d->done = NULL;
    if (done != NULL)
        done(d->ctx, err, text);
}

static void doing_free(struct doing *d)
{
    buf_fini(&d->head);
    free(d);
}

/* ---- questions ---- */

static bool head_write(struct buf *out, const struct chat_message *question)
{
    char at[CHAT_CHANNEL_MAX];
    return buf_add(out, STR("{\"conversation_id\":")) &&
           json_write_i64(out, question->conversation) && buf_add(out, STR(",\"channel\":\"")) &&
           buf_add(out, chat_channel(question->conversation, at)) &&
           buf_add(out, STR("\",\"message\":")) && chat_message_write(out, question) &&
           buf_add(out, STR(",\"answer\":"));
}

static void sent_answer(struct doing *d, const struct chat_message *answer)
{
    struct buf b;
    buf_init(&b, d->head.len + json_string_bytes_max(answer->content) + ROWS_ROOM);
    if (d->head.len > 0 && buf_add(&b, buf_str(&d->head)) && chat_message_write(&b, answer) &&
        buf_add_char(&b, '}'))
        doing_answer(d, ERR_OK, buf_str(&b));
    else
        doing_answer(d, ERR_INTERNAL, STR("out of memory"));
    buf_fini(&b);
}

static void accepted(void *ctx, const struct chat_message *question,
                     const struct chat_message *answer)
{
    struct doing *d = ctx;
    buf_init(&d->head, json_string_bytes_max(question->content) + ROWS_ROOM);
    if (!head_write(&d->head, question))
        buf_clear(&d->head);
    if (!d->wait)
        sent_answer(d, answer);
}

static void ended(void *ctx, const struct chat_end *end)
{
    struct doing *d = ctx;
    if (end->answer == NULL)
        doing_answer(d, end->err, end->why);
    else if (d->wait)
        sent_answer(d, end->answer);
    doing_free(d);
}

static const struct chat_asker_ops asker_ops = {accepted, NULL, ended};

struct chat_question chat_ask_question(const struct chat_ask *ask)
{
    const struct chat_fields *f = ask->fields;
    return (struct chat_question){.tenant = ask->tenant,
                                  .conversation = f->conversation,
                                  .text = f->message,
                                  .form = CHAT_PLAIN,
                                  .request = chat_fields_settings(f),
                                  .endpoint = ask->endpoint};
}

static bool question_send(struct chat *c, struct hub *hub, const struct chat_ask *ask,
                          struct doing *d)
{
    struct chat_question q = chat_ask_question(ask);
    d->wait = ask->fields->wait;
    return chat_send(c, hub, &q, &asker_ops, d) != NULL;
}

/* ---- the rest ---- */

static void cancelled(void *ctx, uint32_t count)
{
    struct doing *d = ctx;
    char at[64];
    struct buf b = buf_on(at, sizeof(at));
    MUST(buf_add_format(&b, "{\"cancelled\":%u}", count + d->cancelled_already));
    doing_answer(d, ERR_OK, buf_str(&b));
    doing_free(d);
}

static void looked(void *ctx, enum err err, struct str json)
{
    struct doing *d = ctx;
    struct str why = err == ERR_UNKNOWN_CHANNEL ? STR("there is no such conversation") : STR_NONE;
    doing_answer(d, err, err == ERR_OK ? json : why);
    doing_free(d);
}

static bool look(struct chat *c, struct hub *hub, const struct chat_ask *ask, struct doing *d)
{
    static const enum chat_look looks[] = {
        [CHAT_VERB_MESSAGES] = CHAT_MESSAGES,
        [CHAT_VERB_CONVERSATIONS] = CHAT_CONVERSATIONS,
        [CHAT_VERB_CONVERSATION] = CHAT_CONVERSATION,
        [CHAT_VERB_CREATE] = CHAT_CREATE,
        [CHAT_VERB_CHANGE] = CHAT_CHANGE,
        [CHAT_VERB_DELETE] = CHAT_DELETE,
    };
    const struct chat_fields *f = ask->fields;
    return chat_look_up(c, hub,
                        &(struct chat_lookup){.look = looks[ask->verb],
                                              .tenant = ask->tenant,
                                              .conversation = f->conversation,
                                              .before = f->before,
                                              .limit = f->limit,
                                              .offset = f->offset,
                                              .bytes_max = ask->bytes_max,
                                              .has_title = f->has_title,
                                              .has_system_prompt = f->has_system_prompt,
                                              .has_model = f->has_model,
                                              .title = f->title,
                                              .system_prompt = f->system_prompt,
                                              .model = f->model},
                        looked, d);
}

bool chat_ask_check(const struct chat *c, const struct chat_ask *ask, struct buf *why)
{
    if (ask->verb == CHAT_VERB_SEND)
        return chat_fields_check_message(ask->fields, chat_message_max_bytes(c), why);
    return true;
}

bool chat_do(struct chat *c, struct hub *hub, const struct chat_ask *ask, chat_done_fn *done,
             void *ctx)
{
    struct doing *d = calloc(1, sizeof(*d));
    bool ok = d != NULL;
    if (ok) {
        d->done = done;
        d->ctx = ctx;
        d->cancelled_already = ask->fields->cancelled_already;
    }
    if (ok && ask->verb == CHAT_VERB_SEND)
        ok = question_send(c, hub, ask, d);
    else if (ok && ask->verb == CHAT_VERB_CANCEL)
        ok = chat_cancel(c, hub, ask->tenant, ask->fields->conversation, ask->fields->message_id,
                         cancelled, d);
    else if (ok)
        ok = look(c, hub, ask, d);
    if (!ok)
        free(d);
    return ok;
}
