/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ports through DPDK: taps, veth and other kernel interfaces (af_packet, af_xdp), memory between processes
 * (memif, virtio-user with vhost), rings, and real NICs. Start DPDK once, open ports by their device string,
 * close them, stop.
 *
 * DPDK is linked static with the drivers that drivers/dpdk/meson.build names, so that no plugin is loaded at
 * run time. Left out: the pcap port (libpcap brings libdbus, libsystemd and libgcrypt into the process) and
 * mlx4/mlx5 (libibverbs).
 *
 * What to know of the devices: - "net_tap0,iface=pel0" makes the kernel interface pel0 in the network
 * namespace of the process and removes it
 *   at close (",persist" keeps it). DPDK gives the port the very address of the kernel's end; the port gets a
 *   locally administered one of its own instead (the last bit differs), for two stations with one address
 *   confuse bridges and people. The kernel passes every frame up, so that this needs no promiscuous mode.
 * - "net_af_packet0,iface=veth1" shares veth1 with the kernel: give it no IP address there. A kernel on the
 * other
 *   end of a veth pair leaves checksums unfinished, which af_packet does not tell: `ethtool -K veth0 tx off`.
 *   Block and frame sizes for a large MTU are added by themselves.
 * - "net_memif0,role=server,socket=/run/x.sock", "virtio_user0,path=/run/vhost.sock",
 *   "net_vhost0,iface=/run/vhost.sock": another process's memory is the wire. virtio-user needs hugepages, or
 *   memory that is a file.
 *   A memif client waits for its server when it is opened, and must be opened anew when that went away.
 * - A PCI address ("0000:03:00.0") must also be named in pel_dpdk_config, and be bound to vfio-pci.
 *
 * Failure: every error names the device, what DPDK said and what to do.
 */
#ifndef PEL_DRIVERS_DPDK_H
#define PEL_DRIVERS_DPDK_H

#include <stdbool.h>

#include "drivers/port.h"

enum pel_dpdk_hugepages {
    PEL_DPDK_HUGEPAGES_AUTO, /* when enough are free */
    PEL_DPDK_HUGEPAGES_YES,
    PEL_DPDK_HUGEPAGES_NO,
};

/* Zero means the default in brackets. Strings are borrowed during the call. */
struct pel_dpdk_config {
    enum pel_dpdk_hugepages hugepages;
    uint32_t memory_mb;             /* for packets and rings of all ports (256) */
    const char *file_prefix;        /* keeps two processes' files apart ("pellucid-PID") */
    const char *const *pci_devices; /* PCI addresses that may be used (none: the bus is not even scanned) */
    uint32_t num_pci_devices;       /* at most 16 */
};

struct pel_dpdk_port_config {
    const char *device;   /* DPDK's device string or a PCI address */
    uint32_t mtu;         /* 576 to 9216 (1500) */
    uint16_t num_queues;  /* 1 to 64 (1) */
    bool fewer_queues;    /* where the device has fewer queues, be content with those */
    uint32_t num_packets; /* that the stack may hold at once, beside what the port's own queues hold (4096) */
    uint32_t num_tx_packets; /* with TSO: packets of tso_max_len for sending (512) */
    uint32_t offloads;       /* enum pel_offload: what is wanted; what is granted stands in the port (none) */
    uint32_t tso_max_len;    /* with TSO, the largest frame (65407) */
    bool
        large_receive; /* take frames of up to 65407 bytes whole, from a peer in memory that sends with TSO */
    bool promiscuous;
    uint8_t mac[6]; /* the port's own address (the device's, but see net_tap) */
};

/* pel_dpdk_start starts DPDK, once in the life of a process. It leaves the caller's CPU affinity as it was,
 * handles no signals and prints nothing, but for a line of DPDK's own on stderr when it cannot start.
 * PEL_E_STATE when it was started before, PEL_E_PORT_START with the reason in `reterr` (may be NULL). The
 * process's first thread, before others use DPDK. */
PEL_MUST_USE enum pel_err pel_dpdk_start(const struct pel_dpdk_config *config, struct pel_error *reterr);

/* pel_dpdk_uses_hugepages tells what the start decided; false before it. Any thread. */
bool pel_dpdk_uses_hugepages(void);

/* pel_dpdk_port_open opens and starts a port; the caller owns it and closes it with pel_port_close, which
 * also removes a virtual device. Offloads that the device cannot do are simply not in `offloads` of the port.
 * PEL_E_STATE before pel_dpdk_start, PEL_E_ARG, PEL_E_EXISTS when the device is open already,
 * PEL_E_PORT_OPEN; with the reason in `reterr` (may be NULL). One thread at a time. */
PEL_MUST_USE enum pel_err pel_dpdk_port_open(const struct pel_dpdk_port_config *config,
                                             struct pel_port **ret_port, struct pel_error *reterr);

/* Things that happened to a port beyond struct pel_port_stats. */
struct pel_dpdk_port_counts {
    uint64_t rx_linearised;   /* frames of several pieces, copied into one */
    uint64_t rx_unlinearised; /* such frames that were lost: too large for one packet, or no packet free */
    uint64_t tx_bad_offload;  /* frames whose offload flags the device refused */
};

/* pel_dpdk_port_counts reads them. Any thread. */
void pel_dpdk_port_counts(const struct pel_port *port, struct pel_dpdk_port_counts *ret_counts);

/* pel_dpdk_stop ends the use of DPDK. All ports must be closed. Its memory goes with the process, and it
 * cannot be started again. */
void pel_dpdk_stop(void);

#endif
