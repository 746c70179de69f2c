/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A daemon for one program: a folder of its own for its sockets, started before the program and ended after
 * it. When pel run is killed, the kernel ends the daemon.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pellucid/policy.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "apps/pel/run.h"

#define PATIENCE_MS 2000 /* for the last connections to end, and then for the daemon */
#define LOOK_MS     5

/* ---- the policy, before anything is started ---- */

static void show_message(void *arg, const struct pel_policy_message *message)
{
    (void)arg;
    if (message->severity == PEL_POLICY_ERROR)
        fprintf(stderr, "%s:%u:%u: error: %s\n", message->file, message->line, message->column,
                message->text);
}

static bool is_policy_right(const char *path)
{
    struct pel_error error;
    if (pel_policy_check(&path, 1, NULL, show_message, NULL, NULL, &error) == PEL_OK)
        return true;
    fprintf(stderr, "pel run: --policy %s: %s\n", path, error.text);
    return false;
}

/* ---- its folder ---- */

static bool make_dir(struct run_daemon *daemon)
{
    const char *tmp = getenv("TMPDIR");
    if (tmp == NULL || tmp[0] != '/' || strlen(tmp) > sizeof daemon->dir - 24)
        tmp = "/tmp";
    snprintf(daemon->dir, sizeof daemon->dir, "%s/pellucid-run-XXXXXX", tmp);
    if (mkdtemp(daemon->dir) == NULL) {
        fprintf(stderr, "pel run: no folder can be made in %s: %s\n", tmp, strerror(errno));
        daemon->dir[0] = '\0';
        return false;
    }
    snprintf(daemon->attach, sizeof daemon->attach, "%s/attach.sock", daemon->dir);
    return true;
}

/* Nothing in it is a folder. */
static void remove_dir(const struct run_daemon *daemon)
{
    const struct dirent *entry;
    DIR *dir = daemon->dir[0] != '\0' ? opendir(daemon->dir) : NULL;
    if (dir == NULL)
        return;
    while ((entry = readdir(dir)) != NULL)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            unlinkat(dirfd(dir), entry->d_name, 0);
    closedir(dir);
    rmdir(daemon->dir);
}

static bool listen_for_ready(struct run_daemon *daemon)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s/notify.sock", daemon->dir);
    daemon->notify_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (daemon->notify_fd >= 0 &&
        bind(daemon->notify_fd, (const struct sockaddr *)&address, sizeof address) == 0 &&
        setenv("NOTIFY_SOCKET", address.sun_path, 1) == 0)
        return true;
    fprintf(stderr, "pel run: %s: %s\n", address.sun_path, strerror(errno));
    return false;
}

/* ---- the daemon ---- */

/* In a session of its own, so that what the terminal sends is for the program alone. */
static void be_daemon(const struct run_options *options, const struct run_daemon *daemon, pid_t parent)
{
    char own[PATH_MAX], log[96], control[96], with_parent[40];
    ssize_t len = readlink("/proc/self/exe", own, sizeof own - 1);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    setsid();
    snprintf(log, sizeof log, "%s/log", daemon->dir);
    snprintf(control, sizeof control, "%s/control.sock", daemon->dir);
    snprintf(with_parent, sizeof with_parent, "--with-parent=%d", (int)parent);
    int out = options->verbose ? STDERR_FILENO : open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    int in = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (len <= 0 || in < 0 || out < 0 || dup2(in, STDIN_FILENO) < 0 || dup2(out, STDOUT_FILENO) < 0 ||
        dup2(out, STDERR_FILENO) < 0)
        _exit(RUN_FAILED);
    own[len] = '\0';
    execl(own, "pel", "stack", with_parent, "--config", daemon->config, "--policy", options->policy,
          "--attach", daemon->attach, "--control", control, NULL);
    _exit(RUN_FAILED);
}

static bool start_daemon(const struct run_options *options, struct run_daemon *daemon)
{
    pid_t parent = getpid();
    daemon->pid = fork();
    if (daemon->pid == 0)
        be_daemon(options, daemon, parent);
    if (daemon->pid < 0) {
        fprintf(stderr, "pel run: no process for the daemon: %s\n", strerror(errno));
        daemon->pid = 0;
        return false;
    }
    return run_wait_ready(daemon) && (daemon->device[0] == '\0' || run_set_kernel_side(daemon));
}

static bool has_ended(struct run_daemon *daemon)
{
    const struct timespec look = {.tv_nsec = LOOK_MS * 1000000};
    for (int waited_ms = 0; waited_ms < PATIENCE_MS; waited_ms += LOOK_MS) {
        if (waitpid(daemon->pid, NULL, WNOHANG) != 0)
            return true;
        nanosleep(&look, NULL);
    }
    return false;
}

/* Its first SIGTERM waits for connections, its second does not. */
static void stop_daemon(struct run_daemon *daemon)
{
    static const int signals[] = {SIGTERM, SIGTERM, SIGKILL};
    for (size_t i = 0; i < sizeof signals / sizeof *signals && daemon->pid > 0; i++) {
        kill(daemon->pid, signals[i]);
        if (has_ended(daemon))
            daemon->pid = 0;
    }
}

/* ---- both ---- */

static void block_signals(sigset_t *ret_signals, sigset_t *ret_before)
{
    static const int passed_on[] = {SIGCHLD, SIGTERM, SIGINT,  SIGHUP,  SIGQUIT,
                                    SIGUSR1, SIGUSR2, SIGCONT, SIGALRM, SIGWINCH};
    sigemptyset(ret_signals);
    for (size_t i = 0; i < sizeof passed_on / sizeof *passed_on; i++)
        sigaddset(ret_signals, passed_on[i]);
    sigprocmask(SIG_BLOCK, ret_signals, ret_before);
}

static int run_program(const struct run_options *options, const char *path, const char *library)
{
    sigset_t signals, before;
    block_signals(&signals, &before);
    pid_t pid = fork();
    if (pid == 0) {
        sigprocmask(SIG_SETMASK, &before, NULL);
        unsetenv("NOTIFY_SOCKET");
        _exit(run_exec(options, path, library));
    }
    if (pid < 0) {
        fprintf(stderr, "pel run: no process for the program: %s\n", strerror(errno));
        return RUN_FAILED;
    }
    return run_child_wait(pid, &signals);
}

int run_private(const struct run_options *options, const char *path, const char *library)
{
    struct run_daemon daemon = {.notify_fd = -1};
    struct run_options own = *options;
    int status = RUN_FAILED;
    if (!is_policy_right(options->policy) || !make_dir(&daemon))
        return RUN_FAILED;
    own.attach = daemon.attach;
    if (options->config != NULL)
        snprintf(daemon.config, sizeof daemon.config, "%s", options->config);
    if ((options->config != NULL || run_write_config(options, &daemon)) && listen_for_ready(&daemon) &&
        start_daemon(&own, &daemon))
        status = run_program(&own, path, library);
    stop_daemon(&daemon);
    if (daemon.notify_fd >= 0)
        close(daemon.notify_fd);
    remove_dir(&daemon);
    return status;
}
