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

int main(int argc, char **argv)
{
    static struct fetch_options options;
    fetch_options_parse(argc, argv, &options);
    signal(SIGPIPE, SIG_IGN);
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
    pel_stack_stop(stack);
    if (options.output != NULL && close(out_fd) != 0) {
        fprintf(stderr, "fetch: cannot write to %s: %s\n", options.output, strerror(errno));
        is_fine = false;
    }
    return is_fine ? 0 : 1;
}
