/*
 * server.c - everything wired, in a written order:
 *   file limit, admission, loops with their HTTP clients, hub, store, services, routers (API,
 * health, metrics, dialects, console), HTTP servers, the bridge, doors. server_life.c starts the
 * threads, and takes all apart in the reverse order.
 */
#include "app/server.h"

#include "api/openai.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/random.h"
#include "console/console.h"
#include "http/client.h"

#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

enum { FILES_RESERVED = 64, CALLS_MAX = 16384 };

/* ---- parts ---- */

static uint64_t raise_file_limit(void)
{
    struct rlimit rl;
    if (getrlimit(RLIMIT_NOFILE, &rl) != 0)
        return 1024;
    rl.rlim_cur = rl.rlim_max;
    setrlimit(RLIMIT_NOFILE, &rl);
    getrlimit(RLIMIT_NOFILE, &rl);
    return rl.rlim_cur;
}

static uint64_t connections_possible(const struct config *c)
{
    uint64_t files = raise_file_limit();
    uint64_t most = files > 2 * FILES_RESERVED ? files - FILES_RESERVED : files / 2;
    uint64_t wanted = c->client.connections_max;
    if (wanted == 0 || wanted > most) {
        log_info("at most %lu connections: the limit of open files is %lu", most, files);
        return most;
    }
    return wanted;
}

bool admission_make(struct admission *a, struct config *c, struct buf *ret_why)
{
    struct auth_options o = {
        .hmac_secret = c->auth.hmac_secret,
        .rsa_public_key = c->auth.rsa_public_key,
        .ecdsa_public_key = c->auth.ecdsa_public_key,
        .audience = c->auth.audience,
        .issuer = c->auth.issuer,
        .tenant_claim = c->auth.tenant_claim,
        .api_keys = c->auth.api_keys.items,
        .api_key_count = c->auth.api_keys.count,
        .leeway_s = (uint32_t)(c->auth.leeway_ms / 1000),
        .token_max_bytes = c->auth.token_max_bytes,
    };
    struct auth *auth = auth_create(&o, ret_why);
    if (auth == NULL)
        return false;
    *a = (struct admission){auth, config_token_required(c), c->auth.origins.items,
                            c->auth.origins.count};
    c->policy.personal_channels = auth_has_token_key(auth); // from here on users have proven names
    return true;
}

void admission_drop(struct admission *a)
{
    struct auth *auth = (struct auth *)(uintptr_t)a->auth;
    auth_destroy(&auth);
    *a = (struct admission){0};
}

static bool make_workers(struct server *s, struct buf *ret_why)
{
    unsigned count = s->config->loops;
    if (count == 0)
        count = (unsigned)sysconf(_SC_NPROCESSORS_ONLN);
    if (count > HUB_LOOPS_MAX)
        count = HUB_LOOPS_MAX;
    s->workers = calloc(count, sizeof(*s->workers));
    s->figures.loops = calloc(count, sizeof(*s->figures.loops));
    if (s->workers == NULL || s->figures.loops == NULL)
        return false;
    for (unsigned i = 0; i < count; i++) {
        struct worker *w = &s->workers[i];
        w->server = s;
        w->loop = loop_create(i);
        if (w->loop == NULL || !flusher_init(&w->flusher, w->loop)) {
            buf_add_format(ret_why, "cannot make loop %u\n", i);
            loop_destroy(&w->loop); // only those that are counted are taken apart
            return false;
        }
        s->worker_count++;
        w->figures = &s->figures.loops[i];
        metrics_loop_init(w->figures);
        w->figures->loop = w->loop;
        w->figures->flusher = &w->flusher;
        w->flusher.observe_latency = metrics_observe;
        w->flusher.observe_ctx = w->figures;
        w->flusher.conn_closed = door_closed;
        w->flusher.closed_ctx = s;
    }
    s->figures.loop_count = s->worker_count;
    return true;
}

/* For requests to back ends: so many at most on a loop, the rest is refused. */
static bool make_clients(struct server *s)
{
    const struct http_client_options o = {.calls_max = CALLS_MAX,
                                          .agent = STR("recado/" RECADO_VERSION)};
    s->clients = calloc(s->worker_count, sizeof(struct http_client *));
    if (s->clients == NULL)
        return false;
    for (unsigned i = 0; i < s->worker_count; i++) {
        s->clients[i] = http_client_create(s->workers[i].loop, &o);
        s->workers[i].figures->client = s->clients[i];
        if (s->clients[i] == NULL)
            return false;
    }
    return true;
}

static bool make_node(struct server *s)
{
    struct loop *loops[HUB_LOOPS_MAX];
    for (unsigned i = 0; i < s->worker_count; i++)
        loops[i] = s->workers[i].loop;
    uint32_t most = s->connections_max > UINT32_MAX ? UINT32_MAX : (uint32_t)s->connections_max;
    s->node = node_create(loops, s->worker_count, &s->config->policy, most);
    if (s->node == NULL)
        return false;
    for (unsigned i = 0; i < s->worker_count; i++)
        hub_set_outflow(node_hub(s->node, i), &s->workers[i].flusher.outflow);
    return true;
}

/* Of all routes; those that want less ask for less. */
static uint32_t body_max_bytes(const struct config *c)
{
    uint32_t most = c->http.body_max_bytes;
    if (c->api.body_max_bytes > most)
        most = c->api.body_max_bytes;
    if (c->dialects.socketio.payload_max_bytes > most)
        most = c->dialects.socketio.payload_max_bytes;
    return most;
}

