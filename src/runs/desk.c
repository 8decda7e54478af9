/*
 * desk.c - changes of rows in one order, told when they are committed.
 *
 * Why it exists: two loops that change one row would publish in another order than they were
 * committed in. All changes pass one loop, and the store keeps the order of those who ask it.
 *
 * Always true:
 *   D1. of changes that one desk was asked for, the events are published in the order of their
 *       commits.
 *   D2. an ask is in one place: with its loop, in a mail, or with the store.
 */
#include "runs/desk.h"

#include "base/log.h"
#include "base/must.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { WAITING_BYTES_MAX = 64 << 20 };

struct desk {
    struct store *store;
    struct loop *home;
    void (*publish)(void *ctx, const struct desk_event *e);
    void *ctx;
    _Atomic size_t waiting_bytes;
};

struct desk *desk_create(const struct desk_options *o)
{
    struct desk *d = calloc(1, sizeof(*d));
    if (d == NULL)
        return NULL;
    d->store = o->store;
    d->home = o->home;
    d->publish = o->publish;
    d->ctx = o->ctx;
    return d;
}

void desk_destroy(struct desk **dp)
{
    struct desk *d = *dp;
    *dp = NULL;
    MUST(d == NULL || atomic_load(&d->waiting_bytes) == 0);
    free(d);
}

struct loop *desk_home(const struct desk *d)
{
    return d->home;
}

enum err desk_state_err(enum desk_state s)
{
    static const enum err errors[] = {
        [DESK_DONE] = ERR_OK,
        [DESK_MADE] = ERR_OK,
        [DESK_BAD] = ERR_BAD_REQUEST,
        [DESK_DENIED] = ERR_PERMISSION_DENIED,
        [DESK_MISSING] = ERR_NOT_FOUND,
        [DESK_CLASH] = ERR_CONFLICT,
        [DESK_TOO_BIG] = ERR_TOO_LARGE,
        [DESK_FULL] = ERR_CONFLICT,
        [DESK_BUSY] = ERR_TOO_MANY_REQUESTS,
        [DESK_DOWN] = ERR_NOT_STORED,
        [DESK_BROKEN] = ERR_INTERNAL,
    };
    return errors[s];
}

/* ---- what becomes of an ask ---- */

static void events_drop(struct desk_ask *a)
{
    while (a->events != NULL) {
        struct desk_event *e = a->events;
        a->events = e->next;
        free(e);
    }
    a->events_end = &a->events;
}

static void ask_free(struct desk_ask *a)
{
    events_drop(a);
    buf_fini(&a->body);
    free(a);
}

static void ask_finish(struct desk_ask *a)
{
    struct desk_reply r = {a->state, {a->why, a->why_n}, buf_str(&a->body)};
    atomic_fetch_sub(&a->desk->waiting_bytes, a->bytes);
    if (a->done != NULL)
        a->done(a->ctx, &r);
    ask_free(a);
}

enum sql_result desk_ask_say(struct desk_ask *a, enum desk_state state, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = vsnprintf(a->why, sizeof(a->why), format, args);
    va_end(args);
    a->why_n = n < 0 ? 0 : (size_t)n < sizeof(a->why) ? (size_t)n : sizeof(a->why) - 1;
    a->state = state;
    return SQL_OK;
}

bool desk_ask_tell(struct desk_ask *a, struct str tenant, struct str channel, const char *type,
                   struct str data)
{
    struct desk_event *e = malloc(sizeof(*e) + tenant.n + channel.n + data.n);
    if (e == NULL)
        return false;
    char *at = e->bytes;
    *e = (struct desk_event){.type = str_from(type)};
    e->tenant = str_put(&at, tenant);
    e->channel = str_put(&at, channel);
    e->data = str_put(&at, data);
    *a->events_end = e;
    a->events_end = &e->next;
    return true;
}

static bool is_refusal(enum desk_state s)
{
    return s != DESK_DONE && s != DESK_MADE;
}

static void ask_judge(struct desk_ask *a, enum sql_result r)
{
    bool said = is_refusal(a->state) && (r == SQL_OK || r == DESK_UNDO);
    if (r != SQL_OK || said)
        events_drop(a);
    if (r == SQL_OK || said)
        return;
    buf_clear(&a->body);
    if (r == SQL_AGAIN) {
        desk_ask_say(a, DESK_DOWN, "the store is busy: try again");
    } else if (r == SQL_DOWN || r == SQL_FULL) {
        desk_ask_say(a, DESK_DOWN, "the store cannot be used now: %s", sql_result_name(r));
    } else {
        log_error("runs: a row could not be handled: %s", sql_result_name(r));
        desk_ask_say(a, DESK_BROKEN, "internal server error");
    }
}

/* ---- its way ---- */

static enum sql_result ask_run(struct store_job *j, struct sql *db)
{
    struct desk_ask *a = container_of(j, struct desk_ask, job);
    events_drop(a); // of a run before
    buf_clear(&a->body);
    a->state = DESK_DONE;
    a->why_n = 0;
    enum sql_result r = a->run(a, db);
    if (r != SQL_OK && r != DESK_UNDO)
        log_debug("runs: %s: %s", sql_result_name(r), sql_why(db));
    return r;
}

