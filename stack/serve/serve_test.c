/* SPDX-License-Identifier: Apache-2.0 */
/* Programs that are attached, over the real engine that talks to itself. */
#include <errno.h>
#include <netinet/tcp.h>
#include <pellucid/pair.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "stack/engine.h"
#include "stack/serve/serve.h"
#include "stack/serve/test_program.h"
#include "stack/serve/test_service.h"
#include "tests/harness/harness.h"

PEL_TEST(service, bytes_go_both_ways)
{
    struct test_program program;
    struct ends ends;
    char bytes[6];
    service_start(1, 64);
    PEL_EXPECT(test_program_attach(&program, path));
    PEL_EXPECT(ends_open(&program, &ends));
    PEL_EXPECT_EQ(ends.server.slot->local.in.sin_port, htons(PORT));
    PEL_EXPECT_EQ(ends.server.slot->remote.in.sin_port, ends.client.slot->local.in.sin_port);
    PEL_EXPECT(test_socket_write(&ends.client, "hello", 6));
    PEL_EXPECT(test_socket_read(&ends.server, bytes, 6));
    PEL_EXPECT_STR(bytes, "hello");
    PEL_EXPECT(test_socket_write(&ends.server, "world", 6));
    PEL_EXPECT(test_socket_read(&ends.client, bytes, 6));
    PEL_EXPECT_STR(bytes, "world");
    PEL_EXPECT_EQ(test_socket_ask(&ends.client, PEL_IPC_INFO, 0, 0), 0);
    PEL_EXPECT_EQ(program.reply.info.state, TCP_ESTABLISHED);
    PEL_EXPECT(program.reply.info.mss > 1000 &&
               program.reply.info.congestion_window_len >= program.reply.info.mss);
    test_socket_ask_for(&ends.client, PEL_SLOT_ASK_SHUT_WR);
    PEL_EXPECT(test_socket_wait(&ends.server, PEL_SLOT_EOF));
    PEL_EXPECT(test_socket_write(&ends.server, "later", 6));
    test_socket_close(&ends.server);
    PEL_EXPECT(test_socket_read(&ends.client, bytes, 6));
    PEL_EXPECT_STR(bytes, "later");
    PEL_EXPECT(test_socket_wait(&ends.client, PEL_SLOT_EOF));
    PEL_EXPECT_EQ(ends.client.slot->gone_errno, 0);
    test_socket_close(&ends.client);
    test_socket_close(&ends.listener);
    test_program_detach(&program);
    service_stop();
}

#define BULK_LEN (3u << 20)

static void *write_bulk(void *arg)
{
    uint8_t *bytes = malloc(BULK_LEN);
    for (uint32_t i = 0; i < BULK_LEN; i++)
        bytes[i] = (uint8_t)(i * 2654435761u >> 24);
    bool is_written = test_socket_write(arg, bytes, BULK_LEN);
    free(bytes);
    return is_written ? arg : NULL;
}

/* Rings of 16 KB go round often, are full often, and no wake is lost. */
PEL_TEST(service, much_passes_through_small_rings)
{
    struct test_program writer, reader;
    struct ends ends;
    pthread_t thread;
    void *is_written = NULL;
    uint8_t *bytes = calloc(1, BULK_LEN);
    service_start(1, 64);
    PEL_EXPECT(test_program_attach(&writer, path));
    PEL_EXPECT(test_program_attach(&reader, path));
    PEL_EXPECT_EQ(test_socket_open(&reader, SOCK_STREAM, PORT, &ends.listener), 0);
    PEL_EXPECT_EQ(test_socket_ask(&ends.listener, PEL_IPC_LISTEN, 8, 0), 0);
    PEL_EXPECT_EQ(test_socket_open(&writer, SOCK_STREAM, -1, &ends.client), 0);
    PEL_EXPECT_EQ(test_socket_ask(&ends.client, PEL_IPC_CONNECT, 0, PORT), 0);
    PEL_EXPECT(test_socket_accept(&ends.listener, &ends.server));
    test_socket_ask_for(&ends.server, PEL_SLOT_ASK_MAP);
    pthread_create(&thread, NULL, write_bulk, &ends.client);
    PEL_EXPECT(test_socket_read(&ends.server, bytes, BULK_LEN));
    pthread_join(thread, &is_written);
    PEL_EXPECT(is_written != NULL);
    uint32_t num_wrong = 0;
    for (uint32_t i = 0; i < BULK_LEN; i++)
        num_wrong += bytes[i] != (uint8_t)(i * 2654435761u >> 24);
    PEL_EXPECT_EQ(num_wrong, 0);
    ends_close(&ends);
    test_program_detach(&writer);
    test_program_detach(&reader);
    free(bytes);
    service_stop();
}

