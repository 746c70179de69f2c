/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A connection: lwIP's pcb and its owner. lwIP may free a pcb at three moments: with an error (the owner
 * hears on_error and the object goes), within a call of ours, and quietly when TIME-WAIT or LAST-ACK ends
 * (the object stays until the owner closes it, without a pcb).
 */
#include "stack/lwip/private.h"

#include "lwip/priv/tcp_priv.h"

#define CHUNK_MAX 0xffffu /* lwIP's lengths */

static void forget_pcb(u8_t id, void *data)
{
    if (data != NULL)
        ((struct pel_tcp *)data)->pcb = NULL;
}

static const struct tcp_ext_arg_callbacks pcb_callbacks = {.destroy = forget_pcb};

void pel_tcp_call_begin(struct pel_tcp *tcp, struct pel_tcp_call *call)
{
    *call = (struct pel_tcp_call){.tcp = tcp, .up = tcp->ip->calls};
    tcp->ip->calls = call;
}

err_t pel_tcp_call_end(struct pel_ipstack *ip, struct pel_tcp_call *call)
{
    ip->calls = call->up;
    return call->aborted ? ERR_ABRT : ERR_OK;
}

/* ---- what lwIP tells ---- */

static err_t receive_event(void *arg, struct tcp_pcb *pcb, struct pbuf *p, err_t err)
{
    struct pel_tcp *tcp = (struct pel_tcp *)arg;
    struct pel_ipstack *ip = tcp->ip;
    struct pel_tcp_call call;
    pel_tcp_call_begin(tcp, &call);
    if (p == NULL) {
        tcp->events->on_fin(tcp->arg);
    } else {
        tcp->unread_len += p->tot_len;
        tcp->events->on_receive(tcp->arg, pel_buf_from_pbuf(p));
    }
    return pel_tcp_call_end(ip, &call);
}

static err_t sent_event(void *arg, struct tcp_pcb *pcb, u16_t len)
{
    struct pel_tcp *tcp = (struct pel_tcp *)arg;
    struct pel_ipstack *ip = tcp->ip;
    struct pel_tcp_call call;
    pel_tcp_call_begin(tcp, &call);
    tcp->events->on_sent(tcp->arg, len);
    return pel_tcp_call_end(ip, &call);
}

static err_t connected_event(void *arg, struct tcp_pcb *pcb, err_t err)
{
    struct pel_tcp *tcp = (struct pel_tcp *)arg;
    struct pel_ipstack *ip = tcp->ip;
    struct pel_tcp_call call;
    tcp->connected = true;
    pel_count_stat(ip->counters, PEL_STAT_tcp_opened_out, 1);
    pel_tcp_call_begin(tcp, &call);
    tcp->events->on_connected(tcp->arg);
    return pel_tcp_call_end(ip, &call);
}

/* Takes the object out of the instance and away from lwIP; the pcb is the caller's. */
static void detach(struct pel_tcp *tcp)
{
    struct pel_ipstack *ip = tcp->ip;
    pel_tcp_drop_open(tcp);
    for (struct pel_tcp_call *call = ip->calls; call != NULL; call = call->up)
        if (call->tcp == tcp)
            call->tcp = NULL;
    if (tcp->pcb != NULL) {
        tcp_ext_arg_set(tcp->pcb, 0, NULL);
        tcp_arg(tcp->pcb, NULL);
        tcp_recv(tcp->pcb, NULL);
        tcp_sent(tcp->pcb, NULL);
        tcp_err(tcp->pcb, NULL);
    }
    if (tcp->prev != NULL)
        tcp->prev->next = tcp->next;
    else
        ip->tcps = tcp->next;
    if (tcp->next != NULL)
        tcp->next->prev = tcp->prev;
    ip->num_tcps--;
    pel_count_stat(ip->counters, PEL_STAT_tcp_closed, 1);
}

