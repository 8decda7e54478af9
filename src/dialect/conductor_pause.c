/*
 * conductor_pause.c - "pause_councilor": somebody else has to do it, and the client is told whether
 * he did.
 *
 * A schedule of that name is paused here. Else, with a back end, its answer to a request says so.
 * Without one, the wish is an event of the channel jobs, and a worker answers by publishing
 * councilor_paused to the channel client:<id>, which every session of this dialect follows. What
 * nobody has confirmed in time is false.
 *
 * Always true: a pause is in its watcher's list until it is answered, and the tick is armed for the
 * oldest one that waits for a worker.
 */
#include "dialect/conductor_priv.h"
#include "schedule/schedules.h"

/* The schedules are asked, on their loop; it holds the session. */
struct asking {
    struct schedule_pause ask;
    struct watcher *watcher;
    char tenant[NAME_BYTES_MAX], id[SCHEDULE_ID_MAX];
};

struct pause {
    struct list link; // of the watcher
    struct watcher *watcher;
    struct asking *asking;   // or the schedules are asked
    struct http_call *call;  // or a back end; neither: a worker is waited for
    uint64_t due_ms;         // loop clock
    struct str councilor_id; // raw JSON
    char bytes[];
};

static void pause_free(struct pause *p)
{
    list_remove(&p->link);
    p->watcher->pause_count--;
    free(p);
}

static void send_paused(struct watcher *w, struct str councilor_id, bool success)
{
    struct buf b;
    struct json_writer j;
    buf_init(&b, councilor_id.n + 64);
    json_writer_init(&j, &b);
    json_open_object(&j);
    json_put_raw(json_key(&j, STR("councilor_id")), councilor_id);
    json_put_bool(json_key(&j, STR("success")), success);
    json_close_object(&j);
    if (json_done(&j))
        watcher_send(w, STR("councilor_paused"), buf_str(&b));
    buf_fini(&b);
}

static bool waits_for_worker(const struct pause *p)
{
    return p->call == NULL && p->asking == NULL;
}

static void pause_answer(struct pause *p, bool success)
{
    struct watcher *w = p->watcher;
    send_paused(w, p->councilor_id, success);
    pause_free(p);
}

/* ---- by the back end ---- */

static void asked(void *ctx, const struct http_result *result)
{
    struct pause *p = ctx;
    struct str success = STR_NONE;
    bool ok = result->why == NULL && result->status >= 200 && result->status <= 299 &&
              json_valid(result->body) &&
              json_find(json_trim(result->body), STR("success"), &success);
    pause_answer(p, ok && str_eq(success, STR("true")));
}

static bool wish_write(struct watcher *w, bool for_back_end, struct str councilor_id,
                       struct buf *out)
{
    char id[UUID_TEXT];
    struct json_writer j;
    uuid_format(w->ws.session.client, id);
    json_writer_init(&j, out);
    json_open_object(&j);
    if (for_back_end) {
        json_put_string(json_key(&j, STR("event")), STR("pause_councilor"));
        json_put_string(json_key(&j, STR("tenant")), w->ws.session.tenant);
    }
    json_put_raw(json_key(&j, STR("councilor_id")), councilor_id);
    json_put_string(json_key(&j, STR("client_id")), (struct str){id, UUID_TEXT});
    if (w->ws.session.user.n > 0)
        json_put_string(json_key(&j, STR("user")), w->ws.session.user);
    json_close_object(&j);
    return json_done(&j);
}

/* ---- by a worker ---- */

static void tick_arm(struct watcher *w)
{
    struct loop *l = ws_session_loop(&w->ws);
    list_each(it, &w->pauses)
    {
        const struct pause *p = container_of(it, struct pause, link);
        if (!waits_for_worker(p))
            continue;
        uint64_t now_ms = loop_now_ms(l);
        timer_arm(l, &w->ws.tick, p->due_ms > now_ms ? p->due_ms - now_ms : 1);
        return;
    }
}

void pauses_tick(struct watcher *w)
{
    uint64_t now_ms = loop_now_ms(ws_session_loop(&w->ws));
    list_each_safe(it, &w->pauses)
    {
        struct pause *p = container_of(it, struct pause, link);
        if (waits_for_worker(p) && p->due_ms <= now_ms)
            pause_answer(p, false);
    }
    tick_arm(w);
}

void pause_heard(struct watcher *w, const struct publication *pub)
{
    struct str id;
    if (!str_eq(pub->type, STR("councilor_paused")) ||
        !json_find(pub->data, STR("councilor_id"), &id))
        return;
    list_each_safe(it, &w->pauses)
    {
        struct pause *p = container_of(it, struct pause, link);
        if (waits_for_worker(p) && str_eq(p->councilor_id, id))
            pause_free(p); // what has come is the answer
    }
}

