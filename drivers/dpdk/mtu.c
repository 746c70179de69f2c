/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The MTU. Devices take it from DPDK, but for two: the tap and af_packet drivers declare a largest frame of
 * 1,522 and 1,514 bytes, and DPDK refuses more, though their code carries any length. For these the kernel's
 * interface gets the MTU. af_packet then sends and receives it; the tap driver also compares each frame that
 * it sends with the MTU in DPDK's data of the device, which no public function writes past that limit, so
 * that it is found there and written.
 */
#include <errno.h>
#include <net/if.h>
#include <rte_memzone.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "drivers/dpdk/internal.h"

#define ETHDEV_DATA "rte_eth_dev_data"

static bool is_driver(const struct rte_eth_dev_info *info, const char *name)
{
    return info->driver_name != NULL && strcmp(info->driver_name, name) == 0;
}

bool dpdk_limits_mtu(const struct rte_eth_dev_info *info, uint32_t mtu)
{
    return mtu > RTE_ETHER_MTU && (is_driver(info, "net_tap") || is_driver(info, "net_af_packet"));
}

/* Sets the MTU of the kernel's interface and reads it back; 0 or an errno. */
static int set_kernel_mtu(unsigned if_index, uint32_t mtu)
{
    struct ifreq request = {0};
    int error = 0;
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || if_indextoname(if_index, request.ifr_name) == NULL) {
        error = errno;
    } else {
        request.ifr_mtu = (int)mtu;
        if (ioctl(fd, SIOCSIFMTU, &request) != 0 || ioctl(fd, SIOCGIFMTU, &request) != 0)
            error = errno;
        else if (request.ifr_mtu != (int)mtu)
            error = ERANGE;
    }
    if (fd >= 0)
        close(fd);
    return error;
}

/* Notes in `marks` where DPDK's data holds `mtu` after the device was given it; returns how many places
 * remain. */
static uint32_t narrow(uint16_t id, const struct rte_memzone *zone, uint8_t *marks, uint16_t mtu, bool first)
{
    const uint16_t *data = zone->addr;
    uint32_t num = 0;
    if (rte_eth_dev_set_mtu(id, mtu) != 0)
        return 0;
    for (size_t i = 0; i < zone->len / sizeof *data; i++) {
        marks[i] = (uint8_t)((first || marks[i]) && data[i] == mtu);
        num += marks[i];
    }
    return num;
}

/* The one place in DPDK's data that follows three changes of the MTU is the MTU. DPDK's own reading must then
 * agree. */
static int set_data_mtu(uint16_t id, uint16_t mtu)
{
    static const uint16_t trials[] = {1011, 1293, 1457};
    const struct rte_memzone *zone = rte_memzone_lookup(ETHDEV_DATA);
    uint8_t *marks = zone != NULL ? calloc(1, zone->len) : NULL;
    uint32_t num = 0;
    uint16_t now = 0;
    if (marks == NULL)
        return ENOTSUP;
    for (size_t i = 0; i < RTE_DIM(trials); i++)
        num = narrow(id, zone, marks, trials[i], i == 0);
    for (size_t i = 0; num == 1 && i < zone->len / sizeof mtu; i++)
        if (marks[i])
            ((uint16_t *)zone->addr)[i] = mtu;
    free(marks);
    return rte_eth_dev_get_mtu(id, &now) == 0 && now == mtu ? 0 : ENOTSUP;
}

int dpdk_set_mtu(uint16_t id, const struct rte_eth_dev_info *info, uint32_t mtu)
{
    uint16_t now = 0;
    if (dpdk_limits_mtu(info, mtu)) {
        int error = is_driver(info, "net_tap") ? set_data_mtu(id, (uint16_t)mtu) : 0;
        return error != 0 ? error : set_kernel_mtu(info->if_index, mtu);
    }
    int error = rte_eth_dev_set_mtu(id, (uint16_t)mtu);
    /* A device that knows no MTU (a ring) carries what fits its buffers. */
    if (error == -ENOTSUP)
        return 0;
    if (error == 0)
        error = rte_eth_dev_get_mtu(id, &now);
    return error == 0 && now != mtu ? ERANGE : -error;
}
