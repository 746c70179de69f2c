/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pellucid/stack.h and pellucid/socket.h over the kernel's own sockets, as far as the apps use them: with
 * this the apps' own behaviour is tested against real clients without a stack, a namespace or rights. It also
 * shows that the apps ask for nothing that BSD sockets do not have. Not installed.
 */
#include <fcntl.h>
#include <pellucid/socket.h>
#include <pellucid/stack.h>
#include <pellucid/version.h>
#include <stdio.h>
#include <unistd.h>

struct pel_stack {
    int unused;
};

static struct pel_stack the_stack;

enum pel_err pel_stack_start(const struct pel_stack_options *options, struct pel_stack **ret_stack,
                             struct pel_error *reterr)
{
    if (access(options->config_path, R_OK) != 0) {
        reterr->code = PEL_E_IO;
        snprintf(reterr->text, sizeof reterr->text, "cannot read the configuration %s", options->config_path);
        return PEL_E_IO;
    }
    *ret_stack = &the_stack;
    return PEL_OK;
}

void pel_stack_stop(struct pel_stack *stack)
{
}

enum pel_err pel_stack_reload(struct pel_stack *stack, struct pel_error *reterr)
{
    printf("kernel_sockets: reload\n");
    fflush(stdout);
    return PEL_OK;
}

int pel_socket(int domain, int type, int protocol)
{
    int on = 1;
    int fd = socket(domain, type, protocol);
    if (fd >= 0)
        (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    return fd;
}

int pel_bind(int fd, const struct sockaddr *address, socklen_t address_len)
{
    return bind(fd, address, address_len);
}

int pel_listen(int fd, int backlog)
{
    return listen(fd, backlog);
}

int pel_accept4(int fd, struct sockaddr *ret_address, socklen_t *address_len, int flags)
{
    return accept4(fd, ret_address, address_len, flags);
}

int pel_connect(int fd, const struct sockaddr *address, socklen_t address_len)
{
    return connect(fd, address, address_len);
}

int pel_set_server_name(int fd, const char *server_name)
{
    return 0;
}

ssize_t pel_read(int fd, void *bytes, size_t len)
{
    return read(fd, bytes, len);
}

ssize_t pel_write(int fd, const void *bytes, size_t len)
{
    return write(fd, bytes, len);
}

int pel_shutdown(int fd, int how)
{
    return shutdown(fd, how);
}

int pel_close(int fd)
{
    return close(fd);
}

int pel_setsockopt(int fd, int level, int name, const void *value, socklen_t value_len)
{
    return setsockopt(fd, level, name, value, value_len);
}

int pel_epoll_create1(int flags)
{
    return epoll_create1(flags);
}

int pel_epoll_ctl(int epoll_fd, int operation, int fd, struct epoll_event *event)
{
    return epoll_ctl(epoll_fd, operation, fd, event);
}

int pel_epoll_wait(int epoll_fd, struct epoll_event *ret_events, int max_events, int timeout_ms)
{
    return epoll_wait(epoll_fd, ret_events, max_events, timeout_ms);
}
