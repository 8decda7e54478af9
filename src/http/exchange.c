/*
 * exchange.c - the life of one HTTP connection: a request comes, is answered, the next one comes.
 *
 * Always true:
 *   I1. phase moves along http_moves only; the connection's one timer belongs to the phase.
 *   I2. a request is answered before a byte behind it is looked at: what came is kept in rest, and
 *       while rest is not empty nothing more is read.
 *   I3. a struct http_conn is freed when none of its functions is on the stack: in closed() or at
 *       the end of the turn.
 */
#include "http/http_priv.h"

#include <stdlib.h>

#include "base/must.h"

/* One read of the connection is smaller than this. */
enum { REST_MAX_BYTES = 1024 * 1024 };

#define TO(p) (1u << (p))
static const uint8_t http_moves[HTTP_PHASE_COUNT] = {
    [HTTP_IDLE] = TO(HTTP_IN_HEAD) | TO(HTTP_CLOSING),
    [HTTP_IN_HEAD] = TO(HTTP_IN_BODY) | TO(HTTP_HANDLED) | TO(HTTP_CLOSING),
    [HTTP_IN_BODY] = TO(HTTP_HANDLED) | TO(HTTP_CLOSING),
    [HTTP_HANDLED] =
        TO(HTTP_IDLE) | TO(HTTP_SENDING) | TO(HTTP_CLOSING) | TO(HTTP_TAKEN) | TO(HTTP_MOVING),
    [HTTP_SENDING] = TO(HTTP_IDLE) | TO(HTTP_SENDING) | TO(HTTP_CLOSING),
    [HTTP_CLOSING] = 0,
    [HTTP_TAKEN] = 0,
    [HTTP_MOVING] = TO(HTTP_HANDLED) | TO(HTTP_CLOSING),
};

/* 0: the phase has no limit of its own. */
static uint32_t phase_limit_ms(const struct http_conn *hc)
{
    const struct http_options *o = &hc->server->options;
    switch ((enum http_phase)hc->phase) {
    case HTTP_IDLE:
        return hc->request_count == 0 ? o->head_timeout_ms : o->idle_timeout_ms;
    case HTTP_IN_HEAD:
        return o->head_timeout_ms;
    case HTTP_IN_BODY:
        return o->body_timeout_ms;
    case HTTP_SENDING:
        return o->idle_timeout_ms;
    default:
        return 0;
    }
}

void http_go(struct http_conn *hc, enum http_phase to)
{
    MUST(http_moves[hc->phase] & TO(to));
    bool first_head = to == HTTP_IN_HEAD && hc->request_count == 0; // counted from the accept
    hc->phase = (uint8_t)to;
    uint32_t limit_ms = phase_limit_ms(hc);
    if (limit_ms == 0)
        timer_cancel(&hc->timer);
    else if (!first_head)
        timer_arm(hc->server->flusher->loop, &hc->timer, limit_ms);
}

static void end_of_turn(struct grave *g);

void http_call_at_end_of_turn(struct http_conn *hc)
{
    if (hc->buried)
        return;
    hc->buried = true;
    loop_bury_later(hc->server->flusher->loop, &hc->grave, end_of_turn);
}

static void http_conn_close(struct http_conn *hc, enum close_reason reason)
{
    http_go(hc, HTTP_CLOSING);
    conn_close(hc->conn, reason, HTTP_LINGER_MS);
}

/* ---- buffers ---- */

/* The server keeps some buffers of idle connections for those that wake up. */
void http_give_buffer(struct http_conn *hc)
{
    struct http_server *s = hc->server;
    if (hc->in.p == NULL)
        return;
    hc->in.len = 0;
    if (s->spare_count < HTTP_SPARE_MAX && hc->in.cap <= HTTP_SPARE_BYTES) {
        s->spares[s->spare_count++] = hc->in;
        buf_init(&hc->in, hc->in.max);
    } else {
        buf_fini(&hc->in);
    }
}

static void take_buffer(struct http_conn *hc)
{
    struct http_server *s = hc->server;
    if (hc->in.p == NULL && s->spare_count > 0)
        hc->in = s->spares[--s->spare_count];
    hc->in.len = 0;
}

/* ---- a request comes ---- */

static void request_expect(struct http_conn *hc)
{
    const struct http_options *o = &hc->server->options;
    struct http_parser_limits limits = {
        .head_max_bytes = o->head_max_bytes,
        .body_max_bytes = o->body_max_bytes,
        .header_max = HTTP_HEADER_MAX,
    };
    http_parser_reset(&hc->parser, &limits);
    hc->request = (struct http_request){.server = hc->server, .minor = 1};
}

static void refuse(struct http_conn *hc, unsigned status, const char *why, uint32_t line)
{
    http_write_refusal(hc, status, why, line);
    if (hc->conn->state == CONN_OPEN)
        http_conn_close(hc, CLOSE_BAD_REQUEST);
}

