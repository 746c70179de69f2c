/* SPDX-License-Identifier: Apache-2.0 */
/* SecondaryMap for programs of other processes: which connections are of one process. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "stack/serve/test_service.h"
#include "tests/harness/harness.h"
#include "tests/scenario/rings.h"

#define DATA_PORT (PORT + 1)

static const char policy[] =
    "TTLSRule SERVER\n{\n LocalPortRange 7100\n Direction Inbound\n TTLSGroupActionRef on\n"
    " TTLSEnvironmentActionRef server\n}\n"
    "TTLSRule CLIENT\n{\n RemotePortRange 7100\n Direction Outbound\n TTLSGroupActionRef on\n"
    " TTLSEnvironmentActionRef client\n}\n"
    "TTLSGroupAction on\n{\n TTLSEnabled On\n TTLSGroupAdvancedParms\n {\n SecondaryMap On\n }\n}\n"
    "TTLSEnvironmentAction server\n{\n HandshakeRole Server\n"
    " TTLSKeyringParms\n {\n Keyring tester/server\n }\n}\n"
    "TTLSEnvironmentAction client\n{\n HandshakeRole Client\n"
    " TTLSKeyringParms\n {\n Keyring tester/client\n }\n}\n";

static uint64_t before[2]; /* what expect_mapped saw last */

/* A file server and its client, each a program that forks: `process` is which of its processes acts. */
struct net {
    struct test_program server, client;
    struct test_socket control_listener, data_listener;
};

static bool net_open(struct net *net, int num_engines)
{
    char file_path[128];
    snprintf(file_path, sizeof file_path, "%s/serve.policy", rings_dir());
    FILE *file = fopen(file_path, "w");
    if (file == NULL || fputs(policy, file) < 0 || fclose(file) != 0)
        return false;
    before[0] = before[1] = 0;
    service_start_under(file_path, rings_dir(), num_engines, 64);
    return test_program_attach(&net->server, path) && test_program_attach(&net->client, path) &&
           test_socket_open(&net->server, SOCK_STREAM, PORT, &net->control_listener) == 0 &&
           test_socket_ask(&net->control_listener, PEL_IPC_LISTEN, 8, 0) == 0 &&
           test_socket_open(&net->server, SOCK_STREAM, DATA_PORT, &net->data_listener) == 0 &&
           test_socket_ask(&net->data_listener, PEL_IPC_LISTEN, 8, 0) == 0;
}

static void net_close(struct net *net)
{
    test_socket_close(&net->data_listener);
    test_socket_close(&net->control_listener);
    test_program_detach(&net->client);
    test_program_detach(&net->server);
    service_stop();
}

struct both {
    struct test_socket client, server;
};

/* Connects `client`, as its process `client_pid`, to what the listener's process `server_pid` accepts. */
static bool link_up(struct test_program *client, uint32_t client_pid, struct test_socket *listener,
                    uint32_t server_pid, struct both *both)
{
    uint16_t port = ntohs(listener->slot->local.in.sin_port);
    if (test_socket_open(client, SOCK_STREAM, -1, &both->client) != 0)
        return false;
    both->client.slot->process = client_pid;
    if (test_socket_ask(&both->client, PEL_IPC_CONNECT, 0, port) != 0 ||
        !test_socket_accept(listener, &both->server))
        return false;
    both->server.slot->process = server_pid;
    test_socket_ask_for(&both->server, PEL_SLOT_ASK_MAP);
    return test_socket_wait(&both->client, PEL_SLOT_OPEN | PEL_SLOT_GONE) &&
           test_socket_wait(&both->server, PEL_SLOT_OPEN | PEL_SLOT_GONE);
}

static bool passes(struct both *both)
{
    char got[4] = "";
    return test_socket_write(&both->client, "abc", 4) && test_socket_read(&both->server, got, 4) &&
           strcmp(got, "abc") == 0;
}

static void hang_up(struct both *both)
{
    test_socket_close(&both->client);
    test_socket_close(&both->server);
}

