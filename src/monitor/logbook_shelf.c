/*
 * logbook_shelf.c - the lines that are kept, and which one goes when there is no more room.
 *
 * Why it exists: one tenant that logs without end must not push out what the others have said. So
 * the tenant that takes up the most gives its oldest line: of the lines or of the bytes, whichever
 * of the two it has the greater part of.
 *
 * Always true, under the lock:
 *   I1. every kept line is in b->lines, by seq, and in the shelf of its tenant, by seq.
 *   I2. a shelf has lines; none has a greater share than shelves[0], and none than its parent.
 *   I3. of what was kept and is not any more, rows stand only before lines that are in b->holes.
 */
#include "monitor/logbook_priv.h"

#include "base/must.h"

#include <stdlib.h>

struct shelf {
    struct map_node node; // the tenant
    struct log_line *oldest, *newest;
    uint64_t count, bytes;
    size_t at; // in b->shelves
    char tenant[];
};

/* ---- shares ---- */

/* Of the lines and of the bytes, in the same unit; the limits of both keep it below 2^63. */
static uint64_t share_of(const struct logbook *b, uint64_t count, uint64_t bytes)
{
    uint64_t by_count = count * b->o.keep_bytes_max, by_bytes = bytes * b->o.keep;
    return by_count > by_bytes ? by_count : by_bytes;
}

static uint64_t share(const struct logbook *b, const struct shelf *s)
{
    return share_of(b, s->count, s->bytes);
}

static void put_at(struct logbook *b, struct shelf *s, size_t at)
{
    b->shelves[at] = s;
    s->at = at;
}

/* Its share has grown. */
static void move_up(struct logbook *b, struct shelf *s)
{
    size_t at = s->at;
    while (at > 0 && share(b, b->shelves[(at - 1) / 2]) < share(b, s)) {
        put_at(b, b->shelves[(at - 1) / 2], at);
        at = (at - 1) / 2;
    }
    put_at(b, s, at);
}

/* Its share has shrunk. */
static void move_down(struct logbook *b, struct shelf *s)
{
    size_t at = s->at, child;
    while ((child = 2 * at + 1) < b->shelf_count) {
        if (child + 1 < b->shelf_count &&
            share(b, b->shelves[child]) < share(b, b->shelves[child + 1]))
            child++;
        if (share(b, b->shelves[child]) <= share(b, s))
            break;
        put_at(b, b->shelves[child], at);
        at = child;
    }
    put_at(b, s, at);
}

/* ---- shelves ---- */

static struct shelf *shelf_find(const struct logbook *b, struct str tenant)
{
    struct map_node *n = map_find(&b->tenants, tenant);
    return n != NULL ? container_of(n, struct shelf, node) : NULL;
}

/* NULL: no memory. */
static struct shelf *shelf_make(struct logbook *b, struct str tenant)
{
    struct shelf *s = calloc(1, sizeof(*s) + tenant.n);
    char *at = s != NULL ? s->tenant : NULL;
    if (s == NULL)
        return NULL;
    MUST(b->shelf_count < b->o.keep);
    s->node.key = str_put(&at, tenant);
    if (!map_add(&b->tenants, &s->node)) {
        free(s);
        return NULL;
    }
    put_at(b, s, b->shelf_count++);
    return s;
}

static void shelf_free(struct logbook *b, struct shelf *s)
{
    struct shelf *last = b->shelves[--b->shelf_count];
    map_remove(&b->tenants, &s->node);
    if (last != s) {
        put_at(b, last, s->at);
        move_up(b, last);
        move_down(b, last);
    }
    free(s);
}

/* ---- lines ---- */

/* Rows may stand before this line; of the head of all: before the one that comes next. */
static void hole_mark(struct logbook *b, struct list *link)
{
    if (link == &b->lines) {
        b->hole_at_end = true;
        return;
    }
    struct log_line *l = container_of(link, struct log_line, link);
    if (list_empty(&l->hole))
        list_add(&b->holes, &l->hole);
}

static void drop_oldest(struct logbook *b, struct shelf *s)
{
    struct log_line *l = s->oldest;
    struct list *next = l->link.next;
    size_t n = log_line_bytes(l);
    s->oldest = l->newer;
    if (l->newer != NULL)
        l->newer->older = NULL;
    s->count--;
    s->bytes -= n;
    b->count--;
    b->bytes -= n;
    if (b->unsaved == &l->link)
        b->unsaved = next;
    list_remove(&l->hole);
    list_remove(&l->link);
    hole_mark(b, next);
    l->shelf = NULL;
    log_line_unref(l);
    if (s->count == 0)
        shelf_free(b, s);
    else
        move_down(b, s);
}

static void make_room(struct logbook *b, struct str tenant, size_t n)
{
    while (b->count > 0 && (b->count == b->o.keep || b->bytes + n > b->o.keep_bytes_max)) {
        struct shelf *s = shelf_find(b, tenant), *most = b->shelves[0];
        bool own = s != NULL && share_of(b, s->count + 1, s->bytes + n) >= share(b, most);
        drop_oldest(b, own ? s : most);
    }
}

void logbook_keep(struct logbook *b, struct log_line *l)
{
    size_t n = log_line_bytes(l);
    b->newest = l->seq;
    make_room(b, l->tenant, n);
    struct shelf *s = shelf_find(b, l->tenant);
    if (s == NULL)
        s = shelf_make(b, l->tenant);
    if (s == NULL)
        return; // told, and forgotten
    atomic_fetch_add_explicit(&l->refs, 1, memory_order_relaxed);
    l->shelf = s;
    l->older = s->newest;
    l->newer = NULL;
    *(s->newest != NULL ? &s->newest->newer : &s->oldest) = l;
    s->newest = l;
    s->count++;
    s->bytes += n;
    b->count++;
    b->bytes += n;
    move_up(b, s);
    list_add(&b->lines, &l->link);
    list_init(&l->hole);
    if (b->unsaved == &b->lines)
        b->unsaved = &l->link;
    if (b->hole_at_end)
        hole_mark(b, &l->link);
    b->hole_at_end = false;
}

void logbook_clear(struct logbook *b)
{
    while (b->shelf_count > 0)
        drop_oldest(b, b->shelves[0]);
    b->hole_at_end = false;
}

struct log_line *logbook_newest(const struct logbook *b, struct str tenant)
{
    const struct shelf *s = shelf_find(b, tenant);
    return s != NULL ? s->newest : NULL;
}

void logbook_mark_holes(struct logbook *b)
{
    uint64_t before = 0;
    list_each(it, &b->lines)
    {
        const struct log_line *l = container_of(it, struct log_line, link);
        if (l->seq > before + 1)
            hole_mark(b, it);
        before = l->seq;
    }
}
