/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an epoll set reports of sockets of the stack, and of the kernel's descriptors beside them.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "apps/preload/epoll_set.h"
#include "apps/preload/wait.h"
#include "apps/preload/wait_fake.h"
#include "tests/harness/harness.h"

#define MAX_EVENTS 64

static int ctl(int set, int operation, int fd, uint32_t events, uint64_t data)
{
    struct epoll_event event = {.events = events, .data.u64 = data};
    return epoll_ctl(set, operation, fd, &event) == 0 ? 0 : errno;
}

/* The one event that there is, as its mask; 0: none; UINT32_MAX: several. `data` has to be 7. */
static uint32_t only_event(int set, int timeout_ms)
{
    struct epoll_event events[MAX_EVENTS];
    int num = epoll_wait(set, events, MAX_EVENTS, timeout_ms);
    if (num == 1)
        PEL_EXPECT_EQ(events[0].data.u64, 7);
    return num == 0 ? 0 : num == 1 ? events[0].events : UINT32_MAX;
}

PEL_TEST(epoll, level_triggered_reports_while_there_is_something)
{
    struct pel_app *app = pel_fake_start(8);
    int fd, set = epoll_create1(EPOLL_CLOEXEC);
    struct pel_file *file = pel_fake_socket(app, &fd);
    PEL_EXPECT_EQ(fcntl(set, F_GETFD), FD_CLOEXEC);
    PEL_EXPECT_EQ(ctl(set, EPOLL_CTL_ADD, fd, EPOLLIN, 7), 0);
    PEL_EXPECT_EQ(only_event(set, 0), 0);
    pel_fake_receive(file, 2);
    for (int i = 0; i < 3; i++)
        PEL_EXPECT_EQ(only_event(set, -1), EPOLLIN);
    pel_fake_read(file, 1);
    PEL_EXPECT_EQ(only_event(set, 0), EPOLLIN);
    pel_fake_read(file, 1);
    PEL_EXPECT_EQ(only_event(set, 0), 0);
    PEL_EXPECT_EQ(ctl(set, EPOLL_CTL_MOD, fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP, 7), 0);
    PEL_EXPECT_EQ(only_event(set, 0), EPOLLOUT);
    pel_fake_fill(file, true);
    PEL_EXPECT_EQ(only_event(set, 0), 0);
    pel_fake_fill(file, false);
    PEL_EXPECT_EQ(only_event(set, 0), EPOLLOUT);
    pel_fake_state(file, PEL_SLOT_EOF);
    PEL_EXPECT_EQ(only_event(set, 0), EPOLLIN | EPOLLOUT | EPOLLRDHUP);
    PEL_EXPECT_EQ(ctl(set, EPOLL_CTL_DEL, fd, 0, 0), 0);
    PEL_EXPECT_EQ(only_event(set, 0), 0);
    pel_fake_close(fd);
    pel_fake_close(set);
    PEL_EXPECT_EQ(pel_fake_num_wakers(app), 0);
    PEL_EXPECT((int32_t)pel_fake_num_hidden() <= 0);
}

PEL_TEST(epoll, edge_triggered_reports_what_is_new)
{
    struct pel_app *app = pel_fake_start(8);
    int fd, set = epoll_create(1);
    struct pel_file *file = pel_fake_socket(app, &fd);
    pel_fake_receive(file, 1);
    PEL_EXPECT_EQ(ctl(set, EPOLL_CTL_ADD, fd, EPOLLIN | EPOLLOUT | (uint32_t)EPOLLET, 7), 0);
    PEL_EXPECT_EQ(only_event(set, 0), EPOLLIN | EPOLLOUT);
    PEL_EXPECT_EQ(only_event(set, 0), 0);
    pel_fake_receive(file, 2);
    PEL_EXPECT_EQ(only_event(set, 0), EPOLLIN | EPOLLOUT);
    pel_fake_read(file, 1);
    PEL_EXPECT_EQ(only_event(set, 0), 0);
    PEL_EXPECT_EQ(ctl(set, EPOLL_CTL_MOD, fd, EPOLLIN | (uint32_t)EPOLLET, 7), 0);
    PEL_EXPECT_EQ(only_event(set, 0), EPOLLIN);
    PEL_EXPECT_EQ(only_event(set, 0), 0);
    /* Room for output comes back after a writer has found none. */
    PEL_EXPECT_EQ(ctl(set, EPOLL_CTL_MOD, fd, EPOLLOUT | (uint32_t)EPOLLET, 7), 0);
    PEL_EXPECT_EQ(only_event(set, 0), EPOLLOUT);
    pel_fake_fill(file, true);
    file->slot->wants_room = 1;
    PEL_EXPECT_EQ(only_event(set, 0), 0);
    pel_fake_fill(file, false);
    PEL_EXPECT_EQ(only_event(set, 0), EPOLLOUT);
    PEL_EXPECT_EQ(only_event(set, 0), 0);
    pel_fake_close(fd);
    pel_fake_close(set);
}