static void refuse_parsed(struct http_conn *hc)
{
    refuse(hc, hc->parser.status, hc->parser.why, hc->parser.bad_line);
}

static void dispatch(struct http_conn *hc)
{
    http_go(hc, HTTP_HANDLED);
    hc->request_count++;
    counter_add(&hc->server->requests, 1);
    http_router_handle(hc->server->router, &hc->request);
}

/* Nothing more of it is read. */
static void refuse_body(struct http_conn *hc)
{
    struct http_request *r = &hc->request;
    if (!http_router_takes_any_body(hc->server->router, r)) {
        refuse(hc, 413, "the body is longer than http.body_max", 0);
        return;
    }
    r->body = STR_NONE;
    r->body_too_big = true;
    r->keep_alive = false;
    dispatch(hc);
}

static void head_complete(struct http_conn *hc)
{
    if (!http_request_read(hc)) {
        hc->request.header_count = 0;
        refuse_parsed(hc);
        return;
    }
    if (hc->parser.content_length > hc->server->options.body_max_bytes) {
        refuse_body(hc);
        return;
    }
    if (hc->parser.message_done) {
        dispatch(hc);
        return;
    }
    http_go(hc, HTTP_IN_BODY);
    if (hc->request.minor >= 1 && http_header(&hc->request, STR("Expect")).n > 0)
        conn_send(hc->conn, STR("HTTP/1.1 100 Continue\r\n\r\n"));
}

static size_t feed_head(struct http_conn *hc, const char *p, size_t n)
{
    size_t used, before = hc->parser.head_bytes;
    enum http_parse result = http_parser_head(&hc->parser, p, n, &used);
    size_t of_head = hc->parser.head_bytes - before;
    if (hc->phase == HTTP_IDLE && (of_head > 0 || result == HTTP_PARSE_BAD)) {
        take_buffer(hc);
        http_go(hc, HTTP_IN_HEAD);
    }
    if (result == HTTP_PARSE_BAD)
        refuse_parsed(hc);
    else if (!buf_add(&hc->in, (struct str){p + used - of_head, of_head}))
        refuse(hc, 503, "memory has run out", 0);
    else if (result == HTTP_PARSE_DONE)
        head_complete(hc);
    return used;
}

static size_t feed_body(struct http_conn *hc, const char *p, size_t n)
{
    size_t used;
    enum http_parse result = http_parser_body(&hc->parser, p, n, &hc->in, &used);
    http_request_renew(hc); // also now: the clock may refuse it at any time
    if (result == HTTP_PARSE_DONE)
        dispatch(hc);
    else if (result == HTTP_PARSE_BAD && hc->parser.status == 413)
        refuse_body(hc);
    else if (result == HTTP_PARSE_BAD)
        refuse_parsed(hc);
    return used;
}

static bool can_serve(const struct http_conn *hc)
{
    if (hc->conn->state != CONN_OPEN)
        return false;
    if (hc->phase == HTTP_IDLE) // who does not read the answers gets no more of them
        return conn_pending(hc->conn) <= HTTP_UNSENT_MAX;
    return hc->phase == HTTP_IN_HEAD || hc->phase == HTTP_IN_BODY;
}

/* Returns how many bytes were used; the connection may be taken, closing or waiting after it. */
static size_t serve(struct http_conn *hc, const char *p, size_t n)
{
    size_t used = 0;
    hc->serving = true;
    while (used < n && can_serve(hc)) {
        if (hc->phase == HTTP_IN_BODY)
            used += feed_body(hc, p + used, n - used);
        else
            used += feed_head(hc, p + used, n - used);
    }
    hc->serving = false;
    if (hc->phase == HTTP_IDLE)
        http_give_buffer(hc);
    return used;
}

/* ---- the next one ---- */

bool http_may_keep_alive(const struct http_conn *hc)
{
    uint32_t most = hc->server->options.requests_per_connection_max;
    return hc->request.keep_alive && !hc->server->draining &&
           (most == 0 || hc->request_count < most);
}

void http_exchange_done(struct http_conn *hc)
{
    if (!hc->keep_alive) {
        http_conn_close(hc, CLOSE_NORMAL);
        return;
    }
    http_go(hc, HTTP_IDLE);
    request_expect(hc);
    if (!hc->serving)
        http_call_at_end_of_turn(hc);
}

