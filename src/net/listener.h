/* listener.h - a listening socket on a loop: new connections, in bounded batches.
 *
 * TCP: every loop has a socket of its own on the same address (SO_REUSEPORT), and the kernel deals
 * out the connections. Unix: all loops wait on one socket (EPOLLEXCLUSIVE).
 *
 * Thread:  listen_socket_*(): any; the rest: the loop's own.
 * Memory:  struct listener is embedded in its owner's object; listener_fini() leaves nothing.
 * Failure: listen_socket_*() return -1 and say why, with the address. Later failures (no more
 *          descriptors, no memory) are logged, refused one by one and survived. */
#ifndef NET_LISTENER_H
#define NET_LISTENER_H

#include "loop/loop.h"
#include "net/addr.h"

struct listener;

/* fd is non-blocking and the callee's from now on. */
typedef void listener_accepted_fn(struct listener *l, int fd, const struct addr *peer);

struct listener {
    struct io io;       // io.fd: the listening socket; -1: closed
    struct work work;   // goes on with a batch in the next turn
    struct timer retry; // goes on after the kernel ran out of memory
    struct loop *loop;
    listener_accepted_fn *accepted;
    void *ctx; // the owner's
    struct listen_addr addr;
    int spare_fd; // given up to take, and close, a connection when there is no other
    bool paused, working;
    uint64_t accepted_count;
    uint64_t refused_count; // closed at once: no descriptor left
    uint64_t logged_ms;     // when that was last said; 0: never
};

/* Opens a listening socket. Port 0 in addr is replaced by the port that was bound. An address where
 * somebody else listens is refused, although SO_REUSEPORT would allow it. unix_mode: permissions of
 * the socket's file (a file that nobody listens on any more is replaced). */
int listen_socket_open(struct listen_addr *addr, unsigned unix_mode, char *ret_why,
                       size_t why_size);
/* One more for another loop, of the address that listen_socket_open() left in addr and the socket
 * it returned. */
int listen_socket_again(const struct listen_addr *addr, int fd, char *ret_why, size_t why_size);
/* Removes the file of a Unix socket; nothing for other addresses. */
void listen_socket_forget(const struct listen_addr *addr);

/* Takes over fd and starts. False: the loop refused; fd is still the caller's. */
bool listener_init(struct listener *l, struct loop *loop, int fd, const struct listen_addr *addr,
                   listener_accepted_fn *accepted, void *ctx);
/* Harmless on one that is closed already. */
void listener_fini(struct listener *l);

/* While paused, connections wait in the kernel's queue. */
void listener_pause(struct listener *l);
void listener_resume(struct listener *l);

/* Hands over who is in the kernel's queue already, then closes: nobody who got through is reset. */
void listener_drain(struct listener *l);

#endif
