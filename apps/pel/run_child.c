/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Waiting for the program of a private daemon, as if it had been started without pel run between.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "apps/pel/run.h"

#define READY_WAIT_MS 60000
#define LOOK_MS       20

int run_child_wait(pid_t program, const sigset_t *signals)
{
    siginfo_t info;
    int status;
    for (;;) {
        pid_t ended = waitpid(program, &status, WNOHANG);
        if (ended == program)
            return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
        if (ended < 0 && errno != EINTR)
            return RUN_FAILED;
        if (sigwaitinfo(signals, &info) < 0 || info.si_signo == SIGCHLD)
            continue;
        /* What a terminal sends, the program has got as well. */
        if (info.si_code <= 0)
            kill(program, info.si_signo);
    }
}

static void show_log(const struct run_daemon *daemon)
{
    char path[96], line[1300];
    snprintf(path, sizeof path, "%s/log", daemon->dir);
    FILE *file = fopen(path, "re");
    while (file != NULL && fgets(line, sizeof line, file) != NULL)
        fputs(line, stderr);
    if (file != NULL)
        fclose(file);
}

/* Datagrams of the daemon: the service manager's protocol. */
static bool has_said_ready(int fd)
{
    char state[1024];
    ssize_t len = recv(fd, state, sizeof state - 1, MSG_DONTWAIT);
    if (len <= 0)
        return false;
    state[len] = '\0';
    return strncmp(state, "READY=1", 7) == 0;
}

bool run_wait_ready(struct run_daemon *daemon)
{
    struct pollfd pollfd = {.fd = daemon->notify_fd, .events = POLLIN};
    for (int waited_ms = 0; waited_ms < READY_WAIT_MS; waited_ms += LOOK_MS) {
        if (poll(&pollfd, 1, LOOK_MS) > 0 && has_said_ready(daemon->notify_fd))
            return true;
        if (waitpid(daemon->pid, NULL, WNOHANG) == daemon->pid) {
            daemon->pid = 0;
            show_log(daemon);
            fprintf(stderr, "pel run: the private daemon could not start\n");
            return false;
        }
    }
    show_log(daemon);
    fprintf(stderr, "pel run: the private daemon was not ready in %d s\n", READY_WAIT_MS / 1000);
    return false;
}
