/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any frames into an instance that listens, has a connection and a UDP endpoint. Each frame lies in a heap
 * buffer of exactly its size, so that one byte read past it is seen. The input is records: flags, length (2
 * bytes), the frame. Flags let the fuzzer past what it cannot compute: checksums, the station's address,
 * the connection's sequence numbers.
 */
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "stack/lwip/frames.h"
#include "stack/lwip/lwip.h"

enum {
    FIX_SUMS = 1,
    SYNC_SEQUENCE = 2,
    FIX_ADDRESS = 4,
    TIME_50_MS = 8,
    TIME_2_S = 16,
    APP_WRITES = 32,
    APP_CLOSES = 64
};

#define RECORDS_MAX 64

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

struct host {
    struct pel_port port;
    struct pel_virtual_clock time;
    struct pel_counters counters;
    struct pel_ipstack *ip;
    struct pel_tcp *tcp;
    uint32_t seq, ack; /* what the connection expects of a segment to it */
    uint32_t num_pkts;
};

static void pkt_free(struct pel_pkt *pkt)
{
    ((struct host *)(void *)pkt->port)->num_pkts--;
    free(pkt->data);
    free(pkt);
}

static struct pel_pkt *pkt_of(struct host *host, size_t len)
{
    struct pel_pkt *pkt = calloc(1, sizeof(*pkt));
    pkt->data = malloc(len);
    pkt->room_len = (uint32_t)len;
    pkt->port = &host->port;
    host->num_pkts++;
    return pkt;
}

static struct pel_pkt *pkt_alloc(struct pel_port *port, uint16_t queue)
{
    return pkt_of((struct host *)(void *)port, 1514);
}

