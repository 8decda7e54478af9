/*
 * doors.c - the addresses the server listens on, and who is let in through them.
 *
 * A connection over a limit gets a short answer at once and is closed: refusal, not collapse.
 */
#include "app/server.h"

#include "base/must.h"

#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static bool door_open(struct door *d, const struct config_listener *l, const struct config *c,
                      struct buf *ret_why)
{
    const char *why;
    char text[256];
    if (!listen_addr_parse(l->address, &d->addr, &why)) {
        buf_add_format(ret_why, "listen: \"%.*s\": %s\n", STR_FMT(l->address), why);
        return false;
    }
    bool own = l->tls.cert.n > 0;
    d->cert = l->plain ? STR_NONE : own ? l->tls.cert : c->tls.cert;
    d->key = l->plain ? STR_NONE : own ? l->tls.key : c->tls.key;
    if (d->cert.n > 0) {
        struct tls_context *tls = tls_context_create(d->cert.p, d->key.p, text, sizeof(text));
        if (tls == NULL) {
            buf_add_format(ret_why, "listen: %.*s: %s\n", STR_FMT(l->address), text);
            return false;
        }
        atomic_store(&d->tls, tls);
    }
    d->fd = listen_socket_open(&d->addr, 0660, text, sizeof(text));
    if (d->fd < 0) {
        buf_add_format(ret_why, "%s\n", text);
        return false;
    }
    return true;
}

bool doors_open(struct server *s, struct buf *ret_why)
{
    const struct config *c = s->config;
    size_t count = c->listen.count + c->internal_listen.count;
    s->doors = calloc(count, sizeof(*s->doors));
    if (s->doors == NULL)
        return false;
    for (size_t i = 0; i < count; i++) {
        struct door *d = &s->doors[i];
        d->internal = i >= c->listen.count;
        d->fd = -1;
        s->door_count++;
        const struct config_listener *l =
            d->internal ? &c->internal_listen.items[i - c->listen.count] : &c->listen.items[i];
        if (!door_open(d, l, c, ret_why))
            return false;
    }
    return true;
}

void doors_close(struct server *s)
{
    for (size_t i = 0; i < s->door_count; i++) {
        struct door *d = &s->doors[i];
        struct tls_context *tls = atomic_exchange(&d->tls, NULL);
        if (tls != NULL)
            tls_context_free(tls);
        if (d->fd < 0)
            continue;
        if (!d->fd_given)
            close(d->fd);
        listen_socket_forget(&d->addr);
    }
    free(s->doors);
    s->doors = NULL;
    s->door_count = 0;
}

/* All certificates are loaded before the first is put in place. */
bool doors_reload_tls(struct server *s, struct buf *ret_why)
{
    struct tls_context **fresh = calloc(s->door_count, sizeof(struct tls_context *));
    char text[256];
    bool ok = fresh != NULL;
    for (size_t i = 0; ok && i < s->door_count; i++) {
        struct door *d = &s->doors[i];
        if (d->cert.n == 0)
            continue;
        fresh[i] = tls_context_create(d->cert.p, d->key.p, text, sizeof(text));
        ok = fresh[i] != NULL;
        if (!ok)
            buf_add_format(ret_why, "%s: %s\n", d->addr.text, text);
        else
            tls_context_keep_tickets(fresh[i], atomic_load(&d->tls));
    }
    for (size_t i = 0; fresh != NULL && i < s->door_count; i++) {
        if (ok && fresh[i] != NULL)
            fresh[i] = atomic_exchange(&s->doors[i].tls, fresh[i]);
    }
    if (ok)
        server_wait_turn(s); // nobody is just taking an old one
    for (size_t i = 0; fresh != NULL && i < s->door_count; i++) {
        if (fresh[i] != NULL)
            tls_context_free(fresh[i]);
    }
    free(fresh);
    return ok;
}

/* ---- who is let in ---- */

static void refuse(struct server *s, int fd, bool tls)
{
    static const char text[] =
        "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\n"
        "Content-Length: 60\r\nRetry-After: 5\r\nConnection: close\r\n\r\n"
        "{\"error\":{\"code\":1013,\"message\":\"too many connections now\"}}";
    atomic_fetch_add_explicit(&s->figures.refused_connections, 1, memory_order_relaxed);
    if (!tls && send(fd, text, sizeof(text) - 1, MSG_NOSIGNAL | MSG_DONTWAIT) > 0)
        shutdown(fd, SHUT_WR);
    close(fd);
}

static bool may_enter(struct server *s, const struct worker *w, const struct addr *peer)
{
    if (atomic_fetch_add(&s->connections, 1) >= s->connections_max)
        goto refused;
    if (!address_book_enter(s->book, peer, loop_now_ms(w->loop)))
        goto refused;
    return true;
refused:
    atomic_fetch_sub(&s->connections, 1);
    return false;
}

static void leave(struct server *s, const struct addr *peer)
{
    atomic_fetch_sub(&s->connections, 1);
    address_book_leave(s->book, peer);
}

void door_closed(void *ctx, const struct conn *c)
{
    leave(ctx, &c->peer);
}

void door_accepted(struct listener *l, int fd, const struct addr *peer)
{
    struct knocker *k = l->ctx;
    struct server *s = k->worker->server;
    struct tls_context *context = atomic_load_explicit(&k->door->tls, memory_order_acquire);
    struct addr from = *peer;
    from.unlimited = k->door->internal;
    if (from.unlimited) {
        atomic_fetch_add(&s->connections, 1); // counted, but never refused
    } else if (!may_enter(s, k->worker, peer)) {
        refuse(s, fd, context != NULL);
        return;
    }
    struct tls *tls = context != NULL ? tls_create(context, fd) : NULL;
    if (context != NULL && tls == NULL)
        close(fd);
    else if (http_server_accept(k->worker->http[k->door->internal], fd, &from, tls))
        return;
    leave(s, &from); // no memory
}