PEL_TEST(epoll, one_shot_reports_once_until_it_is_armed_again)
{
    struct pel_app *app = pel_fake_start(8);
    int fd, set = epoll_create1(0);
    struct pel_file *file = pel_fake_socket(app, &fd);
    PEL_EXPECT_EQ(ctl(set, EPOLL_CTL_ADD, fd, EPOLLIN | (uint32_t)EPOLLONESHOT, 7), 0);
    pel_fake_receive(file, 1);
    PEL_EXPECT_EQ(only_event(set, -1), EPOLLIN);
    pel_fake_receive(file, 1);
    pel_fake_state(file, PEL_SLOT_GONE);
    PEL_EXPECT_EQ(only_event(set, 0), 0);
    PEL_EXPECT_EQ(ctl(set, EPOLL_CTL_MOD, fd, EPOLLIN | (uint32_t)EPOLLONESHOT, 7), 0);
    PEL_EXPECT_EQ(only_event(set, 0), EPOLLIN | EPOLLHUP | EPOLLERR);
    PEL_EXPECT_EQ(only_event(set, 0), 0);
    PEL_EXPECT_EQ(ctl(set, EPOLL_CTL_MOD, fd, 0, 7), 0);
    PEL_EXPECT_EQ(only_event(set, 0), EPOLLHUP | EPOLLERR);
    pel_fake_close(fd);
    pel_fake_close(set);
}

PEL_TEST(epoll, errors_are_the_kernels)
{
    struct pel_app *app = pel_fake_start(8);
    struct epoll_event event = {.events = EPOLLIN};
    int fd, pipes[2], set = epoll_create1(0);
    pel_fake_socket(app, &fd);
    PEL_REQUIRE(pipe(pipes) == 0);
    PEL_EXPECT_EQ(epoll_create(0), -1);
    PEL_EXPECT_EQ(errno, EINVAL);
    PEL_EXPECT_EQ(ctl(set, EPOLL_CTL_MOD, fd, EPOLLIN, 7), ENOENT);
    PEL_EXPECT_EQ(ctl(set, EPOLL_CTL_DEL, fd, EPOLLIN, 7), ENOENT);
    PEL_EXPECT_EQ(ctl(set, EPOLL_CTL_ADD, fd, EPOLLIN, 7), 0);
    PEL_EXPECT_EQ(ctl(set, EPOLL_CTL_ADD, fd, EPOLLIN, 7), EEXIST);
    PEL_EXPECT_EQ(ctl(set, 17, fd, EPOLLIN, 7), EINVAL);
    PEL_EXPECT_EQ(ctl(999, EPOLL_CTL_ADD, fd, EPOLLIN, 7), EBADF);
    PEL_EXPECT_EQ(ctl(set, EPOLL_CTL_ADD, 999, EPOLLIN, 7), EBADF);
    PEL_EXPECT_EQ(ctl(set, EPOLL_CTL_ADD, set, EPOLLIN, 7), EINVAL);
    PEL_EXPECT_EQ(ctl(fd, EPOLL_CTL_ADD, fd, EPOLLIN, 7), EINVAL);
    PEL_EXPECT_EQ(ctl(fd, EPOLL_CTL_ADD, pipes[0], EPOLLIN, 7), EINVAL);
    PEL_EXPECT_EQ(ctl(pipes[0], EPOLL_CTL_ADD, fd, EPOLLIN, 7), EINVAL);
    PEL_EXPECT_EQ(ctl(set, EPOLL_CTL_MOD, fd, EPOLLIN | (uint32_t)EPOLLEXCLUSIVE, 7), EINVAL);
    PEL_EXPECT_EQ(ctl(set, EPOLL_CTL_DEL, fd, 0, 7), 0);
    PEL_EXPECT_EQ(ctl(set, EPOLL_CTL_ADD, fd, EPOLLRDHUP | (uint32_t)EPOLLEXCLUSIVE, 7), EINVAL);
    PEL_EXPECT_EQ(ctl(set, EPOLL_CTL_ADD, fd, EPOLLIN | (uint32_t)EPOLLEXCLUSIVE, 7), 0);
    PEL_EXPECT_EQ(ctl(set, EPOLL_CTL_MOD, fd, EPOLLIN, 7), EINVAL);
    int file = open("/etc/passwd", O_RDONLY);
    PEL_EXPECT_EQ(ctl(set, EPOLL_CTL_ADD, file, EPOLLIN, 7), EPERM);
    PEL_EXPECT_EQ(epoll_wait(set, &event, 0, 0), -1);
    PEL_EXPECT_EQ(errno, EINVAL);
    PEL_EXPECT_EQ(epoll_wait(fd, &event, 1, 0), -1);
    PEL_EXPECT_EQ(errno, EINVAL);
    PEL_EXPECT_EQ(epoll_wait(999, &event, 1, 0), -1);
    PEL_EXPECT_EQ(errno, EBADF);
    struct timespec wrong = {.tv_nsec = 1000000000};
    PEL_EXPECT_EQ(epoll_pwait2(set, &event, 1, &wrong, NULL), -1);
    PEL_EXPECT_EQ(errno, EINVAL);
    close(file);
    close(pipes[0]);
    close(pipes[1]);
    pel_fake_close(fd);
    pel_fake_close(set);
}

