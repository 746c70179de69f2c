/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `pel run -- PROGRAM`: starts a program with the library under it that takes its sockets to the stack. What
 * the library could not follow is found out first, and refused: it would go to the kernel's network in clear.
 */
#include "apps/pel/run.h"

#include <argp.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "apps/pel/seccomp.h"
#include "apps/pel/verb.h"
#include "ipc/message.h"
#include "ipc/program.h"

#define LIBRARY      "libpellucid-preload.so"
#define ENV_ATTACH   "PELLUCID_ATTACH"
#define ENV_JOB      "PELLUCID_JOB"
#define ENV_KERNEL   "PELLUCID_ALLOW_KERNEL"
#define REPLY_WAIT_S 10

enum { KEY_ATTACH = 256, KEY_POLICY, KEY_CONFIG, KEY_JOB, KEY_ALLOW_KERNEL, KEY_VERBOSE };

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
    struct run_options *options = state->input;
    switch (key) {
    case KEY_ATTACH: options->attach = arg; return 0;
    case KEY_POLICY: options->policy = arg; return 0;
    case KEY_CONFIG: options->config = arg; return 0;
    case KEY_JOB: options->job = arg; return 0;
    case KEY_ALLOW_KERNEL: options->allow_kernel = true; return 0;
    case KEY_VERBOSE: options->verbose = true; return 0;
    case ARGP_KEY_ARG: /* the program; what follows is its own */
        options->program = state->argv + state->next - 1;
        state->next = state->argc;
        return 0;
    case ARGP_KEY_NO_ARGS: argp_error(state, "name a program"); return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

static void parse(int argc, char **argv, struct run_options *options)
{
    static const struct argp_option list[] = {
        {"attach", KEY_ATTACH, "PATH", 0, "The daemon's attach socket (" PEL_IPC_SOCKET_PATH ")", 0},
        {"policy", KEY_POLICY, "FILE", 0, "Start a daemon for this program alone, with this policy", 0},
        {"config", KEY_CONFIG, "FILE", 0, "With --policy: the daemon's configuration (a tap port)", 0},
        {"job", KEY_JOB, "NAME", 0, "The job's name for the policy, if the daemon lets this user choose", 0},
        {"allow-kernel", KEY_ALLOW_KERNEL, NULL, 0,
         "Let what cannot be followed use the kernel's network, in clear", 0},
        {"verbose", KEY_VERBOSE, NULL, 0, "With --policy: show what the daemon says", 0},
        {0},
    };
    static const struct argp argp = {
        list,
        parse_option,
        "-- PROGRAM [ARGUMENT...]",
        "Runs a program whose TCP and UDP sockets are those of the stack in the daemon, pel stack, by whose "
        "policy its connections are protected."
        "\vExit status: the program's, 128 and more when a signal ended it; 125 pel run failed, 126 the "
        "program "
        "cannot be run or not be followed, 127 it was not found, 2 wrong usage.",
        NULL,
        NULL,
        NULL,
    };
    argp_err_exit_status = 2;
    argp_parse(&argp, argc, argv, ARGP_IN_ORDER, NULL, options);
}

/* ---- the program ---- */

static int find_program(const struct run_options *options, char ret_path[PATH_MAX])
{
    const char *name = options->program[0];
    int error = pel_program_find(name, ret_path, PATH_MAX);
    if (error == 0)
        return 0;
    fprintf(stderr, "pel run: %s: %s\n", name, error == ENOENT ? "not found" : strerror(error));
    return error == ENOENT ? RUN_NOT_FOUND : RUN_REFUSED;
}

static int judge_program(const struct run_options *options, const char *path)
{
    char why[PATH_MAX + 256];
    if (pel_program_judge(path, why, sizeof why) == PEL_REACH_OK)
        return 0;
    fprintf(stderr, "pel run: %s. %s\n", why,
            options->allow_kernel
                ? "It runs on the kernel's network, in clear, since --allow-kernel was given"
                : "Its connections would go to the kernel's network, in clear; "
                  "--allow-kernel runs it all the same");
    return options->allow_kernel ? 0 : RUN_REFUSED;
}

/* ---- the library ---- */

static bool is_library(const char *path)
{
    return access(path, R_OK) == 0;
}

/* Beside this very program in a build, or where it was installed, also when that was moved as a whole. */
static bool find_library(char ret_path[PATH_MAX])
{
    char own[PATH_MAX], *slash;
    ssize_t len = readlink("/proc/self/exe", own, sizeof own - 1);
    if (len > 0) {
        own[len] = '\0';
        slash = strrchr(own, '/');
        *slash = '\0';
        snprintf(ret_path, PATH_MAX, "%s/../preload/" LIBRARY, own);
        if (is_library(ret_path))
            return true;
        snprintf(ret_path, PATH_MAX, "%s/" PEL_LIB_FROM_BIN "/pellucid/" LIBRARY, own);
        if (is_library(ret_path))
            return true;
    }
    snprintf(ret_path, PATH_MAX, "%s", PEL_LIB_DIR "/pellucid/" LIBRARY);
    if (is_library(ret_path))
        return true;
    fprintf(stderr, "pel run: the library %s is missing: install Pellucid (make install)\n", ret_path);
    return false;
}

static bool take_library(char ret_path[PATH_MAX])
{
    char path[PATH_MAX];
    if (!find_library(path))
        return false;
    if (realpath(path, ret_path) == NULL || strpbrk(ret_path, " :") != NULL) {
        fprintf(stderr,
                "pel run: %s: the loader takes no path with a blank or a colon in it; install Pellucid "
                "elsewhere\n",
                path);
        return false;
    }
    return true;
}

/* ---- the daemon ---- */

static int dial(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const struct timeval wait = {.tv_sec = REPLY_WAIT_S};
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    memcpy(address.sun_path, path, strlen(path) + 1);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof wait);
    if (connect(fd, (const struct sockaddr *)&address, sizeof address) == 0)
        return fd;
    int error = errno;
    close(fd);
    errno = error;
    return -1;
}

