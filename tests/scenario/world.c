/* The real stack, with the clock of base/clock.h in the transcript's hands. */
#include "world.h"

#include "base/clock.h"
#include "base/must.h"
#include "base/pool.h"
#include "monitor/monitor.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- clock.h ---- */

static uint64_t now_ms = 1000;

uint64_t clock_mono_ns(void)
{
    return now_ms * 1000000;
}

int64_t clock_wall_ms(void)
{
    return 1700000000000 + (int64_t)now_ms;
}

size_t iso_time_ms(int64_t wall_ms, char ret[ISO_TIME_MAX])
{
    (void)wall_ms;
    memcpy(ret, "2023-11-14T22:13:20.000Z", 24);
    return 24;
}

int64_t world_now_s(void)
{
    return clock_wall_ms() / 1000;
}

/* ---- monitor.h: a machine whose figures stay ---- */

static bool figures_taken;

static const struct monitor_figures figures = {
    .cpu_percent = 45.4,
    .cpu_first_core_percent = 50,
    .cpu_temperature_c = NAN,
    .cores = 8,
    .memory_total_bytes = 1000,
    .memory_used_bytes = 620,
    .memory_free_bytes = 380,
    .disk_total_bytes = 200,
    .disk_used_bytes = 50,
    .disk_free_bytes = 150,
    .network_rx_per_s = 7,
    .network_tx_per_s = 8,
};

bool monitor_latest(struct monitor *m, struct monitor_figures *ret)
{
    (void)m;
    *ret = figures;
    return figures_taken;
}

static void ignore_answer(void *ctx, const struct answer *a)
{
    (void)ctx;
    (void)a;
}

static void publish_figures(void *ctx, struct str tenant)
{
    struct world *w = ctx;
    char at[MONITOR_JSON_MAX];
    struct buf json = buf_on(at, sizeof(at));
    MUST(monitor_write(&json, &figures));
    hub_publish(node_hub(w->node, 0),
                &(struct publish_params){.tenant = tenant,
                                         .channel = STR("monitor"),
                                         .type = STR("metrics"),
                                         .data = buf_str(&json),
                                         .skip_history = true},
                ignore_answer, NULL);
}

/* Of the endpoint's own tenant, and of one more at most: enough to see both. */
struct two_tenants {
    struct str all[2];
    size_t count;
};

static void note_tenant(void *ctx, struct str tenant)
{
    struct two_tenants *t = ctx;
    if (t->count == 0 || (t->count == 1 && !str_eq(t->all[0], tenant)))
        t->all[t->count++] = tenant;
}

void world_take_figures(struct world *w)
{
    figures_taken = true;
    for (size_t i = 0; i < dialect_count; i++) {
        struct two_tenants t = {.count = 0};
        if (dialects[i]->monitor_tenants != NULL)
            dialects[i]->monitor_tenants(&w->endpoints[i], note_tenant, &t);
        for (size_t k = 0; k < t.count; k++)
            publish_figures(w, t.all[k]);
    }
    world_settle(w);
}

/* ---- birth and end ---- */

void world_init(struct world *w)
{
    *w = (struct world){.ping_ms = 25000,
                        .pong_ms = 10000,
                        .connect_ms = 10000,
                        .burst = 1,
                        .listener = STR("orquestrador")};
    static struct str namespaces[] = {{"/", 1}, {"/custom", 7}};
    w->options = (struct dialect_options){
        .heartbeat_interval_ms = 30000,
        .heartbeat_timeout_ms = 90000,
        .connections_max = 1000,
        .socketio = {.backend_timeout_ms = 10000,
                     .backend_queue_max = 100,
                     .namespaces = {namespaces, 2},
                     .ping_interval_ms = 25000,
                     .ping_timeout_ms = 20000,
                     .connect_timeout_ms = 45000,
                     .payload_max_bytes = 1000000},
        .conductor = {.backend_timeout_ms = 30000,
                      .jobs_max = 100,
                      .job_events_max = 1000,
                      .job_keep_ms = 300000,
                      .job_idle_ms = 600000},
    };
    w->policy = (struct policy){
        .namespaces = w->namespaces,
        .channel_name_max = 255,
        .channels_max = 1000,
        .channels_per_session_max = 8,
        .feed_bytes_max = 1 << 20,
        .presence_grace_ms = 5000,
        .idempotency_ttl_ms = 300000,
        .idempotency_max = 100,
        .epoch_idle_ms = 3600000,
    };
    for (int i = 0; i < CLIENTS_MAX; i++)
        w->clients[i].fd = -1;
}