PEL_TEST(service, a_refused_connection_says_so_and_may_try_again)
{
    struct test_program program;
    struct test_socket socket, listener;
    service_start(1, 64);
    PEL_EXPECT(test_program_attach(&program, path));
    PEL_EXPECT_EQ(test_socket_open(&program, SOCK_STREAM, -1, &socket), 0);
    PEL_EXPECT_EQ(test_socket_ask(&socket, PEL_IPC_CONNECT, 0, PORT), 0);
    PEL_EXPECT(test_socket_wait(&socket, PEL_SLOT_GONE));
    PEL_EXPECT_EQ(socket.slot->gone_errno, ECONNREFUSED);
    PEL_EXPECT_EQ(test_socket_open(&program, SOCK_STREAM, PORT, &listener), 0);
    PEL_EXPECT_EQ(test_socket_ask(&listener, PEL_IPC_LISTEN, 8, 0), 0);
    PEL_EXPECT_EQ(test_socket_ask(&socket, PEL_IPC_CONNECT, 0, PORT), 0);
    PEL_EXPECT(test_socket_wait(&socket, PEL_SLOT_OPEN | PEL_SLOT_GONE));
    PEL_EXPECT_EQ(socket.slot->state, PEL_SLOT_OPEN);
    PEL_EXPECT_EQ(test_socket_ask(&socket, PEL_IPC_CONNECT, 0, PORT), EALREADY);
    test_socket_close(&socket);
    test_socket_close(&listener); /* with a connection that nobody has accepted */
    test_program_detach(&program);
    service_stop();
}

PEL_TEST(service, a_program_that_dies_resets_its_peers)
{
    struct test_program program, victim;
    struct ends ends;
    service_start(1, 64);
    PEL_EXPECT(test_program_attach(&program, path));
    PEL_EXPECT(test_program_attach(&victim, path));
    PEL_EXPECT(ends_open(&program, &ends));
    struct test_socket client;
    PEL_EXPECT_EQ(test_socket_open(&victim, SOCK_STREAM, -1, &client), 0);
    PEL_EXPECT_EQ(test_socket_ask(&client, PEL_IPC_CONNECT, 0, PORT), 0);
    struct test_socket server;
    PEL_EXPECT(test_socket_accept(&ends.listener, &server));
    test_socket_ask_for(&server, PEL_SLOT_ASK_MAP);
    PEL_EXPECT(test_socket_wait(&client, PEL_SLOT_OPEN));
    PEL_EXPECT(test_socket_wait(&server, PEL_SLOT_OPEN));
    test_socket_drop(&client);
    test_program_detach(&victim);
    PEL_EXPECT(test_socket_wait(&server, PEL_SLOT_GONE));
    PEL_EXPECT_EQ(server.slot->gone_errno, ECONNRESET);
    PEL_EXPECT_EQ(service_num_errs(PEL_E_PROGRAM_GONE), 1);
    char byte;
    PEL_EXPECT(test_socket_write(&ends.client, "x", 1)); /* the others are undisturbed */
    PEL_EXPECT(test_socket_read(&ends.server, &byte, 1));
    test_socket_close(&server);
    ends_close(&ends);
    test_program_detach(&program);
    service_stop();
}

PEL_TEST(service, indices_that_cannot_be_reset_the_one_socket)
{
    struct test_program program;
    struct ends ends, others;
    service_start(1, 64);
    PEL_EXPECT(test_program_attach(&program, path));
    PEL_EXPECT(ends_open(&program, &ends));
    PEL_EXPECT_EQ(test_socket_open(&program, SOCK_STREAM, -1, &others.client), 0);
    PEL_EXPECT_EQ(test_socket_ask(&others.client, PEL_IPC_CONNECT, 0, PORT), 0);
    PEL_EXPECT(test_socket_accept(&ends.listener, &others.server));
    test_socket_ask_for(&others.server, PEL_SLOT_ASK_MAP);
    PEL_EXPECT(test_socket_wait(&others.client, PEL_SLOT_OPEN));
    PEL_EXPECT(test_socket_wait(&others.server, PEL_SLOT_OPEN));
    ends.client.slot->tx_head = 16385;
    test_socket_ring(&ends.client);
    PEL_EXPECT(test_socket_wait(&ends.client, PEL_SLOT_GONE));
    PEL_EXPECT(test_socket_wait(&ends.server, PEL_SLOT_GONE));
    PEL_EXPECT_EQ(service_num_errs(PEL_E_RING_CORRUPT), 1);
    others.server.slot->rx_tail = 5; /* more taken than ever came */
    PEL_EXPECT(test_socket_write(&others.client, "x", 1));
    PEL_EXPECT(test_socket_wait(&others.server, PEL_SLOT_GONE));
    PEL_EXPECT_EQ(service_num_errs(PEL_E_RING_CORRUPT), 2);
    ends_close(&ends);
    test_socket_close(&others.client);
    test_socket_close(&others.server);
    test_program_detach(&program);
    service_stop();
}

/* A request of random fields, some of them such that they mean something. */
static void ask_noise(struct test_program *program, unsigned *seed)
{
    struct pel_ipc_request request;
    int fds[PEL_IPC_FDS_MAX];
    size_t num_fds = 0;
    for (size_t i = 0; i < sizeof request; i++)
        ((uint8_t *)&request)[i] = (uint8_t)rand_r(seed);
    request.version = PEL_IPC_VERSION;
    request.op = (uint32_t)rand_r(seed) % (PEL_IPC_OPS - 1) + 1;
    if (rand_r(seed) % 4 != 0)
        request.app = program->reply.app;
    request.slot %= 64;
    request.serial %= 3;
    request.value %= PEL_SEGMENT_WAKERS + 8;
    request.family = rand_r(seed) % 2 != 0 ? AF_INET : AF_INET6;
    request.type = rand_r(seed) % 2 != 0 ? SOCK_STREAM : SOCK_DGRAM;
    request.local.family = rand_r(seed) % 3 != 0 ? AF_UNSPEC : request.family;
    request.remote.family = request.family;
    if (pel_ipc_send(program->fd, &request, sizeof request, &program->fd, (size_t)(rand_r(seed) % 2), 0) != 0)
        return;
    if (pel_ipc_receive(program->fd, &program->reply, sizeof program->reply, fds, PEL_IPC_FDS_MAX, &num_fds,
                        0) <= 0)
        return;
    for (size_t i = 0; i < num_fds; i++)
        if (rand_r(seed) % 2 != 0 || program->num_kept == 256)
            close(fds[i]);
        else
            program->kept[program->num_kept++] = fds[i];
}

