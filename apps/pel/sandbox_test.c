/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sandbox from the inside: a child of the test gives up its rights as the daemon does, then tries what it
 * must not be able to do, on each kind of thread. What is lost cannot be had back, hence the child.
 */
#include "apps/pel/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "apps/pel/seccomp.h"
#include "tests/harness/harness.h"

#define NOT_SUPPORTED 77

/* In the child, where a failed expectation of the harness would not be heard. */
#define MUST(condition)                                                                                      \
    do {                                                                                                     \
        if (!(condition)) {                                                                                  \
            fprintf(stderr, "%s:%d: %s (%s)\n", __FILE__, __LINE__, #condition, strerror(errno));            \
            _exit(1);                                                                                        \
        }                                                                                                    \
    } while (0)

static char dir[64], own_dir[80];
static pid_t parent;

struct thread {
    pthread_t id;
    const char *name;
    void (*begins)(void), (*tries)(void);
    sem_t has_begun, may_try;
};

static uint64_t capabilities(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2] = {0};
    MUST(syscall(SYS_capget, &header, data) == 0);
    return data[0].permitted | data[0].effective | (uint64_t)(data[1].permitted | data[1].effective) << 32;
}

static bool has_landlock(void)
{
    return syscall(SYS_landlock_create_ruleset, NULL, 0, 1) > 0;
}

