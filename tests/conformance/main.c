/* SPDX-License-Identifier: Apache-2.0 */
/*
 * conformance: what a program sees of its sockets, case by case, one line each. The same executable is run
 * over the kernel's sockets and over the stack's; the lines are to be the same. `conformance peer` is the
 * other end. Every case is a process of its own, so that a hang or a crash is its outcome and nobody else's.
 */
#include <fcntl.h>
#include <fnmatch.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "tests/conformance/case.h"
#include "tests/conformance/main.h"
#include "tests/conformance/peer.h"

enum { CASE_MS = 30000 };

static const struct conf_group *const groups[] = {
    &socket_cases,     &bind_cases,      &listen_cases,  &connect_cases,   &name_cases,       &fault_cases,
    &read_cases,       &write_cases,     &message_cases, &shutdown_cases,  &close_cases,      &linger_cases,
    &poll_cases,       &select_cases,    &epoll_cases,   &epoll_mix_cases, &descriptor_cases, &option_cases,
    &tcp_option_cases, &signal_cases,    &thread_cases,  &process_cases,   &exec_cases,       &file_cases,
    &udp_cases,        &udp_error_cases, &ipv6_cases,    &kernel_cases,
};

struct options {
    const char *self[2], *peer[2], *control, *only, *one, *hole;
    bool list, eager;
};

static char **arguments;

static int usage(void)
{
    fputs("usage: conformance run --self IPv4 --self6 IPv6 --peer IPv4 --peer6 IPv6 --control PATH\n"
          "                       [--only GLOB] [--list] [--hole IPv4]\n"
          "       conformance peer --listen PATH --peer IPv4 --peer6 IPv6 [--eager]\n",
          stderr);
    return 2;
}

static bool parse(int num, char **words, struct options *ret_options)
{
    struct options *o = ret_options;
    const struct {
        const char *word, **value;
    } table[] = {
        {"--self", &o->self[0]},  {"--self6", &o->self[1]},   {"--peer", &o->peer[0]},
        {"--peer6", &o->peer[1]}, {"--control", &o->control}, {"--listen", &o->control},
        {"--only", &o->only},     {"--case", &o->one},        {"--hole", &o->hole},
    };
    for (int i = 0; i < num; i++) {
        size_t row = 0;
        if (strcmp(words[i], "--list") == 0 || strcmp(words[i], "--eager") == 0) {
            *(words[i][2] == 'l' ? &o->list : &o->eager) = true;
            continue;
        }
        while (row < sizeof(table) / sizeof(table[0]) && strcmp(words[i], table[row].word) != 0)
            row++;
        if (row == sizeof(table) / sizeof(table[0]) || i + 1 == num)
            return false;
        *table[row].value = words[++i];
    }
    return o->list || (o->peer[0] != NULL && o->peer[1] != NULL && o->control != NULL);
}

/* ---- Children of cases ---- */

pid_t start_child(void (*work)(int arg), int arg)
{
    pid_t pid = (pid_t)must("fork", fork());
    if (pid == 0) {
        work(arg);
        _exit(0);
    }
    return pid;
}

void end_child(const char *what, pid_t pid)
{
    int status = 0;
    must("waitpid", waitpid(pid, &status, 0));
    if (WIFSIGNALED(status))
        say("%s=SIG%s", what, sigabbrev_np(WTERMSIG(status)));
    else
        say("%s=exit%d", what, WEXITSTATUS(status));
}

_Noreturn void exec_child(const char *verb, int fd)
{
    char number[16];
    snprintf(number, sizeof(number), "%d", fd);
    char *words[] = {arguments[0], (char *)"--child", (char *)(uintptr_t)verb, number, NULL};
    execv("/proc/self/exe", words);
    give_up("execv");
}

_Noreturn void give_up(const char *what)
{
    say("GAVE-UP %s: %s", what, error_name(errno));
    _exit(0);
}

long must(const char *what, long rc)
{
    if (rc == -1)
        give_up(what);
    return rc;
}

/* ---- One case ---- */

