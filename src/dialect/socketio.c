/*
 * socketio.c - Socket.IO 5 for any application: what its endpoints share, and how they are made.
 */
#include "dialect/socketio_priv.h"

static void add_namespaces(struct sio_shared *sh, const struct dialect_options *o)
{
    for (size_t i = 0; i < o->socketio.namespaces.count; i++) {
        struct str nsp = o->socketio.namespaces.items[i];
        if (str_eq(nsp, STR("*")))
            sh->any_namespace = true;
        else
            sio_space_add(sh, nsp, true);
    }
}

void sio_prepare(struct endpoint *e, const struct sio_app *app)
{
    const struct dialect_options *o = e->options;
    struct sio_shared *sh = calloc(1, sizeof(*sh));
    MUST(sh != NULL); // the server has not begun
    sh->endpoint = e;
    sh->app = app;
    sh->session_ops = sio_socket_ops;
    if (app != NULL)
        sh->session_ops.dialect = app->name;
    MUST(pthread_mutex_init(&sh->lock, NULL) == 0);
    sio_rooms_init(sh);
    add_namespaces(sh, o);
    sio_backend_prepare(sh);
    sio_recovery_prepare(sh);
    sh->eio_options = (struct eio_options){
        .ping_interval_ms = o->socketio.ping_interval_ms,
        .ping_timeout_ms = o->socketio.ping_timeout_ms,
        .payload_max_bytes = o->socketio.payload_max_bytes,
        .out_max_bytes = e->ws.out_max_bytes,
        .as_python = app != NULL && sh->backend == NULL, // pytake's clients knew that server
        .ws = e->ws,
    };
    sh->eio_options.ws.message_max_bytes = o->socketio.payload_max_bytes;
    sh->eio_options.ws.ping_interval_ms = 0; // Engine.IO has its own
    sh->eio = eio_create(&sh->eio_options, node_loop_count(e->node));
    MUST(sh->eio != NULL);
    e->shared = sh;
    if (app != NULL && app->token_required)
        e->auth = sh->backend == NULL ? AUTH_REQUIRED : AUTH_OPTIONAL;
}

void sio_release(struct endpoint *e)
{
    struct sio_shared *sh = e->shared;
    e->shared = NULL;
    eio_destroy(&sh->eio);
    sio_backend_release(sh);
    sio_recovery_release(sh);
    sio_rooms_fini(sh);
    for (struct sio_space *space = sh->spaces, *next; space != NULL; space = next) {
        next = space->next;
        free(space);
    }
    pthread_mutex_destroy(&sh->lock);
    free(sh);
}

static void socketio_prepare(struct endpoint *e)
{
    sio_prepare(e, NULL);
}

const struct dialect dialect_socketio = {
    .name = "socketio",
    .methods = ~0u,
    .handle = sio_handle,
    .prepare = socketio_prepare,
    .release = sio_release,
    .outlives_requests = true,
};
