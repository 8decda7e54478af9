/* store_world.h - a store in memory and the loop that asks it, for tests of what lives on one.
 * Thread:  the test's.
 * Memory:  begin() to end(); nothing may be under way at the end.
 * Failure: the test's. */
#ifndef UNIT_STORE_STORE_WORLD_H
#define UNIT_STORE_STORE_WORLD_H

#include "store/store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static struct loop *loop;
static struct store *store;

static void keep_all(void *ctx, struct str key, struct store_retention *ret)
{
    (void)ctx;
    (void)key;
    *ret = (struct store_retention){.count = 1, .bytes = 1};
}

static int begin(void **state)
{
    struct buf why;
    (void)state;
    buf_init(&why, 4096);
    loop = loop_create(0);
    store = store_open(&(struct store_options){.url = STR("memory"),
                                               .queue_bytes_max = 1 << 20,
                                               .streams_max = 10,
                                               .retention = keep_all},
                       &why);
    assert_non_null(store);
    buf_fini(&why);
    return 0;
}

static int end(void **state)
{
    (void)state;
    store_stop(store);
    loop_turn(loop, 0);
    store_close(&store);
    loop_destroy(&loop);
    return 0;
}

#endif
