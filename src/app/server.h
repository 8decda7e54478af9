/* server.h - the running server: everything wired, in a written order.
 * Thread:  the main thread; loops have threads of their own between server_start() and
 * server_stop(). Memory:  one struct server per process run. Failure: server_create() says what
 * could not be had (address, file, memory) and leaves nothing. */
#ifndef APP_SERVER_H
#define APP_SERVER_H

#include "app/address_book.h"
#include "app/config.h"
#include "api/api.h"
#include "dialect/dialect.h"
#include "metrics/metrics.h"
#include "net/listener.h"
#include "net/tls.h"

#include <pthread.h>

struct server;

/* One configured address. */
struct door {
    struct listen_addr addr;
    int fd; // of the first loop; this one's until fd_given
    bool fd_given;
    bool internal;
    struct tls_context *_Atomic tls; // NULL: plain
    struct str cert, key;            // files, for the reload
};

/* One loop with what hangs on it. */
struct worker {
    struct server *server;
    pthread_t thread;
    bool running;
    struct loop *loop;
    struct flusher flusher;
    struct http_server *http[2]; // public, internal
    struct knocker *knockers;    // one listener per door
    struct metrics_loop *figures;
    struct timer drain;
    uint64_t drain_until_ms; // monotonic
};

struct knocker {
    struct listener listener;
    struct worker *worker;
    struct door *door;
};

struct server {
    struct config *config;   // of birth: what cannot be swapped is read from here
    struct config *reloaded; // NULL, or the newest: admission and policy come from it
    struct address_book *book;
    struct admission admissions[2];
    unsigned admission_index;
    admission_slot admission;
    struct node *node;
    struct store *store;
    struct http_router *routers[2];
    struct http_options http;
    struct dialect_options dialect_options;
    struct http_client **clients; // requests to back ends, one per loop
    struct monitor *monitor;
    struct llm *llm; // NULL: there is no model
    struct scheduling *scheduling;
    struct ledger *ledger; // of runs
    struct logging *logging;
    struct endpoint *endpoints;
    size_t endpoint_count;
    struct bound_route *bound_routes;
    struct bridging *bridging; // NULL: there is none
    struct api api;
    struct metrics_source figures;
    struct door *doors;
    size_t door_count;
    struct worker *workers;
    unsigned worker_count;
    struct http_server *http_peers[2][HUB_LOOPS_MAX]; // public, internal: by loop
    _Atomic uint64_t connections;
    uint64_t connections_max;
};

/* Takes the configuration over (also on failure). ret_why: a text for people. */
struct server *server_create(struct config *config, struct buf *ret_why);
bool server_start(struct server *s, struct buf *ret_why);
/* Swaps what can be swapped for what next says; takes it over (also on failure). */
bool server_reload(struct server *s, struct config *next, struct buf *ret_why);
/* Readiness turns 503, new clients are refused, sessions are told over the drain window. */
void server_drain(struct server *s);
/* Nobody is connected any more. */
bool server_is_empty(const struct server *s);
void server_stop(struct server *s);
void server_destroy(struct server **sp);

/* ---- between the files of the server ---- */

bool admission_make(struct admission *a, struct config *c, struct buf *ret_why);
void admission_drop(struct admission *a);
/* Every dialect that is configured exists. */
bool endpoints_check(const struct config *c, struct buf *ret_why);
bool endpoints_make(struct server *s, struct buf *ret_why);
/* Opens the store and gives it to the hub. */
/* Of the database; without one in the configuration, of the embedded one in data_dir. */
bool storage_url(const struct config *c, struct buf *ret);
bool storage_open(struct server *s, struct buf *ret_why);
/* The loops have ended. */
void endpoints_drop(struct server *s);

/* What is served beside the hub: one file of app each, and a line in services.def. Any step may
 * be NULL. */
struct service {
    const char *name;
    /* Hub, store and HTTP clients are there; routes and endpoints will be made from what is put
     * into s. False: ret_why says why. */
    bool (*make)(struct server *s, struct buf *ret_why);
    /* Endpoints are there, and the loops are about to run. */
    bool (*start)(struct server *s, struct buf *ret_why);
    /* The end begins: threads of its own end. The loops and the store still run. */
    void (*stop)(struct server *s);
    /* The loops and the store have ended, the last mails were delivered, the hub is still there. */
    void (*drop)(struct server *s);
};
#define SERVICE(name) extern const struct service name##_service;
#include "app/services.def"
#undef SERVICE

/* One who looks on at events; a line in witnesses.def. */
struct witness {
    const char *name;
    const struct str *heads; // the types that it wants begin with one of these
    size_t head_count;
    /* As node_witness_fn: on the channel's home loop, quick, and no verb of the hub inside. The
     * publication may be kept by reference. */
    void (*saw)(struct server *s, struct hub *home, struct publication *p);
};
#define WITNESS(name) extern const struct witness name##_witness;
#include "app/witnesses.def"
#undef WITNESS
struct desk_event;
/* For desk_options.publish of services; ctx: the server. */
void desk_publish(void *ctx, const struct desk_event *e);
bool services_make(struct server *s, struct buf *ret_why);
bool services_start(struct server *s, struct buf *ret_why);
void services_stop(struct server *s);
void services_drop(struct server *s);
/* From Redis, where one is configured. False: no memory. */
bool bridging_make(struct server *s);
void bridging_stop(struct server *s); // the loops have ended
void bridging_drop(struct server *s); // and so has the hub
bool doors_open(struct server *s, struct buf *ret_why);
void doors_close(struct server *s);
bool doors_reload_tls(struct server *s, struct buf *ret_why);
/* A listener of a worker has a connection. */
void door_accepted(struct listener *l, int fd, const struct addr *peer);
/* For flusher.conn_closed; ctx: the server. */
void door_closed(void *ctx, const struct conn *c);
/* Runs on every loop once; returns when all have turned. */
void server_wait_turn(struct server *s);

#endif
