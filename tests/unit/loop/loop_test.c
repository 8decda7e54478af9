/*
 * loop_test.c - a turn's order, events of what has gone, burials and works; mail from many threads,
 * in order, and no wake-up lost. Run under ThreadSanitizer as well.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/must.h"
#include "loop/priv.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* What happened, a letter each. */
static char story[64];

static void tell(char c)
{
    size_t n = strlen(story);
    assert_true(n + 1 < sizeof(story));
    story[n] = c;
    story[n + 1] = '\0';
}

static struct loop *loop_make(void)
{
    struct loop *l = loop_create(0);
    assert_non_null(l);
    story[0] = '\0';
    return l;
}

/* ---- events ---- */

struct pair {
    struct io io;
    struct pair *other;
    struct loop *loop;
    int called;
};

static void removes_the_other(struct io *io, uint32_t events)
{
    struct pair *p = container_of(io, struct pair, io);
    assert_true(events & EPOLLIN);
    p->called++;
    if (p->other->io.fd < 0)
        return;
    loop_remove_io(p->loop, &p->other->io);
    close(p->other->io.fd);
    p->other->io.fd = -1;
}

static void an_event_of_what_was_removed_is_dropped(void **state)
{
    (void)state;
    struct loop *l = loop_make();
    struct pair pairs[2];
    for (int i = 0; i < 2; i++) {
        pairs[i] = (struct pair){.io = {.fd = eventfd(1, EFD_NONBLOCK), .ready = removes_the_other},
                                 .other = &pairs[1 - i],
                                 .loop = l};
        assert_true(loop_add_io(l, &pairs[i].io, EPOLLIN));
    }
    loop_turn(l, 0); // both are ready
    assert_int_equal(pairs[0].called + pairs[1].called, 1);
    loop_turn(l, 0);
    assert_int_equal(pairs[0].called + pairs[1].called, 1); // edges, not levels
    for (int i = 0; i < 2; i++) {
        if (pairs[i].io.fd >= 0) {
            loop_remove_io(l, &pairs[i].io);
            close(pairs[i].io.fd);
        }
    }
    loop_destroy(&l);
}

static void counts(struct io *io, uint32_t events)
{
    (void)events;
    container_of(io, struct pair, io)->called++;
}

/* One of many that take long. */
enum { CROWD = 100, LONG_NS = 200000 };

struct slow {
    struct io io;
    struct loop *loop;
    struct slow *victim; // NULL, or is removed
    unsigned called;
};

static void takes_long(struct io *io, uint32_t events)
{
    struct slow *s = container_of(io, struct slow, io);
    (void)events;
    s->called++;
    if (s->victim != NULL)
        loop_remove_io(s->loop, &s->victim->io);
    for (uint64_t began = clock_mono_ns(); clock_mono_ns() - began < LONG_NS;)
        continue;
}

static unsigned called_of(const struct slow *all)
{
    unsigned called = 0;
    for (int i = 0; i < CROWD; i++)
        called += all[i].called;
    return called;
}

/* What events give goes out by the works behind them: they have their turn in between. */
static void works_come_between_events_that_take_long(void **state)
{
    (void)state;
    struct loop *l = loop_make();
    struct slow all[CROWD];
    for (int i = 0; i < CROWD; i++) {
        all[i] =
            (struct slow){.io = {.fd = eventfd(1, EFD_NONBLOCK), .ready = takes_long}, .loop = l};
        assert_true(loop_add_io(l, &all[i].io, EPOLLIN));
    }
    all[0].victim = &all[CROWD - 1]; // they are told in the order in which they became ready
    unsigned turns = 0, called = 0;
    for (bool more = true; more; turns++) {
        more = loop_turn(l, 0);
        assert_int_equal(more, called_of(all) < CROWD - 1);
        assert_true(called_of(all) > called);
        called = called_of(all);
    }
    assert_int_equal(called, CROWD - 1);
    assert_int_equal(all[CROWD - 1].called, 0);
    assert_true(turns > 1);
    assert_false(loop_turn(l, 0));
    assert_int_equal(called_of(all), CROWD - 1); // each once
    for (int i = 0; i < CROWD; i++) {
        loop_remove_io(l, &all[i].io);
        close(all[i].io.fd);
    }
    loop_destroy(&l);
}

static void a_level_is_told_in_every_turn(void **state)
{
    (void)state;
    struct loop *l = loop_make();
    struct pair p = {.io = {.fd = eventfd(1, EFD_NONBLOCK), .level = true, .ready = counts}};
    uint64_t value;
    assert_true(loop_add_io(l, &p.io, EPOLLIN));
    loop_turn(l, 0);
    loop_turn(l, 0);
    assert_int_equal(p.called, 2);
    assert_true(loop_change_io(l, &p.io, EPOLLIN)); // stays one
    loop_turn(l, 0);
    loop_turn(l, 0);
    assert_int_equal(p.called, 4);
    assert_int_equal(read(p.io.fd, &value, sizeof(value)), sizeof(value));
    loop_turn(l, 0);
    assert_int_equal(p.called, 4);
    loop_remove_io(l, &p.io);
    close(p.io.fd);
    loop_destroy(&l);
}

