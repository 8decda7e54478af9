/* list.h - doubly linked lists whose links live inside the members.
 * Thread:  the owner's.
 * Memory:  none; a member is in one list per link it embeds.
 * Failure: none. */
#ifndef BASE_LIST_H
#define BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct list {
    struct list *next, *prev;
};

/* Makes a head empty, or a member a member of nothing. */
static inline void list_init(struct list *l)
{
    l->next = l->prev = l;
}

static inline bool list_empty(const struct list *l)
{
    return l->next == l;
}

/* Adds m at the end of the list. */
static inline void list_add(struct list *head, struct list *m)
{
    m->prev = head->prev;
    m->next = head;
    head->prev->next = m;
    head->prev = m;
}

/* Harmless on a member of nothing. */
static inline void list_remove(struct list *m)
{
    m->prev->next = m->next;
    m->next->prev = m->prev;
    list_init(m);
}

static inline void list_move_to_end(struct list *head, struct list *m)
{
    list_remove(m);
    list_add(head, m);
}

#define list_each(it, head) for (struct list *it = (head)->next; it != (head); it = it->next)

/* The current member may be removed inside the loop. */
#define list_each_safe(it, head)                                                                   \
    for (struct list *it = (head)->next, *it##_next = it->next; it != (head);                      \
         it = it##_next, it##_next = it->next)

#endif