static enum pel_err error_of(const struct pel_tcp *tcp, err_t err)
{
    if (err == ERR_RST)
        return tcp->connected ? PEL_E_CONN_RESET : PEL_E_CONN_REFUSED;
    return tcp->ip->in_tcp_timer ? PEL_E_CONN_TIMEOUT : PEL_E_CONN_ABORTED;
}

/* The pcb is freed already, or will be when this returns. */
static void error_event(void *arg, err_t err)
{
    struct pel_tcp *tcp = (struct pel_tcp *)arg;
    if (err == ERR_CLSD) {
        if (tcp->pcb != NULL)
            tcp_ext_arg_set(tcp->pcb, 0, NULL);
        tcp->pcb = NULL;
        return;
    }
    const struct pel_tcp_events *events = tcp->events;
    void *owner = tcp->arg;
    enum pel_err what = pel_count_err(tcp->ip->counters, error_of(tcp, err));
    detach(tcp);
    free(tcp);
    events->on_error(owner, what);
}

/* ---- making and ending ---- */

struct pel_tcp *pel_tcp_adopt(struct pel_ipstack *ip, struct tcp_pcb *pcb)
{
    struct pel_tcp *tcp = calloc(1, sizeof(*tcp));
    if (tcp == NULL)
        return NULL;
    tcp->ip = ip;
    tcp->pcb = pcb;
    tcp->next = ip->tcps;
    if (tcp->next != NULL)
        tcp->next->prev = tcp;
    ip->tcps = tcp;
    ip->num_tcps++;
    tcp_arg(pcb, tcp);
    tcp_recv(pcb, receive_event);
    tcp_sent(pcb, sent_event);
    tcp_err(pcb, error_event);
    tcp_ext_arg_set_callbacks(pcb, 0, &pcb_callbacks);
    tcp_ext_arg_set(pcb, 0, tcp);
    return tcp;
}

/* Where the connection comes from: checks the wish, or chooses. */
static enum pel_err choose_local(struct pel_ipstack *ip, const struct pel_endpoint *wish, struct tcp_pcb *pcb,
                                 const ip_addr_t *remote, uint16_t remote_port)
{
    if (wish != NULL && !pel_ip_is_any(&wish->ip)) {
        if (!pel_ip_is_local(ip, &wish->ip))
            return PEL_E_ADDRESS_NOT_OURS;
        pcb->local_ip = pel_to_lwip_addr(ip, &wish->ip);
        if (IP_IS_V6_VAL(pcb->local_ip) != IP_IS_V6(remote))
            return PEL_E_NO_ROUTE;
    } else {
        const ip_addr_t *local = ip_netif_get_local_ip(&ip->netif, remote);
        if (local == NULL || ip_addr_isany(local))
            return PEL_E_NO_ROUTE;
        ip_addr_copy(pcb->local_ip, *local);
    }
    uint16_t port = wish == NULL ? 0 : wish->port;
    if (port != 0 && !pel_port_comes_here(ip, &pcb->local_ip, port, remote, remote_port))
        return PEL_E_OTHER_ENGINE;
    if (port != 0 && pel_port_in_use(&pcb->local_ip, port, remote, remote_port))
        return PEL_E_ADDRESS_IN_USE;
    if (port == 0)
        port = pel_port_choose(ip, &pcb->local_ip, remote, remote_port);
    pcb->local_port = port;
    return port == 0 ? PEL_E_NO_LOCAL_PORT : PEL_OK;
}

static enum pel_err connect_pcb(struct pel_ipstack *ip, const struct pel_endpoint *local,
                                const struct pel_endpoint *remote, struct tcp_pcb *pcb)
{
    ip_addr_t to = pel_to_lwip_addr(ip, &remote->ip);
    PEL_TRY(choose_local(ip, local, pcb, &to, remote->port));
    err_t err = tcp_connect(pcb, &to, remote->port, connected_event);
    if (err == ERR_OK)
        return PEL_OK;
    return err == ERR_RTE ? PEL_E_NO_ROUTE : PEL_E_NO_MEMORY;
}

