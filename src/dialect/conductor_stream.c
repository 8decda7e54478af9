/*
 * conductor_stream.c - the event stream of one job: everything from the first event on, then live,
 * then the end.
 *
 * Why it exists: the stock clients read data-only frames and take the end of the response for the
 * end of the job; what a socket cannot take yet waits in the job, not here.
 *
 * Always true between two calls:
 *   I1. next is the number of the first event that has not been written.
 *   I2. the object is freed when the connection, the hub and the mail under way have all let go.
 */
#include "dialect/conductor_priv.h"

#include "carrier/sse_reply.h"

enum {
    BATCH_MAX = 64,          // events taken at once
    WAITING_MAX = 128 << 10, // bytes before a reader that is behind is waited for
    PACE_MS = 2 * LOOP_TICK_MS,
};

struct stream {
    struct session session;
    struct job_reader reader;
    struct sse_reply reply;
    struct job *job; // referenced; NULL: detached
    uint64_t next;
    struct timer timer;  // pace; once ending, leaving the hub
    struct timer expiry; // of the token
    char *identity;
    bool ending, buried, mailed;
};

static struct stream *stream_of(const struct session *s)
{
    return container_of((struct session *)(uintptr_t)s, struct stream, session);
}

static void stream_settle(struct stream *st)
{
    if (st->reply.carrier != NULL || !st->buried || st->mailed)
        return;
    free(st->identity);
    free(st);
}

static void stream_detach(struct stream *st)
{
    if (st->job == NULL)
        return;
    st->mailed = job_detach(st->job, &st->reader);
    job_unref(st->job);
    st->job = NULL;
}

static void stream_end(struct stream *st, enum close_reason reason)
{
    if (st->ending || st->reply.carrier == NULL)
        return;
    st->ending = true;
    timer_cancel(&st->expiry);
    stream_detach(st);
    sse_reply_close(&st->reply, reason);
    timer_arm(conn_loop(st->reply.carrier->conn), &st->timer,
              0); // the hub may be walking its lists
}

static void stream_gone(struct sse_reply *y)
{
    struct stream *st = container_of(y, struct stream, reply);
    timer_cancel(&st->timer);
    timer_cancel(&st->expiry);
    stream_detach(st);
    st->ending = true;
    if (st->session.state != SESSION_NEW && !st->buried) {
        session_close(&st->session);
        return;
    }
    st->buried = true;
    stream_settle(st);
}

/* ---- what the hub asks of a session ---- */

static void ops_disconnect(struct session *s, enum close_reason reason, unsigned code,
                           struct str text)
{
    (void)code;
    (void)text;
    stream_end(stream_of(s), reason);
}

static size_t ops_address(const struct session *s, char *at, size_t cap)
{
    const struct stream *st = stream_of(s);
    MUST(cap >= ADDR_TEXT_MAX);
    return st->reply.carrier != NULL ? addr_format_ip(&st->reply.carrier->conn->peer, at) : 0;
}

static void ops_bury(struct session *s)
{
    struct stream *st = stream_of(s);
    st->buried = true;
    stream_settle(st);
}

static const struct session_ops stream_ops = {
    .dialect = "conductor", .address = ops_address, .disconnect = ops_disconnect, .bury = ops_bury};

/* ---- events ---- */

static void send_publication(struct stream *st, const struct publication *p)
{
    struct buf json;
    buf_init(&json, p->data.n + json_string_bytes_max(p->type) + 2 * FRAME_ROOM);
    if (job_frame_write(&json, p, st->job->id))
        sse_reply_event(&st->reply, STR_NONE, buf_str(&json));
    buf_fini(&json);
}

/* A late reader is told that there was more, rather than nothing. */
static void send_lost(struct stream *st, uint64_t lost, int64_t wall_ms)
{
    char text[96], data[160];
    struct buf t = buf_on(text, sizeof(text));
    struct buf d = buf_on(data, sizeof(data));
    if (buf_add_u64(&t, lost) && buf_add(&t, STR(" earlier events are not kept any more")) &&
        message_write(&d, buf_str(&t)))
        send_publication(st, &(struct publication){.type = STR("status_update"),
                                                   .data = buf_str(&d),
                                                   .time_ms = wall_ms});
}

static bool may_write(const struct stream *st)
{
    return !st->ending && st->reply.carrier != NULL &&
           conn_pending(st->reply.carrier->conn) < WAITING_MAX;
}

/* Writes what there is, as far as the socket takes it. */
static void stream_pump(struct stream *st)
{
    struct publication *batch[BATCH_MAX];
    struct loop *l = conn_loop(st->reply.carrier->conn);
    bool ended = false;
    while (may_write(st)) {
        uint64_t lost;
        uint32_t n = job_events(st->job, &st->next, batch, BATCH_MAX, &lost, &ended);
        if (lost > 0)
            send_lost(st, lost, loop_wall_ms(l));
        uint32_t sent = 0;
        for (uint32_t i = 0; i < n; i++) {
            if (may_write(st)) {
                send_publication(st, batch[i]);
                sent++;
            }
            publication_unref(batch[i]);
        }
        st->next += sent;
        if (sent < n)
            break;
        if (n == 0 && !ended)
            return; // the mail calls again
        if (n == 0)
            break;
    }
    // The end waits for the socket: a close gives it little time.
    if (ended && conn_pending(st->reply.carrier->conn) == 0)
        stream_end(st, CLOSE_NORMAL);
    else if (!st->ending)
        timer_arm(l, &st->timer, PACE_MS);
}