PEL_TEST(service, requests_of_noise_are_answered)
{
    unsigned seed = (unsigned)getpid() * 7;
    printf("seed %u\n", seed);
    service_start(2, 64);
    struct test_program program = {0};
    struct pel_ipc_request hello = {.op = PEL_IPC_HELLO};
    program.fd = test_program_connect(path);
    PEL_EXPECT_EQ(test_program_ask(&program, &hello, NULL, 0), 0);
    uint32_t app = program.reply.app;
    for (int i = 0; i < 3000; i++) {
        program.reply.app = app;
        ask_noise(&program, &seed);
    }
    for (size_t i = 0; i < program.num_kept; i++)
        close(program.kept[i]);
    close(program.fd);
    struct ends ends;
    PEL_EXPECT(test_program_attach(&program, path));
    PEL_EXPECT(ends_open(&program, &ends));
    ends_close(&ends);
    test_program_detach(&program);
    service_stop();
}

/* Whatever stands in the segment, the daemon goes on, and others are served. */
PEL_TEST(service, a_segment_of_noise_harms_its_program_alone)
{
    struct test_program program, other;
    struct ends ends, good;
    unsigned seed = (unsigned)getpid();
    printf("seed %u\n", seed);
    service_start(2, 64);
    PEL_EXPECT(test_program_attach(&program, path));
    PEL_EXPECT(test_program_attach(&other, path));
    PEL_EXPECT(ends_open(&program, &ends));
    struct pel_segment_header header = *program.header;
    uint32_t engine = ends.client.slot->engine;
    for (int round = 0; round < 300; round++) {
        uint32_t *words = program.base;
        for (uint32_t i = 0; i < 2000; i++) {
            uint64_t at = ((uint64_t)rand_r(&seed) << 20 ^ (uint64_t)rand_r(&seed)) % (header.len / 4);
            words[at] = (uint32_t)rand_r(&seed) * 3u;
        }
        /* Where it hurts most: the sockets' words, the doorbells, the wakers' states. */
        for (uint32_t n = 0; n < 3; n++) {
            uint32_t *slot = (uint32_t *)pel_segment_slot(program.base, &header, n);
            slot[(uint32_t)rand_r(&seed) % (sizeof(struct pel_slot) / 4)] = (uint32_t)rand_r(&seed) * 5u;
        }
        for (uint32_t e = 0; e < header.num_engines; e++) {
            pel_segment_doorbell(program.base, &header, e)->rung.groups[0] = ~0ull;
            pel_segment_doorbell(program.base, &header, e)->rung.words[0] = ~0ull;
            uint64_t one = 1;
            (void)!write(program.bells[e], &one, sizeof one);
        }
        usleep(200);
    }
    memcpy(program.header, &header, sizeof header);
    memcpy(program.header, &header, sizeof header);
    ends.client.slot->engine = engine;
    ends.client.slot->tx_head = 0x80000000u; /* whatever the noise did, this cannot be */
    test_socket_ring(&ends.client);
    for (int i = 0; i < 20000 && service_num_errs(PEL_E_RING_CORRUPT) == 0 && service_num_conns() > 0; i++)
        usleep(1000);
    /* Its connections are reset: for indices that cannot be, or since the noise asked for it. */
    PEL_EXPECT(service_num_errs(PEL_E_RING_CORRUPT) > 0 || service_num_conns() == 0);
    test_socket_close(&ends.listener);
    PEL_EXPECT(service_report().num_sockets >= 2);
    struct pel_segment_header *mine = other.header;
    PEL_EXPECT_EQ(mine->num_sockets, 64);
    for (int i = 0; i < 20000 && service_report().num_sockets > 2; i++)
        usleep(1000);
    PEL_EXPECT(ends_open_at(&other, PORT + 1, &good));
    char byte;
    PEL_EXPECT(test_socket_write(&good.client, "x", 1));
    PEL_EXPECT(test_socket_read(&good.server, &byte, 1));
    ends_close(&good);
    close(ends.client.channel);
    close(ends.server.channel);
    test_program_detach(&program);
    test_program_detach(&other);
    service_stop();
}

/* Rings, and waits until the engine has looked. */
static void ring_and_wait(struct test_socket *socket)
{
    const struct test_program *program = socket->program;
    struct pel_doorbell *doorbell = pel_segment_doorbell(program->base, program->header, 0);
    test_socket_ring(socket);
    for (int i = 0; i < 20000 && !pel_signal_set_is_empty(&doorbell->rung); i++)
        usleep(1000);
}

