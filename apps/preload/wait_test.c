/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Wakers, and the blocking wait on one socket.
 */
#include "apps/preload/wait.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#include "apps/preload/wait_fake.h"
#include "apps/preload/wake.h"
#include "tests/harness/harness.h"

#define NUM_ROUNDS 100000
#define NUM_DRIFTS 20000      /* rounds that take longer */
#define MOST_NS    3000000000 /* on a busy machine it is fewer rounds */

PEL_TEST(wake, wakers_are_taken_until_there_are_none_and_given_back)
{
    struct pel_app *app = pel_fake_start(3);
    struct pel_wake wakes[3], more;
    uint32_t num_hidden = pel_fake_num_hidden();
    for (int i = 0; i < 3; i++)
        PEL_EXPECT_EQ(pel_wake_open(&wakes[i], app), 0);
    PEL_EXPECT_EQ(pel_fake_num_wakers(app), 3);
    PEL_EXPECT_EQ(pel_wake_open(&more, app), ENOSPC);
    pel_wake_close(&wakes[1]);
    PEL_EXPECT_EQ(pel_wake_open(&more, app), 0);
    PEL_EXPECT_EQ(more.number, wakes[1].number);
    pel_wake_close(&more);
    pel_wake_close(&wakes[0]);
    pel_wake_close(&wakes[2]);
    PEL_EXPECT_EQ(pel_fake_num_wakers(app), 0);
    PEL_EXPECT_EQ(pel_fake_num_hidden(), num_hidden);
}

/* A process that has ended and been waited for. */
static uint32_t dead_pid(void)
{
    pid_t pid = fork();
    if (pid == 0)
        _exit(0);
    waitpid(pid, NULL, 0);
    return (uint32_t)pid;
}

PEL_TEST(wake, what_a_dead_process_had_is_taken_over)
{
    struct pel_app *app = pel_fake_start(2);
    struct pel_wake wake;
    int fd;
    struct pel_file *file = pel_fake_socket(app, &fd);
    uint32_t dead = dead_pid();
    for (uint32_t i = 0; i < 2; i++) {
        struct pel_waker *waker = pel_segment_waker(app->base, &app->header, i);
        waker->owner_pid = i == 0 ? (uint32_t)getppid() : dead;
        waker->is_asleep = 1;
        pel_signal_set_add(&waker->ready, 7);
    }
    PEL_REQUIRE(pel_wake_open(&wake, app) == 0);
    PEL_EXPECT_EQ(wake.number, 1);
    PEL_EXPECT_EQ(wake.waker->is_asleep, 0);
    PEL_EXPECT(pel_signal_set_is_empty(&wake.waker->ready));
    /* All places of the socket are taken: three by the living, one by a waker that nobody owns. */
    for (int i = 0; i < PEL_WATCHERS; i++)
        file->slot->watchers[i] = 1;
    PEL_EXPECT(!pel_wake_watch(&wake, file->slot));
    struct pel_waker *other = pel_segment_waker(app->base, &app->header, 0);
    other->owner_pid = 0;
    PEL_EXPECT(pel_wake_watch(&wake, file->slot));
    PEL_EXPECT_EQ(file->slot->watchers[0], wake.number + 1);
    pel_wake_unwatch(&wake, file->slot);
    PEL_EXPECT_EQ(file->slot->watchers[0], 0);
    pel_wake_close(&wake);
    pel_fake_close(fd);
}

PEL_TEST(wake, spinning_that_never_helps_becomes_rare_and_comes_back_when_it_does)
{
    struct pel_spin spin = {0};
    int num_spins = 0;
    if (pel_spin_ticks(&spin) == 0) {
        pel_test_skip(__FILE__, __LINE__, "one processor: nobody spins");
        return;
    }
    for (int i = 0; i < 100000; i++) {
        if (pel_spin_ticks(&spin) == 0)
            continue;
        num_spins++;
        pel_spin_learn(&spin, false);
    }
    PEL_EXPECT(num_spins > 300 && num_spins < 600);
    while (pel_spin_ticks(&spin) == 0)
        ;
    pel_spin_learn(&spin, true);
    PEL_EXPECT(pel_spin_ticks(&spin) != 0);
}

PEL_TEST(wait_for, says_at_once_what_is_ready_and_when_time_is_over)
{
    struct pel_app *app = pel_fake_start(4);
    int fd;
    struct pel_file *file = pel_fake_socket(app, &fd);
    PEL_EXPECT_EQ(pel_wait_for(file, POLLOUT, -1, false), 0);
    PEL_EXPECT_EQ(pel_wait_for(file, POLLIN, 0, false), -ETIMEDOUT);
    int64_t begin_ns = pel_now_ns();
    PEL_EXPECT_EQ(pel_wait_for(file, POLLIN, 3000, false), -ETIMEDOUT);
    PEL_EXPECT(pel_now_ns() - begin_ns >= 3000000);
    pel_fake_receive(file, 1);
    PEL_EXPECT_EQ(pel_wait_for(file, POLLIN, -1, false), 0);
    for (int i = 0; i < PEL_WATCHERS; i++)
        PEL_EXPECT_EQ(file->slot->watchers[i], 0);
    pel_fake_close(fd);
}

