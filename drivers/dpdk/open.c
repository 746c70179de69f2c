/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening a port: complete the device string, make the device, make its packet pools, agree on queues, MTU
 * and offloads, give it an address, start it. What fails takes everything back.
 */
#include <errno.h>
#include <net/if.h>
#include <rte_cycles.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "drivers/dpdk/internal.h"

#define DEFAULT_MTU            1500u
#define MIN_MTU                576u
#define MAX_MTU                9216u
#define DEFAULT_NUM_PACKETS    4096u
#define DEFAULT_NUM_TX_PACKETS 512u
#define MAX_NUM_PACKETS        (1u << 22)
#define MAX_POOL_CACHE         256u
#define MEMIF_TRIES            50
#define MEMIF_WAIT_MS          100u
#define NUM_DESCRIPTORS        512u
#define DEVICE_LEN             256
#define AF_PACKET_HEADER_LEN   66u
#define AF_PACKET_FRAME_ALIGN  128u
#define AF_PACKET_BLOCK_FRAMES 32u   /* times the alignment: a page */
#define AF_PACKET_MAX_QUEUES   16u   /* of DPDK's driver */
#define MIN_RX_BUFFER_LEN      2048u /* drivers want at least this */

/* What a port is opened with. */
struct opening {
    struct pel_dpdk_port_config config; /* complete */
    char device[DEVICE_LEN];            /* what DPDK is told */
    char name[RTE_ETH_NAME_MAX_LEN];    /* what DPDK calls it */
    struct rte_eth_dev_info info;
    uint16_t num_rx_descriptors;
    uint16_t num_tx_descriptors;
    struct dpdk_port *dpdk;
    struct pel_error *reterr;
};

static const char *advice(int error, const char *name)
{
    bool is_tap = strncmp(name, "net_tap", 7) == 0;
    if (error == EPERM || error == EACCES)
        return "run as root, or with CAP_NET_ADMIN and CAP_NET_RAW; see `pel doctor`";
    if (error == EBUSY)
        return "another process has it: choose another interface";
    if (error == ECONNREFUSED)
        return "start the server's side first";
    if (error == ENOMEM)
        return "start with more memory_mb, or ask for fewer packets";
    if (is_tap)
        return "it needs /dev/net/tun (modprobe tun), CAP_NET_ADMIN and a free interface name; see `pel "
               "doctor`";
    return "check the device's name and arguments, and that what they name exists; see `pel doctor`";
}

static enum pel_err failed(struct opening *o, int error, const char *what)
{
    char said[256];
    error = error < 0 ? -error : error;
    return pel_error_set(o->reterr, PEL_E_PORT_OPEN, "port %s: cannot %s (%s); DPDK said: %s; %s",
                         o->config.device, what, error != 0 ? rte_strerror(error) : "no reason given",
                         dpdk_log_said(said, sizeof said), advice(error, o->name));
}

static uint32_t or_default(uint32_t value, uint32_t otherwise)
{
    return value != 0 ? value : otherwise;
}

static enum pel_err complete_config(struct opening *o)
{
    struct pel_dpdk_port_config *c = &o->config;
    if (c->device == NULL || c->device[0] == 0)
        return pel_error_set(o->reterr, PEL_E_ARG, "a port needs a device, for example net_tap0,iface=pel0");
    c->mtu = or_default(c->mtu, DEFAULT_MTU);
    c->num_queues = (uint16_t)or_default(c->num_queues, 1);
    c->num_packets = or_default(c->num_packets, DEFAULT_NUM_PACKETS);
    c->num_tx_packets = or_default(c->num_tx_packets, DEFAULT_NUM_TX_PACKETS);
    c->tso_max_len = or_default(c->tso_max_len, DPDK_MAX_FRAME_LEN);
    if (c->mtu < MIN_MTU || c->mtu > MAX_MTU)
        return pel_error_set(o->reterr, PEL_E_ARG, "port %s: the MTU %u is not between %u and %u", c->device,
                             c->mtu, MIN_MTU, MAX_MTU);
    if (c->num_queues > DPDK_MAX_QUEUES)
        return pel_error_set(o->reterr, PEL_E_ARG, "port %s: %u queues are more than %u", c->device,
                             c->num_queues, DPDK_MAX_QUEUES);
    if (c->num_packets > MAX_NUM_PACKETS || c->num_tx_packets > MAX_NUM_PACKETS)
        return pel_error_set(o->reterr, PEL_E_ARG, "port %s: more than %u packets", c->device,
                             MAX_NUM_PACKETS);
    if (c->tso_max_len > DPDK_MAX_FRAME_LEN || c->tso_max_len < c->mtu + RTE_ETHER_HDR_LEN)
        return pel_error_set(o->reterr, PEL_E_ARG,
                             "port %s: tso_max_len %u is not between a frame and %u bytes", c->device,
                             c->tso_max_len, DPDK_MAX_FRAME_LEN);
    return PEL_OK;
}

