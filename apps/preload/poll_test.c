/* SPDX-License-Identifier: Apache-2.0 */
/*
 * poll and select over sockets of the stack and descriptors of the kernel.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/select.h>
#include <unistd.h>

#include "apps/preload/wait.h"
#include "apps/preload/wait_fake.h"
#include "apps/preload/wake.h"
#include "tests/harness/harness.h"

#define NUM_ROUNDS 50000
#define MOST_NS    3000000000 /* on a busy machine it is fewer rounds */

PEL_TEST(poll, reports_each_row_as_the_kernel_would)
{
    struct pel_app *app = pel_fake_start(8);
    int fd, listener_fd, pipes[2], undecided_fd;
    struct pel_file *file = pel_fake_socket(app, &fd), *listener = pel_fake_listener(app, &listener_fd);
    pel_fake_undecided(&undecided_fd);
    PEL_REQUIRE(pipe(pipes) == 0);
    struct pollfd rows[] = {
        {.fd = fd, .events = POLLIN | POLLOUT}, {.fd = pipes[0], .events = POLLIN},
        {.fd = pipes[1], .events = POLLOUT},    {.fd = -1, .events = POLLIN, .revents = 77},
        {.fd = listener_fd, .events = POLLIN},  {.fd = 9999, .events = POLLIN},
        {.fd = undecided_fd, .events = POLLIN}, {.fd = fd, .events = POLLIN},
        {.fd = listener_fd, .events = POLLOUT},
    };
    PEL_EXPECT_EQ(poll(rows, 9, -1), 4);
    const short first[] = {POLLOUT, 0, POLLOUT, 0, 0, POLLNVAL, POLLHUP, 0, 0};
    for (int i = 0; i < 9; i++)
        PEL_EXPECT_EQ(rows[i].revents, first[i]);
    pel_fake_receive(file, 1);
    pel_fake_connect(listener);
    PEL_EXPECT_EQ(write(pipes[1], "x", 1), 1);
    PEL_EXPECT_EQ(poll(rows, 9, 0), 7);
    const short second[] = {POLLIN | POLLOUT, POLLIN, POLLOUT, 0, POLLIN, POLLNVAL, POLLHUP, POLLIN, 0};
    for (int i = 0; i < 9; i++)
        PEL_EXPECT_EQ(rows[i].revents, second[i]);
    pel_fake_state(file, PEL_SLOT_GONE);
    rows[0].events = 0;
    PEL_EXPECT_EQ(poll(rows, 1, -1), 1);
    PEL_EXPECT_EQ(rows[0].revents, POLLHUP | POLLERR);
    close(pipes[0]);
    close(pipes[1]);
    pel_fake_close(fd);
    pel_fake_close(listener_fd);
    pel_fake_close(undecided_fd);
}

PEL_TEST(poll, the_kernels_own_go_to_the_kernel)
{
    int pipes[2];
    PEL_REQUIRE(pipe(pipes) == 0);
    struct pollfd rows[] = {{.fd = pipes[0], .events = POLLIN}, {.fd = pipes[1], .events = POLLOUT}};
    PEL_EXPECT_EQ(poll(rows, 2, 0), 1);
    PEL_EXPECT_EQ(poll(rows, 1, 1), 0);
    PEL_EXPECT_EQ(poll(NULL, 0, 1), 0);
    struct timespec wrong = {.tv_nsec = -1};
    PEL_EXPECT_EQ(ppoll(rows, 1, &wrong, NULL), -1);
    PEL_EXPECT_EQ(errno, EINVAL);
    close(pipes[0]);
    close(pipes[1]);
}

PEL_TEST(poll, timeouts_are_kept)
{
    struct pel_app *app = pel_fake_start(8);
    int fd;
    pel_fake_socket(app, &fd);
    struct pollfd row = {.fd = fd, .events = POLLIN};
    for (int ms = 1; ms < 10; ms += 4) {
        int64_t shortest_ns = INT64_MAX;
        /* The processor may be somebody else's for a while, but not each time. */
        for (int i = 0; i < 10 && shortest_ns >= ms * 1000000ll + 500000000; i++) {
            int64_t begin_ns = pel_now_ns();
            PEL_EXPECT_EQ(poll(&row, 1, ms), 0);
            int64_t waited_ns = pel_now_ns() - begin_ns;
            PEL_EXPECT(waited_ns >= ms * 1000000ll);
            shortest_ns = waited_ns < shortest_ns ? waited_ns : shortest_ns;
        }
        PEL_EXPECT(shortest_ns < ms * 1000000ll + 500000000);
    }
    struct timespec wrong = {.tv_nsec = 1000000000}, short_time = {.tv_nsec = 20000};
    PEL_EXPECT_EQ(ppoll(&row, 1, &short_time, NULL), 0);
    PEL_EXPECT_EQ(ppoll(&row, 1, &wrong, NULL), -1);
    PEL_EXPECT_EQ(errno, EINVAL);
    pel_fake_close(fd);
}

