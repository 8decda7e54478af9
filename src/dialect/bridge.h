/* bridge.h - what back ends publish to a message broker becomes verbs of the hub.
 *
 * Two of the broker's channels mean something:
 *   - socketio: what python-socketio's Redis manager writes as JSON (emit, enter_room, leave_room,
 *     close_room, disconnect);
 *   - gamification: {"type":..,"data":..}, one event of the conductor dialect.
 *
 * Thread:  the loop of its hub.
 * Memory:  struct bridge is the caller's; strings given to bridge_take() are borrowed for the call.
 *          It must stay until the hub has answered everything (node_destroy()).
 * Failure: what cannot be understood is dropped, and logged: each kind once a minute at most. */
#ifndef DIALECT_BRIDGE_H
#define DIALECT_BRIDGE_H

#include "dialect/socketio.h"

/* Whose tenants are asked for. */
enum bridge_where { BRIDGE_NAMESPACE, BRIDGE_ROOM, BRIDGE_SOCKET };

/* What a bridge does to the world; tests have their own. */
struct bridge_ops {
    void (*publish)(void *ctx, const struct publish_params *p);
    /* Always of sockets: p->dialect "socketio" stands for every dialect on top of it as well. */
    void (*control)(void *ctx, const struct control_params *p);
    /* Visits every tenant that has somebody there, maybe twice. name: of the room or socket. */
    void (*tenants)(void *ctx, enum bridge_where where, struct str nsp, struct str name,
                    socketio_visitor *visit, void *visit_ctx);
};

enum bridge_complaint {
    BRIDGE_PICKLE,  // written by python-socketio before 5.14
    BRIDGE_NO_JSON, // or not an object
    BRIDGE_FORM,    // a field is missing or of another type
    BRIDGE_REFUSED, // by the hub
    BRIDGE_COMPLAINTS
};

struct bridge {
    const struct bridge_ops *ops;
    void *ctx;
    struct str socketio, gamification; // the broker's channels; "": not followed
    struct str tenant;                 // "*": every tenant that has the room
    struct str tenant_default;         // of events without a room, when tenant is "*"
    struct {
        uint64_t logged_ms; // 0: never
        uint64_t count;     // since then
    } complaints[BRIDGE_COMPLAINTS];
};

void bridge_take(struct bridge *b, struct str channel, struct str payload, uint64_t now_ms);
void bridge_complain(struct bridge *b, enum bridge_complaint kind, const char *why,
                     uint64_t now_ms);

/* The real world: one hub, and the endpoints among which those of Socket.IO are asked. */
struct bridge_hub {
    struct bridge bridge; // ops and ctx are set by bridge_hub_init()
    struct hub *hub;
    const struct endpoint *endpoints;
    size_t endpoint_count;
};
void bridge_hub_init(struct bridge_hub *b, struct hub *hub, const struct endpoint *endpoints,
                     size_t endpoint_count);

#endif
