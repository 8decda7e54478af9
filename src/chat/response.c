/*
 * response.c - the life of an answer: stored, waits for its turn, given by the model, ended.
 *
 * Why it exists: stopping is not disconnecting. An answer belongs to its conversation; whoever
 * asked hears of it as long as he is there.
 *
 * Always true between two calls:
 *   A1. an answer is in its conversation's list until its end is told, and in its loop's list until
 *       its row has its last form.
 *   A2. at most one answer of a conversation is being read for or given.
 *   A3. the record is open from the row's birth to the answer's end.
 */
#include "chat/chat_write.h"

#define APOLOGY STR("Desculpe, n\xC3\xA3o consegui gerar uma resposta.")

struct chat_message response_message(const struct response *a)
{
    return (struct chat_message){
        .id = a->id,
        .conversation = a->conversation_id,
        .role = STR("assistant"),
        .content = buf_str(&a->text),
        .state = record_state_name(a->state),
        .model = str_from(a->model),
        .error = str_from(a->why),
        .tokens = a->tokens,
        .seq = a->text.len == 0 ? 0 : -1, // its record counts
        .created_ms = a->created_ms,
        .updated_ms = a->updated_ms,
    };
}

/* ---- conversations ---- */

static struct str conversation_key(struct str tenant, int64_t id, struct buf *b)
{
    MUST(buf_add(b, tenant) && buf_add_char(b, '\0') && json_write_i64(b, id));
    return buf_str(b);
}

struct conversation *conversation_find(struct chat_loop *at, struct str tenant, int64_t id)
{
    char room[NAME_BYTES_MAX + 64];
    struct buf b = buf_on(room, sizeof(room));
    if (tenant.n > NAME_BYTES_MAX)
        return NULL;
    struct map_node *n = map_find(&at->conversations, conversation_key(tenant, id, &b));
    return n != NULL ? container_of(n, struct conversation, node) : NULL;
}

static struct conversation *conversation_get(struct chat_loop *at, struct str tenant, int64_t id)
{
    struct conversation *c = conversation_find(at, tenant, id);
    if (c != NULL)
        return c;
    char room[NAME_BYTES_MAX + 64];
    struct buf b = buf_on(room, sizeof(room));
    struct str key = conversation_key(tenant, id, &b);
    c = calloc(1, sizeof(*c) + key.n);
    if (c == NULL)
        return NULL;
    char *bytes = c->bytes;
    c->node.key = str_put(&bytes, key);
    c->at = at;
    c->id = id;
    list_init(&c->answers);
    if (!map_add(&at->conversations, &c->node)) {
        free(c);
        return NULL;
    }
    return c;
}

static void conversation_settle(struct conversation *c)
{
    if (!list_empty(&c->answers)) {
        conversation_goes_on(c);
        return;
    }
    map_remove(&c->at->conversations, &c->node);
    free(c);
}

void conversation_goes_on(struct conversation *c)
{
    struct response *first = container_of(c->answers.next, struct response, link);
    if (first->phase != RESPONSE_WAITING)
        return;
    first->phase = RESPONSE_READING;
    response_read_context(first);
}

/* What is still there when the loops have ended. */
void chat_loop_fini(struct chat_loop *l)
{
    holds_drop(l);
    list_each_safe(it, &l->answers)
    {
        struct response *a = container_of(it, struct response, of_loop);
        a->saving = a->finishing = a->forgetting = false;
        free(a->asker); // nobody is there to be told
        response_free(a);
    }
    struct map_node *next;
    for (struct map_node *n = map_first(&l->conversations); n != NULL; n = next) {
        next = map_next(&l->conversations, n);
        map_remove(&l->conversations, n);
        free(container_of(n, struct conversation, node));
    }
    map_fini(&l->conversations);
}

/* ---- birth ---- */

/* Its queue may fill up before it is asked: then the answer fails with the model's words. */
static bool model_is_full(const struct chat *c)
{
    struct llm_stats s;
    llm_read_stats(c->llm, &s);
    return s.waiting > 0 && s.waiting >= c->options.model_queue_max;
}

