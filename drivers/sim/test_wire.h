/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For the tests of drivers/sim: a wire with a virtual clock, and numbered frames.
 */
#ifndef PEL_DRIVERS_SIM_TEST_WIRE_H
#define PEL_DRIVERS_SIM_TEST_WIRE_H

#include "base/bytes.h"
#include "drivers/sim/sim.h"
#include "tests/harness/harness.h"

struct test_wire {
    struct pel_virtual_clock time;
    struct pel_port *a, *b;
};

/* test_wire_open opens a wire on the virtual clock `w->time`, which starts at 0. */
static inline bool test_wire_open(struct test_wire *w, const struct pel_sim_wire_config *config)
{
    memset(w, 0, sizeof *w);
    struct pel_clock clock = pel_clock_virtual(&w->time);
    return pel_sim_wire_open(config, &clock, &w->a, &w->b) == PEL_OK;
}

/* test_wire_close closes both ports; by that it also checks that no packet is out. */
static inline void test_wire_close(struct test_wire *w)
{
    pel_port_close(w->a);
    pel_port_close(w->b);
}

/* test_send sends a frame of `len` bytes, the first four of them `number`, the others derived from it. */
static inline bool test_send(struct pel_port *port, uint32_t number, uint32_t len)
{
    struct pel_pkt *pkt = pel_port_pkt_alloc(port, 0);
    if (pkt == NULL)
        return false;
    memset(pkt->data, (int)(number & 0xff), len <= pkt->room_len ? len : pkt->room_len);
    struct pel_writer writer = pel_writer_of(pkt->data, pkt->room_len);
    pel_write_uint(&writer, number, 4);
    pkt->len = len;
    if (pel_port_tx(port, 0, &pkt, 1) == 1)
        return true;
    pel_pkt_free(pkt);
    return false;
}

/* test_number_of returns the frame's number. */
static inline uint32_t test_number_of(const struct pel_pkt *pkt)
{
    struct pel_reader reader = pel_reader_of(pkt->data, pkt->len);
    return pel_read_u32(&reader);
}

/* test_receive takes one frame and returns its number, or -1. */
static inline int64_t test_receive(struct pel_port *port)
{
    struct pel_pkt *pkt;
    if (pel_port_rx(port, 0, &pkt, 1) == 0)
        return -1;
    int64_t number = test_number_of(pkt);
    pel_pkt_free(pkt);
    return number;
}

#endif
