/* socketio_priv.h - what the files of the Socket.IO dialects share: the engine, the rules of
 * applications on top of it (pytake, a back end behind HTTP), and recovery.
 *
 * One Engine.IO session (struct sio_conn) has a socket (struct sio_socket) per namespace that its
 * client has connected to. A socket is a hub session of its own, all on the carrier's one sink. Its
 * id as the client knows it, the sid, is the text of session.client: what is published with
 * `exclude` of that id skips it.
 *
 * One channel space with everybody else:
 *   - room r of namespace "/" is the channel r; room r of "/x" is the channel "/x:r";
 *   - every socket follows "socketio:<nsp>", which is a broadcast to the namespace, and
 *     "socketio:<sid>", which is the room named by its own id.
 * A publication (type, data) of such a channel is the event type with the one argument data;
 * without a type it is the event "message". Its tags may say more:
 *   - {"socketio":"args"}: data is the array of the event's arguments;
 *   - {"attachments":"<base64>,<base64>"}: a binary event; {"_placeholder":true,"num":0} in data
 *     stands for the first of them, as on the wire.
 *
 * Thread:  a socket's loop; what is behind sio_shared.lock from any.
 * Memory:  a conn goes with its carrier. A socket goes when the hub has let go of it and every
 *          sio_socket_ref() was given back; from `gone` on it only says who it was.
 * Failure: calls on a socket that is gone do nothing. A client that breaks the protocol loses its
 *          Engine.IO session. */
#ifndef DIALECT_SOCKETIO_PRIV_H
#define DIALECT_SOCKETIO_PRIV_H

#include "base/bucket.h"
#include "base/json.h"
#include "base/map.h"
#include "base/must.h"
#include "base/random.h"
#include "base/utf8.h"
#include "carrier/eio.h"
#include "dialect/admit.h"
#include "dialect/socketio.h"
#include "dialect/ws_session.h"

#include <pthread.h>
#include <stdlib.h>

enum {
    SIO_NSP_MAX = 128,        // bytes of a namespace's name
    SIO_SPACES_MAX = 256,     // namespaces of an endpoint where any is allowed
    SIO_SOCKETS_MAX = 32,     // of one Engine.IO session
    SIO_ATTACHMENTS_MAX = 64, // of one packet
    SIO_ACKS_MAX = 256,       // asked of one socket and not answered yet
    SIO_EVENT_NAME_MAX = 256, // bytes, decoded; longer ones are for a back end as they stand
};

struct sio_conn;
struct sio_socket;
struct sio_shared;

/* ---- packets ---- */

enum sio_type {
    SIO_CONNECT,
    SIO_DISCONNECT,
    SIO_EVENT,
    SIO_ACK,
    SIO_CONNECT_ERROR,
    SIO_BINARY_EVENT,
    SIO_BINARY_ACK,
};

struct sio_packet {
    enum sio_type type;
    struct str nsp; // "/" when the packet names none; without a query
    bool has_id;
    uint64_t id;
    struct str data;         // raw JSON: an array of events and acks, an object or "" of a CONNECT
    struct str name;         // of events: the first element, raw JSON (a string, or a number)
    uint32_t argument_count; // of events: elements behind the name; of acks: all
    uint32_t attachment_count;     // the binary messages that follow, or that are here
    const struct str *attachments; // their bytes; NULL while they are awaited
};

/* The text of a packet, whole; attachments come later. NULL: fine, else what is wrong with it. */
const char *sio_packet_read(struct str text, struct sio_packet *ret);

/* What goes out in one packet: the array of an event (name first) or of an ack. */
struct sio_message {
    struct str data; // raw JSON array
    const struct str *attachments;
    uint32_t attachment_count;
};

/* ---- who is told ---- */

/* The rules of an application. Every function may be NULL; all run on the socket's loop, and none
 * while the hub walks its lists. */
