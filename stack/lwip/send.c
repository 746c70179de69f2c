/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The owner's bytes on their way into TCP's queues. Few are copied by tcp_write, which puts them together;
 * many are written, or sealed, by the owner itself where they will stay until they are acknowledged: in a
 * large packet of the port where it cuts segments, else in memory of exactly their size. What was written
 * waits in tcp->open until the next piece does not fit behind it, or until pel_tcp_flush.
 */
#include "stack/lwip/private.h"

#include "lwip/priv/tcp_priv.h"
#include "pel_lwip_hooks.h"

#define CHUNK_MAX 0xffffu /* lwIP's lengths */

/* Ethernet, IPv6 and TCP: what a frame has beside the segment's bytes. */
#define HEADERS_LEN (14u + 40u + 20u)

/* Below this a piece gets memory of its size: a large packet would hold 64 KB for it. */
#define LARGE_MIN_LEN 8192u

#define VIEWS_MAX 200

/* A connection may have so much unacknowledged before its congestion window tells what the path takes. */
#define QUEUE_MIN_LEN (128u * 1024u)

/* Memory of the owner's bytes: the pbuf and the bytes in one, or the pbuf of a part of another's bytes. */
struct heap_bytes {
    struct pbuf_custom custom;
    uint8_t bytes[];
};

struct view {
    struct pbuf_custom custom;
    struct pbuf *of;
};

/* ---- memory ---- */

static void free_heap(struct pbuf *p)
{
    free(p);
}

static void free_packet(struct pbuf *p)
{
    pel_pkt_free((struct pel_pkt *)(void *)((uint8_t *)p - offsetof(struct pel_pkt, user)));
}

static void free_view(struct pbuf *p)
{
    pbuf_free(((struct view *)p)->of);
    free(p);
}

static struct pbuf *custom_pbuf(struct pbuf_custom *custom, pbuf_free_custom_fn free_fn, void *bytes,
                                size_t len)
{
    memset(custom, 0, sizeof(*custom));
    custom->custom_free_function = free_fn;
    return pbuf_alloced_custom(PBUF_RAW, (u16_t)len, PBUF_REF, custom, bytes, (u16_t)len);
}

static struct pbuf *alloc_heap(size_t len)
{
    struct heap_bytes *heap = malloc(sizeof(*heap) + len);
    return heap == NULL ? NULL : custom_pbuf(&heap->custom, free_heap, heap->bytes, len);
}

static struct pbuf *alloc_packet(struct pel_ipstack *ip)
{
    struct pel_pkt *pkt = pel_port_pkt_alloc_large(ip->config.port, ip->config.queue);
    return pkt == NULL ? NULL
                       : custom_pbuf((struct pbuf_custom *)(void *)pkt->user, free_packet, pkt->data,
                                     pel_tcp_segment_max(ip));
}

struct pel_pkt *pel_tx_packet_of(struct pbuf *p)
{
    const struct pbuf_custom *custom = (struct pbuf_custom *)(void *)p;
    if ((p->flags & PBUF_FLAG_IS_CUSTOM) != 0 && custom->custom_free_function == free_view)
        custom = (struct pbuf_custom *)(void *)((struct view *)p)->of;
    if ((custom->pbuf.flags & PBUF_FLAG_IS_CUSTOM) == 0 || custom->custom_free_function != free_packet)
        return NULL;
    return (struct pel_pkt *)(void *)((uintptr_t)custom - offsetof(struct pel_pkt, user));
}

/* A part of bytes that nobody writes to any more. NULL: no memory, or there are too many parts already: lwIP
 * counts references in 8 bits. */
static struct pbuf *view_of(struct pbuf *p, size_t at, size_t len)
{
    const struct pbuf_custom *custom = (struct pbuf_custom *)(void *)p;
    struct pbuf *base = custom->custom_free_function == free_view ? ((struct view *)p)->of : p;
    struct view *view = base->ref < VIEWS_MAX ? malloc(sizeof(*view)) : NULL;
    if (view == NULL)
        return NULL;
    view->of = base;
    pbuf_ref(base);
    return custom_pbuf(&view->custom, free_view, (uint8_t *)p->payload + at, len);
}

struct pbuf *pel_lwip_pbuf_rest(struct pbuf *p, u16_t offset, u16_t len)
{
    struct pbuf *last = p;
    size_t at = offset;
    for (; at >= last->len && last->next != NULL; last = last->next)
        at -= last->len;
    struct pbuf *view = NULL;
    if ((last->flags & PBUF_FLAG_IS_CUSTOM) != 0 && last->next == NULL)
        view = view_of(last, at, len);
    if (view != NULL)
        return view;
    struct pbuf *copy = pbuf_alloc(PBUF_RAW, len, PBUF_RAM);
    if (copy != NULL)
        pbuf_copy_partial(p, copy->payload, len, offset);
    return copy;
}

