/*
 * response_rows.c - the rows of an answer: on their way to the store and back.
 *
 * Always true: of each kind of job at most one is under way, and an answer whose job is under way
 * is not freed. What a job reads or writes on the store's thread is nobody else's meanwhile.
 */
#include "chat/chat_priv.h"

enum { SAVE_MS = 1000, SAVE_BYTES = 4096, RETRY_MS = 1000 };
/* A text is written whole: for each so many bytes of it the next time is a second later. */
enum { SAVE_SLOWER_BYTES = 16384 };

static void job_start(struct response *a, struct store_job *j, bool reads,
                      enum sql_result (*run)(struct store_job *j, struct sql *db),
                      void (*done)(struct store_job *j))
{
    *j = (struct store_job){.loop = a->at->loop, .reads = reads, .run = run, .done = done};
    store_do(a->at->chat->store, j);
}

/* ---- the beginning ---- */

static struct chat_message question_message(const struct response *a)
{
    return (struct chat_message){
        .id = a->question_id,
        .conversation = a->conversation_id,
        .role = STR("user"),
        .content = a->question,
        .state = STR("complete"),
        .tokens = -1,
        .seq = -1,
        .created_ms = a->created_ms,
        .updated_ms = a->created_ms,
    };
}

static enum sql_result accept_run(struct store_job *j, struct sql *db)
{
    const struct response *a = container_of(j, struct response, accept);
    struct chat_message question = question_message(a), answer = response_message(a);
    return chat_rows_accept(db, a->tenant, &question, &answer);
}

static void accept_done(struct store_job *j)
{
    struct response *a = container_of(j, struct response, accept);
    if (j->result == SQL_OK) {
        struct chat_message question = question_message(a), answer = response_message(a);
        chat_publish(a->at->hub, a->tenant, &question, NULL, NULL);
        asker_tell_accepted(a->asker, &question, &answer);
    }
    response_stored(a, j->result);
}

void response_store(struct response *a)
{
    job_start(a, &a->accept, false, accept_run, accept_done);
}

/* ---- what was said before ---- */

static bool own_settings(void *ctx, const struct chat_conversation *c)
{
    struct response *a = ctx;
    buf_fini(&a->own_text);
    buf_init(&a->own_text, c->model.n + c->system_prompt.n + 1);
    if (!buf_add(&a->own_text, c->model) || !buf_add(&a->own_text, c->system_prompt))
        return false;
    a->own.model = (struct str){a->own_text.p, c->model.n};
    a->own.system_prompt = (struct str){a->own_text.p + c->model.n, c->system_prompt.n};
    return true;
}

static bool said_before(void *ctx, const struct chat_message *m)
{
    struct response *a = ctx;
    a->said_bytes += m->content.n;
    if (a->said_bytes > CHAT_CONTEXT_BYTES_MAX && !list_empty(&a->said))
        return false;
    return said_add(&a->said, m->role, m->content);
}

static enum sql_result read_run(struct store_job *j, struct sql *db)
{
    struct response *a = container_of(j, struct response, read);
    a->own = llm_settings_none();
    said_drop(&a->said); // it may run again
    a->said_bytes = 0;
    enum sql_result r = chat_rows_conversation(db, a->tenant, a->conversation_id, own_settings, a);
    if (r == SQL_OK)
        r = chat_rows_context(db, a->tenant, a->conversation_id, a->question_id,
                              a->at->chat->options.context_count, said_before, a);
    return r;
}

static void read_done(struct store_job *j)
{
    response_context_read(container_of(j, struct response, read), j->result);
}

void response_read_context(struct response *a)
{
    job_start(a, &a->read, true, read_run, read_done);
}

/* ---- now and then ---- */

static enum sql_result save_run(struct store_job *j, struct sql *db)
{
    const struct response *a = container_of(j, struct response, save);
    return chat_rows_save(db, a->id, buf_str(&a->saving_text), a->saved_ms);
}

static void save_done(struct store_job *j)
{
    struct response *a = container_of(j, struct response, save);
    a->saving = false;
    if (a->phase == RESPONSE_ENDING)
        response_settle(a);
    else if (a->phase == RESPONSE_GIVEN)
        response_save_later(a);
}

static void save_now(struct response *a)
{
    buf_clear(&a->saving_text);
    if (!buf_add(&a->saving_text, buf_str(&a->text)))
        return; // no memory: its end is saved all the same
    a->saving = true;
    a->saved_bytes = a->text.len;
    a->saved_ms = loop_wall_ms(a->at->loop);
    atomic_fetch_add(&a->at->chat->saves, 1);
    job_start(a, &a->save, false, save_run, save_done);
}

static void save_due(struct timer *t)
{
    struct response *a = container_of(t, struct response, timer);
    if (a->phase == RESPONSE_ENDING)
        response_save_end(a);
    else if (!a->saving && a->text.len > a->saved_bytes)
        save_now(a);
}

/* Half a second to one and a half: a thousand that began together would all be written at once. */
static uint64_t save_pause_ms(const struct response *a)
{
    uint64_t spread = (uint64_t)a->id * 617 % SAVE_MS;
    return (SAVE_MS / 2 + spread) * (1 + (uint64_t)a->saved_bytes / SAVE_SLOWER_BYTES);
}

void response_save_later(struct response *a)
{
    size_t unsaved = a->text.len - a->saved_bytes;
    if (a->saving || unsaved == 0)
        return;
    if (a->timer.fire == NULL)
        timer_init(&a->timer, save_due);
    if (unsaved >= SAVE_BYTES &&
        a->saved_bytes <= unsaved * 4) { // a long text is not written often
        timer_cancel(&a->timer);
        save_now(a);
    } else if (!timer_armed(&a->timer)) {
        timer_arm(a->at->loop, &a->timer, save_pause_ms(a));
    }
}

/* ---- the end ---- */

static enum sql_result finish_run(struct store_job *j, struct sql *db)
{
    const struct response *a = container_of(j, struct response, finish);
    struct chat_message m = response_message(a);
    return chat_rows_finish(db, a->tenant, &m);
}

static void finish_done(struct store_job *j)
{
    struct response *a = container_of(j, struct response, finish);
    a->finishing = false;
    if (j->result != SQL_OK)
        timer_arm(a->at->loop, &a->timer, RETRY_MS); // what was said is kept until it can be stored
    response_end_saved(a, j->result);
}

static enum sql_result forget_run(struct store_job *j, struct sql *db)
{
    return chat_rows_forget(db, container_of(j, struct response, forget)->id);
}

/* When it fails the channel is told once more after the next start: of the same message. */
static void forget_done(struct store_job *j)
{
    struct response *a = container_of(j, struct response, forget);
    a->forgetting = false;
    response_settle(a);
}

void response_forget(struct response *a)
{
    a->forgetting = true;
    job_start(a, &a->forget, false, forget_run, forget_done);
}

void response_save_end(struct response *a)
{
    if (a->timer.fire == NULL)
        timer_init(&a->timer, save_due);
    timer_cancel(&a->timer);
    a->finishing = true;
    job_start(a, &a->finish, false, finish_run, finish_done);
}