static enum pel_err open_pcb(struct pel_ipstack *ip, const struct pel_endpoint *local,
                             const struct pel_endpoint *remote, struct pel_tcp **ret_tcp)
{
    struct tcp_pcb *pcb = tcp_new_ip_type(remote->ip.version == 4 ? IPADDR_TYPE_V4 : IPADDR_TYPE_V6);
    if (pcb == NULL)
        return PEL_E_NO_MEMORY;
    struct pel_tcp *tcp = pel_tcp_adopt(ip, pcb);
    if (tcp == NULL) {
        tcp_abandon(pcb, 0);
        return PEL_E_NO_MEMORY;
    }
    enum pel_err err = connect_pcb(ip, local, remote, pcb);
    if (err != PEL_OK) {
        detach(tcp);
        free(tcp);
        tcp_abandon(pcb, 0);
        return err;
    }
    tcp->local = (struct pel_endpoint){pel_from_lwip_addr(&pcb->local_ip), pcb->local_port};
    tcp->remote = *remote;
    *ret_tcp = tcp;
    return PEL_OK;
}

enum pel_err pel_tcp_connect(struct pel_ipstack *ip, const struct pel_endpoint *local,
                             const struct pel_endpoint *remote, const struct pel_tcp_events *events,
                             void *arg, struct pel_tcp **ret_tcp)
{
    if (ip->num_tcps >= ip->config.max_connections)
        return pel_count_err(ip->counters, PEL_E_TOO_MANY_CONNECTIONS);
    if (remote->port == 0 || !pel_ip_has_route(ip, &remote->ip))
        return pel_count_err(ip->counters, PEL_E_NO_ROUTE);
    struct pel_lwip_state *before = pel_ip_enter(ip);
    struct pel_tcp *tcp = NULL;
    enum pel_err err = pel_count_err(ip->counters, open_pcb(ip, local, remote, &tcp));
    if (err == PEL_OK) {
        pel_tcp_set_events(tcp, events, arg);
        *ret_tcp = tcp;
    }
    pel_ip_leave(before);
    return err;
}

void pel_tcp_set_events(struct pel_tcp *tcp, const struct pel_tcp_events *events, void *arg)
{
    tcp->events = events;
    tcp->arg = arg;
}

void pel_tcp_abort(struct pel_tcp *tcp)
{
    struct tcp_pcb *pcb = tcp->pcb;
    struct pel_lwip_state *before = pel_ip_enter(tcp->ip);
    for (struct pel_tcp_call *call = tcp->ip->calls; call != NULL; call = call->up)
        if (call->tcp == tcp)
            call->aborted = pcb != NULL;
    detach(tcp);
    if (pcb != NULL)
        tcp_abort(pcb);
    free(tcp);
    pel_ip_leave(before);
}

void pel_tcp_close(struct pel_tcp *tcp)
{
    struct tcp_pcb *pcb = tcp->pcb;
    if (pel_tcp_flush(tcp) != PEL_OK) { /* what was written is lost: that is no end that looks clean */
        pel_tcp_abort(tcp);
        return;
    }
    struct pel_lwip_state *before = pel_ip_enter(tcp->ip);
    detach(tcp);
    /* lwIP resets when the window is not whole, which it takes for unread bytes; a FIN that came in the
     * segment which is being shown has taken one, too. */
    if (pcb != NULL && tcp->unread_len == 0 && pcb->state != TIME_WAIT)
        pcb->rcv_wnd = TCP_WND_MAX(pcb);
    if (pcb != NULL)
        tcp_close(pcb); /* without memory for the FIN, lwIP's timer tries again */
    free(tcp);
    pel_ip_leave(before);
}

void pel_tcp_drop_all(struct pel_ipstack *ip)
{
    while (ip->tcps != NULL) {
        struct pel_tcp *tcp = ip->tcps;
        const struct pel_tcp_events *events = tcp->events;
        void *arg = tcp->arg;
        pel_tcp_abort(tcp);
        events->on_error(arg, PEL_E_CONN_ABORTED);
    }
}

