/* socketio_backend.h - what the files of the HTTP back end of Socket.IO share: its queue of
 * requests per socket, what it is asked, and what its answers do.
 *
 * Thread:  the socket's loop; the figures of struct sio_backend from any.
 * Memory:  a queue is sk->of_backend and goes with the socket, which stays (sio_socket_ref) while
 *          anything waits. A request is one malloc()ed block.
 * Failure: a back end that fails is logged, at most once in PROBLEM_INTERVAL_MS per endpoint, and
 *          the next request goes its way. */
#ifndef DIALECT_SOCKETIO_BACKEND_H
#define DIALECT_SOCKETIO_BACKEND_H

#include "dialect/socketio_priv.h"
#include "http/client.h"

enum {
    BACKEND_ANSWER_MAX = 8 << 20,
    BACKEND_NAMES_MAX = 256, // rooms in one list
    BACKEND_TOKEN_MAX = 256, // bytes of the name that a back end gives an acknowledgement
    PROBLEM_INTERVAL_MS = 10000,
};

/* Of an endpoint: shared->of_backend. */
struct sio_backend {
    const struct dialect_options *options;
    size_t queue_bytes_max; // of one socket
    _Atomic uint64_t problem_at_ms;
    _Atomic uint64_t problems_untold;
};

enum ask_kind { ASK_CONNECT, ASK_EVENT, ASK_ACK, ASK_DISCONNECT };

/* One request that waits, or is under way. */
struct backend_ask {
    struct list link; // in backend_queue.asks
    enum ask_kind kind;
    bool wants_ack;
    uint64_t ack_id;
    struct str body;
    char bytes[];
};

/* A name for an acknowledgement that a client was asked for. */
struct backend_token {
    struct list link; // in backend_queue.tokens
    uint64_t cookie;
    struct str name;
    char bytes[];
};

/* Of a socket. */
struct backend_queue {
    struct sio_socket *socket;
    struct list asks;
    struct list tokens;
    size_t waiting_bytes;
    uint32_t waiting_count;
    struct backend_ask *now; // under way; NULL: nothing is
    char *answer;            // its answer while that is being carried out
    size_t answer_len;
    struct timer greeting; // between being told that it is connected, and the rest of that answer
    uint32_t joins_pending;
    bool told;    // the back end has said yes to this socket, and not been told that it went
    bool pumping; // requests are being sent, on the stack
    uint64_t cookie;
};

static inline struct sio_backend *backend_of(const struct sio_socket *sk)
{
    return sio_socket_shared(sk)->of_backend;
}

/* Logs what went wrong, not too often. */
void backend_problem(const struct sio_socket *sk, const char *what, const char *why);

/* ---- what it is asked (socketio_backend_ask.c) ---- */

/* NULL: no memory, or too long. */
struct backend_ask *ask_connect(struct sio_socket *sk, struct str auth);
struct backend_ask *ask_event(struct sio_socket *sk, const struct sio_packet *p);
struct backend_ask *ask_ack(struct sio_socket *sk, struct str token, const struct sio_packet *p);
struct backend_ask *ask_disconnect(struct sio_socket *sk, struct str reason);
/* For sio_app.remember: query, headers and address as members of a JSON object. */
char *backend_remember(const struct http_request *r, size_t *ret_n);

/* ---- what its answer does (socketio_backend_act.c) ---- */

/* One string or an array of them, decoded into names, which the caller releases. How many. */
size_t act_read_names(struct str raw, struct buf *names, struct str *ret, size_t most);
/* Everything of the answer but joins, in the documented order. */
void act_on_answer(struct backend_queue *q, struct str answer, const struct backend_ask *ask);
/* Notes the name; its cookie for sio_emit_ack(). 0: no memory. */
uint64_t backend_token_add(struct backend_queue *q, struct str name);
void backend_token_drop(struct backend_token *t);

/* The rules of shared->backend. */
extern const struct sio_app sio_backend_app;

#endif
