/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Signal handlers, as the program sees them, and how they end a wait.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <unistd.h>

#include "apps/preload/wait.h"
#include "apps/preload/wait_fake.h"
#include "apps/preload/wake.h"
#include "tests/harness/harness.h"

/* siginterrupt is what the test is about. */
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

static volatile sig_atomic_t num_calls, last_code, was_on_stack;
static stack_t own_stack;
static sigjmp_buf jump;

static void count(int signal_number)
{
    num_calls++;
    if (signal_number != SIGUSR1)
        num_calls += 1000;
}

static void count_other(int signal_number)
{
    (void)signal_number;
    num_calls += 100;
}

static void count_info(int signal_number, siginfo_t *info, void *context)
{
    char here;
    (void)signal_number;
    num_calls++;
    last_code = context != NULL ? info->si_code : -1;
    was_on_stack = &here >= (char *)own_stack.ss_sp && &here < (char *)own_stack.ss_sp + own_stack.ss_size;
}

static void change_handler(int signal_number)
{
    num_calls++;
    signal(signal_number, count_other);
}

static void jump_out(int signal_number)
{
    (void)signal_number;
    siglongjmp(jump, 1);
}

static void clear(void)
{
    num_calls = 0;
    signal(SIGUSR1, SIG_DFL);
}

PEL_TEST(signals, the_program_sees_its_own_handlers_and_flags)
{
    struct sigaction action = {.sa_handler = count, .sa_flags = SA_RESTART | SA_NODEFER}, old;
    clear();
    sigaddset(&action.sa_mask, SIGUSR2);
    PEL_EXPECT_EQ(sigaction(SIGUSR1, &action, &old), 0);
    PEL_EXPECT(old.sa_handler == SIG_DFL);
    raise(SIGUSR1);
    PEL_EXPECT_EQ(num_calls, 1);
    PEL_EXPECT_EQ(sigaction(SIGUSR1, NULL, &old), 0);
    PEL_EXPECT(old.sa_handler == count);
    PEL_EXPECT_EQ(old.sa_flags & (SA_RESTART | SA_NODEFER | SA_SIGINFO), SA_RESTART | SA_NODEFER);
    PEL_EXPECT(sigismember(&old.sa_mask, SIGUSR2) == 1);
    PEL_EXPECT(signal(SIGUSR1, count_other) == count);
    raise(SIGUSR1);
    PEL_EXPECT_EQ(num_calls, 101);
    PEL_EXPECT(signal(SIGUSR1, SIG_IGN) == count_other);
    raise(SIGUSR1);
    PEL_EXPECT_EQ(num_calls, 101);
    PEL_EXPECT(signal(SIGUSR1, SIG_DFL) == SIG_IGN);
    PEL_EXPECT_EQ(sigaction(SIGKILL, &action, NULL), -1);
    PEL_EXPECT_EQ(errno, EINVAL);
    PEL_EXPECT_EQ(sigaction(99, &action, NULL), -1);
    PEL_EXPECT(signal(0, count) == SIG_ERR);
    /* The same structure for both. */
    struct sigaction *volatile same = &action;
    PEL_EXPECT_EQ(sigaction(SIGUSR1, same, same), 0);
    PEL_EXPECT(action.sa_handler == SIG_DFL);
    PEL_EXPECT_EQ(sigaction(SIGUSR1, NULL, &action), 0);
    PEL_EXPECT(action.sa_handler == count);
    clear();
}

