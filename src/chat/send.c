/*
 * send.c - questions on their way to the home of their conversation, and what comes back.
 *
 * Why it exists: the answer lives where its conversation does, and goes on when whoever asked has
 * left. The asker lives where the question came from.
 *
 * Always true: of an asker the home knows nothing but its address, and posts it mail; the mail that
 * tells the end is the last, and frees it.
 */
#include "chat/chat_priv.h"

struct chat_asker {
    struct loop *loop;
    const struct chat_asker_ops *ops; // NULL: it has left
    void *ctx;
};

/* ---- to the home ---- */

size_t settings_bytes(const struct llm_settings *s)
{
    return s->model.n + s->system_prompt.n;
}

struct llm_settings settings_put(char **at, const struct llm_settings *s)
{
    struct llm_settings copy = *s;
    copy.model = str_put(at, s->model);
    copy.system_prompt = str_put(at, s->system_prompt);
    return copy;
}

void ask_begin(struct ask *ask)
{
    if (!hold_keeps(ask))
        response_begin(ask->home, ask);
}

static void ask_arrived(struct mail *m, struct loop *l)
{
    (void)l;
    ask_begin(container_of(m, struct ask, mail));
}

struct chat_asker *chat_send(struct chat *c, struct hub *hub, const struct chat_question *q,
                             const struct chat_asker_ops *ops, void *ctx)
{
    struct chat_asker *a = malloc(sizeof(*a));
    struct ask *ask = pool_alloc(sizeof(*ask) + q->tenant.n + q->text.n +
                                 settings_bytes(&q->request) + settings_bytes(&q->endpoint));
    if (a == NULL || ask == NULL) {
        free(a);
        pool_free(ask);
        return NULL;
    }
    *a = (struct chat_asker){hub_loop(hub), ops, ctx};
    *ask = (struct ask){
        .mail.deliver = ask_arrived,
        .home = chat_home(c, hub, q->tenant, q->conversation),
        .asker = a,
        .conversation = q->conversation,
        .form = q->form,
    };
    char *at = ask->bytes;
    ask->tenant = str_put(&at, q->tenant);
    ask->text = str_put(&at, q->text);
    ask->request = settings_put(&at, &q->request);
    ask->endpoint = settings_put(&at, &q->endpoint);
    loop_post(ask->home->loop, &ask->mail);
    return a;
}

void chat_leave(struct chat_asker **ap)
{
    if (*ap != NULL)
        (*ap)->ops = NULL;
    *ap = NULL;
}

/* ---- and back ---- */

enum told_what { TOLD_ACCEPTED, TOLD_TOKEN, TOLD_END };

struct told {
    struct mail mail;
    struct chat_asker *asker;
    enum told_what what;
    struct str text;
    struct chat_message question, answer;
    struct chat_end end;
    char bytes[];
};

static void deliver(struct told *t)
{
    struct chat_asker *a = t->asker;
    if (a->ops == NULL)
        return;
    switch (t->what) {
    case TOLD_ACCEPTED:
        a->ops->accepted(a->ctx, &t->question, &t->answer);
        break;
    case TOLD_TOKEN:
        if (a->ops->token != NULL)
            a->ops->token(a->ctx, t->text);
        break;
    case TOLD_END:
        a->ops->ended(a->ctx, &t->end);
        break;
    }
}

static void told_arrived(struct mail *m, struct loop *l)
{
    struct told *t = container_of(m, struct told, mail);
    (void)l;
    deliver(t);
    if (t->what == TOLD_END)
        free(t->asker);
    pool_free(t);
}

/* Somebody waits for every one of them. */
static struct told *told_make(struct chat_asker *a, enum told_what what, size_t bytes)
{
    struct told *t = pool_alloc(sizeof(*t) + bytes);
    MUST(t != NULL);
    memset(t, 0, sizeof(*t));
    t->mail.deliver = told_arrived;
    t->asker = a;
    t->what = what;
    return t;
}

