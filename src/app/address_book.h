/* address_book.h - how many connections an address has, and how fast it opens them.
 * Thread:  any; a lock, held for one look-up, taken when connections come and go only.
 * Memory:  one entry per address that has connections or came lately; bounded.
 * Failure: a full book lets nobody new in. */
#ifndef APP_ADDRESS_BOOK_H
#define APP_ADDRESS_BOOK_H

#include "net/addr.h"

struct address_book;

struct address_limits {
    uint32_t connections_max;                     // per address; 0: no limit
    uint32_t connects_per_second, connects_burst; // 0: no limit
};

struct address_book *address_book_create(const struct address_limits *limits);
void address_book_destroy(struct address_book **bp);

/* False: over a limit. True: address_book_leave() must follow when the connection ends. Unix
 * sockets and loopback are never limited: they are our own proxies and back ends. */
bool address_book_enter(struct address_book *b, const struct addr *a, uint64_t now_ms);
void address_book_leave(struct address_book *b, const struct addr *a);

#endif
