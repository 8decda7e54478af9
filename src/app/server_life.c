/*
 * server_life.c - a server that is wired: its threads, its reloads, its end.
 *
 * Always true: what loops look at is replaced as a whole, and goes when every loop has turned once
 * since.
 */
#include "app/server.h"
#include "store/store.h"

#include "base/log.h"
#include "base/must.h"
#include "http/client.h"

#include <semaphore.h>
#include <stdlib.h>
#include <unistd.h>

enum { DRAIN_TICK_MS = 100, SETTLE_ROUNDS_MAX = 100000 };

static bool open_knocker(struct worker *w, unsigned index, struct door *d, struct buf *ret_why)
{
    struct knocker *k = &w->knockers[index];
    char text[256];
    k->worker = w;
    k->door = d;
    int fd = d->fd;
    if (w != w->server->workers)
        fd = listen_socket_again(&d->addr, d->fd, text, sizeof(text));
    else
        d->fd_given = true;
    if (fd < 0) {
        buf_add_format(ret_why, "%s\n", text);
        return false;
    }
    if (!listener_init(&k->listener, w->loop, fd, &d->addr, door_accepted, k)) {
        buf_add_format(ret_why, "%s: cannot be watched\n", d->addr.text);
        close(fd);
        return false;
    }
    return true;
}

static void *worker_run(void *arg)
{
    struct worker *w = arg;
    loop_run(w->loop);
    return NULL;
}

bool server_start(struct server *s, struct buf *ret_why)
{
    // They turn loops to read their rows: nobody is to be let in by that, and found half a server.
    if (!services_start(s, ret_why))
        return false;
    for (unsigned i = 0; i < s->worker_count; i++) {
        struct worker *w = &s->workers[i];
        w->knockers = calloc(s->door_count, sizeof(*w->knockers));
        if (w->knockers == NULL)
            return false;
        for (unsigned k = 0; k < s->door_count; k++)
            w->knockers[k].listener.io.fd = -1;
        for (unsigned k = 0; k < s->door_count; k++) {
            if (!open_knocker(w, k, &s->doors[k], ret_why))
                return false;
        }
    }
    for (unsigned i = 0; i < s->worker_count; i++) {
        struct worker *w = &s->workers[i];
        w->running = pthread_create(&w->thread, NULL, worker_run, w) == 0;
        if (!w->running)
            return false;
    }
    return true;
}

struct errand {
    struct mail mail;
    void (*run)(struct worker *w);
    struct worker *worker;
    sem_t *done;
};

static void errand_arrived(struct mail *m, struct loop *l)
{
    struct errand *e = container_of(m, struct errand, mail);
    (void)l;
    if (e->run != NULL)
        e->run(e->worker);
    sem_post(e->done); // e is gone from here on
}

/* On every loop, once; waits for all of them. */
static void on_every_loop(struct server *s, void (*run)(struct worker *w))
{
    struct errand errands[HUB_LOOPS_MAX];
    sem_t done;
    sem_init(&done, 0, 0);
    for (unsigned i = 0; i < s->worker_count; i++) {
        errands[i] = (struct errand){{.deliver = errand_arrived}, run, &s->workers[i], &done};
        loop_post(s->workers[i].loop, &errands[i].mail);
    }
    for (unsigned i = 0; i < s->worker_count; i++) {
        while (sem_wait(&done) != 0)
            continue;
    }
    sem_destroy(&done);
}

void server_wait_turn(struct server *s)
{
    on_every_loop(s, NULL);
}

static void worker_take_origins(struct worker *w)
{
    const struct admission *a = admission_now(&w->server->admission);
    for (int k = 0; k < 2; k++) {
        if (w->http[k] != NULL)
            http_server_set_origins(w->http[k], a->origins, a->origin_count);
    }
}

bool server_reload(struct server *s, struct config *next, struct buf *ret_why)
{
    struct admission *fresh = &s->admissions[!s->admission_index];
    if (!admission_make(fresh, next, ret_why)) {
        config_destroy(&next);
        return false;
    }
    if (!doors_reload_tls(s, ret_why)) {
        admission_drop(fresh);
        config_destroy(&next);
        return false;
    }
    struct config *before = s->reloaded;
    atomic_store(&s->admission, fresh);
    node_set_policy(s->node, &next->policy);
    log_setup((enum log_level)next->log.level, next->log.json);
    on_every_loop(s, worker_take_origins); // from here on nobody looks at the old ones
    admission_drop(&s->admissions[s->admission_index]);
    s->admission_index = !s->admission_index;
    s->reloaded = next;
    config_destroy(&before);
    return true;
}

/* ---- the end ---- */

/* By the clock: the ticks of a loop that has much to do come late, and the last to be told would be
 * cut off. */
