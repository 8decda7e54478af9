/*
 * address_book.c - how many connections an address has, and how fast it opens them.
 *
 * Always true between two calls: an entry whose connections are gone and whose bucket is full again
 * may be forgotten; nobody else is.
 */
#include "app/address_book.h"

#include "base/map.h"
#include "base/must.h"

#include <pthread.h>
#include <stdlib.h>

enum { BOOK_MAX = 1 << 20, SWEEP_EVERY_MS = 10000 };

struct entry {
    struct map_node node;
    uint32_t count;
    double tokens;
    uint64_t filled_ms;
    uint8_t ip[17]; // family, address
};

struct address_book {
    pthread_mutex_t lock;
    struct address_limits limits;
    struct map entries;
    uint64_t swept_ms;
};

struct address_book *address_book_create(const struct address_limits *limits)
{
    struct address_book *b = calloc(1, sizeof(*b));
    if (b == NULL)
        return NULL;
    b->limits = *limits;
    pthread_mutex_init(&b->lock, NULL);
    map_init(&b->entries, BOOK_MAX);
    return b;
}

static void entry_drop(struct address_book *b, struct entry *e)
{
    map_remove(&b->entries, &e->node);
    free(e);
}

void address_book_destroy(struct address_book **bp)
{
    struct address_book *b = *bp;
    *bp = NULL;
    if (b == NULL)
        return;
    struct map_node *next;
    for (struct map_node *n = map_first(&b->entries); n != NULL; n = next) {
        next = map_next(&b->entries, n);
        entry_drop(b, container_of(n, struct entry, node));
    }
    map_fini(&b->entries);
    pthread_mutex_destroy(&b->lock);
    free(b);
}

static bool is_limited(const struct address_book *b, const struct addr *a)
{
    if (b->limits.connections_max == 0 && b->limits.connects_per_second == 0)
        return false;
    return !a->unlimited && !addr_is_loopback(a);
}

static void address_key(const struct addr *a, uint8_t ret[17])
{
    memset(ret, 0, 17);
    ret[0] = a->family;
    /* A host of IPv6 commands a whole /64: that is one address here. */
    memcpy(ret + 1, a->ip, a->family == AF_INET ? 4 : 8);
}

static struct entry *entry_find(struct address_book *b, const struct addr *a)
{
    uint8_t key[17];
    address_key(a, key);
    struct map_node *n = map_find(&b->entries, (struct str){(const char *)key, sizeof(key)});
    return n != NULL ? container_of(n, struct entry, node) : NULL;
}

static struct entry *entry_make(struct address_book *b, const struct addr *a, uint64_t now_ms)
{
    struct entry *e = calloc(1, sizeof(*e));
    if (e == NULL)
        return NULL;
    address_key(a, e->ip);
    e->tokens = b->limits.connects_burst;
    e->filled_ms = now_ms;
    e->node.key = (struct str){(const char *)e->ip, sizeof(e->ip)};
    if (!map_add(&b->entries, &e->node)) {
        free(e);
        return NULL;
    }
    return e;
}

static void entry_fill(const struct address_book *b, struct entry *e, uint64_t now_ms)
{
    if (now_ms <= e->filled_ms)
        return; // every loop has a clock of its own, some milliseconds apart
    double more = (double)(now_ms - e->filled_ms) * b->limits.connects_per_second / 1000.0;
    e->filled_ms = now_ms;
    e->tokens += more;
    if (e->tokens > b->limits.connects_burst)
        e->tokens = b->limits.connects_burst;
}

/* Once in a while, so that addresses that came once are not kept for ever. */
static void sweep(struct address_book *b, uint64_t now_ms)
{
    struct map_node *next;
    if (now_ms < b->swept_ms + SWEEP_EVERY_MS)
        return;
    b->swept_ms = now_ms;
    for (struct map_node *n = map_first(&b->entries); n != NULL; n = next) {
        next = map_next(&b->entries, n);
        struct entry *e = container_of(n, struct entry, node);
        entry_fill(b, e, now_ms);
        if (e->count == 0 && e->tokens >= b->limits.connects_burst)
            entry_drop(b, e);
    }
}

static bool enter_locked(struct address_book *b, const struct addr *a, uint64_t now_ms)
{
    sweep(b, now_ms);
    struct entry *e = entry_find(b, a);
    if (e == NULL && (e = entry_make(b, a, now_ms)) == NULL)
        return false;
    if (b->limits.connections_max > 0 && e->count >= b->limits.connections_max)
        return false;
    if (b->limits.connects_per_second > 0) {
        entry_fill(b, e, now_ms);
        if (e->tokens < 1)
            return false;
        e->tokens -= 1;
    }
    e->count++;
    return true;
}

bool address_book_enter(struct address_book *b, const struct addr *a, uint64_t now_ms)
{
    if (!is_limited(b, a))
        return true;
    pthread_mutex_lock(&b->lock);
    bool ok = enter_locked(b, a, now_ms);
    pthread_mutex_unlock(&b->lock);
    return ok;
}

void address_book_leave(struct address_book *b, const struct addr *a)
{
    if (!is_limited(b, a))
        return;
    pthread_mutex_lock(&b->lock);
    struct entry *e = entry_find(b, a);
    if (e != NULL && e->count > 0)
        e->count--;
    pthread_mutex_unlock(&b->lock);
}