PEL_TEST(signals, flags_mean_what_they_mean)
{
    struct sigaction action = {.sa_sigaction = count_info,
                               .sa_flags = SA_SIGINFO | SA_ONSTACK | (int)SA_RESETHAND};
    struct sigaction old;
    clear();
    own_stack = (stack_t){.ss_sp = malloc(65536), .ss_size = 65536};
    PEL_EXPECT_EQ(sigaltstack(&own_stack, NULL), 0);
    PEL_EXPECT_EQ(sigaction(SIGUSR1, &action, NULL), 0);
    raise(SIGUSR1);
    PEL_EXPECT_EQ(num_calls, 1);
    PEL_EXPECT_EQ(last_code, SI_TKILL);
    PEL_EXPECT(was_on_stack);
    PEL_EXPECT_EQ(sigaction(SIGUSR1, NULL, &old), 0);
    PEL_EXPECT(old.sa_handler == SIG_DFL);
    signal(SIGUSR1, change_handler);
    raise(SIGUSR1);
    raise(SIGUSR1);
    PEL_EXPECT_EQ(num_calls, 102);
    own_stack.ss_flags = SS_DISABLE;
    sigaltstack(&own_stack, NULL);
    free(own_stack.ss_sp);
    clear();
}

PEL_TEST(signals, the_older_calls_mean_what_they_mean)
{
    struct sigaction action;
    clear();
    PEL_EXPECT(sysv_signal(SIGUSR1, count) == SIG_DFL);
    raise(SIGUSR1);
    PEL_EXPECT_EQ(num_calls, 1);
    PEL_EXPECT(signal(SIGUSR1, count) == SIG_DFL);
    sigaction(SIGUSR1, NULL, &action);
    PEL_EXPECT_EQ(action.sa_flags & SA_RESTART, SA_RESTART);
    PEL_EXPECT_EQ(siginterrupt(SIGUSR1, 1), 0);
    sigaction(SIGUSR1, NULL, &action);
    PEL_EXPECT_EQ(action.sa_flags & SA_RESTART, 0);
    PEL_EXPECT(signal(SIGUSR1, count) == count);
    sigaction(SIGUSR1, NULL, &action);
    PEL_EXPECT_EQ(action.sa_flags & SA_RESTART, 0);
    PEL_EXPECT_EQ(siginterrupt(SIGUSR1, 0), 0);
    sigaction(SIGUSR1, NULL, &action);
    PEL_EXPECT_EQ(action.sa_flags & SA_RESTART, SA_RESTART);
    PEL_EXPECT_EQ(siginterrupt(0, 1), -1);
    clear();
}

PEL_TEST(signals, handlers_are_counted_and_may_leave_by_a_jump)
{
    struct sigaction action = {.sa_handler = count};
    clear();
    struct pel_interrupts all = pel_interrupts_begin(false, NULL, NULL),
                          final = pel_interrupts_begin(true, NULL, NULL);
    signal(SIGUSR1, count);
    raise(SIGUSR1);
    PEL_EXPECT(pel_interrupts_any(&all) && !pel_interrupts_any(&final));
    sigaction(SIGUSR1, &action, NULL);
    raise(SIGUSR1);
    PEL_EXPECT(pel_interrupts_any(&final));
    all = pel_interrupts_begin(false, NULL, NULL);
    signal(SIGUSR1, jump_out);
    if (sigsetjmp(jump, 1) == 0)
        raise(SIGUSR1);
    PEL_EXPECT(pel_interrupts_any(&all));
    clear();
}

static void *install_many(void *arg)
{
    (void)arg;
    for (int i = 0; i < 20000; i++)
        signal(SIGUSR1, i % 2 ? count : count_other);
    return NULL;
}

PEL_TEST(signals, threads_may_install_handlers_while_signals_come)
{
    pthread_t threads[2];
    clear();
    signal(SIGUSR1, count);
    for (int i = 0; i < 2; i++)
        PEL_REQUIRE(pthread_create(&threads[i], NULL, install_many, NULL) == 0);
    for (int i = 0; i < 20000; i++)
        raise(SIGUSR1);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    PEL_EXPECT(num_calls >= 20000);
    struct sigaction action;
    sigaction(SIGUSR1, NULL, &action);
    PEL_EXPECT(action.sa_handler == count || action.sa_handler == count_other);
    clear();
}

/* --- ends of waits --- */

enum call { WAIT_FOR, WAIT_FOR_FINAL, POLL, PPOLL, SELECT, EPOLL, EPOLL_PWAIT, NUM_CALLS };