/* ---- room ---- */

static bool may_send(const struct tcp_pcb *pcb)
{
    return pcb != NULL && (pcb->state == ESTABLISHED || pcb->state == CLOSE_WAIT) &&
           (pcb->flags & TF_CLOSEPEND) == 0;
}

static size_t open_len(const struct pel_tcp *tcp)
{
    return tcp->open == NULL ? 0 : tcp->open_len;
}

size_t pel_tcp_segment_max(const struct pel_ipstack *ip)
{
    uint32_t frame_max = ip->config.port->tso_max_len != 0 ? ip->config.port->tso_max_len : CHUNK_MAX;
    return (frame_max < CHUNK_MAX ? frame_max : CHUNK_MAX) - HEADERS_LEN;
}

size_t pel_tcp_mss(const struct pel_tcp *tcp)
{
    return tcp->pcb == NULL ? 0 : tcp->pcb->mss;
}

/* The send buffer grows with what the path takes: two congestion windows, one on the way and one to follow.
 */
size_t pel_tcp_send_room(const struct pel_tcp *tcp)
{
    const struct tcp_pcb *pcb = tcp->pcb;
    size_t max_len = tcp->ip->config.tcp_window_len;
    if (!may_send(pcb) || pcb->snd_queuelen >= TCP_SND_QUEUELEN - 4)
        return 0;
    size_t used_len = max_len - pcb->snd_buf + open_len(tcp), limit_len = 2 * (size_t)pcb->cwnd;
    if (limit_len < QUEUE_MIN_LEN)
        limit_len = QUEUE_MIN_LEN;
    if (limit_len > max_len)
        limit_len = max_len;
    return used_len < limit_len ? limit_len - used_len : 0;
}

size_t pel_tcp_unacked_len(const struct pel_tcp *tcp)
{
    const struct tcp_pcb *pcb = tcp->pcb;
    if (pcb == NULL || pcb->state == TIME_WAIT)
        return 0;
    return tcp->ip->config.tcp_window_len - pcb->snd_buf + open_len(tcp);
}

/* ---- prepared pieces ---- */

void pel_tcp_drop_open(struct pel_tcp *tcp)
{
    if (tcp->open != NULL)
        pbuf_free(tcp->open);
    tcp->open = NULL;
}

/* What is open becomes a segment, or the end of the last one. */
static enum pel_err close_open(struct pel_tcp *tcp, bool more)
{
    struct pbuf *p = tcp->open;
    if (p == NULL)
        return PEL_OK;
    if (tcp->open_len == 0) {
        pel_tcp_drop_open(tcp);
        return PEL_OK;
    }
    pbuf_realloc(p, (u16_t)tcp->open_len);
    bool has_header = (p->flags & PBUF_FLAG_IS_CUSTOM) == 0;
    if (tcp_enqueue_data(tcp->pcb, p, has_header, more ? TCP_WRITE_FLAG_MORE : 0) != ERR_OK) {
        tcp->open_cap = tcp->open_len; /* it waits, and nothing comes behind it */
        tcp->ip->has_stuck = true;
        return pel_count_err(tcp->ip->counters, PEL_E_NO_MEMORY);
    }
    tcp->open = NULL;
    return PEL_OK;
}

static struct pbuf *alloc_open(struct pel_tcp *tcp, size_t len)
{
    struct pel_ipstack *ip = tcp->ip;
    bool cuts = (ip->config.port->offloads & PEL_OFFLOAD_SCATTER) != 0 && ip->config.port->tso_max_len > 0;
    struct pbuf *p = NULL;
    if (len <= LARGE_MIN_LEN)
        return pbuf_alloc(PBUF_TRANSPORT, (u16_t)len, PBUF_RAM);
    if (cuts)
        p = alloc_packet(ip);
    return p != NULL ? p : alloc_heap(len);
}

static enum pel_err open_room(struct pel_tcp *tcp, size_t len)
{
    PEL_TRY(close_open(tcp, true));
    tcp->open = alloc_open(tcp, len);
    if (tcp->open == NULL)
        return pel_count_err(tcp->ip->counters, PEL_E_NO_MEMORY);
    tcp->open_len = 0;
    tcp->open_cap = tcp->open->tot_len;
    return PEL_OK;
}

