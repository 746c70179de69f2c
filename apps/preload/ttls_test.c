/* SPDX-License-Identifier: Apache-2.0 */
/* SIOCTTLSCTL under `pel run`, against a daemon that the test plays. */
#include "apps/preload/ttls.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "apps/preload/daemon.h"
#include "apps/preload/stream.h"
#include "apps/preload/wait.h"
#include "tests/harness/harness.h"

/* What the daemon answers, one after the other, and what the program was told to wait for. */
static int answers[4], num_asked, wait_result, num_waits;
static int64_t waited_us;

int pel_daemon_ask(struct pel_app *app, struct pel_ipc_request *request, struct pel_ipc_reply *ret_reply,
                   int *ret_fds, size_t max_fds, size_t *ret_num_fds)
{
    (void)app, (void)request, (void)ret_fds, (void)max_fds;
    *ret_num_fds = 0;
    *ret_reply = (struct pel_ipc_reply){.ttls.stat_conn = TTLS_CONN_SECURE};
    return answers[num_asked++];
}

void pel_daemon_unhide(int fd)
{
    (void)fd;
}

void pel_stream_consume(struct pel_file *file, uint32_t rx_tail)
{
    (void)file, (void)rx_tail;
}

int pel_file_take_error(struct pel_file *file)
{
    (void)file;
    return 0;
}

void pel_file_ask(struct pel_file *file, uint32_t asked)
{
    (void)file, (void)asked;
}

int pel_wait_until(struct pel_file *file, uint32_t events, int64_t timeout_us, bool never_restart,
                   int64_t *ret_deadline_us)
{
    (void)file, (void)events, (void)never_restart, (void)ret_deadline_us;
    num_waits++;
    waited_us = timeout_us;
    return wait_result;
}

static struct pel_app app;
static struct pel_file file;
static struct pel_slot *slot;

static void start(int first_answer, int second_answer)
{
    static _Alignas(4096) uint8_t memory[sizeof(struct pel_slot) + 4096];
    memset(memory, 0, sizeof memory);
    slot = (struct pel_slot *)memory;
    slot->type = SOCK_STREAM;
    slot->family = AF_INET;
    slot->state = PEL_SLOT_OPEN;
    file = (struct pel_file){.kind = PEL_FILE_STREAM, .refs = 1, .app = &app, .slot = slot};
    pel_shared_set(&file, PEL_SHARED_CONNECTING);
    answers[0] = first_answer;
    answers[1] = second_answer;
    num_asked = num_waits = wait_result = 0;
}

static int ask(uint32_t request)
{
    struct TTLS_IOCTL ttls = {.TTLSi_Ver = TTLS_VERSION1, .TTLSi_Req_Type = request};
    return pel_file_ttls(&file, &ttls);
}

PEL_TEST(preload_ttls, a_blocking_start_waits_and_asks_what_came_of_it)
{
    start(EINPROGRESS, 0);
    PEL_EXPECT_EQ(ask(TTLS_INIT_CONNECTION), 0);
    PEL_EXPECT_EQ(num_asked, 2);
    PEL_EXPECT_EQ(waited_us, 0); /* for ever */
    start(EINPROGRESS, 0);
    pel_shared_set(&file, PEL_SHARED_NONBLOCK);
    PEL_EXPECT_EQ(ask(TTLS_INIT_CONNECTION), EINPROGRESS);
    PEL_EXPECT_EQ(num_waits, 0);
}

PEL_TEST(preload_ttls, a_blocking_start_waits_as_long_as_SO_SNDTIMEO_says)
{
    start(EINPROGRESS, 0);
    pel_shared_of(&file)->send_timeout_us = 30000;
    wait_result = -EAGAIN;
    PEL_EXPECT_EQ(ask(TTLS_INIT_CONNECTION), EINPROGRESS);
    PEL_EXPECT_EQ(waited_us, 30000);
    start(EWOULDBLOCK, 0);
    wait_result = -EAGAIN;
    PEL_EXPECT_EQ(ask(TTLS_INIT_CONNECTION), EWOULDBLOCK);
    wait_result = -EINTR;
    PEL_EXPECT_EQ((num_asked = 0, ask(TTLS_INIT_CONNECTION)), EINTR);
}

/* A signal handler that interrupted this thread while it reads: to wait for the read would be for ever. */
PEL_TEST(preload_ttls, nothing_begins_in_the_middle_of_a_read_of_the_same_thread)
{
    start(EINPROGRESS, 0);
    PEL_REQUIRE(pel_lock_take(&pel_shared_of(&file)->rx_lock));
    PEL_EXPECT_EQ(ask(TTLS_INIT_CONNECTION), EDEADLK);
    PEL_EXPECT_EQ(num_asked, 0);
    pel_lock_give(&pel_shared_of(&file)->rx_lock);
    PEL_EXPECT_EQ(ask(TTLS_INIT_CONNECTION), 0);
}