static uint32_t get32(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

/* Learns from what the host sends on the connection where it stands. */
static uint32_t tx(struct pel_port *port, uint16_t queue, struct pel_pkt **pkts, uint32_t num)
{
    struct host *host = (struct host *)(void *)port;
    for (uint32_t i = 0; i < num; i++) {
        const uint8_t *at = pkts[i]->data;
        if (pkts[i]->len >= FRAME_L4 + 20 && at[12] == 8 && at[13] == 0 && at[23] == 6) {
            host->ack = get32(at + FRAME_L4 + 4) + ((at[FRAME_L4 + 13] & SEG_SYN) != 0);
            host->seq = get32(at + FRAME_L4 + 8);
        }
        pkt_free(pkts[i]);
    }
    return num;
}

static uint32_t rx(struct pel_port *port, uint16_t queue, struct pel_pkt **ret_pkts, uint32_t max)
{
    return 0;
}

static const struct pel_port_ops ops = {
    .driver = "fuzz", .rx = rx, .tx = tx, .pkt_alloc = pkt_alloc, .pkt_free = pkt_free};

/* ---- the application ---- */

static void on_connected(void *arg)
{
}

static void on_receive(void *arg, struct pel_buf *buf)
{
    struct host *host = (struct host *)arg;
    size_t len = pel_buf_len(buf), sum = 0, piece_len;
    for (size_t at = 0; at < len; at += piece_len) {
        const uint8_t *piece = pel_buf_peek(buf, at, &piece_len);
        for (size_t i = 0; i < piece_len; i++)
            sum += piece[i];
    }
    pel_buf_free(buf);
    if (len + sum != 12345)
        pel_tcp_received(host->tcp, len);
}

static void on_fin(void *arg)
{
}

static void on_sent(void *arg, size_t len)
{
}

static void on_error(void *arg, enum pel_err err)
{
    ((struct host *)arg)->tcp = NULL;
}

static const struct pel_tcp_events events = {on_connected, on_receive, on_fin, on_sent, on_error};

static enum pel_err on_accept(void *arg, struct pel_tcp *tcp)
{
    struct host *host = (struct host *)arg;
    if (host->tcp != NULL)
        return PEL_E_TOO_MANY_CONNECTIONS;
    host->tcp = tcp;
    pel_tcp_set_events(tcp, &events, host);
    return PEL_OK;
}

static void on_datagram(void *arg, const struct pel_endpoint *from, struct pel_buf *buf)
{
    pel_buf_free(buf);
}

/* ---- one run ---- */

static void give(struct host *host, const uint8_t *bytes, size_t len)
{
    struct pel_pkt *pkt = pkt_of(host, len);
    memcpy(pkt->data, bytes, len);
    pkt->len = (uint32_t)len;
    pel_ip_input(host->ip, &pkt, 1);
    pel_ip_poll(host->ip);
}

static bool open_host(struct host *host)
{
    static const uint8_t mac[6] = {2, 0, 0, 0, 0, 1};
    memcpy(host->port.mac, mac, 6);
    host->port.ops = &ops;
    host->port.mtu = 1500;
    host->port.num_queues = 1;
    host->time.now_us = 1000000;
    struct pel_ipstack_config config = {.port = &host->port,
                                        .num_addrs = 2,
                                        .autoconf6 = true,
                                        .max_connections = 10,
                                        .tcp_window_len = 65536,
                                        .clock = pel_clock_virtual(&host->time),
                                        .secret_seed = 1,
                                        .counters = &host->counters};
    config.addrs[0] = (struct pel_ip_prefix){{4, {10, 0, 0, 1}}, 24};
    config.addrs[1] = (struct pel_ip_prefix){{6, {0xfd, [15] = 1}}, 64};
    struct pel_endpoint port80 = {.port = 80}, port7 = {.port = 7};
    struct pel_tcp_listener *listener = NULL;
    struct pel_udp *udp = NULL;
    return pel_ip_open(&config, &host->ip, NULL) == PEL_OK &&
           pel_tcp_listen(host->ip, &port80, 5, on_accept, host, &listener) == PEL_OK &&
           pel_udp_open(host->ip, &port7, on_datagram, host, &udp) == PEL_OK;
}

static void connect_host(struct host *host)
{
    struct frame f;
    frame_arp(&f, host->port.mac, 1);
    give(host, f.bytes, f.len);
    frame_tcp4(&f, host->port.mac, &(struct segment){.seq = 1000, .flags = SEG_SYN, .window = 60000});
    give(host, f.bytes, f.len);
    frame_tcp4(&f, host->port.mac,
               &(struct segment){.seq = 1001, .ack = host->ack, .flags = SEG_ACK, .window = 60000});
    give(host, f.bytes, f.len);
}

static void put32(uint8_t *at, uint32_t value)
{
    for (int i = 0; i < 4; i++)
        at[i] = (uint8_t)(value >> (24 - 8 * i));
}

static void act(struct host *host, uint8_t flags)
{
    size_t done = 0;
    if ((flags & APP_WRITES) != 0 && host->tcp != NULL &&
        pel_tcp_write(host->tcp, (const uint8_t *)"some bytes to send", 18, false, &done) != PEL_OK)
        done = 0;
    if ((flags & APP_CLOSES) != 0 && host->tcp != NULL) {
        pel_tcp_close(host->tcp);
        host->tcp = NULL;
    }
    if ((flags & (TIME_50_MS | TIME_2_S)) != 0)
        host->time.now_us += (flags & TIME_2_S) != 0 ? 2000000 : 50000;
    pel_ip_poll(host->ip);
}

static void one_record(struct host *host, uint8_t flags, struct frame *f)
{
    act(host, flags);
    if ((flags & FIX_ADDRESS) != 0 && f->len >= 6)
        memcpy(f->bytes, host->port.mac, 6);
    bool is_tcp4 = f->len >= FRAME_L4 + 20 && f->bytes[12] == 8 && f->bytes[23] == 6;
    if ((flags & SYNC_SEQUENCE) != 0 && is_tcp4) {
        uint8_t *tcp = f->bytes + FRAME_L4;
        put32(tcp + 4, host->seq + (uint32_t)(int8_t)tcp[7]);
        put32(tcp + 8, host->ack + (uint32_t)(int8_t)tcp[11]);
    }
    if ((flags & FIX_SUMS) != 0)
        frame_sums(f);
    if (f->len > 0)
        give(host, f->bytes, f->len);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct host *host = calloc(1, sizeof(*host));
    struct pel_reader r = pel_reader_of(bytes, len);
    if (!open_host(host))
        abort();
    connect_host(host);
    if (host->tcp == NULL)
        abort();
    for (int i = 0; i < RECORDS_MAX && r.left_len > 0; i++) {
        uint8_t flags = pel_read_u8(&r);
        size_t frame_len = pel_read_u16(&r) % 1515;
        struct frame f = {.len = frame_len < r.left_len ? frame_len : r.left_len};
        const uint8_t *frame = pel_read_bytes(&r, f.len);
        if (frame != NULL)
            memcpy(f.bytes, frame, f.len);
        one_record(host, flags, &f);
    }
    pel_ip_close(host->ip);
    if (host->num_pkts != 0)
        abort();
    free(host);
    return 0;
}
