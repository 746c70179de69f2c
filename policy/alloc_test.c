/* SPDX-License-Identifier: Apache-2.0 */
/* Every allocation fails once: the answer is NO_MEMORY, and nothing leaks or breaks (the sanitizers watch).
 * */
#include <stdlib.h>
#include <string.h>

#include "policy/arena.h"
#include "policy/files.h"
#include "policy/testing.h"
#include "tests/harness/failmalloc.h"
#include "tests/harness/harness.h"

void *__real_pel_arena_alloc(struct pel_arena *arena, size_t len);
char *__real_pel_arena_strndup(struct pel_arena *arena, const char *text, size_t text_len);
void *__wrap_pel_arena_alloc(struct pel_arena *arena, size_t len);
char *__wrap_pel_arena_strndup(struct pel_arena *arena, const char *text, size_t text_len);

/* An arena asks malloc only now and then; each of its own allocations fails in its turn as well. */
void *__wrap_pel_arena_alloc(struct pel_arena *arena, size_t len)
{
    return failmalloc_fails() ? NULL : __real_pel_arena_alloc(arena, len);
}

char *__wrap_pel_arena_strndup(struct pel_arena *arena, const char *text, size_t text_len)
{
    return failmalloc_fails() ? NULL : __real_pel_arena_strndup(arena, text, text_len);
}

static void fail_each(const char *const *paths, size_t num_paths, enum pel_err expected, long at_least)
{
    static struct pel_parsed parsed;
    for (long nth = 0;; nth++) {
        memset(&parsed, 0, sizeof parsed);
        failmalloc_arm((uint64_t)nth + 1);
        struct pel_policy_files files = {0};
        enum pel_err err = pel_policy_load_files(paths, num_paths, NULL, pel_test_note, &parsed,
                                                 &parsed.policy, NULL, &files, NULL);
        pel_policy_files_free(&files);
        bool failed = failmalloc_disarm();
        PEL_EXPECT((parsed.policy != NULL) == (err == PEL_OK));
        pel_test_drop(&parsed);
        if (!failed) {
            PEL_EXPECT_ERR(err, expected);
            if (nth < at_least)
                pel_test_fail(__FILE__, __LINE__, "%s: only %ld allocations", paths[0], nth);
            return;
        }
        if (err != PEL_E_NO_MEMORY)
            pel_test_fail(__FILE__, __LINE__, "allocation %ld failed, and the answer was %s", nth,
                          pel_err_name(err));
        if (pel_test_has_failed())
            return;
    }
}

PEL_TEST(alloc, each_one_fails_once)
{
    static const char *const good[] = {PEL_TEST_DATA "/rules.policy", PEL_TEST_DATA "/actions.policy"};
    static const char *const bad[] = {PEL_TEST_DATA "/rules.policy", PEL_TEST_DATA "/warnings.policy"};
    static const char *const every[] = {PEL_TEST_DATA "/every.policy"};
    static const char *const agent[] = {PEL_TEST_DATA "/agent/pagent.conf"};
    fail_each(agent, 1, PEL_OK, 30);
    fail_each(good, 2, PEL_OK, 50);
    fail_each(bad, 2, PEL_E_POLICY_SYNTAX, 50);
    fail_each(every, 1, PEL_OK, 50);
}
