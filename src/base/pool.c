/*
 * pool.c - memory for short-lived blocks that come and go at message rate.
 *
 * Why it exists: a publication is made on one loop and dies on another; malloc() would lock or
 * migrate arenas on every message.
 *
 * Always true: a block is on its owner's free list, on its owner's return stack, or in use.
 * Under AddressSanitizer every block is malloc'd and freed at once, so that misuse is seen.
 */
#include "base/pool.h"

#include "base/must.h"

#include <stdatomic.h>
#include <stdlib.h>

#if defined(__SANITIZE_ADDRESS__)
#define POOL_KEEPS 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define POOL_KEEPS 0
#endif
#endif
#ifndef POOL_KEEPS
#define POOL_KEEPS 1
#endif

/* Two sizes per power of two: 64, 96, 128, 192 ... 65536; larger blocks are not kept. */
enum { CLASS_COUNT = 21, BLOCK_MIN = 64, CLASS_NONE = 255 };
/* Together, between two looks of their owner; what comes beyond goes to free(). */
enum { RETURNED_MAX_BYTES = 4 * POOL_KEEP_BYTES };

struct block {
    struct pool *owner;
    uint32_t class;
    uint32_t size; // usable bytes
    union {
        struct block *next; // while free
        max_align_t align;
    } u;
};
#define BLOCK_HEAD offsetof(struct block, u)

struct pool {
    struct block *free[CLASS_COUNT];
    uint32_t count[CLASS_COUNT];
    uint64_t misses;
    _Atomic(struct block *) returned; // pushed by other threads
    atomic_size_t returned_bytes;     // may for a moment tell of blocks not yet pushed
};

static _Thread_local struct pool *own_pool;

static size_t class_bytes(unsigned class)
{
    size_t b = (size_t)BLOCK_MIN << (class / 2);
    return class % 2 ? b + b / 2 : b;
}

static unsigned class_of(size_t n)
{
    if (n <= BLOCK_MIN)
        return 0;
    unsigned bits = 63u - (unsigned)__builtin_clzll((unsigned long long)(n - 1)); // floor(log2)
    unsigned class = (bits - 6) * 2;
    while (class < CLASS_COUNT && class_bytes(class) < n)
        class ++;
    return class < CLASS_COUNT ? class : CLASS_NONE;
}

static struct pool *pool_own(void)
{
    if (own_pool == NULL)
        own_pool = calloc(1, sizeof(*own_pool));
    return own_pool;
}

static void block_keep(struct pool *p, struct block *b)
{
    if ((uint64_t)(p->count[b->class] + 1) * class_bytes(b->class) > POOL_KEEP_BYTES) {
        free(b);
        return;
    }
    b->u.next = p->free[b->class];
    p->free[b->class] = b;
    p->count[b->class]++;
}

static void pool_collect(struct pool *p)
{
    struct block *b = atomic_exchange_explicit(&p->returned, NULL, memory_order_acquire);
    size_t taken = 0;
    while (b != NULL) {
        struct block *next = b->u.next;
        taken += b->size;
        block_keep(p, b);
        b = next;
    }
    if (taken > 0)
        atomic_fetch_sub_explicit(&p->returned_bytes, taken, memory_order_relaxed);
}

static void *block_new(struct pool *p, unsigned class, size_t n)
{
    size_t size = class == CLASS_NONE ? n : class_bytes(class);
    struct block *b = malloc(BLOCK_HEAD + size);
    if (b == NULL)
        return NULL;
    p->misses++;
    b->owner = p;
    b->class = class;
    b->size = (uint32_t)size;
    return &b->u;
}

void *pool_alloc(size_t n)
{
    struct pool *p = pool_own();
    if (p == NULL || n > UINT32_MAX)
        return NULL;
    unsigned class = POOL_KEEPS ? class_of(n) : CLASS_NONE;
    if (class == CLASS_NONE)
        return block_new(p, class, n);
    if (p->free[class] == NULL)
        pool_collect(p);
    struct block *b = p->free[class];
    if (b == NULL)
        return block_new(p, class, n);
    p->free[class] = b->u.next;
    p->count[class]--;
    __builtin_prefetch(b->u.next, 1); // with much under way it was last touched long ago
    return &b->u;
}

static struct block *block_from(const void *ptr)
{
    return (void *)((char *)(uintptr_t)ptr - BLOCK_HEAD);
}

/* To the thread that made it, which may be idle for long: so not without bound. */
static void block_return(struct pool *owner, struct block *b)
{
    size_t size = b->size;
    if (atomic_fetch_add_explicit(&owner->returned_bytes, size, memory_order_relaxed) >=
        RETURNED_MAX_BYTES) {
        atomic_fetch_sub_explicit(&owner->returned_bytes, size, memory_order_relaxed);
        free(b);
        return;
    }
    struct block *top = atomic_load_explicit(&owner->returned, memory_order_relaxed);
    do {
        b->u.next = top;
    } while (!atomic_compare_exchange_weak_explicit(&owner->returned, &top, b, memory_order_release,
                                                    memory_order_relaxed));
}

void pool_free(void *ptr)
{
    if (ptr == NULL)
        return;
    struct block *b = block_from(ptr);
    if (b->class == CLASS_NONE) {
        free(b);
        return;
    }
    struct pool *owner = b->owner;
    if (owner == own_pool) {
        block_keep(owner, b);
        return;
    }
    block_return(owner, b);
}

size_t pool_size(const void *ptr)
{
    return block_from(ptr)->size;
}

uint64_t pool_misses(void)
{
    return own_pool != NULL ? own_pool->misses : 0;
}

/* The pool itself stays where blocks are kept: those still in use elsewhere will come back to it.
 */
void pool_drop(void)
{
    struct pool *p = own_pool;
    if (p == NULL)
        return;
    pool_collect(p);
    for (unsigned class = 0; class < CLASS_COUNT; class ++) {
        while (p->free[class] != NULL) {
            struct block *b = p->free[class];
            p->free[class] = b->u.next;
            free(b);
        }
        p->count[class] = 0;
    }
    if (!POOL_KEEPS) {
        own_pool = NULL;
        free(p);
    }
}
