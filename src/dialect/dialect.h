/* dialect.h - what a dialect is, and what it is given.
 *
 * A dialect turns a client's messages into hub verbs, and publications into that client's messages.
 * It is one file and one line of dialects.def. A path bound to a dialect is an endpoint.
 *
 * Thread:  handle() and the routes on the request's loop; endpoints are made before the loops run
 *          and are constant but for what they point to as atomic, and for `shared`, which its
 *          dialect guards.
 * Memory:  endpoints live as long as the process.
 * Failure: a dialect answers every bad request itself. */
#ifndef DIALECT_DIALECT_H
#define DIALECT_DIALECT_H

#include "auth/admission.h"
#include "carrier/sse.h"
#include "carrier/ws.h"
#include "dialect/options.h"
#include "http/http.h"
#include "hub/hub.h"
#include "llm/llm.h"

struct approvals;
struct endpoint;
struct http_client;
struct ledger;
struct monitor;
struct chat;
struct logbook;
struct schedules;

/* A further path of a dialect. */
struct dialect_route {
    unsigned methods; // bits as in http_router_add()
    const char *path;
    void (*handle)(struct http_request *r, const struct endpoint *e);
};

struct dialect {
    const char *name;
    const char *path; // where it answers unless configured elsewhere; NULL: only when configured
    unsigned methods; // bits as in http_router_add()
    void (*handle)(struct http_request *r, const struct endpoint *e);
    /* Has the last word on an endpoint that is being made: pings of its own instead of the
     * carrier's, subprotocols, what its endpoints share. May be NULL. */
    void (*prepare)(struct endpoint *e);
    /* Takes apart what prepare() made, after the loops have ended. May be NULL. */
    void (*release)(struct endpoint *e);
    /* Served beside the endpoint. When it is bound to "/board" + path, they stand behind "/board"
     * too; at any other path they stay where they are. */
    const struct dialect_route *routes;
    size_t route_count;
    uint32_t message_max_bytes; // of a client, unless configured; 0: websocket.message_max
    /* Requests come in during a drain as well, and it refuses those that begin something itself:
     * its sessions need more requests to be told. */
    bool outlives_requests;
    /* Answers a request for a path that nobody has, on a listener that is this dialect's. False: as
     * it is answered elsewhere. May be NULL. */
    bool (*refuse_path)(struct http_request *r);
    /* Says every tenant, some perhaps twice, whose channel "monitor" is to get the machine's
     * figures. From any thread; each() must not call back. May be NULL: it needs none. */
    void (*monitor_tenants)(const struct endpoint *e, void (*each)(void *ctx, struct str tenant),
                            void *ctx);
};

/* All of dialects.def, in its order. */
extern const struct dialect *const dialects[];
extern const size_t dialect_count;
const struct dialect *dialect_find(struct str name);

enum endpoint_auth { AUTH_AUTO, AUTH_REQUIRED, AUTH_OPTIONAL, AUTH_NONE };
enum tenant_from { TENANT_FIXED, TENANT_CLAIM, TENANT_QUERY };

struct endpoint {
    const struct dialect *dialect;
    const char *path;   // the pattern it is bound to
    struct str version; // of the program
    struct node *node;
    const admission_slot *admission; // shared by all endpoints
    const struct dialect_options *options;
    struct http_client *const *clients; // requests to back ends: one per loop; NULL: none
    struct monitor *monitor;            // the machine's figures; NULL: none
    struct approvals *approvals;        // NULL: none are kept
    struct ledger *ledger;              // of runs; NULL: none
    struct chat *chat;                  // conversations with a model; NULL: none
    struct schedules *schedules;        // NULL: none
    struct logbook *logbook;            // NULL: none
    void *shared;                       // the dialect's own, of all sessions of the endpoint
    enum endpoint_auth auth;
    enum tenant_from tenant_from;
    bool tenant_given;         // by the configuration
    bool tokens_unknown;       // to its clients: one that nobody could check is not looked at
    struct str tenant;         // fixed, or the fallback
    struct str tenant_query;   // name of the query parameter
    const struct str *origins; // NULL: those of the admission
    size_t origin_count;
    struct ws_options ws;
    struct sse_options sse;
    uint32_t connections_max;                     // 0: as the dialect says
    uint32_t messages_per_second, messages_burst; // per session; 0: no limit
    uint32_t connect_timeout_ms;
    uint32_t ping_interval_ms, pong_timeout_ms; // of dialects with pings of their own
    uint32_t history_limit_max;
    uint32_t filter_max_bytes;
    struct llm_settings llm; // how its clients' model is asked, where the server says otherwise
};

/* The hub of the request's loop. */
static inline struct hub *endpoint_hub(const struct endpoint *e, const struct http_request *r)
{
    return node_hub(e->node, loop_index(http_server_loop(r->server)));
}

/* For requests to back ends from this loop; NULL: there are none. */
static inline struct http_client *endpoint_client(const struct endpoint *e, const struct loop *l)
{
    return e->clients != NULL ? e->clients[loop_index(l)] : NULL;
}

#endif