/* The name is the daemon's to grant: asked for here, a refusal is heard before the program begins. */
static bool may_take_job(int fd, const char *job)
{
    struct pel_ipc_request request = {.version = PEL_IPC_VERSION, .op = PEL_IPC_HELLO};
    struct pel_ipc_reply reply;
    int fds[PEL_IPC_FDS_MAX];
    size_t num_fds = 0;
    snprintf(request.name, sizeof request.name, "%s", job);
    if (strlen(job) >= sizeof request.name || pel_ipc_send(fd, &request, sizeof request, NULL, 0, 0) != 0 ||
        pel_ipc_receive(fd, &reply, sizeof reply, fds, PEL_IPC_FDS_MAX, &num_fds, 0) != sizeof reply) {
        fprintf(stderr, "pel run: --job %s: the daemon does not answer the question whether it may be used\n",
                job);
        return false;
    }
    for (size_t i = 0; i < num_fds; i++)
        close(fds[i]);
    reply.text[sizeof reply.text - 1] = '\0';
    if (reply.error != 0)
        fprintf(stderr, "pel run: --job %s: %s\n", job,
                reply.text[0] != '\0' ? reply.text : strerror((int)reply.error));
    return reply.error == 0;
}

static bool ask_daemon(const struct run_options *options)
{
    const size_t path_max = sizeof((struct sockaddr_un *)NULL)->sun_path - 1;
    if (strlen(options->attach) > path_max) {
        fprintf(stderr, "pel run: --attach %s: a socket's path has at most %zu bytes\n", options->attach,
                path_max);
        return false;
    }
    int fd = dial(options->attach);
    if (fd < 0) {
        if (errno == EACCES)
            fprintf(stderr, "pel run: this user may not attach to the daemon at %s\n", options->attach);
        else
            fprintf(stderr,
                    "pel run: no daemon answers at %s: start one with `pel stack`, or give --policy FILE to "
                    "start a private one\n",
                    options->attach);
        return false;
    }
    bool may = options->job == NULL || may_take_job(fd, options->job);
    close(fd);
    return may;
}