/* How many ends followed another connection since the last call, and how many had no rule. */
static void expect_mapped(uint64_t num_secondary, uint64_t num_no_rule)
{
    uint64_t now[2] = {service_num_stats(PEL_STAT_map_secondary), service_num_stats(PEL_STAT_map_no_rule)};
    PEL_EXPECT_EQ(now[0] - before[0], num_secondary);
    PEL_EXPECT_EQ(now[1] - before[1], num_no_rule);
    before[0] = now[0];
    before[1] = now[1];
}

static void check_processes(int num_engines)
{
    struct net net;
    struct both control, data;
    PEL_REQUIRE(net_open(&net, num_engines));
    expect_mapped(0, 0);
    PEL_REQUIRE(link_up(&net.client, 42, &net.control_listener, 50, &control));
    PEL_EXPECT(passes(&control));
    expect_mapped(0, 0);
    for (int i = 0; i < 2 * num_engines; i++) { /* on each engine: connects take them in turn */
        PEL_REQUIRE(link_up(&net.client, 42, &net.data_listener, 50, &data));
        PEL_EXPECT(passes(&data));
        hang_up(&data);
        expect_mapped(2, 0);
    }
    PEL_REQUIRE(
        link_up(&net.client, 43, &net.data_listener, 51, &data)); /* of other processes at both ends */
    PEL_EXPECT(passes(&data));
    hang_up(&data);
    expect_mapped(0, 2);
    PEL_REQUIRE(link_up(&net.server, 42, &net.data_listener, 51, &data)); /* of that pid in another program */
    hang_up(&data);
    expect_mapped(0, 2);
    hang_up(&control);
    for (int i = 0; i < 20000 && service_num_conns() > 0; i++)
        usleep(1000);
    PEL_REQUIRE(link_up(&net.client, 42, &net.data_listener, 50, &data)); /* after the end */
    PEL_EXPECT(passes(&data));
    hang_up(&data);
    expect_mapped(0, 2);
    net_close(&net);
}

PEL_TEST(serve_secondary, one_process_of_a_program)
{
    check_processes(1);
}

PEL_TEST(serve_secondary, on_several_engines)
{
    check_processes(3);
}

static bool show(struct test_program *heir, const struct test_socket *socket)
{
    struct pel_ipc_request request = {.version = PEL_IPC_VERSION, .op = PEL_IPC_WHO};
    int fds[PEL_IPC_FDS_MAX];
    size_t num_fds = 0;
    if (pel_ipc_send(heir->fd, &request, sizeof request, &socket->channel, 1, 0) != 0 ||
        pel_ipc_receive(heir->fd, &heir->reply, sizeof heir->reply, fds, PEL_IPC_FDS_MAX, &num_fds, 0) <= 0)
        return false;
    for (size_t i = 0; i < num_fds; i++)
        close(fds[i]);
    return heir->reply.error == 0;
}

/* As inetd's child: it has the control connection and then executes the server, which attaches anew. */
PEL_TEST(serve_secondary, a_process_that_executes_another_program_stays_itself)
{
    struct net net;
    struct both control, data;
    struct test_program heir;
    PEL_REQUIRE(net_open(&net, 1));
    expect_mapped(0, 0);
    PEL_REQUIRE(link_up(&net.client, 42, &net.control_listener, 50, &control));
    PEL_REQUIRE(test_program_attach(&heir, path));
    PEL_REQUIRE(link_up(&heir, 42, &net.data_listener, 51, &data));
    hang_up(&data);
    expect_mapped(0, 2);
    PEL_REQUIRE(show(&heir, &control.client));
    PEL_REQUIRE(show(&heir, &control.client)); /* once is enough */
    PEL_REQUIRE(link_up(&heir, 42, &net.data_listener, 50, &data));
    PEL_EXPECT(passes(&data));
    hang_up(&data);
    expect_mapped(2, 0);
    PEL_REQUIRE(link_up(&heir, 43, &net.data_listener, 51, &data));
    hang_up(&data);
    expect_mapped(0, 2);
    hang_up(&control);
    test_program_detach(&heir);
    net_close(&net);
}
