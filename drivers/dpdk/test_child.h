/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DPDK starts once in a process, and its tests make network interfaces: each test therefore runs in a child,
 * with a network namespace of its own that goes away with it. In the child, CHECK and CHECK_OK return a
 * description of what failed; the parent makes it the test's failure.
 */
#ifndef PEL_DRIVERS_DPDK_TEST_CHILD_H
#define PEL_DRIVERS_DPDK_TEST_CHILD_H

#include "drivers/dpdk/dpdk.h"
#include "tests/harness/harness.h"

#define TEST_SKIP_MARK "skip: "
#define TEST_TEXT_LEN  1024

/* What failed (static or in ret_text), or NULL. A text that starts with TEST_SKIP_MARK skips. */
typedef const char *test_child_fn(char ret_text[TEST_TEXT_LEN]);

/* test_in_child runs `fn` in a child in a new network namespace, at most 120 s. */
void test_in_child(const char *file, int line, test_child_fn *fn);

/* test_run runs a shell command; its exit status. */
int test_run(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* test_dpdk_start starts DPDK with 128 MB, without hugepages. */
const char *test_dpdk_start(char ret_text[TEST_TEXT_LEN]);

/* test_port_open is pel_dpdk_port_open; a memif client whose server gets no processor time for longer than
 * the driver asks for it asks again, for 20 s. */
enum pel_err test_port_open(const struct pel_dpdk_port_config *config, struct pel_port **ret_port,
                            struct pel_error *reterr);

const char *test_describe(char ret_text[TEST_TEXT_LEN], int line, const char *what, const char *more);

#define IN_CHILD(fn) test_in_child(__FILE__, __LINE__, fn)

#define CHECK(condition)                                                                                     \
    do {                                                                                                     \
        if (!(condition))                                                                                    \
            return test_describe(ret_text, __LINE__, #condition, "is false");                                \
    } while (0)

#define CHECK_OK(expression)                                                                                 \
    do {                                                                                                     \
        if ((expression) != PEL_OK)                                                                          \
            return test_describe(ret_text, __LINE__, #expression, error.text);                               \
    } while (0)

#define CHECK_NULL(expression)                                                                               \
    do {                                                                                                     \
        const char *text_ = (expression);                                                                    \
        if (text_ != NULL)                                                                                   \
            return text_;                                                                                    \
    } while (0)

#endif