static bool are_seen_twice(const int *num_seen, int num)
{
    for (int i = 0; i < num; i++)
        if (num_seen[i] < 2)
            return false;
    return true;
}

PEL_TEST(epoll, kernel_members_are_reported_beside_ours_and_nobody_starves)
{
    struct pel_app *app = pel_fake_start(8);
    int fds[10], bells[10], num_seen[20] = {0}, set = epoll_create1(0);
    for (uint64_t i = 0; i < 10; i++) {
        struct pel_file *file = pel_fake_socket(app, &fds[i]);
        bells[i] = eventfd(1, EFD_NONBLOCK);
        PEL_EXPECT_EQ(ctl(set, EPOLL_CTL_ADD, bells[i], EPOLLIN, 10 + i), 0);
        PEL_EXPECT_EQ(ctl(set, EPOLL_CTL_ADD, fds[i], EPOLLIN, i), 0);
        pel_fake_receive(file, 1);
    }
    for (int max = 1; max <= 4; max++) {
        memset(num_seen, 0, sizeof num_seen);
        /* The kernel is looked at by time, now and then: many waits, each of them short. */
        for (int waits = 0; waits < 100000 && !are_seen_twice(num_seen, 20); waits++) {
            struct epoll_event events[4];
            int num = epoll_wait(set, events, max, -1);
            PEL_REQUIRE(num > 0 && num <= max);
            for (int i = 0; i < num; i++)
                num_seen[events[i].data.u64]++;
        }
        for (int i = 0; i < 20; i++)
            PEL_EXPECT(num_seen[i] > 1);
    }
    for (int i = 0; i < 10; i++) {
        close(bells[i]);
        pel_fake_close(fds[i]);
    }
    PEL_EXPECT_EQ(only_event(set, 0), 0);
    pel_fake_close(set);
}

PEL_TEST(epoll, a_member_stays_while_a_number_leads_to_it)
{
    struct pel_app *app = pel_fake_start(8);
    int fd, set = epoll_create1(0);
    struct pel_file *file = pel_fake_socket(app, &fd);
    int copy = pel_fake_dup(fd), set_copy = pel_fake_dup(set);
    PEL_EXPECT_EQ(ctl(set, EPOLL_CTL_ADD, fd, EPOLLIN, 7), 0);
    PEL_EXPECT_EQ(ctl(set, EPOLL_CTL_ADD, copy, EPOLLIN, 8), 0);
    pel_fake_receive(file, 1);
    struct epoll_event events[4];
    PEL_EXPECT_EQ(epoll_wait(set_copy, events, 4, 0), 2);
    PEL_EXPECT_EQ(ctl(set_copy, EPOLL_CTL_DEL, copy, 0, 0), 0);
    pel_fake_close(fd); /* what stood there is still known by its number */
    PEL_EXPECT_EQ(only_event(set, 0), EPOLLIN);
    /* Another socket at the same number is another member. */
    int other_fd;
    struct pel_file *other = pel_fake_socket(app, &other_fd);
    PEL_EXPECT_EQ(other_fd, fd);
    PEL_EXPECT_EQ(ctl(set, EPOLL_CTL_ADD, other_fd, EPOLLIN, 9), 0);
    PEL_EXPECT_EQ(only_event(set, 0), EPOLLIN);
    pel_fake_receive(other, 1);
    PEL_EXPECT_EQ(epoll_wait(set, events, 4, 0), 2);
    pel_fake_close(copy);
    PEL_EXPECT_EQ(epoll_wait(set, events, 4, 0), 1);
    PEL_EXPECT_EQ(events[0].data.u64, 9);
    pel_fake_close(set);
    PEL_EXPECT_EQ(epoll_wait(set_copy, events, 4, 0), 1);
    pel_fake_close(set_copy);
    pel_fake_close(other_fd);
    PEL_EXPECT_EQ(pel_fake_num_wakers(app), 0);
    PEL_EXPECT((int32_t)pel_fake_num_hidden() <= 0);
}

