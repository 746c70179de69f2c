/* SPDX-License-Identifier: Apache-2.0 */
#include "base/sm.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/harness/harness.h"

enum { IDLE, BUSY, DONE };
static const struct pel_sm_row rows[] = {
    [IDLE] = {"IDLE", PEL_SM_TO(BUSY), PEL_SM_INITIAL},
    [BUSY] = {"BUSY", PEL_SM_TO(IDLE) | PEL_SM_TO(DONE), 0},
    [DONE] = {"DONE", 0, PEL_SM_FINAL},
};

PEL_TEST(sm, allowed_moves)
{
    struct pel_sm sm;
    pel_sm_init(&sm, rows, 3, IDLE);
    PEL_EXPECT(pel_sm_may(&sm, BUSY) && !pel_sm_may(&sm, DONE) && !pel_sm_may(&sm, 3));
    pel_sm_move(&sm, BUSY);
    pel_sm_move(&sm, DONE);
    PEL_EXPECT_STR(pel_sm_name(&sm), "DONE");
}

static int signal_of_child(void (*act)(void))
{
    int status = 0;
    pid_t child = fork();
    if (child == 0) {
        close(2);
        act();
        _exit(0);
    }
    waitpid(child, &status, 0);
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static void skip_a_state(void)
{
    struct pel_sm sm;
    signal(SIGABRT, SIG_DFL);
    pel_sm_init(&sm, rows, 3, IDLE);
    pel_sm_move(&sm, DONE);
}

static void start_in_the_middle(void)
{
    struct pel_sm sm;
    signal(SIGABRT, SIG_DFL);
    pel_sm_init(&sm, rows, 3, BUSY);
}

PEL_TEST(sm, forbidden_moves_abort)
{
    PEL_EXPECT_EQ(signal_of_child(skip_a_state), SIGABRT);
    PEL_EXPECT_EQ(signal_of_child(start_in_the_middle), SIGABRT);
}