/* How many follow the channel jobs is known. */
static void counted(void *ctx, const struct answer *a)
{
    struct watcher *w = ctx;
    bool taken = a->err == ERR_OK && a->channel_count > 0;
    list_each_safe(it, &w->pauses)
    {
        struct pause *p = container_of(it, struct pause, link);
        if (p->due_ms != 0 || !waits_for_worker(p))
            continue; // published already, or others are asked
        struct buf b;
        buf_init(&b, p->councilor_id.n + 1024);
        p->due_ms = loop_now_ms(ws_session_loop(&w->ws)) +
                    w->ws.endpoint->options->conductor.backend_timeout_ms;
        if (!taken || !wish_write(w, false, p->councilor_id, &b))
            pause_answer(p, false);
        else
            hub_publish(w->ws.session.hub,
                        &(struct publish_params){.tenant = w->ws.session.tenant,
                                                 .channel = STR("jobs"),
                                                 .type = STR("pause_councilor"),
                                                 .data = buf_str(&b)},
                        NULL, NULL); // what got lost is not answered in time
        buf_fini(&b);
    }
    tick_arm(w);
    session_unref(&w->ws.session);
}

/* ---- asking ---- */

static struct pause *pause_make(struct watcher *w, struct str councilor_id)
{
    struct pause *p = w->pause_count < PAUSES_MAX ? calloc(1, sizeof(*p) + councilor_id.n) : NULL;
    if (p == NULL)
        return NULL;
    char *at = p->bytes;
    p->councilor_id = str_put(&at, councilor_id);
    p->watcher = w;
    list_add(&w->pauses, &p->link);
    w->pause_count++;
    return p;
}

/* It is nobody's schedule. */
static void ask_others(struct pause *p)
{
    struct watcher *w = p->watcher;
    if (w->ws.endpoint->options->conductor.backend.n == 0) {
        session_ref(&w->ws.session);
        hub_channels(w->ws.session.hub, w->ws.session.tenant, STR("jobs"), 1, counted, w);
        return;
    }
    struct buf b;
    buf_init(&b, p->councilor_id.n + 4096);
    if (wish_write(w, true, p->councilor_id, &b))
        p->call = backend_ask(w->conductor, ws_session_loop(&w->ws), buf_str(&b), asked, p);
    buf_fini(&b);
    if (p->call == NULL)
        pause_answer(p, false);
}

/* ---- by a schedule ---- */

static struct pause *pause_of(struct watcher *w, const struct asking *a)
{
    list_each(it, &w->pauses)
    {
        struct pause *p = container_of(it, struct pause, link);
        if (p->asking == a)
            return p;
    }
    return NULL;
}

static void schedules_answered(struct schedule_pause *ask)
{
    struct asking *a = container_of(ask, struct asking, ask);
    struct watcher *w = a->watcher;
    struct pause *p = pause_of(w, a); // NULL: the client has gone
    if (p != NULL) {
        p->asking = NULL;
        if (ask->found)
            pause_answer(p, ask->success);
        else
            ask_others(p);
    }
    free(a);
    session_unref(&w->ws.session);
}

static bool ask_schedules(struct pause *p)
{
    struct watcher *w = p->watcher;
    struct schedules *s = w->ws.endpoint->schedules;
    struct str raw = p->councilor_id, tenant = w->ws.session.tenant;
    struct asking *a = s != NULL && raw.n > 2 && raw.p[0] == '"' && tenant.n <= sizeof(a->tenant)
                           ? calloc(1, sizeof(*a))
                           : NULL;
    if (a == NULL)
        return false;
    char *at = a->tenant, *id_at = a->id;
    struct str id;
    if (!json_string_decode((struct str){raw.p + 1, raw.n - 2}, a->id, sizeof(a->id), &id) ||
        id.n > sizeof(a->id)) {
        free(a);
        return false; // longer than a schedule's can be
    }
    a->ask.id = id.p == a->id ? id : str_put(&id_at, id); // the pause may go before the answer
    a->watcher = w;
    a->ask.tenant = str_put(&at, tenant);
    a->ask.loop = ws_session_loop(&w->ws);
    a->ask.done = schedules_answered;
    p->asking = a;
    session_ref(&w->ws.session);
    schedules_ask_pause(s, &a->ask);
    return true;
}

void pause_ask(struct watcher *w, struct str councilor_id)
{
    struct pause *p = pause_make(w, councilor_id);
    if (p == NULL)
        send_paused(w, councilor_id, false);
    else if (!ask_schedules(p))
        ask_others(p);
}

void pauses_drop(struct watcher *w)
{
    while (!list_empty(&w->pauses)) {
        struct pause *p = container_of(w->pauses.next, struct pause, link);
        if (p->call != NULL)
            http_call_cancel(&p->call);
        pause_free(p);
    }
}