static const char *refusal(const struct ask *ask, const struct conversation *c, enum err *ret)
{
    const struct chat_loop *at = ask->home;
    *ret = ERR_NOT_AVAILABLE;
    if (atomic_load(&at->chat->stopping))
        return "the server is stopping";
    *ret = ERR_NOT_STORED;
    switch (store_health(at->chat->store)) {
    case STORE_OK:
        break;
    case STORE_DOWN:
        return "the store cannot be reached";
    case STORE_DISK_FULL:
        return "the store's disk is full";
    case STORE_BUSY:
        return "the store is slower than what it is given: try again";
    }
    *ret = ERR_NOT_AVAILABLE;
    if (at->chat->llm == NULL)
        return "no model is configured: llm.url is empty";
    *ret = ERR_TOO_MANY_REQUESTS;
    if (model_is_full(at->chat))
        return "as many questions wait for the model as may be";
    if (hold_is_full(ask))
        return "the conversation is being removed, and as many questions as may be wait for that";
    if (c->count > at->chat->options.queue_max)
        return "as many answers of the conversation as may be wait already";
    return NULL;
}

static struct response *response_make(struct conversation *c, const struct ask *ask)
{
    struct response *a =
        calloc(1, sizeof(*a) + ask->tenant.n + ask->text.n + settings_bytes(&ask->request) +
                      settings_bytes(&ask->endpoint));
    if (a == NULL)
        return NULL;
    char *at = a->bytes;
    a->at = c->at;
    a->conversation = c;
    a->conversation_id = c->id;
    a->form = ask->form;
    a->tenant = str_put(&at, ask->tenant);
    a->question = str_put(&at, ask->text);
    a->request = settings_put(&at, &ask->request);
    a->endpoint = settings_put(&at, &ask->endpoint);
    a->question_id = atomic_fetch_add(&c->at->chat->last_id, 2) + 1;
    a->id = a->question_id + 1;
    a->created_ms = a->updated_ms = loop_wall_ms(c->at->loop);
    a->tokens = -1;
    buf_init(&a->text, CHAT_ANSWER_MAX);
    buf_init(&a->saving_text, CHAT_ANSWER_MAX);
    list_init(&a->said);
    list_add(&c->answers, &a->link);
    list_add(&c->at->answers, &a->of_loop);
    c->count++;
    chat_open_add(c->at->chat);
    atomic_fetch_add(&c->at->chat->questions, 1);
    return a;
}

void response_begin(struct chat_loop *at, struct ask *ask)
{
    enum err err = ERR_INTERNAL;
    const char *why = "out of memory";
    struct response *a = NULL;
    struct conversation *c = conversation_get(at, ask->tenant, ask->conversation);
    if (c != NULL && (why = refusal(ask, c, &err)) == NULL)
        a = response_make(c, ask);
    if (a != NULL) {
        a->asker = ask->asker;
        response_store(a);
    } else {
        asker_tell_end(ask->asker, &(struct chat_end){
                                       .err = err, .why = str_from(why ? why : "out of memory")});
        if (c != NULL)
            conversation_settle(c);
    }
    pool_free(ask);
}

void response_free(struct response *a)
{
    MUST(!a->saving && !a->finishing && !a->forgetting);
    struct chat_loop *at = a->at;
    if (a->timer.fire != NULL)
        timer_cancel(&a->timer);
    record_drop(&a->record);
    list_remove(&a->link);
    list_remove(&a->of_loop);
    said_drop(&a->said);
    buf_fini(&a->text);
    buf_fini(&a->saving_text);
    buf_fini(&a->own_text);
    free(a);
    holds_go_on(at);
    chat_open_remove(at->chat);
}

/* ---- the end ---- */

static void response_count_end(const struct response *a)
{
    struct chat *c = a->at->chat;
    _Atomic uint64_t *of[] = {&c->questions, &c->complete, &c->cancelled, &c->failed};
    atomic_fetch_add(of[a->state], 1);
}

static void response_end(struct response *a, enum record_state state)
{
    MUST(a->phase != RESPONSE_ENDING);
    a->phase = RESPONSE_ENDING;
    a->state = state;
    a->updated_ms = loop_wall_ms(a->at->loop);
    said_drop(&a->said);
    response_count_end(a);
    response_save_end(a);
}