PEL_TEST(service, a_dialogue_is_of_one_socket_alone)
{
    struct test_program program;
    struct ends ends;
    service_start(1, 64);
    PEL_EXPECT(test_program_attach(&program, path));
    PEL_EXPECT(ends_open(&program, &ends));
    PEL_EXPECT(!service_is_dialogue());
    for (int i = 0; i < 20; i++)
        ring_and_wait(&ends.client);
    PEL_EXPECT(service_is_dialogue());
    ring_and_wait(&ends.server);
    PEL_EXPECT(!service_is_dialogue());
    for (int i = 0; i < 20; i++)
        ring_and_wait(i % 2 == 0 ? &ends.client : &ends.server);
    PEL_EXPECT(!service_is_dialogue());
    ends_close(&ends);
    test_program_detach(&program);
    service_stop();
}

PEL_TEST(service, quotas_hold)
{
    struct test_program program, second, third;
    struct test_socket sockets[64], one_more;
    service_start(1, 64);
    PEL_EXPECT(test_program_attach(&program, path));
    for (int i = 0; i < 64; i++)
        PEL_EXPECT_EQ(test_socket_open(&program, SOCK_STREAM, -1, &sockets[i]), 0);
    PEL_EXPECT_EQ(test_socket_open(&program, SOCK_STREAM, -1, &one_more), ENFILE);
    PEL_EXPECT_HAS(program.reply.text, "attach.max_sockets");
    test_socket_close(&sockets[10]);
    for (int i = 0; i < 20000 && service_report().num_sockets == 64; i++)
        usleep(1000);
    PEL_EXPECT_EQ(test_socket_open(&program, SOCK_STREAM, -1, &sockets[10]), 0);
    PEL_EXPECT_EQ(sockets[10].serial, 2);
    PEL_EXPECT(test_program_attach(&second, path));
    PEL_EXPECT(test_program_attach(&third, path));
    struct test_program fourth = {.fd = test_program_connect(path)};
    struct pel_ipc_request hello = {.op = PEL_IPC_HELLO};
    PEL_EXPECT_EQ(test_program_ask(&fourth, &hello, NULL, 0), ENFILE);
    PEL_EXPECT_HAS(fourth.reply.text, "attach.max_applications");
    close(fourth.fd);
    for (int i = 0; i < 64; i++)
        test_socket_close(&sockets[i]);
    test_program_detach(&program);
    test_program_detach(&second);
    test_program_detach(&third);
    service_stop();
}

PEL_TEST(service, names_are_given_once)
{
    struct test_program program;
    struct test_socket first, second, chosen;
    service_start(1, 64);
    PEL_EXPECT(test_program_attach(&program, path));
    PEL_EXPECT_EQ(test_socket_open(&program, SOCK_STREAM, PORT, &first), 0);
    PEL_EXPECT_EQ(test_socket_open(&program, SOCK_STREAM, PORT, &second), EADDRINUSE);
    PEL_EXPECT_EQ(test_socket_open(&program, SOCK_DGRAM, PORT, &second), 0); /* another protocol */
    PEL_EXPECT_EQ(test_socket_open(&program, SOCK_STREAM, 0, &chosen), 0);
    PEL_EXPECT(ntohs(chosen.slot->local.in.sin_port) >= 32768);
    PEL_EXPECT_EQ(test_socket_ask(&chosen, PEL_IPC_BIND, 0, PORT), EINVAL);
    test_socket_close(&first);
    for (int i = 0; i < 20000 && service_report().num_sockets > 2; i++)
        usleep(1000);
    PEL_EXPECT_EQ(test_socket_open(&program, SOCK_STREAM, PORT, &first), 0);
    test_socket_close(&first);
    test_socket_close(&second);
    test_socket_close(&chosen);
    test_program_detach(&program);
    service_stop();
}

/* What a program relies on that closes and goes on at once. */
PEL_TEST(service, a_close_that_is_asked_for_is_done_when_it_is_answered)
{
    struct test_program program;
    struct ends ends;
    struct test_socket again;
    service_start(2, 64);
    PEL_EXPECT(test_program_attach(&program, path));
    PEL_EXPECT(ends_open(&program, &ends));
    PEL_EXPECT_EQ(test_socket_ask(&ends.client, PEL_IPC_CLOSE, 0, 0), EISCONN);
    PEL_EXPECT_EQ(test_socket_ask(&ends.client, PEL_IPC_UNLISTEN, 0, 0), EINVAL);
    PEL_EXPECT_EQ(test_socket_ask(&ends.listener, PEL_IPC_UNLISTEN, 0, 0), 0);
    PEL_EXPECT_EQ(test_socket_open(&program, SOCK_STREAM, -1, &again), 0);
    PEL_EXPECT_EQ(test_socket_ask(&again, PEL_IPC_CONNECT, 0, PORT), 0);
    PEL_EXPECT(test_socket_wait(&again, PEL_SLOT_GONE));
    PEL_EXPECT_EQ(again.slot->gone_errno, ECONNREFUSED);
    test_socket_close(&again);
    PEL_EXPECT_EQ(test_socket_ask(&ends.listener, PEL_IPC_LISTEN, 8, 0), 0);
    PEL_EXPECT_EQ(test_socket_ask(&ends.listener, PEL_IPC_CLOSE, 0, 0), EBUSY); /* there is a copy */
    test_socket_close(&ends.listener);
    /* The service may have seen the end of the channel first; either way it is over when the answer comes. */
    int error = test_socket_ask(&ends.listener, PEL_IPC_CLOSE, 0, 0);
    PEL_EXPECT(error == 0 || error == EBADF);
    PEL_EXPECT_EQ(test_socket_open(&program, SOCK_STREAM, PORT, &again), EADDRINUSE); /* the connection's */
    test_socket_close(&ends.server);
    for (int i = 0; i < 20000 && service_report().num_sockets > 1; i++)
        usleep(1000);
    PEL_EXPECT_EQ(test_socket_open(&program, SOCK_STREAM, PORT, &again), 0);
    test_socket_close(&again);
    test_socket_close(&ends.client);
    test_program_detach(&program);
    service_stop();
}

