/* random.h - bytes nobody can guess.
 * Thread:  any.
 * Memory:  the caller's.
 * Failure: none: without a source of randomness the process ends. */
#ifndef BASE_RANDOM_H
#define BASE_RANDOM_H

#include "base/str.h"

#include <stddef.h>
#include <stdint.h>

void random_bytes(void *ret, size_t n);
uint64_t random_u64(void);

enum { UUID_TEXT = 36 };
/* A random (version 4) UUID, and its text of 36 characters without a terminator. */
void uuid_make(uint8_t ret[16]);
void uuid_format(const uint8_t uuid[16], char ret[UUID_TEXT]);
/* The text in any case. False: it is none, and ret is as it was. */
bool uuid_parse(struct str text, uint8_t ret[16]);

#endif