static void response_fail(struct response *a, enum err err, struct str why)
{
    struct buf b = buf_on(a->why, sizeof(a->why) - 1);
    struct str cut = why.n < sizeof(a->why) ? why : chat_rows_excerpt(why);
    buf_add(&b, cut);
    a->err = err;
    response_end(a, RECORD_FAILED);
}

void response_cancel(struct response *a)
{
    if (a->phase == RESPONSE_STORING || a->phase == RESPONSE_READING) {
        a->end_due = true; // the store is asked for something: behind that
        return;
    }
    llm_cancel(&a->call);
    response_end(a, RECORD_CANCELLED);
}

void response_stop(struct response *a)
{
    if (a->phase == RESPONSE_ENDING)
        return;
    if (a->phase == RESPONSE_STORING || a->phase == RESPONSE_READING) {
        a->end_due = a->stopped = true;
        return;
    }
    llm_cancel(&a->call);
    response_fail(a, ERR_NOT_AVAILABLE, STR("the server was stopped"));
}

/* True: it was to end as soon as nothing of the store's is under way. */
static bool response_was_due(struct response *a)
{
    if (!a->end_due)
        return false;
    if (a->stopped)
        response_fail(a, ERR_NOT_AVAILABLE, STR("the server was stopped"));
    else
        response_end(a, RECORD_CANCELLED);
    return true;
}

/* The end is told once; the next answer of the conversation may begin. */
static void response_tell_end(struct response *a)
{
    struct conversation *c = a->conversation;
    struct chat_message m = response_message(a);
    asker_tell_end(a->asker, &(struct chat_end){.err = a->err,
                                                .why = str_from(a->why),
                                                .by_model = a->by_model,
                                                .answer = &m});
    a->asker = NULL;
    a->conversation = NULL;
    list_remove(&a->link);
    c->count--;
    conversation_settle(c);
}

void response_settle(struct response *a)
{
    if (!a->row_done || !a->record_done || a->saving || a->forgetting)
        return;
    if (a->record_kept) {
        a->record_kept = false;
        response_forget(a);
        return;
    }
    response_free(a);
}

static void published(void *ctx, const struct answer *told)
{
    struct response *a = ctx;
    a->record_done = true;
    a->record_kept = told->err == ERR_OK;
    holds_go_on(a->at);
    response_settle(a);
}

/* Without a record its end is a message as any other. */
static void response_publish(struct response *a)
{
    struct chat_message m = response_message(a);
    chat_publish(a->at->hub, a->tenant, &m, published, a);
}

static void record_ended(void *ctx, const struct answer *told)
{
    if (told->err == ERR_NOT_AVAILABLE) // too many of the channel were open already
        response_publish(ctx);
    else
        published(ctx, told);
}

/* Whoever hears of the end finds the row as it says. */
static void response_close_record(struct response *a)
{
    char at[4096];
    struct buf tail = buf_on(at, sizeof(at));
    struct chat_message m = response_message(a);
    if (a->record == NULL) {
        response_publish(a);
        return;
    }
    if (!chat_record_tail_write(&tail, &m))
        buf_clear(&tail);
    record_finish(&a->record, a->state, buf_str(&tail), record_ended, a);
}

void response_end_saved(struct response *a, enum sql_result r)
{
    bool first = a->conversation != NULL;
    if (first)
        response_tell_end(a);
    if (first && r != SQL_OK) { // its channel need not wait for the store
        response_close_record(a);
    } else if (r == SQL_OK) {
        a->row_done = true;
        if (first)
            response_close_record(a);
        else
            response_settle(a);
    }
}

/* ---- stored ---- */

static void response_open_record(struct response *a)
{
    char channel[CHAT_CHANNEL_MAX], id[32], head_at[256];
    struct buf number = buf_on(id, sizeof(id)), head = buf_on(head_at, sizeof(head_at));
    struct chat_message m = response_message(a);
    MUST(json_write_i64(&number, a->id) && chat_record_head_write(&head, &m));
    a->record = record_open(a->at->hub,
                            &(struct record_params){
                                .tenant = a->tenant,
                                .channel = chat_channel(a->conversation_id, channel),
                                .id = buf_str(&number),
                                .role = STR("assistant"),
                                .head = buf_str(&head),
                                .text_max_bytes = CHAT_ANSWER_MAX,
                            },
                            NULL, NULL);
}

