/*
 * conductor_pause.c - "pause_councilor": somebody else has to do it, and the client is told whether
 * he did.
 *
 * With a back end, its answer to a request says so. Without one, the wish is an event of the
 * channel jobs, and a worker answers by publishing councilor_paused to the channel client:<id>,
 * which every session of this dialect follows. What nobody has confirmed in time is false.
 *
 * Always true: a pause is in its watcher's list until it is answered, and the tick is armed for the
 * oldest one that waits for a worker.
 */
#include "dialect/conductor_priv.h"

struct pause {
    struct list link; // of the watcher
    struct watcher *watcher;
    struct http_call *call;  // NULL: a worker is waited for
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
        if (p->call != NULL)
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
        if (p->call == NULL && p->due_ms <= now_ms)
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
        if (p->call == NULL && str_eq(p->councilor_id, id))
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
        if (p->due_ms != 0 || p->call != NULL)
            continue; // published already, or the back end's
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

void pause_ask(struct watcher *w, struct str councilor_id)
{
    const struct endpoint *e = w->ws.endpoint;
    struct pause *p = pause_make(w, councilor_id);
    if (p == NULL) {
        send_paused(w, councilor_id, false);
        return;
    }
    if (e->options->conductor.backend.n == 0) {
        session_ref(&w->ws.session);
        hub_channels(w->ws.session.hub, w->ws.session.tenant, STR("jobs"), 1, counted, w);
        return;
    }
    struct buf b;
    buf_init(&b, councilor_id.n + 4096);
    if (wish_write(w, true, councilor_id, &b))
        p->call = backend_ask(w->conductor, ws_session_loop(&w->ws), buf_str(&b), asked, p);
    buf_fini(&b);
    if (p->call == NULL)
        pause_answer(p, false);
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
