/* api.h - the server API: what back ends ask over HTTP.
 * Thread:  routes run on any loop.
 * Memory:  struct api is the app's and outlives the routes.
 * Failure: bad requests are answered with the field that is wrong; a command of a batch that fails
 *          does not stop the others. */
#ifndef API_API_H
#define API_API_H

#include "auth/admission.h"
#include "carrier/sse.h"
#include "http/http.h"
#include "hub/hub.h"
#include "llm/llm.h"

struct samples;
struct logbook;
struct monitor;
struct schedules;
struct ledger;
struct approvals;
struct tasks;
struct chat;

struct api {
    struct node *node;
    struct ledger *ledger; // of runs; NULL: none
    struct chat *chat;     // NULL: there is none
    const admission_slot *admission;
    struct str default_tenant;
    struct str version;
    struct str node_name;
    uint8_t node_id[16];
    uint64_t started_ns;     // monotonic
    uint32_t body_max_bytes; // of a request
    uint32_t commands_max;   // of a batch or broadcast
    uint32_t history_limit_max;
    uint32_t list_limit_max;     // channels, sessions
    struct sse_options sse;      // of answers that stream
    struct llm *llm;             // NULL: there is no model
    struct openai *openai;       // what /v1 has under way
    struct schedules *schedules; // of the first loop
    struct tasks *tasks;
    struct approvals *approvals;
    struct logbook *logbook;
    struct monitor *monitor; // from the start on
    struct samples *samples;
    uint32_t monitor_interval_ms;
};

/* All of /api/... */
bool api_routes(struct http_router *rt, const struct api *api);
/* /api/orquestrador/tasks and /subtasks; /api/approvals. */
bool tasks_routes(struct http_router *rt, const struct api *api);
bool approvals_routes(struct http_router *rt, const struct api *api);

/* /api/monitor */
bool monitor_routes(struct http_router *rt, const struct api *api);
/* /api/logs */
bool logs_routes(struct http_router *rt, const struct api *api);
/* /api/schedules */
bool schedules_routes(struct http_router *rt, const struct api *api);
/* /api/runs ... */
bool runs_routes(struct http_router *rt, const struct api *api);
/* /api/chat and what is below it: for back ends and for clients. */
bool api_chat_routes(struct http_router *rt, const struct api *api);

#endif