static uint32_t room_of(const struct test_socket *socket)
{
    return socket->tx.len -
           (socket->slot->tx_head - __atomic_load_n(&socket->slot->tx_tail, __ATOMIC_ACQUIRE));
}

/* Writes until neither ring nor window takes more: for a while in which the engine has had its turns. */
static bool fill(struct test_socket *socket)
{
    static const char bytes[16384];
    for (int num_full = 0, i = 0; num_full < 200 && i < 20000; i++) {
        uint32_t room_len = room_of(socket);
        if (room_len > 0 && !test_socket_write(socket, bytes, room_len))
            return false;
        num_full = room_len > 0 ? 0 : num_full + 1;
        usleep(1000);
        (void)service_num_conns(); /* asks the engine */
    }
    return room_of(socket) == 0;
}

/* What a program leaves behind is delivered, but not for ever to a peer that takes nothing. */
PEL_TEST(service, a_peer_that_takes_nothing_keeps_nothing)
{
    struct test_program program;
    struct ends ends, second;
    service_patience_ms = 300;
    service_start(1, 64);
    PEL_EXPECT(test_program_attach(&program, path));
    PEL_EXPECT(ends_open(&program, &ends));
    PEL_EXPECT(fill(&ends.client));
    test_socket_close(&ends.client);
    for (int i = 0; i < 20000 && service_report().num_sockets > 2; i++)
        usleep(1000);
    PEL_EXPECT_EQ(service_report().num_sockets, 2);
    char byte;
    while (test_socket_read(&ends.server, &byte, 1)) {
    }
    PEL_EXPECT_EQ(ends.server.slot->state & (PEL_SLOT_GONE | PEL_SLOT_EOF), PEL_SLOT_GONE);
    PEL_EXPECT_EQ(ends.server.slot->gone_errno, ECONNRESET);
    test_socket_close(&ends.server);
    test_socket_close(&ends.listener);
    /* And not at all when the service ends. */
    PEL_EXPECT(ends_open_at(&program, PORT + 1, &second));
    PEL_EXPECT(fill(&second.client));
    test_socket_close(&second.client);
    usleep(20000);
    pel_serve_stop(service);
    PEL_EXPECT_EQ(service_num_conns(), 0);
    ends_close(&second);
    test_program_detach(&program);
    struct pel_error error = {.text = ""};
    PEL_EXPECT_EQ(service_start_another(&service, &error), PEL_OK);
    service_stop();
}

PEL_TEST(service, bytes_past_the_library_reset_the_socket)
{
    struct test_program program;
    struct ends ends;
    struct pel_serve_report now;
    struct pel_counters counters = {0};
    service_start(1, 64);
    PEL_EXPECT(test_program_attach(&program, path));
    PEL_EXPECT(ends_open(&program, &ends));
    PEL_EXPECT_EQ(write(ends.client.channel, "secret", 6), 6);
    PEL_EXPECT(test_socket_wait(&ends.server, PEL_SLOT_GONE));
    PEL_EXPECT_EQ(ends.server.slot->gone_errno, ECONNRESET);
    PEL_EXPECT_EQ(ends.server.slot->rx_head, 0);
    pel_serve_get_report(service, &now, &counters);
    PEL_EXPECT_EQ(counters.err[PEL_E_PROGRAM_BYPASS], 1);
    ends_close(&ends);
    test_program_detach(&program);
    service_stop();
}

PEL_TEST(service, closing_without_a_look_is_an_end_and_no_reset)
{
    struct test_program program;
    struct test_socket listener, client, server;
    service_start(1, 64);
    PEL_EXPECT(test_program_attach(&program, path));
    PEL_EXPECT_EQ(test_socket_open(&program, SOCK_STREAM, PORT, &listener), 0);
    PEL_EXPECT_EQ(test_socket_ask(&listener, PEL_IPC_LISTEN, 8, 0), 0);
    PEL_EXPECT_EQ(test_socket_open(&program, SOCK_STREAM, -1, &client), 0);
    PEL_EXPECT_EQ(test_socket_ask(&client, PEL_IPC_CONNECT, 0, PORT), 0);
    PEL_EXPECT(test_socket_accept(&listener, &server));
    PEL_EXPECT(test_socket_wait(&client, PEL_SLOT_OPEN));
    test_socket_close(&server);
    PEL_EXPECT(test_socket_wait(&client, PEL_SLOT_EOF | PEL_SLOT_GONE));
    PEL_EXPECT_EQ(client.slot->state & PEL_SLOT_GONE, 0);
    client.slot->options.is_linger = 1; /* and of 0 s: a reset */
    test_socket_close(&client);
    test_socket_close(&listener);
    test_program_detach(&program);
    service_stop();
}

