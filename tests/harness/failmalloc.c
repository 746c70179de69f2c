/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/harness/failmalloc.h"

#include <stddef.h>
#include <string.h>

static __thread uint64_t fail_from, fail_num, num_asked;
static __thread bool fired;

void *__real_malloc(size_t len);
void *__real_calloc(size_t num, size_t len);
void *__real_realloc(void *old, size_t len);
char *__real_strdup(const char *text);
void *__wrap_malloc(size_t len);
void *__wrap_calloc(size_t num, size_t len);
void *__wrap_realloc(void *old, size_t len);
char *__wrap_strdup(const char *text);

bool failmalloc_fails(void)
{
    num_asked++;
    bool fails = num_asked >= fail_from && num_asked - fail_from < fail_num;
    fired |= fails;
    return fails;
}

void *__wrap_malloc(size_t len)
{
    return failmalloc_fails() ? NULL : __real_malloc(len);
}

void *__wrap_calloc(size_t num, size_t len)
{
    return failmalloc_fails() ? NULL : __real_calloc(num, len);
}

void *__wrap_realloc(void *old, size_t len)
{
    return failmalloc_fails() ? NULL : __real_realloc(old, len);
}

char *__wrap_strdup(const char *text)
{
    return failmalloc_fails() ? NULL : __real_strdup(text);
}

void failmalloc_arm_many(uint64_t nth, uint64_t num)
{
    fail_from = nth;
    fail_num = num;
    num_asked = 0;
    fired = false;
}

void failmalloc_arm(uint64_t nth)
{
    failmalloc_arm_many(nth, 1);
}

uint64_t failmalloc_count(void)
{
    return num_asked;
}

bool failmalloc_disarm(void)
{
    fail_num = 0;
    return fired;
}