static bool can_write_in(const char *where)
{
    char path[128];
    snprintf(path, sizeof path, "%s/fresh", where);
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

static void *run_thread(void *arg)
{
    struct thread *thread = arg;
    pthread_setname_np(pthread_self(), thread->name);
    if (thread->begins != NULL)
        thread->begins();
    sem_post(&thread->has_begun);
    while (sem_wait(&thread->may_try) != 0) {
    }
    thread->tries();
    return NULL;
}

static void start_thread(struct thread *thread)
{
    sem_init(&thread->has_begun, 0, 0);
    sem_init(&thread->may_try, 0, 0);
    MUST(pthread_create(&thread->id, NULL, run_thread, thread) == 0);
    while (sem_wait(&thread->has_begun) != 0) {
    }
}

static void let_try(struct thread *thread)
{
    sem_post(&thread->may_try);
    MUST(pthread_join(thread->id, NULL) == 0);
}

/* ---- what the kinds of threads try ---- */

static void be_any_thread(void)
{
    unsigned long before = sandbox_num_refused();
    const uint64_t kept = 1ull << CAP_DAC_READ_SEARCH | 1ull << CAP_SYS_PTRACE;
    MUST((capabilities() & ~kept) == 0);
    MUST(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1);
    MUST(geteuid() != 0 || prctl(PR_CAPBSET_READ, CAP_SYS_ADMIN, 0, 0, 0) == 0);
    MUST(syscall(SYS_ptrace, PTRACE_TRACEME, 0, 0, 0) == -1 && errno == EPERM);
    MUST(fork() == -1 && errno == EPERM);
    MUST(execl("/bin/true", "true", NULL) == -1 && errno == EPERM);
    MUST(sandbox_num_refused() >= before + 3);
    int fd = open("/proc/self/stat", O_RDONLY | O_CLOEXEC);
    MUST(fd >= 0 && close(fd) == 0);
}

static void be_reader(void)
{
    be_any_thread();
    if (!has_landlock())
        return;
    MUST(!can_write_in(dir));
    MUST(mkdir("/tmp/pellucid-sandbox-never", 0700) == -1 && errno == EACCES);
    char socket_path[128];
    snprintf(socket_path, sizeof socket_path, "%s/socket", own_dir);
    MUST(mknod(socket_path, S_IFSOCK | 0600, 0) == 0 && unlink(socket_path) == 0);
    MUST(!can_write_in(own_dir)); /* sockets, and no other files */
}

/* It may still ask which program a process runs: a landlocked thread may not. */
static void be_looker(void)
{
    char link[64], path[256];
    be_any_thread();
    snprintf(link, sizeof link, "/proc/%d/exe", (int)getppid());
    MUST(readlink(link, path, sizeof path) > 0);
}

static void be_engine(void)
{
    unsigned long before = sandbox_num_refused();
    char *block = malloc(1 << 22);
    MUST(block != NULL);
    memset(block, 1, 1 << 22);
    free(block);
    MUST(open("/proc/self/stat", O_RDONLY | O_CLOEXEC) == -1 && errno == EACCES);
    MUST(sandbox_num_refused() == before);
    MUST(socket(AF_UNIX, SOCK_STREAM, 0) == -1 && errno == EPERM);
    MUST(kill(parent, SIGTERM) == -1 && errno == EPERM);
    MUST(syscall(SYS_tgkill, parent, parent, SIGTERM) == -1 && errno == EPERM);
    MUST(sandbox_num_refused() == before + 3);
}

/* ---- the child ---- */

static void live_in_sandbox(void)
{
    struct thread engine = {.name = "engine", .begins = sandbox_engine, .tries = be_engine};
    struct thread looker = {.name = SANDBOX_LOOKS_AT_PROCESSES, .tries = be_looker};
    struct thread other = {.name = "other", .tries = be_reader}, late = {.name = "late", .tries = be_reader};
    const char *const dirs[] = {own_dir};
    parent = getppid();
    char text[256];
    if (!sandbox_begin(text, sizeof text)) {
        fprintf(stderr, "%s\n", text);
        _exit(NOT_SUPPORTED);
    }
    start_thread(&engine);
    start_thread(&looker);
    start_thread(&other);
    if (!sandbox_all(dirs, 1, text, sizeof text)) {
        fprintf(stderr, "%s\n", text);
        _exit(1);
    }
    if (strstr(text, "sanitized") != NULL)
        _exit(NOT_SUPPORTED);
    MUST(strstr(text, "3 threads keep 2 capabilities at most, 1 engines none") != NULL);
    let_try(&engine);
    let_try(&looker);
    let_try(&other);
    start_thread(&late); /* inherits */
    let_try(&late);
    be_reader();
    _exit(0);
}

PEL_TEST(sandbox, every_thread_gives_up_its_rights)
{
    int status;
    snprintf(dir, sizeof dir, "/tmp/pellucid-sandbox-XXXXXX");
    PEL_REQUIRE(mkdtemp(dir) != NULL);
    snprintf(own_dir, sizeof own_dir, "%s/own", dir);
    PEL_REQUIRE(mkdir(own_dir, 0700) == 0 && can_write_in(own_dir) && can_write_in(dir));
    pid_t child = fork();
    if (child == 0)
        live_in_sandbox();
    PEL_REQUIRE(waitpid(child, &status, 0) == child);
    char path[128];
    snprintf(path, sizeof path, "%s/fresh", own_dir);
    unlink(path);
    snprintf(path, sizeof path, "%s/fresh", dir);
    unlink(path);
    rmdir(own_dir);
    rmdir(dir);
    if (WIFEXITED(status) && WEXITSTATUS(status) == NOT_SUPPORTED)
        PEL_SKIP("no system call filters here, or a sanitized build");
    PEL_EXPECT_EQ(status, 0);
}

static void try_io_uring(void)
{
    MUST(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
    MUST(seccomp_no_io_uring() == 0);
    MUST(syscall(SYS_io_uring_setup, 1, NULL) == -1 && errno == ENOSYS);
    MUST(getppid() > 0 && socket(AF_UNIX, SOCK_STREAM, 0) >= 0);
    _exit(0);
}

PEL_TEST(sandbox, programs_do_without_io_uring)
{
    int status;
    pid_t child = fork();
    if (child == 0)
        try_io_uring();
    PEL_REQUIRE(waitpid(child, &status, 0) == child);
    PEL_EXPECT_EQ(status, 0);
}