/* af_packet's frames are 2 KB unless it is told otherwise. A frame there needs AF_PACKET_HEADER_LEN bytes
 * more than on the wire, a multiple of 16, and the frames must fill their blocks (packet(7), TPACKET_V2). */
static void af_packet_room(char *ret_text, size_t cap, uint32_t mtu)
{
    /* Frames fill blocks without a rest, and blocks are whole pages: DPDK's driver takes frame i to lie at i
     * * framesz, while the kernel begins each block anew. */
    uint32_t frame_len =
        RTE_ALIGN_CEIL(mtu + RTE_ETHER_HDR_LEN + AF_PACKET_HEADER_LEN, AF_PACKET_FRAME_ALIGN);
    snprintf(ret_text, cap, ",blocksz=%u,framesz=%u,framecnt=%u", frame_len * AF_PACKET_BLOCK_FRAMES,
             frame_len, NUM_DESCRIPTORS);
}

static enum pel_err complete_device(struct opening *o)
{
    const char *device = o->config.device;
    bool is_af_packet = strncmp(device, "net_af_packet", 13) == 0;
    char room[64] = "", qpairs[16] = "";
    if (is_af_packet && o->config.mtu > DEFAULT_MTU && strstr(device, "framesz=") == NULL)
        af_packet_room(room, sizeof room, o->config.mtu);
    if (is_af_packet && o->config.num_queues > 1 && strstr(device, "qpairs=") == NULL)
        snprintf(qpairs, sizeof qpairs, ",qpairs=%u", RTE_MIN(o->config.num_queues, AF_PACKET_MAX_QUEUES));
    int len = snprintf(o->device, sizeof o->device, "%s%s%s", device, room, qpairs);
    if (len >= (int)sizeof o->device)
        return pel_error_set(o->reterr, PEL_E_ARG, "port %.40s...: the device string is over %u characters",
                             device, (unsigned)(sizeof o->device - sizeof room - sizeof qpairs));
    size_t name_len = strcspn(device, ",");
    if (name_len >= sizeof o->name)
        return pel_error_set(o->reterr, PEL_E_ARG, "port %s: the device's name is over %u characters", device,
                             (unsigned)sizeof o->name - 1);
    memcpy(o->name, device, name_len);
    o->name[name_len] = 0;
    return PEL_OK;
}

/* The tap driver takes an unknown key for no keys at all, and joins an interface that exists as one more
 * queue of it: both would go unnoticed. */
static enum pel_err check_tap(struct opening *o)
{
    static const char *const keys[] = {"iface", "mac", "remote", "persist"};
    char device[DEVICE_LEN], *rest = NULL;
    const char *iface = NULL;
    bool persists = false;
    if (strncmp(o->name, "net_tap", 7) != 0)
        return PEL_OK;
    snprintf(device, sizeof device, "%s", o->device);
    (void)strtok_r(device, ",", &rest);
    for (char *key; (key = strtok_r(NULL, ",", &rest)) != NULL;) {
        size_t row = 0, len = strcspn(key, "=");
        while (row < RTE_DIM(keys) && (strlen(keys[row]) != len || strncmp(key, keys[row], len) != 0))
            row++;
        if (row == RTE_DIM(keys))
            return pel_error_set(o->reterr, PEL_E_PORT_OPEN,
                                 "port %s: a tap has no argument %.*s, but iface, mac, remote "
                                 "and persist",
                                 o->config.device, (int)len, key);
        if (row == 0)
            iface = key[len] == '=' ? key + len + 1 : "";
        persists |= row == 3;
    }
    if (iface != NULL && (iface[0] == 0 || strlen(iface) >= IF_NAMESIZE))
        return pel_error_set(o->reterr, PEL_E_PORT_OPEN,
                             "port %s: an interface's name has 1 to %d characters", o->config.device,
                             IF_NAMESIZE - 1);
    if (iface != NULL && !persists && if_nametoindex(iface) != 0)
        return pel_error_set(o->reterr, PEL_E_EXISTS,
                             "port %s: the interface %s exists already: choose another name, "
                             "or remove it (ip link del %s)",
                             o->config.device, iface, iface);
    return PEL_OK;
}