struct victim {
    struct pel_file *file;
    int fd, set;
    enum call call;
    int result;
    bool is_masked, is_sleepy;
    uint32_t is_begun; /* atomic */
    pthread_t thread;
};

/* With a reference of its own, as read() has. */
static int wait_as_read(struct victim *victim, bool never_restart)
{
    struct pel_file *file = pel_file_get(victim->fd);
    int result = pel_wait_for(file, POLLIN, -1, never_restart);
    pel_file_put(file);
    return result;
}

static int wait_by(struct victim *victim)
{
    struct pollfd row = {.fd = victim->fd, .events = POLLIN};
    struct epoll_event event;
    sigset_t none;
    fd_set set;
    sigemptyset(&none);
    FD_ZERO(&set);
    FD_SET(victim->fd, &set);
    errno = 0;
    switch (victim->call) {
    case WAIT_FOR: return wait_as_read(victim, false);
    case WAIT_FOR_FINAL: return wait_as_read(victim, true);
    case POLL: return poll(&row, 1, -1) < 0 ? -errno : row.revents;
    case PPOLL: return ppoll(&row, 1, NULL, &none) < 0 ? -errno : row.revents;
    case SELECT: return select(victim->fd + 1, &set, NULL, NULL, NULL) < 0 ? -errno : 1;
    case EPOLL: return epoll_wait(victim->set, &event, 1, -1) < 0 ? -errno : 1;
    case EPOLL_PWAIT: return epoll_pwait(victim->set, &event, 1, -1, &none) < 0 ? -errno : 1;
    case NUM_CALLS: break;
    }
    return -ENOSYS;
}

static void *be_victim(void *arg)
{
    struct victim *victim = arg;
    sigset_t one;
    sigemptyset(&one);
    sigaddset(&one, SIGUSR1);
    pthread_sigmask(victim->is_masked ? SIG_BLOCK : SIG_UNBLOCK, &one, NULL);
    if (victim->is_sleepy)
        pel_thread.spin = (struct pel_spin){.num_skipped = 9};
    __atomic_store_n(&victim->is_begun, 1, __ATOMIC_SEQ_CST);
    victim->result = wait_by(victim);
    return NULL;
}

static void start(struct victim *victim, struct pel_app *app)
{
    struct epoll_event event = {.events = EPOLLIN};
    victim->file = pel_fake_socket(app, &victim->fd);
    victim->set = epoll_create1(0);
    epoll_ctl(victim->set, EPOLL_CTL_ADD, victim->fd, &event);
    victim->is_begun = 0;
    pthread_create(&victim->thread, NULL, be_victim, victim);
    while (!__atomic_load_n(&victim->is_begun, __ATOMIC_SEQ_CST))
        sched_yield();
}

static void finish(struct victim *victim)
{
    pthread_join(victim->thread, NULL);
    pel_fake_close(victim->set);
    pel_fake_close(victim->fd);
}

/* Until the thread has no way but the handler's: signals are sent until its wait is over, at whatever place
 * of it each arrives. */
static void send_until_over(struct victim *victim)
{
    struct timespec now;
    int num_sent = 0;
    void *ignored;
    do {
        pthread_kill(victim->thread, SIGUSR1);
        usleep(num_sent++ < 3 ? 0 : 1000);
        clock_gettime(CLOCK_REALTIME, &now);
    } while (num_sent < 5000 && pthread_timedjoin_np(victim->thread, &ignored, &now) != 0);
    PEL_EXPECT(num_sent < 5000);
}

PEL_TEST(signals, a_handler_ends_each_wait)
{
    struct pel_app *app = pel_fake_start(8);
    struct sigaction action = {.sa_handler = count};
    clear();
    sigaction(SIGUSR1, &action, NULL);
    for (int call = 0; call < NUM_CALLS; call++) {
        for (int round = 0; round < 300; round++) {
            struct victim victim = {.call = (enum call)call, .is_sleepy = round % 2};
            start(&victim, app);
            send_until_over(&victim);
            PEL_EXPECT_EQ(victim.result, -EINTR);
            pel_fake_close(victim.set);
            pel_fake_close(victim.fd);
            if (pel_test_has_failed())
                return;
        }
    }
    clear();
}

