/*
 * takeover.c - a connection stops being HTTP's.
 * Always true: the taker gets every byte that came behind the request, after it has been set up and
 * before any byte that is read later; a struct http_conn is freed at the end of the turn.
 */
#include "http/http_priv.h"

void http_hand_rest(struct http_conn *hc, struct conn *c, char *p, size_t n)
{
    if (hc->paused && c->state == CONN_OPEN)
        conn_resume_reading(c);
    if (n > 0 && c->state == CONN_OPEN)
        c->handler->data(c, p, n);
}

struct conn *http_conn(const struct http_request *r)
{
    return http_conn_of(r)->conn;
}

static void handover_closed(struct conn *c, enum close_reason reason)
{
    struct conn_handler *h = (struct conn_handler *)(uintptr_t)c->handler;
    struct http_conn *hc = container_of(h, struct http_conn, handover);
    hc->conn = NULL;
    conn_set_handler(c, hc->taker);
    hc->taker->closed(c, reason);
}

/* A request that was answered later, with bytes behind it: they go to the taker at the end of the
 * turn, when it is ready for them; should the connection close first, we have to know. */
static void handover_begin(struct http_conn *hc, const struct conn_handler *handler)
{
    hc->taker = handler;
    hc->handover = *handler;
    hc->handover.closed = handover_closed;
    conn_set_handler(hc->conn, &hc->handover);
}

void http_handover_end(struct http_conn *hc)
{
    struct conn *c = hc->conn;
    if (c == NULL)
        return;
    if (c->handler == &hc->handover)
        conn_set_handler(c, hc->taker);
    http_hand_rest(hc, c, hc->rest.p + hc->rest_at, hc->rest.len - hc->rest_at);
    if (!hc->peer_ended || c->state != CONN_OPEN)
        return;
    if (c->handler->ended != NULL)
        c->handler->ended(c);
    else
        conn_close(c, CLOSE_PEER_GONE, 0);
}

struct conn *http_take_conn(struct http_request *r, const struct conn_handler *handler)
{
    struct http_conn *hc = http_conn_of(r);
    struct conn *c = hc->conn;
    http_go(hc, HTTP_TAKEN);
    list_remove(&hc->link);
    gauge_add(&hc->server->open_count, -1);
    c->owner = NULL;
    if (!hc->serving && (http_has_rest(hc) || hc->peer_ended))
        handover_begin(hc, handler);
    else
        conn_set_handler(c, handler);
    if (!hc->serving)
        http_call_at_end_of_turn(hc);
    return c;
}
