/*
 * look.c - what is asked of the rows: conversations, messages, and changes to conversations.
 *
 * Why it exists: the answer is JSON from the first byte on. It is written where the rows are read,
 * on the store's thread, and a loop only hands it on.
 */
#include "chat/chat_write.h"
#include "chat/live.h"

#include "base/clock.h"

enum { LOOK_BYTES_MAX = 64 << 20, LOOK_BYTES_DEFAULT = 2 << 20, ROW_BYTES = 512 };
enum { LOOKS_MAX = 3 };

struct look {
    struct store_job job;
    struct chat *chat;
    struct hub *hub;
    struct chat_lookup what;
    struct buf out;
    bool found;
    int64_t id; // of what was made
    /* While messages are read: they come newest first, and are wanted oldest first. */
    struct chat_message **messages;
    size_t count, total_bytes;
    bool full; // there are older ones, which have no room
    struct live live;
    bool missed; // one is under way that live does not know
    unsigned looks;
    struct hold *hold; // of DELETE: it is there, and nothing is said in it any more
    chat_looked_fn *done;
    void *ctx;
    char bytes[];
};

static void messages_drop(struct look *k)
{
    for (size_t i = 0; i < k->count; i++)
        free(k->messages[i]);
    free(k->messages);
    k->messages = NULL;
    k->count = k->total_bytes = 0;
    k->full = false;
}

/* One that is being written is as its channel tells it. */
static struct chat_message message_now(struct look *k, const struct chat_message *row)
{
    struct chat_message m = *row;
    if (!str_eq(m.state, record_state_name(RECORD_STREAMING)))
        return m;
    const struct live_answer *a = live_find(&k->live, m.id);
    k->missed |= a == NULL;
    if (a != NULL) {
        m.content = a->content;
        m.seq = a->seq;
    }
    return m;
}

static bool message_keep(void *ctx, const struct chat_message *row)
{
    struct look *k = ctx;
    struct chat_message now = message_now(k, row), *m = &now;
    size_t most = k->what.bytes_max > 0 ? k->what.bytes_max : LOOK_BYTES_DEFAULT;
    k->total_bytes += m->content.n + m->content.n / 8 + ROW_BYTES;
    k->full = k->count > 0 && k->total_bytes > most;
    if (k->full)
        return false;
    struct chat_message *copy =
        malloc(sizeof(*copy) + m->role.n + m->content.n + m->state.n + m->model.n + m->error.n);
    if (copy == NULL)
        return false;
    char *at = (char *)(copy + 1);
    *copy = *m;
    copy->role = str_put(&at, m->role);
    copy->content = str_put(&at, m->content);
    copy->state = str_put(&at, m->state);
    copy->model = str_put(&at, m->model);
    copy->error = str_put(&at, m->error);
    k->messages[k->count++] = copy;
    return true;
}

static enum sql_result messages_read(struct look *k, struct sql *db, int64_t limit, bool spoken)
{
    messages_drop(k);
    k->missed = false;
    k->messages = calloc((size_t)limit, sizeof(k->messages[0]));
    if (k->messages == NULL)
        return SQL_FAILED;
    return chat_rows_messages(db, &k->what, limit, spoken, message_keep, k);
}

static enum sql_result written(struct json_writer *w)
{
    return json_done(w) ? SQL_OK : SQL_FAILED;
}

static void position_put(struct json_writer *w, struct position at)
{
    char epoch[EPOCH_TEXT];
    if (at.epoch == 0)
        return;
    epoch_format(at.epoch, epoch);
    json_put_string(json_key(w, STR("epoch")), (struct str){epoch, EPOCH_TEXT});
    json_put_u64(json_key(w, STR("offset")), at.offset);
}

static enum sql_result look_messages(struct look *k, struct sql *db)
{
    struct json_writer w;
    int64_t limit = k->what.limit;
    enum sql_result r = messages_read(k, db, limit + 1, false);
    if (r != SQL_OK)
        return r;
    size_t shown = k->count > (size_t)limit ? (size_t)limit : k->count;
    json_writer_init(&w, &k->out);
    json_open_object(&w);
    json_open_array(json_key(&w, STR("messages")));
    for (size_t i = shown; i > 0; i--)
        chat_message_put(&w, k->messages[i - 1]);
    json_close_array(&w);
    json_put_bool(json_key(&w, STR("has_more")), k->full || k->count > shown);
    position_put(&w, k->live.position);
    json_close_object(&w);
    return written(&w);
}

static enum sql_result look_history(struct look *k, struct sql *db)
{
    struct json_writer w;
    enum sql_result r = messages_read(k, db, k->what.limit, true);
    if (r != SQL_OK)
        return r;
    json_writer_init(&w, &k->out);
    json_open_array(&w);
    for (size_t i = k->count; i > 0; i--)
        chat_history_put(&w, k->messages[i - 1]);
    json_close_array(&w);
    return written(&w);
}

struct listing {
    struct look *look;
    struct json_writer w;
};

static bool conversation_put(void *ctx, const struct chat_conversation *c)
{
    struct listing *l = ctx;
    l->look->found = true;
    chat_conversation_put(&l->w, c);
    return true;
}

static enum sql_result look_conversations(struct look *k, struct sql *db)
{
    struct listing l = {.look = k};
    int64_t total = 0;
    json_writer_init(&l.w, &k->out);
    json_open_object(&l.w);
    json_open_array(json_key(&l.w, STR("conversations")));
    enum sql_result r = chat_rows_conversations(db, &k->what, conversation_put, &l, &total);
    json_close_array(&l.w);
    json_put_i64(json_key(&l.w, STR("total")), total);
    json_close_object(&l.w);
    k->found = true;
    return r == SQL_OK ? written(&l.w) : r;
}