/* ---- becoming it ---- */

static bool prepend_library(const char *library)
{
    const char *before = getenv("LD_PRELOAD");
    char *list = NULL;
    if (before == NULL || before[0] == '\0')
        return setenv("LD_PRELOAD", library, 1) == 0;
    bool done = asprintf(&list, "%s:%s", library, before) >= 0 && setenv("LD_PRELOAD", list, 1) == 0;
    free(list);
    return done;
}

static bool set_or_unset(const char *name, const char *value)
{
    return (value != NULL ? setenv(name, value, 1) : unsetenv(name)) == 0;
}

/* The program's own directory is not ours. */
static bool set_attach(const char *path)
{
    char absolute[PATH_MAX], own[PATH_MAX / 2];
    if (path[0] == '/')
        return setenv(ENV_ATTACH, path, 1) == 0;
    if (getcwd(own, sizeof own) == NULL)
        return false;
    snprintf(absolute, sizeof absolute, "%s/%s", own, path);
    if (strlen(absolute) >= sizeof((struct sockaddr_un *)NULL)->sun_path) {
        errno = ENAMETOOLONG;
        return false;
    }
    return setenv(ENV_ATTACH, absolute, 1) == 0;
}

int run_exec(const struct run_options *options, const char *path, const char *library)
{
    if (!prepend_library(library) || !set_attach(options->attach) || !set_or_unset(ENV_JOB, options->job) ||
        !set_or_unset(ENV_KERNEL, options->allow_kernel ? "1" : NULL)) {
        fprintf(stderr, "pel run: the environment cannot be set: %s\n", strerror(errno));
        return RUN_FAILED;
    }
    if (!options->allow_kernel) {
        /* Programs that gain rights cannot be followed anyhow, and a filter needs that none is gained. */
        int error = prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ? errno : seccomp_no_io_uring();
        if (error != 0) {
            fprintf(stderr,
                    "pel run: io_uring, which would pass by the library, cannot be switched off: %s; "
                    "--allow-kernel goes without\n",
                    strerror(error));
            return RUN_FAILED;
        }
    }
    execvp(path, options->program);
    fprintf(stderr, "pel run: %s: %s\n", path, strerror(errno));
    return errno == ENOENT ? RUN_NOT_FOUND : RUN_REFUSED;
}

static bool are_consistent(const struct run_options *options)
{
    if (options->config != NULL && options->policy == NULL)
        fprintf(stderr, "pel run: --config is for a private daemon: give --policy FILE too\n");
    else if (options->attach != NULL && options->policy != NULL)
        fprintf(stderr, "pel run: --attach names a daemon that runs, --policy starts another: give one\n");
    else
        return true;
    return false;
}

int verb_run(int argc, char **argv)
{
    struct run_options options = {.attach = NULL};
    char path[PATH_MAX], library[PATH_MAX];
    parse(argc, argv, &options);
    if (!are_consistent(&options))
        return 2;
    int status = find_program(&options, path);
    if (status == 0)
        status = judge_program(&options, path);
    if (status != 0)
        return status;
    if (!take_library(library))
        return RUN_FAILED;
    if (options.policy != NULL)
        return run_private(&options, path, library);
    if (options.attach == NULL)
        options.attach = getenv(ENV_ATTACH); /* of a pel run around this one */
    if (options.attach == NULL || options.attach[0] == '\0')
        options.attach = PEL_IPC_SOCKET_PATH;
    return ask_daemon(&options) ? run_exec(&options, path, library) : RUN_FAILED;
}
