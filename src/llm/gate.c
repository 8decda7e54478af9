/*
 * gate.c - who may ask the model now.
 *
 * Why it exists: a model's server computes a few answers at once, and slows all of them when it is
 * given more; how many there are is a matter of the node, not of a loop.
 *
 * Always true while the lock is free:
 *   I1. nobody waits while there is room inside.
 *   I2. a line is in lines and in turns, and has a waiter; waiting counts all of them.
 */
#include "llm/gate.h"

#include "base/must.h"

#include <stdlib.h>

struct gate_line {
    struct map_node node; // in gate.lines
    struct list link;     // in gate.turns
    struct list waiters;
    uint32_t count;
    char tenant[];
};

void gate_init(struct gate *g, uint32_t inside_max, uint32_t waiting_max)
{
    *g = (struct gate){.inside_max = inside_max, .waiting_max = waiting_max};
    pthread_mutex_init(&g->lock, NULL);
    map_init(&g->lines, (size_t)waiting_max + 1);
    list_init(&g->turns);
}

void gate_fini(struct gate *g)
{
    MUST(g->waiting == 0 && list_empty(&g->turns));
    map_fini(&g->lines);
    pthread_mutex_destroy(&g->lock);
}

void waiter_init(struct waiter *w, struct loop *l, void (*deliver)(struct mail *m, struct loop *l))
{
    *w = (struct waiter){.mail.deliver = deliver, .loop = l, .state = WAITER_OUTSIDE};
    list_init(&w->link);
}

static struct gate_line *line_find_or_make(struct gate *g, struct str tenant)
{
    struct map_node *n = map_find(&g->lines, tenant);
    if (n != NULL)
        return container_of(n, struct gate_line, node);
    struct gate_line *line = malloc(sizeof(*line) + tenant.n + 1);
    if (line == NULL)
        return NULL;
    char *at = line->tenant;
    *line = (struct gate_line){.node.key = {at, tenant.n}};
    str_put(&at, tenant);
    list_init(&line->waiters);
    list_init(&line->link);
    if (!map_add(&g->lines, &line->node)) {
        free(line);
        return NULL;
    }
    list_add(&g->turns, &line->link);
    return line;
}

static void take_out(struct gate *g, struct waiter *w)
{
    struct gate_line *line = w->line;
    list_remove(&w->link);
    w->line = NULL;
    g->waiting--;
    if (--line->count > 0)
        return;
    list_remove(&line->link);
    map_remove(&g->lines, &line->node);
    free(line);
}

/* The first of the line whose turn it is; the line goes to the end of them. */
static void call_next(struct gate *g)
{
    while (g->inside < g->inside_max && !list_empty(&g->turns)) {
        struct gate_line *line = container_of(g->turns.next, struct gate_line, link);
        struct waiter *w = container_of(line->waiters.next, struct waiter, link);
        list_move_to_end(&g->turns, &line->link);
        take_out(g, w);
        g->inside++;
        w->state = WAITER_CALLED;
        loop_post(w->loop, &w->mail);
    }
}

static enum gate_answer join_line(struct gate *g, struct waiter *w, struct str tenant)
{
    if (g->waiting >= g->waiting_max)
        return GATE_FULL;
    struct gate_line *line = line_find_or_make(g, tenant);
    if (line == NULL)
        return GATE_FULL;
    if (line->count >= g->waiting_max - g->waiting_max / 4)
        return GATE_FULL; // some room is left for the others
    line->count++;
    g->waiting++;
    w->line = line;
    w->state = WAITER_IN_LINE;
    list_add(&line->waiters, &w->link);
    return GATE_WAIT;
}

enum gate_answer gate_enter(struct gate *g, struct waiter *w, struct str tenant)
{
    enum gate_answer answer = GATE_OPEN;
    MUST(w->state == WAITER_OUTSIDE);
    pthread_mutex_lock(&g->lock);
    if (g->inside < g->inside_max) {
        g->inside++;
        w->state = WAITER_INSIDE;
    } else {
        answer = join_line(g, w, tenant);
    }
    pthread_mutex_unlock(&g->lock);
    return answer;
}

bool gate_arrived(struct gate *g, struct waiter *w)
{
    pthread_mutex_lock(&g->lock);
    bool here = w->state == WAITER_CALLED;
    if (here)
        w->state = WAITER_INSIDE;
    pthread_mutex_unlock(&g->lock);
    return here;
}

bool gate_leave(struct gate *g, struct waiter *w)
{
    pthread_mutex_lock(&g->lock);
    bool mailed = w->state == WAITER_CALLED;
    bool inside = mailed || w->state == WAITER_INSIDE;
    if (w->state == WAITER_IN_LINE)
        take_out(g, w);
    w->state = mailed ? WAITER_GONE : WAITER_OUTSIDE;
    if (inside) {
        g->inside--;
        call_next(g);
    }
    pthread_mutex_unlock(&g->lock);
    return mailed;
}

void gate_read(struct gate *g, uint32_t *ret_inside, uint32_t *ret_waiting)
{
    pthread_mutex_lock(&g->lock);
    *ret_inside = g->inside;
    *ret_waiting = g->waiting;
    pthread_mutex_unlock(&g->lock);
}