struct sio_app {
    const char *name;
    /* Raw JSON of the refusals of a CONNECT; "": as the JavaScript server says it, and so it is
     * for namespaces where a back end makes other applications welcome. */
    struct str no_namespace, unauthorized;
    bool token_required; // unless a back end decides about who brings none
    /* A client opens an Engine.IO session: what a later decision needs of the request, as one
     * malloc()ed block that becomes conn->remembered. */
    char *(*remember)(const struct http_request *r, size_t *ret_n);
    /* A client wants to connect: auth is the payload's raw JSON object or "". Whoever returns true
     * calls sio_accept() or sio_reject() later, or now (it may not matter any more: see `gone`).
     * id is what the token said, and NULL without one; it is gone with the call. */
    bool (*on_connect)(struct sio_socket *sk, struct str auth, const struct identity *id);
    /* It is in the hub and will be told so in this turn: the rooms it is in from the start. */
    void (*on_joining)(struct sio_socket *sk);
    /* The CONNECT answer has been sent. */
    void (*on_connected)(struct sio_socket *sk);
    /* An event. False: not mine, the next one is asked. Whoever takes an event with an id answers
     * it with sio_ack(). */
    bool (*on_event)(struct sio_socket *sk, const struct sio_packet *p);
    /* The answer to sio_emit_ack(): with its cookie. p NULL: none will come any more. */
    void (*on_ack)(struct sio_socket *sk, uint64_t cookie, const struct sio_packet *p);
    /* It was connected, and still follows its rooms; after this it is gone. reason: as the
     * JavaScript server names it ("transport close", "client namespace disconnect"...). */
    void (*on_disconnect)(struct sio_socket *sk, struct str reason);
    /* It was let in, and went before it could be told so: on_disconnect() is not called. */
    void (*on_lost)(struct sio_socket *sk);
    /* The socket's object dies: sk->of_backend is to be freed. */
    void (*on_free)(struct sio_socket *sk);
};

/* Coming back after a short disconnect (socketio_recovery.c). All on the socket's loop. */
struct sio_recovery {
    /* A CONNECT, before anybody decides about it: when its payload holds a pid and an offset that
     * are good, the socket gets its old sid, and recovered is set. */
    void (*on_connect)(struct sio_socket *sk, struct str auth);
    /* It is let in, under the name that it has now; recovered may be taken back. */
    void (*on_accept)(struct sio_socket *sk);
    /* Joins the rooms that it was in. */
    void (*rejoin)(struct sio_socket *sk);
    /* Appends the pid of a socket that is accepted (plain text); false: none. */
    bool (*write_pid)(struct sio_socket *sk, struct buf *out);
    /* How its subscriptions are encoded; NULL: as everybody's. */
    const struct encoding *(*encoding)(struct sio_socket *sk);
    /* A channel that it is about to follow; false: it does not continue there. */
    bool (*since)(struct sio_socket *sk, struct str channel, struct position *ret);
    /* It follows a channel now: sends what was missed. */
    void (*on_joined)(struct sio_socket *sk, const struct answer *a);
    /* The publication is sent to this socket now: appends what its client says of it when it comes
     * back, a JSON string without quotes. False: nothing is appended. */
    bool (*write_offset)(struct sio_socket *sk, const struct publication *p, struct buf *out);
    void (*on_disconnect)(struct sio_socket *sk, struct str reason);
    void (*on_free)(struct sio_socket *sk); // sk->of_recovery
};

/* ---- a namespace of an endpoint ---- */

/* What an encoding needs to know: window_bits is the first member, as ws_encoding_frame() asks. */
struct sio_variant {
    int window_bits;
    const struct sio_space *space;
};

struct sio_space {
    struct sio_space *next;
    struct sio_shared *shared;
    struct str name; // "/x"
    struct sio_variant variants[WS_FRAMINGS];
    struct encoding encodings[WS_FRAMINGS];
    char name_at[SIO_NSP_MAX];
};

/* ---- what all sessions of an endpoint share: e->shared ---- */

struct sio_shared {
    const struct endpoint *endpoint;
    struct eio *eio;
    struct eio_options eio_options;
    const struct sio_app *app;           // of the dialect: pytake's rules; NULL: none
    const struct sio_app *backend;       // told what the app does not take; NULL: none
    const struct sio_recovery *recovery; // NULL: none
    struct session_ops session_ops;      // with the name of the dialect
    void *of_backend, *of_recovery;      // theirs
    bool any_namespace;
    pthread_mutex_t lock; // of what follows
    struct sio_space *spaces;
    size_t space_count;
    struct map rooms, sids; // private to socketio_rooms.c
};

static inline struct sio_shared *sio_shared_of(const struct endpoint *e)
{
    return e->shared;
}

/* ---- sessions ---- */

struct sio_conn {
    struct carrier *carrier; // NULL: gone
    const struct endpoint *endpoint;
    struct hub *hub;
    struct sio_socket *sockets;  // linked by next
    struct sio_partial *partial; // a packet whose attachments are awaited; NULL: none
    char *handshake;             // what the next two point into; NULL: nothing was said
    struct str token, tenant;    // of the request that opened it
    struct str remembered;       // of backend->remember(), or ""
    struct timer timer;
    struct bucket bucket;
    uint16_t socket_count;
    uint16_t joining;   // sockets in SIO_JOINING: their sink is held
    bool ending;        // closed, or about to be
    bool has_connected; // to some namespace, once
};

