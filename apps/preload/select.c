/* SPDX-License-Identifier: Apache-2.0 */
/*
 * select and pselect, as polls. Sets may be larger than FD_SETSIZE: they are rows of words.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/select.h>

#include "apps/preload/real.h"
#include "apps/preload/polling.h"
#include "apps/preload/wait.h"
#include "apps/preload/wake.h"

#define NUM_ON_STACK 64
#define WORD_BITS    64

/* Which events put a descriptor into which set, as the kernel has it. */
static const short asked[3] = {POLLIN | POLLRDNORM | POLLRDBAND, POLLOUT | POLLWRNORM | POLLWRBAND, POLLPRI};
static const short granted[3] = {POLLIN | POLLRDNORM | POLLRDBAND | POLLHUP | POLLERR,
                                 POLLOUT | POLLWRNORM | POLLWRBAND | POLLERR, POLLPRI};

static uint64_t word_of(const fd_set *set, int word)
{
    return set == NULL ? 0 : ((const uint64_t *)set)[word];
}

/* The descriptors in the sets, as rows for poll; `fds` NULL: only counts them. */
static nfds_t to_rows(int num, fd_set *const sets[3], struct pollfd *fds)
{
    nfds_t num_fds = 0;
    for (int word = 0; word * WORD_BITS < num; word++) {
        uint64_t any = word_of(sets[0], word) | word_of(sets[1], word) | word_of(sets[2], word);
        for (; any != 0; any &= any - 1) {
            int bit = __builtin_ctzll(any), fd = word * WORD_BITS + bit;
            if (fd >= num)
                break;
            if (fds != NULL) {
                fds[num_fds] = (struct pollfd){.fd = fd};
                for (int i = 0; i < 3; i++)
                    fds[num_fds].events |= (short)(word_of(sets[i], word) >> bit & 1 ? asked[i] : 0);
            }
            num_fds++;
        }
    }
    return num_fds;
}

/* The sets from the rows; the number of bits in them. */
static int from_rows(const struct pollfd *fds, nfds_t num_fds, fd_set *const sets[3])
{
    int num_bits = 0;
    for (nfds_t row = 0; row < num_fds; row++) {
        int fd = fds[row].fd;
        for (int i = 0; i < 3; i++) {
            if (sets[i] == NULL)
                continue;
            uint64_t *word = (uint64_t *)sets[i] + fd / WORD_BITS, bit = 1ull << fd % WORD_BITS;
            if (!(*word & bit))
                continue;
            if (fds[row].revents & granted[i])
                num_bits++;
            else
                *word &= ~bit;
        }
    }
    return num_bits;
}

static int wait_rows(struct pollfd *fds, nfds_t num_fds, fd_set *const sets[3], int64_t timeout_ns,
                     const void *mask)
{
    long num_ready = pel_poll_wait(fds, num_fds, timeout_ns, mask);
    if (num_ready < 0)
        return (int)num_ready;
    for (nfds_t i = 0; i < num_fds; i++) {
        if (fds[i].revents & POLLNVAL)
            return -EBADF;
    }
    return from_rows(fds, num_fds, sets);
}

/* Waits when the sets concern us, and tells whether they do. */
static bool select_ours(int num, fd_set *const sets[3], int64_t timeout_ns, const void *mask, int *ret_result)
{
    struct pollfd small[NUM_ON_STACK], *fds = small;
    nfds_t num_fds = num <= 0 ? 0 : to_rows(num, sets, NULL);
    if (num_fds > NUM_ON_STACK)
        fds = malloc(num_fds * sizeof fds[0]);
    if (fds == NULL) {
        *ret_result = -ENOMEM;
        return true;
    }
    if (num_fds > 0)
        to_rows(num, sets, fds);
    bool does_concern = pel_poll_concerns_us(fds, num_fds);
    if (does_concern)
        *ret_result = timeout_ns == -EINVAL ? -EINVAL : wait_rows(fds, num_fds, sets, timeout_ns, mask);
    if (fds != small)
        free(fds);
    return does_concern;
}

PEL_EXPORT int pselect(int num, fd_set *read_set, fd_set *write_set, fd_set *except_set,
                       const struct timespec *timeout, const sigset_t *mask)
{
    fd_set *const sets[3] = {read_set, write_set, except_set};
    int result;
    if (!select_ours(num, sets, pel_timeout_ns(timeout), mask, &result))
        return pel_real()->pselect(num, read_set, write_set, except_set, timeout, mask);
    return (int)pel_result(result);
}

/* A timeval may say more than a second in its microseconds; what is left of it is written back. */
PEL_EXPORT int select(int num, fd_set *read_set, fd_set *write_set, fd_set *except_set,
                      struct timeval *timeout)
{
    fd_set *const sets[3] = {read_set, write_set, except_set};
    struct timespec left;
    int64_t timeout_ns = -1;
    int result;
    if (timeout != NULL) {
        left = (struct timespec){.tv_sec = timeout->tv_sec + timeout->tv_usec / 1000000,
                                 .tv_nsec = timeout->tv_usec % 1000000 * 1000};
        timeout_ns = timeout->tv_sec < 0 || timeout->tv_usec < 0 ? -EINVAL : pel_timeout_ns(&left);
    }
    int64_t deadline_ns = timeout_ns > 0 ? pel_deadline_ns(timeout_ns) : PEL_NEVER;
    if (!select_ours(num, sets, timeout_ns, NULL, &result))
        return pel_real()->select(num, read_set, write_set, except_set, timeout);
    if (deadline_ns != PEL_NEVER) {
        pel_timeout_left(&left, deadline_ns, PEL_NEVER);
        *timeout = (struct timeval){.tv_sec = left.tv_sec, .tv_usec = left.tv_nsec / 1000};
    }
    return (int)pel_result(result);
}
