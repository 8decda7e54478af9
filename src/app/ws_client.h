/* ws_client.h - a small WebSocket client that waits: for commands, not for servers.
 * Thread:  the owner's.
 * Memory:  messages are bounded by WS_CLIENT_MESSAGE_MAX; what is handed out lives until the next
 *          call.
 * Failure: ws_client_open() and ws_client_read() say why; after that only ws_client_close(). */
#ifndef APP_WS_CLIENT_H
#define APP_WS_CLIENT_H

#include "app/stream.h"
#include "base/buf.h"

enum { WS_CLIENT_MESSAGE_MAX = 64 << 20, WS_CLIENT_WHY_MAX = 256 };

struct ws_client {
    struct stream stream;
    struct buf in;      // bytes from the wire, not yet read
    struct buf message; // of the message that is being put together
    size_t used;        // of in: handed out already
    bool in_message;
    unsigned status;     // of the HTTP answer, when the opening was refused; 0: none came
    unsigned close_code; // of the peer's close frame; 1006: it went without one
    char why[WS_CLIENT_WHY_MAX];
};

/* headers: further lines of the request, each with its CR LF. */
bool ws_client_open(struct ws_client *c, const struct url *u, SSL_CTX *tls, struct str headers,
                    int timeout_ms);
/* Says goodbye when it can. Harmless on a closed or zeroed one. */
void ws_client_close(struct ws_client *c, uint16_t code);

bool ws_client_send(struct ws_client *c, struct str text);

enum ws_client_event {
    WS_CLIENT_MESSAGE,
    WS_CLIENT_TIMEOUT,
    WS_CLIENT_STOPPED, // stop_fd became readable
    WS_CLIENT_CLOSED,  // close_code and why
};
/* Pings are answered inside. stop_fd: -1 for none. */
enum ws_client_event ws_client_read(struct ws_client *c, int timeout_ms, int stop_fd,
                                    struct str *ret_message);

#endif