static void stream_timer_fired(struct timer *t)
{
    struct stream *st = container_of(t, struct stream, timer);
    if (st->ending)
        session_close(&st->session);
    else
        stream_pump(st);
}

static void stream_expired(struct timer *t)
{
    stream_end(container_of(t, struct stream, expiry), CLOSE_EXPIRED);
}

static void stream_mailed(struct mail *m, struct loop *l)
{
    struct job_reader *rd = container_of(m, struct job_reader, mail);
    struct stream *st = container_of(rd, struct stream, reader);
    (void)l;
    st->mailed = false;
    if (st->job == NULL) {
        stream_settle(st);
        return;
    }
    job_heard(st->job, rd);
    if (!timer_armed(&st->timer))
        stream_pump(st);
}

/* ---- birth ---- */

static struct stream *stream_make(const struct identity *id, struct job *job)
{
    struct stream *st = calloc(1, sizeof(*st));
    char *at = malloc(id->tenant.n + id->user.n + id->claims.info.n + 1);
    if (st == NULL || at == NULL) {
        free(st);
        free(at);
        return NULL;
    }
    st->identity = at;
    st->session.tenant = str_put(&at, id->tenant);
    st->session.user = str_put(&at, id->user);
    st->session.info = str_put(&at, id->claims.info);
    uuid_make(st->session.client);
    st->job = job;
    st->reader.mail.deliver = stream_mailed;
    list_init(&st->reader.link);
    timer_init(&st->timer, stream_timer_fired);
    timer_init(&st->expiry, stream_expired);
    return st;
}

/* The contract says these of every answer; where the origin is one of ours it has been named. */
static struct str stream_headers(const struct http_request *r)
{
    char cors[1024];
    struct str named = STR("Access-Control-Allow-Origin");
    struct str has = {cors, http_cors_headers(r, cors, sizeof(cors))};
    if (has.n > 0 && str_find(has, named) < has.n)
        return STR("Access-Control-Allow-Headers: *\r\n");
    return STR("Access-Control-Allow-Origin: *\r\nAccess-Control-Allow-Headers: *\r\n");
}

static void stream_open(struct http_request *r, const struct endpoint *e, const struct identity *id,
                        struct job *job)
{
    const struct conductor *c = e->shared;
    struct hub *hub = endpoint_hub(e, r);
    struct stream *st = stream_make(id, job);
    if (st == NULL) {
        http_refuse(r, ERR_INTERNAL, NULL);
        job_unref(job);
        return;
    }
    struct str headers = stream_headers(r);
    sse_reply_init(&st->reply, r, stream_gone);
    if (!sse_reply_open(&st->reply, &c->stream, headers)) {
        job_unref(job);
        st->job = NULL;
        st->buried = true;
        stream_settle(st);
        return;
    }
    struct loop *l = conn_loop(st->reply.carrier->conn);
    st->reader.loop = l;
    if (!session_open(&st->session, hub, &stream_ops, carrier_sink(st->reply.carrier))) {
        stream_end(st, CLOSE_FULL);
        return;
    }
    if (id->expire_at_s > 0) {
        int64_t in_ms = id->expire_at_s * 1000 - loop_wall_ms(l);
        timer_arm(l, &st->expiry, in_ms > 0 ? (uint64_t)in_ms + 1 : 1);
    }
    job_attach(job, &st->reader);
    stream_pump(st);
}

static void reply_no_job(struct http_request *r, struct str id)
{
    struct buf b;
    buf_init(&b, id.n + 64);
    bool ok = buf_add(&b, STR("Job ID '")) && buf_add(&b, id) &&
              buf_add(&b, STR("' not found or already completed."));
    http_reply(r, 404, STR("text/plain; charset=utf-8"), ok ? buf_str(&b) : STR_NONE, STR_NONE);
    buf_fini(&b);
}

void conductor_stream(struct http_request *r, const struct endpoint *e)
{
    struct conductor *c = conductor_of(r, e);
    struct identity id;
    if (c == NULL || !conductor_admit(r, e, false, &id))
        return;
    struct job *job = job_find(c, id.tenant, r->param);
    if (job == NULL) {
        reply_no_job(r, r->param);
    } else if (r->method == HTTP_HEAD) {
        http_reply(r, 200, STR("text/event-stream; charset=utf-8"), STR_NONE, stream_headers(r));
        job_unref(job);
    } else {
        stream_open(r, e, &id, job);
    }
    identity_fini(&id);
}
