/* SPDX-License-Identifier: Apache-2.0 */
#include "stack/serve/test_program.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define PATIENCE_MS 20000

static uint64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

int test_program_connect(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    strncpy(address.sun_path, path, sizeof address.sun_path - 1);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) == 0)
        return fd;
    close(fd);
    return -1;
}

int test_program_ask(struct test_program *program, struct pel_ipc_request *request, int *fds, size_t max_fds)
{
    size_t num_fds = 0;
    request->version = PEL_IPC_VERSION;
    if (pel_ipc_send(program->fd, request, sizeof *request, NULL, 0, 0) != 0)
        return EPIPE;
    if (pel_ipc_receive(program->fd, &program->reply, sizeof program->reply, fds, max_fds, &num_fds, 0) !=
        (ssize_t)sizeof program->reply)
        return EPIPE;
    return (int)program->reply.error;
}

bool test_program_attach(struct test_program *program, const char *path)
{
    struct pel_ipc_request request = {.op = PEL_IPC_HELLO};
    int fds[PEL_IPC_FDS_MAX];
    struct pel_segment_header header;
    program->fd = test_program_connect(path);
    if (program->fd < 0 || test_program_ask(program, &request, fds, PEL_IPC_FDS_MAX) != 0)
        return false;
    if (pread(fds[0], &header, sizeof header, 0) != (ssize_t)sizeof header)
        return false;
    program->base = mmap(NULL, header.len, PROT_READ | PROT_WRITE, MAP_SHARED, fds[0], 0);
    program->header = program->base;
    close(fds[0]);
    memcpy(program->bells, fds + 1, header.num_engines * sizeof fds[0]);
    request = (struct pel_ipc_request){.op = PEL_IPC_WAKER, .app = header.app};
    return test_program_ask(program, &request, &program->wake_fd, 1) == 0;
}

void test_program_detach(struct test_program *program)
{
    for (uint32_t i = 0; i < program->header->num_engines; i++)
        close(program->bells[i]);
    munmap(program->base, program->header->len);
    close(program->wake_fd);
    close(program->fd);
}

static void place(struct test_program *program, uint32_t number, uint32_t serial, int channel,
                  struct test_socket *ret_socket)
{
    struct pel_slot *slot = pel_segment_slot(program->base, program->header, number);
    uint32_t ring_len = program->header->ring_len;
    *ret_socket = (struct test_socket){.program = program,
                                       .number = number,
                                       .serial = serial,
                                       .channel = channel,
                                       .slot = slot,
                                       .rx = {pel_slot_rx_ring(slot), ring_len},
                                       .tx = {pel_slot_tx_ring(slot, ring_len), ring_len}};
    slot->watchers[0] = 1;
}

int test_socket_open(struct test_program *program, int type, int port, struct test_socket *ret_socket)
{
    struct pel_ipc_request request = {
        .op = PEL_IPC_SOCKET, .app = program->header->app, .family = AF_INET, .type = (uint16_t)type};
    int channel = -1;
    if (port >= 0)
        request.local.in = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    int error = test_program_ask(program, &request, &channel, 1);
    if (error == 0)
        place(program, program->reply.slot, program->reply.serial, channel, ret_socket);
    return error;
}

int test_socket_ask(struct test_socket *socket, enum pel_ipc_op op, uint32_t value, uint16_t port)
{
    struct pel_ipc_request request = {.op = op,
                                      .app = socket->program->header->app,
                                      .slot = socket->number,
                                      .serial = socket->serial,
                                      .value = value};
    request.remote.in = (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(0x0a070001)};
    request.local.in = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(port)};
    return test_program_ask(socket->program, &request, NULL, 0);
}

bool test_socket_accept(struct test_socket *listener, struct test_socket *ret_socket)
{
    struct pollfd pollfd = {.fd = listener->channel, .events = POLLIN};
    struct pel_accepted accepted;
    int channel;
    size_t num_fds;
    if (poll(&pollfd, 1, PATIENCE_MS) != 1 ||
        pel_ipc_receive(listener->channel, &accepted, sizeof accepted, &channel, 1, &num_fds, 0) !=
            (ssize_t)sizeof accepted ||
        num_fds != 1)
        return false;
    __atomic_fetch_add(&listener->slot->rx_tail, 1, __ATOMIC_RELEASE);
    place(listener->program, accepted.slot, accepted.serial, channel, ret_socket);
    return true;
}