PEL_TEST(service, requests_that_make_no_sense_are_refused)
{
    struct test_program program, other;
    struct test_socket socket;
    service_start(1, 64);
    PEL_EXPECT(test_program_attach(&program, path));
    PEL_EXPECT(test_program_attach(&other, path));
    PEL_EXPECT_EQ(test_socket_open(&program, SOCK_STREAM, -1, &socket), 0);
    struct pel_ipc_request request = {
        .op = PEL_IPC_LISTEN, .app = program.header->app, .slot = socket.number};
    PEL_EXPECT_EQ(test_program_ask(&program, &request, NULL, 0), EBADF); /* without the serial number */
    request.serial = socket.serial;
    PEL_EXPECT_EQ(test_program_ask(&other, &request, NULL, 0), EBADF); /* not that program's */
    request.slot = 1u << 30;
    PEL_EXPECT_EQ(test_program_ask(&program, &request, NULL, 0), EBADF);
    request = (struct pel_ipc_request){.op = PEL_IPC_JOIN, .app = program.header->app};
    PEL_EXPECT_EQ(test_program_ask(&other, &request, NULL, 0), EACCES); /* without the token */
    memcpy(request.token, program.header->token, sizeof request.token);
    PEL_EXPECT_EQ(test_program_ask(&other, &request, NULL, 0), 0);
    request = (struct pel_ipc_request){.op = PEL_IPC_WAKER, .app = program.header->app, .value = 1u << 20};
    PEL_EXPECT_EQ(test_program_ask(&program, &request, NULL, 0), EINVAL);
    request =
        (struct pel_ipc_request){.op = PEL_IPC_SOCKET, .app = 77, .family = AF_INET, .type = SOCK_STREAM};
    PEL_EXPECT_EQ(test_program_ask(&program, &request, NULL, 0), EACCES);
    request = (struct pel_ipc_request){.op = 99};
    PEL_EXPECT_EQ(test_program_ask(&other, &request, NULL, 0), EPROTO); /* and the connection has ended */
    PEL_EXPECT_EQ(test_program_ask(&other, &request, NULL, 0), EPIPE);
    int fd = test_program_connect(path);
    PEL_EXPECT_EQ(pel_ipc_send(fd, "short", 5, NULL, 0, 0), 0);
    char byte;
    PEL_EXPECT_EQ(read(fd, &byte, 1), 0);
    close(fd);
    test_socket_close(&socket);
    test_program_detach(&program);
    test_program_detach(&other);
    service_stop();
}

PEL_TEST(service, who_holds_a_channel_may_use_its_socket)
{
    struct test_program program, heir;
    struct test_socket socket;
    service_start(1, 64);
    PEL_EXPECT(test_program_attach(&program, path));
    PEL_EXPECT(test_program_attach(&heir, path));
    PEL_EXPECT_EQ(test_socket_open(&program, SOCK_STREAM, PORT, &socket), 0);
    struct pel_ipc_request request = {.version = PEL_IPC_VERSION, .op = PEL_IPC_WHO};
    int fds[PEL_IPC_FDS_MAX];
    size_t num_fds;
    PEL_EXPECT_EQ(pel_ipc_send(heir.fd, &request, sizeof request, &socket.channel, 1, 0), 0);
    PEL_EXPECT(pel_ipc_receive(heir.fd, &heir.reply, sizeof heir.reply, fds, PEL_IPC_FDS_MAX, &num_fds, 0) >
               0);
    PEL_EXPECT_EQ(heir.reply.error, 0);
    PEL_EXPECT_EQ(heir.reply.app, program.header->app);
    PEL_EXPECT_EQ(heir.reply.slot, socket.number);
    PEL_EXPECT_EQ(num_fds, 2);
    for (size_t i = 0; i < num_fds; i++)
        close(fds[i]);
    PEL_EXPECT_EQ(pel_ipc_send(heir.fd, &request, sizeof request, &heir.wake_fd, 1, 0), 0);
    PEL_EXPECT(pel_ipc_receive(heir.fd, &heir.reply, sizeof heir.reply, fds, PEL_IPC_FDS_MAX, &num_fds, 0) >
               0);
    PEL_EXPECT_EQ(heir.reply.error, ENOTSOCK);
    test_socket_close(&socket);
    test_program_detach(&heir);
    test_program_detach(&program);
    service_stop();
}

