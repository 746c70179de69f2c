/* SPDX-License-Identifier: Apache-2.0 */
/* Listeners, and the connections that they accept. */
#include "stack/lwip/private.h"

#include "lwip/priv/tcp_priv.h"

#define LISTEN_PORT_TRIES 1000

static err_t accept_event(void *arg, struct tcp_pcb *pcb, err_t err)
{
    struct pel_tcp_listener *listener = (struct pel_tcp_listener *)arg;
    struct pel_ipstack *ip = listener->ip;
    if (err != ERR_OK || pcb == NULL) {
        pel_count_err(ip->counters, PEL_E_NO_MEMORY);
        return ERR_VAL;
    }
    if (ip->num_tcps >= ip->config.max_connections) {
        pel_count_err(ip->counters, PEL_E_TOO_MANY_CONNECTIONS);
        return ERR_MEM; /* lwIP resets it */
    }
    struct pel_tcp *tcp = pel_tcp_adopt(ip, pcb);
    if (tcp == NULL) {
        pel_count_err(ip->counters, PEL_E_NO_MEMORY);
        tcp_arg(pcb, NULL);
        return ERR_MEM;
    }
    tcp->connected = true;
    tcp->local = (struct pel_endpoint){pel_from_lwip_addr(&pcb->local_ip), pcb->local_port};
    tcp->remote = (struct pel_endpoint){pel_from_lwip_addr(&pcb->remote_ip), pcb->remote_port};
    pel_count_stat(ip->counters, PEL_STAT_tcp_opened_in, 1);
    struct pel_tcp_call call;
    pel_tcp_call_begin(tcp, &call);
    enum pel_err refused = listener->accept(listener->arg, tcp);
    if (pel_count_err(ip->counters, refused) != PEL_OK && call.tcp != NULL)
        pel_tcp_abort(tcp);
    return pel_tcp_call_end(ip, &call);
}

static bool overlaps(const struct pel_endpoint *a, const struct pel_endpoint *b)
{
    if (a->port != b->port)
        return false;
    if (a->ip.version != 0 && b->ip.version != 0 && a->ip.version != b->ip.version)
        return false;
    /* A listener on every address and one on a certain address may stand side by side; two of a kind may
     * not. */
    return a->ip.version == b->ip.version ? pel_ip_equal(&a->ip, &b->ip)
                                          : pel_ip_is_any(&a->ip) && pel_ip_is_any(&b->ip);
}

static bool is_taken(const struct pel_ipstack *ip, const struct pel_endpoint *local)
{
    for (const struct pel_tcp_listener *l = ip->listeners; l != NULL; l = l->next)
        if (overlaps(&l->local, local))
            return true;
    return false;
}

/* The endpoint to listen on: as asked for, or with a port of our choice. */
static enum pel_err choose_endpoint(const struct pel_ipstack *ip, const struct pel_endpoint *wish,
                                    struct pel_endpoint *ret)
{
    *ret = *wish;
    if (!pel_ip_is_any(&wish->ip) && !pel_ip_is_local(ip, &wish->ip))
        return PEL_E_ADDRESS_NOT_OURS;
    if (wish->port != 0)
        return is_taken(ip, wish) ? PEL_E_ADDRESS_IN_USE : PEL_OK;
    for (int i = 0; i < LISTEN_PORT_TRIES; i++) {
        ret->port = pel_port_random();
        if (!is_taken(ip, ret))
            return PEL_OK;
    }
    return PEL_E_NO_LOCAL_PORT;
}

/* The pcb is not bound by tcp_bind, which would scan all connections and refuse a port that only old ones
 * use. */
static struct tcp_pcb *make_listening_pcb(struct pel_ipstack *ip, const struct pel_endpoint *local,
                                          uint32_t backlog)
{
    ip_addr_t addr = pel_to_lwip_addr(ip, &local->ip);
    struct tcp_pcb *pcb = tcp_new_ip_type(IP_GET_TYPE(&addr));
    if (pcb == NULL)
        return NULL;
    pcb->local_ip = addr;
    pcb->local_port = local->port;
    ip_set_option(pcb, SOF_REUSEADDR);
    struct tcp_pcb *listening = tcp_listen_with_backlog(pcb, (u16_t)(backlog > 65535 ? 65535 : backlog));
    if (listening == NULL)
        tcp_abandon(pcb, 0);
    return listening;
}

enum pel_err pel_tcp_listen(struct pel_ipstack *ip, const struct pel_endpoint *local, uint32_t backlog,
                            pel_tcp_accept_fn *accept, void *arg, struct pel_tcp_listener **ret_listener)
{
    struct pel_lwip_state *before = pel_ip_enter(ip);
    struct pel_tcp_listener *listener = calloc(1, sizeof(*listener));
    enum pel_err err = listener == NULL ? PEL_E_NO_MEMORY : choose_endpoint(ip, local, &listener->local);
    if (err == PEL_OK && (listener->pcb = make_listening_pcb(ip, &listener->local, backlog)) == NULL)
        err = PEL_E_NO_MEMORY;
    if (err == PEL_OK) {
        listener->ip = ip;
        listener->accept = accept;
        listener->arg = arg;
        listener->next = ip->listeners;
        ip->listeners = listener;
        tcp_arg(listener->pcb, listener);
        tcp_accept(listener->pcb, accept_event);
        *ret_listener = listener;
    } else {
        free(listener);
    }
    pel_ip_leave(before);
    return pel_count_err(ip->counters, err);
}

struct pel_endpoint pel_tcp_listener_endpoint(const struct pel_tcp_listener *listener)
{
    return listener->local;
}

void pel_tcp_unlisten(struct pel_tcp_listener *listener)
{
    if (listener == NULL)
        return;
    struct pel_lwip_state *before = pel_ip_enter(listener->ip);
    for (struct pel_tcp_listener **at = &listener->ip->listeners; *at != NULL; at = &(*at)->next)
        if (*at == listener) {
            *at = listener->next;
            break;
        }
    tcp_close(listener->pcb);
    free(listener);
    pel_ip_leave(before);
}