/* What wakes a sleeper: from another thread, after a while. */
struct poke {
    struct pel_file *file;
    int bell;
    pthread_t thread;
};

static void *poke(void *arg)
{
    struct poke *p = arg;
    uint64_t one = 1;
    usleep(2000);
    if (p->file != NULL)
        pel_fake_receive(p->file, 1);
    else if (write(p->bell, &one, sizeof one) != sizeof one)
        abort();
    return NULL;
}

PEL_TEST(poll, either_kind_ends_the_sleep)
{
    struct pel_app *app = pel_fake_start(8);
    int fds[2];
    struct pel_file *files[2] = {pel_fake_socket(app, &fds[0]), pel_fake_socket(app, &fds[1])};
    struct poke pokes[2] = {{.file = files[1]}, {.bell = eventfd(0, 0)}};
    struct pollfd rows[] = {{.fd = fds[0], .events = POLLIN},
                            {.fd = fds[1], .events = POLLIN},
                            {.fd = pokes[1].bell, .events = POLLIN}};
    for (int i = 0; i < 2; i++) {
        pthread_create(&pokes[i].thread, NULL, poke, &pokes[i]);
        PEL_EXPECT_EQ(poll(rows, 3, 20000), 1);
        PEL_EXPECT_EQ(rows[1 + i].revents, POLLIN);
        pthread_join(pokes[i].thread, NULL);
        if (i == 0)
            pel_fake_read(files[1], 1);
    }
    for (int i = 0; i < PEL_WATCHERS; i++)
        PEL_EXPECT_EQ(files[0]->slot->watchers[i], 0);
    close(pokes[1].bell);
    pel_fake_close(fds[0]);
    pel_fake_close(fds[1]);
}

PEL_TEST(poll, many_rows)
{
    enum { NUM = 500 };
    struct pel_app *app = pel_fake_start(8);
    struct pollfd rows[NUM];
    struct pel_file *files[NUM];
    for (int i = 0; i < NUM; i++) {
        rows[i] = (struct pollfd){.events = POLLIN};
        files[i] = pel_fake_socket(app, &rows[i].fd);
    }
    struct poke one = {.file = files[NUM - 1]};
    pthread_create(&one.thread, NULL, poke, &one);
    PEL_EXPECT_EQ(poll(rows, NUM, 20000), 1);
    PEL_EXPECT_EQ(rows[NUM - 1].revents, POLLIN);
    pthread_join(one.thread, NULL);
    for (int i = 0; i < NUM; i++)
        pel_fake_close(rows[i].fd);
}

static void *answer_all(void *arg)
{
    struct pel_file **files = arg;
    int fd = (int)files[0]->serial;
    for (int i = 0; i < NUM_ROUNDS && !(files[0]->slot->state & PEL_SLOT_GONE); i++) {
        fd_set set;
        FD_ZERO(&set);
        FD_SET(fd, &set);
        if (i % 2)
            pel_thread.spin = (struct pel_spin){.num_skipped = 9};
        if (select(fd + 1, &set, NULL, NULL, NULL) != 1)
            abort();
        pel_fake_read(files[0], 1);
        pel_fake_receive(files[1], 1);
    }
    return NULL;
}

PEL_TEST(poll, no_wake_up_is_lost)
{
    struct pel_app *app = pel_fake_start(8);
    int fds[2], bell = eventfd(0, 0), i = 0, num = 1;
    struct pel_file *files[2] = {pel_fake_socket(app, &fds[0]), pel_fake_socket(app, &fds[1])};
    struct pollfd rows[] = {{.fd = bell, .events = POLLIN}, {.fd = fds[1], .events = POLLIN}};
    pthread_t thread;
    files[0]->serial = (uint32_t)fds[0];
    PEL_REQUIRE(pthread_create(&thread, NULL, answer_all, files) == 0);
    int64_t end_ns = pel_now_ns() + MOST_NS;
    for (; i < NUM_ROUNDS && num == 1 && pel_now_ns() < end_ns; i++) {
        if (i % 3)
            pel_thread.spin = (struct pel_spin){.num_skipped = 9};
        pel_fake_receive(files[0], 1);
        num = poll(rows, 2, 20000);
        pel_fake_read(files[1], 1);
    }
    PEL_EXPECT_EQ(num, 1);
    if (num != 1) {
        pel_test_say("lost in round %d", i);
        abort(); /* the other sleeps for ever */
    }
    pel_fake_state(files[0], PEL_SLOT_GONE);
    pthread_join(thread, NULL);
    close(bell);
    pel_fake_close(fds[0]);
    pel_fake_close(fds[1]);
}

