/* http_world.h - one HTTP server on the fake net, and routes that tell what reached them.
 * Thread:  one.
 * Memory:  a world is begun and ended by its test.
 * Failure: fails the test. */
#ifndef UNIT_HTTP_HTTP_WORLD_H
#define UNIT_HTTP_HTTP_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include "base/must.h"
#include "http/http.h"
#include "unit/http/fake_conn.c"

#include <cmocka.h>

struct http_world {
    struct fake_world net;
    struct http_router *router;
    struct http_server *server;
    struct http_options options;
    struct http_request *waiting; // of the route "/later"
    unsigned gone_count;
};

static inline void route_echo(struct http_request *r)
{
    struct buf b;
    buf_init(&b, 1 << 20);
    buf_add_format(&b, "%.*s path=%.*s query=%.*s param=%.*s", STR_FMT(r->method_text),
                   STR_FMT(r->path), STR_FMT(r->query), STR_FMT(r->param));
    for (size_t i = 0; i < r->header_count; i++)
        buf_add_format(&b, " [%.*s]=[%.*s]", STR_FMT(r->headers[i].name),
                       STR_FMT(r->headers[i].value));
    buf_add_format(&b, " body=%.*s", STR_FMT(r->body));
    http_reply(r, 200, STR("text/plain"), buf_str(&b), STR_NONE);
    buf_fini(&b);
}

static inline void later_gone(struct http_request *r, void *ctx)
{
    struct http_world *w = ctx;
    assert_ptr_equal(w->waiting, r);
    w->waiting = NULL;
    w->gone_count++;
}

static inline void route_later(struct http_request *r)
{
    struct http_world *w = r->route_ctx;
    w->waiting = r;
    r->gone = later_gone;
    r->gone_ctx = w;
}

static inline void world_begin(struct http_world *w)
{
    unsigned all = ~(HTTP_ANY_BODY | 1u << HTTP_OPTIONS);
    *w = (struct http_world){
        .options = {.head_max_bytes = 16384,
                    .body_max_bytes = 1 << 20,
                    .head_timeout_ms = 10000,
                    .body_timeout_ms = 30000,
                    .idle_timeout_ms = 75000,
                    .out_max_bytes = 1 << 20},
    };
    fake_begin(&w->net);
    w->router = http_router_create();
    assert_non_null(w->router);
    assert_true(http_router_add(w->router, all, "/", route_echo, NULL));
    assert_true(http_router_add(w->router, all, "/echo", route_echo, NULL));
    assert_true(http_router_add(w->router, all, "/later", route_later, w));
}

/* After options and routes have been set. */
static inline void world_start(struct http_world *w)
{
    w->server = http_server_create(&w->net.flusher, w->router, &w->options);
    assert_non_null(w->server);
}

static inline struct fake_peer *world_connect_from(struct http_world *w, struct addr from)
{
    http_server_accept(w->server, -1, &from, NULL);
    return fake_last(&w->net);
}

static inline struct fake_peer *world_connect(struct http_world *w)
{
    return world_connect_from(w, (struct addr){.family = AF_INET, .ip = {127, 0, 0, 1}});
}

static inline void world_end(struct http_world *w)
{
    http_server_stop(w->server);
    fake_settle(&w->net);
    http_server_destroy(&w->server);
    http_router_destroy(&w->router);
    fake_end(&w->net);
}

static inline struct str peer_saw(const struct fake_peer *p)
{
    return (struct str){p->sent.p, p->taken};
}

static inline bool saw(const struct fake_peer *p, const char *text)
{
    return str_find(peer_saw(p), str_from(text)) < p->taken;
}

/* How often. */
static inline size_t saw_count(const struct fake_peer *p, const char *text)
{
    size_t count = 0;
    struct str rest = peer_saw(p), needle = str_from(text);
    for (size_t at; (at = str_find(rest, needle)) < rest.n; rest = str_skip(rest, at + needle.n))
        count++;
    return count;
}

/* One connection, one piece of input; returns its peer after everything has settled. */
static inline struct fake_peer *world_ask(struct http_world *w, struct str input)
{
    struct fake_peer *p = world_connect(w);
    fake_feed(&w->net, p, input);
    fake_settle(&w->net);
    return p;
}

/* The same in a world of its own: connections stay few. */
static inline unsigned status_of(const struct fake_peer *p)
{
    struct str s = peer_saw(p);
    return s.n < 12 ? 0 : (unsigned)strtoul(s.p + 9, NULL, 10);
}

#endif
