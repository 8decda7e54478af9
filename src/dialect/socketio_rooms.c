/*
 * socketio_rooms.c - which rooms have somebody, in which tenants: asked by those who know rooms but
 * no tenants.
 *
 * Why it exists: a back end that emits through Redis says a room or a socket's id. The hub keeps
 * its channels by tenant and loop, and cannot be asked across tenants.
 *
 * Always true while the lock is free:
 *   I1. a room is in the map as long as one of its tenants has a count; further tenants of it are
 *       chained behind the one in the map.
 *   I2. a socket is in sids from sio_accept() until it is gone.
 */
#include "dialect/socketio_priv.h"

#include <stdlib.h>

enum { ROOMS_MAX = 1 << 24 };

struct sio_room {
    struct map_node node; // key: the channel; own copy in every link of the chain
    struct sio_room *more;
    struct str tenant;
    uint32_t count;
    char bytes[];
};

static struct sio_room *room_find(const struct sio_shared *sh, struct str channel)
{
    struct map_node *n = map_find(&sh->rooms, channel);
    return n != NULL ? container_of(n, struct sio_room, node) : NULL;
}

static struct sio_room *room_make(struct str channel, struct str tenant)
{
    struct sio_room *room = malloc(sizeof(*room) + channel.n + tenant.n);
    if (room == NULL)
        return NULL;
    char *at = room->bytes;
    *room = (struct sio_room){0}; // first: its padding lies over the first of the bytes
    room->node.key = str_put(&at, channel);
    room->tenant = str_put(&at, tenant);
    return room;
}

bool sio_rooms_add(struct sio_shared *sh, struct str channel, struct str tenant)
{
    bool ok = true;
    pthread_mutex_lock(&sh->lock);
    struct sio_room *first = room_find(sh, channel);
    struct sio_room *room = first;
    while (room != NULL && !str_eq(room->tenant, tenant))
        room = room->more;
    if (room == NULL) {
        room = room_make(channel, tenant);
        ok = room != NULL && (first != NULL || map_add(&sh->rooms, &room->node));
        if (ok && first != NULL) {
            room->more = first->more;
            first->more = room;
        }
    }
    if (ok)
        room->count++;
    else
        free(room);
    pthread_mutex_unlock(&sh->lock);
    return ok;
}

static void room_drop(struct sio_shared *sh, struct sio_room *first, struct sio_room *room)
{
    if (room != first) {
        struct sio_room *before = first;
        while (before->more != room)
            before = before->more;
        before->more = room->more;
    } else {
        map_remove(&sh->rooms, &first->node);
        // The table has just lost an entry: it does not have to grow for this one.
        if (first->more != NULL)
            MUST(map_add(&sh->rooms, &first->more->node));
    }
    free(room);
}

void sio_rooms_remove(struct sio_shared *sh, struct str channel, struct str tenant)
{
    pthread_mutex_lock(&sh->lock);
    struct sio_room *first = room_find(sh, channel);
    struct sio_room *room = first;
    while (room != NULL && !str_eq(room->tenant, tenant))
        room = room->more;
    if (room != NULL && --room->count == 0)
        room_drop(sh, first, room);
    pthread_mutex_unlock(&sh->lock);
}

/* ---- sockets ---- */

bool sio_sids_add(struct sio_shared *sh, struct sio_socket *sk)
{
    sk->by_sid.key = (struct str){(const char *)sk->session.client, sizeof(sk->session.client)};
    pthread_mutex_lock(&sh->lock);
    bool ok = map_find(&sh->sids, sk->by_sid.key) == NULL && map_add(&sh->sids, &sk->by_sid);
    pthread_mutex_unlock(&sh->lock);
    if (!ok)
        sk->by_sid.key = STR_NONE;
    return ok;
}

void sio_sids_remove(struct sio_shared *sh, struct sio_socket *sk)
{
    if (sk->by_sid.key.n == 0)
        return;
    pthread_mutex_lock(&sh->lock);
    map_remove(&sh->sids, &sk->by_sid);
    pthread_mutex_unlock(&sh->lock);
    sk->by_sid.key = STR_NONE;
}

