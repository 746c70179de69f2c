/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/scenario/tamper.h"

#include <stdbool.h>
#include <string.h>

static size_t u16_at(const uint8_t *bytes)
{
    return (size_t)(bytes[0] << 8 | bytes[1]);
}

static void put_u16(uint8_t *bytes, size_t value)
{
    bytes[0] = (uint8_t)(value >> 8);
    bytes[1] = (uint8_t)value;
}

static size_t ip_header_len(const uint8_t *frame)
{
    return (size_t)(frame[TAMPER_IP] & 15) * 4;
}

uint8_t *tamper_tcp(uint8_t *frame, size_t len)
{
    if (len < TAMPER_IP + 40 || u16_at(frame + 12) != 0x0800 || frame[TAMPER_IP] >> 4 != 4 ||
        frame[TAMPER_IP + 9] != 6 || (u16_at(frame + TAMPER_IP + 6) & 0x3fff) != 0)
        return NULL;
    size_t ip_len = ip_header_len(frame), total_len = u16_at(frame + TAMPER_IP + 2);
    if (ip_len < 20 || total_len < ip_len + 20 || TAMPER_IP + total_len > len)
        return NULL;
    size_t tcp_len = (size_t)(frame[TAMPER_IP + ip_len + 12] >> 4) * 4;
    return tcp_len >= 20 && ip_len + tcp_len <= total_len ? frame + TAMPER_IP + ip_len : NULL;
}

uint8_t *tamper_payload(uint8_t *frame, size_t len, size_t *ret_len)
{
    uint8_t *tcp = tamper_tcp(frame, len);
    if (tcp == NULL)
        return NULL;
    uint8_t *payload = tcp + (size_t)(tcp[12] >> 4) * 4;
    const uint8_t *end = frame + TAMPER_IP + u16_at(frame + TAMPER_IP + 2);
    *ret_len = (size_t)(end - payload);
    return *ret_len > 0 ? payload : NULL;
}

static uint32_t add_up(const uint8_t *bytes, size_t len, uint32_t sum)
{
    for (size_t i = 0; i + 1 < len; i += 2)
        sum += (uint32_t)u16_at(bytes + i);
    return len % 2 != 0 ? sum + ((uint32_t)bytes[len - 1] << 8) : sum;
}

static size_t fold(uint32_t sum)
{
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    return ~sum & 0xffff;
}

void tamper_fix(uint8_t *frame, size_t len)
{
    uint8_t *tcp = tamper_tcp(frame, len);
    if (tcp == NULL)
        return;
    size_t tcp_len = u16_at(frame + TAMPER_IP + 2) - ip_header_len(frame);
    put_u16(tcp + 16, 0);
    uint32_t sum = add_up(frame + TAMPER_IP + 12, 8, 6 + (uint32_t)tcp_len);
    put_u16(tcp + 16, fold(add_up(tcp, tcp_len, sum)));
}

size_t tamper_cut(uint8_t *frame, size_t len, size_t payload_len)
{
    size_t had_len = 0;
    if (tamper_payload(frame, len, &had_len) == NULL || payload_len > had_len)
        return len;
    size_t total_len = u16_at(frame + TAMPER_IP + 2) - had_len + payload_len;
    put_u16(frame + TAMPER_IP + 2, total_len);
    put_u16(frame + TAMPER_IP + 10, 0);
    put_u16(frame + TAMPER_IP + 10, fold(add_up(frame + TAMPER_IP, ip_header_len(frame), 0)));
    tamper_fix(frame, TAMPER_IP + total_len);
    return TAMPER_IP + total_len;
}