static enum sql_result look_conversation(struct look *k, struct sql *db, int64_t id)
{
    struct listing l = {.look = k};
    json_writer_init(&l.w, &k->out);
    enum sql_result r = chat_rows_conversation(db, k->what.tenant, id, conversation_put, &l);
    return r == SQL_OK && l.w.failed ? SQL_FAILED : r;
}

static enum sql_result look_run(struct store_job *j, struct sql *db)
{
    struct look *k = container_of(j, struct look, job);
    enum sql_result r;
    buf_clear(&k->out); // it may run again
    k->found = true;
    switch (k->what.look) {
    case CHAT_MESSAGES:
        return look_messages(k, db);
    case CHAT_HISTORY:
        return look_history(k, db);
    case CHAT_CONVERSATIONS:
        return look_conversations(k, db);
    case CHAT_CONVERSATION:
        k->found = false;
        return look_conversation(k, db, k->what.conversation);
    case CHAT_CREATE:
        r = chat_rows_create(db, &k->what, clock_wall_ms(), &k->id);
        return r == SQL_OK ? look_conversation(k, db, k->id) : r;
    case CHAT_CHANGE:
        k->found = false;
        r = chat_rows_change(db, &k->what, clock_wall_ms());
        return r == SQL_OK ? look_conversation(k, db, k->what.conversation) : r;
    case CHAT_DELETE:
        k->found = false;
        r = look_conversation(k, db, k->what.conversation);
        buf_clear(&k->out);
        if (r == SQL_OK && k->found && k->hold != NULL)
            r = chat_rows_delete(db, k->what.tenant, k->what.conversation);
        return r == SQL_OK && !buf_add(&k->out, STR("{}")) ? SQL_FAILED : r;
    }
    return SQL_FAILED;
}

static void look_done(struct store_job *j);

static bool look_reads(const struct look *k)
{
    return k->what.look <= CHAT_CONVERSATION || (k->what.look == CHAT_DELETE && k->hold == NULL);
}

static void look_ask_store(struct look *k)
{
    k->job = (struct store_job){
        .loop = hub_loop(k->hub), .reads = look_reads(k), .run = look_run, .done = look_done};
    store_do(k->chat->store, &k->job);
}

static void look_begin(struct look *k);

/* An answer that began after the channel was looked at is looked at once more, for its seq. One
 * that no channel tells of (too many are being written there, or an earlier run left it) stays as
 * its row is. */
static bool look_again(struct look *k)
{
    bool again = k->what.look == CHAT_MESSAGES && k->job.result == SQL_OK && k->missed &&
                 ++k->looks < LOOKS_MAX;
    if (again)
        look_begin(k);
    return again;
}

static void look_end(struct look *k, enum err err)
{
    hold_end(&k->hold); // who is answered may speak there again
    k->done(k->ctx, err, err == ERR_OK ? buf_str(&k->out) : STR_NONE);
    messages_drop(k);
    live_drop(&k->live);
    buf_fini(&k->out);
    free(k);
}

static void history_gone(void *ctx, const struct answer *told)
{
    struct look *k = ctx;
    if (told->err == ERR_NOT_STORED)
        look_end(k, ERR_NOT_STORED);
    else
        look_ask_store(k); // a channel that keeps nothing says so, and that is as good
}

static void is_still(void *ctx, bool still)
{
    struct look *k = ctx;
    char at[CHAT_CHANNEL_MAX];
    MUST(still);
    hub_history_remove(k->hub, k->what.tenant, chat_channel(k->what.conversation, at), history_gone,
                       k);
}

/* The channel's history goes before the rows: after a crash between the two the conversation is
 * still there, and can be deleted again. */
static enum err remove_begin(struct look *k)
{
    k->hold = hold_begin(k->chat, k->hub, k->what.tenant, k->what.conversation, true, is_still, k);
    return k->hold != NULL ? ERR_OK : ERR_INTERNAL;
}

static void look_done(struct store_job *j)
{
    struct look *k = container_of(j, struct look, job);
    enum err err = ERR_OK;
    if (look_again(k))
        return;
    if (j->result != SQL_OK)
        err = j->result == SQL_FAILED ? ERR_INTERNAL : ERR_NOT_STORED;
    else if (!k->found)
        err = ERR_UNKNOWN_CHANNEL;
    if (err == ERR_OK && k->what.look == CHAT_DELETE && k->hold == NULL) {
        err = remove_begin(k);
        if (err == ERR_OK)
            return;
    }
    look_end(k, err);
}

static void records_told(void *ctx, const struct answer *said)
{
    struct look *k = ctx;
    live_read(&k->live, said);
    look_ask_store(k);
}

/* The channel comes before the rows: what it told up to its position is in them by then. */
static void look_begin(struct look *k)
{
    char at[CHAT_CHANNEL_MAX];
    if (k->what.look == CHAT_MESSAGES)
        hub_records(k->hub, k->what.tenant, chat_channel(k->what.conversation, at), records_told,
                    k);
    else
        look_ask_store(k);
}

bool chat_look_up(struct chat *c, struct hub *hub, const struct chat_lookup *l,
                  chat_looked_fn *done, void *ctx)
{
    struct look *k =
        calloc(1, sizeof(*k) + l->tenant.n + l->title.n + l->system_prompt.n + l->model.n);
    if (k == NULL)
        return false;
    char *at = k->bytes;
    k->hub = hub;
    k->what = *l;
    k->what.tenant = str_put(&at, l->tenant);
    k->what.title = str_put(&at, l->title);
    k->what.system_prompt = str_put(&at, l->system_prompt);
    k->what.model = str_put(&at, l->model);
    k->done = done;
    k->ctx = ctx;
    buf_init(&k->out, LOOK_BYTES_MAX);
    k->chat = c;
    look_begin(k);
    return true;
}