/* An id in capitals is nobody's: it is a room's name like any other. */
bool sio_sid_parse(struct str text, uint8_t ret[16])
{
    uint8_t id[16];
    char lower[UUID_TEXT];
    if (!uuid_parse(text, id))
        return false;
    uuid_format(id, lower);
    if (memcmp(lower, text.p, sizeof(lower)) != 0)
        return false;
    memcpy(ret, id, sizeof(id));
    return true;
}

/* ---- what others ask ---- */

bool socketio_is(const struct endpoint *e)
{
    return e->dialect->handle == sio_handle;
}

bool socketio_room_channel(struct buf *out, struct str nsp, struct str room)
{
    size_t len = out->len;
    if (nsp.n > 1 && (!buf_add(out, nsp) || !buf_add_char(out, ':')))
        goto full;
    if (buf_add(out, room))
        return true;
full:
    out->len = len;
    return false;
}

bool socketio_namespace_channel(struct buf *out, struct str nsp)
{
    size_t len = out->len;
    if (buf_add(out, STR("socketio:")) && buf_add(out, nsp))
        return true;
    out->len = len;
    return false;
}

bool socketio_socket_channel(struct buf *out, struct str sid)
{
    return socketio_namespace_channel(out, sid);
}

static size_t visit_room(struct sio_shared *sh, struct str channel, socketio_visitor *visit,
                         void *ctx)
{
    size_t count = 0;
    pthread_mutex_lock(&sh->lock);
    for (const struct sio_room *room = room_find(sh, channel); room != NULL; room = room->more) {
        visit(ctx, room->tenant);
        count++;
    }
    pthread_mutex_unlock(&sh->lock);
    return count;
}

size_t socketio_room_tenants(const struct endpoint *e, struct str nsp, struct str room,
                             socketio_visitor *visit, void *ctx)
{
    char at[CHANNEL_NAME_MOST];
    struct buf channel = {.p = at, .cap = sizeof(at), .max = sizeof(at)};
    if (!socketio_room_channel(&channel, nsp, room))
        return 0;
    return visit_room(sio_shared_of(e), buf_str(&channel), visit, ctx);
}

size_t socketio_namespace_tenants(const struct endpoint *e, struct str nsp, socketio_visitor *visit,
                                  void *ctx)
{
    char at[SIO_NSP_MAX + 16];
    struct buf channel = {.p = at, .cap = sizeof(at), .max = sizeof(at)};
    if (!socketio_namespace_channel(&channel, nsp))
        return 0;
    return visit_room(sio_shared_of(e), buf_str(&channel), visit, ctx);
}

size_t socketio_socket_tenant(const struct endpoint *e, struct str nsp, struct str sid,
                              socketio_visitor *visit, void *ctx)
{
    struct sio_shared *sh = sio_shared_of(e);
    uint8_t client[16];
    size_t count = 0;
    if (!sio_sid_parse(sid, client))
        return 0;
    pthread_mutex_lock(&sh->lock);
    struct map_node *n = map_find(&sh->sids, (struct str){(const char *)client, sizeof(client)});
    const struct sio_socket *sk = n != NULL ? container_of(n, struct sio_socket, by_sid) : NULL;
    if (sk != NULL && str_eq(sk->space->name, nsp)) {
        visit(ctx, sk->session.tenant);
        count++;
    }
    pthread_mutex_unlock(&sh->lock);
    return count;
}

void sio_rooms_init(struct sio_shared *sh)
{
    map_init(&sh->rooms, ROOMS_MAX);
    map_init(&sh->sids, ROOMS_MAX);
}

void sio_rooms_fini(struct sio_shared *sh)
{
    for (struct map_node *n = map_first(&sh->rooms), *next; n != NULL; n = next) {
        next = map_next(&sh->rooms, n);
        for (struct sio_room *room = container_of(n, struct sio_room, node), *more; room != NULL;
             room = more) {
            more = room->more;
            free(room);
        }
    }
    map_fini(&sh->rooms);
    map_fini(&sh->sids);
}
