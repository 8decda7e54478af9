/*
 * pool_test.c - sizes, alignment, blocks that die on other threads, and what is kept. Under
 * AddressSanitizer nothing is kept, so what is counted there is only counted elsewhere.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/pool.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <string.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define KEEPS 0
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define KEEPS 0
#endif
#ifndef KEEPS
#define KEEPS 1
#endif

static void every_size_is_usable_and_aligned(void **state)
{
    (void)state;
    for (size_t n = 0; n < 200000; n += n < 300 ? 1 : 97) {
        char *p = pool_alloc(n);
        assert_non_null(p);
        assert_int_equal((uintptr_t)p % _Alignof(max_align_t), 0);
        assert_true(pool_size(p) >= n);
        memset(p, 0x5a, pool_size(p)); // a sanitizer sees what is not ours
        pool_free(p);
    }
    assert_null(pool_alloc((size_t)UINT32_MAX + 1));
    pool_free(NULL);
}

static void what_was_given_back_is_used_again(void **state)
{
    (void)state;
    void *blocks[500];
    for (int round = 0; round < 3; round++) {
        uint64_t before = pool_misses();
        for (size_t i = 0; i < 500; i++)
            blocks[i] = pool_alloc(i * 130 % 65000);
        if (KEEPS && round > 0)
            assert_int_equal(pool_misses(), before);
        for (size_t i = 0; i < 500; i++)
            pool_free(blocks[i]);
    }
}

static void what_is_kept_is_bounded(void **state)
{
    (void)state;
    enum { BLOCK = 65536, COUNT = 2 * POOL_KEEP_BYTES / BLOCK };
    static void *blocks[COUNT];
    for (int i = 0; i < COUNT; i++)
        blocks[i] = pool_alloc(BLOCK);
    for (int i = 0; i < COUNT; i++)
        pool_free(blocks[i]);
    uint64_t before = pool_misses();
    for (int i = 0; i < COUNT; i++)
        blocks[i] = pool_alloc(BLOCK);
    if (KEEPS)
        assert_int_equal(pool_misses() - before, COUNT - POOL_KEEP_BYTES / BLOCK);
    for (int i = 0; i < COUNT; i++)
        pool_free(blocks[i]);
    pool_drop();
}

/* ---- across threads: each makes blocks that its neighbour frees ---- */

enum { THREADS = 4, ROUNDS = 300, BLOCKS = 50 };

struct hand {
    pthread_t thread;
    sem_t full, empty; // of what lies here for the thread to free
    char *blocks[BLOCKS];
    struct hand *neighbour;
    uint64_t early_misses, late_misses;
};

static void *juggle(void *arg)
{
    struct hand *own = arg, *to = own->neighbour;
    for (int round = 0; round < ROUNDS; round++) {
        sem_wait(&to->empty);
        for (size_t i = 0; i < BLOCKS; i++) {
            to->blocks[i] = pool_alloc(50 + i * 40);
            memset(to->blocks[i], (int)i, 50 + i * 40);
        }
        sem_post(&to->full);
        sem_wait(&own->full);
        for (size_t i = 0; i < BLOCKS; i++) {
            assert_int_equal(own->blocks[i][49], (char)i);
            pool_free(own->blocks[i]);
        }
        sem_post(&own->empty);
        if (round == ROUNDS / 2)
            own->early_misses = pool_misses();
    }
    own->late_misses = pool_misses();
    pool_drop();
    return NULL;
}

static void blocks_come_home_from_other_threads(void **state)
{
    (void)state;
    struct hand hands[THREADS] = {0};
    for (int i = 0; i < THREADS; i++) {
        sem_init(&hands[i].full, 0, 0);
        sem_init(&hands[i].empty, 0, 1);
        hands[i].neighbour = &hands[(i + 1) % THREADS];
    }
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&hands[i].thread, NULL, juggle, &hands[i]), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(hands[i].thread, NULL);
    for (int i = 0; i < THREADS && KEEPS; i++) {
        /* At most two rounds of blocks are under way. */
        assert_true(hands[i].late_misses <= 3 * BLOCKS);
        assert_int_equal(hands[i].late_misses, hands[i].early_misses);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_size_is_usable_and_aligned),
        cmocka_unit_test(what_was_given_back_is_used_again),
        cmocka_unit_test(what_is_kept_is_bounded),
        cmocka_unit_test(blocks_come_home_from_other_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
