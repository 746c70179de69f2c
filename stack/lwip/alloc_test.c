/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every allocation of a connection's life fails once: whatever comes of it, nothing crashes, nothing leaks
 * (LeakSanitizer and the packets' count tell), and the transfer is complete or its owner has heard why not.
 * The program is linked with --wrap for malloc and calloc.
 */
#include "stack/lwip/lab.h"

#include <stdlib.h>

#include "tests/harness/failmalloc.h"

#define SECOND 1000000ull
#define LEN    30000

static bool is_over(const struct lab_conn *conn)
{
    return conn->num_errors > 0 || (conn->received_len == LEN && conn->wrong_at == SIZE_MAX);
}

static void receive_nothing(void *arg, const struct pel_endpoint *from, struct pel_buf *buf)
{
    pel_buf_free(buf);
}

/* A transfer, a UDP datagram in fragments, and the ends. The calls may fail; what they made must work or be
 * gone. */
static void use(struct lab *lab, uint64_t at, uint64_t num)
{
    struct lab_listener listener = {.listener = NULL};
    struct lab_conn client, server;
    struct pel_udp *udp = NULL;
    static const uint8_t bytes[4000];
    struct pel_endpoint any = lab_endpoint(":0"), from80 = lab_endpoint(":80"),
                        to = lab_endpoint("10.0.0.2:7");
    lab_conn_init(&client, LEN, 1, 2);
    lab_conn_init(&server, LEN, 2, 1);
    PEL_REQUIRE(lab_listen(&lab->b, ":80", &listener, &server, 1));
    failmalloc_arm_many(at, num);
    struct pel_tcp_listener *second = NULL;
    struct pel_endpoint from81 = lab_endpoint(":81");
    if (pel_tcp_listen(lab->b.ip, &from81, 5, NULL, NULL, &second) == PEL_OK)
        pel_tcp_unlisten(second);
    if (pel_udp_open(lab->a.ip, &any, receive_nothing, NULL, &udp) == PEL_OK &&
        pel_udp_send(udp, &to, bytes, sizeof(bytes)) != PEL_OK)
        pel_udp_close(udp);
    enum pel_err err = lab_connect(&lab->a, at % 2 == 0 ? "10.0.0.2:80" : "[fd00::2]:80", &client);
    for (int i = 0; i < 3000 && err == PEL_OK && !(is_over(&client) && is_over(&server)); i++) {
        lab_run(lab, SECOND / 10);
        lab_conn_pump(&client); /* what a lack of memory held up is the owner's to try again */
        lab_conn_pump(&server);
    }
    failmalloc_disarm();
    if (err == PEL_OK)
        PEL_EXPECT(is_over(&client));
    else
        PEL_EXPECT_ERR(err, PEL_E_NO_MEMORY);
    if (client.tcp != NULL)
        pel_tcp_close(client.tcp);
    if (server.tcp != NULL)
        pel_tcp_close(server.tcp);
    lab_run(lab, at % 3 == 0 ? 10 * SECOND : 0);
    PEL_EXPECT_EQ(pel_tcp_listener_endpoint(listener.listener).port, from80.port);
}

PEL_TEST(lwip_alloc, each_allocation_of_a_connection_may_fail)
{
    uint64_t total = 0;
    for (uint64_t at = 1; at <= total + 1 && !pel_test_has_failed(); at++) {
        struct lab lab;
        failmalloc_disarm();
        PEL_REQUIRE(lab_open(&lab, NULL, NULL));
        use(&lab, at, at % 5 == 0 ? 6 : 1);
        if (at == 1)
            total = failmalloc_count() > 600 ? 600 : failmalloc_count();
        lab_close(&lab);
        if (pel_test_has_failed())
            pel_test_say("allocation %d", (int)at);
    }
    PEL_EXPECT(total > 100);
}

PEL_TEST(lwip_alloc, opening_an_instance_may_fail)
{
    for (uint64_t at = 1; at < 40; at++) {
        struct lab lab;
        failmalloc_disarm();
        PEL_REQUIRE(lab_open(&lab, NULL, NULL));
        struct pel_ipstack *ip = NULL;
        struct pel_ipstack_config config = {.port = lab.a.port,
                                            .max_connections = 1,
                                            .tcp_window_len = 65536,
                                            .dhcp4 = true,
                                            .clock = pel_clock_virtual(&lab.time),
                                            .secret_seed = 3};
        failmalloc_arm(at);
        enum pel_err err = pel_ip_open(&config, &ip, NULL);
        failmalloc_disarm();
        PEL_EXPECT(err == PEL_OK || err == PEL_E_NO_MEMORY);
        PEL_EXPECT((err == PEL_OK) == (ip != NULL));
        pel_ip_close(ip);
        lab_close(&lab);
    }
}