static bool is_open(uint16_t id)
{
    struct rte_eth_dev_info info;
    return rte_eth_dev_info_get(id, &info) != 0 || info.nb_rx_queues != 0;
}

/* A PCI device exists since the start; a virtual one is made now. */
static enum pel_err make_device(struct opening *o)
{
    uint16_t id;
    dpdk_log_forget();
    if (rte_eth_dev_get_port_by_name(o->name, &id) == 0) {
        if (is_open(id))
            return pel_error_set(o->reterr, PEL_E_EXISTS,
                                 "port %s: %s is open already in this process: use another "
                                 "name, such as net_tap1",
                                 o->config.device, o->name);
    } else {
        PEL_TRY(check_tap(o));
        rte_errno = 0;
        int error = rte_dev_probe(o->device);
        if (error != 0)
            return failed(o, error, "make the device");
        if (rte_eth_dev_get_port_by_name(o->name, &id) != 0)
            return failed(o, ENODEV, "find the device's port");
    }
    o->dpdk->id = id;
    dpdk_log_forget();
    int error = rte_eth_dev_info_get(id, &o->info);
    return error == 0 ? PEL_OK : failed(o, error, "ask the device what it can do");
}

/* Our offload, the device's bits for it on receive or on transmit. */
static const struct {
    uint32_t offload;
    uint64_t rx, tx;
} offload_rows[] = {
    {PEL_OFFLOAD_RX_IP_CSUM, RTE_ETH_RX_OFFLOAD_IPV4_CKSUM, 0},
    {PEL_OFFLOAD_RX_L4_CSUM, RTE_ETH_RX_OFFLOAD_TCP_CKSUM | RTE_ETH_RX_OFFLOAD_UDP_CKSUM, 0},
    {PEL_OFFLOAD_TX_IP_CSUM, 0, RTE_ETH_TX_OFFLOAD_IPV4_CKSUM},
    {PEL_OFFLOAD_TX_L4_CSUM, 0, RTE_ETH_TX_OFFLOAD_TCP_CKSUM | RTE_ETH_TX_OFFLOAD_UDP_CKSUM},
    {PEL_OFFLOAD_TSO, 0, RTE_ETH_TX_OFFLOAD_TCP_TSO},
};

/* Grants the wanted offloads that the device can do wholly. TSO is useless without its checksums. */
static uint32_t choose_offloads(const struct opening *o, struct rte_eth_conf *conf)
{
    const uint32_t tso_needs = PEL_OFFLOAD_TX_L4_CSUM;
    uint32_t granted = 0;
    for (size_t i = 0; i < RTE_DIM(offload_rows); i++) {
        uint64_t rx = offload_rows[i].rx, tx = offload_rows[i].tx;
        bool wanted = (o->config.offloads & offload_rows[i].offload) != 0;
        bool has = (o->info.rx_offload_capa & rx) == rx && (o->info.tx_offload_capa & tx) == tx;
        bool useful = offload_rows[i].offload != PEL_OFFLOAD_TSO || (granted & tso_needs) == tso_needs;
        if (!wanted || !has || !useful)
            continue;
        granted |= offload_rows[i].offload;
        conf->rxmode.offloads |= rx;
        conf->txmode.offloads |= tx;
    }
    if (o->config.large_receive)
        conf->rxmode.offloads |= o->info.rx_offload_capa & RTE_ETH_RX_OFFLOAD_TCP_LRO;
    return granted;
}

