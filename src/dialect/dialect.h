/* dialect.h - what a dialect is, and what it is given.
 *
 * A dialect turns a client's messages into hub verbs, and publications into that client's messages.
 * It is one file and one line of dialects.def. A path bound to a dialect is an endpoint.
 *
 * Thread:  handle() on the request's loop; endpoints are made before the loops run and are constant
 *          but for what they point to as atomic.
 * Memory:  endpoints live as long as the process.
 * Failure: a dialect answers every bad request itself. */
#ifndef DIALECT_DIALECT_H
#define DIALECT_DIALECT_H

#include "auth/admission.h"
#include "carrier/sse.h"
#include "carrier/ws.h"
#include "http/http.h"
#include "hub/hub.h"

struct endpoint;

struct dialect {
    const char *name;
    const char *path; // where it answers unless configured elsewhere; NULL: only when configured
    unsigned methods; // bits as in http_router_add()
    void (*handle)(struct http_request *r, const struct endpoint *e);
    /* Has the last word on an endpoint that is being made: pings of its own instead of the
     * carrier's, subprotocols. May be NULL. */
    void (*prepare)(struct endpoint *e);
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
    enum endpoint_auth auth;
    enum tenant_from tenant_from;
    struct str tenant;         // fixed, or the fallback
    struct str tenant_query;   // name of the query parameter
    const struct str *origins; // NULL: those of the admission
    size_t origin_count;
    struct ws_options ws;
    struct sse_options sse;
    uint32_t messages_per_second, messages_burst; // per session; 0: no limit
    uint32_t connect_timeout_ms;
    uint32_t ping_interval_ms, pong_timeout_ms; // of dialects with pings of their own
    uint32_t history_limit_max;
    uint32_t filter_max_bytes;
};

/* The hub of the request's loop. */
static inline struct hub *endpoint_hub(const struct endpoint *e, const struct http_request *r)
{
    return node_hub(e->node, loop_index(http_server_loop(r->server)));
}

#endif
