/*
 * gate_test.c - turns: never more inside than allowed, tenants one after the other, nobody lost
 * when somebody leaves at a bad moment; and all of it from several threads.
 */
#include "llm/gate.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/must.h"

enum { GUESTS_MAX = 64 };

struct guest {
    struct waiter waiter;
    struct gate *gate;
    char *order; // names in the order in which they were let in
    char name;
    bool inside, gone;
};

static void let_in(struct mail *m, struct loop *l)
{
    struct waiter *w = container_of(m, struct waiter, mail);
    struct guest *g = container_of(w, struct guest, waiter);
    (void)l;
    g->inside = gate_arrived(g->gate, w);
    g->gone = !g->inside;
    if (g->inside)
        snprintf(g->order + strlen(g->order), 2, "%c", g->name);
}

struct world {
    struct gate gate;
    struct loop *loop;
    struct guest guests[GUESTS_MAX];
    unsigned count;
    char order[GUESTS_MAX + 1];
};

static struct world *world_make(uint32_t inside_max, uint32_t waiting_max)
{
    struct world *w = calloc(1, sizeof(*w));
    assert_non_null(w);
    w->loop = loop_create(0);
    gate_init(&w->gate, inside_max, waiting_max);
    return w;
}

static void world_end(struct world *w)
{
    uint32_t inside, waiting;
    gate_read(&w->gate, &inside, &waiting);
    assert_int_equal(inside, 0);
    assert_int_equal(waiting, 0);
    gate_fini(&w->gate);
    loop_destroy(&w->loop);
    free(w);
}

static struct guest *come(struct world *w, char name, const char *tenant, enum gate_answer expected)
{
    struct guest *g = &w->guests[w->count++];
    *g = (struct guest){.gate = &w->gate, .order = w->order, .name = name};
    waiter_init(&g->waiter, w->loop, let_in);
    enum gate_answer answer = gate_enter(&w->gate, &g->waiter, str_from(tenant));
    assert_int_equal(answer, expected);
    g->inside = answer == GATE_OPEN;
    return g;
}

static void leave(struct world *w, struct guest *g)
{
    assert_false(gate_leave(&w->gate, &g->waiter));
    g->inside = false;
    loop_turn(w->loop, 0);
}

static void leave_all(struct world *w)
{
    for (bool found = true; found;) {
        found = false;
        for (unsigned i = 0; i < w->count; i++) {
            if (!w->guests[i].inside)
                continue;
            found = true;
            leave(w, &w->guests[i]);
        }
    }
}

static void first_come_first_served(void **state)
{
    struct world *w = world_make(2, 10);
    (void)state;
    struct guest *a = come(w, 'a', "t", GATE_OPEN);
    come(w, 'b', "t", GATE_OPEN);
    come(w, 'c', "t", GATE_WAIT);
    come(w, 'd', "t", GATE_WAIT);
    come(w, 'e', "t", GATE_WAIT);
    loop_turn(w->loop, 0);
    assert_string_equal(w->order, "");
    leave(w, a);
    assert_string_equal(w->order, "c");
    leave_all(w);
    assert_string_equal(w->order, "cde");
    world_end(w);
}

static void tenants_take_turns(void **state)
{
    struct world *w = world_make(1, 20);
    (void)state;
    come(w, '0', "big", GATE_OPEN);
    for (char c = 'a'; c < 'f'; c++)
        come(w, c, "big", GATE_WAIT);
    come(w, 'x', "small", GATE_WAIT);
    come(w, 'y', "small", GATE_WAIT);
    come(w, 'z', "other", GATE_WAIT);
    leave_all(w);
    assert_string_equal(w->order, "axzbycde");
    world_end(w);
}

static void one_tenant_leaves_room_for_others(void **state)
{
    struct world *w = world_make(1, 4);
    (void)state;
    come(w, '0', "big", GATE_OPEN);
    for (char c = 'a'; c < 'd'; c++)
        come(w, c, "big", GATE_WAIT);
    come(w, 'd', "big", GATE_FULL);
    come(w, 'x', "small", GATE_WAIT);
    come(w, 'y', "small", GATE_FULL);
    leave_all(w);
    assert_string_equal(w->order, "axbc");
    world_end(w);
}

static void short_queues_work(void **state)
{
    struct world *w = world_make(1, 0);
    (void)state;
    come(w, 'a', "t", GATE_OPEN);
    come(w, 'b', "t", GATE_FULL);
    leave_all(w);
    come(w, 'c', "t", GATE_OPEN);
    leave_all(w);
    world_end(w);
    w = world_make(1, 1);
    come(w, 'a', "t", GATE_OPEN);
    come(w, 'b', "t", GATE_WAIT);
    come(w, 'c', "u", GATE_FULL);
    leave_all(w);
    assert_string_equal(w->order, "b");
    world_end(w);
}

