/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `pel stack`: the daemon. It owns the port, the policy and the keys; programs that are started with `pel
 * run` attach to it. The main thread waits for signals: SIGHUP loads the policy again; SIGTERM and SIGINT let
 * connections end by themselves for a while and then end the daemon, a second one at once.
 */
#include <argp.h>
#include <errno.h>
#include <libgen.h>
#include <pellucid/stack.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "apps/pel/notify.h"
#include "apps/pel/sandbox.h"
#include "apps/pel/verb.h"

#define DEFAULT_CONFIG "/etc/pellucid/stack.yaml"
#define DEFAULT_ATTACH "/run/pellucid/attach.sock"
#define LINE_LEN       1200

enum {
    KEY_CONFIG = 256,
    KEY_CHECK,
    KEY_NO_SANDBOX,
    KEY_FOREGROUND,
    KEY_WITH_PARENT,
    KEY_POLICY,
    KEY_ATTACH,
    KEY_CONTROL
};

struct daemon {
    const char *config_path, *policy, *attach, *control;
    bool check, no_sandbox;
    pid_t with_parent; /* 0: none */
    sigset_t signals;
    struct pel_stack *stack;
};

/* ---- log: one line at a time on stderr, never waiting for who reads it ---- */

static pthread_mutex_t log_lock = PTHREAD_MUTEX_INITIALIZER;

/* Lines that could not be written: a full disk, a pipe that nobody empties, a terminal that is stopped. */
static unsigned long num_lost_lines;

static bool write_line(const char *line, size_t len)
{
    struct pollfd pollfd = {.fd = STDERR_FILENO, .events = POLLOUT};
    return poll(&pollfd, 1, 0) == 1 && (pollfd.revents & POLLOUT) != 0 &&
           write(STDERR_FILENO, line, len) == (ssize_t)len;
}

static void log_line(void *arg, const char *text)
{
    char line[LINE_LEN];
    (void)arg;
    pthread_mutex_lock(&log_lock);
    if (num_lost_lines > 0) {
        int len = snprintf(line, sizeof line, "pellucid: %lu lines could not be written\n", num_lost_lines);
        if (write_line(line, (size_t)len))
            num_lost_lines = 0;
    }
    int len = snprintf(line, sizeof line, "pellucid: %s\n", text);
    if (len >= (int)sizeof line) {
        len = (int)sizeof line - 1;
        line[len - 1] = '\n';
    }
    if (!write_line(line, (size_t)len))
        num_lost_lines++;
    pthread_mutex_unlock(&log_lock);
}

__attribute__((format(printf, 1, 2))) static void say(const char *format, ...)
{
    char text[LINE_LEN];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    log_line(NULL, text);
}

/* ---- options ---- */

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
    struct daemon *daemon = state->input;
    switch (key) {
    case KEY_CONFIG: daemon->config_path = arg; return 0;
    case KEY_POLICY: daemon->policy = arg; return 0;
    case KEY_ATTACH: daemon->attach = arg; return 0;
    case KEY_CONTROL: daemon->control = arg; return 0;
    case KEY_CHECK: daemon->check = true; return 0;
    case KEY_NO_SANDBOX: daemon->no_sandbox = true; return 0;
    case KEY_WITH_PARENT: daemon->with_parent = (pid_t)strtol(arg, NULL, 10); return 0;
    case KEY_FOREGROUND: return 0;
    case ARGP_KEY_ARG: argp_error(state, "what is '%s'?", arg); return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

static void parse(int argc, char **argv, struct daemon *daemon)
{
    static const struct argp_option options[] = {
        {"config", KEY_CONFIG, "FILE", 0, "The configuration (" DEFAULT_CONFIG ")", 0},
        {"policy", KEY_POLICY, "FILE", 0, "Instead of the configuration's policy.files", 0},
        {"attach", KEY_ATTACH, "PATH", 0, "Instead of its attach.socket (" DEFAULT_ATTACH ")", 0},
        {"control", KEY_CONTROL, "PATH", 0, "Instead of its control.socket", 0},
        {"check", KEY_CHECK, NULL, 0, "Only say whether configuration and policy are right", 0},
        {"no-sandbox", KEY_NO_SANDBOX, NULL, 0, "Keep all rights, to debug", 0},
        {"foreground", KEY_FOREGROUND, NULL, 0, "It never does anything else", 0},
        {"with-parent", KEY_WITH_PARENT, "PID", OPTION_HIDDEN, NULL, 0},
        {0},
    };
    static const struct argp argp = {
        options,
        parse_option,
        NULL,
        "Runs the stack as a daemon, in the foreground, for programs that are started with pel run."
        "\vSIGHUP loads the policy again. SIGTERM and SIGINT close what listens, wait for connections to end "
        "(stop.drain_s) and end the daemon; a second one does not wait.\n\n"
        "Exit status: 0 ended by a signal, 1 it could not start, 2 wrong usage.",
        NULL,
        NULL,
        NULL,
    };
    argp_err_exit_status = 2;
    argp_parse(&argp, argc, argv, 0, NULL, daemon);
}

/* ---- start ---- */

static bool has_config(const struct daemon *daemon)
{
    if (access(daemon->config_path, R_OK) == 0)
        return true;
    if (errno == ENOENT)
        say("no configuration: %s does not exist; write one (docs/CONFIGURATION.md has every key), or name "
            "another with --config FILE",
            daemon->config_path);
    else
        say("the configuration %s cannot be read: %s", daemon->config_path, strerror(errno));
    return false;
}

/* Blocked before any thread starts, so that they come to the main thread alone. */
static void take_signals(struct daemon *daemon)
{
    sigemptyset(&daemon->signals);
    sigaddset(&daemon->signals, SIGTERM);
    sigaddset(&daemon->signals, SIGINT);
    sigaddset(&daemon->signals, SIGHUP);
    sigprocmask(SIG_BLOCK, &daemon->signals, NULL);
    signal(SIGPIPE, SIG_IGN);
}

/* Every attached socket is a descriptor. */
static void raise_descriptor_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
        say("the limit of open files stays as it is: %s", strerror(errno));
}