/* Goes on with what has been kept. */
static void resume(struct http_conn *hc)
{
    struct conn *c = hc->conn;
    if (http_has_rest(hc))
        hc->rest_at += serve(hc, hc->rest.p + hc->rest_at, hc->rest.len - hc->rest_at);
    else if (hc->phase == HTTP_IDLE)
        http_give_buffer(hc);
    if (hc->phase == HTTP_TAKEN) {
        http_hand_rest(hc, c, hc->rest.p + hc->rest_at, hc->rest.len - hc->rest_at);
        http_call_at_end_of_turn(hc);
        return;
    }
    if (http_has_rest(hc) || c->state != CONN_OPEN)
        return;
    buf_fini(&hc->rest);
    hc->rest_at = 0;
    if (hc->peer_ended && can_serve(hc)) {
        http_conn_close(hc, CLOSE_PEER_GONE);
    } else if (hc->paused) {
        hc->paused = false;
        conn_resume_reading(c);
    }
}

/* ---- the end of the turn ---- */

static void end_of_turn(struct grave *g)
{
    struct http_conn *hc = container_of(g, struct http_conn, grave);
    hc->buried = false;
    if (hc->phase == HTTP_TAKEN) {
        if (hc->taker != NULL)
            http_handover_end(hc);
        http_conn_destroy(hc);
    } else if (hc->conn == NULL) {
        http_conn_destroy(hc);
    } else if (hc->conn->state == CONN_OPEN) {
        if (hc->phase == HTTP_MOVING)
            http_move_away(hc);
        else
            resume(hc);
    }
}

/* ---- what the connection and the clock say ---- */

static void on_data(struct conn *c, char *p, size_t n)
{
    struct http_conn *hc = c->owner;
    size_t used = http_has_rest(hc) ? 0 : serve(hc, p, n);
    if (hc->phase == HTTP_TAKEN) {
        http_hand_rest(hc, c, p + used, n - used);
        http_call_at_end_of_turn(hc);
        return;
    }
    if (used == n || hc->phase == HTTP_CLOSING || c->state != CONN_OPEN)
        return;
    if (!buf_add(&hc->rest, (struct str){p + used, n - used})) {
        conn_abort(c, CLOSE_TOO_BIG);
        return;
    }
    hc->paused = true;
    conn_pause_reading(c);
}

static void on_drained(struct conn *c)
{
    struct http_conn *hc = c->owner;
    if (hc->phase == HTTP_SENDING)
        http_send_more(hc);
    else if (hc->phase == HTTP_IDLE && http_has_rest(hc))
        http_call_at_end_of_turn(hc);
}

static void on_ended(struct conn *c)
{
    struct http_conn *hc = c->owner;
    hc->peer_ended = true; // it may still wait for the answers to what it has sent
    if (hc->phase == HTTP_HANDLED && hc->request.gone != NULL && hc->request.ends_with_peer)
        conn_abort(c, CLOSE_PEER_GONE);
    else if (!http_has_rest(hc) && can_serve(hc))
        http_conn_close(hc, CLOSE_PEER_GONE);
}

static void on_closed(struct conn *c, enum close_reason reason)
{
    struct http_conn *hc = c->owner;
    (void)reason;
    bool waiting = hc->phase == HTTP_HANDLED && hc->request.gone != NULL;
    if (waiting)
        hc->request.gone(&hc->request, hc->request.gone_ctx);
    hc->conn = NULL;
    free(c);
    timer_cancel(&hc->timer);
    list_remove(&hc->link);
    gauge_add(&hc->server->open_count, -1);
    if (!hc->buried)
        http_conn_destroy(hc);
}

static void on_timer(struct timer *t)
{
    struct http_conn *hc = container_of(t, struct http_conn, timer);
    switch ((enum http_phase)hc->phase) {
    case HTTP_IDLE:
        http_conn_close(hc, hc->request_count == 0 ? CLOSE_SLOW_HEAD : CLOSE_IDLE);
        break;
    case HTTP_IN_HEAD:
        refuse(hc, 408, "the request's head took too long", 0);
        break;
    case HTTP_IN_BODY:
        refuse(hc, 408, "the request's body took too long", 0);
        break;
    case HTTP_SENDING:
        conn_abort(hc->conn, CLOSE_SLOW);
        break;
    default:
        break;
    }
}

struct http_conn *http_conn_create(struct http_server *s)
{
    const struct http_options *o = &s->options;
    struct http_conn *hc = calloc(1, sizeof(*hc));
    if (hc == NULL)
        return NULL;
    hc->server = s;
    list_init(&hc->link);
    timer_init(&hc->timer, on_timer);
    /* The decoded path is no longer than the head; one byte more for alignment, twice. */
    buf_init(&hc->in, o->head_max_bytes * 2 + 16 + HTTP_HEADER_MAX * sizeof(struct http_header) +
                          o->body_max_bytes);
    buf_init(&hc->rest, REST_MAX_BYTES);
    request_expect(hc);
    return hc;
}

void http_conn_destroy(struct http_conn *hc)
{
    http_give_buffer(hc);
    buf_fini(&hc->rest);
    free(hc->long_body);
    free(hc);
}

const struct conn_handler http_conn_handler = {
    .data = on_data,
    .drained = on_drained,
    .ended = on_ended,
    .closed = on_closed,
};