PEL_TEST(poll, a_listener_whose_daemon_has_died_is_readable)
{
    struct pel_app *app = pel_fake_start(8);
    int fd;
    pel_fake_listener(app, &fd);
    struct pollfd row = {.fd = fd, .events = POLLIN};
    PEL_EXPECT_EQ(poll(&row, 1, 1), 0);
    pel_fake_die(app);
    PEL_EXPECT_EQ(poll(&row, 1, 20000), 1);
    PEL_EXPECT_EQ(row.revents, POLLIN);
    pel_fake_close(fd);
}

PEL_TEST(select, sets_are_filled_as_the_kernel_would)
{
    struct pel_app *app = pel_fake_start(8);
    int fd, pipes[2];
    struct pel_file *file = pel_fake_socket(app, &fd);
    PEL_REQUIRE(pipe(pipes) == 0);
    fd_set in, out, except;
    FD_ZERO(&in);
    FD_ZERO(&out);
    FD_ZERO(&except);
    FD_SET(fd, &in);
    FD_SET(pipes[0], &in);
    FD_SET(fd, &out);
    FD_SET(pipes[1], &out);
    FD_SET(fd, &except);
    PEL_EXPECT_EQ(select(FD_SETSIZE, &in, &out, &except, NULL), 2);
    PEL_EXPECT(!FD_ISSET(fd, &in) && !FD_ISSET(pipes[0], &in) && FD_ISSET(fd, &out) &&
               FD_ISSET(pipes[1], &out));
    PEL_EXPECT(!FD_ISSET(fd, &except));
    pel_fake_state(file, PEL_SLOT_GONE);
    FD_ZERO(&out);
    FD_SET(fd, &in);
    PEL_EXPECT_EQ(select(fd + 1, &in, &out, NULL, NULL), 1);
    PEL_EXPECT(FD_ISSET(fd, &in));
    pel_fake_close(fd);
    fd = -1;
    struct pel_file *other = pel_fake_socket(app, &fd);
    FD_ZERO(&in);
    FD_SET(fd, &in);
    struct timeval time = {.tv_usec = 3000};
    PEL_EXPECT_EQ(select(fd + 1, &in, NULL, NULL, &time), 0);
    PEL_EXPECT(!FD_ISSET(fd, &in));
    PEL_EXPECT(time.tv_sec == 0 && time.tv_usec == 0);
    FD_SET(fd, &in);
    pel_fake_receive(other, 1);
    time = (struct timeval){.tv_sec = 1000};
    PEL_EXPECT_EQ(select(fd + 1, &in, NULL, NULL, &time), 1);
    PEL_EXPECT(time.tv_sec < 1000 && time.tv_sec > 970); /* what is left */
    close(pipes[1]);
    FD_SET(pipes[1], &in);
    PEL_EXPECT_EQ(select(FD_SETSIZE, &in, NULL, NULL, NULL), -1);
    PEL_EXPECT_EQ(errno, EBADF);
    time.tv_sec = -1;
    FD_ZERO(&in);
    FD_SET(fd, &in);
    PEL_EXPECT_EQ(select(fd + 1, &in, NULL, NULL, &time), -1);
    PEL_EXPECT_EQ(errno, EINVAL);
    close(pipes[0]);
    pel_fake_close(fd);
}

PEL_TEST(select, sets_may_be_larger_than_the_macros_know)
{
    struct pel_app *app = pel_fake_start(8);
    uint64_t words[4096 / 64] = {0};
    int fd;
    struct pel_file *file = pel_fake_socket(app, &fd);
    if (dup2(fd, 3000) != 3000) {
        pel_test_skip(__FILE__, __LINE__, "the process may not have 3,001 descriptors");
        pel_fake_close(fd);
        return;
    }
    __atomic_fetch_add(&file->refs, 1, __ATOMIC_RELAXED);
    PEL_EXPECT_EQ(pel_file_install(3000, file), 0);
    words[3000 / 64] = 1ull << 3000 % 64;
    struct timeval none = {0};
    PEL_EXPECT_EQ(select(3001, (fd_set *)words, NULL, NULL, &none), 0);
    PEL_EXPECT_EQ(words[3000 / 64], 0);
    words[3000 / 64] = 1ull << 3000 % 64;
    pel_fake_receive(file, 1);
    PEL_EXPECT_EQ(select(3001, (fd_set *)words, NULL, NULL, NULL), 1);
    PEL_EXPECT_EQ(words[3000 / 64], 1ull << 3000 % 64);
    pel_fake_close(3000);
    pel_fake_close(fd);
}
