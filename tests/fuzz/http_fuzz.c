/*
 * http_fuzz.c - arbitrary bytes, in arbitrary cuts, through the HTTP server on a net without
 * sockets. The first byte chooses the cuts; what the server says must not depend on them.
 */
// links: http
#include "fuzz.h"

#include <stdlib.h>

#include "base/must.h"
#include "http/http.h"
#include "unit/http/fake_conn.c"

enum { FUZZ_REQUESTS_MAX = 64 };

static void route_echo(struct http_request *r)
{
    char at[32];
    struct str value = STR_NONE;
    http_query(r, STR("q"), at, sizeof(at), &value);
    http_header_has(r, STR("Connection"), STR("upgrade"));
    http_origin_allowed(r);
    struct str body = r->body.n > 0 ? r->body : value;
    http_reply(r, 200, STR_NONE, body.n > 0 ? body : r->param, STR_NONE);
}

static void route_raw(struct http_request *r)
{
    http_reply_raw(r, STR("HTTP/1.0 200 OK\r\n\r\n"));
}

static void taker_data(struct conn *c, char *p, size_t n)
{
    conn_send(c, (struct str){p, n});
}

static void taker_closed(struct conn *c, enum close_reason reason)
{
    (void)reason;
    free(c);
}

static const struct conn_handler taker = {.data = taker_data, .closed = taker_closed};

static void route_take(struct http_request *r)
{
    http_take_conn(r, &taker);
}

static void route_later(struct http_request *r)
{
    struct http_request **waiting = r->route_ctx;
    *waiting = r;
}

static struct http_router *routes(struct http_request **waiting)
{
    struct http_router *rt = http_router_create();
    MUST(rt != NULL);
    MUST(http_router_add(rt, ~0u, "/echo", route_echo, NULL));
    MUST(http_router_add(rt, ~0u, "/one/{id}", route_echo, NULL));
    MUST(http_router_add(rt, ~0u, "/rest/{path...}", route_echo, NULL));
    MUST(http_router_add(rt, 1u << HTTP_GET, "/raw", route_raw, NULL));
    MUST(http_router_add(rt, 1u << HTTP_GET, "/take", route_take, NULL));
    MUST(http_router_add(rt, 1u << HTTP_POST, "/later", route_later, waiting));
    return rt;
}

static void answer_waiting(struct fake_world *w, struct http_request **waiting)
{
    fake_settle(w);
    for (int i = 0; i < FUZZ_REQUESTS_MAX && *waiting != NULL; i++) {
        struct http_request *r = *waiting;
        *waiting = NULL;
        http_reply_error(r, 500, 500, r->target);
        fake_settle(w);
    }
}

/* What the peer has seen in the end goes to told. */
static void run(struct str input, size_t step, struct buf *told)
{
    static const struct str any = {"*", 1}, proxy = {"127.0.0.0/8", 11};
    struct fake_world w;
    struct http_request *waiting = NULL;
    struct http_options o = {.head_max_bytes = 512,
                             .body_max_bytes = 256,
                             .head_timeout_ms = 10000,
                             .body_timeout_ms = 10000,
                             .idle_timeout_ms = 10000,
                             .requests_per_connection_max = 40,
                             .origins = &any,
                             .origin_count = 1,
                             .trusted_proxies = &proxy,
                             .trusted_proxy_count = 1};
    fake_begin(&w);
    struct http_router *rt = routes(&waiting);
    struct http_server *s = http_server_create(&w.flusher, rt, &o);
    MUST(s != NULL);
    http_server_accept(s, -1, &(struct addr){.family = AF_INET, .ip = {127, 0, 0, 1}}, NULL);
    struct fake_peer *p = fake_last(&w);
    for (size_t at = 0; at < input.n; at += step) {
        fake_feed(&w, p, (struct str){input.p + at, input.n - at < step ? input.n - at : step});
        answer_waiting(&w, &waiting);
    }
    fake_advance(&w, 20000);
    MUST(buf_add(told, (struct str){p->sent.p, p->taken}));
    http_server_stop(s);
    fake_break(&w, p);
    http_server_destroy(&s);
    http_router_destroy(&rt);
    fake_end(&w);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf whole, cut;
    if (size == 0 || size > 8192)
        return 0;
    struct str input = {(const char *)data + 1, size - 1};
    buf_init(&whole, 16 << 20);
    buf_init(&cut, 16 << 20);
    run(input, input.n > 0 ? input.n : 1, &whole);
    run(input, (size_t)data[0] % 61 + 1, &cut);
    MUST(str_eq(buf_str(&whole), buf_str(&cut)));
    buf_fini(&whole);
    buf_fini(&cut);
    return 0;
}
