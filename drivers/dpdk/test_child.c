/* SPDX-License-Identifier: Apache-2.0 */
#include "drivers/dpdk/test_child.h"

#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"

#define MAX_CHILD_S 120
#define OPEN_US     20000000u

/* Of the sanitizer, when there is one. */
int __lsan_do_recoverable_leak_check(void) __attribute__((weak));

static const char *run_child(test_child_fn *fn, char ret_text[TEST_TEXT_LEN])
{
    alarm(MAX_CHILD_S);
    if (unshare(CLONE_NEWNET) != 0)
        return TEST_SKIP_MARK "no network namespaces (not root?)";
    if (access("/dev/net/tun", R_OK | W_OK) != 0)
        return TEST_SKIP_MARK "no /dev/net/tun";
    const char *failure = fn(ret_text);
    if (failure == NULL && __lsan_do_recoverable_leak_check != NULL &&
        __lsan_do_recoverable_leak_check() != 0)
        failure = "memory was leaked (LeakSanitizer's report is above)";
    return failure;
}

static size_t read_all(int fd, char *ret_text, size_t cap)
{
    size_t len = 0;
    ssize_t n;
    while (len + 1 < cap && (n = read(fd, ret_text + len, cap - 1 - len)) > 0)
        len += (size_t)n;
    ret_text[len] = 0;
    return len;
}

void test_in_child(const char *file, int line, test_child_fn *fn)
{
    char text[TEST_TEXT_LEN] = "";
    int ends[2], status = 0;
    fflush(NULL);
    if (pipe(ends) != 0) {
        pel_test_fail(file, line, "no pipe");
        return;
    }
    pid_t child = fork();
    if (child == 0) {
        close(ends[0]);
        const char *failure = run_child(fn, text);
        ssize_t written = failure != NULL ? write(ends[1], failure, strlen(failure)) : 0;
        _exit(written < 0);
    }
    close(ends[1]);
    size_t len = read_all(ends[0], text, sizeof text);
    close(ends[0]);
    waitpid(child, &status, 0);
    if (status != 0)
        pel_test_fail(file, line, "the child ended with status %#x %s", (unsigned)status, text);
    else if (strncmp(text, TEST_SKIP_MARK, strlen(TEST_SKIP_MARK)) == 0)
        pel_test_skip(file, line, text + strlen(TEST_SKIP_MARK));
    else if (len > 0)
        pel_test_fail(file, line, "in the child: %s", text);
}

int test_run(const char *format, ...)
{
    char command[512];
    va_list list;
    va_start(list, format);
    vsnprintf(command, sizeof command, format, list);
    va_end(list);
    return system(command);
}

const char *test_dpdk_start(char ret_text[TEST_TEXT_LEN])
{
    struct pel_dpdk_config config = {.hugepages = PEL_DPDK_HUGEPAGES_NO, .memory_mb = 128};
    struct pel_error error = {0};
    CHECK_OK(pel_dpdk_start(&config, &error));
    return NULL;
}

enum pel_err test_port_open(const struct pel_dpdk_port_config *config, struct pel_port **ret_port,
                            struct pel_error *reterr)
{
    const struct pel_clock clock = pel_clock_real();
    uint64_t end_us = pel_clock_now_us(&clock) + OPEN_US;
    for (;;) {
        enum pel_err err = pel_dpdk_port_open(config, ret_port, reterr);
        if (err == PEL_OK || strstr(reterr->text, "reach the server") == NULL ||
            pel_clock_now_us(&clock) >= end_us)
            return err;
    }
}

const char *test_describe(char ret_text[TEST_TEXT_LEN], int line, const char *what, const char *more)
{
    snprintf(ret_text, TEST_TEXT_LEN, "line %d: %s: %s", line, what, more);
    return ret_text;
}
