/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a thread can wait for instead of looking at a queue again and again. A tap's queues are files, which
 * DPDK gives away as receive interrupts that need no arming. af_packet's are sockets, which it keeps to
 * itself; they are found among the process's. Other devices have neither, or interrupts that must be armed:
 * their queues have to be looked at.
 */
#include <dirent.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <rte_ethdev.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "drivers/dpdk/internal.h"

static bool is(const struct rte_eth_dev_info *info, const char *driver)
{
    return strcmp(info->driver_name, driver) == 0;
}

void dpdk_wait_ask(const struct rte_eth_dev_info *info, struct rte_eth_conf *conf)
{
    conf->intr_conf.rxq = is(info, "net_tap");
}

/* A packet socket of the interface `index`. */
static bool is_socket_of(int fd, int index)
{
    struct sockaddr_ll address;
    socklen_t len = sizeof address, domain_len = sizeof(int);
    int domain = 0;
    return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &domain_len) == 0 && domain == AF_PACKET &&
           getsockname(fd, (struct sockaddr *)&address, &len) == 0 && address.sll_ifindex == index;
}

static int compare(const void *a, const void *b)
{
    return *(const int *)a - *(const int *)b;
}

/* The driver makes its sockets one after the other, so their numbers are in the queues' order. Where there
 * are others of the same interface, nobody can tell which are the queues'. */
static uint16_t find_sockets(int index, int *ret_fds)
{
    const struct dirent *entry;
    DIR *dir = opendir("/proc/self/fd");
    uint16_t num = 0;
    while (dir != NULL && (entry = readdir(dir)) != NULL) {
        int fd = (int)strtol(entry->d_name, NULL, 10);
        if (fd <= 2 || !is_socket_of(fd, index))
            continue;
        if (num == DPDK_MAX_QUEUES) {
            num = 0;
            break;
        }
        ret_fds[num++] = fd;
    }
    if (dir != NULL)
        closedir(dir);
    qsort(ret_fds, num, sizeof *ret_fds, compare);
    return num;
}

<<<<<<< HEAD
/* The kernel tells DPDK of a tap's frames by a real-time signal each, whose handler has the queues looked at.
 * When no more of them can wait (RLIMIT_SIGPENDING, which all processes of a user share) it sends SIGIO
 * instead, and that ends a process which does not expect it. */
static void answer_sigio(int tap_fd)
{
    struct sigaction sigio, frames;
    int number = fcntl(tap_fd, F_GETSIG);
    if (number > 0 && sigaction(SIGIO, NULL, &sigio) == 0 && sigio.sa_handler == SIG_DFL &&
        sigaction(number, NULL, &frames) == 0)
        (void)sigaction(SIGIO, &frames, NULL);
=======
/* The tap driver looks at its queue only after a signal, one for each frame, which wakes whatever thread
 * takes signals; and the kernel ends the process with SIGIO when too many of them wait. It counts them in
 * their handler: that is called before each look instead, and the signals are switched off. */
static void stop_signals(struct dpdk_port *dpdk)
{
    struct sigaction action;
    int number = fcntl(dpdk->wait_fds[0], F_GETSIG);
    if (number <= 0 || sigaction(number, NULL, &action) != 0 || (action.sa_flags & SA_SIGINFO) != 0 ||
        action.sa_handler == SIG_DFL || action.sa_handler == SIG_IGN)
        return;
    for (uint16_t i = 0; i < dpdk->port.num_queues; i++) {
        int flags = fcntl(dpdk->wait_fds[i], F_GETFL);
        if (flags < 0 || fcntl(dpdk->wait_fds[i], F_SETFL, flags & ~O_ASYNC) != 0)
            return; /* signals still come: nothing is lost */
    }
    dpdk->before_rx = action.sa_handler;
>>>>>>> run
}

void dpdk_wait_take(struct dpdk_port *dpdk, const struct rte_eth_dev_info *info)
{
    int fds[DPDK_MAX_QUEUES];
    uint16_t num = dpdk->port.num_queues;
    bool is_af_packet = is(info, "net_af_packet");
    bool found = is_af_packet && info->if_index != 0 && find_sockets((int)info->if_index, fds) == num;
    for (uint16_t i = 0; i < num; i++) {
        int fd = found ? fds[i] : is(info, "net_tap") ? rte_eth_dev_rx_intr_ctl_q_get_fd(dpdk->id, i) : -1;
        dpdk->wait_fds[i] = fd >= 0 ? fd : PEL_RX_WAIT_LOOK;
        if (fd >= 0 && is(info, "net_tap"))
            answer_sigio(fd);
    }
    if (is(info, "net_tap"))
        stop_signals(dpdk);
}
