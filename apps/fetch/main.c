/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fetch: a plain HTTP/1.1 client on the stack's sockets.
 */
#include <errno.h>
#include <fcntl.h>
#include <pellucid/stack.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "apps/fetch/client.h"
#include "apps/fetch/options.h"

static int open_output(const char *path)
{
    int fd = path != NULL ? open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644) : STDOUT_FILENO;
    if (fd < 0)
        fprintf(stderr, "fetch: cannot write to %s: %s\n", path, strerror(errno));
    return fd;
}

/* Blocked before the stack's threads start, so that a signal ends the stay and not the process. */
static void block_signals(sigset_t *ret_signals)
{
    sigemptyset(ret_signals);
    sigaddset(ret_signals, SIGTERM);
    sigaddset(ret_signals, SIGINT);
    sigprocmask(SIG_BLOCK, ret_signals, NULL);
}

static void stay(uint32_t stay_s, const sigset_t *signals)
{
    const struct timespec timeout = {.tv_sec = (time_t)stay_s};
    fprintf(stderr, "fetch: staying for %u s\n", (unsigned)stay_s);
    while (sigtimedwait(signals, NULL, &timeout) < 0 && errno == EINTR)
        continue;
}

int main(int argc, char **argv)
{
    static struct fetch_options options;
    fetch_options_parse(argc, argv, &options);
    signal(SIGPIPE, SIG_IGN);
    sigset_t signals;
    if (options.stay_s > 0)
        block_signals(&signals);
    int out_fd = open_output(options.output);
    if (out_fd < 0)
        return 1;
    struct pel_stack *stack;
    struct pel_error error;
    struct pel_stack_options stack_options = {.config_path = options.config_path};
    if (pel_stack_start(&stack_options, &stack, &error) != PEL_OK) {
        fprintf(stderr, "fetch: %s\n", error.text);
        return 1;
    }
    bool is_fine = fetch_run(&options, out_fd);
    if (options.stay_s > 0)
        stay(options.stay_s, &signals);
    pel_stack_stop(stack);
    if (options.output != NULL && close(out_fd) != 0) {
        fprintf(stderr, "fetch: cannot write to %s: %s\n", options.output, strerror(errno));
        is_fine = false;
    }
    return is_fine ? 0 : 1;
}
