/*
 * age.c - conversations that nobody has spoken in for so long (chat.keep) go, with their messages
 * and with what their channels keep.
 *
 * Always true: the channel's history goes before the rows. After a crash between the two the
 * conversation is still there, and as old: the next look finds it again. From before the look that
 * says so until the rows are gone nothing is said in it (hold.c): a question waits.
 *
 * What remains: a conversation whose title or settings are changed between that look and the last
 * of its rows stays, without its history and without the messages that had gone.
 */
#include "chat/chat_priv.h"

#include "base/clock.h"
#include "base/log.h"
#include "store/sweep.h"

enum { FIRST_MS = 1000, EVERY_MS = 300000, FOUND_MAX = 50, STEP_MESSAGES = 500 };

struct old {
    int64_t id;
    struct str tenant;
    char bytes[];
};

struct chat_age {
    struct sweep sweep;
    struct chat *chat;
    int64_t before_ms;
    struct old *found[FOUND_MAX];
    size_t count, next; // found[next] is being forgotten
    struct hold *hold;  // on it
    bool checked;       // it was looked at again
    bool is_old;
    enum chat_old came_to;
    uint64_t gone; // in this round
};

static struct chat_age *age_of(struct sweep *s)
{
    return container_of(s, struct chat_age, sweep);
}

static void found_drop(struct chat_age *a)
{
    for (size_t i = 0; i < a->count; i++)
        free(a->found[i]);
    a->count = a->next = 0;
}

/* ---- looking ---- */

static bool is_old(void *ctx, struct str tenant, int64_t id)
{
    struct chat_age *a = ctx;
    struct old *o = malloc(sizeof(*o) + tenant.n);
    if (o == NULL)
        return false;
    char *at = o->bytes;
    o->id = id;
    o->tenant = str_put(&at, tenant);
    a->found[a->count++] = o;
    return a->count < FOUND_MAX;
}

static enum sql_result look(struct sweep *s, struct sql *db)
{
    struct chat_age *a = age_of(s);
    found_drop(a); // it may run again
    a->before_ms = clock_wall_ms() - (int64_t)a->chat->options.keep_ms;
    return chat_rows_old(db, a->before_ms, FOUND_MAX, is_old, a);
}

/* ---- one after the other ---- */

static void rest(struct chat_age *a)
{
    hold_end(&a->hold);
    if (a->gone > 0)
        log_info("chat: %llu conversations older than chat.keep are gone",
                 (unsigned long long)a->gone);
    a->gone = 0;
    found_drop(a);
    sweep_rest(&a->sweep);
}

static void is_still(void *ctx, bool still);

static void forget_next(struct chat_age *a)
{
    if (a->next == a->count) {
        if (a->count == FOUND_MAX)
            sweep_look(&a->sweep); // there may be others
        else
            rest(a);
        return;
    }
    const struct old *o = a->found[a->next];
    a->checked = false;
    a->hold = hold_begin(a->chat, a->chat->loops[0].hub, o->tenant, o->id, false, is_still, a);
    if (a->hold == NULL)
        rest(a);
}

static void leave(struct chat_age *a)
{
    hold_end(&a->hold);
    a->next++;
    forget_next(a);
}

static void is_still(void *ctx, bool still)
{
    struct chat_age *a = ctx;
    if (atomic_load(&a->chat->stopping))
        rest(a);
    else if (still)
        sweep_step(&a->sweep);
    else
        leave(a);
}

static void history_gone(void *ctx, const struct answer *told)
{
    struct chat_age *a = ctx;
    if (atomic_load(&a->chat->stopping) || told->err == ERR_NOT_STORED)
        rest(a);
    else
        sweep_step(&a->sweep); // a channel that keeps nothing says so, and that is as good
}

/* The first step of each looks whether somebody has spoken before it was held. */
static enum sql_result step(struct sweep *s, struct sql *db)
{
    struct chat_age *a = age_of(s);
    const struct old *o = a->found[a->next];
    if (!a->checked)
        return chat_rows_is_old(db, o->tenant, o->id, a->before_ms, &a->is_old);
    return chat_rows_forget_old(db, o->tenant, o->id, a->before_ms, STEP_MESSAGES, &a->came_to);
}

static void checked(struct chat_age *a)
{
    char at[CHAT_CHANNEL_MAX];
    const struct old *o = a->found[a->next];
    a->checked = true;
    if (a->is_old)
        hub_history_remove(a->chat->loops[0].hub, o->tenant, chat_channel(o->id, at), history_gone,
                           a);
    else
        leave(a);
}

static void stepped(struct sweep *s)
{
    struct chat_age *a = age_of(s);
    if (atomic_load(&a->chat->stopping)) {
        rest(a);
    } else if (!a->checked) {
        checked(a);
    } else if (a->came_to == CHAT_OLD_BEGUN) {
        sweep_step(s);
    } else {
        a->gone += a->came_to == CHAT_OLD_GONE;
        atomic_fetch_add(&a->chat->forgotten, a->came_to == CHAT_OLD_GONE);
        leave(a);
    }
}

/* What is held is let go, and found again by the next look. */
static void failed(struct sweep *s)
{
    rest(age_of(s));
}

static void looked(struct sweep *s)
{
    forget_next(age_of(s));
}

static const struct sweep_ops ops = {.look = look,
                                     .step = step,
                                     .looked = looked,
                                     .stepped = stepped,
                                     .failed = failed,
                                     .every_ms = EVERY_MS,
                                     .search = true};

bool chat_age_start(struct chat *c)
{
    if (c->options.keep_ms == 0)
        return true;
    c->age = calloc(1, sizeof(*c->age));
    if (c->age == NULL)
        return false;
    c->age->chat = c;
    sweep_init(&c->age->sweep, &ops, c->store, c->loops[0].loop);
    sweep_start(&c->age->sweep, FIRST_MS);
    return true;
}

void chat_age_drop(struct chat *c)
{
    if (c->age == NULL)
        return;
    sweep_stop(&c->age->sweep);
    found_drop(c->age);
    free(c->age);
    c->age = NULL;
}
