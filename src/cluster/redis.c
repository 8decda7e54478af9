/*
 * redis.c - hiredis's asynchronous interface on our loop, as a subscriber.
 *
 * Why it exists: back ends that already speak to each other through Redis need no other way to
 * reach clients; a Redis that is away for a while must cost nothing but what was said meanwhile.
 *
 * Always true between two calls:
 *   I1. the timer is armed unless all channels are followed: for the next attempt, or for the end
 *       of the one under way.
 *   I2. link is NULL, or a context of hiredis that will tell link_gone() exactly once.
 *   I3. of several lookups only the one that is `lookup` is listened to.
 */
#include "cluster/redis_priv.h"

#include "base/log.h"
#include "base/must.h"

#include <hiredis/async.h>
#include <hiredis/hiredis.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

enum {
    RETRY_MIN_MS = 50,
    RETRY_MAX_MS = 5000,
    ATTEMPT_MAX_MS = 5000, // to be connected and to follow all channels
    LOG_EVERY_MS = 60000,
    WHY_MAX = 160,
    KEEPALIVE_IDLE_S = 15, // a peer that vanished without a word is noticed after twice that
    KEEPALIVE_STEP_S = 5,
    KEEPALIVE_COUNT = 3,
};

struct redis_subscriber {
    struct loop *loop;
    struct redis_subscriber_options options;
    struct timer timer;
    struct io io;
    struct redis_lookup *lookup; // under way; NULL: none
    redisAsyncContext *link;     // NULL: none
    struct redis_vet vet;        // of link
    uint32_t events;             // what io is watched for
    bool watched;                // io is in the loop
    bool closing;                // hiredis is told to let go: not a failure
    size_t following;            // channels
    uint32_t retry_ms;
    uint64_t logged_ms; // when a failure was; 0: none since it was ready
    char why[WHY_MAX];  // of the attempt under way, ""
    atomic_bool ready;
};

/* ---- hiredis and the loop ---- */

static struct redis_subscriber *subscriber_of(void *data)
{
    return data;
}

static void watch(struct redis_subscriber *s, uint32_t events)
{
    s->events = events;
    if (s->watched) {
        loop_change_io(s->loop, &s->io, events);
        return;
    }
    s->watched = loop_add_io(s->loop, &s->io, events);
}

static void add_read(void *data)
{
    struct redis_subscriber *s = subscriber_of(data);
    if ((s->events & EPOLLIN) == 0)
        watch(s, s->events | EPOLLIN);
}

static void del_read(void *data)
{
    struct redis_subscriber *s = subscriber_of(data);
    if ((s->events & EPOLLIN) != 0)
        watch(s, s->events & ~(uint32_t)EPOLLIN);
}

static void add_write(void *data)
{
    struct redis_subscriber *s = subscriber_of(data);
    if ((s->events & EPOLLOUT) == 0)
        watch(s, s->events | EPOLLOUT);
}

static void del_write(void *data)
{
    struct redis_subscriber *s = subscriber_of(data);
    if ((s->events & EPOLLOUT) != 0)
        watch(s, s->events & ~(uint32_t)EPOLLOUT);
}

/* ---- failures ---- */

static void note_why(struct redis_subscriber *s, const char *why)
{
    if (s->why[0] == '\0')
        snprintf(s->why, sizeof(s->why), "%s", why != NULL && why[0] != '\0' ? why : "closed");
}

static void log_failure(struct redis_subscriber *s)
{
    uint64_t now_ms = loop_now_ms(s->loop);
    if (s->logged_ms != 0 && now_ms - s->logged_ms < LOG_EVERY_MS)
        return;
    s->logged_ms = now_ms;
    log_warn("%s: redis %s:%u: %s; what is published there is lost until it is back",
             s->options.name, s->options.address.host, s->options.address.port, s->why);
}

static void try_again_later(struct redis_subscriber *s)
{
    log_failure(s);
    s->why[0] = '\0';
    timer_arm(s->loop, &s->timer, s->retry_ms);
    s->retry_ms = s->retry_ms * 2 < RETRY_MAX_MS ? s->retry_ms * 2 : RETRY_MAX_MS;
}

/* The context is being freed, whoever wanted that; its socket is still open. */
static void link_gone(void *data)
{
    struct redis_subscriber *s = subscriber_of(data);
    if (s->link == NULL)
        return;
    note_why(s, s->vet.refused ? "it said what is nothing for a subscriber" : s->link->errstr);
    s->link = NULL;
    atomic_store(&s->ready, false);
    s->following = 0;
    if (s->watched)
        loop_remove_io(s->loop, &s->io);
    s->watched = false;
    s->events = 0;
    s->io.fd = -1;
    if (!s->closing)
        try_again_later(s);
}

/* Not from inside one of its callbacks. */
static void link_drop(struct redis_subscriber *s, const char *why)
{
    note_why(s, why);
    redisAsyncFree(s->link);
}

/* ---- what comes ---- */

static struct str text_of(const redisReply *r)
{
    bool is_text = r->type == REDIS_REPLY_STRING || r->type == REDIS_REPLY_STATUS;
    return is_text ? (struct str){r->str, r->len} : STR_NONE;
}

static void follows_one_more(struct redis_subscriber *s)
{
    if (++s->following < s->options.channel_count)
        return;
    timer_cancel(&s->timer);
    s->retry_ms = RETRY_MIN_MS;
    s->logged_ms = 0;
    atomic_store(&s->ready, true);
    log_info("%s: listening at redis %s:%u", s->options.name, s->options.address.host,
             s->options.address.port);
}