enum sio_state { SIO_ASKING, SIO_JOINING, SIO_CONNECTED, SIO_GONE };

struct sio_socket {
    struct session session; // client: the sid. Not open before sio_accept()
    struct sio_conn *conn;  // NULL: gone
    struct sio_socket *next;
    struct sio_space *space;
    struct map_node by_sid;   // in shared->sids
    char *identity;           // tenant, user, info in one block
    struct sio_pending *acks; // asked for and not answered
    void *of_backend, *of_recovery;
    uint64_t ack_serial;
    uint32_t refs;
    uint16_t ack_count;
    uint16_t pending;      // in SIO_JOINING: joins to be answered, and one for who asks
    uint8_t state;         // enum sio_state
    bool from_token;       // a token says who it is
    bool has_organization; // and of which organization
    bool recovered;        // it continues one that was cut off
    bool leaving;          // told to go at the end of the turn
};

static inline struct sio_socket *sio_socket_of(const struct session *s)
{
    return container_of((struct session *)(uintptr_t)s, struct sio_socket, session);
}

static inline struct sio_shared *sio_socket_shared(const struct sio_socket *sk)
{
    return sk->space->shared;
}

/* Keeps the object, not the connection. */
struct sio_socket *sio_socket_ref(struct sio_socket *sk);
void sio_socket_unref(struct sio_socket *sk);
/* The client can be talked to: it was told that it is connected, and has not gone. */
static inline bool sio_is_connected(const struct sio_socket *sk)
{
    return sk->state == SIO_CONNECTED;
}

/* ---- what can be done with a socket ---- */

struct sio_admission {
    struct str tenant, user, info; // borrowed, info: raw JSON; p NULL: as its token says
    const struct str *rooms;       // joined before the client is told
    size_t room_count;
};

/* Answer to on_connect(), once: the client is connected, or is told that the server is full. */
void sio_accept(struct sio_socket *sk, const struct sio_admission *a);
/* Or it is refused: data is the raw JSON of the CONNECT_ERROR. */
void sio_reject(struct sio_socket *sk, struct str data);

/* done (NULL: nobody waits) is called once, on this loop, at once or later; ERR_OK also when it was
 * there already. ERR_BAD_REQUEST: the room's name cannot be a channel's (spaces, '*', length). */
typedef void sio_joined_fn(void *ctx, struct sio_socket *sk, enum err err);
void sio_join(struct sio_socket *sk, struct str room, sio_joined_fn *done, void *ctx);
/* False: it was not there. */
bool sio_leave(struct sio_socket *sk, struct str room);
/* The rooms it is in, without its own and the namespace's; visit must not join or leave. */
typedef void sio_room_fn(void *ctx, struct str room);
void sio_each_room(const struct sio_socket *sk, sio_room_fn *visit, void *ctx);

/* To this socket's client only. */
void sio_emit(struct sio_socket *sk, const struct sio_message *m);
/* The same, and the client is asked for an answer, which comes to on_ack() of whoever is `from`
 * (shared->app or shared->backend). False: SIO_ACKS_MAX are awaited already, or it is gone. */
bool sio_emit_ack(struct sio_socket *sk, const struct sio_app *from, uint64_t cookie,
                  const struct sio_message *m);
/* No longer interested: on_ack() is not called for it. */
void sio_ack_forget(struct sio_socket *sk, uint64_t cookie);
/* Answers the event that came with this id. */
void sio_ack(struct sio_socket *sk, uint64_t id, const struct sio_message *m);

/* The client is told that it has been disconnected from the namespace (it does not come back by
 * itself then); close: and the whole Engine.IO session ends. At the end of the turn. */
void sio_disconnect(struct sio_socket *sk, bool close);
/* Ends the Engine.IO session: the client comes back if it likes. */
void sio_conn_end(struct sio_conn *c, enum close_reason reason);

/* ---- publications ---- */

/* Appends the text of the packet, without the Engine.IO digit. to: the only socket that it is for
 * (recovery adds an argument then), or NULL. */
bool sio_event_write(struct buf *out, const struct sio_space *space, const struct publication *p,
                     struct sio_socket *to);
