/* SPDX-License-Identifier: Apache-2.0 */
/* Several queues: how a device that can be told spreads flows, and devices that have fewer than asked for. */
#include <rte_ethdev.h>
#include <stdio.h>

#include "drivers/dpdk/dpdk.h"
#include "drivers/dpdk/test_child.h"
#include "drivers/steer.h"

/* What the device itself says of key and table, against what the port promises. DPDK's null device has both,
 * though it spreads nothing. */
static const char *check_promise(const struct pel_port *port, char ret_text[TEST_TEXT_LEN])
{
    uint8_t key[64];
    struct rte_eth_rss_conf conf = {.rss_key = key, .rss_key_len = PEL_RSS_KEY_LEN};
    struct rte_eth_rss_reta_entry64 table[PEL_RSS_RETA_MAX / RTE_ETH_RETA_GROUP_SIZE] = {0};
    uint32_t num[3] = {0};
    uint16_t id;
    CHECK(port->rss != NULL && (port->offloads & PEL_OFFLOAD_RSS) != 0);
    CHECK(rte_eth_dev_get_port_by_name(port->name, &id) == 0);
    CHECK(rte_eth_dev_rss_hash_conf_get(id, &conf) == 0);
    CHECK(memcmp(key, port->rss->key, PEL_RSS_KEY_LEN) == 0);
    for (size_t i = 0; i < RTE_DIM(table); i++)
        table[i].mask = UINT64_MAX;
    CHECK(rte_eth_dev_rss_reta_query(id, table, (uint16_t)port->rss->reta_len) == 0);
    for (uint32_t i = 0; i < port->rss->reta_len; i++) {
        uint16_t queue = table[i / RTE_ETH_RETA_GROUP_SIZE].reta[i % RTE_ETH_RETA_GROUP_SIZE];
        CHECK(queue == port->rss->reta[i] && queue < 3);
        num[queue]++;
    }
    CHECK(num[0] > 0 && num[0] - num[1] <= 1 && num[1] - num[2] <= 1);
    return NULL;
}

static const char *known_spread(char ret_text[TEST_TEXT_LEN])
{
    struct pel_dpdk_port_config config = {
        .device = "net_null0", .num_queues = 3, .offloads = PEL_OFFLOAD_RSS};
    struct pel_error error = {0};
    struct pel_port *port = NULL, *steered = NULL;
    CHECK_NULL(test_dpdk_start(ret_text));
    CHECK_OK(pel_dpdk_port_open(&config, &port, &error));
    CHECK(port->num_queues == 3);
    CHECK_NULL(check_promise(port, ret_text));
    CHECK_OK(pel_steer_open(port, 3, NULL, &steered));
    CHECK(memcmp(steered->rss, port->rss, sizeof *port->rss) == 0);
    pel_port_close(steered);
    /* Without a wish for it, or with one queue, nothing is promised. */
    config.device = "net_null1";
    config.offloads = 0;
    CHECK_OK(pel_dpdk_port_open(&config, &port, &error));
    CHECK(port->rss == NULL && (port->offloads & PEL_OFFLOAD_RSS) == 0);
    pel_port_close(port);
    pel_dpdk_stop();
    return NULL;
}

PEL_TEST(dpdk_queues, what_a_port_says_of_its_spread_is_what_the_device_has)
{
    IN_CHILD(known_spread);
}

static const char *fewer(char ret_text[TEST_TEXT_LEN])
{
    struct pel_dpdk_port_config config = {.num_queues = 4, .offloads = PEL_OFFLOAD_RSS};
    struct pel_error error = {0};
    struct pel_port *port = NULL;
    CHECK_NULL(test_dpdk_start(ret_text));
    CHECK(test_run("ip link add veth0 type veth peer name veth1") == 0);
    /* af_packet is asked for as many as are wanted, unless the device string says otherwise. */
    config.device = "net_af_packet0,iface=veth1";
    CHECK_OK(pel_dpdk_port_open(&config, &port, &error));
    CHECK(port->num_queues == 4 && port->rss == NULL && port->any_thread_alloc);
    pel_port_close(port);
    config.device = "net_af_packet1,iface=veth1,qpairs=2";
    CHECK(pel_dpdk_port_open(&config, &port, &error) == PEL_E_PORT_OPEN);
    CHECK(strstr(error.text, "has 2 receive and 2 transmit queues, not 4") != NULL);
    config.fewer_queues = true;
    CHECK_OK(pel_dpdk_port_open(&config, &port, &error));
    CHECK(port->num_queues == 2);
    pel_port_close(port);
    pel_dpdk_stop();
    return NULL;
}

PEL_TEST(dpdk_queues, a_device_may_have_fewer)
{
    IN_CHILD(fewer);
}
