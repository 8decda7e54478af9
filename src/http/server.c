/*
 * server.c - the HTTP server of one loop: its options, its connections, its figures.
 * Always true: a connection is in conns from accept until it is closed or taken over.
 */
#include "http/http_priv.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/must.h"
#include "net/tls.h"

struct http_server *http_server_create(struct flusher *f, const struct http_router *rt,
                                       const struct http_options *o)
{
    struct http_server *s = calloc(1, sizeof(*s));
    if (s == NULL)
        return NULL;
    s->flusher = f;
    s->router = rt;
    s->options = *o;
    s->date_s = -1;
    if (s->options.out_max_bytes < HTTP_OUT_LEAST)
        s->options.out_max_bytes = HTTP_OUT_LEAST;
    list_init(&s->conns);
    if (http_proxies_parse(s))
        return s;
    free(s);
    return NULL;
}

void http_server_destroy(struct http_server **sp)
{
    struct http_server *s = *sp;
    *sp = NULL;
    if (s == NULL)
        return;
    MUST(list_empty(&s->conns));
    for (size_t i = 0; i < s->spare_count; i++)
        buf_fini(&s->spares[i]);
    free(s->proxies);
    free(s);
}

static void give_up(int fd, struct tls *tls, struct http_conn *hc, struct conn *c)
{
    tls_destroy(&tls);
    close(fd);
    free(c);
    if (hc != NULL)
        http_conn_destroy(hc);
}

bool http_server_accept(struct http_server *s, int fd, const struct addr *peer, struct tls *tls)
{
    struct http_conn *hc = http_conn_create(s);
    struct conn *c = calloc(1, sizeof(*c));
    if (hc == NULL || c == NULL ||
        !conn_open(c, s->flusher, fd, tls, peer, &http_conn_handler, s->options.out_max_bytes)) {
        give_up(fd, tls, hc, c);
        return false;
    }
    hc->conn = c;
    c->owner = hc;
    list_add(&s->conns, &hc->link);
    gauge_add(&s->open_count, 1);
    timer_arm(s->flusher->loop, &hc->timer, s->options.head_timeout_ms);
    return true;
}

void http_server_drain(struct http_server *s)
{
    s->draining = true;
    list_each_safe(it, &s->conns)
    {
        struct http_conn *hc = container_of(it, struct http_conn, link);
        if (hc->phase != HTTP_IDLE || http_has_rest(hc) || conn_has_input(hc->conn))
            continue; // a request is under way, be it only on the wire
        http_go(hc, HTTP_CLOSING);
        conn_close(hc->conn, CLOSE_GOING_AWAY, HTTP_LINGER_MS);
    }
}

bool http_is_draining(const struct http_request *r)
{
    return r->server->draining;
}

void http_server_stop(struct http_server *s)
{
    s->draining = s->stopped = true;
    list_each_safe(it, &s->conns)
    {
        conn_abort(container_of(it, struct http_conn, link)->conn, CLOSE_GOING_AWAY);
    }
}

void http_server_set_origins(struct http_server *s, const struct str *origins, size_t count)
{
    s->options.origins = origins;
    s->options.origin_count = count;
}

struct loop *http_server_loop(const struct http_server *s)
{
    return s->flusher->loop;
}

void http_server_read_stats(const struct http_server *s, struct http_stats *ret)
{
    *ret = (struct http_stats){
        .requests = counter_get(&s->requests),
        .bad_requests = counter_get(&s->bad_requests),
        .open_count = (uint64_t)gauge_get(&s->open_count),
    };
    for (size_t i = 0; i < 6; i++)
        ret->by_status[i] = counter_get(&s->by_status[i]);
}
