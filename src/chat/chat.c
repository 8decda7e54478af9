/*
 * chat.c - the service: its birth, its end, and what an earlier run left half done.
 *
 * Always true: ids of messages only grow, and are the node's own: one server uses a database.
 */
#include "chat/chat_write.h"

#include "base/clock.h"
#include "base/log.h"

#include <time.h>

enum { LEFT_MAX = 20 /* answers ended in one job */, RETRY_MS = 1000 };
enum { START_TRIES = 10, TURN_WAIT_MS = 100, STOP_WAIT_S = 10 };

struct chat *chat_create(struct node *node, struct store *store, struct llm *llm,
                         const struct chat_options *o)
{
    struct chat *c = calloc(1, sizeof(*c));
    if (c == NULL)
        return NULL;
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_mutex_init(&c->lock, NULL);
    pthread_cond_init(&c->settled, &attr);
    pthread_condattr_destroy(&attr);
    c->node = node;
    c->store = store;
    c->llm = llm;
    c->options = *o;
    c->loop_count = node_loop_count(node);
    c->loops = calloc(c->loop_count, sizeof(*c->loops));
    if (c->loops == NULL) {
        chat_destroy(&c);
        return NULL;
    }
    for (unsigned i = 0; i < c->loop_count; i++) {
        struct chat_loop *l = &c->loops[i];
        l->chat = c;
        l->hub = node_hub(node, i);
        l->loop = hub_loop(l->hub);
        map_init(&l->conversations, SIZE_MAX); // each has an answer, and those are bounded
        list_init(&l->answers);
        list_init(&l->holds);
    }
    return c;
}

bool chat_is_usable(const struct chat *c)
{
    enum store_health h = store_health(c->store);
    return h == STORE_OK || h == STORE_BUSY;
}

uint32_t chat_message_max_bytes(const struct chat *c)
{
    return c->options.message_max_bytes;
}

struct chat_loop *chat_home(struct chat *c, struct hub *hub, struct str tenant,
                            int64_t conversation)
{
    char at[CHAT_CHANNEL_MAX];
    return &c->loops[hub_home_loop(hub, tenant, chat_channel(conversation, at))];
}

void chat_publish(struct hub *hub, struct str tenant, const struct chat_message *m, answer_fn *done,
                  void *ctx)
{
    char at[CHAT_CHANNEL_MAX];
    struct buf data;
    buf_init(&data, json_string_bytes_max(m->content) + 4096);
    if (chat_message_write(&data, m))
        hub_publish(hub,
                    &(struct publish_params){.tenant = tenant,
                                             .channel = chat_channel(m->conversation, at),
                                             .type = STR("chat:message"),
                                             .data = buf_str(&data)},
                    done, ctx);
    else if (done != NULL)
        done(ctx, &(struct answer){.err = ERR_INTERNAL});
    buf_fini(&data);
}

/* ---- waiting for other threads ---- */

void chat_open_add(struct chat *c)
{
    pthread_mutex_lock(&c->lock);
    c->open++;
    pthread_mutex_unlock(&c->lock);
}

void chat_open_remove(struct chat *c)
{
    pthread_mutex_lock(&c->lock);
    if (--c->open == 0)
        pthread_cond_broadcast(&c->settled);
    pthread_mutex_unlock(&c->lock);
}

/* False: some are still open after so long. */
static bool wait_for_none(struct chat *c, int seconds)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += seconds;
    uint64_t until_ns = (uint64_t)until.tv_sec * 1000000000 + (uint64_t)until.tv_nsec;
    pthread_mutex_lock(&c->lock);
    while (c->open > 0 && clock_mono_ns() < until_ns) // a clock that is set may wake it early
        pthread_cond_timedwait(&c->settled, &c->lock, &until);
    bool none = c->open == 0;
    pthread_mutex_unlock(&c->lock);
    return none;
}

/* ---- the start ---- */

struct starting {
    struct store_job job;
    int64_t last_id;
    bool done;
};

static enum sql_result starting_run(struct store_job *j, struct sql *db)
{
    return chat_rows_last_id(db, &container_of(j, struct starting, job)->last_id);
}

static void starting_done(struct store_job *j)
{
    container_of(j, struct starting, job)->done = true;
}

/* On this thread, for the loop that is answered does not run yet. */
static enum sql_result starting_ask(struct chat *c)
{
    struct starting s = {
        .job = {
            .loop = c->loops[0].loop, .reads = true, .run = starting_run, .done = starting_done}};
    store_do(c->store, &s.job);
    while (!s.done)
        loop_turn(c->loops[0].loop, TURN_WAIT_MS);
    if (s.job.result == SQL_OK)
        atomic_store(&c->last_id, s.last_id);
    return s.job.result;
}

bool chat_start(struct chat *c, struct buf *ret_why)
{
    enum sql_result r = SQL_FAILED;
    for (int tries = 0; r != SQL_OK && tries < START_TRIES; tries++)
        r = starting_ask(c);
    if (r != SQL_OK) {
        buf_add(ret_why, STR("store: the conversations cannot be read\n"));
        return false;
    }
    c->left_up_to = atomic_load(&c->last_id);
    return (c->left_up_to == 0 || chat_left_start(c)) && chat_age_start(c);
}

/* ---- what an earlier run left half done ---- */

struct left_row {
    struct str tenant;
    struct chat_message message;
    char bytes[];
};

