/* SPDX-License-Identifier: Apache-2.0 */
#include "drivers/dpdk/responder.h"

#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/clock.h"

#define PING_TIMEOUT_US 20000000u
#define IPV4_LEN        20u

static void swap(uint8_t *a, uint8_t *b, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        uint8_t c = a[i];
        a[i] = b[i];
        b[i] = c;
    }
}

static bool answer_arp(struct responder *r, struct pel_pkt *pkt)
{
    static const uint8_t request[] = {0x08, 0x06, 0, 1, 8, 0, 6, 4, 0, 1};
    uint8_t *f = pkt->data;
    if (pkt->len < 42 || memcmp(f + 12, request, sizeof request) != 0 || memcmp(f + 38, r->ip, 4) != 0)
        return false;
    r->num_arp++;
    memcpy(f, f + 6, 6);
    memcpy(f + 6, r->port->mac, 6);
    f[21] = 2;
    memcpy(f + 32, f + 22, 10); /* the asker becomes the target */
    memcpy(f + 22, r->port->mac, 6);
    memcpy(f + 28, r->ip, 4);
    return true;
}

/* An echo reply is its request with the addresses swapped and the type 8 made 0: the checksum grows by
 * 0x0800. */
static bool answer_echo(struct responder *r, struct pel_pkt *pkt)
{
    uint8_t *f = pkt->data;
    if (pkt->len < 42 || f[12] != 8 || f[13] != 0 || f[14] != 0x45 || f[23] != 1 || f[34] != 8)
        return false;
    if (memcmp(f, r->port->mac, 6) != 0 || memcmp(f + 30, r->ip, 4) != 0)
        return false;
    r->num_echo++;
    swap(f, f + 6, 6);
    swap(f + 26, f + 30, 4);
    f[34] = 0;
    uint32_t sum = (uint32_t)(f[36] << 8 | f[37]) + 0x0800;
    sum = (sum & 0xffff) + (sum >> 16);
    f[36] = (uint8_t)(sum >> 8);
    f[37] = (uint8_t)sum;
    return true;
}

uint32_t responder_poll(struct responder *r)
{
    struct pel_pkt *pkts[32];
    uint32_t num = pel_port_rx(r->port, 0, pkts, 32);
    for (uint32_t i = 0; i < num; i++) {
        if (pkts[i]->len > r->longest_len)
            r->longest_len = pkts[i]->len;
        bool answered = answer_arp(r, pkts[i]) || answer_echo(r, pkts[i]);
        r->num_other += !answered;
        if (!answered || pel_port_tx(r->port, 0, &pkts[i], 1) == 0)
            pel_pkt_free(pkts[i]);
    }
    return num;
}

static uint16_t internet_checksum(const uint8_t *bytes, size_t len)
{
    uint32_t sum = 0;
    for (size_t i = 0; i < len; i++)
        sum += i % 2 == 0 ? (uint32_t)bytes[i] << 8 : bytes[i];
    while (sum >> 16 != 0)
        sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)~sum;
}

/* An echo request of 8 bytes of header and `payload_len` of payload. */
static void build_echo(uint8_t *bytes, uint32_t payload_len)
{
    struct pel_writer w = pel_writer_of(bytes, 8 + payload_len);
    pel_write_bytes(&w, "\x08\x00\x00\x00\x50\x45\x00\x01", 8);
    for (uint32_t i = 0; i < payload_len; i++)
        pel_write_uint(&w, i * 31 & 0xff, 1);
    w = pel_writer_of(bytes + 2, 2);
    pel_write_uint(&w, internet_checksum(bytes, 8 + payload_len), 2);
}

static bool is_reply(const uint8_t *packet, ssize_t len, const uint8_t *request, uint32_t payload_len)
{
    if (len != (ssize_t)(IPV4_LEN + 8 + payload_len) || packet[IPV4_LEN] != 0)
        return false;
    return internet_checksum(packet + IPV4_LEN, 8 + payload_len) == 0 &&
           memcmp(packet + IPV4_LEN + 4, request + 4, 4 + payload_len) == 0;
}

static bool exchange(struct responder *r, int fd, const uint8_t *request, uint32_t payload_len)
{
    static uint8_t packet[65536];
    struct pel_clock clock = pel_clock_real();
    struct sockaddr_in to = {.sin_family = AF_INET};
    memcpy(&to.sin_addr, r->ip, 4);
    if (sendto(fd, request, 8 + payload_len, 0, (struct sockaddr *)&to, sizeof to) < 0)
        return false;
    uint64_t until_us = pel_clock_now_us(&clock) + PING_TIMEOUT_US;
    while (pel_clock_now_us(&clock) < until_us) {
        responder_poll(r);
        ssize_t len = recv(fd, packet, sizeof packet, MSG_DONTWAIT);
        if (len > 0 && is_reply(packet, len, request, payload_len))
            return true;
        usleep(100);
    }
    return false;
}

bool responder_ping(struct responder *r, uint32_t payload_len)
{
    int never_fragment = IP_PMTUDISC_DO;
    int fd = socket(AF_INET, SOCK_RAW, IPPROTO_ICMP);
    uint8_t *request = malloc(8 + payload_len);
    bool ok = false;
    if (fd >= 0 && request != NULL) {
        setsockopt(fd, IPPROTO_IP, IP_MTU_DISCOVER, &never_fragment, sizeof never_fragment);
        build_echo(request, payload_len);
        ok = exchange(r, fd, request, payload_len);
    }
    free(request);
    if (fd >= 0)
        close(fd);
    return ok;
}
