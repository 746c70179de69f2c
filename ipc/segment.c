/* SPDX-License-Identifier: Apache-2.0 */
#include "ipc/segment.h"

#define PAGE_LEN 4096u

static uint64_t whole_pages(uint64_t len)
{
    return (len + PAGE_LEN - 1) / PAGE_LEN * PAGE_LEN;
}

void pel_segment_lay_out(struct pel_segment_header *header)
{
    header->magic = PEL_SEGMENT_MAGIC;
    header->version = PEL_SEGMENT_VERSION;
    header->socket_len = PEL_SLOT_RINGS_AT + 2 * header->ring_len;
    header->doorbells_at = PAGE_LEN;
    header->wakers_at = header->doorbells_at + whole_pages(header->num_engines * sizeof(struct pel_doorbell));
    header->sockets_at = header->wakers_at + whole_pages(header->num_wakers * sizeof(struct pel_waker));
    header->len = header->sockets_at + (uint64_t)header->num_sockets * header->socket_len;
}
