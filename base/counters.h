/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Counters of one owner (an engine, a TLS environment's user, a port): one per error of PEL_ERR_LIST, so that
 * nothing is dropped without a name, and one per row of PEL_STAT_LIST for what went well. Always on.
 *
 * Only the owner's thread writes; any thread may read with pel_counters_read, and sees each number whole but
 * not all of one moment.
 */
#ifndef PEL_BASE_COUNTERS_H
#define PEL_BASE_COUNTERS_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/* X(name, "what it counts") */
#define PEL_STAT_LIST(X)                                                                                     \
    X(rx_packets, "frames received")                                                                         \
    X(rx_bytes, "bytes of frames received")                                                                  \
    X(rx_coalesced, "received TCP segments that were joined to the one before")                              \
    X(tx_packets, "frames sent")                                                                             \
    X(tx_bytes, "bytes of frames sent")                                                                      \
    X(tcp_opened_in, "TCP connections accepted")                                                             \
    X(tcp_opened_out, "TCP connections opened")                                                              \
    X(tcp_closed, "TCP connections ended")                                                                   \
    X(tcp_window_probes, "probes of windows that their receivers keep shut")                                 \
    X(tcp_retransmits, "TCP segments sent again")                                                            \
    X(tcp_challenge_acks, "challenge acknowledgements sent (RFC 5961)")                                      \
    X(udp_in, "UDP datagrams received")                                                                      \
    X(udp_out, "UDP datagrams sent")                                                                         \
    X(icmp_echo_in, "ICMP echo requests answered")                                                           \
    X(policy_lookups, "policy lookups")                                                                      \
    X(policy_loads, "policy generations installed")                                                          \
    X(map_tls, "connections mapped to TLS")                                                                  \
    X(map_when_asked, "connections mapped to TLS for which their program asks (ApplicationControlled On)")   \
    X(map_secondary, "connections mapped to TLS by the rule of an earlier one (SecondaryMap)")               \
    X(map_clear, "connections mapped to clear by a rule")                                                    \
    X(map_no_rule, "connections that no rule matched")                                                       \
    X(ttls_starts, "handshakes that a program asked for")                                                    \
    X(ttls_stops, "connections brought back to clear by their program")                                      \
    X(ttls_start_timeouts, "handshakes that a program asked for and that the peer did not begin")            \
    X(own_tls, "connections in clear on which the program speaks TLS of its own")                            \
    X(double_tls, "connections under TLS inside which the program speaks TLS of its own")                    \
    X(tls_handshakes_server, "TLS handshakes completed as server")                                           \
    X(tls_handshakes_client, "TLS handshakes completed as client")                                           \
    X(tls_resumed, "TLS handshakes that resumed a session")                                                  \
    X(tls_records_in, "TLS records opened")                                                                  \
    X(tls_records_out, "TLS records sealed")                                                                 \
    X(tls_keys_expanded, "TLS keys expanded because the cache did not have them")                            \
    X(tls_bytes_in, "application bytes opened")                                                              \
    X(tls_bytes_out, "application bytes sealed")                                                             \
    X(clear_bytes_in, "application bytes received in clear")                                                 \
    X(clear_bytes_out, "application bytes sent in clear")                                                    \
    X(served_sockets, "sockets of attached programs")

enum pel_stat {
#define PEL_STAT_ENUM(name, sentence) PEL_STAT_##name,
    PEL_STAT_LIST(PEL_STAT_ENUM)
#undef PEL_STAT_ENUM
        PEL_STAT_NR
};

struct pel_counters {
    uint64_t err[PEL_ERR_NR];
    uint64_t stat[PEL_STAT_NR];
};

/* pel_stat_name returns the statistic's name ("tls_records_in"); static. Any thread. */
const char *pel_stat_name(enum pel_stat stat);

/* pel_stat_text returns what the statistic counts; static. Any thread. */
const char *pel_stat_text(enum pel_stat stat);

/* pel_count_add adds `n` to one number of `counters`. Owner thread only: the addition is no atomic
 * read-modify-write, but the store is whole, so that readers never see half a number. */
static inline void pel_count_add(uint64_t *number, uint64_t n)
{
    __atomic_store_n(number, __atomic_load_n(number, __ATOMIC_RELAXED) + n, __ATOMIC_RELAXED);
}

/* pel_count_err counts `err` once, unless it is PEL_OK, and returns it. `counters` may be NULL. Owner thread
 * only. */
static inline enum pel_err pel_count_err(struct pel_counters *counters, enum pel_err err)
{
    if (counters != NULL && err != PEL_OK)
        pel_count_add(&counters->err[err], 1);
    return err;
}

/* pel_count_stat adds `n` to the statistic. `counters` may be NULL. Owner thread only. */
static inline void pel_count_stat(struct pel_counters *counters, enum pel_stat stat, uint64_t n)
{
    if (counters != NULL)
        pel_count_add(&counters->stat[stat], n);
}

/* pel_counters_add adds a reading of every number of `from` to `into` (the reader's own). Any thread. */
void pel_counters_add(struct pel_counters *into, const struct pel_counters *from);

#endif
