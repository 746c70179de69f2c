/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Received bytes: a struct pel_buf is lwIP's pbuf chain by another name. lwIP's own lengths of a chain have
 * 16 bits, so the head keeps its own length and the chain's end (LWIP_PBUF_CUSTOM_DATA); only the head's
 * are valid.
 */
#include "stack/lwip/private.h"

static struct pbuf *to_pbuf(const struct pel_buf *buf)
{
    return (struct pbuf *)(uintptr_t)buf;
}

struct pel_buf *pel_buf_from_pbuf(struct pbuf *p)
{
    struct pbuf *tail = p;
    unsigned long len = p->len;
    unsigned num = 1;
    for (; tail->next != NULL; len += tail->len, num++)
        tail = tail->next;
    p->pel_tail = tail;
    p->pel_len = len;
    p->pel_num = num;
    return (struct pel_buf *)p;
}

uint32_t pel_buf_num(const struct pel_buf *buf)
{
    return buf == NULL ? 0 : to_pbuf(buf)->pel_num;
}

size_t pel_buf_len(const struct pel_buf *buf)
{
    return buf == NULL ? 0 : to_pbuf(buf)->pel_len;
}

const uint8_t *pel_buf_peek(const struct pel_buf *buf, size_t skip_len, size_t *ret_len)
{
    for (const struct pbuf *p = to_pbuf(buf); p != NULL; p = p->next) {
        if (skip_len < p->len) {
            *ret_len = p->len - skip_len;
            return (const uint8_t *)p->payload + skip_len;
        }
        skip_len -= p->len;
    }
    *ret_len = 0;
    return NULL;
}

size_t pel_buf_pieces(const struct pel_buf *buf, struct pel_piece *ret_pieces, size_t max, size_t wanted_len)
{
    size_t num = 0, len = 0;
    for (const struct pbuf *p = to_pbuf(buf); p != NULL && num < max && len < wanted_len; p = p->next) {
        if (p->len == 0)
            continue;
        ret_pieces[num++] = (struct pel_piece){p->payload, p->len};
        len += p->len;
    }
    return num;
}

/* Cuts the first packet off and gives it back; returns the rest, with the head's knowledge handed on. */
static struct pbuf *drop_first(struct pbuf *p)
{
    struct pbuf *next = p->next;
    if (next != NULL) {
        next->pel_tail = p->pel_tail;
        next->pel_len = p->pel_len - p->len;
        next->pel_num = p->pel_num - 1;
    }
    p->next = NULL;
    p->tot_len = p->len;
    pbuf_free(p);
    return next;
}

struct pel_buf *pel_buf_consume(struct pel_buf *buf, size_t len)
{
    struct pbuf *p = to_pbuf(buf);
    while (p != NULL && len >= p->len) {
        len -= p->len;
        p = drop_first(p);
    }
    if (p != NULL && len > 0) {
        p->payload = (uint8_t *)p->payload + len;
        p->len = (u16_t)(p->len - len);
        p->pel_len -= len;
    }
    return (struct pel_buf *)p;
}

struct pel_buf *pel_buf_join(struct pel_buf *head, struct pel_buf *tail)
{
    if (head == NULL || tail == NULL)
        return head == NULL ? tail : head;
    struct pbuf *first = to_pbuf(head), *second = to_pbuf(tail);
    first->pel_tail->next = second;
    first->pel_tail = second->pel_tail;
    first->pel_len += second->pel_len;
    first->pel_num += second->pel_num;
    return head;
}

void pel_buf_free(struct pel_buf *buf)
{
    for (struct pbuf *p = to_pbuf(buf); p != NULL;)
        p = drop_first(p);
}
