/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fault injection: the Nth allocation fails. A test program that wants it links failmalloc_dep, which wraps
 * malloc, calloc, realloc and strdup at link time, in our code and in the vendor code that is linked
 * statically.
 */
#ifndef PEL_TESTS_FAILMALLOC_H
#define PEL_TESTS_FAILMALLOC_H

#include <stdbool.h>
#include <stdint.h>

/* failmalloc_arm makes the `nth` allocation of the calling thread from now on fail, once (1: the next). */
void failmalloc_arm(uint64_t nth);

/* failmalloc_arm_many makes `num` allocations fail in a row, from the `nth` on; `num` 0 only counts. */
void failmalloc_arm_many(uint64_t nth, uint64_t num);

/* failmalloc_count returns how many allocations the calling thread has asked for since it armed. */
uint64_t failmalloc_count(void);

/* failmalloc_disarm ends it; returns whether an allocation was made to fail. */
bool failmalloc_disarm(void);

/* failmalloc_fails counts an allocation of another allocator; returns whether it is the one that fails. */
bool failmalloc_fails(void);

#endif
