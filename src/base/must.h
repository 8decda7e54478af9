/* must.h - assertions that stay on in release builds.
 * Thread:  any.
 * Memory:  none.
 * Failure: a condition that does not hold ends the process with its text and place. A condition
 *          is about our own bugs, never about input: what a client sends is answered. */
#ifndef BASE_MUST_H
#define BASE_MUST_H

_Noreturn void must_fail(const char *cond, const char *file, int line, const char *func);

/* The condition never has a side effect. */
#define MUST(cond)                                                                                 \
    do {                                                                                           \
        if (__builtin_expect(!(cond), 0))                                                          \
            must_fail(#cond, __FILE__, __LINE__, __func__);                                        \
    } while (0)

/* The object of type that holds member at address ptr. */
#define container_of(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

#endif
