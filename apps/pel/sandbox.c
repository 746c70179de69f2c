/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Capabilities and the file system's sandbox belong to a thread, and some threads are a library's: so each is
 * sent a signal, SIGSYS, and gives up its rights in the handler. The same signal is how a filter reports a
 * refused system call. Nothing blocks it.
 */
#include "apps/pel/sandbox.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <poll.h>
#include <semaphore.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#include "apps/pel/seccomp.h"

#define THREADS_MAX     256
#define REFUSALS_SAID   20 /* so many are named; then they are only counted */
#define ANSWER_S        10
#define SYS_SECCOMP_NOW 1 /* si_code of a refused call: SYS_SECCOMP, which <signal.h> lacks */

/* Sanitizers watch the process with the very calls that are refused here. */
#if defined(__SANITIZE_ADDRESS__)
#define IS_SANITIZED true
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define IS_SANITIZED true
#endif
#endif
#ifndef IS_SANITIZED
#define IS_SANITIZED false
#endif

static const unsigned kept_capabilities[] = {
    CAP_DAC_READ_SEARCH, /* keyrings and policies of other users, at a reload */
    CAP_SYS_PTRACE,      /* /proc/PID/exe of other users' programs, when they attach */
};

#define WRITES                                                                                               \
    (LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE |        \
     LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG |              \
     LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_MAKE_FIFO | LANDLOCK_ACCESS_FS_MAKE_BLOCK |           \
     LANDLOCK_ACCESS_FS_MAKE_SYM)
#define READS (LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)

static struct {
    int read_only_fd, nothing_fd; /* landlock's rule sets; -1: the kernel has none */
    pid_t engines[THREADS_MAX];   /* threads that have given up more than the others will */
    unsigned num_engines;
    int engine_error; /* an errno of one that could not */
    unsigned long num_refused;
    /* Of the thread that is being asked. */
    bool no_landlock;
    int error;
    const char *failed;
    sem_t answered;
} sandbox = {.read_only_fd = -1, .nothing_fd = -1};

/* ---- what a thread gives up; all of it may run in a signal handler ---- */

static int keep_capabilities(const unsigned *kept, size_t num_kept)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct has[2], data[2] = {0};
    if (syscall(SYS_capget, &header, has) != 0)
        return errno;
    for (size_t i = 0; i < num_kept; i++)
        data[kept[i] / 32].permitted |= has[kept[i] / 32].permitted & 1u << kept[i] % 32;
    for (size_t i = 0; i < 2; i++)
        data[i].effective = data[i].permitted;
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    header.pid = 0;
    return syscall(SYS_capset, &header, data) == 0 ? 0 : errno;
}

static int restrict_files(int ruleset_fd)
{
    if (ruleset_fd < 0)
        return 0;
    return syscall(SYS_landlock_restrict_self, ruleset_fd, 0) == 0 ? 0 : errno;
}

static void give_up(void)
{
    sandbox.error = 0;
    sandbox.failed = "capabilities";
    int error = keep_capabilities(kept_capabilities, sizeof kept_capabilities / sizeof *kept_capabilities);
    if (error == 0 && !sandbox.no_landlock) {
        sandbox.failed = "landlock";
        error = restrict_files(sandbox.read_only_fd);
    }
    sandbox.error = error;
}

/* ---- the signal ---- */

static size_t put_number(char *text, unsigned long number)
{
    char digits[24];
    size_t len = 0;
    do
        digits[len++] = (char)('0' + number % 10);
    while ((number /= 10) != 0);
    for (size_t i = 0; i < len; i++)
        text[i] = digits[len - 1 - i];
    return len;
}