static void pushed(redisAsyncContext *c, void *reply, void *data)
{
    struct redis_subscriber *s = subscriber_of(data);
    const redisReply *r = reply;
    (void)c;
    if (r == NULL || s->link == NULL)
        return; // it is ending
    if (r->type == REDIS_REPLY_ERROR) {
        note_why(s, r->str);
        return; // hiredis lets go of a subscription that was refused
    }
    if (r->elements < 3)
        return;
    struct str kind = text_of(r->element[0]);
    if (str_eq(kind, STR("message")))
        s->options.message(s->options.ctx, text_of(r->element[1]), text_of(r->element[2]));
    else if (str_eq(kind, STR("subscribe")))
        follows_one_more(s);
}

static void logged_in(redisAsyncContext *c, void *reply, void *data)
{
    struct redis_subscriber *s = subscriber_of(data);
    const redisReply *r = reply;
    if (r == NULL || r->type != REDIS_REPLY_ERROR)
        return;
    note_why(s, r->str);
    redisAsyncFree(c); // at the end of the callback
}

static void ready(struct io *io, uint32_t events)
{
    struct redis_subscriber *s = container_of(io, struct redis_subscriber, io);
    if (s->link != NULL && (events & (EPOLLIN | EPOLLHUP | EPOLLERR | EPOLLRDHUP)) != 0 &&
        (s->events & EPOLLIN) != 0)
        redisAsyncHandleRead(s->link);
    if (s->link != NULL && (events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) != 0 &&
        (s->events & EPOLLOUT) != 0)
        redisAsyncHandleWrite(s->link);
    if (s->link == NULL)
        return;
    if (s->link->c.reader->len > s->options.message_max_bytes)
        link_drop(s, "a message is too large");
    else // hiredis reads a piece at a time: to be told again if there is more
        loop_change_io(s->loop, &s->io, s->events);
}

/* ---- connecting ---- */

static void keep_alive(int fd)
{
    int on = 1, idle = KEEPALIVE_IDLE_S, step = KEEPALIVE_STEP_S, count = KEEPALIVE_COUNT;
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle));
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &step, sizeof(step));
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof(count));
}

/* Commands wait in hiredis until it is connected. */
static void ask(struct redis_subscriber *s)
{
    const struct redis_address *a = &s->options.address;
    if (a->user[0] != '\0')
        redisAsyncCommand(s->link, logged_in, s, "AUTH %s %s", a->user, a->password);
    else if (a->password[0] != '\0')
        redisAsyncCommand(s->link, logged_in, s, "AUTH %s", a->password);
    for (size_t i = 0; i < s->options.channel_count && s->link != NULL; i++)
        redisAsyncCommand(s->link, pushed, s, "SUBSCRIBE %b", s->options.channels[i].p,
                          s->options.channels[i].n);
}

static void connect_to(struct redis_subscriber *s, const char *ip)
{
    redisAsyncContext *c = redisAsyncConnect(ip, s->options.address.port);
    if (c == NULL || c->err != 0) {
        note_why(s, c != NULL ? c->errstr : "out of memory");
        if (c != NULL)
            redisAsyncFree(c);
        try_again_later(s);
        return;
    }
    s->link = c;
    redis_vet_begin(&s->vet, c->c.reader);
    s->io = (struct io){.fd = c->c.fd, .ready = ready};
    keep_alive(c->c.fd);
    c->ev.data = s;
    c->ev.addRead = add_read;
    c->ev.delRead = del_read;
    c->ev.addWrite = add_write;
    c->ev.delWrite = del_write;
    c->ev.cleanup = link_gone;
    timer_arm(s->loop, &s->timer, ATTEMPT_MAX_MS);
    ask(s);
}

static void looked_up(void *ctx, const char *ip, const char *why)
{
    struct redis_subscriber *s = ctx;
    s->lookup = NULL;
    timer_cancel(&s->timer);
    if (ip != NULL) {
        connect_to(s, ip);
        return;
    }
    note_why(s, why);
    try_again_later(s);
}

static void attempt(struct redis_subscriber *s)
{
    const struct redis_address *a = &s->options.address;
    timer_arm(s->loop, &s->timer, ATTEMPT_MAX_MS);
    s->lookup = redis_lookup_start(s->loop, a->host, looked_up, s);
    if (s->lookup == NULL)
        looked_up(s, NULL, "out of memory");
}

static void timer_fired(struct timer *t)
{
    struct redis_subscriber *s = container_of(t, struct redis_subscriber, timer);
    if (s->link != NULL) {
        link_drop(s, "no answer in time");
    } else if (s->lookup != NULL) {
        redis_lookup_forget(&s->lookup);
        note_why(s, "its name cannot be looked up in time");
        try_again_later(s);
    } else {
        attempt(s);
    }
}

/* ---- birth and end ---- */

struct redis_subscriber *redis_subscriber_create(struct loop *l,
                                                 const struct redis_subscriber_options *o)
{
    struct redis_subscriber *s = calloc(1, sizeof(*s));
    if (s == NULL)
        return NULL;
    MUST(o->channel_count > 0);
    s->loop = l;
    s->options = *o;
    s->io.fd = -1;
    s->retry_ms = RETRY_MIN_MS;
    timer_init(&s->timer, timer_fired);
    timer_arm(l, &s->timer, 0);
    return s;
}

void redis_subscriber_destroy(struct redis_subscriber **sp)
{
    struct redis_subscriber *s = *sp;
    *sp = NULL;
    if (s == NULL)
        return;
    s->closing = true;
    redis_lookup_forget(&s->lookup);
    if (s->link != NULL)
        redisAsyncFree(s->link);
    timer_cancel(&s->timer);
    free(s);
}

bool redis_subscriber_is_ready(const struct redis_subscriber *s)
{
    return atomic_load(&s->ready);
}
