/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A memif peer may leave at any time, and the memory that it shared goes with it. The driver learns of it in
 * DPDK's interrupt thread: it marks the port as not connected, and at once closes the queues' eventfds and
 * unmaps the memory, while an engine may be in the middle of a burst that began before (22.11). So a burst
 * says when it begins and ends, and the call that the driver makes between the mark and the first close, of
 * rte_intr_callback_unregister, comes here instead (objcopy, in meson.build): it waits for the bursts that
 * may not have seen the mark.
 *
 * Starting, stopping and closing a port work on what the interrupt thread works on, without a lock. So they
 * are done in that thread.
 *
 * A peer that cannot be greeted the driver forgets, and closes its socket while DPDK still waits on it, which
 * ends the process, or has it read twice from the next peer, whose socket gets that number. So sending never
 * fails here: the connection with who cannot be sent something is shut down, and the driver reads its end.
 *
 * Of a server that is closed the driver forgets the socket that listens, which DPDK goes on to wait on:
 * whoever came then would keep the interrupt thread busy for ever. So it is closed with its handle.
 */
#define ALLOW_EXPERIMENTAL_API /* a handle's descriptor; the driver's build decides which DPDK it is anyway */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <rte_alarm.h>
#include <rte_interrupts.h>
#include <rte_malloc.h>
#include <rte_rcu_qsbr.h>
#include <semaphore.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "drivers/dpdk/internal.h"

#define MAX_BURSTS (2u * DPDK_MAX_QUEUES)

static pthread_mutex_t ports_lock = PTHREAD_MUTEX_INITIALIZER;
static struct dpdk_port *ports;

bool dpdk_memif_add(struct dpdk_port *dpdk)
{
    size_t size = rte_rcu_qsbr_get_memsize(MAX_BURSTS);
    struct rte_rcu_qsbr *bursts = rte_zmalloc("pel_bursts", size, RTE_CACHE_LINE_SIZE);
    if (bursts == NULL)
        return false;
    rte_rcu_qsbr_init(bursts, MAX_BURSTS);
    for (unsigned i = 0; i < MAX_BURSTS; i++)
        rte_rcu_qsbr_thread_register(bursts, i);
    dpdk->bursts = bursts;
    pthread_mutex_lock(&ports_lock);
    dpdk->next_memif = ports;
    ports = dpdk;
    pthread_mutex_unlock(&ports_lock);
    return true;
}

void dpdk_memif_remove(struct dpdk_port *dpdk)
{
    if (dpdk->bursts == NULL)
        return;
    pthread_mutex_lock(&ports_lock);
    struct dpdk_port **at = &ports;
    while (*at != dpdk)
        at = &(*at)->next_memif;
    *at = dpdk->next_memif;
    pthread_mutex_unlock(&ports_lock);
    rte_free(dpdk->bursts);
    dpdk->bursts = NULL;
}

/* Called by memif's driver alone, in the interrupt thread. It does not say for which port. */
int pel_dpdk_memif_unregister(const struct rte_intr_handle *handle, rte_intr_callback_fn fn, void *arg);
int pel_dpdk_memif_unregister(const struct rte_intr_handle *handle, rte_intr_callback_fn fn, void *arg)
{
    pthread_mutex_lock(&ports_lock);
    for (struct dpdk_port *dpdk = ports; dpdk != NULL; dpdk = dpdk->next_memif)
        rte_rcu_qsbr_synchronize(dpdk->bursts, RTE_QSBR_THRID_INVALID);
    pthread_mutex_unlock(&ports_lock);
    return rte_intr_callback_unregister(handle, fn, arg);
}

/* A socket that listens. */
struct door {
    struct door *next;
    const struct rte_intr_handle *handle;
    rte_intr_callback_fn fn;
    void *arg;
};

static struct door *doors; /* under ports_lock */

static bool is_listening(const struct rte_intr_handle *handle)
{
    int is_listening = 0;
    socklen_t len = sizeof is_listening;
    return getsockopt(rte_intr_fd_get(handle), SOL_SOCKET, SO_ACCEPTCONN, &is_listening, &len) == 0 &&
           is_listening;
}

/* These are the driver's calls of DPDK and the C library, under other names. */
int pel_dpdk_memif_register(const struct rte_intr_handle *handle, rte_intr_callback_fn fn, void *arg);
int pel_dpdk_memif_register(const struct rte_intr_handle *handle, rte_intr_callback_fn fn, void *arg)
{
    if (is_listening(handle)) {
        struct door *door = malloc(sizeof *door);
        if (door == NULL)
            return -ENOMEM;
        pthread_mutex_lock(&ports_lock);
        *door = (struct door){.next = doors, .handle = handle, .fn = fn, .arg = arg};
        doors = door;
        pthread_mutex_unlock(&ports_lock);
    }
    return rte_intr_callback_register(handle, fn, arg);
}

static struct door *take_door(const struct rte_intr_handle *handle)
{
    pthread_mutex_lock(&ports_lock);
    struct door **at = &doors;
    while (*at != NULL && (*at)->handle != handle)
        at = &(*at)->next;
    struct door *door = *at;
    if (door != NULL)
        *at = door->next;
    pthread_mutex_unlock(&ports_lock);
    return door;
}

/* In the interrupt thread, like all closing. */
void pel_dpdk_memif_free(struct rte_intr_handle *handle);
void pel_dpdk_memif_free(struct rte_intr_handle *handle)
{
    struct door *door = take_door(handle);
    if (door != NULL && rte_intr_callback_unregister(handle, door->fn, door->arg) > 0)
        close(rte_intr_fd_get(handle));
    free(door);
    rte_intr_instance_free(handle);
}

/* Nothing of the following may wait: all ports need the interrupt thread. */
ssize_t pel_dpdk_memif_send(int fd, const struct msghdr *message, int flags);
ssize_t pel_dpdk_memif_send(int fd, const struct msghdr *message, int flags)
{
    ssize_t len = sendmsg(fd, message, flags | MSG_NOSIGNAL | MSG_DONTWAIT);
    if (len >= 0)
        return len;
    (void)shutdown(fd, SHUT_RDWR);
    return (ssize_t)message->msg_iov[0].iov_len; /* its messages are of one piece */
}

ssize_t pel_dpdk_memif_receive(int fd, struct msghdr *message, int flags);
ssize_t pel_dpdk_memif_receive(int fd, struct msghdr *message, int flags)
{
    return recvmsg(fd, message, flags | MSG_DONTWAIT);
}

/* EAGAIN: others wait to be accepted; start_memif_client tries again. */
int pel_dpdk_memif_connect(int fd, const struct sockaddr *address, socklen_t len);
int pel_dpdk_memif_connect(int fd, const struct sockaddr *address, socklen_t len)
{
    (void)fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    return connect(fd, address, len);
}

struct call {
    int (*fn)(uint16_t id);
    uint16_t id;
    int error;
    sem_t done;
};

static void call_now(void *arg)
{
    struct call *call = arg;
    call->error = call->fn(call->id);
    sem_post(&call->done);
}

int dpdk_device_call(const struct dpdk_port *dpdk, int (*fn)(uint16_t id))
{
    struct call call = {.fn = fn, .id = dpdk->id};
    if (dpdk->bursts == NULL)
        return fn(dpdk->id);
    sem_init(&call.done, 0, 0);
    int error = rte_eal_alarm_set(1, call_now, &call);
    if (error == 0) {
        while (sem_wait(&call.done) != 0)
            continue; /* EINTR */
        error = call.error;
    }
    sem_destroy(&call.done);
    return error;
}