struct left {
    struct store_job job;
    struct chat *chat;
    struct timer again;
    size_t count;
    struct left_row *rows[LEFT_MAX];
};

static void left_clear(struct left *l)
{
    for (size_t i = 0; i < l->count; i++)
        free(l->rows[i]);
    l->count = 0;
}

/* One that was not ended is ended now. */
static struct str state_of(struct str state)
{
    for (int s = RECORD_COMPLETE; s <= RECORD_FAILED; s++) {
        if (str_eq(state, record_state_name((enum record_state)s)))
            return record_state_name((enum record_state)s);
    }
    return record_state_name(RECORD_FAILED);
}

static bool left_found(void *ctx, struct str tenant, const struct chat_message *m)
{
    struct left *l = ctx;
    struct left_row *row = malloc(sizeof(*row) + tenant.n + m->content.n + m->model.n + m->error.n);
    if (row == NULL)
        return false;
    char *at = row->bytes;
    row->tenant = str_put(&at, tenant);
    row->message = *m;
    row->message.role = STR("assistant");
    row->message.content = str_put(&at, m->content);
    row->message.model = str_put(&at, m->model);
    bool streaming = str_eq(m->state, record_state_name(RECORD_STREAMING));
    row->message.state = state_of(m->state);
    if (streaming)
        row->message.error = STR("the server stopped before the answer was whole");
    else
        row->message.error = str_put(&at, m->error); // its channel may not know of its end
    l->rows[l->count++] = row;
    return true;
}

static enum sql_result left_run(struct store_job *j, struct sql *db)
{
    struct left *l = container_of(j, struct left, job);
    left_clear(l); // it may run again
    enum sql_result r = chat_rows_open(db, l->chat->left_up_to, LEFT_MAX, left_found, l);
    for (size_t i = 0; i < l->count && r == SQL_OK; i++)
        r = chat_rows_finish(db, l->rows[i]->tenant, &l->rows[i]->message);
    for (size_t i = 0; i < l->count && r == SQL_OK; i++)
        r = chat_rows_forget(db, l->rows[i]->message.id);
    return r;
}

static void left_ask(struct left *l);

static void left_done(struct store_job *j)
{
    struct left *l = container_of(j, struct left, job);
    if (j->result != SQL_OK) {
        timer_arm(j->loop, &l->again, RETRY_MS);
        return;
    }
    for (size_t i = 0; i < l->count; i++)
        chat_publish(l->chat->loops[0].hub, l->rows[i]->tenant, &l->rows[i]->message, NULL, NULL);
    if (l->count > 0) {
        log_info("chat: %zu answers that an earlier run left half done are ended as failed",
                 l->count);
        left_ask(l);
        return;
    }
    chat_left_drop(l->chat);
}

static void left_ask(struct left *l)
{
    l->job = (struct store_job){.loop = l->chat->loops[0].loop, .run = left_run, .done = left_done};
    store_do(l->chat->store, &l->job);
}

static void left_again(struct timer *t)
{
    left_ask(container_of(t, struct left, again));
}

bool chat_left_start(struct chat *c)
{
    c->left = calloc(1, sizeof(*c->left));
    if (c->left == NULL)
        return false;
    c->left->chat = c;
    timer_init(&c->left->again, left_again);
    left_ask(c->left);
    return true;
}

void chat_left_drop(struct chat *c)
{
    if (c->left == NULL)
        return;
    timer_cancel(&c->left->again);
    left_clear(c->left);
    free(c->left);
    c->left = NULL;
}

/* ---- the end ---- */

static void stop_arrived(struct mail *m, struct loop *loop)
{
    struct chat_loop *l = container_of(m, struct chat_loop, stop);
    (void)loop;
    list_each_safe(it, &l->answers)
    {
        response_stop(container_of(it, struct response, of_loop));
    }
}

void chat_stop(struct chat *c)
{
    if (atomic_exchange(&c->stopping, true) || wait_for_none(c, 0))
        return;
    for (unsigned i = 0; i < c->loop_count; i++) {
        c->loops[i].stop.deliver = stop_arrived;
        loop_post(c->loops[i].loop, &c->loops[i].stop);
    }
    if (!wait_for_none(c, STOP_WAIT_S))
        log_warn("chat: answers could not be stored before the end; they are kept as far as they "
                 "were saved");
}

void chat_destroy(struct chat **cp)
{
    struct chat *c = *cp;
    *cp = NULL;
    if (c == NULL)
        return;
    for (unsigned i = 0; c->loops != NULL && i < c->loop_count; i++)
        chat_loop_fini(&c->loops[i]);
    chat_left_drop(c);
    chat_age_drop(c);
    pthread_cond_destroy(&c->settled);
    pthread_mutex_destroy(&c->lock);
    free(c->loops);
    free(c);
}

void chat_read_stats(const struct chat *c, struct chat_stats *ret)
{
    *ret = (struct chat_stats){
        .questions = atomic_load(&c->questions),
        .complete = atomic_load(&c->complete),
        .cancelled = atomic_load(&c->cancelled),
        .failed = atomic_load(&c->failed),
        .saves = atomic_load(&c->saves),
        .forgotten = atomic_load(&c->forgotten),
    };
    pthread_mutex_lock((pthread_mutex_t *)(uintptr_t)&c->lock);
    ret->open = c->open;
    pthread_mutex_unlock((pthread_mutex_t *)(uintptr_t)&c->lock);
}
