/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/harness/failmalloc.h"

#include <stddef.h>
#include <string.h>

static __thread uint64_t countdown;
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
    if (countdown == 0 || --countdown > 0)
        return false;
    fired = true;
    return true;
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

void failmalloc_arm(uint64_t nth)
{
    countdown = nth;
    fired = false;
}

bool failmalloc_disarm(void)
{
    countdown = 0;
    return fired;
}