enum pel_err pel_tcp_reserve(struct pel_tcp *tcp, size_t len, uint8_t **ret_room)
{
    if (!may_send(tcp->pcb))
        return PEL_E_STATE;
    if (len > pel_tcp_segment_max(tcp->ip))
        return PEL_E_ARG;
    if (len > pel_tcp_send_room(tcp))
        return PEL_E_AGAIN;
    struct pel_lwip_state *before = pel_ip_enter(tcp->ip);
    bool fits = tcp->open != NULL && tcp->open_cap - tcp->open_len >= len;
    enum pel_err err = fits ? PEL_OK : open_room(tcp, len);
    pel_ip_leave(before);
    if (err == PEL_OK)
        *ret_room = (uint8_t *)tcp->open->payload + tcp->open_len;
    return err;
}

void pel_tcp_commit(struct pel_tcp *tcp, size_t len)
{
    tcp->open_len += (uint32_t)len;
}

/* ---- copies ---- */

/* One call of lwIP's: what it refuses for its queue's length alone must not look like a lack of memory. */
static enum pel_err write_chunk(struct pel_tcp *tcp, const uint8_t *bytes, size_t len, bool more)
{
    struct tcp_pcb *pcb = tcp->pcb;
    err_t err =
        tcp_write(pcb, bytes, (u16_t)len, (u8_t)(TCP_WRITE_FLAG_COPY | (more ? TCP_WRITE_FLAG_MORE : 0)));
    if (err == ERR_OK)
        return PEL_OK;
    size_t num_segments = len / pcb->mss + 2;
    bool is_long = pcb->snd_queuelen + 2 * num_segments >= TCP_SND_QUEUELEN;
    return is_long ? PEL_E_AGAIN : pel_count_err(tcp->ip->counters, PEL_E_NO_MEMORY);
}

static enum pel_err write_small(struct pel_tcp *tcp, const uint8_t *bytes, size_t len, bool more,
                                size_t *ret_len)
{
    size_t room_len = pel_tcp_send_room(tcp);
    if (room_len == 0)
        return PEL_E_AGAIN;
    PEL_TRY(close_open(tcp, true));
    *ret_len = len < room_len ? len : room_len;
    return write_chunk(tcp, bytes, *ret_len, more || *ret_len < len);
}

static enum pel_err write_large(struct pel_tcp *tcp, const uint8_t *bytes, size_t len, size_t *ret_len)
{
    size_t room_len = pel_tcp_send_room(tcp), max_len = pel_tcp_segment_max(tcp->ip);
    uint8_t *room = NULL;
    len = len < room_len ? len : room_len;
    len = len < max_len ? len : max_len;
    if (len == 0)
        return PEL_E_AGAIN;
    PEL_TRY(pel_tcp_reserve(tcp, len, &room));
    memcpy(room, bytes, len);
    pel_tcp_commit(tcp, len);
    *ret_len = len;
    return PEL_OK;
}

enum pel_err pel_tcp_write(struct pel_tcp *tcp, const uint8_t *bytes, size_t len, bool more, size_t *ret_len)
{
    struct tcp_pcb *pcb = tcp->pcb;
    if (!may_send(pcb))
        return PEL_E_STATE;
    struct pel_lwip_state *before = pel_ip_enter(tcp->ip);
    enum pel_err err = PEL_OK;
    size_t done = 0, part_len = 0;
    while (done < len && err == PEL_OK) {
        size_t left_len = len - done;
        err = left_len < pcb->mss ? write_small(tcp, bytes + done, left_len, more, &part_len)
                                  : write_large(tcp, bytes + done, left_len, &part_len);
        done += err == PEL_OK ? part_len : 0;
    }
    if (done > 0 && !more)
        err = pel_tcp_flush(tcp);
    pel_ip_leave(before);
    if (done == 0 && len > 0)
        return err;
    *ret_len = done;
    return PEL_OK;
}

enum pel_err pel_tcp_flush(struct pel_tcp *tcp)
{
    enum pel_err err = PEL_OK;
    struct pel_lwip_state *before = pel_ip_enter(tcp->ip);
    if (tcp->pcb != NULL && tcp->pcb->state != TIME_WAIT) {
        err = close_open(tcp, false);
        if (tcp->pcb->unsent != NULL && tcp->pcb->unsent_last->len > 0)
            TCPH_SET_FLAG(tcp->pcb->unsent_last->tcphdr, TCP_PSH);
        tcp_output(tcp->pcb);
    }
    pel_ip_leave(before);
    return err;
}

void pel_tcp_retry_stuck(void)
{
    struct pel_ipstack *ip = pel_ip_current();
    ip->has_stuck = false;
    for (struct pel_tcp *tcp = ip->tcps; tcp != NULL; tcp = tcp->next)
        if (tcp->open != NULL)
            (void)pel_tcp_flush(tcp); /* if it fails again it says so again */
}
