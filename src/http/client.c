/*
 * client.c - libcurl's multi socket interface on our loop.
 *
 * Always true:
 *   I1. libcurl is never called from inside one of its callbacks: what a piece() starts waits for a
 *       turn (crowd), and what it cancels until libcurl has returned (driving, chores).
 *   I2. done() runs when libcurl is not on the stack.
 *   I3. libcurl reads as much as it likes, so the loop says of its descriptors in every turn that
 *       they are ready, for as long as they are.
 */
#include "http/client_priv.h"

#include "base/must.h"

#include <stdlib.h>

enum { IDLE_CONNECTIONS_MAX = 64, CONNECTIONS_PER_HOST_MAX = 256 };
enum { STEPS_A_TURN = 8, BEGIN_A_TURN = 8 };

/* A descriptor that libcurl watches. */
struct wire {
    struct io io;
    struct list link; // in client.wires
    struct http_client *client;
    struct grave grave;
};

/* ---- driving ---- */

static void client_do_chores(struct http_client *c);

static void client_begin(struct http_client *c, struct http_call *call)
{
    list_move_to_end(&c->calls, &call->link);
    call->state = CALL_RUNNING;
    c->begun++;
    if (call->idle_timeout_ms > 0)
        timer_arm(c->loop, &call->idle, call->idle_timeout_ms);
    curl_multi_add_handle(c->multi, call->easy); // a fresh handle: it cannot be refused
}

/* Hands out the answers that are complete. A done() may start calls and cancel any. */
static void client_reap(struct http_client *c)
{
    CURLMsg *m;
    int left;
    while ((m = curl_multi_info_read(c->multi, &left)) != NULL) {
        struct http_call *call = NULL;
        CURLcode code = m->data.result;
        if (m->msg != CURLMSG_DONE)
            continue;
        curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, (char **)&call);
        curl_multi_remove_handle(c->multi, call->easy);
        if (call->state == CALL_RUNNING)
            call_finish(call, code);
        gauge_add(&c->under_way, -1);
        call_free(call);
    }
}

static void client_drive(struct http_client *c, curl_socket_t fd, int events)
{
    int running;
    MUST(!c->driving);
    c->driving = true;
    curl_multi_socket_action(c->multi, fd, events, &running);
    c->driving = false;
    client_do_chores(c);
    client_reap(c);
}

static void client_drive_due(struct http_client *c)
{
    c->due = false;
    timer_cancel(&c->timer);
    client_drive(c, CURL_SOCKET_TIMEOUT, 0);
}

/* Those that begin together do so a few at a time: what comes in for others is handed on between
 * them. */
static void client_begin_some(struct http_client *c)
{
    c->begun = 0;
    while (!list_empty(&c->crowd) && c->begun < BEGIN_A_TURN)
        client_begin(c, container_of(c->crowd.next, struct http_call, link));
}

/* True after anything was done: what done() has asked of the loop's other works is not left until
 * something wakes the loop. */
static bool work_run(struct work *w)
{
    struct http_client *c = container_of(w, struct http_client, work);
    client_begin_some(c);
    bool drove = c->due;
    for (int step = 0; c->due && step < STEPS_A_TURN; step++)
        client_drive_due(c);
    return drove || !list_empty(&c->crowd);
}

static void timer_fire(struct timer *t)
{
    client_drive_due(container_of(t, struct http_client, timer));
}

static int timer_wanted(CURLM *multi, long ms, void *ctx)
{
    struct http_client *c = ctx;
    (void)multi;
    c->due = ms == 0;
    if (ms < 0)
        timer_cancel(&c->timer);
    else
        timer_arm(c->loop, &c->timer, (uint64_t)ms);
    return 0;
}

/* ---- descriptors ---- */

static void wire_bury(struct grave *g)
{
    free(container_of(g, struct wire, grave));
}

static void wire_remove(struct wire *w)
{
    loop_remove_io(w->client->loop, &w->io);
    list_remove(&w->link);
    loop_bury_later(w->client->loop, &w->grave, wire_bury);
}

static void wire_ready(struct io *io, uint32_t events)
{
    struct wire *w = container_of(io, struct wire, io);
    int what = 0;
    if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP))
        what |= CURL_CSELECT_IN;
    if (events & EPOLLOUT)
        what |= CURL_CSELECT_OUT;
    if (events & EPOLLERR)
        what |= CURL_CSELECT_ERR;
    client_drive(w->client, io->fd, what);
}

static void wire_make(struct http_client *c, curl_socket_t fd, uint32_t events)
{
    struct wire *w = calloc(1, sizeof(*w));
    if (w == NULL)
        return;
    *w = (struct wire){.io = {.fd = fd, .level = true, .ready = wire_ready}, .client = c};
    list_add(&c->wires, &w->link);
    if (!loop_add_io(c->loop, &w->io, events)) {
        wire_remove(w);
        return;
    }
    curl_multi_assign(c->multi, fd, w);
}