/* ---- one turn ---- */

struct actor {
    struct loop *loop;
    struct mail mail;
    struct timer timer;
    struct work work;
    struct grave grave;
    struct io io;
    char name;
    struct actor *victim, *child;
};

static void actor_buried(struct grave *g)
{
    struct actor *a = container_of(g, struct actor, grave);
    tell(a->name);
    if (a->child != NULL)
        loop_bury_later(a->loop, &a->child->grave, actor_buried);
}

static bool actor_works(struct work *w)
{
    struct actor *a = container_of(w, struct actor, work);
    tell(a->name);
    if (a->victim != NULL)
        loop_remove_work(&a->victim->work);
    return false;
}

static void actor_event(struct io *io, uint32_t events)
{
    (void)io;
    (void)events;
    tell('e');
}

static void actor_mail(struct mail *m, struct loop *l)
{
    struct actor *a = container_of(m, struct actor, mail);
    tell('m');
    loop_bury_later(l, &a->grave, actor_buried);
    timer_arm(l, &a->timer, 0);
}

static void actor_timer(struct timer *t)
{
    (void)t;
    tell('t');
}

static void a_turn_has_one_order(void **state)
{
    (void)state;
    struct loop *l = loop_make();
    struct actor a = {.loop = l, .name = 'x', .mail.deliver = actor_mail};
    struct actor w = {.loop = l, .name = 'w', .work.run = actor_works};
    a.io = (struct io){.fd = eventfd(1, EFD_NONBLOCK), .ready = actor_event};
    timer_init(&a.timer, actor_timer);
    assert_true(loop_add_io(l, &a.io, EPOLLIN));
    loop_add_work(l, &w.work);
    loop_post(l, &a.mail);
    loop_turn(l, 0);
    assert_string_equal(story, "emwx");
    while (timer_armed(&a.timer))
        loop_turn(l, 1000); // sleeps until the timer is due, no longer
    assert_non_null(strchr(story, 't'));
    loop_remove_work(&w.work);
    loop_remove_io(l, &a.io);
    close(a.io.fd);
    loop_destroy(&l);
}

static void the_dead_are_buried_in_their_order(void **state)
{
    (void)state;
    struct loop *l = loop_make();
    struct actor a = {.loop = l, .name = 'a'}, b = {.loop = l, .name = 'b'};
    struct actor c = {.loop = l, .name = 'c'}, child = {.loop = l, .name = 'd'};
    a.child = &child;
    loop_bury_later(l, &a.grave, actor_buried);
    loop_bury_later(l, &b.grave, actor_buried);
    loop_bury_later(l, &c.grave, actor_buried);
    assert_string_equal(story, "");
    loop_turn(l, 0);
    assert_string_equal(story, "abcd"); // also who died at a burial
    loop_bury_later(l, &b.grave, actor_buried);
    loop_turn(l, 0);
    assert_string_equal(story, "abcdb");
    loop_bury_later(l, &c.grave, actor_buried);
    loop_destroy(&l);
    assert_string_equal(story, "abcdbc");
}

static void a_work_may_remove_itself_and_others(void **state)
{
    (void)state;
    struct loop *l = loop_make();
    struct actor a = {.name = 'a', .work.run = actor_works};
    struct actor b = {.name = 'b', .work.run = actor_works};
    struct actor c = {.name = 'c', .work.run = actor_works};
    loop_add_work(l, &a.work);
    loop_add_work(l, &b.work);
    loop_add_work(l, &c.work);
    loop_turn(l, 0);
    assert_string_equal(story, "abc");
    a.victim = &b; // the next one
    loop_turn(l, 0);
    assert_string_equal(story, "abcac");
    a.victim = &a;
    loop_turn(l, 0);
    loop_turn(l, 0);
    assert_string_equal(story, "abcacacc");
    loop_remove_work(&c.work);
    loop_destroy(&l);
}

/* ---- mail ---- */

enum { WRITERS = 4, MAILS = 5000 };

struct letter {
    struct mail mail;
    struct office *office;
    int writer, number;
};

struct office {
    struct loop *loop;
    int next[WRITERS];
    atomic_int delivered;
    struct letter *letters[WRITERS];
};

struct writer {
    pthread_t thread;
    struct office *office;
    int number;
    bool waits; // for each letter to arrive, so that the loop falls asleep in between
};

static void letter_arrived(struct mail *m, struct loop *l)
{
    struct letter *t = container_of(m, struct letter, mail);
    struct office *o = t->office;
    MUST(loop_current() == l);
    MUST(o->next[t->writer]++ == t->number); // first in, first out
    if (atomic_fetch_add(&o->delivered, 1) + 1 == WRITERS * MAILS)
        loop_stop(l);
}