static void who_leaves_the_line_is_not_called(void **state)
{
    struct world *w = world_make(1, 10);
    (void)state;
    struct guest *a = come(w, 'a', "t", GATE_OPEN);
    struct guest *b = come(w, 'b', "t", GATE_WAIT);
    come(w, 'c', "u", GATE_WAIT);
    leave(w, b);
    leave(w, a);
    assert_string_equal(w->order, "c");
    leave_all(w);
    world_end(w);
}

/* He was called, and leaves before he has heard it: the next one is called instead. */
static void who_leaves_while_called_gives_the_place_on(void **state)
{
    struct world *w = world_make(1, 10);
    (void)state;
    struct guest *a = come(w, 'a', "t", GATE_OPEN);
    struct guest *b = come(w, 'b', "t", GATE_WAIT);
    come(w, 'c', "t", GATE_WAIT);
    assert_false(gate_leave(&w->gate, &a->waiter));
    a->inside = false;
    assert_true(gate_leave(&w->gate, &b->waiter)); // its mail is under way
    loop_turn(w->loop, 0);
    assert_true(b->gone && !b->inside);
    assert_string_equal(w->order, "c");
    leave_all(w);
    world_end(w);
}

/* ---- threads ---- */

enum { THREADS = 4, ROUNDS = 2000, INSIDE_MAX = 3 };

struct crowd {
    struct gate gate;
    atomic_int inside;
    atomic_int most;
    atomic_uint entered;
};

struct member {
    struct waiter waiter;
    struct crowd *crowd;
    struct loop *loop;
    bool inside, finished;
    char tenant[8];
};

static void count_in(struct crowd *c)
{
    int now = atomic_fetch_add(&c->inside, 1) + 1, most = atomic_load(&c->most);
    while (now > most && !atomic_compare_exchange_weak(&c->most, &most, now))
        continue;
    atomic_fetch_add(&c->entered, 1);
}

static void member_called(struct mail *m, struct loop *l)
{
    struct waiter *w = container_of(m, struct waiter, mail);
    struct member *p = container_of(w, struct member, waiter);
    (void)l;
    p->finished = true;
    p->inside = gate_arrived(&p->crowd->gate, w);
    if (p->inside)
        count_in(p->crowd);
}

static void visit(struct member *p, unsigned round)
{
    waiter_init(&p->waiter, p->loop, member_called);
    p->inside = p->finished = false;
    enum gate_answer a = gate_enter(&p->crowd->gate, &p->waiter, str_from(p->tenant));
    assert_int_not_equal(a, GATE_FULL);
    if (a == GATE_OPEN) {
        p->inside = true;
        count_in(p->crowd);
    } else if (round % 3 == 0) { // goes again at once, called or not
        if (!gate_leave(&p->crowd->gate, &p->waiter))
            return;
        while (!p->finished)
            loop_turn(p->loop, 5);
        return;
    }
    while (!p->inside)
        loop_turn(p->loop, 5);
    atomic_fetch_sub(&p->crowd->inside, 1);
    assert_false(gate_leave(&p->crowd->gate, &p->waiter));
}

static void *member_run(void *arg)
{
    struct member *members = arg;
    for (unsigned round = 0; round < ROUNDS; round++)
        visit(&members[0], round);
    return NULL;
}

static void never_more_inside_than_allowed(void **state)
{
    struct crowd c = {0};
    struct member *members = calloc(THREADS, sizeof(*members));
    pthread_t threads[THREADS];
    uint32_t inside, waiting;
    (void)state;
    assert_non_null(members);
    gate_init(&c.gate, INSIDE_MAX, THREADS * 4);
    for (int i = 0; i < THREADS; i++) {
        members[i].crowd = &c;
        members[i].loop = loop_create((unsigned)i);
        snprintf(members[i].tenant, sizeof(members[i].tenant), "t%d", i % 2);
    }
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, member_run, &members[i]), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_true(atomic_load(&c.most) <= INSIDE_MAX);
    assert_true(atomic_load(&c.entered) > 0);
    gate_read(&c.gate, &inside, &waiting);
    assert_int_equal(inside + waiting, 0);
    for (int i = 0; i < THREADS; i++)
        loop_destroy(&members[i].loop);
    free(members);
    gate_fini(&c.gate);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(first_come_first_served),
        cmocka_unit_test(tenants_take_turns),
        cmocka_unit_test(one_tenant_leaves_room_for_others),
        cmocka_unit_test(short_queues_work),
        cmocka_unit_test(who_leaves_the_line_is_not_called),
        cmocka_unit_test(who_leaves_while_called_gives_the_place_on),
        cmocka_unit_test(never_more_inside_than_allowed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