PEL_TEST(signals, a_restarting_handler_ends_all_but_blocking_calls)
{
    struct pel_app *app = pel_fake_start(8);
    clear();
    signal(SIGUSR1, count);
    for (int call = 0; call < NUM_CALLS; call++) {
        struct victim victim = {.call = (enum call)call};
        if (call == WAIT_FOR)
            continue;
        start(&victim, app);
        send_until_over(&victim);
        PEL_EXPECT_EQ(victim.result, -EINTR);
        pel_fake_close(victim.set);
        pel_fake_close(victim.fd);
    }
    struct victim victim = {.call = WAIT_FOR};
    start(&victim, app);
    for (int i = 0; i < 100; i++) {
        pthread_kill(victim.thread, SIGUSR1);
        usleep(100);
    }
    pel_fake_receive(victim.file, 1);
    finish(&victim);
    PEL_EXPECT_EQ(victim.result, 0);
    PEL_EXPECT(num_calls > 0);
    clear();
}

PEL_TEST(signals, a_mask_lets_through_what_the_thread_has_blocked)
{
    struct pel_app *app = pel_fake_start(8);
    clear();
    signal(SIGUSR1, count);
    for (int round = 0; round < 200; round++) {
        struct victim victim = {
            .call = round % 2 ? PPOLL : EPOLL_PWAIT, .is_masked = true, .is_sleepy = round % 4 > 1};
        num_calls = 0;
        start(&victim, app);
        pthread_kill(victim.thread, SIGUSR1); /* once: it must not get lost between the looks and the sleep */
        finish(&victim);
        PEL_EXPECT_EQ(victim.result, -EINTR);
        PEL_EXPECT_EQ(num_calls, 1);
    }
    clear();
}

PEL_TEST(signals, a_blocked_signal_disturbs_no_wait)
{
    struct pel_app *app = pel_fake_start(8);
    clear();
    signal(SIGUSR1, count);
    for (int call = 0; call < NUM_CALLS; call++) {
        struct victim victim = {.call = (enum call)call, .is_masked = true};
        if (call == PPOLL || call == EPOLL_PWAIT)
            continue;
        start(&victim, app);
        pthread_kill(victim.thread, SIGUSR1);
        usleep(1000);
        pel_fake_receive(victim.file, 1);
        finish(&victim);
        PEL_EXPECT(victim.result >= 0);
    }
    PEL_EXPECT_EQ(num_calls, 0);
    clear();
}

/* A thread that is cancelled while it waits leaves nothing behind: no watcher, no waker, no reference. */
PEL_TEST(cancellation, each_wait_can_be_cancelled)
{
    struct pel_app *app = pel_fake_start(8);
    for (int call = 0; call < NUM_CALLS; call++) {
        for (int round = 0; round < 50; round++) {
            struct victim victim = {.call = (enum call)call, .is_sleepy = round % 2};
            void *result = NULL;
            start(&victim, app);
            uint32_t num_hidden = pel_fake_num_hidden();
            struct pel_file *set_file = pel_file_get(victim.set);
            pthread_cancel(victim.thread);
            pthread_join(victim.thread, &result);
            PEL_EXPECT(result == PTHREAD_CANCELED);
            PEL_EXPECT(pel_fake_num_hidden() <= num_hidden);
            for (int i = 0; i < PEL_WATCHERS; i++) /* the set's own alone */
                PEL_EXPECT(victim.file->slot->watchers[i] <= 1);
            PEL_EXPECT_EQ(victim.file->refs, 1);
            PEL_EXPECT_EQ(set_file->refs, 2);
            pel_file_put(set_file);
            pel_fake_close(victim.set);
            pel_fake_close(victim.fd);
            if (pel_test_has_failed())
                return;
        }
    }
    PEL_EXPECT_EQ(pel_fake_num_wakers(app), 0);
}
