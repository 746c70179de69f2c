/* SPDX-License-Identifier: Apache-2.0 */
/*
 * RSS whose key and table are ours, so that the stack can say where a flow will arrive. A device that
 * cannot be told, or does not say the same when it is asked, spreads as it pleases; the stack then sorts
 * frames itself.
 */
#include <rte_ethdev.h>

#include "base/clock.h"
#include "drivers/dpdk/internal.h"

static const struct {
    uint64_t function;
    uint32_t type;
} rows[] = {
    {RTE_ETH_RSS_NONFRAG_IPV4_TCP, PEL_RSS_TCP4},
    {RTE_ETH_RSS_NONFRAG_IPV4_UDP, PEL_RSS_UDP4},
    {RTE_ETH_RSS_NONFRAG_IPV6_TCP, PEL_RSS_TCP6},
    {RTE_ETH_RSS_NONFRAG_IPV6_UDP, PEL_RSS_UDP6},
};

static uint64_t functions_of(const struct rte_eth_dev_info *info)
{
    uint64_t functions = 0;
    for (size_t i = 0; i < RTE_DIM(rows); i++)
        functions |= rows[i].function & info->flow_type_rss_offloads;
    return functions;
}

void dpdk_rss_ask(struct dpdk_port *dpdk, const struct rte_eth_dev_info *info, struct rte_eth_conf *conf)
{
    bool has_table = info->reta_size > 0 && info->reta_size <= PEL_RSS_RETA_MAX &&
                     (info->reta_size & (info->reta_size - 1)) == 0;
    bool has_key = info->hash_key_size >= PEL_RSS_KEY_LEN && info->hash_key_size <= DPDK_MAX_RSS_KEY_LEN;
    /* Some drivers do not say how long their keys are: they keep theirs, which is read back. */
    if (!has_table || (!has_key && info->hash_key_size != 0) || functions_of(info) == 0)
        return;
    pel_random_bytes(dpdk->rss_key, sizeof dpdk->rss_key);
    conf->rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
    conf->rx_adv_conf.rss_conf = (struct rte_eth_rss_conf){.rss_key = has_key ? dpdk->rss_key : NULL,
                                                           .rss_key_len = info->hash_key_size,
                                                           .rss_hf = functions_of(info)};
    dpdk->rss_asked = true;
}

static bool set_table(uint16_t id, uint16_t reta_len, uint16_t num_queues)
{
    struct rte_eth_rss_reta_entry64 table[PEL_RSS_RETA_MAX / RTE_ETH_RETA_GROUP_SIZE] = {0};
    for (uint16_t i = 0; i < reta_len; i++) {
        table[i / RTE_ETH_RETA_GROUP_SIZE].mask |= UINT64_C(1) << (i % RTE_ETH_RETA_GROUP_SIZE);
        table[i / RTE_ETH_RETA_GROUP_SIZE].reta[i % RTE_ETH_RETA_GROUP_SIZE] = (uint16_t)(i % num_queues);
    }
    return rte_eth_dev_rss_reta_update(id, table, reta_len) == 0;
}

static bool read_table(uint16_t id, uint16_t num_queues, struct pel_rss *rss)
{
    struct rte_eth_rss_reta_entry64 table[PEL_RSS_RETA_MAX / RTE_ETH_RETA_GROUP_SIZE] = {0};
    for (size_t i = 0; i < RTE_DIM(table); i++)
        table[i].mask = UINT64_MAX;
    if (rte_eth_dev_rss_reta_query(id, table, (uint16_t)rss->reta_len) != 0)
        return false;
    for (uint32_t i = 0; i < rss->reta_len; i++) {
        rss->reta[i] = table[i / RTE_ETH_RETA_GROUP_SIZE].reta[i % RTE_ETH_RETA_GROUP_SIZE];
        if (rss->reta[i] >= num_queues)
            return false;
    }
    return true;
}

bool dpdk_rss_take(struct dpdk_port *dpdk, const struct rte_eth_dev_info *info)
{
    uint8_t key[DPDK_MAX_RSS_KEY_LEN] = {0};
    struct rte_eth_rss_conf conf = {
        .rss_key = key, .rss_key_len = info->hash_key_size != 0 ? info->hash_key_size : PEL_RSS_KEY_LEN};
    uint16_t num_queues = dpdk->port.num_queues;
    /* With ours set, and read back, whatever the device made of it. */
    if (!set_table(dpdk->id, info->reta_size, num_queues) ||
        rte_eth_dev_rss_hash_conf_get(dpdk->id, &conf) != 0)
        return false;
    pel_rss_init(&dpdk->rss, key, num_queues, info->reta_size);
    for (size_t i = 0; i < RTE_DIM(rows); i++)
        dpdk->rss.types |= (conf.rss_hf & rows[i].function) != 0 ? rows[i].type : 0;
    if (!read_table(dpdk->id, num_queues, &dpdk->rss) || dpdk->rss.types == 0)
        return false;
    dpdk->port.rss = &dpdk->rss;
    return true;
}
