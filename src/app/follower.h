/* follower.h - a client of the native endpoint that follows channels through disconnects.
 * Thread:  the owner's.
 * Memory:  the names are the caller's; what events hold lives for the call.
 * Failure: follower_run() ends only for the reasons of enum follower_end; why has the text. */
#ifndef APP_FOLLOWER_H
#define APP_FOLLOWER_H

#include "app/ws_client.h"

enum { FOLLOWER_CHANNELS_MAX = 64, FOLLOWER_EPOCH_MAX = 64 };

struct follower_channel {
    const char *name;
    uint64_t offset; // of the last event that was handed out
    char epoch[FOLLOWER_EPOCH_MAX];
    uint64_t asked_id; // of the subscribe command without an answer; 0: none
    bool positioned;   // offset means something: recover from it
    bool resolving;    // the epoch is being asked for; events wait
    bool ended;        // refused, or ended by the server
};

struct follower_event {
    struct str channel, type, data, epoch;
    uint64_t offset; // 0: the channel keeps no history
    int64_t time_ms; // 0: unknown
};

struct follower_handler {
    /* False: enough. */
    bool (*event)(void *ctx, const struct follower_event *e);
    /* What people may want to know: subscribed, reconnecting. */
    void (*notice)(void *ctx, const char *text);
    /* What they must know: refused, events lost. */
    void (*warning)(void *ctx, const char *text);
};

struct follower {
    struct url url;
    const char *token; // NULL: none
    SSL_CTX *tls;
    int stop_fd;
    const struct follower_handler *handler;
    void *ctx;
    struct follower_channel channels[FOLLOWER_CHANNELS_MAX];
    unsigned channel_count;

    /* private to follower*.c */
    struct ws_client ws;
    uint64_t last_id;
    uint64_t ping_ms;
    bool pong, connected, ever_connected, enough;
    unsigned failures; // to connect, in a row
    char why[WS_CLIENT_WHY_MAX + 64];
};

enum follower_end {
    FOLLOWER_STOPPED, // stop_fd
    FOLLOWER_ENOUGH,  // the handler said so
    FOLLOWER_REFUSED, // nothing is left to follow, or the server does not want us
};
enum follower_end follower_run(struct follower *f);

enum follower_step {
    FOLLOWER_ON,
    FOLLOWER_AGAIN,   // this connection is of no use any more: why says it
    FOLLOWER_GIVE_UP, // and it makes no sense to come back
};
/* follower_messages.c: what the server said. */
enum follower_step follower_take(struct follower *f, struct str message);
/* follower_commands.c: false: the connection is gone. */
bool follower_send_connect(struct follower *f);
bool follower_send_subscribe(struct follower *f, struct follower_channel *ch);
bool follower_send_unsubscribe(struct follower *f, const struct follower_channel *ch);

#endif