/* A connection stays one: as a listener nobody would end it with its socket. */
PEL_TEST(service, what_is_a_connection_cannot_listen)
{
    struct test_program program;
    struct test_socket lost;
    struct ends ends;
    service_start(1, 64);
    PEL_EXPECT(test_program_attach(&program, path));
    PEL_EXPECT(ends_open(&program, &ends));
    PEL_EXPECT_EQ(test_socket_ask(&ends.client, PEL_IPC_LISTEN, 8, 0), EINVAL);
    PEL_EXPECT_EQ(test_socket_ask(&ends.server, PEL_IPC_LISTEN, 8, 0), EINVAL);
    PEL_EXPECT_EQ(test_socket_open(&program, SOCK_STREAM, -1, &lost), 0);
    struct pel_ipc_request request = {
        .op = PEL_IPC_CONNECT, .app = program.header->app, .slot = lost.number, .serial = lost.serial};
    request.remote.in = (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = htons(1), .sin_addr.s_addr = htonl(0x0a0700c8)}; /* nobody */
    PEL_EXPECT_EQ(test_program_ask(&program, &request, NULL, 0), 0);
    PEL_EXPECT_EQ(test_socket_ask(&lost, PEL_IPC_LISTEN, 8, 0), EINVAL); /* on its way */
    test_socket_ask_for(&lost, PEL_SLOT_ASK_ABORT);
    PEL_EXPECT(test_socket_wait(&lost, PEL_SLOT_GONE));
    PEL_EXPECT_EQ(test_socket_ask(&lost, PEL_IPC_LISTEN, 8, 0), 0); /* as in the kernel */
    test_socket_close(&lost);
    ends_close(&ends);
    test_program_detach(&program);
    service_stop();
}

PEL_TEST(service, many_connections_on_several_engines)
{
    struct test_program program;
    struct test_socket listener, clients[40], servers[40];
    service_start(3, 128);
    PEL_EXPECT(test_program_attach(&program, path));
    PEL_EXPECT_EQ(test_socket_open(&program, SOCK_STREAM, PORT, &listener), 0);
    PEL_EXPECT_EQ(test_socket_ask(&listener, PEL_IPC_LISTEN, 64, 0), 0);
    for (int i = 0; i < 40; i++) {
        PEL_EXPECT_EQ(test_socket_open(&program, SOCK_STREAM, -1, &clients[i]), 0);
        PEL_EXPECT_EQ(test_socket_ask(&clients[i], PEL_IPC_CONNECT, 0, PORT), 0);
    }
    uint32_t engines = 0;
    for (int i = 0; i < 40; i++) {
        PEL_EXPECT(test_socket_accept(&listener, &servers[i]));
        test_socket_ask_for(&servers[i], PEL_SLOT_ASK_MAP);
        PEL_EXPECT(test_socket_wait(&servers[i], PEL_SLOT_OPEN));
        engines |= 1u << servers[i].slot->engine;
    }
    PEL_EXPECT_EQ(engines, 7);
    for (int i = 0; i < 40; i++) {
        int from = -1, got = -1;
        PEL_EXPECT(test_socket_write(&clients[i], &i, sizeof i));
        for (int k = 0; k < 40; k++)
            /* Each engine talks to itself here, and chooses its own ports. */
            if (servers[k].slot->remote.in.sin_port == clients[i].slot->local.in.sin_port &&
                servers[k].slot->engine == clients[i].slot->engine)
                from = k;
        PEL_EXPECT(from >= 0 && test_socket_read(&servers[from], &got, sizeof got));
        PEL_EXPECT_EQ(got, i);
    }
    for (int i = 0; i < 40; i++) {
        test_socket_close(&clients[i]);
        test_socket_close(&servers[i]);
    }
    test_socket_close(&listener);
    test_program_detach(&program);
    service_stop();
}

/* Linux keeps connections waiting that its backlog has no room for, and so do we, up to a bound. */
PEL_TEST(service, a_full_backlog_waits_and_then_refuses)
{
    enum { NUM = 1100 };
    static struct test_socket clients[NUM];
    struct test_program program;
    struct test_socket listener, server;
    uint32_t num_gone = 0, num_accepted = 0;
    service_start(1, 4096);
    PEL_EXPECT(test_program_attach(&program, path));
    PEL_EXPECT_EQ(test_socket_open(&program, SOCK_STREAM, PORT, &listener), 0);
    PEL_EXPECT_EQ(test_socket_ask(&listener, PEL_IPC_LISTEN, 4, 0), 0);
    for (int i = 0; i < NUM; i++) {
        PEL_EXPECT_EQ(test_socket_open(&program, SOCK_STREAM, -1, &clients[i]), 0);
        PEL_EXPECT_EQ(test_socket_ask(&clients[i], PEL_IPC_CONNECT, 0, PORT), 0);
        PEL_EXPECT(test_socket_wait(&clients[i], PEL_SLOT_OPEN | PEL_SLOT_GONE));
    }
    for (int waited = 0; num_gone < NUM - 1028 && waited < 20000; waited++, usleep(1000)) {
        num_gone = 0;
        for (int i = 0; i < NUM; i++)
            num_gone += (__atomic_load_n(&clients[i].slot->state, __ATOMIC_ACQUIRE) & PEL_SLOT_GONE) != 0;
    }
    PEL_EXPECT_EQ(num_gone, NUM - 1028);
    for (; num_accepted < 1028 && test_socket_accept(&listener, &server); num_accepted++)
        test_socket_close(&server);
    PEL_EXPECT_EQ(num_accepted, 1028);
    /* Taken without being counted, as by a process that dies in between: after one refusal it goes on. */
    __atomic_fetch_sub(&listener.slot->rx_tail, 1028, __ATOMIC_RELEASE);
    for (int i = 0; i < 200 && num_accepted == 1028; i++) {
        test_socket_close(&clients[0]);
        PEL_EXPECT_EQ(test_socket_open(&program, SOCK_STREAM, -1, &clients[0]), 0);
        PEL_EXPECT_EQ(test_socket_ask(&clients[0], PEL_IPC_CONNECT, 0, PORT), 0);
        struct pollfd pollfd = {.fd = listener.channel, .events = POLLIN};
        if (poll(&pollfd, 1, 100) == 1 && test_socket_accept(&listener, &server)) {
            test_socket_close(&server);
            num_accepted++;
        }
    }
    PEL_EXPECT_EQ(num_accepted, 1029);
    for (int i = 0; i < NUM; i++)
        test_socket_close(&clients[i]);
    test_socket_close(&listener);
    test_program_detach(&program);
    service_stop();
}