static void handle(struct http_request *r)
{
    const struct endpoint *e = r->route_ctx;
    e->dialect->handle(r, e);
}

static void handle_route(struct http_request *r)
{
    const struct route_binding *b = r->route_ctx;
    b->route->handle(r, b->endpoint);
}

static void bind_routes(struct world *w, const struct endpoint *e)
{
    for (size_t i = 0; i < e->dialect->route_count; i++) {
        const struct dialect_route *route = &e->dialect->routes[i];
        MUST(w->route_count < ROUTES_MAX);
        struct route_binding *b = &w->routes[w->route_count++];
        *b = (struct route_binding){route, e};
        MUST(http_router_add(w->router, route->methods, route->path, handle_route, b));
    }
}

static void bind_dialect(struct world *w, struct endpoint *e, const struct dialect *d)
{
    char *own_path = w->paths[e - w->endpoints];
    snprintf(own_path, sizeof(w->paths[0]), "/%s", d->name);
    *e = (struct endpoint){
        .dialect = d,
        .version = STR("recado"),
        .path = d->path != NULL ? d->path : own_path,
        .node = w->node,
        .admission = &w->slot,
        .options = &w->options,
        .monitor = (struct monitor *)w, // looked at by monitor_latest() only
        .tenant_from = TENANT_CLAIM,
        .tenant = STR("default"),
        .ws = {.message_max_bytes = 65536, .close_timeout_ms = 5000, .out_max_bytes = 1 << 20},
        .sse = {.heartbeat_ms = 15000, .write_timeout_ms = 30000, .out_max_bytes = 1 << 20},
        .messages_per_second = w->rate,
        .messages_burst = w->burst,
        .connect_timeout_ms = w->connect_ms,
        .ping_interval_ms = w->ping_ms,
        .pong_timeout_ms = w->pong_ms,
        .history_limit_max = 100,
        .filter_max_bytes = 4096,
    };
    if (d->message_max_bytes > 0)
        e->ws.message_max_bytes = d->message_max_bytes;
    if (d->prepare != NULL)
        d->prepare(e);
    MUST(http_router_add(w->router, d->methods, e->path, handle, e));
    bind_routes(w, e);
}

static void path_unknown(struct http_request *r)
{
    const struct world *w = r->route_ctx;
    const struct dialect *d = dialect_find(w->listener);
    if (d == NULL || d->refuse_path == NULL || !d->refuse_path(r))
        http_reply_error(r, 404, 404, STR("no such path"));
}

void world_start(struct world *w)
{
    static const struct http_options http = {
        .head_max_bytes = 16384,
        .body_max_bytes = 65536,
        .head_timeout_ms = 10000,
        .body_timeout_ms = 10000,
        .idle_timeout_ms = 75000,
        .requests_per_connection_max = 1000,
        .out_max_bytes = 1 << 20,
    };
    w->auth = auth_create(&(struct auth_options){.hmac_secret = STR(SCENARIO_SECRET)}, NULL);
    w->loop = loop_create(0);
    MUST(w->auth != NULL && w->loop != NULL && flusher_init(&w->flusher, w->loop));
    w->admission.auth = w->auth;
    atomic_init(&w->slot, &w->admission);
    w->node = node_create(&w->loop, 1, &w->policy, 100);
    w->router = http_router_create();
    MUST(w->node != NULL && w->router != NULL);
    hub_set_outflow(node_hub(w->node, 0), &w->flusher.outflow);
    http_router_set_fallback(w->router, path_unknown, w);
    MUST(dialect_count <= sizeof(w->endpoints) / sizeof(w->endpoints[0]));
    for (size_t i = 0; i < dialect_count; i++)
        bind_dialect(w, &w->endpoints[i], dialects[i]);
    w->http = http_server_create(&w->flusher, w->router, &http);
    MUST(w->http != NULL);
}