static void choose_scatter(const struct opening *o, struct rte_eth_conf *conf, uint32_t *granted)
{
    bool wanted = (o->config.offloads & PEL_OFFLOAD_SCATTER) != 0;
    if (!wanted || (o->info.tx_offload_capa & RTE_ETH_TX_OFFLOAD_MULTI_SEGS) == 0)
        return;
    conf->txmode.offloads |= RTE_ETH_TX_OFFLOAD_MULTI_SEGS;
    *granted |= PEL_OFFLOAD_SCATTER;
}

static bool is_memif(const struct opening *o)
{
    return strcmp(o->info.driver_name, "net_memif") == 0;
}

/* What the device has, where that is enough. A memif peer may have fewer rings than we, and says so only when
 * it is there: one is always right. */
static void settle_queues(struct opening *o)
{
    struct pel_dpdk_port_config *c = &o->config;
    uint32_t most = RTE_MIN(o->info.max_rx_queues, o->info.max_tx_queues);
    if (is_memif(o))
        most = 1;
    if (c->fewer_queues && most > 0 && c->num_queues > most)
        c->num_queues = (uint16_t)most;
}

static enum pel_err configure(struct opening *o)
{
    settle_queues(o);
    const struct pel_dpdk_port_config *c = &o->config;
    struct rte_eth_conf conf = {.rxmode.mtu = dpdk_limits_mtu(&o->info, c->mtu) ? RTE_ETHER_MTU : c->mtu};
    uint32_t granted = choose_offloads(o, &conf);
    choose_scatter(o, &conf, &granted);
    dpdk_wait_ask(&o->info, &conf);
    if (c->num_queues > 1 && (c->offloads & PEL_OFFLOAD_RSS) != 0)
        dpdk_rss_ask(o->dpdk, &o->info, &conf);
    if (c->num_queues > o->info.max_rx_queues || c->num_queues > o->info.max_tx_queues)
        return pel_error_set(o->reterr, PEL_E_PORT_OPEN,
                             "port %s: the device has %u receive and %u transmit queues, not %u", c->device,
                             o->info.max_rx_queues, o->info.max_tx_queues, c->num_queues);
    if (conf.rxmode.offloads & RTE_ETH_RX_OFFLOAD_TCP_LRO)
        conf.rxmode.max_lro_pkt_size = RTE_MIN(o->info.max_lro_pkt_size, DPDK_MAX_FRAME_LEN);
    /* Some virtual devices (rings) know no MTU: they carry what fits. */
    if (o->info.max_mtu != 0 && o->info.max_mtu != UINT16_MAX && c->mtu > o->info.max_mtu)
        return pel_error_set(o->reterr, PEL_E_PORT_OPEN, "port %s: the device's largest MTU is %u, not %u",
                             c->device, o->info.max_mtu, c->mtu);
    int error = rte_eth_dev_configure(o->dpdk->id, c->num_queues, c->num_queues, &conf);
    if (error != 0)
        return failed(o, error, "configure the device");
    o->num_rx_descriptors = o->num_tx_descriptors = NUM_DESCRIPTORS;
    error = rte_eth_dev_adjust_nb_rx_tx_desc(o->dpdk->id, &o->num_rx_descriptors, &o->num_tx_descriptors);
    if (error != 0)
        return failed(o, error, "agree on the queues' lengths");
    struct pel_port *port = &o->dpdk->port;
    /* af_xdp's driver (22.11) leaves frames unsent when one thread receives and another sends on a queue. */
    port->any_thread_alloc = strcmp(o->info.driver_name, "net_af_xdp") != 0;
    port->num_queues = c->num_queues;
    port->mtu = c->mtu;
    port->offloads = granted;
    port->tso_max_len = (granted & PEL_OFFLOAD_TSO) != 0 ? c->tso_max_len : 0;
    return PEL_OK;
}

static struct rte_mempool *make_pool(const struct opening *o, char kind, uint32_t num, uint32_t buffer_len)
{
    char name[RTE_MEMPOOL_NAMESIZE];
    uint32_t cache = num / 8 < MAX_POOL_CACHE ? num / 8 : MAX_POOL_CACHE;
    snprintf(name, sizeof name, "pel-%u-%c", o->dpdk->id, kind);
    return rte_pktmbuf_pool_create(name, num, cache, sizeof(struct pel_pkt), (uint16_t)buffer_len,
                                   rte_eth_dev_socket_id(o->dpdk->id));
}

