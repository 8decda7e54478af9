/*
 * listener.c - a listening socket on a loop.
 *
 * Why it exists: the loop is edge-triggered, so whoever stops before EAGAIN must come back by
 * himself; and a server that has run out of descriptors must still answer its queue.
 *
 * Always true between two calls, while not paused and not closed:
 *   I1. the kernel's queue is empty, or the work is on the loop, or the retry timer is armed, or an
 *       event is on its way.
 *   I2. spare_fd is open unless the last attempt to open it failed.
 */
#include "net/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <unistd.h>

#include "base/log.h"
#include "base/must.h"

enum { LISTENER_BATCH_MAX = 64, LISTENER_RETRY_MS = 100, LISTENER_DRAIN_MAX = 65536 };
enum { LISTENER_LOG_EVERY_MS = 60000 };

static int open_spare(void)
{
    return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static void log_full(struct listener *l, int error)
{
    uint64_t now = loop_now_ms(l->loop);
    if (l->logged_ms != 0 && now - l->logged_ms < LISTENER_LOG_EVERY_MS)
        return;
    l->logged_ms = now != 0 ? now : 1;
    log_error("%s: %s: refusing connections (%llu so far)", l->addr.text, strerror(error),
              (unsigned long long)l->refused_count);
}

/* No descriptor left: the oldest in the queue is taken with the spare one and closed, so that its
 * client knows at once. False: not even that was possible. */
static bool refuse_one(struct listener *l, int error)
{
    if (l->spare_fd < 0)
        l->spare_fd = open_spare();
    if (l->spare_fd < 0)
        return false;
    close(l->spare_fd);
    int fd = accept4(l->io.fd, NULL, NULL, SOCK_CLOEXEC);
    if (fd >= 0) {
        close(fd);
        l->refused_count++;
        log_full(l, error);
    }
    l->spare_fd = open_spare();
    return fd >= 0;
}

static void hand_over(struct listener *l, int fd, const struct sockaddr_storage *ss)
{
    struct addr peer;
    int one = 1;
    addr_from_sockaddr(&peer, ss);
    if (peer.family != AF_UNIX)
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    if (l->spare_fd < 0) // lost when there was none; now there is
        l->spare_fd = open_spare();
    l->accepted_count++;
    l->accepted(l, fd, &peer);
}

enum accept_result { ACCEPT_ONE, ACCEPT_EMPTY, ACCEPT_LATER };

static enum accept_result accept_failed(struct listener *l, int error)
{
    switch (error) {
    case EAGAIN:
        return ACCEPT_EMPTY;
    case EMFILE:
    case ENFILE:
        return refuse_one(l, error) ? ACCEPT_ONE : ACCEPT_LATER;
    case ENOBUFS:
    case ENOMEM:
        log_full(l, error);
        return ACCEPT_LATER;
    case EBADF:
    case EINVAL:
    case ENOTSOCK:
    case EFAULT:
        MUST(error == 0); // our own bug
        return ACCEPT_EMPTY;
    default: // of that one connection: it died in the queue, or its network did
        return ACCEPT_ONE;
    }
}

static enum accept_result accept_one(struct listener *l)
{
    struct sockaddr_storage ss = {0};
    socklen_t len = sizeof(ss);
    int fd = accept4(l->io.fd, (struct sockaddr *)&ss, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0)
        return accept_failed(l, errno);
    hand_over(l, fd, &ss);
    return ACCEPT_ONE;
}

/* True: there may be more. The callee may pause or close the listener meanwhile. */
static bool accept_batch(struct listener *l)
{
    for (unsigned i = 0; i < LISTENER_BATCH_MAX; i++) {
        if (l->io.fd < 0 || l->paused)
            return false;
        enum accept_result r = accept_one(l);
        if (r == ACCEPT_LATER)
            timer_arm(l->loop, &l->retry, LISTENER_RETRY_MS);
        if (r != ACCEPT_ONE)
            return false;
    }
    return true;
}

static void stop_work(struct listener *l)
{
    if (!l->working)
        return;
    l->working = false;
    loop_remove_work(&l->work);
}

static void start_work(struct listener *l)
{
    if (l->working)
        return;
    l->working = true;
    loop_add_work(l->loop, &l->work);
}

static bool run_work(struct work *w)
{
    struct listener *l = container_of(w, struct listener, work);
    bool more = accept_batch(l);
    if (!more)
        stop_work(l);
    return more;
}

static void go_on(struct listener *l)
{
    if (!l->working && accept_batch(l))
        start_work(l);
}

static void queue_ready(struct io *io, uint32_t events)
{
    (void)events;
    go_on(container_of(io, struct listener, io));
}

static void retry_fired(struct timer *t)
{
    go_on(container_of(t, struct listener, retry));
}

/* Every connection to a Unix socket wakes one loop, not all of them. */
static bool watch(struct listener *l)
{
    bool shared = l->addr.ss.ss_family == AF_UNIX;
    return loop_add_io(l->loop, &l->io, EPOLLIN | (shared ? EPOLLEXCLUSIVE : 0));
}

bool listener_init(struct listener *l, struct loop *loop, int fd, const struct listen_addr *addr,
                   listener_accepted_fn *accepted, void *ctx)
{
    *l = (struct listener){.io = {.fd = fd, .ready = queue_ready},
                           .work = {.run = run_work},
                           .loop = loop,
                           .accepted = accepted,
                           .ctx = ctx,
                           .addr = *addr,
                           .spare_fd = open_spare()};
    list_init(&l->work.link);
    timer_init(&l->retry, retry_fired);
    if (watch(l))
        return true;
    l->io.fd = -1;
    listener_fini(l);
    return false;
}

static void unwatch(struct listener *l)
{
    stop_work(l);
    timer_cancel(&l->retry);
    if (!l->paused)
        loop_remove_io(l->loop, &l->io);
}

void listener_fini(struct listener *l)
{
    if (l->io.fd >= 0) {
        unwatch(l);
        close(l->io.fd);
        l->io.fd = -1;
    }
    if (l->spare_fd >= 0)
        close(l->spare_fd);
    l->spare_fd = -1;
}

void listener_pause(struct listener *l)
{
    if (l->io.fd < 0 || l->paused)
        return;
    unwatch(l);
    l->paused = true;
}

void listener_resume(struct listener *l)
{
    if (l->io.fd < 0 || !l->paused)
        return;
    l->paused = false;
    if (watch(l)) // says at once whether somebody waits
        return;
    l->paused = true;
    log_error("%s: cannot be watched again", l->addr.text);
}

void listener_drain(struct listener *l)
{
    unsigned i = 0;
    while (l->io.fd >= 0 && i++ < LISTENER_DRAIN_MAX && accept_one(l) == ACCEPT_ONE)
        ;
    listener_fini(l);
}