void world_destroy(struct world *w)
{
    for (int i = 0; i < CLIENTS_MAX; i++) {
        client_leave(w, &w->clients[i]);
        buf_fini(&w->clients[i].in);
    }
    http_server_stop(w->http);
    world_settle(w);
    struct hub *hub = node_hub(w->node, 0);
    hub_drain(hub, hub_session_count(hub)); // sessions without a connection are left
    world_settle(w);
    flusher_abort_all(&w->flusher, CLOSE_GOING_AWAY); // and such as the hub knows nothing of
    world_settle(w);
    http_server_destroy(&w->http);
    node_destroy(&w->node);
    for (size_t i = 0; i < dialect_count; i++) {
        if (dialects[i]->release != NULL)
            dialects[i]->release(&w->endpoints[i]);
    }
    flusher_fini(&w->flusher);
    loop_destroy(&w->loop);
    http_router_destroy(&w->router);
    auth_destroy(&w->auth);
    pool_drop();
}

/* ---- time ---- */

static void clients_read(struct world *w)
{
    for (int i = 0; i < CLIENTS_MAX; i++) {
        struct client *c = &w->clients[i];
        for (;;) {
            if (c->fd < 0 || !buf_reserve(&c->in, 65536))
                break;
            ssize_t n = recv(c->fd, c->in.p + c->in.len, 65536, MSG_DONTWAIT);
            if (n > 0) {
                c->in.len += (size_t)n;
                continue;
            }
            if (n == 0 || errno == ECONNRESET) {
                close(c->fd);
                c->fd = -1;
            }
            break;
        }
    }
}

void world_settle(struct world *w)
{
    enum { TURNS = 12 }; // more than anything takes from one end to the other
    for (int i = 0; i < TURNS; i++) {
        loop_turn(w->loop, 0);
        clients_read(w);
    }
}

/* In steps, so that timers fire in their order and what they cause happens in between. */
void world_pass(struct world *w, uint64_t ms)
{
    enum { STEP_MS = 50 };
    uint64_t end_ms = now_ms + ms;
    while (now_ms < end_ms) {
        now_ms += end_ms - now_ms < STEP_MS ? end_ms - now_ms : STEP_MS;
        loop_turn(w->loop, 0);
        loop_turn(w->loop, 0);
    }
    world_settle(w);
}

/* ---- clients ---- */

void client_open(struct world *w, struct client *c)
{
    int fds[2];
    MUST(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) == 0);
    buf_fini(&c->in);
    *c = (struct client){.fd = fds[0]};
    buf_init(&c->in, 16 << 20);
    http_server_accept(w->http, fds[1], &(struct addr){.family = AF_UNIX}, NULL);
    world_settle(w);
}

void client_leave(struct world *w, struct client *c)
{
    if (c->fd < 0)
        return;
    close(c->fd);
    c->fd = -1;
    world_settle(w);
}

void client_send_raw(struct world *w, struct client *c, struct str bytes)
{
    if (c->fd >= 0)
        MUST(send(c->fd, bytes.p, bytes.n, MSG_NOSIGNAL) == (ssize_t)bytes.n);
    world_settle(w);
}

void client_send(struct world *w, struct client *c, unsigned opcode, struct str text)
{
    struct buf b;
    buf_init(&b, 1 << 20);
    MUST(text.n < 65536 && buf_add_char(&b, (char)(0x80 | opcode)));
    MUST(buf_add_char(&b, (char)(0x80 | (text.n < 126 ? text.n : 126))));
    if (text.n >= 126)
        MUST(buf_add_char(&b, (char)(text.n >> 8)) && buf_add_char(&b, (char)text.n));
    MUST(buf_add(&b, (struct str){"\0\0\0\0", 4}) && buf_add(&b, text)); // a mask of zeros
    client_send_raw(w, c, buf_str(&b));
    buf_fini(&b);
}