PEL_TEST(epoll, listeners_and_undecided_sockets_are_the_kernels_and_move)
{
    struct pel_app *app = pel_fake_start(8);
    int fd, undecided_fd, set = epoll_create1(0);
    struct pel_file *listener = pel_fake_listener(app, &fd);
    struct pel_file *undecided = pel_fake_undecided(&undecided_fd);
    PEL_EXPECT_EQ(ctl(set, EPOLL_CTL_ADD, fd, EPOLLIN | EPOLLOUT, 7), 0);
    PEL_EXPECT_EQ(only_event(set, 0), 0);
    pel_fake_connect(listener);
    PEL_EXPECT_EQ(only_event(set, -1), EPOLLIN);
    PEL_EXPECT_EQ(ctl(set, EPOLL_CTL_MOD, fd, EPOLLIN | (uint32_t)EPOLLET, 7), 0);
    PEL_EXPECT_EQ(only_event(set, 0), EPOLLIN);
    PEL_EXPECT_EQ(only_event(set, 0), 0);
    PEL_EXPECT_EQ(ctl(set, EPOLL_CTL_ADD, undecided_fd, EPOLLOUT, 7), 0);
    PEL_EXPECT_EQ(only_event(set, 0), EPOLLOUT | EPOLLHUP);
    pel_fake_decide(undecided, app, undecided_fd);
    PEL_EXPECT_EQ(only_event(set, 0), EPOLLOUT);
    pel_fake_fill(undecided, true);
    PEL_EXPECT_EQ(only_event(set, 0), 0);
    PEL_EXPECT_EQ(ctl(set, EPOLL_CTL_MOD, undecided_fd, EPOLLIN, 7), 0);
    pel_fake_receive(undecided, 1);
    PEL_EXPECT_EQ(only_event(set, 0), EPOLLIN);
    /* A stream that begins to listen becomes the kernel's. */
    __atomic_store_n(&undecided->kind, PEL_FILE_LISTENER, __ATOMIC_RELEASE);
    pel_epoll_decided(undecided, undecided_fd);
    PEL_EXPECT_EQ(only_event(set, 0), EPOLLIN | EPOLLHUP); /* whose other end the test has closed */
    PEL_EXPECT_EQ(ctl(set, EPOLL_CTL_DEL, undecided_fd, 0, 0), 0);
    PEL_EXPECT_EQ(ctl(set, EPOLL_CTL_DEL, fd, 0, 0), 0);
    pel_fake_close(fd);
    pel_fake_close(undecided_fd);
    pel_fake_close(set);
    PEL_EXPECT((int32_t)pel_fake_num_hidden() <= 0);
}

