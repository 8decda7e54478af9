/*
 * hold.c - conversations that are being removed: nothing is said in one until that is over.
 *
 * Why it exists: what a channel keeps and the rows go one after the other. An answer that ended
 * behind the first of them would leave its message there for ever.
 *
 * Always true: questions that come meanwhile wait in the hold, no more than a conversation's queue
 * has room for, and begin when it ends.
 */
#include "chat/chat_priv.h"

struct hold {
    struct mail mail; // there, back, and for the end
    struct list link; // of its home's holds
    struct chat_loop *home;
    struct loop *from;
    int64_t conversation;
    bool cancels, told, is_still;
    struct list asks;
    uint32_t ask_count;
    hold_fn *done;
    void *ctx;
    struct str tenant;
    char bytes[];
};

static void told(struct mail *m, struct loop *l)
{
    struct hold *h = container_of(m, struct hold, mail);
    (void)l;
    h->done(h->ctx, h->is_still);
}

static void tell(struct hold *h, bool is_still)
{
    h->told = true;
    h->is_still = is_still;
    h->mail.deliver = told;
    loop_post(h->from, &h->mail);
}

/* Something will be published yet. */
static bool is_spoken_in(const struct hold *h)
{
    list_each(it, &h->home->answers)
    {
        const struct response *a = container_of(it, struct response, of_loop);
        if (!a->record_done && a->conversation_id == h->conversation &&
            str_eq(a->tenant, h->tenant))
            return true;
    }
    return false;
}

void holds_go_on(struct chat_loop *at)
{
    list_each(it, &at->holds)
    {
        struct hold *h = container_of(it, struct hold, link);
        if (!h->told && !is_spoken_in(h))
            tell(h, true);
    }
}

static void hold_arrived(struct mail *m, struct loop *l)
{
    struct hold *h = container_of(m, struct hold, mail);
    (void)l;
    if (!h->cancels && is_spoken_in(h)) {
        tell(h, false);
        return;
    }
    list_add(&h->home->holds, &h->link);
    if (h->cancels)
        conversation_cancel(h->home, h->tenant, h->conversation, 0);
    if (!is_spoken_in(h))
        tell(h, true);
}

struct hold *hold_begin(struct chat *c, struct hub *hub, struct str tenant, int64_t conversation,
                        bool cancels, hold_fn *done, void *ctx)
{
    struct hold *h = calloc(1, sizeof(*h) + tenant.n);
    if (h == NULL)
        return NULL;
    char *at = h->bytes;
    h->mail.deliver = hold_arrived;
    list_init(&h->link);
    list_init(&h->asks);
    h->home = chat_home(c, hub, tenant, conversation);
    h->from = hub_loop(hub);
    h->conversation = conversation;
    h->cancels = cancels;
    h->done = done;
    h->ctx = ctx;
    h->tenant = str_put(&at, tenant);
    loop_post(h->home->loop, &h->mail);
    return h;
}

/* ---- the end ---- */

static void end_arrived(struct mail *m, struct loop *l)
{
    struct hold *h = container_of(m, struct hold, mail);
    (void)l;
    list_remove(&h->link);
    list_each_safe(it, &h->asks)
    {
        list_remove(it);
        ask_begin(container_of(it, struct ask, link)); // there may be a second hold
    }
    free(h);
}

void hold_end(struct hold **hp)
{
    struct hold *h = *hp;
    *hp = NULL;
    if (h == NULL)
        return;
    h->mail.deliver = end_arrived;
    loop_post(h->home->loop, &h->mail);
}

void holds_drop(struct chat_loop *at)
{
    list_each_safe(it, &at->holds)
    {
        struct hold *h = container_of(it, struct hold, link);
        list_remove(&h->link);
        list_each_safe(waits, &h->asks)
        {
            struct ask *ask = container_of(waits, struct ask, link);
            free(ask->asker); // nobody is there to be told
            pool_free(ask);
        }
        free(h);
    }
}

/* ---- questions meanwhile ---- */

static struct hold *hold_find(const struct ask *ask)
{
    list_each(it, &ask->home->holds)
    {
        struct hold *h = container_of(it, struct hold, link);
        if (h->conversation == ask->conversation && str_eq(h->tenant, ask->tenant))
            return h;
    }
    return NULL;
}

bool hold_keeps(struct ask *ask)
{
    struct hold *h = hold_find(ask);
    if (h == NULL || h->ask_count > ask->home->chat->options.queue_max)
        return false;
    h->ask_count++;
    list_add(&h->asks, &ask->link);
    return true;
}

bool hold_is_full(const struct ask *ask)
{
    return hold_find(ask) != NULL;
}