/* To this client only, in order: what did not come through the log. */
void sio_send_publications(struct sio_socket *sk, struct publication *const *pubs, size_t count);
/* To everybody in the room but `but` (NULL: nobody is left out); type "" is "message". What clients
 * do at this moment: it is not kept for those who come later. */
void sio_publish(struct sio_socket *sk, struct str room, struct str type, struct str data,
                 const struct sio_socket *but);

/* ---- names shared by the files ---- */

bool sio_nsp_ok(struct str nsp);
/* Every {"_placeholder":true,"num":n} in this JSON is one of count attachments. */
bool sio_placeholders_ok(struct str data, uint32_t count);
/* raw: a JSON string with its quotes. Names that an event must not have. */
bool sio_name_is_reserved(struct str raw);
/* Type, attachments and namespace of a packet. */
bool sio_head_write(struct buf *out, enum sio_type type, uint32_t attachment_count, struct str nsp);
/* A packet to this socket's client, whatever state it is in. */
void sio_packet_send(struct sio_socket *sk, enum sio_type type, const uint64_t *id,
                     const struct sio_message *m);
/* A CONNECT for a namespace that the client is not connected to. */
void sio_connect(struct sio_conn *c, const struct sio_packet *p);
/* Leaves the hub, and the conn. reason: for on_disconnect(). */
void sio_socket_leave(struct sio_socket *sk, struct str reason);
void sio_socket_acked(struct sio_socket *sk, const struct sio_packet *p);
void sio_acks_end(struct sio_socket *sk);
/* One of the joins of SIO_JOINING has been answered. */
void sio_joining_goes_on(struct sio_socket *sk);
/* It is not SIO_JOINING any more: what waits in the sink may go, if no other socket is. */
void sio_joining_ends(struct sio_socket *sk);
extern const struct session_ops sio_socket_ops;
/* own: of the engine, not to be seen in presence. */
void sio_join_channel(struct sio_socket *sk, struct str channel, bool own, sio_joined_fn *done,
                      void *ctx);
/* In the rooms of the endpoint; without memory for that it does not stay. */
enum err sio_note_room(struct sio_socket *sk, const struct answer *a);
/* Of what this socket follows. */
const struct encoding *sio_socket_encoding(struct sio_socket *sk);
void sio_forget_room(struct sio_socket *sk, const struct subscription *sub);

/* A buffer over bytes of the stack: it never grows. */
static inline struct buf sio_buf_on(char *at, size_t cap)
{
    return (struct buf){.p = at, .cap = cap, .max = cap};
}

/* The timer of the conn does what is due at the end of the turn. */
void sio_conn_wake(struct sio_conn *c);

/* The namespace's, or NULL: clients may not connect to it. Makes it where any is allowed. */
struct sio_space *sio_space_find(struct sio_shared *sh, struct str nsp);
struct sio_space *sio_space_add(struct sio_shared *sh, struct str nsp, bool may_make);
const struct encoding *sio_encoding(struct sio_space *space, const struct framing *f);

/* The rooms of an endpoint, for socketio.h. */
void sio_rooms_init(struct sio_shared *sh);
void sio_rooms_fini(struct sio_shared *sh);
/* channel: as subscribed to. False: no memory, and nothing was noted. */
bool sio_rooms_add(struct sio_shared *sh, struct str channel, struct str tenant);
void sio_rooms_remove(struct sio_shared *sh, struct str channel, struct str tenant);

/* By id; false: there is such a socket already, or no memory. */
bool sio_sids_add(struct sio_shared *sh, struct sio_socket *sk);
void sio_sids_remove(struct sio_shared *sh, struct sio_socket *sk);
/* The text of a sid; lower case only. */
bool sio_sid_parse(struct str text, uint8_t ret[16]);

/* An HTTP back end, when one is configured, becomes sh->backend (socketio_backend.c). */
void sio_backend_prepare(struct sio_shared *sh);
void sio_backend_release(struct sio_shared *sh);
/* The same with recovery, when it is configured. */
void sio_recovery_prepare(struct sio_shared *sh);
void sio_recovery_release(struct sio_shared *sh);

/* Makes e->shared, and takes it apart. What fills in sh->backend and sh->recovery, when they are
 * configured, is called from sio_prepare() (socketio.c), and what frees theirs from sio_release().
 * app: the dialect's rules, or NULL. */
void sio_prepare(struct endpoint *e, const struct sio_app *app);
void sio_release(struct endpoint *e);
void sio_handle(struct http_request *r, const struct endpoint *e);

#endif
