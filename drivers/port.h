/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A port: where frames come in and go out, in bursts. A driver (drivers/sim, drivers/dpdk) makes a struct
 * pel_port and fills its table of functions; the stack sees nothing else of a driver.
 *
 * Receive: pel_port_rx gives frames as packets that the stack owns until it calls pel_pkt_free; their bytes
 * stay where the driver put them (zero copy). Transmit: the stack takes an empty packet with
 * pel_port_pkt_alloc, writes a frame, and hands it to pel_port_tx, which owns what it accepts.
 *
 * A frame may be a chain of packets (`more`): its headers in the first, the rest anywhere. Where the port
 * takes such frames (PEL_OFFLOAD_SCATTER) a sender keeps its bytes in a large packet of its own and sends
 * pieces of it (pel_port_pkt_attach) behind fresh headers, as often as it must, without a copy.
 *
 * Failure: out of buffers is a NULL from pkt_alloc and a counter; a full transmit queue is a short count from
 * tx. Offloads are negotiated when the port is opened: `offloads` says what the driver really does, the stack
 * does the rest.
 *
 * A queue belongs to one thread. Different queues of one port may be used by different threads at once.
 */
#ifndef PEL_DRIVERS_PORT_H
#define PEL_DRIVERS_PORT_H

#include <stdint.h>

#include "base/counters.h"
#include "base/err.h"
#include "drivers/rss.h"

/* What a port does by itself. RX_*: the packet's flags tell the outcome. TX_*: asked for by the packet's
 * flags. */
enum pel_offload {
    PEL_OFFLOAD_RX_IP_CSUM = 1,
    PEL_OFFLOAD_RX_L4_CSUM = 2,
    PEL_OFFLOAD_TX_IP_CSUM = 4,
    PEL_OFFLOAD_TX_L4_CSUM = 8,
    PEL_OFFLOAD_TSO = 16,
    PEL_OFFLOAD_RSS = 32,
    PEL_OFFLOAD_SCATTER = 64, /* frames to send may be chains, and received ones may come so */
};

enum pel_pkt_flags {
    PEL_PKT_RX_IP_CSUM_GOOD = 1,
    PEL_PKT_RX_L4_CSUM_GOOD = 2,
    PEL_PKT_RX_CSUM_BAD = 4, /* the port looked and found it wrong */
    PEL_PKT_TX_IP_CSUM = 8,  /* the port shall fill in the IPv4 header checksum */
    PEL_PKT_TX_L4_CSUM = 16, /* the port shall finish the TCP or UDP checksum: the pseudo header's
                              * sum, with the length of header and payload, is in its place */
    PEL_PKT_TX_TSO = 32,     /* the port shall cut the TCP payload into pieces of tso_mss; implies both
                              * checksums, with the pseudo header's sum of the whole in place */
};

#define PEL_PKT_USER_LEN 64
#define PEL_ANY_QUEUE    UINT16_MAX

/* What rx_wait_fd says where there is no descriptor: only a look tells; whoever brings frames wakes the
 * queue's thread. */
#define PEL_RX_WAIT_LOOK  (-1)
#define PEL_RX_WAIT_WOKEN (-2)

struct pel_port;

/* One frame, or a piece of one. Owner: whoever got it last; exactly one thread. The flags and what belongs to
 * them are those of the frame's first piece. */
struct pel_pkt {
    uint8_t *data;     /* first byte of the Ethernet header, or of the piece */
    uint32_t len;      /* bytes of the piece */
    uint32_t room_len; /* bytes that may be written from `data` on */
    uint16_t flags;    /* enum pel_pkt_flags */
    uint16_t tso_mss;  /* with PEL_PKT_TX_TSO */
    uint16_t l2_len;   /* header lengths, set by the sender with any TX flag */
    uint16_t l3_len;
    uint16_t l4_len;
    uint16_t queue;        /* the queue it was allocated from or received on */
    struct pel_port *port; /* whose buffer it is */
    struct pel_pkt *more;  /* the frame's next piece; NULL: this is the last */
    struct pel_pkt *next;  /* for the owner's lists; the driver leaves it NULL */
    /* For the owner: the stack keeps its buffer header here. */
    uint8_t user[PEL_PKT_USER_LEN] __attribute__((aligned(16)));
};

struct pel_port_stats {
    uint64_t rx_packets, rx_bytes, rx_missed, rx_no_buffers;
    uint64_t tx_packets, tx_bytes, tx_errors;
    uint32_t num_pkts_in_use; /* packets out of the pool now: 0 when all are back */
};