static int socket_wanted(CURL *easy, curl_socket_t fd, int what, void *ctx, void *of_socket)
{
    struct http_client *c = ctx;
    struct wire *w = of_socket;
    uint32_t events = 0;
    (void)easy;
    if (what == CURL_POLL_REMOVE) {
        if (w != NULL)
            wire_remove(w);
        return 0;
    }
    if (what & CURL_POLL_IN)
        events |= EPOLLIN;
    if (what & CURL_POLL_OUT)
        events |= EPOLLOUT;
    if (w == NULL) {
        wire_make(c, fd, events); // when it cannot be watched, its call ends by its timeout
        return 0;
    }
    loop_change_io(c->loop, &w->io, events);
    return 0;
}

/* ---- calls ---- */

static void client_remove(struct http_call *call)
{
    curl_multi_remove_handle(call->client->multi, call->easy);
    gauge_add(&call->client->under_way, -1);
    call_free(call);
}

/* What had to wait until libcurl returned. */
static void client_do_chores(struct http_client *c)
{
    while (!list_empty(&c->chores))
        client_remove(container_of(c->chores.next, struct http_call, link));
}

static void call_end(struct http_call *call, const char *why)
{
    struct http_client *c = call->client;
    call->why = why;
    curl_multi_remove_handle(c->multi, call->easy);
    call_finish(call, CURLE_ABORTED_BY_CALLBACK);
    gauge_add(&c->under_way, -1);
    call_free(call);
}

void client_abort(struct http_call *call)
{
    call_end(call, "no answer in time");
}

struct http_call *http_call_start(struct http_client *c, const struct http_call_params *p)
{
    if (c->ending || gauge_get(&c->under_way) >= (int64_t)c->calls_max)
        return NULL;
    struct http_call *call = call_make(c, p);
    if (call == NULL)
        return NULL;
    counter_add(&c->started, 1);
    gauge_add(&c->under_way, 1);
    list_add(&c->crowd, &call->link);
    if (!c->driving && c->begun < BEGIN_A_TURN)
        client_begin(c, call);
    else
        timer_arm(c->loop, &c->timer, 0); // the loop does not sleep meanwhile
    return call;
}

void http_call_cancel(struct http_call **callp)
{
    struct http_call *call = *callp;
    *callp = NULL;
    if (call == NULL || call->state == CALL_FINISHED || call->state == CALL_CANCELLED)
        return;
    struct http_client *c = call->client;
    timer_cancel(&call->idle);
    if (!c->driving) {
        client_remove(call);
        return;
    }
    call->state = CALL_CANCELLED;
    list_move_to_end(&c->chores, &call->link);
}

/* ---- the client ---- */

static bool client_set_up(struct http_client *c, const struct http_client_options *o)
{
    uint32_t per_host = o->connections_per_host_max;
    CURLM *m = curl_multi_init();
    c->multi = m;
    if (m == NULL)
        return false;
    curl_multi_setopt(m, CURLMOPT_SOCKETFUNCTION, socket_wanted);
    curl_multi_setopt(m, CURLMOPT_SOCKETDATA, c);
    curl_multi_setopt(m, CURLMOPT_TIMERFUNCTION, timer_wanted);
    curl_multi_setopt(m, CURLMOPT_TIMERDATA, c);
    curl_multi_setopt(m, CURLMOPT_PIPELINING, (long)CURLPIPE_NOTHING);
    curl_multi_setopt(m, CURLMOPT_MAXCONNECTS, (long)IDLE_CONNECTIONS_MAX);
    curl_multi_setopt(m, CURLMOPT_MAX_HOST_CONNECTIONS,
                      per_host > 0 ? (long)per_host : (long)CONNECTIONS_PER_HOST_MAX);
    return true;
}

struct http_client *http_client_create(struct loop *l, const struct http_client_options *o)
{
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        return NULL;
    struct http_client *c = calloc(1, sizeof(*c));
    if (c == NULL) {
        curl_global_cleanup();
        return NULL;
    }
    c->loop = l;
    c->calls_max = o->calls_max;
    list_init(&c->calls);
    list_init(&c->chores);
    list_init(&c->crowd);
    list_init(&c->wires);
    timer_init(&c->timer, timer_fire);
    c->work.run = work_run;
    loop_add_work(l, &c->work);
    if (o->agent.n > 0)
        c->agent = str_dup(o->agent);
    if (!client_set_up(c, o) || (o->agent.n > 0 && c->agent == NULL))
        http_client_destroy(&c);
    return c;
}

void http_client_destroy(struct http_client **cp)
{
    struct http_client *c = *cp;
    *cp = NULL;
    if (c == NULL)
        return;
    MUST(!c->driving);
    c->ending = true;
    while (!list_empty(&c->crowd))
        list_move_to_end(&c->calls, c->crowd.next);
    while (!list_empty(&c->calls))
        call_end(container_of(c->calls.next, struct http_call, link), "the server ends");
    curl_multi_cleanup(c->multi);
    while (!list_empty(&c->wires))
        wire_remove(container_of(c->wires.next, struct wire, link));
    loop_remove_work(&c->work);
    timer_cancel(&c->timer);
    free(c->agent);
    free(c);
    curl_global_cleanup();
}

void http_client_read_stats(const struct http_client *c, struct http_client_stats *ret)
{
    *ret = (struct http_client_stats){
        .calls = counter_get(&c->started),
        .failures = counter_get(&c->failed),
        .under_way = (uint64_t)gauge_get(&c->under_way),
    };
}