static void drain_tick(struct timer *t)
{
    struct worker *w = container_of(t, struct worker, drain);
    struct hub *hub = node_hub(w->server->node, loop_index(w->loop));
    uint64_t now_ms = loop_now_ms(w->loop);
    uint64_t left_ms = w->drain_until_ms > now_ms ? w->drain_until_ms - now_ms : 0;
    uint32_t left = hub_session_count(hub), ticks = (uint32_t)(left_ms / DRAIN_TICK_MS) + 1;
    hub_drain(hub, (left + ticks - 1) / ticks);
    if (left > 0 || left_ms > 0)
        timer_arm(w->loop, t, DRAIN_TICK_MS);
}

static void worker_drain(struct worker *w)
{
    /* The doors stay open: a balancer has to see readiness fall before it meets a closed one. */
    for (int k = 0; k < 2; k++) {
        if (w->http[k] != NULL)
            http_server_drain(w->http[k]);
    }
    /* The last tenth of the window is for the closes themselves. */
    w->drain_until_ms =
        loop_now_ms(w->loop) + (uint64_t)w->server->config->shutdown_drain_ms * 9 / 10;
    timer_init(&w->drain, drain_tick);
    drain_tick(&w->drain);
}

void server_drain(struct server *s)
{
    atomic_store(&s->figures.draining, true);
    on_every_loop(s, worker_drain);
}

bool server_is_empty(const struct server *s)
{
    for (unsigned i = 0; i < s->worker_count; i++) {
        if (atomic_load(&s->workers[i].flusher.open_count) > 0)
            return false; // a request may be under way, or a goodbye
    }
    return true;
}

static void worker_close_all(struct worker *w)
{
    if (w->drain.fire != NULL) // the server may not have got as far as to drain
        timer_cancel(&w->drain);
    for (size_t i = 0; w->knockers != NULL && i < w->server->door_count; i++)
        listener_fini(&w->knockers[i].listener);
    for (int k = 0; k < 2; k++) {
        if (w->http[k] != NULL)
            http_server_stop(w->http[k]);
    }
    flusher_abort_all(&w->flusher, CLOSE_GOING_AWAY);
}

void server_stop(struct server *s)
{
    for (unsigned i = 0; i < s->worker_count; i++) {
        struct worker *w = &s->workers[i];
        if (w->running) {
            loop_stop(w->loop);
            pthread_join(w->thread, NULL);
        }
        w->running = false;
    }
}

/* Until they have nothing more to say to each other, as often as a mail may have to go on. */
static void turn_loops(struct server *s)
{
    unsigned quiet = 0;
    for (unsigned round = 0; round < SETTLE_ROUNDS_MAX && quiet < 4 + 2 * s->worker_count;
         round++) {
        bool more = false;
        for (unsigned i = 0; i < s->worker_count; i++)
            more |= loop_turn(s->workers[i].loop, 0);
        quiet = more ? 0 : quiet + 1;
    }
}

/* Closes what is still open and lets the last mails and burials happen, on this thread. */
static void settle_loops(struct server *s)
{
    for (unsigned i = 0; i < s->worker_count; i++)
        worker_close_all(&s->workers[i]);
    turn_loops(s);
    for (unsigned i = 0; s->node != NULL && i < s->worker_count; i++) {
        struct hub *hub = node_hub(s->node, i); // of sessions, those without a connection are left
        hub_drain(hub, hub_session_count(hub));
    }
    turn_loops(s);
}

void server_destroy(struct server **sp)
{
    struct server *s = *sp;
    *sp = NULL;
    if (s == NULL)
        return;
    services_stop(s);
    server_stop(s);
    bridging_stop(s);
    store_stop(s->store); // commits what is waiting; what is asked for now is refused
    settle_loops(s);
    for (unsigned i = 0; i < s->worker_count; i++) {
        struct worker *w = &s->workers[i];
        http_server_destroy(&w->http[0]);
        http_server_destroy(&w->http[1]);
        if (s->clients != NULL)
            http_client_destroy(&s->clients[i]); // no session is left that waits for an answer
        flusher_fini(&w->flusher);
        free(w->knockers);
    }
    doors_close(s);
    http_router_destroy(&s->routers[0]);
    http_router_destroy(&s->routers[1]);
    endpoints_drop(s);
    services_drop(s);
    node_destroy(&s->node);
    store_close(&s->store);
    bridging_drop(s);
    for (unsigned i = 0; i < s->worker_count; i++)
        loop_destroy(&s->workers[i].loop);
    free(s->clients);
    free(s->workers);
    free(s->figures.loops);
    admission_drop(&s->admissions[0]);
    admission_drop(&s->admissions[1]);
    address_book_destroy(&s->book);
    config_destroy(&s->reloaded);
    config_destroy(&s->config);
    free(s);
}
