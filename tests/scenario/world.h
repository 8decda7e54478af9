/* world.h - the real stack on one loop, with clients at the other ends of socket pairs and a clock
 * that only moves when it is told to.
 * Thread:  the program's one.
 * Memory:  world_create() to world_destroy().
 * Failure: what the machine refuses ends the program. */
#ifndef SCENARIO_WORLD_H
#define SCENARIO_WORLD_H

#include "dialect/dialect.h"

enum { CLIENTS_MAX = 8, NAMESPACES_MAX = 16, ROUTES_MAX = 64 };

struct client {
    int fd;       // -1: closed
    bool open_ws; // the handshake is done: frames follow
    bool asks;    // whole HTTP answers follow
    struct buf in;
};

struct world {
    struct loop *loop;
    struct flusher flusher;
    struct http_router *router;
    struct http_server *http;
    struct node *node;
    struct auth *auth;
    struct admission admission;
    admission_slot slot;
    struct endpoint endpoints[16];
    struct route_binding {
        const struct dialect_route *route;
        const struct endpoint *endpoint;
    } routes[ROUTES_MAX];
    size_t route_count;
    char paths[16][32]; // of dialects without one: "/name"
    struct dialect_options options;
    struct policy policy;
    struct namespace_options namespaces[NAMESPACES_MAX];
    struct client clients[CLIENTS_MAX];
    uint32_t ping_ms, pong_ms, connect_ms, rate, burst;
    struct str listener; // the dialect whose answer a WebSocket gets at a path that nobody has
};

#define SCENARIO_SECRET "a secret of thirty-two characters"

/* Options are set between these two. */
void world_init(struct world *w);
void world_start(struct world *w);
void world_destroy(struct world *w);

/* Lets the stack do everything that is there to do. */
void world_settle(struct world *w);
void world_pass(struct world *w, uint64_t ms);
int64_t world_now_s(void);
/* A reading of the machine is taken, always the same one, and published as the server does. */
void world_take_figures(struct world *w);

void client_open(struct world *w, struct client *c);
void client_send_raw(struct world *w, struct client *c, struct str bytes);
/* A masked frame: opcode 1 text, 2 binary, 10 pong. */
void client_send(struct world *w, struct client *c, unsigned opcode, struct str payload);
void client_leave(struct world *w, struct client *c);

enum told { TOLD_NOTHING, TOLD_MESSAGE, TOLD_PING, TOLD_CLOSE, TOLD_END };
/* Takes the next thing out of what has come; ret: its text, valid until the next call. */
enum told client_next(struct world *w, struct client *c, struct buf *ret);
/* The head of the HTTP answer, when it is whole: its status. 0: none. */
unsigned client_take_head(struct client *c);

#endif