/* Sleeps on the waker until somebody wakes, some milliseconds at most: tests of lost wakes measure it. */
static void sleep_on_waker(struct test_program *program, struct test_socket *socket, uint32_t seen_state,
                           uint32_t seen_head, uint32_t seen_tail)
{
    struct pel_waker *waker = pel_segment_waker(program->base, program->header, 0);
    struct pollfd pollfd = {.fd = program->wake_fd, .events = POLLIN};
    char bytes[64];
    memset(&waker->ready, 0, sizeof waker->ready);
    __atomic_store_n(&waker->is_asleep, 1, __ATOMIC_SEQ_CST);
    if (__atomic_load_n(&socket->slot->state, __ATOMIC_SEQ_CST) == seen_state &&
        __atomic_load_n(&socket->slot->rx_head, __ATOMIC_SEQ_CST) == seen_head &&
        __atomic_load_n(&socket->slot->tx_tail, __ATOMIC_SEQ_CST) == seen_tail &&
        poll(&pollfd, 1, PATIENCE_MS) == 1)
        (void)!recv(program->wake_fd, bytes, sizeof bytes, MSG_DONTWAIT);
    __atomic_store_n(&waker->is_asleep, 0, __ATOMIC_SEQ_CST);
}

bool test_socket_wait(struct test_socket *socket, uint32_t bits)
{
    uint64_t end_ms = now_ms() + PATIENCE_MS;
    while (now_ms() < end_ms) {
        uint32_t state = __atomic_load_n(&socket->slot->state, __ATOMIC_ACQUIRE);
        if (state & bits)
            return true;
        sleep_on_waker(socket->program, socket, state,
                       __atomic_load_n(&socket->slot->rx_head, __ATOMIC_ACQUIRE),
                       __atomic_load_n(&socket->slot->tx_tail, __ATOMIC_ACQUIRE));
    }
    return false;
}

void test_socket_ring(struct test_socket *socket)
{
    uint32_t engine = socket->slot->engine;
    struct pel_doorbell *doorbell =
        pel_segment_doorbell(socket->program->base, socket->program->header, engine);
    uint64_t one = 1;
    if (pel_signal_set_add(&doorbell->rung, socket->number) &&
        __atomic_exchange_n(&doorbell->is_engine_asleep, 0, __ATOMIC_SEQ_CST))
        (void)!write(socket->program->bells[engine], &one, sizeof one);
}

void test_socket_ask_for(struct test_socket *socket, uint32_t bits)
{
    __atomic_fetch_or(&socket->slot->asked, bits, __ATOMIC_SEQ_CST);
    test_socket_ring(socket);
}

bool test_socket_write(struct test_socket *socket, const void *bytes, uint32_t len)
{
    struct pel_slot *slot = socket->slot;
    uint64_t end_ms = now_ms() + PATIENCE_MS;
    while (len > 0 && now_ms() < end_ms) {
        uint32_t state = __atomic_load_n(&slot->state, __ATOMIC_ACQUIRE);
        uint32_t tail = __atomic_load_n(&slot->tx_tail, __ATOMIC_ACQUIRE);
        uint32_t room_len = socket->tx.len - (slot->tx_head - tail),
                 put_len = len < room_len ? len : room_len;
        if (state & PEL_SLOT_GONE)
            return false;
        if (put_len == 0) {
            __atomic_store_n(&slot->wants_room, 1, __ATOMIC_SEQ_CST);
            sleep_on_waker(socket->program, socket, state, __atomic_load_n(&slot->rx_head, __ATOMIC_ACQUIRE),
                           tail);
            continue;
        }
        pel_ring_copy_in(&socket->tx, slot->tx_head, bytes, put_len);
        __atomic_store_n(&slot->tx_head, slot->tx_head + put_len, __ATOMIC_RELEASE);
        bytes = (const uint8_t *)bytes + put_len;
        len -= put_len;
        test_socket_ring(socket);
    }
    return len == 0;
}

bool test_socket_read(struct test_socket *socket, void *bytes, uint32_t len)
{
    struct pel_slot *slot = socket->slot;
    uint64_t end_ms = now_ms() + PATIENCE_MS;
    while (len > 0 && now_ms() < end_ms) {
        uint32_t state = __atomic_load_n(&slot->state, __ATOMIC_ACQUIRE);
        uint32_t head = __atomic_load_n(&slot->rx_head, __ATOMIC_ACQUIRE);
        uint32_t used_len = head - slot->rx_tail, take_len = len < used_len ? len : used_len;
        if (take_len == 0) {
            if (state & (PEL_SLOT_GONE | PEL_SLOT_EOF))
                return false;
            sleep_on_waker(socket->program, socket, state, head,
                           __atomic_load_n(&slot->tx_tail, __ATOMIC_ACQUIRE));
            continue;
        }
        pel_ring_copy_out(&socket->rx, slot->rx_tail, bytes, take_len);
        __atomic_store_n(&slot->rx_tail, slot->rx_tail + take_len, __ATOMIC_SEQ_CST);
        bytes = (uint8_t *)bytes + take_len;
        len -= take_len;
        if (__atomic_load_n(&slot->state, __ATOMIC_SEQ_CST) & PEL_SLOT_HELD)
            test_socket_ask_for(socket, PEL_SLOT_ASK_RESUME);
    }
    return len == 0;
}

void test_socket_close(struct test_socket *socket)
{
    __atomic_fetch_sub(&socket->slot->num_holders, 1, __ATOMIC_SEQ_CST);
    close(socket->channel);
}

void test_socket_drop(struct test_socket *socket)
{
    close(socket->channel);
}
