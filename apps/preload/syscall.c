/* SPDX-License-Identifier: Apache-2.0 */
/*
 * syscall(2): numbers of calls that this library takes over go the same way as the calls themselves; all
 * others to the kernel. What would reach the network past the library (io_uring) is answered as by a kernel
 * that does not have it, and programs use what they used before.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/select.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "apps/preload/env.h"
#include "apps/preload/io.h"
#include "apps/preload/real.h"

#define NUM_ARGS 6

/* One call's arguments, as numbers. */
struct args {
    long a[NUM_ARGS];
};

#define P(i)   ((void *)args->a[i])
#define N(i)   args->a[i]
#define INT(i) ((int)args->a[i])

/* Each returns true when it was its call, with the result. */
static bool call_socket(long number, const struct args *args, long *ret)
{
    switch (number) {
    case SYS_socket: *ret = socket(INT(0), INT(1), INT(2)); return true;
    case SYS_bind: *ret = bind(INT(0), P(1), (socklen_t)N(2)); return true;
    case SYS_connect: *ret = connect(INT(0), P(1), (socklen_t)N(2)); return true;
    case SYS_listen: *ret = listen(INT(0), INT(1)); return true;
    case SYS_accept: *ret = accept(INT(0), P(1), P(2)); return true;
    case SYS_accept4: *ret = accept4(INT(0), P(1), P(2), INT(3)); return true;
    case SYS_shutdown: *ret = shutdown(INT(0), INT(1)); return true;
    case SYS_getsockname: *ret = getsockname(INT(0), P(1), P(2)); return true;
    case SYS_getpeername: *ret = getpeername(INT(0), P(1), P(2)); return true;
    case SYS_getsockopt: *ret = getsockopt(INT(0), INT(1), INT(2), P(3), P(4)); return true;
    case SYS_setsockopt: *ret = setsockopt(INT(0), INT(1), INT(2), P(3), (socklen_t)N(4)); return true;
    case SYS_recvfrom: *ret = recvfrom(INT(0), P(1), (size_t)N(2), INT(3), P(4), P(5)); return true;
    case SYS_sendto: *ret = sendto(INT(0), P(1), (size_t)N(2), INT(3), P(4), (socklen_t)N(5)); return true;
    case SYS_recvmsg: *ret = recvmsg(INT(0), P(1), INT(2)); return true;
    case SYS_sendmsg: *ret = sendmsg(INT(0), P(1), INT(2)); return true;
    case SYS_recvmmsg: *ret = recvmmsg(INT(0), P(1), (unsigned)N(2), INT(3), P(4)); return true;
    case SYS_sendmmsg: *ret = sendmmsg(INT(0), P(1), (unsigned)N(2), INT(3)); return true;
    default: return false;
    }
}

static bool call_file(long number, const struct args *args, long *ret)
{
    switch (number) {
    case SYS_read: *ret = read(INT(0), P(1), (size_t)N(2)); return true;
    case SYS_readv: *ret = readv(INT(0), P(1), INT(2)); return true;
    case SYS_write: *ret = write(INT(0), P(1), (size_t)N(2)); return true;
    case SYS_writev: *ret = writev(INT(0), P(1), INT(2)); return true;
    case SYS_preadv2: *ret = preadv2(INT(0), P(1), INT(2), N(3), INT(5)); return true;
    case SYS_pwritev2: *ret = pwritev2(INT(0), P(1), INT(2), N(3), INT(5)); return true;
    case SYS_sendfile: *ret = sendfile(INT(0), INT(1), P(2), (size_t)N(3)); return true;
    case SYS_splice: *ret = splice(INT(0), P(1), INT(2), P(3), (size_t)N(4), (unsigned)N(5)); return true;
    case SYS_tee: *ret = tee(INT(0), INT(1), (size_t)N(2), (unsigned)N(3)); return true;
    case SYS_close: *ret = close(INT(0)); return true;
    case SYS_close_range: *ret = close_range((unsigned)N(0), (unsigned)N(1), INT(2)); return true;
    case SYS_dup: *ret = dup(INT(0)); return true;
    case SYS_dup2: *ret = dup2(INT(0), INT(1)); return true;
    case SYS_dup3: *ret = dup3(INT(0), INT(1), INT(2)); return true;
    case SYS_fcntl: *ret = pel_fd_control(INT(0), INT(1), P(2)); return true;
    case SYS_ioctl: *ret = ioctl(INT(0), (unsigned long)N(1), P(2)); return true;
    default: return false;
    }
}

/* The kernel's pselect6 has its mask and its length behind one pointer. */
struct mask_and_len {
    const sigset_t *mask;
    size_t len;
};

static bool call_wait(long number, const struct args *args, long *ret)
{
    const struct mask_and_len *mask = number == SYS_pselect6 ? P(5) : NULL;
    switch (number) {
    case SYS_poll: *ret = poll(P(0), (nfds_t)N(1), INT(2)); return true;
    case SYS_ppoll: *ret = ppoll(P(0), (nfds_t)N(1), P(2), P(3)); return true;
    case SYS_select: *ret = select(INT(0), P(1), P(2), P(3), P(4)); return true;
    case SYS_pselect6:
        *ret = pselect(INT(0), P(1), P(2), P(3), P(4), mask != NULL ? mask->mask : NULL);
        return true;
    case SYS_epoll_create: *ret = epoll_create(INT(0)); return true;
    case SYS_epoll_create1: *ret = epoll_create1(INT(0)); return true;
    case SYS_epoll_ctl: *ret = epoll_ctl(INT(0), INT(1), INT(2), P(3)); return true;
    case SYS_epoll_wait: *ret = epoll_wait(INT(0), P(1), INT(2), INT(3)); return true;
    case SYS_epoll_pwait: *ret = epoll_pwait(INT(0), P(1), INT(2), INT(3), P(4)); return true;
    case SYS_epoll_pwait2: *ret = epoll_pwait2(INT(0), P(1), INT(2), P(3), P(4)); return true;
    default: return false;
    }
}

static bool call_process(long number, const struct args *args, long *ret)
{
    switch (number) {
    case SYS_fork: *ret = fork(); return true;
    case SYS_execve: *ret = execve(P(0), P(1), P(2)); return true;
    case SYS_execveat: *ret = execveat(INT(0), P(1), P(2), P(3), INT(4)); return true;
    case SYS_exit_group: _exit(INT(0)); return true;
    case SYS_io_uring_setup: *ret = pel_result(-ENOSYS); return true;
    default: return false;
    }
}

PEL_EXPORT long syscall(long number, ...)
{
    struct args whole;
    const struct args *args = &whole;
    long result = 0;
    va_list list;
    va_start(list, number);
    for (int i = 0; i < NUM_ARGS; i++)
        whole.a[i] = va_arg(list, long);
    va_end(list);
    if (pel_env()->is_active && (call_socket(number, args, &result) || call_file(number, args, &result) ||
                                 call_wait(number, args, &result) || call_process(number, args, &result)))
        return result;
    return pel_real()->syscall(number, N(0), N(1), N(2), N(3), N(4), N(5));
}
