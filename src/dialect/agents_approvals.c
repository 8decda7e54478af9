/*
 * agents_approvals.c - permissions that wait for a page's user: asked again when the page comes
 * back, and decided from it.
 *
 * Why only for pages with a user: others have never been asked one by one, and what all of the
 * organization is asked comes to them as it passes.
 */
#include "dialect/agents_priv.h"

#include "base/json.h"
#include "base/must.h"
#include "runs/approvals.h"

#include <stdlib.h>

enum { FRAME_ROOM = 128, REPLY_MAX = 4096 };

/* ---- asked again ---- */

static bool read_waiting(struct json *j, struct publication *ret)
{
    struct str key;
    if (!json_object_begin(j))
        return false;
    while (json_object_next(j, &key)) {
        if (json_key_is(key, STR("data")))
            json_read_raw(j, &ret->data);
        else if (json_key_is(key, STR("at")))
            json_read_i64(j, &ret->time_ms);
    }
    return j->error == NULL;
}

static void send_waiting(struct ws_session *ws, const struct publication *p)
{
    struct buf b;
    buf_init(&b, json_string_bytes_max(p->type) + p->data.n + FRAME_ROOM);
    if (agents_event_write(&b, STR_NONE, p))
        ws_session_send(ws, buf_str(&b));
    buf_fini(&b);
}

/* The oldest first; of more than a client may have waiting for it only the newest. */
static void waiting_found(void *ctx, const struct desk_reply *r)
{
    struct ws_session *ws = ctx;
    struct publication p = {.type = approvals_types[0]};
    struct json j;
    size_t left = r->body.n, most = ws->endpoint->ws.out_max_bytes / 2;
    json_init(&j, r->body);
    if (r->state == DESK_DONE && json_array_begin(&j)) {
        while (json_array_next(&j) && read_waiting(&j, &p)) {
            if (left <= most && !ws->ending)
                send_waiting(ws, &p);
            left -= p.data.n < left ? p.data.n : left;
        }
    }
    session_unref(&ws->session);
}

void agents_ask_again(struct ws_session *ws)
{
    struct approvals *a = ws->endpoint->approvals;
    if (a == NULL || ws->session.user.n == 0 || !agents_is_proven(ws))
        return;
    session_ref(&ws->session);
    approvals_waiting(
        a, &(struct desk_from){ws_session_loop(ws), ws->session.tenant, waiting_found, ws},
        ws->session.user);
}

/* ---- decided ---- */

struct deciding {
    struct ws_session *ws;
    bool approve;
    struct str permission;
    char bytes[];
};

static void reply_write(struct json_writer *w, const struct deciding *d, bool ok, struct str why)
{
    json_open_object(w);
    json_put_raw(json_key(w, STR("permissionId")),
                 d->permission.n > 0 ? d->permission : STR("null"));
    if (ok)
        json_put_string(json_key(w, STR("status")), d->approve ? STR("approved") : STR("denied"));
    else
        json_put_string(json_key(w, STR("message")), why);
    json_close_object(w);
}

static void reply(const struct deciding *d, bool ok, struct str why)
{
    char at[REPLY_MAX], out_at[REPLY_MAX + FRAME_ROOM];
    struct buf data = buf_on(at, sizeof(at)), out = buf_on(out_at, sizeof(out_at));
    struct json_writer w;
    json_writer_init(&w, &data);
    reply_write(&w, d, ok, why);
    if (!json_done(&w))
        return;
    struct publication p = {.type = ok ? STR("permission:decided") : STR("permission:error"),
                            .data = buf_str(&data),
                            .time_ms = loop_wall_ms(ws_session_loop(d->ws))};
    if (agents_event_write(&out, STR_NONE, &p))
        ws_session_send(d->ws, buf_str(&out));
}

static void decided(void *ctx, const struct desk_reply *r)
{
    struct deciding *d = ctx;
    reply(d, r->state == DESK_DONE, r->why);
    session_unref(&d->ws->session);
    free(d);
}

static void decide_named(struct ws_session *ws, const struct agents_command *c, struct str id)
{
    struct deciding *d = malloc(sizeof(*d) + c->permission.n);
    if (d == NULL)
        return;
    char *at = d->bytes;
    *d = (struct deciding){.ws = ws, .approve = c->verb == AGENTS_APPROVE};
    d->permission = str_put(&at, c->permission);
    session_ref(&ws->session);
    approvals_decide(ws->endpoint->approvals,
                     &(struct desk_from){ws_session_loop(ws), ws->session.tenant, decided, d},
                     &(struct approvals_by){.user = ws->session.user}, id, d->approve, c->data);
}

void agents_decide(struct ws_session *ws, const struct agents_command *c)
{
    enum { RAW_MAX = 6 * APPROVAL_ID_MAX + 2 };
    char room[RAW_MAX];
    char *at = room;
    struct str id;
    struct deciding none = {.ws = ws};
    if (ws->endpoint->approvals == NULL)
        reply(&none, false, STR("no approvals are kept here"));
    else if (!agents_is_proven(ws))
        reply(&none, false, STR("a token is needed to decide"));
    else if (c->permission.n == 0 || c->permission.n > RAW_MAX ||
             !approval_name(c->permission, &at, &id))
        reply(&none, false, STR("permissionId: must be a string or number of at most 250 bytes"));
    else if (c->data.n > APPROVAL_DATA_MAX)
        reply(&none, false, STR("data: is longer than 16 KiB"));
    else
        decide_named(ws, c, id);
}