PEL_TEST(wait_for, without_a_waker_or_a_place_it_naps)
{
    struct pel_app *app = pel_fake_start(0);
    int fd;
    struct pel_file *file = pel_fake_socket(app, &fd);
    PEL_EXPECT_EQ(pel_wait_for(file, POLLIN, 2500, false), -ETIMEDOUT);
    PEL_EXPECT_EQ(pel_thread_wake(app) == NULL, 1);
    pel_fake_close(fd);
}

/* How a game is played: at full speed, at a changing one, or always asleep. */
enum manner { EAGER, DRIFTING, SLEEPY };

struct echo {
    struct pel_file *there, *back;
    enum manner manner;
};

static void pause_for(unsigned *random)
{
    *random = *random * 1103515245u + 12345u;
    for (unsigned i = *random >> 16 & 0x3ff; i > 0; i--)
        __builtin_ia32_pause();
}

static void prepare(enum manner manner, unsigned *random)
{
    if (manner == DRIFTING)
        pause_for(random);
    if (manner == SLEEPY)
        pel_thread.spin = (struct pel_spin){.num_skipped = 9};
}

static int num_rounds(enum manner manner)
{
    return manner == DRIFTING ? NUM_DRIFTS : NUM_ROUNDS;
}

static void *answer_all(void *arg)
{
    struct echo *echo = arg;
    unsigned random = 7;
    for (int i = 0; i < num_rounds(echo->manner); i++) {
        prepare(echo->manner, &random);
        if (pel_wait_for(echo->there, POLLIN, -1, false) != 0)
            break;
        pel_fake_read(echo->there, 1);
        pel_fake_receive(echo->back, 1);
    }
    return NULL;
}

/* Two threads throw a byte to and fro: one lost wake-up and both sleep for ever, which the timeout tells. */
static void play(enum manner manner)
{
    struct pel_app *app = pel_fake_start(4);
    int fds[2];
    struct echo echo = {
        .there = pel_fake_socket(app, &fds[0]), .back = pel_fake_socket(app, &fds[1]), .manner = manner};
    pthread_t thread;
    unsigned random = 11;
    PEL_REQUIRE(pthread_create(&thread, NULL, answer_all, &echo) == 0);
    int result = 0, i = 0;
    int64_t end_ns = pel_now_ns() + MOST_NS;
    for (; i < num_rounds(manner) && result == 0 && pel_now_ns() < end_ns; i++) {
        pel_fake_receive(echo.there, 1);
        prepare(manner, &random);
        result = pel_wait_for(echo.back, POLLIN, 20000000, false);
        pel_fake_read(echo.back, 1);
    }
    PEL_EXPECT_EQ(result, 0);
    if (result != 0)
        pel_test_say("lost in round %d", i);
    pel_fake_state(echo.there, PEL_SLOT_GONE);
    pthread_join(thread, NULL);
    pel_fake_close(fds[0]);
    pel_fake_close(fds[1]);
}

PEL_TEST(wait_for, no_wake_up_is_lost)
{
    play(EAGER);
}

PEL_TEST(wait_for, no_wake_up_is_lost_when_the_two_drift)
{
    play(DRIFTING);
}

PEL_TEST(wait_for, no_wake_up_is_lost_when_all_sleep)
{
    play(SLEEPY);
}

static void *wait_once(void *arg)
{
    struct pel_file *file = arg;
    return (void *)(intptr_t)pel_wait_for(file, POLLIN, 20000000, false);
}

PEL_TEST(wait_for, the_death_of_the_daemon_ends_it)
{
    struct pel_app *app = pel_fake_start(4);
    int fd;
    struct pel_file *file = pel_fake_socket(app, &fd);
    pthread_t thread;
    void *result;
    PEL_REQUIRE(pthread_create(&thread, NULL, wait_once, file) == 0);
    while (pel_fake_num_wakers(app) == 0)
        sched_yield();
    struct pel_waker *waker = pel_segment_waker(app->base, &app->header, 0);
    for (uint32_t i = 0; i < 4; i++)
        waker = pel_segment_waker(app->base, &app->header, i)->owner_pid
                    ? pel_segment_waker(app->base, &app->header, i)
                    : waker;
    while (!__atomic_load_n(&waker->is_asleep, __ATOMIC_SEQ_CST))
        sched_yield();
    pel_fake_die(app);
    pthread_join(thread, &result);
    PEL_EXPECT_EQ((intptr_t)result, 0);
    PEL_EXPECT(app->is_gone);
    PEL_EXPECT_EQ(pel_fake_num_wakers(app), 0);
    pel_fake_close(fd);
}