static void *write_letters(void *arg)
{
    struct writer *w = arg;
    struct office *o = w->office;
    for (int i = 0; i < MAILS; i++) {
        struct letter *t = &o->letters[w->number][i];
        *t = (struct letter){.mail.deliver = letter_arrived, .office = o};
        t->writer = w->number;
        t->number = i;
        int before = atomic_load(&o->delivered);
        loop_post(o->loop, &t->mail);
        while (w->waits && atomic_load(&o->delivered) == before)
            sched_yield();
    }
    return NULL;
}

/* A lost wake-up shows as a test that takes a minute: the loop's longest sleep. */
static void run_office(bool waits)
{
    struct office o = {.loop = loop_make()};
    struct writer writers[WRITERS];
    for (int i = 0; i < WRITERS; i++) {
        o.letters[i] = calloc(MAILS, sizeof(struct letter));
        writers[i] = (struct writer){.office = &o, .number = i, .waits = waits};
        assert_int_equal(pthread_create(&writers[i].thread, NULL, write_letters, &writers[i]), 0);
    }
    loop_run(o.loop);
    for (int i = 0; i < WRITERS; i++) {
        pthread_join(writers[i].thread, NULL);
        assert_int_equal(o.next[i], MAILS);
        free(o.letters[i]);
    }
    struct loop_stats stats;
    loop_read_stats(o.loop, &stats);
    assert_int_equal(stats.mails, WRITERS * MAILS);
    assert_true(mailbox_empty(&o.loop->mailbox));
    loop_destroy(&o.loop);
}

static void mail_arrives_in_order(void **state)
{
    (void)state;
    run_office(false);
}

struct counted {
    struct mail mail;
    unsigned *delivered;
};

static void count_one(struct mail *m, struct loop *l)
{
    (void)l;
    (*container_of(m, struct counted, mail)->delivered)++;
}

/* Who turns a loop by hand, as the server does at its end, learns when all has been said. */
static void a_turn_says_that_it_left_something(void **state)
{
    enum { MANY = 20000 };
    static struct counted mails[MANY];
    struct loop *l = loop_make();
    unsigned delivered = 0, turns = 0;
    (void)state;
    assert_false(loop_turn(l, 0));
    for (int i = 0; i < MANY; i++) {
        mails[i] = (struct counted){{.deliver = count_one}, &delivered};
        loop_post(l, &mails[i].mail);
    }
    while (loop_turn(l, 0))
        turns++;
    assert_int_equal(delivered, MANY);
    assert_true(turns > 0); // not all at once: events have their turn between
    loop_destroy(&l);
}

static void no_wake_up_is_lost(void **state)
{
    (void)state;
    run_office(true);
}

/* Two loops that answer each other: each sleeps whenever the ball is with the other. */

struct ball {
    struct mail mail;
    struct loop *loops[2];
    int bounces;
};

static void ball_arrived(struct mail *m, struct loop *l)
{
    struct ball *b = container_of(m, struct ball, mail);
    if (++b->bounces == 20000) {
        loop_stop(b->loops[0]);
        loop_stop(b->loops[1]);
        return;
    }
    loop_post(b->loops[l == b->loops[0]], &b->mail);
}

static void *run_loop(void *arg)
{
    loop_run(arg);
    return NULL;
}

static void loops_wake_each_other(void **state)
{
    (void)state;
    pthread_t thread;
    struct ball b = {.mail.deliver = ball_arrived, .loops = {loop_make(), loop_make()}};
    assert_int_equal(pthread_create(&thread, NULL, run_loop, b.loops[1]), 0);
    loop_post(b.loops[0], &b.mail);
    loop_run(b.loops[0]);
    pthread_join(thread, NULL);
    assert_int_equal(b.bounces, 20000);
    loop_destroy(&b.loops[0]);
    loop_destroy(&b.loops[1]);
}

static void a_loop_is_stopped_from_elsewhere(void **state)
{
    (void)state;
    for (int i = 0; i < 300; i++) {
        pthread_t thread;
        struct loop *l = loop_make();
        assert_int_equal(pthread_create(&thread, NULL, run_loop, l), 0);
        for (int k = 0; k < i % 7; k++)
            sched_yield(); // now before its first turn, now in its sleep
        loop_stop(l);
        pthread_join(thread, NULL);
        loop_destroy(&l);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_event_of_what_was_removed_is_dropped),
        cmocka_unit_test(works_come_between_events_that_take_long),
        cmocka_unit_test(a_level_is_told_in_every_turn),
        cmocka_unit_test(a_turn_has_one_order),
        cmocka_unit_test(the_dead_are_buried_in_their_order),
        cmocka_unit_test(a_work_may_remove_itself_and_others),
        cmocka_unit_test(mail_arrives_in_order),
        cmocka_unit_test(a_turn_says_that_it_left_something),
        cmocka_unit_test(no_wake_up_is_lost),
        cmocka_unit_test(loops_wake_each_other),
        cmocka_unit_test(a_loop_is_stopped_from_elsewhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