static void told_post(struct told *t)
{
    loop_post(t->asker->loop, &t->mail);
}

static size_t message_bytes(const struct chat_message *m)
{
    return m->role.n + m->content.n + m->state.n + m->model.n + m->error.n;
}

static struct chat_message message_put(char **at, const struct chat_message *m)
{
    struct chat_message copy = *m;
    copy.role = str_put(at, m->role);
    copy.content = str_put(at, m->content);
    copy.state = str_put(at, m->state);
    copy.model = str_put(at, m->model);
    copy.error = str_put(at, m->error);
    return copy;
}

void asker_tell_accepted(struct chat_asker *a, const struct chat_message *question,
                         const struct chat_message *answer)
{
    struct told *t = told_make(a, TOLD_ACCEPTED, message_bytes(question) + message_bytes(answer));
    char *at = t->bytes;
    t->question = message_put(&at, question);
    t->answer = message_put(&at, answer);
    told_post(t);
}

void asker_tell_token(struct chat_asker *a, const struct chat_loop *on, struct str text)
{
    if (a->loop == on->loop) { // at once: all that was told before has arrived by now
        if (a->ops != NULL && a->ops->token != NULL)
            a->ops->token(a->ctx, text);
        return;
    }
    struct told *t = told_make(a, TOLD_TOKEN, text.n);
    char *at = t->bytes;
    t->text = str_put(&at, text);
    told_post(t);
}

void asker_tell_end(struct chat_asker *a, const struct chat_end *end)
{
    bool has = end->answer != NULL;
    struct told *t = told_make(a, TOLD_END, end->why.n + (has ? message_bytes(end->answer) : 0));
    char *at = t->bytes;
    t->end = *end;
    t->end.why = str_put(&at, end->why);
    if (has) {
        t->answer = message_put(&at, end->answer);
        t->end.answer = &t->answer;
    }
    told_post(t);
}

/* ---- cancelling ---- */

struct cancel {
    struct mail mail;
    struct chat_loop *home;
    struct loop *from;
    int64_t conversation, message;
    uint32_t count;
    chat_cancelled_fn *done;
    void *ctx;
    struct str tenant;
    char bytes[];
};

static void cancel_back(struct mail *m, struct loop *l)
{
    struct cancel *x = container_of(m, struct cancel, mail);
    (void)l;
    if (x->done != NULL)
        x->done(x->ctx, x->count);
    pool_free(x);
}

uint32_t conversation_cancel(struct chat_loop *at, struct str tenant, int64_t id, int64_t message)
{
    struct conversation *c = conversation_find(at, tenant, id);
    uint32_t count = 0;
    if (c == NULL)
        return 0;
    list_each_safe(it, &c->answers)
    {
        struct response *a = container_of(it, struct response, link);
        if (message > 0 && message != a->id && message != a->question_id)
            continue;
        if (a->phase == RESPONSE_ENDING || a->end_due)
            continue;
        count++;
        response_cancel(a);
    }
    return count;
}

static void cancel_arrived(struct mail *m, struct loop *l)
{
    struct cancel *x = container_of(m, struct cancel, mail);
    (void)l;
    x->count = conversation_cancel(x->home, x->tenant, x->conversation, x->message);
    x->mail.deliver = cancel_back;
    loop_post(x->from, &x->mail);
}

bool chat_cancel(struct chat *c, struct hub *hub, struct str tenant, int64_t conversation,
                 int64_t message, chat_cancelled_fn *done, void *ctx)
{
    struct cancel *x = pool_alloc(sizeof(*x) + tenant.n);
    if (x == NULL)
        return false;
    *x = (struct cancel){
        .mail.deliver = cancel_arrived,
        .home = chat_home(c, hub, tenant, conversation),
        .from = hub_loop(hub),
        .conversation = conversation,
        .message = message,
        .done = done,
        .ctx = ctx,
    };
    char *at = x->bytes;
    x->tenant = str_put(&at, tenant);
    loop_post(x->home->loop, &x->mail);
    return true;
}
