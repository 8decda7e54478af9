/* socketio.h - what others may ask of a Socket.IO endpoint: which channel a room is, and in which
 * tenants it has somebody.
 *
 * Why: a back end that emits through Redis knows rooms and socket ids, but no tenants.
 *
 * Thread:  any: what is asked for is guarded by a lock that joins and leaves take as well, and
 *          messages never do.
 * Memory:  what a visitor is given is gone when it returns.
 * Failure: what is not there is visited zero times. A visitor must not call anything of Socket.IO
 *          or of the hub: it notes, and acts later. */
#ifndef DIALECT_SOCKETIO_H
#define DIALECT_SOCKETIO_H

#include "base/buf.h"
#include "dialect/dialect.h"

/* The endpoint speaks Socket.IO (pytake or socketio). */
bool socketio_is(const struct endpoint *e);

typedef void socketio_visitor(void *ctx, struct str tenant);

/* The tenants of which at least one socket is in the room. Returns how many. */
size_t socketio_room_tenants(const struct endpoint *e, struct str nsp, struct str room,
                             socketio_visitor *visit, void *ctx);
/* The tenants that have a socket in the namespace. */
size_t socketio_namespace_tenants(const struct endpoint *e, struct str nsp, socketio_visitor *visit,
                                  void *ctx);
/* The tenant of the socket with this id (text UUID): 0 or 1. */
size_t socketio_socket_tenant(const struct endpoint *e, struct str nsp, struct str sid,
                              socketio_visitor *visit, void *ctx);

/* The channels: of a room ("conversation:7" is itself in "/", "/x:conversation:7" in "/x"), of a
 * whole namespace ("socketio:/x"), of one socket ("socketio:<sid>"). False: no room in out. */
bool socketio_room_channel(struct buf *out, struct str nsp, struct str room);
bool socketio_namespace_channel(struct buf *out, struct str nsp);
bool socketio_socket_channel(struct buf *out, struct str sid);

#endif