static void came_back(struct mail *m, struct loop *l)
{
    (void)l;
    ask_finish(container_of(m, struct desk_ask, mail));
}

static void read_done(struct store_job *j)
{
    struct desk_ask *a = container_of(j, struct desk_ask, job);
    ask_judge(a, j->result);
    ask_finish(a);
}

/* On the home loop. */
static void change_done(struct store_job *j)
{
    struct desk_ask *a = container_of(j, struct desk_ask, job);
    struct desk *d = a->desk;
    ask_judge(a, j->result);
    for (const struct desk_event *e = a->events; e != NULL; e = e->next)
        d->publish(d->ctx, e);
    if (a->settled != NULL && !is_refusal(a->state))
        a->settled(a);
    if (a->loop == d->home) {
        ask_finish(a);
        return;
    }
    a->mail.deliver = came_back;
    loop_post(a->loop, &a->mail);
}

static void ask_store(struct desk_ask *a)
{
    a->job = (struct store_job){.loop = a->reads ? a->loop : a->desk->home,
                                .reads = a->reads,
                                .search = a->search,
                                .run = ask_run,
                                .done = a->reads ? read_done : change_done};
    store_do(a->desk->store, &a->job);
}

static void came_to_desk(struct mail *m, struct loop *l)
{
    (void)l;
    ask_store(container_of(m, struct desk_ask, mail));
}

void *desk_ask_make(struct desk *d, const struct desk_from *from, size_t size, size_t room)
{
    struct desk_ask *a = calloc(1, size + from->tenant.n + room);
    if (a == NULL) {
        if (from->done != NULL)
            from->done(from->ctx,
                       &(struct desk_reply){DESK_BROKEN, STR("out of memory"), STR_NONE});
        return NULL;
    }
    char *at = (char *)a + size;
    a->desk = d;
    a->loop = from->loop;
    a->done = from->done;
    a->ctx = from->ctx;
    a->bytes = size + from->tenant.n + room;
    a->tenant = str_put(&at, from->tenant);
    a->room = at;
    a->events_end = &a->events;
    buf_init(&a->body, DESK_BODY_MAX);
    atomic_fetch_add(&d->waiting_bytes, a->bytes);
    return a;
}

void desk_ask_refuse(struct desk_ask *a, enum desk_state state, struct str why)
{
    desk_ask_say(a, state, "%.*s", STR_FMT(why));
    ask_finish(a);
}

/* A store that is down says so at once; what it has no room for must not wait in memory. */
void desk_ask_start(struct desk_ask *a)
{
    struct desk *d = a->desk;
    enum store_health health = d->store != NULL ? store_health(d->store) : STORE_DOWN;
    if (d->store == NULL)
        desk_ask_refuse(a, DESK_DOWN, STR("there is no store"));
    else if (!a->reads && (health == STORE_DOWN || health == STORE_DISK_FULL))
        desk_ask_refuse(a, DESK_DOWN, STR("the store cannot be used now"));
    else if (atomic_load(&d->waiting_bytes) > WAITING_BYTES_MAX)
        desk_ask_refuse(a, DESK_BUSY, STR("too much is waiting for the store"));
    else if (a->reads || a->loop == d->home)
        ask_store(a);
    else {
        a->mail.deliver = came_to_desk;
        loop_post(d->home, &a->mail);
    }
}

/* ---- what many asks do ---- */

static bool take_number(void *ctx, const struct sql_value *row, size_t count)
{
    (void)count;
    *(int64_t *)ctx = row[0].type == SQL_INT ? row[0].i : 0;
    return false;
}

enum sql_result desk_number(struct sql *db, const char *text, const struct sql_value *params,
                            size_t count, int64_t *ret)
{
    *ret = 0;
    return sql_run(db, text, params, count, take_number, ret);
}

enum sql_result desk_ask_page(struct desk_ask *a, struct sql *db, const struct desk_page *p)
{
    int64_t total = 0;
    json_writer_init(p->w, &a->body);
    json_open_object(p->w);
    json_open_array(json_key(p->w, str_from(p->key)));
    enum sql_result r = sql_run(db, p->rows, p->params, p->count_params + 2, p->put, p->ctx);
    if (r == SQL_OK)
        r = desk_number(db, p->count, p->params, p->count_params, &total);
    json_close_array(p->w);
    json_put_i64(json_key(p->w, STR("total")), total);
    json_close_object(p->w);
    if (r != SQL_OK || json_done(p->w))
        return r;
    return desk_ask_say(a, DESK_TOO_BIG, "the list is too long: ask for less");
}

enum sql_result desk_id_next(struct desk_ids *ids, struct sql *db, const char *text, int64_t *ret)
{
    int64_t last = 0;
    enum sql_result r = ids->known ? SQL_OK : desk_number(db, text, NULL, 0, &last);
    if (r != SQL_OK)
        return r;
    if (!ids->known)
        ids->last = last;
    ids->known = true;
    *ret = ++ids->last;
    return SQL_OK;
}
