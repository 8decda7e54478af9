/*
 * move.c - a connection goes to another loop, with the request that its route wants to see there.
 *
 * Why it exists: what a session knows lives on one loop, and a request of it may come in on any.
 * The connection goes rather than the request: what comes behind it is then local.
 *
 * Always true: between http_move_away() and its arrival the mail is the only holder of the
 * connection; neither server counts it.
 */
#include "http/http_priv.h"

void http_server_set_peers(struct http_server *s, struct http_server *const *peers, unsigned count)
{
    s->peers = peers;
    s->peer_count = count;
}

bool http_move(struct http_request *r, unsigned loop)
{
    struct http_conn *hc = http_conn_of(r);
    struct http_server *s = hc->server;
    if (loop >= s->peer_count || s->peers[loop] == s || s->peers[loop] == NULL)
        return false;
    http_go(hc, HTTP_MOVING);
    r->gone = NULL;
    hc->target = s->peers[loop];
    hc->paused = true;
    conn_pause_reading(hc->conn);
    http_call_at_end_of_turn(hc);
    return true;
}

static void arrive(struct mail *m, struct loop *l)
{
    struct http_conn *hc = container_of(m, struct http_conn, mail);
    struct http_server *s = hc->server;
    (void)l;
    list_add(&s->conns, &hc->link);
    gauge_add(&s->open_count, 1);
    if (!conn_enter(hc->conn, s->flusher))
        return; // closed() will tell
    if (s->stopped) {
        conn_abort(hc->conn, CLOSE_GOING_AWAY);
        return;
    }
    if (!http_has_rest(hc)) { // a route that answers later has to hear of the peer's end
        hc->paused = false;
        conn_resume_reading(hc->conn);
    }
    http_go(hc, HTTP_HANDLED);
    http_router_handle(s->router, &hc->request);
}

void http_move_away(struct http_conn *hc)
{
    struct http_server *to = hc->target;
    list_remove(&hc->link);
    gauge_add(&hc->server->open_count, -1);
    conn_leave(hc->conn);
    hc->target = NULL;
    hc->server = to;
    hc->request.server = to;
    hc->mail.deliver = arrive;
    loop_post(to->flusher->loop, &hc->mail);
}
