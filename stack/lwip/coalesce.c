/* SPDX-License-Identifier: Apache-2.0 */
#include "stack/lwip/coalesce.h"

#include <string.h>

#include "base/bytes.h"
#include "lwip/pbuf.h"

#define MAX_FRAME_LEN 65535u /* lwIP's lengths */

enum { ETH_LEN = 14, FLAG_PSH = 8, FLAG_ACK = 16 };

/* Of the TCP header. */
enum { AT_SEQ = 4, AT_ACK = 8, AT_FLAGS = 13, AT_WINDOW = 14, AT_OPTIONS = 20 };

static uint8_t *frame_of(const struct pbuf *p)
{
    return (uint8_t *)p->payload;
}

static uint32_t get32(const uint8_t *at)
{
    struct pel_reader r = pel_reader_of(at, 4);
    return pel_read_u32(&r);
}

static bool is_plain(const uint8_t *tcp, const struct pel_frame_info *info)
{
    return info->is_tcp && info->data_len > 0 && (tcp[AT_FLAGS] & ~FLAG_PSH) == FLAG_ACK;
}

bool pel_coalesce_begin(struct pel_coalescer *c, struct pbuf *p, const struct pel_frame_info *info)
{
    const uint8_t *tcp = frame_of(p) + info->tcp_at;
    if (!info->is_tcp || !is_plain(tcp, info))
        return false;
    pbuf_realloc(p, (u16_t)(info->data_at + info->data_len)); /* what Ethernet padded */
    *c = (struct pel_coalescer){.head = p,
                                .tail = p,
                                .tcp_at = info->tcp_at,
                                .data_at = info->data_at,
                                .next_seq = get32(tcp + AT_SEQ) + info->data_len};
    while (c->tail->next != NULL)
        c->tail = c->tail->next;
    return true;
}

/* The same addresses, ports, type of service and options. */
static bool same_flow(const struct pel_coalescer *c, const uint8_t *a, const uint8_t *b)
{
    const uint8_t *ip_a = a + ETH_LEN, *ip_b = b + ETH_LEN;
    bool is_ip4 = c->tcp_at == ETH_LEN + 20;
    size_t addrs_at = is_ip4 ? 12 : 8, addrs_len = is_ip4 ? 8 : 32;
    if (memcmp(ip_a, ip_b, 2) != 0 || memcmp(ip_a + addrs_at, ip_b + addrs_at, addrs_len) != 0)
        return false;
    return memcmp(a + c->tcp_at, b + c->tcp_at, 4) == 0 &&
           memcmp(a + c->tcp_at + AT_OPTIONS, b + c->tcp_at + AT_OPTIONS,
                  (size_t)(c->data_at - c->tcp_at - AT_OPTIONS)) == 0;
}

/* The headers speak for the whole: its length, and the latest acknowledgement and window. */
static void join_headers(struct pel_coalescer *c, const uint8_t *tcp, uint32_t data_len)
{
    uint8_t *frame = frame_of(c->head), *mine = frame + c->tcp_at;
    uint8_t *len_at = frame + ETH_LEN + (c->tcp_at == ETH_LEN + 20 ? 2 : 4);
    uint32_t len = ((uint32_t)len_at[0] << 8 | len_at[1]) + data_len;
    len_at[0] = (uint8_t)(len >> 8);
    len_at[1] = (uint8_t)len;
    memcpy(mine + AT_ACK, tcp + AT_ACK, 4);
    memcpy(mine + AT_WINDOW, tcp + AT_WINDOW, 2);
    mine[AT_FLAGS] = (uint8_t)(mine[AT_FLAGS] | (tcp[AT_FLAGS] & FLAG_PSH));
}

static bool continues(const struct pel_coalescer *c, const struct pbuf *p, const struct pel_frame_info *info)
{
    const uint8_t *frame = frame_of(p), *tcp = frame + info->tcp_at;
    if (c->head == NULL || !info->is_tcp || info->tcp_at != c->tcp_at || info->data_at != c->data_at)
        return false;
    if (!is_plain(tcp, info) || get32(tcp + AT_SEQ) != c->next_seq)
        return false;
    /* An acknowledgement that goes back is old news, and lwIP's to judge. */
    int32_t acked = (int32_t)(get32(tcp + AT_ACK) - get32(frame_of(c->head) + c->tcp_at + AT_ACK));
    return acked >= 0 && c->head->tot_len + info->data_len <= MAX_FRAME_LEN &&
           same_flow(c, frame_of(c->head), frame);
}

bool pel_coalesce_add(struct pel_coalescer *c, struct pbuf *p, const struct pel_frame_info *info)
{
    if (!continues(c, p, info))
        return false;
    join_headers(c, frame_of(p) + info->tcp_at, info->data_len);
    pbuf_remove_header(p, info->data_at);
    pbuf_realloc(p, (u16_t)info->data_len);
    c->next_seq += info->data_len;
    /* Only the head's total is kept, until the end: pbuf_cat would walk from the head each time. */
    c->head->tot_len = (u16_t)(c->head->tot_len + p->tot_len);
    c->tail->next = p;
    while (c->tail->next != NULL)
        c->tail = c->tail->next;
    return true;
}

struct pbuf *pel_coalesce_take(struct pel_coalescer *c)
{
    struct pbuf *head = c->head;
    uint32_t left_len = head != NULL ? head->tot_len : 0;
    for (struct pbuf *p = head; p != NULL; p = p->next) {
        p->tot_len = (u16_t)left_len;
        left_len -= p->len;
    }
    c->head = c->tail = NULL;
    return head;
}