/* Beside what the stack may hold, the queues can hold their descriptors full, and each thread's cache some
 * more. */
static enum pel_err make_pools(struct opening *o)
{
    const struct pel_dpdk_port_config *c = &o->config;
    struct dpdk_port *dpdk = o->dpdk;
    uint32_t in_queues = (uint32_t)c->num_queues * o->num_rx_descriptors;
    uint32_t tx_in_queues = (uint32_t)c->num_queues * o->num_tx_descriptors;
    /* Some room more than a frame, for what drivers put around it (CRC, VLAN tags, af_packet's header). */
    uint32_t rx_len = RTE_MAX(c->mtu + RTE_ETHER_HDR_LEN + AF_PACKET_HEADER_LEN, MIN_RX_BUFFER_LEN);
    if (c->large_receive)
        rx_len = DPDK_MAX_FRAME_LEN;
    bool one_pool = dpdk->port.tso_max_len <= rx_len;
    uint32_t num_rx = c->num_packets + in_queues + tx_in_queues;
    dpdk->rx_pool = make_pool(o, 'r', num_rx, rx_len + RTE_PKTMBUF_HEADROOM);
    if (dpdk->rx_pool == NULL)
        return failed(o, rte_errno, "make the packet pool");
    dpdk->tx_pool = dpdk->rx_pool;
    if (one_pool)
        return PEL_OK;
    /* Where frames go in pieces, the queue holds no large packet that the stack does not hold as well. */
    uint32_t num_tx =
        c->num_tx_packets + ((dpdk->port.offloads & PEL_OFFLOAD_SCATTER) != 0 ? 0 : tx_in_queues);
    struct rte_mempool *pool = make_pool(o, 't', num_tx, dpdk->port.tso_max_len + RTE_PKTMBUF_HEADROOM);
    if (pool == NULL)
        return failed(o, rte_errno, "make the pool of large packets");
    dpdk->tx_pool = pool;
    return PEL_OK;
}

static enum pel_err make_queues(struct opening *o)
{
    int socket = rte_eth_dev_socket_id(o->dpdk->id);
    unsigned node = socket < 0 ? (unsigned)SOCKET_ID_ANY : (unsigned)socket;
    for (uint16_t i = 0; i < o->config.num_queues; i++) {
        int error =
            rte_eth_rx_queue_setup(o->dpdk->id, i, o->num_rx_descriptors, node, NULL, o->dpdk->rx_pool);
        if (error != 0)
            return failed(o, error, "make a receive queue");
        error = rte_eth_tx_queue_setup(o->dpdk->id, i, o->num_tx_descriptors, node, NULL);
        if (error != 0)
            return failed(o, error, "make a transmit queue");
    }
    return PEL_OK;
}

static bool is_zero(const uint8_t mac[6])
{
    static const uint8_t zero[6];
    return memcmp(mac, zero, 6) == 0;
}

/* The kernel's end of a tap has the address that DPDK reports; ours must differ. A device in memory may have
 * none. */
static enum pel_err choose_mac(struct opening *o, bool *ret_needs_promiscuous)
{
    struct rte_ether_addr addr;
    uint8_t *mac = o->dpdk->port.mac;
    bool is_tap = strcmp(o->info.driver_name, "net_tap") == 0;
    int error = rte_eth_macaddr_get(o->dpdk->id, &addr);
    if (error != 0)
        return failed(o, error, "read the device's address");
    memcpy(mac, addr.addr_bytes, 6);
    *ret_needs_promiscuous = false;
    if (!is_zero(o->config.mac)) {
        memcpy(mac, o->config.mac, 6);
        memcpy(addr.addr_bytes, o->config.mac, 6);
        *ret_needs_promiscuous = !is_tap && rte_eth_dev_default_mac_addr_set(o->dpdk->id, &addr) != 0;
    } else if (is_tap) {
        mac[0] = (uint8_t)((mac[0] | 2) & ~1);
        mac[5] ^= 1;
    } else if (is_zero(mac)) {
        pel_random_bytes(mac, 6);
        mac[0] = (uint8_t)((mac[0] | 2) & ~1);
    }
    return PEL_OK;
}

