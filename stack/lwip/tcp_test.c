/* SPDX-License-Identifier: Apache-2.0 */
/* TCP between two instances: data, ends of connections, limits. */
#include "stack/lwip/lab.h"

#include <stdlib.h>

#define SECOND 1000000ull

struct exchange {
    struct lab lab;
    struct lab_listener listener;
    struct lab_conn client, server;
};

static bool both_done(void *arg)
{
    struct exchange *x = (struct exchange *)arg;
    return (x->client.received_len == x->server.to_send_len && x->server.received_len == x->client.to_send_len &&
            x->listener.num == 1) || x->client.num_errors + x->server.num_errors > 0;
}

/* Both sides send `len` bytes and compare what comes. */
static void exchange(const char *to, const struct pel_sim_wire_config *wire, size_t len,
                     void (*change)(struct pel_ipstack_config *config))
{
    struct exchange x;
    PEL_REQUIRE(lab_open(&x.lab, wire, change));
    lab_conn_init(&x.client, len, 1, 2);
    lab_conn_init(&x.server, len, 2, 1);
    PEL_REQUIRE(lab_listen(&x.lab.b, ":80", &x.listener, &x.server, 1));
    PEL_REQUIRE_OK(lab_connect(&x.lab.a, to, &x.client));
    PEL_EXPECT(lab_run_until(&x.lab, 600 * SECOND, both_done, &x));
    PEL_EXPECT_EQ(x.client.received_len, len);
    PEL_EXPECT_EQ(x.server.received_len, len);
    PEL_EXPECT_EQ(x.client.wrong_at, SIZE_MAX);
    PEL_EXPECT_EQ(x.server.wrong_at, SIZE_MAX);
    PEL_EXPECT_EQ(x.client.num_errors + x.server.num_errors, 0);
    pel_tcp_close(x.client.tcp);
    pel_tcp_close(x.server.tcp);
    lab_close(&x.lab);
}

PEL_TEST(lwip_tcp, both_ways_v4)
{
    exchange("10.0.0.2:80", NULL, 1000000, NULL);
}

PEL_TEST(lwip_tcp, both_ways_v6)
{
    exchange("[fd00::2]:80", NULL, 1000000, NULL);
}