/* ---- data ---- */

void pel_tcp_received(struct pel_tcp *tcp, size_t len)
{
    struct pel_lwip_state *before = pel_ip_enter(tcp->ip);
    tcp->unread_len -= len < tcp->unread_len ? len : tcp->unread_len;
    for (size_t done = 0; done < len && tcp->pcb != NULL && tcp->pcb->state != TIME_WAIT;) {
        size_t chunk = len - done < CHUNK_MAX ? len - done : CHUNK_MAX;
        tcp_recved(tcp->pcb, (u16_t)chunk);
        done += chunk;
    }
    pel_ip_leave(before);
}

enum pel_err pel_tcp_shutdown(struct pel_tcp *tcp)
{
    struct tcp_pcb *pcb = tcp->pcb;
    if (pcb == NULL || (pcb->state != ESTABLISHED && pcb->state != CLOSE_WAIT))
        return PEL_OK; /* it is done already */
    PEL_TRY(pel_tcp_flush(tcp));
    struct pel_lwip_state *before = pel_ip_enter(tcp->ip);
    err_t err = tcp_shutdown(pcb, 0, 1);
    pel_ip_leave(before);
    return err == ERR_OK ? PEL_OK : PEL_E_NO_MEMORY;
}

struct pel_endpoint pel_tcp_local(const struct pel_tcp *tcp)
{
    return tcp->local;
}

struct pel_endpoint pel_tcp_remote(const struct pel_tcp *tcp)
{
    return tcp->remote;
}

void pel_tcp_set_nodelay(struct pel_tcp *tcp, bool on)
{
    if (tcp->pcb == NULL)
        return;
    if (on)
        tcp_nagle_disable(tcp->pcb);
    else
        tcp_nagle_enable(tcp->pcb);
}

void pel_tcp_get_info(const struct pel_tcp *tcp, struct pel_tcp_info *ret_info)
{
    const struct tcp_pcb *pcb = tcp->pcb;
    *ret_info = (struct pel_tcp_info){0};
    if (pcb == NULL)
        return;
    /* Scaled by 8 and by 4, in ticks of the slow timer (Van Jacobson, 1988); -1 before the first sample. */
    uint32_t scaled_rtt = pcb->sa > 0 ? (uint32_t)pcb->sa : 0,
             scaled_var = pcb->sa > 0 ? (uint32_t)pcb->sv : 0;
    *ret_info = (struct pel_tcp_info){
        .mss = pcb->mss,
        .congestion_window_len = pcb->cwnd,
        .unacked_len = (uint32_t)pel_tcp_unacked_len(tcp),
        .rtt_us = scaled_rtt * (TCP_SLOW_INTERVAL * 1000 / 8),
        .rtt_var_us = scaled_var * (TCP_SLOW_INTERVAL * 1000 / 4),
        .num_retransmits = pcb->nrtx,
    };
}

void pel_tcp_set_keepalive(struct pel_tcp *tcp, uint32_t idle_ms, uint32_t interval_ms, uint32_t num)
{
    if (tcp->pcb == NULL || tcp->pcb->state == TIME_WAIT)
        return;
    if (idle_ms == 0) {
        ip_reset_option(tcp->pcb, SOF_KEEPALIVE);
        return;
    }
    /* Time without traffic counts from now: lwIP would give up one that has been quiet for long at once. */
    struct pel_lwip_state *before = pel_ip_enter(tcp->ip);
    tcp_pcb_wake(tcp->pcb);
    tcp->pcb->tmr = pel_lwip->tcp_ticks;
    tcp->pcb->keep_cnt_sent = 0;
    pel_ip_leave(before);
    tcp->pcb->keep_idle = idle_ms;
    tcp->pcb->keep_intvl = interval_ms;
    tcp->pcb->keep_cnt = num;
    ip_set_option(tcp->pcb, SOF_KEEPALIVE);
}
