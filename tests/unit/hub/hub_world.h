/* hub_world.h - a node whose loops are turned by hand and whose time is the test's.
 * Thread:  the test's.
 * Memory:  world_end() frees; sessions are closed by the test before.
 * Failure: asserted. */
#ifndef TESTS_HUB_HUB_WORLD_H
#define TESTS_HUB_HUB_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "hub/priv.h"
#include "loop/priv.h"
#include "unit/hub/fake_session.h"

enum { WORLD_LOOPS_MAX = 4, WORLD_NAMESPACES = 4 };

struct world {
    struct loop *loops[WORLD_LOOPS_MAX];
    struct outflow outflows[WORLD_LOOPS_MAX];
    unsigned count;
    struct policy policy;
    struct namespace_options namespaces[WORLD_NAMESPACES];
    struct node *node;
};

static const struct policy world_policy = {
    .channel_name_max = 64,
    .channels_max = 100,
    .channels_per_session_max = 8,
    .feed_bytes_max = 1 << 16,
    .presence_grace_ms = 10000,
    .idempotency_ttl_ms = 60000,
    .idempotency_max = 3,
    .epoch_idle_ms = 300000,
};

static inline struct world *world_make(unsigned loops)
{
    struct world *w = calloc(1, sizeof(*w));
    w->count = loops;
    w->policy = world_policy;
    w->namespaces[0] = (struct namespace_options){
        STR("news"), {.history_count = 5, .recover = true, .client_subscribe = true}};
    w->namespaces[1] = (struct namespace_options){
        STR("room"), {.presence = true, .join_leave = true, .client_subscribe = true}};
    w->namespaces[2] = (struct namespace_options){
        STR("brief"),
        {.history_count = 5, .history_ttl_ms = 20000, .recover = true, .client_subscribe = true}};
    w->namespaces[3] = (struct namespace_options){STR("plain"), {.client_subscribe = true}};
    w->policy.namespaces = w->namespaces;
    w->policy.namespace_count = WORLD_NAMESPACES;
    for (unsigned i = 0; i < loops; i++)
        w->loops[i] = loop_create(i);
    w->node = node_create(w->loops, loops, &w->policy, 100);
    assert_non_null(w->node);
    for (unsigned i = 0; i < loops; i++) {
        outflow_init(&w->outflows[i]);
        hub_set_outflow(node_hub(w->node, i), &w->outflows[i]);
    }
    return w;
}

static inline void world_turn(struct world *w)
{
    for (unsigned i = 0; i < 4 * w->count; i++)
        loop_turn(w->loops[i % w->count], 0);
}

static inline void world_end(struct world *w)
{
    world_turn(w);
    node_destroy(&w->node);
    for (unsigned i = 0; i < w->count; i++)
        loop_destroy(&w->loops[i]);
    free(w);
}

/* Time passes, and whatever is due meanwhile happens. The loops' clocks are not read again: a world
 * that waits does not turn its loops. */
static inline void world_wait(struct world *w, uint64_t ms)
{
    for (uint64_t passed = 0; passed < ms; passed += LOOP_TICK_MS) {
        for (unsigned i = 0; i < w->count; i++) {
            struct loop *l = w->loops[i];
            l->now_ns += (uint64_t)LOOP_TICK_MS * 1000000;
            l->wall_ms += LOOP_TICK_MS;
            wheel_turn(&l->wheel, loop_now_ms(l) / LOOP_TICK_MS);
        }
    }
}

static inline struct hub *world_hub(struct world *w, unsigned i)
{
    return node_hub(w->node, i);
}

/* A channel of the namespace whose home is loop i; kept until the next call. */
static inline const char *world_channel(struct world *w, const char *ns, unsigned i)
{
    static char name[64];
    for (int n = 0;; n++) {
        snprintf(name, sizeof(name), "%s:%d", ns, n);
        struct hub *hub = world_hub(w, 0);
        if (hub_home(hub, hub_key(hub, STR("t"), str_from(name))) == world_hub(w, i))
            return name;
    }
}

static inline void keep_answer(void *ctx, const struct answer *a)
{
    *(struct answer *)ctx = *a;
}

static inline void publish_to(struct world *w, unsigned loop, const char *channel, const char *key,
                              struct answer *ret)
{
    *ret = (struct answer){.err = ERR_INTERNAL};
    hub_publish(world_hub(w, loop),
                &(struct publish_params){.tenant = STR("t"),
                                         .channel = str_from(channel),
                                         .data = STR("x"),
                                         .idempotency_key = str_from(key)},
                keep_answer, ret);
}

static inline void subscribe_to(struct fake *f, const char *channel, struct answer *ret)
{
    *ret = (struct answer){.err = ERR_INTERNAL};
    hub_subscribe(&f->session,
                  &(struct subscribe_params){
                      .channel = str_from(channel), .encoding = &fake_encoding, .join_leave = true},
                  keep_answer, ret);
}

static inline void presence_of(struct world *w, unsigned loop, const char *channel,
                               struct answer *ret)
{
    *ret = (struct answer){.err = ERR_INTERNAL};
    hub_presence_stats(world_hub(w, loop), STR("t"), str_from(channel), keep_answer, ret);
}

static inline void assert_told(struct fake *f, const char *want)
{
    fake_read(f);
    assert_true(buf_add_char(&f->told, '\0'));
    assert_string_equal(f->told.p, want);
    buf_clear(&f->told);
}

static inline uint64_t world_channels(struct world *w)
{
    struct hub_stats stats;
    node_read_stats(w->node, &stats);
    return stats.channels;
}

#endif