static void response_refuse_stored(struct response *a)
{
    struct conversation *c = a->conversation;
    asker_tell_end(a->asker, &(struct chat_end){.err = ERR_NOT_STORED,
                                                .why = STR("the message could not be stored")});
    c->count--;
    response_free(a);
    conversation_settle(c);
}

void response_stored(struct response *a, enum sql_result r)
{
    if (r != SQL_OK) {
        response_refuse_stored(a);
        return;
    }
    response_open_record(a);
    a->phase = RESPONSE_WAITING;
    if (!response_was_due(a))
        conversation_goes_on(a->conversation);
}

/* ---- given by the model ---- */

/* A null character is none that every database can keep. */
static struct str next_part(struct str *rest)
{
    return str_cut(rest, '\0');
}

static void response_token(void *ctx, struct str text)
{
    struct response *a = ctx;
    while (text.n > 0 && a->phase == RESPONSE_GIVEN) {
        struct str part = next_part(&text);
        if (part.n == 0)
            continue;
        if (!buf_add(&a->text, part)) {
            llm_cancel(&a->call);
            response_fail(a, ERR_LIMIT_EXCEEDED, STR("the answer is longer than may be"));
            return;
        }
        if (a->record != NULL)
            (void)record_append(a->record, part); // its limit is the text's
        asker_tell_token(a->asker, a->at, part);
    }
    response_save_later(a);
}

static void response_keep_model(struct response *a, struct str name)
{
    struct buf b = buf_on(a->model, sizeof(a->model) - 1);
    if (name.n > 0 && name.n < sizeof(a->model) && memchr(name.p, '\0', name.n) == NULL) {
        memset(a->model, 0, sizeof(a->model));
        buf_add(&b, name);
    }
}

/* Whoever waits at the orchestrator's pages is told something in any case. */
static void response_apologize(struct response *a)
{
    if (a->text.len > 0 || a->form != CHAT_ORQUESTRADOR || !buf_add(&a->text, APOLOGY))
        return;
    if (a->record != NULL)
        (void)record_append(a->record, APOLOGY);
}

static void response_given(void *ctx, const struct llm_result *r)
{
    struct response *a = ctx;
    a->call = NULL;
    response_keep_model(a, r->model);
    if (r->has_usage)
        a->tokens = (int64_t)r->tokens_out;
    if (r->failure != LLM_NONE) {
        a->by_model = true;
        response_fail(a, ERR_NOT_AVAILABLE, r->why);
        return;
    }
    response_apologize(a);
    response_end(a, RECORD_COMPLETE);
}

static struct llm_settings response_settings(const struct response *a)
{
    struct llm_settings s = llm_settings_merge(&a->request, &a->own);
    s = llm_settings_merge(&s, &a->endpoint);
    return llm_settings_merge(&s, llm_settings_of(a->at->chat->llm));
}

static void response_ask_model(struct response *a)
{
    struct buf text;
    size_t count;
    enum llm_failure why = LLM_NONE;
    struct llm_settings s = response_settings(a);
    buf_init(&text, 2 * CHAT_CONTEXT_BYTES_MAX + s.system_prompt.n);
    struct llm_message *messages = prompt_make(a->form, s.system_prompt, &a->said, &text, &count);
    response_keep_model(a, s.model);
    a->phase = RESPONSE_GIVEN;
    if (messages != NULL)
        a->call = llm_start(a->at->chat->llm, a->at->loop,
                            &(struct llm_ask){.tenant = a->tenant,
                                              .settings = s,
                                              .messages = messages,
                                              .message_count = count,
                                              .token = response_token,
                                              .done = response_given,
                                              .ctx = a},
                            &why);
    free(messages);
    buf_fini(&text);
    if (a->call == NULL) {
        a->by_model = true;
        response_fail(a, ERR_TOO_MANY_REQUESTS,
                      messages != NULL ? str_from(llm_failure_text(why)) : STR("out of memory"));
    }
}

void response_context_read(struct response *a, enum sql_result r)
{
    a->phase = RESPONSE_WAITING;
    if (response_was_due(a))
        return;
    if (r != SQL_OK)
        response_fail(a, ERR_NOT_STORED, STR("the conversation could not be read from the store"));
    else
        response_ask_model(a);
}
