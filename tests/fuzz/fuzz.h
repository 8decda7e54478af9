/* fuzz.h - the entry that every fuzz target defines.
 * Thread:  one.
 * Memory:  the input is the caller's and ends exactly at size.
 * Failure: a target that finds something wrong aborts. */
#ifndef FUZZ_FUZZ_H
#define FUZZ_FUZZ_H

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