static void describe(struct server *s)
{
    const struct config *c = s->config;
    s->api = (struct api){
        .node = s->node,
        .admission = &s->admission,
        .default_tenant = c->auth.default_tenant,
        .version = STR(RECADO_VERSION),
        .node_name = STR("recado"),
        .started_ns = clock_mono_ns(),
        .body_max_bytes = c->api.body_max_bytes,
        .commands_max = c->api.commands_max,
        .history_limit_max = c->api.history_limit_max,
        .list_limit_max = c->api.list_limit_max,
        .sse = {.heartbeat_ms = c->sse.heartbeat_ms,
                .write_timeout_ms = c->sse.write_timeout_ms,
                // a reader may be a whole answer behind
                .out_max_bytes = c->client.out_max_bytes + (uint32_t)c->llm.answer_max_bytes},
    };
    uuid_make(s->api.node_id);
    s->figures.node = s->node;
    s->figures.admission = &s->admission;
    s->figures.version = RECADO_VERSION;
    s->figures.started_ns = s->api.started_ns;
    s->figures.started_ms = clock_wall_ms();
    s->figures.connections_max = s->connections_max;
    atomic_store(&s->figures.bus_ok, true);
    s->http = (struct http_options){
        .head_max_bytes = c->http.head_max_bytes,
        .body_max_bytes = body_max_bytes(c),
        .head_timeout_ms = c->http.head_timeout_ms,
        .body_timeout_ms = c->http.body_timeout_ms,
        .idle_timeout_ms = c->http.idle_timeout_ms,
        .requests_per_connection_max = c->http.requests_per_connection_max,
        .out_max_bytes = c->http.out_max_bytes,
        .origins = c->auth.origins.items,
        .origin_count = c->auth.origins.count,
        .trusted_proxies = c->http.trusted_proxies.items,
        .trusted_proxy_count = c->http.trusted_proxies.count,
    };
}

typedef bool rest_fn(struct http_router *rt, const struct api *api);

/* For back ends, and so with the console. */
static rest_fn *const rests[] = {
    api_routes, runs_routes, schedules_routes, logs_routes, monitor_routes,
};
/* For clients with their tokens as well: on every address. */
static rest_fn *const client_rests[] = {
    api_chat_routes,
    openai_routes,
    tasks_routes,
    approvals_routes,
};

static bool rests_add(struct server *s, struct http_router *rt, rest_fn *const *fns, size_t count)
{
    bool ok = true;
    for (size_t i = 0; ok && i < count; i++)
        ok = fns[i](rt, &s->api);
    return ok;
}

/* Console, API, metrics and health: behind the internal addresses when there are any. */
static bool route_insides(struct server *s, struct http_router *rt)
{
    const struct config *c = s->config;
    bool ok =
        health_routes(rt, &s->figures) && rests_add(s, rt, rests, sizeof(rests) / sizeof(rests[0]));
    if (ok && c->metrics_enabled)
        ok = metrics_routes(rt, &s->figures);
    if (ok && c->console_enabled)
        ok = console_routes(rt);
    return ok;
}

static bool make_routers(struct server *s, struct buf *ret_why)
{
    bool internal = s->config->internal_listen.count > 0;
    s->routers[0] = http_router_create();
    s->routers[1] = internal ? http_router_create() : NULL;
    if (s->routers[0] == NULL || (internal && s->routers[1] == NULL))
        return false;
    for (int k = 0; k <= internal; k++) {
        if (!rests_add(s, s->routers[k], client_rests,
                       sizeof(client_rests) / sizeof(client_rests[0])))
            return false;
    }
    return route_insides(s, s->routers[internal]) && endpoints_make(s, ret_why);
}

static bool make_http(struct server *s)
{
    for (unsigned i = 0; i < s->worker_count; i++) {
        struct worker *w = &s->workers[i];
        for (int k = 0; k < 2; k++) {
            if (s->routers[k] == NULL)
                continue;
            w->http[k] = http_server_create(&w->flusher, s->routers[k], &s->http);
            if (w->http[k] == NULL)
                return false;
            w->figures->servers[k] = w->http[k];
            s->http_peers[k][i] = w->http[k];
        }
    }
    for (unsigned i = 0; i < s->worker_count; i++) {
        for (int k = 0; k < 2; k++) {
            if (s->workers[i].http[k] != NULL)
                http_server_set_peers(s->workers[i].http[k], s->http_peers[k], s->worker_count);
        }
    }
    return true;
}

struct server *server_create(struct config *config, struct buf *ret_why)
{
    struct server *s = calloc(1, sizeof(*s));
    if (s == NULL) {
        config_destroy(&config);
        return NULL;
    }
    s->config = config;
    s->connections_max = connections_possible(config);
    s->book = address_book_create(&(struct address_limits){
        .connections_max = config->client.connections_per_address_max,
        .connects_per_second = config->client.connects_per_second_per_address,
        .connects_burst = config->client.connects_burst,
    });
    if (s->book == NULL || !admission_make(&s->admissions[0], config, ret_why))
        goto fail;
    atomic_init(&s->admission, &s->admissions[0]);
    if (!make_workers(s, ret_why) || !make_clients(s) || !make_node(s) || !storage_open(s, ret_why))
        goto fail;
    describe(s);
    if (!services_make(s, ret_why))
        goto fail;
    if (!make_routers(s, ret_why) || !make_http(s) || !bridging_make(s) || !doors_open(s, ret_why))
        goto fail;
    return s;
fail:
    if (ret_why->len == 0)
        buf_add(ret_why, STR("out of memory\n"));
    server_destroy(&s);
    return NULL;
}
