/*
 * mailbox.c - how loops talk: a queue with many writers and one reader, without locks.
 *
 * Why it exists: the order of one writer's mails is what makes the seam between history and live
 * events safe, and no message path may wait for a lock.
 *
 * Always true: following next from oldest leads to newest, except at a writer that has exchanged
 * newest and not yet linked its mail; the reader then waits for its bell.
 */
#include "loop/priv.h"

void mailbox_init(struct mailbox *b)
{
    atomic_init(&b->sentinel.next, NULL);
    atomic_init(&b->newest, &b->sentinel);
    b->oldest = &b->sentinel;
}

void mailbox_put(struct mailbox *b, struct mail *m)
{
    atomic_store_explicit(&m->next, NULL, memory_order_relaxed);
    struct mail *before = atomic_exchange(&b->newest, m); // in one order with loop's asleep
    atomic_store_explicit(&before->next, m, memory_order_release);
}

struct mail *mailbox_take(struct mailbox *b)
{
    struct mail *m = b->oldest;
    struct mail *next = atomic_load_explicit(&m->next, memory_order_acquire);
    if (m == &b->sentinel) {
        if (next == NULL)
            return NULL;
        b->oldest = m = next;
        next = atomic_load_explicit(&m->next, memory_order_acquire);
    }
    if (next != NULL) {
        b->oldest = next;
        return m;
    }
    if (m != atomic_load_explicit(&b->newest, memory_order_acquire))
        return NULL;
    mailbox_put(b, &b->sentinel); // m is the last: the sentinel takes its place behind it
    next = atomic_load_explicit(&m->next, memory_order_acquire);
    if (next == NULL)
        return NULL;
    b->oldest = next;
    return m;
}

bool mailbox_empty(struct mailbox *b)
{
    return b->oldest == &b->sentinel && atomic_load(&b->newest) == &b->sentinel;
}