/* A log that cannot be written to must not stop the thread. */
static void say_refused(unsigned long number)
{
    static const char begin[] = "pellucid: sandbox: refused system call ";
    char line[96];
    struct pollfd pollfd = {.fd = STDERR_FILENO, .events = POLLOUT};
    size_t len = sizeof begin - 1;
    memcpy(line, begin, len);
    len += put_number(line + len, number);
    line[len++] = '\n';
    if (poll(&pollfd, 1, 0) == 1 && write(STDERR_FILENO, line, len) < 0)
        return; /* it is counted */
}

static void on_sigsys(int signal, siginfo_t *info, void *context)
{
    int saved = errno;
    (void)signal;
    if (info->si_code == SYS_SECCOMP_NOW) {
        ucontext_t *registers = context;
        registers->uc_mcontext.gregs[REG_RAX] = -EPERM;
        if (__atomic_fetch_add(&sandbox.num_refused, 1, __ATOMIC_RELAXED) < REFUSALS_SAID)
            say_refused((unsigned long)info->si_syscall);
    } else if (info->si_code == SI_TKILL && info->si_pid == getpid()) {
        give_up();
        sem_post(&sandbox.answered);
    }
    errno = saved;
}

unsigned long sandbox_num_refused(void)
{
    return __atomic_load_n(&sandbox.num_refused, __ATOMIC_RELAXED);
}

/* ---- begin ---- */

static bool failed(char *text, size_t len, const char *what, int error)
{
    snprintf(text, len, "sandbox: %s: %s", what, strerror(error));
    return false;
}

static bool take_signal(void)
{
    struct sigaction action = {.sa_sigaction = on_sigsys, .sa_flags = SA_SIGINFO | SA_RESTART};
    sigset_t open;
    sigemptyset(&open);
    sigaddset(&open, SIGSYS);
    return sem_init(&sandbox.answered, 0, 0) == 0 && sigaction(SIGSYS, &action, NULL) == 0 &&
           pthread_sigmask(SIG_UNBLOCK, &open, NULL) == 0;
}

bool sandbox_begin(char *ret_why, size_t why_len)
{
    if (IS_SANITIZED)
        return true;
    if (!take_signal())
        return failed(ret_why, why_len, "signal", errno);
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return failed(ret_why, why_len, "no_new_privs", errno);
    /* A core file would hold every private key. */
    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0)
        return failed(ret_why, why_len, "core files", errno);
    for (unsigned capability = 0; capability < 64; capability++)
        if (prctl(PR_CAPBSET_READ, capability, 0, 0, 0) == 1 &&
            prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) != 0 && errno != EPERM)
            return failed(ret_why, why_len, "bounding set", errno);
    int error = seccomp_process();
    return error == 0 || failed(ret_why, why_len, "system call filter", error);
}

/* ---- an engine ---- */

static int ruleset(uint64_t handled)
{
    const struct landlock_ruleset_attr attr = {.handled_access_fs = handled};
    return (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof attr, 0);
}

static int give_up_all(void)
{
    int error = keep_capabilities(NULL, 0), fd = ruleset(READS | WRITES);
    if (error == 0)
        error = restrict_files(fd);
    if (fd >= 0)
        close(fd);
    return error == 0 ? seccomp_engine() : error;
}

void sandbox_engine(void)
{
    if (IS_SANITIZED)
        return;
    unsigned slot = __atomic_fetch_add(&sandbox.num_engines, 1, __ATOMIC_RELAXED);
    int error = slot < THREADS_MAX ? 0 : EOVERFLOW;
    if (error == 0) {
        sandbox.engines[slot] = (pid_t)syscall(SYS_gettid);
        error = give_up_all();
    }
    if (error != 0)
        __atomic_store_n(&sandbox.engine_error, error, __ATOMIC_RELEASE);
}

/* ---- all the others ---- */