/* A private daemon ends with the pel run that started it, also when that is killed. */
static bool follow_parent(pid_t parent)
{
    if (prctl(PR_SET_PDEATHSIG, SIGTERM) == 0 && getppid() == parent)
        return true;
    say("cannot start: the pel run that this daemon is for (process %d) is not its parent", (int)parent);
    return false;
}

static void on_engine(void *arg, struct pel_engine *engine)
{
    const struct daemon *daemon = arg;
    (void)engine;
    if (!daemon->no_sandbox)
        sandbox_engine();
}

static bool restrict_all(const struct daemon *daemon)
{
    char text[256], dirs[2][256];
    const char *paths[] = {pel_stack_control_path(daemon->stack), pel_stack_attach_path(daemon->stack)};
    const char *list[2];
    size_t num = 0;
    for (size_t i = 0; i < 2; i++) {
        if (paths[i] == NULL)
            continue;
        snprintf(dirs[num], sizeof dirs[num], "%s", paths[i]);
        list[num] = dirname(dirs[num]);
        num++;
    }
    bool done = sandbox_all(list, num, text, sizeof text);
    say("%s%s", text, done ? "" : "; pel stack --no-sandbox goes without");
    return done;
}

static bool start(struct daemon *daemon)
{
    const struct pel_stack_options options = {.config_path = daemon->config_path,
                                              .attach_socket = DEFAULT_ATTACH,
                                              .instead_policy = daemon->policy,
                                              .instead_attach = daemon->attach,
                                              .instead_control = daemon->control,
                                              .on_engine = on_engine,
                                              .arg = daemon,
                                              .log = log_line};
    struct pel_error error;
    char why[256];
    if (daemon->with_parent != 0 && !follow_parent(daemon->with_parent))
        return false;
    if (!daemon->no_sandbox && !sandbox_begin(why, sizeof why)) {
        say("%s; pel stack --no-sandbox goes without", why);
        return false;
    }
    if (pel_stack_start(&options, &daemon->stack, &error) != PEL_OK) {
        say("cannot start: %s", error.text);
        return false;
    }
    if (daemon->no_sandbox)
        say("sandbox: none, since --no-sandbox was given");
    return daemon->no_sandbox || restrict_all(daemon);
}

/* ---- run ---- */

static void say_ready(const struct daemon *daemon, const char *how)
{
    const char *attach = pel_stack_attach_path(daemon->stack);
    char state[512];
    snprintf(state, sizeof state, "READY=1\nSTATUS=%s: %zu engines; programs attach at %s", how,
             pel_stack_num_engines(daemon->stack), attach != NULL ? attach : "no place");
    say("%s", strstr(state, "STATUS=") + sizeof "STATUS=" - 1);
    notify_manager(state);
}

static void reload(struct daemon *daemon)
{
    notify_reloading();
    bool loaded = pel_stack_reload(daemon->stack, NULL) == PEL_OK; /* the log has what is wrong */
    say_ready(daemon,
              loaded ? "ready, with a fresh policy" : "ready, with the old policy: the new has errors");
}

static bool is_told_again(void *arg)
{
    const struct daemon *daemon = arg;
    const struct timespec now = {0};
    int number = sigtimedwait(&daemon->signals, NULL, &now);
    return number == SIGTERM || number == SIGINT;
}

static void run(struct daemon *daemon)
{
    say_ready(daemon, "ready");
    for (;;) {
        int number = sigwaitinfo(&daemon->signals, NULL);
        if (number == SIGHUP)
            reload(daemon);
        if (number == SIGTERM || number == SIGINT)
            break;
    }
    notify_manager("STOPPING=1\nSTATUS=waiting for connections to end");
    uint32_t wait_ms = pel_stack_drain_ms(daemon->stack);
    say("stopping: connections have %u s to end", wait_ms / 1000);
    uint32_t num_left = pel_stack_drain(daemon->stack, wait_ms, is_told_again, daemon);
    say("stopped: %u connections were reset", num_left);
}

int verb_stack(int argc, char **argv)
{
    struct daemon daemon = {.config_path = DEFAULT_CONFIG};
    parse(argc, argv, &daemon);
    take_signals(&daemon);
    if (!has_config(&daemon))
        return 1;
    if (daemon.check) {
        const struct pel_stack_options options = {
            .config_path = daemon.config_path, .instead_policy = daemon.policy, .log = log_line};
        struct pel_error error;
        if (pel_stack_check(&options, &error) != PEL_OK) {
            say("%s", error.text);
            return 1;
        }
        say("%s and the policy that it names are right", daemon.config_path);
        return 0;
    }
    umask(022);
    raise_descriptor_limit();
    bool started = start(&daemon);
    if (started)
        run(&daemon);
    pel_stack_stop(daemon.stack);
    return started ? 0 : 1;
}
