/*
 * follower.c - follows channels through disconnects.
 *
 * Always true: after a reconnect every channel asks for what came after the last event that was
 * handed out; what cannot be had is said, never passed over.
 */
#include "app/follower.h"

#include <poll.h>
#include <stdio.h>

#include "base/random.h"

enum { OPEN_TIMEOUT_MS = 10000, ANSWER_TIMEOUT_MS = 10000, PING_GRACE_MS = 10000 };
enum { BACKOFF_MIN_MS = 200, BACKOFF_MAX_MS = 20000, NO_PING_MS = 3600 * 1000 };

/* False: stopped meanwhile. Grows from BACKOFF_MIN_MS to BACKOFF_MAX_MS, and up to a half is left
 * to chance: a thousand clients should not come back at one moment. */
static bool wait_before_retry(struct follower *f)
{
    unsigned shift = f->failures < 8 ? f->failures : 8;
    unsigned ms = (unsigned)BACKOFF_MIN_MS << shift;
    ms = ms < BACKOFF_MAX_MS ? ms : BACKOFF_MAX_MS;
    ms = ms / 2 + (unsigned)(random_u64() % (ms / 2 + 1));
    f->failures++;
    struct pollfd p = {.fd = f->stop_fd, .events = POLLIN};
    return poll(&p, 1, (int)ms) == 0;
}

static int read_timeout_ms(const struct follower *f)
{
    if (!f->connected)
        return ANSWER_TIMEOUT_MS;
    return f->ping_ms > 0 ? (int)(f->ping_ms + PING_GRACE_MS) : NO_PING_MS;
}

static enum follower_step closed(struct follower *f)
{
    unsigned code = f->ws.close_code;
    snprintf(f->why, sizeof(f->why), "%s", f->ws.why);
    bool stay_away = (code >= 3500 && code < 4000) || code >= 4500 || code == 1008;
    return stay_away ? FOLLOWER_GIVE_UP : FOLLOWER_AGAIN;
}

/* One connection, to its end. *ret_stopped: somebody asked us to stop. */
static enum follower_step follow(struct follower *f, bool *ret_stopped)
{
    if (!follower_send_connect(f))
        return closed(f);
    for (;;) {
        struct str message;
        enum follower_step s;
        switch (ws_client_read(&f->ws, read_timeout_ms(f), f->stop_fd, &message)) {
        case WS_CLIENT_MESSAGE:
            s = follower_take(f, message);
            if (s != FOLLOWER_ON)
                return s;
            break;
        case WS_CLIENT_TIMEOUT:
            if (f->connected && f->ping_ms == 0)
                break;
            snprintf(f->why, sizeof(f->why), "the server is silent");
            return FOLLOWER_AGAIN;
        case WS_CLIENT_STOPPED:
            *ret_stopped = true;
            return FOLLOWER_GIVE_UP;
        case WS_CLIENT_CLOSED:
            return closed(f);
        }
    }
}

static enum follower_step connect_and_follow(struct follower *f, bool *ret_stopped)
{
    f->connected = false;
    for (unsigned i = 0; i < f->channel_count; i++)
        f->channels[i].asked_id = 0;
    for (unsigned i = 0; i < f->channel_count; i++)
        f->channels[i].resolving = false;
    if (!ws_client_open(&f->ws, &f->url, f->tls, STR_NONE, OPEN_TIMEOUT_MS)) {
        unsigned status = f->ws.status;
        snprintf(f->why, sizeof(f->why), "%s", f->ws.why);
        ws_client_close(&f->ws, 1000);
        bool refused = status >= 300 && status < 500 && status != 429;
        return refused || !f->ever_connected ? FOLLOWER_GIVE_UP : FOLLOWER_AGAIN;
    }
    enum follower_step s = follow(f, ret_stopped);
    ws_client_close(&f->ws, 1000);
    return s;
}

enum follower_end follower_run(struct follower *f)
{
    char text[sizeof(f->why) + 32];
    bool stopped = false;
    for (;;) {
        enum follower_step s = connect_and_follow(f, &stopped);
        if (stopped)
            return FOLLOWER_STOPPED;
        if (f->enough)
            return FOLLOWER_ENOUGH;
        if (s == FOLLOWER_GIVE_UP)
            return FOLLOWER_REFUSED;
        snprintf(text, sizeof(text), "%s; reconnecting", f->why);
        f->handler->notice(f->ctx, text);
        if (!wait_before_retry(f))
            return FOLLOWER_STOPPED;
    }
}