PEL_TEST(epoll, the_death_of_the_daemon_is_reported_for_every_socket)
{
    struct pel_app *app = pel_fake_start(8);
    int fds[3], set = epoll_create1(0);
    for (uint64_t i = 0; i < 3; i++) {
        pel_fake_socket(app, &fds[i]);
        PEL_EXPECT_EQ(ctl(set, EPOLL_CTL_ADD, fds[i], EPOLLIN, i), 0);
    }
    struct epoll_event events[4];
    PEL_EXPECT_EQ(epoll_wait(set, events, 4, 1), 0);
    pel_fake_die(app);
    PEL_EXPECT_EQ(epoll_wait(set, events, 4, 20000), 3);
    PEL_EXPECT_EQ(events[0].events, EPOLLIN | EPOLLERR | EPOLLHUP);
    PEL_EXPECT(app->is_gone);
    /* A new daemon has a place in the same set. */
    struct pel_app *next = pel_fake_start(8);
    for (int i = 0; i < 3; i++)
        pel_fake_close(fds[i]);
    struct pel_file *file = pel_fake_socket(next, &fds[0]);
    PEL_EXPECT_EQ(ctl(set, EPOLL_CTL_ADD, fds[0], EPOLLIN, 7), 0);
    PEL_EXPECT_EQ(epoll_wait(set, events, 4, 1), 0);
    pel_fake_receive(file, 1);
    PEL_EXPECT_EQ(only_event(set, 20000), EPOLLIN);
    pel_fake_close(fds[0]);
    pel_fake_close(set);
    PEL_EXPECT((int32_t)pel_fake_num_hidden() <= 0);
}

PEL_TEST(epoll, without_a_waker_members_are_looked_at_every_millisecond)
{
    struct pel_app *app = pel_fake_start(0);
    int fd, set = epoll_create1(0);
    struct pel_file *file = pel_fake_socket(app, &fd);
    PEL_EXPECT_EQ(ctl(set, EPOLL_CTL_ADD, fd, EPOLLIN, 7), 0);
    PEL_EXPECT_EQ(only_event(set, 3), 0);
    pel_fake_receive(file, 1);
    PEL_EXPECT_EQ(only_event(set, 20000), EPOLLIN);
    pel_fake_close(fd);
    pel_fake_close(set);
}

PEL_TEST(epoll, timeouts_are_kept)
{
    struct pel_app *app = pel_fake_start(8);
    struct epoll_event event;
    int fd, set = epoll_create1(0);
    pel_fake_socket(app, &fd);
    PEL_EXPECT_EQ(ctl(set, EPOLL_CTL_ADD, fd, EPOLLIN, 7), 0);
    const int64_t timeouts_ns[] = {300000, 1000000, 7000000};
    for (int i = 0; i < 3; i++) {
        struct timespec timeout = {.tv_nsec = timeouts_ns[i]};
        int64_t begin_ns = pel_now_ns();
        PEL_EXPECT_EQ(epoll_pwait2(set, &event, 1, &timeout, NULL), 0);
        PEL_EXPECT(pel_now_ns() - begin_ns >= timeouts_ns[i]);
        begin_ns = pel_now_ns();
        PEL_EXPECT_EQ(epoll_wait(set, &event, 1, (int)(timeouts_ns[i] / 1000000)), 0);
        PEL_EXPECT(pel_now_ns() - begin_ns >= timeouts_ns[i] / 1000000 * 1000000);
    }
    pel_fake_close(fd);
    pel_fake_close(set);
}

/* From now on every system call ends the process, but exit. */
static bool forbid_calls(void)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_exit, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
    };
    struct sock_fprog program = {.len = 4, .filter = filter};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

static void loop_without_calls(void)
{
    struct pel_app *app = pel_fake_start(8);
    struct epoll_event events[8];
    int fds[20], bell = eventfd(0, 0), set = epoll_create1(0);
    struct pel_file *files[20];
    for (uint64_t i = 0; i < 20; i++) {
        files[i] = pel_fake_socket(app, &fds[i]);
        ctl(set, EPOLL_CTL_ADD, fds[i], i % 2 ? EPOLLIN : EPOLLIN | (uint32_t)EPOLLET, i);
    }
    /* A kernel's member would be looked at now and then. */
    ctl(set, EPOLL_CTL_ADD, bell, EPOLLIN, 0);
    ctl(set, EPOLL_CTL_DEL, bell, EPOLLIN, 0);
    if (!forbid_calls())
        _exit(1);
    for (int round = 0; round < 10000; round++) {
        pel_fake_receive(files[round % 20], 1);
        int num = epoll_wait(set, events, 8, -1);
        for (int i = 0; i < num; i++)
            pel_fake_read(files[events[i].data.u64], 1);
        if (num != 1)
            syscall(SYS_exit, 2);
    }
    syscall(SYS_exit, 0);
}

PEL_TEST(epoll, what_is_ready_is_had_without_a_system_call)
{
    int status;
    pid_t pid = fork();
    if (pid == 0)
        loop_without_calls();
    PEL_EXPECT_EQ(waitpid(pid, &status, 0), pid);
    PEL_EXPECT_EQ(status, 0);
}