static bool send_to(struct test_socket *socket, uint16_t port, const char *text)
{
    struct pel_datagram_header header = {.payload_len = (uint32_t)strlen(text)};
    header.address.in = (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(0x0a070001)};
    pel_ring_copy_in(&socket->tx, socket->slot->tx_head, &header, sizeof header);
    pel_ring_copy_in(&socket->tx, socket->slot->tx_head + 32, text, header.payload_len);
    __atomic_store_n(&socket->slot->tx_head,
                     socket->slot->tx_head + pel_datagram_record_len(header.payload_len), __ATOMIC_RELEASE);
    test_socket_ring(socket);
    return true;
}

PEL_TEST(service, datagrams_keep_their_bounds_and_senders)
{
    struct test_program program;
    struct test_socket a, b;
    struct pel_datagram_header header;
    char bytes[16] = "";
    service_start(1, 64);
    PEL_EXPECT(test_program_attach(&program, path));
    PEL_EXPECT_EQ(test_socket_open(&program, SOCK_DGRAM, PORT, &a), 0);
    PEL_EXPECT_EQ(test_socket_open(&program, SOCK_DGRAM, PORT + 1, &b), 0);
    PEL_EXPECT(send_to(&a, PORT + 1, "one"));
    PEL_EXPECT(send_to(&a, PORT + 1, "and two"));
    PEL_EXPECT(send_to(&a, PORT + 1, ""));
    PEL_EXPECT(test_socket_read(&b, &header, sizeof header));
    PEL_EXPECT_EQ(header.payload_len, 3);
    PEL_EXPECT_EQ(header.address.in.sin_port, htons(PORT));
    PEL_EXPECT(test_socket_read(&b, bytes, 8));
    PEL_EXPECT_MEM(bytes, "one", 3);
    PEL_EXPECT(test_socket_read(&b, &header, sizeof header));
    PEL_EXPECT_EQ(header.payload_len, 7);
    PEL_EXPECT(test_socket_read(&b, bytes, 8));
    PEL_EXPECT_MEM(bytes, "and two", 7);
    PEL_EXPECT(test_socket_read(&b, &header, sizeof header));
    PEL_EXPECT_EQ(header.payload_len, 0);
    header =
        (struct pel_datagram_header){.payload_len = 60000}; /* a record that is longer than what there is */
    pel_ring_copy_in(&a.tx, a.slot->tx_head, &header, sizeof header);
    __atomic_store_n(&a.slot->tx_head, a.slot->tx_head + 32, __ATOMIC_RELEASE);
    test_socket_ring(&a);
    for (int i = 0; i < 20000 && service_num_errs(PEL_E_RING_CORRUPT) == 0; i++)
        usleep(1000);
    PEL_EXPECT_EQ(service_num_errs(PEL_E_RING_CORRUPT), 1);
    PEL_EXPECT(send_to(&a, PORT + 1, "on"));
    PEL_EXPECT(test_socket_read(&b, &header, sizeof header));
    PEL_EXPECT_EQ(header.payload_len, 2);
    test_socket_close(&a);
    test_socket_close(&b);
    test_program_detach(&program);
    service_stop();
}

/* The service stops under programs that go on: their sockets are reset, their memory stays theirs. */
PEL_TEST(service, programs_outlive_the_service)
{
    struct test_program program;
    struct ends ends;
    struct pel_error error = {.text = ""};
    service_start(1, 64);
    PEL_EXPECT(test_program_attach(&program, path));
    PEL_EXPECT(ends_open(&program, &ends));
    struct pel_serve *second = NULL;
    PEL_EXPECT_ERR(service_start_another(&second, &error), PEL_E_EXISTS);
    PEL_EXPECT_HAS(error.text, "another process answers");
    pel_serve_stop(service);
    PEL_EXPECT((ends.client.slot->state & PEL_SLOT_GONE) != 0);
    PEL_EXPECT((ends.server.slot->state & PEL_SLOT_GONE) != 0);
    char byte;
    PEL_EXPECT_EQ(read(ends.client.channel, &byte, 1), 0);
    PEL_EXPECT(recv(program.wake_fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) >= 0); /* a wake, or the end */
    PEL_EXPECT_EQ(service_num_conns(), 0);
    ends_close(&ends);
    test_program_detach(&program);
    PEL_EXPECT_EQ(service_start_another(&service, &error), PEL_OK);
    PEL_EXPECT(test_program_attach(&program, path));
    PEL_EXPECT(ends_open(&program, &ends));
    ends_close(&ends);
    test_program_detach(&program);
    service_stop();
}
