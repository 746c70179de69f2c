/* SPDX-License-Identifier: Apache-2.0 */
/*
 * googletest behind a C face, so that a test of a C module is C. A test is a function that registers itself
 * before main; a failed check names the file and line and, in the PEL_REQUIRE forms, ends the test.
 * `tests/harness/main.cc` brings main.
 *
 *     PEL_TEST(byte_ring, keeps_order)
 *     {
 *         PEL_REQUIRE(pel_byte_ring_init(&ring, 1024) == PEL_OK);
 *         PEL_EXPECT_EQ(pel_byte_ring_used(&ring), 0);
 *     }
 */
#ifndef PEL_TESTS_HARNESS_H
#define PEL_TESTS_HARNESS_H

#include <stdint.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef void pel_test_fn(void);

void pel_test_register(const char *suite, const char *name, const char *file, int line, pel_test_fn *fn);
void pel_test_fail(const char *file, int line, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Marks the running test as skipped, with the reason that the summary shows. */
void pel_test_skip(const char *file, int line, const char *reason);

/* 1 when the running test has failed already, else 0. */
int pel_test_has_failed(void);

/* Prints a line that belongs to the running test ("seed 17"). */
void pel_test_say(const char *format, ...) __attribute__((format(printf, 1, 2)));

#ifdef __cplusplus
}
#endif

#define PEL_TEST(suite, name)                                                                                \
    static void pel_test_##suite##_##name(void);                                                             \
    __attribute__((constructor)) static void pel_test_add_##suite##_##name(void)                             \
    {                                                                                                        \
        pel_test_register(#suite, #name, __FILE__, __LINE__, pel_test_##suite##_##name);                     \
    }                                                                                                        \
    static void pel_test_##suite##_##name(void)

#define PEL_EXPECT(condition)                                                                                \
    do {                                                                                                     \
        if (!(condition))                                                                                    \
            pel_test_fail(__FILE__, __LINE__, "expected: %s", #condition);                                   \
    } while (0)

#define PEL_REQUIRE(condition)                                                                               \
    do {                                                                                                     \
        if (!(condition)) {                                                                                  \
            pel_test_fail(__FILE__, __LINE__, "required: %s", #condition);                                   \
            return;                                                                                          \
        }                                                                                                    \
    } while (0)

/* Integers of any type; the failure shows both. */
#define PEL_EXPECT_EQ(a, b)                                                                                  \
    do {                                                                                                     \
        long long pel_a_ = (long long)(a), pel_b_ = (long long)(b);                                          \
        if (pel_a_ != pel_b_)                                                                                \
            pel_test_fail(__FILE__, __LINE__, "%s is %lld, %s is %lld", #a, pel_a_, #b, pel_b_);             \
    } while (0)

#define PEL_EXPECT_STR(a, b)                                                                                 \
    do {                                                                                                     \
        const char *pel_a_ = (a), *pel_b_ = (b);                                                             \
        if (pel_a_ == NULL || pel_b_ == NULL || strcmp(pel_a_, pel_b_) != 0)                                 \
            pel_test_fail(__FILE__, __LINE__, "%s is \"%s\", expected \"%s\"", #a,                           \
                          pel_a_ ? pel_a_ : "(null)", pel_b_ ? pel_b_ : "(null)");                           \
    } while (0)

/* That `text` contains `part`. */
#define PEL_EXPECT_HAS(text, part)                                                                           \
    do {                                                                                                     \
        const char *pel_a_ = (text), *pel_b_ = (part);                                                       \
        if (pel_a_ == NULL || strstr(pel_a_, pel_b_) == NULL)                                                \
            pel_test_fail(__FILE__, __LINE__, "%s is \"%s\", expected it to contain \"%s\"", #text,          \
                          pel_a_ ? pel_a_ : "(null)", pel_b_);                                               \
    } while (0)

#define PEL_EXPECT_MEM(a, b, len)                                                                            \
    do {                                                                                                     \
        if (memcmp((a), (b), (len)) != 0)                                                                    \
            pel_test_fail(__FILE__, __LINE__, "the bytes of %s and %s differ", #a, #b);                      \
    } while (0)

/* An enum pel_err; the failure shows both names. Needs base/err.h. */
#define PEL_EXPECT_ERR(expression, expected)                                                                 \
    do {                                                                                                     \
        enum pel_err pel_a_ = (expression), pel_b_ = (expected);                                             \
        if (pel_a_ != pel_b_)                                                                                \
            pel_test_fail(__FILE__, __LINE__, "%s is %s, expected %s", #expression, pel_err_name(pel_a_),    \
                          pel_err_name(pel_b_));                                                             \
    } while (0)

#define PEL_REQUIRE_OK(expression)                                                                           \
    do {                                                                                                     \
        enum pel_err pel_a_ = (expression);                                                                  \
        if (pel_a_ != PEL_OK) {                                                                              \
            pel_test_fail(__FILE__, __LINE__, "%s is %s", #expression, pel_err_name(pel_a_));                \
            return;                                                                                          \
        }                                                                                                    \
    } while (0)

#define PEL_SKIP(reason)                                                                                     \
    do {                                                                                                     \
        pel_test_skip(__FILE__, __LINE__, (reason));                                                         \
        return;                                                                                              \
    } while (0)

#endif