struct pel_port_ops {
    const char *driver; /* "sim", "dpdk" */
    uint32_t (*rx)(struct pel_port *port, uint16_t queue, struct pel_pkt **ret_pkts, uint32_t max);
    uint32_t (*tx)(struct pel_port *port, uint16_t queue, struct pel_pkt **pkts, uint32_t num);
    struct pel_pkt *(*pkt_alloc)(struct pel_port *port, uint16_t queue);
    struct pel_pkt *(*pkt_alloc_large)(struct pel_port *port, uint16_t queue);
    /* Only with PEL_OFFLOAD_SCATTER. */
    struct pel_pkt *(*pkt_attach)(struct pel_pkt *of, uint16_t queue, uint8_t *data, uint32_t len);
    /* Gives a packet to who owns queue `to`, as if it had come there; takes it. The thread of `from`.
     * Only where pel_port.rss says that there are several; may be NULL. */
    void (*hand_over)(struct pel_port *port, uint16_t from, uint16_t to, struct pel_pkt *pkt);
    void (*pkt_free)(struct pel_pkt *pkt);
    void (*stats)(struct pel_port *port, struct pel_port_stats *ret_stats);
    /* The next moment at which rx may have something though no event tells (a simulated wire's next
     * delivery) for `queue`, or for any with PEL_ANY_QUEUE; in the port's clock; UINT64_MAX when unknown. May
     * be NULL. */
    uint64_t (*next_event_us)(struct pel_port *port, uint16_t queue);
    /* A descriptor that is readable (poll's POLLIN) as long as rx of `queue` has something, so that its
     * thread can sleep until then; or PEL_RX_WAIT_*. May be NULL: LOOK. The port keeps it. */
    int (*rx_wait_fd)(struct pel_port *port, uint16_t queue);
    void (*close)(struct pel_port *port);
};

struct pel_port {
    const struct pel_port_ops *ops;
    char name[32];
    uint8_t mac[6];
    uint16_t num_queues;
    bool any_thread_alloc;     /* a queue may be shared: pkt_alloc is for every thread, and one may receive
                                * while another sends */
    const struct pel_rss *rss; /* how flows are spread over the queues; NULL: not known, or one queue */
    uint32_t mtu;              /* IP packet bytes, 576 to 9216 */
    uint32_t offloads;         /* enum pel_offload, what the driver really does */
    uint32_t
        tso_max_len; /* the largest frame, headers included, with PEL_PKT_TX_TSO; 0 without the offload */
};

/* pel_port_rx receives up to `max` frames of `queue` into `ret_pkts`; the caller owns them. Returns their
 * number. The queue's thread only. */
static inline uint32_t pel_port_rx(struct pel_port *port, uint16_t queue, struct pel_pkt **ret_pkts,
                                   uint32_t max)
{
    return port->ops->rx(port, queue, ret_pkts, max);
}

/* pel_port_tx sends up to `num` frames; takes ownership of the first n, its return value; the rest stay the
 * caller's. The queue's thread only. */
static inline uint32_t pel_port_tx(struct pel_port *port, uint16_t queue, struct pel_pkt **pkts, uint32_t num)
{
    return port->ops->tx(port, queue, pkts, num);
}

/* pel_port_rx_wait_fd returns what to wait for when rx has nothing: a descriptor, or PEL_RX_WAIT_*, both of
 * which poll ignores. Any thread. */
static inline int pel_port_rx_wait_fd(struct pel_port *port, uint16_t queue)
{
    return port->ops->rx_wait_fd != NULL ? port->ops->rx_wait_fd(port, queue) : PEL_RX_WAIT_LOOK;
}

/* pel_port_pkt_alloc returns an empty packet (len 0, flags 0) with room for a frame of the port's MTU and
 * Ethernet header, or NULL when the pool is empty. The queue's thread only. */
static inline struct pel_pkt *pel_port_pkt_alloc(struct pel_port *port, uint16_t queue)
{
    return port->ops->pkt_alloc(port, queue);
}

/* pel_port_pkt_alloc_large is the same with room for tso_max_len bytes, on a port with PEL_OFFLOAD_TSO. */
static inline struct pel_pkt *pel_port_pkt_alloc_large(struct pel_port *port, uint16_t queue)
{
    return port->ops->pkt_alloc_large(port, queue);
}

/* pel_pkt_attach returns a packet that shows `len` bytes at `data`, which lie in the room of `of`, or NULL
 * when the pool is empty. The bytes stay valid until both packets are freed, in whatever order; nobody may
 * write to them meanwhile but where no piece shows. `of` is not itself one that was attached. The queue's
 * thread only. */
static inline struct pel_pkt *pel_pkt_attach(struct pel_pkt *of, uint16_t queue, uint8_t *data, uint32_t len)
{
    return of->port->ops->pkt_attach(of, queue, data, len);
}

/* pel_pkt_frame_len returns the length of the whole frame that begins with `pkt`. */
static inline uint32_t pel_pkt_frame_len(const struct pel_pkt *pkt)
{
    uint32_t len = 0;
    for (; pkt != NULL; pkt = pkt->more)
        len += pkt->len;
    return len;
}

/* pel_pkt_free gives a packet, with all that follows it in its frame, back to its port's pool. NULL is
 * harmless. Any thread that owns it. */
static inline void pel_pkt_free(struct pel_pkt *pkt)
{
    if (pkt != NULL)
        pkt->port->ops->pkt_free(pkt);
}

/* pel_port_close stops the port and frees it, and aborts in debug builds when packets are still out. Owner
 * thread; no queue may be in use. NULL is harmless. */
static inline void pel_port_close(struct pel_port *port)
{
    if (port != NULL)
        port->ops->close(port);
}

#endif
