/* SPDX-License-Identifier: Apache-2.0 */
#include "stack/lwip/hand.h"

#include <string.h>

bool hand_open(struct lab *lab)
{
    struct pel_sim_wire_config wire = {.seed = 1, .latency_us = 50, .exact_buffers = true};
    memset(lab, 0, sizeof(*lab));
    lab->time.now_us = 1000000;
    struct pel_clock clock = pel_clock_virtual(&lab->time);
    return pel_sim_wire_open(&wire, &clock, &lab->a.port, &lab->b.port) == PEL_OK &&
           lab_open_host(lab, &lab->a, 1, NULL);
}

void hand_give(struct lab *lab, const struct frame *f)
{
    if (pel_sim_inject(lab->a.port, f->bytes, f->len) != PEL_OK)
        pel_test_fail(__FILE__, __LINE__, "a frame cannot be injected");
    lab_run(lab, 1000);
}

bool hand_see(void *arg, const uint8_t *bytes, size_t len)
{
    struct hand_seen *seen = (struct hand_seen *)arg;
    struct frame *f = &seen->frames[seen->num % HAND_CAP];
    f->len = len < FRAME_CAP ? len : FRAME_CAP;
    memcpy(f->bytes, bytes, f->len);
    seen->num++;
    return true;
}

static uint32_t get32(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

uint32_t hand_seq(const struct frame *f)
{
    return get32(f->bytes + FRAME_L4 + 4);
}

uint32_t hand_connect(struct lab *lab, struct hand_seen *seen)
{
    struct frame f;
    frame_arp(&f, lab->a.port->mac, 1);
    hand_give(lab, &f);
    seen->num = 0;
    pel_sim_tap(lab->a.port, hand_see, seen);
    frame_tcp4(&f, lab->a.port->mac, &(struct segment){.seq = 1000, .flags = SEG_SYN, .window = 60000});
    hand_give(lab, &f);
    uint32_t ack = hand_seq(&seen->frames[0]) + 1;
    if (seen->num != 1 || seen->frames[0].bytes[FRAME_L4 + 13] != (SEG_SYN | SEG_ACK))
        pel_test_fail(__FILE__, __LINE__, "no answer to the SYN");
    frame_tcp4(&f, lab->a.port->mac,
               &(struct segment){.seq = 1001, .ack = ack, .flags = SEG_ACK, .window = 60000});
    hand_give(lab, &f);
    return ack;
}

void hand_acknowledge(struct lab *lab, uint32_t ack, uint16_t window)
{
    struct frame f;
    frame_tcp4(&f, lab->a.port->mac,
               &(struct segment){.seq = 1001, .ack = ack, .flags = SEG_ACK, .window = window});
    hand_give(lab, &f);
}

uint32_t hand_read_stream(const struct hand_seen *seen, uint32_t first, uint8_t *stream, size_t stream_len)
{
    uint32_t end = 0;
    for (size_t i = 0; i < seen->num; i++) {
        const uint8_t *bytes = seen->frames[i].bytes;
        uint32_t at = hand_seq(&seen->frames[i]) - first;
        uint32_t len = (uint32_t)(bytes[FRAME_IP + 2] << 8 | bytes[FRAME_IP + 3]) - 40;
        if (at >= stream_len || len > stream_len - at)
            continue; /* the SYN, before it */
        memcpy(stream + at, bytes + FRAME_L4 + 20, len);
        end = at + len > end ? at + len : end;
    }
    return end;
}