static bool link_comes_up(const struct opening *o, uint32_t wait_ms)
{
    struct rte_eth_link link = {0};
    for (uint32_t i = 0; i <= wait_ms; i++, rte_delay_us_sleep(1000))
        if (rte_eth_link_get_nowait(o->dpdk->id, &link) == 0 && link.link_status == RTE_ETH_LINK_UP)
            return true;
    return false;
}

static int start_device(struct opening *o)
{
    int error = dpdk_device_call(o->dpdk, rte_eth_dev_start);
    o->dpdk->started = error == 0;
    return error;
}

/* A memif client asks for its server only when it is started. When the server is not there yet, or only just
 * there and refuses still, it does not ask again by itself. */
static enum pel_err start_memif_client(struct opening *o)
{
    for (int i = 0; i < MEMIF_TRIES; i++) {
        int error = start_device(o);
        if (error == 0 && link_comes_up(o, MEMIF_WAIT_MS))
            return PEL_OK;
        if (error == 0)
            (void)dpdk_device_call(o->dpdk, rte_eth_dev_stop);
        else
            rte_delay_us_sleep(MEMIF_WAIT_MS * 1000);
        o->dpdk->started = false;
    }
    return failed(o, ECONNREFUSED, "reach the server at the other end");
}

static enum pel_err start(struct opening *o)
{
    bool needs_promiscuous;
    if (is_memif(o) && strstr(o->device, "role=server") == NULL && strstr(o->device, "role=master") == NULL) {
        PEL_TRY(start_memif_client(o));
    } else {
        int error = start_device(o);
        if (error != 0)
            return failed(o, error, "start the device");
    }
    if (o->dpdk->rss_asked && dpdk_rss_take(o->dpdk, &o->info))
        o->dpdk->port.offloads |= PEL_OFFLOAD_RSS;
    dpdk_wait_take(o->dpdk, &o->info);
    PEL_TRY(choose_mac(o, &needs_promiscuous));
    if (!o->config.promiscuous && !needs_promiscuous)
        return PEL_OK;
    int error = rte_eth_promiscuous_enable(o->dpdk->id);
    return error == 0 || error == -ENOTSUP ? PEL_OK : failed(o, error, "make the device promiscuous");
}

static enum pel_err open_device(struct opening *o)
{
    if (is_memif(o) && !dpdk_memif_add(o->dpdk))
        return failed(o, ENOMEM, "allocate its bursts");
    PEL_TRY(configure(o));
    PEL_TRY(make_pools(o));
    PEL_TRY(make_queues(o));
    int error = dpdk_set_mtu(o->dpdk->id, &o->info, o->config.mtu);
    return error == 0 ? start(o) : failed(o, error, "set the MTU");
}

enum pel_err pel_dpdk_port_open(const struct pel_dpdk_port_config *config, struct pel_port **ret_port,
                                struct pel_error *reterr)
{
    struct opening o = {.config = *config, .reterr = reterr};
    if (!dpdk_is_started())
        return pel_error_set(reterr, PEL_E_STATE, "DPDK is not started");
    PEL_TRY(complete_config(&o));
    PEL_TRY(complete_device(&o));
    o.dpdk = aligned_alloc(RTE_CACHE_LINE_SIZE, sizeof *o.dpdk);
    if (o.dpdk == NULL)
        return pel_error_set(reterr, PEL_E_NO_MEMORY, "port %s: out of memory", config->device);
    memset(o.dpdk, 0, sizeof *o.dpdk);
    o.dpdk->port.ops = &dpdk_port_ops;
    o.dpdk->max_frame_len = o.config.mtu + RTE_ETHER_HDR_LEN;
    snprintf(o.dpdk->port.name, sizeof o.dpdk->port.name, "%.31s", o.name);
    enum pel_err err = make_device(&o);
    if (err != PEL_OK) {
        free(o.dpdk);
        return err;
    }
    err = open_device(&o);
    if (err != PEL_OK) {
        dpdk_port_destroy(o.dpdk);
        return err;
    }
    *ret_port = &o.dpdk->port;
    return PEL_OK;
}
