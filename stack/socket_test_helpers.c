/* SPDX-License-Identifier: Apache-2.0 */
#include "stack/socket_test_env.h"

#include <errno.h>
#include <pthread.h>
#include <time.h>

#include "tests/harness/harness.h"

struct sockaddr_in env_address(uint16_t port)
{
    return (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {.s_addr = htonl(0x0a070001)}};
}

struct sockaddr_in6 env_address6(uint16_t port)
{
    struct sockaddr_in6 address = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    address.sin6_addr.s6_addr[0] = 0xfd;
    address.sin6_addr.s6_addr[1] = 0x07;
    address.sin6_addr.s6_addr[15] = 1;
    return address;
}

int env_listen(uint16_t port, int backlog)
{
    struct sockaddr_in address = env_address(port);
    int fd = pel_socket(AF_INET, SOCK_STREAM, 0);
    if (fd >= 0 && pel_bind(fd, (struct sockaddr *)&address, sizeof address) == 0 &&
        pel_listen(fd, backlog) == 0)
        return fd;
    pel_close(fd);
    return -1;
}

int env_connect(uint16_t port, int flags)
{
    struct sockaddr_in address = env_address(port);
    int fd = pel_socket(AF_INET, SOCK_STREAM | flags, 0);
    if (fd < 0)
        return -1;
    if (pel_connect(fd, (struct sockaddr *)&address, sizeof address) == 0 || errno == EINPROGRESS)
        return fd;
    int error = errno;
    pel_close(fd);
    errno = error;
    return -1;
}

bool env_pair_open(struct env_pair *pair)
{
    *pair = (struct env_pair){.listener = env_listen(TEST_PORT, 16), .client = -1, .server = -1};
    if (pair->listener < 0)
        return false;
    pair->client = env_connect(TEST_PORT, 0);
    pair->server = pair->client < 0 ? -1 : pel_accept(pair->listener, NULL, NULL);
    return pair->server >= 0;
}

void env_pair_close(struct env_pair *pair)
{
    pel_close(pair->client);
    pel_close(pair->server);
    pel_close(pair->listener);
}

bool env_write_all(int fd, const void *bytes, size_t len)
{
    for (size_t done_len = 0; done_len < len;) {
        ssize_t now_len = pel_write(fd, (const uint8_t *)bytes + done_len, len - done_len);
        if (now_len <= 0)
            return false;
        done_len += (size_t)now_len;
    }
    return true;
}

bool env_read_all(int fd, void *bytes, size_t len)
{
    for (size_t done_len = 0; done_len < len;) {
        ssize_t now_len = pel_read(fd, (uint8_t *)bytes + done_len, len - done_len);
        if (now_len <= 0)
            return false;
        done_len += (size_t)now_len;
    }
    return true;
}

int env_poll1(int fd, int events, int timeout_ms)
{
    struct pollfd row = {.fd = fd, .events = (short)events};
    return pel_poll(&row, 1, timeout_ms) > 0 ? (unsigned short)row.revents : 0;
}

int env_so_error(int fd)
{
    int error = -1;
    socklen_t len = sizeof error;
    return pel_getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) == 0 ? error : -1;
}

void env_set_timeout(int fd, int name, uint32_t timeout_ms)
{
    struct timeval time = {.tv_sec = timeout_ms / 1000, .tv_usec = (suseconds_t)(timeout_ms % 1000) * 1000};
    PEL_EXPECT_EQ(pel_setsockopt(fd, SOL_SOCKET, name, &time, sizeof time), 0);
}

uint64_t env_now_ms(void)
{
    struct pel_clock clock = pel_clock_real();
    return pel_clock_now_us(&clock) / 1000;
}

void env_sleep_ms(uint32_t ms)
{
    struct timespec time = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};
    nanosleep(&time, NULL);
}

static void *later_main(void *arg)
{
    struct env_later *later = arg;
    env_sleep_ms(later->delay_ms);
    later->fn(later->arg);
    return NULL;
}

void env_later_start(struct env_later *later, uint32_t delay_ms, void (*fn)(void *arg), void *arg)
{
    later->delay_ms = delay_ms;
    later->fn = fn;
    later->arg = arg;
    PEL_EXPECT_EQ(pthread_create(&later->thread, NULL, later_main, later), 0);
}

void env_later_join(struct env_later *later)
{
    pthread_join(later->thread, NULL);
}

void env_close_it(void *arg)
{
    PEL_EXPECT_EQ(pel_close(*(int *)arg), 0);
}

void env_write_x(void *arg)
{
    PEL_EXPECT_EQ(pel_write(*(int *)arg, "x", 1), 1);
}

void env_shut_it(void *arg)
{
    PEL_EXPECT_EQ(pel_shutdown(*(int *)arg, SHUT_WR), 0);
}

int env_add(int set, int fd, uint32_t events)
{
    struct epoll_event event = {.events = events, .data = {.fd = fd}};
    return pel_epoll_ctl(set, EPOLL_CTL_ADD, fd, &event);
}

int env_modify(int set, int fd, uint32_t events)
{
    struct epoll_event event = {.events = events, .data = {.fd = fd}};
    return pel_epoll_ctl(set, EPOLL_CTL_MOD, fd, &event);
}

uint32_t env_wait1(int set, int timeout_ms)
{
    struct epoll_event events[4];
    int num = pel_epoll_wait(set, events, 4, timeout_ms);
    return num == 0 ? 0 : num == 1 ? events[0].events : UINT32_MAX;
}

int env_bound(uint16_t port)
{
    struct sockaddr_in address = env_address(port);
    int fd = pel_socket(AF_INET, SOCK_DGRAM, 0);
    PEL_EXPECT_EQ(pel_bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

ssize_t env_send_to(int fd, uint16_t port, const void *bytes, size_t len)
{
    struct sockaddr_in address = env_address(port);
    return pel_sendto(fd, bytes, len, 0, (struct sockaddr *)&address, sizeof address);
}

void *env_ping_main(void *arg)
{
    struct env_worker *worker = arg;
    for (unsigned i = 0; i < ENV_NUM_PINGS; i++) {
        char bytes[4] = "";
        int fd = env_connect(TEST_PORT, 0);
        bool is_good = fd >= 0 && env_write_all(fd, "ping", 4) && env_read_all(fd, bytes, 4) &&
                       memcmp(bytes, "pong", 4) == 0;
        worker->num_done += is_good;
        worker->num_failed += !is_good;
        pel_close(fd);
    }
    return NULL;
}

void *env_pong_main(void *arg)
{
    struct env_worker *worker = arg;
    int fd;
    while ((fd = pel_accept(worker->fd, NULL, NULL)) >= 0) {
        char bytes[4];
        worker->num_done += env_read_all(fd, bytes, 4) && env_write_all(fd, "pong", 4);
        pel_close(fd);
    }
    worker->num_failed += errno != EINVAL;
    return NULL;
}