static int make_read_only(const char *const *dirs, size_t num_dirs)
{
    sandbox.read_only_fd = ruleset(WRITES);
    if (sandbox.read_only_fd < 0)
        return errno == ENOSYS || errno == EOPNOTSUPP ? 0 : errno;
    for (size_t i = 0; i < num_dirs; i++) {
        struct landlock_path_beneath_attr rule = {
            .allowed_access = LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_SOCK,
            .parent_fd = open(dirs[i], O_PATH | O_DIRECTORY | O_CLOEXEC),
        };
        long added = rule.parent_fd < 0 ? -1
                                        : syscall(SYS_landlock_add_rule, sandbox.read_only_fd,
                                                  LANDLOCK_RULE_PATH_BENEATH, &rule, 0);
        int error = errno;
        if (rule.parent_fd >= 0)
            close(rule.parent_fd);
        if (added != 0)
            return error;
    }
    return 0;
}

static bool is_engine(pid_t thread)
{
    for (unsigned i = 0; i < sandbox.num_engines && i < THREADS_MAX; i++)
        if (sandbox.engines[i] == thread)
            return true;
    return false;
}

static bool looks_at_processes(pid_t thread)
{
    char path[64], name[32] = "";
    snprintf(path, sizeof path, "/proc/self/task/%d/comm", (int)thread);
    FILE *file = fopen(path, "re");
    if (file == NULL || fgets(name, sizeof name, file) == NULL)
        name[0] = '\0';
    if (file != NULL)
        fclose(file);
    name[strcspn(name, "\n")] = '\0';
    return strcmp(name, SANDBOX_LOOKS_AT_PROCESSES) == 0;
}

/* Has another thread give up its rights, and waits until it has. */
static int ask(pid_t thread)
{
    struct timespec end;
    sandbox.failed = "a thread";
    sandbox.error = ETIMEDOUT;
    sandbox.no_landlock = looks_at_processes(thread);
    if (syscall(SYS_tgkill, getpid(), thread, SIGSYS) != 0)
        return errno == ESRCH ? 0 : errno; /* it has ended by itself */
    clock_gettime(CLOCK_MONOTONIC, &end);
    end.tv_sec += ANSWER_S;
    while (sem_clockwait(&sandbox.answered, CLOCK_MONOTONIC, &end) != 0)
        if (errno != EINTR)
            return ETIMEDOUT;
    return sandbox.error;
}

static int ask_others(unsigned *ret_num)
{
    DIR *tasks = opendir("/proc/self/task");
    const struct dirent *entry;
    pid_t own = (pid_t)syscall(SYS_gettid);
    int error = tasks != NULL ? 0 : errno;
    while (error == 0 && (entry = readdir(tasks)) != NULL) {
        pid_t thread = (pid_t)strtol(entry->d_name, NULL, 10);
        if (thread <= 0 || thread == own || is_engine(thread))
            continue;
        error = ask(thread);
        (*ret_num)++;
    }
    if (tasks != NULL)
        closedir(tasks);
    return error;
}

bool sandbox_all(const char *const *dirs, size_t num_dirs, char *ret_text, size_t text_len)
{
    unsigned num_threads = 1;
    if (IS_SANITIZED) {
        snprintf(ret_text, text_len, "sandbox: none, since this is a sanitized build");
        return true;
    }
    int error = __atomic_load_n(&sandbox.engine_error, __ATOMIC_ACQUIRE);
    if (error != 0)
        return failed(ret_text, text_len, "an engine's thread", error);
    error = make_read_only(dirs, num_dirs);
    if (error != 0)
        return failed(ret_text, text_len, "landlock", error);
    error = ask_others(&num_threads);
    if (error == 0) {
        sandbox.no_landlock = false;
        give_up();
        error = sandbox.error;
    }
    if (error != 0)
        return failed(ret_text, text_len, sandbox.failed, error);
    snprintf(ret_text, text_len,
             "sandbox: no new rights; %u threads keep 2 capabilities at most, %u engines none and few system "
             "calls; file system %s",
             num_threads, sandbox.num_engines,
             sandbox.read_only_fd >= 0 ? "read-only" : "as permissions say (the kernel has no landlock)");
    return true;
}
