/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Receive side scaling: which queue a frame belongs to. A flow's addresses and ports are hashed as NICs do
 * (Toeplitz, in the Windows Driver Kit's "RSS hashing functions"), and the hash's low bits choose an entry of
 * the indirection table. Whoever knows key and table can say beforehand where a flow's frames will arrive,
 * and choose a local port so that they arrive where they are wanted.
 *
 * What is no flow is told apart here, too: what every queue's owner must see (answers to address resolution),
 * and what exactly one must see.
 *
 * Frames are read within their length and never trusted. A pure module: no state, any thread.
 */
#ifndef PEL_DRIVERS_RSS_H
#define PEL_DRIVERS_RSS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"

#define PEL_RSS_KEY_LEN   40 /* 36 bytes of IPv6 addresses and ports, and the 32 bits behind them */
#define PEL_RSS_TUPLE_MAX 36
#define PEL_RSS_RETA_MAX  512 /* entries of an indirection table */

/* Kinds of packets that a port spreads by the hash of addresses and ports. */
enum pel_rss_types { PEL_RSS_TCP4 = 1, PEL_RSS_UDP4 = 2, PEL_RSS_TCP6 = 4, PEL_RSS_UDP6 = 8 };

struct pel_rss {
    uint8_t key[PEL_RSS_KEY_LEN];
    uint16_t reta[PEL_RSS_RETA_MAX];
    uint32_t reta_len; /* a power of two */
    uint32_t types;    /* enum pel_rss_types: what the port itself is known to spread so */
    uint32_t steps[2 * PEL_RSS_TUPLE_MAX][16]; /* what half a byte at a place adds to the hash */
};

/* A key under which both directions of a flow have one hash (Woo and Park, "Scalable TCP session monitoring
 * with symmetric receive-side scaling", 2012). */
extern const uint8_t pel_rss_symmetric_key[PEL_RSS_KEY_LEN];

/* pel_rss_init makes a spread of `reta_len` (a power of two up to PEL_RSS_RETA_MAX) entries over `num_queues`
 * (1 to reta_len), which come in turn. `types` is empty. */
void pel_rss_init(struct pel_rss *rss, const uint8_t key[PEL_RSS_KEY_LEN], uint32_t num_queues,
                  uint32_t reta_len);

/* pel_rss_hash returns the hash of `len` bytes, 0 to PEL_RSS_TUPLE_MAX. */
uint32_t pel_rss_hash(const struct pel_rss *rss, const uint8_t *bytes, size_t len);

/* pel_rss_flow_queue returns the queue at which TCP or UDP from `remote` to `local`, of one IP version,
 * arrives. */
uint16_t pel_rss_flow_queue(const struct pel_rss *rss, const struct pel_endpoint *remote,
                            const struct pel_endpoint *local);

/* Whose business a frame is. */
enum pel_rss_kind {
    PEL_RSS_FLOW,     /* of the flow's queue: TCP, UDP, and ICMP errors about them */
    PEL_RSS_HOST,     /* of the queue of its two addresses: other IP, fragments, echo requests */
    PEL_RSS_EVERYONE, /* every queue's: answers of ARP and neighbour discovery, redirects, announcements */
    PEL_RSS_FIRST,    /* queue 0's: questions of ARP and neighbour discovery, routers' and group messages */
    PEL_RSS_BROKEN,   /* anyone's, who will say what is wrong with it */
};

struct pel_rss_frame {
    enum pel_rss_kind kind;
    uint32_t type;     /* enum pel_rss_types, when a port that spreads this type puts it into its queue */
    uint8_t tuple_len; /* 0 for the last three kinds */
    uint8_t tuple[PEL_RSS_TUPLE_MAX]; /* remote address, local address and perhaps ports: what is hashed */
};

/* pel_rss_parse looks at an Ethernet frame. */
void pel_rss_parse(const uint8_t *bytes, size_t len, struct pel_rss_frame *ret_frame);

/* pel_rss_frame_queue returns the queue of a parsed frame with a tuple. */
static inline uint16_t pel_rss_frame_queue(const struct pel_rss *rss, const struct pel_rss_frame *frame)
{
    return rss->reta[pel_rss_hash(rss, frame->tuple, frame->tuple_len) & (rss->reta_len - 1)];
}

#endif