unsigned client_take_head(struct client *c)
{
    struct str in = buf_str(&c->in);
    size_t n = in.n > 0 ? str_find(in, STR("\r\n\r\n")) : 0;
    if (in.n == 0 || n == in.n)
        return 0;
    uint64_t status = 0;
    MUST(n > 12 && str_to_u64((struct str){in.p + 9, 3}, &status));
    buf_take(&c->in, n + 4);
    c->open_ws = status == 101;
    return (unsigned)status;
}

static enum told next_frame(struct client *c, struct buf *ret)
{
    const uint8_t *p = (const uint8_t *)c->in.p;
    if (c->in.len < 2)
        return TOLD_NOTHING;
    size_t head = p[1] < 126 ? 2 : p[1] == 126 ? 4 : 10;
    if (c->in.len < head)
        return TOLD_NOTHING;
    size_t n = 0;
    for (size_t i = 2; i < head; i++)
        n = n << 8 | p[i];
    if (head == 2)
        n = p[1];
    if (c->in.len < head + n)
        return TOLD_NOTHING;
    struct str payload = {c->in.p + head, n};
    bool is_close = (p[0] & 15) == 8, is_ping = (p[0] & 15) == 9;
    if (is_close && n >= 2)
        MUST(buf_add_format(ret, "%u ", (unsigned)(p[head] << 8 | p[head + 1])));
    MUST(buf_add(ret, is_close && n >= 2 ? str_skip(payload, 2) : payload));
    buf_take(&c->in, head + n);
    return is_close ? TOLD_CLOSE : is_ping ? TOLD_PING : TOLD_MESSAGE;
}

/* A whole HTTP answer as "STATUS body"; one without a length is what came before the end. */
static enum told next_answer(struct client *c, struct buf *ret)
{
    struct str in = buf_str(&c->in);
    size_t head = in.n > 12 ? str_find(in, STR("\r\n\r\n")) + 4 : in.n + 4;
    if (head > in.n)
        return TOLD_NOTHING;
    size_t at = str_find((struct str){in.p, head}, STR("Content-Length: "));
    uint64_t n = in.n - head;
    if (at < head)
        n = strtoul(in.p + at + 16, NULL, 10);
    if (in.n < head + n || (at >= head && c->fd >= 0))
        return TOLD_NOTHING;
    MUST(buf_add(ret, (struct str){in.p + 9, 3}));
    if (n > 0)
        MUST(buf_add_char(ret, ' ') && buf_add(ret, (struct str){in.p + head, n}));
    while (ret->len > 0 && (ret->p[ret->len - 1] == '\n' || ret->p[ret->len - 1] == '\r'))
        ret->len--;
    buf_take(&c->in, head + n);
    return TOLD_MESSAGE;
}

/* Of an event stream: one event without its chunk's head. */
static enum told next_event(struct client *c, struct buf *ret)
{
    struct str in = buf_str(&c->in);
    if (in.n == 0)
        return TOLD_NOTHING;
    size_t line = str_find(in, STR("\r\n"));
    size_t n = line < in.n ? strtoul(in.p, NULL, 16) : 0;
    if (line == in.n || in.n < line + 2 + n + 2)
        return TOLD_NOTHING;
    struct str event = {in.p + line + 2, n};
    while (event.n > 0 && event.p[event.n - 1] == '\n')
        event.n--;
    MUST(buf_add(ret, event));
    buf_take(&c->in, line + 2 + n + 2);
    return n > 0 ? TOLD_MESSAGE : TOLD_END;
}

enum told client_next(struct world *w, struct client *c, struct buf *ret)
{
    (void)w;
    buf_clear(ret);
    enum told told = c->open_ws ? next_frame(c, ret)
                     : c->asks  ? next_answer(c, ret)
                                : next_event(c, ret);
    if (told == TOLD_NOTHING && c->fd < 0 && c->in.len == 0)
        return TOLD_END;
    return told;
}