static int run_one(const struct options *options)
{
    for (size_t g = 0; g < sizeof(groups) / sizeof(groups[0]); g++)
        for (size_t i = 0; i < groups[g]->num_cases; i++)
            if (strcmp(groups[g]->cases[i].name, options->one) == 0) {
                peer_hole_ip = options->hole;
                peer_attach(options->control, options->self, options->peer);
                errno = 0;
                groups[g]->cases[i].run(groups[g]->cases[i].arg);
                return 0;
            }
    return 2;
}

/* Copies what the case says until it has ended or its time is up; returns whether it has ended. */
static bool copy_words(int from, int pid_fd)
{
    char words[4096];
    int64_t end_ms = now_ms() + CASE_MS;
    for (;;) {
        int64_t left_ms = end_ms - now_ms();
        struct pollfd pollers[2] = {{.fd = from, .events = POLLIN}, {.fd = pid_fd, .events = POLLIN}};
        if (left_ms <= 0 || poll(pollers, 2, (int)left_ms) == 0)
            return false;
        if ((pollers[0].revents & POLLIN) != 0) {
            ssize_t len = read(from, words, sizeof(words));
            fwrite(words, 1, len > 0 ? (size_t)len : 0, stdout);
        } else if (pollers[1].revents != 0) {
            return true;
        }
    }
}

static void start_one(const char *name, const struct options *o, int outcome)
{
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    dup2(outcome, OUTCOME_FD);
    close(outcome);
    char *words[] = {arguments[0],
                     (char *)"case",
                     (char *)"--case",
                     (char *)(uintptr_t)name,
                     (char *)"--self",
                     (char *)o->self[0],
                     (char *)"--self6",
                     (char *)o->self[1],
                     (char *)"--peer",
                     (char *)o->peer[0],
                     (char *)"--peer6",
                     (char *)o->peer[1],
                     (char *)"--control",
                     (char *)o->control,
                     (char *)(o->hole != NULL ? "--hole" : NULL),
                     (char *)o->hole,
                     NULL};
    execv("/proc/self/exe", words);
    _exit(127);
}

static void run_case(const struct conf_case *test, const struct options *options)
{
    int pipes[2], status = 0;
    fflush(stdout);
    if (pipe2(pipes, O_CLOEXEC) != 0)
        exit(1);
    pid_t pid = fork();
    if (pid == 0)
        start_one(test->name, options, pipes[1]);
    setpgid(pid, pid);
    close(pipes[1]);
    int pid_fd = (int)syscall(SYS_pidfd_open, pid, 0);
    printf("%s:", test->name);
    bool ended = copy_words(pipes[0], pid_fd);
    kill(-pid, SIGKILL);
    waitpid(pid, &status, 0);
    if (!ended)
        fputs(" TIMEOUT", stdout);
    else if (WIFSIGNALED(status))
        printf(" SIG%s", sigabbrev_np(WTERMSIG(status)));
    else if (WEXITSTATUS(status) != 0)
        printf(" exit %d", WEXITSTATUS(status));
    putchar('\n');
    fflush(stdout);
    close(pid_fd);
    close(pipes[0]);
}

static int run_all(const struct options *options)
{
    for (size_t g = 0; g < sizeof(groups) / sizeof(groups[0]); g++)
        for (size_t i = 0; i < groups[g]->num_cases; i++) {
            const struct conf_case *test = &groups[g]->cases[i];
            if (options->only != NULL && fnmatch(options->only, test->name, 0) != 0)
                continue;
            if (options->list)
                puts(test->name);
            else
                run_case(test, options);
        }
    return 0;
}

int main(int num, char **words)
{
    struct options options = {.list = false};
    arguments = words;
    if (num == 4 && strcmp(words[1], "--child") == 0)
        return child_main(words[2], atoi(words[3]));
    if (num < 2 || !parse(num - 2, words + 2, &options))
        return usage();
    if (strcmp(words[1], "peer") == 0)
        return peer_serve(options.control, options.peer, options.eager);
    if (!options.list && (options.self[0] == NULL || options.self[1] == NULL))
        return usage();
    if (strcmp(words[1], "case") == 0)
        return run_one(&options);
    return strcmp(words[1], "run") == 0 ? run_all(&options) : usage();
}
